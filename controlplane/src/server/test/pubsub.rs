//! RFC 9437 as section 4 has it, at the pace of design section 9.

use super::peers::*;
use crate::outbox::Datagram;
use crate::server::*;
use std::time::Duration;
use sterna_wire::lisp::control::{Act, LispAddress, MapNotify};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const EID: &str = "10.1.0.7/32";

/// A server, a subscriber of site-a that is known, and an ETR of site-b.
fn three() -> (World, Peer, Peer) {
    let mut world = World::of_two();
    let mut itr = Peer::of("site-a", "198.51.100.1");
    let etr = Peer::of("site-b", "198.51.100.2");
    itr.registers(&mut world, &["10.1.200.0/24"]);
    (world, itr, etr)
}

/// Subscribes; the confirmation, acknowledged.
fn subscribed(world: &mut World, itr: &mut Peer, prefix: &str) -> MapNotify {
    let request = itr.subscription(prefix);
    let sent = itr.ask(world, &request);
    let notify = only(itr, &sent);
    assert_eq!((notify.nonce, notify.xtr), (request.nonce, itr.xtr));
    assert!(itr.ack(world, &notify).is_empty());
    notify
}

fn only(itr: &Peer, sent: &[Datagram]) -> MapNotify {
    let mut notifies = itr.notifies(sent);
    assert_eq!(notifies.len(), 1, "{sent:?}");
    notifies.pop().unwrap()
}

/// (prefix, TTL, first locator) of each record.
fn told(notify: &MapNotify) -> Vec<(String, u32, Option<String>)> {
    let fact = |record: &sterna_wire::lisp::control::EidRecord| {
        let first = addresses(record).first().map(ToString::to_string);
        (prefix_of(record).to_string(), record.ttl, first)
    };
    notify.records.iter().map(fact).collect()
}

fn fact(prefix: &str, ttl: u32, locator: Option<&str>) -> (String, u32, Option<String>) {
    (prefix.to_owned(), ttl, locator.map(str::to_owned))
}

#[test]
fn a_subscription_is_confirmed_with_what_is_known_and_then_with_each_change() {
    let (mut world, mut itr, mut etr) = three();
    let confirmation = subscribed(&mut world, &mut itr, EID);
    assert_eq!(told(&confirmation), [fact(EID, 1, None)]);
    assert_eq!(confirmation.records[0].act, Act::NativelyForward);
    world.pass(SECOND);
    let mut nonce = confirmation.nonce;
    let register = etr.register(&[EID]);
    let published = only(&itr, &etr.send(&mut world, &register));
    nonce += 1;
    assert_eq!((published.nonce, told(&published)), (nonce, vec![fact(EID, 1440, Some("198.51.100.2"))]));
    assert!(!published.records[0].authoritative);
    itr.ack(&mut world, &published);
    assert!(itr.notifies(&world.pass(20 * SECOND)).is_empty());
    etr.registers(&mut world, &[EID]);
    assert!(itr.notifies(&world.pass(20 * SECOND)).is_empty(), "a refresh is no change");
    let withdrawal = etr.withdrawal(&[EID]);
    let published = only(&itr, &etr.send(&mut world, &withdrawal));
    assert_eq!((published.nonce, told(&published)), (nonce + 1, vec![fact(EID, 0, None)]));
    itr.ack(&mut world, &published);
    assert!(world.refusals().is_empty());
    let view = world.server.subscriptions().next().unwrap();
    assert_eq!((view.nonce, view.is_current, view.site.as_ref()), (nonce + 1, true, "site-a"));
}

#[test]
fn an_expiry_is_published_too() {
    let (mut world, mut itr, mut etr) = three();
    etr.registers(&mut world, &[EID]);
    assert_eq!(told(&subscribed(&mut world, &mut itr, EID)), [fact(EID, 1440, Some("198.51.100.2"))]);
    let sent = world.pass(181 * SECOND);
    let first = itr.notifies(&sent).into_iter().next().unwrap();
    assert_eq!(told(&first), [fact(EID, 0, None)]);
}

