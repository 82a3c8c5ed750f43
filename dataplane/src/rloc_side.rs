//! Rloc-side in: from the tunnel to an attached host. A security boundary: whatever is not proved right is dropped.

use crate::counters::Basic;
use crate::decap::{self, Outer};
use crate::eid_side::{AHEAD, is_ndisc};
use crate::emit::{Rewrite, Way};
use crate::hold::{HoldKey, Role};
use crate::inner::{self, Inner};
use crate::layout::{Layout, gateway};
use crate::route::{Stop, to_host};
use crate::source_check::SourceCheck;
use crate::step::{Answers, Questions, Step, Verdicts, ask_both, hold_key};
use crate::tables::{EidBody, EidValue, Moment};
use crate::verdict::{DropReason, Verdict};
use arrayvec::ArrayVec;
use sterna_shm::Group;
use sterna_wire::addr_bytes;
use sterna_xsk::BURST;

/// A packet out of the tunnel after the first pass.
pub(crate) struct Head<'v> {
    at: usize,
    pub group: &'v Group,
    pub outer: Outer,
    pub inner: Inner,
}

impl Head<'_> {
    /// The inner packet, without what stands behind it.
    pub fn packet<'f>(&self, frame: &'f [u8]) -> &'f [u8] {
        let at = self.outer.inner_at;
        &frame[at..at + usize::from(self.inner.len)]
    }
}

fn read_head<'v>(layout: &'v Layout, at: usize, frame: &[u8]) -> Result<Head<'v>, DropReason> {
    let outer = decap::read(frame)?;
    if !layout.is_own_rloc(outer.family, &outer.destination) {
        return Err(DropReason::NotOurRloc);
    }
    if layout.is_own_rloc(outer.family, &outer.source) {
        return Err(DropReason::OwnRlocSource);
    }
    let group = layout.group_of(outer.iid).ok_or(DropReason::UnknownIid)?;
    let packet = &frame[outer.inner_at..outer.inner_end];
    let inner = inner::read(packet).map_err(|reason| match reason {
        DropReason::BadChecksum => DropReason::BadChecksum,
        _ => DropReason::InnerMalformed,
    })?;
    if inner.is_multicast() {
        return Err(DropReason::Multicast);
    }
    // Neighbour discovery belongs to one link; a hop limit that survived the tunnel would let it pass for local.
    if is_ndisc(&inner, packet) {
        return Err(DropReason::MalformedNdisc);
    }
    Ok(Head { at, group, outer, inner })
}

impl Step<'_, '_> {
    /// The rloc-side passes over a burst.
    pub(crate) fn rloc_burst(&mut self, packets: &[&[u8]], verdicts: &mut Verdicts) {
        let (view, layout) = (self.view, self.layout);
        let mut heads: ArrayVec<Head<'_>, BURST> = ArrayVec::new();
        let mut questions = Questions::new();
        for (at, packet) in packets.iter().enumerate() {
            if let Some(ahead) = packets.get(at + AHEAD) {
                sterna_cpu::prefetch_bytes(ahead);
            }
            verdicts.push(match read_head(layout, at, packet) {
                Ok(head) => {
                    ask_both(&mut questions, head.group.iid.get(), &head.inner);
                    heads.push(head);
                    // Replaced by the last pass.
                    Verdict::Held
                }
                Err(reason) => Verdict::Drop(reason),
            });
        }
        let mut answers: Answers<'_> = [const { None }; 2 * BURST];
        view.eids().lookup_burst(&view.guard, &questions, &mut answers[..questions.len()]);
        for (i, head) in heads.iter().enumerate() {
            let value = |at: usize| answers[at].as_ref().map(|found| found.value);
            verdicts[head.at] = self.rloc_decide(head, packets[head.at], value(2 * i), value(2 * i + 1));
        }
        if let Some(i) = self.sample(heads.len())
            && let (Verdict::Transmit(_), Some(found)) = (verdicts[heads[i].at], &answers[2 * i])
        {
            view.marks.used.set(found.index);
        }
    }

