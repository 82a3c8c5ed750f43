//! What a direction does to its frames: the knobs of a rough link. All of them off is a wire.

use std::time::Duration;

/// The knobs. Shares are in parts of a million, times in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impairment {
    /// What every frame waits.
    pub delay_us: u64,
    /// The most that a frame waits beyond that ([`super::jitter`]). Alone it never changes the order.
    pub jitter_us: u64,
    /// What is lost on the way.
    pub loss: Loss,
    /// Share of frames that are held back while later ones overtake.
    pub reorder_ppm: u32,
    /// How long they are held back.
    pub reorder_us: u64,
    /// Share of frames that arrive twice.
    pub duplicate_ppm: u32,
    /// Share of IP packets that arrive with a bit turned over ([`super::corruption`]).
    pub corrupt_ppm: u32,
    /// How fast the link is; none: as fast as this machine.
    pub rate: Option<Rate>,
    /// How the link comes and goes; none: it stays.
    pub flap: Option<Flap>,
}

/// Losses, which come in bursts on most links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Share of frames.
    pub ppm: u32,
    /// Frames in a row that a loss takes on average, at least 1: each for itself.
    pub burst: u32,
}

impl Default for Loss {
    fn default() -> Self {
        Self { ppm: 0, burst: 1 }
    }
}

/// A bottleneck with a queue before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bits per second, of whole frames without FCS.
    pub bits_s: u64,
    /// What the queue holds, as the time that it takes to send it.
    pub queue: Duration,
}

/// A link that is down for a while in every period, in its middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flap {
    /// The period.
    pub every: Duration,
    /// How long of it the link is down.
    pub down: Duration,
}
