//! Section 2.4: who may register what, for how long, and what the answer says.

use super::peers::*;
use crate::server::*;
use std::time::Duration;
use sterna_wire::lisp::control::auth::{Algorithm, Key};
use sterna_wire::lisp::control::{Act, EidRecord, LispAddress, LocatorRecord, MapNotify, XtrId, parse};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_register_is_confirmed_with_its_nonce_key_and_identity() {
    let mut world = World::of_two();
    let mut peer = Peer::of("site-a", "198.51.100.1");
    let register = peer.register(&["10.1.0.0/24", "10.1.7.7/32"]);
    let sent = peer.send(&mut world, &register);
    let notify = peer.notifies(&sent).pop().unwrap();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].to, peer.source);
    assert_eq!((notify.nonce, notify.key_id, notify.algorithm), (register.nonce, 1, 2));
    assert_eq!((notify.xtr, &notify.records), (peer.xtr, &register.records));
    assert_eq!(world.registered("10.1.7.7/32"), [peer.address()]);
    assert_eq!((world.server.counters().registers, world.server.counters().records), (1, 2));
    assert!(world.refusals().is_empty());
}

#[test]
fn no_notify_is_sent_that_was_not_wanted_and_no_identity_that_was_not_shown() {
    let mut world = World::of_two();
    let mut peer = Peer::legacy("site-a", "198.51.100.1");
    let mut register = peer.register(&["10.1.0.0/24"]);
    register.want_notify = false;
    assert!(peer.send(&mut world, &register).is_empty());
    let register = peer.register(&["10.1.0.0/24"]);
    let sent = peer.send(&mut world, &register);
    assert_eq!(peer.notifies(&sent)[0].xtr, None);
}

#[test]
fn both_keys_of_a_rotation_are_valid_and_each_is_answered_by_itself() {
    let mut a = site("site-a", "10.1.0.0/16");
    a.keys.push(Key::new(2, Algorithm::HmacSha1_96, b"next"));
    let mut world = World::new(settings(&[a.clone()]));
    let mut peer = Peer::of("site-a", "198.51.100.1");
    assert_eq!(peer.registers(&mut world, &["10.1.0.0/24"]).len(), 1);
    peer.key = a.keys[1].clone();
    // Each key has nonces of its own: a sender that lost its counter takes another key.
    peer.nonce = 5;
    assert_eq!(peer.registers(&mut world, &["10.1.0.0/24"]).len(), 1);
    a.keys.remove(0);
    world.server.configure(settings(&[a]), world.now, &mut Default::default());
    assert_eq!(peer.registers(&mut world, &["10.1.0.0/24"]).len(), 1);
    peer.key = key(1, "site-a");
    let register = peer.register(&["10.1.0.0/24"]);
    assert!(peer.send(&mut world, &register).is_empty());
    assert_eq!(world.refusals(), [("auth_key", 1)]);
    assert_eq!(world.registered("10.1.0.0/24"), [peer.address()]);
}

#[test]
fn a_wrong_key_changes_nothing() {
    let mut world = World::of_two();
    let mut forger = Peer { key: key(1, "guessed"), ..Peer::of("site-a", "203.0.113.66") };
    for _ in 0..10 {
        let register = forger.register(&["10.1.7.7/32"]);
        assert!(forger.send(&mut world, &register).is_empty());
    }
    forger.key = key(9, "site-a");
    let register = forger.register(&["10.1.7.7/32"]);
    assert!(forger.send(&mut world, &register).is_empty());
    assert_eq!(world.refusals(), [("auth_key", 1), ("auth_data", 10)]);
    assert_eq!((world.server.registration_count(), world.server.take_saves()), (0, vec![]));
}

#[test]
fn a_foreign_prefix_is_skipped_and_what_is_the_sites_is_accepted() {
    let mut world = World::new(settings(&[site("site-a", "10.1.0.0/16"), site("site-b", "10.2.0.0/16")]));
    let mut peer = Peer::of("site-a", "198.51.100.1");
    let records = peer.registers(&mut world, &["10.2.0.7/32", "10.1.0.7/32"]);
    assert_eq!(records.iter().map(prefix_of).collect::<Vec<_>>(), [prefix("10.1.0.7/32")]);
    let register = peer.register(&["10.2.0.7/32"]);
    assert!(peer.send(&mut world, &register).is_empty(), "nothing valid, no Map-Notify");
    let mut register = peer.register(&["10.1.0.7/32"]);
    register.records[0].eid = LispAddress::for_eid(iid(101), ip("10.1.0.7"));
    assert!(peer.send(&mut world, &register).is_empty(), "another group");
    assert_eq!(world.refusals(), [("record_foreign", 3)]);
}

