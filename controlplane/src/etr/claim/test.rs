use sterna_wire::lisp::control::{Act, EidRecord, LispAddress, LocatorRecord, MapReply};

use super::super::Phase;
use super::super::scripted::{Single, eid, iid, ip, place, prefix, record, settings};
use super::*;

const OTHER: &str = "198.51.100.2";

fn admitted(previous: &[&str]) -> Vec<AgentState> {
    let previous = previous.iter().map(|text| ip(text)).collect();
    vec![AgentState::Admit { place: place(5), previous }]
}

/// A claim whose EID is at these locators, so that they are asked.
fn probing(locators: &[&str]) -> Single {
    let mut single = Single::new();
    single.see(5);
    single.say(&single.question(), eid(5), locators);
    single
}

/// The probes since the last look.
fn probes(single: &mut Single) -> Vec<(IpAddr, u64)> {
    let all = single.requests();
    single.sent();
    all.into_iter().filter(|(_, request)| request.probe).map(|(to, request)| (to, request.nonce)).collect()
}

#[test]
fn a_claim_asks_for_the_host_with_our_identity_and_locators() {
    let mut single = Single::new();
    single.see(5);
    let question = single.question();
    assert_eq!(question.records[0].prefix(), Some((iid(), prefix("10.1.16.5/32"))));
    assert_eq!(question.itr_rlocs, [LispAddress::from(ip("198.51.100.1"))]);
    assert!(question.xtr.is_some() && !question.records[0].subscribe && !question.probe);
    assert_eq!((single.changes(), single.phase(5)), (vec![], Some(Phase::Asking)));
    // More evidence asks nothing more.
    single.sent();
    single.see(5);
    assert_eq!(single.sent(), []);
}

#[test]
fn what_nobody_has_or_we_have_is_admitted_at_once_and_registered_as_detected() {
    for locators in [&[][..], &["198.51.100.1"], &[OTHER, "198.51.100.1"]] {
        let mut single = Single::new();
        single.see(5);
        single.say(&single.question(), eid(5), locators);
        assert_eq!((single.changes(), single.phase(5)), (admitted(&[]), Some(Phase::Attached)));
        let register = single.registers().remove(0);
        assert!(register.eid_notify && register.want_notify && !register.merge && !register.use_ttl);
        assert_eq!(register.records[0].prefix(), Some((iid(), prefix("10.1.16.5/32"))));
    }
}

#[test]
fn an_eid_in_a_longer_negative_answer_is_free_too() {
    let mut single = Single::new();
    single.see(5);
    let negative = EidRecord { act: Act::NoAction, ..EidRecord::of(iid(), prefix("10.1.16.0/24")) };
    single.reply(single.question().nonce, false, negative);
    assert_eq!(single.phase(5), Some(Phase::Attached));
}

#[test]
fn answers_that_do_not_decide_are_refused() {
    let opaque = LocatorRecord {
        address: LispAddress::Name(b"x".to_vec()),
        ..LocatorRecord::unicast(ip(OTHER), 1, 1)
    };
    let unused = LocatorRecord { priority: 255, ..LocatorRecord::unicast(ip(OTHER), 1, 1) };
    let with = |locator| EidRecord { locators: vec![locator], ..record(eid(5), &[]) };
    let denied = EidRecord { act: Act::DropPolicyDenied, ..record(eid(5), &[]) };
    let cases = [
        (with(opaque), Counter::ClaimsUnverifiable),
        (with(unused), Counter::ClaimsUnverifiable),
        (denied, Counter::ClaimsDenied),
    ];
    for (record, counter) in cases {
        let mut single = Single::new();
        single.see(5);
        single.reply(single.question().nonce, false, record);
        assert_eq!((single.changes(), single.phase(5), single.count(counter)), (vec![], None, 1));
        // Not again within a second.
        single.see(5);
        assert_eq!((single.phase(5), single.count(Counter::ClaimsTooSoon)), (None, 1));
        single.pass(Duration::from_secs(1));
        single.see(5);
        assert_eq!(single.phase(5), Some(Phase::Asking));
    }
}

#[test]
fn a_reply_about_another_eid_decides_nothing() {
    let mut single = Single::new();
    single.see(5);
    let question = single.question();
    single.say(&question, eid(6), &[]);
    assert_eq!((single.phase(5), single.count(Counter::ReplyWrongEid)), (Some(Phase::Asking), 1));
    single.say(&question, eid(5), &[]);
    assert_eq!(single.phase(5), Some(Phase::Attached));
}

#[test]
fn a_reply_with_a_foreign_nonce_is_not_ours() {
    let mut single = Single::new();
    single.see(5);
    let reply = MapReply { nonce: 1, records: vec![record(eid(5), &[])], ..MapReply::default() };
    assert!(!single.etr.map_reply(&reply, "192.0.2.10:4342".parse().unwrap(), single.now, &mut single.out));
    assert_eq!(single.phase(5), Some(Phase::Asking));
}

