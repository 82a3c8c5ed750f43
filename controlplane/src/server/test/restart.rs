//! What is left after a restart: everything that was registered or subscribed, and no replay gets through.

use super::peers::*;
use crate::outbox::Outbox;
use crate::server::*;
use crate::store::{FileStore, Store};
use std::time::Duration;
use sterna_wire::lisp::control::acx::{Acx, AgentState, Scope, Scoped, StatusCode, hash_of};
use sterna_wire::lisp::control::{MapNotify, MapRegister, MapRequest};

const SECOND: Duration = Duration::from_secs(1);
const EID: &str = "10.1.0.7/32";

/// The store in a folder of its own.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn new() -> Disk {
        Disk { folder: tempfile::tempdir().unwrap() }
    }

    fn open(&self) -> FileStore {
        FileStore::open(&self.folder.path().join("store.redb")).unwrap()
    }

    /// Writes what the server wants saved.
    fn write(&self, world: &mut World) {
        self.open().write(&world.server.take_saves()).unwrap();
    }

    /// The server is killed, and another one starts with these settings.
    fn restart(&self, mut world: World, settings: ServerSettings) -> World {
        self.write(&mut world);
        let now = world.now + 10 * SECOND;
        let mut server = Server::new(settings.clone(), crate::random::Random::seeded(2));
        server.configure(settings, now, &mut Outbox::default());
        self.open().load(&mut |part| server.restore(part, now)).unwrap();
        World { server, now }
    }
}

fn both() -> ServerSettings {
    settings(&[site("site-a", "10.1.0.0/16"), site("site-b", "10.1.0.0/16")])
}

#[test]
fn registrations_come_back_with_all_they_said_and_live_one_life_from_then() {
    let disk = Disk::new();
    let mut world = World::of_two();
    let mut peer = Peer::of("site-a", "198.51.100.1");
    let mut register = peer.register(&[EID, "10.1.2.0/24"]);
    register.records[0].map_version = 9;
    register.records[1].locators.clear();
    peer.send(&mut world, &register);
    world.pass(170 * SECOND);
    let before = peer.resolves(&mut world, EID);
    let mut world = disk.restart(world, both());
    assert_eq!(peer.resolves(&mut world, EID), before);
    world.pass(179 * SECOND);
    assert_eq!(world.server.registration_count(), 2);
    // A refresh finds what it refreshes: no change is published or saved.
    world.server.take_saves();
    let mut register = peer.register(&[EID, "10.1.2.0/24"]);
    register.records[0].map_version = 9;
    register.records[1].locators.clear();
    peer.send(&mut world, &register);
    assert_eq!((world.server.counters().changes, world.server.take_saves()), (0, vec![]));
    world.pass(181 * SECOND);
    assert_eq!(world.server.registration_count(), 0);
    disk.write(&mut world);
    let world = disk.restart(world, both());
    assert_eq!(world.server.registration_count(), 0);
}

#[test]
fn replays_are_refused_after_a_restart_too() {
    let disk = Disk::new();
    let mut world = World::of_two();
    let mut old = Peer::of("site-a", "198.51.100.1");
    let mut new = Peer::of("site-b", "198.51.100.2");
    let first = old.register(&[EID]);
    old.send(&mut world, &first);
    let second = new.register(&[EID]);
    new.send(&mut world, &second);
    let withdrawal = old.withdrawal(&["10.1.0.8/32"]);
    old.send(&mut world, &withdrawal);
    // The marks of refreshes are a second old at most.
    world.pass(SECOND);
    let mut world = disk.restart(world, both());
    for replayed in [&first, &withdrawal] {
        assert!(old.send(&mut world, replayed).is_empty());
    }
    assert!(new.send(&mut world, &second).is_empty());
    assert_eq!((world.refusals(), world.registered(EID)), (vec![("replayed", 3)], vec![new.address()]));
    assert_eq!(old.registers(&mut world, &["10.1.0.9/32"]).len(), 1);
}

