//! What is registered: per EID-prefix the xTRs that hold it, mostly one, with their locators and their time.
//!
//! Made for millions: a registration takes 56 bytes, its prefix stands in the tree once, locator-sets are shared.
//! Times are kept in a wheel of lists through the registrations themselves. A refresh only writes the new deadline;
//! the wheel looks again when it comes round, so that refreshing costs nothing and expiring never scans.

use sterna_wire::lisp::control::Act;
use sterna_wire::{Family, Iid, Prefix, addr_bytes, addr_from_bytes};

use super::arena::{Arena, NONE};
use super::locator_sets::{LocatorSets, SetId};
use super::tree::PrefixTree;

/// A tenth of a second of the server's time.
pub(super) type Tick = u32;

/// A registration's place.
pub(super) type Slot = u32;

/// Seconds that the wheel spans, in ticks: 204.8 s, a registration's usual life.
const SPOKES: u32 = 2048;
/// A deadline that never comes: registered by the config.
pub(super) const NEVER: Tick = Tick::MAX;
/// Expiries looked at in one go, so that a million at once cannot hold up everything else.
const MAX_DUE: usize = 4096;

/// What one xTR registered for one prefix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registration {
    address: [u8; 16],
    iid: Iid,
    /// Its locator-set.
    pub(super) set: SetId,
    /// Who registered it.
    pub(super) xtr: u32,
    /// What it says.
    pub(super) terms: Terms,
    /// The next holder of the same prefix.
    next: Slot,
    /// Neighbours in the wheel's list.
    before: Slot,
    behind: Slot,
    len: u8,
    family: Family,
}

/// What a registration says besides its locators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// When it expires.
    pub(super) deadline: Tick,
    /// TTL of the record in minutes.
    pub(super) ttl: u32,
    /// Map-version (RFC 9302).
    pub(super) version: u16,
    /// What to do when there are no locators.
    pub(super) act: Act,
    /// Bits of `flag`.
    pub(super) flags: u8,
}

/// What a register said of a registration.
pub(super) mod flag {
    /// We answer in the ETR's place (P bit).
    pub const PROXY: u8 = 1;
    /// It lives as long as its TTL (T bit).
    pub const USE_TTL: u8 = 2;
    /// Its locators are added to those of other xTRs (a bit).
    pub const MERGE: u8 = 4;
    /// The record was authoritative (A bit).
    pub const AUTHORITATIVE: u8 = 8;
    /// The config says so.
    pub const STATIC: u8 = 16;
}

impl Registration {
    pub(super) fn new(iid: Iid, prefix: &Prefix, set: SetId, xtr: u32, terms: Terms) -> Registration {
        Registration {
            address: addr_bytes(prefix.addr()),
            iid,
            set,
            xtr,
            terms,
            next: NONE,
            before: NONE,
            behind: NONE,
            len: prefix.len(),
            family: prefix.family(),
        }
    }

    pub(super) fn iid(&self) -> Iid {
        self.iid
    }

    pub(super) fn prefix(&self) -> Prefix {
        let address = addr_from_bytes(self.family, &self.address);
        Prefix::masked(address, self.len).unwrap_or(Prefix::host(address))
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.terms.flags & flag != 0
    }
}

/// All registrations.
#[derive(Debug)]
pub(super) struct Registrations {
    pub(super) tree: PrefixTree,
    slots: Arena<Registration>,
    pub(super) sets: LocatorSets,
    wheel: Box<[Slot]>,
    /// The next spoke to look at, as a tick.
    turn: Tick,
}

impl Default for Registrations {
    fn default() -> Self {
        Registrations {
            tree: PrefixTree::default(),
            slots: Arena::default(),
            sets: LocatorSets::default(),
            wheel: vec![NONE; SPOKES as usize].into(),
            turn: 0,
        }
    }
}

impl Registrations {
    /// How many registrations there are; merged ones count each.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Registration> {
        self.slots.get(slot)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Registration> {
        self.slots.get_mut(slot)
    }

    /// The holders of exactly this prefix.
    pub(super) fn holders(&self, iid: Iid, prefix: &Prefix) -> impl Iterator<Item = (Slot, &Registration)> {
        self.chain(self.tree.get(iid, prefix).unwrap_or(NONE))
    }

    /// The holders from this one on.
    pub(super) fn chain(&self, first: Slot) -> impl Iterator<Item = (Slot, &Registration)> {
        let at = |slot: Slot| self.slots.get(slot).map(|registration| (slot, registration));
        std::iter::successors(at(first), move |(_, registration)| at(registration.next))
    }

