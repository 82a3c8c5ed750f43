//! Rloc-side in: from the tunnel to an attached host. A security boundary: whatever is not proved right is dropped.

use crate::counters::Basic;
use crate::decap::{self, Outer};
use crate::eid_side::{AHEAD, is_ndisc};
use crate::emit::{Rewrite, Way};
use crate::hold::Role;
use crate::inner::{self, Inner};
use crate::layout::{Layout, gateway};
use crate::route::{Stop, to_host};
use crate::step::{Answers, Questions, Step, Verdicts, ask_both, hold_key};
use crate::tables::{EidBody, set_has_locator};
use crate::verdict::{DropReason, Verdict};
use arrayvec::ArrayVec;
use sterna_shm::Group;
use sterna_wire::addr_bytes;
use sterna_xsk::BURST;

struct Head<'v> {
    at: usize,
    group: &'v Group,
    outer: Outer,
    inner: Inner,
}

/// The three results of the source check (design section 5).
enum SourceCheck {
    Allowed {
        /// Inner size that the way back carries, for clamping the MSS of what comes from there.
        payload_mtu: u16,
    },
    Refused,
    Unknown,
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
            let body = |at: usize| answers[at].as_ref().map(|found| found.value.body);
            verdicts[head.at] = self.rloc_decide(head, packets[head.at], body(2 * i), body(2 * i + 1));
        }
    }

    #[inline]
    fn rloc_decide(
        &mut self,
        head: &Head<'_>,
        frame: &[u8],
        source: Option<EidBody>,
        destination: Option<EidBody>,
    ) -> Verdict {
        let inner = &head.inner;
        let iid = head.group.iid.get();
        // The destination first: a stranger's packet for nobody must not make us resolve its source.
        let Some(local @ (EidBody::Agent { .. } | EidBody::Served { .. })) = destination else {
            return Verdict::Drop(DropReason::DstNotLocal);
        };
        let source_key = hold_key(iid, inner.family, &inner.source, Role::Source);
        if self.must_queue(&source_key) {
            return self.hold(source_key, Stop::NextHop, head.group, frame);
        }
        let payload_mtu = match self.check_source(&head.outer, source) {
            SourceCheck::Allowed { payload_mtu } => payload_mtu,
            SourceCheck::Refused => return Verdict::Drop(DropReason::RlocSpoof),
            SourceCheck::Unknown => return self.hold(source_key, Stop::Miss, head.group, frame),
        };
        // A gateway of the same group at another site may have an address of its own: it is answered from there
        // too, and never asked for by ARP.
        if gateway(head.group, inner.family).map(addr_bytes) == Some(inner.destination) {
            let packet = &frame[head.outer.inner_at..head.outer.inner_at + usize::from(inner.len)];
            return self.at_gateway(head.group, inner, packet, frame);
        }
        let key = hold_key(iid, inner.family, &inner.destination, Role::Destination);
        if self.must_queue(&key) {
            return self.hold(key, Stop::NextHop, head.group, frame);
        }
        let view = self.view;
        match to_host(view, head.group, local, inner) {
            Ok(way) => self.deliver(head, &way, frame, payload_mtu),
            Err(Stop::Drop(reason)) => Verdict::Drop(reason),
            Err(stop) => self.hold(key, stop, head.group, frame),
        }
    }

    #[inline]
    fn check_source(&self, outer: &Outer, source: Option<EidBody>) -> SourceCheck {
        match source {
            None => SourceCheck::Unknown,
            Some(EidBody::Remote { set }) => match self.view.set(set) {
                Some(row) if set_has_locator(self.view, row, outer.family, &outer.source) => {
                    SourceCheck::Allowed { payload_mtu: row.payload_mtu }
                }
                _ => SourceCheck::Refused,
            },
            // One of our own EIDs, or one that does not exist, cannot come from the underlay.
            Some(_) => SourceCheck::Refused,
        }
    }

    /// Combines TTL, DSCP and ECN, then out to the host.
    #[inline]
    fn deliver(&mut self, head: &Head<'_>, way: &Way<'_>, frame: &[u8], payload_mtu: u16) -> Verdict {
        let (inner, outer) = (&head.inner, &head.outer);
        let packet = &frame[outer.inner_at..outer.inner_at + usize::from(inner.len)];
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
