//! The IPv4 TOS byte, which is the IPv6 traffic class: six bits of DSCP, two of ECN.

use core::fmt;

/// A differentiated-services code point, 0 to 63 (RFC 2474).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Dscp(u8);

impl Dscp {
    /// Best effort.
    pub const DEFAULT: Dscp = Dscp(0);
    /// Network control (class selector 6): routing protocols, neighbour discovery, ICMP errors.
    pub const CS6: Dscp = Dscp(48);

    /// A code point, unless the number does not fit in six bits.
    #[inline]
    pub const fn new(value: u8) -> Option<Dscp> {
        if value < 64 { Some(Dscp(value)) } else { None }
    }

    /// The code point in a TOS byte.
    #[inline]
    pub const fn of_tos(tos: u8) -> Dscp {
        Dscp(tos >> 2)
    }

    /// The number.
    #[inline]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Dscp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The explicit congestion notification bits (RFC 3168).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Ecn(u8);

impl Ecn {
    /// The sender does not take part.
    pub const NOT_ECT: Ecn = Ecn(0);
    /// The sender takes part, code point ECT(1).
    pub const ECT1: Ecn = Ecn(1);
    /// The sender takes part, code point ECT(0).
    pub const ECT0: Ecn = Ecn(2);
    /// Congestion experienced.
    pub const CE: Ecn = Ecn(3);

    /// The bits, unless the number does not fit in two.
    #[inline]
    pub const fn new(value: u8) -> Option<Ecn> {
        if value < 4 { Some(Ecn(value)) } else { None }
    }

    /// The bits in a TOS byte.
    #[inline]
    pub const fn of_tos(tos: u8) -> Ecn {
        Ecn(tos & 3)
    }

    /// The number, 0 to 3.
    #[inline]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Ecn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "Not-ECT",
            1 => "ECT(1)",
            2 => "ECT(0)",
            _ => "CE",
        })
    }
}

/// The TOS byte made of both.
#[inline]
pub const fn merge_tos(dscp: Dscp, ecn: Ecn) -> u8 {
    dscp.0 << 2 | ecn.0
}

/// Both parts of a TOS byte.
#[inline]
pub const fn split_tos(tos: u8) -> (Dscp, Ecn) {
    (Dscp::of_tos(tos), Ecn::of_tos(tos))
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn every_byte_survives() {
        for tos in 0..=255 {
            let (dscp, ecn) = split_tos(tos);
            assert_eq!(merge_tos(dscp, ecn), tos);
            assert_eq!(Dscp::new(dscp.get()), Some(dscp));
            assert_eq!(Ecn::new(ecn.get()), Some(ecn));
        }
        assert_eq!(split_tos(0xba), (Dscp(46), Ecn::ECT0));
    }

    #[test]
    fn range() {
        assert_eq!(Dscp::new(64), None);
        assert_eq!(Ecn::new(4), None);
    }
}
