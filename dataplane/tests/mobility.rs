//! Agents that come, leave and are elsewhere: attach, hold, relay, and the questions about them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod site;

use site::*;
use std::net::IpAddr;
use sterna_dataplane::rig::{Rig, RigOptions};
use sterna_shm::{
    Adjacency, AttachProof, EidAction, Event, KnownAction, Locator, LocatorSet, NegativeAction, Update,
};
use sterna_wire::{Iid, Mac};

const AGENT: &str = "10.1.5.5";
const SITE_B: &str = "192.0.2.2";
const SITE_C: &str = "192.0.2.3";
/// Session id of the set of site C.
const C: u32 = 4;

fn iid() -> Iid {
    Iid::new(100).unwrap()
}

/// The site with a dynamic range, and site C beside site B.
fn mobile_site() -> Rig {
    let mut rig = site();
    make_mobile(&mut rig);
    rig
}

/// The same, where more packets may wait for one answer than one turn moves.
fn roomy_mobile_site() -> Rig {
    let mut rig = Rig::new(&RigOptions { hold_packets: 4096, ..RigOptions::new(ports()) }).unwrap();
    rig.apply(&site_updates(Some(Mac(CORE)))).unwrap();
    make_mobile(&mut rig);
    rig
}

fn make_mobile(rig: &mut Rig) {
    let adjacency = Adjacency {
        next_hop: 1,
        local: address("192.0.2.1"),
        remote: address(SITE_C),
        mtu: 1500,
        udp_checksum: false,
    };
    let locator = Locator { adjacency: 8, priority: 1, weight: 100, usable: true, keep: false };
    rig.apply(&[
        Update::AdjacencyUpsert { id: 8, adjacency },
        Update::SetUpsert { id: C, set: LocatorSet::new(&[locator]).unwrap() },
        Update::DynamicUpsert { iid: iid(), prefix: "10.1.5.0/24".parse().unwrap() },
        Update::DynamicUpsert { iid: iid(), prefix: "fd00:64:0:0:d::/80".parse().unwrap() },
        eid("10.1.0.5/32", here(HOST)),
    ])
    .unwrap();
}

fn here(mac: [u8; 6]) -> EidAction {
    EidAction::LocalHost { port: 0, vlan: None, mac: Mac(mac) }
}

fn install(rig: &mut Rig, action: EidAction) {
    rig.apply(&[eid("10.1.5.5/32", action)]).unwrap();
}

fn allow(eid: &str, from: &str) -> Update {
    Update::RelayAllow { iid: iid(), eid: address(eid), from: address(from) }
}

/// A frame of 10.1.2.9 at site B for an EID, told apart by its length.
fn from_b(to: &str, len: usize) -> Vec<u8> {
    tunnelled(SITE_B, 100, &udp("10.1.2.9", to, 64, len)[14..])
}

/// The same frame, relayed so often.
fn relayed(mut frame: Vec<u8>, times: u8) -> Vec<u8> {
    frame[42] |= 0x80;
    frame[43..46].copy_from_slice(&[b'S', b'T', times]);
    frame[40..42].fill(0);
    frame
}

/// The answer that 10.1.2.9 is at site B still.
fn confirm(rig: &mut Rig) {
    rig.apply(&[eid("10.1.2.0/24", EidAction::Remote { set: 3, classes: None })]).unwrap();
    rig.settle();
}

fn attaches(events: &[Event]) -> Vec<(IpAddr, Mac, AttachProof)> {
    let attach = |event: &Event| match *event {
        Event::Attach { eid, mac, proof, port: 0, vlan: None, .. } => Some((eid, mac, proof)),
        _ => None,
    };
    events.iter().filter_map(attach).collect()
}

fn source_misses(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Miss { source: true, .. })).count()
}

fn lengths(frames: &[Vec<u8>]) -> Vec<usize> {
    frames.iter().map(Vec::len).collect()
}

//------------ attach ----------------------------------------------------------------------------------------

#[test]
fn a_new_agents_first_packets_wait_until_it_is_admitted_and_leave_in_order() {
    let mut rig = mobile_site();
    for len in 0..5 {
        rig.inject(0, &udp(AGENT, "10.1.2.9", 64, len));
    }
    let events = rig.settle();
    assert_eq!(attaches(&events), [(address(AGENT), Mac(HOST), AttachProof::Data)], "told once");
    assert_eq!((rig.counter("held"), rig.counter("attaches")), (5, 1));
    assert_eq!(attaches(&rig.pass(600_000_000)).len(), 1, "and again while they wait");
    install(&mut rig, here(HOST));
    for len in 5..9 {
        rig.inject(0, &udp(AGENT, "10.1.2.9", 64, len));
    }
    rig.settle();
    let lens = lengths(&rig.collect(1));
    assert_eq!(lens.len(), 9);
    assert!(lens.is_sorted(), "{lens:?}");
    assert_balanced(&rig);
}

#[test]
fn an_agent_that_is_not_admitted_is_dropped_under_a_reason_of_its_own() {
    let mut rig = mobile_site();
    rig.inject(0, &udp(AGENT, "10.1.2.9", 64, 1));
    rig.settle();
    rig.pass(4_000_000_000);
    assert_eq!((rig.counter("drop_attach_expired"), rig.counter("held")), (1, 0));
    assert_balanced(&rig);
}

/// Waits for one answer and then for the next: more packets than one turn moves, so that both queues have some.
#[test]
fn packets_go_on_from_one_wait_to_the_next_and_never_back() {
    let mut rig = roomy_mobile_site();
    for len in 0..200 {
        rig.inject(0, &udp(AGENT, "10.1.77.1", 64, len));
    }
    rig.settle();
    install(&mut rig, here(HOST));
    rig.settle();
    rig.inject(0, &udp(AGENT, "10.1.2.9", 64, 250));
    rig.settle();
    assert_eq!(lengths(&rig.collect(1)).len(), 1, "the way to another is free");
    assert_eq!((rig.counter("held"), rig.counter("drop_src_not_local")), (200, 0), "for the destination");
    rig.pass(3_000_000_000);
    assert_eq!((rig.counter("held"), rig.counter("drop_hold_expired")), (0, 200));
    assert_balanced(&rig);
}

