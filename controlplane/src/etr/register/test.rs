use std::net::IpAddr;

use sterna_wire::lisp::control::LispAddress;

use super::message::RECORD;
use super::*;
use crate::etr::context::Size;

const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10));
const TWO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 11));
const RIDE: Duration = Duration::from_secs(10);
const PERIOD: Duration = Duration::from_secs(60);
/// Two IPv4 locators.
const LOCATORS: usize = 24;

fn host(n: u32) -> Entry {
    (Iid::new(7).unwrap(), Prefix::host(IpAddr::from((0x0a01_0000 | n).to_be_bytes())))
}

fn registrar(servers: &[IpAddr], now: Instant) -> Registrar {
    let mut registrar = Registrar::new(500);
    registrar.set_servers(servers.to_vec(), now);
    registrar
}

fn all_due(registrar: &mut Registrar, now: Instant) -> Vec<Batch> {
    std::iter::from_fn(|| registrar.due(LOCATORS, |_| Size::default(), RIDE, now)).collect()
}

fn answer(registrar: &mut Registrar, nonce: u64, listed: bool, now: Instant) -> Vec<(Entry, Verdict)> {
    registrar.answered(nonce, |_| listed, PERIOD, &mut Random::seeded(1), now)
}

/// The times, in milliseconds, at which one entry is sent when nobody answers.
fn times(registrar: &mut Registrar, start: Instant, until: u64) -> Vec<u128> {
    let mut times = Vec::new();
    while let Some(due) = registrar.next_deadline().filter(|due| *due <= start + Duration::from_millis(until))
    {
        assert_eq!(all_due(registrar, due).len(), 1);
        times.push(due.duration_since(start).as_millis());
    }
    times
}

#[test]
fn an_unanswered_register_is_repeated_with_doubling_waits() {
    let start = Instant::now();
    let mut slow = registrar(&[ONE], start);
    slow.want(host(1), false, false, start);
    assert_eq!(
        times(&mut slow, start, 200_000),
        [0, 1000, 3000, 7000, 15_000, 31_000, 63_000, 123_000, 183_000]
    );
    let mut hurried = registrar(&[ONE], start);
    hurried.want(host(1), true, true, start);
    assert_eq!(times(&mut hurried, start, 10_000), [0, 50, 250, 1250, 3250, 7250]);
}

#[test]
fn a_confirmed_register_is_refreshed_within_the_last_tenth_of_the_period() {
    let start = Instant::now();
    let mut registrar = registrar(&[ONE], start);
    registrar.want(host(1), false, false, start);
    let batch = all_due(&mut registrar, start).remove(0);
    assert_eq!(answer(&mut registrar, batch.nonce, true, start), [(host(1), Verdict::Confirmed)]);
    let next = registrar.next_deadline().unwrap().duration_since(start);
    assert!(next <= PERIOD && next > PERIOD * 9 / 10);
    // The same answer again says nothing.
    assert_eq!(answer(&mut registrar, batch.nonce, true, start), []);
}

#[test]
fn nonces_rise_by_one_with_each_message_to_whichever_server() {
    let start = Instant::now();
    let mut registrar = registrar(&[ONE, TWO], start);
    (0..200).for_each(|n| registrar.want(host(n), n % 2 == 0, true, start));
    let nonces: Vec<_> = all_due(&mut registrar, start).iter().map(|batch| batch.nonce).collect();
    let expected: Vec<_> = (500..500 + nonces.len() as u64).collect();
    assert_eq!(nonces, expected);
    assert_eq!(registrar.next_nonce(), 500 + nonces.len() as u64);
}

