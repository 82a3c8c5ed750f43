//! Agents that leave: what comes for them is held, sent on, and goes no other way.

use super::*;

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
