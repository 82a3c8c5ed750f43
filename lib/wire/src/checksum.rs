//! The Internet checksum: whole (RFC 1071) and by difference (RFC 1624).
//!
//! A *partial* is a `u32` of 16-bit words added up, carries not yet folded in.
//! Partials of parts that begin on an even offset may be added; a few of them never overflow.
//! [`fold`] turns a partial into the value of a checksum field.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The partial of these bytes, at most 0xFFFF; an odd last byte is padded with zero.
#[inline]
pub fn sum(bytes: &[u8]) -> u32 {
    // The ones'-complement sum does not care for byte order, nor for the width it is gathered in,
    // as long as the carries are folded back in the end. Four bytes a time into 64 bits vectorises
    // and cannot overflow below 16 GiB.
    let mut words = bytes.chunks_exact(4);
    let mut wide: u64 = 0;
    for word in &mut words {
        wide += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
    }
    let mut last = [0; 4];
    let rest = words.remainder();
    last[..rest.len()].copy_from_slice(rest);
    wide += u64::from(u32::from_ne_bytes(last));
    // Each step leaves at most one bit more than it halves to, so none of them needs to be a loop.
    wide = (wide & 0xffff_ffff) + (wide >> 32);
    wide = (wide & 0xffff_ffff) + (wide >> 32);
    wide = (wide & 0xffff) + (wide >> 16);
    wide = (wide & 0xffff) + (wide >> 16);
    wide = (wide & 0xffff) + (wide >> 16);
    u32::from(u16::from_be(wide as u16))
}

/// The checksum field for a partial: carries folded in, then complemented.
#[inline]
pub const fn fold(partial: u32) -> u16 {
    let once = (partial & 0xffff) + (partial >> 16);
    let twice = (once & 0xffff) + (once >> 16);
    !(twice as u16)
}

/// Whether bytes that contain their own checksum add up.
#[inline]
pub fn verify(bytes: &[u8]) -> bool {
    fold(sum(bytes)) == 0
}

/// [`verify`] for an IPv4 header without options, in a third of the instructions: wide words, carries kept apart.
#[inline(always)]
pub fn verify_plain_v4(header: &[u8; 20]) -> bool {
    let (wide, rest) = header.as_chunks::<8>();
    let [first, second] = [0, 1].map(|at| u64::from_ne_bytes(wide[at]));
    let last = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]);
    let (both, carry) = first.overflowing_add(second);
    // At most 33 bits each.
    let halves = (both & 0xffff_ffff) + (both >> 32) + u64::from(carry) + u64::from(last);
    let words = (halves & 0xffff) + (halves >> 16 & 0xffff) + (halves >> 32);
    // At most 18 bits: one more fold, and one for its carry. Nothing that begins with 0x45 sums up to zero.
    let folded = (words & 0xffff) + (words >> 16);
    (folded & 0xffff) + (folded >> 16) == 0xffff
}

/// Whether bytes that contain their own checksum add up together with a pseudo-header.
#[inline]
pub fn verify_with(pseudo: u32, bytes: &[u8]) -> bool {
    fold(pseudo + sum(bytes)) == 0
}

/// The partial of the IPv4 pseudo-header; `len` is the transport length in bytes (RFC 768, RFC 9293).
#[inline]
pub fn pseudo_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, len: u16) -> u32 {
    sum(&source.octets()) + sum(&destination.octets()) + u32::from(protocol) + u32::from(len)
}

/// The partial of the IPv6 pseudo-header; `len` is the transport length in bytes (RFC 8200 section 8.1).
#[inline]
pub fn pseudo_v6(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, len: u32) -> u32 {
    sum(&source.octets()) + sum(&destination.octets()) + u32::from(next_header) + (len >> 16) + (len & 0xffff)
}

/// The partial of either pseudo-header, or nothing when the families differ
/// or the length does not fit the family.
#[inline]
pub fn pseudo(source: IpAddr, destination: IpAddr, protocol: u8, len: usize) -> Option<u32> {
    match (source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => Some(pseudo_v4(from, to, protocol, u16::try_from(len).ok()?)),
        (IpAddr::V6(from), IpAddr::V6(to)) => Some(pseudo_v6(from, to, protocol, u32::try_from(len).ok()?)),
        _ => None,
    }
}

/// The checksum after one 16-bit word changed (RFC 1624 equation 3).
/// The word lies on an even offset; for an odd one, swap the bytes of both values.
#[inline]
pub const fn update16(checksum: u16, old: u16, new: u16) -> u16 {
    fold(!checksum as u32 + !old as u32 + new as u32)
}

