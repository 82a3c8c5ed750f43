//! A dataplane as a model: applies records in order and complains at the first one that breaks the contract.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code, and not every test uses all of it"
)]

pub mod site;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sterna_controlplane::desired::{EidKey, EidWanted, LocatorWanted, Paths, SetKey, Site};
use sterna_controlplane::plane::ControlPlane;
use sterna_shm::{Adjacency, EidAction, Group, LocatorSet, NextHop, Settings, Update};
use sterna_wire::Iid;

/// A session's number and an id within it.
type Id = (u32, u32);

/// What an EID means once all references are followed: comparable between sessions.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    Remote(Vec<Leg>),
    Away(Vec<Leg>),
    Other(EidAction),
}

/// A locator with everything behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Leg {
    pub local: IpAddr,
    pub remote: IpAddr,
    pub udp_checksum: bool,
    pub mtu: u16,
    pub hop: NextHop,
    pub priority: u8,
    pub weight: u8,
    pub usable: bool,
}

/// All tables. Entries carry the session that last wrote them.
#[derive(Debug, Default)]
pub struct Model {
    session: u32,
    /// The sync under way.
    syncing: Option<u64>,
    /// The generation of the last complete sync of this session.
    pub applied: Option<u64>,
    hops: BTreeMap<Id, NextHop>,
    adjacencies: BTreeMap<Id, Adjacency>,
    sets: BTreeMap<Id, LocatorSet>,
    eids: BTreeMap<EidKey, (EidAction, u32)>,
    groups: BTreeMap<Iid, (Group, u32)>,
    dynamic: BTreeMap<EidKey, u32>,
    pub relays: BTreeMap<(Iid, IpAddr, IpAddr), u32>,
    /// Agents that were asked for, in order.
    pub checks: Vec<(Iid, IpAddr)>,
    rlocs: BTreeMap<IpAddr, u32>,
    settings: Option<Settings>,
    last_generation: u64,
    /// Leave out the search for dangling references after every record, for tests with very many.
    pub fast: bool,
}

impl Model {
    /// A control plane has connected: its ids are new, what is there stays.
    pub fn new_session(&mut self) {
        self.session += 1;
        self.syncing = None;
        self.applied = None;
    }

    /// Applies one record; panics when it is against the contract.
    pub fn apply(&mut self, record: &Update) {
        let session = self.session;
        let at = |id: &u32| (session, *id);
        match record {
            Update::BeginSync { generation } => {
                assert!(self.syncing.is_none() && self.applied.is_none(), "one sync per session");
                assert!(*generation > self.last_generation, "generations grow");
                self.last_generation = *generation;
                self.syncing = Some(*generation);
            }
            Update::EndSync { generation } => {
                assert_eq!(self.syncing, Some(*generation));
                self.syncing = None;
                self.applied = Some(*generation);
                self.sweep();
            }
            _ => assert!(
                self.syncing.is_some() || self.applied.is_some(),
                "a record before the sync: {record:?}"
            ),
        }
        match *record {
            Update::NextHopUpsert { ref id, hop } => {
                self.hops.insert(at(id), hop);
            }
            Update::AdjacencyUpsert { ref id, adjacency } => {
                assert!(self.hops.contains_key(&at(&adjacency.next_hop)), "unknown next hop: {record:?}");
                assert_eq!(adjacency.local.is_ipv4(), adjacency.remote.is_ipv4());
                self.adjacencies.insert(at(id), adjacency);
            }
            Update::SetUpsert { ref id, set } => {
                for locator in set.as_slice() {
                    assert!(
                        self.adjacencies.contains_key(&at(&locator.adjacency)),
                        "unknown adjacency: {record:?}"
                    );
                }
                self.sets.insert(at(id), set);
            }
            Update::EidUpsert { iid, prefix, action } => {
                if let EidAction::Remote { set } | EidAction::Away { set } = action {
                    assert!(self.sets.contains_key(&at(&set)), "unknown set: {record:?}");
                }
                self.eids.insert(EidKey { iid, prefix }, (action, self.session));
            }
            Update::GroupUpsert { group } => {
                self.groups.insert(group.iid, (group, self.session));
            }
            Update::LocalRlocUpsert { address } => {
                self.rlocs.insert(address, self.session);
            }
            Update::SettingsUpsert { settings } => self.settings = Some(settings),
            Update::DynamicUpsert { iid, prefix } => {
                self.dynamic.insert(EidKey { iid, prefix }, self.session);
            }
            Update::RelayAllow { iid, eid, from } => {
                self.relays.insert((iid, eid, from), self.session);
            }
            Update::AgentCheck { iid, eid } => self.checks.push((iid, eid)),
            _ => self.delete(record),
        }
        if !self.fast {
            self.check();
        }
    }

    fn delete(&mut self, record: &Update) {
        let at = |id: u32| (self.session, id);
        let gone = match *record {
            Update::NextHopDelete { id } => self.hops.remove(&at(id)).is_some(),
            Update::AdjacencyDelete { id } => self.adjacencies.remove(&at(id)).is_some(),
            Update::SetDelete { id } => self.sets.remove(&at(id)).is_some(),
            Update::EidDelete { iid, prefix } => self.eids.remove(&EidKey { iid, prefix }).is_some(),
            Update::GroupDelete { iid } => self.groups.remove(&iid).is_some(),
            Update::DynamicDelete { iid, prefix } => self.dynamic.remove(&EidKey { iid, prefix }).is_some(),
            Update::RelayForbid { iid, eid, from } => self.relays.remove(&(iid, eid, from)).is_some(),
            Update::LocalRlocDelete { address } => self.rlocs.remove(&address).is_some(),
            _ => true,
        };
        assert!(gone, "a delete of what is not there: {record:?}");
    }