#[test]
fn parts_are_accepted_only_where_the_site_may_register_parts() {
    let mut exact = site("site-a", "10.1.0.0/16");
    exact.scopes[0].more_specifics = false;
    let mut world = World::new(settings(&[exact]));
    let mut peer = Peer::of("site-a", "198.51.100.1");
    let records = peer.registers(&mut world, &["10.1.0.0/16", "10.1.2.0/24", "10.0.0.0/8"]);
    assert_eq!(records.iter().map(prefix_of).collect::<Vec<_>>(), [prefix("10.1.0.0/16")]);
    assert_eq!(world.refusals(), [("record_foreign", 2)]);
}

#[test]
fn a_registration_lives_three_periods_and_each_refresh_is_a_new_life() {
    let mut world = World::of_two();
    let mut peer = Peer::of("site-a", "198.51.100.1");
    peer.registers(&mut world, &["10.1.0.7/32", "10.1.0.8/32"]);
    world.pass(120 * SECOND);
    peer.registers(&mut world, &["10.1.0.8/32"]);
    world.pass(60 * SECOND - Duration::from_millis(1));
    assert_eq!(world.server.registration_count(), 2);
    world.pass(SECOND);
    assert_eq!(world.registered("10.1.0.7/32"), [] as [std::net::IpAddr; 0]);
    assert_eq!(world.registered("10.1.0.8/32"), [peer.address()]);
    world.pass(120 * SECOND);
    assert_eq!((world.server.registration_count(), world.server.counters().expired), (0, 2));
}

#[test]
fn with_the_t_bit_the_ttl_is_the_life() {
    let mut world = World::of_two();
    let mut peer = Peer::of("site-a", "198.51.100.1");
    let mut register = peer.register(&["10.1.0.7/32", "10.1.0.8/32", "10.1.0.9/32"]);
    register.use_ttl = true;
    register.records[0].ttl = 1;
    register.records[1].ttl = 10;
    register.records[2].ttl = u32::MAX;
    peer.send(&mut world, &register);
    world.pass(61 * SECOND);
    assert_eq!(world.server.registration_count(), 2);
    world.pass(120 * SECOND);
    assert_eq!(world.registered("10.1.0.8/32"), [peer.address()], "without a TTL: the usual life");
    assert_eq!(world.server.registration_count(), 1);
    world.pass(420 * SECOND);
    assert_eq!(world.server.registration_count(), 0);
}

#[test]
fn a_refresh_with_a_shorter_life_expires_earlier() {
    let mut world = World::of_two();
    let mut peer = Peer::of("site-a", "198.51.100.1");
    peer.registers(&mut world, &["10.1.0.7/32"]);
    let mut register = peer.register(&["10.1.0.7/32"]);
    (register.use_ttl, register.records[0].ttl) = (true, 1);
    peer.send(&mut world, &register);
    world.pass(61 * SECOND);
    assert_eq!(world.server.registration_count(), 0);
}

#[test]
fn only_the_holder_withdraws() {
    let mut world = World::of_two();
    let mut holder = Peer::of("site-a", "198.51.100.1");
    let mut other = Peer::of("site-b", "198.51.100.2");
    holder.registers(&mut world, &["10.1.0.7/32"]);
    let withdrawal = other.withdrawal(&["10.1.0.7/32"]);
    let sent = other.send(&mut world, &withdrawal);
    assert_eq!(addresses(&other.confirmation(&sent, withdrawal.nonce)[0]), [holder.address()]);
    assert_eq!(world.refusals(), [("withdrawn_not_held", 1)]);
    let withdrawal = holder.withdrawal(&["10.1.0.7/32"]);
    let sent = holder.send(&mut world, &withdrawal);
    let answer = holder.confirmation(&sent, withdrawal.nonce);
    assert_eq!((answer[0].ttl, answer[0].locators.len()), (0, 0));
    assert_eq!(world.server.registration_count(), 0);
}

