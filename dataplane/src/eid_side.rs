//! Eid-side in: an agent's packet, to another agent here or to another site.

use crate::asked::{Asked, Numbers};
use crate::counters::Basic;
use crate::departed::GRACE_NS;
use crate::emit::{Rewrite, Way};
use crate::encap::ETHERNET;
use crate::hold::{HoldKey, Role};
use crate::inner::{self, Inner};
use crate::layout::{Attachment, GroupRow, Layout, is_gateway};
use crate::policies::class_of;
use crate::recent::Recent;
use crate::route::{Stop, route, set_of_class};
use crate::step::{Step, Verdicts, hold_key};
use crate::tables::{EidBody, EidValue, Moment, Tag};
use crate::verdict::{DropReason, Verdict};
use arrayvec::ArrayVec;
use sterna_shm::{AttachProof, Group};
use sterna_wire::{Family, Mac, addr_from_bytes};
use sterna_xsk::BURST;

const ICMPV6: u8 = 58;
/// Packets whose headers are fetched ahead of the one being read: far enough for a memory access, near enough to
/// stay in the first-level cache.
pub(crate) const AHEAD: usize = 4;

/// A transit packet after the first pass.
struct Head<'v> {
    at: usize,
    l3: usize,
    vlan: Tag,
    row: &'v GroupRow,
    asked: Numbers,
    inner: Inner,
}

/// The groups behind a port, by VLAN: frames of a VLAN come in trains.
struct Groups<'v> {
    layout: &'v Layout,
    ingress: u16,
    last: Option<(Tag, &'v GroupRow)>,
}

impl<'v> Groups<'v> {
    #[inline(always)]
    fn at(&mut self, vlan: Tag) -> Option<&'v GroupRow> {
        match self.last {
            Some((last, row)) if last == vlan => Some(row),
            _ => {
                self.last = self.layout.row_at(self.ingress, vlan).map(|row| (vlan, row));
                self.last.map(|(_, row)| row)
            }
        }
    }
}

/// What the first pass leaves for the others.
struct Transit<'v> {
    heads: ArrayVec<Head<'v>, BURST>,
    asked: Asked,
}

impl<'v> Transit<'v> {
    /// Takes a packet; the verdict is replaced by the last pass.
    #[inline(always)]
    fn take(&mut self, at: usize, l3: usize, vlan: Tag, row: &'v GroupRow, inner: Inner) -> Verdict {
        let asked = self.asked.ask(row.group.iid.get(), &inner);
        self.heads.push(Head { at, l3, vlan, row, asked, inner });
        Verdict::Held
    }
}

/// What the Ethernet header says.
pub(crate) struct Link {
    /// VLAN, 0 for untagged (802.1Q priority tags count as untagged).
    pub vlan: Tag,
    /// Ethertype behind the tag.
    pub ethertype: [u8; 2],
    /// Where the payload starts.
    pub payload: usize,
}

/// Reads Ethernet and at most one 802.1Q tag.
#[inline(always)]
pub(crate) fn read_link(frame: &[u8]) -> Result<Link, DropReason> {
    let h: &[u8; ETHERNET] = frame.first_chunk().ok_or(DropReason::Truncated)?;
    let ethertype = [h[12], h[13]];
    if ethertype != [0x81, 0x00] {
        return Ok(Link { vlan: 0, ethertype, payload: ETHERNET });
    }
    let h: &[u8; ETHERNET + 4] = frame.first_chunk().ok_or(DropReason::Truncated)?;
    let vlan = u16::from_be_bytes([h[14], h[15]]) & 0x0fff;
    Ok(Link { vlan, ethertype: [h[16], h[17]], payload: ETHERNET + 4 })
}

/// An untagged frame with a packet that has nothing unusual about it, for a single host; its Ethertype is known.
#[inline(always)]
fn plain<'v>(groups: &mut Groups<'v>, inner: Option<Inner>) -> Option<(&'v GroupRow, Inner)> {
    let inner = inner.filter(|inner| !inner.is_multicast())?;
    Some((groups.at(0)?, inner))
}

