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

use sterna_controlplane::desired::{
    ClassesKey, EidKey, EidWanted, LocatorWanted, Paths, RowKey, SetKey, Site,
};
use sterna_controlplane::plane::ControlPlane;
use sterna_shm::{
    Adjacency, ClassRow, ClassRows, EidAction, Group, LOCAL, LocatorSet, NextHop, Policy, Settings, Update,
};
use sterna_wire::Iid;

/// A session's number and an id within it.
type Id = (u32, u32);

/// What an EID means once all references are followed: comparable between sessions.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    Remote(Vec<Leg>),
    Away(Vec<Leg>),
    Chosen(Vec<Leg>, Vec<Choice>),
    /// The agent here as if it were alone, then as `Chosen`.
    Skill(EidAction, Option<Vec<Leg>>, Option<Vec<Choice>>),
    Other(EidAction),
}

/// What a class uses: nothing known, no match, or these.
pub type Choice = Option<Option<Vec<Leg>>>;

/// A locator with everything behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Leg {
    pub local: IpAddr,
    pub remote: IpAddr,
    pub udp_checksum: bool,
    pub mtu: u16,
    /// None for the agent that is here.
    pub hop: Option<NextHop>,
    pub priority: u8,
    pub weight: u8,
    pub usable: bool,
    pub keep: bool,
}

impl Leg {
    fn here(priority: u8, weight: u8) -> Leg {
        let nobody = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        Leg {
            local: nobody,
            remote: nobody,
            udp_checksum: false,
            mtu: 0,
            hop: None,
            priority,
            weight,
            usable: true,
            keep: false,
        }
    }
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
    classes: BTreeMap<Id, ClassRows>,
    pub policies: BTreeMap<u8, (Policy, u32)>,
    /// A change of policies is not complete.
    policies_torn: bool,
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
                for locator in set.as_slice().iter().filter(|locator| locator.adjacency != LOCAL) {
                    assert!(
                        self.adjacencies.contains_key(&at(&locator.adjacency)),
                        "unknown adjacency: {record:?}"
                    );
                }
                self.sets.insert(at(id), set);
            }
            Update::ClassesUpsert { ref id, rows } => {
                for set in sets_of(&rows) {
                    assert!(self.sets.contains_key(&at(&set)), "unknown set: {record:?}");
                }
                self.classes.insert(at(id), rows);
            }
            Update::PolicyUpsert { index, policy, more } => {
                self.policies.insert(index, (policy, self.session));
                self.policies_torn = more;
            }
            Update::PolicyDelete { index, more } => {
                assert!(self.policies.remove(&index).is_some(), "a delete of what is not there: {record:?}");
                self.policies_torn = more;
            }
            Update::EidUpsert { iid, prefix, action } => {
                let (set, classes) = refers_to(&action);
                assert!(set.is_none_or(|set| self.sets.contains_key(&at(&set))), "unknown set: {record:?}");
                assert!(
                    classes.is_none_or(|rows| self.classes.contains_key(&at(&rows))),
                    "unknown class rows: {record:?}"
                );
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
            Update::ClassesDelete { id } => self.classes.remove(&at(id)).is_some(),
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
        self.classes.retain(|(by, _), _| *by == session);
        self.policies.retain(|_, (_, by)| *by == session);
        self.adjacencies.retain(|(by, _), _| *by == session);
        self.hops.retain(|(by, _), _| *by == session);
    }

    /// No reference leads nowhere, also right after a delete.
    fn check(&self) {
        for ((session, _), adjacency) in &self.adjacencies {
            assert!(self.hops.contains_key(&(*session, adjacency.next_hop)), "a next hop in use was deleted");
        }
        for ((session, _), set) in &self.sets {
            for locator in set.as_slice().iter().filter(|locator| locator.adjacency != LOCAL) {
                assert!(
                    self.adjacencies.contains_key(&(*session, locator.adjacency)),
                    "an adjacency in use was deleted"
                );
            }
        }
        for (action, session) in self.eids.values() {
            let (set, classes) = refers_to(action);
            let has_set = set.is_none_or(|set| self.sets.contains_key(&(*session, set)));
            let has_classes = classes.is_none_or(|rows| self.classes.contains_key(&(*session, rows)));
            assert!(has_set && has_classes, "a set or class rows in use were deleted");
        }
        for ((session, _), rows) in &self.classes {
            for set in sets_of(rows) {
                assert!(self.sets.contains_key(&(*session, set)), "a set in a class row was deleted");
            }
        }
    }

    /// What an EID means, if it is there.
    pub fn meaning(&self, key: &EidKey) -> Option<Meaning> {
        let (action, session) = self.eids.get(key)?;
        Some(match *action {
            EidAction::Remote { set, classes: None } => Meaning::Remote(self.legs(*session, set)),
            EidAction::Remote { set, classes: Some(rows) } => {
                Meaning::Chosen(self.legs(*session, set), self.choices(*session, rows))
            }
            EidAction::Skill { port, vlan, mac, set, classes } => Meaning::Skill(
                EidAction::LocalHost { port, vlan, mac },
                set.map(|set| self.legs(*session, set)),
                classes.map(|rows| self.choices(*session, rows)),
            ),
            EidAction::Away { set } => Meaning::Away(self.legs(*session, set)),
            other => Meaning::Other(other),
        })
    }

    fn choices(&self, session: u32, rows: u32) -> Vec<Choice> {
        let choice = |row: &ClassRow| match *row {
            ClassRow::Unknown => None,
            ClassRow::NoMatch => Some(None),
            ClassRow::Set { set } => Some(Some(self.legs(session, set))),
        };
        self.classes[&(session, rows)].0.iter().map(choice).collect()
    }

    fn legs(&self, session: u32, set: u32) -> Vec<Leg> {
        let legs = self.sets[&(session, set)].as_slice().iter().map(|locator| {
            if locator.adjacency == LOCAL {
                return Leg { keep: locator.keep, ..Leg::here(locator.priority, locator.weight) };
            }
            let adjacency = self.adjacencies[&(session, locator.adjacency)];
            Leg {
                local: adjacency.local,
                remote: adjacency.remote,
                udp_checksum: adjacency.udp_checksum,
                mtu: adjacency.mtu,
                hop: Some(self.hops[&(session, adjacency.next_hop)]),
                priority: locator.priority,
                weight: locator.weight,
                usable: locator.usable,
                keep: locator.keep,
            }
        });
        legs.collect()
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
        let policies: Vec<Policy> = self.policies.values().map(|(policy, _)| *policy).collect();
        assert_eq!((policies, self.policies_torn), (site.policies.clone(), false));
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
        EidWanted::Chosen { set, classes } => {
            return Meaning::Chosen(legs(set, paths), choices(classes, paths));
        }
        EidWanted::Skill { port, vlan, mac, set, classes } => {
            return Meaning::Skill(
                EidAction::LocalHost { port: *port, vlan: *vlan, mac: *mac },
                set.as_ref().map(|set| legs(set, paths)),
                classes.as_ref().map(|classes| choices(classes, paths)),
            );
        }
    })
}

