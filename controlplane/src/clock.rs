//! The two clocks that other processes share with us.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds of CLOCK_MONOTONIC, as the dataplane's heartbeat counts them.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    in_nanoseconds(now)
}

/// A generation number for a session: milliseconds since boot, so that it grows from process to process as long
/// as a dataplane can live, and always more than the `last` one of this process.
pub fn generation(last: u64) -> u64 {
    let since_boot = in_nanoseconds(clock_gettime(ClockId::Boottime)) / 1_000_000;
    since_boot.max(last.saturating_add(1))
}

/// Both clocks start at boot and are never negative.
fn in_nanoseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds * 1_000_000_000 + nanoseconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_grow_even_within_a_millisecond() {
        let first = generation(0);
        let second = generation(first);
        let third = generation(second);
        assert!(0 < first && first < second && second < third);
    }
}