/// What a frame is, after the first pass.
enum Class<'v> {
    Transit { link: Link, row: &'v GroupRow, inner: Inner },
    Arp { group: &'v Group, link: Link },
    Ndisc { group: &'v Group, link: Link, inner: Inner },
    Drop(DropReason),
}

fn classify<'v>(groups: &mut Groups<'v>, frame: &[u8]) -> Class<'v> {
    let link = match read_link(frame) {
        Ok(link) => link,
        Err(reason) => return Class::Drop(reason),
    };
    let Some(row) = groups.at(link.vlan) else {
        return Class::Drop(DropReason::UnknownVlan);
    };
    let group = &row.group;
    let version = match link.ethertype {
        [0x08, 0x00] => 4,
        [0x86, 0xdd] => 6,
        [0x08, 0x06] => return Class::Arp { group, link },
        _ => return Class::Drop(DropReason::NotIp),
    };
    let packet = &frame[link.payload..];
    if packet.first().is_some_and(|b| b >> 4 != version) {
        return Class::Drop(DropReason::BadVersion);
    }
    match inner::read(packet) {
        Ok(inner) if is_ndisc(&inner, packet) => Class::Ndisc { group, link, inner },
        Ok(inner) if inner.is_multicast() => Class::Drop(DropReason::Multicast),
        Ok(inner) => Class::Transit { link, row, inner },
        Err(reason) => Class::Drop(reason),
    }
}

/// ICMPv6 types 133 to 137 directly behind the IPv6 header (RFC 4861).
#[inline(always)]
pub(crate) fn is_ndisc(inner: &Inner, packet: &[u8]) -> bool {
    inner.protocol == ICMPV6
        && inner.family == Family::V6
        && packet.get(40).is_some_and(|t| (133..=137).contains(t))
}

impl<'a> Step<'a, '_> {
    /// The eid-side passes over a burst.
    pub(crate) fn eid_burst(&mut self, packets: &[&[u8]], verdicts: &mut Verdicts) {
        let view = self.view;
        let mut groups = Groups { layout: self.layout, ingress: self.ingress, last: None };
        let mut transit = Transit { heads: ArrayVec::new(), asked: Asked::new() };
        for (at, packet) in packets.iter().enumerate() {
            if let Some(ahead) = packets.get(at + AHEAD) {
                sterna_cpu::prefetch_packet(ahead);
            }
            // Each family on a way of its own: where they meet, every field has to be put aside.
            let taken = match packet.split_first_chunk::<ETHERNET>() {
                Some(([.., 0x08, 0x00], packet)) => plain(&mut groups, inner::read_plain(packet))
                    .map(|(row, inner)| transit.take(at, ETHERNET, 0, row, inner)),
                Some(([.., 0x86, 0xdd], packet)) => plain(&mut groups, inner::read_plain_v6(packet))
                    .map(|(row, inner)| transit.take(at, ETHERNET, 0, row, inner)),
                _ => None,
            };
            verdicts.push(match taken {
                Some(verdict) => verdict,
                None => self.eid_read(at, packet, &mut groups, &mut transit),
            });
        }
        // By reference: taken apart, some kilobytes would be copied.
        let heads = &transit.heads;
        let answers = transit.asked.answers(view);
        let mut recent = Recent::new();
        for head in heads {
            let answers = answers.values(head.asked);
            verdicts[head.at] = self.eid_decide(head, packets[head.at], answers, &mut recent);
        }
        recent.settle(self.state);
        if let Some(head) = self.sample(heads.len()).and_then(|at| heads.get(at))
            && let (Verdict::Transmit(_), Some(entry)) =
                (verdicts[head.at], answers.destination_entry(head.asked))
        {
            view.marks.used.set(entry);
        }
    }

    /// Last pass: source check, gateway, then the way.
    #[inline(always)]
    fn eid_decide(
        &mut self,
        head: &Head<'_>,
        frame: &[u8],
        (source, destination): (Option<&EidValue>, Option<&EidValue>),
        recent: &mut Recent<'a>,
    ) -> Verdict {
        let (row, group, inner) = (head.row, &head.row.group, &head.inner);
        // The gateway's address lies in a served prefix, but no host has it.
        if !self.is_local(head, frame, source) || row.has_gateway(inner.family, &inner.source) {
            return self.unattached(head, frame, source.map(|value| value.body));
        }
        if let Some(EidBody::Agent { mac, given: true, .. } | EidBody::Skill { mac, .. }) =
            source.map(|value| &value.body)
            && frame.get(6..12) != Some(&mac.0)
        {
            self.dispute(head, frame);
        }
        let packet = &frame[head.l3..head.l3 + usize::from(inner.len)];
        let class = class_of(&row.rules, inner, packet);
        let body = destination.map(|value| &value.body);
        let plain = self.state.hold.is_empty() && !row.has_gateway(inner.family, &inner.destination);
        if let Some(&EidBody::Remote { set, classes }) = body
            && plain
            && inner.ttl > 1
            && let Ok(set) = set_of_class(self.view, set, classes, class)
            && let Ok(tunnel) = recent.tunnel(self, self.view, set, group.iid.get(), inner.flow)
            && inner.len <= tunnel.payload_mtu
        {
            let rewrite = self.one_hop(inner, tunnel.payload_mtu);
            return match self.emit_tunnel(&tunnel, group.iid.get(), inner, packet, &rewrite) {
                Ok(port) => {
                    recent.encapsulated(self.state, port);
                    Verdict::Transmit(port)
                }
                Err(reason) => Verdict::Drop(reason),
            };
        }
        self.eid_forward(head, frame, body, class)
    }
}

