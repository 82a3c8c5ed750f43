//! The shadow itself: facts, and what a notification does to them. No I/O and no clock in here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sterna_wire::Mac;

use super::facts::{Facts, Link, Neighbour, NeighbourKey, Questions, Route, RouteQuestion};

/// What the kernel says of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourNews {
    /// It has this MAC address; `permanent` when it was configured by hand.
    Valid {
        /// The MAC address.
        mac: Mac,
        /// Configured by hand (or on a link that needs no resolution).
        permanent: bool,
    },
    /// Being resolved: says nothing new about where it is.
    Unresolved,
    /// Dropped from the kernel's table: nothing new either, but nobody looks after it any more.
    Forgotten,
    /// Asked, and there was no answer.
    Failed,
}

/// One notification of the kernel, in our terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A link is there or has changed.
    Link(Link),
    /// A link is gone.
    LinkGone(u32),
    /// An address is on a link.
    Address(u32, IpAddr),
    /// An address is gone from a link.
    AddressGone(u32, IpAddr),
    /// A route or a rule has changed; which one does not matter, lookups are repeated.
    Routing,
    /// News of a neighbour.
    Neighbour(NeighbourKey, NeighbourNews),
    /// Notifications were lost.
    Overrun,
}

/// What has to follow a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reaction {
    /// Nothing: it does not concern us.
    None,
    /// The facts changed already.
    Changed,
    /// Remotes were learned: their routes must be looked up.
    Ask,
    /// Route lookups must be repeated.
    Reroute,
    /// Everything must be read again.
    Reread,
}

/// The facts and the questions they answer.
#[derive(Debug, Default)]
pub struct Shadow {
    questions: Questions,
    facts: Facts,
}

impl Shadow {
    /// What is known.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What is asked.
    pub fn questions(&self) -> &Questions {
        &self.questions
    }

    /// Takes new questions. Remotes that are no longer asked for are forgotten; those that are new must be looked up,
    /// and everything must when our own RLOCs or ports are others.
    pub fn ask(&mut self, questions: Questions) -> Reaction {
        let old = std::mem::replace(&mut self.questions, questions);
        if old.locals != self.questions.locals || old.ports != self.questions.ports {
            return Reaction::Reroute;
        }
        let remotes = &self.questions.remotes;
        self.facts.asked.retain(|remote| remotes.contains(remote));
        self.facts.routes.retain(|question, _| remotes.contains(&question.remote));
        self.want_next_hops();
        if self.unasked().is_empty() { Reaction::Changed } else { Reaction::Ask }
    }

    /// Remotes whose routes have not been looked up.
    pub fn unasked(&self) -> BTreeSet<IpAddr> {
        self.questions.remotes.difference(&self.facts.asked).copied().collect()
    }

    /// Adds the answers of the lookups for these remotes.
    pub fn asked(&mut self, remotes: BTreeSet<IpAddr>, routes: BTreeMap<RouteQuestion, Route>) {
        self.facts.routes.extend(routes);
        self.facts.asked.extend(remotes);
        self.want_next_hops();
        self.settle();
    }

    /// Applies one notification. A link that lost its carrier counts at once.
    pub fn observe(&mut self, notice: Notice) -> Reaction {
        match notice {
            Notice::Link(link) => self.link(link),
            Notice::LinkGone(index) => self.link_gone(index),
            Notice::Address(link, address) if self.facts.addresses.insert((link, address)) => {
                Reaction::Reroute
            }
            Notice::AddressGone(link, address) if self.facts.addresses.remove(&(link, address)) => {
                Reaction::Reroute
            }
            Notice::Address(..) | Notice::AddressGone(..) => Reaction::None,
            Notice::Routing => Reaction::Reroute,
            Notice::Neighbour(key, news) => self.neighbour(key, news),
            Notice::Overrun => Reaction::Reread,
        }
    }

    /// Replaces links and addresses by a full reading.
    pub fn reread(&mut self, links: Vec<Link>, addresses: BTreeSet<(u32, IpAddr)>) {
        self.facts.links = links.into_iter().map(|link| (link.index, link)).collect();
        self.facts.addresses = addresses;
        let links = &self.facts.links;
        self.facts.neighbours.retain(|key, _| links.get(&key.link).is_some_and(|link| link.up));
    }

    /// Replaces the answers of all route lookups; the next hops in use follow from them.
    pub fn rerouted(&mut self, routes: BTreeMap<RouteQuestion, Route>) {
        self.facts.asked.clone_from(&self.questions.remotes);
        self.facts.routes = routes;
        self.want_next_hops();
        self.facts.read = true;
        self.settle();
    }

