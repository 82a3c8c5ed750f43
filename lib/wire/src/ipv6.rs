//! The IPv6 header (RFC 8200). What may stand between it and the transport is in [`crate::ipv6_ext`].

use core::net::Ipv6Addr;

use crate::addr::{Dscp, Ecn, merge_tos, split_tos};
use crate::bytes::{get_u16, get_u24, get_v6, set_u16, set_u32};
use crate::error::Error;
use crate::protocol::Protocol;

mod field {
    use crate::bytes::{Field, Rest};

    /// Version (4 bits), traffic class (8), flow label (20).
    pub(super) const FIRST_WORD: Field = 0..4;
    pub(super) const FLOW_LABEL: Field = 1..4;
    pub(super) const PAYLOAD_LEN: Field = 4..6;
    pub(super) const NEXT_HEADER: usize = 6;
    pub(super) const HOP_LIMIT: usize = 7;
    pub(super) const SOURCE: Field = 8..24;
    pub(super) const DESTINATION: Field = 24..40;
    pub(super) const PAYLOAD: Rest = 40..;
}

/// Header length in bytes.
pub const HEADER_LEN: usize = field::PAYLOAD.start;
/// Every link must carry this many bytes (RFC 8200 section 5).
pub const MIN_MTU: usize = 1280;

const FLOW_LABEL_MASK: u32 = 0x000f_ffff;

/// A view of an IPv6 packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// A view without any check, for writing.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Packet<T> {
        Packet { buffer }
    }

    /// A view whose accessors cannot panic. `Truncated`, `BadVersion`.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Packet<T>, Error> {
        let packet = Self::new_quoted(buffer)?;
        if packet.buffer.as_ref().len() < packet.total_len() {
            return Err(Error::Truncated);
        }
        Ok(packet)
    }

    /// As `new_checked`, but the payload may be cut short, as it is in an ICMP error that quotes a packet.
    #[inline]
    pub fn new_quoted(buffer: T) -> Result<Packet<T>, Error> {
        if buffer.as_ref().len() < HEADER_LEN {
            return Err(Error::Truncated);
        }
        let packet = Self::new_unchecked(buffer);
        if packet.version() != 6 {
            return Err(Error::BadVersion);
        }
        Ok(packet)
    }

    /// The buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// Version number.
    #[inline]
    pub fn version(&self) -> u8 {
        self.buffer.as_ref()[0] >> 4
    }

    /// DSCP and ECN in one byte.
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        (get_u16(self.buffer.as_ref(), 0..2) >> 4) as u8
    }

    /// Differentiated-services code point.
    #[inline]
    pub fn dscp(&self) -> Dscp {
        Dscp::of_tos(self.traffic_class())
    }

    /// Explicit congestion notification.
    #[inline]
    pub fn ecn(&self) -> Ecn {
        Ecn::of_tos(self.traffic_class())
    }

    /// Flow label, 20 bits.
    #[inline]
    pub fn flow_label(&self) -> u32 {
        get_u24(self.buffer.as_ref(), field::FLOW_LABEL) & FLOW_LABEL_MASK
    }

    /// Length of everything behind the header in bytes.
    #[inline]
    pub fn payload_len(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::PAYLOAD_LEN)
    }

    /// Length of header and payload in bytes.
    #[inline]
    pub fn total_len(&self) -> usize {
        HEADER_LEN + usize::from(self.payload_len())
    }

    /// What follows: an extension header or the transport.
    #[inline]
    pub fn next_header(&self) -> Protocol {
        Protocol(self.buffer.as_ref()[field::NEXT_HEADER])
    }

    /// Hop limit.
    #[inline]
    pub fn hop_limit(&self) -> u8 {
        self.buffer.as_ref()[field::HOP_LIMIT]
    }

    /// Source address.
    #[inline]
    pub fn source(&self) -> Ipv6Addr {
        get_v6(self.buffer.as_ref(), field::SOURCE)
    }

    /// Destination address.
    #[inline]
    pub fn destination(&self) -> Ipv6Addr {
        get_v6(self.buffer.as_ref(), field::DESTINATION)
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Packet<&'a T> {
    /// Everything behind the header, without what lies beyond the payload length.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        let bytes = self.buffer.as_ref();
        &bytes[HEADER_LEN..self.total_len().min(bytes.len())]
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets version 6, traffic class and flow label (its low 20 bits).
    #[inline]
    pub fn set_first_word(&mut self, traffic_class: u8, flow_label: u32) {
        let word = 6 << 28 | u32::from(traffic_class) << 20 | flow_label & FLOW_LABEL_MASK;
        set_u32(self.buffer.as_mut(), field::FIRST_WORD, word);
    }

    /// Sets the length of everything behind the header.
    #[inline]
    pub fn set_payload_len(&mut self, len: u16) {
        set_u16(self.buffer.as_mut(), field::PAYLOAD_LEN, len);
    }

    /// Sets what follows.
    #[inline]
    pub fn set_next_header(&mut self, next_header: Protocol) {
        self.buffer.as_mut()[field::NEXT_HEADER] = next_header.0;
    }

    /// Sets the hop limit.
    #[inline]
    pub fn set_hop_limit(&mut self, hop_limit: u8) {
        self.buffer.as_mut()[field::HOP_LIMIT] = hop_limit;
    }

    /// Sets the source address.
    #[inline]
    pub fn set_source(&mut self, source: Ipv6Addr) {
        self.buffer.as_mut()[field::SOURCE].copy_from_slice(&source.octets());
    }

    /// Sets the destination address.
    #[inline]
    pub fn set_destination(&mut self, destination: Ipv6Addr) {
        self.buffer.as_mut()[field::DESTINATION].copy_from_slice(&destination.octets());
    }

    /// Everything behind the header up to the payload length, to write into.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let range = HEADER_LEN..self.total_len();
        &mut self.buffer.as_mut()[range]
    }
}

