//! Time as the kernel tells it, and as a test does.

use std::sync::atomic::{AtomicU64, Ordering};

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// A clock that never goes back.
pub trait Clock {
    /// Nanoseconds since some moment.
    fn now_ns(&self) -> u64;
}

/// CLOCK_MONOTONIC: the same for all processes of a machine, and for the kernel's live frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Monotonic;

impl Clock for Monotonic {
    #[inline]
    fn now_ns(&self) -> u64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        now.tv_sec.cast_unsigned() * SECOND_NS + now.tv_nsec.cast_unsigned()
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct Manual(AtomicU64);

impl Manual {
    /// Moves it to a moment.
    pub fn set(&self, now_ns: u64) {
        self.0.store(now_ns, Ordering::Relaxed);
    }
}

impl Clock for &Manual {
    fn now_ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
