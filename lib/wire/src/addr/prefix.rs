//! An EID-prefix: an address and how many of its bits count.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::addr::Family;
use crate::error::AddrError;

/// A prefix in canonical form: every bit behind its length is zero.
/// Ordered by family, address and length, so that a covering prefix comes before what it covers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Prefix {
    addr: IpAddr,
    len: u8,
}

/// The first `len` bits of an IPv4 address set.
const fn mask_v4(len: u8) -> u32 {
    if len == 0 { 0 } else { u32::MAX << (32 - len as u32) }
}

/// The first `len` bits of an IPv6 address set.
const fn mask_v6(len: u8) -> u128 {
    if len == 0 { 0 } else { u128::MAX << (128 - len as u32) }
}

/// The address with every bit behind `len` cleared; `len` is at most the family's.
const fn mask(address: IpAddr, len: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask_v4(len))),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask_v6(len))),
    }
}

impl Prefix {
    /// A prefix from its exact address.
    /// `BadPrefixLength` when the length exceeds the family's, `HostBits` when bits behind it are set.
    pub fn new(address: IpAddr, len: u8) -> Result<Prefix, AddrError> {
        let prefix = Self::masked(address, len)?;
        if prefix.addr == address { Ok(prefix) } else { Err(AddrError::HostBits) }
    }

    /// The prefix of this length that contains the address.
    /// `BadPrefixLength` when the length exceeds the family's.
    pub const fn masked(address: IpAddr, len: u8) -> Result<Prefix, AddrError> {
        if len > Family::of(address).bits() {
            return Err(AddrError::BadPrefixLength);
        }
        Ok(Prefix { addr: mask(address, len), len })
    }

    /// The prefix that contains this address only.
    #[inline]
    pub const fn host(address: IpAddr) -> Prefix {
        Prefix { addr: address, len: Family::of(address).bits() }
    }

    /// The first address.
    #[inline]
    pub const fn addr(&self) -> IpAddr {
        self.addr
    }

    /// The length in bits.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "a length in bits; a prefix is never empty")]
    pub const fn len(&self) -> u8 {
        self.len
    }

    /// The family.
    #[inline]
    pub const fn family(&self) -> Family {
        Family::of(self.addr)
    }

    /// Whether the address lies inside.
    #[inline]
    pub fn contains(&self, address: IpAddr) -> bool {
        Family::of(address) == self.family() && mask(address, self.len) == self.addr
    }

    /// Whether the other prefix lies inside this one (each prefix covers itself).
    #[inline]
    pub fn covers(&self, other: &Prefix) -> bool {
        self.len <= other.len && self.contains(other.addr)
    }

    /// Whether it contains one address only.
    #[inline]
    pub const fn is_host(&self) -> bool {
        self.len == self.family().bits()
    }
}

impl From<IpAddr> for Prefix {
    fn from(address: IpAddr) -> Prefix {
        Prefix::host(address)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl FromStr for Prefix {
    type Err = AddrError;

    /// `address/length`, or a bare address for a host.
    fn from_str(text: &str) -> Result<Prefix, AddrError> {
        let Some((address, len)) = text.split_once('/') else {
            return text.parse().map(Prefix::host).map_err(|_| AddrError::BadAddress);
        };
        let address = address.parse().map_err(|_| AddrError::BadAddress)?;
        if len.is_empty() || !len.bytes().all(|c| c.is_ascii_digit()) {
            return Err(AddrError::BadPrefixLength);
        }
        let len = len.parse().map_err(|_| AddrError::BadPrefixLength)?;
        Prefix::new(address, len)
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::string::ToString;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn text_and_back() {
        for text in ["0.0.0.0/0", "10.0.0.0/8", "10.1.2.3/32", "::/0", "fd00:64::/64", "::1/128"] {
            assert_eq!(prefix(text).to_string(), text);
        }
        assert_eq!(prefix("10.1.2.3"), prefix("10.1.2.3/32"));
        assert_eq!(prefix("fd00::1"), Prefix::host(addr("fd00::1")));
    }

    #[test]
    fn wrong_texts() {
        let cases = [
            ("", AddrError::BadAddress),
            ("10.0.0/8", AddrError::BadAddress),
            ("agent", AddrError::BadAddress),
            ("10.0.0.0/", AddrError::BadPrefixLength),
            ("10.0.0.0/33", AddrError::BadPrefixLength),
            ("10.0.0.0/+8", AddrError::BadPrefixLength),
            ("10.0.0.0/256", AddrError::BadPrefixLength),
            ("10.0.0.0/8/8", AddrError::BadPrefixLength),
            ("::/129", AddrError::BadPrefixLength),
            ("10.0.0.1/8", AddrError::HostBits),
            ("fd00::1/64", AddrError::HostBits),
        ];
        for (text, reason) in cases {
            assert_eq!(text.parse::<Prefix>(), Err(reason), "{text}");
        }
    }

    #[test]
    fn masking() {
        assert_eq!(Prefix::masked(addr("10.1.2.3"), 8), Ok(prefix("10.0.0.0/8")));
        assert_eq!(Prefix::masked(addr("10.1.2.3"), 0), Ok(prefix("0.0.0.0/0")));
        assert_eq!(Prefix::masked(addr("fd00::ffff"), 127), Ok(prefix("fd00::fffe/127")));
        assert_eq!(Prefix::masked(addr("10.1.2.3"), 33), Err(AddrError::BadPrefixLength));
    }

    #[test]
    fn containment() {
        let ten = prefix("10.0.0.0/8");
        assert!(ten.contains(addr("10.255.0.1")));
        assert!(!ten.contains(addr("11.0.0.1")));
        assert!(!prefix("0.0.0.0/0").contains(addr("::1")));
        assert!(!prefix("::/0").contains(addr("10.0.0.1")));
        assert!(ten.covers(&ten) && ten.covers(&prefix("10.1.0.0/16")));
        assert!(!prefix("10.1.0.0/16").covers(&ten));
        assert!(!prefix("10.0.0.0/16").covers(&ten), "the same address, but longer");
        assert!(!ten.covers(&prefix("a00::/8")));
        assert!(prefix("10.1.2.3").is_host() && !ten.is_host());
    }

    #[test]
    fn a_cover_sorts_before_what_it_covers() {
        let mut sorted = [prefix("10.0.0.0/16"), prefix("::/0"), prefix("10.0.0.0/8")];
        sorted.sort();
        assert_eq!(sorted, [prefix("10.0.0.0/8"), prefix("10.0.0.0/16"), prefix("::/0")]);
    }
}
