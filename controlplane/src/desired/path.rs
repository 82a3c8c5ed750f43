//! How one remote RLOC is reached now.

use std::fmt;
use std::net::IpAddr;

use sterna_config::{Config, LocalRloc};
use sterna_wire::Mac;

use super::{NextHopKey, Ports};
use crate::underlay::{Facts, Link, Neighbour, NeighbourKey, RouteQuestion};

/// The MTU of an underlay nothing is known of: Ethernet's.
pub(super) const MTU_UNKNOWN: u16 = 1500;

/// The way to a remote RLOC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The own RLOC that packets leave from.
    pub local: IpAddr,
    /// The neighbour to send to.
    pub next_hop: NextHopKey,
    /// Our MAC on that port.
    pub source: Mac,
    /// The neighbour's MAC, when resolved.
    pub destination: Option<Mac>,
    /// Path MTU in bytes at the IP level.
    pub mtu: u16,
    /// Whether it works, and if not, why.
    pub reach: Reach,
}

impl Path {
    /// No way at present. The locator is known all the same: its packets are let in.
    fn none(local: IpAddr, port: u16, reach: Reach) -> Self {
        let next_hop = NextHopKey { port, address: None };
        Self { local, next_hop, source: Mac::ZERO, destination: None, mtu: MTU_UNKNOWN, reach }
    }
}

/// Whether a way works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The next hop has answered.
    Reachable,
    /// The kernel has not been asked for a route yet (a locator that was just learned); packets are held meanwhile.
    Unasked,
    /// The next hop is being asked; packets are held meanwhile.
    Resolving,
    /// The next hop does not answer.
    Silent,
    /// The link is down.
    LinkDown,
    /// The route leaves by a link that is no rloc-side port of ours.
    NotAPort(String),
    /// The kernel has no route.
    NoRoute,
}

impl Reach {
    /// Whether packets may be sent (or held for) there.
    pub fn usable(&self) -> bool {
        matches!(self, Reach::Reachable | Reach::Resolving | Reach::Unasked)
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reach::Reachable => write!(f, "reachable"),
            Reach::Unasked => write!(f, "the kernel is being asked for a route"),
            Reach::Resolving => write!(f, "the next hop is being resolved"),
            Reach::Silent => write!(f, "the next hop does not answer"),
            Reach::LinkDown => write!(f, "the link is down"),
            Reach::NotAPort(link) => write!(f, "the route leaves by {link}, which is no rloc-side port"),
            Reach::NoRoute => write!(f, "the kernel has no route from our RLOC"),
        }
    }
}

/// The way to `remote`; none when we have no RLOC of its family (or no rloc-side port at all).
///
/// The kernel's own choice of a port decides which of our RLOCs is the first candidate; the others follow in the
/// config's order, and the first candidate that works wins.
pub(super) fn path(config: &Config, facts: &Facts, ports: &Ports, remote: IpAddr) -> Option<Path> {
    let preferred = facts.routes.get(&RouteQuestion { remote, source: None }).map(|route| route.oif);
    let preferred = preferred.and_then(|oif| facts.links.get(&oif)).map(|link| link.name.as_str());
    let own = config.rlocs.iter().filter(|rloc| rloc.address.is_ipv4() == remote.is_ipv4());
    let port = |rloc: &LocalRloc| rloc.port.and_then(|index| config.ports.get(index));
    let port_name = |rloc: &LocalRloc| port(rloc).map(|port| port.name.as_str());
    let mut candidates: Vec<&LocalRloc> = own.collect();
    candidates.sort_by_key(|rloc| preferred.is_none() || port_name(rloc) != preferred);
    let ways = candidates.into_iter().filter_map(|rloc| way(rloc, config, facts, ports, remote));
    let mut first = None;
    for way in ways {
        if way.reach.usable() {
            return Some(way);
        }
        first.get_or_insert(way);
    }
    first
}

/// The way from one of our RLOCs.
fn way(rloc: &LocalRloc, config: &Config, facts: &Facts, ports: &Ports, remote: IpAddr) -> Option<Path> {
    let local = rloc.address;
    let home = ports.index(rloc.port?)?;
    let Some(route) = facts.routes.get(&RouteQuestion { remote, source: Some(local) }) else {
        let reach = if facts.asked.contains(&remote) { Reach::NoRoute } else { Reach::Unasked };
        return Some(Path::none(local, home, reach));
    };
    let Some(link) = facts.links.get(&route.oif) else {
        return Some(Path::none(local, home, Reach::NotAPort(format!("link {}", route.oif))));
    };
    let Some(port) = ports.rloc_side(&link.name) else {
        return Some(Path::none(local, home, Reach::NotAPort(link.name.clone())));
    };
    let key = NeighbourKey { link: route.oif, address: route.next_hop };
    let neighbour = facts.neighbours.get(&key).copied().unwrap_or_default();
    Some(Path {
        local,
        next_hop: NextHopKey { port, address: Some(route.next_hop) },
        source: link.mac,
        destination: neighbour.mac.filter(|_| link.up),
        mtu: link_mtu(config, link).min(narrow(route.mtu.unwrap_or(u32::MAX))),
        reach: reach(link, neighbour),
    })
}

fn reach(link: &Link, neighbour: Neighbour) -> Reach {
    match neighbour {
        _ if !link.up => Reach::LinkDown,
        Neighbour { mac: Some(_), .. } => Reach::Reachable,
        Neighbour { failed: true, .. } => Reach::Silent,
        _ => Reach::Resolving,
    }
}

/// What a link carries: its own MTU, or less when the config says so.
pub(super) fn link_mtu(config: &Config, link: &Link) -> u16 {
    let configured = config.ports.iter().find(|port| port.name == link.name).and_then(|port| port.mtu);
    narrow(link.mtu).min(configured.unwrap_or(u16::MAX))
}

/// IP packets end at 65,535 bytes, whatever the link says.
fn narrow(mtu: u32) -> u16 {
    u16::try_from(mtu).unwrap_or(u16::MAX)
}
