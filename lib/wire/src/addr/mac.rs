//! The 48-bit Ethernet address.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::error::AddrError;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All stations.
    pub const BROADCAST: Mac = Mac([0xff; 6]);
    /// All zero: "not known" in an ARP request.
    pub const ZERO: Mac = Mac([0; 6]);

    /// The address in the first six bytes. Panics when there are fewer.
    #[inline]
    pub(crate) fn from_slice(bytes: &[u8]) -> Mac {
        Mac([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]])
    }

    /// The six bytes in wire order.
    #[inline]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// A group address (broadcast is one too).
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// The address of all stations.
    #[inline]
    pub fn is_broadcast(self) -> bool {
        self == Self::BROADCAST
    }

    /// An address one station may have: neither a group nor zero.
    #[inline]
    pub fn is_unicast(self) -> bool {
        !self.is_multicast() && self != Self::ZERO
    }

    /// Where an IPv6 multicast packet is sent on Ethernet: 33:33 and the low 32 bits (RFC 2464 section 7).
    #[inline]
    pub const fn multicast_v6(group: Ipv6Addr) -> Mac {
        let o = group.octets();
        Mac([0x33, 0x33, o[12], o[13], o[14], o[15]])
    }

    /// Where an IPv4 multicast packet is sent on Ethernet: 01:00:5e and the low 23 bits (RFC 1112 section 6.4).
    #[inline]
    pub const fn multicast_v4(group: Ipv4Addr) -> Mac {
        let [_, b, c, d] = group.octets();
        Mac([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }
}

impl From<[u8; 6]> for Mac {
    fn from(bytes: [u8; 6]) -> Mac {
        Mac(bytes)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Mac, AddrError> {
        let mut bytes = [0; 6];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair = pairs.next().ok_or(AddrError::BadMac)?;
            if pair.len() != 2 || !pair.bytes().all(|c| c.is_ascii_hexdigit()) {
                return Err(AddrError::BadMac);
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| AddrError::BadMac)?;
        }
        match pairs.next() {
            None => Ok(Mac(bytes)),
            Some(_) => Err(AddrError::BadMac),
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::string::ToString;

    #[test]
    fn text_and_back() {
        let mac: Mac = "02:53:54:00:00:64".parse().unwrap();
        assert_eq!(mac, Mac([0x02, 0x53, 0x54, 0, 0, 0x64]));
        assert_eq!(mac.to_string(), "02:53:54:00:00:64");
        assert_eq!("FF:ff:FF:ff:FF:ff".parse(), Ok(Mac::BROADCAST));
    }

    #[test]
    fn wrong_texts() {
        let wrong = [
            "",
            "02",
            "02:53:54:00:00",
            "02:53:54:00:00:64:01",
            "02-53-54-00-00-64",
            "2:53:54:00:00:64",
            "02:53:54:00:00:+4",
            "02:53:54:00:00:6g",
            "é2:53:54:00:00:64",
        ];
        for text in wrong {
            assert_eq!(text.parse::<Mac>(), Err(AddrError::BadMac), "{text}");
        }
    }

    #[test]
    fn kinds() {
        assert!(Mac::BROADCAST.is_multicast() && Mac::BROADCAST.is_broadcast());
        assert!(!Mac::BROADCAST.is_unicast());
        assert!(!Mac::ZERO.is_unicast());
        assert!(Mac([2, 0, 0, 0, 0, 1]).is_unicast());
    }

    #[test]
    fn multicast_mappings() {
        let group = "ff02::1:ff12:3456".parse().unwrap();
        assert_eq!(Mac::multicast_v6(group), Mac([0x33, 0x33, 0xff, 0x12, 0x34, 0x56]));
        let group = Ipv4Addr::new(239, 255, 1, 2);
        assert_eq!(Mac::multicast_v4(group), Mac([0x01, 0x00, 0x5e, 0x7f, 1, 2]));
    }
}
