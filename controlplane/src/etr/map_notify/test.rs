use std::time::Duration;

use sterna_wire::lisp::control::auth::Algorithm;
use sterna_wire::lisp::control::{LispAddress, LocatorRecord, XtrId};

use super::super::scripted::{IDENTITY, SERVER, Single, eid, iid, ip, key, place, prefix, record, settings};
use super::super::{Phase, Registration};
use super::*;

/// The locator of the other site.
const OTHER: &str = "198.51.100.2";

fn unasked(nonce: u64, xtr: Option<XtrId>, records: Vec<EidRecord>, key: &Key) -> Vec<u8> {
    MapNotify { nonce, records, xtr, ..MapNotify::default() }.signed(key)
}

fn moved(nonce: u64) -> Vec<u8> {
    unasked(nonce, Some(IDENTITY), vec![record(eid(5), &[OTHER])], &key())
}

fn relay_to(address: &str) -> AgentState {
    AgentState::Relay { locators: vec![Locator { address: ip(address), priority: 1, weight: 100 }] }
}

/// The acknowledgements among the datagrams, each checked against the key.
fn acks(single: &mut Single) -> Vec<MapNotify> {
    let notifies = single.sent().into_iter().filter_map(|datagram| {
        let ack = MapNotify::parse(&datagram.bytes).ok()?;
        auth::verify(&datagram.bytes, ack.records_end, &key()).unwrap();
        assert_eq!(datagram.to, SocketAddr::new(SERVER, 4342));
        Some(ack)
    });
    notifies.inspect(|ack| assert!(ack.ack)).collect()
}

#[test]
fn an_eid_that_another_site_took_is_acknowledged_sent_on_and_no_longer_registered() {
    let mut single = Single::with_agent(5);
    assert!(single.notify_bytes(&moved(1 << 40), SERVER));
    assert_eq!(single.changes(), [relay_to(OTHER)]);
    let ack = acks(&mut single).remove(0);
    assert_eq!((ack.nonce, ack.xtr, ack.records), (1 << 40, Some(IDENTITY), vec![record(eid(5), &[OTHER])]));
    assert_eq!(single.phase(5), Some(Phase::Away));
    assert!(!single.etr.serves(iid(), eid(5)));
    assert!(single.etr.registrations().all(|registration| !registration.prefix.is_host()));
    single.pass(Duration::from_secs(29));
    assert_eq!(single.changes(), []);
    single.pass(Duration::from_secs(2));
    assert_eq!((single.changes(), single.phase(5)), (vec![AgentState::Release], None));
}

#[test]
fn the_same_notice_again_is_only_acknowledged() {
    let mut single = Single::with_agent(5);
    single.notify_bytes(&moved(1 << 40), SERVER);
    // Back here by order, then the old notice once more: our acknowledgement was lost, or somebody recorded it.
    single.etr.attach(iid(), eid(5), single.now, &mut single.out).unwrap();
    single.confirm_all();
    single.sent();
    single.changes();
    single.notify_bytes(&moved(1 << 40), SERVER);
    assert_eq!(
        (acks(&mut single).len(), single.changes(), single.phase(5)),
        (1, vec![], Some(Phase::Expected))
    );
    assert_eq!(single.count(Counter::NotifyRepeated), 1);
}

