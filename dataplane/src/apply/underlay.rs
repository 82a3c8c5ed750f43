//! Next hops, adjacencies and locator sets: each row is built from what it leads to.

use super::{Applier, Fault, refused};
use crate::encap::build_adjacency;
use crate::layout::Side;
use crate::locator::build_set;
use crate::rows::{Named, Rows};
use crate::tables::{AdjacencyRow, HopRow, LOCAL_TAG, LocatorRow, SetRow, address_tag};
use sterna_shm::{Adjacency, Event, LOCAL, LocatorSet, NextHop, PRIORITY_NEVER, RefusedKind};
use sterna_table::Domain;

impl Applier {
    pub(super) fn put_hop(&mut self, id: u32, hop: NextHop) -> Option<Event> {
        // What leaves through an eid-side port must never be the underlay's.
        if self.ports.get(usize::from(hop.port)).is_none_or(|port| port.side == Side::Eid) {
            self.hops.refuse(id);
            return refused(RefusedKind::UnknownPort, u64::from(hop.port));
        }
        let full = refused(RefusedKind::NextHopTableFull, u64::from(id));
        if !self.hops.has_row_for(id) {
            self.reclaim();
        }
        let Some(row) = self.hops.confirm(id, self.epoch) else { return full };
        let value = HopRow { port: hop.port, source: hop.source, destination: hop.destination };
        let before = self.writers.hops.get(row);
        if before == Some(value) || self.writers.hops.set(row, value).is_ok() {
            return None;
        }
        give_back(&mut self.hops, id, before.is_none(), &self.domain);
        full
    }

    pub(super) fn put_adjacency(&mut self, id: u32, adjacency: Adjacency) -> Result<Option<Event>, Fault> {
        let full = refused(RefusedKind::AdjacencyTableFull, u64::from(id));
        let hop = match self.hops.named(adjacency.next_hop) {
            Named::Row(row) => row,
            Named::Unknown => return Err(Fault::UnknownId(adjacency.next_hop)),
            Named::Refused => {
                self.adjacencies.refuse(id);
                return Ok(full);
            }
        };
        let value =
            build_adjacency(&adjacency, hop, self.settings.outer_df).ok_or(Fault::MixedFamilies(id))?;
        if !self.adjacencies.has_row_for(id) {
            self.reclaim();
        }
        let Some(row) = self.adjacencies.confirm(id, self.epoch) else { return Ok(full) };
        let before = self.writers.adjacencies.get(row);
        if before != Some(value) && self.writers.adjacencies.set(row, value).is_err() {
            give_back(&mut self.adjacencies, id, before.is_none(), &self.domain);
            return Ok(full);
        }
        self.adjacency_facts.insert(row, Adjacency { next_hop: hop, ..adjacency });
        // Sets carry copies of these two.
        let copied = |row: &AdjacencyRow| (row.remote, row.payload_mtu());
        if before.is_some_and(|before| copied(&before) != copied(&value)) {
            self.rebuild_sets_of(row);
        }
        Ok(None)
    }

    /// An adjacency's MTU or address changed: the sets that use it carry copies of both.
    fn rebuild_sets_of(&mut self, adjacency: u32) {
        let uses = |set: &LocatorSet| set.as_slice().iter().any(|l| l.adjacency == adjacency);
        let rows: Vec<u32> =
            self.set_facts.iter().filter(|(_, set)| uses(set)).map(|(row, _)| *row).collect();
        for row in rows {
            if let Some(facts) = self.set_facts.get(&row).copied() {
                let value = self.set_row(&facts);
                // No room for the copy just now: the old row stays valid, the next update rebuilds it.
                let _ = self.writers.sets.set(row, value);
            }
        }
    }

    pub(super) fn put_set(&mut self, id: u32, set: &LocatorSet) -> Result<Option<Event>, Fault> {
        let full = refused(RefusedKind::SetTableFull, u64::from(id));
        let mut locators = Vec::with_capacity(set.as_slice().len());
        for locator in set.as_slice() {
            match self.adjacencies.named(locator.adjacency) {
                _ if locator.adjacency == LOCAL => locators.push(*locator),
                Named::Row(row) => locators.push(sterna_shm::Locator { adjacency: row, ..*locator }),
                Named::Unknown => return Err(Fault::UnknownId(locator.adjacency)),
                Named::Refused => {
                    self.sets.refuse(id);
                    return Ok(full);
                }
            }
        }
        let Some(facts) = LocatorSet::new(&locators) else { return Err(Fault::UnknownId(id)) };
        if !self.sets.has_row_for(id) {
            self.reclaim();
        }
        let Some(row) = self.sets.confirm(id, self.epoch) else { return Ok(full) };
        let before = self.writers.sets.get(row);
        if before.is_some() && self.set_facts.get(&row) == Some(&facts) {
            return Ok(None);
        }
        let value = self.set_row(&facts);
        if self.writers.sets.set(row, value).is_err() {
            give_back(&mut self.sets, id, before.is_none(), &self.domain);
            return Ok(full);
        }
        self.set_facts.insert(row, facts);
        Ok(None)
    }

    fn set_row(&mut self, facts: &LocatorSet) -> SetRow {
        self.set_generation = self.set_generation.wrapping_add(1);
        let mut keys = Vec::new();
        let mut rows = Vec::new();
        let mut payload_mtu = u16::MAX;
        for locator in facts.as_slice() {
            let here = locator.adjacency == LOCAL;
            let adjacency = self.writers.adjacencies.get(locator.adjacency).filter(|_| !here);
            let remote = adjacency.map_or([0; 16], |a| a.remote);
            let sends = locator.usable && locator.priority != PRIORITY_NEVER;
            if let (true, Some(adjacency)) = (sends, adjacency) {
                payload_mtu = payload_mtu.min(adjacency.payload_mtu());
            }
            keys.push(address_key(&remote));
            rows.push(LocatorRow {
                adjacency: locator.adjacency,
                tag: if here { LOCAL_TAG } else { address_tag(&remote) },
                priority: locator.priority,
                weight: locator.weight,
                usable: locator.usable,
                keep: locator.keep,
            });
        }
        build_set(&rows, &keys, payload_mtu, self.set_generation)
    }
}

/// A row could not be written. One that was never written is not a number's row; any other keeps its old value.
pub(crate) fn give_back(rows: &mut Rows, id: u32, is_new: bool, domain: &Domain) {
    if is_new {
        rows.retire(id, domain);
        rows.refuse(id);
    }
}

/// A locator's identity for the slot table: its address, not its place.
fn address_key(address: &[u8; 16]) -> u64 {
    let (high, low) = address.split_at(8);
    let word = |half: &[u8]| half.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    sterna_cpu::fold_multiply(word(high) ^ 0xff51_afd7_ed55_8ccd, word(low) ^ 0xc4ce_b9fe_1a85_ec53)
}
