//! Reading an inner packet: just what forwarding needs, each bound checked once.

use crate::flow;
use crate::verdict::DropReason;
use sterna_wire::{Family, checksum, ipv6_ext};

const TCP: u8 = 6;
const UDP: u8 = 17;
/// Bytes 12.. of a TCP header hold offset and flags.
const TCP_FLAGS: usize = 13;
const SYN: u8 = 0x02;

/// The fields of an inner IP packet that decide its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner {
    /// IPv4 or IPv6.
    pub family: Family,
    /// Whole packet, header included, bytes.
    pub len: u16,
    /// TOS or traffic class.
    pub tos: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Upper protocol as far as the headers were read.
    pub protocol: u8,
    /// IPv4 don't-fragment (always true for IPv6: routers do not fragment it).
    pub dont_fragment: bool,
    /// The packet is a fragment of a datagram.
    pub fragment: bool,
    /// TCP with the SYN flag: the MSS may be clamped.
    pub syn: bool,
    /// Source, as `addr_bytes`.
    pub source: [u8; 16],
    /// Destination, as `addr_bytes`.
    pub destination: [u8; 16],
    /// Flow hash (RFC 9300 section 5.1: entropy of the outer source port).
    pub flow: u32,
}

impl Inner {
    /// Multicast, or IPv4 limited broadcast.
    #[inline(always)]
    pub fn is_multicast(&self) -> bool {
        match self.family {
            Family::V4 => self.destination[0] >= 0xe0,
            Family::V6 => self.destination[0] == 0xff,
        }
    }
}

/// Reads the packet that starts at `packet[0]`; bytes behind its length (Ethernet padding) are ignored.
///
/// Errors: [`DropReason::Truncated`], [`DropReason::BadVersion`], [`DropReason::BadHeader`],
/// [`DropReason::BadChecksum`].
#[inline]
pub fn read(packet: &[u8]) -> Result<Inner, DropReason> {
    match packet.first().map(|b| b >> 4) {
        Some(4) => read_v4(packet),
        Some(6) => read_v6(packet),
        Some(_) => Err(DropReason::BadVersion),
        None => Err(DropReason::Truncated),
    }
}

#[inline]
fn read_v4(packet: &[u8]) -> Result<Inner, DropReason> {
    let h: &[u8; 20] = packet.first_chunk().ok_or(DropReason::Truncated)?;
    let header = usize::from(h[0] & 0x0f) * 4;
    let len = usize::from(u16::from_be_bytes([h[2], h[3]]));
    if header < 20 || len < header {
        return Err(DropReason::BadHeader);
    }
    let whole = packet.get(..len).ok_or(DropReason::Truncated)?;
    if !checksum::verify(&whole[..header]) {
        return Err(DropReason::BadChecksum);
    }
    let source = widen([h[12], h[13], h[14], h[15]]);
    let destination = widen([h[16], h[17], h[18], h[19]]);
    let flags = u16::from_be_bytes([h[6], h[7]]);
    let fragment = flags & 0x3fff != 0;
    let protocol = h[9];
    let upper = &whole[header..];
    let selector = if fragment {
        // All fragments of a datagram share one hash: no ports, but the identification.
        u64::from(u16::from_be_bytes([h[4], h[5]])) | 1 << 48
    } else {
        upper_selector(protocol, upper)
    };
    Ok(Inner {
        family: Family::V4,
        len: len as u16,
        tos: h[1],
        ttl: h[8],
        protocol,
        dont_fragment: flags & 0x4000 != 0,
        fragment,
        syn: !fragment && is_syn(protocol, upper),
        source,
        destination,
        flow: flow::hash(&source, &destination, selector),
    })
}

/// Reads what nearly every packet is: IPv4 without options, no fragment, and whole. `None` for all else, be it right
/// or wrong: [`read`] says what that is. Of what this reads, [`read`] says the same.
#[inline(always)]
pub fn read_plain(packet: &[u8]) -> Option<Inner> {
    let h: &[u8; 24] = packet.first_chunk()?;
    let len = u16::from_be_bytes([h[2], h[3]]);
    let flags = u16::from_be_bytes([h[6], h[7]]);
    let protocol = h[9];
    let shortest = if protocol == TCP { 20 + TCP_FLAGS + 1 } else { 24 };
    let plain = h[0] == 0x45 && flags & 0x3fff == 0 && (shortest..=packet.len()).contains(&usize::from(len));
    if !plain || !checksum::verify_plain_v4(h.first_chunk()?) {
        return None;
    }
    let source = widen([h[12], h[13], h[14], h[15]]);
    let destination = widen([h[16], h[17], h[18], h[19]]);
    let ports = match protocol {
        TCP | UDP => u32::from_be_bytes([h[20], h[21], h[22], h[23]]),
        _ => 0,
    };
    Some(Inner {
        family: Family::V4,
        len,
        tos: h[1],
        ttl: h[8],
        protocol,
        dont_fragment: flags & 0x4000 != 0,
        fragment: false,
        syn: protocol == TCP && packet.get(20 + TCP_FLAGS).is_some_and(|flags| flags & SYN != 0),
        source,
        destination,
        flow: flow::hash(&source, &destination, u64::from(ports) | u64::from(protocol) << 32),
    })
}

