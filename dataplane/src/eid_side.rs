//! Eid-side in: an agent's packet, to another agent here or to another site.

use crate::counters::Basic;
use crate::departed::GRACE_NS;
use crate::emit::{Rewrite, Way};
use crate::encap::ETHERNET;
use crate::hold::{HoldKey, Role};
use crate::inner::{self, Inner};
use crate::layout::{Attachment, Layout, gateway, is_gateway};
use crate::policies::{Rule, class_of};
use crate::route::{Stop, route};
use crate::step::{Answers, Questions, Step, Verdicts, ask_both, hold_key};
use crate::tables::{EidBody, EidValue, Moment, Tag};
use crate::verdict::{DropReason, Verdict};
use arrayvec::ArrayVec;
use sterna_shm::{AttachProof, Group};
use sterna_wire::{Family, Mac, addr_bytes, addr_from_bytes};
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
    group: &'v Group,
    /// What gives the group's packets their class.
    rules: &'v [Rule],
    inner: Inner,
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
#[inline]
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

/// What a frame is, after the first pass.
enum Class<'v> {
    Transit(Head<'v>),
    Arp { group: &'v Group, link: Link },
    Ndisc { group: &'v Group, link: Link, inner: Inner },
    Drop(DropReason),
}

#[inline]
fn classify<'v>(layout: &'v Layout, ingress: u16, at: usize, frame: &[u8]) -> Class<'v> {
    let link = match read_link(frame) {
        Ok(link) => link,
        Err(reason) => return Class::Drop(reason),
    };
    let Some((group, rules)) = layout.policed_group_at(ingress, link.vlan) else {
        return Class::Drop(DropReason::UnknownVlan);
    };
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
        Ok(inner) => Class::Transit(Head { at, l3: link.payload, vlan: link.vlan, group, rules, inner }),
        Err(reason) => Class::Drop(reason),
    }
}

/// ICMPv6 types 133 to 137 directly behind the IPv6 header (RFC 4861).
#[inline]
pub(crate) fn is_ndisc(inner: &Inner, packet: &[u8]) -> bool {
    inner.protocol == ICMPV6
        && inner.family == Family::V6
        && packet.get(40).is_some_and(|t| (133..=137).contains(t))
}

impl Step<'_, '_> {
    /// The eid-side passes over a burst.
    pub(crate) fn eid_burst(&mut self, packets: &[&[u8]], verdicts: &mut Verdicts) {
        let (view, layout) = (self.view, self.layout);
        let mut heads: ArrayVec<Head<'_>, BURST> = ArrayVec::new();
        let mut questions = Questions::new();
        for (at, packet) in packets.iter().enumerate() {
            if let Some(ahead) = packets.get(at + AHEAD) {
                sterna_cpu::prefetch_bytes(ahead);
            }
            verdicts.push(match classify(layout, self.ingress, at, packet) {
                Class::Transit(head) => {
                    ask_both(&mut questions, head.group.iid.get(), &head.inner);
                    heads.push(head);
                    // Replaced by the last pass.
                    Verdict::Held
                }
                Class::Arp { group, link } => self.handle_arp(group, &link, packet),
                Class::Ndisc { group, link, inner } => self.handle_ndisc(group, &link, &inner, packet),
                Class::Drop(reason) => Verdict::Drop(reason),
            });
        }
        let mut answers: Answers<'_> = [const { None }; 2 * BURST];
        view.eids().lookup_burst(&view.guard, &questions, &mut answers[..questions.len()]);
        for (i, head) in heads.iter().enumerate() {
            let value = |at: usize| answers[at].as_ref().map(|found| found.value);
            verdicts[head.at] = self.eid_decide(head, packets[head.at], value(2 * i), value(2 * i + 1));
        }
        if let Some(i) = self.sample(heads.len())
            && let (Verdict::Transmit(_), Some(found)) = (verdicts[heads[i].at], &answers[2 * i + 1])
        {
            view.marks.used.set(found.index);
        }
    }

