//! Rates: how much one source, and how much all sources together, may make us do.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// So many per second, with a burst of a quarter of a second's worth, at least 16.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    per_second: u32,
    /// Thousandths of what may be taken now.
    tokens: u64,
    filled: Option<Instant>,
}

/// Least burst: a gateway that starts asks for several things at once.
const MIN_BURST: u32 = 16;
const THOUSANDTHS: u64 = 1000;

fn burst(per_second: u32) -> u64 {
    u64::from((per_second / 4).max(MIN_BURST)) * THOUSANDTHS
}

impl Rate {
    pub(super) fn new(per_second: u32) -> Rate {
        Rate { per_second, tokens: burst(per_second), filled: None }
    }

    /// Changes the rate and keeps what was taken.
    pub(super) fn set(&mut self, per_second: u32) {
        self.per_second = per_second;
        self.tokens = self.tokens.min(burst(per_second));
    }

    fn fill(&mut self, now: Instant) {
        let since = self.filled.map_or(Duration::ZERO, |filled| now.saturating_duration_since(filled));
        // Counted in whole milliseconds, so that nothing is lost by rounding however often this is called.
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).min(60_000);
        if self.filled.is_none() || millis > 0 {
            self.filled = Some(self.filled.map_or(now, |filled| match millis {
                60_000 => now,
                _ => filled + Duration::from_millis(millis),
            }));
        }
        self.tokens = (self.tokens + millis * u64::from(self.per_second)).min(burst(self.per_second));
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.take_many(1, now)
    }

    /// Takes so many, if there are as many or the bucket is full.
    pub(super) fn take_many(&mut self, count: u32, now: Instant) -> bool {
        self.fill(now);
        let wanted = u64::from(count) * THOUSANDTHS;
        if self.tokens < wanted.min(burst(self.per_second)) {
            return false;
        }
        self.tokens = self.tokens.saturating_sub(wanted);
        true
    }

    /// When one can be taken.
    pub(super) fn next(&self, now: Instant) -> Instant {
        let missing = THOUSANDTHS.saturating_sub(self.tokens);
        now + Duration::from_millis(missing.div_ceil(u64::from(self.per_second.max(1))))
    }
}

/// A rate for each source address. Sources share a fixed number of places by a keyed hash, so neither memory nor
/// work grows with forged sources, and nobody can choose whom to share a place with.
#[derive(Debug)]
pub(super) struct SourceRates {
    per_second: u32,
    places: Box<[Place]>,
    hash: RandomState,
    epoch: Option<Instant>,
}

/// Tokens and the millisecond since `epoch` at which they were counted.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    tokens: u32,
    filled: u32,
}

const PLACES: usize = 16_384;

impl SourceRates {
    pub(super) fn new(per_second: u32) -> SourceRates {
        SourceRates {
            per_second,
            places: vec![Place::default(); PLACES].into(),
            hash: RandomState::new(),
            epoch: None,
        }
    }

    pub(super) fn set(&mut self, per_second: u32) {
        self.per_second = per_second;
    }

    /// Takes one for this source, if there is one.
    pub(super) fn take(&mut self, source: IpAddr, now: Instant) -> bool {
        let epoch = *self.epoch.get_or_insert(now);
        // One later, because 0 is a place never used. It wraps after 49 days, which gives or takes one burst.
        let millis = (now.saturating_duration_since(epoch).as_millis() as u32).wrapping_add(1).max(1);
        let full = burst(self.per_second).min(u64::from(u32::MAX));
        let place = &mut self.places[self.hash.hash_one(source) as usize % PLACES];
        let gained = u64::from(millis.wrapping_sub(place.filled)) * u64::from(self.per_second);
        let tokens = if place.filled == 0 { full } else { (u64::from(place.tokens) + gained).min(full) };
        place.filled = millis;
        let granted = tokens >= THOUSANDTHS;
        place.tokens = (tokens - if granted { THOUSANDTHS } else { 0 }) as u32;
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_gives_its_burst_and_then_so_many_per_second() {
        let start = Instant::now();
        let mut rate = Rate::new(100);
        let taken = |rate: &mut Rate, now| (0..1000).filter(|_| rate.take(now)).count();
        assert_eq!(taken(&mut rate, start), 25);
        assert!(rate.next(start) > start && rate.next(start) <= start + Duration::from_millis(10));
        let total: usize = (1..=1000).map(|ms| taken(&mut rate, start + Duration::from_millis(ms))).sum();
        assert_eq!(total, 100);
        assert_eq!(taken(&mut rate, start + Duration::from_secs(86_400)), 25);
        assert!(Rate::new(100).take_many(1000, start), "more than a burst passes when the bucket is full");
    }

    #[test]
    fn parts_of_milliseconds_are_not_lost() {
        let start = Instant::now();
        let mut rate = Rate::new(1000);
        while rate.take(start) {}
        let step = Duration::from_micros(300);
        let total = (1..=10_000u32).filter(|n| rate.take(start + step * *n)).count();
        assert_eq!(total, 3000);
    }

    #[test]
    fn one_source_cannot_use_up_what_another_may_take() {
        let start = Instant::now();
        let mut rates = SourceRates::new(100);
        let (greedy, modest) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert_eq!((0..1000).filter(|_| rates.take(greedy, start)).count(), 25);
        assert!(rates.take(modest, start), "or both share a place, once in 16384 runs");
        let later = start + Duration::from_secs(1);
        assert_eq!((0..1000).filter(|_| rates.take(greedy, later)).count(), 25);
    }
}