#[test]
fn merged_locators_are_those_of_all_xtrs_each_with_its_own_life() {
    let mut world = World::of_two();
    let mut first = Peer::of("site-a", "198.51.100.1");
    let mut second = Peer::of("site-a", "198.51.100.2");
    let merging = |peer: &mut Peer, world: &mut World| {
        let mut register = peer.register(&["10.1.0.0/24"]);
        register.merge = true;
        let sent = peer.send(world, &register);
        peer.confirmation(&sent, register.nonce)
    };
    assert_eq!(addresses(&merging(&mut first, &mut world)[0]), [first.address()]);
    world.pass(100 * SECOND);
    let both = [first.address(), second.address()];
    assert_eq!(addresses(&merging(&mut second, &mut world)[0]), both);
    assert_eq!(addresses(&first.resolves(&mut world, "10.1.0.9/32")[0]), both);
    world.pass(90 * SECOND);
    assert_eq!(addresses(&first.resolves(&mut world, "10.1.0.9/32")[0]), [second.address()]);
    let mut withdrawal = second.withdrawal(&["10.1.0.0/24"]);
    withdrawal.merge = true;
    second.send(&mut world, &withdrawal);
    assert_eq!(world.server.registration_count(), 0);
}

#[test]
fn merging_never_takes_over() {
    let mut single = site("site-c", "10.3.0.0/16");
    single.allow_merge = false;
    let mut world =
        World::new(settings(&[site("site-a", "10.1.0.0/16"), site("site-b", "10.1.0.0/16"), single]));
    let mut holder = Peer::of("site-a", "198.51.100.1");
    holder.registers(&mut world, &["10.1.0.7/32"]);
    let mut merges = |peer: &mut Peer, eid: &str| {
        let mut register = peer.register(&[eid]);
        register.merge = true;
        peer.send(&mut world, &register);
    };
    merges(&mut Peer::of("site-a", "198.51.100.2"), "10.1.0.7/32");
    merges(&mut Peer::of("site-b", "198.51.100.3"), "10.1.0.7/32");
    merges(&mut Peer::of("site-c", "198.51.100.4"), "10.3.0.7/32");
    merges(&mut Peer::of("site-a", "198.51.100.5"), "10.1.0.8/32");
    merges(&mut Peer::of("site-b", "198.51.100.6"), "10.1.0.8/32");
    assert_eq!(world.registered("10.1.0.7/32"), [holder.address()]);
    assert_eq!(world.registered("10.1.0.8/32"), [ip("198.51.100.5")]);
    assert_eq!(world.refusals(), [("merge_refused", 4)]);
}

#[test]
fn locators_that_nobody_can_send_to_are_left_out() {
    let mut world = World::of_two();
    let mut peer = Peer::of("site-a", "198.51.100.1");
    let mut register = peer.register(&["10.1.0.7/32", "10.1.0.8/32", "10.1.0.9/32"]);
    let odd =
        |address: LispAddress| LocatorRecord { address, ..LocatorRecord::unicast(ip("192.0.2.1"), 1, 1) };
    let named = LispAddress::List(vec![LispAddress::Ip(ip("192.0.2.99")), LispAddress::Name(b"x".to_vec())]);
    register.records[0].locators.extend([odd(opaque()), odd(ip("224.0.0.9").into()), odd(named)]);
    register.records[1].locators = vec![odd(opaque())];
    register.records[2].locators = Vec::new();
    register.records[2].act = Act::Drop;
    let sent = peer.send(&mut world, &register);
    let answer = peer.confirmation(&sent, register.nonce);
    assert_eq!(addresses(&answer[0]), [ip("192.0.2.99"), peer.address()], "by priority, then address");
    assert_eq!((answer.len(), answer[1].act, answer[1].locators.len()), (2, Act::Drop, 0));
    assert_eq!(world.refusals(), [("locator_unusable", 3), ("record_unusable", 1)]);
    let negative = &peer.resolves(&mut world, "10.1.0.9/32")[0];
    assert_eq!((negative.act, negative.locators.len(), negative.ttl), (Act::Drop, 0, 1440));
}

#[test]
fn one_address_twice_counts_once_with_its_better_priority_and_too_many_are_refused() {
    let mut world = World::of_two();
    let mut peer = Peer::of("site-a", "198.51.100.1");
    let mut register = peer.register(&["10.1.0.7/32", "10.1.0.8/32"]);
    let twice = LocatorRecord::unicast(peer.address(), 9, 9);
    register.records[0].locators.insert(0, twice);
    register.records[1].locators =
        (0..33).map(|last| LocatorRecord::unicast([198, 51, 100, last].into(), 1, 1)).collect();
    let sent = peer.send(&mut world, &register);
    let answer = peer.confirmation(&sent, register.nonce);
    let priorities: Vec<u8> = answer[0].locators.iter().map(|locator| locator.priority).collect();
    assert_eq!((answer.len(), priorities), (1, vec![1]));
    assert_eq!(world.refusals(), [("too_many_locators", 1)]);
}

