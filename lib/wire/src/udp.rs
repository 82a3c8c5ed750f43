//! The UDP header (RFC 768, RFC 8200 section 8.1, RFC 6935).

use core::net::IpAddr;

use crate::bytes::{get_u16, set_u16};
use crate::checksum;
use crate::error::Error;
use crate::protocol::Protocol;

mod field {
    use crate::bytes::{Field, Rest};

    pub(super) const SOURCE_PORT: Field = 0..2;
    pub(super) const DESTINATION_PORT: Field = 2..4;
    pub(super) const LEN: Field = 4..6;
    pub(super) const CHECKSUM: Field = 6..8;
    pub(super) const PAYLOAD: Rest = 8..;
}

/// Header length in bytes.
pub const HEADER_LEN: usize = field::PAYLOAD.start;

/// A view of a UDP datagram.
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
    /// `Truncated` when the buffer ends before the header or the length; `BadLength` when it is below 8.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Packet<T>, Error> {
        let have = buffer.as_ref().len();
        if have < HEADER_LEN {
            return Err(Error::Truncated);
        }
        let packet = Self::new_unchecked(buffer);
        let claimed = usize::from(packet.len());
        if claimed < HEADER_LEN {
            return Err(Error::BadLength);
        }
        if have < claimed {
            return Err(Error::Truncated);
        }
        Ok(packet)
    }

    /// The buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// Source port.
    #[inline]
    pub fn source_port(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::SOURCE_PORT)
    }

    /// Destination port.
    #[inline]
    pub fn destination_port(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::DESTINATION_PORT)
    }

    /// Length of header and payload in bytes.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "a header field, never zero in a checked packet")]
    pub fn len(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::LEN)
    }

    /// Checksum; zero means that the sender computed none.
    #[inline]
    pub fn checksum(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::CHECKSUM)
    }

    /// Whether the datagram adds up. A datagram without a checksum passes for either family,
    /// as RFC 6935 wants it for tunnels; who must refuse that over IPv6 asks [`Packet::checksum`].
    #[inline]
    pub fn verify_checksum(&self, source: IpAddr, destination: IpAddr) -> bool {
        if self.checksum() == 0 {
            return true;
        }
        let datagram = &self.buffer.as_ref()[..usize::from(self.len())];
        checksum::pseudo(source, destination, Protocol::UDP.0, datagram.len())
            .is_some_and(|pseudo| checksum::verify_with(pseudo, datagram))
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Packet<&'a T> {
    /// The payload, without what lies behind the length.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        &self.buffer.as_ref()[HEADER_LEN..usize::from(self.len())]
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets the source port.
    #[inline]
    pub fn set_source_port(&mut self, port: u16) {
        set_u16(self.buffer.as_mut(), field::SOURCE_PORT, port);
    }

    /// Sets the destination port.
    #[inline]
    pub fn set_destination_port(&mut self, port: u16) {
        set_u16(self.buffer.as_mut(), field::DESTINATION_PORT, port);
    }

    /// Sets the length of header and payload in bytes.
    #[inline]
    pub fn set_len(&mut self, len: u16) {
        set_u16(self.buffer.as_mut(), field::LEN, len);
    }

    /// Sets the checksum field.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        set_u16(self.buffer.as_mut(), field::CHECKSUM, checksum);
    }

    /// Computes the checksum over the length set before; a sum of zero is sent as 0xFFFF.
    /// Addresses of different families leave the field zero: no checksum.
    pub fn fill_checksum(&mut self, source: IpAddr, destination: IpAddr) {
        self.set_checksum(0);
        let datagram = &self.buffer.as_ref()[..usize::from(self.len())];
        if let Some(pseudo) = checksum::pseudo(source, destination, Protocol::UDP.0, datagram.len()) {
            let checksum = checksum::fold(pseudo + checksum::sum(datagram));
            self.set_checksum(if checksum == 0 { 0xffff } else { checksum });
        }
    }

    /// Everything behind the header up to the length, to write into.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let range = HEADER_LEN..usize::from(self.len());
        &mut self.buffer.as_mut()[range]
    }
}

/// A UDP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repr {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Payload length in bytes.
    pub payload_len: u16,
}

