//! The lab's network: two sites, two groups with the same addresses, a routed underlay of four links.
//!
//! ```text
//!  a1 a2 (group 100) ─ br100 ─ eid100 ┐                                ┌ eid100 ─ br100 ─ b1 b2
//!                      in lana        gwa ─ rloc0,rloc1 ─ core ─ ... ─ gwb        in lanb
//!  a3 a4 (group 200) ─ br200 ─ eid200 ┘                                └ eid200 ─ br200 ─ b3 b4
//! ```
//! Hosts 3 and 4 have the very addresses of hosts 1 and 2: only the port, and so the instance-ID, tells them
//! apart. Every host has four EIDs, one per combination of inner and outer address family; the third group of
//! an IPv4 EID and the last but one group of an IPv6 EID name the site and the outer family: `10.1.16.1` is
//! at site A and is carried over IPv6. Odd hosts know no neighbour but the gateway (host routes), even hosts
//! take the whole group as on-link, so that both ways into a gateway are used: routed, and by proxy ARP/ND.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::identity::LabId;
use crate::wiring::{Role, Wiring, end};

/// MTU of the agents' links, bytes.
pub const EID_MTU: u16 = 1500;
/// MTU of the underlay, bytes: IPv6 outer headers (56 bytes) fit.
pub const UNDERLAY_MTU: u16 = 1600;
/// The core router's namespace.
pub const CORE: &str = "core";

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
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.digit())
    }
}

/// One of the two sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Site {
    /// The left one.
    A,
    /// The right one.
    B,
}

