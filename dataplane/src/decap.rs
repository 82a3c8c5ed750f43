//! Decapsulation: reading the outer headers, and what they change in the inner packet
//! (RFC 9300 sections 5.1 and 5.3, RFC 6040 section 4.2).

use crate::encap::{ETHERNET, FLAG_N, LISP_DATA, RELAY_NONCE};
use crate::inner::widen;
use crate::verdict::DropReason;
use sterna_wire::{Family, checksum};

const UDP: u8 = 17;
const UDP_HEADER: usize = 8;
const LISP_HEADER: usize = 8;
const FLAG_I: u8 = 0x08;
const FLAG_P: u8 = 0x04;
const FLAG_E: u8 = 0x20;
const FLAG_V: u8 = 0x10;
const KEY_BITS: u8 = 0x03;
/// Instance-ID that marks a control message inside a data packet.
const CONTROL_IID: u32 = 0x00ff_ffff;

/// The outer headers as far as decapsulation needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// Outer family.
    pub family: Family,
    /// Outer TOS or traffic class.
    pub tos: u8,
    /// Outer TTL or hop limit.
    pub ttl: u8,
    /// Outer source, as `addr_bytes`.
    pub source: [u8; 16],
    /// Outer destination, as `addr_bytes`.
    pub destination: [u8; 16],
    /// Instance-ID; 0 when the I bit is clear.
    pub iid: u32,
    /// How often the packet has been relayed after a move, as its nonce says.
    pub relays: u8,
    /// Where the inner packet starts in the frame.
    pub inner_at: usize,
    /// Where the UDP payload ends in the frame.
    pub inner_end: usize,
}

/// Reads Ethernet, outer IP, UDP and LISP headers of an untagged frame.
#[inline]
pub fn read(frame: &[u8]) -> Result<Outer, DropReason> {
    let ethernet: &[u8; ETHERNET] = frame.first_chunk().ok_or(DropReason::Truncated)?;
    match [ethernet[12], ethernet[13]] {
        [0x08, 0x00] => read_v4(frame),
        [0x86, 0xdd] => read_v6(frame),
        _ => Err(DropReason::NotIp),
    }
}

/// Bytes in front of an inner packet that [`read_plain`] reads.
const PLAIN: usize = ETHERNET + 20 + UDP_HEADER + LISP_HEADER;

/// Reads what nearly every packet out of a tunnel is: IPv4 without options, no fragment, no UDP checksum, and of the
/// LISP flags the instance-ID's alone. `None` for all else, be it right or wrong: [`read`] says what that is. Of what
/// this reads, [`read`] says the same.
#[inline(always)]
pub fn read_plain(frame: &[u8]) -> Option<Outer> {
    let h: &[u8; PLAIN] = frame.first_chunk()?;
    let (ethernet, rest) = h.split_first_chunk::<ETHERNET>()?;
    let (ip, rest) = rest.split_first_chunk::<20>()?;
    let (udp, lisp) = rest.split_first_chunk::<UDP_HEADER>()?;
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let udp_len = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
    let iid = u32::from_be_bytes([0, lisp[4], lisp[5], lisp[6]]);
    let headers = u16::from_be_bytes([ethernet[12], ethernet[13]]) == 0x0800
        && ip[0] == 0x45
        && u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff == 0
        && ip[9] == UDP
        && u16::from_be_bytes([udp[2], udp[3]]) == LISP_DATA
        && u16::from_be_bytes([udp[6], udp[7]]) == 0
        && lisp[0] == FLAG_I
        && iid != CONTROL_IID;
    let lengths = ETHERNET + total <= frame.len()
        && (UDP_HEADER + LISP_HEADER..=total.wrapping_sub(20)).contains(&udp_len)
        && total >= 20;
    if !headers || !lengths || !checksum::verify_plain_v4(ip) {
        return None;
    }
    Some(Outer {
        family: Family::V4,
        tos: ip[1],
        ttl: ip[8],
        source: widen([ip[12], ip[13], ip[14], ip[15]]),
        destination: widen([ip[16], ip[17], ip[18], ip[19]]),
        iid,
        relays: 0,
        inner_at: PLAIN,
        inner_end: ETHERNET + 20 + udp_len,
    })
}

