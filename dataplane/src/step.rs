//! The one function that decides packets.
//!
//! The live worker, the tests, the golden cases, the fuzz target and the bench all call [`step_burst`]. Inside,
//! a burst goes through staged passes, so that one packet's cache miss hides behind the others' work:
//! parse and hash, look up all addresses of the burst at once (which prefetches buckets, then entries), then
//! decide and rewrite packet by packet. A single packet is a burst of one.

use crate::counters::Basic;
use crate::hold::{Asked, Held, HoldKey, Role};
use crate::layout::{Attachment, Layout, Side, tag_of};
use crate::route::Stop;
use crate::state::{Upward, WorkerState};
use crate::tables::View;
use crate::verdict::{DropReason, Verdict};
use arrayvec::ArrayVec;
use std::net::IpAddr;
use sterna_shm::{AttachProof, Group};
use sterna_wire::{Family, Mac, addr_bytes, addr_from_bytes};
use sterna_xsk::{BURST, Frame};

/// One verdict for each packet of a burst, in order.
pub type Verdicts = ArrayVec<Verdict, BURST>;

/// One burst in one worker.
pub(crate) struct Step<'a, 'v> {
    pub view: &'a View<'v>,
    pub layout: &'a Layout,
    pub state: &'a mut WorkerState,
    pub ingress: u16,
}

/// Decides up to [`BURST`] frames that came in on port `ingress`, writes what goes out into the state's transmit
/// frames, and counts everything but transmission itself (which counts when the ring takes it).
///
/// Frames beyond [`BURST`] are not looked at; `verdicts` is cleared first.
pub fn step_burst(
    view: &View<'_>,
    state: &mut WorkerState,
    ingress: u16,
    frames: &[Frame],
    verdicts: &mut Verdicts,
) {
    let mut packets: ArrayVec<&[u8], BURST> = ArrayVec::new();
    packets.extend(frames.iter().take(BURST).map(Frame::bytes));
    let bytes: usize = packets.iter().map(|p| p.len()).sum();
    let tally = state.tally(ingress);
    tally.add(Basic::RxPackets, packets.len() as i64);
    tally.add(Basic::RxBytes, bytes as i64);
    step_packets(view, state, ingress, &packets, verdicts);
}

/// The same for packets that are not (or no longer) in frames.
pub(crate) fn step_packets(
    view: &View<'_>,
    state: &mut WorkerState,
    ingress: u16,
    packets: &[&[u8]],
    verdicts: &mut Verdicts,
) {
    verdicts.clear();
    let layout = view.layout();
    let side = layout.port(ingress).map(|port| port.side);
    let mut step = Step { view, layout, state, ingress };
    match side {
        Some(Side::Eid) => step.eid_burst(packets, verdicts),
        Some(Side::Rloc) => step.rloc_burst(packets, verdicts),
        Some(Side::Both) => step.mixed_burst(packets, verdicts),
        None => verdicts.extend(packets.iter().map(|_| Verdict::Drop(DropReason::PortGone))),
    }
    for verdict in verdicts.iter() {
        match verdict {
            Verdict::Transmit(_) | Verdict::Held => {}
            Verdict::Punt(reason) => step.state.tally(ingress).add(*reason, 1),
            Verdict::Drop(reason) => step.state.tally(ingress).add(*reason, 1),
        }
    }
}

impl Step<'_, '_> {
    /// A port that carries both sides: tagged frames are the agents', untagged ones the underlay's.
    fn mixed_burst(&mut self, packets: &[&[u8]], verdicts: &mut Verdicts) {
        let is_tagged = |packet: &&[u8]| packet.get(12..14) == Some(&[0x81, 0x00]);
        let mut tagged: ArrayVec<&[u8], BURST> = ArrayVec::new();
        let mut untagged: ArrayVec<&[u8], BURST> = ArrayVec::new();
        for packet in packets {
            if is_tagged(packet) { tagged.push(packet) } else { untagged.push(packet) }
        }
        let (mut eid, mut rloc) = (Verdicts::new(), Verdicts::new());
        self.eid_burst(&tagged, &mut eid);
        self.rloc_burst(&untagged, &mut rloc);
        let (mut eid, mut rloc) = (eid.into_iter(), rloc.into_iter());
        let next = |packet| if is_tagged(packet) { eid.next() } else { rloc.next() };
        verdicts.extend(packets.iter().filter_map(next));
    }