#[test]
fn context_comes_back_with_its_sequence_and_what_is_dynamic_lives_once_more() {
    let disk = Disk::new();
    let mut world = World::of_two();
    let mut peer = Peer::of("site-a", "198.51.100.1");
    let here = Scope::Locator { record: 0, locator: 0 };
    let entries =
        vec![Scoped::new(Scope::Record(0), with_hardware(&["gpu"])), Scoped::new(here, loaded(700))];
    let snapshot = peer.snapshot(&[EID], 9, entries);
    assert_eq!(peer.says(&mut world, &snapshot), (9, StatusCode::Ok));
    let failed = peer.delta(10, vec![Scoped::new(whole(EID), in_state(AgentState::Busy))]);
    peer.says(&mut world, &failed);
    world.pass(SECOND);
    disk.write(&mut world);
    // A load is saved with the nonce marks, a second later.
    let load = peer.delta(11, vec![Scoped::new(whole(EID), loaded(100))]);
    peer.says(&mut world, &load);
    let saves_context = |world: &mut World| {
        world.server.take_saves().iter().filter(|save| matches!(save, Save::Context(_))).count()
    };
    assert_eq!(saves_context(&mut world), 0);
    let here = Scope::EidLocator(iid(100), prefix(EID), peer.address());
    let load = peer.delta(12, vec![Scoped::new(here, loaded(701))]);
    peer.says(&mut world, &load);
    world.pass(2 * SECOND);
    let mut world = disk.restart(world, both());
    let all = |world: &World| {
        let context = world.server.registrations(world.now).next().unwrap().context.unwrap();
        (context.seq, context.locators[0].clone())
    };
    let said = with_hardware(&["gpu"]).overlaid(&in_state(AgentState::Busy)).overlaid(&loaded(701));
    assert_eq!(all(&world), (12, said));
    let old = peer.delta(10, vec![Scoped::new(whole(EID), in_state(AgentState::Failed))]);
    assert_eq!(peer.says(&mut world, &old), (12, StatusCode::StaleSequence));
    world.pass(89 * SECOND);
    assert!(all(&world).1.state.is_some());
    world.pass(2 * SECOND);
    assert_eq!(all(&world), (12, with_hardware(&["gpu"])));
    // Gone with its registration, from the store too.
    world.pass(180 * SECOND);
    assert_eq!(world.server.context_count(), (0, 0));
    peer.registers(&mut world, &[EID]);
    let world = disk.restart(world, both());
    assert_eq!(world.server.registrations(world.now).next().unwrap().context, None);
}

#[test]
fn subscribers_are_remembered_with_what_they_asked() {
    let disk = Disk::new();
    let mut world = World::of_two();
    let mut itr = Peer::of("site-a", "198.51.100.1");
    let mut etr = Peer::of("site-b", "198.51.100.2");
    itr.registers(&mut world, &["10.1.200.0/24"]);
    etr.registers(&mut world, &[EID]);
    let request = MapRequest { tail: for_hardware("gpu").bytes(), ..itr.subscription(EID) };
    let notify = itr.notifies(&itr.ask(&mut world, &request)).pop().unwrap();
    itr.ack(&mut world, &notify);
    let mut world = disk.restart(world, both());
    let gpu = etr.delta(1, vec![Scoped::new(whole(EID), with_hardware(&["gpu"]))]);
    let published = itr.notifies(&etr.send(&mut world, &gpu)).pop().unwrap();
    let told = block(&published.tail).unwrap();
    let asked = Acx::find(&request.tail).unwrap().unwrap();
    assert_eq!((told.filtered, told.hash), (true, hash_of(&asked.constraints, None)));
    assert_eq!(order(&published.records[0]), [("2".to_owned(), 1)]);
}

