//! At most once a second for the same EID, and more seldom when it leads to nothing.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::EidPrefix;

/// The shortest gap between two of the same EID.
const GAP: Duration = Duration::from_secs(1);
/// The gap doubles up to here while it goes on.
const GAP_MAX: Duration = Duration::from_secs(32);
/// EIDs remembered at most; the total rate limits beside it keep the work bounded when some are forgotten.
const MAX: usize = 8192;

#[derive(Clone, Copy, Debug)]
struct Pace {
    last: Instant,
    gap: Duration,
}

/// When something was last done for an EID.
#[derive(Debug)]
pub struct Paces {
    grows: bool,
    paces: BTreeMap<EidPrefix, Pace>,
    order: VecDeque<EidPrefix>,
}

impl Paces {
    /// Once a second for the same EID; with `grows`, each repetition soon after doubles the gap.
    pub fn new(grows: bool) -> Self {
        Self { grows, paces: BTreeMap::new(), order: VecDeque::new() }
    }

    /// Whether it may be done for this EID now; if so, that is remembered.
    pub fn allow(&mut self, key: EidPrefix, now: Instant) -> bool {
        let Some(pace) = self.paces.get_mut(&key) else {
            self.remember(key, now);
            return true;
        };
        let quiet = now.saturating_duration_since(pace.last);
        if quiet < pace.gap {
            return false;
        }
        // What comes soon after the gap is a repetition, what comes much later is something new.
        let repeated = self.grows && quiet < pace.gap * 2;
        *pace = Pace { last: now, gap: if repeated { GAP_MAX.min(pace.gap * 2) } else { GAP } };
        true
    }

    /// It led to something: the next may come after the shortest gap.
    pub fn reset(&mut self, key: EidPrefix) {
        if let Some(pace) = self.paces.get_mut(&key) {
            pace.gap = GAP;
        }
    }

    fn remember(&mut self, key: EidPrefix, now: Instant) {
        if self.order.len() >= MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.paces.remove(&oldest);
        }
        self.paces.insert(key, Pace { last: now, gap: GAP });
        self.order.push_back(key);
    }
}

#[cfg(test)]
mod tests {
    use sterna_wire::{Iid, Prefix};

    use super::*;

    fn key(number: u32) -> EidPrefix {
        (Iid::DEFAULT, Prefix::host(number.to_be_bytes().into()))
    }

    fn granted(paces: &mut Paces, start: Instant, millis: impl Iterator<Item = u64>) -> Vec<u64> {
        millis.filter(|at| paces.allow(key(1), start + Duration::from_millis(*at))).collect()
    }

    #[test]
    fn once_a_second() {
        let mut paces = Paces::new(false);
        let got = granted(&mut paces, Instant::now(), (0..=3000).step_by(250));
        assert_eq!(got, vec![0, 1000, 2000, 3000]);
    }

    #[test]
    fn a_flood_becomes_seldom_and_quiet_makes_it_new() {
        let mut paces = Paces::new(true);
        let start = Instant::now();
        let got = granted(&mut paces, start, (0..=100_000).step_by(100));
        assert_eq!(got, vec![0, 1000, 3000, 7000, 15_000, 31_000, 63_000, 95_000]);
        assert_eq!(
            granted(&mut paces, start, [200_000, 201_000, 202_000].into_iter()),
            vec![200_000, 201_000]
        );
    }

    #[test]
    fn success_makes_the_gap_short_again() {
        let mut paces = Paces::new(true);
        let start = Instant::now();
        granted(&mut paces, start, (0..=3000).step_by(100));
        paces.reset(key(1));
        assert!(paces.allow(key(1), start + Duration::from_millis(4000)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut paces = Paces::new(true);
        let now = Instant::now();
        for number in 0..100_000 {
            assert!(paces.allow(key(number), now));
        }
        assert_eq!((paces.paces.len(), paces.order.len()), (MAX, MAX));
        assert!(!paces.allow(key(99_999), now));
    }
}
