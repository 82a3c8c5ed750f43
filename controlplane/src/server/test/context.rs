//! What registers say of context (reference/lisp-protocol.md section 6.3, semantics 1 to 3): stored beside the
//! registration, and never more than that.

use super::peers::*;
use crate::server::*;
use std::time::Duration;
use sterna_wire::lisp::control::acx::{Acx, AgentState, Attributes, Scope, Scoped, StatusCode};
use sterna_wire::lisp::control::auth;
use sterna_wire::lisp::control::{LocatorRecord, MapRegister};

const SECOND: Duration = Duration::from_secs(1);
const EID: &str = "10.1.0.7/32";
const OTHER: &str = "10.1.0.8/32";

fn one() -> (World, Peer) {
    (World::of_two(), Peer::of("site-a", "198.51.100.1"))
}

/// What is said of this EID's first locator.
fn said(world: &World, eid: &str) -> Option<Attributes> {
    let view = world.server.registrations(world.now).find(|view| view.prefix == prefix(eid)).unwrap();
    view.context.map(|context| context.locators[0].clone())
}

fn record(attributes: Attributes) -> Vec<Scoped> {
    vec![Scoped::new(Scope::Record(0), attributes)]
}

fn eid(eid: &str, attributes: Attributes) -> Vec<Scoped> {
    vec![Scoped::new(whole(eid), attributes)]
}

#[test]
fn a_snapshot_comes_with_records_and_says_all() {
    let (mut world, mut peer) = one();
    let register = peer.snapshot(&[EID, OTHER], 7, record(in_state(AgentState::Busy)));
    let sent = peer.send(&mut world, &register);
    let notify = &peer.notifies(&sent)[0];
    assert_eq!(notify.records.len(), 2, "the registration is confirmed as ever");
    let answer = block(&notify.tail).unwrap();
    assert_eq!((answer.seq, answer.status.unwrap().code, answer.reply), (7, StatusCode::Ok, true));
    assert_eq!(said(&world, EID), Some(in_state(AgentState::Busy)));
    assert_eq!(said(&world, OTHER), None);
    // The next one says something else, and nothing of what was said before.
    let register = peer.snapshot(&[EID, OTHER], 8, record(loaded(300)));
    assert_eq!(peer.says(&mut world, &register), (8, StatusCode::Ok));
    assert_eq!(said(&world, EID), Some(loaded(300)));
    let register = peer.snapshot(&[EID, OTHER], 9, Vec::new());
    assert_eq!(peer.says(&mut world, &register), (9, StatusCode::Ok));
    assert_eq!(said(&world, EID), Some(Attributes::default()));
    assert!(world.refusals().is_empty());
}

#[test]
fn a_register_without_context_neither_says_nor_takes_back_anything() {
    let (mut world, mut peer) = one();
    let register = peer.snapshot(&[EID], 7, record(in_state(AgentState::Busy)));
    peer.says(&mut world, &register);
    let register = peer.register(&[EID]);
    let sent = peer.send(&mut world, &register);
    assert!(peer.notifies(&sent)[0].tail.is_empty(), "who does not speak ACX is not answered in it");
    assert_eq!(said(&world, EID), Some(in_state(AgentState::Busy)));
}