    /// Every registration.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Registration)> {
        self.slots.iter()
    }

    /// Adds a holder; its set has been acquired for it.
    pub(super) fn insert(&mut self, mut registration: Registration) -> Slot {
        let (iid, prefix) = (registration.iid, registration.prefix());
        registration.next = self.tree.get(iid, &prefix).unwrap_or(NONE);
        let slot = self.slots.insert(registration);
        self.tree.insert(iid, &prefix, slot);
        self.hang(slot, self.turn);
        slot
    }

    /// Removes a holder and gives what it had; its set has one user less.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<Registration> {
        self.unhang(slot);
        let registration = self.slots.remove(slot)?;
        let (iid, prefix) = (registration.iid, registration.prefix());
        let first = self.tree.get(iid, &prefix).unwrap_or(NONE);
        if first != slot {
            let before = self.chain(first).find(|(_, other)| other.next == slot).map(|(before, _)| before);
            if let Some(before) = before.and_then(|before| self.slots.get_mut(before)) {
                before.next = registration.next;
            }
        } else if registration.next == NONE {
            self.tree.remove(iid, &prefix);
        } else {
            self.tree.insert(iid, &prefix, registration.next);
        }
        self.sets.release(registration.set);
        Some(registration)
    }

    /// Puts a registration into the list of its deadline, or of the farthest spoke before that,
    /// but not before `earliest`.
    fn hang(&mut self, slot: Slot, earliest: Tick) {
        let Some(deadline) = self.slots.get(slot).map(|registration| registration.terms.deadline) else {
            return;
        };
        if deadline == NEVER {
            return;
        }
        let spoke = (deadline.clamp(earliest, self.turn + SPOKES - 1) % SPOKES) as usize;
        let behind = std::mem::replace(&mut self.wheel[spoke], slot);
        if let Some(registration) = self.slots.get_mut(slot) {
            // The first of a list remembers its spoke where others remember who is before them.
            (registration.before, registration.behind) = (FIRST | spoke as u32, behind);
        }
        if let Some(registration) = self.slots.get_mut(behind) {
            registration.before = slot;
        }
    }

    /// Takes a registration out of its list.
    fn unhang(&mut self, slot: Slot) {
        let Some(registration) = self.slots.get_mut(slot) else { return };
        let (before, behind) = (registration.before, registration.behind);
        (registration.before, registration.behind) = (NONE, NONE);
        if before == NONE {
            return;
        }
        if before & FIRST != 0 {
            self.wheel[(before & !FIRST) as usize] = behind;
        } else if let Some(registration) = self.slots.get_mut(before) {
            registration.behind = behind;
        }
        if let Some(registration) = self.slots.get_mut(behind) {
            registration.before = before;
        }
    }

    /// Starts the wheel at this tick; it must be empty.
    pub(super) fn start(&mut self, now: Tick) {
        self.turn = now;
    }

    /// Hangs a registration by its present deadline, when that may have come nearer.
    pub(super) fn rehang(&mut self, slot: Slot) {
        self.unhang(slot);
        self.hang(slot, self.turn);
    }

    /// Those that have expired, at most some thousands at once; they are still there.
    pub(super) fn due(&mut self, now: Tick) -> Vec<Slot> {
        // After a long sleep every spoke is looked at once.
        self.turn = self.turn.max(now.saturating_sub(SPOKES));
        let mut due = Vec::new();
        let mut looked = 0;
        while self.turn <= now {
            let spoke = (self.turn % SPOKES) as usize;
            while self.wheel[spoke] != NONE {
                if looked == MAX_DUE {
                    return due;
                }
                looked += 1;
                let slot = self.wheel[spoke];
                self.unhang(slot);
                match self.slots.get(slot) {
                    // Never on the spoke that is being looked at.
                    Some(registration) if registration.terms.deadline > now => self.hang(slot, self.turn + 1),
                    Some(_) => due.push(slot),
                    None => {}
                }
            }
            self.turn += 1;
        }
        due
    }

    /// The tick at which the wheel must be looked at next, if anything hangs there.
    pub(super) fn next_due(&self) -> Option<Tick> {
        (self.turn..self.turn + SPOKES).find(|tick| self.wheel[(tick % SPOKES) as usize] != NONE)
    }
}

/// Marks a place as the number of a spoke. There are never as many places.
const FIRST: Slot = 1 << 31;

#[cfg(test)]
#[path = "registrations/test.rs"]
mod test;
