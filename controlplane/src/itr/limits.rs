//! Token buckets.

use std::time::{Duration, Instant};

use super::settings::Rate;

/// One token in billionths.
const TOKEN: u64 = 1_000_000_000;

/// A token bucket; it starts full.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate: Rate,
    credit: u64,
    at: Option<Instant>,
}

impl Bucket {
    /// A full bucket.
    pub fn new(rate: Rate) -> Self {
        Self { rate, credit: u64::from(rate.burst) * TOKEN, at: None }
    }

    /// Sets another rate; what was saved stays, up to the new burst.
    pub fn set_rate(&mut self, rate: Rate) {
        self.rate = rate;
        self.credit = self.credit.min(u64::from(rate.burst) * TOKEN);
    }

    /// Whether there is a token now.
    pub fn has_token(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.credit >= TOKEN
    }

    /// Takes a token if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        let granted = self.has_token(now);
        if granted {
            self.credit -= TOKEN;
        }
        granted
    }

    /// When there will be a token; never, if the rate is 0 and the bucket empty.
    pub fn ready_at(&self, now: Instant) -> Option<Instant> {
        let since = self.at.unwrap_or(now);
        if self.credit >= TOKEN {
            return Some(since);
        }
        let wait = (TOKEN - self.credit).div_ceil(u64::from(self.rate.per_second).max(1));
        (self.rate.per_second > 0).then(|| since + Duration::from_nanos(wait))
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(*self.at.get_or_insert(now));
        let gained = elapsed.as_nanos().saturating_mul(u128::from(self.rate.per_second));
        let full = u64::from(self.rate.burst) * TOKEN;
        self.credit = full.min(self.credit.saturating_add(u64::try_from(gained).unwrap_or(u64::MAX)));
        self.at = self.at.max(Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket() -> Bucket {
        Bucket::new(Rate { per_second: 10, burst: 3 })
    }

    #[test]
    fn a_burst_is_granted_at_once_then_the_rate_holds() {
        let (mut bucket, start) = (bucket(), Instant::now());
        assert_eq!((0..5).filter(|_| bucket.take(start)).count(), 3);
        assert_eq!(bucket.ready_at(start), Some(start + Duration::from_millis(100)));
        assert!(!bucket.take(start + Duration::from_millis(99)));
        assert!(bucket.take(start + Duration::from_millis(100)));
        assert!(!bucket.take(start + Duration::from_millis(100)));
    }

    #[test]
    fn a_long_pause_saves_no_more_than_the_burst() {
        let (mut bucket, start) = (bucket(), Instant::now());
        assert!(bucket.take(start));
        let day = start + Duration::from_secs(86_400);
        assert_eq!((0..100).filter(|_| bucket.take(day)).count(), 3);
    }

    #[test]
    fn an_earlier_time_gives_nothing() {
        let (mut bucket, start) = (bucket(), Instant::now());
        let later = start + Duration::from_secs(5);
        while bucket.take(later) {}
        assert!(!bucket.take(start));
        assert!(!bucket.take(later), "going back and forth makes no tokens");
    }

    #[test]
    fn rate_zero_gives_the_burst_only() {
        let mut bucket = Bucket::new(Rate { per_second: 0, burst: 1 });
        let now = Instant::now();
        assert!(bucket.take(now));
        assert!(!bucket.take(now + Duration::from_secs(1000)));
        assert_eq!(bucket.ready_at(now), None);
    }

    #[test]
    fn a_lower_burst_cuts_what_was_saved() {
        let (mut bucket, now) = (bucket(), Instant::now());
        bucket.set_rate(Rate { per_second: 10, burst: 1 });
        assert_eq!((0..5).filter(|_| bucket.take(now)).count(), 1);
    }
}
