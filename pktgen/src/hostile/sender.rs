//! Senders that cannot be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Scene;
use super::craft::{NOTE, PROTO_UDP, agent4, data4, ip, ip_frame, udp};

fn from4(scene: &Scene, from: Ipv4Addr) -> Vec<u8> {
    from_to(scene, from.into(), scene.e4[1].into())
}

fn from6(scene: &Scene, from: Ipv6Addr) -> Vec<u8> {
    from_to(scene, from.into(), scene.e6[1].into())
}

fn from_to(scene: &Scene, from: IpAddr, to: IpAddr) -> Vec<u8> {
    ip_frame(scene, &ip(from, to, PROTO_UDP, &udp(from, to, (4000, 5000), NOTE)))
}

pub fn multicast_v4(scene: &Scene) -> Vec<u8> {
    from4(scene, Ipv4Addr::new(224, 0, 0, 5))
}

pub fn multicast_v6(scene: &Scene) -> Vec<u8> {
    from6(scene, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 5))
}

pub fn broadcast(scene: &Scene) -> Vec<u8> {
    from4(scene, Ipv4Addr::BROADCAST)
}

pub fn loopback_v4(scene: &Scene) -> Vec<u8> {
    from4(scene, Ipv4Addr::LOCALHOST)
}

pub fn loopback_v6(scene: &Scene) -> Vec<u8> {
    from6(scene, Ipv6Addr::LOCALHOST)
}

pub fn unspecified_v4(scene: &Scene) -> Vec<u8> {
    from4(scene, Ipv4Addr::UNSPECIFIED)
}

pub fn unspecified_v6(scene: &Scene) -> Vec<u8> {
    from6(scene, Ipv6Addr::UNSPECIFIED)
}

pub fn own_address(scene: &Scene) -> Vec<u8> {
    let own = Scene { r4: [scene.r4[1]; 2], ..*scene };
    ip_frame(scene, &data4(&own, &agent4(scene)))
}
