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

use sterna_controlplane::desired::{EidKey, EidWanted, Paths, Site};
use sterna_shm::{Adjacency, EidAction, Group, LocatorSet, NextHop, Settings, Update};
use sterna_wire::Iid;

/// A session's number and an id within it.
type Id = (u32, u32);

/// What an EID means once all references are followed: comparable between sessions.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    Remote(Vec<Leg>),
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
    rlocs: BTreeMap<IpAddr, u32>,
    settings: Option<Settings>,
    last_generation: u64,
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
                if let EidAction::Remote { set } = action {
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
            _ => self.delete(record),
        }
        self.check();
    }

    fn delete(&mut self, record: &Update) {
        let at = |id: u32| (self.session, id);
        let gone = match *record {
            Update::NextHopDelete { id } => self.hops.remove(&at(id)).is_some(),
            Update::AdjacencyDelete { id } => self.adjacencies.remove(&at(id)).is_some(),
            Update::SetDelete { id } => self.sets.remove(&at(id)).is_some(),
            Update::EidDelete { iid, prefix } => self.eids.remove(&EidKey { iid, prefix }).is_some(),
            Update::GroupDelete { iid } => self.groups.remove(&iid).is_some(),
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
            if let EidAction::Remote { set } = action {
                assert!(self.sets.contains_key(&(*session, *set)), "a set in use was deleted");
            }
        }
    }

    /// What an EID means, if it is there.
    pub fn meaning(&self, key: &EidKey) -> Option<Meaning> {
        let (action, session) = self.eids.get(key)?;
        let EidAction::Remote { set } = action else {
            return Some(Meaning::Other(*action));
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
        Some(Meaning::Remote(legs.collect()))
    }

    /// All EIDs there are.
    pub fn eids(&self) -> BTreeMap<EidKey, Meaning> {
        self.eids.keys().map(|key| (*key, self.meaning(key).unwrap())).collect()
    }

    /// Panics unless the tables say exactly this.
    pub fn assert_is(&self, site: &Site, paths: &Paths, negatives: &BTreeMap<EidKey, EidAction>) {
        let configured = site.eids.iter().map(|(key, wanted)| (*key, expected(wanted, paths)));
        let negative = negatives.iter().map(|(key, action)| (*key, Meaning::Other(*action)));
        let all: BTreeMap<EidKey, Meaning> = negative.chain(configured).collect();
        assert_eq!(self.eids(), all);
        let groups: BTreeMap<Iid, Group> =
            self.groups.iter().map(|(iid, (group, _))| (*iid, *group)).collect();
        assert_eq!(groups, site.groups);
        assert_eq!(self.rlocs.keys().copied().collect::<BTreeSet<_>>(), site.rlocs);
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
    match wanted {
        EidWanted::Negative(action) => Meaning::Other(EidAction::Negative { action: *action }),
        EidWanted::Local { port, vlan, via } => {
            Meaning::Other(EidAction::Local { port: *port, vlan: *vlan, via: *via })
        }
        EidWanted::Remote(set) => {
            let legs = paths.sets[set].iter().map(|locator| {
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
            });
            Meaning::Remote(legs.collect())
        }
    }
}