#[test]
fn replays_are_refused_by_the_nonce_of_xtr_and_key() {
    let mut world = World::of_two();
    let mut peer = Peer::of("site-a", "198.51.100.1");
    let old = peer.register(&["10.1.0.7/32"]);
    assert_eq!(peer.send(&mut world, &old).len(), 1);
    let new = peer.withdrawal(&["10.1.0.7/32"]);
    assert_eq!(peer.send(&mut world, &new).len(), 1);
    for replayed in [&old, &new, &old] {
        assert!(peer.send(&mut world, replayed).is_empty());
    }
    assert_eq!((world.refusals(), world.server.registration_count()), (vec![("replayed", 3)], 0));
    // Another xTR of the site has nonces of its own.
    let mut other = Peer { nonce: 3, ..Peer::of("site-a", "198.51.100.2") };
    assert_eq!(other.registers(&mut world, &["10.1.0.8/32"]).len(), 1);
}

#[test]
fn nonces_in_no_order_are_accepted_once_from_those_without_identity_or_of_a_legacy_site() {
    let mut legacy = site("site-a", "10.1.0.0/16");
    legacy.legacy_nonce = true;
    let mut world = World::new(settings(&[legacy, site("site-b", "10.2.0.0/16")]));
    let mut peers = [Peer::of("site-a", "198.51.100.1"), Peer::legacy("site-b", "198.51.100.2")];
    peers[1].xtr = Some(XtrId { xtr_id: [0; 16], site_id: 0 });
    for (peer, eid) in peers.iter_mut().zip(["10.1.0.7/32", "10.2.0.7/32"]) {
        for nonce in [70, 5, 900, 6] {
            peer.nonce = nonce;
            let register = peer.register(&[eid]);
            assert_eq!(peer.send(&mut world, &register).len(), 1);
            assert!(peer.send(&mut world, &register).is_empty());
        }
    }
    assert_eq!(world.refusals(), [("repeated", 8)]);
    world.pass(Duration::from_secs(600));
    peers[0].nonce = 70 - 1;
    peers[0].registers(&mut world, &["10.1.0.7/32"]);
}

#[test]
fn an_identity_that_the_mac_does_not_cover_is_ignored() {
    let mut world = World::of_two();
    let mut peer = Peer::of("site-a", "198.51.100.1");
    let bare = sterna_wire::lisp::control::MapRegister { xtr: None, ..peer.register(&["10.1.0.7/32"]) };
    let mut bytes = bare.signed(&peer.key);
    // Signed up to the last record, as the RFC words it; somebody on the way adds a tail.
    bytes.extend([0xab; 40]);
    let sent = world.give(&bytes, peer.source);
    assert_eq!(peer.notifies(&sent)[0].xtr, None);
    let view = world.server.registrations(world.now).next().unwrap();
    assert_eq!(view.holder, Identity::Address(peer.address()));
}

#[test]
fn what_the_config_registers_is_not_registered_by_others_and_never_expires() {
    let mut fixed = site("site-a", "10.1.0.0/16");
    fixed.statics = vec![StaticMapping {
        iid: iid(100),
        prefix: prefix("10.1.9.0/24"),
        locators: vec![crate::outbox::Locator { address: ip("203.0.113.9"), priority: 1, weight: 100 }],
    }];
    let mut world = World::new(settings(&[fixed.clone()]));
    let mut peer = Peer::of("site-a", "198.51.100.1");
    let register = peer.register(&["10.1.9.0/24"]);
    assert!(peer.send(&mut world, &register).is_empty());
    assert_eq!(world.refusals(), [("static_held", 1)]);
    world.pass(Duration::from_secs(100_000));
    assert_eq!(addresses(&peer.resolves(&mut world, "10.1.9.1/32")[0]), [ip("203.0.113.9")]);
    fixed.statics.clear();
    world.server.configure(settings(&[fixed]), world.now, &mut Default::default());
    assert_eq!(world.server.registration_count(), 0);
    peer.registers(&mut world, &["10.1.9.0/24"]);
    assert!(world.server.take_saves().iter().all(|save| !format!("{save:?}").contains("Config")));
}

