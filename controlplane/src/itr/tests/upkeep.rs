//! What time does to the map-cache.

use sterna_wire::lisp::control::EidRecord;

use super::bench::*;
use crate::itr::{Counter, EntryState, GroupRanges, ItrSettings, Limits};

fn minutes(count: u32) -> EidRecord {
    EidRecord { ttl: count, ..record(group(), "10.1.2.0/24", &[1]) }
}

#[test]
fn an_entry_in_use_is_asked_for_again_before_its_time_is_over() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", minutes(10));
    for _ in 0..60 {
        bench.used("10.1.2.0/24");
        bench.wait_s(10);
        if bench.asked.len() > 1 {
            break;
        }
    }
    let again = bench.asked[1].clone();
    assert!((510_000..=540_000).contains(&again.at_ms), "{}", again.at_ms);
    assert_eq!(again.prefix(), prefix("10.1.2.0/24"));
    bench.reply(&[minutes(10)]);
    assert_eq!(bench.published(), vec![], "nothing changed");
    assert_eq!(bench.entry("10.1.2.0/24").unwrap().ttl_left(bench.now).as_secs(), 600);
}

#[test]
fn an_unused_entry_expires_without_a_question() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", minutes(10));
    bench.wait_s(599);
    assert_eq!(bench.published(), vec![]);
    bench.wait_s(1);
    assert_eq!((bench.published(), bench.asked.len()), (vec![removed("10.1.2.0/24")], 1));
    assert_eq!(bench.count(Counter::EntriesExpired), 1);
}

#[test]
fn an_entry_used_again_in_its_last_tenth_is_asked_for_at_once() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", minutes(10));
    bench.wait_s(580);
    bench.used("10.1.2.0/24");
    bench.wait(0);
    assert_eq!(bench.asked.len(), 2);
}

#[test]
fn no_answer_is_not_a_negative_answer() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", minutes(10));
    for _ in 0..24 * 360 {
        bench.used("10.1.2.0/24");
        bench.wait_s(10);
    }
    assert_eq!(bench.state("10.1.2.0/24"), Some(EntryState::Stale));
    assert_eq!((bench.published(), bench.count(Counter::EntriesStale)), (vec![], 1));
    let per_hour = bench.asked.len() / 24;
    assert!((300..=1000).contains(&per_hour), "{per_hour} requests an hour");
    let last = bench.asked.last().unwrap().nonce();
    bench.reply_to(last, &[minutes(10)]);
    assert_eq!(bench.state("10.1.2.0/24"), Some(EntryState::Fresh), "it comes back by itself");
}

#[test]
fn stale_entries_go_after_a_day() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", minutes(10));
    bench.used("10.1.2.0/24");
    bench.wait_s(595);
    bench.used("10.1.2.0/24");
    bench.wait_s(86_400);
    assert_eq!(bench.state("10.1.2.0/24"), Some(EntryState::Stale));
    bench.wait_s(10);
    assert_eq!((bench.published(), bench.count(Counter::StaleDropped)), (vec![removed("10.1.2.0/24")], 1));
}

#[test]
fn unused_entries_outlive_a_mapping_system_that_is_silent() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", minutes(10));
    for _ in 0..20 {
        bench.miss("10.1.7.7");
        bench.wait(500);
    }
    bench.wait_s(600);
    assert_eq!((bench.state("10.1.2.0/24"), bench.published()), (Some(EntryState::Stale), vec![]));
}

#[test]
fn a_changed_answer_is_published_and_a_negative_one_removes() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", minutes(10));
    bench.wait_s(590);
    bench.used("10.1.2.0/24");
    bench.wait(0);
    bench.reply(&[nobody(group(), "10.1.0.0/16", 1)]);
    assert_eq!(bench.published(), vec![removed("10.1.2.0/24")]);
    assert_eq!(bench.itr.cached(), (0, 0));
}

#[test]
fn a_split_prefix_is_replaced_by_its_parts() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", minutes(10));
    bench.wait_s(590);
    bench.used("10.1.2.0/24");
    bench.wait(0);
    bench.reply(&[record(group(), "10.1.2.0/25", &[1]), record(group(), "10.1.2.128/25", &[2])]);
    let expected = vec![mapped("10.1.2.0/25", &[1]), mapped("10.1.2.128/25", &[2]), removed("10.1.2.0/24")];
    assert_eq!(bench.published(), expected);
}

