//! What arrived, and what does that say about what was sent.

mod join;
mod locate;
mod numbers;
mod order;

pub use numbers::Numbers;

use std::sync::Arc;

use hdrhistogram::Histogram;
use sterna_xsk::Frame;

use self::join::Join;
use self::locate::locate;
use self::order::{FlowKey, Orders};
use crate::pcap::Recorder;
use crate::probe::{self, NoProbe, RunId};

/// Senders that are told apart.
pub const STREAMS: usize = 16;

/// The longest latency that is told exactly, in nanoseconds: a minute. Longer ones count as that.
pub const LONGEST_NS: u64 = 60_000_000_000;

/// An empty histogram of nanoseconds, exact to three digits.
#[expect(clippy::expect_used, reason = "the bounds are constants that the constructor takes")]
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("1 <= high / 2 and 3 digits of at most 5")
}

/// What one sink saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Seen {
    /// Probes of this run, right in every byte; also those that came twice.
    pub probes: u64,
    /// Their bytes, without FCS.
    pub bytes: u64,
    /// Probes that came with a lower number than an earlier one of their flow; those that came twice left out.
    pub reordered: u64,
    /// Probes whose order was not looked at, because there were too many flows.
    pub order_unknown: u64,
    /// Packets of this run that are not as they were sent; nothing else is known of them.
    pub corrupted: u64,
    /// Probes of other runs.
    pub other_run: u64,
    /// Packets that are no probes.
    pub other: u64,
}

impl Seen {
    /// Adds another sink's.
    pub fn add(&mut self, other: &Seen) {
        self.probes += other.probes;
        self.bytes += other.bytes;
        self.reordered += other.reordered;
        self.order_unknown += other.order_unknown;
        self.corrupted += other.corrupted;
        self.other_run += other.other_run;
        self.other += other.other;
    }
}

/// One worker's sink.
pub struct Sink {
    run: RunId,
    join: Join,
    seen: Seen,
    numbers: Vec<Numbers>,
    orders: Orders,
    latency: Histogram<u64>,
    recorder: Option<Arc<Recorder>>,
}

impl Sink {
    /// A sink for one run.
    pub fn new(run: RunId) -> Self {
        Self {
            run,
            join: Join::default(),
            seen: Seen::default(),
            numbers: vec![Numbers::default(); STREAMS],
            orders: Orders::default(),
            latency: histogram(),
            recorder: None,
        }
    }

    /// Everything that comes is recorded too.
    #[must_use]
    pub fn recorded(self, recorder: Option<Arc<Recorder>>) -> Self {
        Self { recorder, ..self }
    }

    /// Judges the packet that a frame ends, if it ends one, as of a moment.
    #[inline]
    pub fn take(&mut self, frame: &Frame, now_ns: u64) {
        let mut join = std::mem::take(&mut self.join);
        if let Some(packet) = join.take(frame) {
            self.judge(packet, now_ns);
        }
        self.join = join;
    }

    /// Judges a packet that came in at a moment.
    #[inline]
    pub fn judge(&mut self, frame: &[u8], now_ns: u64) {
        if let Some(recorder) = &self.recorder {
            recorder.take(frame, now_ns);
        }
        let Some(found) = locate(frame) else {
            self.seen.other += 1;
            return;
        };
        let probe = match probe::read(found.payload, self.run, found.source, found.destination) {
            Ok(_) if !found.sums_up => return self.seen.corrupted += 1,
            Ok(probe) => probe,
            Err(NoProbe::Corrupted) => return self.seen.corrupted += 1,
            Err(NoProbe::OtherRun) => return self.seen.other_run += 1,
        };
        let Some(numbers) = self.numbers.get_mut(usize::from(probe.stream)) else {
            return self.seen.other_run += 1;
        };
        self.seen.probes += 1;
        self.seen.bytes += frame.len() as u64;
        self.latency.saturating_record(probe.age_ns(now_ns));
        if numbers.insert(probe.number) {
            let flow = FlowKey::of(probe.stream, &found);
            match self.orders.follows(flow, probe.number) {
                Some(true) => (),
                Some(false) => self.seen.reordered += 1,
                None => self.seen.order_unknown += 1,
            }
        }
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// The latencies since this was last asked, in nanoseconds.
    pub fn take_latency(&mut self) -> Histogram<u64> {
        std::mem::replace(&mut self.latency, histogram())
    }

    /// The numbers of each sender that arrived.
    pub fn into_numbers(self) -> Vec<Numbers> {
        self.numbers
    }
}
