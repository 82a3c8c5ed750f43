//! Answers that follow from context: to those who do not speak ACX, to those who compute, to those who want a list;
//! and what a Map-Resolver makes of the answers of a plain Map-Server.

use super::peers::*;
use crate::server::*;
use std::time::Duration;
use sterna_wire::lisp::control::acx::{
    Acx, AgentState, Constraint, Need, Scope, Scoped, StatusCode, hash_of,
};
use sterna_wire::lisp::control::{
    Act, Ecm, EidRecord, LocatorRecord, MapReply, MapRequest, encapsulate_packet,
};

const EID: &str = "10.1.0.7/32";
const LISTED: [(u8, u8); 3] = [(1, 1), (2, 1), (3, 2)];

/// A server with one EID at 198.51.100.1, .2 (priority 1) and .3 (priority 2), and the ETR.
fn three() -> (World, Peer, Peer) {
    let mut world = World::of_two();
    let mut etr = Peer::of("site-a", "198.51.100.1");
    let register = at_three(&mut etr);
    etr.send(&mut world, &register);
    (world, etr, Peer::of("nobody", "203.0.113.1"))
}

fn at_three(etr: &mut Peer) -> sterna_wire::lisp::control::MapRegister {
    let mut register = etr.register(&[EID]);
    let locators = LISTED
        .iter()
        .map(|(last, priority)| LocatorRecord::unicast([198, 51, 100, *last].into(), *priority, 100));
    register.records[0].locators = locators.collect();
    register
}

fn at_locator(last: u8) -> Scope {
    Scope::EidLocator(iid(100), prefix(EID), [198, 51, 100, last].into())
}

fn list(of: &[(u8, u8)]) -> Vec<(String, u8)> {
    of.iter().map(|(last, priority)| (last.to_string(), *priority)).collect()
}

fn says(world: &mut World, etr: &mut Peer, seq: u32, entries: Vec<Scoped>) {
    let delta = etr.delta(seq, entries);
    assert_eq!(etr.says(world, &delta), (seq, StatusCode::Ok));
}

#[test]
fn while_nobody_says_anything_answers_are_byte_for_byte_as_without_context() {
    let (mut world, _, mut itr) = three();
    let request = itr.request(&[EID]);
    let expected = MapReply {
        nonce: request.nonce,
        records: vec![EidRecord {
            locators: LISTED
                .iter()
                .map(|(last, priority)| LocatorRecord::unicast([198, 51, 100, *last].into(), *priority, 100))
                .collect(),
            ..EidRecord::of(iid(100), prefix(EID))
        }],
        ..MapReply::default()
    };
    let sent = itr.ask(&mut world, &request);
    assert_eq!(sent[0].bytes, expected.emit());
    // And still when somebody says something of another EID.
    let mut other = Peer::of("site-b", "198.51.100.9");
    let register = other.snapshot(&["10.1.0.9/32"], 1, vec![Scoped::new(Scope::Message, loaded(1))]);
    other.says(&mut world, &register);
    assert_eq!(itr.ask(&mut world, &request)[0].bytes, expected.emit());
}

#[test]
fn those_who_do_not_speak_acx_are_told_the_order_and_nothing_else() {
    let (mut world, mut etr, mut itr) = three();
    // The score is 275 with nothing said and 300 with a load of 400; one step of priority counts 200.
    says(
        &mut world,
        &mut etr,
        1,
        vec![
            Scoped::new(at_locator(1), loaded(900)),
            Scoped::new(at_locator(3), in_state(AgentState::Failed)),
        ],
    );
    let request = itr.request(&[EID]);
    let sent = itr.ask(&mut world, &request);
    let reply = &itr.replies(&sent)[0];
    assert_eq!((order(&reply.records[0]), reply.tail.len()), (list(&[(2, 1), (1, 2)]), 0));
    assert_eq!((reply.records[0].ttl, reply.records[0].authoritative), (1, false));
    says(&mut world, &mut etr, 2, vec![Scoped::new(whole(EID), in_state(AgentState::Suspended))]);
    says(&mut world, &mut etr, 3, vec![Scoped::new(at_locator(1), in_state(AgentState::Suspended))]);
    let denied = itr.resolves(&mut world, EID).remove(0);
    assert_eq!((denied.act, denied.ttl, denied.locators.len()), (Act::DropPolicyDenied, 1, 0));
    assert!(world.refusals().is_empty());
}