    #[inline]
    fn rloc_decide(
        &mut self,
        head: &Head<'_>,
        frame: &[u8],
        source: Option<&EidValue>,
        destination: Option<&EidValue>,
    ) -> Verdict {
        let inner = &head.inner;
        let iid = head.group.iid.get();
        // The destination first: a stranger's packet for nobody must not make us resolve its source.
        let body = match destination.map(|value| value.body) {
            None | Some(EidBody::Remote { .. } | EidBody::Negative { .. }) => {
                return Verdict::Drop(DropReason::DstNotLocal);
            }
            Some(body) => body,
        };
        let source_key = hold_key(iid, inner.family, &inner.source, Role::Source);
        if self.must_queue(&source_key) {
            return self.hold(source_key, Stop::Wait, head.group, frame);
        }
        let packet = head.packet(frame);
        let payload_mtu = match self.check_source(head.group, &head.outer, inner, packet, source) {
            SourceCheck::Allowed { payload_mtu } => payload_mtu,
            SourceCheck::Refused => return self.refuse_source(),
            SourceCheck::Unknown { role, stop } => {
                let eid = if role == Role::Relay { &inner.destination } else { &inner.source };
                return self.hold(hold_key(iid, inner.family, eid, role), stop, head.group, frame);
            }
        };
        if !self.state.hold.is_empty() && self.queues_behind_its_own(head, source, body, frame) {
            return Verdict::Held;
        }
        // A gateway of the same group at another site may have an address of its own: it is answered from there
        // too, and never asked for by ARP.
        if gateway(head.group, inner.family).map(addr_bytes) == Some(inner.destination) {
            return self.at_gateway(head.group, inner, packet, frame);
        }
        let key = hold_key(iid, inner.family, &inner.destination, Role::Destination);
        if self.must_queue(&key) {
            return self.hold(key, Stop::Wait, head.group, frame);
        }
        if let EidBody::Away { set } = body {
            return self.relay(head, set, frame);
        }
        let view = self.view;
        match to_host(view, head.group, body, inner) {
            Ok(way) => self.deliver(head, &way, frame, payload_mtu),
            Err(Stop::Drop(reason)) => Verdict::Drop(reason),
            Err(stop) => self.hold(key, stop, head.group, frame),
        }
    }

    /// A forged source; if its packet waited for the answer that shows it, that answer counts for others too.
    fn refuse_source(&mut self) -> Verdict {
        let now_ns = self.state.now_ns;
        if let Some(key) = self.state.replay.filter(|key| matches!(key.role, Role::Source | Role::Moved)) {
            self.state.convicts.note(&HoldKey { role: Role::Moved, ..key }, now_ns);
        }
        Verdict::Drop(DropReason::RlocSpoof)
    }

    /// Whether a packet that may go on has to let others go first that waited for the same answer and have not been
    /// stepped again since it came. One that finds no room there is not lost for it: it overtakes.
    #[cold]
    fn queues_behind_its_own(
        &mut self,
        head: &Head<'_>,
        source: Option<&EidValue>,
        body: EidBody,
        frame: &[u8],
    ) -> bool {
        let (group, inner) = (head.group, &head.inner);
        let key = |eid: &[u8; 16], role| hold_key(group.iid.get(), inner.family, eid, role);
        let moved = key(&inner.source, Role::Moved);
        let relay = key(&inner.destination, Role::Relay);
        let back = key(&inner.destination, Role::Back);
        // Behind suspects only when their answer is there: before that they must not delay anyone.
        let since = |key| self.state.hold.front(key).map(|front| Moment::at(front.waits_since_ns));
        let answered = self.must_queue(&moved) && source.map(|value| value.written) >= since(&moved);
        let permitted = self.must_queue(&relay) && self.is_relay(group, &head.outer, inner);
        let is_back = self.must_queue(&back) && !matches!(body, EidBody::Away { .. });
        let ways = [(answered, moved), (permitted, relay), (is_back, back)];
        ways.into_iter().any(|(waits, key)| waits && self.enqueue(key, group, frame).is_some())
    }

    /// Combines TTL, DSCP and ECN, then out to the host.
    #[inline]
    fn deliver(&mut self, head: &Head<'_>, way: &Way<'_>, frame: &[u8], payload_mtu: u16) -> Verdict {
        let (inner, outer) = (&head.inner, &head.outer);
        let packet = head.packet(frame);
        let ttl = inner.ttl.min(outer.ttl);
        if ttl == 0 {
            return self.refuse_ttl(head.group, inner, packet);
        }
        let Some(ecn) = decap::combine_ecn(inner.tos, outer.tos) else {
            return Verdict::Drop(DropReason::EcnCe);
        };
        let settings = &self.layout.settings;
        let dscp = if settings.dscp_decap_pipe { inner.tos } else { outer.tos };
        let rewrite = Rewrite {
            ttl,
            tos: (dscp & 0xfc) | ecn.ecn,
            mss_mtu: settings.mss_clamp.then(|| way.mtu().min(payload_mtu)),
            relays: 0,
        };
        if inner.len > way.mtu() {
            return self.refuse_or_split(head.group, way, inner, packet, &rewrite);
        }
        match self.emit(way, head.group.iid.get(), inner, packet, &rewrite) {
            Ok(port) => {
                let ingress = self.ingress;
                let tally = self.state.tally(ingress);
                tally.add(Basic::Decapsulated, 1);
                if ecn.suspicious {
                    tally.add(Basic::EcnSuspicious, 1);
                }
                Verdict::Transmit(port)
            }
            Err(reason) => Verdict::Drop(reason),
        }
    }
}
