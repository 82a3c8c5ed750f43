//! The IPv4 header (RFC 791). Options are tolerated, never interpreted and never sent.

use core::net::Ipv4Addr;

use crate::addr::{Dscp, Ecn, merge_tos, split_tos};
use crate::bytes::{get_u16, get_v4, set_u16};
use crate::checksum;
use crate::error::Error;
use crate::protocol::Protocol;

mod field {
    use crate::bytes::Field;

    pub(super) const VERSION_IHL: usize = 0;
    pub(super) const TOS: usize = 1;
    pub(super) const TOTAL_LEN: Field = 2..4;
    pub(super) const IDENT: Field = 4..6;
    pub(super) const FRAGMENT: Field = 6..8;
    pub(super) const TTL: usize = 8;
    pub(super) const PROTOCOL: usize = 9;
    pub(super) const CHECKSUM: Field = 10..12;
    pub(super) const SOURCE: Field = 12..16;
    pub(super) const DESTINATION: Field = 16..20;
}

/// Length of a header without options, in bytes.
pub const HEADER_LEN: usize = field::DESTINATION.end;
/// Length of the longest header, in bytes.
pub const MAX_HEADER_LEN: usize = 60;
/// Every link must carry this many bytes unfragmented (RFC 791).
pub const MIN_MTU: usize = 68;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;

