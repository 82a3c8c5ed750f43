//! The one function that decides packets.
//!
//! The live worker, the tests, the golden cases, the fuzz target and the bench all call [`step_burst`]. Inside,
//! a burst goes through staged passes, so that one packet's cache miss hides behind the others' work:
//! parse and hash, look up all addresses of the burst at once (which prefetches buckets, then entries), then
//! decide and rewrite packet by packet. A single packet is a burst of one.

use crate::counters::Basic;
use crate::hold::{HoldKey, Role};
use crate::layout::{Layout, Side};
use crate::route::Stop;
use crate::state::{Upward, WorkerState};
use crate::tables::{View, question};
use crate::verdict::{DropReason, Verdict};
use arrayvec::ArrayVec;
use sterna_shm::Group;
use sterna_table::{Found, Question};
use sterna_wire::{Family, addr_from_bytes};
use sterna_xsk::{BURST, Frame};

use crate::tables::EidValue;

/// One verdict for each packet of a burst, in order.
pub type Verdicts = ArrayVec<Verdict, BURST>;
/// Source and destination of each packet of a burst.
pub(crate) type Questions = ArrayVec<Question, { 2 * BURST }>;
pub(crate) type Answers<'v> = [Option<Found<'v, EidValue>>; 2 * BURST];

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
            return Verdict::Held;
        }
        let now_ns = self.state.now_ns;
        let held = self.state.hold.hold(key, group.iid.get(), self.ingress, packet, now_ns);
        let ingress = self.ingress;
        let Ok(held) = held else {
            // No room to wait, but the question can be asked all the same, so that later packets find an answer.
            if self.may_ask_unheld(&key) {
                self.ask(&key, stop, group, ingress);
            }
            return Verdict::Drop(DropReason::HoldFull);
        };
        let tally = self.state.tally(ingress);
        tally.add(Basic::Held, 1);
        tally.add(Basic::HeldTotal, 1);
        if held == crate::hold::Held::First {
            self.ask(&key, stop, group, ingress);
        }
        Verdict::Held
    }

    /// Whether to ask for a key that nothing could be held for: at most once a second, within a bound for all.
    fn may_ask_unheld(&mut self, key: &HoldKey) -> bool {
        let selector = u64::from(key.iid) << 8 | key.role as u64;
        let hash = crate::flow::hash(&key.addr, &[0; 16], selector);
        let now_ns = self.state.now_ns;
        !self.state.hold.is_waiting(key) && self.state.solicit.allow(u64::from(hash), now_ns)
    }

    /// Asks whoever knows the answer that a held packet waits for.
    #[cold]
    pub(crate) fn ask(&mut self, key: &HoldKey, stop: Stop, group: &Group, port: u16) {
        match stop {
            Stop::Miss => {
                let eid = addr_from_bytes(key.family, &key.addr);
                let source = key.role == Role::Source;
                self.state.tally(port).add(Basic::Misses, 1);
                self.report(Upward::Miss { iid: key.iid, eid, source, port });
            }
            Stop::Neighbor { port, vlan, target } => self.solicit(group, port, vlan, target),
            // The control plane watches the underlay and resolves by itself.
            Stop::NextHop | Stop::Drop(_) => {}
        }
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

    /// Whether packets wait for this key, so that a later one must queue behind them.
    #[inline]
    pub(crate) fn must_queue(&self, key: &HoldKey) -> bool {
        !self.state.hold.is_empty() && self.state.replay != Some(*key) && self.state.hold.is_waiting(key)
    }
}

/// The key under which packets wait for an address.
#[inline]
pub(crate) fn hold_key(iid: u32, family: Family, addr: &[u8; 16], role: Role) -> HoldKey {
    HoldKey { iid, family, addr: *addr, role }
}

/// Appends the two questions of a packet.
#[inline]
pub(crate) fn ask_both(questions: &mut Questions, iid: u32, inner: &crate::inner::Inner) {
    questions.push(question(iid, inner.family, &inner.source));
    questions.push(question(iid, inner.family, &inner.destination));
}
