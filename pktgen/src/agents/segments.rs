//! What the TCP segments of one agent say about its connections: resets, and bytes that were sent again.

use std::collections::BTreeMap;
use std::net::IpAddr;

use sterna_wire::{Protocol, tcp};

/// Counts from the headers of segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Segments {
    /// Segments with the RST flag that were sent or received.
    pub resets: u64,
    /// Segments whose first byte had been sent before.
    pub retransmitted: u64,
    /// Segments with data that were sent.
    pub sent: u64,
}

/// Looks at one agent's segments.
#[derive(Debug, Default)]
pub struct Watch {
    /// The sequence number after the last byte sent, by ports and peer.
    next: BTreeMap<(u16, u16, Option<IpAddr>), u32>,
    /// What was counted.
    pub counts: Segments,
}

impl Watch {
    /// An IP packet that the agent sends.
    pub fn sends(&mut self, packet: &[u8]) {
        let Some((peer, segment)) = segment(packet) else { return };
        let flags = segment.flags();
        let reset = flags.contains(tcp::Flags::RST);
        self.counts.resets += u64::from(reset);
        let key = (segment.source_port(), segment.destination_port(), peer);
        let length = segment.payload().len() as u32;
        if reset || flags.contains(tcp::Flags::SYN) {
            self.next.remove(&key);
            return;
        }
        if length == 0 {
            return;
        }
        self.counts.sent += 1;
        let (first, after) = (segment.sequence(), segment.sequence().wrapping_add(length));
        let next = self.next.entry(key).or_insert(first);
        // Sequence numbers wrap around: what is less than half the circle behind is old.
        if (first.wrapping_sub(*next) as i32) < 0 {
            self.counts.retransmitted += 1;
        }
        if (after.wrapping_sub(*next) as i32) > 0 {
            *next = after;
        }
    }

    /// An IP packet that comes for the agent.
    pub fn receives(&mut self, packet: &[u8]) {
        let reset = segment(packet).is_some_and(|(_, segment)| segment.flags().contains(tcp::Flags::RST));
        self.counts.resets += u64::from(reset);
    }
}

/// The destination and the segment of a packet without extension headers that is neither cut off nor a fragment.
fn segment(packet: &[u8]) -> Option<(Option<IpAddr>, tcp::Packet<&[u8]>)> {
    let first = *packet.first()?;
    let (protocol, destination, head, end) = match first >> 4 {
        4 => {
            let length = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
            (*packet.get(9)?, packet.get(16..20)?, usize::from(first & 15) * 4, length)
        }
        6 => {
            let length = usize::from(u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]));
            (*packet.get(6)?, packet.get(24..40)?, 40, 40 + length)
        }
        _ => return None,
    };
    let segment = (Protocol(protocol) == Protocol::TCP).then(|| packet.get(head..end)).flatten()?;
    let peer = <[u8; 4]>::try_from(destination).map(IpAddr::from);
    let peer = peer.or_else(|_| <[u8; 16]>::try_from(destination).map(IpAddr::from)).ok();
    Some((peer, tcp::Packet::new_checked(segment).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    fn packet(sequence: u32, payload: &[u8], reset: bool) -> Vec<u8> {
        let builder = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(1000, 2000, sequence, 100);
        let builder = if reset { builder.rst() } else { builder.ack(1) };
        let mut bytes = Vec::new();
        builder.write(&mut bytes, payload).unwrap();
        bytes
    }

    #[test]
    fn what_is_sent_again_and_what_resets_is_counted() {
        let mut watch = Watch::default();
        for (sequence, payload) in [(0xffff_fff0_u32, &[1; 32][..]), (16, &[2; 8]), (24, &[])] {
            watch.sends(&packet(sequence, payload, false));
        }
        assert_eq!(watch.counts, Segments { sent: 2, ..Segments::default() });
        watch.sends(&packet(16, &[2; 8], false));
        assert_eq!((watch.counts.sent, watch.counts.retransmitted), (3, 1));
        watch.receives(&packet(5, &[], true));
        watch.sends(&packet(24, &[], true));
        assert_eq!(watch.counts.resets, 2);
        // The ports may be used again after a reset.
        watch.sends(&packet(3, &[3; 8], false));
        assert_eq!(watch.counts.retransmitted, 1);
    }

    #[test]
    fn what_is_cut_off_is_passed_over() {
        let whole = packet(7, &[1; 10], true);
        for length in 0..whole.len() {
            let mut watch = Watch::default();
            watch.receives(&whole[..length]);
            watch.sends(&whole[..length]);
            assert_eq!(watch.counts, Segments::default(), "{length}");
        }
    }
}
