//! Design section 8: the last register wins, the previous holder is told, and nobody is pulled back and forth.

use super::peers::*;
use crate::server::*;
use std::time::Duration;
use sterna_wire::lisp::control::{MapNotify, MapRegister};

const SECOND: Duration = Duration::from_secs(1);
const EID: &str = "10.1.0.7/32";

/// Both gateways, and the EID at the first.
fn two() -> (World, Peer, Peer) {
    let mut world = World::of_two();
    let mut old = Peer::of("site-a", "198.51.100.1");
    let new = Peer::of("site-b", "198.51.100.2");
    old.registers(&mut world, &[EID]);
    (world, old, new)
}

/// The EID moves to this gateway; the answer's locators with their priorities, and what the other is told.
fn takes(world: &mut World, new: &mut Peer, old: &Peer) -> (Vec<(String, u8)>, Vec<MapNotify>) {
    let mut register = new.register(&[EID]);
    // It has seen the host; nobody vouches for it.
    register.eid_notify = true;
    moves_by(world, new, old, &register)
}

fn moves_by(
    world: &mut World,
    new: &Peer,
    old: &Peer,
    register: &MapRegister,
) -> (Vec<(String, u8)>, Vec<MapNotify>) {
    let sent = new.send(world, register);
    let answer = new.confirmation(&sent, register.nonce);
    let locators = answer[0].locators.iter();
    let locators =
        locators.map(|locator| (locator.address.rloc().unwrap().to_string(), locator.priority)).collect();
    (locators, old.notifies(&sent))
}

#[test]
fn the_last_register_wins_at_once_and_both_sides_know() {
    let (mut world, old, mut new) = two();
    let (locators, told) = takes(&mut world, &mut new, &old);
    assert_eq!(locators, [("198.51.100.2".to_owned(), 1), ("198.51.100.1".to_owned(), 255)]);
    assert_eq!((told.len(), addresses(&told[0].records[0])), (1, vec![new.address()]));
    assert_eq!((told[0].xtr, told[0].records[0].ttl), (old.xtr, 1440));
    assert_eq!(world.registered(EID), [new.address()]);
    assert_eq!(world.server.counters().moves, 1);
    assert!(old.ack(&mut world, &told[0]).is_empty());
    assert!(world.pass(10 * SECOND).is_empty(), "acknowledged, so never sent again");
    assert!(world.refusals().is_empty());
    // A refresh still tells the previous locators, while frames may be relayed from there.
    let (locators, _) = takes(&mut world, &mut new, &old);
    assert_eq!(locators.len(), 2);
    world.pass(21 * SECOND);
    let (locators, _) = takes(&mut world, &mut new, &old);
    assert_eq!(locators.len(), 1);
}

#[test]
fn the_previous_holder_is_told_until_it_acknowledges() {
    let (mut world, old, mut new) = two();
    let (_, told) = takes(&mut world, &mut new, &old);
    let mut times = Vec::new();
    for (when, datagram) in world.pass_timed(70 * SECOND) {
        for notify in old.notifies(&[datagram]) {
            assert_eq!((notify.nonce, &notify.records), (told[0].nonce, &told[0].records));
            times.push(when.as_millis());
        }
    }
    assert_eq!(times, [50, 250, 1250, 4250, 7250, 10_250, 16_250, 28_250]);
    assert_eq!(world.refused(Refusal::NoticeGivenUp), 1);
}

#[test]
fn refreshes_of_the_previous_holder_are_ignored_until_it_knows() {
    let (mut world, mut old, mut new) = two();
    takes(&mut world, &mut new, &old);
    world.pass(Duration::from_millis(60));
    let register = old.register(&[EID, "10.1.0.9/32"]);
    let sent = old.send(&mut world, &register);
    let answer = old.confirmation(&sent, register.nonce);
    assert_eq!(addresses(&answer[0]), [new.address()], "it is told whose the EID is now");
    assert_eq!(addresses(&answer[1]), [old.address()]);
    assert_eq!(old.notifies(&sent).len(), 2, "the answer, and the notice once more, at once");
    let register = old.register(&[EID]);
    let sent = old.send(&mut world, &register);
    assert_eq!(old.notifies(&sent).len(), 1, "but not twice within 50 ms");
    assert_eq!((world.refused(Refusal::Superseded), world.registered(EID)), (2, vec![new.address()]));
    let notice = old.notifies(&world.pass(SECOND)).pop().unwrap();
    old.ack(&mut world, &notice);
    // It knows: what it registers from now on is a move back.
    let (_, told) = takes(&mut world, &mut old, &new);
    assert_eq!((world.registered(EID), told.len()), (vec![old.address()], 1));
}

