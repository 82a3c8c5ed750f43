//! A frame with everything that does not change from packet to packet.

use std::net::IpAddr;

use sterna_wire::ethernet::{self, EtherType};
use sterna_wire::lisp::data;
use sterna_wire::{Dscp, Ecn, Family, Iid, Mac, Protocol, VlanId, addr_bytes, checksum, ipv4, ipv6, udp};

use super::{FCS_LEN, ip_header_len};
use crate::profile::Tunnel;

/// UDP port of LISP data.
pub const LISP_DATA_PORT: u16 = 4341;
/// Where entropy source ports begin, and how many there are.
const ENTROPY: u16 = 0xc000;
const TTL: u8 = 64;

/// What a template is made from.
#[derive(Clone, Copy, Debug)]
pub struct TemplateSpec {
    /// Ethernet source address.
    pub source_mac: Mac,
    /// Ethernet destination address.
    pub destination_mac: Mac,
    /// Size in bytes, FCS included, without tag and tunnel.
    pub size: u16,
    /// Family of the addresses.
    pub family: Family,
    /// UDP destination port.
    pub port: u16,
    /// The tag.
    pub vlan: Option<VlanId>,
    /// The tunnel.
    pub tunnel: Option<Tunnel>,
    /// The instance-ID in the tunnel; `None`: the header says none.
    pub iid: Option<Iid>,
}

/// Where the headers begin, in bytes from the start of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Family of the addresses.
    pub family: Family,
    /// The IP header, the inner one in a tunnel.
    pub ip: usize,
    /// Its UDP header.
    pub udp: usize,
    /// The UDP payload.
    pub payload: usize,
    /// The tunnel's headers.
    pub outer: Option<Outer>,
}

/// Where a tunnel's headers begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// The outer IP header.
    pub ip: usize,
    /// The outer UDP header.
    pub udp: usize,
}

/// A frame with everything that does not change from packet to packet.
#[derive(Clone, Debug)]
pub struct Template {
    /// The frame; addresses and source port are zero.
    pub bytes: Vec<u8>,
    /// Where its headers are.
    pub layout: Layout,
}

