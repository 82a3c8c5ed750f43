//! Open-loop pacing: packet number n is due at start + n / rate, whatever became of those before it.

use std::time::{Duration, Instant};

/// A schedule of packets at an even rate.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    start: Instant,
    per_second: u32,
    /// How long after the start the schedule begins.
    delay: Duration,
}

impl Pace {
    /// Begins now, at `per_second` packets a second (at least 1).
    pub fn begin(per_second: u32) -> Self {
        Self { start: Instant::now(), per_second: per_second.max(1), delay: Duration::ZERO }
    }

    /// The same rate from now on, with packet `number` due at once.
    pub fn resume_at(self, number: u64) -> Self {
        let delay = (self.start.elapsed() + self.delay).saturating_sub(self.due(number));
        Self { delay, ..self }
    }

    /// When packet `number` is due, since the start.
    pub fn due(&self, number: u64) -> Duration {
        let second = u64::from(self.per_second);
        self.delay
            + Duration::from_secs(number / second)
            + Duration::from_nanos((number % second) * 1_000_000_000 / second)
    }

    /// Sleeps until packet `number` is due; returns at once when it is late.
    pub fn wait(&self, number: u64) -> Duration {
        let due = self.due(number);
        let left = due.saturating_sub(self.start.elapsed());
        if !left.is_zero() {
            std::thread::sleep(left);
        }
        due
    }

    /// How long after its due time (nanoseconds since the start) it is now.
    pub fn since(&self, due_ns: u64) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_nanos(due_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_schedule_neither_hurries_nor_waits() {
        let pace = Pace::begin(100);
        std::thread::sleep(Duration::from_millis(50));
        let resumed = pace.resume_at(1);
        let elapsed = resumed.start.elapsed();
        assert!(resumed.due(1) <= elapsed && resumed.due(1) + Duration::from_millis(20) > elapsed);
        assert_eq!(resumed.due(3) - resumed.due(1), Duration::from_millis(20));
    }

    #[test]
    fn the_schedule_does_not_drift() {
        let pace = Pace::begin(3);
        assert_eq!(pace.due(0), Duration::ZERO);
        assert_eq!(pace.due(1), Duration::from_nanos(333_333_333));
        assert_eq!(pace.due(3_000_000_000), Duration::from_secs(1_000_000_000));
    }
}
