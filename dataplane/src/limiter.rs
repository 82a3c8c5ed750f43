//! How many ICMP errors we may send: one a second per (source, destination), and so many in all. Questions and
//! reports about one host are limited in the same way.
//!
//! RFC 1812 section 4.3.2.8 and RFC 4443 section 2.4 (f) ask for a limit.
//! The limit per pair keeps one flow from being answered packet by packet; the limit in all keeps a scan
//! over many addresses from turning the gateway into a source of traffic.

/// Nanoseconds between two errors for one pair.
const PAIR_INTERVAL_NS: u64 = 1_000_000_000;
/// Errors a second in all. A thousand 576-byte errors are under 5 Mbit/s, yet tell as many hosts a second of
/// a smaller MTU.
const DEFAULT_PER_SECOND: u32 = 1_000;
/// The share of a second's errors that may go out at once, so that a changed path is told to a burst of
/// flows without delay.
const BURST_SHARE: u32 = 10;

/// A direct-mapped table of when each pair was last answered, and a token bucket over all.
///
/// Pairs that fall on one place share its second: an error too few is harmless, one too many is not.
/// The places are a multiple of what the bucket lets through in a second, so that sharing is rare.
pub struct PairLimiter {
    /// When this place may be answered again, in nanoseconds; its number is a power of two.
    not_before_ns: Box<[u64]>,
    /// Nanoseconds between two errors for one pair.
    interval_ns: u64,
    /// Nanoseconds that one error costs.
    cost_ns: u64,
    /// Nanoseconds the bucket may be behind: its depth.
    depth_ns: u64,
    /// When the bucket is full again.
    full_at_ns: u64,
}

impl PairLimiter {
    /// A limiter with this many places (rounded up to a power of two) and 1,000 errors a second in all.
    pub fn new(entries: usize) -> PairLimiter {
        Self::with_rate(entries, DEFAULT_PER_SECOND)
    }

    /// The same with another time between two for one pair, ns.
    pub fn every(interval_ns: u64, entries: usize) -> PairLimiter {
        PairLimiter { interval_ns, ..Self::new(entries) }
    }

    /// A limiter with this many places and errors a second in all; a rate of zero allows nothing.
    pub fn with_rate(entries: usize, per_second: u32) -> PairLimiter {
        let cost_ns = 1_000_000_000u64.checked_div(per_second.into()).unwrap_or(u64::MAX);
        // A rate of zero costs more than the bucket can ever hold.
        let burst = u64::from((per_second / BURST_SHARE).max(1)).min(u64::from(per_second));
        PairLimiter {
            not_before_ns: vec![0; entries.max(1).next_power_of_two()].into_boxed_slice(),
            interval_ns: PAIR_INTERVAL_NS,
            cost_ns,
            depth_ns: cost_ns * burst,
            full_at_ns: 0,
        }
    }

    /// Whether an error about this pair may be sent now; if so, it counts as sent.
    /// `pair` is a hash of source and destination.
    pub fn allow(&mut self, pair: u64, now_ns: u64) -> bool {
        // Multiplied, because the caller's hash may be strong in other bits than the low ones.
        let place =
            (pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (self.not_before_ns.len() - 1);
        let full_at_ns = self.full_at_ns.max(now_ns).saturating_add(self.cost_ns);
        if now_ns < self.not_before_ns[place] || full_at_ns - now_ns > self.depth_ns {
            return false;
        }
        self.not_before_ns[place] = now_ns.saturating_add(self.interval_ns);
        self.full_at_ns = full_at_ns;
        true
    }
}

#[cfg(test)]
mod test {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_pair_once_a_second() {
        let mut limiter = PairLimiter::new(1024);
        assert!(limiter.allow(1, 0));
        assert!(!limiter.allow(1, 1) && !limiter.allow(1, SECOND - 1));
        assert!(limiter.allow(2, 1), "another pair");
        assert!(limiter.allow(1, SECOND));
        assert!(!limiter.allow(1, 2 * SECOND - 1));
    }

    #[test]
    fn the_sum_keeps_its_rate_after_the_first_burst() {
        let mut limiter = PairLimiter::new(1 << 20);
        let sent = |limiter: &mut PairLimiter, from, until, pairs: u64| {
            let pair = |n| from + n;
            (0..pairs).filter(|n| limiter.allow(pair(*n), from + (until - from) * n / pairs)).count()
        };
        assert_eq!(sent(&mut limiter, 0, 1, 10_000), 100);
        let second = sent(&mut limiter, 10 * SECOND, 11 * SECOND, 100_000);
        assert!((1000..=1100).contains(&second), "{second}");
        assert_eq!(sent(&mut limiter, 100 * SECOND, 100 * SECOND + 1, 10_000), 100, "refilled, not beyond");
    }

    #[test]
    fn a_refusal_costs_nothing() {
        let mut limiter = PairLimiter::with_rate(1024, 10);
        assert!(limiter.allow(1, 0), "the whole bucket");
        assert!(!limiter.allow(2, 0));
        assert!(limiter.allow(2, SECOND / 10), "the pair that the bucket refused is not marked");
        assert!(!limiter.allow(2, SECOND / 5), "the pair that was answered is");
        assert!(limiter.allow(3, SECOND / 5));
    }

    #[test]
    fn another_interval() {
        let mut limiter = PairLimiter::every(SECOND / 2, 1024);
        assert!(limiter.allow(1, 0) && !limiter.allow(1, SECOND / 2 - 1) && limiter.allow(1, SECOND / 2));
    }

    #[test]
    fn edges() {
        let mut limiter = PairLimiter::new(0);
        assert!(limiter.allow(u64::MAX, u64::MAX - 2 * SECOND));
        assert!(!limiter.allow(0, u64::MAX - 2 * SECOND), "one place for all");
        assert!(!limiter.allow(0, 5), "a clock that stepped back");
        let mut limiter = PairLimiter::with_rate(16, 0);
        assert!(!limiter.allow(1, SECOND) && !limiter.allow(1, 100 * SECOND));
    }
}
