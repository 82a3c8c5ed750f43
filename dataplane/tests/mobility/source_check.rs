//! Whose packets may come from where, while agents move and others say that they are one.

use super::*;

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