/// The same out of the tunnel: first for the source, then for a host that is about to leave.
#[test]
fn packets_out_of_the_tunnel_go_on_from_one_wait_to_the_next_too() {
    let mut rig = roomy_mobile_site();
    install(&mut rig, EidAction::Hold);
    for len in 0..200 {
        rig.inject(1, &tunnelled(SITE_B, 100, &udp("10.1.3.3", AGENT, 64, len)[14..]));
    }
    rig.settle();
    rig.apply(&[eid("10.1.3.0/24", EidAction::Remote { set: 3, classes: None })]).unwrap();
    rig.settle();
    rig.inject(1, &tunnelled(SITE_B, 100, &udp("10.1.3.3", "10.1.0.5", 64, 250)[14..]));
    rig.settle();
    assert_eq!(lengths(&rig.collect(0)).len(), 1, "the way to another is free");
    install(&mut rig, here(HOST));
    rig.settle();
    let lens = lengths(&rig.collect(0));
    assert!(lens.len() == 200 && lens.is_sorted(), "{lens:?}");
    assert_balanced(&rig);
}

#[test]
fn outside_the_ranges_from_the_gateway_and_from_our_own_macs_nothing_attaches() {
    let mut rig = mobile_site();
    rig.apply(&[Update::DynamicUpsert { iid: iid(), prefix: "10.1.0.0/16".parse().unwrap() }]).unwrap();
    rig.inject(0, &udp("10.9.5.5", "10.1.2.9", 64, 1));
    rig.inject(0, &udp("10.1.0.1", "10.1.2.9", 64, 1));
    let mut from_ourselves = udp(AGENT, "10.1.2.9", 64, 1);
    from_ourselves[6..12].copy_from_slice(&GATEWAY);
    rig.inject(0, &from_ourselves);
    from_ourselves[6] |= 1;
    rig.inject(0, &from_ourselves);
    let events = rig.settle();
    assert_eq!((attaches(&events), rig.counter("drop_src_not_local")), (vec![], 4));
    rig.apply(&[
        Update::DynamicDelete { iid: iid(), prefix: "10.1.0.0/16".parse().unwrap() },
        Update::DynamicDelete { iid: iid(), prefix: "10.1.5.0/24".parse().unwrap() },
    ])
    .unwrap();
    rig.inject(0, &udp(AGENT, "10.1.2.9", 64, 1));
    rig.settle();
    assert_eq!(rig.counter("drop_src_not_local"), 5, "no range any more");
    assert_balanced(&rig);
}

#[test]
fn what_a_host_announces_is_told_unless_it_is_installed_so() {
    let mut rig = mobile_site();
    let announce = |rig: &mut Rig, mac| {
        rig.inject(0, &arp(1, mac, [10, 1, 5, 5], [10, 1, 5, 5]));
        let events = rig.pass(1_000_000_000);
        assert!(!events.iter().any(|event| matches!(event, Event::Agent { .. })), "{events:?}");
        attaches(&events)
    };
    let told = |mac| vec![(address(AGENT), Mac(mac), AttachProof::Arp)];
    let other = [2, 0xa, 0, 0, 0, 9];
    assert_eq!(announce(&mut rig, HOST), told(HOST), "nothing is known of it");
    install(&mut rig, EidAction::Remote { set: 3, classes: None });
    assert_eq!(announce(&mut rig, HOST), told(HOST), "elsewhere");
    install(&mut rig, EidAction::Away { set: 3 });
    assert_eq!(announce(&mut rig, HOST), told(HOST), "it left");
    install(&mut rig, EidAction::Negative { action: NegativeAction::Drop });
    assert_eq!(announce(&mut rig, HOST), told(HOST), "nowhere");
    install(&mut rig, here(HOST));
    assert_eq!(announce(&mut rig, HOST), [], "here");
    assert_eq!(announce(&mut rig, other), told(other), "here, with another MAC");
    install(&mut rig, EidAction::Hold);
    assert_eq!(announce(&mut rig, HOST), [], "about to leave");
    assert_balanced(&rig);
}

#[test]
fn announcements_are_limited_per_host() {
    let mut rig = mobile_site();
    for _ in 0..50 {
        rig.inject(0, &arp(1, HOST, [10, 1, 5, 5], [10, 1, 5, 5]));
        rig.inject(0, &udp(AGENT, "10.1.2.9", 64, 1));
    }
    assert_eq!(attaches(&rig.settle()).len(), 1);
    assert_balanced(&rig);
}

#[test]
fn a_destination_in_a_dynamic_range_is_a_question_to_the_mapping_system() {
    let mut rig = mobile_site();
    rig.inject(0, &udp("10.1.0.5", "10.1.5.77", 64, 1));
    let events = rig.settle();
    assert!(matches!(events[..], [Event::Miss { source: false, .. }]), "{events:?}");
    assert!(rig.collect(0).is_empty(), "no ARP request");
    rig.inject(1, &from_b("10.1.5.78", 1));
    rig.settle();
    assert_eq!(rig.counter("drop_dst_not_local"), 1);
    // Attached by the API: its MAC is asked for at once, not at the next repetition.
    rig.apply(&[eid("10.1.5.77/32", local())]).unwrap();
    rig.settle();
    assert_eq!(rig.collect(0).len(), 1, "ARP request");
    rig.inject(0, &arp(2, [2, 0xa, 0, 0, 0, 7], [10, 1, 5, 77], [10, 1, 0, 1]));
    assert!(matches!(rig.settle()[..], [Event::Agent { .. }]), "learned, as one that is expected");
    assert_eq!(rig.collect(0).len(), 1, "delivered");
    assert_balanced(&rig);
}

#[test]
fn suspects_do_not_take_the_room_of_others() {
    let mut rig = mobile_site();
    for host in 0..200 {
        rig.inject(0, &udp(&format!("10.1.5.{host}"), "10.1.2.9", 64, 1));
    }
    rig.settle();
    assert_eq!((rig.counter("held"), rig.counter("drop_src_not_local")), (64, 136), "a share of 256");
    for host in 0..64 {
        rig.inject(0, &udp("10.1.0.5", &format!("10.1.77.{host}"), 64, 1));
    }
    rig.settle();
    assert_eq!((rig.counter("held"), rig.counter("drop_hold_full")), (128, 0));
    assert_balanced(&rig);
}

