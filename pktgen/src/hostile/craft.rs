//! Pieces that wrong packets are made of, right until somebody changes them.

use std::net::IpAddr;

use sterna_wire::checksum;

use super::Scene;

/// Ethernet, IPv4 and IPv6 header lengths in bytes.
pub const ETH: usize = 14;
pub const IP4: usize = 20;
pub const IP6: usize = 40;
pub const UDP: usize = 8;

pub const PROTO_UDP: u8 = 17;
pub const LISP_DATA: u16 = 4341;
pub const LISP_CONTROL: u16 = 4342;

/// What a harmless payload says.
pub const NOTE: &[u8] = b"sterna-pktgen hostile packet";

/// Frames shorter than this are padded, as a NIC does.
const SHORTEST: usize = 60;

/// A frame around a packet, padded.
pub fn frame(scene: &Scene, ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let macs = [scene.destination_mac.octets(), scene.source_mac.octets()].concat();
    let mut bytes = [&macs[..], &ethertype.to_be_bytes(), packet].concat();
    bytes.resize(bytes.len().max(SHORTEST), 0);
    bytes
}

/// A frame around an IP packet of either version.
pub fn ip_frame(scene: &Scene, packet: &[u8]) -> Vec<u8> {
    let v6 = packet.first().is_some_and(|first| first >> 4 == 6);
    frame(scene, if v6 { 0x86dd } else { 0x0800 }, packet)
}

/// An IP packet; both addresses are of one family.
pub fn ip(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let [high, low] = (payload.len() as u16).to_be_bytes();
            let head = [0x60, 0, 0, 0, high, low, protocol, 64];
            [&head[..], &from.octets(), &to.octets(), payload].concat()
        }
        _ => {
            let [high, low] = ((IP4 + payload.len()) as u16).to_be_bytes();
            let head = [0x45, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0];
            let octets = |address| if let IpAddr::V4(v4) = address { v4.octets() } else { [0; 4] };
            let mut packet = [&head[..], &octets(from), &octets(to), payload].concat();
            mend(&mut packet);
            packet
        }
    }
}

/// Puts the right checksum into an IPv4 header of the length it says, as far as it is there.
pub fn mend(packet: &mut [u8]) {
    let length = usize::from(packet[0] & 15).max(5) * 4;
    let end = length.min(packet.len());
    packet[10..12].fill(0);
    let sum = checksum::fold(checksum::sum(&packet[..end]));
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// A UDP datagram with its checksum.
pub fn udp(from: IpAddr, to: IpAddr, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let length = (UDP + payload.len()) as u16;
    let head = [ports.0, ports.1, length, 0].map(u16::to_be_bytes).concat();
    let mut datagram = [&head[..], payload].concat();
    let pseudo = checksum::pseudo(from, to, PROTO_UDP, datagram.len()).unwrap_or(0);
    let sum = checksum::fold(pseudo + checksum::sum(&datagram));
    datagram[6..8].copy_from_slice(&(if sum == 0 { 0xffff } else { sum }).to_be_bytes());
    datagram
}

/// An agent's IPv4 packet.
pub fn agent4(scene: &Scene) -> Vec<u8> {
    let [from, to] = scene.e4.map(IpAddr::V4);
    ip(from, to, PROTO_UDP, &udp(from, to, (4000, 5000), NOTE))
}

/// An agent's IPv6 packet.
pub fn agent6(scene: &Scene) -> Vec<u8> {
    let [from, to] = scene.e6.map(IpAddr::V6);
    ip(from, to, PROTO_UDP, &udp(from, to, (4000, 5000), NOTE))
}

/// A LISP header: flags, 24 bits of tag, and the second word.
pub fn lisp(flags: u8, tag: u32, word: u32) -> Vec<u8> {
    [(u32::from(flags) << 24 | tag & 0xff_ffff).to_be_bytes(), word.to_be_bytes()].concat()
}

/// LISP data over IPv4 around a payload that begins with the LISP header; no outer UDP checksum.
pub fn tunnel4(scene: &Scene, payload: &[u8]) -> Vec<u8> {
    let [from, to] = scene.r4.map(IpAddr::V4);
    let mut datagram = udp(from, to, (0xc123, LISP_DATA), payload);
    datagram[6..8].fill(0);
    ip(from, to, PROTO_UDP, &datagram)
}

/// LISP data over IPv4 with instance-ID 1 around an inner packet.
pub fn data4(scene: &Scene, inner: &[u8]) -> Vec<u8> {
    tunnel4(scene, &[&lisp(0x08, 0, 1 << 8), inner].concat())
}