#[inline]
fn read_v4(frame: &[u8]) -> Result<Outer, DropReason> {
    let ip = &frame[ETHERNET..];
    let h: &[u8; 20] = ip.first_chunk().ok_or(DropReason::Truncated)?;
    if h[0] >> 4 != 4 {
        return Err(DropReason::BadVersion);
    }
    let header = usize::from(h[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([h[2], h[3]]));
    if header < 20 || total < header || total > ip.len() {
        return Err(DropReason::OuterBadLength);
    }
    if !checksum::verify(&ip[..header]) {
        return Err(DropReason::OuterBadChecksum);
    }
    let fragment = u16::from_be_bytes([h[6], h[7]]) & 0x3fff != 0;
    if fragment || h[9] != UDP {
        return Err(DropReason::OuterNotLisp);
    }
    let outer = Outer {
        family: Family::V4,
        tos: h[1],
        ttl: h[8],
        source: widen([h[12], h[13], h[14], h[15]]),
        destination: widen([h[16], h[17], h[18], h[19]]),
        iid: 0,
        relays: 0,
        inner_at: ETHERNET + header,
        inner_end: ETHERNET + total,
    };
    read_udp(frame, outer)
}

#[inline]
fn read_v6(frame: &[u8]) -> Result<Outer, DropReason> {
    let ip = &frame[ETHERNET..];
    let h: &[u8; 40] = ip.first_chunk().ok_or(DropReason::Truncated)?;
    if h[0] >> 4 != 6 {
        return Err(DropReason::BadVersion);
    }
    let total = 40 + usize::from(u16::from_be_bytes([h[4], h[5]]));
    if total > ip.len() {
        return Err(DropReason::OuterBadLength);
    }
    let udp_at = match h[6] {
        UDP => 40,
        next => udp_behind_extensions(next, &ip[40..total])?,
    };
    let mut source = [0; 16];
    let mut destination = [0; 16];
    source.copy_from_slice(&h[8..24]);
    destination.copy_from_slice(&h[24..40]);
    let outer = Outer {
        family: Family::V6,
        tos: (h[0] << 4) | (h[1] >> 4),
        ttl: h[7],
        source,
        destination,
        iid: 0,
        relays: 0,
        inner_at: ETHERNET + udp_at,
        inner_end: ETHERNET + total,
    };
    read_udp(frame, outer)
}

#[cold]
fn udp_behind_extensions(next: u8, payload: &[u8]) -> Result<usize, DropReason> {
    match sterna_wire::ipv6_ext::walk(sterna_wire::Protocol(next), payload) {
        Ok(upper) if upper.proto.0 == UDP && upper.fragment.is_none() => Ok(40 + upper.offset),
        _ => Err(DropReason::OuterNotLisp),
    }
}

/// UDP and LISP; on entry `inner_at` points at the UDP header and `inner_end` at the end of the IP packet.
#[inline]
fn read_udp(frame: &[u8], mut outer: Outer) -> Result<Outer, DropReason> {
    let udp = frame.get(outer.inner_at..outer.inner_end).ok_or(DropReason::OuterBadLength)?;
    let h: &[u8; UDP_HEADER + LISP_HEADER] = udp.first_chunk().ok_or(DropReason::OuterBadLength)?;
    if u16::from_be_bytes([h[2], h[3]]) != LISP_DATA {
        return Err(DropReason::OuterNotLisp);
    }
    let udp_len = usize::from(u16::from_be_bytes([h[4], h[5]]));
    if udp_len < UDP_HEADER + LISP_HEADER || udp_len > udp.len() {
        return Err(DropReason::OuterBadLength);
    }
    // Zero means "not computed": allowed on IPv4 and, for tunnels, on IPv6 (RFC 6935, RFC 6936).
    if (h[6] != 0 || h[7] != 0) && !udp_checksum_holds(&outer, &udp[..udp_len]) {
        return Err(DropReason::OuterBadChecksum);
    }
    outer.inner_end = outer.inner_at + udp_len;
    outer.inner_at += UDP_HEADER + LISP_HEADER;
    outer.iid = read_lisp(&h[UDP_HEADER..])?;
    outer.relays = read_relays(&h[UDP_HEADER..]);
    Ok(outer)
}

/// The instance-ID, if the flags allow delivery. N with V, versions and status bits are read by nobody yet, of nonces
/// only those of relayed packets, and reserved bits are ignored on receipt.
#[inline]
fn read_lisp(h: &[u8]) -> Result<u32, DropReason> {
    let flags = h[0];
    if flags & KEY_BITS != 0 {
        return Err(DropReason::LispCrypto);
    }
    // RFC 9305: with P set, byte 3 names the payload; VPP always sends it so.
    if flags & FLAG_P != 0 && !matches!(h[3], 1 | 2) {
        return Err(DropReason::LispNextProtocol);
    }
    if flags & FLAG_I == 0 {
        return Ok(0);
    }
    match u32::from_be_bytes([0, h[4], h[5], h[6]]) {
        CONTROL_IID => Err(DropReason::ControlInData),
        iid => Ok(iid),
    }
}

/// How often the packet was relayed, if its nonce says so: N without E, V and P.
#[inline]
fn read_relays(h: &[u8]) -> u8 {
    if h[0] & (FLAG_N | FLAG_E | FLAG_V | FLAG_P) == FLAG_N && h[1..3] == RELAY_NONCE { h[3] } else { 0 }
}

#[cold]
fn udp_checksum_holds(outer: &Outer, udp: &[u8]) -> bool {
    let width = match outer.family {
        Family::V4 => 4,
        Family::V6 => 16,
    };
    let pseudo = checksum::sum(&outer.source[..width])
        + checksum::sum(&outer.destination[..width])
        + u32::from(UDP)
        + udp.len() as u32;
    checksum::verify_with(pseudo, udp)
}

/// What decapsulation does to the inner ECN field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EcnResult {
    /// The field to send on.
    pub ecn: u8,
    /// The pair should not occur (RFC 6040 section 4.2).
    pub suspicious: bool,
}

