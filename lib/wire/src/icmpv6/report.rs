//! The error message that answers a packet we could not forward.

use core::net::Ipv6Addr;

use super::{Packet, Repr, Type, UnreachableCode};
use crate::addr::{Dscp, Ecn};
use crate::error::Error;
use crate::ipv6;
use crate::ipv6_ext;
use crate::protocol::Protocol;

/// The longest error message with its IPv6 header, in bytes (RFC 4443 section 2.4 (c)).
pub const MAX_REPORT_LEN: usize = ipv6::MIN_MTU;

/// Hops an error message may travel.
const HOP_LIMIT: u8 = 64;

/// Why a packet could not be forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Problem {
    /// Its hop limit ran out here.
    TimeExceeded,
    /// It is larger than this, in bytes.
    PacketTooBig {
        /// The largest packet that passes.
        mtu: u32,
    },
    /// Nobody can have it.
    Unreachable(UnreachableCode),
}

/// A whole IPv6 packet that reports a problem; it quotes the offending packet in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report<'a> {
    /// The IPv6 header.
    pub ip: ipv6::Repr,
    /// The message.
    pub icmp: Repr<'a>,
}

/// The report about `packet` (from its IPv6 header on), sent from the address `source`.
///
/// What `ipv6::Packet::new_checked` and `ipv6_ext::walk` refuse is refused here.
/// `Unsupported` means that no report may be sent: about an ICMPv6 error or redirect
/// (or a later fragment that may belong to one), a packet from an address that is not one host's,
/// or one to a group unless it is too big (RFC 4443 section 2.4 (e)).
pub fn report(problem: Problem, packet: &[u8], source: Ipv6Addr) -> Result<Report<'_>, Error> {
    let offending = ipv6::Packet::new_checked(packet)?;
    if !may_report(problem, &offending)? {
        return Err(Error::Unsupported);
    }
    let room = MAX_REPORT_LEN - ipv6::HEADER_LEN - super::HEADER_LEN;
    let quoted = offending.total_len().min(room);
    let icmp = problem.about(&packet[..quoted]);
    let ip = ipv6::Repr {
        source,
        destination: offending.source(),
        next_header: Protocol::ICMPV6,
        payload_len: icmp.buffer_len() as u16,
        hop_limit: HOP_LIMIT,
        dscp: Dscp::CS6,
        ecn: Ecn::NOT_ECT,
        flow_label: 0,
    };
    Ok(Report { ip, icmp })
}

fn may_report(problem: Problem, offending: &ipv6::Packet<&[u8]>) -> Result<bool, Error> {
    let from = offending.source();
    let one_host = !from.is_unspecified() && !from.is_loopback() && !from.is_multicast();
    let too_big = matches!(problem, Problem::PacketTooBig { .. });
    let to_one = too_big || !offending.destination().is_multicast();
    Ok(one_host && to_one && !is_about_error(offending)?)
}

/// Whether the packet is an ICMPv6 error or a redirect, or may be a part of one.
fn is_about_error(offending: &ipv6::Packet<&[u8]>) -> Result<bool, Error> {
    let payload = offending.payload();
    let upper = ipv6_ext::walk(offending.next_header(), payload)?;
    if upper.proto != Protocol::ICMPV6 {
        return Ok(false);
    }
    let kind = payload.get(upper.offset).map(|kind| Type(*kind));
    let error = kind.is_none_or(|kind| kind.is_error() || kind == Type::REDIRECT);
    Ok(error || upper.is_later_fragment())
}

impl Problem {
    fn about(self, original: &[u8]) -> Repr<'_> {
        match self {
            Problem::TimeExceeded => Repr::TimeExceeded { code: 0, original },
            Problem::PacketTooBig { mtu } => Repr::PacketTooBig { mtu, original },
            Problem::Unreachable(code) => Repr::Unreachable { code, original },
        }
    }
}