//------------ hold and relay --------------------------------------------------------------------------------

#[test]
fn an_announced_move_loses_nothing_in_either_direction() {
    let mut rig = mobile_site();
    install(&mut rig, here(HOST));
    install(&mut rig, EidAction::Hold);
    rig.inject(1, &from_b(AGENT, 1));
    rig.settle();
    rig.inject(0, &udp("10.1.0.5", AGENT, 64, 2));
    // Until its link is gone it goes on sending.
    rig.inject(0, &udp(AGENT, "10.1.2.9", 64, 3));
    let events = rig.pass(1_200_000_000);
    let is_use = |event: &Event| matches!(event, Event::Traffic { .. } | Event::Used { .. });
    assert!(events.iter().all(is_use), "nobody is asked: {events:?}");
    assert_eq!((rig.counter("held"), rig.collect(1).len()), (2, 1));
    install(&mut rig, EidAction::Away { set: C });
    rig.inject(1, &from_b(AGENT, 4));
    let events = rig.settle();
    let out = rig.collect(1);
    assert_eq!(lengths(&out), [1, 2, 4].map(|len| 14 + 36 + 28 + len), "in order");
    assert!(out.iter().all(|frame| frame[30..34] == [192, 0, 2, 3]), "to site C");
    let [first, own, _] = &out[..] else { panic!() };
    assert_eq!(first[42..46], [0x88, b'S', b'T', 1]);
    assert_eq!(own[42..46], [0x08, 0, 0, 0], "what agents here send is not relayed but sent");
    // Inner TTL 64, outer 60 on arrival, one hop here; both headers say so.
    assert_eq!((first[22], first[58]), (59, 59));
    assert_eq!((rig.counter("relayed"), rig.counter("encapsulated")), (2, 2));
    let strays = |events: &[Event]| events.iter().filter(|e| matches!(e, Event::Stray { .. })).count();
    assert_eq!(strays(&events), 1, "once a second: {events:?}");
    assert!(events.contains(&Event::Stray { iid: iid(), eid: address(AGENT), from: address(SITE_B) }));
    rig.inject(1, &from_b(AGENT, 5));
    assert_eq!(strays(&rig.pass(1_000_000_000)), 1);
    assert_balanced(&rig);
}

#[test]
fn what_waits_for_an_agent_is_asked_for_when_it_is_released() {
    let mut rig = mobile_site();
    install(&mut rig, EidAction::Hold);
    rig.inject(0, &udp("10.1.0.5", AGENT, 64, 2));
    assert!(rig.settle().is_empty());
    rig.apply(&[Update::EidDelete { iid: iid(), prefix: "10.1.5.5/32".parse().unwrap() }]).unwrap();
    let events = rig.settle();
    assert!(matches!(events[..], [Event::Miss { .. }]), "at once: {events:?}");
    rig.pass(4_000_000_000);
    assert_eq!(rig.counter("drop_hold_expired"), 1);
    assert_balanced(&rig);
}

/// More packets than go on in a turn: those that wait for the second answer must not go back behind those that still
/// have to be told the first, or neither would ever leave.
#[test]
fn packets_that_wait_for_one_answer_after_another_leave_in_order() {
    const PACKETS: usize = 450;
    let mut rig = roomy_site(4096);
    for len in 0..PACKETS {
        rig.inject(1, &tunnelled(SITE_B, 100, &udp("10.1.9.9", "10.1.0.6", 64, len)[14..]));
        rig.settle();
    }
    rig.apply(&[eid("10.1.9.0/24", EidAction::Remote { set: 3, classes: None })]).unwrap();
    rig.settle();
    assert_eq!((rig.counter("held"), requests(&rig)), (450, 1), "the host is asked for");
    rig.apply(&[eid("10.1.0.6/32", here(HOST))]).unwrap();
    let mut lens = Vec::new();
    // A wire takes so many at once.
    for _ in 0..10 {
        rig.settle();
        lens.extend(lengths(&rig.collect(0)));
    }
    assert_eq!((lens.len(), rig.counter("held")), (PACKETS, 0));
    assert!(lens.is_sorted(), "{lens:?}");
    assert_balanced(&rig);
}

#[test]
fn a_packet_stays_where_it_is_while_too_many_wait_for_its_next_answer() {
    let mut rig = mobile_site();
    let stranger = |source: &str, len| tunnelled(SITE_B, 100, &udp(source, "10.1.0.6", 64, len)[14..]);
    let mut sent = 0;
    while rig.counter("drop_hold_full") == 0 && sent < 4096 {
        rig.inject(1, &stranger("10.1.2.9", 1));
        rig.settle();
        sent += 1;
    }
    assert_eq!(rig.counter("drop_hold_full"), 1, "the queue of the host is full");
    rig.inject(1, &stranger("10.1.9.9", 2));
    rig.settle();
    rig.apply(&[eid("10.1.9.0/24", EidAction::Remote { set: 3, classes: None })]).unwrap();
    rig.settle();
    assert_eq!(rig.counter("drop_hold_full"), 1);
    rig.apply(&[eid("10.1.0.6/32", here(HOST))]).unwrap();
    rig.settle();
    assert_eq!((rig.counter("held"), rig.counter("drop_hold_full")), (0, 1));
    assert_eq!(lengths(&rig.collect(0)).last(), Some(&(42 + 2)));
    assert_balanced(&rig);
}

#[test]
fn an_announced_agent_is_asked_for_when_it_speaks() {
    let mut rig = mobile_site();
    install(&mut rig, local());
    rig.inject(1, &from_b(AGENT, 1));
    rig.settle();
    assert_eq!((requests(&rig), rig.counter("held")), (1, 1), "it is not there to answer");
    for len in 0..3 {
        rig.inject(0, &udp(AGENT, "10.1.2.9", 64, len));
    }
    rig.settle();
    assert_eq!((requests(&rig), rig.collect(1).len()), (1, 3), "once, whatever else was asked");
    rig.inject(0, &arp(2, HOST, [10, 1, 5, 5], [10, 1, 0, 1]));
    rig.settle();
    assert_eq!((lengths(&rig.collect(0)), rig.counter("held")), (vec![43], 0));
    // Where nobody comes and goes, nobody is asked for what it sends.
    rig.inject(0, &udp("10.1.0.9", "10.1.2.9", 64, 1));
    rig.settle();
    assert_eq!(requests(&rig), 0);
    assert_balanced(&rig);
}

