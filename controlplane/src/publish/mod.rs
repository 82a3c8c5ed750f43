//! The one writer of the updates ring: desired state against what the dataplane has been told.
//!
//! No I/O and no clock: the caller asks for as many records as the ring has room for and pushes them.
//! The order of the stream keeps every reference valid at every moment:
//!
//! 1. settings, own RLOCs, groups, policies, dynamic ranges, relay permissions, next hops, adjacencies, locator sets,
//!    class rows, EIDs are upserted in this order; a later kind begins only when no earlier one is dirty, so what a record refers to has
//!    been told before it;
//! 2. deletes follow, in reverse order, only when no upsert is left: then nothing that was told refers to a key
//!    that is no longer wanted.
//!
//! Policies are no reference and refer to none: their deletes follow their upserts at once, and all but the last record
//! of a change say that more follow, so that they come into force together.
//!
//! Changes may come between any two records; the next call starts again from the first kind.
//! A new session makes everything dirty and puts it between `BeginSync` and `EndSync`, after which the dataplane
//! sweeps what was not named. Questions to the dataplane ([`Publisher::check`]) are no state: they are asked once, as
//! soon as there is room, and forgotten with the session.

mod barrier;
mod shelf;

use std::collections::BTreeSet;
use std::net::IpAddr;

use sterna_shm::{
    Adjacency, ClassRow, ClassRows, EidAction, Group, LOCAL, Locator, LocatorSet, MAX_POLICIES, NextHop,
    Policy, Settings, Update,
};
use sterna_wire::Iid;

use crate::desired::{
    AdjacencyKey, AdjacencyWanted, ClassesKey, EidKey, EidWanted, LocatorWanted, NextHopKey, Paths, RowKey,
    SetKey, Site, Touched,
};
use barrier::Barriers;
use shelf::Shelf;

/// Questions that wait to be asked at most; the dataplane asks fewer hosts at a time.
const MAX_CHECKS: usize = 4096;

/// Desired state, and how much of it the dataplane knows.
#[derive(Debug)]
pub struct Publisher {
    settings: Shelf<(), Settings>,
    rlocs: Shelf<IpAddr, ()>,
    groups: Shelf<Iid, Group>,
    policies: Shelf<u8, Policy>,
    dynamic: Shelf<EidKey, ()>,
    relays: Shelf<RelayKey, ()>,
    hops: Shelf<NextHopKey, NextHop>,
    adjacencies: Shelf<AdjacencyKey, AdjacencyWanted>,
    sets: Shelf<SetKey, Vec<LocatorWanted>>,
    classes: Shelf<ClassesKey, ()>,
    eids: Shelf<EidKey, EidWanted>,
    checks: BTreeSet<(Iid, IpAddr)>,
    barriers: Barriers,
    session: Option<Session>,
}

impl Default for Publisher {
    fn default() -> Self {
        Self {
            settings: Shelf::without_ids(),
            rlocs: Shelf::without_ids(),
            groups: Shelf::without_ids(),
            policies: Shelf::without_ids(),
            dynamic: Shelf::without_ids(),
            relays: Shelf::without_ids(),
            hops: Shelf::default(),
            adjacencies: Shelf::default(),
            sets: Shelf::default(),
            classes: Shelf::default(),
            eids: Shelf::without_ids(),
            checks: BTreeSet::new(),
            barriers: Barriers::default(),
            session: None,
        }
    }
}

/// Frames for this agent, relayed by this RLOC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RelayKey {
    iid: Iid,
    eid: IpAddr,
    from: IpAddr,
}

#[derive(Debug)]
struct Session {
    generation: u64,
    progress: Progress,
}

#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Begin,
    Filling,
    /// `EndSync` is told; changes follow as they come.
    Ended,
    /// The dataplane has swept and said so.
    Applied,
}

impl Publisher {
    /// What the config decides, but for its EIDs: those may be hidden by others.
    pub fn replace_site(&mut self, site: &Site) {
        self.rlocs.want_exactly(site.rlocs.iter().map(|&address| (address, ())).collect());
        self.groups.want_exactly(site.groups.clone());
        self.dynamic.want_exactly(site.dynamic.iter().map(|&key| (key, ())).collect());
        self.policies.want_exactly((0..).zip(site.policies.iter().take(MAX_POLICIES).copied()).collect());
    }

