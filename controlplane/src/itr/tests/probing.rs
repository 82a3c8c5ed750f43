//! RLOC probing as a whole.

use std::collections::BTreeSet;

use sterna_wire::lisp::control::MapRequest;

use super::bench::*;
use crate::itr::{Counter, Itr, ItrSettings, Limits, ProbeView, Rate};
use crate::outbox::LocatorChange;

/// A mapping to two locators that both answer.
fn two_locators() -> Bench {
    let mut bench = Bench::new(settings());
    bench.alive = vec![rloc(1), rloc(2)];
    bench.learn("10.1.2.3", record(group(), "10.1.2.0/24", &[1, 2]));
    bench.wait(1000);
    bench
}

/// Sends to both for so long; data comes back from those named.
fn carry(bench: &mut Bench, millis: u64, from: &[u8]) {
    for _ in 0..millis / 100 {
        for number in [1, 2] {
            bench.traffic(number, true, from.contains(&number));
        }
        bench.wait(100);
    }
}

/// As [`carry`], but in small steps and only until a locator changes; gives how long that took, or `millis`.
fn carry_until_change(bench: &mut Bench, millis: u64, from: &[u8]) -> u64 {
    let before = bench.locators.len();
    for passed in (0..millis).step_by(10) {
        for number in [1, 2].into_iter().filter(|_| passed % 100 == 0) {
            bench.traffic(number, true, from.contains(&number));
        }
        bench.wait(10);
        if bench.locators.len() > before {
            return passed + 10;
        }
    }
    millis
}

/// The first probe to this locator from the `after`th on.
fn probe_of(bench: &Bench, number: u8, after: usize) -> MapRequest {
    bench.probes[after..].iter().find(|(to, _)| *to == rloc(number)).unwrap().1.clone()
}

fn view(bench: &Bench, number: u8) -> ProbeView {
    bench.itr.locators().find(|view| view.remote == rloc(number)).unwrap()
}

fn down(number: u8) -> LocatorChange {
    LocatorChange { remote: rloc(number), up: false }
}

fn up(number: u8) -> LocatorChange {
    LocatorChange { remote: rloc(number), up: true }
}

#[test]
fn each_locator_is_probed_once_however_many_eids_it_has() {
    let mut bench = Bench::new(settings());
    bench.alive = vec![rloc(1)];
    for last in 1..50 {
        bench.learn(&format!("10.1.2.{last}"), record(group(), &format!("10.1.2.{last}/32"), &[1]));
    }
    bench.wait(1000);
    assert_eq!(bench.probes.len(), 1);
    let probe = &bench.probes[0].1;
    assert_eq!(probe.itr_rlocs, vec![ip("203.0.113.1").into()], "of the family in which the answer comes");
    assert!(bench.entry(&probe.records[0].prefix().unwrap().1.to_string()).is_some());
    bench.wait_s(600);
    assert!((9..=12).contains(&(bench.probes.len() - 1)), "{} in ten minutes", bench.probes.len());
    let view = view(&bench, 1);
    assert!(view.up && !view.silent && view.loss_permille == 0 && view.rtt_us == Some(0));
}

#[test]
fn a_cut_link_is_found_within_a_second_and_the_other_one_stays() {
    let mut bench = two_locators();
    carry(&mut bench, 5000, &[1, 2]);
    assert_eq!(bench.locators, vec![]);
    let probes_before = bench.probes.len();
    bench.alive = vec![rloc(2)];
    let cut = bench.elapsed_ms();
    while bench.locators.is_empty() && bench.elapsed_ms() < cut + 3000 {
        carry(&mut bench, 100, &[2]);
    }
    assert_eq!(bench.locators, vec![down(1)]);
    assert!(bench.elapsed_ms() - cut <= 1000, "after {} ms", bench.elapsed_ms() - cut);
    assert!(bench.probes.len() > probes_before);
    assert!(!view(&bench, 1).up && view(&bench, 2).up);
    assert_eq!((bench.count(Counter::LocatorsDown), bench.count(Counter::AllLocatorsSilent)), (1, 0));
    bench.alive.push(rloc(1));
    bench.wait_s(10);
    assert_eq!(bench.locators, vec![down(1), up(1)]);
}