#[test]
fn an_agent_with_both_links_may_speak_at_the_old_site_for_a_moment() {
    let mut rig = mobile_site();
    install(&mut rig, here(HOST));
    install(&mut rig, EidAction::Away { set: C });
    rig.inject(0, &udp(AGENT, "10.1.2.9", 64, 1));
    let events = rig.settle();
    assert_eq!((attaches(&events).len(), rig.collect(1).len()), (1, 1), "sent, and looked into");
    rig.pass(2_100_000_000);
    rig.inject(0, &udp(AGENT, "10.1.2.9", 64, 1));
    rig.settle();
    assert_eq!((rig.collect(1).len(), rig.counter("held")), (0, 1), "now it is evidence");
    rig.pass(4_000_000_000);
    assert_balanced(&rig);
}

#[test]
fn what_an_agent_sent_before_its_move_may_come_after_the_news_of_it() {
    let mut rig = mobile_site();
    install(&mut rig, here(HOST));
    let at = |set| eid("10.1.2.7/32", EidAction::Remote { set, classes: None });
    let from = |site, len| tunnelled(site, 100, &udp("10.1.2.7", AGENT, 64, len)[14..]);
    rig.apply(&[at(3)]).unwrap();
    rig.apply(&[at(C)]).unwrap();
    rig.inject(1, &from(SITE_B, 1));
    rig.inject(1, &from(SITE_C, 2));
    let events = rig.settle();
    assert_eq!((lengths(&rig.collect(0)), source_misses(&events)), (vec![43, 44], 0));
    rig.pass(2_100_000_000);
    rig.inject(1, &from(SITE_B, 3));
    let events = rig.settle();
    assert_eq!((rig.counter("held"), source_misses(&events)), (1, 1), "not for ever");
    rig.apply(&[at(C)]).unwrap();
    rig.settle();
    assert_eq!(rig.counter("drop_rloc_spoof"), 1);
    // A prefix does not move.
    rig.apply(&[eid("10.1.2.0/24", EidAction::Remote { set: C, classes: None })]).unwrap();
    rig.inject(1, &from_b(AGENT, 1));
    assert_eq!(source_misses(&rig.settle()), 1);
    rig.pass(4_000_000_000);
    assert_balanced(&rig);
}

#[test]
fn nothing_is_relayed_to_where_it_came_from() {
    let mut rig = mobile_site();
    install(&mut rig, EidAction::Away { set: 3 });
    rig.inject(1, &relayed(from_b(AGENT, 1), 2));
    rig.settle();
    assert_eq!((rig.counter("held"), rig.counter("relayed")), (1, 0));
    // What others send for it is not kept waiting by that.
    rig.inject(0, &udp("10.1.0.5", AGENT, 64, 2));
    rig.settle();
    assert_eq!(rig.collect(1).len(), 1);
    // It is back.
    install(&mut rig, here(HOST));
    rig.inject(1, &from_b(AGENT, 3));
    rig.settle();
    assert_eq!(lengths(&rig.collect(0)), [1, 3].map(|len| 42 + len));
    // It went there again, and that site did not know yet: after a moment it does.
    install(&mut rig, EidAction::Away { set: 3 });
    rig.inject(1, &from_b(AGENT, 1));
    rig.settle();
    assert_eq!((rig.counter("held"), rig.collect(1).len()), (1, 0));
    rig.pass(10_000_000);
    let marks: Vec<_> = rig.collect(1).iter().map(|frame| frame[45]).collect();
    assert_eq!(marks, [1]);
    // Twice and no more: then it waits for an answer.
    rig.inject(1, &relayed(from_b(AGENT, 1), 2));
    rig.settle();
    rig.pass(4_000_000_000);
    assert_eq!((rig.counter("drop_hold_expired"), rig.collect(1).len()), (1, 0));
    assert_balanced(&rig);
}

#[test]
fn what_the_new_site_sent_on_before_it_knew_of_its_agent_goes_back_there() {
    let mut rig = mobile_site();
    install(&mut rig, EidAction::Away { set: C });
    // Of an agent at site B, sent to site C, which sent it on to us.
    let by_c = |times| relayed(tunnelled(SITE_C, 100, &udp("10.1.2.9", AGENT, 64, 1)[14..]), times);
    rig.inject(1, &by_c(1));
    rig.settle();
    assert_eq!((rig.counter("held"), rig.collect(1).len()), (1, 0));
    rig.pass(10_000_000);
    let marks: Vec<_> = rig.collect(1).iter().map(|frame| frame[45]).collect();
    assert_eq!((marks, rig.counter("held")), (vec![2], 0));
    // What is no relayed frame is none of its.
    rig.inject(1, &tunnelled(SITE_C, 100, &udp("10.1.2.9", AGENT, 64, 1)[14..]));
    rig.settle();
    confirm(&mut rig);
    assert_eq!(rig.counter("drop_rloc_spoof"), 1);
    assert_balanced(&rig);
}

#[test]
fn a_packet_is_relayed_twice_at_most_and_its_ttl_ends_it_too() {
    let mut rig = mobile_site();
    install(&mut rig, EidAction::Away { set: C });
    for times in [0, 1, 2, 3, 255] {
        rig.inject(1, &relayed(from_b(AGENT, usize::from(times)), times));
    }
    rig.settle();
    let marks: Vec<_> = rig.collect(1).iter().map(|frame| frame[45]).collect();
    assert_eq!((marks, rig.counter("drop_relay_limit")), (vec![1, 2], 3));
    rig.inject(1, &tunnelled(SITE_B, 100, &udp("10.1.2.9", AGENT, 1, 1)[14..]));
    rig.settle();
    assert_eq!(rig.counter("drop_ttl_exceeded"), 1);
    assert_balanced(&rig);
}

#[test]
fn only_proved_sources_are_relayed() {
    let mut rig = mobile_site();
    install(&mut rig, EidAction::Away { set: C });
    rig.inject(1, &tunnelled("198.51.100.1", 100, &udp("10.1.2.9", AGENT, 64, 1)[14..]));
    rig.settle();
    confirm(&mut rig);
    assert_eq!((rig.counter("drop_rloc_spoof"), rig.counter("relayed")), (1, 0));
    assert_balanced(&rig);
}