/// The checksum after one 32-bit word on an even offset changed (RFC 1624 equation 3).
#[inline]
pub const fn update32(checksum: u16, old: u32, new: u32) -> u16 {
    let high = update16(checksum, (old >> 16) as u16, (new >> 16) as u16);
    update16(high, old as u16, new as u16)
}

#[cfg(test)]
mod test {
    use super::*;

    /// The example of RFC 1071 section 3.
    const RFC1071: [u8; 8] = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];

    /// The definition, word by word.
    fn slow(bytes: &[u8]) -> u32 {
        let mut total = 0u64;
        for word in bytes.chunks(2) {
            total += u64::from(word[0]) << 8 | u64::from(*word.get(1).unwrap_or(&0));
        }
        while total > 0xffff {
            total = (total & 0xffff) + (total >> 16);
        }
        total as u32
    }

    #[test]
    fn the_short_way_agrees_with_the_definition() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut right = 0;
        for round in 0..if cfg!(miri) { 50 } else { 20_000 } {
            let mut header = [0xff; 20];
            for byte in &mut header[1..] {
                state = state.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
                // Bytes at either end make carries, and carries of carries.
                *byte = if round % 3 == 0 { 0xff * ((state >> 60) as u8 & 1) } else { (state >> 56) as u8 };
            }
            header[0] = 0x45;
            if round % 2 == 0 {
                header[10..12].fill(0);
                let field = fold(sum(&header));
                header[10..12].copy_from_slice(&field.to_be_bytes());
            }
            assert_eq!(verify_plain_v4(&header), verify(&header), "{header:?}");
            right += u32::from(verify(&header));
        }
        assert!(right >= if cfg!(miri) { 25 } else { 10_000 });
    }

    #[test]
    fn the_rfc_example() {
        assert_eq!(sum(&RFC1071), 0xddf2);
        assert_eq!(fold(sum(&RFC1071)), !0xddf2);
    }

    #[test]
    fn every_length_agrees_with_the_definition() {
        let mut bytes = [0u8; 257];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = (index * 167 + 13) as u8;
        }
        for len in 0..bytes.len() {
            assert_eq!(sum(&bytes[..len]), slow(&bytes[..len]), "{len}");
        }
    }

    #[test]
    fn many_carries() {
        assert_eq!(sum(&[0xff; 65535]), slow(&[0xff; 65535]));
        assert_eq!(fold(0xffff_ffff), 0);
        assert_eq!(fold(0), 0xffff);
        assert!(!verify(&[0; 20]), "an all-zero header never adds up");
    }

    #[test]
    fn differences_agree_with_the_whole() {
        let mut bytes = [0x45, 0, 0, 0x54, 0xa6, 0xf2, 0x40, 0, 0x40, 1, 0, 0, 10, 1, 2, 3, 10, 4, 5, 6];
        let mut checksum = fold(sum(&bytes));
        for (at, new) in [(8, 0x3f01u16), (12, 0xffff), (12, 0), (16, 0x8000), (0, 0x45ff)] {
            let old = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
            checksum = update16(checksum, old, new);
            assert_eq!(checksum, fold(sum(&bytes)), "word at {at}");
        }
        let old = u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
        bytes[12..16].copy_from_slice(&[192, 0, 2, 1]);
        assert_eq!(update32(checksum, old, 0xc000_0201), fold(sum(&bytes)));
    }

    #[test]
    fn the_case_that_broke_rfc_1141() {
        // RFC 1624 section 4: 0xdd2f with 0x5555 changed to 0x3285 gives 0x0000, not 0xffff.
        assert_eq!(update16(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn pseudo_headers() {
        let (a, b) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(192, 0, 2, 255));
        let bytes = [10, 0, 0, 1, 192, 0, 2, 255, 0, 17, 0x12, 0x34];
        assert_eq!(fold(pseudo_v4(a, b, 17, 0x1234)), fold(sum(&bytes)));
        assert_eq!(pseudo(a.into(), b.into(), 17, 0x1234), Some(pseudo_v4(a, b, 17, 0x1234)));
        assert_eq!(pseudo(a.into(), b.into(), 17, 0x1_0000), None);
        let (c, d) = (Ipv6Addr::LOCALHOST, "fd00::2".parse::<Ipv6Addr>().unwrap());
        let mut bytes = [0; 40];
        bytes[..16].copy_from_slice(&c.octets());
        bytes[16..32].copy_from_slice(&d.octets());
        bytes[32..36].copy_from_slice(&0x0001_2345u32.to_be_bytes());
        bytes[39] = 58;
        assert_eq!(fold(pseudo_v6(c, d, 58, 0x0001_2345)), fold(sum(&bytes)));
        assert_eq!(pseudo(a.into(), c.into(), 17, 8), None);
    }
}