    /// What became different in the paths.
    pub fn update_paths(&mut self, paths: &Paths, touched: &Touched) {
        self.settings.want(&(), Some(paths.settings));
        for key in &touched.hops {
            self.hops.want(key, paths.hops.get(key).copied());
        }
        for key in &touched.adjacencies {
            self.adjacencies.want(key, paths.adjacencies.get(key).copied());
        }
        for key in &touched.sets {
            self.sets.want(key, paths.sets.get(key).cloned());
        }
    }

    /// Whether some EID names these class rows. The sets that they name must be among the paths before the next record is
    /// taken.
    pub fn want_classes(&mut self, classes: &ClassesKey, wanted: bool) {
        self.classes.want(classes, wanted.then_some(()));
    }

    /// One EID; none to have it deleted. Its locator set must be among the paths before the next record is taken.
    pub fn want_eid(&mut self, key: &EidKey, wanted: Option<EidWanted>) {
        self.eids.want(key, wanted);
    }

    /// What an EID shall be.
    pub fn eid(&self, key: &EidKey) -> Option<&EidWanted> {
        self.eids.get(key)
    }

    /// All EIDs that shall be in the dataplane's table, with what shall happen to their packets.
    pub fn wanted_eids(&self) -> impl Iterator<Item = (&EidKey, &EidWanted)> {
        self.eids.wanted()
    }

    /// EIDs that shall be in the dataplane's table.
    pub fn eids(&self) -> usize {
        self.eids.count()
    }

    /// Writes an EID's record again although nothing changed: the dataplane waits for a confirmation.
    pub fn say_again(&mut self, key: &EidKey) {
        self.eids.say_again(key);
    }

    /// Whether frames for an agent that were relayed by this RLOC pass the source check.
    pub fn want_relay(&mut self, iid: Iid, eid: IpAddr, from: IpAddr, allowed: bool) {
        self.relays.want(&RelayKey { iid, eid, from }, allowed.then_some(()));
    }

    /// Has the dataplane ask an agent whether it is still there. Forgotten when there is no dataplane to ask, or when
    /// too many questions wait: who needs the answer asks again.
    pub fn check(&mut self, iid: Iid, eid: IpAddr) {
        if self.session.is_some() && self.checks.len() < MAX_CHECKS {
            self.checks.insert((iid, eid));
        }
    }

    /// A dataplane is there that has been told nothing. Generations must grow from session to session, also
    /// over restarts of this process.
    pub fn begin_session(&mut self, generation: u64) {
        self.settings.tell_all_again();
        self.rlocs.tell_all_again();
        self.groups.tell_all_again();
        self.policies.tell_all_again();
        self.dynamic.tell_all_again();
        self.relays.tell_all_again();
        self.hops.tell_all_again();
        self.adjacencies.tell_all_again();
        self.sets.tell_all_again();
        self.classes.tell_all_again();
        self.eids.tell_all_again();
        self.checks.clear();
        self.barriers.begin_session();
        self.session = Some(Session { generation, progress: Progress::Begin });
    }

    /// The dataplane is gone; nothing is said until the next session.
    pub fn end_session(&mut self) {
        self.checks.clear();
        self.session = None;
    }

    /// The dataplane has swept after this generation's `EndSync`.
    pub fn applied(&mut self, generation: u64) {
        if let Some(session) = &mut self.session
            && session.generation == generation
            && session.progress == Progress::Ended
        {
            session.progress = Progress::Applied;
        }
    }

    /// A number for what is to be told now: [`Publisher::is_in_use`] says when the dataplane forwards by it.
    pub fn want_barrier(&mut self) -> u64 {
        self.barriers.want()
    }

    /// Whether the dataplane forwards by what was to be told when `number` was given. Also without a dataplane: there is
    /// nothing to wait for.
    pub fn is_in_use(&self, number: u64) -> bool {
        self.session.is_none() || self.barriers.is_reached(number)
    }

    /// The dataplane forwards by what stood before this barrier.
    pub fn reached(&mut self, number: u64) {
        self.barriers.reach(number);
    }

