//! The lab's network: sites with two groups that use the same addresses, around a routed underlay.
//!
//! ```text
//!  a1 a2 (group 100) ─ br100 ─ eid100 ┐                                ┌ eid100 ─ br100 ─ b1 b2
//!                      in lana        gwa ─ rloc0,rloc1 ─ core ─ ... ─ gwb        in lanb
//!  a3 a4 (group 200) ─ br200 ─ eid200 ┘              │   │            └ eid200 ─ br200 ─ b3 b4
//!                                       (third site) gwc ms, out
//! ```
//! Odd hosts know no neighbour but the gateway (host routes), even hosts take the whole group as on-link, so that
//! both ways into a gateway are used: routed, and by proxy ARP/ND. What a scenario does not need is not built.

use crate::identity::LabId;
use crate::site::{Family, GROUPS, Host, ROAMER, Site, anycast_gateway, eid_prefix, roaming_eid};
use crate::underlay::{self, CORE, Node, RELAY, core_address, rloc};
use crate::wiring::{Role, Wiring, end};

/// MTU of the agents' links, bytes.
pub const EID_MTU: u16 = 1500;
/// The namespace of the roaming agent's cable.
pub const CABLE: &str = "cable";
/// The last number of the roaming agent's EIDs.
pub const ROAMER_PLACE: u8 = 10;

/// Who forwards between the sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// The gateways' processes; the kernel there forwards nothing.
    Sterna,
    /// The kernel, for group 100 only and for odd hosts: what the lab's own measurement is tested with.
    Kernel,
}

/// What a lab consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Who forwards.
    pub forwarding: Forwarding,
    /// Its sites.
    pub sites: &'static [Site],
    /// The nodes of the underlay besides.
    pub nodes: &'static [Node],
    /// Links of sites that pass a userspace relay.
    pub relayed: &'static [(Site, u8)],
    /// Is there an agent whose cable can be plugged into sites B and C?
    pub roamer: bool,
    /// Queues of the gateways' ports, and of what they are connected to.
    pub queues: u8,
    /// Are the agents synthetic? Sites have no hosts then: a process plays all agents at what the gateways' ports are
    /// connected to.
    pub synthetic: bool,
}

impl Topology {
    /// Two sites and nothing else: mappings are static.
    pub const PLAIN: Self = Self {
        forwarding: Forwarding::Sterna,
        sites: &Site::BOTH,
        nodes: &[],
        relayed: &[],
        roamer: false,
        queues: 1,
        synthetic: false,
    };
    /// Two sites that find each other through a Map-Server.
    pub const MAPPED: Self = Self { nodes: &[Node::MapServer], ..Self::PLAIN };
    /// Three sites, a Map-Server, and an agent that moves between B and C.
    pub const ROAMING: Self = Self { sites: &Site::ALL, roamer: true, ..Self::MAPPED };
    /// The kernel in the gateways' place.
    pub const KERNEL: Self = Self { forwarding: Forwarding::Kernel, ..Self::PLAIN };

    /// What it is, for people.
    pub fn in_words(&self) -> String {
        let sites = self.sites.len();
        let hosts = if self.synthetic {
            "a port for synthetic agents".to_owned()
        } else {
            format!("{} hosts", Host::of(&[Site::A]).len())
        };
        let mut words = vec![format!("{sites} sites with {hosts} and a gateway each")];
        if self.is_mapped() {
            words.push("a Map-Server".to_owned());
        }
        if self.nodes.contains(&Node::Outsider) {
            words.push("an outsider".to_owned());
        }
        if self.roamer {
            words.push("an agent that moves".to_owned());
        }
        if self.queues > 1 {
            words.push(format!("{} queues at every port of a gateway", self.queues));
        }
        if !self.relayed.is_empty() {
            words.push(format!("{} relayed links", self.relayed.len()));
        }
        words.push("a routed underlay".to_owned());
        words.join(", ")
    }

    /// Do the sites find each other through a Map-Server?
    pub fn is_mapped(&self) -> bool {
        self.nodes.contains(&Node::MapServer)
    }
}

/// The whole network.
pub fn wiring(id: &LabId, topology: &Topology) -> Wiring {
    let mut wiring = Wiring::default();
    wiring.namespace(CORE, Role::Router);
    if !topology.relayed.is_empty() {
        wiring.namespace(RELAY, Role::Lan);
    }
    for &site in topology.sites {
        let role = match topology.forwarding {
            Forwarding::Sterna => Role::Gateway,
            Forwarding::Kernel => Role::Router,
        };
        wiring.namespace(&site.gateway(), role);
        wiring.namespace(&site.lan(), Role::Lan);
        underlay_links(&mut wiring, id, site, topology);
        for iid in GROUPS {
            lan(&mut wiring, id, site, iid, topology);
        }
    }
    for &node in topology.nodes {
        node_link(&mut wiring, id, node);
    }
    if topology.roamer {
        roamer(&mut wiring, id);
    }
    if topology.forwarding == Forwarding::Kernel {
        kernel_routes(&mut wiring, topology.sites);
    }
    wiring
}

/// Name of the core's port towards a site's link.
pub fn core_port(site: Site, link: u8) -> String {
    format!("{}-{link}", site.gateway())
}

/// Names of a relay's two ports on a site's link: towards the gateway and towards the core.
pub fn relay_ports(site: Site, link: u8) -> [String; 2] {
    [format!("{}-{link}-gw", site.gateway()), format!("{}-{link}-core", site.gateway())]
}

/// Name of the cable's port in a site.
pub fn cable_port(site: Site) -> String {
    format!("to{}", site.letter())
}

