//! What cannot go on as it is: told to its source, split in two, or answered by the gateway itself.

use crate::counters::Basic;
use crate::emit::{Rewrite, Way};
use crate::hold::Role;
use crate::inner::{self, Inner};
use crate::layout::gateway;
use crate::route::{Stop, route};
use crate::step::{Step, hold_key};
use crate::tables::question;
use crate::verdict::{DropReason, PuntReason, Verdict};
use crate::{flow, fragment, icmp};
use sterna_shm::Group;
use sterna_wire::Family;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;
/// Longest ICMP error: 1280 bytes (RFC 4443 section 2.4 c).
const ERROR_MAX: usize = 1280;

impl Step<'_, '_> {
    /// The TTL ran out: drop, and say so to the source.
    #[cold]
    pub(crate) fn refuse_ttl(&mut self, group: &Group, inner: &Inner, packet: &[u8]) -> Verdict {
        if self.may_answer(inner, packet)
            && let Some(from) = gateway(group, inner.family)
        {
            let mut out = [0; ERROR_MAX];
            let len = icmp::time_exceeded(packet, from, &mut out);
            self.send_error(group, len.and_then(|len| out.get(..len)));
        }
        Verdict::Drop(DropReason::TtlExceeded)
    }

    /// Larger than the way carries: split what may be split, refuse the rest with the size that fits.
    #[cold]
    pub(crate) fn refuse_or_split(
        &mut self,
        group: &Group,
        way: &Way<'_>,
        inner: &Inner,
        packet: &[u8],
        rewrite: &Rewrite,
    ) -> Verdict {
        if inner.family == Family::V4 && !inner.dont_fragment {
            return self.split(group, way, packet, rewrite);
        }
        if self.may_answer(inner, packet)
            && let Some(from) = gateway(group, inner.family)
        {
            let mut out = [0; ERROR_MAX];
            let len = icmp::too_big(packet, from, way.mtu(), &mut out);
            self.send_error(group, len.and_then(|len| out.get(..len)));
        }
        Verdict::Drop(DropReason::TooBig)
    }

    fn split(&mut self, group: &Group, way: &Way<'_>, packet: &[u8], rewrite: &Rewrite) -> Verdict {
        let mut buffer = std::mem::take(&mut self.state.scratch);
        let half = buffer.len() / 2;
        let (first, second) = buffer.split_at_mut(half);
        let verdict = match fragment::split_ipv4(packet, usize::from(way.mtu()), first, second) {
            Some((a, b)) => self.emit_both(group, way, &first[..a], &second[..b], rewrite),
            None => Verdict::Drop(DropReason::TooBig),
        };
        self.state.scratch = buffer;
        verdict
    }

    fn emit_both(&mut self, group: &Group, way: &Way<'_>, a: &[u8], b: &[u8], rewrite: &Rewrite) -> Verdict {
        let iid = group.iid.get();
        let (Ok(first), Ok(second)) = (inner::read(a), inner::read(b)) else {
            return Verdict::Drop(DropReason::TooBig);
        };
        let port = match self.emit(way, iid, &first, a, rewrite) {
            Ok(port) => port,
            Err(reason) => return Verdict::Drop(reason),
        };
        self.state.tally(port).add(Basic::Fragmented, 1);
        // The second fragment is a packet of our own making: without a frame for it the datagram is incomplete
        // and its receiver discards it, as with any lost fragment.
        if let Ok(port) = self.emit(way, iid, &second, b, rewrite) {
            self.state.tally(port).add(Basic::Made, 1);
        }
        Verdict::Transmit(port)
    }

    /// At most one error per second and (source, destination), and a bound on all of them. An error, which is
    /// never answered, must not use up what a packet of the same pair is due.
    fn may_answer(&mut self, inner: &Inner, packet: &[u8]) -> bool {
        if is_icmp_error(inner, packet) {
            return false;
        }
        let pair = u64::from(flow::hash(&inner.source, &inner.destination, u64::from(inner.family as u8)));
        let now_ns = self.state.now_ns;
        if self.state.icmp.allow(pair, now_ns) {
            return true;
        }
        let ingress = self.ingress;
        self.state.tally(ingress).add(Basic::IcmpSuppressed, 1);
        false
    }

    fn send_error(&mut self, group: &Group, error: Option<&[u8]>) {
        if error.is_some_and(|packet| self.originate(group, packet).is_ok()) {
            let ingress = self.ingress;
            self.state.tally(ingress).add(Basic::IcmpErrors, 1);
        }
    }

    /// Sends an inner packet that this gateway made, if it has a way now.
    fn originate(&mut self, group: &Group, packet: &[u8]) -> Result<(), Stop> {
        let inner = inner::read(packet).map_err(Stop::Drop)?;
        let view = self.view;
        let asked = question(group.iid.get(), inner.family, &inner.destination);
        let body = view.eids().lookup(&view.guard, asked).map(|found| found.value.body);
        let way = route(self, view, group, body.as_ref(), &inner, 0)?;
        if inner.len > way.mtu() {
            return Err(Stop::Drop(DropReason::TooBig));
        }
        let rewrite = Rewrite { ttl: inner.ttl, tos: inner.tos, mss_mtu: None, relays: 0 };
        let port = self.emit(&way, group.iid.get(), &inner, packet, &rewrite).map_err(Stop::Drop)?;
        self.state.tally(port).add(Basic::Made, 1);
        Ok(())
    }

    /// A packet to the group's gateway address: an echo request is answered, nothing else is served there.
    /// `frame` is the whole frame: a host may ask before it is known where it is, and then the question waits.
    #[cold]
    pub(crate) fn at_gateway(
        &mut self,
        group: &Group,
        inner: &Inner,
        packet: &[u8],
        frame: &[u8],
    ) -> Verdict {
        if !is_echo_request(inner, packet) {
            return Verdict::Drop(DropReason::GatewayNotServed);
        }
        let mut out = std::mem::take(&mut self.state.scratch);
        let reply = icmp::echo_reply(packet, &mut out).and_then(|len| out.get(..len));
        let sent = reply.map(|reply| self.originate(group, reply));
        self.state.scratch = out;
        match sent {
            None | Some(Ok(()) | Err(Stop::Drop(_))) => Verdict::Punt(PuntReason::GatewayEcho),
            Some(Err(stop)) => {
                let asker = hold_key(group.iid.get(), inner.family, &inner.source, Role::Destination);
                self.hold(asker, stop, group, frame)
            }
        }
    }
}

/// The type of an ICMP message that starts here; `None` for anything else.
pub(crate) fn icmp_type(inner: &Inner, packet: &[u8]) -> Option<u8> {
    let (protocol, at) = match inner.family {
        Family::V4 => (ICMP, usize::from(packet.first()? & 0x0f) * 4),
        Family::V6 => (ICMPV6, 40),
    };
    if inner.protocol == protocol && !inner.fragment { packet.get(at).copied() } else { None }
}

fn is_echo_request(inner: &Inner, packet: &[u8]) -> bool {
    let request = match inner.family {
        Family::V4 => ECHO_REQUEST,
        Family::V6 => ECHO_REQUEST_V6,
    };
    icmp_type(inner, packet) == Some(request)
}

/// Unreachable, source quench, redirect, time exceeded, parameter problem; with IPv6 all types below 128.
fn is_icmp_error(inner: &Inner, packet: &[u8]) -> bool {
    icmp_type(inner, packet).is_some_and(|kind| match inner.family {
        Family::V4 => matches!(kind, 3 | 4 | 5 | 11 | 12),
        Family::V6 => kind < 128,
    })
}
