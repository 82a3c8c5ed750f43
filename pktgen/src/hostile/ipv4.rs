//! Wrong IPv4 headers, and fragments.

use std::net::IpAddr;

use super::Scene;
use super::craft::{IP4, PROTO_UDP, agent4, ip, ip_frame, mend};

const MORE: u16 = 0x2000;

/// An agent's packet with its header changed and its checksum right again.
fn changed(scene: &Scene, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut packet = agent4(scene);
    change(&mut packet);
    mend(&mut packet);
    ip_frame(scene, &packet)
}

pub fn ihl_below_5(scene: &Scene) -> Vec<u8> {
    changed(scene, |packet| packet[0] = 0x44)
}

pub fn ihl_past_end(scene: &Scene) -> Vec<u8> {
    changed(scene, |packet| {
        packet.truncate(40);
        packet[..4].copy_from_slice(&[0x4f, 0, 0, 40]);
    })
}

pub fn length_below_header(scene: &Scene) -> Vec<u8> {
    changed(scene, |packet| packet[2..4].copy_from_slice(&[0, 19]))
}

pub fn length_past_frame(scene: &Scene) -> Vec<u8> {
    changed(scene, |packet| packet[2..4].copy_from_slice(&[5, 0xdc]))
}

pub fn bad_checksum(scene: &Scene) -> Vec<u8> {
    let mut packet = agent4(scene);
    packet[11] ^= 1;
    ip_frame(scene, &packet)
}

pub fn ttl_0(scene: &Scene) -> Vec<u8> {
    changed(scene, |packet| packet[8] = 0)
}

pub fn ttl_1(scene: &Scene) -> Vec<u8> {
    changed(scene, |packet| packet[8] = 1)
}

pub fn options(scene: &Scene) -> Vec<u8> {
    changed(scene, |packet| {
        // Record route, 7 bytes with room for one address, and an end of options.
        packet.splice(IP4..IP4, [7, 7, 4, 0, 0, 0, 0, 0]);
        packet[0] = 0x47;
        packet[3] += 8;
    })
}

/// A fragment of packet `ident`: `bytes` of payload at `offset` in units of 8 bytes.
fn fragment(scene: &Scene, ident: u16, more: u16, offset: u16, bytes: usize) -> Vec<u8> {
    let [from, to] = scene.e4.map(IpAddr::V4);
    let mut packet = ip(from, to, PROTO_UDP, &vec![0x5a; bytes]);
    packet[4..6].copy_from_slice(&ident.to_be_bytes());
    packet[6..8].copy_from_slice(&(more | offset).to_be_bytes());
    mend(&mut packet);
    ip_frame(scene, &packet)
}

pub fn fragment_first(scene: &Scene) -> Vec<u8> {
    fragment(scene, scene.turn as u16, MORE, 0, 64)
}

pub fn fragment_middle(scene: &Scene) -> Vec<u8> {
    fragment(scene, scene.turn as u16, MORE, 8, 64)
}

pub fn fragment_last(scene: &Scene) -> Vec<u8> {
    fragment(scene, scene.turn as u16, 0, 16, 64)
}

pub fn fragment_overlapping(scene: &Scene) -> Vec<u8> {
    let ident = (scene.turn / 2) as u16;
    if scene.turn.is_multiple_of(2) {
        fragment(scene, ident, MORE, 0, 64)
    } else {
        // Begins 24 bytes before the first one ends.
        fragment(scene, ident, 0, 5, 64)
    }
}

pub fn fragment_tiny(scene: &Scene) -> Vec<u8> {
    fragment(scene, scene.turn as u16, MORE, 0, 8)
}