#[test]
fn a_move_is_published_at_once_to_every_subscriber_of_it_or_of_a_prefix_around_it() {
    let (mut world, mut itr, mut etr) = three();
    let mut third = Peer::of("site-a", "198.51.100.3");
    third.registers(&mut world, &["10.1.201.0/24"]);
    etr.registers(&mut world, &[EID, "10.1.0.0/24"]);
    subscribed(&mut world, &mut itr, EID);
    let around = subscribed(&mut world, &mut third, "10.1.0.0/24");
    assert_eq!(told(&around).len(), 2, "the prefix and its part");
    world.pass(SECOND);
    let register = itr.register(&[EID]);
    let sent = itr.send(&mut world, &register);
    let here = Some("198.51.100.1");
    assert_eq!(told(&only(&third, &sent)), [fact(EID, 1440, here)]);
    let publications = itr.notifies(&sent);
    assert!(
        publications.iter().any(|notify| told(notify) == [fact(EID, 1440, here)] && notify.xtr.is_some())
    );
}

#[test]
fn hosts_that_appear_inside_what_was_answered_are_told_and_a_prefix_around_it_too() {
    let (mut world, mut itr, mut etr) = three();
    etr.registers(&mut world, &["10.1.0.0/24"]);
    let confirmation = subscribed(&mut world, &mut itr, EID);
    assert_eq!(told(&confirmation), [fact("10.1.0.0/24", 1440, Some("198.51.100.2"))]);
    world.pass(SECOND);
    // The subscriber uses what it was answered for this host as well.
    let register = itr.register(&["10.1.0.99/32"]);
    let sent = itr.send(&mut world, &register);
    let publications = itr.notifies(&sent);
    let publication = publications.iter().find(|notify| notify.nonce == confirmation.nonce + 1).unwrap();
    assert_eq!(told(publication), [fact("10.1.0.99/32", 1440, Some("198.51.100.1"))]);
    itr.ack(&mut world, publication);
    world.pass(SECOND);
    // When the prefix goes, what is registered around it answers.
    etr.registers(&mut world, &["10.1.0.0/16"]);
    let withdrawal = etr.withdrawal(&["10.1.0.0/24"]);
    let published = only(&itr, &etr.send(&mut world, &withdrawal));
    assert_eq!(told(&published), [fact("10.1.0.0/24", 1440, Some("198.51.100.2"))]);
    itr.ack(&mut world, &published);
    world.pass(SECOND);
    let withdrawal = etr.withdrawal(&["10.1.0.0/16"]);
    let published = only(&itr, &etr.send(&mut world, &withdrawal));
    assert_eq!(told(&published), [fact("10.1.0.0/24", 0, None)]);
}

#[test]
fn a_prefix_around_an_unregistered_eid_is_told_as_that_eids() {
    let (mut world, mut itr, mut etr) = three();
    subscribed(&mut world, &mut itr, EID);
    world.pass(SECOND);
    let register = etr.register(&["10.1.0.0/16"]);
    let published = only(&itr, &etr.send(&mut world, &register));
    assert_eq!(told(&published), [fact(EID, 1440, Some("198.51.100.2"))]);
    itr.ack(&mut world, &published);
    world.pass(SECOND);
    // A closer prefix takes the EID: its change concerns the subscriber, the far one's no longer does.
    let register = etr.register(&["10.1.0.0/24"]);
    let published = only(&itr, &etr.send(&mut world, &register));
    assert_eq!(told(&published), [fact(EID, 1440, Some("198.51.100.2"))]);
    itr.ack(&mut world, &published);
    let withdrawal = etr.withdrawal(&["10.1.0.0/16"]);
    assert!(itr.notifies(&etr.send(&mut world, &withdrawal)).is_empty());
    assert!(itr.notifies(&world.pass(SECOND)).is_empty());
}

