use std::time::Duration;

use super::super::Phase;
use super::super::scripted::{Single, eid, iid, ip, place, record, settings};
use super::*;

fn attach(single: &mut Single, last: u8) -> Result<(), AttachError> {
    single.etr.attach(iid(), eid(last), single.now, &mut single.out)
}

fn detach(single: &mut Single, last: u8) -> Result<(), AttachError> {
    single.etr.detach(iid(), eid(last), single.now, &mut single.out)
}

#[test]
fn an_attach_is_registered_at_once_without_a_question_to_anybody() {
    let mut single = Single::new();
    attach(&mut single, 5).unwrap();
    assert_eq!(single.changes(), [AgentState::Expect { previous: vec![] }]);
    assert_eq!((single.out.datagrams.len(), single.out.promises.len(), single.registers().len()), (0, 1, 1));
    assert!(!single.registers()[0].eid_notify);
    single.answer(5);
    assert_eq!(single.changes(), [AgentState::Admit { place: place(5), previous: vec![] }]);
    assert_eq!(single.phase(5), Some(Phase::Attached));
}

#[test]
fn what_cannot_be_attached_is_refused_with_a_reason() {
    let mut single = Single::new();
    let cases = [
        ("10.1.16.1", AttachError::Gateway),
        ("10.1.16.0", AttachError::NotAHost),
        ("10.1.0.9", AttachError::OutOfRange),
    ];
    for (eid, error) in cases {
        assert_eq!(single.etr.attach(iid(), ip(eid), single.now, &mut single.out), Err(error));
    }
    let unknown = single.etr.attach(Iid::DEFAULT, eid(5), single.now, &mut single.out);
    assert_eq!(unknown, Err(AttachError::UnknownGroup));
    assert_eq!(detach(&mut single, 5), Err(AttachError::NotAttached));
    assert!(single.out.is_empty());
}

#[test]
fn the_table_of_agents_is_bounded() {
    let mut settings = settings(&["198.51.100.1"]);
    settings.limits.agents = 2;
    let mut single = Single::unstarted(settings);
    assert_eq!((attach(&mut single, 5), attach(&mut single, 6)), (Ok(()), Ok(())));
    assert_eq!((attach(&mut single, 7), attach(&mut single, 5)), (Err(AttachError::Full), Ok(())));
    single.see(8);
    assert_eq!(single.count(Counter::AgentsFull), 1);
}

#[test]
fn a_detached_agent_waits_and_is_withdrawn_when_nobody_takes_it() {
    let mut single = Single::with_agent(5);
    detach(&mut single, 5).unwrap();
    assert_eq!((single.changes(), single.out.datagrams.len()), (vec![AgentState::Hold], 0));
    assert!(single.etr.serves(iid(), eid(5)));
    single.pass(Duration::from_secs(4));
    detach(&mut single, 5).unwrap();
    single.see(5);
    assert_eq!((single.changes(), single.count(Counter::EvidenceWhileLeaving)), (vec![], 1));
    single.pass(Duration::from_millis(1100));
    assert_eq!(single.changes(), [AgentState::Release]);
    let register = single.registers().remove(0);
    assert_eq!((register.records[0].ttl, register.records[0].prefix()), (0, Some((iid(), eid(5).into()))));
    assert_eq!((single.phase(5), single.count(Counter::HoldsExpired)), (None, 1));
}

#[test]
fn a_detached_agent_that_is_attached_again_goes_on_where_it_was() {
    let mut single = Single::with_agent(5);
    detach(&mut single, 5).unwrap();
    attach(&mut single, 5).unwrap();
    let back = AgentState::Admit { place: place(5), previous: vec![] };
    assert_eq!(single.changes(), [AgentState::Hold, back]);
    assert_eq!(single.phase(5), Some(Phase::Attached));
}

#[test]
fn an_agent_that_comes_back_may_have_its_packets_relayed_by_where_it_was() {
    let mut single = Single::with_agent(5);
    single.notify(1 << 40, vec![record(eid(5), &["198.51.100.2"])]);
    single.changes();
    attach(&mut single, 5).unwrap();
    assert_eq!(single.changes(), [AgentState::Expect { previous: vec![ip("198.51.100.2")] }]);
}

#[test]
fn an_order_overrules_a_claim_and_asks_the_host_where_it_is() {
    let mut single = Single::new();
    single.see(5);
    let question = single.question();
    attach(&mut single, 5).unwrap();
    assert_eq!(single.changes(), [AgentState::Expect { previous: vec![] }]);
    let reply = sterna_wire::lisp::control::MapReply { nonce: question.nonce, ..Default::default() };
    assert!(!single.etr.map_reply(&reply, "192.0.2.10:4342".parse().unwrap(), single.now, &mut single.out));
    assert_eq!(single.count(Counter::ClaimsOverruled), 1);
}

#[test]
fn ten_orders_back_and_forth_never_freeze() {
    let mut single = Single::new();
    for turn in 0..10 {
        attach(&mut single, 5).unwrap();
        single.answer(5);
        single.confirm_all();
        assert_eq!(single.phase(5), Some(Phase::Attached), "turn {turn}");
        single.sent();
        detach(&mut single, 5).unwrap();
        single.notify((1 << 40) + turn, vec![record(eid(5), &["198.51.100.2"])]);
        assert_eq!(single.phase(5), Some(Phase::Away), "turn {turn}");
        single.sent();
        single.pass(Duration::from_secs(1));
    }
    assert_eq!(single.count(Counter::ClaimsFrozen), 0);
}
