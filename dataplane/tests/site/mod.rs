//! A small site and its packets, for tests that drive the in-memory gateway.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use etherparse::PacketBuilder;
use std::net::IpAddr;
use sterna_dataplane::layout::{PortRow, Side};
use sterna_dataplane::rig::{Rig, RigOptions};
use sterna_shm::{Adjacency, EidAction, Group, Locator, LocatorSet, NextHop, Settings, Update};
use sterna_wire::{Iid, Mac, Prefix};

pub const HOST: [u8; 6] = [2, 0xa, 0, 0, 0, 1];
pub const GATEWAY: [u8; 6] = [2, 0x53, 0x54, 0, 0, 100];
pub const CORE: [u8; 6] = [2, 0xc, 0, 0, 0, 1];
pub const OURS: [u8; 6] = [2, 0xd, 0, 0, 0, 1];

pub fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn group(iid: u32) -> Group {
    Group {
        iid: Iid::new(iid).unwrap(),
        port: 0,
        vlan: None,
        mac: Mac(GATEWAY),
        gateway_v4: Some(("10.1.0.1".parse().unwrap(), 16)),
        gateway_v6: Some(("fd00:64::1".parse().unwrap(), 64)),
        proxy_arp: true,
    }
}

pub fn settings() -> Settings {
    Settings {
        mss_clamp: true,
        dscp_decap_pipe: false,
        udp_source_fixed: None,
        smallest_underlay_mtu: 1500,
        outer_df: true,
        eid_api_port: None,
    }
}

pub fn eid(prefix: &str, action: EidAction) -> Update {
    Update::EidUpsert { iid: Iid::new(100).unwrap(), prefix: prefix.parse::<Prefix>().unwrap(), action }
}

pub fn local() -> EidAction {
    EidAction::Local { port: 0, vlan: None, via: None }
}

/// Site A: group 100 on port 0, the underlay on port 1, site B at 192.0.2.2.
pub fn site_updates(hop: Option<Mac>) -> Vec<Update> {
    let adjacency = Adjacency {
        next_hop: 1,
        local: address("192.0.2.1"),
        remote: address("192.0.2.2"),
        mtu: 1500,
        udp_checksum: false,
    };
    let locator = Locator { adjacency: 7, priority: 1, weight: 100, usable: true, keep: false };
    vec![
        Update::SettingsUpsert { settings: settings() },
        Update::GroupUpsert { group: group(100) },
        Update::LocalRlocUpsert { address: address("192.0.2.1") },
        Update::NextHopUpsert { id: 1, hop: NextHop { port: 1, source: Mac(OURS), destination: hop } },
        Update::AdjacencyUpsert { id: 7, adjacency },
        Update::SetUpsert { id: 3, set: LocatorSet::new(&[locator]).unwrap() },
        eid("10.1.0.0/24", local()),
        eid("10.1.2.0/24", EidAction::Remote { set: 3, classes: None }),
        eid("fd00:64:0:0:a::/80", local()),
    ]
}

pub fn ports() -> Vec<PortRow> {
    let port = |side, mac| PortRow { side, mac: Mac(mac), mtu: 1500 };
    vec![port(Side::Eid, [2, 0, 0, 0, 0, 0x11]), port(Side::Rloc, OURS)]
}

pub fn rig() -> Rig {
    Rig::new(&RigOptions::new(ports())).unwrap()
}

/// Makes the checksum of an untagged IPv4 frame true again.
pub fn mend_ipv4(frame: &mut [u8]) {
    frame[24..26].fill(0);
    let sum = sterna_wire::checksum::fold(sterna_wire::checksum::sum(&frame[14..34]));
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}

pub fn site() -> Rig {
    site_in(rig())
}

/// The same with room for so many packets to wait.
pub fn roomy_site(hold_packets: usize) -> Rig {
    site_in(Rig::new(&RigOptions { hold_packets, ..RigOptions::new(ports()) }).unwrap())
}

fn site_in(mut rig: Rig) -> Rig {
    rig.apply(&site_updates(Some(Mac(CORE)))).unwrap();
    rig
}

pub fn udp(source: &str, destination: &str, ttl: u8, len: usize) -> Vec<u8> {
    let (IpAddr::V4(s), IpAddr::V4(d)) = (address(source), address(destination)) else { panic!("IPv4") };
    let mut out = Vec::new();
    let builder = PacketBuilder::ethernet2(HOST, GATEWAY).ipv4(s.octets(), d.octets(), ttl).udp(1000, 2000);
    builder.write(&mut out, &vec![0x5a; len]).unwrap();
    out
}

pub fn tunnelled(outer_source: &str, iid: u32, inner: &[u8]) -> Vec<u8> {
    let IpAddr::V4(s) = address(outer_source) else { panic!("IPv4") };
    let mut payload = vec![0x08, 0, 0, 0];
    payload.extend((iid << 8).to_be_bytes());
    payload.extend_from_slice(inner);
    let mut out = Vec::new();
    let builder = PacketBuilder::ethernet2(CORE, OURS).ipv4(s.octets(), [192, 0, 2, 1], 60).udp(50_000, 4341);
    builder.write(&mut out, &payload).unwrap();
    out
}

pub fn arp(operation: u8, sender_mac: [u8; 6], sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut out = vec![0xff; 6];
    out.extend(sender_mac);
    out.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, operation]);
    out.extend(sender_mac);
    out.extend(sender);
    out.extend([0; 6]);
    out.extend(target);
    out
}

pub fn assert_balanced(rig: &Rig) {
    let balance = rig.balance();
    assert_eq!(balance.error, 0, "{balance:?}");
}

/// An ICMPv4 echo request.
pub fn ping(source: &str, destination: &str) -> Vec<u8> {
    let (IpAddr::V4(s), IpAddr::V4(d)) = (address(source), address(destination)) else { panic!("IPv4") };
    let mut out = Vec::new();
    let builder =
        PacketBuilder::ethernet2(HOST, GATEWAY).ipv4(s.octets(), d.octets(), 64).icmpv4_echo_request(1, 1);
    builder.write(&mut out, &[0x5a; 16]).unwrap();
    out
}
