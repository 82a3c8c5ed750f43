//! Subscriptions, confirmations and publications.

use sterna_wire::Iid;
use sterna_wire::lisp::control::auth::{Algorithm, Key};
use sterna_wire::lisp::control::{EidRecord, LispAddress, MapNotify, XtrId};

use super::bench::*;
use crate::itr::{Counter, EntryState, ItrSettings, Limits};

/// An ITR with a confirmed subscription of 10.1.2.3 at RLOC 1; and the nonce of its confirmation.
fn subscribed() -> (Bench, u64) {
    let mut bench = Bench::new(subscribing());
    bench.miss("10.1.2.3");
    bench.confirm(&[record(group(), "10.1.2.3/32", &[1])]);
    assert_eq!(bench.published(), vec![mapped("10.1.2.3/32", &[1])]);
    let nonce = bench.asked[0].nonce();
    (bench, nonce)
}

fn moved(number: u8) -> [EidRecord; 1] {
    [record(group(), "10.1.2.3/32", &[number])]
}

#[test]
fn a_request_subscribes_and_its_confirmation_answers_and_is_acknowledged() {
    let (bench, nonce) = subscribed();
    let asked = &bench.asked[0];
    assert!(asked.subscribes() && asked.request.xtr == Some(XTR));
    assert_eq!(nonce >> 44, 1, "the first start of this gateway");
    let (to, ack) = &bench.acks[0];
    assert_eq!((to.ip(), to.port(), ack.nonce), (resolver(10), 4342, nonce));
    assert_eq!((&ack.records, ack.xtr), (&moved(1).to_vec(), Some(XTR)), "the same body");
    assert_eq!(bench.count(Counter::SubscriptionsConfirmed), 1);
    let entry = bench.entry("10.1.2.3/32").unwrap();
    assert!(entry.subscribed && !entry.asking && entry.state == EntryState::Fresh);
}

#[test]
fn a_publication_is_applied_at_once_and_acknowledged() {
    let (mut bench, nonce) = subscribed();
    assert!(bench.notify(nonce + 1, &moved(2)));
    assert_eq!(bench.published(), vec![mapped("10.1.2.3/32", &[2])]);
    assert_eq!(bench.acks.last().unwrap().1.nonce, nonce + 1);
    assert!(bench.notify(nonce + 5, &moved(3)), "some were lost");
    assert_eq!(bench.published(), vec![mapped("10.1.2.3/32", &[3])]);
}

#[test]
fn what_was_seen_is_acknowledged_again_and_older_ones_are_not() {
    let (mut bench, nonce) = subscribed();
    bench.notify(nonce + 1, &moved(2));
    bench.published();
    assert!(bench.notify(nonce + 1, &moved(4)));
    assert!(bench.notify(nonce, &moved(5)));
    assert_eq!((bench.published(), bench.acks.len()), (vec![], 3));
    assert_eq!((bench.count(Counter::NotifyDuplicate), bench.count(Counter::NotifyReplayed)), (1, 1));
}

#[test]
fn row_35_a_notify_that_is_not_ours_is_for_somebody_else() {
    let (mut bench, nonce) = subscribed();
    assert!(!bench.notify(nonce + (1 << 21), &moved(2)), "another nonce");
    assert!(!bench.notify(nonce + 1, &[record(group(), "10.1.7.7/32", &[2])]), "another EID");
    assert!(!bench.notify(nonce + 1, &[record(Iid::DEFAULT, "10.1.2.3/32", &[2])]), "another group");
    assert_eq!((bench.published(), bench.acks.len()), (vec![], 1));
}

#[test]
fn a_forged_one_changes_nothing_and_is_not_acknowledged() {
    let (mut bench, nonce) = subscribed();
    let notify = MapNotify { nonce: nonce + 1, records: moved(2).into(), ..MapNotify::default() };
    let forged = notify.signed(&Key::new(1, Algorithm::HmacSha256_128, b"guess"));
    let unknown = notify.signed(&Key::new(9, Algorithm::HmacSha256_128, b"secret-a"));
    let weaker = notify.signed(&Key::new(1, Algorithm::HmacSha1_96, b"secret-a"));
    let none = notify.emit();
    assert!([forged, unknown, weaker, none].iter().all(|bytes| bench.notify_bytes(bytes)));
    let mut altered = notify.signed(&key());
    let last = altered.len() - 1;
    altered[last] ^= 1;
    assert!(bench.notify_bytes(&altered));
    assert_eq!((bench.published(), bench.acks.len()), (vec![], 1));
    assert_eq!((bench.count(Counter::NotifyAuth), bench.count(Counter::NotifyNoKey)), (2, 3));
    assert!(bench.notify(nonce + 1, &moved(2)), "the true one is still the next");
    assert_eq!(bench.published(), vec![mapped("10.1.2.3/32", &[2])]);
}