#[test]
fn one_source_and_all_together_are_limited_before_any_mac_is_computed() {
    let limited = ServerSettings {
        register_rate: 200,
        register_rate_per_source: 100,
        ..settings(&[site("site-a", "10.1.0.0/16")])
    };
    let mut world = World::new(limited);
    let mut peer = Peer::of("site-a", "198.51.100.1");
    peer.registers(&mut world, &["10.1.0.1/32"]);
    for last in 0..100 {
        let mut forger = Peer { key: key(1, "guessed"), ..Peer::of("site-a", &format!("203.0.113.{last}")) };
        let register = forger.register(&["10.1.0.1/32"]);
        forger.send(&mut world, &register);
    }
    assert_eq!(world.refused(Refusal::AuthData) + world.refused(Refusal::RegisterRate), 100);
    assert_eq!(world.refused(Refusal::AuthData), 50 - 1, "the burst of those who are not known");
    // The flood of strangers leaves the share of those who have authenticated alone.
    for _ in 0..24 {
        peer.registers(&mut world, &["10.1.0.1/32"]);
    }
    let register = peer.register(&["10.1.0.1/32"]);
    peer.send(&mut world, &register);
    assert_eq!(world.refused(Refusal::RegisterRateOfSource), 1);
}

#[test]
fn tables_have_bounds() {
    let bounded = ServerSettings {
        max_registrations: 3,
        max_xtrs_per_site: 2,
        ..settings(&[site("site-a", "10.1.0.0/16"), site("site-b", "10.1.0.0/16")])
    };
    let mut world = World::new(bounded);
    let mut peer = Peer::of("site-a", "198.51.100.1");
    let eids = ["10.1.0.1/32", "10.1.0.2/32", "10.1.0.3/32", "10.1.0.4/32"];
    assert_eq!(peer.registers(&mut world, &eids).len(), 3);
    assert_eq!(peer.registers(&mut world, &eids[..3]).len(), 3, "refreshes are never refused");
    Peer::of("site-a", "198.51.100.2").registers(&mut world, &["10.1.0.1/32"]);
    let mut third = Peer::of("site-a", "198.51.100.3");
    let register = third.register(&["10.1.0.1/32"]);
    assert!(third.send(&mut world, &register).is_empty());
    Peer::of("site-b", "198.51.100.4").registers(&mut world, &["10.1.0.2/32"]);
    assert_eq!(world.refusals(), [("xtrs_full", 1), ("registrations_full", 1)]);
}

#[test]
fn in_a_large_config_only_suspects_keys_are_tried() {
    let mut sites: Vec<SiteSettings> =
        (0..100u8).map(|number| site(&format!("site-{number}"), &format!("10.{number}.0.0/16"))).collect();
    sites[42].keys = vec![key(1, "site-42")];
    let mut world = World::new(settings(&sites));
    let mut peer = Peer::of("site-42", "198.51.100.1");
    assert_eq!(peer.registers(&mut world, &["10.42.0.7/32"]).len(), 1);
    // Its identity is known now, so its key is tried although the prefix is another site's.
    let register = peer.register(&["10.43.0.7/32"]);
    peer.send(&mut world, &register);
    assert_eq!(world.refusals(), [("record_foreign", 1)]);
    let mut stranger = Peer::of("site-42", "198.51.100.2");
    let register = stranger.register(&["10.43.0.7/32"]);
    stranger.send(&mut world, &register);
    assert_eq!(world.refusals(), [("auth_data", 1), ("record_foreign", 1)]);
}

#[test]
fn only_changes_are_saved_and_nonce_marks_together() {
    let mut world = World::of_two();
    let mut peer = Peer::of("site-a", "198.51.100.1");
    peer.registers(&mut world, &["10.1.0.7/32"]);
    let kinds = |saves: &[Save]| -> Vec<&'static str> {
        let kind = |save: &Save| match save {
            Save::Registration(_) => "registration",
            Save::RegistrationGone(_) => "gone",
            Save::Xtr(_) => "xtr",
            _ => "other",
        };
        saves.iter().map(kind).collect()
    };
    assert_eq!(kinds(&world.server.take_saves()), ["xtr", "registration", "xtr"]);
    for _ in 0..5 {
        peer.registers(&mut world, &["10.1.0.7/32"]);
        world.pass(Duration::from_millis(100));
    }
    assert!(world.server.take_saves().is_empty());
    world.pass(SECOND);
    let saves = world.server.take_saves();
    assert!(matches!(&saves[..], [Save::Xtr(xtr)] if xtr.marks == [(1, peer.nonce)]), "{saves:?}");
    let mut register = peer.register(&["10.1.0.7/32"]);
    register.records[0].locators[0].priority = 2;
    peer.send(&mut world, &register);
    assert_eq!(kinds(&world.server.take_saves()), ["registration", "xtr"]);
    world.pass(200 * SECOND);
    assert_eq!(kinds(&world.server.take_saves()), ["gone"]);
}

