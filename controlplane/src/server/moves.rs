//! EIDs that went from one xTR to another lately: how often, from where, and who has not acknowledged it yet.
//!
//! The last register wins at once. Until the previous holder has acknowledged the Map-Notify that told it, its
//! registers for the EID are refreshes of what it no longer has, and are ignored. A holder whose messages carry no
//! xTR-ID is of a kind that never acknowledges: it is ignored for one life of a registration.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use sterna_wire::{Iid, Prefix};

use super::locator_sets::RegisteredLocator;
use super::saves::Identity;

/// The most EIDs remembered; when more move, the oldest move is forgotten.
const MAX_MOVES: usize = 131_072;
/// The most previous holders of one EID that are waited for.
const MAX_SUPERSEDED: usize = 8;
/// The most previous locators that a new holder is told.
const MAX_PREVIOUS: usize = 16;
/// Moves looked at in one go when old ones are forgotten.
const SWEEP: usize = 256;

/// A previous holder that has not acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Superseded {
    pub(super) holder: Identity,
    /// The place of the xTR.
    pub(super) xtr: u32,
    /// Until when its registers are ignored; none: until it acknowledges.
    until: Option<Instant>,
    /// Nonce of the Map-Notify that tells it, and when that was sent last.
    pub(super) nonce: u64,
    pub(super) sent: Instant,
}

/// The moves of one EID.
#[derive(Clone, Debug, Default)]
struct Move {
    times: VecDeque<Instant>,
    frozen_until: Option<Instant>,
    previous: Vec<RegisteredLocator>,
    previous_until: Option<Instant>,
    superseded: Vec<Superseded>,
}

/// All EIDs that moved lately.
#[derive(Debug, Default)]
pub(super) struct Moves {
    by_eid: HashMap<(Iid, Prefix), Move>,
    order: VecDeque<(Instant, Iid, Prefix)>,
}

/// How moves are judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max: u32,
    pub(super) within: Duration,
}

impl Moves {
    /// Whether the EID may move now. The move beyond the limit freezes it.
    pub(super) fn may_move(&mut self, iid: Iid, eid: &Prefix, limits: Limits, now: Instant) -> bool {
        let Some(moved) = self.by_eid.get_mut(&(iid, *eid)) else { return limits.max > 0 };
        if moved.frozen_until.is_some_and(|until| now < until) {
            return false;
        }
        if moved.frozen_until.take().is_some() {
            moved.times.clear();
        }
        while moved.times.front().is_some_and(|time| now.saturating_duration_since(*time) >= limits.within) {
            moved.times.pop_front();
        }
        if moved.times.len() < limits.max as usize {
            return true;
        }
        moved.frozen_until = Some(now + limits.within);
        false
    }

    /// The EID moved, or a host of a covering prefix came to another xTR (`counts` false). Gives whether an older
    /// move had to be forgotten.
    pub(super) fn moved(
        &mut self,
        iid: Iid,
        eid: &Prefix,
        previous: &[RegisteredLocator],
        until: Instant,
        counts: bool,
        now: Instant,
    ) -> bool {
        let forgotten = self.make_room(iid, eid, until);
        let moved = self.by_eid.entry((iid, *eid)).or_default();
        if counts {
            moved.times.push_back(now);
        }
        moved.previous = previous.iter().take(MAX_PREVIOUS).copied().collect();
        moved.previous_until = Some(until);
        forgotten
    }

    fn make_room(&mut self, iid: Iid, eid: &Prefix, until: Instant) -> bool {
        if self.by_eid.contains_key(&(iid, *eid)) {
            return false;
        }
        self.order.push_back((until, iid, *eid));
        let mut forgotten = false;
        while self.by_eid.len() >= MAX_MOVES {
            let Some((_, iid, eid)) = self.order.pop_front() else { break };
            forgotten |= self.by_eid.remove(&(iid, eid)).is_some();
        }
        forgotten
    }

    /// From now on registers of this holder are ignored.
    pub(super) fn supersede(&mut self, iid: Iid, eid: &Prefix, superseded: Superseded) {
        let Some(moved) = self.by_eid.get_mut(&(iid, *eid)) else { return };
        moved.superseded.retain(|other| other.holder != superseded.holder);
        if moved.superseded.len() < MAX_SUPERSEDED {
            moved.superseded.push(superseded);
        }
    }

    /// Whether registers of this holder are ignored.
    pub(super) fn superseded(
        &mut self,
        iid: Iid,
        eid: &Prefix,
        holder: Identity,
        now: Instant,
    ) -> Option<&mut Superseded> {
        let moved = self.by_eid.get_mut(&(iid, *eid))?;
        moved.superseded.retain(|other| other.until.is_none_or(|until| now < until));
        moved.superseded.iter_mut().find(|other| other.holder == holder)
    }

    /// This holder knows, or holds the EID again.
    pub(super) fn settle(&mut self, iid: Iid, eid: &Prefix, holder: Identity) {
        if let Some(moved) = self.by_eid.get_mut(&(iid, *eid)) {
            moved.superseded.retain(|other| other.holder != holder);
        }
    }

    /// Nobody holds the EID any more: nobody is superseded.
    pub(super) fn vacated(&mut self, iid: Iid, eid: &Prefix) {
        if let Some(moved) = self.by_eid.get_mut(&(iid, *eid)) {
            moved.superseded.clear();
            moved.previous_until = None;
        }
    }

    /// The locators that the EID was reached by before, while it is useful to know.
    pub(super) fn previous(&self, iid: Iid, eid: &Prefix, now: Instant) -> &[RegisteredLocator] {
        match self.by_eid.get(&(iid, *eid)) {
            Some(moved) if moved.previous_until.is_some_and(|until| now < until) => &moved.previous,
            _ => &[],
        }
    }

    /// Whether the EID stays where it is.
    pub(super) fn is_frozen(&self, iid: Iid, eid: &Prefix, now: Instant) -> bool {
        let moved = self.by_eid.get(&(iid, *eid));
        moved.and_then(|moved| moved.frozen_until).is_some_and(|until| now < until)
    }

    /// Forgets what is no longer of use, a part of it at a time.
    pub(super) fn tick(&mut self, within: Duration, now: Instant) {
        for _ in 0..self.order.len().min(SWEEP) {
            match self.order.front() {
                Some((when, _, _)) if *when <= now => {}
                _ => return,
            }
            let Some((_, iid, eid)) = self.order.pop_front() else { return };
            let Some(moved) = self.by_eid.get_mut(&(iid, eid)) else { continue };
            moved.superseded.retain(|other| other.until.is_none_or(|until| now < until));
            let last = moved.times.back().map(|last| *last + within);
            let keep = [last, moved.frozen_until, moved.previous_until].into_iter().flatten().max();
            match keep.filter(|keep| *keep > now) {
                Some(keep) => self.order.push_back((keep, iid, eid)),
                None if !moved.superseded.is_empty() => self.order.push_back((now + within, iid, eid)),
                None => {
                    self.by_eid.remove(&(iid, eid));
                }
            }
        }
    }

    /// When `tick` has something to do.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.order.front().map(|(when, _, _)| *when)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_eid.len()
    }
}

impl Superseded {
    /// A holder that is being told by the Map-Notify of this nonce.
    pub(super) fn new(holder: Identity, xtr: u32, until: Option<Instant>, nonce: u64, sent: Instant) -> Self {
        Superseded { holder, xtr, until, nonce, sent }
    }
}