/// An IPv6 header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repr {
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// What follows.
    pub next_header: Protocol,
    /// Length of everything behind the header in bytes.
    pub payload_len: u16,
    /// Hop limit.
    pub hop_limit: u8,
    /// Differentiated-services code point.
    pub dscp: Dscp,
    /// Explicit congestion notification.
    pub ecn: Ecn,
    /// Flow label, 20 bits.
    pub flow_label: u32,
}

impl Repr {
    /// Judges a packet: `Truncated`, `BadVersion`, and `BadAddress` for a multicast sender (RFC 4291 section 2.7).
    pub fn parse<T: AsRef<[u8]> + ?Sized>(packet: &Packet<&T>) -> Result<Repr, Error> {
        let packet = Packet::new_checked(packet.buffer)?;
        if packet.source().is_multicast() {
            return Err(Error::BadAddress);
        }
        let (dscp, ecn) = split_tos(packet.traffic_class());
        Ok(Repr {
            source: packet.source(),
            destination: packet.destination(),
            next_header: packet.next_header(),
            payload_len: packet.payload_len(),
            hop_limit: packet.hop_limit(),
            dscp,
            ecn,
            flow_label: packet.flow_label(),
        })
    }

    /// Bytes that `emit` writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header. Panics when the buffer is shorter than `buffer_len`.
    #[inline]
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        packet.set_first_word(merge_tos(self.dscp, self.ecn), self.flow_label);
        packet.set_payload_len(self.payload_len);
        packet.set_next_header(self.next_header);
        packet.set_hop_limit(self.hop_limit);
        packet.set_source(self.source);
        packet.set_destination(self.destination);
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::vec;

    static PACKET: [u8; 44] = [
        0x6b, 0xaa, 0xbc, 0xde, // version, traffic class 0xba, flow label 0xabcde
        0x00, 0x04, 0x11, 0x40, // payload length, UDP, hop limit
        0xfd, 0x00, 0x00, 0x64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // source
        0xfd, 0x00, 0x00, 0x64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, // destination
        0x01, 0x02, 0x03, 0x04,
    ];

    fn repr() -> Repr {
        Repr {
            source: "fd00:64::1".parse().unwrap(),
            destination: "fd00:64::2".parse().unwrap(),
            next_header: Protocol::UDP,
            payload_len: 4,
            hop_limit: 64,
            dscp: Dscp::new(46).unwrap(),
            ecn: Ecn::ECT0,
            flow_label: 0xabcde,
        }
    }

    fn parse_bytes(bytes: &[u8]) -> Result<Repr, Error> {
        Repr::parse(&Packet::new_unchecked(bytes))
    }

    #[test]
    fn deconstruct() {
        let packet = Packet::new_checked(&PACKET[..]).unwrap();
        assert_eq!(packet.version(), 6);
        assert_eq!(packet.traffic_class(), 0xba);
        assert_eq!(packet.dscp().get(), 46);
        assert_eq!(packet.ecn(), Ecn::ECT0);
        assert_eq!(packet.flow_label(), 0xabcde);
        assert_eq!(packet.payload_len(), 4);
        assert_eq!(packet.next_header(), Protocol::UDP);
        assert_eq!(packet.hop_limit(), 64);
        assert_eq!(packet.source(), repr().source);
        assert_eq!(packet.destination(), repr().destination);
        assert_eq!(packet.payload(), [1, 2, 3, 4]);
    }

    #[test]
    fn construct() {
        let mut bytes = vec![0xa5; 44];
        let mut packet = Packet::new_unchecked(&mut bytes);
        packet.set_first_word(0xba, 0xabcde);
        packet.set_payload_len(4);
        packet.set_next_header(Protocol::UDP);
        packet.set_hop_limit(64);
        packet.set_source(repr().source);
        packet.set_destination(repr().destination);
        packet.payload_mut().copy_from_slice(&[1, 2, 3, 4]);
        assert_eq!(packet.into_inner(), &PACKET);
    }

    #[test]
    fn parse() {
        assert_eq!(parse_bytes(&PACKET), Ok(repr()));
    }

    #[test]
    fn emit() {
        let mut bytes = vec![0xa5; repr().buffer_len()];
        repr().emit(&mut Packet::new_unchecked(&mut bytes));
        assert_eq!(bytes, PACKET[..40]);
    }

    #[test]
    fn odd_cases() {
        for len in 0..PACKET.len() {
            assert_eq!(parse_bytes(&PACKET[..len]), Err(Error::Truncated), "{len}");
        }
        let mut wrong = PACKET;
        wrong[0] = 0x4b;
        assert_eq!(parse_bytes(&wrong), Err(Error::BadVersion));
        let mut from_group = PACKET;
        from_group[8] = 0xff;
        assert_eq!(parse_bytes(&from_group), Err(Error::BadAddress));
        let padded = [&PACKET[..], &[0; 6]].concat();
        assert_eq!(Packet::new_checked(&padded[..]).unwrap().payload(), [1, 2, 3, 4]);
        assert_eq!(Packet::new_quoted(&PACKET[..42]).unwrap().payload(), [1, 2]);
        let longest = Repr { flow_label: u32::MAX, ..repr() };
        let mut bytes = [0; 40];
        longest.emit(&mut Packet::new_unchecked(&mut bytes));
        assert_eq!(bytes[0] >> 4, 6, "a flow label too wide does not spill over");
    }
}
