//! Eid-side ARP and neighbour discovery: one anycast gateway, proxy answers for EIDs that are elsewhere, and what
//! the hosts' own packets teach us. Answered here even while the control plane is dead.

use crate::checks::Ask;
use crate::counters::Basic;
use crate::eid_side::Link;
use crate::hold::{HoldKey, Role};
use crate::inner::Inner;
use crate::layout::{Attachment, gateway, in_gateway_subnet, is_gateway, link_local, tag_of};
use crate::neighbor_frames::{self as frames, NdSeen};
use crate::route::{Stop, lacks_row};
use crate::state::{Upward, WorkerState};
use crate::step::Step;
use crate::tables::{EidBody, Tag, View};
use crate::verdict::{DropReason, PuntReason, Verdict};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use sterna_shm::{AttachProof, Group};
use sterna_wire::{Family, Mac, VlanId, addr_bytes, addr_from_bytes};

/// Room for any ARP or ND frame that we send: tag, IPv6 header, ND with one option.
const FRAME: usize = 128;

impl Step<'_, '_> {
    /// ARP from an eid-side host.
    #[cold]
    pub(crate) fn handle_arp(&mut self, group: &Group, link: &Link, frame: &[u8]) -> Verdict {
        let Ok(arp) = frames::read_arp(&frame[link.payload..]) else {
            return Verdict::Drop(DropReason::MalformedArp);
        };
        if !arp.is_probe() {
            self.learn(group, link.vlan, IpAddr::V4(arp.sender_ip), arp.sender_mac, AttachProof::Arp);
        }
        if arp.is_request()
            && self.answers(group, IpAddr::V4(arp.target_ip), arp.is_probe(), arp.is_gratuitous())
        {
            let mut out = [0; FRAME];
            let len = frames::arp_reply(
                group.mac,
                arp.target_ip,
                arp.sender_mac,
                arp.sender_ip,
                VlanId::new(link.vlan),
                &mut out,
            );
            self.send_neighbor_frame(len.and_then(|len| out.get(..len)));
        }
        Verdict::Punt(PuntReason::Arp)
    }

    /// Neighbour discovery from an eid-side host.
    #[cold]
    pub(crate) fn handle_ndisc(
        &mut self,
        group: &Group,
        link: &Link,
        inner: &Inner,
        frame: &[u8],
    ) -> Verdict {
        let packet = &frame[link.payload..link.payload + usize::from(inner.len)];
        let Some(sender) = frame.get(6..12).and_then(|b| <[u8; 6]>::try_from(b).ok()).map(Mac) else {
            return Verdict::Drop(DropReason::Truncated);
        };
        match frames::read_ndisc(packet, sender) {
            Ok(NdSeen::Solicitation { target, source, lladdr }) => {
                let asker = lladdr.unwrap_or(sender);
                if !source.is_unspecified() {
                    self.learn(group, link.vlan, IpAddr::V6(source), asker, AttachProof::Nd);
                }
                if self.answers(group, IpAddr::V6(target), source.is_unspecified(), target == source) {
                    self.advertise(group, link.vlan, target, source, asker);
                }
            }
            Ok(NdSeen::Advertisement { target, lladdr, .. }) => {
                let mac = lladdr.unwrap_or(sender);
                self.learn(group, link.vlan, IpAddr::V6(target), mac, AttachProof::Nd);
            }
            Ok(NdSeen::Other) => {}
            Err(_) => return Verdict::Drop(DropReason::MalformedNdisc),
        }
        Verdict::Punt(PuntReason::Ndisc)
    }

    /// Whether the gateway answers for an address: its own always; in the group's subnet those that are elsewhere,
    /// or not known yet (the packet that follows asks for them). Never for what a host announces or probes as its
    /// own, never for hosts of this segment, which answer themselves, and never for what does not exist.
    fn answers(&self, group: &Group, target: IpAddr, probe: bool, announcement: bool) -> bool {
        if is_gateway(group, target) {
            return true;
        }
        if probe || announcement || !group.proxy_arp || !in_gateway_subnet(group, target) {
            return false;
        }
        match self.view.longest(group.iid.get(), target) {
            Some(EidBody::Remote { .. } | EidBody::Away { .. } | EidBody::Hold) | None => true,
            // The one that is here answers itself.
            Some(EidBody::Agent { .. } | EidBody::Skill { .. }) => false,
            Some(EidBody::Served { .. } | EidBody::Negative { .. }) => false,
        }
    }

    fn advertise(&mut self, group: &Group, vlan: Tag, target: Ipv6Addr, asker: Ipv6Addr, mac: Mac) {
        let mut out = [0; FRAME];
        let router = is_gateway(group, IpAddr::V6(target));
        let len = frames::neighbor_advertisement(
            group.mac,
            target,
            mac,
            asker,
            router,
            VlanId::new(vlan),
            &mut out,
        );
        self.send_neighbor_frame(len.and_then(|len| out.get(..len)));
    }

    fn send_neighbor_frame(&mut self, bytes: Option<&[u8]>) {
        if let Some(bytes) = bytes {
            self.emit_made(self.ingress, bytes);
        }
    }

