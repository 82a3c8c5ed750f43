//! A bottleneck: frames leave one after the other at a rate, and those that find its queue full are lost.

use std::time::Duration;

use super::impairment::Rate;

const BITS: u128 = 8;
const SECOND_NS: u128 = 1_000_000_000;

/// When the bottleneck has sent all that was given to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bottleneck {
    free: Duration,
}

impl Bottleneck {
    /// When a frame of so many bytes that comes now is through; none when the queue is full.
    pub fn through(&mut self, rate: Rate, now: Duration, bytes: usize) -> Option<Duration> {
        let begins = self.free.max(now);
        if begins - now > rate.queue {
            return None;
        }
        let takes = bytes as u128 * BITS * SECOND_NS / u128::from(rate.bits_s.max(1));
        self.free = begins + Duration::from_nanos(u64::try_from(takes).unwrap_or(u64::MAX >> 1));
        Some(self.free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { bits_s: 8_000_000, queue: Duration::from_millis(10) };

    #[test]
    fn frames_leave_at_the_rate_and_the_queue_is_bounded() {
        let mut link = Bottleneck::default();
        let now = Duration::from_secs(5);
        // 1000 bytes take 1 ms: one is being sent, ten wait, and a rounding one.
        let through: Vec<_> = (0..20).filter_map(|_| link.through(RATE, now, 1000)).collect();
        assert_eq!(through.len(), 11);
        assert_eq!(through[0], now + Duration::from_millis(1));
        assert_eq!(through[10], now + Duration::from_millis(11));
        // When it is empty again the past does not matter.
        let later = now + Duration::from_secs(1);
        assert_eq!(link.through(RATE, later, 500), Some(later + Duration::from_micros(500)));
    }
}
