//! Skills: one EID that agents of several sites have at the same time, each an instance of its own.

use super::peers::*;
use crate::outbox::Outbox;
use crate::server::*;
use std::time::Duration;
use sterna_wire::lisp::control::acx::{Acx, AgentState, Scope, Scoped, StatusCode};
use sterna_wire::lisp::control::{LocatorRecord, MapRegister};

const SKILL: &str = "10.1.200.1/32";

fn with_skills(name: &str) -> SiteSettings {
    SiteSettings { skills: vec![(iid(100), prefix("10.1.200.0/28"))], ..site(name, "10.1.0.0/16") }
}

fn two() -> ServerSettings {
    settings(&[with_skills("site-a"), with_skills("site-b"), site("site-c", "10.1.0.0/16")])
}

/// A server with the skill at 198.51.100.1 (site-a) and 198.51.100.2 (site-b).
fn shared() -> (World, Peer, Peer) {
    let mut world = World::new(two());
    let mut a = Peer::of("site-a", "198.51.100.1");
    let mut b = Peer::of("site-b", "198.51.100.2");
    a.registers(&mut world, &[SKILL]);
    let merging = MapRegister { merge: true, ..b.register(&[SKILL]) };
    b.send(&mut world, &merging);
    (world, a, b)
}

fn names(addresses: Vec<std::net::IpAddr>) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

#[test]
fn several_sites_hold_a_skill_with_and_without_merge_bit_and_nobody_moves() {
    let (mut world, mut a, mut b) = shared();
    assert_eq!(names(world.registered(SKILL)), ["198.51.100.1", "198.51.100.2"]);
    assert_eq!((world.server.counters().moves, world.refusals()), (0, vec![]));
    let mut itr = Peer::of("nobody", "203.0.113.1");
    assert_eq!(order(&itr.resolves(&mut world, SKILL)[0]), [("1".to_owned(), 1), ("2".to_owned(), 1)]);
    // Each finds itself in its answer, first; refreshing changes nothing, however often and claimed.
    for _ in 0..10 {
        for peer in [&mut a, &mut b] {
            let claim = MapRegister { eid_notify: true, ..peer.register(&[SKILL]) };
            let sent = peer.send(&mut world, &claim);
            assert_eq!(sent.len(), 1, "nobody else is told");
            assert_eq!(addresses(&peer.confirmation(&sent, claim.nonce)[0])[0], peer.address());
        }
    }
    assert_eq!((world.server.counters().moves, world.refusals()), (0, vec![]));
    // One goes, the other stays.
    let withdrawal = a.withdrawal(&[SKILL]);
    let left = a.confirmation(&a.send(&mut world, &withdrawal), withdrawal.nonce);
    assert_eq!(addresses(&left[0]), [b.address()]);
    assert_eq!(names(world.registered(SKILL)), ["198.51.100.2"]);
    world.pass(Duration::from_secs(181));
    assert_eq!(world.server.registration_count(), 0);
}

#[test]
fn who_does_not_list_it_has_no_part_in_it_and_only_hosts_are_skills() {
    let (mut world, mut a, _) = shared();
    let mut c = Peer::of("site-c", "198.51.100.3");
    let register = c.register(&[SKILL, "10.1.200.0/29", "10.1.0.3/32"]);
    let sent = c.send(&mut world, &register);
    assert_eq!(c.confirmation(&sent, register.nonce).len(), 1);
    let parts = a.register(&["10.1.200.0/28"]);
    assert!(a.send(&mut world, &parts).is_empty());
    assert_eq!(world.refusals(), [("record_foreign", 2), ("skill_foreign", 1)]);
    assert_eq!(names(world.registered(SKILL)), ["198.51.100.1", "198.51.100.2"]);
    let delta = c.delta(1, vec![Scoped::new(whole(SKILL), in_state(AgentState::Failed))]);
    assert_eq!(c.says(&mut world, &delta), (1, StatusCode::Denied));
    assert_eq!(world.refused(Refusal::ContextForeign), 1);
}