/// A view of an IPv4 packet.
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

    /// A view whose accessors cannot panic.
    /// `Truncated`, `BadVersion`, `BadHeader` (header length below 20), `BadLength` (total below header length).
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Packet<T>, Error> {
        let packet = Self::new_quoted(buffer)?;
        if packet.buffer.as_ref().len() < usize::from(packet.total_len()) {
            return Err(Error::Truncated);
        }
        Ok(packet)
    }

    /// As `new_checked`, but the payload may be cut short, as it is in an ICMP error that quotes a packet.
    #[inline]
    pub fn new_quoted(buffer: T) -> Result<Packet<T>, Error> {
        let bytes = buffer.as_ref();
        if bytes.len() < HEADER_LEN {
            return Err(Error::Truncated);
        }
        let packet = Self::new_unchecked(buffer);
        if packet.version() != 4 {
            return Err(Error::BadVersion);
        }
        if packet.header_len() < HEADER_LEN {
            return Err(Error::BadHeader);
        }
        if usize::from(packet.total_len()) < packet.header_len() {
            return Err(Error::BadLength);
        }
        if packet.buffer.as_ref().len() < packet.header_len() {
            return Err(Error::Truncated);
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
        self.buffer.as_ref()[field::VERSION_IHL] >> 4
    }

    /// Header length in bytes, options included.
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(self.buffer.as_ref()[field::VERSION_IHL] & 0x0f) * 4
    }

    /// DSCP and ECN in one byte.
    #[inline]
    pub fn tos(&self) -> u8 {
        self.buffer.as_ref()[field::TOS]
    }

    /// Differentiated-services code point.
    #[inline]
    pub fn dscp(&self) -> Dscp {
        Dscp::of_tos(self.tos())
    }

    /// Explicit congestion notification.
    #[inline]
    pub fn ecn(&self) -> Ecn {
        Ecn::of_tos(self.tos())
    }

    /// Length of header and payload in bytes.
    #[inline]
    pub fn total_len(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::TOTAL_LEN)
    }

    /// Identification of the datagram a fragment belongs to.
    #[inline]
    pub fn ident(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::IDENT)
    }

    #[inline]
    fn fragment_word(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::FRAGMENT)
    }

    /// Routers must not fragment this packet.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        self.fragment_word() & DONT_FRAGMENT != 0
    }

    /// A later fragment exists.
    #[inline]
    pub fn more_fragments(&self) -> bool {
        self.fragment_word() & MORE_FRAGMENTS != 0
    }

    /// Where the payload lies in the datagram, in bytes (a multiple of eight).
    #[inline]
    pub fn fragment_offset(&self) -> u16 {
        (self.fragment_word() & OFFSET_MASK) << 3
    }

    /// Whether it is a part of a larger datagram.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.fragment_word() & (MORE_FRAGMENTS | OFFSET_MASK) != 0
    }

    /// Time to live, in hops.
    #[inline]
    pub fn ttl(&self) -> u8 {
        self.buffer.as_ref()[field::TTL]
    }

    /// What the payload is.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        Protocol(self.buffer.as_ref()[field::PROTOCOL])
    }

    /// Header checksum.
    #[inline]
    pub fn checksum(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::CHECKSUM)
    }

    /// Source address.
    #[inline]
    pub fn source(&self) -> Ipv4Addr {
        get_v4(self.buffer.as_ref(), field::SOURCE)
    }

    /// Destination address.
    #[inline]
    pub fn destination(&self) -> Ipv4Addr {
        get_v4(self.buffer.as_ref(), field::DESTINATION)
    }

    /// Whether the header adds up.
    #[inline]
    pub fn verify_checksum(&self) -> bool {
        checksum::verify(&self.buffer.as_ref()[..self.header_len()])
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Packet<&'a T> {
    /// The option bytes, 0 to 40 of them.
    #[inline]
    pub fn options(&self) -> &'a [u8] {
        &self.buffer.as_ref()[HEADER_LEN..self.header_len()]
    }

    /// The payload, without what lies behind the total length.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        let bytes = self.buffer.as_ref();
        let end = usize::from(self.total_len()).min(bytes.len());
        &bytes[self.header_len()..end]
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets version 4 and the header length in bytes (a multiple of four up to 60).
    #[inline]
    pub fn set_version_and_header_len(&mut self, header_len: usize) {
        self.buffer.as_mut()[field::VERSION_IHL] = 0x40 | (header_len / 4) as u8 & 0x0f;
    }

    /// Sets DSCP and ECN.
    #[inline]
    pub fn set_tos(&mut self, tos: u8) {
        self.buffer.as_mut()[field::TOS] = tos;
    }

    /// Sets the length of header and payload in bytes.
    #[inline]
    pub fn set_total_len(&mut self, len: u16) {
        set_u16(self.buffer.as_mut(), field::TOTAL_LEN, len);
    }

    /// Sets the identification.
    #[inline]
    pub fn set_ident(&mut self, ident: u16) {
        set_u16(self.buffer.as_mut(), field::IDENT, ident);
    }

    /// Sets both flags and the offset in bytes (a multiple of eight); the reserved flag becomes zero.
    #[inline]
    pub fn set_fragment(&mut self, dont_fragment: bool, more_fragments: bool, offset: u16) {
        let df = if dont_fragment { DONT_FRAGMENT } else { 0 };
        let mf = if more_fragments { MORE_FRAGMENTS } else { 0 };
        set_u16(self.buffer.as_mut(), field::FRAGMENT, df | mf | offset >> 3);
    }

    /// Sets the time to live.
    #[inline]
    pub fn set_ttl(&mut self, ttl: u8) {
        self.buffer.as_mut()[field::TTL] = ttl;
    }

    /// Sets what the payload is.
    #[inline]
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.buffer.as_mut()[field::PROTOCOL] = protocol.0;
    }

    /// Sets the checksum field.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        set_u16(self.buffer.as_mut(), field::CHECKSUM, checksum);
    }

    /// Sets the source address.
    #[inline]
    pub fn set_source(&mut self, source: Ipv4Addr) {
        self.buffer.as_mut()[field::SOURCE].copy_from_slice(&source.octets());
    }

    /// Sets the destination address.
    #[inline]
    pub fn set_destination(&mut self, destination: Ipv4Addr) {
        self.buffer.as_mut()[field::DESTINATION].copy_from_slice(&destination.octets());
    }

    /// Computes the header checksum anew.
    #[inline]
    pub fn fill_checksum(&mut self) {
        self.set_checksum(0);
        let header_len = self.header_len();
        let checksum = checksum::fold(checksum::sum(&self.buffer.as_ref()[..header_len]));
        self.set_checksum(checksum);
    }

    /// Everything behind the header up to the total length, to write into.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let range = self.header_len()..usize::from(self.total_len());
        &mut self.buffer.as_mut()[range]
    }
}