#[test]
fn changes_soon_after_one_another_go_together() {
    let (mut world, mut itr, mut etr) = three();
    etr.registers(&mut world, &["10.1.0.0/24"]);
    let confirmation = subscribed(&mut world, &mut itr, "10.1.0.0/24");
    world.pass(SECOND);
    let register = etr.register(&["10.1.0.1/32"]);
    let first = only(&itr, &etr.send(&mut world, &register));
    itr.ack(&mut world, &first);
    world.pass(MS);
    let register = etr.register(&["10.1.0.2/32", "10.1.0.3/32"]);
    assert!(itr.notifies(&etr.send(&mut world, &register)).is_empty());
    assert!(itr.notifies(&world.pass(3 * MS)).is_empty());
    let second = only(&itr, &world.pass(MS));
    assert_eq!((first.nonce, second.nonce), (confirmation.nonce + 1, confirmation.nonce + 2));
    assert_eq!((told(&first).len(), told(&second).len()), (1, 2));
}

#[test]
fn a_newer_message_contains_all_that_was_not_acknowledged() {
    let (mut world, mut itr, mut etr) = three();
    etr.registers(&mut world, &["10.1.0.0/24"]);
    let confirmation = subscribed(&mut world, &mut itr, "10.1.0.0/24");
    world.pass(SECOND);
    let register = etr.register(&["10.1.0.1/32"]);
    let lost = only(&itr, &etr.send(&mut world, &register));
    world.pass(10 * MS);
    let register = etr.register(&["10.1.0.2/32"]);
    let newer = only(&itr, &etr.send(&mut world, &register));
    assert_eq!((newer.nonce, told(&newer).len()), (confirmation.nonce + 2, 2));
    itr.ack(&mut world, &lost);
    assert_eq!(world.refused(Refusal::AckUnknown), 1, "an older one says nothing of the newer");
    itr.ack(&mut world, &newer);
    assert!(itr.notifies(&world.pass(100 * SECOND)).is_empty());
}

#[test]
fn more_changes_than_a_message_holds_follow_one_another() {
    let (mut world, mut itr, mut etr) = three();
    etr.registers(&mut world, &["10.1.0.0/24"]);
    subscribed(&mut world, &mut itr, "10.1.0.0/24");
    world.pass(SECOND);
    let hosts: Vec<String> = (0..200).map(|last| format!("10.1.0.{last}/32")).collect();
    let register = etr.register(&hosts.iter().map(String::as_str).collect::<Vec<_>>());
    let mut sent = etr.send(&mut world, &register);
    let (mut seen, mut messages) = (std::collections::BTreeSet::new(), 0);
    while let Some(notify) = itr.notifies(&sent).pop() {
        assert!(
            sent.iter().filter(|datagram| datagram.to.ip() == itr.address()).all(|d| d.bytes.len() < 1400)
        );
        seen.extend(told(&notify).into_iter().map(|(prefix, ..)| prefix));
        messages += 1;
        sent = itr.ack(&mut world, &notify);
        sent.extend(world.pass(5 * MS));
    }
    assert_eq!(seen.len(), 200);
    assert!(messages <= 12, "{messages}");
}

#[test]
fn what_is_not_acknowledged_is_sent_again_to_each_rloc_in_turn_until_it_is_given_up() {
    let (mut world, mut itr, mut etr) = three();
    let mut register = itr.register(&["10.1.200.0/24"]);
    let second = sterna_wire::lisp::control::LocatorRecord::unicast(ip("198.51.100.11"), 2, 1);
    register.records[0].locators.push(second);
    itr.send(&mut world, &register);
    let mut request = itr.subscription(EID);
    request.itr_rlocs.insert(0, ip("198.51.100.11").into());
    let notify = only(&itr, &itr.ask(&mut world, &request));
    itr.ack(&mut world, &notify);
    world.pass(SECOND);
    let register = etr.register(&[EID]);
    let mut sent: Vec<_> =
        etr.send(&mut world, &register).into_iter().map(|sent| (Duration::ZERO, sent)).collect();
    sent.extend(world.pass_timed(70 * SECOND));
    let mut times = Vec::new();
    for (when, datagram) in sent.into_iter().filter(|(_, datagram)| datagram.to.ip() != etr.address()) {
        assert_eq!(MapNotify::parse(&datagram.bytes).unwrap().nonce, request.nonce + 1);
        times.push((when.as_millis(), datagram.to.ip().to_string()));
    }
    let (a, b) = ("198.51.100.1".to_owned(), "198.51.100.11".to_owned());
    let expected = [0, 50, 250, 1250, 4250, 7250, 10_250, 16_250, 28_250];
    let expected: Vec<_> = expected.into_iter().zip([&a, &b].into_iter().cycle().cloned()).collect();
    assert_eq!(times, expected);
    assert_eq!(world.refused(Refusal::PublicationGivenUp), 1);
    // It stays a subscriber: the next change starts again and contains what it missed.
    let register = itr.register(&[EID]);
    let sent = itr.send(&mut world, &register);
    assert!(itr.notifies(&sent).iter().any(|notify| notify.nonce == request.nonce + 2));
}

