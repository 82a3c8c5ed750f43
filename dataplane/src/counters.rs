//! Accounting per burst: what each port did, summed locally, written to shared memory once per burst.
//!
//! The balance of every quiescent point (design section 5) reads
//! `rx + made = tx + punted + held + drops`, and [`catalogue`] says which counter stands on which side.

use crate::verdict::{DropReason, PuntReason};
use sterna_shm::{CounterBlock, CounterDesc, Kind};

/// Counters that are not a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Basic {
    /// Frames taken from the receive ring.
    RxPackets,
    /// Bytes of those frames, Ethernet header included.
    RxBytes,
    /// Packets that this gateway originated.
    Made,
    /// Frames given to the transmit ring.
    TxPackets,
    /// Bytes of those frames, Ethernet header included.
    TxBytes,
    /// Packets in the hold pool now.
    Held,
    /// Packets that were ever held.
    HeldTotal,
    /// Packets encapsulated.
    Encapsulated,
    /// Packets decapsulated.
    Decapsulated,
    /// Packets switched between two agents of this site.
    Switched,
    /// Packets out of the tunnel sent on to an agent's new site.
    Relayed,
    /// TCP SYNs whose MSS was lowered.
    MssClamped,
    /// ICMP errors sent.
    IcmpErrors,
    /// ICMP errors that the rate limit suppressed.
    IcmpSuppressed,
    /// Packets split into two fragments.
    Fragmented,
    /// Neighbours learned or changed.
    NeighborsLearned,
    /// Miss events raised to the control plane.
    Misses,
    /// Attach events raised to the control plane.
    Attaches,
    /// Events lost because the control plane did not read them.
    EventsLost,
    /// Decapsulated packets with an ECN combination that RFC 6040 calls suspicious.
    EcnSuspicious,
    /// Bursts that held at least one packet.
    Bursts,
    /// Polls that found nothing.
    EmptyPolls,
    /// Times the worker slept on its sockets.
    Sleeps,
    /// Frames that the kernel dropped because the receive ring was full.
    KernelRxRingFull,
    /// Times the kernel found the fill ring empty.
    KernelFillEmpty,
    /// Frames that the kernel dropped for other reasons.
    KernelRxDropped,
    /// Frames in the port's frame memory.
    FramesTotal,
    /// Frames that no ring and no list accounts for (always 0).
    FramesLeaked,
    /// Segments for the context API that the control plane did not take.
    ContextLost,
    /// Answers of the context API sent to agents.
    ContextAnswers,
    /// Answers of the context API that are none, or to nobody here.
    ContextAnswersRefused,
    /// Answers of the context API that could not be sent now.
    ContextAnswersLost,
    /// Updates from the control plane that found a table full.
    UpdatesRefused,
    /// 1 where the driver runs the XDP program, 0 in generic mode.
    NativeXdp,
    /// 1 where the device reads and writes our frames itself.
    ZeroCopy,
    /// 1 where the port's frame memory is on huge pages.
    HugePages,
}

const BASIC: &[(Basic, &str, Kind, &str)] = &[
    (Basic::RxPackets, "rx_packets", Kind::Rx, "Frames taken from the receive ring."),
    (Basic::RxBytes, "rx_bytes", Kind::Info, "Bytes received, Ethernet header included."),
    (Basic::Made, "made", Kind::Made, "Packets originated here: ICMP, ARP and ND, second fragments."),
    (Basic::TxPackets, "tx_packets", Kind::Tx, "Frames given to the transmit ring."),
    (Basic::TxBytes, "tx_bytes", Kind::Info, "Bytes sent, Ethernet header included."),
    (Basic::Held, "held", Kind::Held, "Packets in the hold pool now."),
    (Basic::HeldTotal, "held_total", Kind::Info, "Packets that were ever held."),
    (Basic::Encapsulated, "encapsulated", Kind::Info, "Packets encapsulated."),
    (Basic::Decapsulated, "decapsulated", Kind::Info, "Packets decapsulated."),
    (Basic::Switched, "switched", Kind::Info, "Packets switched between two agents of this site."),
    (Basic::Relayed, "relayed", Kind::Info, "Packets out of the tunnel sent on to an agent's new site."),
    (Basic::MssClamped, "mss_clamped", Kind::Info, "TCP SYNs whose MSS option was lowered."),
    (Basic::IcmpErrors, "icmp_errors", Kind::Info, "ICMP errors sent."),
    (Basic::IcmpSuppressed, "icmp_suppressed", Kind::Info, "ICMP errors that the rate limit suppressed."),
    (Basic::Fragmented, "fragmented", Kind::Info, "Packets split into two fragments."),
    (Basic::NeighborsLearned, "neighbors_learned", Kind::Info, "Neighbours learned or changed."),
    (Basic::Misses, "misses", Kind::Info, "Miss events raised to the control plane."),
    (Basic::Attaches, "attaches", Kind::Info, "Attach events raised to the control plane."),
    (Basic::EventsLost, "events_lost", Kind::Info, "Events lost because their queue was full."),
    (
        Basic::EcnSuspicious,
        "ecn_suspicious",
        Kind::Info,
        "Decapsulated packets with a suspicious ECN pair (RFC 6040).",
    ),
    (Basic::Bursts, "bursts", Kind::Info, "Bursts that held at least one packet."),
    (Basic::EmptyPolls, "empty_polls", Kind::Info, "Polls that found nothing."),
    (Basic::Sleeps, "sleeps", Kind::Info, "Times the worker slept on its sockets."),
    (
        Basic::KernelRxRingFull,
        "kernel_rx_ring_full",
        Kind::Gauge,
        "Frames the kernel dropped: receive ring full.",
    ),
    (Basic::KernelFillEmpty, "kernel_fill_empty", Kind::Gauge, "Times the kernel found the fill ring empty."),
    (
        Basic::KernelRxDropped,
        "kernel_rx_dropped",
        Kind::Gauge,
        "Frames the kernel dropped for other reasons.",
    ),
    (Basic::FramesTotal, "frames_total", Kind::Gauge, "Frames in the port's frame memory."),
    (Basic::FramesLeaked, "frames_leaked", Kind::Gauge, "Frames that no ring and no list accounts for."),
    (
        Basic::ContextLost,
        "context_lost",
        Kind::Info,
        "Segments for the context API that the control plane did not take.",
    ),
    (Basic::ContextAnswers, "context_answers", Kind::Info, "Answers of the context API sent to agents."),
    (
        Basic::ContextAnswersRefused,
        "context_answers_refused",
        Kind::Info,
        "Answers of the context API that are not from a group's gateway address and port, or to no agent here.",
    ),
    (
        Basic::ContextAnswersLost,
        "context_answers_lost",
        Kind::Info,
        "Answers of the context API to an agent whose Ethernet address is not known, without a frame, or too big.",
    ),
    (
        Basic::UpdatesRefused,
        "updates_refused",
        Kind::Info,
        "Updates from the control plane that found a table full.",
    ),
    (
        Basic::NativeXdp,
        "native_xdp",
        Kind::Gauge,
        "1 where the driver runs the XDP program, 0 in generic mode.",
    ),
    (Basic::ZeroCopy, "zero_copy", Kind::Gauge, "1 where the device reads and writes our frames itself."),
    (Basic::HugePages, "huge_pages", Kind::Gauge, "1 where the port's frame memory is on huge pages."),
];

