//! Encapsulation: the prebuilt outer header of an adjacency, and the few fields that differ per packet
//! (RFC 9300 sections 5.1 to 5.3).

use crate::inner::Inner;
use crate::tables::{AdjacencyRow, HopRow, OUTER_MAX};
use std::net::IpAddr;
use sterna_shm::Adjacency;
use sterna_wire::{Family, Mac, addr_bytes, checksum};

/// Ethernet header without a tag.
pub const ETHERNET: usize = 14;
/// LISP data port (RFC 9300 section 4.2).
pub const LISP_DATA: u16 = 4341;
/// Ethertype of each family.
pub const fn ethertype(family: Family) -> [u8; 2] {
    match family {
        Family::V4 => [0x08, 0x00],
        Family::V6 => [0x86, 0xdd],
    }
}
const UDP: u8 = 17;
const UDP_AND_LISP: u16 = 16;
/// The I bit: an instance-ID is present (RFC 9300 section 5.1).
const FLAG_I: u8 = 0x08;
/// The N bit: the next 24 bits are a nonce.
pub(crate) const FLAG_N: u8 = 0x80;
/// The nonce of a relayed packet starts so and ends with how often it was relayed. A receiver that did not ask for
/// an echo ignores a nonce (RFC 9300 section 5.3).
pub(crate) const RELAY_NONCE: [u8; 2] = *b"ST";
/// Lowest source port; flows are spread over 49152..=65535.
const EPHEMERAL: u16 = 0xc000;

/// Builds the row of an adjacency; `next_hop` is the row of the hop. `None` when the families differ.
pub fn build_adjacency(adjacency: &Adjacency, next_hop: u32, dont_fragment: bool) -> Option<AdjacencyRow> {
    let mut header = [0u8; OUTER_MAX];
    let header_len = match (adjacency.local, adjacency.remote) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            header[0] = 0x45;
            header[6] = if dont_fragment { 0x40 } else { 0 };
            header[9] = UDP;
            header[12..16].copy_from_slice(&local.octets());
            header[16..20].copy_from_slice(&remote.octets());
            header[22..24].copy_from_slice(&LISP_DATA.to_be_bytes());
            36
        }
        (IpAddr::V6(local), IpAddr::V6(remote)) => {
            header[0] = 0x60;
            header[6] = UDP;
            header[8..24].copy_from_slice(&local.octets());
            header[24..40].copy_from_slice(&remote.octets());
            header[42..44].copy_from_slice(&LISP_DATA.to_be_bytes());
            56
        }
        _ => return None,
    };
    Some(AdjacencyRow {
        partial_sum: checksum::sum(&header[..20]),
        header,
        header_len,
        family: Family::of(adjacency.remote),
        udp_checksum: adjacency.udp_checksum,
        next_hop,
        mtu: adjacency.mtu,
        remote: addr_bytes(adjacency.remote),
    })
}

/// What differs from packet to packet.
#[derive(Clone, Copy, Debug)]
pub struct OuterFields {
    /// Instance-ID; 0 is sent without the I bit.
    pub iid: u32,
    /// Bytes of the inner packet.
    pub inner_len: u16,
    /// TOS of the inner packet, copied (RFC 6040 normal mode).
    pub tos: u8,
    /// TTL of the inner packet after its decrement.
    pub ttl: u8,
    /// Flow hash.
    pub flow: u32,
    /// One source port for all flows, where the configuration asks for it.
    pub fixed_port: Option<u16>,
    /// IPv4 identification; 0 with don't-fragment.
    pub identification: u16,
}

impl OuterFields {
    /// The fields for an inner packet whose TTL has been decremented to `ttl`.
    pub fn of(inner: &Inner, iid: u32, ttl: u8) -> OuterFields {
        OuterFields {
            iid,
            inner_len: inner.len,
            tos: inner.tos,
            ttl,
            flow: inner.flow,
            fixed_port: None,
            identification: 0,
        }
    }
}

/// Bytes of the frame that [`write_outer`] makes room for in front of the inner packet.
#[inline(always)]
pub fn outer_len(row: &AdjacencyRow) -> usize {
    ETHERNET + usize::from(row.header_len)
}

/// Writes Ethernet and outer headers into `frame`, whose inner packet stands (or will stand) at [`outer_len`].
///
/// `frame` is the whole frame; it must be at least `outer_len` long, else nothing is written and the answer is false.
#[inline(always)]
pub fn write_outer(frame: &mut [u8], row: &AdjacencyRow, hop: &HopRow, fields: &OuterFields) -> bool {
    let Some(destination) = hop.destination else { return false };
    match row.family {
        Family::V4 => {
            let Some(out) = frame.first_chunk_mut::<{ ETHERNET + 36 }>() else { return false };
            write_ethernet(out, destination, hop.source, Family::V4);
            let Some(outer) = out.last_chunk_mut() else { return false };
            write_v4(outer, row, fields);
        }
        Family::V6 => {
            let Some(out) = frame.first_chunk_mut::<{ ETHERNET + 56 }>() else { return false };
            write_ethernet(out, destination, hop.source, Family::V6);
            let Some(outer) = out.last_chunk_mut() else { return false };
            write_v6(outer, row, fields);
        }
    }
    true
}