    /// Last pass: source check, gateway, then the way.
    #[inline]
    fn eid_decide(
        &mut self,
        head: &Head<'_>,
        frame: &[u8],
        source: Option<&EidValue>,
        destination: Option<&EidValue>,
    ) -> Verdict {
        let here = (self.ingress, head.vlan);
        let (written, source) = (source.map(|value| value.written), source.map(|value| value.body));
        let destination = destination.map(|value| value.body);
        let local = match source {
            Some(EidBody::Agent { port, vlan, .. } | EidBody::Skill { port, vlan, .. }) => {
                (port, vlan) == here
            }
            Some(EidBody::Served { port, vlan, via }) => {
                let local = (port, vlan) == here;
                if local && via.is_none() {
                    self.ask_speaker(head);
                }
                local
            }
            // It said that it leaves, and speaks until it does.
            Some(EidBody::Hold) => self.is_agent_range(head),
            Some(EidBody::Away { .. }) => self.just_left(head, frame, written),
            _ => false,
        };
        let inner = &head.inner;
        let gateway = gateway(head.group, inner.family).map(addr_bytes);
        // The gateway's address lies in a served prefix, but no host has it.
        if !local || gateway == Some(inner.source) {
            return self.unattached(head, frame, source);
        }
        if let Some(EidBody::Agent { mac, given: true, .. } | EidBody::Skill { mac, .. }) = source
            && frame.get(6..12) != Some(&mac.0)
        {
            self.dispute(head, frame);
        }
        if !self.state.hold.is_empty() {
            // Admitted just now: behind those that waited for it.
            let admission = hold_key(head.group.iid.get(), inner.family, &inner.source, Role::Attach);
            if self.must_queue(&admission) {
                return self.hold(admission, Stop::Wait, head.group, frame);
            }
        }
        let packet = &frame[head.l3..head.l3 + usize::from(inner.len)];
        if gateway == Some(inner.destination) {
            return self.agent_at_gateway(head.group, inner, packet, frame);
        }
        let class = class_of(head.rules, inner, packet);
        let key = hold_key(head.group.iid.get(), inner.family, &inner.destination, Role::Destination);
        let key = HoldKey { class, ..key };
        if self.must_queue(&key) {
            return self.hold(key, Stop::NextHop, head.group, frame);
        }
        let view = self.view;
        match route(self, view, head.group, destination, inner, class) {
            Ok(way) => self.forward(head.group, &way, inner, packet),
            Err(Stop::Drop(reason)) => Verdict::Drop(reason),
            Err(stop) => self.hold(key, stop, head.group, frame),
        }
    }

    /// Whether the source may be an agent's that comes and goes.
    fn is_agent_range(&self, head: &Head<'_>) -> bool {
        self.layout.is_dynamic(head.group.iid.get(), head.inner.family, &head.inner.source)
    }

    /// An agent that is announced here, but whose Ethernet address is not known: now it is there to be asked.
    #[cold]
    fn ask_speaker(&mut self, head: &Head<'_>) {
        let (group, inner) = (head.group, &head.inner);
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
        let (group, inner) = (head.group, &head.inner);
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
        let (group, inner) = (head.group, &head.inner);
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

    /// TTL, size, then out.
    #[inline]
    fn forward(&mut self, group: &Group, way: &Way<'_>, inner: &Inner, packet: &[u8]) -> Verdict {
        if inner.ttl <= 1 {
            return self.refuse_ttl(group, inner, packet);
        }
        let clamp = self.layout.settings.mss_clamp;
        let rewrite =
            Rewrite { ttl: inner.ttl - 1, tos: inner.tos, mss_mtu: clamp.then(|| way.mtu()), relays: 0 };
        if inner.len > way.mtu() {
            return self.refuse_or_split(group, way, inner, packet, &rewrite);
        }
        match self.emit(way, group.iid.get(), inner, packet, &rewrite) {
            Ok(port) => {
                let counter = match way {
                    Way::Tunnel { .. } => Basic::Encapsulated,
                    Way::Host { .. } => Basic::Switched,
                };
                self.state.tally(port).add(counter, 1);
                Verdict::Transmit(port)
            }
            Err(reason) => Verdict::Drop(reason),
        }
    }
}