#[test]
fn messages_hold_as_much_as_fits_and_never_mix_kinds_or_servers() {
    let start = Instant::now();
    let mut registrar = registrar(&[ONE, TWO], start);
    (0..100).for_each(|n| registrar.want(host(n), n % 2 == 0, true, start));
    let batches = all_due(&mut registrar, start);
    for server in [ONE, TWO] {
        for detected in [false, true] {
            let mine = batches.iter().filter(|batch| batch.server == server && batch.detected == detected);
            let entries: Vec<_> = mine.flat_map(|batch| &batch.entries).collect();
            assert_eq!(entries.len(), 50, "{server} {detected}");
        }
    }
    let one = RECORD + LispAddress::for_eid(host(0).0, host(0).1.addr()).encoded_len() + LOCATORS;
    let most = (MESSAGE - OVERHEAD) / one;
    assert!(batches.iter().all(|batch| batch.entries.len() <= most));
    assert!(batches.iter().any(|batch| batch.entries.len() == most));
}

#[test]
fn a_great_many_entries_go_out_at_a_pace_and_all_of_them_do() {
    let start = Instant::now();
    let mut registrar = registrar(&[ONE], start);
    (0..20_000).for_each(|n| registrar.want(host(n), true, false, start));
    let (mut sent, mut messages, mut now) = (BTreeSet::new(), 0, start);
    while sent.len() < 20_000 {
        let batches = all_due(&mut registrar, now);
        assert!(batches.len() <= MESSAGES as usize);
        messages += batches.len();
        sent.extend(batches.into_iter().flat_map(|batch| batch.entries));
        assert!(now < start + Duration::from_secs(1), "{messages} messages");
        now = registrar.next_deadline().unwrap().max(now);
    }
    assert!(registrar.sent.len() <= SENT);
}

#[test]
fn what_is_due_soon_rides_along_but_no_repetition_does() {
    let start = Instant::now();
    let mut registrar = registrar(&[ONE], start);
    registrar.want(host(1), true, true, start);
    let first = all_due(&mut registrar, start).remove(0);
    answer(&mut registrar, first.nonce, true, start);
    // Nobody answers for this one: its waits grow to a minute.
    registrar.want(host(2), true, false, start);
    let later = registrar.tracks[&host(1)].servers[0].1.due - RIDE / 2;
    let mut now = start;
    while let Some(due) = registrar.next_deadline().filter(|due| *due < later) {
        now = due;
        all_due(&mut registrar, now);
    }
    registrar.want(host(3), true, true, later.max(now));
    let batch = all_due(&mut registrar, later.max(now)).remove(0);
    let entries: Vec<_> = batch.entries.iter().map(|(entry, _)| *entry).collect();
    assert_eq!(entries, [host(3), host(1)]);
}

#[test]
fn a_withdrawal_is_repeated_seven_times_and_over() {
    let start = Instant::now();
    let mut registrar = registrar(&[ONE, TWO], start);
    registrar.withdraw(host(1), start);
    assert!(registrar.next_deadline().is_none());
    registrar.want(host(1), true, true, start);
    registrar.withdraw(host(1), start);
    let mut messages = Vec::new();
    while let Some(due) = registrar.next_deadline() {
        messages.extend(all_due(&mut registrar, due));
    }
    assert_eq!(messages.len(), 2 * WITHDRAWALS as usize);
    assert!(messages.iter().all(|batch| batch.entries == [(host(1), true)]));
    assert!(registrar.track(&host(1)).is_none());
}

#[test]
fn a_withdrawal_ends_where_it_is_answered() {
    let start = Instant::now();
    let mut registrar = registrar(&[ONE, TWO], start);
    registrar.want(host(1), true, true, start);
    registrar.withdraw(host(1), start);
    let batches = all_due(&mut registrar, start);
    assert_eq!(answer(&mut registrar, batches[0].nonce, false, start), []);
    assert_eq!(registrar.track(&host(1)).unwrap().servers.len(), 1);
    answer(&mut registrar, batches[1].nonce, true, start);
    assert!(registrar.track(&host(1)).is_none());
    assert!(registrar.next_deadline().is_none());
}

