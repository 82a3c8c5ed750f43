//! Addresses of the underlay: every link between a node and the core router has its own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::site::{Family, Site};

/// MTU of the underlay, bytes: IPv6 outer headers (56 bytes) fit.
pub const MTU: u16 = 1600;
/// The core router's namespace.
pub const CORE: &str = "core";
/// The namespace with the userspace relays on underlay links.
pub const RELAY: &str = "relay";

/// A node of the underlay that is no site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// Runs the Map-Server and Map-Resolver.
    MapServer,
    /// Belongs to nobody: scripted ETRs and ITRs, and attackers.
    Outsider,
}

impl Node {
    /// Short name of its namespace.
    pub fn name(self) -> &'static str {
        match self {
            Self::MapServer => "ms",
            Self::Outsider => "out",
        }
    }

    /// Name of the core's interface towards it.
    pub fn core_port(self) -> String {
        format!("{}-0", self.name())
    }

    /// Its address.
    pub fn address(self, family: Family) -> IpAddr {
        self.end(family, 1)
    }

    /// The core's address on its link.
    pub fn core_address(self, family: Family) -> IpAddr {
        self.end(family, 2)
    }

    fn end(self, family: Family, end: u8) -> IpAddr {
        let (v4, v6) = match self {
            Self::MapServer => (128, 9),
            Self::Outsider => (132, 10),
        };
        match family {
            Family::V4 => Ipv4Addr::new(192, 0, 2, v4 + end).into(),
            Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, v6, 0, 0, 0, 0, u16::from(end)).into(),
        }
    }
}

/// A gateway's RLOC on one of its two underlay links.
pub fn rloc(site: Site, link: u8, family: Family) -> IpAddr {
    end_of(site, link, family, 1)
}

/// The core's address on that link.
pub fn core_address(site: Site, link: u8, family: Family) -> IpAddr {
    end_of(site, link, family, 2)
}

fn end_of(site: Site, link: u8, family: Family, end: u8) -> IpAddr {
    match (family, site) {
        (Family::V4, Site::A) => Ipv4Addr::new(192, 0, 2, link * 4 + end).into(),
        (Family::V4, Site::B) => Ipv4Addr::new(198, 51, 100, link * 4 + end).into(),
        (Family::V4, Site::C) => Ipv4Addr::new(203, 0, 113, link * 4 + end).into(),
        (Family::V4, Site::D) => Ipv4Addr::new(203, 0, 113, 64 + link * 4 + end).into(),
        (Family::V6, _) => {
            let site = u16::from(site.digit());
            Ipv6Addr::new(0x2001, 0xdb8, site, u16::from(link), 0, 0, 0, u16::from(end)).into()
        }
    }
}

/// Whether an address is one of the underlay's: no agent has one of these.
pub fn contains(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_documentation(),
        IpAddr::V6(v6) => v6.segments()[..2] == [0x2001, 0xdb8],
    }
}

/// Prefix length of every link's network.
pub fn length(family: Family) -> u8 {
    match family {
        Family::V4 => 30,
        Family::V6 => 64,
    }
}

/// The network that an address of a link is in.
pub fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let length = length(Family::V4);
            format!("{}/{length}", Ipv4Addr::from(u32::from(v4) & (u32::MAX << (32 - length))))
        }
        IpAddr::V6(v6) => {
            let length = length(Family::V6);
            format!("{}/{length}", Ipv6Addr::from(u128::from(v6) & (u128::MAX << (128 - length))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Host;
    use std::collections::BTreeSet;

    #[test]
    fn every_link_has_a_network_of_its_own() {
        assert_eq!(rloc(Site::B, 1, Family::V4).to_string(), "198.51.100.5");
        assert_eq!(network(rloc(Site::B, 1, Family::V4)), "198.51.100.4/30");
        assert_eq!(network(rloc(Site::B, 1, Family::V6)), "2001:db8:2:1::/64");
        for (inner, outer) in [(Family::V4, Family::V6), (Family::V6, Family::V4)] {
            assert!(contains(rloc(Site::D, 1, inner)) && contains(Node::Outsider.address(inner)));
            assert!(!contains(Host::new(Site::A, 1).eid(inner, outer)));
        }
        let mut networks = BTreeSet::new();
        for family in Family::BOTH {
            for site in Site::FOUR {
                assert!((0..2).all(|link| networks.insert(network(rloc(site, link, family)))));
            }
            for node in [Node::MapServer, Node::Outsider] {
                assert!(networks.insert(network(node.address(family))));
                assert_eq!(network(node.address(family)), network(node.core_address(family)));
            }
        }
    }
}