#[test]
fn at_whatever_moment_a_link_is_cut_it_is_found_within_600_ms() {
    // Whether data came from it until then or only answers, and from the other one too or not.
    for (before, after) in [(&[1, 2][..], &[2][..]), (&[2], &[2]), (&[1], &[]), (&[], &[])] {
        for phase in (0..400).step_by(10) {
            let mut bench = two_locators();
            carry(&mut bench, 2000, before);
            carry_until_change(&mut bench, phase, before);
            bench.alive = vec![rloc(2)];
            let took = carry_until_change(&mut bench, 3000, after);
            assert!(took <= 610, "{took} ms at phase {phase} of {before:?}");
            assert_eq!((&bench.locators[..], bench.count(Counter::AllLocatorsSilent)), (&[down(1)][..], 0));
        }
    }
}

#[test]
fn a_witness_that_answers_after_the_verdict_completes_it_at_once() {
    let mut bench = two_locators();
    carry(&mut bench, 2000, &[1, 2]);
    bench.alive.clear();
    let cut = bench.probes.len();
    while bench.count(Counter::AllLocatorsSilent) == 0 {
        carry(&mut bench, 100, &[2]);
    }
    assert_eq!(bench.locators, vec![]);
    let asked = probe_of(&bench, 2, cut);
    bench.answer_probe(rloc(2), &asked, true);
    assert_eq!(bench.locators, vec![down(1)]);
}

#[test]
fn a_silent_locator_that_carries_traffic_waits_for_a_witness_at_the_fast_pace() {
    for phase in (0..400).step_by(10) {
        let mut bench = two_locators();
        carry(&mut bench, 2000, &[1, 2]);
        bench.alive.clear();
        carry(&mut bench, 20_000, &[2]);
        carry_until_change(&mut bench, phase, &[2]);
        assert_eq!((bench.locators.clone(), view(&bench, 1).silent), (vec![], true));
        bench.alive = vec![rloc(2)];
        let took = carry_until_change(&mut bench, 3000, &[2]);
        assert_eq!(bench.locators, vec![down(1)]);
        assert!(took <= 410, "{took} ms at phase {phase}");
    }
}

#[test]
fn a_far_control_plane_that_comes_back_takes_nothing_out() {
    for phase in (0..400).step_by(10) {
        let mut bench = two_locators();
        carry(&mut bench, 2000, &[2]);
        bench.alive.clear();
        carry(&mut bench, 3000, &[2]);
        carry_until_change(&mut bench, phase, &[2]);
        assert!(view(&bench, 1).silent, "nothing comes from it");
        bench.alive = vec![rloc(1), rloc(2)];
        carry(&mut bench, 2000, &[2]);
        assert_eq!((bench.locators.clone(), view(&bench, 1).silent), (vec![], false), "at phase {phase}");
    }
}

#[test]
fn an_answer_to_a_later_probe_is_no_witness() {
    let mut tried = 0;
    for phase in (0..300).step_by(10) {
        let mut bench = two_locators();
        carry(&mut bench, 2000, &[2]);
        bench.alive.clear();
        carry(&mut bench, 3000, &[2]);
        carry_until_change(&mut bench, phase, &[2]);
        // The far control plane comes back between the probes: this one goes out later than the one that was missed.
        let before = bench.probes.len();
        bench.call(|itr, now, out| itr.underlay(&[rloc(2)].into(), now, out));
        bench.call(|itr, now, out| itr.underlay(&BTreeSet::new(), now, out));
        let Some((to, asked)) = bench.probes.get(before).cloned() else { continue };
        assert_eq!((to, bench.probes.len()), (rloc(2), before + 1));
        bench.answer_probe(to, &asked, true);
        assert_eq!((bench.locators.clone(), view(&bench, 1).silent), (vec![], true), "at phase {phase}");
        tried += 1;
    }
    assert!(tried > 10, "{tried}");
}

