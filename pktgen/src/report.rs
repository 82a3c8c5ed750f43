//! What came of a run: the account of what was sent and what arrived.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;
use sterna_xsk::{BulkCount, Granted, SinkCounts, XdpStatistics};

use crate::engine::Sent;
use crate::interface::Counters;
use crate::rewrite::Rewritten;
use crate::sink::{Numbers, Seen};

/// Points of a distribution, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// How many values there are; with 0 all else is 0 too.
    pub count: u64,
    /// The least.
    pub min: u64,
    /// The median.
    pub p50: u64,
    /// 90 of 100 are at most this.
    pub p90: u64,
    /// 99 of 100 are at most this.
    pub p99: u64,
    /// 999 of 1000 are at most this.
    pub p999: u64,
    /// The greatest.
    pub max: u64,
}

impl From<&Histogram<u64>> for Spread {
    fn from(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self {
            count: histogram.len(),
            min: histogram.min(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max(),
        }
    }
}

/// The probes' account, those to missing EIDs left out. What was sent and did not arrive is lost, unless it never
/// left the sender; a sink alone takes the highest number that came for what was sent. In a mixture with other packets, what never left may have been a probe or not, and counts as lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Probes that left the sender.
    pub sent: u64,
    /// Different probes that arrived, right in every byte.
    pub arrived: u64,
    /// Probes that did not; corrupted ones are among them, since nobody knows which ones they were.
    pub lost: u64,
    /// Probes that arrived once more than they should.
    pub duplicated: u64,
    /// Probes overtaken by a later one of their flow.
    pub reordered: u64,
    /// Packets of this run that are not as they were sent.
    pub corrupted: u64,
}

impl Account {
    /// From each sender's count of probes that left, what arrived of each, and what was seen.
    pub fn new(sent: &[u64], arrived: &[Numbers], seen: &Seen) -> Self {
        let per_sender = sent.iter().enumerate();
        let arrived_of = |at: usize| arrived.get(at).map_or(0, Numbers::count);
        Self {
            sent: sent.iter().sum(),
            arrived: arrived.iter().map(Numbers::count).sum(),
            lost: per_sender.map(|(at, sent)| sent.saturating_sub(arrived_of(at))).sum(),
            duplicated: arrived.iter().map(Numbers::repeated).sum(),
            reordered: seen.reordered,
            corrupted: seen.corrupted,
        }
    }
}

/// What came of live frames, those to missing EIDs among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct BulkAccount {
    /// Frames handed to the interface.
    pub offered: u64,
    /// Frames that the interface dropped on sending, by its own count.
    pub refused: u64,
    /// Frames that arrived.
    pub arrived: u64,
    /// Frames that did neither; 0 without a sink.
    pub lost: u64,
    /// Frames with a lower number than one before them, from the same sender on the same queue.
    pub late: u64,
    /// Frames handed to the interface per second.
    pub offered_pps: f64,
    /// Frames that arrived per second of sending.
    pub arrived_pps: f64,
}

impl BulkAccount {
    /// From frames offered and refused, what arrived of each sender at each queue (if there is a sink), and the time
    /// of sending in seconds.
    pub fn new(offered: u64, refused: u64, arrived: Option<&[BulkCount]>, seconds: f64) -> Self {
        let frames = arrived.map(|counts| counts.iter().map(|count| count.frames).sum::<u64>());
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        Self {
            offered,
            refused,
            arrived: frames.unwrap_or(0),
            lost: frames.map_or(0, |frames| offered.saturating_sub(refused).saturating_sub(frames)),
            late: arrived.map_or(0, |counts| counts.iter().map(|count| count.late).sum()),
            offered_pps: per_second(offered),
            arrived_pps: per_second(frames.unwrap_or(0)),
        }
    }
}

/// A port at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PortReport {
    /// The interface.
    pub name: String,
    /// The device reads and writes the port's memory itself; else the kernel copies every packet.
    pub zero_copy: bool,
    /// Packets dropped because the receiving ring was full.
    pub rx_ring_full: u64,
    /// Packets dropped on receipt for other reasons.
    pub rx_dropped: u64,
    /// Packets that the kernel refused to send.
    pub tx_invalid: u64,
    /// Chunks of packet memory that are nowhere.
    pub frames_leaked: i64,
}

impl PortReport {
    /// From a port's name, what it was granted, the kernel's counters and the leaked chunks.
    pub fn new(name: String, granted: &Granted, counted: &XdpStatistics, frames_leaked: i64) -> Self {
        let XdpStatistics { rx_ring_full, rx_dropped, tx_invalid_descs: tx_invalid, .. } = *counted;
        Self { name, zero_copy: granted.zero_copy, rx_ring_full, rx_dropped, tx_invalid, frames_leaked }
    }
}

