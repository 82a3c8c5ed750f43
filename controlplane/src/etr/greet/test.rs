use crate::outbox::AgentState;
use std::time::Duration;

use sterna_wire::Mac;

use super::super::Phase;
use super::super::scripted::{Single, eid, iid, ip, place, record};
use super::*;

const OTHER: &str = "198.51.100.2";

/// Where the attacker is: on the same link.
fn rival() -> AgentPlace {
    AgentPlace { mac: Mac([2, 6, 6, 6, 6, 6]), ..place(5) }
}

/// Somebody speaks in the agent's name.
fn spoof(single: &mut Single) {
    let seen = AgentSeen { iid: iid(), eid: eid(5), place: rival() };
    single.etr.attach_seen(seen, single.now, &mut single.out);
}

fn answer(single: &mut Single, place: AgentPlace) {
    single.etr.agent_answered(AgentSeen { iid: iid(), eid: eid(5), place }, single.now, &mut single.out);
}

fn gone(single: &mut Single) {
    single.etr.agent_gone(iid(), eid(5), single.now, &mut single.out);
}

/// A claim by what an attacker sent, at the point where the other gateway is asked.
fn claimed_by_a_spoofer() -> Single {
    let mut single = Single::new();
    spoof(&mut single);
    single.say(&single.question(), eid(5), &[OTHER]);
    assert_eq!((single.changes(), single.phase(5)), (vec![AgentState::Check], Some(Phase::Probing)));
    single
}

/// The other gateway says that the agent is gone there.
fn given_up(single: &mut Single) {
    let probe = single.requests().into_iter().rfind(|(_, request)| request.probe);
    let nonce = probe.unwrap().1.nonce;
    single.reply(nonce, true, record(eid(5), &[]));
}

fn admitted(place: AgentPlace) -> AgentState {
    AgentState::Admit { place, previous: vec![ip(OTHER)] }
}

#[test]
fn a_move_admits_the_host_that_answers_and_never_one_that_only_sent() {
    let mut single = claimed_by_a_spoofer();
    given_up(&mut single);
    assert_eq!((single.changes(), single.phase(5)), (vec![AgentState::Check], Some(Phase::Greeting)));
    assert!(single.registers().is_empty(), "nothing is registered before");
    spoof(&mut single);
    answer(&mut single, place(5));
    assert_eq!((single.changes(), single.phase(5)), (vec![admitted(place(5))], Some(Phase::Attached)));
    assert!(single.registers()[0].eid_notify);
    assert_eq!(single.count(Counter::ClaimsMoved), 1);
}

#[test]
fn a_host_that_answered_while_the_other_gateway_looked_for_it_is_admitted_at_once() {
    let mut single = claimed_by_a_spoofer();
    answer(&mut single, place(5));
    spoof(&mut single);
    assert_eq!((single.changes(), single.phase(5)), (vec![], Some(Phase::Probing)));
    given_up(&mut single);
    assert_eq!(single.changes(), [admitted(place(5))]);
}

#[test]
fn a_claim_for_a_host_that_answers_nowhere_is_refused() {
    let mut single = claimed_by_a_spoofer();
    given_up(&mut single);
    single.changes();
    // The first report may be of a question that began before the host came.
    gone(&mut single);
    assert_eq!((single.changes(), single.phase(5)), (vec![AgentState::Check], Some(Phase::Greeting)));
    gone(&mut single);
    assert_eq!((single.changes(), single.phase(5)), (vec![], None));
    assert!(single.registers().is_empty());
    assert_eq!(single.count(Counter::ClaimsSilent), 1);
    spoof(&mut single);
    assert_eq!(single.count(Counter::ClaimsTooSoon), 1);
}

#[test]
fn a_dataplane_that_does_not_report_admits_nobody() {
    let mut single = claimed_by_a_spoofer();
    given_up(&mut single);
    single.pass(Duration::from_secs(1));
    assert_eq!((single.phase(5), single.count(Counter::ClaimsSilent)), (None, 1));
}

#[test]
fn behind_a_silent_gateway_the_host_must_answer_before_the_map_server_is_told() {
    let mut single = claimed_by_a_spoofer();
    single.pass(Duration::from_millis(1001));
    assert_eq!(single.phase(5), Some(Phase::Greeting));
    assert!(single.registers().is_empty());
    answer(&mut single, place(5));
    assert_eq!(single.phase(5), Some(Phase::Registering));
    single.changes();
    single.confirm_all();
    assert_eq!(single.changes(), [admitted(place(5))]);
}

#[test]
fn an_attached_agent_stays_where_it_is_while_it_answers() {
    let mut single = Single::with_agent(5);
    for _ in 0..10 {
        spoof(&mut single);
    }
    assert_eq!((single.changes(), single.count(Counter::Disputes)), (vec![AgentState::Check], 1));
    single.answer(5);
    assert_eq!((single.changes(), single.phase(5)), (vec![], Some(Phase::Attached)));
    spoof(&mut single);
    assert_eq!(single.changes(), [AgentState::Check]);
}

#[test]
fn an_attached_agent_whose_place_another_host_answers_from_is_there() {
    let mut single = Single::with_agent(5);
    spoof(&mut single);
    single.changes();
    answer(&mut single, rival());
    assert_eq!(single.changes(), [AgentState::Admit { place: rival(), previous: vec![] }]);
    assert_eq!(single.phase(5), Some(Phase::Attached));
}

#[test]
fn a_dispute_that_nobody_answers_changes_nothing_and_keeps_nobody_alive() {
    let mut single = Single::with_agent(5);
    for second in 0..59 {
        spoof(&mut single);
        if second % 2 == 0 {
            gone(&mut single);
        }
        single.pass(Duration::from_secs(1));
    }
    assert_eq!((single.phase(5), single.count(Counter::AgentsSilent)), (Some(Phase::Attached), 0));
    single.changes();
    single.pass(Duration::from_millis(1100));
    assert_eq!(single.changes(), [AgentState::Check], "silent for a minute");
    gone(&mut single);
    assert_eq!((single.phase(5), single.count(Counter::AgentsSilent)), (None, 1));
}

#[test]
fn an_expected_agent_is_asked_before_what_was_sent_for_it_counts() {
    let mut single = Single::new();
    single.etr.attach(iid(), eid(5), single.now, &mut single.out).unwrap();
    single.changes();
    spoof(&mut single);
    assert_eq!((single.changes(), single.phase(5)), (vec![AgentState::Check], Some(Phase::Expected)));
    single.answer(5);
    assert_eq!(single.changes(), [AgentState::Admit { place: place(5), previous: vec![] }]);
}
