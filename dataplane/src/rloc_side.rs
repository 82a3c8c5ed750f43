//! Rloc-side in: from the tunnel to an attached host. A security boundary: whatever is not proved right is dropped.

use crate::asked::{Asked, Numbers};
use crate::counters::Basic;
use crate::decap::{self, Outer};
use crate::eid_side::{AHEAD, is_ndisc};
use crate::emit::{Rewrite, Way};
use crate::hold::Role;
use crate::inner::{self, Inner};
use crate::layout::{GroupRow, Layout};
use crate::recent::Allowed;
use crate::route::{Stop, host, to_host};
use crate::source_check::SourceCheck;
use crate::step::{Step, Verdicts, hold_key};
use crate::tables::{EidBody, EidValue, Moment};
use crate::verdict::{DropReason, Verdict};
use arrayvec::ArrayVec;
use sterna_shm::Group;
use sterna_wire::Family;
use sterna_xsk::BURST;

/// A packet out of the tunnel after the first pass.
pub(crate) struct Head<'v> {
    at: usize,
    row: &'v GroupRow,
    pub group: &'v Group,
    asked: Numbers,
    pub outer: Outer,
    pub inner: Inner,
}

/// The groups by instance-ID: packets of a group come in trains.
struct Groups<'v> {
    layout: &'v Layout,
    last: Option<(u32, &'v GroupRow)>,
    /// The last pair of RLOCs that a packet may have come between.
    between: Option<(Family, [u128; 2])>,
}

impl<'v> Groups<'v> {
    #[inline(always)]
    fn of(&mut self, iid: u32) -> Option<&'v GroupRow> {
        match self.last {
            Some((last, row)) if last == iid => Some(row),
            _ => {
                self.last = self.layout.row_of(iid).map(|row| (iid, row));
                self.last.map(|(_, row)| row)
            }
        }
    }

    /// Whether a packet came to us, and not from us.
    #[inline(always)]
    fn is_for_us(&mut self, outer: &Outer) -> Result<(), DropReason> {
        let rlocs = [u128::from_ne_bytes(outer.source), u128::from_ne_bytes(outer.destination)];
        if self.between == Some((outer.family, rlocs)) {
            return Ok(());
        }
        if !self.layout.is_own_rloc(outer.family, &outer.destination) {
            return Err(DropReason::NotOurRloc);
        }
        if self.layout.is_own_rloc(outer.family, &outer.source) {
            return Err(DropReason::OwnRlocSource);
        }
        self.between = Some((outer.family, rlocs));
        Ok(())
    }
}

/// What the first pass leaves for the others.
struct Arrived<'v> {
    heads: ArrayVec<Head<'v>, BURST>,
    asked: Asked,
}

impl<'v> Arrived<'v> {
    /// Takes a packet; the verdict is replaced by the last pass.
    #[inline(always)]
    fn take(&mut self, at: usize, row: &'v GroupRow, outer: Outer, inner: Inner) -> Verdict {
        let asked = self.asked.ask(outer.iid, &inner);
        self.heads.push(Head { at, row, group: &row.group, asked, outer, inner });
        Verdict::Held
    }
}

/// A packet with nothing unusual about it, for a single host.
#[inline(always)]
fn plain<'v>(groups: &mut Groups<'v>, frame: &[u8]) -> Option<(&'v GroupRow, Outer, Inner)> {
    let outer = decap::read_plain(frame)?;
    let inner = inner::read_plain(frame.get(outer.inner_at..outer.inner_end)?)?;
    if inner.is_multicast() || groups.is_for_us(&outer).is_err() {
        return None;
    }
    Some((groups.of(outer.iid)?, outer, inner))
}

impl Head<'_> {
    /// The inner packet, without what stands behind it.
    pub fn packet<'f>(&self, frame: &'f [u8]) -> &'f [u8] {
        let at = self.outer.inner_at;
        &frame[at..at + usize::from(self.inner.len)]
    }
}

/// First pass over one packet: all that can be said without the tables.
#[inline(never)]
fn read<'v>(groups: &mut Groups<'v>, frame: &[u8]) -> Result<(&'v GroupRow, Outer, Inner), DropReason> {
    let outer = decap::read(frame)?;
    groups.is_for_us(&outer)?;
    let row = groups.of(outer.iid).ok_or(DropReason::UnknownIid)?;
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
    Ok((row, outer, inner))
}

