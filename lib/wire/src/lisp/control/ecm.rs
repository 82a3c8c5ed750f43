//! The encapsulated control message: a control message in an IP packet of its own, addressed by EIDs,
//! that a Map-Resolver or Map-Server passes on (RFC 9301 section 5.8).

use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{ControlError, MapRequest, Reader, kind};
use crate::addr::{Dscp, Ecn};
use crate::protocol::Protocol;
use crate::{ipv4, ipv6, udp};

const HEADER_LEN: usize = 4;
const SECURITY: u32 = 0x0800_0000;
const DDT: u32 = 0x0400_0000;
/// The kind of authentication data whose length we know: LISP-SEC (RFC 9303).
const LISP_SEC: u8 = 1;
/// Routers on the way of an inner packet: as many as it takes.
const HOP_LIMIT: u8 = 64;

/// An encapsulated control message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ecm<'a> {
    /// LISP-SEC authentication data stood in front of the packet (S bit); it is skipped, not judged.
    pub security: bool,
    /// It was sent by a DDT resolver (D bit).
    pub ddt: bool,
    /// Address and UDP port that the inner packet comes from.
    pub source: SocketAddr,
    /// Address and UDP port that the inner packet goes to.
    pub destination: SocketAddr,
    /// The control message inside: a Map-Request, Map-Register or Map-Notify, by its type.
    pub message: &'a [u8],
    /// The whole inner IP packet, to be passed on byte for byte.
    pub packet: &'a [u8],
}

impl<'a> Ecm<'a> {
    /// Judges a message of type 8 (other types are `UnknownType`), and the packet in it down to its UDP checksum.
    /// Bytes behind the inner packet are ignored. `EcmSecurity`, `EcmInner`, `EcmFragment`, `EcmNotUdp`, `EcmUdp`,
    /// and `EcmInnerType` for a message that must not be encapsulated.
    pub fn parse(bytes: &'a [u8]) -> Result<Ecm<'a>, ControlError> {
        let mut reader = Reader::new(bytes);
        let word = reader.word(&[kind::ECM])?;
        let security = word & SECURITY != 0;
        if security {
            skip_security(&mut reader)?;
        }
        let inner = Inner::parse(reader.rest())?;
        let ports = udp::Packet::new_checked(inner.datagram).map_err(|_| ControlError::EcmUdp)?;
        if !ports.verify_checksum(inner.source, inner.destination) {
            return Err(ControlError::EcmUdp);
        }
        let message = ports.payload();
        match message.first().ok_or(ControlError::Truncated)? >> 4 {
            kind::MAP_REQUEST | kind::MAP_REGISTER | kind::MAP_NOTIFY => {}
            _ => return Err(ControlError::EcmInnerType),
        }
        Ok(Ecm {
            security,
            ddt: word & DDT != 0,
            source: SocketAddr::new(inner.source, ports.source_port()),
            destination: SocketAddr::new(inner.destination, ports.destination_port()),
            message,
            packet: inner.packet,
        })
    }

    /// The Map-Request inside. What [`MapRequest::parse`] refuses, and `EcmProbe` for a probe or an SMR.
    pub fn map_request(&self) -> Result<MapRequest, ControlError> {
        let request = MapRequest::parse(self.message)?;
        if request.probe || request.smr {
            return Err(ControlError::EcmProbe);
        }
        Ok(request)
    }
}

/// A control message in an IP packet of its own, behind an ECM header: to a Map-Resolver.
/// When the families of the addresses differ, the source is written as the unspecified address
/// of the destination's family; its port still says where the answer goes.
/// A message above 65507 bytes cannot be expressed.
pub fn encapsulate(inner_source: SocketAddr, inner_destination: SocketAddr, message: &[u8]) -> Vec<u8> {
    let destination = inner_destination.ip();
    let payload_len = u16::try_from(message.len()).unwrap_or(u16::MAX);
    let datagram = udp::Repr {
        source_port: inner_source.port(),
        destination_port: inner_destination.port(),
        payload_len,
    };
    let datagram_len = payload_len.saturating_add(datagram.buffer_len() as u16);
    let (source, header_len) = match destination {
        IpAddr::V4(_) => (same_family(inner_source.ip(), Ipv4Addr::UNSPECIFIED.into()), ipv4::HEADER_LEN),
        IpAddr::V6(_) => (same_family(inner_source.ip(), Ipv6Addr::UNSPECIFIED.into()), ipv6::HEADER_LEN),
    };
    let udp_at = HEADER_LEN + header_len;
    let mut out = vec![0; udp_at + datagram.buffer_len()];
    out[0] = kind::ECM << 4;
    emit_ip(source, destination, datagram_len, &mut out[HEADER_LEN..udp_at]);
    out.extend(message);
    let mut packet = udp::Packet::new_unchecked(&mut out[udp_at..]);
    datagram.emit(&mut packet);
    packet.fill_checksum(source, destination);
    out
}

/// An inner packet, byte for byte, behind a new ECM header; `ddt` is the D bit.
pub fn encapsulate_packet(packet: &[u8], ddt: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_LEN + packet.len());
    let word = u32::from(kind::ECM) << 28 | if ddt { DDT } else { 0 };
    out.extend(word.to_be_bytes());
    out.extend(packet);
    out
}