#[test]
fn two_dead_locators_are_not_probed_faster_for_each_others_sake() {
    let mut bench = two_locators();
    carry(&mut bench, 2000, &[]);
    bench.alive.clear();
    carry(&mut bench, 2000, &[]);
    let before = bench.probes.len();
    carry(&mut bench, 3000, &[]);
    assert!((18..=22).contains(&(bench.probes.len() - before)), "{}", bench.probes.len() - before);
    let before = bench.probes.len();
    bench.wait_s(60);
    assert!(
        (10..=30).contains(&(bench.probes.len() - before)),
        "{} without traffic",
        bench.probes.len() - before
    );
}

#[test]
fn a_dead_control_plane_at_the_far_end_changes_nothing() {
    let mut bench = two_locators();
    bench.alive.clear();
    carry(&mut bench, 120_000, &[1, 2]);
    assert_eq!((bench.locators.clone(), bench.count(Counter::AllLocatorsSilent)), (vec![], 0));
    assert!(view(&bench, 1).loss_permille > 0, "its probes are lost, it is alive all the same");
}

#[test]
fn a_lost_probe_just_before_the_far_control_plane_dies_changes_nothing() {
    let mut bench = two_locators();
    carry(&mut bench, 1000, &[1, 2]);
    // The first probe to RLOC 1 is lost, RLOC 2 still answers; from then on nobody does.
    bench.alive = vec![rloc(2)];
    let missed = bench.count(Counter::ProbesUnanswered);
    while bench.count(Counter::ProbesUnanswered) == missed {
        carry(&mut bench, 100, &[]);
    }
    bench.alive.clear();
    carry(&mut bench, 10_000, &[]);
    assert_eq!((bench.locators.clone(), bench.count(Counter::AllLocatorsSilent)), (vec![], 2));
}

#[test]
fn data_from_one_locator_only_and_no_answer_from_any_changes_nothing() {
    let mut bench = two_locators();
    bench.alive.clear();
    carry(&mut bench, 7000, &[2]);
    let before = bench.probes.len();
    carry(&mut bench, 3000, &[2]);
    let probes = bench.probes.len() - before;
    assert!((18..=22).contains(&probes), "every 300 ms both of them, not {probes} in 3 s");
    assert_eq!((bench.locators.clone(), bench.count(Counter::AllLocatorsSilent)), (vec![], 1));
    assert!(view(&bench, 1).up && view(&bench, 1).silent && !view(&bench, 2).silent);
    bench.alive = vec![rloc(2)];
    bench.wait_s(60);
    assert_eq!(bench.locators, vec![down(1)], "now the other one is a witness");
}

#[test]
fn when_all_are_silent_all_stay_and_that_is_counted() {
    let mut bench = two_locators();
    bench.alive.clear();
    carry(&mut bench, 10_000, &[]);
    assert_eq!((bench.locators.clone(), bench.count(Counter::AllLocatorsSilent)), (vec![], 2));
    carry(&mut bench, 100, &[1, 2]);
    assert!(!view(&bench, 1).silent && !view(&bench, 2).silent, "data is as good as an answer");
}

#[test]
fn a_single_locator_is_never_taken_out() {
    let mut bench = Bench::new(settings());
    bench.learn("10.1.2.3", record(group(), "10.1.2.0/24", &[1]));
    bench.wait_s(300);
    assert_eq!(bench.locators, vec![]);
    assert!(view(&bench, 1).up && view(&bench, 1).silent);
    assert_eq!(bench.count(Counter::AllLocatorsSilent), 1);
}

#[test]
fn data_brings_a_locator_back_with_the_next_tick() {
    let mut bench = two_locators();
    bench.alive = vec![rloc(2)];
    carry(&mut bench, 2000, &[2]);
    assert_eq!(bench.locators, vec![down(1)]);
    bench.traffic(1, false, true);
    assert_eq!(bench.itr.next_deadline(), Some(bench.now));
    bench.call(Itr::tick);
    assert_eq!(bench.locators, vec![down(1), up(1)]);
}