#[test]
fn a_delta_changes_what_it_names_and_touches_nothing_of_the_registration() {
    let (mut world, mut peer) = one();
    let register = peer.snapshot(&[EID], 1, record(in_state(AgentState::Busy)));
    peer.says(&mut world, &register);
    let view = |world: &World| {
        let mut view = world.server.registrations(world.now).next().unwrap();
        view.context = None;
        view
    };
    let before = view(&world);
    world.pass(100 * SECOND);
    let delta = peer.delta(2, eid(EID, loaded(300)));
    let sent = peer.send(&mut world, &delta);
    assert!(peer.notifies(&sent)[0].records.is_empty());
    let with_records = MapRegister {
        records: peer.register(&[EID]).records,
        ..peer.delta(3, record(with_hardware(&["gpu"])))
    };
    assert_eq!(view(&world), before, "not even its time");
    assert_eq!(said(&world, EID), Some(loaded(300)), "the state was over after 90 s");
    assert_eq!(peer.says(&mut world, &with_records), (3, StatusCode::Ok));
    assert_eq!(said(&world, EID), Some(loaded(300).overlaid(&with_hardware(&["gpu"]))));
    // The records refreshed it, the delta without them did not.
    world.pass(170 * SECOND);
    assert_eq!(world.server.registration_count(), 1);
    let delta = peer.delta(4, eid(EID, loaded(400)));
    peer.says(&mut world, &delta);
    world.pass(11 * SECOND);
    assert_eq!((world.server.registration_count(), world.server.context_count()), (0, (0, 0)));
}

#[test]
fn single_locators_have_attributes_of_their_own() {
    let (mut world, mut peer) = one();
    let second = LocatorRecord::unicast(ip("198.51.100.9"), 1, 50);
    let here = |record, locator| Scope::Locator { record, locator };
    let entries = vec![
        Scoped::new(Scope::Message, loaded(100)),
        Scoped::new(here(0, 1), loaded(900)),
        Scoped::new(here(0, 2), loaded(500)),
        Scoped::new(Scope::Record(3), loaded(500)),
    ];
    let mut register = peer.snapshot(&[EID], 1, entries);
    register.records[0].locators.push(second.clone());
    assert_eq!(peer.says(&mut world, &register), (1, StatusCode::Denied));
    assert_eq!(world.refusals(), [("context_of_nothing", 2)]);
    let locators = |world: &World| {
        let view = world.server.registrations(world.now).next().unwrap();
        view.context.unwrap().locators
    };
    assert_eq!(locators(&world), [loaded(100), loaded(900)]);
    let named = Scope::EidLocator(iid(100), prefix(EID), ip("198.51.100.9"));
    let nobody = Scope::EidLocator(iid(100), prefix(EID), ip("198.51.100.8"));
    let delta = peer.delta(2, vec![Scoped::new(named, loaded(800)), Scoped::new(nobody, loaded(1))]);
    assert_eq!(peer.says(&mut world, &delta), (2, StatusCode::Denied));
    assert_eq!(locators(&world), [loaded(100), loaded(800)]);
    // A locator that is no longer registered is forgotten with what was said of it.
    peer.registers(&mut world, &[EID]);
    let mut register = peer.register(&[EID]);
    register.records[0].locators.push(second);
    peer.send(&mut world, &register);
    assert_eq!(locators(&world), [loaded(100), loaded(100)]);
}

#[test]
fn the_sequence_of_each_eid_and_xtr_only_rises() {
    let (mut world, mut peer) = one();
    let first = u32::MAX - 1;
    let register = peer.snapshot(&[EID, OTHER], first, record(loaded(100)));
    assert_eq!(peer.says(&mut world, &register), (first, StatusCode::Ok));
    let older = peer.snapshot(&[EID], first - 5, record(loaded(500)));
    world.pass(170 * SECOND);
    assert_eq!(peer.says(&mut world, &older), (first, StatusCode::StaleSequence));
    assert_eq!(said(&world, EID), Some(Attributes::default()), "over long ago");
    world.pass(20 * SECOND);
    assert_eq!(world.registered(EID), [peer.address()], "the registration was refreshed all the same");
    // Over the end of the numbers, to another EID with an older sequence, and again the same.
    let wrapped = peer.delta(5, eid(EID, loaded(300)));
    assert_eq!(peer.says(&mut world, &wrapped), (5, StatusCode::Ok));
    peer.registers(&mut world, &[OTHER]);
    let other = peer.delta(4, eid(OTHER, loaded(200)));
    assert_eq!(peer.says(&mut world, &other), (4, StatusCode::Ok));
    let again = peer.delta(5, eid(EID, loaded(300)));
    assert_eq!(peer.says(&mut world, &again), (5, StatusCode::Ok));
    let both = [eid(OTHER, loaded(1)), eid(EID, loaded(2))].concat();
    let mixed = peer.delta(4, both);
    assert_eq!(peer.says(&mut world, &mixed), (5, StatusCode::StaleSequence), "the one that is newer");
    assert_eq!((said(&world, EID), said(&world, OTHER)), (Some(loaded(300)), Some(loaded(1))));
    assert_eq!(world.refusals(), [("context_stale", 2)]);
    // Another xTR has a sequence of its own.
    let mut second = Peer::of("site-b", "198.51.100.2");
    let moved = second.snapshot(&[EID], 1, record(loaded(700)));
    assert_eq!(second.says(&mut world, &moved), (1, StatusCode::Ok));
    assert_eq!(said(&world, EID), Some(loaded(700)));
}