#[test]
fn those_who_compute_are_told_everything_with_the_priorities_as_registered() {
    let (mut world, mut etr, mut itr) = three();
    says(
        &mut world,
        &mut etr,
        1,
        vec![
            Scoped::new(whole(EID), with_hardware(&["gpu"])),
            Scoped::new(at_locator(1), loaded(900)),
            Scoped::new(at_locator(3), in_state(AgentState::Failed)),
        ],
    );
    // Constraints change nothing: the asker computes. So the answer is good for all its classes.
    let constraints = for_hardware("fpga").constraints;
    let (record, block) = itr.asks(&mut world, EID, &Acx { constraints, ..for_attributes() });
    let block = block.unwrap();
    assert_eq!(order(&record), list(&[(1, 2), (2, 1), (3, 255)]));
    assert!(block.reply && block.aware && block.complete && !block.filtered);
    assert_eq!((block.status, block.hash), (None, None));
    let said: Vec<_> = block.entries.iter().map(|entry| entry.attributes.clone()).collect();
    let gpu = with_hardware(&["gpu"]);
    let expected = [gpu.overlaid(&loaded(900)), gpu.clone(), gpu.overlaid(&in_state(AgentState::Failed))];
    assert_eq!(said, expected);
    let priorities: Vec<u8> = block.entries.iter().map(|entry| entry.score.unwrap().priority).collect();
    assert_eq!(priorities, [1, 1, 2]);
    assert_eq!(world.server.counters().filtered, 0);
}

#[test]
fn constraints_without_a_wish_for_attributes_are_answered_with_a_list() {
    let (mut world, mut etr, mut itr) = three();
    says(
        &mut world,
        &mut etr,
        1,
        vec![
            Scoped::new(at_locator(2), with_hardware(&["gpu", "h100"])),
            Scoped::new(at_locator(3), with_hardware(&["gpu"])),
        ],
    );
    let question = for_hardware("gpu");
    let (record, block) = itr.asks(&mut world, EID, &question);
    let block = block.unwrap();
    assert_eq!((order(&record), record.ttl), (list(&[(2, 1), (3, 2)]), 1));
    assert!(block.filtered && !block.complete);
    assert_eq!(block.hash, hash_of(&question.constraints, None));
    let limited = Acx { limit: Some(1), ..question.clone() };
    let (record, block) = itr.asks(&mut world, EID, &limited);
    assert_eq!(order(&record), list(&[(2, 1)]));
    assert_eq!(block.unwrap().hash, hash_of(&question.constraints, Some(1)));
    let (record, block) = itr.asks(&mut world, EID, &for_hardware("fpga"));
    assert_eq!((record.act, record.ttl, record.locators.len()), (Act::DropPolicyDenied, 1, 0));
    let status = block.unwrap().status.unwrap();
    assert_eq!((status.code, world.server.counters().no_matches), (StatusCode::NoMatch, 1));
    // Of what nobody registered there is nothing to filter.
    let (record, block) = itr.asks(&mut world, "10.1.0.99/32", &question);
    assert_eq!((record.act, block.unwrap().status), (Act::NativelyForward, None));
}

