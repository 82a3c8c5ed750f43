//! One 802.1Q tag: the four bytes behind an Ethernet header whose EtherType is 0x8100.

use crate::addr::VlanId;
use crate::bytes::{get_u16, set_u16};
use crate::error::Error;
use crate::ethernet::EtherType;

mod field {
    use crate::bytes::{Field, Rest};

    /// PCP (3 bits), DEI (1), VLAN ID (12).
    pub(super) const CONTROL: Field = 0..2;
    pub(super) const ETHERTYPE: Field = 2..4;
    pub(super) const PAYLOAD: Rest = 4..;
}

/// Tag length in bytes.
pub const HEADER_LEN: usize = field::PAYLOAD.start;

const ID_MASK: u16 = 0x0fff;
const DROP_ELIGIBLE: u16 = 0x1000;
const ID_RESERVED: u16 = 0x0fff;

/// A view of a tag and what it carries.
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

    /// A view whose accessors cannot panic; `Truncated` when the tag does not fit.
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

    #[inline]
    fn control(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::CONTROL)
    }

    /// Priority code point, 0 to 7.
    #[inline]
    pub fn priority(&self) -> u8 {
        (self.control() >> 13) as u8
    }

    /// Drop eligible indicator.
    #[inline]
    pub fn drop_eligible(&self) -> bool {
        self.control() & DROP_ELIGIBLE != 0
    }

    /// The 12 bits of the VLAN ID as they stand, 0 and 4095 included.
    #[inline]
    pub fn raw_id(&self) -> u16 {
        self.control() & ID_MASK
    }

    /// What the tag carries.
    #[inline]
    pub fn ethertype(&self) -> EtherType {
        EtherType(get_u16(self.buffer.as_ref(), field::ETHERTYPE))
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Packet<&'a T> {
    /// Everything behind the tag.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        &self.buffer.as_ref()[field::PAYLOAD]
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets all three parts of the tag; of `priority` the low three bits count.
    #[inline]
    pub fn set_control(&mut self, priority: u8, drop_eligible: bool, vlan: Option<VlanId>) {
        let id = vlan.map_or(0, VlanId::get);
        let drop_eligible = if drop_eligible { DROP_ELIGIBLE } else { 0 };
        let control = u16::from(priority) << 13 | drop_eligible | id;
        set_u16(self.buffer.as_mut(), field::CONTROL, control);
    }

    /// Sets what the tag carries.
    #[inline]
    pub fn set_ethertype(&mut self, ethertype: EtherType) {
        set_u16(self.buffer.as_mut(), field::ETHERTYPE, ethertype.0);
    }

    /// Everything behind the tag, to write into.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.buffer.as_mut()[field::PAYLOAD]
    }
}

/// An 802.1Q tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repr {
    /// Priority code point, 0 to 7.
    pub priority: u8,
    /// Drop eligible indicator.
    pub drop_eligible: bool,
    /// The VLAN; none for a tag that carries a priority only (VLAN ID 0).
    pub vlan: Option<VlanId>,
    /// What the tag carries.
    pub ethertype: EtherType,
}

impl Repr {
    /// Judges a tag: `Truncated`; `BadHeader` for the reserved VLAN ID 4095.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(packet: &Packet<&T>) -> Result<Repr, Error> {
        let packet = Packet::new_checked(packet.buffer)?;
        if packet.raw_id() == ID_RESERVED {
            return Err(Error::BadHeader);
        }
        Ok(Repr {
            priority: packet.priority(),
            drop_eligible: packet.drop_eligible(),
            vlan: VlanId::new(packet.raw_id()),
            ethertype: packet.ethertype(),
        })
    }

    /// Bytes that `emit` writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the tag. Panics when the buffer is shorter than `buffer_len`.
    #[inline]
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        packet.set_control(self.priority, self.drop_eligible, self.vlan);
        packet.set_ethertype(self.ethertype);
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::vec;

    /// Priority 5, drop eligible, VLAN 10, IPv6.
    static TAG: [u8; 6] = [0xb0, 0x0a, 0x86, 0xdd, 0x60, 0x00];

    fn repr() -> Repr {
        Repr { priority: 5, drop_eligible: true, vlan: VlanId::new(10), ethertype: EtherType::IPV6 }
    }

    #[test]
    fn deconstruct() {
        let packet = Packet::new_checked(&TAG[..]).unwrap();
        assert_eq!(packet.priority(), 5);
        assert!(packet.drop_eligible());
        assert_eq!(packet.raw_id(), 10);
        assert_eq!(packet.ethertype(), EtherType::IPV6);
        assert_eq!(packet.payload(), [0x60, 0x00]);
    }

    #[test]
    fn construct() {
        let mut bytes = vec![0xa5; 6];
        let mut packet = Packet::new_unchecked(&mut bytes);
        packet.set_control(5, true, VlanId::new(10));
        packet.set_ethertype(EtherType::IPV6);
        packet.payload_mut().copy_from_slice(&[0x60, 0x00]);
        assert_eq!(packet.into_inner(), &TAG);
    }

    #[test]
    fn parse() {
        assert_eq!(Repr::parse(&Packet::new_unchecked(&TAG[..])), Ok(repr()));
    }

    #[test]
    fn emit() {
        let mut bytes = vec![0xa5; repr().buffer_len()];
        repr().emit(&mut Packet::new_unchecked(&mut bytes));
        assert_eq!(bytes, TAG[..4]);
    }

    #[test]
    fn odd_cases() {
        for len in 0..HEADER_LEN {
            assert_eq!(Repr::parse(&Packet::new_unchecked(&TAG[..len])), Err(Error::Truncated));
        }
        let priority_only = [0xe0, 0x00, 0x08, 0x00];
        let parsed = Repr::parse(&Packet::new_unchecked(&priority_only)).unwrap();
        assert_eq!((parsed.priority, parsed.vlan), (7, None));
        let reserved = [0x0f, 0xff, 0x08, 0x00];
        assert_eq!(Repr::parse(&Packet::new_unchecked(&reserved)), Err(Error::BadHeader));
    }
}