#[test]
fn subscriptions_come_back_and_their_nonces_only_rise() {
    let disk = Disk::new();
    let mut world = World::of_two();
    let mut itr = Peer::of("site-a", "198.51.100.1");
    let mut etr = Peer::of("site-b", "198.51.100.2");
    itr.registers(&mut world, &["10.1.200.0/24"]);
    let request = itr.subscription(EID);
    let notify = itr.notifies(&itr.ask(&mut world, &request)).pop().unwrap();
    itr.ack(&mut world, &notify);
    let register = etr.register(&[EID]);
    let published = itr.notifies(&etr.send(&mut world, &register)).pop();
    let last = published.unwrap_or_else(|| itr.notifies(&world.pass(SECOND)).pop().unwrap()).nonce;
    let mut world = disk.restart(world, both());
    let withdrawal = etr.withdrawal(&[EID]);
    let sent = etr.send(&mut world, &withdrawal);
    let published: MapNotify = itr.notifies(&sent).pop().unwrap();
    assert!(published.nonce > last && published.nonce <= last + 2048, "{} {last}", published.nonce);
    assert_eq!(published.records[0].ttl, 0);
    itr.ack(&mut world, &published);
    // Replayed, the first subscription is stale; the subscriber's next one is not.
    let sent = itr.ask(&mut world, &request);
    assert_eq!((itr.notifies(&sent).len(), world.refused(Refusal::SubscriptionStale)), (0, 1));
    itr.nonce = published.nonce;
    let request = itr.subscription(EID);
    let sent = itr.ask(&mut world, &request);
    assert_eq!(itr.notifies(&sent)[0].nonce, request.nonce);
}

#[test]
fn a_subscriber_that_missed_the_last_publications_can_renew() {
    let disk = Disk::new();
    let mut world = World::of_two();
    let mut itr = Peer::of("site-a", "198.51.100.1");
    itr.registers(&mut world, &["10.1.200.0/24"]);
    let request = itr.subscription(EID);
    let notify = itr.notifies(&itr.ask(&mut world, &request)).pop().unwrap();
    itr.ack(&mut world, &notify);
    let mut world = disk.restart(world, both());
    // Nonces were reserved far above what the subscriber has seen.
    let renewal = itr.subscription(EID);
    assert_eq!(renewal.nonce, request.nonce + 1);
    let sent = itr.ask(&mut world, &renewal);
    assert_eq!(itr.notifies(&sent)[0].nonce, renewal.nonce);
}

#[test]
fn notices_go_on_with_higher_nonces() {
    let disk = Disk::new();
    let mut world = World::of_two();
    let mut old = Peer::of("site-a", "198.51.100.1");
    let mut new = Peer::of("site-b", "198.51.100.2");
    let mut notice = |world: &mut World| {
        old.registers(world, &[EID]);
        let register: MapRegister = new.register(&[EID]);
        let sent = new.send(world, &register);
        let notice = old.notifies(&sent).pop().unwrap();
        old.ack(world, &notice);
        let register = old.register(&[EID]);
        let sent = old.send(world, &register);
        new.ack(world, &new.notifies(&sent)[0]);
        notice.nonce
    };
    let before = notice(&mut world);
    let mut world = disk.restart(world, both());
    assert!(notice(&mut world) > before);
}

#[test]
fn what_the_config_no_longer_allows_does_not_come_back() {
    let disk = Disk::new();
    let mut world = World::of_two();
    let mut a = Peer::of("site-a", "198.51.100.1");
    let mut b = Peer::of("site-b", "198.51.100.2");
    a.registers(&mut world, &[EID]);
    b.registers(&mut world, &["10.1.0.8/32", "10.1.1.8/32"]);
    let request = a.subscription(EID);
    a.ask(&mut world, &request);
    let fewer = settings(&[site("site-b", "10.1.1.0/24")]);
    let world = disk.restart(world, fewer.clone());
    assert_eq!((world.server.registration_count(), world.server.subscription_count()), (1, 0));
    assert_eq!(world.registered("10.1.1.8/32"), [b.address()]);
    // It is out of the store for good, also when the site returns.
    let world = disk.restart(world, both());
    assert_eq!(world.server.registration_count(), 1);
    assert_eq!(world.server.sites()[0].xtrs.len(), 0);
}

#[test]
fn a_merged_prefix_comes_back_with_all_its_holders() {
    let disk = Disk::new();
    let mut world = World::of_two();
    for address in ["198.51.100.1", "198.51.100.2"] {
        let mut peer = Peer::of("site-a", address);
        let mut register = peer.register(&[EID]);
        register.merge = true;
        peer.send(&mut world, &register);
    }
    let world = disk.restart(world, both());
    assert_eq!(world.registered(EID).len(), 2);
}