impl Report<'_> {
    /// Bytes that `emit` writes, at most [`MAX_REPORT_LEN`].
    pub const fn buffer_len(&self) -> usize {
        ipv6::HEADER_LEN + self.icmp.buffer_len()
    }

    /// Writes IPv6 header and message to the front of `out` and tells their length; `NoRoom` when they do not fit.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, Error> {
        let len = self.buffer_len();
        let out = out.get_mut(..len).ok_or(Error::NoRoom)?;
        let (header, message) = out.split_at_mut(ipv6::HEADER_LEN);
        self.ip.emit(&mut ipv6::Packet::new_unchecked(header));
        let mut message = Packet::new_unchecked(message);
        self.icmp.emit(&mut message, self.ip.source, self.ip.destination);
        Ok(len)
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    const AGENT: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x64, 0, 0, 0, 0, 0, 7);
    const GATEWAY: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x64, 0, 0, 0, 0, 0, 1);
    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 2);

    fn offending() -> ipv6::Repr {
        ipv6::Repr {
            source: AGENT,
            destination: Ipv6Addr::new(0xfd00, 0x65, 0, 0, 0, 0, 0, 9),
            next_header: Protocol::UDP,
            payload_len: 1460,
            hop_limit: 1,
            dscp: Dscp::DEFAULT,
            ecn: Ecn::NOT_ECT,
            flow_label: 0,
        }
    }

    fn bytes_of(repr: &ipv6::Repr) -> Vec<u8> {
        let mut bytes = vec![0x5a; 40 + usize::from(repr.payload_len)];
        repr.emit(&mut ipv6::Packet::new_unchecked(&mut bytes[..]));
        bytes
    }

    #[test]
    fn a_long_packet_is_quoted_in_part() {
        let packet = bytes_of(&offending());
        let report = report(Problem::PacketTooBig { mtu: 1444 }, &packet, GATEWAY).unwrap();
        let mut out = [0xa5; 1300];
        assert_eq!(report.emit(&mut out), Ok(1280));
        assert_eq!(out[1280..], [0xa5; 20], "nothing written behind the end");
        let ip = ipv6::Packet::new_checked(&out[..1280]).unwrap();
        assert_eq!(ipv6::Repr::parse(&ip), Ok(report.ip));
        assert_eq!((ip.source(), ip.destination()), (GATEWAY, AGENT));
        let message = Packet::new_unchecked(ip.payload());
        let icmp = Repr::parse(&message, GATEWAY, AGENT).unwrap();
        let expected = Repr::PacketTooBig { mtu: 1444, original: &packet[..1232] };
        assert_eq!(icmp, expected);
    }

    #[test]
    fn a_short_packet_is_quoted_whole_without_padding() {
        let packet = bytes_of(&ipv6::Repr { payload_len: 8, ..offending() });
        let padded = [&packet[..], &[0; 4]].concat();
        let report = report(Problem::TimeExceeded, &padded, GATEWAY).unwrap();
        assert_eq!(report.icmp, Repr::TimeExceeded { code: 0, original: &packet });
        assert_eq!(report.emit(&mut [0; 95]), Err(Error::NoRoom));
        assert_eq!(report.emit(&mut [0; 96]), Ok(96));
    }

    #[test]
    fn silence() {
        let problem = Problem::Unreachable(UnreachableCode::ADDRESS);
        let silent = [
            ipv6::Repr { source: Ipv6Addr::UNSPECIFIED, ..offending() },
            ipv6::Repr { source: Ipv6Addr::LOCALHOST, ..offending() },
            ipv6::Repr { source: GROUP, ..offending() },
            ipv6::Repr { destination: GROUP, ..offending() },
        ];
        for repr in silent {
            let packet = bytes_of(&repr);
            assert_eq!(report(problem, &packet, GATEWAY), Err(Error::Unsupported), "{repr:?}");
        }
        let to_group = bytes_of(&silent[3]);
        assert!(report(Problem::PacketTooBig { mtu: 1280 }, &to_group, GATEWAY).is_ok());
    }

    #[test]
    fn no_error_about_an_error() {
        let mut packet = bytes_of(&ipv6::Repr { next_header: Protocol::ICMPV6, ..offending() });
        for (kind, silent) in [(1, true), (127, true), (128, false), (135, false), (137, true)] {
            packet[40] = kind;
            let result = report(Problem::TimeExceeded, &packet, GATEWAY);
            assert_eq!(result.is_err(), silent, "type {kind}");
        }
        let fragment = ipv6::Repr { next_header: Protocol::FRAGMENT, ..offending() };
        let mut packet = bytes_of(&fragment);
        packet[40..49].copy_from_slice(&[58, 0, 0, 9, 0, 0, 0, 1, 128]);
        let result = report(Problem::TimeExceeded, &packet, GATEWAY);
        assert_eq!(result, Err(Error::Unsupported), "a later fragment of ICMPv6");
        packet[40] = 17;
        assert!(report(Problem::TimeExceeded, &packet, GATEWAY).is_ok());
        let lying = bytes_of(&ipv6::Repr { next_header: Protocol::ROUTING, payload_len: 8, ..offending() });
        assert_eq!(report(Problem::TimeExceeded, &lying, GATEWAY), Err(Error::Truncated));
    }
}