#[test]
fn an_old_answer_says_nothing_of_a_newer_registration() {
    let start = Instant::now();
    let mut registrar = registrar(&[ONE], start);
    registrar.want(host(1), true, true, start);
    let old = all_due(&mut registrar, start).remove(0);
    registrar.want(host(1), false, true, start);
    let new = all_due(&mut registrar, start).remove(0);
    assert_eq!((old.detected, new.detected), (true, false));
    assert_eq!(answer(&mut registrar, old.nonce, true, start), []);
    assert_eq!(answer(&mut registrar, new.nonce, true, start), [(host(1), Verdict::Confirmed)]);
}

#[test]
fn a_refusal_counts_only_when_the_registration_is_no_longer_the_newest_thing() {
    let start = Instant::now();
    let mut registrar = registrar(&[ONE], start);
    registrar.want(host(1), true, true, start);
    let batch = all_due(&mut registrar, start).remove(0);
    assert_eq!(answer(&mut registrar, batch.nonce, false, start), []);
    let (now, told) = loop {
        let now = registrar.next_deadline().unwrap();
        let batch = all_due(&mut registrar, now).remove(0);
        let told = answer(&mut registrar, batch.nonce, false, now);
        if !told.is_empty() {
            break (now, told);
        }
    };
    assert_eq!(told, [(host(1), Verdict::Refused)]);
    assert!(now >= start + NEWER_WITHIN && now < start + NEWER_WITHIN * 2);
    assert!(registrar.tracks[&host(1)].servers[0].1.refused);
}

#[test]
fn a_registration_is_reasserted_once_and_only_while_it_is_new_and_not_confirmed() {
    let start = Instant::now();
    let mut registrar = registrar(&[ONE], start);
    assert!(!registrar.reassert(&host(1), start));
    registrar.want(host(1), true, true, start);
    assert!(registrar.reassert(&host(1), start));
    assert!(!registrar.reassert(&host(1), start));
    registrar.want(host(2), true, true, start);
    assert!(!registrar.reassert(&host(2), start + NEWER_WITHIN));
    registrar.want(host(3), true, true, start);
    for batch in all_due(&mut registrar, start) {
        answer(&mut registrar, batch.nonce, true, start);
    }
    assert!(!registrar.reassert(&host(3), start));
    registrar.resume(host(4), start);
    assert!(!registrar.reassert(&host(4), start));
}

#[test]
fn a_new_server_is_told_everything_and_an_old_one_nothing_more() {
    let start = Instant::now();
    let mut registrar = registrar(&[ONE], start);
    registrar.want(host(1), false, false, start);
    let batch = all_due(&mut registrar, start).remove(0);
    registrar.set_servers(vec![TWO], start);
    assert_eq!(answer(&mut registrar, batch.nonce, true, start), []);
    let batches = all_due(&mut registrar, start);
    assert_eq!(batches.iter().map(|batch| batch.server).collect::<Vec<_>>(), [TWO]);
    answer(&mut registrar, batches[0].nonce, true, start);
    registrar.set_servers(vec![ONE, TWO], start);
    let batches = all_due(&mut registrar, start);
    assert_eq!(batches.iter().map(|batch| batch.server).collect::<Vec<_>>(), [ONE]);
}

#[test]
fn without_servers_nothing_is_due() {
    let now = Instant::now();
    let mut registrar = registrar(&[], now);
    registrar.want(host(1), true, true, now);
    registrar.want_all(now);
    assert!(
        registrar.next_deadline().is_none()
            && registrar.due(LOCATORS, |_| Size::default(), RIDE, now).is_none()
    );
    registrar.withdraw(host(1), now);
    assert!(registrar.track(&host(1)).is_none());
}

#[test]
fn what_is_forgotten_leaves_nothing_behind() {
    let now = Instant::now();
    let mut registrar = registrar(&[ONE, TWO], now);
    registrar.want(host(1), true, true, now);
    registrar.forget(&host(1));
    assert!(registrar.queues.values().all(BTreeSet::is_empty));
    assert!(registrar.track(&host(1)).is_none());
}