impl Site {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// `a` or `b`, as names of namespaces have it.
    pub fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
        }
    }

    fn digit(self) -> u8 {
        match self {
            Self::A => 1,
            Self::B => 2,
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

    /// All eight.
    pub fn all() -> Vec<Self> {
        Site::BOTH.iter().flat_map(|site| (1..=4).map(|number| Self::new(*site, number))).collect()
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

    /// Who has a tag.
    pub fn from_tag(tag: u32) -> Option<Self> {
        Self::all().into_iter().find(|host| host.tag() == tag)
    }

    /// Its EID of a family that is carried over an outer family.
    pub fn eid(self, inner: Family, outer: Family) -> IpAddr {
        let net = self.site.digit() * 10 + outer.digit();
        match inner {
            Family::V4 => Ipv4Addr::new(10, 1, net, self.place()).into(),
            Family::V6 => eid_v6(net, u16::from(self.place())).into(),
        }
    }

    /// Does it reach everything through the gateway, or take the group's prefix as its own link?
    pub fn knows_only_the_gateway(self) -> bool {
        self.place() == 1
    }
}

/// `fd00:64::NET:LAST`, NET written as its decimal digits are.
fn eid_v6(net: u8, last: u16) -> Ipv6Addr {
    let digits = u16::from(net / 10) * 16 + u16::from(net % 10);
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

/// A gateway's RLOC on one of its two underlay links.
pub fn rloc(site: Site, link: u8, family: Family) -> IpAddr {
    underlay(site, link, family, 1)
}

/// The core's address on that link.
pub fn core_address(site: Site, link: u8, family: Family) -> IpAddr {
    underlay(site, link, family, 2)
}

fn underlay(site: Site, link: u8, family: Family, end: u8) -> IpAddr {
    match (family, site) {
        (Family::V4, Site::A) => Ipv4Addr::new(192, 0, 2, link * 4 + end).into(),
        (Family::V4, Site::B) => Ipv4Addr::new(198, 51, 100, link * 4 + end).into(),
        (Family::V6, _) => {
            let site = u16::from(site.digit());
            Ipv6Addr::new(0x2001, 0xdb8, site, u16::from(link), 0, 0, 0, u16::from(end)).into()
        }
    }
}

fn underlay_length(family: Family) -> u8 {
    match family {
        Family::V4 => 30,
        Family::V6 => 64,
    }
}

/// Who forwards between the sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// The gateways' processes; the kernel there forwards nothing.
    Sterna,
    /// The kernel, for group 100 only and for odd hosts: what the lab's own measurement is tested with.
    Kernel,
}

/// The whole network.
pub fn wiring(id: &LabId, forwarding: Forwarding) -> Wiring {
    let mut wiring = Wiring::default();
    wiring.namespace(CORE, Role::Router);
    for site in Site::BOTH {
        let role = if forwarding == Forwarding::Sterna { Role::Gateway } else { Role::Router };
        wiring.namespace(&site.gateway(), role);
        wiring.namespace(&site.lan(), Role::Lan);
        underlay_links(&mut wiring, id, site);
        for iid in GROUPS {
            lan(&mut wiring, id, site, iid);
        }
    }
    if forwarding == Forwarding::Kernel {
        kernel_routes(&mut wiring);
    }
    wiring
}

fn underlay_links(wiring: &mut Wiring, id: &LabId, site: Site) {
    let gateway = site.gateway();
    for link in 0..2 {
        let port = format!("rloc{link}");
        let core_port = format!("{gateway}-{link}");
        wiring.veth(id, end(&gateway, &port), end(CORE, &core_port), UNDERLAY_MTU);
        for family in Family::BOTH {
            let length = underlay_length(family);
            wiring.ip(&gateway, format!("addr add {}/{length} dev {port}", rloc(site, link, family)));
            let via = core_address(site, link, family);
            wiring.ip(CORE, format!("addr add {via}/{length} dev {core_port}"));
        }
    }
    // Routes come last: every address is there by now. The far site's link N is reached by our link N.
    for link in 0..2 {
        for family in Family::BOTH {
            let far = network(rloc(site.other(), link, family), underlay_length(family));
            let via = core_address(site, link, family);
            wiring.ip(&gateway, format!("route add {far} via {via} dev rloc{link}"));
        }
    }
}

fn network(address: IpAddr, length: u8) -> String {
    match address {
        IpAddr::V4(v4) => format!("{}/{length}", Ipv4Addr::from(u32::from(v4) & (u32::MAX << (32 - length)))),
        IpAddr::V6(v6) => {
            format!("{}/{length}", Ipv6Addr::from(u128::from(v6) & (u128::MAX << (128 - length))))
        }
    }
}

fn lan(wiring: &mut Wiring, id: &LabId, site: Site, iid: u32) {
    let lan = site.lan();
    let port = format!("eid{iid}");
    let to_gateway = format!("gw{iid}");
    wiring.veth(id, end(&site.gateway(), &port), end(&lan, &to_gateway), EID_MTU);
    let hosts: Vec<Host> = Host::all().into_iter().filter(|h| h.site == site && h.iid() == iid).collect();
    for host in &hosts {
        wiring.namespace(&host.name(), Role::Host);
        wiring.veth(id, end(&host.name(), "eth0"), end(&lan, &host.name()), EID_MTU);
        host_addresses(wiring, *host);
    }
    let names: Vec<String> = hosts.iter().map(|host| host.name()).collect();
    let mut ports: Vec<&str> = names.iter().map(String::as_str).collect();
    ports.push(&to_gateway);
    wiring.bridge(&lan, &format!("br{iid}"), &ports);
}

fn host_addresses(wiring: &mut Wiring, host: Host) {
    let name = host.name();
    for inner in Family::BOTH {
        let (gateway, group_length) = anycast_gateway(inner);
        let own_length = if inner == Family::V4 { 32 } else { 128 };
        let length = if host.knows_only_the_gateway() { own_length } else { group_length };
        for outer in Family::BOTH {
            let nodad = if inner == Family::V6 { " nodad" } else { "" };
            wiring.ip(&name, format!("addr add {}/{length} dev eth0{nodad}", host.eid(inner, outer)));
        }
        wiring.ip(&name, format!("route add default via {gateway} dev eth0 onlink"));
    }
}

/// What the gateways' kernels need to do the gateways' work for the odd hosts of group 100.
fn kernel_routes(wiring: &mut Wiring) {
    for site in Site::BOTH {
        let gateway = site.gateway();
        for inner in Family::BOTH {
            let (address, _) = anycast_gateway(inner);
            let length = if inner == Family::V4 { 32 } else { 128 };
            wiring.ip(&gateway, format!("addr add {address}/{length} dev eid100"));
            for outer in Family::BOTH {
                let far = eid_prefix(site.other(), inner, outer);
                let near = eid_prefix(site, inner, outer);
                wiring
                    .ip(&gateway, format!("route add {far} via {} dev rloc0", core_address(site, 0, inner)));
                wiring.ip(&gateway, format!("route add {near} dev eid100"));
                let port = format!("{gateway}-0");
                wiring.ip(CORE, format!("route add {near} via {} dev {port}", rloc(site, 0, inner)));
            }
        }
    }
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
        assert_eq!(Host::from_tag(twin.tag()), Some(twin));
    }

    #[test]
    fn addresses_name_the_site_and_the_outer_family() {
        let host = Host::new(Site::B, 1);
        assert_eq!(host.eid(Family::V4, Family::V6).to_string(), "10.1.26.1");
        assert_eq!(host.eid(Family::V6, Family::V6).to_string(), "fd00:64::26:1");
        assert_eq!(eid_prefix(Site::B, Family::V6, Family::V6), "fd00:64::26:0/112");
        assert_eq!(rloc(Site::B, 1, Family::V4).to_string(), "198.51.100.5");
        assert_eq!(network(rloc(Site::B, 1, Family::V4), 30), "198.51.100.4/30");
        assert_eq!(network(rloc(Site::B, 1, Family::V6), 64), "2001:db8:2:1::/64");
    }
}
