//! What a control plane is told first when it connects: the entries that an earlier one left, so that it takes them
//! over instead of asking for everything anew (design section 7).
//!
//! A walk over the table, some buckets at a time, at the pace at which the ring takes the events. An entry that is
//! there throughout is told once; what comes or goes meanwhile is the new control plane's own doing.

use crate::apply::Applier;
use crate::classes::Choice;
use crate::tables::EidBody;
use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use sterna_shm::{ClassRow, ClassRows, Event, KnownAction, LOCAL, Locator};
use sterna_table::EidKey;
use sterna_wire::{Iid, Prefix, VlanId};

/// Buckets looked at per call of [`Dump::fill`]: an empty table of a million entries takes four, so that updates and
/// heartbeats never wait long.
const BUCKETS: usize = 1 << 16;

/// A walk that is under way.
#[derive(Default)]
pub struct Dump {
    bucket: usize,
    /// Set rows whose locators were told.
    told: HashSet<u32>,
    /// Class rows that were told.
    told_classes: HashSet<u32>,
    ready: VecDeque<Event>,
    ended: bool,
}

/// What [`Dump::fill`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// [`Dump::ready`] has events.
    Ready,
    /// Nothing yet: go on.
    Searching,
    /// Everything has been told.
    Ended,
}

impl Dump {
    /// Goes on with the walk until there is something to tell, or for a bounded time.
    pub fn fill(&mut self, applier: &Applier) -> Filled {
        for _ in 0..BUCKETS {
            if !self.ready.is_empty() {
                return Filled::Ready;
            }
            if self.is_over() {
                return Filled::Ended;
            }
            self.step(applier);
        }
        Filled::Searching
    }

    /// Whether everything was told.
    pub fn is_over(&self) -> bool {
        self.ended && self.ready.is_empty()
    }

    /// The events found, oldest first; take those that were told.
    pub fn ready(&mut self) -> &mut VecDeque<Event> {
        &mut self.ready
    }

    fn step(&mut self, applier: &Applier) {
        let eids = &applier.writers.eids;
        if self.bucket >= eids.buckets() {
            self.ended = true;
            self.ready.push_back(Event::KnownEnd);
            return;
        }
        for (key, value) in eids.in_bucket(self.bucket) {
            self.tell(applier, &key, &value.body);
        }
        self.bucket += 1;
    }

    fn tell(&mut self, applier: &Applier, key: &EidKey, body: &EidBody) {
        let Some((iid, prefix)) = name_of(key) else { return };
        let action = match *body {
            EidBody::Remote { set, .. } => KnownAction::Remote { set, classes: body.classes() },
            EidBody::Away { set } => KnownAction::Away { set },
            EidBody::Hold => KnownAction::Hold,
            EidBody::Agent { port, vlan, mac, given: true } => {
                KnownAction::LocalHost { port, vlan: VlanId::new(vlan), mac }
            }
            EidBody::Skill { port, vlan, mac, .. } => {
                let (vlan, set, classes) = (VlanId::new(vlan), body.set(), body.classes());
                KnownAction::Skill { port, vlan, mac, set, classes }
            }
            _ => return,
        };
        if let Some(set) = body.set() {
            self.tell_set(applier, set);
        }
        if let Some(classes) = body.classes() {
            self.tell_classes(applier, classes);
        }
        self.ready.push_back(Event::KnownEid { iid, prefix, action });
    }
}

impl Dump {
    fn tell_set(&mut self, applier: &Applier, set: u32) {
        if self.told.insert(set) {
            self.ready.extend(applier.known_locators(set));
        }
    }

    fn tell_classes(&mut self, applier: &Applier, classes: u32) {
        let Some(row) = applier.writers.classes.get(classes) else { return };
        if self.told_classes.insert(classes) {
            row.sets().for_each(|set| self.tell_set(applier, set));
            let rows = ClassRows(row.choices().map(|choice| match choice {
                Choice::Set(set) => ClassRow::Set { set },
                Choice::Unknown => ClassRow::Unknown,
                Choice::NoMatch => ClassRow::NoMatch,
            }));
            self.ready.push_back(Event::KnownClasses { classes, rows });
        }
    }
}

/// Group and prefix of a key.
pub(crate) fn name_of(key: &EidKey) -> Option<(Iid, Prefix)> {
    Some((Iid::new(key.iid())?, Prefix::masked(key.addr(), key.prefix_len()).ok()?))
}

impl Applier {
    fn known_locators(&self, set: u32) -> impl Iterator<Item = Event> {
        let locators = self.set_facts.get(&set).map(|facts| facts.as_slice()).unwrap_or_default();
        locators.iter().filter_map(move |locator| {
            let remote = match locator.adjacency {
                LOCAL => None,
                adjacency => Some(self.remote_of(adjacency)?),
            };
            let Locator { priority, weight, keep, .. } = *locator;
            Some(Event::KnownLocator { set, remote, priority, weight, keep })
        })
    }

    /// The remote RLOC of an adjacency row.
    pub(crate) fn remote_of(&self, row: u32) -> Option<IpAddr> {
        self.adjacency_facts.get(&row).map(|adjacency| adjacency.remote)
    }
}