/// An IPv4 header without options.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repr {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// What the payload is.
    pub protocol: Protocol,
    /// Payload length in bytes.
    pub payload_len: u16,
    /// Time to live, in hops.
    pub ttl: u8,
    /// Differentiated-services code point.
    pub dscp: Dscp,
    /// Explicit congestion notification.
    pub ecn: Ecn,
    /// Identification of the datagram.
    pub ident: u16,
    /// Routers must not fragment this packet.
    pub dont_fragment: bool,
    /// A later fragment exists.
    pub more_fragments: bool,
    /// Where the payload lies in the datagram, in bytes (a multiple of eight).
    pub fragment_offset: u16,
}

impl Repr {
    /// Judges a packet: what `new_checked` refuses, `BadChecksum`,
    /// and `BadLength` for a fragment that would reach beyond 65535 bytes.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(packet: &Packet<&T>) -> Result<Repr, Error> {
        let packet = Packet::new_checked(packet.buffer)?;
        if !packet.verify_checksum() {
            return Err(Error::BadChecksum);
        }
        let end = usize::from(packet.fragment_offset()) + usize::from(packet.total_len());
        if end > usize::from(u16::MAX) {
            return Err(Error::BadLength);
        }
        let (dscp, ecn) = split_tos(packet.tos());
        Ok(Repr {
            source: packet.source(),
            destination: packet.destination(),
            protocol: packet.protocol(),
            payload_len: packet.total_len() - packet.header_len() as u16,
            ttl: packet.ttl(),
            dscp,
            ecn,
            ident: packet.ident(),
            dont_fragment: packet.dont_fragment(),
            more_fragments: packet.more_fragments(),
            fragment_offset: packet.fragment_offset(),
        })
    }

    /// Bytes that `emit` writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header with its checksum.
    /// Panics when the buffer is shorter than `buffer_len`; a payload above 65515 bytes cannot be expressed
    /// and is written as 65515.
    #[inline]
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        packet.set_version_and_header_len(HEADER_LEN);
        packet.set_tos(merge_tos(self.dscp, self.ecn));
        packet.set_total_len(self.payload_len.saturating_add(HEADER_LEN as u16));
        packet.set_ident(self.ident);
        packet.set_fragment(self.dont_fragment, self.more_fragments, self.fragment_offset);
        packet.set_ttl(self.ttl);
        packet.set_protocol(self.protocol);
        packet.set_source(self.source);
        packet.set_destination(self.destination);
        packet.fill_checksum();
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    static PACKET: [u8; 28] = [
        0x45, 0xba, 0x00, 0x1c, // version, header length, TOS (EF, ECT(0)), total length
        0x01, 0x02, 0x62, 0x03, // ident, DF and MF, offset 0x203 * 8
        0x1a, 0x11, 0xd4, 0xa6, // TTL, UDP, checksum
        0x11, 0x12, 0x13, 0x14, // source
        0x21, 0x22, 0x23, 0x24, // destination
        0xaa, 0x00, 0x00, 0xff, 0x01, 0x02, 0x03, 0x04,
    ];

    fn repr() -> Repr {
        Repr {
            source: Ipv4Addr::new(0x11, 0x12, 0x13, 0x14),
            destination: Ipv4Addr::new(0x21, 0x22, 0x23, 0x24),
            protocol: Protocol::UDP,
            payload_len: 8,
            ttl: 26,
            dscp: Dscp::new(46).unwrap(),
            ecn: Ecn::ECT0,
            ident: 0x0102,
            dont_fragment: true,
            more_fragments: true,
            fragment_offset: 0x203 * 8,
        }
    }

    fn parse_bytes(bytes: &[u8]) -> Result<Repr, Error> {
        Repr::parse(&Packet::new_unchecked(bytes))
    }

    #[test]
    fn deconstruct() {
        let packet = Packet::new_checked(&PACKET[..]).unwrap();
        assert_eq!(packet.version(), 4);
        assert_eq!(packet.header_len(), 20);
        assert_eq!(packet.dscp().get(), 46);
        assert_eq!(packet.ecn(), Ecn::ECT0);
        assert_eq!(packet.total_len(), 28);
        assert_eq!(packet.ident(), 0x0102);
        assert!(packet.dont_fragment() && packet.more_fragments() && packet.is_fragment());
        assert_eq!(packet.fragment_offset(), 0x203 * 8);
        assert_eq!(packet.ttl(), 26);
        assert_eq!(packet.protocol(), Protocol::UDP);
        assert_eq!(packet.checksum(), 0xd4a6);
        assert_eq!(packet.source(), repr().source);
        assert_eq!(packet.destination(), repr().destination);
        assert!(packet.verify_checksum());
        assert_eq!(packet.options(), []);
        assert_eq!(packet.payload(), &PACKET[20..]);
    }

    #[test]
    fn construct() {
        let mut bytes = vec![0xa5; 28];
        let mut packet = Packet::new_unchecked(&mut bytes);
        packet.set_version_and_header_len(20);
        packet.set_tos(0xba);
        packet.set_total_len(28);
        packet.set_ident(0x0102);
        packet.set_fragment(true, true, 0x203 * 8);
        packet.set_ttl(26);
        packet.set_protocol(Protocol::UDP);
        packet.set_source(repr().source);
        packet.set_destination(repr().destination);
        packet.fill_checksum();
        packet.payload_mut().copy_from_slice(&PACKET[20..]);
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
        assert_eq!(bytes, PACKET[..20]);
    }

    /// `PACKET` with one byte changed and the checksum made right again.
    fn with(at: usize, value: u8) -> Vec<u8> {
        let mut bytes = PACKET.to_vec();
        bytes[at] = value;
        let checksum = checksum::update16(
            get_u16(&PACKET, 10..12),
            get_u16(&PACKET, at & !1..(at & !1) + 2),
            get_u16(&bytes, at & !1..(at & !1) + 2),
        );
        bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    #[test]
    fn reserved_flag_is_ignored_and_never_sent() {
        assert_eq!(parse_bytes(&with(6, 0xe2)), Ok(repr()));
        let mut bytes = vec![0xff; 20];
        repr().emit(&mut Packet::new_unchecked(&mut bytes));
        assert_eq!(bytes[6] & 0x80, 0);
    }

    #[test]
    fn impossible_headers() {
        for len in 0..PACKET.len() {
            assert_eq!(parse_bytes(&PACKET[..len]), Err(Error::Truncated), "{len}");
        }
        assert_eq!(parse_bytes(&with(0, 0x65)), Err(Error::BadVersion));
        assert_eq!(parse_bytes(&with(0, 0x44)), Err(Error::BadHeader));
        assert_eq!(parse_bytes(&with(0, 0x48)), Err(Error::BadLength));
        assert_eq!(parse_bytes(&with(3, 19)), Err(Error::BadLength));
        assert_eq!(parse_bytes(&with(3, 29)), Err(Error::Truncated));
        assert_eq!(parse_bytes(&with(6, 0x7f)).map(|r| r.fragment_offset), Ok(0x1f03 * 8));
        let mut beyond = with(6, 0x7f);
        beyond[7] = 0xff;
        let mut packet = Packet::new_unchecked(&mut beyond);
        packet.fill_checksum();
        assert_eq!(parse_bytes(&beyond), Err(Error::BadLength));
        let mut wrong = PACKET;
        wrong[10] ^= 1;
        assert_eq!(parse_bytes(&wrong), Err(Error::BadChecksum));
    }

    #[test]
    fn options_are_stepped_over() {
        let mut bytes = [&PACKET[..20], &[0x94, 0x04, 0, 0], &PACKET[20..]].concat();
        let mut packet = Packet::new_unchecked(&mut bytes);
        packet.set_version_and_header_len(24);
        packet.set_total_len(32);
        packet.fill_checksum();
        let packet = Packet::new_checked(&bytes[..]).unwrap();
        assert_eq!(packet.options(), [0x94, 0x04, 0, 0]);
        assert_eq!(packet.payload(), &PACKET[20..]);
        assert_eq!(Repr::parse(&packet), Ok(repr()));
    }

    #[test]
    fn padding_and_quotes() {
        let padded = [&PACKET[..], &[0; 18]].concat();
        assert_eq!(Packet::new_checked(&padded[..]).unwrap().payload(), &PACKET[20..]);
        let quoted = Packet::new_quoted(&PACKET[..22]).unwrap();
        assert_eq!(quoted.payload(), &PACKET[20..22]);
        assert_eq!(Packet::new_quoted(&PACKET[..19]), Err(Error::Truncated));
    }
}