#[inline(always)]
fn write_ethernet<const N: usize>(out: &mut [u8; N], destination: Mac, source: Mac, family: Family) {
    out[..6].copy_from_slice(&destination.0);
    out[6..12].copy_from_slice(&source.0);
    out[12..ETHERNET].copy_from_slice(&ethertype(family));
}

#[inline(always)]
fn write_v4(outer: &mut [u8; 36], row: &AdjacencyRow, fields: &OuterFields) {
    outer.copy_from_slice(&row.header[..36]);
    let udp_len = UDP_AND_LISP + fields.inner_len;
    let total = 20 + udp_len;
    outer[1] = fields.tos;
    outer[2..4].copy_from_slice(&total.to_be_bytes());
    outer[4..6].copy_from_slice(&fields.identification.to_be_bytes());
    outer[8] = fields.ttl;
    // The constant words are summed already; the changing ones join them.
    let sum = row.partial_sum
        + u32::from(fields.tos)
        + u32::from(total)
        + u32::from(fields.identification)
        + (u32::from(fields.ttl) << 8);
    outer[10..12].copy_from_slice(&checksum::fold(sum).to_be_bytes());
    write_udp_lisp(&mut outer[20..], fields, udp_len);
}

#[inline(always)]
fn write_v6(outer: &mut [u8; 56], row: &AdjacencyRow, fields: &OuterFields) {
    outer.copy_from_slice(&row.header);
    let udp_len = UDP_AND_LISP + fields.inner_len;
    // RFC 6438: the flow label carries the entropy too.
    let word = 0x6000_0000 | u32::from(fields.tos) << 20 | (fields.flow & 0x000f_ffff);
    outer[..4].copy_from_slice(&word.to_be_bytes());
    outer[4..6].copy_from_slice(&udp_len.to_be_bytes());
    outer[7] = fields.ttl;
    write_udp_lisp(&mut outer[40..], fields, udp_len);
}

#[inline(always)]
fn write_udp_lisp(out: &mut [u8], fields: &OuterFields, udp_len: u16) {
    let port = fields.fixed_port.unwrap_or(EPHEMERAL | (fields.flow >> 18) as u16);
    out[..2].copy_from_slice(&port.to_be_bytes());
    out[4..6].copy_from_slice(&udp_len.to_be_bytes());
    if fields.iid != 0 {
        out[8] = FLAG_I;
        out[12..16].copy_from_slice(&(fields.iid << 8).to_be_bytes());
    }
}

/// Marks a packet as relayed; `outer` is everything in front of the inner packet.
#[cold]
pub fn write_relays(outer: &mut [u8], relays: u8) {
    if let Some([flags, a, b, count, ..]) = outer.last_chunk_mut::<8>() {
        *flags |= FLAG_N;
        [*a, *b] = RELAY_NONCE;
        *count = relays;
    }
}

/// Fills in the UDP checksum of a finished IPv6-outer frame (RFC 8200 section 8.1: 0 becomes 0xFFFF).
#[cold]
pub fn write_udp_checksum_v6(frame: &mut [u8]) {
    let Some(ip) = frame.get_mut(ETHERNET..) else { return };
    let Some(udp_len) = ip.get(4..6).map(|b| u32::from(u16::from_be_bytes([b[0], b[1]]))) else { return };
    let Some(addresses) = ip.get(8..40).map(checksum::sum) else { return };
    let Some(udp) = ip.get_mut(40..40 + udp_len as usize) else { return };
    udp[6..8].fill(0);
    let sum = addresses + u32::from(UDP) + udp_len + checksum::sum(udp);
    let value = match checksum::fold(sum) {
        0 => 0xffff,
        value => value,
    };
    udp[6..8].copy_from_slice(&value.to_be_bytes());
}

/// Lowers the TTL of the packet at `packet[0]` to `ttl` and mends its checksum (RFC 1624).
#[inline(always)]
pub fn set_ttl(packet: &mut [u8], family: Family, ttl: u8) {
    match family {
        Family::V4 => {
            if let Some(h) = packet.first_chunk_mut::<20>() {
                // The sum does not care for byte order, and in this one the TTL is the low half of its word.
                let (old, new) = (u16::from(h[8]), u16::from(ttl));
                let sum = u16::from_le_bytes([h[10], h[11]]);
                h[8] = ttl;
                h[10..12].copy_from_slice(&checksum::update16(sum, old, new).to_le_bytes());
            }
        }
        Family::V6 => {
            if let Some(hop_limit) = packet.get_mut(7) {
                *hop_limit = ttl;
            }
        }
    }
}

