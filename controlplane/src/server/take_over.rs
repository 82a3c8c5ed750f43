//! Who holds a prefix when several register it: merging, replacing, and agents that move.

use std::time::Instant;

use sterna_wire::{Iid, Prefix};

use super::locator_sets::RegisteredLocator;
use super::moves::Limits;
use super::register::{Arrived, Left};
use super::registrations::{Registration, Slot, flag};
use super::{Refusal, Server};
use crate::outbox::Outbox;

/// The most holders of one skill.
const MAX_HOLDERS: usize = 256;

impl Server {
    /// Makes room for a holder that does not merge: others lose the prefix, and an agent has moved.
    /// Gives whom to tell.
    pub(super) fn take_over(
        &mut self,
        arrived: &Arrived,
        iid: Iid,
        prefix: &Prefix,
        locators: &[RegisteredLocator],
        out: &mut Outbox,
    ) -> Result<Vec<Left>, Refusal> {
        let others = self.others(arrived, iid, prefix);
        if others.is_empty() {
            let new = prefix.is_host() && self.table.tree.get(iid, prefix).is_none();
            return Ok(if new { self.leave_cover(arrived, iid, prefix) } else { Vec::new() });
        }
        let same = |(_, holder): &(Slot, Registration)| self.table.sets.get(holder.set) == locators;
        let left = if prefix.is_host() && !others.iter().all(same) {
            self.judge_move(arrived, iid, prefix, out)?;
            self.leave_holders(arrived, iid, prefix, &others)
        } else {
            Vec::new()
        };
        for (slot, _) in others {
            self.remove_quietly(slot);
        }
        Ok(left)
    }

    /// Holders of the prefix that are not the sender.
    fn others(&self, arrived: &Arrived, iid: Iid, prefix: &Prefix) -> Vec<(Slot, Registration)> {
        let not_me = |holder: &Registration| {
            self.xtrs.get(holder.xtr).is_some_and(|xtr| xtr.identity != arrived.identity)
        };
        let holders = self.table.holders(iid, prefix);
        holders.filter(|(_, holder)| not_me(holder)).map(|(slot, holder)| (slot, *holder)).collect()
    }

    fn judge_move(
        &mut self,
        arrived: &Arrived,
        iid: Iid,
        eid: &Prefix,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        if self.moves.superseded(iid, eid, arrived.identity, arrived.now).is_some() {
            self.remind(arrived.identity, iid, eid, arrived.now, out);
            return Err(Refusal::Superseded);
        }
        if !arrived.claimed {
            return Ok(());
        }
        let limits = Limits { max: self.settings.moves_max, within: self.settings.moves_within };
        if self.moves.may_move(iid, eid, limits, arrived.now) { Ok(()) } else { Err(Refusal::Frozen) }
    }

    /// The EID leaves these holders for the sender.
    fn leave_holders(
        &mut self,
        arrived: &Arrived,
        iid: Iid,
        eid: &Prefix,
        others: &[(Slot, Registration)],
    ) -> Vec<Left> {
        self.counters.moves += 1;
        let previous = self.locators_of(others.iter().map(|(_, holder)| holder));
        self.note_move(iid, eid, &previous, arrived.claimed, arrived.now);
        self.moves.settle(iid, eid, arrived.identity);
        others.iter().map(|(_, holder)| Left { xtr: holder.xtr, superseded: true }).collect()
    }

    /// A host comes to the sender from the gateway that holds the prefix around it.
    fn leave_cover(&mut self, arrived: &Arrived, iid: Iid, eid: &Prefix) -> Vec<Left> {
        let Some((cover, _)) = self.table.tree.cover(iid, eid) else { return Vec::new() };
        let others = self.others(arrived, iid, &cover);
        if others.is_empty() || self.table.holders(iid, &cover).count() > others.len() {
            return Vec::new();
        }
        let previous = self.locators_of(others.iter().map(|(_, holder)| holder));
        self.note_move(iid, eid, &previous, false, arrived.now);
        let told = others.iter().filter(|(_, holder)| !holder.has(flag::STATIC));
        told.map(|(_, holder)| Left { xtr: holder.xtr, superseded: false }).collect()
    }

    fn note_move(
        &mut self,
        iid: Iid,
        eid: &Prefix,
        previous: &[RegisteredLocator],
        counts: bool,
        now: Instant,
    ) {
        if self.moves.moved(iid, eid, previous, now + self.settings.relay, counts, now) {
            self.counters.refuse(Refusal::MoveForgotten);
        }
    }

    fn locators_of<'a>(&self, holders: impl Iterator<Item = &'a Registration>) -> Vec<RegisteredLocator> {
        let mut locators: Vec<_> =
            holders.flat_map(|holder| self.table.sets.get(holder.set)).copied().collect();
        locators.sort_unstable();
        locators.dedup_by_key(|locator| locator.address);
        locators
    }

    /// A skill is held by many, each for itself: nobody moves, nobody is superseded, nothing is frozen.
    pub(super) fn may_share(&self, arrived: &Arrived, iid: Iid, skill: &Prefix) -> Result<(), Refusal> {
        let others = self.others(arrived, iid, skill).len();
        if others < MAX_HOLDERS { Ok(()) } else { Err(Refusal::SkillFull) }
    }

    /// Merging adds to what xTRs of the same site have registered for merging, and never takes over.
    pub(super) fn may_merge(&self, arrived: &Arrived, iid: Iid, prefix: &Prefix) -> Result<(), Refusal> {
        let allowed = self.sites.get(arrived.site as usize).is_some_and(|site| site.allow_merge);
        let fits = self.table.holders(iid, prefix).all(|(_, holder)| match self.xtrs.get(holder.xtr) {
            Some(xtr) if xtr.identity == arrived.identity => true,
            Some(xtr) => xtr.site == arrived.site && holder.has(flag::MERGE),
            None => true,
        });
        if allowed && fits { Ok(()) } else { Err(Refusal::MergeRefused) }
    }
}