#[test]
fn a_subscriber_that_never_confirms_is_none() {
    let (mut world, mut itr, mut etr) = three();
    let request = itr.subscription(EID);
    let first = only(&itr, &itr.ask(&mut world, &request));
    let mut sent = itr.notifies(&world.pass(100 * MS));
    assert_eq!(sent.pop().unwrap(), first);
    // A change waits for the confirmation to be acknowledged, so that nonces are never out of order.
    let register = etr.register(&[EID]);
    let sent = itr.notifies(&etr.send(&mut world, &register));
    assert!(sent.iter().all(|notify| notify.nonce == first.nonce));
    world.pass(60 * SECOND);
    assert_eq!((world.server.subscription_count(), world.refused(Refusal::SubscriptionGivenUp)), (0, 1));
}

#[test]
fn a_change_before_the_confirmation_is_acknowledged_follows_it_at_once() {
    let (mut world, mut itr, mut etr) = three();
    let request = itr.subscription(EID);
    let first = only(&itr, &itr.ask(&mut world, &request));
    world.pass(10 * MS);
    let register = etr.register(&[EID]);
    assert!(itr.notifies(&etr.send(&mut world, &register)).is_empty());
    let second = only(&itr, &itr.ack(&mut world, &first));
    assert_eq!((second.nonce, told(&second)), (first.nonce + 1, vec![fact(EID, 1440, Some("198.51.100.2"))]));
}

#[test]
fn renewing_takes_a_higher_nonce_and_an_old_one_is_only_answered() {
    let (mut world, mut itr, mut etr) = three();
    let confirmation = subscribed(&mut world, &mut itr, EID);
    world.pass(SECOND);
    let register = etr.register(&[EID]);
    let published = only(&itr, &etr.send(&mut world, &register));
    itr.ack(&mut world, &published);
    for old in [confirmation.nonce, published.nonce, 1] {
        let mut request = itr.subscription(EID);
        request.nonce = old;
        let sent = itr.ask(&mut world, &request);
        assert_eq!((itr.notifies(&sent).len(), itr.replies(&sent).len()), (0, 1), "answered, not subscribed");
    }
    assert_eq!(world.refusals(), [("subscription_stale", 3)]);
    itr.nonce = published.nonce;
    let renewed = subscribed(&mut world, &mut itr, EID);
    assert_eq!(told(&renewed), [fact(EID, 1440, Some("198.51.100.2"))]);
    world.pass(SECOND);
    let withdrawal = etr.withdrawal(&[EID]);
    assert_eq!(only(&itr, &etr.send(&mut world, &withdrawal)).nonce, renewed.nonce + 1);
    assert_eq!(world.server.subscription_count(), 1);
}

#[test]
fn unsubscribing_ends_it_and_is_confirmed_to_the_source() {
    let (mut world, mut itr, mut etr) = three();
    subscribed(&mut world, &mut itr, EID);
    let mut request = itr.subscription(EID);
    request.itr_rlocs = vec![LispAddress::None];
    // Somebody else cannot, even with the identity and a nonce that would do.
    world.give(&ecm(&request, at("203.0.113.66")), at("203.0.113.66"));
    assert_eq!(world.server.subscription_count(), 1);
    assert_eq!(world.refused(Refusal::SubscriptionForeignRloc), 1);
    let sent = itr.ask(&mut world, &request);
    assert_eq!(only(&itr, &sent).nonce, request.nonce);
    assert_eq!((world.server.subscription_count(), world.server.counters().unsubscribed), (0, 1));
    let register = etr.register(&[EID]);
    assert!(itr.notifies(&etr.send(&mut world, &register)).is_empty());
    assert!(world.pass(20 * SECOND).is_empty(), "the confirmation is not sent again");
}