fn underlay_links(wiring: &mut Wiring, id: &LabId, site: Site, topology: &Topology) {
    let gateway = site.gateway();
    for link in 0..2 {
        let port = format!("rloc{link}");
        let core_port = core_port(site, link);
        if topology.relayed.contains(&(site, link)) {
            let [towards_gateway, towards_core] = relay_ports(site, link);
            wiring.veth(id, end(&gateway, &port), end(RELAY, &towards_gateway), underlay::MTU);
            wiring.veth(id, end(RELAY, &towards_core), end(CORE, &core_port), underlay::MTU);
        } else {
            let ends = (end(&gateway, &port), end(CORE, &core_port));
            wiring.queued_veth(id, ends.0, ends.1, underlay::MTU, topology.queues);
        }
        for family in Family::BOTH {
            let length = underlay::length(family);
            wiring.ip(&gateway, format!("addr add {}/{length} dev {port}", rloc(site, link, family)));
            let via = core_address(site, link, family);
            wiring.ip(CORE, format!("addr add {via}/{length} dev {core_port}"));
        }
    }
    // Routes come last: every address is there by now. A far site's link N is reached by our link N.
    for link in 0..2 {
        for family in Family::BOTH {
            let via = core_address(site, link, family);
            for far in topology.sites.iter().filter(|far| **far != site) {
                let far = underlay::network(rloc(*far, link, family));
                wiring.ip(&gateway, format!("route add {far} via {via} dev rloc{link}"));
            }
            for node in topology.nodes {
                let far = underlay::network(node.address(family));
                // By the first link as long as it is up, else by the second.
                let metric = 100 + 100 * u32::from(link);
                wiring.ip(&gateway, format!("route add {far} via {via} dev rloc{link} metric {metric}"));
            }
        }
    }
}

fn node_link(wiring: &mut Wiring, id: &LabId, node: Node) {
    wiring.namespace(node.name(), Role::Host);
    let core_port = node.core_port();
    wiring.veth(id, end(node.name(), "rloc0"), end(CORE, &core_port), underlay::MTU);
    for family in Family::BOTH {
        let length = underlay::length(family);
        wiring.ip(node.name(), format!("addr add {}/{length} dev rloc0", node.address(family)));
        wiring.ip(CORE, format!("addr add {}/{length} dev {core_port}", node.core_address(family)));
    }
    for family in Family::BOTH {
        wiring.ip(node.name(), format!("route add default via {} dev rloc0", node.core_address(family)));
    }
}

/// Name of what a gateway's port of a group is connected to, in the site's namespace of bridges.
pub fn lan_port(iid: u32) -> String {
    format!("gw{iid}")
}

fn lan(wiring: &mut Wiring, id: &LabId, site: Site, iid: u32, topology: &Topology) {
    let lan = site.lan();
    let port = format!("eid{iid}");
    let to_gateway = lan_port(iid);
    let gateway = site.gateway();
    let ends = (end(&gateway, &port), end(&lan, &to_gateway));
    wiring.queued_veth(id, ends.0, ends.1, EID_MTU, topology.queues);
    if topology.synthetic {
        return;
    }
    let hosts: Vec<Host> = Host::of(&[site]).into_iter().filter(|host| host.iid() == iid).collect();
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
        let length = if host.knows_only_the_gateway() { inner.host_length() } else { group_length };
        for outer in Family::BOTH {
            let nodad = if inner == Family::V6 { " nodad" } else { "" };
            wiring.ip(&name, format!("addr add {}/{length} dev eth0{nodad}", host.eid(inner, outer)));
        }
        wiring.ip(&name, format!("route add default via {gateway} dev eth0 onlink"));
    }
}

/// The agent that moves: its link ends in a userspace patch, which is plugged into the sites' bridges of group 100.
fn roamer(wiring: &mut Wiring, id: &LabId) {
    wiring.namespace(CABLE, Role::Lan);
    wiring.namespace(ROAMER, Role::Host);
    wiring.veth(id, end(ROAMER, "eth0"), end(CABLE, "agent"), EID_MTU);
    for site in [Site::B, Site::C] {
        let lan = site.lan();
        wiring.veth(id, end(CABLE, &cable_port(site)), end(&lan, ROAMER), EID_MTU);
        wiring.ip(&lan, format!("link set {ROAMER} master br{}", GROUPS[0]));
    }
    for family in Family::BOTH {
        let (gateway, _) = anycast_gateway(family);
        let nodad = if family == Family::V6 { " nodad" } else { "" };
        let (eid, length) = (roaming_eid(family, ROAMER_PLACE), family.host_length());
        wiring.ip(ROAMER, format!("addr add {eid}/{length} dev eth0{nodad}"));
        wiring.ip(ROAMER, format!("route add default via {gateway} dev eth0 onlink"));
    }
}

/// What the gateways' kernels need to do the gateways' work for the odd hosts of group 100.
fn kernel_routes(wiring: &mut Wiring, sites: &[Site]) {
    for &site in sites {
        let gateway = site.gateway();
        for inner in Family::BOTH {
            let (address, _) = anycast_gateway(inner);
            wiring.ip(&gateway, format!("addr add {address}/{} dev eid100", inner.host_length()));
            for outer in Family::BOTH {
                let far = eid_prefix(site.other(), inner, outer);
                let near = eid_prefix(site, inner, outer);
                wiring
                    .ip(&gateway, format!("route add {far} via {} dev rloc0", core_address(site, 0, inner)));
                wiring.ip(&gateway, format!("route add {near} dev eid100"));
                let port = core_port(site, 0);
                wiring.ip(CORE, format!("route add {near} via {} dev {port}", rloc(site, 0, inner)));
            }
        }
    }
}
