use std::time::Duration;

use sterna_wire::lisp::control::{LispAddress, RequestRecord};

use super::super::Phase;
use super::super::scripted::{Single, eid, iid, ip, prefix, record, request_for};
use super::*;

fn probe(text: &str) -> MapRequest {
    MapRequest { probe: true, ..request_for(text, "203.0.113.7") }
}

/// What a gateway asks that saw the agent.
fn claim(last: u8, nonce: u64) -> MapRequest {
    let source_eid = LispAddress::for_eid(iid(), eid(last));
    MapRequest { probe: true, nonce, source_eid, ..request_for(&format!("{}/32", eid(last)), "203.0.113.7") }
}

/// Whether the only reply says that the agent is here.
fn said(single: &mut Single) -> Option<bool> {
    let replies = single.replies();
    single.sent();
    assert!(replies.len() <= 1);
    replies.first().map(|(_, reply)| {
        assert!(reply.probe);
        !reply.records[0].locators.is_empty()
    })
}

#[test]
fn a_probe_is_answered_from_the_probed_address_which_is_marked() {
    let mut settings = super::super::scripted::settings(&["198.51.100.2", "198.51.100.1"]);
    settings.local_rlocs[0].up = false;
    let mut single = Single::unstarted(settings);
    single.tick();
    single.sent();
    single.request(&probe("10.1.0.0/24"), "203.0.113.7", false);
    let (datagram, reply) = single.replies().remove(0);
    assert_eq!((datagram.from, datagram.to), (Some(ip("198.51.100.1")), "203.0.113.7:4342".parse().unwrap()));
    assert!(reply.probe);
    assert_eq!(reply.nonce, 0x55);
    let all: Vec<_> = reply.records[0]
        .locators
        .iter()
        .map(|locator| (locator.address.rloc().unwrap(), locator.probed, locator.reachable))
        .collect();
    assert_eq!(all, [(ip("198.51.100.1"), true, true), (ip("198.51.100.2"), false, false)]);
}

#[test]
fn the_answer_names_the_prefix_that_was_asked_for() {
    let mut single = Single::new();
    for text in ["10.1.0.0/25", "10.1.0.9/32", "10.1.0.0/24"] {
        single.request(&probe(text), "203.0.113.7", false);
        let (_, reply) = single.replies().remove(0);
        assert_eq!(reply.records[0].prefix(), Some((iid(), prefix(text))));
        assert_eq!(said(&mut single), Some(true));
    }
}

#[test]
fn a_probe_for_what_is_not_here_says_so() {
    let mut single = Single::new();
    single.request(&probe("10.9.0.1/32"), "203.0.113.7", false);
    assert_eq!(said(&mut single), Some(false));
    assert_eq!(single.count(Counter::ProbesNotOurs), 1);
}

#[test]
fn a_probe_of_an_agents_locator_does_not_ask_the_agent() {
    let mut single = Single::with_agent(5);
    single.request(&probe("10.1.16.5/32"), "203.0.113.7", false);
    assert_eq!((said(&mut single), single.changes()), (Some(true), vec![]));
}

#[test]
fn probes_that_get_no_answer_have_a_counter_each() {
    let mut two = probe("10.1.0.0/24");
    two.records.push(RequestRecord::of(iid(), prefix("10.1.0.0/24")));
    let mut name = probe("10.1.0.0/24");
    name.records[0].eid = LispAddress::Name(b"x".to_vec());
    let stray = MapRequest { itr_rlocs: vec![ip("224.0.0.1").into()], ..probe("10.1.0.0/24") };
    let cases = [
        (probe("10.1.0.0/24"), true, Counter::ProbeEncapsulated),
        (two, false, Counter::ProbeRecords),
        (name, false, Counter::RequestNotIp),
        (stray, false, Counter::RequestNoRloc),
    ];
    for (request, ecm, counter) in cases {
        let mut single = Single::new();
        single.request(&request, "203.0.113.7", ecm);
        assert_eq!((single.sent(), single.count(counter)), (vec![], 1), "{counter:?}");
    }
}

