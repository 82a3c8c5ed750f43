//! Wrong IPv6 headers.

use std::net::IpAddr;

use super::Scene;
use super::craft::{NOTE, PROTO_UDP, agent6, ip, ip_frame, udp};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const DESTINATION: u8 = 60;

/// A packet with these extension headers, each with its 6 bytes of content, before UDP.
fn extended(scene: &Scene, headers: &[(u8, [u8; 6])]) -> Vec<u8> {
    let [from, to] = scene.e6.map(IpAddr::V6);
    let mut payload = Vec::new();
    for (at, (_, content)) in headers.iter().enumerate() {
        payload.push(headers.get(at + 1).map_or(PROTO_UDP, |next| next.0));
        payload.push(0);
        payload.extend(content);
    }
    payload.extend(udp(from, to, (4000, 5000), NOTE));
    ip_frame(scene, &ip(from, to, headers.first().map_or(PROTO_UDP, |first| first.0), &payload))
}

/// Six bytes of padding.
const PADDING: [u8; 6] = [1, 4, 0, 0, 0, 0];

pub fn hop_limit_0(scene: &Scene) -> Vec<u8> {
    let mut packet = agent6(scene);
    packet[7] = 0;
    ip_frame(scene, &packet)
}

pub fn length_zero(scene: &Scene) -> Vec<u8> {
    let mut packet = agent6(scene);
    packet[4..6].fill(0);
    ip_frame(scene, &packet)
}

pub fn jumbogram(scene: &Scene) -> Vec<u8> {
    let [a, b, c, d] = 70_000_u32.to_be_bytes();
    let mut bytes = extended(scene, &[(HOP_BY_HOP, [0xc2, 4, a, b, c, d])]);
    // A jumbogram's own length field is 0.
    bytes[18..20].fill(0);
    bytes
}

pub fn extension_chain(scene: &Scene) -> Vec<u8> {
    extended(scene, &[(DESTINATION, PADDING); 9])
}

pub fn routing_header(scene: &Scene) -> Vec<u8> {
    // Type 0 with one segment left, as it was once used to send packets back and forth.
    extended(scene, &[(ROUTING, [0, 1, 0, 0, 0, 0])])
}

pub fn hop_by_hop(scene: &Scene) -> Vec<u8> {
    extended(scene, &[(DESTINATION, PADDING), (HOP_BY_HOP, PADDING)])
}