impl Step<'_, '_> {
    /// The rloc-side passes over a burst.
    pub(crate) fn rloc_burst(&mut self, packets: &[&[u8]], verdicts: &mut Verdicts) {
        let view = self.view;
        let mut groups = Groups { layout: self.layout, last: None, between: None };
        let mut arrived = Arrived { heads: ArrayVec::new(), asked: Asked::new() };
        for (at, packet) in packets.iter().enumerate() {
            if let Some(ahead) = packets.get(at + AHEAD) {
                sterna_cpu::prefetch_packet(ahead);
            }
            verdicts.push(match plain(&mut groups, packet) {
                Some((row, outer, inner)) => arrived.take(at, row, outer, inner),
                None => match read(&mut groups, packet) {
                    Ok((row, outer, inner)) => arrived.take(at, row, outer, inner),
                    Err(reason) => Verdict::Drop(reason),
                },
            });
        }
        // By reference: taken apart, some kilobytes would be copied.
        let heads = &arrived.heads;
        let answers = arrived.asked.answers(view);
        let mut allowed = Allowed::new();
        for head in heads {
            let answers = answers.values(head.asked);
            verdicts[head.at] = self.rloc_decide(head, packets[head.at], answers, &mut allowed);
        }
        allowed.settle(self.state, self.ingress);
        if let Some(head) = self.sample(heads.len()).and_then(|at| heads.get(at))
            && let (Verdict::Transmit(_), Some(entry)) = (verdicts[head.at], answers.source_entry(head.asked))
        {
            view.marks.used.set(entry);
        }
    }

    /// Last pass: from a site that may send it, to a host that is here, or else the long way.
    #[inline(always)]
    fn rloc_decide(
        &mut self,
        head: &Head<'_>,
        frame: &[u8],
        (source, destination): (Option<&EidValue>, Option<&EidValue>),
        allowed: &mut Allowed,
    ) -> Verdict {
        if let Some(&EidBody::Agent { port, vlan, mac, .. }) = destination.map(|value| &value.body)
            && let Some(&EidBody::Remote { set, .. }) = source.map(|value| &value.body)
            && self.state.hold.is_empty()
            && !head.row.has_gateway(head.inner.family, &head.inner.destination)
            && let Some(payload_mtu) = allowed.source(self, set, &head.outer)
            && let Ok(way) = host(self.view, head.group, port, vlan, mac)
        {
            return self.deliver(head, &way, frame, payload_mtu, allowed);
        }
        self.rloc_forward(head, frame, source, destination, allowed)
    }

    /// Last pass over any packet.
    #[inline(never)]
    fn rloc_forward(
        &mut self,
        head: &Head<'_>,
        frame: &[u8],
        source: Option<&EidValue>,
        destination: Option<&EidValue>,
        allowed: &mut Allowed,
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
        if head.row.has_gateway(inner.family, &inner.destination) {
            return self.at_gateway(head.group, inner, packet, frame);
        }
        let key = hold_key(iid, inner.family, &inner.destination, Role::Destination);
        if self.must_queue(&key) {
            return self.hold(key, Stop::Wait, head.group, frame);
        }
        if let EidBody::Away { set } = body {
            return self.relay(head, set, frame);
        }
        match to_host(self.view, head.group, &body, inner) {
            Ok(way) => self.deliver(head, &way, frame, payload_mtu, allowed),
            Err(Stop::Drop(reason)) => Verdict::Drop(reason),
            Err(stop) => self.hold(key, stop, head.group, frame),
        }
    }

    /// A forged source; if its packet waited for the answer that shows it, that answer counts for others too.
    fn refuse_source(&mut self) -> Verdict {
        let now_ns = self.state.now_ns;
        if let Some(key) = self.state.replay.filter(|key| key.role == Role::Moved) {
            self.state.convicts.note(&key, now_ns);
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
    #[inline(always)]
    fn deliver(
        &mut self,
        head: &Head<'_>,
        way: &Way<'_>,
        frame: &[u8],
        payload_mtu: u16,
        allowed: &mut Allowed,
    ) -> Verdict {
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
                allowed.decapsulated();
                if ecn.suspicious {
                    let ingress = self.ingress;
                    self.state.tally(ingress).add(Basic::EcnSuspicious, 1);
                }
                Verdict::Transmit(port)
            }
            Err(reason) => Verdict::Drop(reason),
        }
    }
}
