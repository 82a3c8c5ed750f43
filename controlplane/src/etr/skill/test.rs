use std::time::Duration;

use sterna_wire::Mac;
use sterna_wire::lisp::control::{EidRecord, LocatorRecord};

use super::super::scripted::{Single, iid, ip, prefix, settings};
use super::*;
use crate::etr::{EtrSettings, Phase};

const SKILL: &str = "10.1.200.3";

fn single() -> Single {
    let base = settings(&["198.51.100.1"]);
    let settings = EtrSettings { skills: vec![(iid(), prefix("10.1.200.0/28"))], ..base };
    let mut single = Single::unstarted(settings);
    single.tick();
    single.confirm_all();
    single.out = Outbox::default();
    single
}

fn place(last: u8) -> AgentPlace {
    AgentPlace { port: 0, vlan: None, mac: Mac([2, 0, 0, 0, 0, last]) }
}

fn see(single: &mut Single, last: u8) {
    let seen = AgentSeen { iid: iid(), eid: ip(SKILL), place: place(last) };
    single.etr.attach_seen(seen, single.now, &mut single.out);
}

fn phase(single: &Single) -> Option<Phase> {
    single.etr.agent(iid(), ip(SKILL)).map(|agent| agent.phase)
}

fn skill_records(single: &Single) -> Vec<(bool, u32)> {
    let all = single.registers();
    let records =
        all.iter().flat_map(|register| register.records.iter().map(|record| (register.merge, record)));
    records
        .filter(|(_, record)| record.prefix().unwrap().1 == prefix("10.1.200.3/32"))
        .map(|(merge, record)| (merge, record.ttl))
        .collect()
}

#[test]
fn who_speaks_as_a_skill_is_here_at_once_and_registered_beside_the_others() {
    let mut single = single();
    see(&mut single, 7);
    assert_eq!(single.changes(), [AgentState::AdmitSkill { place: place(7) }]);
    assert_eq!((phase(&single), single.count(Counter::SkillSeen)), (Some(Phase::Attached), 1));
    assert!(single.requests().is_empty(), "nobody is asked");
    assert_eq!(skill_records(&single), [(true, 1440)]);
    assert!(
        single.registers().iter().all(|register| register.records.len() == 1),
        "no message mixes the two"
    );
    assert!(single.etr.serves(iid(), ip(SKILL)) && single.etr.may_report(iid(), ip(SKILL)));
    // The prefix served here is registered without.
    single.confirm_all();
    single.sent();
    single.pass(Duration::from_secs(61));
    let plain = single.registers().into_iter().find(|register| !register.merge).unwrap();
    assert_eq!(plain.records[0].prefix().unwrap().1, prefix("10.1.0.0/24"));
}

#[test]
fn other_sites_instances_take_nothing_away() {
    let mut single = single();
    see(&mut single, 7);
    let register = single.registers().remove(0);
    // The Map-Server leaves ours out and names another's: perhaps it does not know of skills.
    let other = LocatorRecord::unicast(ip("198.51.100.2"), 1, 100);
    let records = vec![EidRecord { locators: vec![other], ..EidRecord::of(iid(), prefix("10.1.200.3/32")) }];
    single.changes();
    single.notify(register.nonce, records.clone());
    single.notify(1 << 40, records);
    assert_eq!((single.changes(), phase(&single)), (vec![], Some(Phase::Attached)));
    assert_eq!(single.count(Counter::AgentsMoved), 0);
}

#[test]
fn a_second_host_is_refused_while_the_first_answers_and_comes_when_it_does_not() {
    let mut single = single();
    see(&mut single, 7);
    single.changes();
    see(&mut single, 8);
    assert_eq!((single.changes(), single.count(Counter::SkillTaken)), (vec![AgentState::Check], 1));
    // The first one answers.
    let seen = AgentSeen { iid: iid(), eid: ip(SKILL), place: place(7) };
    single.etr.agent_answered(seen, single.now, &mut single.out);
    assert_eq!(single.etr.agent(iid(), ip(SKILL)).unwrap().place, Some(place(7)));
    see(&mut single, 8);
    assert_eq!((single.changes(), single.count(Counter::SkillTaken)), (vec![AgentState::Check], 2));
    // It does not: it is withdrawn, and the other comes.
    single.out = Outbox::default();
    single.etr.agent_gone(iid(), ip(SKILL), single.now, &mut single.out);
    single.tick();
    assert_eq!((single.changes(), skill_records(&single)), (vec![AgentState::Release], vec![(true, 0)]));
    see(&mut single, 8);
    assert_eq!(single.changes(), [AgentState::AdmitSkill { place: place(8) }]);
}

#[test]
fn an_instance_of_another_name_is_refused_and_detaching_makes_room() {
    let mut single = single();
    let attach = |single: &mut Single, name: &str| {
        let agent = (iid(), ip(SKILL));
        single.etr.attach_as(agent, Some(name.to_owned()), single.now, &mut single.out)
    };
    assert_eq!(attach(&mut single, "translator-1"), Ok(()));
    assert_eq!(single.changes(), [AgentState::Expect { previous: vec![] }]);
    assert_eq!(attach(&mut single, "translator-1"), Ok(()), "the same again");
    assert_eq!(attach(&mut single, "translator-2"), Err(AttachError::SkillTaken));
    assert_eq!(single.count(Counter::SkillTaken), 1);
    assert_eq!(single.etr.agent(iid(), ip(SKILL)).unwrap().name.as_deref(), Some("translator-1"));
    // It is seen where it was expected.
    let seen = AgentSeen { iid: iid(), eid: ip(SKILL), place: place(7) };
    single.etr.agent_answered(seen, single.now, &mut single.out);
    assert_eq!(single.changes(), [AgentState::AdmitSkill { place: place(7) }]);
    single.sent();
    single.etr.detach(iid(), ip(SKILL), single.now, &mut single.out).unwrap();
    assert_eq!((single.changes(), skill_records(&single)), (vec![AgentState::Release], vec![(true, 0)]));
    assert_eq!((phase(&single), attach(&mut single, "translator-2")), (None, Ok(())));
}

#[test]
fn only_eids_of_the_skill_are_and_the_silent_are_withdrawn() {
    let mut single = single();
    let seen = AgentSeen { iid: iid(), eid: ip("10.1.200.16"), place: place(7) };
    single.etr.attach_seen(seen, single.now, &mut single.out);
    assert_eq!((single.changes(), single.count(Counter::AttachOutOfRange)), (vec![], 1));
    see(&mut single, 7);
    single.confirm_all();
    single.changes();
    single.pass(Duration::from_secs(60));
    assert_eq!(single.changes(), [AgentState::Check]);
    single.etr.agent_gone(iid(), ip(SKILL), single.now, &mut single.out);
    assert_eq!((single.changes(), phase(&single)), (vec![AgentState::Release], None));
}