#[test]
fn a_site_may_call_its_own_locator_unreachable() {
    let mut bench = Bench::new(settings());
    bench.alive = vec![rloc(2)];
    bench.learn("10.1.2.3", record(group(), "10.1.2.0/24", &[1, 2]));
    bench.wait(1000);
    let (to, probe) = bench.probes.iter().find(|(to, _)| *to == rloc(1)).cloned().unwrap();
    bench.answer_probe(to, &probe, false);
    assert_eq!(bench.locators, vec![down(1)]);
    bench.traffic(1, true, true);
    bench.wait(0);
    assert_eq!(bench.locators, vec![down(1)], "data does not contradict that");
    bench.alive = vec![rloc(1), rloc(2)];
    bench.wait_s(30);
    assert_eq!(bench.locators, vec![down(1), up(1)]);
}

#[test]
fn a_second_answer_to_one_probe_counts_for_nothing() {
    let mut bench = two_locators();
    let (to, probe) = bench.probes[0].clone();
    bench.wait_s(5);
    bench.answer_probe(to, &probe, true);
    assert_eq!(bench.count(Counter::ReplyDuplicate), 1);
    assert_eq!(view(&bench, 1).rtt_us, Some(0));
}

#[test]
fn an_answer_to_a_probe_is_no_answer_to_a_question() {
    let mut bench = two_locators();
    let nonce = bench.probes[0].1.nonce;
    bench.reply_to(nonce, &[record(group(), "10.1.2.0/24", &[9])]);
    assert_eq!((bench.count(Counter::ReplyWrongKind), bench.published()), (1, vec![]));
}

#[test]
fn without_a_path_nobody_is_probed() {
    let mut bench = two_locators();
    let before = bench.probes.len();
    let lost: BTreeSet<_> = [rloc(1), rloc(2)].into();
    bench.call(|itr, now, out| itr.underlay(&lost, now, out));
    carry(&mut bench, 30_000, &[]);
    assert_eq!((bench.probes.len(), bench.locators.clone()), (before, vec![]));
    assert!(!view(&bench, 1).has_path);
    bench.call(|itr, now, out| itr.underlay(&BTreeSet::new(), now, out));
    assert_eq!(bench.probes.len(), before + 2, "at once when the path is back");
}

#[test]
fn probes_are_limited_in_total() {
    let limits = Limits { probe: Rate { per_second: 10, burst: 1 }, ..Limits::default() };
    let mut bench = Bench::new(ItrSettings { limits, ..settings() });
    for number in 1..=100 {
        bench.learn(&format!("10.1.2.{number}"), record(group(), &format!("10.1.2.{number}/32"), &[number]));
    }
    bench.wait_s(10);
    assert!((95..=101).contains(&bench.probes.len()), "{}", bench.probes.len());
    assert!(bench.count(Counter::ProbesDelayed) > 0);
    let probed: BTreeSet<_> = bench.probes.iter().map(|(to, _)| *to).collect();
    assert!(probed.len() > 30, "all get their turn, {} did", probed.len());
}

#[test]
fn without_an_rloc_of_the_family_there_is_no_probe() {
    let mut bench = Bench::new(ItrSettings { local_rlocs: vec![ip("2001:db8::1")], ..settings() });
    bench.learn("10.1.2.3", record(group(), "10.1.2.0/24", &[1]));
    bench.wait_s(30);
    assert_eq!((bench.probes.len(), bench.count(Counter::ProbeNoRloc)), (0, 1));
}

#[test]
fn a_locator_that_goes_leaves_no_verdict_behind() {
    let mut bench = two_locators();
    bench.alive = vec![rloc(2)];
    carry(&mut bench, 2000, &[2]);
    assert_eq!(bench.locators, vec![down(1)]);
    bench.doubt("10.1.2.3");
    bench.reply(&[record(group(), "10.1.2.0/24", &[2])]);
    assert_eq!(bench.locators, vec![down(1), up(1)]);
    assert_eq!(bench.itr.locators().count(), 1);
}
