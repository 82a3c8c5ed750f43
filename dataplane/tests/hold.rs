//! Packets that wait: they leave faster than others can queue behind them, and each question is repeated.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod site;

use site::*;
use std::collections::HashSet;
use sterna_dataplane::rig::{Rig, RigOptions};
use sterna_shm::{EidAction, Event};
use sterna_wire::Mac;

#[test]
fn a_queue_drains_while_its_stream_goes_on() {
    let mut rig = rig();
    rig.apply(&site_updates(None)).unwrap();
    let mut length = 0;
    let mut send = |rig: &Rig, count| {
        for _ in 0..count {
            assert!(rig.inject(0, &udp("10.1.0.5", "10.1.2.9", 64, length)));
            length += 1;
        }
    };
    send(&rig, 32);
    rig.settle();
    assert_eq!(rig.counter("held"), 32);
    rig.apply(&site_updates(Some(Mac(CORE)))).unwrap();
    let mut lengths = Vec::new();
    // Full bursts, one after another, with no time between them.
    for _ in 0..16 {
        send(&rig, 64);
        rig.settle();
        lengths.extend(rig.collect(1).iter().map(Vec::len));
    }
    assert_eq!(rig.counter("held"), 0);
    // What came before the answer reached the worker may find its queue full; nothing after that.
    assert!(rig.counter("drop_hold_full") <= 64, "{}", rig.counter("drop_hold_full"));
    assert!(lengths.windows(2).all(|w| w[0] < w[1]), "in order");
    assert_balanced(&rig);
}

#[test]
fn every_question_is_repeated_however_many_there_are() {
    let mut rig = {
        let small = RigOptions::new(ports());
        Rig::new(&RigOptions { hold_packets: 1024, ..small }).unwrap()
    };
    rig.apply(&site_updates(Some(Mac(CORE)))).unwrap();
    let asked = |events: Vec<Event>| -> HashSet<std::net::IpAddr> {
        events
            .into_iter()
            .filter_map(|e| if let Event::Miss { eid, .. } = e { Some(eid) } else { None })
            .collect()
    };
    for host in 0..200 {
        assert!(rig.inject(0, &udp("10.1.0.5", &format!("10.1.77.{host}"), 64, 1)));
    }
    assert_eq!(asked(rig.settle()).len(), 200);
    let mut again = asked(rig.pass(600_000_000));
    for _ in 0..10 {
        again.extend(asked(rig.pass(2_000_000)));
    }
    assert_eq!(again.len(), 200);
    assert_balanced(&rig);
}

#[test]
fn a_burst_of_fragments_has_a_frame_for_each() {
    let mut rig = site();
    for round in 0..3 {
        // Use some frames up, but too few for a refill.
        for _ in 0..60 {
            rig.inject(0, &udp("10.1.0.5", "10.1.2.9", 64, 1));
        }
        rig.settle();
        for _ in 0..64 {
            // Just too large for the tunnel, and allowed to be split.
            let mut frame = udp("10.1.0.5", "10.1.2.9", 64, 1472);
            frame[20] &= !0x40;
            mend_ipv4(&mut frame);
            rig.inject(0, &frame);
        }
        rig.settle();
        assert_eq!(rig.collect(1).len(), 60 + 128, "round {round}");
    }
    assert_eq!(rig.counter("drop_no_tx_frame"), 0);
    assert_balanced(&rig);
}

#[test]
fn a_full_hold_pool_of_one_group_leaves_the_answered_ones_alone() {
    let mut rig = site();
    for host in 0..255 {
        rig.inject(0, &udp("10.1.0.5", &format!("10.1.77.{host}"), 64, 1));
    }
    rig.inject(0, &udp("10.1.0.5", "10.1.2.9", 64, 1));
    rig.settle();
    assert_eq!(rig.collect(1).len(), 1);
    assert!(rig.counter("drop_hold_full") > 0);
    rig.apply(&[eid("10.1.77.0/24", EidAction::Remote { set: 3, classes: None })]).unwrap();
    rig.settle();
    assert_eq!(rig.counter("held"), 0);
    assert_balanced(&rig);
}

#[test]
fn a_full_share_does_not_keep_a_new_eid_from_being_asked_for() {
    let mut rig = site();
    // A quarter of the pool of 256 is the group's; an eighth of it is one key's.
    for host in 0..64 {
        assert!(rig.inject(0, &udp("10.1.0.5", &format!("10.1.77.{host}"), 64, 1)));
    }
    rig.settle();
    assert_eq!(rig.counter("held"), 64);
    for _ in 0..3 {
        assert!(rig.inject(0, &udp("10.1.0.5", "10.1.78.1", 64, 1)));
    }
    let events = rig.settle();
    assert_eq!(rig.counter("drop_hold_full"), 3);
    assert!(matches!(events[..], [Event::Miss { .. }]), "asked once: {events:?}");
    rig.apply(&[eid("10.1.78.0/24", EidAction::Remote { set: 3, classes: None })]).unwrap();
    assert!(rig.inject(0, &udp("10.1.0.5", "10.1.78.1", 64, 1)));
    rig.settle();
    assert_eq!(rig.collect(1).len(), 1);
    assert_balanced(&rig);
}
