//! The context API's port at the gateway's address: what is handed to the control plane, and which answers leave.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod site;

use etherparse::PacketBuilder;
use site::*;
use std::net::IpAddr;
use sterna_dataplane::rig::Rig;
use sterna_shm::{EidAction, Group, NegativeAction, Settings, Update};
use sterna_wire::{Iid, Mac, Prefix, VlanId};

const PORT: u16 = 4380;
const V4: [&str; 2] = ["10.1.0.5", "10.1.0.1"];
const V6: [&str; 2] = ["fd00:64:0:0:a::5", "fd00:64::1"];

fn iid(number: u32) -> Iid {
    Iid::new(number).unwrap()
}

/// A TCP segment with Ethernet; ports are source and destination.
fn tcp([source, destination]: [&str; 2], [from, to]: [u16; 2], len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let ethernet = PacketBuilder::ethernet2(HOST, GATEWAY);
    let ip = match (address(source), address(destination)) {
        (IpAddr::V4(s), IpAddr::V4(d)) => ethernet.ipv4(s.octets(), d.octets(), 64),
        (IpAddr::V6(s), IpAddr::V6(d)) => ethernet.ipv6(s.octets(), d.octets(), 64),
        _ => panic!("two families"),
    };
    ip.tcp(from, to, 7, 1000).write(&mut out, &vec![0x5a; len]).unwrap();
    out
}

fn asked(ends: [&str; 2], len: usize) -> Vec<u8> {
    tcp(ends, [40_000, PORT], len)
}

/// The same back, without Ethernet.
fn answer([agent, gateway]: [&str; 2], len: usize) -> Vec<u8> {
    tcp([gateway, agent], [PORT, 40_000], len)[14..].to_vec()
}

/// A site with two agents, whose Ethernet addresses are known, and the port open.
fn open() -> Rig {
    let mut rig = site();
    let settings = Settings { eid_api_port: Some(PORT), ..settings() };
    let agent = EidAction::LocalHost { port: 0, vlan: None, mac: Mac(HOST) };
    let host = |agents: [&str; 2]| eid(&format!("{}/{}", agents[0], full(agents[0])), agent);
    rig.apply(&[Update::SettingsUpsert { settings }, host(V4), host(V6)]).unwrap();
    rig
}

fn full(eid: &str) -> u8 {
    if address(eid).is_ipv4() { 32 } else { 128 }
}

#[test]
fn a_segment_to_the_open_port_is_handed_over_as_it_came_without_its_frame() {
    for ends in [V4, V6] {
        let mut rig = open();
        let mut frame = asked(ends, 3);
        let packet = frame[14..].to_vec();
        frame.extend([0xee; 30]);
        rig.inject(0, &frame);
        rig.settle();
        assert_eq!(rig.punted(), [(100, packet)]);
        assert_eq!((rig.counter("rx_packets"), rig.counter("punt_context_api")), (1, 1));
        assert!(rig.collect(0).is_empty());
        assert_balanced(&rig);
    }
}

#[test]
fn nothing_is_handed_over_while_the_port_is_closed() {
    let mut rig = open();
    rig.apply(&[Update::SettingsUpsert { settings: settings() }]).unwrap();
    rig.inject(0, &asked(V4, 0));
    rig.settle();
    assert!(rig.punted().is_empty());
    assert_eq!(rig.counter("drop_gateway_not_served"), 1);
    rig.answer(iid(100), &answer(V4, 0));
    rig.settle();
    assert!(rig.collect(0).is_empty());
    assert_eq!(rig.counter("context_answers_refused"), 1);
    assert_balanced(&rig);
}