#[test]
fn a_question_that_is_not_understood_is_answered_with_that_and_a_malformed_one_as_if_it_were_plain() {
    let (mut world, mut etr, mut itr) = three();
    says(&mut world, &mut etr, 1, vec![Scoped::new(at_locator(1), loaded(900))]);
    let mut tail = for_hardware("gpu").bytes();
    tail.extend([0x88, 0x80, 0, 0]);
    tail[7] += 4;
    let mut reply = |tail: Vec<u8>| {
        let request = MapRequest { tail, ..itr.request(&[EID]) };
        let sent = itr.ask(&mut world, &request);
        itr.replies(&sent).remove(0)
    };
    let answer = reply(tail.clone());
    assert_eq!(order(&answer.records[0]), list(&[(2, 1), (1, 2), (3, 3)]));
    let status = block(&answer.tail).unwrap().status.unwrap();
    assert_eq!((status.code, status.offending), (StatusCode::UnsupportedConstraint, 0x88));
    let length = tail.len() - 4;
    tail[length] = 0x43;
    for tail in [tail, b"not ACX".to_vec()] {
        let answer = reply(tail);
        assert_eq!((order(&answer.records[0]), answer.tail.len()), (list(&[(2, 1), (1, 2), (3, 3)]), 0));
    }
    let refused = [("trailing_unknown", 1), ("context_malformed", 1), ("context_unsupported", 1)];
    assert_eq!(world.refusals(), refused);
}

