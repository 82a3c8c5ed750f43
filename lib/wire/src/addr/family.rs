//! IPv4 or IPv6, and one width for both.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address family of an EID or an RLOC.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Family {
    /// IPv4.
    V4 = 4,
    /// IPv6.
    V6 = 6,
}

impl Family {
    /// The family of an address.
    #[inline]
    pub const fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// Address length in bits: 32 or 128.
    #[inline]
    pub const fn bits(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }

    /// The family with this IP version number (4 or 6).
    #[inline]
    pub const fn from_version(version: u8) -> Option<Family> {
        match version {
            4 => Some(Family::V4),
            6 => Some(Family::V6),
            _ => None,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// An address in 16 bytes: IPv4 lies in the first four, the rest is zero.
#[inline]
pub const fn addr_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The reverse of [`addr_bytes`]; the bytes behind an IPv4 address are ignored.
#[inline]
pub const fn addr_from_bytes(family: Family, bytes: &[u8; 16]) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
        Family::V6 => IpAddr::V6(Ipv6Addr::from_octets(*bytes)),
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn bytes_and_back() {
        for text in ["0.0.0.0", "10.1.2.3", "255.255.255.255", "::", "fd00:64::1"] {
            let address: IpAddr = text.parse().unwrap();
            let bytes = addr_bytes(address);
            assert_eq!(addr_from_bytes(Family::of(address), &bytes), address);
        }
        let v4 = addr_bytes("10.1.2.3".parse().unwrap());
        assert_eq!(v4[..4], [10, 1, 2, 3]);
        assert_eq!(v4[4..], [0; 12]);
    }

    #[test]
    fn versions() {
        assert_eq!(Family::from_version(4), Some(Family::V4));
        assert_eq!(Family::from_version(6), Some(Family::V6));
        assert_eq!(Family::from_version(5), None);
        assert_eq!(Family::V4 as u8, 4);
        assert_eq!(Family::V6.bits(), 128);
    }
}