#[test]
fn a_config_that_takes_a_scope_or_a_site_away_ends_its_registrations() {
    let mut world = World::of_two();
    let mut a = Peer::of("site-a", "198.51.100.1");
    let mut b = Peer::of("site-b", "198.51.100.2");
    a.registers(&mut world, &["10.1.0.7/32"]);
    b.registers(&mut world, &["10.1.0.8/32", "10.1.1.8/32"]);
    // site-a goes, site-b has another number and a smaller scope.
    let next = settings(&[site("site-c", "10.3.0.0/16"), site("site-b", "10.1.1.0/24")]);
    world.server.configure(next, world.now, &mut Default::default());
    assert_eq!(world.server.registration_count(), 1);
    assert_eq!(world.registered("10.1.1.8/32"), [b.address()]);
    let sites = world.server.sites();
    assert_eq!((sites[0].registrations, sites[1].registrations), (0, 1));
    assert_eq!((sites[1].xtrs.len(), sites[1].xtrs[0].source), (1, b.source));
    let gone = world
        .server
        .take_saves()
        .into_iter()
        .filter(|save| matches!(save, Save::RegistrationGone(_) | Save::XtrGone(..)));
    assert_eq!(gone.count(), 3);
    let replay = b.register(&["10.1.1.8/32"]);
    b.send(&mut world, &replay);
    b.send(&mut world, &replay);
    assert_eq!(world.refusals(), [("replayed", 1)], "its marks are still known");
    // Its address still is the site's, and no longer when it goes too.
    assert_eq!(b.resolves(&mut world, "10.1.1.8/32").len(), 1);
}

#[test]
fn a_register_through_an_ecm_is_a_register() {
    let mut world = World::of_two();
    let mut peer = Peer::of("site-a", "198.51.100.1");
    let register = peer.register(&["10.1.0.7/32"]);
    let inner = sterna_wire::lisp::control::encapsulate(peer.source, at(SERVER), &register.signed(&peer.key));
    let sent = world.give(&inner, peer.source);
    assert_eq!(peer.confirmation(&sent, register.nonce).len(), 1);
}

#[test]
fn the_answer_fits_into_a_datagram_whatever_was_registered() {
    let mut world = World::of_two();
    let mut peer = Peer::of("site-a", "198.51.100.1");
    let eids: Vec<String> = (0..255).map(|number| format!("10.1.0.{number}/32")).collect();
    let eids: Vec<&str> = eids.iter().map(String::as_str).collect();
    let mut register = peer.register(&eids);
    let many = |record: &mut EidRecord| {
        record.locators = (0..32u16)
            .map(|last| LocatorRecord::unicast([0x2001, 0xdb8, 0, 0, 0, 0, 0, last + 1].into(), 1, 1))
            .collect();
    };
    register.records.iter_mut().take(75).for_each(many);
    peer.send(&mut world, &register);
    let mut register = peer.register(&eids);
    register.records.iter_mut().skip(75).take(75).for_each(many);
    // An acknowledged holder elsewhere makes the answer larger than the question.
    let sent = peer.send(&mut world, &register);
    assert!(sent.iter().all(|datagram| datagram.bytes.len() < 65_507 && parse(&datagram.bytes).is_ok()));
}

#[test]
fn an_acknowledgement_that_nobody_waits_for_is_counted() {
    let mut world = World::of_two();
    let mut peer = Peer::of("site-a", "198.51.100.1");
    let register = peer.register(&["10.1.0.7/32"]);
    let sent = peer.send(&mut world, &register);
    let notify: MapNotify = peer.notifies(&sent).pop().unwrap();
    assert!(peer.ack(&mut world, &notify).is_empty(), "solicited ones need no acknowledgement");
    assert_eq!(world.refusals(), [("ack_unknown", 1)]);
}
