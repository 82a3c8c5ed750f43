use std::collections::BTreeSet;

use super::super::Phase;
use super::super::scripted::{Single, eid, iid, prefix, settings};
use super::*;

fn assign(single: &mut Single) -> AssignId {
    single.etr.assign(iid(), single.now, &mut single.out).unwrap()
}

fn asked(single: &Single) -> IpAddr {
    single.question().records[0].prefix().unwrap().1.addr()
}

#[test]
fn an_eid_that_nobody_has_is_attached_and_told() {
    let mut single = Single::new();
    let id = assign(&mut single);
    let picked = asked(&single);
    assert_eq!(single.etr.assigned(), []);
    single.say(&single.question(), picked, &[]);
    assert_eq!(single.etr.assigned(), [Assigned { id, iid: iid(), result: Ok(picked) }]);
    assert_eq!(single.etr.assigned(), []);
    assert_eq!(single.etr.agent(iid(), picked).map(|agent| agent.phase), Some(Phase::Expected));
    let register = single.registers().remove(0);
    assert!(!register.eid_notify);
    assert_eq!(register.records[0].prefix(), Some((iid(), picked.into())));
}

#[test]
fn one_that_is_taken_elsewhere_makes_us_ask_for_another_up_to_sixteen_times() {
    let mut single = Single::new();
    let id = assign(&mut single);
    let mut seen = BTreeSet::new();
    while single.etr.assignments.pending.contains_key(&id) {
        seen.insert(asked(&single));
        single.say(&single.question(), asked(&single), &["198.51.100.2"]);
    }
    assert!(seen.len() > 10);
    assert_eq!(single.etr.assigned()[0].result, Err(AttachError::NoFreeEid));
    assert_eq!((single.count(Counter::AssignTaken), single.count(Counter::AssignFailed)), (16, 1));
}

#[test]
fn silence_of_the_mapping_system_is_not_a_free_eid() {
    let mut single = Single::new();
    let id = assign(&mut single);
    single.pass(Duration::from_secs(5));
    assert_eq!(single.etr.assigned(), [Assigned { id, iid: iid(), result: Err(AttachError::NoAnswer) }]);
    assert_eq!(single.etr.agents().count(), 0);
    // Its questions are over.
    let question = single.question();
    let reply = sterna_wire::lisp::control::MapReply { nonce: question.nonce, ..Default::default() };
    assert!(!single.etr.map_reply(&reply, "192.0.2.10:4342".parse().unwrap(), single.now, &mut single.out));
}

#[test]
fn a_small_range_is_given_out_to_the_last_address_and_no_further() {
    let mut settings = settings(&["198.51.100.1"]);
    settings.groups[0].dynamic = vec![prefix("10.1.16.0/29")];
    let mut single = Single::unstarted(settings);
    let mut given = BTreeSet::new();
    for _ in 0..5 {
        assign(&mut single);
        single.say(&single.question(), asked(&single), &[]);
        given.extend(single.etr.assigned().into_iter().map(|assigned| assigned.result.unwrap()));
    }
    // Neither .0 and .7, nor the gateway .1.
    assert_eq!(given, (2..=6).map(eid).collect());
    assert_eq!(single.etr.assign(iid(), single.now, &mut single.out), Err(AttachError::NoFreeEid));
}

#[test]
fn requests_under_way_pick_different_addresses_and_are_bounded() {
    let mut single = Single::new();
    for _ in 0..PENDING {
        assign(&mut single);
    }
    assert_eq!(single.etr.assign(iid(), single.now, &mut single.out), Err(AttachError::Full));
    let picked: BTreeSet<_> = single.etr.assignments.pending.values().map(|pending| pending.eid).collect();
    assert_eq!(picked.len(), PENDING);
    let range = prefix("10.1.16.0/20");
    assert!(picked.iter().all(|(_, eid)| range.contains(*eid)));
}

#[test]
fn without_a_mapping_system_the_address_is_ours_at_once() {
    let mut settings = settings(&["198.51.100.1"]);
    (settings.resolvers, settings.map_servers) = (Vec::new(), Vec::new());
    let mut single = Single::unstarted(settings);
    assign(&mut single);
    assert!(single.etr.assigned()[0].result.is_ok());
}

#[test]
fn a_group_without_ranges_has_nothing_to_give() {
    let mut settings = settings(&["198.51.100.1"]);
    settings.groups[0].dynamic.clear();
    let mut single = Single::unstarted(settings);
    assert_eq!(single.etr.assign(iid(), single.now, &mut single.out), Err(AttachError::OutOfRange));
    assert_eq!(single.etr.assign(Iid::DEFAULT, single.now, &mut single.out), Err(AttachError::UnknownGroup));
}

#[test]
fn ipv6_ranges_work_too() {
    let mut settings = settings(&["198.51.100.1"]);
    settings.groups[0].dynamic = vec![prefix("fd00:64::/64")];
    let mut single = Single::unstarted(settings);
    assign(&mut single);
    assert!(prefix("fd00:64::/64").contains(asked(&single)));
}