/// The same for IPv6 with TCP or UDP directly behind its header.
#[inline(always)]
pub fn read_plain_v6(packet: &[u8]) -> Option<Inner> {
    let h: &[u8; 44] = packet.first_chunk()?;
    let payload = usize::from(u16::from_be_bytes([h[4], h[5]]));
    let protocol = h[6];
    let shortest = match protocol {
        UDP => 4,
        TCP => TCP_FLAGS + 1,
        _ => return None,
    };
    if h[0] >> 4 != 6 || !(shortest..=packet.len() - 40).contains(&payload) {
        return None;
    }
    let (source, destination) = (*h[8..24].first_chunk()?, *h[24..40].first_chunk()?);
    let ports = u32::from_be_bytes([h[40], h[41], h[42], h[43]]);
    let label = u64::from(u32::from_be_bytes([h[0], h[1], h[2], h[3]]) & 0x000f_ffff);
    let selector = (u64::from(ports) | u64::from(protocol) << 32) ^ (label << 40);
    Some(Inner {
        family: Family::V6,
        len: u16::try_from(40 + payload).ok()?,
        tos: (h[0] << 4) | (h[1] >> 4),
        ttl: h[7],
        protocol,
        dont_fragment: true,
        fragment: false,
        syn: protocol == TCP && packet.get(40 + TCP_FLAGS).is_some_and(|flags| flags & SYN != 0),
        source,
        destination,
        flow: flow::hash(&source, &destination, selector),
    })
}

/// An IPv4 address as `addr_bytes`.
#[inline(always)]
pub(crate) fn widen(address: [u8; 4]) -> [u8; 16] {
    u128::from(u32::from_le_bytes(address)).to_le_bytes()
}

#[inline]
fn read_v6(packet: &[u8]) -> Result<Inner, DropReason> {
    let h: &[u8; 40] = packet.first_chunk().ok_or(DropReason::Truncated)?;
    let len = 40 + usize::from(u16::from_be_bytes([h[4], h[5]]));
    let whole = packet.get(..len).ok_or(DropReason::Truncated)?;
    // `len` fits: a frame is far shorter than 65,535 bytes and `whole` lies inside it.
    let short = u16::try_from(len).map_err(|_| DropReason::BadHeader)?;
    let mut source = [0; 16];
    let mut destination = [0; 16];
    source.copy_from_slice(&h[8..24]);
    destination.copy_from_slice(&h[24..40]);
    let upper = Upper::of(h[6], &whole[40..]);
    let label = u64::from(u32::from_be_bytes([h[0], h[1], h[2], h[3]]) & 0x000f_ffff);
    Ok(Inner {
        family: Family::V6,
        len: short,
        tos: (h[0] << 4) | (h[1] >> 4),
        ttl: h[7],
        protocol: upper.protocol,
        dont_fragment: true,
        fragment: upper.fragment,
        syn: upper.syn,
        source,
        destination,
        flow: flow::hash(&source, &destination, upper.selector ^ (label << 40)),
    })
}

/// What the headers behind the IPv6 header say.
struct Upper {
    protocol: u8,
    fragment: bool,
    syn: bool,
    selector: u64,
}

impl Upper {
    #[inline]
    fn of(next_header: u8, payload: &[u8]) -> Upper {
        match next_header {
            TCP | UDP => Upper::at(next_header, payload),
            0 | 43 | 44 | 60 => Upper::behind_extensions(next_header, payload),
            other => Upper { protocol: other, fragment: false, syn: false, selector: u64::from(other) },
        }
    }

    #[inline]
    fn at(protocol: u8, upper: &[u8]) -> Upper {
        Upper {
            protocol,
            fragment: false,
            syn: is_syn(protocol, upper),
            selector: upper_selector(protocol, upper),
        }
    }

    #[cold]
    fn behind_extensions(next_header: u8, payload: &[u8]) -> Upper {
        // A chain that cannot be walked still has addresses and a flow label; transit does not judge it.
        let Ok(end) = ipv6_ext::walk(sterna_wire::Protocol(next_header), payload) else {
            return Upper {
                protocol: next_header,
                fragment: false,
                syn: false,
                selector: u64::from(next_header),
            };
        };
        match end.fragment {
            Some(fragment) => Upper {
                protocol: end.proto.0,
                fragment: true,
                syn: false,
                selector: u64::from(fragment.id) | 1 << 48,
            },
            // MSS clamping leaves packets with extension headers alone.
            None => Upper { syn: false, ..Upper::at(end.proto.0, payload.get(end.offset..).unwrap_or(&[])) },
        }
    }
}