#[test]
fn a_message_with_context_is_never_longer_than_1400_bytes() {
    let (mut world, mut etr, _) = three();
    let names: Vec<String> = (0..16).map(|number| format!("{number:x>50}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for last in [1, 2, 3] {
        says(&mut world, &mut etr, last.into(), vec![Scoped::new(at_locator(last), with_hardware(&names))]);
    }
    let mut itr = Peer::of("site-a", "198.51.100.2");
    let (record, block) = itr.asks(&mut world, EID, &for_attributes());
    let block = block.unwrap();
    assert_eq!((order(&record), block.filtered, block.complete), (list(&[(1, 1)]), true, true));
    assert_eq!(block.entries[0].attributes, with_hardware(&names));
    assert_eq!(world.refusals(), [("answer_cut", 1)]);
}

#[test]
fn constraints_have_a_rate_of_their_own() {
    let few = ServerSettings { constraint_rate_per_source: 1, ..settings(&[site("site-a", "10.1.0.0/16")]) };
    let mut world = World::new(few);
    let mut itr = Peer::of("nobody", "203.0.113.1");
    let request = MapRequest { tail: for_hardware("gpu").bytes(), ..itr.request(&[EID]) };
    let answered = (0..100).filter(|_| !itr.ask(&mut world, &request).is_empty()).count();
    assert_eq!((answered, world.refused(Refusal::ConstraintRate)), (16, 84));
    let request = itr.request(&[EID]);
    assert_eq!(itr.ask(&mut world, &request).len(), 1, "others are answered");
    let request = MapRequest { tail: for_attributes().bytes(), ..itr.request(&[EID]) };
    assert_eq!(itr.ask(&mut world, &request).len(), 1);
}

/// A resolver in front of 192.0.2.21, and somebody who asks.
fn resolver() -> (World, Peer) {
    let upstreams = vec![Upstream { address: ip("192.0.2.21"), eids: Vec::new() }];
    let world = World::new(ServerSettings { upstreams, ..settings(&[]) });
    (world, Peer::of("nobody", "203.0.113.1"))
}

/// The request that the resolver sent upstream.
fn passed_on(sent: &[crate::outbox::Datagram]) -> MapRequest {
    assert_eq!((sent.len(), sent[0].to), (1, at("192.0.2.21")));
    Ecm::parse(&sent[0].bytes).unwrap().map_request().unwrap()
}

fn plain_answer(nonce: u64) -> MapReply {
    let locators = vec![LocatorRecord::unicast(ip("198.51.100.1"), 1, 100)];
    let record = EidRecord { locators, ..EidRecord::of(iid(100), prefix("10.9.0.0/16")) };
    MapReply { nonce, records: vec![record], ..MapReply::default() }
}

#[test]
fn without_constraints_a_resolver_passes_questions_on_as_they_are() {
    let (mut world, mut itr) = resolver();
    for tail in [Vec::new(), for_attributes().bytes()] {
        let request = MapRequest { tail, ..itr.request(&["10.9.0.1/32"]) };
        let bytes = ecm(&request, itr.source);
        let sent = world.give(&bytes, itr.source);
        assert_eq!(sent[0].bytes, encapsulate_packet(Ecm::parse(&bytes).unwrap().packet, false));
    }
    assert_eq!(world.server.counters().asked_upstream, 0);
}

#[test]
fn in_front_of_a_plain_map_server_a_resolver_asks_for_itself_and_filters() {
    let (mut world, mut itr) = resolver();
    let load = Acx {
        aware: true,
        constraints: vec![Constraint::hard(Need::Load(500))],
        return_attributes: true,
        ..Acx::default()
    };
    for (question, matches) in [(for_hardware("gpu"), false), (load, true)] {
        let request = MapRequest { tail: question.bytes(), ..itr.request(&["10.9.0.1/32"]) };
        let own = passed_on(&itr.ask(&mut world, &request));
        assert_ne!(own.nonce, request.nonce);
        assert_eq!((own.itr_rlocs, own.tail), (vec![ip(SERVER).into()], request.tail));
        // Others do not answer it, and what does not cover it is no answer.
        assert!(world.give(&plain_answer(own.nonce ^ 1).emit(), at("192.0.2.21")).is_empty());
        let mut odd = plain_answer(own.nonce);
        odd.records = vec![EidRecord::of(iid(100), prefix("10.8.0.0/16"))];
        assert!(world.give(&odd.emit(), at("192.0.2.21")).is_empty());
        let sent = world.give(&plain_answer(own.nonce).emit(), at("192.0.2.21"));
        let reply = itr.replies(&sent).remove(0);
        assert_eq!((reply.nonce, sent[0].from), (request.nonce, Some(ip(SERVER))));
        let block = block(&reply.tail).unwrap();
        assert!(block.reply && block.filtered);
        assert_eq!(block.hash, hash_of(&question.constraints, None));
        assert_eq!((block.status.is_none(), addresses(&reply.records[0]).len() == 1), (matches, matches));
        assert_eq!(reply.records[0].ttl, 1);
        // Once answered it is no longer open.
        assert!(world.give(&plain_answer(own.nonce).emit(), at("192.0.2.21")).is_empty());
    }
    assert_eq!(world.refusals(), [("unexpected", 4), ("upstream_odd", 2)]);
}

#[test]
fn what_an_upstream_filtered_itself_is_passed_on_as_it_is() {
    let (mut world, mut itr) = resolver();
    let request = MapRequest { tail: for_hardware("gpu").bytes(), ..itr.request(&["10.9.0.1/32"]) };
    let own = passed_on(&itr.ask(&mut world, &request));
    let block = Acx { reply: true, aware: true, filtered: true, ..Acx::default() };
    let answer = MapReply { tail: block.bytes(), ..plain_answer(own.nonce) };
    let sent = world.give(&answer.emit(), at("198.51.100.1"));
    assert_eq!(sent[0].bytes, MapReply { nonce: request.nonce, ..answer }.emit());
}

#[test]
fn an_upstream_that_does_not_answer_costs_little_and_is_forgotten() {
    let (mut world, mut itr) = resolver();
    world.server.configure(
        ServerSettings {
            constraint_rate_per_source: 1_000_000,
            request_rate_per_source: 1_000_000,
            request_rate: 1_000_000,
            ..world.server.settings().clone()
        },
        world.now,
        &mut crate::outbox::Outbox::default(),
    );
    for _ in 0..4100 {
        let request = MapRequest { tail: for_hardware("gpu").bytes(), ..itr.request(&["10.9.0.1/32"]) };
        assert_eq!(itr.ask(&mut world, &request).len(), 1);
    }
    assert_eq!(world.refusals(), [("upstream_full", 4)]);
    assert!(world.pass(Duration::from_secs(3)).is_empty());
    assert_eq!(world.refused(Refusal::UpstreamSilent), 4096);
    assert_eq!(world.server.next_deadline(), None);
}
