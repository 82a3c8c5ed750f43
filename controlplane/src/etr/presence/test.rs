use std::time::Duration;

use super::super::Phase;
use super::super::scripted::{Single, eid, iid};
use super::*;

fn gone(single: &mut Single) {
    single.etr.agent_gone(iid(), eid(5), single.now, &mut single.out);
}

fn confirmed(single: &mut Single) {
    single.answer(5);
}

#[test]
fn a_silent_agent_is_asked_once_a_minute_and_stays_while_it_answers() {
    let mut single = Single::with_agent(5);
    for minute in 0..5 {
        single.pass(Duration::from_millis(60_001));
        assert_eq!(single.changes(), [AgentState::Check], "minute {minute}");
        confirmed(&mut single);
        single.confirm_all();
        single.sent();
    }
    assert_eq!(single.phase(5), Some(Phase::Attached));
}

#[test]
fn what_is_heard_of_an_agent_spares_the_question() {
    let mut single = Single::with_agent(5);
    for _ in 0..10 {
        single.pass(Duration::from_secs(30));
        single.see(5);
    }
    assert_eq!(single.changes(), []);
}

#[test]
fn an_agent_that_does_not_answer_is_withdrawn() {
    let mut single = Single::with_agent(5);
    single.pass(Duration::from_millis(60_001));
    single.confirm_all();
    single.sent();
    single.changes();
    gone(&mut single);
    single.tick();
    assert_eq!((single.changes(), single.phase(5)), (vec![AgentState::Release], None));
    assert_eq!(single.registers()[0].records[0].ttl, 0);
    assert_eq!(single.count(Counter::AgentsSilent), 1);
}

#[test]
fn a_report_that_nobody_asked_for_is_checked_first() {
    let mut single = Single::with_agent(5);
    gone(&mut single);
    assert_eq!((single.changes(), single.phase(5)), (vec![AgentState::Check], Some(Phase::Attached)));
    confirmed(&mut single);
    assert_eq!(single.phase(5), Some(Phase::Attached));
    gone(&mut single);
    gone(&mut single);
    assert_eq!((single.changes(), single.phase(5)), (vec![AgentState::Check, AgentState::Release], None));
}

#[test]
fn reports_on_others_change_nothing() {
    let mut single = Single::new();
    gone(&mut single);
    confirmed(&mut single);
    single.etr.attach(iid(), eid(5), single.now, &mut single.out).unwrap();
    single.changes();
    // The dataplane asks for the MAC of an expected agent by itself, and may not find it yet.
    gone(&mut single);
    assert_eq!((single.changes(), single.phase(5)), (vec![], Some(Phase::Expected)));
}

#[test]
fn a_dataplane_that_does_not_report_is_told_again_and_proves_nothing() {
    let mut single = Single::with_agent(5);
    single.pass(Duration::from_secs(61));
    assert_eq!(single.changes(), [AgentState::Check, AgentState::Check]);
    assert_eq!((single.phase(5), single.count(Counter::ChecksUnreported)), (Some(Phase::Attached), 1));
    single.pass(Duration::from_secs(600));
    assert_eq!(single.phase(5), Some(Phase::Attached));
}

#[test]
fn a_dataplane_that_is_dead_gives_its_agents_away_after_three_claims() {
    let mut single = Single::with_agent(5);
    let asker = |nonce| Asker {
        to: "203.0.113.7:4342".parse().unwrap(),
        from: "198.51.100.1".parse().unwrap(),
        nonce,
    };
    let mut said = Vec::new();
    for nonce in 0..3 {
        let agent = single.etr.agents.take(&(iid(), eid(5))).unwrap();
        single.etr.start_check((iid(), eid(5)), agent, Some(asker(nonce)), single.now, &mut single.out);
        single.pass(Duration::from_secs(1));
        said.extend(single.replies().iter().map(|(_, reply)| !reply.records[0].locators.is_empty()));
        single.sent();
    }
    assert_eq!((said, single.phase(5)), (vec![true, true, false], Some(Phase::Held)));
}

#[test]
fn an_agent_given_away_that_speaks_again_before_anybody_took_it_is_back() {
    let mut single = Single::with_agent(5);
    let agent = single.etr.agents.take(&(iid(), eid(5))).unwrap();
    single.etr.hold((iid(), eid(5)), agent, false, single.now, &mut single.out);
    single.see(5);
    assert_eq!(single.phase(5), Some(Phase::Attached));
}