#[test]
fn what_is_not_a_whole_segment_for_the_port_is_not_handed_over() {
    let mut rig = open();
    let mut fragment = asked(V4, 100);
    fragment[20] = 0x20;
    mend_ipv4(&mut fragment);
    let mut later = asked(V4, 100);
    later[21] = 9;
    mend_ipv4(&mut later);
    let mut cut = asked(V4, 0);
    cut[16..18].copy_from_slice(&30u16.to_be_bytes());
    mend_ipv4(&mut cut);
    let behind = [&asked(V6, 0)[..54], &[6, 0, 1, 4, 0, 0, 0, 0], &asked(V6, 0)[54..]].concat();
    let mut behind = behind;
    behind[20] = 60;
    behind[19] += 8;
    for frame in [
        &tcp(V4, [PORT, PORT + 1], 0),
        &udp(V4[0], V4[1], 64, 30),
        &ping(V4[0], "10.1.0.1")[..20].to_vec(),
        &fragment,
        &later,
        &cut,
        &behind,
    ] {
        rig.inject(0, frame);
    }
    rig.settle();
    assert!(rig.punted().is_empty());
    assert_eq!((rig.counter("drop_gateway_not_served"), rig.counter("punt_context_api")), (6, 0));
    rig.inject(0, &asked(V4, 1461));
    rig.inject(0, &asked(V4, 1460));
    rig.settle();
    assert_eq!((rig.punted().len(), rig.counter("drop_context_too_long")), (1, 1));
    assert_balanced(&rig);
}

#[test]
fn only_agents_of_the_segment_reach_the_port() {
    let mut rig = open();
    rig.inject(0, &asked(["10.1.9.9", "10.1.0.1"], 0));
    rig.inject(0, &asked(["10.1.2.9", "10.1.0.1"], 0));
    rig.inject(0, &asked(["10.1.0.1", "10.1.0.1"], 0));
    rig.inject(1, &tunnelled("192.0.2.2", 100, &asked(["10.1.2.9", "10.1.0.1"], 0)[14..]));
    rig.settle();
    assert!(rig.punted().is_empty());
    assert_eq!((rig.counter("punt_context_api"), rig.counter("drop_src_not_local")), (0, 3));
    assert_eq!(rig.counter("drop_gateway_not_served"), 1, "out of the tunnel");
    assert_balanced(&rig);
}

#[test]
fn an_agent_has_a_rate_and_its_neighbour_another() {
    let mut rig = open();
    for _ in 0..40 {
        for _ in 0..25 {
            rig.inject(0, &asked(V4, 0));
        }
        rig.settle();
    }
    let from_one = rig.punted().len() as u64;
    // 64 at once, and 200 a second in the less than two hundred milliseconds that this takes.
    assert!((64..=104).contains(&from_one), "{from_one}");
    assert_eq!(rig.counter("drop_context_rate"), 1000 - from_one);
    rig.inject(0, &asked(V6, 0));
    rig.settle();
    assert_eq!(rig.punted().len(), 1);
    assert_balanced(&rig);
}

#[test]
fn a_control_plane_that_takes_nothing_costs_drops_and_nothing_else() {
    let mut rig = open();
    for round in 0..10u8 {
        for agent in 0..20u8 {
            rig.inject(0, &asked([&format!("10.1.0.{}", 20 + agent), "10.1.0.1"], 0));
        }
        rig.inject(0, &udp("10.1.0.5", "10.1.2.9", 64, 10));
        rig.pass(1_000_000_000);
        assert_eq!(rig.collect(1).len(), 1, "round {round}: others go on");
    }
    let (punted, backlog) = (rig.counter("punt_context_api"), rig.counter("drop_context_backlog"));
    assert_eq!((punted, backlog, rig.counter("drop_context_rate")), (128, 72, 0));
    assert_eq!(rig.punted().len(), 128);
    rig.inject(0, &asked(V4, 0));
    rig.settle();
    assert_eq!(rig.punted().len(), 1, "goes on when it takes again");
    assert_balanced(&rig);
}

#[test]
fn an_answer_leaves_to_the_agent_with_the_group_s_own_address() {
    for ends in [V4, V6] {
        let mut rig = open();
        let packet = answer(ends, 10);
        assert!(rig.answer(iid(100), &packet));
        rig.settle();
        let ethertype: [u8; 2] = if ends == V4 { [8, 0] } else { [0x86, 0xdd] };
        let expected = [&HOST[..], &GATEWAY, &ethertype, &packet].concat();
        assert_eq!(rig.collect(0), [expected]);
        let counts = ["rx_packets", "made", "tx_packets", "context_answers"].map(|name| rig.counter(name));
        assert_eq!(counts, [0, 1, 1, 1]);
        assert_balanced(&rig);
    }
}