impl Step<'_, '_> {
    /// First pass over one packet that is not plain, or not to be forwarded.
    #[inline(never)]
    fn eid_read<'v>(
        &mut self,
        at: usize,
        packet: &[u8],
        groups: &mut Groups<'v>,
        transit: &mut Transit<'v>,
    ) -> Verdict {
        match classify(groups, packet) {
            Class::Transit { link, row, inner } => transit.take(at, link.payload, link.vlan, row, inner),
            Class::Arp { group, link } => self.handle_arp(group, &link, packet),
            Class::Ndisc { group, link, inner } => self.handle_ndisc(group, &link, &inner, packet),
            Class::Drop(reason) => Verdict::Drop(reason),
        }
    }

    /// Last pass over a packet from where it may come, whatever it is: behind those that wait, to the gateway itself, or
    /// on its way.
    #[inline(never)]
    fn eid_forward(
        &mut self,
        head: &Head<'_>,
        frame: &[u8],
        destination: Option<&EidBody>,
        class: u8,
    ) -> Verdict {
        let (row, group, inner) = (head.row, &head.row.group, &head.inner);
        // Admitted just now: behind those that waited for it.
        let admission = hold_key(group.iid.get(), inner.family, &inner.source, Role::Attach);
        if self.must_queue(&admission) {
            return self.hold(admission, Stop::Wait, group, frame);
        }
        let packet = &frame[head.l3..head.l3 + usize::from(inner.len)];
        if row.has_gateway(inner.family, &inner.destination) {
            return self.agent_at_gateway(group, inner, packet, frame);
        }
        let key = hold_key(group.iid.get(), inner.family, &inner.destination, Role::Destination);
        let key = HoldKey { class, ..key };
        if self.must_queue(&key) {
            return self.hold(key, Stop::NextHop, group, frame);
        }
        let view = self.view;
        match route(self, view, group, destination, inner, class) {
            Ok(way) => self.forward(group, &way, inner, packet),
            Err(Stop::Drop(reason)) => Verdict::Drop(reason),
            Err(stop) => self.hold(key, stop, group, frame),
        }
    }

    /// Whether the source may send from where the packet came in.
    #[inline(always)]
    fn is_local(&mut self, head: &Head<'_>, frame: &[u8], source: Option<&EidValue>) -> bool {
        let here = (self.ingress, head.vlan);
        match source.map(|value| &value.body) {
            Some(&(EidBody::Agent { port, vlan, .. } | EidBody::Skill { port, vlan, .. })) => {
                (port, vlan) == here
            }
            Some(&EidBody::Served { port, vlan, via }) => {
                let local = (port, vlan) == here;
                if local && via.is_none() {
                    self.ask_speaker(head);
                }
                local
            }
            // It said that it leaves, and speaks until it does.
            Some(EidBody::Hold) => self.is_agent_range(head),
            Some(EidBody::Away { .. }) => self.just_left(head, frame, source.map(|value| value.written)),
            _ => false,
        }
    }

    /// Whether the source may be an agent's that comes and goes.
    fn is_agent_range(&self, head: &Head<'_>) -> bool {
        self.layout.is_dynamic(head.row.group.iid.get(), head.inner.family, &head.inner.source)
    }

    /// An agent that is announced here, but whose Ethernet address is not known: now it is there to be asked.
    #[cold]
    fn ask_speaker(&mut self, head: &Head<'_>) {
        let (group, inner) = (&head.row.group, &head.inner);
        // Not its claims' key: one must not use up the other's question.
        let key = hold_key(group.iid.get(), inner.family, &inner.source, Role::Destination);
        if self.is_agent_range(head) && self.may_ask_speaker(&key) {
            let eid = addr_from_bytes(inner.family, &inner.source);
            self.solicit_now(group, self.ingress, head.vlan, eid);
        }
    }

    /// Whether an agent left so short a time ago that it may still speak here, because it has both links. It may also
    /// have come back: that is for the control plane to find out meanwhile.
    #[cold]
    fn just_left(&mut self, head: &Head<'_>, frame: &[u8], written: Option<Moment>) -> bool {
        let since = Moment::at(self.state.now_ns.saturating_sub(GRACE_NS));
        let left = self.is_agent_range(head) && written.is_some_and(|written| written >= since);
        if left {
            self.dispute(head, frame);
        }
        left
    }

    /// Somebody speaks as an agent that is settled to be another host, or elsewhere: the control plane looks into it, and
    /// until then nothing changes.
    #[cold]
    fn dispute(&mut self, head: &Head<'_>, frame: &[u8]) {
        let (group, inner) = (&head.row.group, &head.inner);
        if let (true, Some(mac)) = (self.is_agent_range(head), self.sending_host(group, frame)) {
            let at = Attachment { port: self.ingress, vlan: head.vlan };
            let eid = addr_from_bytes(inner.family, &inner.source);
            self.claim(group, eid, mac, at, AttachProof::Data);
        }
    }

    /// The Ethernet address that a frame came from, if a host may have it.
    fn sending_host(&self, group: &Group, frame: &[u8]) -> Option<Mac> {
        let mac = Mac(frame.get(6..12)?.try_into().ok()?);
        self.may_be_host(group, mac).then_some(mac)
    }

    /// A source that is not attached here: where agents come and go it may be one that has come.
    #[cold]
    fn unattached(&mut self, head: &Head<'_>, frame: &[u8], source: Option<EidBody>) -> Verdict {
        let (group, inner) = (&head.row.group, &head.inner);
        let refused = Verdict::Drop(DropReason::SrcNotLocal);
        // What is here but elsewhere does not come by this port.
        let elsewhere =
            matches!(source, Some(EidBody::Agent { .. } | EidBody::Skill { .. } | EidBody::Served { .. }));
        let Some(mac) = self.sending_host(group, frame).filter(|_| !elsewhere) else { return refused };
        let is_gateway = is_gateway(group, addr_from_bytes(inner.family, &inner.source));
        if is_gateway || !self.is_agent_range(head) {
            return refused;
        }
        let key = hold_key(group.iid.get(), inner.family, &inner.source, Role::Attach);
        self.hold(key, Stop::Attach { mac }, group, frame)
    }

    /// What a hop changes in a packet whose TTL allows it.
    #[inline(always)]
    fn one_hop(&self, inner: &Inner, mtu: u16) -> Rewrite {
        let clamp = self.layout.settings.mss_clamp;
        Rewrite { ttl: inner.ttl - 1, tos: inner.tos, mss_mtu: clamp.then_some(mtu), relays: 0 }
    }

    /// TTL, size, then out.
    fn forward(&mut self, group: &Group, way: &Way<'_>, inner: &Inner, packet: &[u8]) -> Verdict {
        if inner.ttl <= 1 {
            return self.refuse_ttl(group, inner, packet);
        }
        let rewrite = self.one_hop(inner, way.mtu());
        if inner.len > way.mtu() {
            return self.refuse_or_split(group, way, inner, packet, &rewrite);
        }
        match self.emit(way, group.iid.get(), inner, packet, &rewrite) {
            Ok(port) => {
                let counter = match way {
                    Way::Tunnel(_) => Basic::Encapsulated,
                    Way::Host { .. } => Basic::Switched,
                };
                self.state.tally(port).add(counter, 1);
                Verdict::Transmit(port)
            }
            Err(reason) => Verdict::Drop(reason),
        }
    }
}