#[test]
fn adopted_entries_are_stale_and_asked_for_at_a_bounded_rate() {
    let mut bench = Bench::new(settings());
    for number in 0..1000_u32 {
        let eid = format!("10.1.{}.{}/32", number / 250, number % 250);
        assert!(bench.call(|itr, now, _| itr.adopt(group(), prefix(&eid), vec![locator(1)], now)));
    }
    assert_eq!(bench.state("10.1.0.7/32"), Some(EntryState::Stale));
    bench.wait_s(1);
    assert!((190..=210).contains(&bench.asked.len()), "{} in the first second", bench.asked.len());
    assert_eq!(bench.published(), vec![], "the dataplane has them already");
    let answers: Vec<_> = bench.asked.iter().map(|asked| (asked.nonce(), asked.prefix())).collect();
    for (nonce, eid) in answers {
        bench.reply_to(nonce, &[record(group(), &eid.to_string(), &[1])]);
    }
    assert_eq!((bench.state("10.1.0.7/32"), bench.published()), (Some(EntryState::Fresh), vec![]));
    bench.wait_s(4);
    let distinct: std::collections::BTreeSet<_> = bench.asked.iter().map(|asked| asked.prefix()).collect();
    assert_eq!(distinct.len(), 1000);
}

#[test]
fn adopted_entries_that_moved_meanwhile_are_corrected() {
    let mut bench = Bench::new(settings());
    bench.call(|itr, now, _| itr.adopt(group(), prefix("10.1.2.3/32"), vec![locator(1)], now));
    bench.wait(10);
    bench.reply(&[record(group(), "10.1.2.3/32", &[2])]);
    assert_eq!(bench.published(), vec![mapped("10.1.2.3/32", &[2])]);
}

#[test]
fn other_settings_remove_what_they_no_longer_allow() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", record(group(), "10.1.2.0/24", &[1]));
    bench.learn("10.1.3.3", record(group(), "10.1.3.0/24", &[2]));
    bench.learn("172.16.0.1", nobody(group(), "172.16.0.0/12", 15));
    bench.miss("10.1.4.4");
    let mut changed = settings();
    let ranges = vec![prefix("10.1.0.0/16"), prefix("172.20.0.0/16")];
    changed.groups.insert(group(), GroupRanges { ranges, served: vec![prefix("10.1.2.0/24")] });
    changed.local_rlocs.push(rloc(2));
    bench.call(|itr, _, out| itr.configure(changed, out));
    let expected = vec![removed("10.1.2.0/24"), removed("10.1.3.0/24"), removed("172.16.0.0/12")];
    assert_eq!(bench.published(), expected);
    bench.call(|itr, _, out| itr.configure(ItrSettings::default(), out));
    assert_eq!(bench.itr.entries().count(), 0, "without the group nothing is left, not even the question");
    bench.wait_s(100);
}

#[test]
fn a_full_map_cache_evicts_negatives_then_what_was_unused_for_longest() {
    let limits = Limits { entries: 3, ..Limits::default() };
    let mut bench = Bench::new(ItrSettings { limits, ..settings() });
    for last in 1..=2 {
        bench.learn(&format!("10.1.2.{last}"), record(group(), &format!("10.1.2.{last}/32"), &[1]));
        bench.wait(10);
    }
    bench.learn("10.1.7.7", nobody(group(), "10.1.7.7/32", 1));
    bench.used("10.1.2.1/32");
    bench.miss("10.1.2.4");
    bench.reply(&[record(group(), "10.1.2.4/32", &[1])]);
    assert_eq!(bench.published(), vec![removed("10.1.7.7/32"), mapped("10.1.2.4/32", &[1])]);
    bench.miss("10.1.2.5");
    bench.reply(&[record(group(), "10.1.2.5/32", &[1])]);
    assert_eq!(bench.published(), vec![removed("10.1.2.2/32"), mapped("10.1.2.5/32", &[1])]);
    assert_eq!((bench.count(Counter::CacheEvicted), bench.count(Counter::CacheEvictedNegatives)), (1, 1));
    assert!(!bench.call(|itr, now, _| itr.adopt(group(), prefix("10.1.9.9/32"), vec![locator(1)], now)));
    assert_eq!(bench.count(Counter::AdoptRefused), 1);
}

#[test]
fn a_day_passes_at_once() {
    let mut bench = Bench::new(subscribing());
    bench.learn("10.1.2.3", record(group(), "10.1.2.0/24", &[1]));
    bench.miss("10.1.2.4");
    bench.now += std::time::Duration::from_secs(86_400);
    bench.wait_s(1);
    assert!(bench.asked.len() < 10 && bench.probes.len() < 10);
    bench.miss("10.1.2.5");
    bench.reply(&[record(group(), "10.1.2.5/32", &[1])]);
    assert_eq!(bench.state("10.1.2.5/32"), Some(EntryState::Fresh));
}
