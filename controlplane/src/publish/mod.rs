//! The one writer of the updates ring: desired state against what the dataplane has been told.
//!
//! No I/O and no clock: the caller asks for as many records as the ring has room for and pushes them.
//! The order of the stream keeps every reference valid at every moment:
//!
//! 1. settings, own RLOCs, groups, next hops, adjacencies, locator sets, EIDs are upserted in this order; a later
//!    kind begins only when no earlier one is dirty, so what a record refers to has been told before it;
//! 2. deletes follow, in reverse order, only when no upsert is left: then nothing that was told refers to a key
//!    that is no longer wanted.
//!
//! Changes may come between any two records; the next call starts again from the first kind.
//! A new session makes everything dirty and puts it between `BeginSync` and `EndSync`, after which the dataplane
//! sweeps what was not named.

mod shelf;

use std::net::IpAddr;

use sterna_shm::{
    Adjacency, EidAction, Group, Locator, LocatorSet, NegativeAction, NextHop, Settings, Update,
};
use sterna_wire::{Iid, Prefix};

use crate::desired::{
    AdjacencyKey, AdjacencyWanted, EidKey, EidWanted, LocatorWanted, NextHopKey, Paths, SetKey, Site,
};
use shelf::Shelf;

/// Desired state, and how much of it the dataplane knows.
#[derive(Debug, Default)]
pub struct Publisher {
    settings: Shelf<(), Settings>,
    rlocs: Shelf<IpAddr, ()>,
    groups: Shelf<Iid, Group>,
    hops: Shelf<NextHopKey, NextHop>,
    adjacencies: Shelf<AdjacencyKey, AdjacencyWanted>,
    sets: Shelf<SetKey, Vec<LocatorWanted>>,
    eids: Shelf<EidKey, EidWanted>,
    session: Option<Session>,
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
    /// The whole desired state; dynamic EIDs are forgotten.
    pub fn replace(&mut self, site: &Site, paths: &Paths) {
        self.rlocs.want_exactly(site.rlocs.iter().map(|&address| (address, ())).collect());
        self.groups.want_exactly(site.groups.clone());
        self.replace_paths(paths);
        self.eids.want_exactly(site.eids.clone());
    }

    /// Only what depends on the underlay. The locator sets are those of the site in force.
    pub fn replace_paths(&mut self, paths: &Paths) {
        self.settings.want(&(), Some(paths.settings));
        self.hops.want_exactly(paths.hops.clone());
        self.adjacencies.want_exactly(paths.adjacencies.clone());
        self.sets.want_exactly(paths.sets.clone());
    }

    /// One dynamic EID; none to have it deleted. A configured EID is not touched by it.
    pub fn want_negative(&mut self, iid: Iid, prefix: Prefix, action: Option<NegativeAction>) {
        let key = EidKey { iid, prefix };
        if matches!(self.eids.get(&key), None | Some(EidWanted::Negative(_))) {
            self.eids.want(&key, action.map(EidWanted::Negative));
        }
    }

    /// A dataplane is there that has been told nothing. Generations must grow from session to session, also
    /// over restarts of this process.
    pub fn begin_session(&mut self, generation: u64) {
        self.settings.tell_all_again();
        self.rlocs.tell_all_again();
        self.groups.tell_all_again();
        self.hops.tell_all_again();
        self.adjacencies.tell_all_again();
        self.sets.tell_all_again();
        self.eids.tell_all_again();
        self.session = Some(Session { generation, progress: Progress::Begin });
    }

    /// The dataplane is gone; nothing is said until the next session.
    pub fn end_session(&mut self) {
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
            + self.hops.dirty()
            + self.adjacencies.dirty()
            + self.sets.dirty()
            + self.eids.dirty()
    }

    /// Whether [`Publisher::pump`] would have something to say.
    pub fn has_work(&self) -> bool {
        match &self.session {
            None => false,
            Some(session) if matches!(session.progress, Progress::Begin | Progress::Filling) => true,
            Some(_) => self.dirty() > 0,
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
            return None;
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
        if let Some((_, id, &hop)) = self.hops.first_upsert() {
            self.hops.told_upsert();
            return Some(Update::NextHopUpsert { id, hop });
        }
        self.next_referring_upsert()
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
            let adjacency = self.adjacencies.id(&locator.adjacency)?;
            let LocatorWanted { priority, weight, usable, .. } = *locator;
            locators.push(Locator { adjacency, priority, weight, usable });
        }
        LocatorSet::new(&locators)
    }

    fn action(&self, wanted: &EidWanted) -> Option<EidAction> {
        Some(match wanted {
            EidWanted::Remote(set) => EidAction::Remote { set: self.sets.id(set)? },
            EidWanted::Negative(action) => EidAction::Negative { action: *action },
            EidWanted::Local { port, vlan, via } => EidAction::Local { port: *port, vlan: *vlan, via: *via },
        })
    }
}
