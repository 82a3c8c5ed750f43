//! The gateway's own ICMP: what it tells the source of a packet it could not forward, and the answer to a ping.
//!
//! Every function writes a whole IP packet into `out` and returns its length.
//! `None` means that nothing may or can be said: the original is itself an ICMP error, a later fragment, to or
//! from a group, a broadcast or nobody, of another family than the gateway address it is answered from, or
//! malformed; or `out` is too small (1280 bytes always suffice for an error).
//!
//! Errors quote as much as RFC 1812 section 4.3.2.3 (576 bytes in all) and RFC 4443 section 2.4 (c) (1280) let
//! them, travel as network control (RFC 1812 section 4.3.2.5: precedence 6, which is DSCP CS6), and do not take
//! part in ECN.
//! An answer to a ping keeps the request's DSCP, as the same section wants.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sterna_wire::{Ecn, Protocol, icmpv4, icmpv6, ipv4, ipv6, ipv6_ext};

/// Hops that our answers may travel; the recommended default of RFC 1700.
const HOPS: u8 = 64;

/// Why nobody can have a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unreachable {
    /// No way leads there.
    NoRoute,
    /// The host does not answer.
    Host,
    /// Nobody listens on this port.
    Port,
    /// A policy forbids it.
    Prohibited,
}

impl Unreachable {
    /// RFC 792 and RFC 1812 section 5.2.7.1.
    const fn code_v4(self) -> icmpv4::UnreachableCode {
        match self {
            Unreachable::NoRoute => icmpv4::UnreachableCode::NET,
            Unreachable::Host => icmpv4::UnreachableCode::HOST,
            Unreachable::Port => icmpv4::UnreachableCode::PORT,
            Unreachable::Prohibited => icmpv4::UnreachableCode::PROHIBITED,
        }
    }

    /// RFC 4443 section 3.1.
    const fn code_v6(self) -> icmpv6::UnreachableCode {
        match self {
            Unreachable::NoRoute => icmpv6::UnreachableCode::NO_ROUTE,
            Unreachable::Host => icmpv6::UnreachableCode::ADDRESS,
            Unreachable::Port => icmpv6::UnreachableCode::PORT,
            Unreachable::Prohibited => icmpv6::UnreachableCode::PROHIBITED,
        }
    }
}

/// Tells the source that its packet's TTL ran out here, at `from`.
pub fn time_exceeded(original: &[u8], from: IpAddr, out: &mut [u8]) -> Option<usize> {
    match from {
        IpAddr::V4(from) => report_v4(icmpv4::Problem::TimeExceeded, original, from, out),
        IpAddr::V6(from) => report_v6(icmpv6::Problem::TimeExceeded, original, from, out),
    }
}

/// Tells the source that its packet is larger than the `mtu` bytes that fit.
/// `None` also when `mtu` is less than every link must carry (68 and 1280 bytes): no host would believe it.
pub fn too_big(original: &[u8], from: IpAddr, mtu: u16, out: &mut [u8]) -> Option<usize> {
    match from {
        IpAddr::V4(from) if usize::from(mtu) >= ipv4::MIN_MTU => {
            report_v4(icmpv4::Problem::FragmentationNeeded { next_hop_mtu: mtu }, original, from, out)
        }
        // RFC 4443 section 2.4 (e.3) lets this one answer multicast, which we do not forward.
        IpAddr::V6(from) if usize::from(mtu) >= ipv6::MIN_MTU && !is_to_group_v6(original) => {
            report_v6(icmpv6::Problem::PacketTooBig { mtu: mtu.into() }, original, from, out)
        }
        _ => None,
    }
}

/// Tells the source that nobody can have its packet.
pub fn unreachable(original: &[u8], from: IpAddr, why: Unreachable, out: &mut [u8]) -> Option<usize> {
    match from {
        IpAddr::V4(from) => report_v4(icmpv4::Problem::Unreachable(why.code_v4()), original, from, out),
        IpAddr::V6(from) => report_v6(icmpv6::Problem::Unreachable(why.code_v6()), original, from, out),
    }
}

/// Answers a ping, from the address it was sent to.
/// `None` unless it is a whole echo request with right checksums, from one host to one host.
/// IPv4 options and IPv6 extension headers of the request are not repeated.
pub fn echo_reply(request: &[u8], out: &mut [u8]) -> Option<usize> {
    match request.first()? >> 4 {
        4 => echo_reply_v4(request, out),
        6 => echo_reply_v6(request, out),
        _ => None,
    }
}