impl Template {
    /// Builds a frame. A size without room for the headers gets an empty payload.
    pub fn new(spec: &TemplateSpec) -> Self {
        let mut bytes = [spec.destination_mac.octets(), spec.source_mac.octets()].concat();
        if let Some(id) = spec.vlan {
            bytes.extend(EtherType::VLAN.0.to_be_bytes());
            bytes.extend(id.get().to_be_bytes());
        }
        let inner_len = usize::from(spec.size).saturating_sub(ethernet::HEADER_LEN + FCS_LEN);
        let headers = ip_header_len(spec.family) + udp::HEADER_LEN;
        let payload_len = inner_len.saturating_sub(headers);
        let inner_len = headers + payload_len;
        let mut outer = None;
        if let Some(tunnel) = &spec.tunnel {
            bytes.extend(ethertype(Family::of(tunnel.destination)).0.to_be_bytes());
            let ip = bytes.len();
            push_ip(
                &mut bytes,
                tunnel.source,
                tunnel.destination,
                inner_len + data::HEADER_LEN + udp::HEADER_LEN,
            );
            outer = Some(Outer { ip, udp: bytes.len() });
            push_udp(&mut bytes, ENTROPY, LISP_DATA_PORT, inner_len + data::HEADER_LEN);
            push_lisp(&mut bytes, spec.iid);
        } else {
            bytes.extend(ethertype(spec.family).0.to_be_bytes());
        }
        let ip = bytes.len();
        let nobody = if spec.family == Family::V4 { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
        push_ip(&mut bytes, nobody, nobody, payload_len + udp::HEADER_LEN);
        let udp = bytes.len();
        push_udp(&mut bytes, 0, spec.port, payload_len);
        let payload = bytes.len();
        bytes.resize(payload + payload_len, 0);
        Self { bytes, layout: Layout { family: spec.family, ip, udp, payload, outer } }
    }

    /// The frame's length in memory, in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never: a template has headers.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Puts a packet's addresses and port into a frame that begins as this template does; the payload stands
    /// already. Over IPv4 the UDP checksum is left out (zero), which is legal; over IPv6 it is computed.
    #[inline]
    pub fn address(&self, frame: &mut [u8], source: IpAddr, destination: IpAddr, port: u16) {
        let Layout { family, ip, udp, outer, .. } = self.layout;
        let (from, to) = (addr_bytes(source), addr_bytes(destination));
        frame[udp..udp + 2].copy_from_slice(&port.to_be_bytes());
        if let Some(outer) = outer {
            frame[outer.udp..outer.udp + 2].copy_from_slice(&(port | ENTROPY).to_be_bytes());
        }
        match family {
            Family::V4 => {
                frame[ip + 12..ip + 16].copy_from_slice(&from[..4]);
                frame[ip + 16..ip + 20].copy_from_slice(&to[..4]);
                frame[ip + 10..ip + 12].fill(0);
                let sum = checksum::fold(checksum::sum(&frame[ip..udp]));
                frame[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
            }
            Family::V6 => {
                frame[ip + 8..ip + 24].copy_from_slice(&from);
                frame[ip + 24..ip + 40].copy_from_slice(&to);
                udp::Packet::new_unchecked(&mut frame[udp..]).fill_checksum(source, destination);
            }
        }
    }

    /// Writes the part of the template that comes before the payload.
    #[inline]
    pub fn write_headers(&self, frame: &mut [u8]) {
        frame[..self.layout.payload].copy_from_slice(&self.bytes[..self.layout.payload]);
    }
}

fn ethertype(family: Family) -> EtherType {
    match family {
        Family::V4 => EtherType::IPV4,
        Family::V6 => EtherType::IPV6,
    }
}

fn grow(bytes: &mut Vec<u8>, by: usize) -> &mut [u8] {
    let at = bytes.len();
    bytes.resize(at + by, 0);
    &mut bytes[at..]
}

/// Appends an IP header in front of `len` bytes of UDP; mixed families give an IPv4 header without addresses.
fn push_ip(bytes: &mut Vec<u8>, source: IpAddr, destination: IpAddr, len: usize) {
    let payload_len = u16::try_from(len).unwrap_or(u16::MAX);
    let (dscp, ecn) = (Dscp::default(), Ecn::NOT_ECT);
    if let (IpAddr::V6(source), IpAddr::V6(destination)) = (source, destination) {
        let repr = ipv6::Repr {
            source,
            destination,
            next_header: Protocol::UDP,
            payload_len,
            hop_limit: TTL,
            dscp,
            ecn,
            flow_label: 0,
        };
        return repr.emit(&mut ipv6::Packet::new_unchecked(grow(bytes, ipv6::HEADER_LEN)));
    }
    let v4 = |address| if let IpAddr::V4(v4) = address { v4 } else { [0; 4].into() };
    let repr = ipv4::Repr {
        source: v4(source),
        destination: v4(destination),
        protocol: Protocol::UDP,
        payload_len,
        ttl: TTL,
        dscp,
        ecn,
        ident: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
    };
    repr.emit(&mut ipv4::Packet::new_unchecked(grow(bytes, ipv4::HEADER_LEN)));
}

fn push_udp(bytes: &mut Vec<u8>, source_port: u16, destination_port: u16, payload_len: usize) {
    let payload_len = u16::try_from(payload_len).unwrap_or(u16::MAX);
    udp::Repr { source_port, destination_port, payload_len }
        .emit(&mut udp::Packet::new_unchecked(grow(bytes, udp::HEADER_LEN)));
}

fn push_lisp(bytes: &mut Vec<u8>, iid: Option<Iid>) {
    let mut header = data::Packet::new_unchecked(grow(bytes, data::HEADER_LEN));
    if let Some(iid) = iid {
        header.set_flags(data::FLAG_INSTANCE);
        header.set_iid(iid);
    }
}