    /// Holds a packet for the EID it waits for, and asks for the answer. `packet` is the whole frame.
    #[cold]
    pub(crate) fn hold(&mut self, key: HoldKey, stop: Stop, group: &Group, packet: &[u8]) -> Verdict {
        if self.state.replay == Some(key) {
            self.state.replay_stays = true;
            self.ask_once(&key, stop, group);
            return Verdict::Held;
        }
        match self.enqueue(key, group, packet) {
            Some(Held::First) => {
                self.ask_once(&key, stop, group);
                Verdict::Held
            }
            Some(Held::Queued) => Verdict::Held,
            // Many wait for the next answer already: this one waits where it is.
            None if self.state.replay.is_some() => {
                self.state.replay_stays = true;
                Verdict::Held
            }
            None => {
                // No room to wait, but the question can be asked all the same, so that later packets find an answer.
                if self.may_ask_unheld(&key) {
                    self.ask(&key, stop, group, self.ingress);
                }
                Verdict::Drop(without_room(key.role))
            }
        }
    }

    /// Puts a packet behind those that wait for the same key: one that comes in is copied, one that waited for
    /// something else moves. `None` when there is no room.
    #[cold]
    pub(crate) fn enqueue(&mut self, key: HoldKey, group: &Group, packet: &[u8]) -> Option<Held> {
        let now_ns = self.state.now_ns;
        if let Some(from) = self.state.replay {
            let held = self.state.hold.transfer(&from, key, now_ns).ok()?;
            self.state.replay_moved = true;
            return Some(held);
        }
        // Whose source is not proved yet must not take the room of those whose is.
        let share = group.iid.get() | if key.role.is_proven() { 0 } else { SUSPECTS };
        let held = self.state.hold.hold(key, share, self.ingress, packet, now_ns).ok()?;
        let ingress = self.ingress;
        let tally = self.state.tally(ingress);
        tally.add(Basic::Held, 1);
        tally.add(Basic::HeldTotal, 1);
        Some(held)
    }

    /// Asks, unless the same was asked for this key already: repetitions have their own pace.
    fn ask_once(&mut self, key: &HoldKey, stop: Stop, group: &Group) {
        let question = match stop {
            Stop::Miss | Stop::Moved => Asked::Mapping,
            Stop::Neighbor { .. } => Asked::Host,
            Stop::Attach { .. } => Asked::Admission,
            Stop::NextHop | Stop::Wait | Stop::Drop(_) => Asked::Nobody,
        };
        let now_ns = self.state.now_ns;
        if self.state.hold.asks_anew(key, question, now_ns) {
            self.ask(key, stop, group, self.ingress);
        }
    }

    /// Whether to ask for a key that nothing could be held for: at most once a second, within a bound for all.
    fn may_ask_unheld(&mut self, key: &HoldKey) -> bool {
        let now_ns = self.state.now_ns;
        !self.state.hold.is_waiting(key) && self.state.solicit.allow(pair_of(key), now_ns)
    }

    /// Asks whoever knows the answer that a held packet waits for. `port` is where the packet came in.
    #[cold]
    pub(crate) fn ask(&mut self, key: &HoldKey, stop: Stop, group: &Group, port: u16) {
        let eid = addr_from_bytes(key.family, &key.addr);
        match stop {
            Stop::Miss => self.miss(key, eid, port),
            Stop::Moved => {
                let now_ns = self.state.now_ns;
                if self.state.moved.allow(pair_of(key), now_ns) {
                    self.miss(key, eid, port);
                }
            }
            Stop::Neighbor { port, vlan, target } => self.solicit(group, port, vlan, target),
            Stop::Attach { mac } => {
                let at = Attachment { port, vlan: tag_of(group) };
                self.claim(group, eid, mac, at, AttachProof::Data);
            }
            // The control plane watches the underlay, and knows what it told to wait.
            Stop::NextHop | Stop::Wait | Stop::Drop(_) => {}
        }
    }

