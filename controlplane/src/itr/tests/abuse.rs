//! What others can cause is bounded, counted, and does not hurt third parties.

use std::collections::BTreeMap;

use sterna_wire::Iid;

use super::bench::*;
use crate::itr::{Counter, GroupRanges, ItrSettings, Limits};

/// Groups 100 to 109.
fn groups(limits: Limits) -> ItrSettings {
    let ranges = GroupRanges { ranges: vec![prefix("10.0.0.0/8")], served: vec![] };
    let groups: BTreeMap<_, _> =
        (100..110).map(|number| (Iid::new(number).unwrap(), ranges.clone())).collect();
    ItrSettings { groups, limits, ..settings() }
}

fn scan(bench: &mut Bench, iid: u32, from: u32, count: u32) {
    for number in from..from + count {
        let eid = std::net::Ipv4Addr::from_bits(0x0a00_0001 + number).into();
        bench.call(|itr, now, out| itr.miss(Iid::new(iid).unwrap(), eid, false, 0, now, out));
    }
}

fn asked_of(bench: &Bench, iid: u32) -> usize {
    let of = |asked: &&Asked| asked.request.records[0].prefix().unwrap().0.get() == iid;
    bench.asked.iter().filter(of).count()
}

#[test]
fn a_scan_is_limited_and_bounded() {
    let mut bench = Bench::new(groups(Limits::default()));
    for second in 0..10 {
        scan(&mut bench, 100, second * 20_000, 20_000);
        bench.wait(1000);
    }
    assert!(bench.asked.len() <= 150 + 10 * 500, "{}", bench.asked.len());
    assert!(bench.asked.len() >= 4000, "{}", bench.asked.len());
    assert!(bench.itr.entries().count() <= 4096);
    assert!(bench.count(Counter::PendingFull) > 100_000);
    assert!(bench.count(Counter::RequestsAbandoned) > 0 && bench.count(Counter::RequestsDelayed) > 0);
}

#[test]
fn the_scan_of_one_group_does_not_starve_another() {
    let mut bench = Bench::new(groups(Limits::default()));
    for step in 0..100 {
        for iid in 100..104 {
            scan(&mut bench, iid, step * 2000, 2000);
        }
        let before = bench.asked.len();
        scan(&mut bench, 109, step, 1);
        bench.wait(50);
        let waited = bench.asked[before..]
            .iter()
            .position(|asked| asked.request.records[0].prefix().unwrap().0.get() == 109);
        assert!(waited.is_some_and(|position| position < 10), "step {step}: {waited:?}");
    }
    assert_eq!(
        asked_of(&bench, 109),
        100 + bench.count(Counter::RequestsRetried) as usize - retries_of_others(&bench)
    );
}

/// Retries of all groups but 109.
fn retries_of_others(bench: &Bench) -> usize {
    let mut seen = std::collections::BTreeSet::new();
    let again = |asked: &&Asked| {
        let (iid, prefix) = asked.request.records[0].prefix().unwrap();
        !seen.insert((iid, prefix)) && iid.get() != 109
    };
    bench.asked.iter().filter(again).count()
}

#[test]
fn forged_sources_do_not_keep_questions_of_agents_from_being_asked() {
    let limits = Limits::default();
    let mut bench = Bench::new(groups(limits));
    for second in 0..5_u32 {
        for number in 0..5000 {
            let source = std::net::Ipv4Addr::from_bits(0x0a80_0001 + second * 5000 + number).into();
            bench.call(|itr, now, out| itr.miss(Iid::new(101).unwrap(), source, true, 0, now, out));
        }
        let before = bench.asked.len();
        scan(&mut bench, 100, second, 1);
        assert_eq!(bench.asked.len(), before + 1, "at once");
        bench.wait(1000);
    }
    assert!(bench.count(Counter::SourceCheckLimited) > 20_000);
    assert!(asked_of(&bench, 101) <= 150 + 5 * 500);
}

#[test]
fn an_answered_scan_fills_the_cache_with_a_bounded_number_of_negatives() {
    let limits = Limits { negatives: 100, entries: 1000, ..Limits::default() };
    let mut bench = Bench::new(groups(limits));
    bench.learn("10.200.0.1", record(group(), "10.200.0.1/32", &[1]));
    for step in 0..20 {
        scan(&mut bench, 100, step * 50, 50);
        let open: Vec<_> = bench.asked.drain(..).collect();
        for asked in open {
            bench.reply_to(asked.nonce(), &[nobody(group(), "10.0.0.0/9", 15)]);
        }
        bench.wait(200);
        assert!(bench.itr.cached().1 <= 100);
    }
    assert_eq!(bench.itr.cached(), (101, 100));
    assert!(bench.entry("10.200.0.1/32").is_some(), "no mapping had to go for them");
    assert!(bench.count(Counter::CacheEvictedNegatives) >= 800);
}

#[test]
fn forged_replies_are_counted_one_by_one_and_cost_no_state() {
    let mut bench = Bench::new(settings());
    bench.miss("10.1.2.3");
    for nonce in 0..10_000 {
        bench.reply_to(nonce, &[record(group(), "10.1.2.3/32", &[66])]);
    }
    assert_eq!((bench.count(Counter::ReplyUnknownNonce), bench.published()), (10_000, vec![]));
    assert_eq!(bench.itr.entries().count(), 1);
}

#[test]
fn forged_solicitations_cost_a_bounded_number_of_requests() {
    let mut bench = Bench::new(settings());
    for last in 0..250 {
        bench.learn(&format!("10.1.2.{last}"), record(group(), &format!("10.1.2.{last}/32"), &[1]));
        bench.wait(10);
    }
    let before = bench.asked.len();
    for _ in 0..20 {
        (0..250).for_each(|last| bench.smr(&format!("10.1.2.{last}")));
        bench.wait(50);
    }
    assert!(bench.asked.len() - before <= 250 + 250, "{}", bench.asked.len() - before);
    assert_eq!(
        bench.count(Counter::SmrsAccepted)
            + bench.count(Counter::SmrPaced)
            + bench.count(Counter::SmrLimited),
        5000
    );
}

#[test]
fn a_question_of_a_small_group_displaces_one_of_a_big_one() {
    let limits = Limits { pending: 50, ..Limits::default() };
    let mut bench = Bench::new(groups(limits));
    scan(&mut bench, 100, 0, 100);
    assert_eq!((bench.count(Counter::PendingFull), bench.asked.len()), (50, 50));
    scan(&mut bench, 101, 0, 10);
    assert_eq!((bench.count(Counter::PendingEvicted), asked_of(&bench, 101)), (10, 10));
    assert_eq!(bench.itr.entries().count(), 50);
}