#[test]
fn nobody_speaks_of_what_he_has_not_registered() {
    let (mut world, mut peer) = one();
    let mut other = Peer::of("site-b", "198.51.100.2");
    other.registers(&mut world, &[OTHER]);
    peer.registers(&mut world, &[EID]);
    for (eids, reason) in [
        (OTHER, "context_unregistered"),
        ("10.1.0.9/32", "context_unregistered"),
        ("10.1.0.0/24", "context_unregistered"),
        ("10.9.0.1/32", "context_foreign"),
    ] {
        let before = world.refusals().iter().find(|(name, _)| *name == reason).map_or(0, |(_, count)| *count);
        let delta = peer.delta(9, eid(eids, in_state(AgentState::Failed)));
        assert_eq!(peer.says(&mut world, &delta), (9, StatusCode::Denied), "{eids}");
        let after = world.refusals().iter().find(|(name, _)| *name == reason).map(|(_, count)| *count);
        assert_eq!(after, Some(before + 1), "{eids}");
    }
    assert_eq!((world.server.registration_count(), world.server.context_count()), (2, (0, 0)));
    // Who lost an EID speaks of it no more.
    let stolen = other.register(&[EID]);
    other.send(&mut world, &stolen);
    let delta = peer.delta(10, eid(EID, in_state(AgentState::Failed)));
    assert_eq!(peer.says(&mut world, &delta), (10, StatusCode::Denied));
    assert_eq!(said(&world, EID), None);
}

#[test]
fn what_is_malformed_costs_the_context_and_never_the_registration() {
    let (mut world, mut peer) = one();
    let good = Acx { aware: true, seq: 5, complete: true, entries: record(loaded(100)), ..Acx::default() };
    let with = |extra: &[u8]| {
        let mut bytes = [&good.bytes()[..], extra].concat();
        let len = (bytes.len() - 8) as u16;
        bytes[6..8].copy_from_slice(&len.to_be_bytes());
        bytes
    };
    let unsequenced = Acx { seq: 0, ..good.clone() }.bytes();
    let cases: [(&[u8], Option<u8>, &str); 6] = [
        (&with(&[0x12, 0, 0, 4, 99, 0, 0, 0]), Some(0x12), "context_malformed"),
        (&with(&[0x99, 0, 0, 0]), Some(0x99), "context_unsupported"),
        (&with(&[0; 1200]), Some(0), "context_malformed"),
        (&unsequenced, Some(0), "context_malformed"),
        (b"something else", None, "trailing_unknown"),
        (&good.bytes()[..30], None, "trailing_unknown"),
    ];
    for (number, (tail, offending, reason)) in cases.into_iter().enumerate() {
        let before = world.refusals();
        let eid = format!("10.1.3.{number}/32");
        let register = MapRegister { tail: tail.to_vec(), ..peer.register(&[&eid]) };
        let sent = peer.send(&mut world, &register);
        let notify = &peer.notifies(&sent)[0];
        assert_eq!(notify.records.len(), 1);
        let status = block(&notify.tail).map(|block| block.status.unwrap());
        assert_eq!(status.map(|status| status.offending), offending, "{tail:02x?}");
        assert!(status.is_none_or(|status| status.code == StatusCode::Malformed));
        let count = |all: &[(&str, u64)]| all.iter().find(|(name, _)| *name == reason).map_or(0, |one| one.1);
        assert_eq!(count(&world.refusals()), count(&before) + 1, "{reason}");
        assert_eq!((world.registered(&eid), said(&world, &eid)), (vec![peer.address()], None));
    }
    // Twice in one scope: the first holds.
    let register = MapRegister { tail: with(&[0x13, 0, 0, 4, 0, 1, 0, 1]), ..peer.register(&[EID]) };
    assert_eq!(peer.says(&mut world, &register), (5, StatusCode::Ok));
    assert_eq!((said(&world, EID), world.refused(Refusal::ContextDuplicate)), (Some(loaded(100)), 1));
}

