//! Who speaks: an attached EID of a group. The dataplane vouches for both.

use std::net::IpAddr;

use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket};
use sterna_wire::Iid;

/// An agent that speaks with its gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Agent {
    /// Its group.
    pub iid: Iid,
    /// Its EID.
    pub eid: IpAddr,
}

/// What has to be known of a segment before TCP looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The agent's address.
    pub from: IpAddr,
    /// The agent's port.
    pub from_port: u16,
    /// The gateway's address.
    pub to: IpAddr,
    /// The gateway's port.
    pub to_port: u16,
    /// It would open a connection.
    pub opens: bool,
}

impl Segment {
    /// The segment in a packet; `None` when it is no whole one directly behind its IP header. Checksums are TCP's own
    /// affair.
    pub(super) fn read(packet: &[u8]) -> Option<Segment> {
        let (from, to, payload): (IpAddr, IpAddr, &[u8]) = match packet.first()? >> 4 {
            4 => {
                let ip = Ipv4Packet::new_checked(packet).ok()?;
                let whole = !ip.more_frags() && ip.frag_offset() == 0;
                let is_tcp = ip.next_header() == IpProtocol::Tcp && whole;
                let from_to = (ip.src_addr().into(), ip.dst_addr().into());
                is_tcp.then(|| (from_to.0, from_to.1, Ipv4Packet::new_unchecked(packet).payload()))?
            }
            6 => {
                let ip = Ipv6Packet::new_checked(packet).ok()?;
                let is_tcp = ip.next_header() == IpProtocol::Tcp;
                let from_to = (ip.src_addr().into(), ip.dst_addr().into());
                is_tcp.then(|| (from_to.0, from_to.1, Ipv6Packet::new_unchecked(packet).payload()))?
            }
            _ => return None,
        };
        let tcp = TcpPacket::new_checked(payload).ok()?;
        let (from_port, to_port) = (tcp.src_port(), tcp.dst_port());
        // Port 0 is nobody's, and TCP below us does not expect it.
        let sane = from_port != 0 && to_port != 0;
        let opens = tcp.syn() && !tcp.ack() && !tcp.rst();
        sane.then_some(Segment { from, from_port, to, to_port, opens })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn noise_is_no_panic(mut noise in proptest::collection::vec(any::<u8>(), 0..120), version in 0..3) {
            if let (Some(first), 1..) = (noise.first_mut(), version) {
                *first = if version == 1 { 0x45 } else { 0x60 };
            }
            if let Some(segment) = Segment::read(&noise) {
                prop_assert!(segment.from_port != 0 && noise.len() >= 40);
            }
        }
    }

    #[test]
    fn a_question_for_a_connection_is_told_from_the_rest() {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 1, 0, 5, 10, 1, 0, 1];
        packet.extend([0x9c, 0x40, 0x11, 0x1c, 0, 0, 0, 7, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0]);
        let read = Segment::read(&packet).unwrap();
        let expected = Segment {
            from: "10.1.0.5".parse().unwrap(),
            from_port: 40_000,
            to: "10.1.0.1".parse().unwrap(),
            to_port: 4380,
            opens: true,
        };
        assert_eq!(read, expected);
        let with = |at: usize, value: u8| {
            let mut packet = packet.clone();
            packet[at] = value;
            Segment::read(&packet)
        };
        for flags in [0x12, 0x10, 0x06, 0x00] {
            assert_eq!(with(33, flags), Some(Segment { opens: false, ..expected }));
        }
        assert_eq!(with(9, 17), None, "UDP");
        assert_eq!(with(6, 0x20), None, "a fragment");
        assert_eq!(with(7, 1), None, "a later fragment");
        assert_eq!(with(3, 41), None, "longer than it is");
        assert_eq!(Segment::read(&packet[..30]), None);
    }
}
