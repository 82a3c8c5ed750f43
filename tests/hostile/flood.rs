//! What a flood costs, by counts: datagrams, entries, saves; and that an honest message still gets its answer in the
//! same turn. The bounds are those that docs/mapping-system.md states.

use std::collections::BTreeMap;

use sterna_controlplane::plane::ControlPlane;
use sterna_shm::Event;
use sterna_wire::lisp::control::{LispAddress, MapNotify};

use crate::case::risen;
use crate::site;
use crate::world::*;

/// Messages of a flood, all of one moment.
const FLOOD: u32 = 20_000;

/// The n-th address of 10.1.64.0/18 and what follows it.
fn unknown(n: u32) -> String {
    std::net::Ipv4Addr::from_bits(0x0a01_4000 + n % 0x4000).to_string()
}

/// An address of the underlay that nobody has.
fn forged(n: u32) -> String {
    std::net::Ipv4Addr::from_bits(0xc612_0000 + n % 0x1_0000).to_string()
}

fn rose(before: &BTreeMap<String, u64>, plane: &ControlPlane, name: &str) -> u64 {
    risen(before, &counters(plane)).get(name).copied().unwrap_or(0)
}

#[test]
fn a_flood_of_misses_costs_a_burst_of_requests_and_a_bounded_number_of_questions() {
    let mut world = World::new();
    let before = counters(&world.xtr);
    for n in 0..FLOOD {
        let eid = ip(&unknown(n));
        world.xtr.event(Event::Miss { iid: iid(), eid, source: n % 2 == 0, port: 0, class: 0 }, world.now);
    }
    let asked = world.xtr.take_datagrams().len();
    let waiting = world.xtr.roles().itr().unwrap().entries().count();
    assert!(asked <= 150, "{asked} Map-Requests at once");
    assert!(waiting <= 4096, "{waiting} questions wait");
    assert_eq!(rose(&before, &world.xtr, "itr.misses"), u64::from(FLOOD));
    // An answer that somebody waits for is still taken in the same turn.
    let entries = |world: &World| world.xtr.roles().itr().unwrap().cached().0;
    assert_eq!(entries(&world), 0, "a question is no entry");
}

#[test]
fn a_flood_of_forged_replies_costs_nothing_and_the_true_one_is_heard() {
    let mut world = World::new();
    let nonce = world.ask("10.1.2.9");
    let before = counters(&world.xtr);
    let mut bytes = reply(0, vec![mapping("10.1.2.0/24", &[STRANGER])]).emit();
    for n in 0..FLOOD {
        bytes[4..12].copy_from_slice(&(nonce ^ u64::from(n + 1)).to_be_bytes());
        world.xtr.datagram(&bytes, at(&forged(n)), ip(GATEWAY), world.now);
    }
    assert!(world.xtr.take_datagrams().is_empty(), "nothing is sent");
    assert_eq!(rose(&before, &world.xtr, "itr.reply_unknown_nonce"), u64::from(FLOOD));
    assert!(world.still_asks("10.1.2.9"));
}

#[test]
fn a_flood_of_solicitations_costs_one_request_per_prefix_and_a_burst_in_all() {
    let mut world = World::new();
    for third in 0..=255_u8 {
        let prefix = format!("10.7.{third}.0/24");
        let nonce = world.ask(&format!("10.7.{third}.9"));
        let bytes = reply(nonce, vec![mapping(&prefix, &[PEER])]).emit();
        world.xtr.datagram(&bytes, at(SERVER), ip(GATEWAY), world.now);
        world.pass(100);
    }
    world.xtr.take_datagrams();
    let before = counters(&world.xtr);
    for n in 0..FLOOD {
        let mut smr = request(&["10.1.1.5/32"]);
        smr.smr = true;
        smr.source_eid = LispAddress::for_eid(iid(), ip(&format!("10.7.{}.0", n % 256)));
        world.xtr.datagram(&smr.emit(), at(&forged(n)), ip(GATEWAY), world.now);
    }
    let asked = world.xtr.take_datagrams().len();
    assert!((1..=200).contains(&asked), "{asked} Map-Requests for {FLOOD} solicitations");
    let refused = ["itr.smr_paced", "itr.smr_limited"].map(|name| rose(&before, &world.xtr, name));
    let accepted = rose(&before, &world.xtr, "itr.smrs_accepted");
    assert_eq!(accepted + refused.iter().sum::<u64>(), u64::from(FLOOD), "each is counted once");
    assert_eq!(world.known("10.7.3.9"), Some(vec![ip(PEER)]), "the entries hold meanwhile");
}