#[test]
fn both_keys_of_a_rotation_are_good() {
    let mut settings = subscribing();
    let new = Key::new(2, Algorithm::HmacSha256_128, b"secret-b");
    settings.map_servers[0].keys.insert(0, new.clone());
    let mut bench = Bench::new(settings);
    bench.miss("10.1.2.3");
    bench.confirm(&moved(1));
    let nonce = bench.asked[0].nonce() + 1;
    let notify = MapNotify { nonce, records: moved(2).into(), ..MapNotify::default() };
    // The bench wants acknowledgements by the old key; this one has the new.
    let bytes = notify.signed(&new);
    let parsed = MapNotify::parse(&bytes).unwrap();
    let mut out = crate::outbox::Outbox::default();
    let from = std::net::SocketAddr::new(resolver(10), 4342);
    assert!(bench.itr.map_notify(&parsed, &bytes, from, bench.now, &mut out));
    assert_eq!(out.mappings.len(), 1);
    let ack = MapNotify::parse(&out.datagrams[0].bytes).unwrap();
    assert_eq!((ack.ack, ack.key_id), (true, 2));
}

#[test]
fn a_notify_for_another_xtr_is_refused() {
    let (mut bench, nonce) = subscribed();
    let other = Some(XtrId { xtr_id: [8; 16], site_id: 9 });
    let notify = MapNotify { nonce: nonce + 1, records: moved(2).into(), xtr: other, ..MapNotify::default() };
    assert!(bench.notify_bytes(&notify.signed(&key())));
    assert_eq!((bench.published(), bench.count(Counter::NotifyForeignXtr)), (vec![], 1));
    assert_eq!(bench.acks.len(), 1);
}

#[test]
fn a_withdrawal_removes_and_the_return_is_published_too() {
    let (mut bench, nonce) = subscribed();
    bench.notify(nonce + 1, &[EidRecord { ttl: 0, ..record(group(), "10.1.2.3/32", &[]) }]);
    assert_eq!(bench.published(), vec![removed("10.1.2.3/32")]);
    bench.wait_s(30);
    bench.notify(nonce + 2, &moved(2));
    assert_eq!(bench.published(), vec![mapped("10.1.2.3/32", &[2])]);
}

#[test]
fn who_was_missing_appears() {
    let mut bench = Bench::new(subscribing());
    bench.miss("10.1.2.3");
    bench.confirm(&[nobody(group(), "10.1.0.0/16", 15)]);
    assert_eq!(bench.published(), vec![negative("10.1.2.3/32")]);
    let nonce = bench.asked[0].nonce();
    bench.wait_s(10);
    bench.notify(nonce + 1, &moved(1));
    assert_eq!(bench.published(), vec![mapped("10.1.2.3/32", &[1])]);
    bench.miss("10.1.2.4");
    bench.confirm(&[nobody(group(), "10.1.0.0/16", 15)]);
    let nonce = bench.asked.last().unwrap().nonce();
    bench.published();
    bench.notify(nonce + 1, &[record(group(), "10.1.2.0/24", &[2])]);
    assert_eq!(bench.published(), vec![mapped("10.1.2.0/24", &[2]), removed("10.1.2.4/32")]);
}

#[test]
fn a_map_reply_instead_is_usable_without_a_subscription() {
    let mut bench = Bench::new(subscribing());
    bench.miss("10.1.2.3");
    bench.reply(&moved(1));
    assert_eq!(bench.published(), vec![mapped("10.1.2.3/32", &[1])]);
    assert!(!bench.entry("10.1.2.3/32").unwrap().subscribed);
    bench.wait_s(30);
    assert_eq!(bench.asked.len(), 1, "it is not asked for again");
    let nonce = bench.asked[0].nonce();
    assert!(bench.notify(nonce, &moved(1)), "a confirmation may come after the ETR's own answer");
    assert!(bench.entry("10.1.2.3/32").unwrap().subscribed && bench.acks.len() == 1);
}

#[test]
fn the_mapping_of_a_whole_prefix_is_subscribed_too() {
    let mut bench = Bench::new(subscribing());
    bench.miss("10.1.2.3");
    bench.confirm(&[record(group(), "10.1.2.0/24", &[1])]);
    let asked = bench.asked.last().unwrap().clone();
    assert_eq!((bench.asked.len(), asked.prefix(), asked.subscribes()), (2, prefix("10.1.2.0/24"), true));
    bench.confirm(&[record(group(), "10.1.2.0/24", &[1])]);
    bench.published();
    bench.notify(asked.nonce() + 1, &[record(group(), "10.1.2.9/32", &[2])]);
    assert_eq!(bench.published(), vec![mapped("10.1.2.9/32", &[2])], "an agent of the prefix roams");
    assert!(bench.entry("10.1.2.9/32").unwrap().subscribed);
    bench.wait_s(121);
    let farewell = bench.asked.last().unwrap();
    assert_eq!((bench.asked.len(), farewell.prefix()), (3, prefix("10.1.2.3/32")));
    assert_eq!(farewell.request.itr_rlocs, vec![LispAddress::None], "the EID's own subscription ends");
    assert_eq!(farewell.nonce(), bench.asked[0].nonce() + 1);
    let (nonce, acks) = (farewell.nonce(), bench.acks.len());
    assert!(bench.notify(nonce, &moved(1)), "the Map-Server's last word");
    assert_eq!((bench.acks.len(), bench.published()), (acks + 1, vec![]));
}