#[test]
fn notices_that_are_refused_have_a_counter_each_and_change_nothing() {
    let wrong = Key::new(1, Algorithm::HmacSha256_128, b"another secret");
    let weaker = Key::new(1, Algorithm::HmacSha1_96, b"secret of the sites");
    let other_xtr = XtrId { xtr_id: [9; 16], site_id: 1 };
    let elsewhere = vec![record(ip("10.99.0.1"), &[OTHER])];
    let name = vec![EidRecord { eid: LispAddress::Name(b"x".to_vec()), ..record(eid(5), &[OTHER]) }];
    let mine = || vec![record(eid(5), &[OTHER])];
    let mut tampered = moved(7 << 40);
    *tampered.last_mut().unwrap() ^= 1;
    let cases = [
        (unasked(7 << 40, Some(IDENTITY), mine(), &wrong), Counter::NotifyBadAuth),
        (unasked(7 << 40, Some(IDENTITY), mine(), &weaker), Counter::NotifyBadAuth),
        (tampered, Counter::NotifyBadAuth),
        (unasked(7 << 40, Some(other_xtr), mine(), &key()), Counter::NotifyOtherXtr),
        (unasked(7 << 40, Some(IDENTITY), elsewhere, &key()), Counter::NotifyNotOurs),
        (unasked(7 << 40, Some(IDENTITY), name, &key()), Counter::NotifyNotOurs),
        (moved(5), Counter::NotifyReplayed),
    ];
    for (bytes, counter) in cases {
        let mut single = Single::with_agent(5);
        single.notify_bytes(
            &unasked(6 << 40, Some(IDENTITY), vec![record(eid(9), &["198.51.100.1"])], &key()),
            SERVER,
        );
        acks(&mut single);
        assert!(single.notify_bytes(&bytes, SERVER), "{counter:?}");
        assert_eq!(
            (single.sent(), single.changes(), single.phase(5)),
            (vec![], vec![], Some(Phase::Attached))
        );
        assert_eq!(single.count(counter), 1, "{counter:?}");
    }
}

#[test]
fn a_stranger_and_an_acknowledgement_are_not_ours() {
    let mut single = Single::with_agent(5);
    assert!(!single.notify_bytes(&moved(1 << 40), ip("203.0.113.7")));
    let ack = MapNotify { ack: true, nonce: 1000, ..MapNotify::default() }.signed(&key());
    assert!(!single.notify_bytes(&ack, SERVER));
    assert_eq!((single.count(Counter::NotifyUnknown), single.count(Counter::AckIgnored)), (1, 1));
}

#[test]
fn a_server_without_numbers_is_believed_unless_it_repeats_itself() {
    let mut single = Single::with_agent(5);
    let own = vec![record(eid(9), &["198.51.100.1"])];
    for nonce in [u64::MAX, 3, u64::MAX] {
        single.notify_bytes(&unasked(nonce, None, own.clone(), &key()), SERVER);
    }
    assert_eq!((single.count(Counter::NotifyNoChange), single.count(Counter::NotifyRepeated)), (2, 1));
    assert_eq!(acks(&mut single).len(), 3);
}

#[test]
fn a_tail_that_the_key_does_not_cover_says_nothing() {
    let mut single = Single::with_agent(5);
    // Authenticated up to the last record only; then somebody appended the identity of another.
    let notify = MapNotify { nonce: 5, records: vec![record(eid(5), &[OTHER])], ..MapNotify::default() };
    let mut bytes = notify.signed(&key());
    bytes.extend([9; 24]);
    single.notify_bytes(&bytes, SERVER);
    assert_eq!(single.phase(5), Some(Phase::Away));
}

#[test]
fn prefixes_that_are_configured_here_are_kept() {
    let mut single = Single::new();
    let taken = EidRecord {
        locators: record(eid(5), &[OTHER]).locators,
        ..EidRecord::of(iid(), prefix("10.1.0.0/24"))
    };
    single.notify(1 << 40, vec![taken]);
    assert_eq!(
        (acks(&mut single).len(), single.changes(), single.count(Counter::NotifyStatic)),
        (1, vec![], 1)
    );
    assert!(single.etr.serves(iid(), ip("10.1.0.9")));
}

#[test]
fn an_agent_we_do_not_know_any_more_is_sent_on_too() {
    let mut single = Single::new();
    single.notify_bytes(&moved(1 << 40), SERVER);
    assert_eq!((acks(&mut single).len(), single.changes()), (1, vec![relay_to(OTHER)]));
    // But nobody moves our gateway.
    single.notify((1 << 40) + 1, vec![record(ip("10.1.16.1"), &[OTHER])]);
    assert_eq!((acks(&mut single).len(), single.changes()), (1, vec![]));
}

#[test]
fn a_register_that_is_newer_than_the_move_is_repeated_once() {
    let mut single = Single::with_agent(5);
    single.etr.attach(iid(), eid(5), single.now, &mut single.out).unwrap();
    single.sent();
    single.notify_bytes(&moved(1 << 40), SERVER);
    assert_eq!((single.registers().len(), single.phase(5)), (1, Some(Phase::Attached)));
    assert!(!single.registers()[0].eid_notify);
    // The acknowledgement goes first.
    assert!(MapNotify::parse(&single.out.datagrams[0].bytes).is_ok());
    single.notify_bytes(&moved((1 << 40) + 1), SERVER);
    assert_eq!(single.phase(5), Some(Phase::Away));
    assert_eq!(single.count(Counter::RegistersReasserted), 1);
}

