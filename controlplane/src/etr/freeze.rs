//! What keeps an EID from being claimed again and again: a pause after each refusal, and a freeze after too many moves.
//!
//! Only claims by detection are restrained. An attach by the API is an order, and lifts both.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::agents::Eid;
use super::counters::Counter;
use super::settings::{Limits, Timers};

/// What is remembered of one EID.
#[derive(Debug, Default)]
struct Past {
    /// Its moves to here by detection, the last ones.
    moves: Vec<Instant>,
    frozen_until: Option<Instant>,
    not_before: Option<Instant>,
}

/// The EIDs that are restrained.
#[derive(Debug)]
pub(super) struct Restraints {
    table: BTreeMap<Eid, Past>,
    swept: Option<Instant>,
}

/// The least time between two searches for what can be forgotten.
const SWEEP: Duration = Duration::from_secs(1);

impl Restraints {
    pub(super) fn new() -> Self {
        Self { table: BTreeMap::new(), swept: None }
    }

    /// Whether an EID may be claimed now; else the counter that says why not.
    pub(super) fn judge(
        &mut self,
        eid: &Eid,
        timers: &Timers,
        limits: &Limits,
        now: Instant,
    ) -> Result<(), Counter> {
        let Some(past) = self.table.get_mut(eid) else { return Ok(()) };
        if past.frozen_until.is_some_and(|until| now < until) {
            return Err(Counter::ClaimsFrozen);
        }
        past.moves.retain(|at| now.duration_since(*at) < timers.freeze_within);
        if past.moves.len() >= limits.freeze_moves {
            past.frozen_until = Some(now + timers.freeze_for);
            past.moves.clear();
            return Err(Counter::ClaimsFrozen);
        }
        match past.not_before {
            Some(at) if now < at => Err(Counter::ClaimsTooSoon),
            _ => Ok(()),
        }
    }

    /// The EID moved here by detection.
    pub(super) fn moved(&mut self, eid: Eid, timers: &Timers, limits: &Limits, now: Instant) {
        if let Some(past) = self.past(eid, timers, limits, now) {
            past.moves.push(now);
        }
    }

    /// A claim was refused: none again for this long.
    pub(super) fn refused(
        &mut self,
        eid: Eid,
        pause: Duration,
        timers: &Timers,
        limits: &Limits,
        now: Instant,
    ) {
        if let Some(past) = self.past(eid, timers, limits, now) {
            past.not_before = Some(now + pause);
        }
    }

    /// The EID was refused for a reason that holds no longer: a pause ends at this time at the latest.
    pub(super) fn relax(&mut self, eid: &Eid, at: Instant) {
        if let Some(past) = self.table.get_mut(eid) {
            past.not_before = past.not_before.map(|not_before| not_before.min(at));
        }
    }

    /// An order of the API lifts everything.
    pub(super) fn lift(&mut self, eid: &Eid) {
        self.table.remove(eid);
    }

    /// The EID's past, unless too many are remembered; then the rate of all claims is what limits them.
    fn past(&mut self, eid: Eid, timers: &Timers, limits: &Limits, now: Instant) -> Option<&mut Past> {
        if self.table.len() >= limits.agents && !self.table.contains_key(&eid) {
            self.sweep(timers, now);
            if self.table.len() >= limits.agents {
                return None;
            }
        }
        Some(self.table.entry(eid).or_default())
    }

    fn sweep(&mut self, timers: &Timers, now: Instant) {
        if self.swept.is_some_and(|swept| now.duration_since(swept) < SWEEP) {
            return;
        }
        self.swept = Some(now);
        self.table.retain(|_, past| {
            past.frozen_until.is_some_and(|until| now < until)
                || past.not_before.is_some_and(|at| now < at)
                || past.moves.iter().any(|at| now.duration_since(*at) < timers.freeze_within)
        });
    }
}

#[cfg(test)]
mod tests {
    use sterna_wire::Iid;

    use super::*;

    fn eid(n: u8) -> Eid {
        (Iid::DEFAULT, [10, 1, 0, n].into())
    }

    #[test]
    fn the_sixth_move_within_three_minutes_freezes_for_three_minutes() {
        let (timers, limits, start) = (Timers::default(), Limits::default(), Instant::now());
        let mut restraints = Restraints::new();
        for n in 0..5 {
            let now = start + Duration::from_secs(n * 10);
            assert_eq!(restraints.judge(&eid(1), &timers, &limits, now), Ok(()));
            restraints.moved(eid(1), &timers, &limits, now);
        }
        let frozen = start + Duration::from_secs(60);
        for seconds in [60, 61, 239] {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(restraints.judge(&eid(1), &timers, &limits, now), Err(Counter::ClaimsFrozen));
        }
        assert_eq!(restraints.judge(&eid(2), &timers, &limits, frozen), Ok(()));
        let over = frozen + timers.freeze_for;
        assert_eq!(restraints.judge(&eid(1), &timers, &limits, over), Ok(()));
    }

    #[test]
    fn slow_moves_never_freeze() {
        let (timers, limits, start) = (Timers::default(), Limits::default(), Instant::now());
        let mut restraints = Restraints::new();
        for n in 0..50 {
            let now = start + Duration::from_secs(n * 37);
            assert_eq!(restraints.judge(&eid(1), &timers, &limits, now), Ok(()), "move {n}");
            restraints.moved(eid(1), &timers, &limits, now);
        }
    }

    #[test]
    fn a_refusal_pauses_and_an_order_lifts_it() {
        let (timers, limits, now) = (Timers::default(), Limits::default(), Instant::now());
        let mut restraints = Restraints::new();
        restraints.refused(eid(1), timers.claim_again, &timers, &limits, now);
        assert_eq!(restraints.judge(&eid(1), &timers, &limits, now), Err(Counter::ClaimsTooSoon));
        assert_eq!(restraints.judge(&eid(1), &timers, &limits, now + timers.claim_again), Ok(()));
        restraints.lift(&eid(1));
        assert_eq!(restraints.judge(&eid(1), &timers, &limits, now), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_what_is_over_is_forgotten() {
        let (timers, now) = (Timers::default(), Instant::now());
        let limits = Limits { agents: 3, ..Limits::default() };
        let mut restraints = Restraints::new();
        for n in 0..200 {
            restraints.refused(eid(n), timers.claim_again, &timers, &limits, now);
        }
        assert_eq!(restraints.table.len(), 3);
        restraints.refused(eid(9), timers.claim_again, &timers, &limits, now + Duration::from_secs(5));
        assert_eq!(restraints.table.len(), 1);
    }
}