const PUNT_BASE: usize = BASIC.len();
const DROP_BASE: usize = PUNT_BASE + PuntReason::ALL.len();
/// How many counters a block has.
pub const COUNTERS: usize = DROP_BASE + DropReason::ALL.len();

/// Index of a counter in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterIndex(u8);

impl From<Basic> for CounterIndex {
    fn from(basic: Basic) -> Self {
        CounterIndex(basic as u8)
    }
}

impl From<PuntReason> for CounterIndex {
    fn from(reason: PuntReason) -> Self {
        CounterIndex(PUNT_BASE as u8 + reason as u8)
    }
}

impl From<DropReason> for CounterIndex {
    fn from(reason: DropReason) -> Self {
        CounterIndex(DROP_BASE as u8 + reason as u8)
    }
}

/// Names, kinds and sentences of all counters, in block order.
pub fn catalogue() -> Vec<CounterDesc> {
    let basic = BASIC.iter().map(|&(_, name, kind, help)| CounterDesc { name, kind, help });
    let punts =
        PuntReason::ALL.iter().map(|r| CounterDesc { name: r.name(), kind: Kind::Punt, help: r.help() });
    let drops =
        DropReason::ALL.iter().map(|r| CounterDesc { name: r.name(), kind: Kind::Drop, help: r.help() });
    basic.chain(punts).chain(drops).collect()
}

/// What one port did since the last [`Tally::settle`].
#[derive(Clone)]
pub struct Tally {
    delta: [i64; COUNTERS],
    dirty: u128,
}

const _: () = assert!(COUNTERS <= 128, "the dirty mask has 128 bits");

impl Default for Tally {
    fn default() -> Self {
        Tally { delta: [0; COUNTERS], dirty: 0 }
    }
}

impl Tally {
    /// Adds `n` (which may be negative for a gauge) to a counter.
    #[inline]
    pub fn add(&mut self, counter: impl Into<CounterIndex>, n: i64) {
        let CounterIndex(i) = counter.into();
        self.delta[usize::from(i)] += n;
        self.dirty |= 1 << i;
    }

    /// The amount since the last settlement.
    pub fn pending(&self, counter: impl Into<CounterIndex>) -> i64 {
        self.delta[usize::from(counter.into().0)]
    }

    /// Writes the sums to the port's shared block and starts anew.
    pub fn settle(&mut self, block: &CounterBlock) {
        let mut dirty = self.dirty;
        while dirty != 0 {
            let i = dirty.trailing_zeros() as usize;
            dirty &= dirty - 1;
            // Two's complement: adding a negative delta modulo 2^64 lowers the gauge.
            block.add(i, self.delta[i] as u64);
            self.delta[i] = 0;
        }
        self.dirty = 0;
    }
}

/// Sets a gauge in a shared block.
pub fn set_gauge(block: &CounterBlock, counter: Basic, value: u64) {
    block.set(usize::from(CounterIndex::from(counter).0), value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_in_index_order() {
        let all = catalogue();
        assert_eq!(all.len(), COUNTERS);
        for (position, (basic, name, _, _)) in BASIC.iter().enumerate() {
            assert_eq!(*basic as usize, position, "{name}");
            assert_eq!(all[usize::from(CounterIndex::from(*basic).0)].name, *name);
        }
        for reason in DropReason::ALL {
            assert_eq!(all[usize::from(CounterIndex::from(*reason).0)].name, reason.name());
        }
        for reason in PuntReason::ALL {
            assert_eq!(all[usize::from(CounterIndex::from(*reason).0)].name, reason.name());
        }
    }
}