#[test]
fn groups_with_one_gateway_address_are_told_apart() {
    let mut rig = open();
    let vlan = VlanId::new(20);
    let other = Group { vlan, mac: Mac([2, 0x53, 0x54, 0, 0, 200]), ..group(200) };
    let action = EidAction::LocalHost { port: 0, vlan, mac: Mac([2, 0xb, 0, 0, 0, 1]) };
    let prefix: Prefix = "10.1.0.5/32".parse().unwrap();
    rig.apply(&[Update::GroupUpsert { group: other }, Update::EidUpsert { iid: iid(200), prefix, action }])
        .unwrap();
    let frame = asked(V4, 0);
    let tagged = [&frame[..12], &[0x81, 0, 0, 20], &frame[12..]].concat();
    rig.inject(0, &tagged);
    rig.settle();
    assert_eq!(rig.punted(), [(200, frame[14..].to_vec())]);
    let packet = answer(V4, 5);
    rig.answer(iid(200), &packet);
    rig.settle();
    let ethernet = [2, 0xb, 0, 0, 0, 1, 2, 0x53, 0x54, 0, 0, 200, 0x81, 0, 0, 20, 8, 0];
    assert_eq!(rig.collect(0), [[&ethernet[..], &packet].concat()]);
    assert_balanced(&rig);
}

#[test]
fn an_agent_that_is_not_known_yet_is_asked_for() {
    let mut rig = open();
    let ends = ["10.1.0.77", "10.1.0.1"];
    rig.answer(iid(100), &answer(ends, 5));
    rig.settle();
    let out = rig.collect(0);
    assert_eq!((out.len(), &out[0][12..14]), (1, &[0x08, 0x06][..]), "an ARP request");
    assert_eq!((rig.counter("context_answers_lost"), rig.counter("context_answers")), (1, 0));
    rig.inject(0, &arp(2, HOST, [10, 1, 0, 77], [10, 1, 0, 1]));
    rig.settle();
    rig.answer(iid(100), &answer(ends, 5));
    rig.settle();
    assert_eq!((rig.collect(0).len(), rig.counter("context_answers")), (1, 1));
    assert_balanced(&rig);
}

#[test]
fn what_is_no_answer_to_an_agent_here_is_refused() {
    let mut rig = open();
    let gone = |eid: &str, action| {
        let prefix: Prefix = format!("{eid}/32").parse().unwrap();
        Update::EidUpsert { iid: iid(100), prefix, action }
    };
    rig.apply(&[
        gone("10.1.0.30", EidAction::Away { set: 3 }),
        gone("10.1.0.31", EidAction::Hold),
        gone("10.1.0.32", EidAction::Negative { action: NegativeAction::Drop }),
    ])
    .unwrap();
    let to = |agent| answer([agent, "10.1.0.1"], 5);
    let mut fragment = answer(V4, 50);
    fragment[6] = 0x20;
    fragment[10..12].fill(0);
    let sum = sterna_wire::checksum::fold(sterna_wire::checksum::sum(&fragment[..20]));
    fragment[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut torn = answer(V4, 5);
    torn[10] ^= 1;
    let refused = [
        (100, tcp(["10.1.0.1", V4[0]], [PORT + 1, 40_000], 5)[14..].to_vec()),
        (100, tcp(["10.1.0.9", V4[0]], [PORT, 40_000], 5)[14..].to_vec()),
        (100, tcp(["fd00:64::2", V6[0]], [PORT, 40_000], 5)[14..].to_vec()),
        (100, udp("10.1.0.1", V4[0], 64, 20)[14..].to_vec()),
        (100, to("10.1.2.9")),
        (100, to("10.1.9.9")),
        (100, to("10.1.0.30")),
        (100, to("10.1.0.31")),
        (100, to("10.1.0.32")),
        (101, to(V4[0])),
        (100, fragment),
        (100, torn),
        (100, answer(V4, 5)[..30].to_vec()),
        (100, [answer(V4, 5), vec![0]].concat()),
        (100, vec![0x45]),
    ];
    let count = refused.len() as u64;
    for (group, packet) in &refused {
        assert!(rig.answer(iid(*group), packet));
    }
    rig.settle();
    assert!(rig.collect(0).is_empty() && rig.collect(1).is_empty());
    assert_eq!(rig.counter("context_answers_refused"), count);
    assert_eq!((rig.counter("made"), rig.counter("tx_packets")), (0, 0));
    rig.answer(iid(100), &answer(V4, 5));
    rig.settle();
    assert_eq!(rig.collect(0).len(), 1);
    assert_balanced(&rig);
}