/// What came of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The profile's file or name.
    pub profile: String,
    /// `xdp` or `live`.
    pub engine: String,
    /// It was ended before its time.
    pub partial: bool,
    /// The run's number, which its probes carry.
    pub run_id: u32,
    /// How long was sent, in seconds.
    pub duration_s: f64,
    /// Packets per second that were asked for; `null`: as many as went.
    pub rate: Option<u64>,
    /// What was sent over AF_XDP.
    pub sent: Sent,
    /// Packets per second over AF_XDP.
    pub sent_pps: f64,
    /// Probes that arrived per second of sending.
    pub arrived_pps: f64,
    /// The probes' account.
    pub probes: Account,
    /// Probes to missing EIDs that arrived all the same.
    pub misses_arrived: u64,
    /// What the sink's sockets saw; `null` without a sink.
    pub seen: Option<Seen>,
    /// What came of live frames; `null` with the engine `xdp`.
    pub bulk: Option<BulkAccount>,
    /// From when a probe was due to its arrival.
    pub latency_ns: Spread,
    /// From when a packet was due to when it was written: the sender's own part of the latency.
    pub lateness_ns: Spread,
    /// Frames in the captures that were written; `null` without.
    pub recorded: Option<Recorded>,
    /// What was changed of a replay's frames; `null` when nothing was.
    pub rewritten: Option<Rewritten>,
    /// The ports.
    pub ports: Vec<PortReport>,
    /// Where the sink's program sent what entered.
    pub sink: Option<SinkReport>,
    /// What the kernel counted at the sending interface.
    pub tx_interface: Option<Counters>,
    /// What the kernel counted at the receiving interface.
    pub rx_interface: Option<Counters>,
}

/// Frames in the captures of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// What the port took; `null` for a run that only receives.
    pub sent: Option<u64>,
    /// Probes that came; `null` for a run that only sends.
    pub received: Option<u64>,
}

/// Where the sink's program sent what entered, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SinkReport {
    /// Probes, to a socket.
    pub to_socket: u64,
    /// Probes at a queue without a socket.
    pub no_socket: u64,
    /// Live frames.
    pub bulk: u64,
    /// Live frames of other runs.
    pub other_run: u64,
    /// Everything else, to the kernel.
    pub to_kernel: u64,
}

impl From<SinkCounts> for SinkReport {
    fn from(counts: SinkCounts) -> Self {
        let SinkCounts { to_socket, no_socket, bulk, other_run, to_kernel } = counts;
        Self { to_socket, no_socket, bulk, other_run, to_kernel }
    }
}

/// Nanoseconds as microseconds.
pub(crate) fn us(ns: u64) -> f64 {
    ns as f64 / 1_000.0
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partial = if self.partial { " (partial: ended before its time)" } else { "" };
        writeln!(f, "{} over {} for {:.3} s{partial}", self.profile, self.engine, self.duration_s)?;
        if self.tx_interface.is_some() {
            self.fmt_sent(f)?;
        }
        if let Some(seen) = &self.seen {
            self.fmt_seen(f, seen)?;
        }
        if let Some(Rewritten { readdressed, resized, unfit }) = self.rewritten {
            writeln!(
                f,
                "rewritten  {readdressed} other addresses, {resized} other sizes, {unfit} did not fit"
            )?;
        }
        if let Some(bulk) = &self.bulk {
            let BulkAccount { offered, refused, arrived, lost, late, offered_pps, arrived_pps } = bulk;
            writeln!(
                f,
                "live       {offered} offered, {offered_pps:.0}/s, {refused} refused by the interface"
            )?;
            if self.seen.is_some() {
                writeln!(f, "           {arrived} arrived, {arrived_pps:.0}/s, {lost} lost, {late} late")?;
            }
        }
        fmt_spread(f, "latency", &self.latency_ns)?;
        fmt_spread(f, "lateness", &self.lateness_ns)
    }
}

impl Report {
    fn fmt_sent(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sent { written, abandoned, lost_busy, behind, .. } = self.sent;
        writeln!(
            f,
            "sent       {} packets, {:.0}/s, {} bytes",
            written.packets(),
            self.sent_pps,
            written.bytes
        )?;
        if written.hostile + written.misses + written.replayed > 0 {
            let (h, m, r) = (written.hostile, written.misses, written.replayed);
            writeln!(f, "           of them {h} hostile, {m} to missing EIDs, {r} replayed")?;
        }
        if abandoned + lost_busy + behind > 0 {
            writeln!(
                f,
                "           {behind} due and not written, {abandoned} not taken, {lost_busy} dropped by the kernel"
            )?;
        }
        Ok(())
    }

    fn fmt_seen(&self, f: &mut fmt::Formatter<'_>, seen: &Seen) -> fmt::Result {
        let Account { sent, arrived, lost, duplicated, reordered, corrupted } = self.probes;
        // A sink alone knows of those that were sent by the highest number that came.
        let known = if self.tx_interface.is_some() { "sent" } else { "known of" };
        writeln!(f, "probes     {sent} {known}, {arrived} arrived, {:.0}/s", self.arrived_pps)?;
        writeln!(
            f,
            "           {lost} lost, {duplicated} duplicated, {reordered} reordered, {corrupted} corrupted"
        )?;
        if seen.order_unknown + seen.other_run + seen.other > 0 {
            let (order, run, other) = (seen.order_unknown, seen.other_run, seen.other);
            writeln!(
                f,
                "           {order} of flows too many to order, {run} of other runs, {other} no probes"
            )?;
        }
        Ok(())
    }
}

fn fmt_spread(f: &mut fmt::Formatter<'_>, name: &str, spread: &Spread) -> fmt::Result {
    if spread.count == 0 {
        return Ok(());
    }
    let Spread { p50, p99, p999, max, .. } = *spread;
    let (p50, p99, p999, max) = (us(p50), us(p99), us(p999), us(max));
    writeln!(f, "{name:10} p50 {p50:.1} us, p99 {p99:.1} us, p99.9 {p999:.1} us, max {max:.1} us")
}