//------------ source check ----------------------------------------------------------------------------------

#[test]
fn a_relays_frames_pass_for_that_agent_only_and_only_while_allowed() {
    let mut rig = mobile_site();
    install(&mut rig, here(HOST));
    let by_c = |to: &str| tunnelled(SITE_C, 100, &udp("10.1.2.9", to, 64, 1)[14..]);
    rig.apply(&[allow(AGENT, SITE_C)]).unwrap();
    rig.inject(1, &by_c(AGENT));
    rig.inject(1, &by_c("10.1.0.5"));
    rig.settle();
    confirm(&mut rig);
    assert_eq!((rig.collect(0).len(), rig.counter("drop_rloc_spoof")), (1, 1));
    rig.apply(&[Update::RelayForbid { iid: iid(), eid: address(AGENT), from: address(SITE_C) }]).unwrap();
    rig.inject(1, &by_c(AGENT));
    rig.settle();
    assert_eq!((rig.collect(0).len(), rig.counter("drop_rloc_spoof")), (0, 2));
    assert_balanced(&rig);
}

#[test]
fn a_relayed_frame_may_come_before_its_permission() {
    let mut rig = mobile_site();
    install(&mut rig, here(HOST));
    let by_c = |len| relayed(tunnelled(SITE_C, 100, &udp("10.1.2.9", AGENT, 64, len)[14..]), 1);
    rig.inject(1, &by_c(1));
    let events = rig.settle();
    assert_eq!((rig.counter("held"), source_misses(&events)), (1, 0));
    rig.apply(&[allow(AGENT, SITE_C)]).unwrap();
    rig.inject(1, &by_c(2));
    rig.settle();
    assert_eq!(lengths(&rig.collect(0)), [43, 44], "in order");
    rig.apply(&[Update::RelayForbid { iid: iid(), eid: address(AGENT), from: address(SITE_C) }]).unwrap();
    rig.inject(1, &by_c(3));
    rig.settle();
    rig.pass(4_000_000_000);
    assert_eq!(rig.counter("drop_rloc_spoof"), 1);
    // Where no agents come and go, there is nothing to wait for.
    rig.inject(1, &relayed(tunnelled(SITE_C, 100, &udp("10.1.0.6", "10.1.0.5", 64, 1)[14..]), 1));
    rig.settle();
    assert_eq!(rig.counter("drop_rloc_spoof"), 2);
    assert_balanced(&rig);
}

/// Site B's agent sends from site C.
fn moved(len: usize) -> Vec<u8> {
    tunnelled(SITE_C, 100, &udp("10.1.2.9", "10.1.0.5", 64, len)[14..])
}

#[test]
fn a_source_that_may_have_moved_waits_for_its_entry_to_be_written_again() {
    let mut rig = mobile_site();
    rig.pass(2_000_000_000);
    rig.inject(1, &moved(1));
    rig.inject(1, &moved(2));
    let events = rig.settle();
    assert_eq!((source_misses(&events), rig.counter("held")), (1, 2));
    // What comes from where it was is not delayed by that.
    rig.inject(1, &from_b("10.1.0.5", 3));
    rig.settle();
    assert_eq!(lengths(&rig.collect(0)), [45]);
    rig.apply(&[eid("10.1.2.9/32", EidAction::Remote { set: C, classes: None })]).unwrap();
    rig.inject(1, &moved(4));
    rig.settle();
    assert_eq!(lengths(&rig.collect(0)), [1, 2, 4].map(|len| 42 + len), "in order");
    assert_eq!(rig.counter("drop_rloc_spoof"), 0);
    assert_balanced(&rig);
}

#[test]
fn the_first_answer_about_a_source_is_asked_for_again_if_it_speaks_against_it() {
    let mut rig = mobile_site();
    rig.pass(2_000_000_000);
    let from_c = |source: &str, len| tunnelled(SITE_C, 100, &udp(source, "10.1.0.5", 64, len)[14..]);
    let answer = |eid_of: &str, set| eid(eid_of, EidAction::Remote { set, classes: None });
    for source in ["10.1.3.8", "10.1.3.9"] {
        rig.inject(1, &from_c(source, 1));
        rig.inject(1, &from_c(source, 2));
        assert_eq!(source_misses(&rig.settle()), 1);
        rig.apply(&[answer(&format!("{source}/32"), 3)]).unwrap();
        rig.inject(1, &from_c(source, 3));
        assert_eq!(source_misses(&rig.settle()), 1, "its packets may have overtaken the news");
    }
    assert_eq!((rig.counter("drop_rloc_spoof"), rig.counter("held")), (0, 6));
    rig.apply(&[answer("10.1.3.8/32", C), answer("10.1.3.9/32", 3)]).unwrap();
    rig.settle();
    assert_eq!(lengths(&rig.collect(0)), [43, 44, 45], "one moved");
    assert_eq!((rig.counter("drop_rloc_spoof"), rig.counter("held")), (3, 0), "and one did not");
    assert_balanced(&rig);
}

#[test]
fn a_source_that_moves_again_at_once_loses_nothing() {
    let mut rig = mobile_site();
    for round in 0..20 {
        let (site, here) = if round % 2 == 0 { (C, SITE_C) } else { (3, SITE_B) };
        let from_there = |len| tunnelled(here, 100, &udp("10.1.2.9", "10.1.0.5", 64, len)[14..]);
        // Its first packets overtake the news.
        rig.inject(1, &from_there(2 * round));
        rig.pass(2_000_000);
        rig.apply(&[eid("10.1.2.9/32", EidAction::Remote { set: site, classes: None })]).unwrap();
        rig.inject(1, &from_there(2 * round + 1));
        rig.pass(2_000_000);
        assert_eq!(lengths(&rig.collect(0)), [2 * round, 2 * round + 1].map(|len| 42 + len), "{round}");
    }
    assert_eq!((rig.counter("drop_rloc_spoof"), rig.counter("held")), (0, 0));
    assert_balanced(&rig);
}