    /// The dataplane has the whole state and forwards by it. Later changes may be on their way.
    pub fn synced(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.progress == Progress::Applied)
    }

    /// The generation of the present session.
    pub fn generation(&self) -> Option<u64> {
        self.session.as_ref().map(|session| session.generation)
    }

    /// Keys of which the dataplane does not know the present value.
    pub fn dirty(&self) -> usize {
        self.settings.dirty()
            + self.rlocs.dirty()
            + self.groups.dirty()
            + self.policies.dirty()
            + self.dynamic.dirty()
            + self.relays.dirty()
            + self.hops.dirty()
            + self.adjacencies.dirty()
            + self.sets.dirty()
            + self.classes.dirty()
            + self.eids.dirty()
    }

    /// Whether [`Publisher::pump`] would have something to say.
    pub fn has_work(&self) -> bool {
        match &self.session {
            None => false,
            Some(session) if matches!(session.progress, Progress::Begin | Progress::Filling) => true,
            Some(_) => self.dirty() > 0 || !self.checks.is_empty() || self.barriers.is_due(),
        }
    }

    /// The next records, at most `room`. They count as told: the caller must push them all, or end the session.
    pub fn pump(&mut self, room: usize) -> Vec<Update> {
        let mut records = Vec::new();
        while records.len() < room {
            match self.next() {
                Some(record) => records.push(record),
                None => break,
            }
        }
        records
    }

    fn next(&mut self) -> Option<Update> {
        let session = self.session.as_mut()?;
        let generation = session.generation;
        if session.progress == Progress::Begin {
            session.progress = Progress::Filling;
            return Some(Update::BeginSync { generation });
        }
        if let Some(record) = self.next_upsert().or_else(|| self.next_delete()) {
            return Some(record);
        }
        let session = self.session.as_mut()?;
        if session.progress != Progress::Filling {
            return self.barriers.tell().map(|number| Update::Barrier { number });
        }
        session.progress = Progress::Ended;
        Some(Update::EndSync { generation })
    }

    fn next_upsert(&mut self) -> Option<Update> {
        if let Some((_, _, &settings)) = self.settings.first_upsert() {
            self.settings.told_upsert();
            return Some(Update::SettingsUpsert { settings });
        }
        if let Some((&address, _, ())) = self.rlocs.first_upsert() {
            self.rlocs.told_upsert();
            return Some(Update::LocalRlocUpsert { address });
        }
        if let Some((_, _, &group)) = self.groups.first_upsert() {
            self.groups.told_upsert();
            return Some(Update::GroupUpsert { group });
        }
        if let Some(change) = self.next_policy() {
            return Some(change);
        }
        if let Some((&EidKey { iid, prefix }, ..)) = self.dynamic.first_upsert() {
            self.dynamic.told_upsert();
            return Some(Update::DynamicUpsert { iid, prefix });
        }
        if let Some((iid, eid)) = self.checks.pop_first() {
            return Some(Update::AgentCheck { iid, eid });
        }
        if let Some((&RelayKey { iid, eid, from }, ..)) = self.relays.first_upsert() {
            self.relays.told_upsert();
            return Some(Update::RelayAllow { iid, eid, from });
        }
        if let Some((_, id, &hop)) = self.hops.first_upsert() {
            self.hops.told_upsert();
            return Some(Update::NextHopUpsert { id, hop });
        }
        self.next_referring_upsert()
    }

    fn next_policy(&mut self) -> Option<Update> {
        let more = self.policies.dirty() > 1;
        if let Some((&index, _, &policy)) = self.policies.first_upsert() {
            self.policies.told_upsert();
            return Some(Update::PolicyUpsert { index, policy, more });
        }
        let (&index, _) = self.policies.first_delete()?;
        self.policies.told_delete();
        Some(Update::PolicyDelete { index, more })
    }

    /// Upserts of the kinds that refer to others. A reference that leads nowhere would be a fault of `desired`;
    /// the record is then left out, since the dataplane would have to fail the channel.
    fn next_referring_upsert(&mut self) -> Option<Update> {
        while let Some((key, id, wanted)) = self.adjacencies.first_upsert() {
            let adjacency = self.adjacency(key, wanted);
            self.adjacencies.told_upsert();
            if let Some(adjacency) = adjacency {
                return Some(Update::AdjacencyUpsert { id, adjacency });
            }
        }
        while let Some((_, id, wanted)) = self.sets.first_upsert() {
            let set = self.set(wanted);
            self.sets.told_upsert();
            if let Some(set) = set {
                return Some(Update::SetUpsert { id, set });
            }
        }
        while let Some((key, id, ())) = self.classes.first_upsert() {
            let rows = self.rows(key);
            self.classes.told_upsert();
            if let Some(rows) = rows {
                return Some(Update::ClassesUpsert { id, rows });
            }
        }
        while let Some((&EidKey { iid, prefix }, _, wanted)) = self.eids.first_upsert() {
            let action = self.action(wanted);
            self.eids.told_upsert();
            if let Some(action) = action {
                return Some(Update::EidUpsert { iid, prefix, action });
            }
        }
        None
    }

    fn next_delete(&mut self) -> Option<Update> {
        if let Some((&EidKey { iid, prefix }, _)) = self.eids.first_delete() {
            self.eids.told_delete();
            return Some(Update::EidDelete { iid, prefix });
        }
        if let Some((_, id)) = self.classes.first_delete() {
            self.classes.told_delete();
            return Some(Update::ClassesDelete { id });
        }
        if let Some((_, id)) = self.sets.first_delete() {
            self.sets.told_delete();
            return Some(Update::SetDelete { id });
        }
        if let Some((_, id)) = self.adjacencies.first_delete() {
            self.adjacencies.told_delete();
            return Some(Update::AdjacencyDelete { id });
        }
        if let Some((_, id)) = self.hops.first_delete() {
            self.hops.told_delete();
            return Some(Update::NextHopDelete { id });
        }
        if let Some((&RelayKey { iid, eid, from }, _)) = self.relays.first_delete() {
            self.relays.told_delete();
            return Some(Update::RelayForbid { iid, eid, from });
        }
        if let Some((&EidKey { iid, prefix }, _)) = self.dynamic.first_delete() {
            self.dynamic.told_delete();
            return Some(Update::DynamicDelete { iid, prefix });
        }
        if let Some((&iid, _)) = self.groups.first_delete() {
            self.groups.told_delete();
            return Some(Update::GroupDelete { iid });
        }
        let (&address, _) = self.rlocs.first_delete()?;
        self.rlocs.told_delete();
        Some(Update::LocalRlocDelete { address })
    }

    fn adjacency(&self, key: &AdjacencyKey, wanted: &AdjacencyWanted) -> Option<Adjacency> {
        let next_hop = self.hops.id(&wanted.next_hop)?;
        let AdjacencyKey { local, remote, udp_checksum } = *key;
        Some(Adjacency { next_hop, local, remote, mtu: wanted.mtu, udp_checksum })
    }

    fn set(&self, wanted: &[LocatorWanted]) -> Option<LocatorSet> {
        let mut locators = Vec::with_capacity(wanted.len());
        for locator in wanted {
            let adjacency = if locator.here { LOCAL } else { self.adjacencies.id(&locator.adjacency)? };
            let LocatorWanted { priority, weight, usable, keep, .. } = *locator;
            locators.push(Locator { adjacency, priority, weight, usable, keep });
        }
        LocatorSet::new(&locators)
    }

    fn rows(&self, classes: &ClassesKey) -> Option<ClassRows> {
        let mut rows = ClassRows::default();
        for (row, key) in rows.0.iter_mut().zip(classes.rows()) {
            *row = match key {
                RowKey::Unknown => ClassRow::Unknown,
                RowKey::NoMatch => ClassRow::NoMatch,
                RowKey::Set(set) => ClassRow::Set { set: self.sets.id(set)? },
            };
        }
        Some(rows)
    }

    fn action(&self, wanted: &EidWanted) -> Option<EidAction> {
        Some(match wanted {
            EidWanted::Remote(set) => EidAction::Remote { set: self.sets.id(set)?, classes: None },
            EidWanted::Chosen { set, classes } => {
                EidAction::Remote { set: self.sets.id(set)?, classes: Some(self.classes.id(classes)?) }
            }
            EidWanted::Skill { port, vlan, mac, set, classes } => {
                // What is wanted and has no number leaves the record out.
                let set = match set {
                    Some(set) => Some(self.sets.id(set)?),
                    None => None,
                };
                let classes = match classes {
                    Some(classes) => Some(self.classes.id(classes)?),
                    None => None,
                };
                EidAction::Skill { port: *port, vlan: *vlan, mac: *mac, set, classes }
            }
            EidWanted::Negative(action) => EidAction::Negative { action: *action },
            EidWanted::Local { port, vlan, via } => EidAction::Local { port: *port, vlan: *vlan, via: *via },
            EidWanted::LocalHost { port, vlan, mac } => {
                EidAction::LocalHost { port: *port, vlan: *vlan, mac: *mac }
            }
            EidWanted::Hold => EidAction::Hold,
            EidWanted::Away(set) => EidAction::Away { set: self.sets.id(set)? },
        })
    }
}