fn choices(classes: &ClassesKey, paths: &Paths) -> Vec<Choice> {
    let choice = |row: &RowKey| match row {
        RowKey::Unknown => None,
        RowKey::NoMatch => Some(None),
        RowKey::Set(set) => Some(Some(legs(set, paths))),
    };
    classes.rows().iter().map(choice).collect()
}

fn sets_of(rows: &ClassRows) -> impl Iterator<Item = u32> {
    rows.0.iter().filter_map(|row| if let ClassRow::Set { set } = row { Some(*set) } else { None })
}

/// The set and the class rows that an action names.
fn refers_to(action: &EidAction) -> (Option<u32>, Option<u32>) {
    match *action {
        EidAction::Remote { set, classes } => (Some(set), classes),
        EidAction::Away { set } => (Some(set), None),
        EidAction::Skill { set, classes, .. } => (set, classes),
        _ => (None, None),
    }
}

fn legs(set: &SetKey, paths: &Paths) -> Vec<Leg> {
    let leg = |locator: &LocatorWanted| {
        let key = locator.adjacency;
        if locator.here {
            return Leg { keep: locator.keep, ..Leg::here(locator.priority, locator.weight) };
        }
        let adjacency = paths.adjacencies[&key];
        Leg {
            local: key.local,
            remote: key.remote,
            udp_checksum: key.udp_checksum,
            mtu: adjacency.mtu,
            hop: Some(paths.hops[&adjacency.next_hop]),
            priority: locator.priority,
            weight: locator.weight,
            usable: locator.usable,
            keep: locator.keep,
        }
    };
    paths.sets[set].iter().map(leg).collect()
}