#[test]
fn a_forgers_packets_are_refused_when_the_entry_is_confirmed_and_at_once_for_a_second() {
    let mut rig = mobile_site();
    rig.pass(2_000_000_000);
    rig.inject(1, &moved(1));
    assert_eq!(source_misses(&rig.settle()), 1);
    confirm(&mut rig);
    assert_eq!((rig.counter("drop_rloc_spoof"), rig.counter("held")), (1, 0));
    for _ in 0..20 {
        rig.inject(1, &moved(1));
    }
    assert_eq!(source_misses(&rig.settle()), 0);
    assert_eq!(rig.counter("drop_rloc_spoof"), 21);
    rig.pass(1_100_000_000);
    rig.inject(1, &moved(1));
    assert_eq!(source_misses(&rig.settle()), 1, "a second later it may have moved again");
    assert_balanced(&rig);
}

#[test]
fn a_flood_of_forged_packets_asks_once_a_second_and_delays_nobody() {
    let mut rig = mobile_site();
    rig.pass(2_000_000_000);
    let (mut asked, mut sent) = (0, 0);
    for round in 0..30 {
        for _ in 0..60 {
            rig.inject(1, &moved(1));
            sent += 1;
        }
        rig.inject(1, &from_b("10.1.0.5", round));
        asked += source_misses(&rig.pass(100_000_000));
        assert_eq!(lengths(&rig.collect(0)), [42 + round]);
    }
    assert!((3..=4).contains(&asked), "{asked} questions in three seconds, unanswered");
    rig.pass(4_000_000_000);
    assert_eq!(rig.counter("drop_rloc_spoof"), sent, "each is counted for what it is");
    assert_balanced(&rig);
}

#[test]
fn agents_of_ours_and_those_known_to_be_nowhere_may_have_moved_too() {
    let mut rig = mobile_site();
    install(&mut rig, here(HOST));
    rig.apply(&[eid("10.1.3.3/32", EidAction::Negative { action: NegativeAction::Drop })]).unwrap();
    let from = |source: &str| tunnelled(SITE_C, 100, &udp(source, "10.1.0.5", 64, 1)[14..]);
    // What is served here by configuration stays refused.
    rig.inject(1, &from("10.1.0.77"));
    for source in [AGENT, "10.1.3.3"] {
        rig.inject(1, &from(source));
    }
    assert_eq!(source_misses(&rig.settle()), 2);
    assert_eq!((rig.counter("drop_rloc_spoof"), rig.counter("held")), (1, 2));
    install(&mut rig, EidAction::Away { set: C });
    rig.apply(&[eid("10.1.3.3/32", EidAction::Remote { set: C, classes: None })]).unwrap();
    rig.settle();
    assert_eq!(rig.collect(0).len(), 2);
    assert_balanced(&rig);
}

#[test]
fn a_full_share_lets_a_packet_wait_for_its_second_answer() {
    let mut rig = mobile_site();
    rig.apply(&[eid("10.1.0.8/32", local())]).unwrap();
    // As many as suspects of a group may be, all from sources that nothing is known of.
    for host in 0..64 {
        rig.inject(1, &tunnelled(SITE_B, 100, &udp(&format!("10.1.3.{host}"), "10.1.0.8", 64, 1)[14..]));
    }
    rig.settle();
    assert_eq!(rig.counter("held"), 64);
    rig.apply(&[eid("10.1.3.0/24", EidAction::Remote { set: 3, classes: None })]).unwrap();
    rig.settle();
    // Half of them wait for the host: an eighth of the pool, which is one key's. The others stay where they are.
    assert_eq!((rig.counter("held"), rig.counter("held_total")), (64, 64));
    assert_eq!(rig.counter("drop_hold_full"), 0);
    rig.inject(0, &arp(2, HOST, [10, 1, 0, 8], [10, 1, 0, 1]));
    rig.settle();
    assert_eq!(rig.collect(0).iter().filter(|frame| frame[12..14] == [8, 0]).count(), 64);
    assert_balanced(&rig);
}

//------------ errors from the far gateway -------------------------------------------------------------------

/// An ICMP error of this type from the gateway address, out of site B's tunnel, about a packet of 10.1.0.5.
fn error_from_b(kind: u8, quoted_source: &str, quoted_destination: &str) -> Vec<u8> {
    let quoted = udp(quoted_source, quoted_destination, 63, 20);
    let mut packet = ping("10.1.0.1", "10.1.0.5")[14..34].to_vec();
    let mut icmp = vec![kind, 1, 0, 0, 0, 0, 0, 0];
    icmp.extend(&quoted[14..]);
    let sum = sterna_wire::checksum::fold(sterna_wire::checksum::sum(&icmp));
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let len = (packet.len() + icmp.len()) as u16;
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet[10..12].fill(0);
    let sum = sterna_wire::checksum::fold(sterna_wire::checksum::sum(&packet));
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(icmp);
    tunnelled(SITE_B, 100, &packet)
}

#[test]
fn the_far_gateway_may_tell_of_what_was_sent_there() {
    let mut rig = mobile_site();
    rig.pass(2_000_000_000);
    for kind in [3, 11, 12] {
        rig.inject(1, &error_from_b(kind, "10.1.0.5", "10.1.2.9"));
    }
    rig.settle();
    assert_eq!(rig.collect(0).len(), 3);
    let refused = [
        error_from_b(5, "10.1.0.5", "10.1.2.9"), // a redirect is nothing a tunnel tells of
        error_from_b(0, "10.1.0.5", "10.1.2.9"), // no error
        error_from_b(3, "10.1.0.6", "10.1.2.9"), // about a packet of another agent
        error_from_b(3, "10.1.0.5", "10.1.77.1"), // about one that went elsewhere
        error_from_b(3, "10.1.0.5", "10.1.0.6"), // or nowhere outside
    ];
    for frame in &refused {
        rig.inject(1, frame);
    }
    let events = rig.settle();
    assert_eq!((rig.collect(0).len(), rig.counter("drop_rloc_spoof")), (0, refused.len() as u64));
    assert_eq!(source_misses(&events), 0, "the gateway's address is never asked for");
    assert_balanced(&rig);
}

//------------ questions, marks, what is known ---------------------------------------------------------------