#[test]
fn a_forged_acknowledgement_is_none() {
    let (mut world, mut old, mut new) = two();
    let (_, told) = takes(&mut world, &mut new, &old);
    let forger = Peer { key: key(1, "guessed"), ..Peer::of("site-a", "203.0.113.66") };
    forger.ack(&mut world, &told[0]);
    let other_site = Peer::of("site-b", "198.51.100.2");
    other_site.ack(&mut world, &told[0]);
    assert_eq!(world.refusals(), [("ack_auth", 2)]);
    let register = old.register(&[EID]);
    old.send(&mut world, &register);
    assert_eq!(world.refused(Refusal::Superseded), 1);
}

#[test]
fn a_holder_that_lost_contact_for_long_is_reminded_when_it_returns() {
    let (mut world, mut old, mut new) = two();
    takes(&mut world, &mut new, &old);
    for _ in 0..10 {
        world.pass(60 * SECOND);
        new.registers(&mut world, &[EID]);
    }
    assert_eq!(world.refused(Refusal::NoticeGivenUp), 1);
    let register = old.register(&[EID]);
    let sent = old.send(&mut world, &register);
    let notices = old.notifies(&sent);
    let notice = notices.iter().find(|notify| notify.nonce != register.nonce).unwrap();
    assert_eq!((world.refused(Refusal::Superseded), world.registered(EID)), (1, vec![new.address()]));
    old.ack(&mut world, notice);
    assert_eq!(world.server.counters().acknowledged, 1);
}

#[test]
fn one_that_cannot_acknowledge_is_ignored_for_one_life() {
    let mut world = World::of_two();
    let mut old = Peer::legacy("site-a", "198.51.100.1");
    let mut new = Peer::of("site-b", "198.51.100.2");
    old.registers(&mut world, &[EID]);
    takes(&mut world, &mut new, &old);
    for (seconds, refused) in [(60, 1), (119, 2)] {
        world.pass(seconds * SECOND);
        new.registers(&mut world, &[EID]);
        old.registers(&mut world, &[EID]);
        assert_eq!(world.refused(Refusal::Superseded), refused);
    }
    world.pass(2 * SECOND);
    old.registers(&mut world, &[EID]);
    assert_eq!(world.registered(EID), [old.address()]);
}

#[test]
fn when_nobody_holds_it_the_previous_holder_may_have_it_again() {
    let (mut world, mut old, mut new) = two();
    takes(&mut world, &mut new, &old);
    let withdrawal = new.withdrawal(&[EID]);
    new.send(&mut world, &withdrawal);
    old.registers(&mut world, &[EID]);
    assert_eq!((world.registered(EID), world.refused(Refusal::Superseded)), (vec![old.address()], 0));
}

#[test]
fn an_eid_that_moves_too_often_stays_where_it_is() {
    let (mut world, mut old, mut new) = two();
    for _ in 0..5 {
        let (_, told) = takes(&mut world, &mut new, &old);
        old.ack(&mut world, &told[0]);
        world.pass(SECOND);
        std::mem::swap(&mut old, &mut new);
    }
    // Five moves: the last one went to what is called `old` now.
    let (locators, told) = takes(&mut world, &mut new, &old);
    assert_eq!((locators[0].0.as_str(), told.len()), (old.address().to_string().as_str(), 0));
    assert_eq!(world.refusals(), [("frozen", 1)]);
    assert!(world.server.lookup(iid(100), ip("10.1.0.7"), world.now).registrations[0].frozen);
    for _ in 0..3 {
        world.pass(59 * SECOND);
        old.registers(&mut world, &[EID]);
        takes(&mut world, &mut new, &old);
    }
    assert_eq!((world.registered(EID), world.refused(Refusal::Frozen)), (vec![old.address()], 4));
    world.pass(4 * SECOND);
    takes(&mut world, &mut new, &old);
    assert_eq!(world.registered(EID), [new.address()]);
}

#[test]
fn announced_moves_are_never_too_many_not_even_of_a_frozen_eid() {
    let (mut world, mut old, mut new) = two();
    for number in 0..12 {
        let mut register = new.register(&[EID]);
        // Five claims freeze it; what the API says counts all the same.
        register.eid_notify = number < 5;
        let (_, told) = moves_by(&mut world, &new, &old, &register);
        old.ack(&mut world, &told[0]);
        assert_eq!(world.registered(EID), [new.address()], "move {number}");
        world.pass(SECOND);
        std::mem::swap(&mut old, &mut new);
        if number == 4 {
            takes(&mut world, &mut new, &old);
            assert_eq!(world.refusals(), [("frozen", 1)]);
        }
    }
    assert_eq!((world.server.counters().moves, world.refusals()), (12, vec![("frozen", 1)]));
}

