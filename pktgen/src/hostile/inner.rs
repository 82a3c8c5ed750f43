//! Wrong inner packets in right tunnels.

use std::net::{IpAddr, Ipv4Addr};

use super::Scene;
use super::craft::{IP4, NOTE, PROTO_UDP, UDP, agent4, data4, ip, ip_frame, mend, udp};

/// Nobody's mapping has it (TEST-NET-3, RFC 5737).
const NOBODY: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 66);

/// A tunnelled agent's packet with its header changed and its checksum right again.
fn changed(scene: &Scene, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut packet = agent4(scene);
    change(&mut packet);
    mend(&mut packet);
    ip_frame(scene, &data4(scene, &packet))
}

pub fn version(scene: &Scene) -> Vec<u8> {
    changed(scene, |packet| packet[0] = 0x55)
}

pub fn length(scene: &Scene) -> Vec<u8> {
    // One turn too long, one too short, both within what a packet may have.
    let step = if scene.turn.is_multiple_of(2) { 4 } else { 0_u8.wrapping_sub(4) };
    changed(scene, |packet| packet[3] = packet[3].wrapping_add(step))
}

pub fn ttl_0(scene: &Scene) -> Vec<u8> {
    changed(scene, |packet| packet[8] = 0)
}

pub fn spoofed(scene: &Scene) -> Vec<u8> {
    let (from, to) = (IpAddr::V4(NOBODY), IpAddr::V4(scene.e4[1]));
    let packet = ip(from, to, PROTO_UDP, &udp(from, to, (4000, 5000), NOTE));
    ip_frame(scene, &data4(scene, &packet))
}

/// A right tunnel whose inner and outer type-of-service bytes are these.
fn with_tos(scene: &Scene, inner: u8, outer: u8) -> Vec<u8> {
    let mut packet = agent4(scene);
    packet[1] = inner;
    mend(&mut packet);
    let mut packet = data4(scene, &packet);
    packet[1] = outer;
    mend(&mut packet);
    debug_assert_eq!(packet[IP4 + UDP + 8] >> 4, 4);
    ip_frame(scene, &packet)
}

pub fn ecn(scene: &Scene) -> Vec<u8> {
    with_tos(scene, (scene.turn & 3) as u8, ((scene.turn >> 2) & 3) as u8)
}

pub fn dscp(scene: &Scene) -> Vec<u8> {
    with_tos(scene, 0, ((scene.turn & 63) as u8) << 2)
}
