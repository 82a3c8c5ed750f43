//! Rate limits: so many a second, with a tenth of that at once after quiet.

use std::time::{Duration, Instant};

/// A rate in events per second. When the next event is due, at an even pace, stands with whoever is limited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    interval: Duration,
    burst: Duration,
}

impl Rate {
    pub(crate) fn of(per_second: u32) -> Self {
        let per_second = per_second.max(1);
        let interval = Duration::from_secs(1) / per_second;
        Self { interval, burst: interval * (per_second / 10).max(1) }
    }

    /// Whether an event is allowed now. `due` is when the next one would be, at an even pace.
    pub(crate) fn allow(self, due: &mut Instant, now: Instant) -> bool {
        let next = (*due).max(now);
        if next.duration_since(now) >= self.burst {
            return false;
        }
        *due = next + self.interval;
        true
    }
}

/// A limit for all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    rate: Rate,
    due: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { rate: Rate::of(per_second), due: None }
    }

    /// Whether one is allowed now; it is then used up.
    pub(crate) fn allow(&mut self, now: Instant) -> bool {
        self.rate.allow(self.due.get_or_insert(now), now)
    }

    /// When the next one is allowed.
    pub(crate) fn next(&self, now: Instant) -> Instant {
        let free = |due: Instant| (due + Duration::from_nanos(1)).checked_sub(self.rate.burst);
        self.due.and_then(free).map_or(now, |free| free.max(now))
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_tenth_at_once_and_then_an_even_pace() {
        let (mut pace, start) = (Pace::new(100), Instant::now());
        let mut told = |at: Instant| (0..50).filter(|_| pace.allow(at)).count();
        assert_eq!((told(start), told(start + Duration::from_millis(30))), (10, 3));
    }

    #[test]
    fn what_is_announced_as_allowed_is_allowed_and_no_sooner() {
        let (mut pace, start) = (Pace::new(1000), Instant::now());
        while pace.allow(start) {}
        let next = pace.next(start);
        assert!(next > start && !pace.allow(next - Duration::from_nanos(2)) && pace.allow(next));
    }
}