#[test]
fn each_instance_keeps_its_attributes_and_the_answer_is_a_list_by_fitness() {
    let (mut world, mut a, mut b) = shared();
    let gpu = a.delta(1, vec![Scoped::new(whole(SKILL), with_hardware(&["gpu"]))]);
    assert_eq!(a.says(&mut world, &gpu), (1, StatusCode::Ok));
    let idle = b.delta(1, vec![Scoped::new(whole(SKILL), loaded(0))]);
    assert_eq!(b.says(&mut world, &idle), (1, StatusCode::Ok));
    let mut itr = Peer::of("nobody", "203.0.113.1");
    let (record, block) = itr.asks(&mut world, SKILL, &for_attributes());
    let block = block.unwrap();
    assert_eq!(order(&record), [("2".to_owned(), 1), ("1".to_owned(), 2)]);
    assert!(block.filtered && block.hash.is_none());
    let said: Vec<_> = block.entries.iter().map(|entry| entry.attributes.clone()).collect();
    assert_eq!(said, [loaded(0), with_hardware(&["gpu"])]);
    let question = Acx { return_attributes: true, ..for_hardware("gpu") };
    let (record, _) = itr.asks(&mut world, SKILL, &question);
    assert_eq!(order(&record), [("1".to_owned(), 1)]);
    // Failed is only one of them.
    let failed = a.delta(2, vec![Scoped::new(whole(SKILL), in_state(AgentState::Failed))]);
    a.says(&mut world, &failed);
    assert_eq!(order(&itr.resolves(&mut world, SKILL)[0]), [("2".to_owned(), 1)]);
    let (record, block) = itr.asks(&mut world, SKILL, &question);
    assert_eq!((record.locators.len(), block.unwrap().status.unwrap().code), (0, StatusCode::NoMatch));
}

#[test]
fn one_rloc_of_two_holders_is_what_the_newer_one_says() {
    let (mut world, mut a, mut b) = shared();
    let both = |peer: &mut Peer, seq, priority, attributes| {
        let here = Scope::Locator { record: 0, locator: 1 };
        let mut register = peer.snapshot(&[SKILL], seq, vec![Scoped::new(here, attributes)]);
        register.records[0].locators.push(LocatorRecord::unicast(ip("198.51.100.50"), priority, 1));
        register
    };
    let from_b = both(&mut b, 1, 3, with_hardware(&["gpu"]));
    b.says(&mut world, &from_b);
    let from_a = both(&mut a, 1, 1, with_hardware(&["npu"]));
    a.says(&mut world, &from_a);
    // site-b's registration is the newer one, though it was not the last to refresh.
    let mut itr = Peer::of("nobody", "203.0.113.1");
    let (_, block) = itr.asks(&mut world, SKILL, &for_attributes());
    let block = block.unwrap();
    assert_eq!(block.entries.len(), 3);
    let third = &block.entries[2];
    assert_eq!((third.score.unwrap().priority, &third.attributes), (3, &with_hardware(&["gpu"])));
}

#[test]
fn an_etr_that_answers_itself_does_not_answer_for_the_others() {
    let mut world = World::new(two());
    for (site, address) in [("site-a", "198.51.100.1"), ("site-b", "198.51.100.2")] {
        let mut peer = Peer::of(site, address);
        let register = MapRegister { proxy_reply: false, ..peer.register(&[SKILL]) };
        peer.send(&mut world, &register);
    }
    let mut itr = Peer::of("nobody", "203.0.113.1");
    assert_eq!(itr.resolves(&mut world, SKILL)[0].locators.len(), 2);
}

#[test]
fn a_skill_has_so_many_holders_and_an_answer_so_many_locators() {
    let mut world = World::new(two());
    let mut first = None;
    for number in 0..260u32 {
        let mut peer =
            Peer::of("site-a", &std::net::Ipv4Addr::from_bits(0xc633_6400 + number + 1).to_string());
        peer.xtr.as_mut().unwrap().xtr_id =
            [[0; 12].as_slice(), &number.to_be_bytes()].concat().try_into().unwrap();
        let register = peer.register(&[SKILL]);
        peer.send(&mut world, &register);
        first.get_or_insert(peer);
    }
    assert_eq!(world.refusals(), [("skill_full", 4)]);
    let mut itr = Peer::of("site-a", "198.51.100.9");
    let (record, block) = itr.asks(&mut world, SKILL, &for_attributes());
    assert_eq!((record.locators.len(), block.unwrap().filtered), (24, true));
    let mut first = first.unwrap();
    let records = first.registers(&mut world, &[SKILL]);
    assert_eq!((addresses(&records[0])[0], records[0].locators.len()), (first.address(), 32));
}

#[test]
fn a_skill_that_is_none_any_more_has_one_holder() {
    let (mut world, _, b) = shared();
    let mut out = Outbox::default();
    let neither = settings(&[site("site-a", "10.1.0.0/16"), site("site-b", "10.1.0.0/16")]);
    world.server.configure(neither, world.now, &mut out);
    assert_eq!(world.registered(SKILL), [b.address()]);
    // And again a skill, of one site only.
    let one = settings(&[with_skills("site-a"), site("site-b", "10.1.0.0/16")]);
    world.server.configure(one, world.now, &mut out);
    assert_eq!(world.server.registration_count(), 0);
}
