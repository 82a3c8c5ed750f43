//! Wrong frames.

use super::Scene;
use super::craft::{ETH, agent4, frame, ip, ip_frame};

/// An EtherType for experiments (RFC 5342).
const EXPERIMENTAL: u16 = 0x88b5;
const TAG: [u8; 2] = [0x81, 0x00];
const SERVICE_TAG: [u8; 2] = [0x88, 0xa8];

pub fn runt(scene: &Scene) -> Vec<u8> {
    let mut bytes = frame(scene, 0x0800, &[0x45]);
    bytes.truncate(ETH + 1);
    bytes
}

pub fn over_mtu(scene: &Scene) -> Vec<u8> {
    let [from, to] = scene.e4.map(Into::into);
    ip_frame(scene, &ip(from, to, 17, &[0; 1600 - ETH - 20]))
}

/// A frame with these tags before its EtherType.
fn tagged(scene: &Scene, tags: &[[u8; 2]]) -> Vec<u8> {
    let mut bytes = ip_frame(scene, &agent4(scene));
    for (number, tag) in tags.iter().enumerate().rev() {
        let control = 0x0e00 + number as u16;
        bytes.splice(12..12, [*tag, control.to_be_bytes()].concat());
    }
    bytes
}

pub fn vlan_depth_1(scene: &Scene) -> Vec<u8> {
    tagged(scene, &[TAG])
}

pub fn vlan_depth_2(scene: &Scene) -> Vec<u8> {
    tagged(scene, &[SERVICE_TAG, TAG])
}

pub fn vlan_depth_3(scene: &Scene) -> Vec<u8> {
    tagged(scene, &[TAG; 3])
}

pub fn bad_ethertype(scene: &Scene) -> Vec<u8> {
    frame(scene, EXPERIMENTAL, &agent4(scene))
}
