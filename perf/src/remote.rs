//! The remote EIDs of a case: the `n`th one's prefix, and the address by which packets mean it.

use crate::frames::Family;
use std::net::IpAddr;
use sterna_wire::Prefix;

/// The lengths of an IPv4 group's prefixes; /24 is there for the site's own.
const LENGTHS_V4: [u8; 8] = [32, 31, 30, 29, 28, 27, 26, 24];
/// The same for IPv6; /64 is there for the site's own.
const LENGTHS_V6: [u8; 8] = [128, 120, 112, 104, 96, 88, 80, 64];

/// How remote EIDs are numbered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Numbering {
    /// Prefixes of eight lengths instead of hosts.
    pub prefixes: bool,
}

impl Numbering {
    /// The prefix of the `n`th remote EID.
    pub fn prefix(self, family: Family, n: u32) -> Prefix {
        let address = self.address(family, n);
        let length = match (self.prefixes, family) {
            (false, _) => return Prefix::host(ip(family, &address)),
            (true, Family::V4) => LENGTHS_V4[n as usize % 8],
            (true, Family::V6) => LENGTHS_V6[n as usize % 8],
        };
        // The lengths are those of their family.
        Prefix::masked(ip(family, &address), length).unwrap_or(Prefix::host(ip(family, &address)))
    }

    /// The address by which packets mean the `n`th remote EID; IPv4 is the first four bytes.
    pub fn address(self, family: Family, n: u32) -> [u8; 16] {
        match (family, self.prefixes) {
            (Family::V4, false) => v4(0x0a00_0000 + n),
            (Family::V4, true) => {
                let (turn, number) = (n % 8, n / 8);
                let free = 32 - u32::from(LENGTHS_V4[turn as usize]);
                // The last address of the prefix: a host in its middle would do as well.
                v4(0x0a00_0000 + (turn << 20) + (number << free) + (1 << free) - 1)
            }
            (Family::V6, false) => v6(1, n, 0),
            (Family::V6, true) => v6(0x10 + (n % 8) as u16, n / 8, 1),
        }
    }

    /// The number of a host's address; the inverse of [`Self::prefix`] without prefixes.
    pub fn number(address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(address) => u32::from(address).checked_sub(0x0a00_0000),
            IpAddr::V6(address) => {
                let [.., a, b, c, d] = address.octets();
                Some(u32::from_be_bytes([a, b, c, d]))
            }
        }
    }

    /// An address that nobody has, another for every `n` below 16 M.
    pub fn unknown(self, family: Family, n: u32) -> [u8; 16] {
        match family {
            Family::V4 => v4(0x0b00_0000 + n % (1 << 24)),
            Family::V6 => v6(2, n, 0),
        }
    }
}

fn ip(family: Family, address: &[u8; 16]) -> IpAddr {
    match family {
        Family::V4 => [address[0], address[1], address[2], address[3]].into(),
        Family::V6 => (*address).into(),
    }
}

fn v4(address: u32) -> [u8; 16] {
    let mut out = [0; 16];
    out[..4].copy_from_slice(&address.to_be_bytes());
    out
}

/// `fd00:64:0:REGION::` with a number above its last 64 bits for prefixes, or in the last 32 for hosts.
fn v6(region: u16, n: u32, host: u8) -> [u8; 16] {
    let mut out = [0xfd, 0, 0, 0x64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    out[4..6].copy_from_slice(&region.to_be_bytes());
    if host == 0 {
        out[12..].copy_from_slice(&n.to_be_bytes());
    } else {
        out[6..8].copy_from_slice(&(n as u16).to_be_bytes());
        out[15] = host;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::MOST_PREFIXES;
    use std::collections::HashSet;

    #[test]
    fn prefixes_are_all_different_and_hold_their_address_alone() {
        for family in [Family::V4, Family::V6] {
            let numbering = Numbering { prefixes: true };
            let prefixes: Vec<_> = (0..MOST_PREFIXES).map(|n| numbering.prefix(family, n)).collect();
            let distinct: HashSet<_> = prefixes.iter().collect();
            assert_eq!(distinct.len(), prefixes.len());
            let lengths: HashSet<_> = prefixes.iter().map(Prefix::len).collect();
            assert_eq!(lengths.len(), 8);
            // Disjoint, so that the longest match of an address is its own prefix and no other.
            for n in (0..MOST_PREFIXES).step_by(97) {
                let address = ip(family, &numbering.address(family, n));
                let holding = lengths.iter().filter(|len| {
                    Prefix::masked(address, **len).is_ok_and(|prefix| distinct.contains(&prefix))
                });
                assert_eq!(holding.count(), 1, "{address}");
                assert!(prefixes[n as usize].contains(address));
            }
        }
    }

    #[test]
    fn unknown_addresses_are_no_hosts() {
        let numbering = Numbering { prefixes: false };
        for family in [Family::V4, Family::V6] {
            let known: HashSet<_> = (0..100_000).map(|n| numbering.address(family, n)).collect();
            assert_eq!(known.len(), 100_000);
            assert!((0..100).all(|n| Numbering::number(numbering.prefix(family, n).addr()) == Some(n)));
            assert!((0..100_000).all(|n| !known.contains(&numbering.unknown(family, n))));
        }
    }
}