fn check(rig: &mut Rig, host: &str) -> Vec<Event> {
    rig.apply(&[Update::AgentCheck { iid: iid(), eid: address(host) }]).unwrap().0
}

fn requests(rig: &Rig) -> usize {
    rig.collect(0).iter().filter(|frame| frame[12..14] == [8, 6] && frame[21] == 1).count()
}

#[test]
fn an_agent_that_answers_is_there_and_one_that_does_not_is_gone() {
    let mut rig = mobile_site();
    install(&mut rig, here(HOST));
    let gone = Event::AgentGone { iid: iid(), eid: address(AGENT) };
    assert!(check(&mut rig, AGENT).is_empty());
    assert!(rig.settle().is_empty());
    assert_eq!(requests(&rig), 1);
    rig.pass(60_000_000);
    assert_eq!(requests(&rig), 1, "the second try");
    rig.inject(0, &arp(2, HOST, [10, 1, 5, 5], [10, 1, 0, 1]));
    let events = rig.settle();
    let agent = Event::Agent { iid: iid(), eid: address(AGENT), mac: Mac(HOST), port: 0, vlan: None };
    assert_eq!(events, [agent]);
    assert!(rig.pass(1_000_000_000).is_empty());
    assert_eq!(requests(&rig), 0, "and no third");
    // Silence: three questions, 60 ms apart.
    check(&mut rig, AGENT);
    let mut events = Vec::new();
    for _ in 0..100 {
        events.extend(rig.pass(1_000_000));
        rig.inject(0, &arp(1, [2, 9, 9, 9, 9, 9], [10, 1, 0, 66], [10, 1, 0, 1]));
    }
    events.retain(|event| *event == gone);
    assert_eq!((events, requests(&rig)), (vec![gone], 3));
    assert_eq!(check(&mut rig, "10.1.77.7"), [Event::AgentGone { iid: iid(), eid: address("10.1.77.7") }]);
    assert_balanced(&rig);
}

/// Events of half a second, in small steps.
fn half_a_second(rig: &mut Rig) -> Vec<Event> {
    (0..50).flat_map(|_| rig.pass(8_000_000)).collect()
}

#[test]
fn an_agent_that_is_said_to_be_elsewhere_is_asked_for_where_it_would_be() {
    let entries = [None, Some(EidAction::Remote { set: 3, classes: None }), Some(EidAction::Away { set: C })];
    for entry in entries.into_iter().chain([Some(EidAction::Negative { action: NegativeAction::Drop })]) {
        let mut rig = mobile_site();
        if let Some(entry) = entry {
            install(&mut rig, entry);
        }
        assert_eq!(check(&mut rig, AGENT), [], "{entry:?}");
        rig.inject(0, &udp(AGENT, "10.1.2.9", 64, 1));
        let data = rig.settle();
        assert!(
            !data.iter().any(|event| matches!(event, Event::Agent { .. })),
            "what it sent is no answer: {data:?}"
        );
        assert_eq!(requests(&rig), 1);
        rig.inject(0, &arp(2, HOST, [10, 1, 5, 5], [10, 1, 0, 1]));
        let events = rig.settle();
        let agent = Event::Agent { iid: iid(), eid: address(AGENT), mac: Mac(HOST), port: 0, vlan: None };
        assert!(events.contains(&agent), "{entry:?}: {events:?}");
        // Nobody there.
        assert_eq!(check(&mut rig, AGENT), []);
        let gone = Event::AgentGone { iid: iid(), eid: address(AGENT) };
        let gone = half_a_second(&mut rig).into_iter().filter(|event| *event == gone).count();
        assert_eq!((gone, requests(&rig)), (1, 3), "{entry:?}");
    }
}

/// A host on the agent's link with another Ethernet address.
const RIVAL: [u8; 6] = [2, 6, 6, 6, 6, 6];

#[test]
fn whoever_speaks_as_an_admitted_agent_from_another_mac_is_told_of_at_a_bounded_rate() {
    let mut rig = mobile_site();
    install(&mut rig, here(HOST));
    let mut spoofed = udp(AGENT, "10.1.2.9", 64, 1);
    spoofed[6..12].copy_from_slice(&RIVAL);
    for _ in 0..50 {
        rig.inject(0, &spoofed);
        rig.inject(0, &udp(AGENT, "10.1.2.9", 64, 2));
    }
    let events = rig.settle();
    assert_eq!(attaches(&events), [(address(AGENT), Mac(RIVAL), AttachProof::Data)]);
    assert_eq!((rig.collect(1).len(), rig.counter("held")), (100, 0), "nothing changes before it is settled");
    rig.inject(0, &udp(AGENT, "10.1.2.9", 64, 3));
    assert_eq!(attaches(&rig.pass(1_000_000_000)), [], "its own packets say nothing");
    // From our own address, and outside the ranges, nobody attaches.
    spoofed[6..12].copy_from_slice(&GATEWAY);
    rig.inject(0, &spoofed);
    let mut other = udp("10.1.0.5", "10.1.2.9", 64, 1);
    other[6..12].copy_from_slice(&RIVAL);
    rig.inject(0, &other);
    assert_eq!(attaches(&rig.settle()), []);
    assert_balanced(&rig);
}

#[test]
fn an_admitted_agent_keeps_its_eid_while_it_answers() {
    let mut rig = mobile_site();
    install(&mut rig, here(HOST));
    let verdicts = |events: Vec<Event>| -> Vec<Event> {
        let is_verdict = |event: &Event| matches!(event, Event::Agent { .. } | Event::AgentGone { .. });
        events.into_iter().filter(is_verdict).collect()
    };
    let agent = |mac| Event::Agent { iid: iid(), eid: address(AGENT), mac: Mac(mac), port: 0, vlan: None };
    let answer = |mac| arp(2, mac, [10, 1, 5, 5], [10, 1, 0, 1]);
    // Both answer, the rival first.
    check(&mut rig, AGENT);
    rig.inject(0, &answer(RIVAL));
    assert_eq!(verdicts(rig.settle()), []);
    rig.inject(0, &answer(HOST));
    assert_eq!(verdicts(rig.settle()), [agent(HOST)]);
    assert_eq!(verdicts(half_a_second(&mut rig)), []);
    // Only the rival answers: known when the agent has had its three questions.
    check(&mut rig, AGENT);
    rig.collect(0);
    rig.inject(0, &answer(RIVAL));
    assert_eq!(verdicts(rig.settle()), []);
    assert_eq!((verdicts(half_a_second(&mut rig)), requests(&rig)), (vec![agent(RIVAL)], 3));
    assert_balanced(&rig);
}

