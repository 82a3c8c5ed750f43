//! Hosts that speak where agents may come, until they are admitted.

use super::*;

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