#[test]
fn the_question_is_repeated_and_every_try_can_be_answered() {
    let mut single = Single::new();
    single.see(5);
    let first = single.question();
    single.pass(Duration::from_millis(750));
    assert_ne!(single.question().nonce, first.nonce);
    single.say(&first, eid(5), &[]);
    assert_eq!(single.phase(5), Some(Phase::Attached));
}

#[test]
fn no_answer_is_not_a_free_eid() {
    let mut single = Single::new();
    single.see(5);
    single.pass(Duration::from_secs(20));
    assert_eq!(
        (single.phase(5), single.changes(), single.count(Counter::ClaimsUnanswered)),
        (None, vec![], 1)
    );
    single.see(5);
    assert_eq!(single.phase(5), Some(Phase::Asking));
}

#[test]
fn without_a_mapping_system_a_host_is_admitted_where_it_speaks() {
    let mut settings = settings(&["198.51.100.1"]);
    (settings.resolvers, settings.map_servers) = (Vec::new(), Vec::new());
    let mut single = Single::unstarted(settings);
    single.see(5);
    assert_eq!(single.changes(), admitted(&[]));
}

#[test]
fn the_gateway_that_has_it_is_asked_in_the_agents_name() {
    let single = probing(&[OTHER]);
    let (to, request) = single.requests().into_iter().find(|(_, request)| request.probe).unwrap();
    assert_eq!((to, request.source_eid.eid()), (ip(OTHER), Some((iid(), eid(5)))));
    assert_eq!(request.records[0].prefix(), Some((iid(), prefix("10.1.16.5/32"))));
    assert_eq!(single.phase(5), Some(Phase::Probing));
}

#[test]
fn an_agent_that_is_still_there_stays_there() {
    let mut single = probing(&[OTHER]);
    let (_, nonce) = probes(&mut single)[0];
    single.answer(5);
    single.changes();
    single.reply(nonce, true, record(eid(5), &[OTHER]));
    assert_eq!((single.changes(), single.phase(5)), (vec![], None), "although somebody answers here too");
    assert_eq!((single.count(Counter::ClaimsRefused), single.sent().len()), (1, 0));
}

#[test]
fn an_agent_that_is_gone_there_is_admitted_at_once() {
    let mut single = probing(&[OTHER]);
    let (_, nonce) = probes(&mut single)[0];
    single.answer(5);
    single.changes();
    single.reply(nonce, true, record(eid(5), &[]));
    assert_eq!((single.changes(), single.phase(5)), (admitted(&[OTHER]), Some(Phase::Attached)));
    assert!(single.registers()[0].eid_notify);
    assert_eq!(single.count(Counter::ClaimsMoved), 1);
}

#[test]
fn all_gateways_of_the_other_site_must_say_that_it_is_gone() {
    let mut single = probing(&[OTHER, "198.51.100.3"]);
    let both = probes(&mut single);
    assert_eq!(both.len(), 2);
    single.reply(both[0].1, true, record(eid(5), &[]));
    assert_eq!(single.phase(5), Some(Phase::Probing));
    // Only the silent one is asked again.
    single.pass(Duration::from_millis(301));
    assert_eq!(probes(&mut single), [both[1]]);
    single.reply(both[1].1, true, record(eid(5), &["198.51.100.3"]));
    assert_eq!((single.phase(5), single.count(Counter::ClaimsRefused)), (None, 1));
}

#[test]
fn a_silent_gateway_has_a_second_and_then_the_map_server_decides() {
    let mut single = probing(&[OTHER]);
    single.pass(Duration::from_millis(999));
    assert_eq!((single.phase(5), probes(&mut single).len()), (Some(Phase::Probing), 4));
    single.answer(5);
    single.changes();
    single.pass(Duration::from_millis(2));
    assert_eq!((single.changes(), single.phase(5)), (vec![], Some(Phase::Registering)));
    let register = single.registers().remove(0);
    assert!(register.eid_notify);
    single.confirm(&register);
    assert_eq!((single.changes(), single.phase(5)), (admitted(&[OTHER]), Some(Phase::Attached)));
}

#[test]
fn a_frozen_eid_stays_where_the_map_server_leaves_it() {
    let mut single = probing(&[OTHER]);
    let (_, nonce) = probes(&mut single)[0];
    single.answer(5);
    single.reply(nonce, true, record(eid(5), &[]));
    single.changes();
    let start = single.now;
    while single.phase(5) == Some(Phase::Attached) {
        for register in single.registers() {
            single.notify(register.nonce, vec![record(eid(5), &[OTHER])]);
        }
        single.sent();
        single.pass(Duration::from_millis(50));
    }
    assert!(single.now - start < Duration::from_secs(5));
    assert_eq!((single.phase(5), single.count(Counter::ClaimsLost)), (Some(Phase::Away), 1));
    single.see(5);
    assert_eq!(single.count(Counter::ClaimsTooSoon), 1);
    single.pass(Duration::from_secs(10));
    single.see(5);
    assert_eq!(single.phase(5), Some(Phase::Asking));
}