#[test]
fn slow_moves_are_never_too_many() {
    let (mut world, mut old, mut new) = two();
    for _ in 0..30 {
        let (_, told) = takes(&mut world, &mut new, &old);
        old.ack(&mut world, &told[0]);
        world.pass(37 * SECOND);
        std::mem::swap(&mut old, &mut new);
    }
    assert_eq!((world.server.counters().moves, world.refusals()), (30, vec![]));
}

#[test]
fn the_gateway_of_the_covering_prefix_is_told_of_a_host_that_left() {
    let mut world = World::of_two();
    let mut home = Peer::of("site-a", "198.51.100.1");
    let mut away = Peer::of("site-b", "198.51.100.2");
    home.registers(&mut world, &["10.1.0.0/24"]);
    let (locators, told) = takes(&mut world, &mut away, &home);
    assert_eq!(locators, [("198.51.100.2".to_owned(), 1), ("198.51.100.1".to_owned(), 255)]);
    assert_eq!(told.iter().map(|notify| prefix_of(&notify.records[0])).collect::<Vec<_>>(), [prefix(EID)]);
    home.ack(&mut world, &told[0]);
    let (_, told) = takes(&mut world, &mut away, &home);
    assert!(told.is_empty(), "a refresh is no news");
    home.registers(&mut world, &["10.1.0.0/24"]);
    assert_eq!(world.refused(Refusal::Superseded), 0, "its own prefix is still its own");
    // Back home as a host entry: a move.
    takes(&mut world, &mut home, &away);
    assert_eq!((world.registered(EID), world.server.counters().moves), (vec![home.address()], 1));
}

#[test]
fn a_host_inside_its_own_gateways_prefix_is_no_news() {
    let mut world = World::of_two();
    let mut home = Peer::of("site-a", "198.51.100.1");
    home.registers(&mut world, &["10.1.0.0/24"]);
    let register = home.register(&[EID]);
    assert_eq!(home.send(&mut world, &register).len(), 1);
}

#[test]
fn a_prefix_is_replaced_without_ado() {
    let mut world = World::of_two();
    let mut old = Peer::of("site-a", "198.51.100.1");
    let mut new = Peer::of("site-b", "198.51.100.2");
    old.registers(&mut world, &["10.1.0.0/24"]);
    let register = new.register(&["10.1.0.0/24"]);
    assert_eq!(new.send(&mut world, &register).len(), 1, "the answer only");
    assert_eq!(world.registered("10.1.0.0/24"), [new.address()]);
    old.registers(&mut world, &["10.1.0.0/24"]);
    assert_eq!((world.registered("10.1.0.0/24"), world.server.counters().moves), (vec![old.address()], 0));
}

#[test]
fn the_same_locators_from_another_xtr_are_no_move() {
    let mut world = World::of_two();
    let mut one = Peer::of("site-a", "198.51.100.1");
    one.registers(&mut world, &[EID]);
    let mut twin = Peer::of("site-a", "198.51.100.2");
    let mut register = twin.register(&[EID]);
    register.records[0].locators = one.register(&[EID]).records[0].locators.clone();
    assert_eq!(twin.send(&mut world, &register).len(), 1);
    assert_eq!((world.server.counters().moves, world.registered(EID)), (0, vec![one.address()]));
    assert_eq!(world.server.registrations(world.now).next().unwrap().source, twin.source);
}

#[test]
fn notices_have_rising_nonces_that_are_reserved_in_the_store() {
    let (mut world, old, mut new) = two();
    let (_, told) = takes(&mut world, &mut new, &old);
    let reserved = world.server.take_saves().into_iter().find_map(|save| match save {
        Save::NoticeNonces(nonce) => Some(nonce),
        _ => None,
    });
    assert!(reserved.unwrap() > told[0].nonce);
    old.ack(&mut world, &told[0]);
    let mut old = old;
    let (_, back) = takes(&mut world, &mut old, &new);
    assert!(back[0].nonce > told[0].nonce && back[0].nonce < reserved.unwrap());
}

#[test]
fn memory_of_moves_fades() {
    let (mut world, old, mut new) = two();
    let (_, told) = takes(&mut world, &mut new, &old);
    old.ack(&mut world, &told[0]);
    assert_eq!(world.server.moves.len(), 1);
    for _ in 0..5 {
        world.pass(60 * SECOND);
        new.registers(&mut world, &[EID]);
    }
    assert_eq!(world.server.moves.len(), 0);
}
