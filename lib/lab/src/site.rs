//! The lab's words for who is where: sites, agents' hosts, groups and the addresses of each.
//!
//! Hosts 3 and 4 of a site have the very addresses of hosts 1 and 2: only the port, and so the instance-ID, tells
//! them apart. Every host has four EIDs, one per combination of inner and outer address family; the third group of
//! an IPv4 EID and the last but one group of an IPv6 EID name the site and the outer family: `10.1.16.1` is
//! at site A and is carried over IPv6 where mappings are static. The range `10.1.100.0/24` belongs to no site: its
//! agents roam.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address family, inner or outer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    fn digit(self) -> u8 {
        match self {
            Self::V4 => 4,
            Self::V6 => 6,
        }
    }

    /// Prefix length of a single address, bits.
    pub fn host_length(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.digit())
    }
}

/// One of the sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Site {
    /// The left one.
    A,
    /// The right one.
    B,
    /// A third one, where agents move to.
    C,
    /// A fourth one, where three others shall offer the same.
    D,
}

impl Site {
    /// The two of an ordinary lab.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];
    /// The three between which an agent moves.
    pub const ALL: [Self; 3] = [Self::A, Self::B, Self::C];
    /// One more.
    pub const FOUR: [Self; 4] = [Self::A, Self::B, Self::C, Self::D];

    /// The site at the other end of an ordinary lab; A for sites C and D.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B | Self::C | Self::D => Self::A,
        }
    }

    /// `a` to `d`, as names of namespaces have it.
    pub fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
            Self::C => 'c',
            Self::D => 'd',
        }
    }

    /// 1 to 4.
    pub fn digit(self) -> u8 {
        match self {
            Self::A => 1,
            Self::B => 2,
            Self::C => 3,
            Self::D => 4,
        }
    }

    /// Short name of the gateway's namespace.
    pub fn gateway(self) -> String {
        format!("gw{}", self.letter())
    }

    /// Short name of the namespace with the site's bridges.
    pub fn lan(self) -> String {
        format!("lan{}", self.letter())
    }
}

/// The two groups by instance-ID.
pub const GROUPS: [u32; 2] = [100, 200];

/// The groups of synthetic agents by instance-ID; all are on the port of group 200, each behind a tag.
pub const AGENT_GROUPS: [u32; 10] = [301, 302, 303, 304, 305, 306, 307, 308, 309, 310];

/// The tag of a group of synthetic agents.
pub fn agent_tag(iid: u32) -> u16 {
    // 31 to 40.
    (iid % 300) as u16 + 30
}

/// Short name of the namespace of the agent that moves.
pub const ROAMER: &str = "m1";

/// An agent host: its site and its number, 1 to 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    /// Where it is.
    pub site: Site,
    /// 1 and 2 are in group 100, 3 and 4 in group 200.
    pub number: u8,
}

impl Host {
    /// The host of a site with a number from 1 to 4.
    pub const fn new(site: Site, number: u8) -> Self {
        Self { site, number }
    }

    /// All hosts of the sites, four each.
    pub fn of(sites: &[Site]) -> Vec<Self> {
        sites.iter().flat_map(|site| (1..=4).map(|number| Self::new(*site, number))).collect()
    }

    /// Short name of its namespace.
    pub fn name(self) -> String {
        format!("{}{}", self.site.letter(), self.number)
    }

    /// The group's instance-ID.
    pub fn iid(self) -> u32 {
        if self.number <= 2 { GROUPS[0] } else { GROUPS[1] }
    }

    /// 1 or 2 within its group: hosts with the same place have the same addresses.
    pub fn place(self) -> u8 {
        (self.number - 1) % 2 + 1
    }

    /// A number that only this host has, for answers that say who answered.
    pub fn tag(self) -> u32 {
        u32::from(self.site.digit()) * 10 + u32::from(self.number)
    }

    /// Its EID of a family that is carried over an outer family.
    pub fn eid(self, inner: Family, outer: Family) -> IpAddr {
        let net = self.site.digit() * 10 + outer.digit();
        match inner {
            Family::V4 => Ipv4Addr::new(10, 1, net, self.place()).into(),
            Family::V6 => eid_v6(net, u16::from(self.place())).into(),
        }
    }

