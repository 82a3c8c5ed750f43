//! Wrong outer headers: UDP, LISP, and what is not LISP on its port.

use std::net::IpAddr;

use sterna_wire::checksum;

use super::Scene;
use super::craft::{
    IP4, IP6, LISP_DATA, PROTO_UDP, UDP, agent4, data4, frame, ip, ip_frame, lisp, mend, tunnel4, udp,
};

const UNKNOWN_IID: u32 = 16_000_000;
const PROTO_ICMP: u8 = 1;

/// LISP data whose outer UDP length is this.
fn with_udp_length(scene: &Scene, length: u16) -> Vec<u8> {
    let mut packet = data4(scene, &agent4(scene));
    packet[IP4 + 4..IP4 + 6].copy_from_slice(&length.to_be_bytes());
    ip_frame(scene, &packet)
}

pub fn udp_length_below_8(scene: &Scene) -> Vec<u8> {
    with_udp_length(scene, 7)
}

pub fn udp_length_past_ip(scene: &Scene) -> Vec<u8> {
    with_udp_length(scene, 1_000)
}

pub fn udp_length_zero(scene: &Scene) -> Vec<u8> {
    with_udp_length(scene, 0)
}

pub fn checksum_zero_v4(scene: &Scene) -> Vec<u8> {
    ip_frame(scene, &data4(scene, &agent4(scene)))
}

/// LISP data with an outer UDP checksum that is right, over either family.
fn summed(scene: &Scene, [from, to]: [IpAddr; 2]) -> Vec<u8> {
    let payload = [lisp(0x08, 0, 1 << 8), agent4(scene)].concat();
    ip(from, to, PROTO_UDP, &udp(from, to, (0xc123, LISP_DATA), &payload))
}

pub fn checksum_zero_v6(scene: &Scene) -> Vec<u8> {
    let mut packet = summed(scene, scene.r6.map(IpAddr::V6));
    packet[IP6 + 6..IP6 + 8].fill(0);
    ip_frame(scene, &packet)
}

/// Another checksum than that, and not 0, which would mean none.
fn spoil(at: &mut [u8]) {
    at[1] ^= 1;
    if at == [0, 0] {
        at[1] = 2;
    }
}

pub fn checksum_wrong_v4(scene: &Scene) -> Vec<u8> {
    let mut packet = summed(scene, scene.r4.map(IpAddr::V4));
    spoil(&mut packet[IP4 + 6..IP4 + 8]);
    ip_frame(scene, &packet)
}

pub fn checksum_wrong_v6(scene: &Scene) -> Vec<u8> {
    let mut packet = summed(scene, scene.r6.map(IpAddr::V6));
    spoil(&mut packet[IP6 + 6..IP6 + 8]);
    ip_frame(scene, &packet)
}

pub fn lisp_short(scene: &Scene) -> Vec<u8> {
    ip_frame(scene, &tunnel4(scene, &[0x08, 0, 0, 0, 0, 0, 1]))
}

/// LISP data with this header.
fn with_header(scene: &Scene, header: &[u8]) -> Vec<u8> {
    ip_frame(scene, &tunnel4(scene, &[header, &agent4(scene)].concat()))
}

pub fn lisp_flags(scene: &Scene) -> Vec<u8> {
    with_header(scene, &lisp(scene.turn as u8, 0x12_3456, 1 << 8))
}

pub fn lisp_reserved_bits(scene: &Scene) -> Vec<u8> {
    with_header(scene, &lisp(0x0f, 0, 1 << 8))
}

pub fn lisp_unknown_iid(scene: &Scene) -> Vec<u8> {
    with_header(scene, &lisp(0x08, 0, UNKNOWN_IID << 8))
}

pub fn lisp_nonce_echo(scene: &Scene) -> Vec<u8> {
    with_header(scene, &lisp(0xa8, scene.turn as u32, 1 << 8))
}

pub fn lisp_stale_version(scene: &Scene) -> Vec<u8> {
    with_header(scene, &lisp(0x18, 0x00_1001, 1 << 8))
}

pub fn lisp_in_lisp(scene: &Scene) -> Vec<u8> {
    let two = data4(scene, &data4(scene, &agent4(scene)));
    ip_frame(scene, &data4(scene, &two))
}

pub fn gue(scene: &Scene) -> Vec<u8> {
    // Version 0, no options, and the number of IPv4 in IP.
    with_header(scene, &[0, 4, 0, 0])
}

pub fn vxlan(scene: &Scene) -> Vec<u8> {
    let inner = frame(scene, 0x0800, &agent4(scene));
    ip_frame(scene, &tunnel4(scene, &[lisp(0x08, 0, 1 << 8), inner].concat()))
}

pub fn gpe(scene: &Scene) -> Vec<u8> {
    let inner = frame(scene, 0x0800, &agent4(scene));
    ip_frame(scene, &tunnel4(scene, &[lisp(0x0c, 3, 1 << 8), inner].concat()))
}

pub fn fragment(scene: &Scene) -> Vec<u8> {
    let mut packet = data4(scene, &agent4(scene));
    packet[4..6].copy_from_slice(&(scene.turn as u16).to_be_bytes());
    packet[6] |= 0x20;
    mend(&mut packet);
    ip_frame(scene, &packet)
}

pub fn icmp_quotes_truncated(scene: &Scene) -> Vec<u8> {
    let [from, to] = scene.r4.map(IpAddr::V4);
    let quoted = tunnel4(&Scene { r4: [scene.r4[1], scene.r4[0]], ..*scene }, &[0; 8]);
    // Fragmentation needed, next hop's MTU 1400.
    let mut message = [&[3, 4, 0, 0, 0, 0, 5, 0x78][..], &quoted[..12]].concat();
    let sum = checksum::fold(checksum::sum(&message));
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ip_frame(scene, &ip(from, to, PROTO_ICMP, &message)[..IP4 + UDP + 12])
}
