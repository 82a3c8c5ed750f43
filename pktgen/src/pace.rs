//! When each packet is due.
//!
//! The schedule is open-loop: it follows from the rate and the time alone, never from what the port took or what
//! came back. Who is late sends at once what has become due, and the latency counts from when it was due.

use crate::clock::SECOND_NS;

/// One worker's part of a schedule.
///
/// Bursts are dealt out in turn: of `workers` workers, worker `w` sends bursts `w`, `w + workers`, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    start_ns: u64,
    rate: Option<u64>,
    burst: u64,
    worker: u64,
    workers: u64,
}

impl Schedule {
    /// The part of a worker below `workers`. `rate` is packets per second of all workers together, `None` means
    /// always due; `burst` packets, at least 1, are due at the same moment.
    pub fn new(start_ns: u64, rate: Option<u64>, burst: u64, worker: u32, workers: u32) -> Self {
        let rate = rate.map(|rate| rate.max(1));
        Self { start_ns, rate, burst: burst.max(1), worker: worker.into(), workers: workers.max(1).into() }
    }

    /// When this worker's packet `n`, from 0, is due; `None` without a rate: whenever it is sent.
    #[inline]
    pub fn due_ns(&self, n: u64) -> Option<u64> {
        let rate = u128::from(self.rate?);
        let burst = u128::from(n / self.burst) * u128::from(self.workers) + u128::from(self.worker);
        let after = burst * u128::from(self.burst) * u128::from(SECOND_NS) / rate;
        Some(self.start_ns.saturating_add(u64::try_from(after).unwrap_or(u64::MAX)))
    }

    /// How many packets, from packet `next` on, are due now; at most `most`.
    #[inline]
    pub fn due(&self, next: u64, now_ns: u64, most: usize) -> usize {
        if self.rate.is_none() {
            return if now_ns >= self.start_ns { most } else { 0 };
        }
        let is_due = |n: &usize| self.due_ns(next + *n as u64).is_some_and(|due| due <= now_ns);
        (0..most).take_while(is_due).count()
    }

    /// How many packets are due before a moment, from the start on; `None` without a rate.
    pub fn due_before(&self, end_ns: u64) -> Option<u64> {
        let due = |n: u64| self.due_ns(n).is_some_and(|due| due < end_ns);
        self.rate?;
        let (mut low, mut high) = (0, 1);
        while due(high - 1) {
            low = high;
            high = high.saturating_mul(2);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if due(middle) { low = middle + 1 } else { high = middle }
        }
        Some(low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, Manual};
    use proptest::prelude::*;

    /// Runs a schedule against a clock whose reader looks at `moments`, taking at most 64 a time.
    fn follow(schedule: &Schedule, moments: &[u64]) -> Vec<(u64, u64)> {
        let clock = Manual::default();
        let (mut next, mut sent) = (0, Vec::new());
        for &moment in moments {
            clock.set(moment);
            let now = (&clock).now_ns();
            for _ in 0..schedule.due(next, now, 64) {
                sent.push((schedule.due_ns(next).unwrap_or(now), now));
                next += 1;
            }
        }
        sent
    }

    #[test]
    fn one_packet_a_second_comes_each_second() {
        let schedule = Schedule::new(500, Some(1), 1, 0, 1);
        let sent = follow(&schedule, &[499, 500, SECOND_NS + 499, SECOND_NS + 500]);
        assert_eq!(sent, [(500, 500), (SECOND_NS + 500, SECOND_NS + 500)]);
    }

    #[test]
    fn a_stall_changes_neither_the_count_nor_when_packets_were_due() {
        let schedule = Schedule::new(0, Some(1_000_000), 1, 0, 1);
        let even: Vec<u64> = (0..=1_000).map(|ms| ms * 1_000).collect();
        // The same millisecond, but nobody looks until its end.
        let stalled = vec![1_000_000; 20];
        let due = |sent: Vec<(u64, u64)>| sent.into_iter().map(|(due, _)| due).collect::<Vec<_>>();
        let expected: Vec<u64> = (0..=1_000).map(|n| n * 1_000).collect();
        assert_eq!(due(follow(&schedule, &even)), expected);
        assert_eq!(due(follow(&schedule, &stalled)), expected);
    }

    #[test]
    fn bursts_are_due_together_and_keep_the_rate() {
        let schedule = Schedule::new(0, Some(1_000), 10, 0, 1);
        assert_eq!(schedule.due(0, 0, 64), 10);
        assert_eq!(schedule.due(10, 9_999_999, 64), 0);
        assert_eq!(schedule.due(10, 10_000_000, 64), 10);
        assert_eq!(schedule.due_before(SECOND_NS), Some(1_000));
    }

    #[test]
    fn without_a_rate_everything_is_due_from_the_start_on() {
        let schedule = Schedule::new(100, None, 1, 0, 1);
        assert_eq!((schedule.due(7, 99, 64), schedule.due(7, 100, 64)), (0, 64));
        assert_eq!((schedule.due_ns(7), schedule.due_before(SECOND_NS)), (None, None));
    }

    proptest! {
        #[test]
        fn workers_share_a_rate_without_gap_or_overlap(
            rate in 1_u64..3_000_000, burst in 1_u64..70, workers in 1_u32..5, packets in 1_u64..500,
        ) {
            let whole = Schedule::new(7, Some(rate), burst, 0, 1);
            let bursts = packets.div_ceil(burst) * u64::from(workers);
            let mut dealt: Vec<u64> = (0..workers)
                .flat_map(|w| {
                    let part = Schedule::new(7, Some(rate), burst, w, workers);
                    (0..packets.div_ceil(burst) * burst).filter_map(move |n| part.due_ns(n))
                })
                .collect();
            dealt.sort_unstable();
            let expected: Vec<u64> = (0..bursts * burst).filter_map(|n| whole.due_ns(n)).collect();
            prop_assert_eq!(dealt, expected);
        }

        #[test]
        fn the_count_follows_from_the_time_alone(
            rate in 1_u64..10_000_000, burst in 1_u64..70, end in 1_u64..5 * SECOND_NS,
        ) {
            let schedule = Schedule::new(0, Some(rate), burst, 0, 1);
            let count = schedule.due_before(end).unwrap();
            // Packets of a burst are due when its first would be.
            let exact = (u128::from(end) * u128::from(rate)).div_ceil(u128::from(SECOND_NS)) as u64;
            prop_assert_eq!(count, exact.div_ceil(burst) * burst);
            prop_assert!(schedule.due_ns(count).unwrap() >= end);
            prop_assert!(schedule.due_ns(count - 1).unwrap() < end);
        }
    }
}