#[test]
fn publications_go_only_to_addresses_of_the_subscribers_site() {
    let (mut world, mut itr, _) = three();
    let mut request = itr.subscription(EID);
    request.itr_rlocs = vec![ip("203.0.113.66").into()];
    let sent = world.give(&ecm(&request, at("203.0.113.66")), at("203.0.113.66"));
    assert_eq!(world.refusals(), [("subscription_foreign_rloc", 1)]);
    assert!(MapNotify::parse(&sent[0].bytes).is_err(), "answered by a Map-Reply");
    let mut request = itr.subscription(EID);
    request.itr_rlocs.push(ip("203.0.113.66").into());
    itr.ask(&mut world, &request);
    let view = world.server.subscriptions().next().unwrap();
    assert_eq!(*view.rlocs, [itr.address()]);
}

#[test]
fn who_has_no_key_or_no_identity_is_answered_without_a_subscription() {
    let (mut world, mut itr, _) = three();
    let mut stranger = Peer::of("nobody", "203.0.113.1");
    let request = stranger.subscription(EID);
    let sent = stranger.ask(&mut world, &request);
    assert_eq!(stranger.replies(&sent).len(), 1);
    let mut request = itr.subscription(EID);
    request.xtr = None;
    let sent = itr.ask(&mut world, &request);
    assert_eq!(itr.replies(&sent).len(), 1);
    let refusals = [("subscription_anonymous", 1), ("subscription_keyless", 1)];
    assert_eq!((world.refusals(), world.server.subscription_count()), (refusals.to_vec(), 0));
}

#[test]
fn an_itr_that_registers_nothing_subscribes_by_its_sites_configured_address() {
    let mut with_rloc = site("site-a", "10.1.0.0/16");
    with_rloc.rlocs = vec![ip("203.0.113.5")];
    let mut world = World::new(settings(&[with_rloc]));
    let mut itr = Peer::of("site-a", "203.0.113.5");
    subscribed(&mut world, &mut itr, EID);
    assert_eq!(world.server.subscription_count(), 1);
}

#[test]
fn subscriptions_in_foreign_groups_are_denied() {
    let mut other = site("site-b", "10.1.0.0/16");
    other.scopes[0].iid = iid(200);
    let mut world = World::new(settings(&[site("site-a", "10.1.0.0/16"), other]));
    let mut b = Peer::of("site-b", "198.51.100.2");
    let mut register = b.register(&["10.1.0.8/32"]);
    register.records[0].eid = LispAddress::for_eid(iid(200), ip("10.1.0.8"));
    b.send(&mut world, &register);
    let request = b.subscription(EID);
    let sent = b.ask(&mut world, &request);
    assert_eq!(b.replies(&sent)[0].records[0].act, Act::DropPolicyDenied);
    assert_eq!(world.server.subscription_count(), 0);
}

#[test]
fn one_xtr_and_all_together_have_bounds() {
    let bounded = ServerSettings {
        max_subscriptions_per_xtr: 2,
        max_subscriptions: 3,
        ..settings(&[site("site-a", "10.1.0.0/16")])
    };
    let mut world = World::new(bounded);
    let mut one = Peer::of("site-a", "198.51.100.1");
    let mut two = Peer::of("site-a", "198.51.100.2");
    one.registers(&mut world, &["10.1.0.1/32"]);
    two.registers(&mut world, &["10.1.0.2/32"]);
    for eid in ["10.1.1.1/32", "10.1.1.2/32", "10.1.1.3/32"] {
        let request = one.subscription(eid);
        one.ask(&mut world, &request);
        let request = two.subscription(eid);
        two.ask(&mut world, &request);
    }
    assert_eq!(world.server.subscription_count(), 3);
    assert_eq!(world.refused(Refusal::SubscriptionsFull), 3);
    subscribed(&mut world, &mut one, "10.1.1.1/32");
}

