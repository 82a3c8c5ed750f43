//! The ruler: the time-stamp counter where there is one, nanoseconds where there is none.

/// Reads the clock that budgets are written in: TSC cycles on x86-64, monotonic nanoseconds elsewhere.
///
/// Not ordered against the instructions around it: good for intervals of a burst, not of one instruction.
#[inline]
pub fn clocks() -> u64 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        // SAFETY: RDTSC exists on every x86-64 processor and touches no memory.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    {
        monotonic_ns()
    }
}

/// Like [`clocks`], but everything before it has finished and nothing after it has begun (LFENCE on both sides).
#[inline]
pub fn clocks_fenced() -> u64 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        // SAFETY: LFENCE is part of SSE2, which x86-64 guarantees; it touches no memory.
        unsafe { core::arch::x86_64::_mm_lfence() };
        let now = clocks();
        // SAFETY: as above.
        unsafe { core::arch::x86_64::_mm_lfence() };
        now
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    {
        monotonic_ns()
    }
}

/// Nanoseconds since the first call in this process, at least 1.
#[cfg(any(test, not(all(target_arch = "x86_64", not(miri)))))]
fn monotonic_ns() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn advances(clock: fn() -> u64) {
        let before = clock();
        std::thread::sleep(Duration::from_millis(2));
        let after = clock();
        // Both units are a nanosecond or finer on every machine of this century, so 2 ms is at least 1 M.
        assert!(after - before >= 1_000_000, "{before} {after}");
    }

    #[test]
    fn every_clock_advances() {
        advances(clocks);
        advances(clocks_fenced);
        advances(monotonic_ns);
    }
}