    fn miss(&mut self, key: &HoldKey, eid: IpAddr, port: u16) {
        let source = matches!(key.role, Role::Source | Role::Moved);
        self.state.tally(port).add(Basic::Misses, 1);
        self.report(Upward::Miss { iid: key.iid, eid, source, port, class: key.class });
    }

    /// Tells the control plane of a host that spoke where agents may come, at a bounded rate.
    pub(crate) fn claim(&mut self, group: &Group, eid: IpAddr, mac: Mac, at: Attachment, proof: AttachProof) {
        let iid = group.iid.get();
        let key = hold_key(iid, Family::of(eid), &addr_bytes(eid), Role::Attach);
        let now_ns = self.state.now_ns;
        if self.state.attach.allow(pair_of(&key), now_ns) {
            self.state.tally(at.port).add(Basic::Attaches, 1);
            self.report(Upward::Attach { iid, eid, mac, at, proof });
        }
    }

    /// Whether to ask a host that speaks for its Ethernet address: at a bounded rate.
    pub(crate) fn may_ask_speaker(&mut self, key: &HoldKey) -> bool {
        let now_ns = self.state.now_ns;
        self.state.attach.allow(pair_of(key), now_ns)
    }

    /// Tells the conductor; a full queue loses the event and counts it.
    #[cold]
    pub(crate) fn report(&mut self, event: Upward) {
        self.state.uplink_rung = true;
        if self.state.uplink.push(event).is_err() {
            let ingress = self.ingress;
            self.state.tally(ingress).add(Basic::EventsLost, 1);
        }
    }

    /// The packet of a burst of so many that stands for it where one in a burst is enough: each place in turn.
    #[inline]
    pub(crate) fn sample(&mut self, packets: usize) -> Option<usize> {
        self.state.sampled = self.state.sampled.wrapping_add(1);
        (self.state.sampled as usize).checked_rem(packets)
    }

    /// Whether packets wait for this key, so that a later one must queue behind them. A packet that waited for a later
    /// answer came before them, and goes on.
    #[inline]
    pub(crate) fn must_queue(&self, key: &HoldKey) -> bool {
        let hold = &self.state.hold;
        let comes_later = |from: HoldKey| from.role.stage() < key.role.stage();
        !hold.is_empty() && self.state.replay.is_none_or(comes_later) && hold.is_waiting(key)
    }
}

/// The group of those whose source is not proved yet, in the hold pool: instance-IDs have 24 bits.
const SUSPECTS: u32 = 1 << 31;

/// Why a packet that should have waited is dropped: for a suspect, what it is suspected of.
fn without_room(role: Role) -> DropReason {
    match role {
        Role::Moved | Role::Relay => DropReason::RlocSpoof,
        Role::Attach => DropReason::SrcNotLocal,
        Role::Destination | Role::Source | Role::Back => DropReason::HoldFull,
    }
}

/// What a key counts as where questions are limited.
fn pair_of(key: &HoldKey) -> u64 {
    let of_class = u64::from(key.iid) << 8 | u64::from(key.class);
    let selector = of_class << 16 | (key.family as u64) << 8 | key.role as u64;
    u64::from(crate::flow::hash(&key.addr, &[0; 16], selector))
}

/// The key under which packets of no class wait for an address.
#[inline]
pub(crate) fn hold_key(iid: u32, family: Family, addr: &[u8; 16], role: Role) -> HoldKey {
    HoldKey { iid, family, addr: *addr, role, class: 0 }
}