#[test]
fn a_silent_host_of_a_served_prefix_is_forgotten() {
    let mut rig = mobile_site();
    rig.inject(0, &arp(2, HOST, [10, 1, 0, 9], [10, 1, 0, 1]));
    rig.settle();
    check(&mut rig, "10.1.0.9");
    for _ in 0..6 {
        rig.pass(60_000_000);
    }
    rig.collect(0);
    rig.inject(1, &from_b("10.1.0.9", 1));
    rig.settle();
    assert_eq!((requests(&rig), rig.counter("held")), (1, 1), "asked for anew");
    assert_balanced(&rig);
}

#[test]
fn too_many_questions_are_refused() {
    let mut rig = mobile_site();
    let refused = |host: u32| {
        let eid = IpAddr::V4((0x0a01_0000 + host % 200).into());
        Update::AgentCheck { iid: iid(), eid }
    };
    // The same ones again are no new questions.
    let many: Vec<_> = (0..5000).map(refused).collect();
    assert!(rig.apply(&many).unwrap().0.is_empty());
    rig.apply(&[eid("10.8.0.0/16", local())]).unwrap();
    let many: Vec<_> = (0..2000)
        .map(|n| Update::AgentCheck { iid: iid(), eid: IpAddr::V4((0x0a08_0000 + n).into()) })
        .collect();
    let events = rig.apply(&many).unwrap().0;
    assert_eq!(events.len(), 2200 - 1024);
    for _ in 0..10 {
        rig.pass(60_000_000);
    }
    assert!(check(&mut rig, "10.1.77.7").len() == 1, "room again, and no such agent");
    assert_balanced(&rig);
}

#[test]
fn use_and_traffic_are_told_at_their_pace() {
    let mut rig = mobile_site();
    let (mut used, mut sent, mut received) = (Vec::new(), 0, 0);
    let mut strangers = 0;
    for tenth in 0..205 {
        rig.inject(0, &udp("10.1.0.5", "10.1.2.9", 64, 1));
        rig.inject(1, &from_b("10.1.0.5", 1));
        // A forger's traffic keeps nobody alive.
        rig.inject(1, &tunnelled(SITE_C, 100, &udp("10.1.0.6", "10.1.0.5", 64, 1)[14..]));
        for event in rig.pass(98_000_000) {
            match event {
                Event::Used { prefix, .. } if prefix == "10.1.2.0/24".parse().unwrap() => used.push(tenth),
                Event::Traffic { remote, sent: s, received: r } if remote == address(SITE_B) => {
                    sent += usize::from(s);
                    received += usize::from(r);
                }
                _ => strangers += 1,
            }
        }
    }
    assert_eq!((used.len(), strangers), (3, 0), "in 20 s, and only remote entries: {used:?}");
    assert!(used.windows(2).all(|pair| pair[1] - pair[0] >= 99), "ten seconds apart: {used:?}");
    assert!((190..=205).contains(&sent) && (190..=205).contains(&received), "{sent} {received}");
    assert!(rig.pass(15_000_000_000).len() <= 2, "and nothing without packets");
    assert!(rig.pass(15_000_000_000).is_empty());
}

#[test]
fn a_new_control_plane_is_told_what_there_is() {
    let mut rig = mobile_site();
    install(&mut rig, here(HOST));
    rig.apply(&[eid("10.1.5.6/32", EidAction::Away { set: C }), eid("10.1.5.7/32", EidAction::Hold)])
        .unwrap();
    rig.inject(0, &arp(2, HOST, [10, 1, 0, 9], [10, 1, 0, 1]));
    rig.settle();
    rig.begin_session();
    let known = rig.known();
    assert_eq!(known.last(), Some(&Event::KnownEnd));
    let mut sets = std::collections::HashMap::new();
    let mut found = Vec::new();
    for event in &known {
        match *event {
            Event::KnownLocator { set, remote: Some(remote), priority: 1, weight: 100, keep: false } => {
                assert!(sets.insert(set, remote).is_none(), "each set once");
            }
            Event::KnownEid { prefix, action, .. } => found.push((
                prefix.to_string(),
                match action {
                    KnownAction::Remote { set, classes: None } => format!("remote {}", sets[&set]),
                    KnownAction::Away { set } => format!("away {}", sets[&set]),
                    KnownAction::LocalHost { port: 0, vlan: None, mac: Mac(HOST) } => "here".into(),
                    KnownAction::Hold => "hold".into(),
                    other => panic!("{other:?}"),
                },
            )),
            Event::KnownEnd => {}
            other => panic!("{other:?}"),
        }
    }
    found.sort();
    let entry = |prefix: &str, what: &str| (prefix.to_owned(), what.to_owned());
    let expected = [
        entry("10.1.0.5/32", "here"),
        entry("10.1.2.0/24", "remote 192.0.2.2"),
        entry("10.1.5.5/32", "here"),
        entry("10.1.5.6/32", "away 192.0.2.3"),
        entry("10.1.5.7/32", "hold"),
    ];
    assert_eq!(found, expected);
    let agents = rig.agents();
    let has =
        |eid: &str| agents.iter().any(|e| matches!(e, Event::Agent { eid: e, .. } if *e == address(eid)));
    assert!(agents.len() == 3 && has("10.1.0.5") && has(AGENT) && has("10.1.0.9"), "{agents:?}");
    // What the new one does not say again is swept: entries, ranges and permissions.
    rig.apply(&[allow(AGENT, SITE_C), Update::BeginSync { generation: 9 }]).unwrap();
    rig.apply(&site_updates(Some(Mac(CORE)))).unwrap();
    rig.apply(&[Update::EndSync { generation: 9 }]).unwrap();
    assert_eq!(rig.agents().len(), 1, "only the one that spoke for itself");
    rig.inject(0, &udp(AGENT, "10.1.2.9", 64, 1));
    rig.settle();
    assert_eq!(rig.counter("drop_src_not_local"), 1, "no range");
    assert_balanced(&rig);
}