#[test]
fn acknowledgements_are_verified() {
    let (mut world, mut itr, _) = three();
    let request = itr.subscription(EID);
    let notify = only(&itr, &itr.ask(&mut world, &request));
    let forger = Peer { key: key(1, "guessed"), ..Peer::of("site-a", "198.51.100.1") };
    forger.ack(&mut world, &notify);
    assert_eq!((world.refusals(), world.server.counters().acknowledged), (vec![("ack_auth", 1)], 0));
    // An acknowledgement may carry no record and no identity.
    let ack = MapNotify { ack: true, records: Vec::new(), xtr: None, ..notify };
    world.give(&ack.signed(&itr.key), itr.source);
    assert_eq!(world.server.counters().acknowledged, 1);
}

#[test]
fn publishing_keeps_to_its_rate_and_loses_nothing() {
    let slow = ServerSettings {
        publish_rate: 1000,
        ..settings(&[site("site-a", "10.1.0.0/16"), site("site-b", "10.1.0.0/16")])
    };
    let mut world = World::new(slow);
    let mut itr = Peer::of("site-a", "198.51.100.1");
    let mut etr = Peer::of("site-b", "198.51.100.2");
    itr.registers(&mut world, &["10.1.200.0/24"]);
    let hosts: Vec<String> = (0..250).map(|last| format!("10.1.0.{last}/32")).collect();
    for pair in hosts.chunks(10) {
        pair.iter().for_each(|host| drop(subscribed(&mut world, &mut itr, host)));
        world.pass(SECOND);
    }
    for _ in 0..2 {
        let mut register = etr.register(&hosts.iter().map(String::as_str).collect::<Vec<_>>());
        register.records.iter_mut().for_each(|record| record.map_version += 1);
        etr.send(&mut world, &register);
        world.pass(MS);
    }
    let before = world.server.counters().published;
    assert!((250..=260).contains(&before), "{before}: the burst");
    let start = world.now;
    let mut known = std::collections::BTreeSet::new();
    while known.len() < 250 && world.now - start < 10 * SECOND {
        for notify in itr.notifies(&world.pass(MS)) {
            known.extend(told(&notify).into_iter().map(|(prefix, ..)| prefix));
            itr.ack(&mut world, &notify);
        }
        let allowed = before + (world.now - start).as_millis() as u64 + 2;
        assert!(world.server.counters().published <= allowed);
    }
    assert_eq!(known.len(), 250);
    world.pass(60 * SECOND);
    assert!(
        world
            .server
            .subscriptions()
            .all(|view| view.is_current || view.outstanding == 0 || view.outstanding == 1)
    );
}

#[test]
fn many_subscribers_of_one_prefix_are_told_in_parts_without_a_pause() {
    let (mut world, _, mut etr) = three();
    let mut itrs: Vec<Peer> =
        (1..=250).map(|last| Peer::of("site-a", &format!("198.51.101.{last}"))).collect();
    for (number, itr) in itrs.iter_mut().enumerate() {
        itr.xtr.as_mut().unwrap().xtr_id = std::array::from_fn(|byte| byte as u8 ^ number as u8);
        let host = format!("10.1.100.{number}/32");
        itr.registers(&mut world, &[&host]);
        subscribed(&mut world, itr, EID);
        subscribed(&mut world, itr, "10.1.0.0/25");
        world.pass(MS);
    }
    world.pass(SECOND);
    let register = etr.register(&[EID]);
    let first = etr.send(&mut world, &register).len();
    assert_eq!(first, 256 + 1, "a part, and the answer");
    let rest = world.pass(MS).len();
    assert_eq!(first + rest, 501);
}

#[test]
fn a_subscription_that_nobody_renews_ends_after_days() {
    let (mut world, mut itr, _) = three();
    subscribed(&mut world, &mut itr, EID);
    world.pass(Duration::from_secs(2 * 86_400 - 10));
    assert_eq!(world.server.subscription_count(), 1);
    world.pass(60 * SECOND);
    assert_eq!((world.server.subscription_count(), world.refused(Refusal::SubscriptionExpired)), (0, 1));
}