/// Sets the TOS or traffic class of the packet at `packet[0]` and mends an IPv4 checksum.
#[inline]
pub fn set_tos(packet: &mut [u8], family: Family, tos: u8) {
    match family {
        Family::V4 => {
            if let Some(h) = packet.first_chunk_mut::<20>() {
                let old = u16::from_be_bytes([h[0], h[1]]);
                let new = u16::from_be_bytes([h[0], tos]);
                let sum = u16::from_be_bytes([h[10], h[11]]);
                h[1] = tos;
                h[10..12].copy_from_slice(&checksum::update16(sum, old, new).to_be_bytes());
            }
        }
        Family::V6 => {
            if let Some(h) = packet.first_chunk_mut::<2>() {
                h[0] = (h[0] & 0xf0) | tos >> 4;
                h[1] = (h[1] & 0x0f) | tos << 4;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{Ipv4HeaderSlice, SlicedPacket, TransportSlice};

    fn hop() -> HopRow {
        HopRow { port: 1, source: Mac([2, 0, 0, 0, 0, 1]), destination: Some(Mac([2, 0, 0, 0, 0, 2])) }
    }

    fn row(local: &str, remote: &str) -> AdjacencyRow {
        let adjacency = Adjacency {
            next_hop: 0,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            mtu: 1500,
            udp_checksum: false,
        };
        build_adjacency(&adjacency, 0, true).unwrap()
    }

    fn fields() -> OuterFields {
        OuterFields {
            iid: 0x00ab_cdef,
            inner_len: 40,
            tos: 0xb9,
            ttl: 63,
            flow: 0xffff_ffff,
            fixed_port: None,
            identification: 0,
        }
    }

    #[test]
    fn an_ipv4_outer_header_satisfies_a_foreign_parser() {
        let row = row("192.0.2.1", "192.0.2.2");
        let mut frame = vec![0xa5; 14 + 36 + 40];
        assert!(write_outer(&mut frame, &row, &hop(), &fields()));
        let ip = Ipv4HeaderSlice::from_slice(&frame[14..]).unwrap();
        assert_eq!(ip.header_checksum(), ip.to_header().calc_header_checksum());
        assert_eq!((ip.ttl(), ip.total_len(), ip.dont_fragment()), (63, 76, true));
        assert_eq!(frame[15], 0xb9);
        let Some(TransportSlice::Udp(udp)) = SlicedPacket::from_ethernet(&frame).unwrap().transport else {
            panic!("no UDP")
        };
        assert_eq!((udp.destination_port(), udp.length(), udp.checksum()), (4341, 56, 0));
        assert!(udp.source_port() >= 0xc000);
        assert_eq!(udp.payload()[..8], [0x08, 0, 0, 0, 0xab, 0xcd, 0xef, 0]);
    }

    #[test]
    fn an_ipv6_outer_checksum_satisfies_a_foreign_parser() {
        let row = row("fd00::1", "fd00::2");
        let mut frame = vec![0x5a; 14 + 56 + 40];
        assert!(write_outer(&mut frame, &row, &hop(), &fields()));
        write_udp_checksum_v6(&mut frame);
        let packet = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(etherparse::NetSlice::Ipv6(ip)) = packet.net else { panic!("no IPv6") };
        let Some(TransportSlice::Udp(udp)) = packet.transport else { panic!("no UDP") };
        let want = udp.to_header().calc_checksum_ipv6(&ip.header().to_header(), udp.payload()).unwrap();
        assert_eq!(udp.checksum(), want);
        assert_eq!(ip.header().traffic_class(), 0xb9);
    }

    #[test]
    fn iid_zero_is_sent_without_the_i_bit() {
        let mut frame = vec![0; 14 + 36 + 40];
        let fields = OuterFields { iid: 0, ..fields() };
        assert!(write_outer(&mut frame, &row("192.0.2.1", "192.0.2.2"), &hop(), &fields));
        assert_eq!(frame[42..50], [0; 8]);
    }

    #[test]
    fn families_must_match_and_an_unresolved_hop_writes_nothing() {
        let mixed = Adjacency {
            next_hop: 0,
            local: "192.0.2.1".parse().unwrap(),
            remote: "fd00::1".parse().unwrap(),
            mtu: 1500,
            udp_checksum: false,
        };
        assert!(build_adjacency(&mixed, 0, true).is_none());
        let mut frame = vec![7; 100];
        let unresolved = HopRow { destination: None, ..hop() };
        assert!(!write_outer(&mut frame, &row("192.0.2.1", "192.0.2.2"), &unresolved, &fields()));
        assert_eq!(frame, vec![7; 100]);
    }

    #[test]
    fn ttl_and_tos_changes_keep_the_checksum_right() {
        let mut packet = Vec::new();
        let builder = etherparse::PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(1, 2);
        builder.write(&mut packet, &[1, 2, 3]).unwrap();
        for (ttl, tos) in [(63, 0), (1, 255), (255, 3), (0, 0xb8)] {
            set_ttl(&mut packet, Family::V4, ttl);
            set_tos(&mut packet, Family::V4, tos);
            assert!(checksum::verify(&packet[..20]), "{ttl} {tos}");
        }
    }
}
