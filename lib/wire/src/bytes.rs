//! Big-endian fields inside byte slices.
//!
//! These panic when the buffer is shorter than the range: `Packet::new_checked` is what rules that out.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::ops::{Range, RangeFrom};

/// The bytes of one field.
pub(crate) type Field = Range<usize>;
/// Everything from here on.
pub(crate) type Rest = RangeFrom<usize>;

#[inline]
pub(crate) fn get_u16(bytes: &[u8], at: Field) -> u16 {
    let field = &bytes[at];
    u16::from_be_bytes([field[0], field[1]])
}

#[inline]
pub(crate) fn get_u24(bytes: &[u8], at: Field) -> u32 {
    let field = &bytes[at];
    u32::from_be_bytes([0, field[0], field[1], field[2]])
}

#[inline]
pub(crate) fn get_u32(bytes: &[u8], at: Field) -> u32 {
    let field = &bytes[at];
    u32::from_be_bytes([field[0], field[1], field[2], field[3]])
}

#[inline]
pub(crate) fn get_v4(bytes: &[u8], at: Field) -> Ipv4Addr {
    Ipv4Addr::from_bits(get_u32(bytes, at))
}

#[inline]
pub(crate) fn get_v6(bytes: &[u8], at: Field) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[at]);
    Ipv6Addr::from_octets(octets)
}

#[inline]
pub(crate) fn set_u16(bytes: &mut [u8], at: Field, value: u16) {
    bytes[at].copy_from_slice(&value.to_be_bytes());
}

/// Writes the low 24 bits.
#[inline]
pub(crate) fn set_u24(bytes: &mut [u8], at: Field, value: u32) {
    bytes[at].copy_from_slice(&value.to_be_bytes()[1..]);
}

#[inline]
pub(crate) fn set_u32(bytes: &mut [u8], at: Field, value: u32) {
    bytes[at].copy_from_slice(&value.to_be_bytes());
}
