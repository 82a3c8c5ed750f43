//! So many a second, with a tenth of that at once after quiet.

use std::time::{Duration, Instant};

/// A rate limit that can say when it allows the next one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    interval: Duration,
    burst: Duration,
    /// When the next one would come at an even pace.
    due: Option<Instant>,
}

impl Pace {
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = per_second.max(1);
        let interval = Duration::from_secs(1) / per_second;
        Self { interval, burst: interval * (per_second / 10).max(1), due: None }
    }

    /// Whether one is allowed now; it is then used up.
    pub(super) fn allow(&mut self, now: Instant) -> bool {
        let due = self.due.unwrap_or(now).max(now);
        if due.duration_since(now) >= self.burst {
            return false;
        }
        self.due = Some(due + self.interval);
        true
    }

    /// When the next one is allowed.
    pub(super) fn next(&self, now: Instant) -> Instant {
        let free = |due: Instant| (due + Duration::from_nanos(1)).checked_sub(self.burst);
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