fn is_to_group_v6(original: &[u8]) -> bool {
    ipv6::Packet::new_checked(original).is_ok_and(|packet| packet.destination().is_multicast())
}

fn report_v4(problem: icmpv4::Problem, original: &[u8], from: Ipv4Addr, out: &mut [u8]) -> Option<usize> {
    icmpv4::report(problem, original, from).and_then(|report| report.emit(out)).ok()
}

fn report_v6(problem: icmpv6::Problem, original: &[u8], from: Ipv6Addr, out: &mut [u8]) -> Option<usize> {
    // A later fragment may be a part of anything, an ICMPv6 error included.
    let packet = ipv6::Packet::new_checked(original).ok()?;
    let upper = ipv6_ext::walk(packet.next_header(), packet.payload()).ok()?;
    if upper.is_later_fragment() {
        return None;
    }
    icmpv6::report(problem, original, from).and_then(|report| report.emit(out)).ok()
}

/// Whether one host, and not a group, a broadcast or nobody, has this address.
fn is_one_host_v4(address: Ipv4Addr) -> bool {
    !address.is_unspecified() && !address.is_loopback() && address.octets()[0] < 224
}

fn is_one_host_v6(address: Ipv6Addr) -> bool {
    !address.is_unspecified() && !address.is_loopback() && !address.is_multicast()
}

fn echo_reply_v4(request: &[u8], out: &mut [u8]) -> Option<usize> {
    let packet = ipv4::Packet::new_unchecked(request);
    let ip = ipv4::Repr::parse(&packet).ok()?;
    let to_one = is_one_host_v4(ip.source) && is_one_host_v4(ip.destination);
    if ip.protocol != Protocol::ICMPV4 || packet.is_fragment() || !to_one {
        return None;
    }
    let message = icmpv4::Packet::new_checked(packet.payload()).ok()?;
    let reply = icmpv4::Repr::parse(&message).ok()?.echo_reply()?;
    let ip = ipv4::Repr {
        source: ip.destination,
        destination: ip.source,
        ttl: HOPS,
        ecn: Ecn::NOT_ECT,
        // Identification and don't-fragment as the asker chose them: whoever lets a large ping be fragmented
        // wants its answer fragmented rather than lost.
        ..ip
    };
    let len = ipv4::HEADER_LEN + reply.buffer_len();
    let (header, body) = out.get_mut(..len)?.split_at_mut(ipv4::HEADER_LEN);
    ip.emit(&mut ipv4::Packet::new_unchecked(header));
    reply.emit(&mut icmpv4::Packet::new_unchecked(body));
    Some(len)
}

fn echo_reply_v6(request: &[u8], out: &mut [u8]) -> Option<usize> {
    let packet = ipv6::Packet::new_unchecked(request);
    let ip = ipv6::Repr::parse(&packet).ok()?;
    let upper = ipv6_ext::walk(ip.next_header, packet.payload()).ok()?;
    let to_one = is_one_host_v6(ip.source) && is_one_host_v6(ip.destination);
    let whole = upper.fragment.is_none_or(|fragment| fragment.offset == 0 && !fragment.more);
    if upper.proto != Protocol::ICMPV6 || !whole || !to_one {
        return None;
    }
    let message = icmpv6::Packet::new_checked(packet.payload().get(upper.offset..)?).ok()?;
    let reply = icmpv6::Repr::parse(&message, ip.source, ip.destination).ok()?.echo_reply()?;
    let ip = ipv6::Repr {
        source: ip.destination,
        destination: ip.source,
        next_header: Protocol::ICMPV6,
        // Not longer than the request, whose length fitted.
        payload_len: reply.buffer_len() as u16,
        hop_limit: HOPS,
        ecn: Ecn::NOT_ECT,
        flow_label: 0,
        ..ip
    };
    let len = ipv6::HEADER_LEN + reply.buffer_len();
    let (header, body) = out.get_mut(..len)?.split_at_mut(ipv6::HEADER_LEN);
    ip.emit(&mut ipv6::Packet::new_unchecked(header));
    reply.emit(&mut icmpv6::Packet::new_unchecked(body), ip.source, ip.destination);
    Some(len)
}

#[cfg(test)]
mod test;
