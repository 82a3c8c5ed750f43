//! What ARP and neighbour discovery may teach the gateway, and what not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod site;

use site::*;
use sterna_shm::{EidAction, Event, NegativeAction, Update};
use sterna_wire::Mac;

const OTHER: [u8; 6] = [2, 0xa, 0, 0, 0, 2];

/// Where a packet from the tunnel to this host goes now; nothing when the gateway does not know.
fn delivered_to(rig: &mut sterna_dataplane::rig::Rig, host: &str) -> Option<[u8; 6]> {
    rig.collect(0);
    rig.inject(1, &tunnelled("192.0.2.2", 100, &udp("10.1.2.9", host, 64, 10)[14..]));
    rig.settle();
    let out = rig.collect(0);
    let to = out.iter().find(|f| f[12..14] == [8, 0]).map(|f| [f[0], f[1], f[2], f[3], f[4], f[5]]);
    rig.pass(4_000_000_000);
    rig.collect(0);
    to
}

fn learns(rig: &mut sterna_dataplane::rig::Rig, mac: [u8; 6], sender: [u8; 4]) -> bool {
    rig.inject(0, &arp(2, mac, sender, [10, 1, 0, 1]));
    rig.settle().iter().any(|event| matches!(event, Event::Agent { .. }))
}

#[test]
fn the_gateways_address_remote_eids_and_strangers_are_never_learned() {
    let mut rig = site();
    rig.apply(&[eid("10.1.0.0/16", EidAction::Remote { set: 3, classes: None })]).unwrap();
    assert!(!learns(&mut rig, OTHER, [10, 1, 0, 1]), "the gateway");
    assert!(!learns(&mut rig, OTHER, [10, 1, 2, 9]), "remote");
    assert!(!learns(&mut rig, OTHER, [10, 1, 77, 9]), "covered by a remote prefix only");
    assert!(!learns(&mut rig, OTHER, [10, 9, 9, 9]), "no entry");
    assert!(learns(&mut rig, OTHER, [10, 1, 0, 5]));
    assert_balanced(&rig);
}

#[test]
fn our_own_ethernet_addresses_are_no_hosts() {
    let mut rig = site();
    assert!(!learns(&mut rig, GATEWAY, [10, 1, 0, 5]), "the anycast MAC: another gateway of this segment");
    assert!(!learns(&mut rig, [2, 0, 0, 0, 0, 0x11], [10, 1, 0, 5]), "the port's own");
    assert_eq!(delivered_to(&mut rig, "10.1.0.5"), None);
    assert_balanced(&rig);
}

#[test]
fn hosts_behind_an_inner_router_are_not_learned_but_the_router_is() {
    let mut rig = site();
    let via = |router| EidAction::Local { port: 0, vlan: None, via: Some(address(router)) };
    rig.apply(&[eid("10.1.9.0/24", via("10.1.0.9")), eid("10.1.8.0/24", via("10.1.8.1"))]).unwrap();
    assert!(!learns(&mut rig, OTHER, [10, 1, 9, 5]), "a neighbour that claims an EID behind the router");
    assert!(learns(&mut rig, HOST, [10, 1, 0, 9]));
    assert_eq!(delivered_to(&mut rig, "10.1.9.5"), Some(HOST));
    assert!(learns(&mut rig, HOST, [10, 1, 8, 1]), "a router inside the prefix it serves");
    assert!(!learns(&mut rig, OTHER, [10, 1, 8, 2]));
    assert_eq!(delivered_to(&mut rig, "10.1.8.77"), Some(HOST));
    assert_balanced(&rig);
}

#[test]
fn a_mac_that_the_control_plane_gave_is_not_overridden_by_arp() {
    let mut rig = site();
    rig.apply(&[eid("10.1.0.5/32", EidAction::LocalHost { port: 0, vlan: None, mac: Mac(HOST) })]).unwrap();
    assert!(!learns(&mut rig, OTHER, [10, 1, 0, 5]));
    assert_eq!(delivered_to(&mut rig, "10.1.0.5"), Some(HOST));
}

#[test]
fn an_agent_is_forgotten_when_its_address_goes_elsewhere() {
    for (elsewhere, action) in [
        ("10.1.0.5/32", EidAction::Remote { set: 3, classes: None }),
        ("10.1.0.0/28", EidAction::Remote { set: 3, classes: None }),
        ("10.1.0.0/24", EidAction::Remote { set: 3, classes: None }),
        ("10.1.0.4/30", EidAction::Negative { action: NegativeAction::Drop }),
    ] {
        let mut rig = site();
        assert!(learns(&mut rig, OTHER, [10, 1, 0, 5]));
        rig.apply(&[eid("10.1.0.128/25", local()), eid(elsewhere, action)]).unwrap();
        assert_eq!(delivered_to(&mut rig, "10.1.0.5"), None, "{elsewhere}");
        assert!(!learns(&mut rig, OTHER, [10, 1, 0, 5]), "{elsewhere}");
        let iid = sterna_wire::Iid::new(100).unwrap();
        // It comes back: known by its own word again, not by what was remembered.
        rig.apply(&[
            Update::EidDelete { iid, prefix: elsewhere.parse().unwrap() },
            eid("10.1.0.0/24", local()),
        ])
        .unwrap();
        assert_eq!(delivered_to(&mut rig, "10.1.0.5"), None, "{elsewhere}");
        assert!(learns(&mut rig, HOST, [10, 1, 0, 5]), "{elsewhere}");
        assert_eq!(delivered_to(&mut rig, "10.1.0.5"), Some(HOST), "{elsewhere}");
        assert_balanced(&rig);
    }
}