/// The address, unless its family is not that of the other.
fn same_family(address: IpAddr, other: IpAddr) -> IpAddr {
    if address.is_ipv4() == other.is_ipv4() { address } else { other }
}

fn emit_ip(source: IpAddr, destination: IpAddr, payload_len: u16, out: &mut [u8]) {
    let (dscp, ecn) = (Dscp::DEFAULT, Ecn::NOT_ECT);
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => ipv4::Repr {
            source,
            destination,
            protocol: Protocol::UDP,
            payload_len,
            ttl: HOP_LIMIT,
            dscp,
            ecn,
            ident: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
        }
        .emit(&mut ipv4::Packet::new_unchecked(out)),
        (IpAddr::V6(source), IpAddr::V6(destination)) => ipv6::Repr {
            source,
            destination,
            next_header: Protocol::UDP,
            payload_len,
            hop_limit: HOP_LIMIT,
            dscp,
            ecn,
            flow_label: 0,
        }
        .emit(&mut ipv6::Packet::new_unchecked(out)),
        // `same_family` has made them equal.
        _ => {}
    }
}

/// The IP packet in an ECM, by its layers.
struct Inner<'a> {
    source: IpAddr,
    destination: IpAddr,
    datagram: &'a [u8],
    packet: &'a [u8],
}

impl<'a> Inner<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Inner<'a>, ControlError> {
        match bytes.first().map(|first| first >> 4) {
            Some(4) => Self::parse_v4(bytes),
            Some(6) => Self::parse_v6(bytes),
            _ => Err(ControlError::EcmInner),
        }
    }

    fn parse_v4(bytes: &'a [u8]) -> Result<Inner<'a>, ControlError> {
        let packet = ipv4::Packet::new_checked(bytes).map_err(|_| ControlError::EcmInner)?;
        if !packet.verify_checksum() {
            return Err(ControlError::EcmInner);
        }
        if packet.is_fragment() {
            return Err(ControlError::EcmFragment);
        }
        if packet.protocol() != Protocol::UDP {
            return Err(ControlError::EcmNotUdp);
        }
        Ok(Inner {
            source: packet.source().into(),
            destination: packet.destination().into(),
            datagram: packet.payload(),
            packet: &bytes[..packet.total_len().into()],
        })
    }

    fn parse_v6(bytes: &'a [u8]) -> Result<Inner<'a>, ControlError> {
        let packet = ipv6::Packet::new_checked(bytes).map_err(|_| ControlError::EcmInner)?;
        match packet.next_header() {
            Protocol::UDP => {}
            Protocol::FRAGMENT => return Err(ControlError::EcmFragment),
            _ => return Err(ControlError::EcmNotUdp),
        }
        Ok(Inner {
            source: packet.source().into(),
            destination: packet.destination().into(),
            datagram: packet.payload(),
            packet: &bytes[..packet.total_len()],
        })
    }
}

/// Skips the authentication data of LISP-SEC: a key of the length told, then data whose length includes
/// its own length field (RFC 9303 section 6.1).
fn skip_security(reader: &mut Reader<'_>) -> Result<(), ControlError> {
    let skip = |reader: &mut Reader<'_>| {
        let [kind, _, _, _] = reader.array()?;
        let key_len = usize::from(reader.u16()?);
        let [_key_id, _wrapping] = reader.array()?;
        reader.take(key_len)?;
        let data_len = usize::from(reader.u16()?);
        let rest = data_len.checked_sub(2).ok_or(ControlError::EcmSecurity)?;
        reader.take(rest)?;
        if kind == LISP_SEC { Ok(()) } else { Err(ControlError::EcmSecurity) }
    };
    skip(reader).map_err(|_| ControlError::EcmSecurity)
}

#[cfg(test)]
mod test;