impl Repr {
    /// Judges a datagram: what `new_checked` refuses, and `BadChecksum`.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(
        packet: &Packet<&T>,
        source: IpAddr,
        destination: IpAddr,
    ) -> Result<Repr, Error> {
        let packet = Packet::new_checked(packet.buffer)?;
        if !packet.verify_checksum(source, destination) {
            return Err(Error::BadChecksum);
        }
        Ok(Repr {
            source_port: packet.source_port(),
            destination_port: packet.destination_port(),
            payload_len: packet.len() - HEADER_LEN as u16,
        })
    }

    /// Bytes that `emit` writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header without a checksum (zero); [`Packet::fill_checksum`] adds one once the payload stands.
    /// Panics when the buffer is shorter than `buffer_len`; a payload above 65527 bytes cannot be expressed
    /// and is written as 65527.
    #[inline]
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        packet.set_source_port(self.source_port);
        packet.set_destination_port(self.destination_port);
        packet.set_len(self.payload_len.saturating_add(HEADER_LEN as u16));
        packet.set_checksum(0);
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use std::vec;

    const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 1));
    const DESTINATION: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 2));

    static DATAGRAM: [u8; 12] = [
        0xbf, 0x00, 0x10, 0xf5, // ports 48896 and 4341
        0x00, 0x0c, 0x01, 0x8d, // length, checksum
        0xaa, 0x00, 0x00, 0xff,
    ];

    fn repr() -> Repr {
        Repr { source_port: 48896, destination_port: 4341, payload_len: 4 }
    }

    fn parse_bytes(bytes: &[u8]) -> Result<Repr, Error> {
        Repr::parse(&Packet::new_unchecked(bytes), SOURCE, DESTINATION)
    }

    #[test]
    fn deconstruct() {
        let packet = Packet::new_checked(&DATAGRAM[..]).unwrap();
        assert_eq!(packet.source_port(), 48896);
        assert_eq!(packet.destination_port(), 4341);
        assert_eq!(packet.len(), 12);
        assert_eq!(packet.checksum(), 0x018d);
        assert!(packet.verify_checksum(SOURCE, DESTINATION));
        assert_eq!(packet.payload(), [0xaa, 0x00, 0x00, 0xff]);
    }

    #[test]
    fn construct() {
        let mut bytes = vec![0xa5; 12];
        let mut packet = Packet::new_unchecked(&mut bytes);
        packet.set_source_port(48896);
        packet.set_destination_port(4341);
        packet.set_len(12);
        packet.payload_mut().copy_from_slice(&DATAGRAM[8..]);
        packet.fill_checksum(SOURCE, DESTINATION);
        assert_eq!(packet.into_inner(), &DATAGRAM);
    }

    #[test]
    fn parse() {
        assert_eq!(parse_bytes(&DATAGRAM), Ok(repr()));
    }

    #[test]
    fn emit() {
        let mut bytes = vec![0xa5; repr().buffer_len()];
        repr().emit(&mut Packet::new_unchecked(&mut bytes));
        assert_eq!(bytes[..6], DATAGRAM[..6]);
        assert_eq!(bytes[6..], [0, 0], "no checksum unless asked");
    }

    #[test]
    fn odd_lengths() {
        for len in 0..DATAGRAM.len() {
            assert_eq!(parse_bytes(&DATAGRAM[..len]), Err(Error::Truncated), "{len}");
        }
        let mut short = DATAGRAM;
        short[5] = 7;
        assert_eq!(parse_bytes(&short), Err(Error::BadLength));
        let mut long = DATAGRAM;
        long[5] = 13;
        assert_eq!(parse_bytes(&long), Err(Error::Truncated));
        let padded = [&DATAGRAM[..], &[0xee; 6]].concat();
        assert_eq!(parse_bytes(&padded), Ok(repr()), "link padding is not payload");
    }

    #[test]
    fn checksums() {
        let mut wrong = DATAGRAM;
        wrong[6] ^= 0xff;
        assert_eq!(parse_bytes(&wrong), Err(Error::BadChecksum));
        let mut none = DATAGRAM;
        none[6..8].copy_from_slice(&[0, 0]);
        assert_eq!(parse_bytes(&none), Ok(repr()));
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        let mixed = Repr::parse(&Packet::new_unchecked(&DATAGRAM[..]), SOURCE, v6);
        assert_eq!(mixed, Err(Error::BadChecksum));
        let mut packet = Packet::new_unchecked(&mut none[..]);
        packet.fill_checksum(SOURCE, v6);
        assert_eq!(packet.checksum(), 0);
    }

    #[test]
    fn a_sum_of_zero_is_sent_as_all_ones() {
        // Ports, lengths and addresses of these bytes add up to 0xffff, so that the complement is zero.
        let mut bytes = [0; 10];
        let mut packet = Packet::new_unchecked(&mut bytes[..]);
        packet.set_len(10);
        let pseudo = checksum::pseudo(SOURCE, DESTINATION, 17, 10).unwrap();
        let missing = checksum::fold(pseudo + 10);
        packet.payload_mut().copy_from_slice(&missing.to_be_bytes());
        packet.fill_checksum(SOURCE, DESTINATION);
        assert_eq!(packet.checksum(), 0xffff);
        assert!(packet.verify_checksum(SOURCE, DESTINATION));
    }
}