#[test]
fn an_agent_outlives_its_host_prefix_inside_a_served_one() {
    let mut rig = site();
    rig.apply(&[eid("10.1.0.5/32", local())]).unwrap();
    assert!(learns(&mut rig, HOST, [10, 1, 0, 5]));
    let iid = sterna_wire::Iid::new(100).unwrap();
    rig.apply(&[Update::EidDelete { iid, prefix: "10.1.0.5/32".parse().unwrap() }]).unwrap();
    assert_eq!(delivered_to(&mut rig, "10.1.0.5"), Some(HOST), "no hold, no ARP");
    rig.apply(&[eid("10.1.0.5/32", local())]).unwrap();
    assert_eq!(delivered_to(&mut rig, "10.1.0.5"), Some(HOST));
}

#[test]
fn a_host_whose_ping_comes_before_its_arp_is_answered_all_the_same() {
    let mut rig = site();
    rig.inject(0, &ping("10.1.0.5", "10.1.0.1"));
    rig.settle();
    let asked = rig.collect(0);
    assert_eq!((asked.len(), &asked[0][12..14]), (1, [8, 6].as_slice()), "the gateway asks who that is");
    assert!(learns(&mut rig, HOST, [10, 1, 0, 5]));
    rig.pass(2_000_000);
    let out = rig.collect(0);
    assert!(out.iter().any(|f| f[..6] == HOST && f[12..14] == [8, 0] && f[34] == 0), "an echo reply");
    assert_eq!((rig.counter("punt_gateway_echo"), rig.counter("held")), (1, 0));
    assert_balanced(&rig);
}

#[test]
fn the_gateway_answers_pings_from_the_tunnel_and_never_asks_for_itself() {
    let mut rig = site();
    rig.inject(1, &tunnelled("192.0.2.2", 100, &ping("10.1.2.9", "10.1.0.1")[14..]));
    rig.inject(1, &tunnelled("192.0.2.2", 100, &udp("10.1.2.9", "10.1.0.1", 64, 10)[14..]));
    rig.settle();
    assert!(rig.collect(0).is_empty(), "no ARP for our own address");
    let out = rig.collect(1);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0][50..][20], 0, "an echo reply");
    assert_eq!((rig.counter("punt_gateway_echo"), rig.counter("drop_gateway_not_served")), (1, 1));
    assert_balanced(&rig);
}

#[test]
fn neighbour_discovery_does_not_come_through_the_tunnel() {
    let mut rig = site();
    let neighbour_at_v6 = eid("fd00:64:0:0:b::/80", EidAction::Remote { set: 3, classes: None });
    rig.apply(&[neighbour_at_v6]).unwrap();
    let source: std::net::Ipv6Addr = "fd00:64:0:0:b::9".parse().unwrap();
    let target: std::net::Ipv6Addr = "fd00:64:0:0:a::5".parse().unwrap();
    let mut packet = vec![0x60, 0, 0, 0, 0, 24, 58, 255];
    packet.extend(source.octets());
    packet.extend(target.octets());
    // An advertisement for the gateway's address.
    packet.extend([136, 0, 0, 0, 0x20, 0, 0, 0]);
    packet.extend("fd00:64::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
    rig.inject(1, &tunnelled("192.0.2.2", 100, &packet));
    rig.settle();
    assert_eq!(rig.counter("drop_malformed_ndisc"), 1);
    assert!(rig.collect(0).is_empty());
    assert_balanced(&rig);
}

#[test]
fn a_host_cannot_speak_as_the_gateway() {
    let mut rig = site();
    assert!(learns(&mut rig, HOST, [10, 1, 0, 5]));
    rig.collect(0);
    rig.inject(0, &udp("10.1.0.1", "10.1.0.5", 64, 10));
    rig.inject(0, &udp("10.1.0.1", "10.1.2.9", 64, 10));
    rig.inject(0, &udp("10.1.0.1", "10.1.2.9", 1, 10));
    rig.settle();
    assert!(rig.collect(0).is_empty() && rig.collect(1).is_empty());
    assert_eq!(rig.counter("drop_src_not_local"), 3);
    assert_balanced(&rig);
}