    /// After a sync only what this session wrote is left.
    fn sweep(&mut self) {
        let session = self.session;
        self.eids.retain(|_, (_, by)| *by == session);
        self.groups.retain(|_, (_, by)| *by == session);
        self.rlocs.retain(|_, by| *by == session);
        self.dynamic.retain(|_, by| *by == session);
        self.relays.retain(|_, by| *by == session);
        self.sets.retain(|(by, _), _| *by == session);
        self.adjacencies.retain(|(by, _), _| *by == session);
        self.hops.retain(|(by, _), _| *by == session);
    }

    /// No reference leads nowhere, also right after a delete.
    fn check(&self) {
        for ((session, _), adjacency) in &self.adjacencies {
            assert!(self.hops.contains_key(&(*session, adjacency.next_hop)), "a next hop in use was deleted");
        }
        for ((session, _), set) in &self.sets {
            for locator in set.as_slice() {
                assert!(
                    self.adjacencies.contains_key(&(*session, locator.adjacency)),
                    "an adjacency in use was deleted"
                );
            }
        }
        for (action, session) in self.eids.values() {
            if let EidAction::Remote { set } | EidAction::Away { set } = action {
                assert!(self.sets.contains_key(&(*session, *set)), "a set in use was deleted");
            }
        }
    }

    /// What an EID means, if it is there.
    pub fn meaning(&self, key: &EidKey) -> Option<Meaning> {
        let (action, session) = self.eids.get(key)?;
        let (set, of): (_, fn(Vec<Leg>) -> Meaning) = match action {
            EidAction::Remote { set } => (set, Meaning::Remote),
            EidAction::Away { set } => (set, Meaning::Away),
            other => return Some(Meaning::Other(*other)),
        };
        let legs = self.sets[&(*session, *set)].as_slice().iter().map(|locator| {
            let adjacency = self.adjacencies[&(*session, locator.adjacency)];
            Leg {
                local: adjacency.local,
                remote: adjacency.remote,
                udp_checksum: adjacency.udp_checksum,
                mtu: adjacency.mtu,
                hop: self.hops[&(*session, adjacency.next_hop)],
                priority: locator.priority,
                weight: locator.weight,
                usable: locator.usable,
            }
        });
        Some(of(legs.collect()))
    }

    /// All EIDs there are.
    pub fn eids(&self) -> BTreeMap<EidKey, Meaning> {
        self.eids.keys().map(|key| (*key, self.meaning(key).unwrap())).collect()
    }

    /// Panics unless the tables say exactly this: the site and what was learned beside it.
    pub fn assert_is(&self, site: &Site, paths: &Paths, learned: &BTreeMap<EidKey, EidWanted>) {
        let both = learned.iter().chain(&site.eids);
        let all: BTreeMap<EidKey, Meaning> =
            both.map(|(key, wanted)| (*key, expected(wanted, paths))).collect();
        self.assert_says(site, paths, all);
    }

    /// Panics unless the tables say exactly what this control plane wants.
    pub fn assert_as(&self, plane: &ControlPlane) {
        let paths = plane.paths();
        let eids = plane.publisher().wanted_eids().map(|(key, wanted)| (*key, expected(wanted, paths)));
        self.assert_says(plane.site(), paths, eids.collect());
    }

    fn assert_says(&self, site: &Site, paths: &Paths, eids: BTreeMap<EidKey, Meaning>) {
        assert_eq!(self.eids(), eids);
        let groups: BTreeMap<Iid, Group> =
            self.groups.iter().map(|(iid, (group, _))| (*iid, *group)).collect();
        assert_eq!(groups, site.groups);
        assert_eq!(self.rlocs.keys().copied().collect::<BTreeSet<_>>(), site.rlocs);
        assert_eq!(self.dynamic.keys().copied().collect::<BTreeSet<_>>(), site.dynamic);
        assert_eq!(self.settings, Some(paths.settings));
        let counts = (self.hops.len(), self.adjacencies.len(), self.sets.len());
        assert_eq!(
            counts,
            (paths.hops.len(), paths.adjacencies.len(), paths.sets.len()),
            "nothing is left over"
        );
    }
}

/// What the desired state says an EID means.
fn expected(wanted: &EidWanted, paths: &Paths) -> Meaning {
    Meaning::Other(match wanted {
        EidWanted::Negative(action) => EidAction::Negative { action: *action },
        EidWanted::Local { port, vlan, via } => EidAction::Local { port: *port, vlan: *vlan, via: *via },
        EidWanted::LocalHost { port, vlan, mac } => {
            EidAction::LocalHost { port: *port, vlan: *vlan, mac: *mac }
        }
        EidWanted::Hold => EidAction::Hold,
        EidWanted::Away(set) => return Meaning::Away(legs(set, paths)),
        EidWanted::Remote(set) => return Meaning::Remote(legs(set, paths)),
    })
}

fn legs(set: &SetKey, paths: &Paths) -> Vec<Leg> {
    let leg = |locator: &LocatorWanted| {
        let key = locator.adjacency;
        let adjacency = paths.adjacencies[&key];
        Leg {
            local: key.local,
            remote: key.remote,
            udp_checksum: key.udp_checksum,
            mtu: adjacency.mtu,
            hop: paths.hops[&adjacency.next_hop],
            priority: locator.priority,
            weight: locator.weight,
            usable: locator.usable,
        }
    };
    paths.sets[set].iter().map(leg).collect()
}