#[test]
fn the_answer_to_a_register_names_where_the_agent_was() {
    let mut single = Single::new();
    single.see(5);
    single.say(&single.question(), eid(5), &[]);
    single.changes();
    let register = single.registers().remove(0);
    let mut answer = register.records.clone();
    answer[0].locators.push(LocatorRecord { priority: 255, ..LocatorRecord::unicast(ip(OTHER), 1, 100) });
    single.notify(register.nonce, answer);
    assert_eq!(single.changes(), [AgentState::Admit { place: place(5), previous: vec![ip(OTHER)] }]);
}

#[test]
fn what_the_server_leaves_out_is_refused_and_shown() {
    let mut settings = settings(&["198.51.100.1"]);
    settings.groups[0].eids.push(prefix("10.2.0.0/24"));
    let mut single = Single::unstarted(settings);
    single.tick();
    let register = single.registers().remove(0);
    single.pass(Duration::from_secs(4));
    single.notify(register.nonce, register.records[..1].to_vec());
    single.sent();
    single.pass(Duration::from_secs(8));
    for register in single.registers() {
        single.notify(register.nonce, Vec::new());
    }
    let states: Vec<_> = single.etr.registrations().map(|registration| registration.state).collect();
    assert_eq!(states, [Registration::Confirmed, Registration::Refused]);
}

/// Open Overlay Router, as a Map-Server: HMAC-SHA-1, a key id of its own, no xTR-ID, the records as they were.
#[test]
fn an_oor_map_server_is_understood() {
    let mut settings = settings(&["198.51.100.1"]);
    settings.map_servers[0].keys = vec![Key::new(1, Algorithm::HmacSha1_96, b"secret-a")];
    let mut single = Single::unstarted(settings);
    single.tick();
    let register = single.registers().remove(0);
    assert_eq!((register.algorithm, register.proxy_reply, register.want_notify), (1, true, true));
    let oor = Key::new(0, Algorithm::HmacSha1_96, b"secret-a");
    single.notify_bytes(&unasked(register.nonce, None, register.records, &oor), SERVER);
    assert_eq!(single.count(Counter::RegistrationsConfirmed), 1);
}

#[test]
fn an_answer_may_come_from_another_address_of_the_server() {
    let mut single = Single::unstarted(settings(&["198.51.100.1"]));
    single.tick();
    let register = single.registers().remove(0);
    let bytes = unasked(register.nonce, Some(IDENTITY), register.records, &key());
    assert!(single.notify_bytes(&bytes, ip("192.0.2.99")));
    assert_eq!(single.count(Counter::RegistrationsConfirmed), 1);
}

#[test]
fn keys_are_exchanged_without_a_gap() {
    let mut settings = settings(&["198.51.100.1"]);
    let new = Key::new(2, Algorithm::HmacSha256_128, b"the next secret");
    settings.map_servers[0].keys = vec![key(), new.clone()];
    let mut single = Single::unstarted(settings.clone());
    single.tick();
    assert_eq!(single.registers()[0].key_id, 1);
    settings.map_servers[0].send = 1;
    single.sent();
    single.etr.configure(settings.clone(), single.now, &mut single.out);
    single.pass(Duration::from_secs(2));
    let register = single.registers().remove(0);
    assert_eq!(register.key_id, 2);
    // The server still answers by the old one.
    single.notify_bytes(&unasked(register.nonce, Some(IDENTITY), register.records, &key()), SERVER);
    assert_eq!(single.count(Counter::RegistrationsConfirmed), 1);
    settings.map_servers[0].send = 9;
    single.etr.configure(settings, single.now, &mut single.out);
    single.sent();
    single.pass(Duration::from_secs(61));
    assert_eq!(single.registers().len(), 0);
    assert!(single.count(Counter::RegistersUnsigned) > 0);
}