#[test]
fn a_flood_of_forged_registers_is_verified_up_to_a_rate_and_changes_nothing() {
    let mut world = World::new();
    let before = counters(&world.server);
    let mut bytes = register(8, vec![mapping("10.1.2.9/32", &[STRANGER])]).signed(&key_a());
    bytes[12] = 2;
    for n in 0..FLOOD {
        world.server.datagram(&bytes, at(&forged(n)), ip(SERVER), world.now);
    }
    assert!(world.server.take_datagrams().is_empty() && world.server.take_saves().is_empty());
    let rose = |name| rose(&before, &world.server, name);
    let verified = rose("server.auth_data");
    assert!(verified <= 20_000 / 4, "{verified} verified at once");
    assert_eq!(
        verified + rose("server.register_rate") + rose("server.register_rate_of_source"),
        u64::from(FLOOD)
    );
    // A gateway that has registered before is heard in the same turn.
    let honest = register(8, vec![mapping("10.1.2.9/32", &[PEER])]).signed(&key_b());
    world.server.datagram(&honest, at(PEER), ip(SERVER), world.now);
    assert_eq!(world.server.take_datagrams().len(), 1);
    assert!(world.registered("10.1.2.9/32"));
}

#[test]
fn one_source_cannot_use_up_the_registers_of_others() {
    let mut world = World::new();
    let before = counters(&world.server);
    let mut bytes = register(8, vec![mapping("10.1.2.9/32", &[STRANGER])]).signed(&key_a());
    bytes[12] = 2;
    for _ in 0..FLOOD {
        world.server.datagram(&bytes, at(STRANGER), ip(SERVER), world.now);
    }
    let verified = rose(&before, &world.server, "server.auth_data");
    assert!(verified <= 2000 / 4, "{verified} verified at once");
    let honest = register(8, vec![mapping("10.1.2.9/32", &[PEER])]).signed(&key_b());
    world.server.datagram(&honest, at(PEER), ip(SERVER), world.now);
    assert_eq!(world.server.take_datagrams().len(), 1);
}

#[test]
fn a_flood_of_replayed_registers_saves_and_sends_nothing() {
    let mut world = World::new();
    let old = register(7, vec![mapping("10.1.2.0/24", &[PEER])]).signed(&key_b());
    for n in 0..FLOOD {
        // From anywhere; the site's own address is held to its own share.
        world.server.datagram(&old, at(&forged(n)), ip(SERVER), world.now);
    }
    assert!(world.server.take_datagrams().is_empty());
    assert!(world.server.take_saves().is_empty());
    let registrations = world.server.roles().server().unwrap().registration_count();
    assert_eq!(registrations, 1);
    let honest = register(8, vec![mapping("10.1.2.9/32", &[PEER])]).signed(&key_b());
    world.server.datagram(&honest, at(PEER), ip(SERVER), world.now);
    assert_eq!(world.server.take_datagrams().len(), 1);
}

#[test]
fn a_flood_of_requests_is_answered_up_to_a_rate_and_at_most_threefold() {
    let mut world = World::new();
    for n in 0..FLOOD {
        let mut question = request(&["10.1.2.9/32"]);
        question.itr_rlocs = vec![ip(&forged(n)).into()];
        let bytes = ecm(&question.emit());
        world.server.datagram(&bytes, at(&forged(n)), ip(SERVER), world.now);
        let answered: usize = world.server.take_datagrams().iter().map(|datagram| datagram.bytes.len()).sum();
        assert!(answered <= 3 * bytes.len(), "{answered} bytes for {}", bytes.len());
    }
    let server = world.server.roles().server().unwrap();
    let looked_at = server.counters().requests;
    assert!(looked_at <= 50_000 / 4, "{looked_at} looked at in one moment");
    assert_eq!(server.subscription_count(), 0);
    assert!(world.server.take_saves().is_empty());
    // A site's gateway has a share that strangers cannot use up.
    world.server.datagram(&ecm(&request(&["10.1.2.9/32"]).emit()), at(PEER), ip(SERVER), world.now);
    assert_eq!(world.server.take_datagrams().len(), 1);
}

#[test]
fn a_flood_of_forged_notifies_is_neither_acknowledged_nor_believed() {
    let mut world = World::new();
    let notify =
        MapNotify { nonce: 1, records: vec![mapping("10.1.128.9/32", &[STRANGER])], ..MapNotify::default() };
    let bytes = notify.signed(&key_b());
    for _ in 0..FLOOD {
        world.xtr.datagram(&bytes, at(SERVER), ip(GATEWAY), world.now);
    }
    assert!(world.xtr.take_datagrams().is_empty());
    assert_eq!(world.xtr.roles().etr().unwrap().agents().count(), 0);
    world.ask("10.1.2.9");
    assert!(world.still_asks("10.1.2.9"));
}

#[test]
fn a_flood_of_unknown_destinations_fills_a_share_of_the_hold_pool_and_hits_go_on() {
    let mut rig = site::site();
    for n in 0..20_000_u32 {
        rig.inject(0, &site::udp("10.1.0.5", &unknown(n), 64, 20));
        if n % 64 == 63 {
            rig.settle();
        }
    }
    rig.settle();
    let held = rig.counter("held");
    assert!(held <= 256, "{held} of a pool of 256");
    rig.collect(1);
    for _ in 0..64 {
        rig.inject(0, &site::udp("10.1.0.5", "10.1.2.9", 64, 20));
    }
    rig.settle();
    assert_eq!(rig.collect(1).len(), 64, "every hit is forwarded");
    site::assert_balanced(&rig);
}