    /// The neighbours that some route uses, with what is known of them.
    fn want_next_hops(&mut self) {
        let mut wanted = BTreeMap::new();
        for route in self.facts.routes.values() {
            let Some(link) = self.facts.links.get(&route.oif) else {
                continue;
            };
            if link.up && self.questions.ports.contains(&link.name) {
                let key = NeighbourKey { link: route.oif, address: route.next_hop };
                wanted.insert(key, self.facts.neighbours.get(&key).copied().unwrap_or_default());
            }
        }
        self.facts.neighbours = wanted;
    }

    /// Takes a full reading of the kernel's neighbour table. What the kernel does not list it has forgotten,
    /// which is no news: the entry keeps what it knew.
    pub fn neighbours_read(&mut self, read: impl IntoIterator<Item = (NeighbourKey, NeighbourNews)>) {
        for (key, news) in read {
            self.neighbour(key, news);
        }
        self.settle();
    }

    fn link(&mut self, link: Link) -> Reaction {
        let index = link.index;
        if self.facts.links.get(&index) == Some(&link) {
            return Reaction::None;
        }
        if !link.up {
            // Behind a port that comes back may be another neighbour.
            self.facts.neighbours.retain(|key, _| key.link != index);
        }
        self.facts.links.insert(index, link);
        Reaction::Reroute
    }

    fn link_gone(&mut self, index: u32) -> Reaction {
        self.facts.neighbours.retain(|key, _| key.link != index);
        self.facts.addresses.retain(|(link, _)| *link != index);
        match self.facts.links.remove(&index) {
            Some(_) => Reaction::Reroute,
            None => Reaction::None,
        }
    }

    fn neighbour(&mut self, key: NeighbourKey, news: NeighbourNews) -> Reaction {
        let Some(known) = self.facts.neighbours.get_mut(&key) else {
            return Reaction::None;
        };
        let before = *known;
        match news {
            NeighbourNews::Valid { mac, permanent } => {
                *known = Neighbour { mac: Some(mac), permanent, ..Neighbour::default() };
            }
            NeighbourNews::Unresolved => (known.permanent, known.ask_now) = (false, false),
            NeighbourNews::Forgotten => (known.permanent, known.ask_now) = (false, true),
            // Also what deleting an entry by hand looks like, so a neighbour that had answered is asked again.
            NeighbourNews::Failed => {
                let ask_now = before.mac.is_some();
                *known = Neighbour { failed: true, ask_now, ..Neighbour::default() };
            }
        }
        let changed = *known != before;
        self.settle();
        if changed { Reaction::Changed } else { Reaction::None }
    }

    fn settle(&mut self) {
        let open =
            self.facts.neighbours.values().any(|neighbour| neighbour.mac.is_none() && !neighbour.failed);
        self.facts.settled |= self.facts.read && !open;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn link(up: bool) -> Link {
        Link { index: 3, name: "eth0".into(), mac: Mac([2, 0, 0, 0, 0, 1]), mtu: 1500, up }
    }

    const KEY_MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);

    fn gateway() -> NeighbourKey {
        NeighbourKey { link: 3, address: ip("192.0.2.254") }
    }

    fn routed() -> Shadow {
        let mut shadow = Shadow::default();
        shadow.ask(Questions {
            remotes: [ip("198.51.100.1")].into(),
            locals: [ip("192.0.2.1")].into(),
            ports: ["eth0".to_string()].into(),
        });
        shadow.reread(vec![link(true)], [(3, ip("192.0.2.1"))].into());
        let question = RouteQuestion { remote: ip("198.51.100.1"), source: None };
        shadow.rerouted([(question, Route { oif: 3, next_hop: ip("192.0.2.254"), mtu: None })].into());
        shadow
    }

    fn known(shadow: &Shadow) -> Neighbour {
        shadow.facts().neighbours[&gateway()]
    }

    #[test]
    fn it_settles_when_the_next_hop_answers_or_fails() {
        let mut shadow = routed();
        assert!(!shadow.facts().settled);
        let news = NeighbourNews::Valid { mac: KEY_MAC, permanent: false };
        assert_eq!(shadow.observe(Notice::Neighbour(gateway(), news)), Reaction::Changed);
        assert!(shadow.facts().settled);
        let mut shadow = routed();
        shadow.observe(Notice::Neighbour(gateway(), NeighbourNews::Failed));
        assert!(shadow.facts().settled);
        assert!(known(&shadow).failed);
    }