#[test]
fn retries_count_up_and_every_second_one_does_without() {
    let mut bench = Bench::new(subscribing());
    for _ in 0..20 {
        bench.miss("10.1.2.3");
        bench.wait(500);
    }
    let asked = |bench: &Bench| bench.asked.iter().map(|asked| asked.subscribes()).collect::<Vec<_>>();
    assert_eq!(asked(&bench)[..5], [true, true, false, true, false]);
    let first = bench.asked[0].nonce();
    assert_eq!((bench.asked[1].nonce(), bench.asked[3].nonce()), (first + 1, first + 2));
    assert!(bench.notify(first + 1, &moved(1)));
    assert_eq!(bench.published(), vec![mapped("10.1.2.3/32", &[1])]);
    assert!(bench.notify(first + 2, &moved(1)), "the answer to a retry is the next nonce");
    assert_eq!(bench.count(Counter::NotifiesAccepted), 2);
}

#[test]
fn an_old_answer_does_not_undo_a_publication() {
    let (mut bench, nonce) = subscribed();
    bench.doubt("10.1.2.3");
    let question = bench.asked.last().unwrap().nonce();
    bench.wait(100);
    bench.notify(nonce + 1, &[EidRecord { ttl: 1440, ..moved(2)[0].clone() }]);
    bench.published();
    bench.doubt("10.1.2.3");
    bench.wait(10);
    bench.reply_to(question, &moved(1));
    assert_eq!(bench.published(), vec![]);
    assert_eq!(bench.entry("10.1.2.3/32").unwrap().locators, vec![locator(2)]);
}

#[test]
fn a_publication_answers_those_who_doubt() {
    let (mut bench, nonce) = subscribed();
    bench.doubt("10.1.2.3");
    bench.notify(nonce + 2, &moved(1));
    assert_eq!(bench.published(), vec![], "nothing new: asked once more");
    bench.wait(310);
    bench.notify(nonce + 4, &moved(1));
    assert!(bench.mappings[0].confirm);
}

#[test]
fn a_publication_ends_a_doubt_between_two_questions() {
    let (mut bench, nonce) = subscribed();
    bench.doubt("10.1.2.3");
    bench.confirm(&moved(1));
    bench.wait(100);
    let asked = bench.asked.len();
    bench.notify(nonce + 2, &moved(2));
    assert_eq!(bench.published(), vec![mapped("10.1.2.3/32", &[2])]);
    bench.wait_s(5);
    assert_eq!(bench.asked.len(), asked, "nothing is left to ask");
}

#[test]
fn a_record_brings_no_claim_to_what_is_served_here() {
    let mut bench = Bench::new(subscribing());
    bench.miss("10.8.2.3");
    bench.confirm(&[record(group(), "10.8.0.0/15", &[1])]);
    assert_eq!((bench.published(), bench.count(Counter::ReplyOverclaim)), (vec![], 1));
}

#[test]
fn a_moved_rloc_is_told_to_the_map_server() {
    let (mut bench, nonce) = subscribed();
    bench.wait_s(5);
    let settings = ItrSettings { local_rlocs: vec![ip("203.0.113.2")], ..subscribing() };
    bench.call(|itr, _, out| itr.configure(settings, out));
    bench.wait_s(1);
    let asked = bench.asked.last().unwrap();
    assert_eq!((asked.nonce(), &asked.request.itr_rlocs), (nonce + 1, &vec![ip("203.0.113.2").into()]));
    assert!(asked.subscribes());
}

#[test]
fn after_a_restart_the_nonces_are_higher() {
    let mut nonces = vec![];
    for start in 1..20 {
        let mut bench = Bench::started(subscribing(), start);
        bench.miss("10.1.2.3");
        nonces.push(bench.asked[0].nonce());
    }
    assert!(nonces.windows(2).all(|pair| pair[0] + 1_000_000 < pair[1]), "{nonces:?}");
}

#[test]
fn subscriptions_are_bounded_and_those_with_a_mapping_come_first() {
    let limits = Limits { subscriptions: 10, ..Limits::default() };
    let mut bench = Bench::new(ItrSettings { limits, ..subscribing() });
    for last in 1..=20 {
        bench.miss(&format!("10.1.2.{last}"));
    }
    assert_eq!(bench.asked.iter().filter(|asked| asked.subscribes()).count(), 5);
    assert_eq!((bench.itr.subscribed(), bench.count(Counter::SubscriptionsFull)), (5, 15));
    let plain = bench.asked[12].clone();
    bench.reply_to(plain.nonce(), &[record(group(), &plain.prefix().to_string(), &[1])]);
    bench.wait(1000);
    let again: Vec<_> = bench.asked[20..].iter().filter(|asked| asked.prefix() == plain.prefix()).collect();
    assert!(again.len() == 1 && again[0].subscribes(), "a mapping is worth a subscription");
}