#[test]
fn probes_are_limited_apart_from_requests() {
    let mut single = Single::new();
    for _ in 0..1000 {
        single.request(&probe("10.1.0.0/24"), "203.0.113.7", false);
    }
    assert_eq!((single.count(Counter::ProbesAnswered), single.count(Counter::ProbeRate)), (50, 950));
    single.request(&request_for("10.1.0.9/32", "203.0.113.7"), "203.0.113.7", false);
    assert_eq!(single.count(Counter::RequestsAnswered), 1);
    for n in 0..4000_u32 {
        let rloc = format!("203.0.{}.{}", n / 250, 1 + n % 250);
        let probe = MapRequest { itr_rlocs: vec![ip(&rloc).into()], ..probe("10.1.0.0/24") };
        single.request(&probe, &rloc, false);
    }
    assert!(single.count(Counter::ProbeRateTotal) > 0);
}

#[test]
fn a_claim_waits_until_the_host_was_asked() {
    for here in [true, false] {
        let mut single = Single::with_agent(5);
        single.request(&claim(5, 1), "203.0.113.7", false);
        assert_eq!((said(&mut single), single.changes()), (None, vec![crate::outbox::AgentState::Check]));
        if here {
            single.answer(5);
        } else {
            single.etr.agent_gone(iid(), eid(5), single.now, &mut single.out);
        }
        assert_eq!(said(&mut single), Some(here));
        assert_eq!(single.count(Counter::ClaimsUpheld), u64::from(here));
        assert_eq!(single.phase(5), Some(if here { Phase::Attached } else { Phase::Held }));
    }
}

#[test]
fn several_claims_share_one_check() {
    let mut single = Single::with_agent(5);
    for nonce in [1, 2, 2, 3] {
        single.request(&claim(5, nonce), "203.0.113.7", false);
    }
    assert_eq!(single.changes().len(), 1);
    single.answer(5);
    let nonces: Vec<_> = single.replies().iter().map(|(_, reply)| reply.nonce).collect();
    assert_eq!(nonces, [1, 2, 3]);
}

#[test]
fn a_claim_of_what_is_not_attached_here_is_granted_at_once() {
    let mut single = Single::new();
    single.request(&claim(5, 1), "203.0.113.7", false);
    assert_eq!(said(&mut single), Some(false));
    let mut single = Single::with_agent(5);
    single.notify(1 << 40, vec![record(eid(5), &["198.51.100.2"])]);
    single.sent();
    single.request(&claim(5, 1), "203.0.113.7", false);
    assert_eq!(said(&mut single), Some(false));
}

#[test]
fn nobody_claims_an_address_of_a_configured_prefix() {
    let mut single = Single::new();
    let source_eid = LispAddress::for_eid(iid(), ip("10.1.0.9"));
    let claim = MapRequest { source_eid, ..probe("10.1.0.9/32") };
    single.request(&claim, "203.0.113.7", false);
    assert_eq!(said(&mut single), Some(true));
}

#[test]
fn an_order_of_the_api_is_believed_until_the_host_had_time_to_come() {
    let mut single = Single::new();
    single.etr.attach(iid(), eid(5), single.now, &mut single.out).unwrap();
    single.changes();
    single.sent();
    single.request(&claim(5, 1), "203.0.113.7", false);
    assert_eq!((said(&mut single), single.changes()), (Some(true), vec![]));
    single.pass(Duration::from_secs(10));
    single.sent();
    single.request(&claim(5, 2), "203.0.113.7", false);
    assert_eq!((said(&mut single), single.changes()), (None, vec![crate::outbox::AgentState::Check]));
}

#[test]
fn a_leaving_agent_is_given_away_at_once() {
    let mut single = Single::with_agent(5);
    single.etr.detach(iid(), eid(5), single.now, &mut single.out).unwrap();
    single.request(&claim(5, 1), "203.0.113.7", false);
    assert_eq!(said(&mut single), Some(false));
}

#[test]
fn a_flood_of_claims_neither_silences_us_nor_floods_the_hosts() {
    let mut single = Single::new();
    for last in 2..=201 {
        single.see(last);
        single.say(&single.question(), eid(last), &[]);
        single.now += Duration::from_millis(2);
    }
    single.changes();
    single.sent();
    let mut checked = 0;
    for round in 0..10 {
        for last in 2..=201 {
            single.request(&claim(last, round), "203.0.113.7", false);
        }
        checked += single.changes().len();
    }
    // Every agent is upheld or being asked; the first hundred checks are the burst of the limit.
    assert_eq!((checked, single.count(Counter::ClaimsUnjudged)), (100, 0));
    assert_eq!(single.count(Counter::ChecksLimited), 10 * 100);
    assert!(single.replies().iter().all(|(_, reply)| !reply.records[0].locators.is_empty()));
}
