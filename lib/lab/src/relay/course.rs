//! The course that a frame takes over a rough link: decided by the knobs, the time and the seed, and by nothing else.

use std::time::Duration;

use super::dice::Dice;
use super::fate::Cause;
use super::flap;
use super::impairment::Impairment;
use super::jitter;
use super::loss::Losing;
use super::pace::Bottleneck;

/// What one frame is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing any more.
    Gone(Cause),
    /// To go on.
    Goes {
        /// When, on the direction's clock.
        due: Duration,
        /// By which chance a bit of it is turned over, if one is.
        strike: Option<u64>,
        /// Whether a second copy goes with it.
        twice: bool,
    },
}

/// What a direction remembers from frame to frame.
#[derive(Clone, Debug, Default)]
pub struct Course {
    dice: Dice,
    losing: Losing,
    bottleneck: Bottleneck,
    /// Since when it flaps.
    since: Duration,
    /// When the last frame in order is due.
    last: Duration,
}

impl Course {
    /// A course that the seed decides.
    pub fn new(seed: u64) -> Self {
        Self { dice: Dice(seed), ..Self::default() }
    }

    /// The link begins to flap, up.
    pub fn begin(&mut self, now: Duration) {
        self.since = now;
    }

    /// Decides about a frame of so many bytes that comes now.
    pub fn decide(&mut self, knobs: &Impairment, now: Duration, bytes: usize) -> Decision {
        if knobs.flap.is_some_and(|flap| flap::is_down(flap, now.saturating_sub(self.since))) {
            return Decision::Gone(Cause::Flapped);
        }
        let through = match knobs.rate {
            None => now,
            Some(rate) => match self.bottleneck.through(rate, now, bytes) {
                Some(through) => through,
                None => return Decision::Gone(Cause::Choked),
            },
        };
        if self.losing.takes(knobs.loss, &mut self.dice) {
            return Decision::Gone(Cause::Lost);
        }
        let wait = knobs.delay_us + jitter::wait_us(knobs.jitter_us, &mut self.dice);
        // What waits longer makes those behind it wait, as in a queue.
        let mut due = (through + Duration::from_micros(wait)).max(self.last);
        if self.dice.happens(knobs.reorder_ppm) {
            due += Duration::from_micros(knobs.reorder_us);
        } else {
            self.last = due;
        }
        let strike = self.dice.happens(knobs.corrupt_ppm).then(|| self.dice.number());
        Decision::Goes { due, strike, twice: self.dice.happens(knobs.duplicate_ppm) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::impairment::{Flap, Loss, Rate};
    use super::*;

    const STEP: Duration = Duration::from_micros(500);

    fn decisions(knobs: &Impairment, seed: u64, count: u32) -> Vec<Decision> {
        let mut course = Course::new(seed);
        course.begin(Duration::ZERO);
        (0..count).map(|n| course.decide(knobs, STEP * n, 250)).collect()
    }

    fn dues(decisions: &[Decision]) -> Vec<Duration> {
        let due = |decision: &Decision| match decision {
            Decision::Goes { due, .. } => Some(*due),
            Decision::Gone(_) => None,
        };
        decisions.iter().filter_map(due).collect()
    }

    #[test]
    fn without_knobs_it_is_a_wire() {
        for (n, decision) in (0..).zip(decisions(&Impairment::default(), 1, 100)) {
            assert_eq!(decision, Decision::Goes { due: STEP * n, strike: None, twice: false });
        }
    }

    #[test]
    fn the_seed_decides_everything() {
        let knobs = Impairment {
            delay_us: 10_000,
            jitter_us: 5000,
            loss: Loss { ppm: 20_000, burst: 3 },
            reorder_ppm: 10_000,
            reorder_us: 2000,
            duplicate_ppm: 5000,
            corrupt_ppm: 5000,
            rate: Some(Rate { bits_s: 10_000_000, queue: Duration::from_millis(20) }),
            flap: Some(Flap { every: Duration::from_secs(1), down: Duration::from_millis(20) }),
        };
        assert_eq!(decisions(&knobs, 7, 10_000), decisions(&knobs, 7, 10_000));
        assert_ne!(decisions(&knobs, 7, 10_000), decisions(&knobs, 8, 10_000));
    }

    #[test]
    fn jitter_alone_keeps_the_order_and_reordering_changes_it() {
        let mut knobs = Impairment { delay_us: 1000, jitter_us: 8000, ..Impairment::default() };
        let due = dues(&decisions(&knobs, 3, 5000));
        assert!(due.is_sorted());
        assert!((0..).zip(&due).all(|(n, due)| *due >= STEP * n + Duration::from_millis(1)));
        (knobs.jitter_us, knobs.reorder_ppm, knobs.reorder_us) = (0, 20_000, 3000);
        let due = dues(&decisions(&knobs, 3, 5000));
        let held = (0..).zip(&due).filter(|(n, due)| **due > STEP * *n + Duration::from_millis(1)).count();
        assert!(!due.is_sorted() && (70..130).contains(&held), "{held}");
    }

    #[test]
    fn each_loss_has_its_cause() {
        let mut knobs = Impairment {
            flap: Some(Flap { every: Duration::from_millis(100), down: Duration::from_millis(25) }),
            ..Impairment::default()
        };
        let count = |knobs: &Impairment, cause| {
            decisions(knobs, 5, 2000).iter().filter(|d| **d == Decision::Gone(cause)).count()
        };
        assert_eq!(count(&knobs, Cause::Flapped), 500);
        // 250 bytes every 500 us are 4 Mbit/s: half of them fit.
        knobs.flap = None;
        knobs.rate = Some(Rate { bits_s: 2_000_000, queue: Duration::from_millis(5) });
        let choked = count(&knobs, Cause::Choked);
        assert!((980..1000).contains(&choked), "{choked}");
        knobs.rate = None;
        knobs.loss = Loss { ppm: 100_000, burst: 1 };
        assert!((150..250).contains(&count(&knobs, Cause::Lost)));
    }
}