    /// Every EID of it, the order of [`eid_prefix`] over the families.
    pub fn eids(self) -> Vec<IpAddr> {
        Family::BOTH.iter().flat_map(|inner| Family::BOTH.map(|outer| self.eid(*inner, outer))).collect()
    }

    /// Does it reach everything through the gateway, or take the group's prefix as its own link?
    pub fn knows_only_the_gateway(self) -> bool {
        self.place() == 1
    }
}

/// `fd00:64::NET:LAST`, NET written as its decimal digits are.
fn eid_v6(net: u8, last: u16) -> Ipv6Addr {
    let digits = u16::from(net / 100) * 256 + u16::from(net / 10 % 10) * 16 + u16::from(net % 10);
    Ipv6Addr::new(0xfd00, 0x64, 0, 0, 0, 0, digits, last)
}

/// The prefix of a site's EIDs of an inner family that are carried over an outer family.
pub fn eid_prefix(site: Site, inner: Family, outer: Family) -> String {
    let net = site.digit() * 10 + outer.digit();
    match inner {
        Family::V4 => format!("10.1.{net}.0/24"),
        Family::V6 => format!("{}/112", eid_v6(net, 0)),
    }
}

/// The third number of an EID that roams.
const ROAMING: u8 = 100;

/// The range in which agents come and go at every site.
pub fn roaming_range(family: Family) -> String {
    match family {
        Family::V4 => format!("10.1.{ROAMING}.0/24"),
        Family::V6 => format!("{}/112", eid_v6(ROAMING, 0)),
    }
}

/// The EIDs that agents of several sites may have at the same time.
pub const SKILLS: &str = "10.1.200.0/28";

/// One of those EIDs.
pub fn skill_eid(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 1, 200, last).into()
}

/// One EID of that range.
pub fn roaming_eid(family: Family, last: u8) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 1, ROAMING, last).into(),
        Family::V6 => eid_v6(ROAMING, u16::from(last)).into(),
    }
}

/// Everything a group's EIDs are in, as a Map-Server's scope names it.
pub fn group_range(family: Family) -> &'static str {
    match family {
        Family::V4 => "10.1.0.0/16",
        Family::V6 => "fd00:64::/64",
    }
}

/// The group's gateway address, the same at every site, with the length of the group's prefix.
pub fn anycast_gateway(family: Family) -> (IpAddr, u8) {
    match family {
        Family::V4 => (Ipv4Addr::new(10, 1, 0, 1).into(), 16),
        Family::V6 => (Ipv6Addr::new(0xfd00, 0x64, 0, 0, 0, 0, 0, 1).into(), 64),
    }
}

/// The group's gateway MAC, the same at every site.
pub fn anycast_mac(iid: u32) -> [u8; 6] {
    let [_, high, middle, low] = iid.to_be_bytes();
    [0x02, 0x53, 0x54, high, middle, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_have_the_same_addresses_and_different_tags() {
        let (one, twin) = (Host::new(Site::A, 2), Host::new(Site::A, 4));
        assert_eq!(one.eid(Family::V6, Family::V4), twin.eid(Family::V6, Family::V4));
        assert_ne!(one.iid(), twin.iid());
        assert_ne!(one.tag(), twin.tag());
    }

    #[test]
    fn addresses_name_the_site_and_the_outer_family() {
        let host = Host::new(Site::B, 1);
        assert_eq!(host.eid(Family::V4, Family::V6).to_string(), "10.1.26.1");
        assert_eq!(host.eid(Family::V6, Family::V6).to_string(), "fd00:64::26:1");
        assert_eq!(eid_prefix(Site::B, Family::V6, Family::V6), "fd00:64::26:0/112");
        assert_eq!(eid_prefix(Site::C, Family::V4, Family::V4), "10.1.34.0/24");
        assert_eq!(roaming_eid(Family::V6, 7).to_string(), "fd00:64::100:7");
        assert_eq!(roaming_range(Family::V6), "fd00:64::100:0/112");
    }
}