    #[test]
    fn a_forgotten_neighbour_keeps_its_mac_until_resolution_fails() {
        let mut shadow = routed();
        let valid = NeighbourNews::Valid { mac: KEY_MAC, permanent: false };
        shadow.observe(Notice::Neighbour(gateway(), valid));
        let plain = Neighbour { mac: Some(KEY_MAC), ..Neighbour::default() };
        let failed = Neighbour { failed: true, ..Neighbour::default() };
        let mut after = |news| {
            shadow.observe(Notice::Neighbour(gateway(), news));
            known(&shadow)
        };
        assert_eq!(after(NeighbourNews::Forgotten), Neighbour { ask_now: true, ..plain });
        assert_eq!(after(NeighbourNews::Unresolved), plain);
        assert_eq!(after(NeighbourNews::Failed), Neighbour { ask_now: true, ..failed });
        assert_eq!(after(NeighbourNews::Unresolved), failed, "asking is no answer");
        assert_eq!(after(NeighbourNews::Failed), failed, "it was silent before");
        assert_eq!(after(valid), plain);
    }

    #[test]
    fn a_link_down_forgets_its_neighbours_at_once() {
        let mut shadow = routed();
        let valid = NeighbourNews::Valid { mac: KEY_MAC, permanent: false };
        shadow.observe(Notice::Neighbour(gateway(), valid));
        assert_eq!(shadow.observe(Notice::Link(link(false))), Reaction::Reroute);
        assert!(shadow.facts().neighbours.is_empty());
        assert!(!shadow.facts().links[&3].up);
    }

    #[test]
    fn strangers_and_repetitions_are_no_news() {
        let mut shadow = routed();
        let stranger = NeighbourKey { link: 3, address: ip("192.0.2.77") };
        let valid = NeighbourNews::Valid { mac: KEY_MAC, permanent: false };
        assert_eq!(shadow.observe(Notice::Neighbour(stranger, valid)), Reaction::None);
        assert_eq!(shadow.observe(Notice::Link(link(true))), Reaction::None);
        assert_eq!(shadow.observe(Notice::Address(3, ip("192.0.2.1"))), Reaction::None);
        assert_eq!(shadow.observe(Notice::AddressGone(3, ip("192.0.2.2"))), Reaction::None);
        assert_eq!(shadow.observe(Notice::LinkGone(8)), Reaction::None);
    }

    #[test]
    fn routing_addresses_and_lost_notifications_lead_to_new_lookups() {
        let mut shadow = routed();
        assert_eq!(shadow.observe(Notice::Routing), Reaction::Reroute);
        assert_eq!(shadow.observe(Notice::AddressGone(3, ip("192.0.2.1"))), Reaction::Reroute);
        assert_eq!(shadow.observe(Notice::Address(3, ip("192.0.2.1"))), Reaction::Reroute);
        assert_eq!(shadow.observe(Notice::Overrun), Reaction::Reread);
        assert_eq!(shadow.observe(Notice::LinkGone(3)), Reaction::Reroute);
        assert!(shadow.facts().addresses.is_empty());
    }

    #[test]
    fn a_learned_remote_is_looked_up_alone_and_a_lost_one_is_forgotten() {
        let mut shadow = routed();
        let mut questions = shadow.questions().clone();
        questions.remotes.insert(ip("198.51.100.2"));
        assert_eq!(shadow.ask(questions.clone()), Reaction::Ask);
        assert_eq!(shadow.unasked(), [ip("198.51.100.2")].into());
        let question = RouteQuestion { remote: ip("198.51.100.2"), source: None };
        let route = Route { oif: 3, next_hop: ip("192.0.2.253"), mtu: None };
        shadow.asked(shadow.unasked(), [(question, route)].into());
        assert_eq!((shadow.facts().routes.len(), shadow.facts().neighbours.len()), (2, 2));
        assert!(shadow.unasked().is_empty());

        questions.remotes = [ip("198.51.100.1")].into();
        assert_eq!(shadow.ask(questions.clone()), Reaction::Changed);
        assert_eq!((shadow.facts().asked.len(), shadow.facts().neighbours.len()), (1, 1));
        questions.locals.insert(ip("192.0.2.9"));
        assert_eq!(shadow.ask(questions), Reaction::Reroute, "each own RLOC has its routes");
    }

    #[test]
    fn only_next_hops_behind_our_ports_are_wanted() {
        let mut shadow = routed();
        shadow.ask(Questions { ports: BTreeSet::new(), ..shadow.questions().clone() });
        let routes = shadow.facts().routes.clone();
        shadow.rerouted(routes);
        assert!(shadow.facts().neighbours.is_empty());
    }
}
