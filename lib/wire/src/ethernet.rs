//! The Ethernet II header.

use core::fmt;

use crate::addr::Mac;
use crate::bytes::{get_u16, set_u16};
use crate::error::Error;

mod field {
    use crate::bytes::{Field, Rest};

    pub(super) const DESTINATION: Field = 0..6;
    pub(super) const SOURCE: Field = 6..12;
    pub(super) const ETHERTYPE: Field = 12..14;
    pub(super) const PAYLOAD: Rest = 14..;
}

/// Header length in bytes.
pub const HEADER_LEN: usize = field::PAYLOAD.start;

/// What follows an Ethernet header or a VLAN tag; unknown values survive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: EtherType = EtherType(0x0800);
    /// ARP.
    pub const ARP: EtherType = EtherType(0x0806);
    /// An 802.1Q tag.
    pub const VLAN: EtherType = EtherType(0x8100);
    /// IPv6.
    pub const IPV6: EtherType = EtherType(0x86dd);
    /// An 802.1ad service tag.
    pub const SERVICE_VLAN: EtherType = EtherType(0x88a8);

    /// Smaller values are 802.3 lengths, not types.
    const FIRST: EtherType = EtherType(0x0600);
}

impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            EtherType::IPV4 => f.write_str("IPv4"),
            EtherType::ARP => f.write_str("ARP"),
            EtherType::VLAN => f.write_str("VLAN"),
            EtherType::IPV6 => f.write_str("IPv6"),
            EtherType::SERVICE_VLAN => f.write_str("service VLAN"),
            EtherType(other) => write!(f, "EtherType 0x{other:04x}"),
        }
    }
}

/// A view of an Ethernet frame (without preamble and frame check sequence).
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

    /// A view whose accessors cannot panic; `Truncated` when the header does not fit.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Packet<T>, Error> {
        if buffer.as_ref().len() < HEADER_LEN {
            return Err(Error::Truncated);
        }
        Ok(Self::new_unchecked(buffer))
    }

    /// The buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// Destination address.
    #[inline]
    pub fn destination(&self) -> Mac {
        Mac::from_slice(&self.buffer.as_ref()[field::DESTINATION])
    }

    /// Source address.
    #[inline]
    pub fn source(&self) -> Mac {
        Mac::from_slice(&self.buffer.as_ref()[field::SOURCE])
    }

    /// What follows: a protocol or a VLAN tag.
    #[inline]
    pub fn ethertype(&self) -> EtherType {
        EtherType(get_u16(self.buffer.as_ref(), field::ETHERTYPE))
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Packet<&'a T> {
    /// Everything behind the header, padding included.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        &self.buffer.as_ref()[field::PAYLOAD]
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets the destination address.
    #[inline]
    pub fn set_destination(&mut self, mac: Mac) {
        self.buffer.as_mut()[field::DESTINATION].copy_from_slice(&mac.0);
    }

    /// Sets the source address.
    #[inline]
    pub fn set_source(&mut self, mac: Mac) {
        self.buffer.as_mut()[field::SOURCE].copy_from_slice(&mac.0);
    }

    /// Sets what follows.
    #[inline]
    pub fn set_ethertype(&mut self, ethertype: EtherType) {
        set_u16(self.buffer.as_mut(), field::ETHERTYPE, ethertype.0);
    }

    /// Everything behind the header, to write into.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.buffer.as_mut()[field::PAYLOAD]
    }
}

/// An Ethernet header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repr {
    /// Destination address.
    pub destination: Mac,
    /// Source address.
    pub source: Mac,
    /// What follows.
    pub ethertype: EtherType,
}

impl Repr {
    /// Judges a frame: `Truncated`; `BadAddress` for a group as sender; `Unsupported` for an 802.3 length.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(packet: &Packet<&T>) -> Result<Repr, Error> {
        let packet = Packet::new_checked(packet.buffer)?;
        if packet.source().is_multicast() {
            return Err(Error::BadAddress);
        }
        if packet.ethertype() < EtherType::FIRST {
            return Err(Error::Unsupported);
        }
        Ok(Repr { destination: packet.destination(), source: packet.source(), ethertype: packet.ethertype() })
    }

    /// Bytes that `emit` writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header. Panics when the buffer is shorter than `buffer_len`.
    #[inline]
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        packet.set_destination(self.destination);
        packet.set_source(self.source);
        packet.set_ethertype(self.ethertype);
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::string::ToString;
    use std::vec;

    static FRAME: [u8; 18] = [
        0x02, 0x53, 0x54, 0x00, 0x00, 0x64, // destination
        0x52, 0x54, 0x00, 0x12, 0x34, 0x56, // source
        0x08, 0x00, // IPv4
        0xaa, 0xbb, 0xcc, 0xdd,
    ];

    fn repr() -> Repr {
        Repr {
            destination: Mac([0x02, 0x53, 0x54, 0, 0, 0x64]),
            source: Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]),
            ethertype: EtherType::IPV4,
        }
    }

    #[test]
    fn deconstruct() {
        let packet = Packet::new_checked(&FRAME[..]).unwrap();
        assert_eq!(packet.destination(), repr().destination);
        assert_eq!(packet.source(), repr().source);
        assert_eq!(packet.ethertype(), EtherType::IPV4);
        assert_eq!(packet.payload(), [0xaa, 0xbb, 0xcc, 0xdd]);
        assert_eq!(packet.into_inner(), &FRAME[..]);
    }

    #[test]
    fn construct() {
        let mut bytes = vec![0xa5; 18];
        let mut packet = Packet::new_unchecked(&mut bytes);
        packet.set_destination(repr().destination);
        packet.set_source(repr().source);
        packet.set_ethertype(EtherType::IPV4);
        packet.payload_mut().copy_from_slice(&FRAME[14..]);
        assert_eq!(bytes, FRAME);
    }

    #[test]
    fn parse() {
        assert_eq!(Repr::parse(&Packet::new_unchecked(&FRAME[..])), Ok(repr()));
    }

    #[test]
    fn emit() {
        let mut bytes = vec![0xa5; repr().buffer_len()];
        repr().emit(&mut Packet::new_unchecked(&mut bytes));
        assert_eq!(bytes, FRAME[..14]);
    }

    #[test]
    fn odd_cases() {
        for len in 0..HEADER_LEN {
            assert_eq!(Packet::new_checked(&FRAME[..len]), Err(Error::Truncated));
            assert_eq!(Repr::parse(&Packet::new_unchecked(&FRAME[..len])), Err(Error::Truncated));
        }
        let mut group_sender = FRAME;
        group_sender[6] |= 1;
        assert_eq!(Repr::parse(&Packet::new_unchecked(&group_sender[..])), Err(Error::BadAddress));
        let mut length = FRAME;
        length[12..14].copy_from_slice(&[0x05, 0xff]);
        assert_eq!(Repr::parse(&Packet::new_unchecked(&length[..])), Err(Error::Unsupported));
        assert_eq!(EtherType(0x1234).to_string(), "EtherType 0x1234");
    }
}