#[inline]
fn upper_selector(protocol: u8, upper: &[u8]) -> u64 {
    let ports = match (protocol, upper.first_chunk::<4>()) {
        (TCP | UDP, Some(ports)) => u32::from_be_bytes(*ports),
        _ => 0,
    };
    u64::from(ports) | u64::from(protocol) << 32
}

#[inline]
fn is_syn(protocol: u8, upper: &[u8]) -> bool {
    protocol == TCP && upper.get(TCP_FLAGS).is_some_and(|flags| flags & SYN != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    fn udp4(len: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let builder = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(1000, 2000);
        builder.write(&mut out, &vec![0; len]).unwrap();
        out
    }

    #[test]
    fn reads_what_another_encoder_wrote() {
        let packet = udp4(10);
        let inner = read(&packet).unwrap();
        assert_eq!((inner.family, inner.len, inner.ttl, inner.protocol), (Family::V4, 38, 64, UDP));
        assert_eq!(inner.source[..4], [10, 0, 0, 1]);
        let mut syn = Vec::new();
        let builder = PacketBuilder::ipv6([1; 16], [2; 16], 9).tcp(1, 2, 3, 4).syn();
        builder.write(&mut syn, &[]).unwrap();
        let inner = read(&syn).unwrap();
        assert_eq!((inner.family, inner.ttl, inner.protocol, inner.syn), (Family::V6, 9, TCP, true));
    }

    #[test]
    fn padding_behind_the_packet_is_ignored() {
        let mut packet = udp4(1);
        let want = read(&packet).unwrap();
        packet.extend([0xa5; 17]);
        assert_eq!(read(&packet).unwrap(), want);
    }

    #[test]
    fn each_fault_has_its_reason() {
        let good = udp4(10);
        assert_eq!(read(&[]), Err(DropReason::Truncated));
        assert_eq!(read(&good[..19]), Err(DropReason::Truncated));
        assert_eq!(read(&good[..30]), Err(DropReason::Truncated));
        assert_eq!(read(&[0x50; 40]), Err(DropReason::BadVersion));
        let mut bad = good.clone();
        bad[0] = 0x44;
        assert_eq!(read(&bad), Err(DropReason::BadHeader));
        bad[0] = 0x45;
        bad[8] = 3;
        assert_eq!(read(&bad), Err(DropReason::BadChecksum));
    }

    #[test]
    fn what_is_plain_is_read_alike_and_what_is_not_is_left_alone() {
        let mut syn = Vec::new();
        PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9)
            .tcp(1, 2, 3, 4)
            .syn()
            .write(&mut syn, &[])
            .unwrap();
        let mut echo = Vec::new();
        let builder = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9).icmpv4_echo_request(1, 2);
        builder.write(&mut echo, &[]).unwrap();
        for plain in [udp4(10), syn, echo, [udp4(1), vec![0xa5; 17]].concat()] {
            assert_eq!(read_plain(&plain), Some(read(&plain).unwrap()));
            for at in 0..plain.len() * 8 {
                let mut other = plain.clone();
                other[at / 8] ^= 1 << (at % 8);
                // One bit that the checksum does not notice is behind the header.
                assert!(read_plain(&other).is_none_or(|inner| read(&other) == Ok(inner) && at >= 160));
                // Two that it does not: the same bit of two words.
                other[10 + (at / 8) % 2] ^= 1 << (at % 8);
                assert!(read_plain(&other).is_none_or(|inner| read(&other) == Ok(inner)));
            }
            for len in 0..plain.len() {
                assert!(read_plain(&plain[..len]).is_none_or(|inner| read(&plain[..len]) == Ok(inner)));
            }
        }
    }

    #[test]
    fn what_is_plain_ipv6_is_read_alike_and_what_is_not_is_left_alone() {
        let (mut udp, mut syn) = (Vec::new(), Vec::new());
        PacketBuilder::ipv6([1; 16], [2; 16], 9).udp(1, 2).write(&mut udp, &[7; 9]).unwrap();
        PacketBuilder::ipv6([1; 16], [2; 16], 9).tcp(1, 2, 3, 4).syn().write(&mut syn, &[]).unwrap();
        for plain in [[&udp[..], &[0xa5; 5]].concat(), udp, syn] {
            assert_eq!(read_plain_v6(&plain), Some(read(&plain).unwrap()));
            for bit in 0..plain.len() * 8 {
                let mut other = plain.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(read_plain_v6(&other).is_none_or(|inner| read(&other) == Ok(inner)), "bit {bit}");
            }
            for len in 0..plain.len() {
                assert!(read_plain_v6(&plain[..len]).is_none_or(|inner| read(&plain[..len]) == Ok(inner)));
            }
        }
    }

    #[test]
    fn flows_differ_by_port_and_fragments_do_not() {
        let a = read(&udp4(10)).unwrap().flow;
        let mut other = Vec::new();
        let builder = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(1001, 2000);
        builder.write(&mut other, &[0; 10]).unwrap();
        assert_ne!(a, read(&other).unwrap().flow);
    }
}