#[test]
fn context_that_the_authentication_does_not_cover_is_not_believed() {
    let (mut world, mut peer) = one();
    let snapshot = peer.snapshot(&[EID], 1, record(in_state(AgentState::Failed)));
    // Signed as RFC 9301 has it, up to the last record.
    let bare = MapRegister { tail: Vec::new(), xtr: None, ..snapshot.clone() };
    let mut bytes = bare.signed(&peer.key);
    let end = MapRegister::parse(&bytes).unwrap().records_end;
    bytes.extend(&snapshot.tail);
    assert_eq!(auth::verify(&bytes, end, &peer.key), Ok(auth::Coverage::RecordsOnly));
    let sent = world.give(&bytes, peer.source);
    let notify = &peer.notifies(&sent)[0];
    assert!(notify.tail.is_empty() && notify.records.len() == 1);
    assert_eq!((world.refusals(), said(&world, EID)), (vec![("context_unauthentic", 1)], None));
}

#[test]
fn a_full_server_refuses_more_and_keeps_what_it_has() {
    let few = ServerSettings { max_contexts: 2, ..settings(&[site("site-a", "10.1.0.0/16")]) };
    let mut world = World::new(few);
    let mut peer = Peer::of("site-a", "198.51.100.1");
    let eids = ["10.1.0.1/32", "10.1.0.2/32", "10.1.0.3/32"];
    let all = vec![Scoped::new(Scope::Message, loaded(1))];
    let register = peer.snapshot(&eids, 1, all);
    assert_eq!(peer.says(&mut world, &register), (1, StatusCode::Denied));
    assert_eq!((world.refusals(), world.server.context_count().0), (vec![("contexts_full", 1)], 2));
    let delta = peer.delta(2, eid(eids[0], loaded(900)));
    assert_eq!(peer.says(&mut world, &delta), (2, StatusCode::Ok));
    let withdrawal = peer.withdrawal(&[eids[1]]);
    peer.send(&mut world, &withdrawal);
    let delta = peer.delta(3, eid(eids[2], loaded(900)));
    assert_eq!(peer.says(&mut world, &delta), (3, StatusCode::Ok));
}

#[test]
fn what_is_dynamic_becomes_unknown_by_itself() {
    let (mut world, mut peer) = one();
    let all = with_hardware(&["gpu"]).overlaid(&in_state(AgentState::Failed));
    let entries = vec![Scoped { ttl_s: Some(30), ..Scoped::new(Scope::Record(0), all) }];
    let register = peer.snapshot(&[EID], 1, entries);
    peer.says(&mut world, &register);
    let mut itr = Peer::of("nobody", "203.0.113.1");
    assert!(itr.resolves(&mut world, EID)[0].locators.is_empty());
    world.pass(29 * SECOND);
    assert!(itr.resolves(&mut world, EID)[0].locators.is_empty());
    world.pass(2 * SECOND);
    assert_eq!(addresses(&itr.resolves(&mut world, EID)[0]), [peer.address()]);
    assert_eq!(said(&world, EID), Some(with_hardware(&["gpu"])));
}
