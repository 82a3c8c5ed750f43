//! Finds the probe in a frame: behind at most one VLAN tag and one LISP header, or one VXLAN header.

use std::net::IpAddr;

use sterna_wire::ethernet::{self, EtherType};
use sterna_wire::lisp::data;
use sterna_wire::{Protocol, ipv4, ipv6, udp, vlan};
use sterna_xsk::PROBE_PORT;

use crate::packet::LISP_DATA_PORT;

/// A payload on the probes' port.
pub(crate) struct Located<'a> {
    /// The addresses, the inner ones in a tunnel.
    pub source: IpAddr,
    pub destination: IpAddr,
    pub source_port: u16,
    pub payload: &'a [u8],
    /// The IPv4 header checksum is right.
    pub sums_up: bool,
}

/// VXLAN's port and the length of its header (RFC 7348 section 5).
const VXLAN: (u16, usize) = (4789, 8);

/// The innermost UDP payload on the probes' port, if there is one.
pub(crate) fn locate(frame: &[u8]) -> Option<Located<'_>> {
    let mut found = datagram(packet(frame)?)?;
    if found.0 == LISP_DATA_PORT {
        let tunnel = data::Packet::new_checked(found.1.payload).ok()?;
        found = datagram(tunnel.payload())?;
    } else if found.0 == VXLAN.0 {
        found = datagram(packet(found.1.payload.get(VXLAN.1..)?)?)?;
    }
    (found.0 == PROBE_PORT).then_some(found.1)
}

/// The IP packet in a frame.
fn packet(frame: &[u8]) -> Option<&[u8]> {
    // The checked views are gone before their bytes are.
    let payload = frame.get(ethernet::HEADER_LEN..)?;
    let ethernet = ethernet::Packet::new_checked(frame).ok()?;
    let (ethertype, packet) = match ethernet.ethertype() {
        EtherType::VLAN => {
            (vlan::Packet::new_checked(payload).ok()?.ethertype(), payload.get(vlan::HEADER_LEN..)?)
        }
        ethertype => (ethertype, payload),
    };
    matches!(ethertype, EtherType::IPV4 | EtherType::IPV6).then_some(packet)
}

/// A packet's UDP destination port and payload.
fn datagram(packet: &[u8]) -> Option<(u16, Located<'_>)> {
    let (source, destination, protocol, payload, sums_up): (IpAddr, IpAddr, _, _, _) =
        match packet.first()? >> 4 {
            4 => {
                let ip = ipv4::Packet::new_checked(packet).ok().filter(|ip| !ip.is_fragment())?;
                let sums_up = ip.verify_checksum();
                (ip.source().into(), ip.destination().into(), ip.protocol(), ip.payload(), sums_up)
            }
            6 => {
                let ip = ipv6::Packet::new_checked(packet).ok()?;
                (ip.source().into(), ip.destination().into(), ip.next_header(), ip.payload(), true)
            }
            _ => return None,
        };
    if protocol != Protocol::UDP {
        return None;
    }
    let udp = udp::Packet::new_checked(payload).ok()?;
    let found =
        Located { source, destination, source_port: udp.source_port(), payload: udp.payload(), sums_up };
    Some((udp.destination_port(), found))
}
