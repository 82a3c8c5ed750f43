//! What a run and its workers tell each other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hdrhistogram::Histogram;

use super::Sent;
use crate::sink::Seen;

/// A run's orders to its workers.
#[derive(Debug)]
pub struct Control {
    /// When sending ends, in nanoseconds of the workers' clock.
    end_ns: AtomicU64,
    /// Receiving ends too.
    finish: AtomicBool,
}

impl Default for Control {
    fn default() -> Self {
        Self { end_ns: AtomicU64::new(u64::MAX), finish: AtomicBool::new(false) }
    }
}

impl Control {
    /// Lets sending end at a moment; an earlier end stands.
    pub fn end_at(&self, end_ns: u64) {
        self.end_ns.fetch_min(end_ns, Ordering::Relaxed);
    }

    /// When sending ends.
    #[inline]
    pub fn end_ns(&self) -> u64 {
        self.end_ns.load(Ordering::Relaxed)
    }

    /// Lets workers stop receiving and give their outcome.
    pub fn finish(&self) {
        self.finish.store(true, Ordering::Relaxed);
    }

    /// Whether workers shall stop receiving.
    #[inline]
    pub fn is_finished(&self) -> bool {
        self.finish.load(Ordering::Relaxed)
    }
}

/// What a worker tells while it runs, about once a second.
#[derive(Clone, Debug)]
pub struct Update {
    /// Which worker.
    pub worker: usize,
    /// The moments between which the latencies were taken, in nanoseconds of the workers' clock.
    pub between_ns: (u64, u64),
    /// The latencies of that time, in nanoseconds.
    pub latency: Option<Histogram<u64>>,
    /// What it sent since the start.
    pub sent: Sent,
    /// What it saw since the start.
    pub seen: Seen,
}