/// RFC 6040 figure 4; `None` means drop. Values: 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE.
#[inline]
pub fn combine_ecn(inner: u8, outer: u8) -> Option<EcnResult> {
    let (ecn, suspicious) = match (inner & 3, outer & 3) {
        (0, 3) => return None,
        (0, 1) => (0, true),
        (0, _) => (0, false),
        (3, 1) => (3, true),
        (3, _) | (_, 3) => (3, false),
        (1, 0 | 2) => (1, true),
        (_, 1) => (1, false),
        (inner, _) => (inner, false),
    };
    Some(EcnResult { ecn, suspicious })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ecn_follows_the_table_of_rfc_6040() {
        // Rows: inner Not-ECT, ECT(0), ECT(1), CE; columns: outer Not-ECT, ECT(0), ECT(1), CE.
        // (value, suspicious); 9 means drop.
        let order = [0u8, 2, 1, 3];
        let table = [
            [(0, false), (0, false), (0, true), (9, false)],
            [(2, false), (2, false), (1, false), (3, false)],
            [(1, true), (1, true), (1, false), (3, false)],
            [(3, false), (3, false), (3, true), (3, false)],
        ];
        for (inner, row) in order.iter().zip(table) {
            for (outer, want) in order.iter().zip(row) {
                let got = combine_ecn(*inner, *outer).map_or((9, false), |r| (r.ecn, r.suspicious));
                assert_eq!(got, want, "inner {inner} outer {outer}");
            }
        }
    }

    #[test]
    fn what_is_plain_is_read_alike_and_what_is_not_is_left_alone() {
        let mut plain = Vec::new();
        let outer = etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4([198, 51, 100, 1], [192, 0, 2, 1], 62)
            .udp(50_000, LISP_DATA);
        outer.write(&mut plain, &[&[FLAG_I, 0, 0, 0, 0, 1, 2, 0][..], &[0x5a; 30]].concat()).unwrap();
        plain[ETHERNET + 26..ETHERNET + 28].fill(0);
        let padded = [&plain[..], &[0xa5; 17]].concat();
        let sum_at = ETHERNET + 10;
        for plain in [plain, padded] {
            assert_eq!(read_plain(&plain), Some(read(&plain).unwrap()));
            for bit in 0..(PLAIN + 2) * 8 {
                for mended in [false, true] {
                    let mut other = plain.clone();
                    other[bit / 8] ^= 1 << (bit % 8);
                    if mended {
                        other[sum_at..sum_at + 2].fill(0);
                        let sum = checksum::fold(checksum::sum(&other[ETHERNET..ETHERNET + 20]));
                        other[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
                    }
                    assert!(read_plain(&other).is_none_or(|outer| read(&other) == Ok(outer)), "bit {bit}");
                }
            }
            for len in 0..plain.len() {
                assert!(
                    read_plain(&plain[..len]).is_none_or(|outer| read(&plain[..len]) == Ok(outer)),
                    "{len}"
                );
            }
        }
    }

    #[test]
    fn lisp_flags_decide_as_the_reference_says() {
        assert_eq!(read_lisp(&[0x08, 0, 0, 0, 0, 0, 100, 0]), Ok(100));
        assert_eq!(read_lisp(&[0x00, 0, 0, 0, 0, 0, 100, 0]), Ok(0));
        // N and V together, a reserved nonce and status bits: delivered.
        assert_eq!(read_lisp(&[0x98, 1, 2, 3, 0, 0, 7, 0xff]), Ok(7));
        assert_eq!(read_lisp(&[0x09, 0, 0, 0, 0, 0, 7, 0]), Err(DropReason::LispCrypto));
        assert_eq!(read_lisp(&[0x0c, 0, 0, 1, 0, 0, 7, 0]), Ok(7));
        assert_eq!(read_lisp(&[0x0c, 0, 0, 3, 0, 0, 7, 0]), Err(DropReason::LispNextProtocol));
        assert_eq!(read_lisp(&[0x08, 0, 0, 0, 0xff, 0xff, 0xff, 0]), Err(DropReason::ControlInData));
    }

    #[test]
    fn a_relayed_packet_is_known_by_its_nonce() {
        let relays = |flags, a, b| read_relays(&[flags, a, b, 2, 0, 0, 100, 0]);
        assert_eq!(relays(0x88, 0x53, 0x54), 2);
        assert_eq!(relays(0x80, 0x53, 0x54), 2, "without an instance-ID");
        assert_eq!(relays(0x08, 0x53, 0x54), 0, "no nonce at all");
        assert_eq!(relays(0xa8, 0x53, 0x54), 0, "one to be echoed");
        assert_eq!(relays(0x98, 0x53, 0x54), 0, "versions");
        assert_eq!(relays(0x88, 0x53, 0x55), 0);
        assert_eq!(relays(0x88, 0x52, 0x54), 0);
    }
}
