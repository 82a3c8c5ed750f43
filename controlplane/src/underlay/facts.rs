//! What is known of the underlay, in plain values.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sterna_wire::Mac;

/// One Ethernet link of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Interface index; a link that was deleted and made again has another one.
    pub index: u32,
    /// Interface name.
    pub name: String,
    /// Own MAC address: the source of frames that leave here.
    pub mac: Mac,
    /// Link MTU in bytes at the IP level.
    pub mtu: u32,
    /// Administratively up, carrier present, operational.
    pub up: bool,
}

/// A route lookup: how would the kernel send to `remote`?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteQuestion {
    /// The remote RLOC.
    pub remote: IpAddr,
    /// The local RLOC as source, or none to let the kernel choose (which tells the preferred port).
    pub source: Option<IpAddr>,
}

/// The kernel's answer to a [`RouteQuestion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Index of the outgoing link.
    pub oif: u32,
    /// The neighbour to send to: the gateway, or the remote itself when it is on-link.
    pub next_hop: IpAddr,
    /// MTU of the route in bytes, when the route or a path MTU exception has one.
    pub mtu: Option<u32>,
}

/// A neighbour is known per link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NeighbourKey {
    /// Index of the link.
    pub link: u32,
    /// The neighbour's IP address.
    pub address: IpAddr,
}

/// What is known of a neighbour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Neighbour {
    /// MAC address, once resolved. It survives a later re-resolution and falls only with a failure.
    pub mac: Option<Mac>,
    /// The kernel asked and got no answer. Stays set until the neighbour answers, so that it does not flap.
    pub failed: bool,
    /// Configured by hand: the kernel must not be asked to resolve it.
    pub permanent: bool,
    /// The kernel has just dropped its entry or failed to confirm it: ask again at once. After a drop (the kernel
    /// needed the room) what we know holds meanwhile.
    pub ask_now: bool,
}

/// What the control plane wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// Remote RLOCs of all mappings.
    pub remotes: BTreeSet<IpAddr>,
    /// Our own RLOCs.
    pub locals: BTreeSet<IpAddr>,
    /// Names of the rloc-side ports; only their neighbours are resolved.
    pub ports: BTreeSet<String>,
}

impl Questions {
    /// All route lookups these questions need: each remote once as the kernel likes, and from every own RLOC of
    /// its family.
    pub fn routes(&self) -> impl Iterator<Item = RouteQuestion> + '_ {
        self.routes_to(&self.remotes)
    }

    /// The route lookups for these remotes.
    pub fn routes_to<'a>(
        &'a self,
        remotes: &'a BTreeSet<IpAddr>,
    ) -> impl Iterator<Item = RouteQuestion> + 'a {
        remotes.iter().flat_map(|&remote| {
            let own = self.locals.iter().filter(move |local| local.is_ipv4() == remote.is_ipv4());
            let sources = std::iter::once(None).chain(own.copied().map(Some));
            sources.map(move |source| RouteQuestion { remote, source })
        })
    }
}

/// Everything known of the underlay at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Ethernet links by index.
    pub links: BTreeMap<u32, Link>,
    /// Addresses on links.
    pub addresses: BTreeSet<(u32, IpAddr)>,
    /// Remote RLOCs whose route lookups have been answered; another one was learned since.
    pub asked: BTreeSet<IpAddr>,
    /// Answered route lookups; a question of an asked remote without an entry has no route.
    pub routes: BTreeMap<RouteQuestion, Route>,
    /// Neighbours of the rloc-side ports that some route uses.
    pub neighbours: BTreeMap<NeighbourKey, Neighbour>,
    /// The kernel has been asked at least once.
    pub read: bool,
    /// And since then, at some moment, every next hop had either answered or failed.
    pub settled: bool,
}

impl Facts {
    /// The link of this name, if there is one.
    pub fn link_named(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.name == name)
    }

    /// Whether `address` is on the link of this name (or on any link, where no name is given).
    pub fn has_address(&self, name: Option<&str>, address: IpAddr) -> bool {
        let index = match name.map(|name| self.link_named(name)) {
            None => None,
            Some(Some(link)) => Some(link.index),
            Some(None) => return false,
        };
        self.addresses.iter().any(|&(on, at)| at == address && index.is_none_or(|index| index == on))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_remote_is_asked_freely_and_from_each_own_rloc_of_its_family() {
        let questions = Questions {
            remotes: [ip("192.0.2.2"), ip("2001:db8::2")].into(),
            locals: [ip("192.0.2.1"), ip("192.0.2.9"), ip("2001:db8::1")].into(),
            ports: BTreeSet::new(),
        };
        let asked: Vec<_> = questions.routes().map(|q| (q.remote, q.source)).collect();
        let expected = vec![
            (ip("192.0.2.2"), None),
            (ip("192.0.2.2"), Some(ip("192.0.2.1"))),
            (ip("192.0.2.2"), Some(ip("192.0.2.9"))),
            (ip("2001:db8::2"), None),
            (ip("2001:db8::2"), Some(ip("2001:db8::1"))),
        ];
        assert_eq!(asked, expected);
    }

    #[test]
    fn an_address_counts_on_the_named_link_only() {
        let mut facts = Facts::default();
        for (index, name) in [(3, "eth0"), (4, "eth1")] {
            let link = Link { index, name: name.into(), mac: Mac([2, 0, 0, 0, 0, 1]), mtu: 1500, up: true };
            facts.links.insert(index, link);
        }
        facts.addresses.insert((3, ip("192.0.2.1")));
        assert!(facts.has_address(None, ip("192.0.2.1")));
        assert!(facts.has_address(Some("eth0"), ip("192.0.2.1")));
        assert!(!facts.has_address(Some("eth1"), ip("192.0.2.1")));
        assert!(!facts.has_address(Some("eth9"), ip("192.0.2.1")));
        assert!(!facts.has_address(None, ip("192.0.2.2")));
    }
}
