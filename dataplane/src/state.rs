//! What one worker owns: transmit frames, the hold pool, pinned flows, limits, counts.

use crate::convicts::Convicts;
use crate::counters::Tally;
use crate::flow::FlowTable;
use crate::gateway_port::Gate;
use crate::hold::{HoldKey, HoldPool};
use crate::layout::Attachment;
use crate::limiter::PairLimiter;
use crate::release::REPEAT_NS;
use crate::tables::Tag;
use crossbeam_queue::ArrayQueue;
use std::net::IpAddr;
use std::sync::Arc;
use sterna_shm::AttachProof;
use sterna_wire::Mac;
use sterna_xsk::{BURST, Frame};

/// What a worker tells the conductor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upward {
    /// A neighbour was seen by ARP or ND.
    Learned {
        /// Group.
        iid: u32,
        /// The host's address.
        eid: IpAddr,
        /// Its Ethernet address.
        mac: Mac,
        /// Port.
        port: u16,
        /// VLAN, 0 for untagged.
        vlan: Tag,
    },
    /// An EID without an entry was asked for.
    Miss {
        /// Group.
        iid: u32,
        /// The address.
        eid: IpAddr,
        /// Asked by the source check.
        source: bool,
        /// Port of the packet.
        port: u16,
        /// The context class whose row is missing, 0 for packets of no class.
        class: u8,
    },
    /// A host spoke that is perhaps being asked for.
    Seen {
        /// Group.
        iid: u32,
        /// The host's address.
        eid: IpAddr,
        /// Its Ethernet address.
        mac: Mac,
        /// Where.
        at: Attachment,
    },
    /// A host spoke where agents may come, and is not installed so.
    Attach {
        /// Group.
        iid: u32,
        /// The host's address.
        eid: IpAddr,
        /// Its Ethernet address.
        mac: Mac,
        /// Where.
        at: Attachment,
        /// What it spoke.
        proof: AttachProof,
    },
    /// A site sent what is for an agent that left.
    Stray {
        /// Group.
        iid: u32,
        /// The agent.
        eid: IpAddr,
        /// The outer source.
        from: IpAddr,
    },
}

/// The bounded queue from workers to the conductor; when it is full, events are lost and counted.
pub type Uplink = Arc<ArrayQueue<Upward>>;

/// Events that may wait for the conductor, which is woken by the first of them: this covers ten milliseconds of
/// 400,000 events per second; more are noise that repeats itself.
pub const UPLINK: usize = 4096;

/// One port's outgoing frames.
#[derive(Default)]
pub struct Egress {
    /// Free frames to write into.
    pub fresh: Vec<Frame>,
    /// Written frames in order.
    pub ready: Vec<Frame>,
    /// Submitted frames that the kernel has not taken yet.
    pub backlog: u32,
}

/// Sizes and times of one worker.
#[derive(Clone, Copy, Debug)]
pub struct WorkerLimits {
    /// Packets that may be held.
    pub hold_packets: usize,
    /// How long a packet may be held, ns.
    pub hold_ns: u64,
    /// Longest frame, bytes.
    pub frame_bytes: usize,
}

/// Frames kept ready on each port. One burst may need two per packet (fragments, or an ICMP error beside each
/// answer), and the stock is topped up only when a burst's worth is missing.
pub const FRESH: usize = 3 * BURST + 16;

/// All state of one worker.
pub struct WorkerState {
    /// Outgoing frames by port.
    pub egress: Vec<Egress>,
    /// Counts by port since the last settlement.
    pub tallies: Vec<Tally>,
    /// Packets that wait.
    pub hold: HoldPool,
    /// How long they may wait, ns.
    pub hold_ns: u64,
    /// Pinned flows.
    pub flows: FlowTable,
    /// At most one ICMP error per second and pair.
    pub icmp: PairLimiter,
    /// At most one ARP request or neighbour solicitation per second and neighbour.
    pub solicit: PairLimiter,
    /// At most two attach events per second and host.
    pub attach: PairLimiter,
    /// At most one question per second and source that may have moved.
    pub moved: PairLimiter,
    /// Sources that were shown to be forged.
    pub convicts: Convicts,
    /// At most one event per second, moved agent and site that still sends here.
    pub strays: PairLimiter,
    /// What agents may say to the control plane.
    pub(crate) gate: Gate,
    /// Events for the conductor.
    pub uplink: Uplink,
    /// Whether anything was put into `uplink` or handed over since the flag was cleared.
    pub uplink_rung: bool,
    /// Monotonic time of the burst, ns.
    pub now_ns: u64,
    /// The held packet's key while one is stepped again, and whether it stays where it is.
    pub(crate) replay: Option<HoldKey>,
    /// Since when it has been waiting, monotonic ns.
    pub(crate) replay_since_ns: u64,
    pub(crate) replay_stays: bool,
    /// It waits for something else now.
    pub(crate) replay_moved: bool,
    /// Counts bursts, to choose the packet whose entry is marked as used.
    pub(crate) sampled: u32,
    /// Questions about held packets that are to be repeated, with the port to count them on.
    pub(crate) due: Vec<(HoldKey, u16)>,
    /// Identification of outer IPv4 headers that may be fragmented.
    pub(crate) identification: u16,
    pub(crate) scratch: Vec<u8>,
    /// The held packet being stepped again.
    pub(crate) held_copy: Vec<u8>,
}

impl WorkerState {
    /// State for a gateway of `ports` ports; allocates everything it will ever need.
    pub fn new(ports: usize, limits: &WorkerLimits, uplink: Uplink) -> WorkerState {
        let egress = || Egress {
            fresh: Vec::with_capacity(2 * FRESH),
            ready: Vec::with_capacity(2 * FRESH),
            backlog: 0,
        };
        WorkerState {
            egress: (0..ports).map(|_| egress()).collect(),
            tallies: vec![Tally::default(); ports],
            hold: HoldPool::new(limits.hold_packets, limits.frame_bytes),
            hold_ns: limits.hold_ns,
            flows: FlowTable::new(),
            icmp: PairLimiter::new(16384),
            solicit: PairLimiter::new(16384),
            attach: PairLimiter::every(REPEAT_NS, 16384),
            moved: PairLimiter::new(16384),
            convicts: Convicts::new(),
            strays: PairLimiter::new(16384),
            gate: Gate::new(),
            uplink,
            uplink_rung: false,
            now_ns: 0,
            replay: None,
            replay_since_ns: 0,
            replay_stays: false,
            replay_moved: false,
            sampled: 0,
            due: Vec::with_capacity(limits.hold_packets),
            identification: 0,
            // Two fragments, or one echo reply.
            scratch: vec![0; 2 * limits.frame_bytes.max(2048)],
            held_copy: Vec::with_capacity(limits.frame_bytes.max(2048)),
        }
    }

    /// Counts on a port; a port that does not exist is counted on the first.
    #[inline]
    pub fn tally(&mut self, port: u16) -> &mut Tally {
        let at = if usize::from(port) < self.tallies.len() { usize::from(port) } else { 0 };
        &mut self.tallies[at]
    }
}
