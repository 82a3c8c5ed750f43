//! The error message that answers a packet we could not forward.

use core::net::Ipv4Addr;

use super::{Packet, Repr, Type, UnreachableCode};
use crate::addr::{Dscp, Ecn};
use crate::error::Error;
use crate::ipv4;
use crate::protocol::Protocol;

/// The longest error message with its IPv4 header, in bytes (RFC 1812 section 4.3.2.3).
pub const MAX_REPORT_LEN: usize = 576;

/// Hops an error message may travel; the recommended default of RFC 1700.
const TTL: u8 = 64;

/// Why a packet could not be forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Problem {
    /// Its time to live ran out here.
    TimeExceeded,
    /// It must not be fragmented and is larger than this, in bytes (RFC 1191).
    FragmentationNeeded {
        /// The largest packet that passes.
        next_hop_mtu: u16,
    },
    /// Nobody can have it.
    Unreachable(UnreachableCode),
}

/// A whole IPv4 packet that reports a problem; it quotes the offending packet in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report<'a> {
    /// The IPv4 header.
    pub ip: ipv4::Repr,
    /// The message.
    pub icmp: Repr<'a>,
}

/// The report about `packet` (from its IPv4 header on), sent from the address `source`.
///
/// What `ipv4::Packet::new_checked` refuses is refused here.
/// `Unsupported` means that no report may be sent: about an ICMP error, a later fragment,
/// a packet to a group or broadcast, or from an address that is not one host's (RFC 1812 section 4.3.2.7).
pub fn report(problem: Problem, packet: &[u8], source: Ipv4Addr) -> Result<Report<'_>, Error> {
    let offending = ipv4::Packet::new_checked(packet)?;
    if !may_report(&offending) {
        return Err(Error::Unsupported);
    }
    let room = MAX_REPORT_LEN - ipv4::HEADER_LEN - super::HEADER_LEN;
    let quoted = usize::from(offending.total_len()).min(room);
    let icmp = problem.about(&packet[..quoted]);
    let ip = ipv4::Repr {
        source,
        destination: offending.source(),
        protocol: Protocol::ICMPV4,
        payload_len: icmp.buffer_len() as u16,
        ttl: TTL,
        // RFC 1812 section 4.3.2.5: errors travel as network control.
        dscp: Dscp::CS6,
        ecn: Ecn::NOT_ECT,
        // An atomic datagram needs no identification of its own (RFC 6864).
        ident: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
    };
    Ok(Report { ip, icmp })
}

fn may_report(offending: &ipv4::Packet<&[u8]>) -> bool {
    let (from, to) = (offending.source(), offending.destination());
    let one_host = !from.is_unspecified() && !from.is_loopback() && from.octets()[0] < 224;
    let to_one = !to.is_multicast() && !to.is_broadcast();
    let first = offending.fragment_offset() == 0;
    let about_error = offending.protocol() == Protocol::ICMPV4
        && offending.payload().first().is_none_or(|kind| Type(*kind).is_error());
    one_host && to_one && first && !about_error
}

impl Problem {
    fn about(self, original: &[u8]) -> Repr<'_> {
        match self {
            Problem::TimeExceeded => Repr::TimeExceeded { code: 0, original },
            Problem::FragmentationNeeded { next_hop_mtu } => {
                Repr::FragmentationNeeded { next_hop_mtu, original }
            }
            Problem::Unreachable(code) => Repr::Unreachable { code, original },
        }
    }
}