#[test]
fn a_claim_that_the_map_server_refuses_is_given_up() {
    let mut single = probing(&[OTHER]);
    single.answer(5);
    single.changes();
    single.pass(Duration::from_millis(1001));
    while single.phase(5) == Some(Phase::Registering) {
        for register in single.registers() {
            single.notify(register.nonce, vec![record(eid(5), &[OTHER])]);
        }
        single.sent();
        single.pass(Duration::from_millis(50));
    }
    assert_eq!((single.phase(5), single.changes(), single.count(Counter::ClaimsLost)), (None, vec![], 1));
    assert!(single.etr.registrations().all(|registration| !registration.prefix.is_host()));
}

#[test]
fn packets_are_sent_on_while_an_agent_that_left_is_claimed_back() {
    let mut single = Single::with_agent(5);
    single.notify(1 << 40, vec![record(eid(5), &[OTHER])]);
    single.changes();
    single.sent();
    single.see(5);
    assert_eq!((single.phase(5), single.changes()), (Some(Phase::Asking), vec![]));
    single.say(&single.question(), eid(5), &[OTHER]);
    let (_, nonce) = probes(&mut single)[0];
    single.reply(nonce, true, record(eid(5), &[OTHER]));
    assert_eq!((single.phase(5), single.changes()), (Some(Phase::Away), vec![AgentState::Check]));
}

#[test]
fn a_relay_that_ended_during_a_claim_is_released_when_the_claim_fails() {
    let mut single = Single::with_agent(5);
    single.notify(1 << 40, vec![record(eid(5), &[OTHER])]);
    single.pass(Duration::from_millis(29_900));
    single.changes();
    single.see(5);
    single.say(&single.question(), eid(5), &[OTHER]);
    let (_, nonce) = probes(&mut single)[0];
    single.changes();
    single.pass(Duration::from_millis(500));
    single.reply(nonce, true, record(eid(5), &[OTHER]));
    assert_eq!((single.phase(5), single.changes()), (None, vec![AgentState::Release]));
}

#[test]
fn hosts_that_may_not_be_agents_have_a_counter_each() {
    let mut single = Single::new();
    let mut see = |iid, text: &str| {
        let seen = AgentSeen { iid, eid: ip(text), place: place(9) };
        single.etr.attach_seen(seen, single.now, &mut single.out);
        single.etr.adopt(seen, single.now, &mut single.out);
    };
    see(sterna_wire::Iid::DEFAULT, "10.1.16.5");
    see(iid(), "10.1.16.1");
    see(iid(), "10.1.16.0");
    see(iid(), "10.9.9.9");
    for counter in [
        Counter::AttachUnknownGroup,
        Counter::AttachGateway,
        Counter::AttachNotAHost,
        Counter::AttachOutOfRange,
    ] {
        assert_eq!(single.count(counter), 2, "{counter:?}");
    }
    assert!(single.out.is_empty());
}

#[test]
fn a_flood_of_new_hosts_is_bounded_in_rate_and_number() {
    let mut settings = settings(&["198.51.100.1"]);
    settings.limits.claims = 50;
    let mut single = Single::unstarted(settings);
    let flood = |single: &mut Single, third: u8| {
        for last in 0..=255 {
            let eid = IpAddr::from([10, 1, third, last]);
            single.etr.attach_seen(
                AgentSeen { iid: iid(), eid, place: place(9) },
                single.now,
                &mut single.out,
            );
        }
    };
    flood(&mut single, 17);
    assert_eq!((single.sent().len(), single.count(Counter::ClaimsFull)), (50, 206));
    let mut settings = super::super::scripted::settings(&["198.51.100.1"]);
    settings.limits.claim_rate = 100;
    let mut single = Single::unstarted(settings);
    flood(&mut single, 17);
    assert_eq!((single.sent().len(), single.count(Counter::ClaimsRate)), (10, 246));
}

#[test]
fn an_agent_that_moves_to_another_port_is_admitted_there() {
    let mut single = Single::with_agent(5);
    let other = crate::outbox::AgentPlace { port: 1, ..place(5) };
    let seen = AgentSeen { iid: iid(), eid: eid(5), place: other };
    single.etr.attach_seen(seen, single.now, &mut single.out);
    assert_eq!(single.changes(), [AgentState::Admit { place: other, previous: vec![] }]);
    assert_eq!(single.sent(), []);
}

#[test]
fn an_adopted_agent_is_admitted_and_registered_without_a_question() {
    let mut single = Single::new();
    let seen = AgentSeen { iid: iid(), eid: eid(5), place: place(5) };
    single.etr.adopt(seen, single.now, &mut single.out);
    assert_eq!((single.changes(), single.registers().len(), single.sent().len()), (admitted(&[]), 1, 1));
    single.etr.adopt(seen, single.now, &mut single.out);
    assert_eq!((single.changes(), single.count(Counter::AgentsAdopted)), (vec![], 1));
}