    /// Tells the conductor of a host, when that is news and the address is one that hosts of this port may have:
    /// not the gateway's, not one behind an inner router, and one that is elsewhere only where agents come and go.
    fn learn(&mut self, group: &Group, vlan: Tag, eid: IpAddr, mac: Mac, proof: AttachProof) {
        let (iid, port) = (group.iid.get(), self.ingress);
        if !self.may_be_host(group, mac) || is_gateway(group, eid) {
            return;
        }
        let here = |p: u16, v: Tag| (p, v) == (port, vlan);
        let is_dynamic = || self.layout.is_dynamic(iid, Family::of(eid), &addr_bytes(eid));
        let (news, claim) = match self.view.longest(iid, eid) {
            Some(EidBody::Served { port: p, vlan: v, via }) => {
                (here(p, v) && via.is_none_or(|router| router == eid), false)
            }
            Some(EidBody::Agent { port: p, vlan: v, mac: known, given }) => {
                let moved = here(p, v) && known != mac;
                (moved && !given, moved && given && is_dynamic())
            }
            Some(EidBody::Skill { port: p, vlan: v, mac: known, .. }) => {
                (false, here(p, v) && known != mac && is_dynamic())
            }
            // It said that it leaves: what it says until then is no sign that it came.
            Some(EidBody::Hold) => (false, false),
            _ => (false, is_dynamic()),
        };
        let at = Attachment { port, vlan };
        if news {
            self.state.tally(port).add(Basic::NeighborsLearned, 1);
            self.report(Upward::Learned { iid, eid, mac, port, vlan });
        }
        if claim {
            self.claim(group, eid, mac, at, proof);
        }
        if self.view.checking().may_be(iid, eid) {
            self.report(Upward::Seen { iid, eid, mac, at });
        }
    }

    /// Whether a host may have this Ethernet address. Our own are no host's; another gateway of this segment, which
    /// has the same anycast MAC, speaks with them too.
    pub(crate) fn may_be_host(&self, group: &Group, mac: Mac) -> bool {
        let ours = mac == group.mac || self.layout.port(self.ingress).is_some_and(|row| row.mac == mac);
        !ours && mac.is_unicast()
    }

    /// Asks an attached host for its Ethernet address, at most once a second.
    #[cold]
    pub(crate) fn solicit(&mut self, group: &Group, port: u16, vlan: Tag, target: IpAddr) {
        if (port, vlan) != (group.port, tag_of(group)) {
            return;
        }
        let selector = u64::from(group.iid.get()) << 16 | u64::from(port);
        let pair = crate::flow::hash(&addr_bytes(target), &[0; 16], selector);
        let now_ns = self.state.now_ns;
        if self.state.solicit.allow(u64::from(pair), now_ns) {
            self.solicit_now(group, port, vlan, target);
        }
    }

    pub(crate) fn solicit_now(&mut self, group: &Group, port: u16, vlan: Tag, target: IpAddr) {
        let mut out = [0; FRAME];
        let tag = VlanId::new(vlan);
        let len = match target {
            IpAddr::V4(target) => {
                // Without a gateway address the request is a probe, which hosts answer as well (RFC 5227).
                let source = group.gateway_v4.map_or(Ipv4Addr::UNSPECIFIED, |(a, _)| a);
                frames::arp_request(group.mac, source, target, tag, &mut out)
            }
            IpAddr::V6(target) => {
                let source = match gateway(group, Family::V6) {
                    Some(IpAddr::V6(a)) => a,
                    _ => link_local(group.mac),
                };
                frames::neighbor_solicitation(group.mac, source, target, tag, &mut out)
            }
        };
        if let Some(bytes) = len.and_then(|len| out.get(..len)) {
            self.emit_made(port, bytes);
        }
    }

    /// Asks again for what a held packet waits for.
    pub(crate) fn ask_again(&mut self, key: &HoldKey, port: u16) {
        let Some(group) = self.layout.group_of(key.iid) else { return };
        let entry = self.view.entry(key.iid, key.family, &key.addr);
        let stop = match (key.role, entry.map(|value| value.body)) {
            (Role::Destination | Role::Source | Role::Moved, None) => Stop::Miss,
            (Role::Destination, Some(EidBody::Served { port, vlan, via })) => {
                let target = via.unwrap_or_else(|| addr_from_bytes(key.family, &key.addr));
                Stop::Neighbor { port, vlan, target }
            }
            (Role::Destination, Some(body)) if lacks_row(self.view, body, key.class) => Stop::Miss,
            (Role::Moved, Some(_)) => Stop::Moved,
            (Role::Attach, _) => {
                let front =
                    self.state.hold.front(key).and_then(|held| held.frame.get(6..12)?.try_into().ok());
                let Some(mac) = front else { return };
                Stop::Attach { mac: Mac(mac) }
            }
            _ => return,
        };
        self.ask(key, stop, group, port);
    }
}

/// Asks for a host because the control plane wants to know, whether it was asked for lately or not.
pub(crate) fn ask_host(view: &View<'_>, state: &mut WorkerState, ask: &Ask) {
    let layout = view.layout();
    if let Some(group) = layout.group_of(ask.iid)
        && (group.port, tag_of(group)) == (ask.at.port, ask.at.vlan)
    {
        let mut step = Step { view, layout, state, ingress: ask.at.port };
        step.solicit_now(group, ask.at.port, ask.at.vlan, ask.eid);
    }
}