impl Report<'_> {
    /// Bytes that `emit` writes, at most [`MAX_REPORT_LEN`].
    pub const fn buffer_len(&self) -> usize {
        ipv4::HEADER_LEN + self.icmp.buffer_len()
    }

    /// Writes IPv4 header and message to the front of `out` and tells their length; `NoRoom` when they do not fit.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, Error> {
        let len = self.buffer_len();
        let out = out.get_mut(..len).ok_or(Error::NoRoom)?;
        let (header, message) = out.split_at_mut(ipv4::HEADER_LEN);
        self.ip.emit(&mut ipv4::Packet::new_unchecked(header));
        self.icmp.emit(&mut Packet::new_unchecked(message));
        Ok(len)
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    const AGENT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 7);
    const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

    fn offending() -> ipv4::Repr {
        ipv4::Repr {
            source: AGENT,
            destination: Ipv4Addr::new(10, 2, 0, 9),
            protocol: Protocol::UDP,
            payload_len: 1480,
            ttl: 1,
            dscp: Dscp::DEFAULT,
            ecn: Ecn::NOT_ECT,
            ident: 7,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
        }
    }

    fn bytes_of(repr: &ipv4::Repr) -> Vec<u8> {
        let mut bytes = vec![0x5a; 20 + usize::from(repr.payload_len)];
        repr.emit(&mut ipv4::Packet::new_unchecked(&mut bytes[..]));
        bytes
    }

    #[test]
    fn a_long_packet_is_quoted_in_part() {
        let packet = bytes_of(&offending());
        let problem = Problem::FragmentationNeeded { next_hop_mtu: 1464 };
        let report = report(problem, &packet, GATEWAY).unwrap();
        let mut out = [0xa5; 600];
        assert_eq!(report.emit(&mut out), Ok(576));
        assert_eq!(out[576..], [0xa5; 24], "nothing written behind the end");
        let ip = ipv4::Packet::new_checked(&out[..576]).unwrap();
        assert_eq!(ipv4::Repr::parse(&ip), Ok(report.ip));
        assert_eq!((ip.source(), ip.destination()), (GATEWAY, AGENT));
        let icmp = Repr::parse(&Packet::new_unchecked(ip.payload())).unwrap();
        let expected = Repr::FragmentationNeeded { next_hop_mtu: 1464, original: &packet[..548] };
        assert_eq!(icmp, expected);
    }

    #[test]
    fn a_short_packet_is_quoted_whole_without_padding() {
        let packet = bytes_of(&ipv4::Repr { payload_len: 8, ..offending() });
        let padded = [&packet[..], &[0; 18]].concat();
        let report = report(Problem::TimeExceeded, &padded, GATEWAY).unwrap();
        assert_eq!(report.icmp, Repr::TimeExceeded { code: 0, original: &packet });
        assert_eq!(report.emit(&mut [0; 55]), Err(Error::NoRoom));
        assert_eq!(report.emit(&mut [0; 56]), Ok(56));
    }

    #[test]
    fn silence() {
        let host = Ipv4Addr::new(10, 2, 0, 9);
        let silent = [
            ipv4::Repr { fragment_offset: 8, ..offending() },
            ipv4::Repr { destination: Ipv4Addr::new(239, 1, 1, 1), ..offending() },
            ipv4::Repr { destination: Ipv4Addr::BROADCAST, ..offending() },
            ipv4::Repr { source: Ipv4Addr::UNSPECIFIED, ..offending() },
            ipv4::Repr { source: Ipv4Addr::LOCALHOST, ..offending() },
            ipv4::Repr { source: Ipv4Addr::BROADCAST, ..offending() },
            ipv4::Repr { source: Ipv4Addr::new(224, 0, 0, 1), ..offending() },
        ];
        for repr in silent {
            let packet = bytes_of(&repr);
            let problem = Problem::Unreachable(UnreachableCode::HOST);
            assert_eq!(report(problem, &packet, host), Err(Error::Unsupported), "{repr:?}");
        }
        let mut error = bytes_of(&ipv4::Repr { protocol: Protocol::ICMPV4, ..offending() });
        error[20] = Type::UNREACHABLE.0;
        assert_eq!(report(Problem::TimeExceeded, &error, host), Err(Error::Unsupported));
        error[20] = Type::ECHO_REQUEST.0;
        assert!(report(Problem::TimeExceeded, &error, host).is_ok());
        assert_eq!(report(Problem::TimeExceeded, &error[..19], host), Err(Error::Truncated));
    }
}
