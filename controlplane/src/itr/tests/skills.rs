//! Skills: EIDs that many sites have at a time, this one among them.

use std::collections::BTreeMap;

use super::bench::*;
use super::said::*;
use crate::itr::{Counter, ItrSettings};
use crate::outbox::{Choice, Chosen, Locator, Mapping};
use sterna_wire::lisp::control::LocatorRecord;

const SKILL: &str = "10.1.200.1";
const SKILL_HOST: &str = "10.1.200.1/32";

fn skilled() -> ItrSettings {
    ItrSettings { skills: vec![(group(), prefix("10.1.200.0/28"))], ..settings() }
}

fn here(priority: u8) -> Chosen {
    Chosen { locator: Locator { address: ip("203.0.113.1"), priority, weight: 100 }, keep: true }
}

fn instances() -> sterna_wire::lisp::control::EidRecord {
    let mut record = record(group(), SKILL_HOST, &[1]);
    record.locators.push(LocatorRecord::unicast(ip("203.0.113.1"), 1, 100));
    record
}

#[test]
fn our_own_instance_is_a_candidate_and_no_remote_locator() {
    let mut bench = Bench::new(skilled());
    bench.miss(SKILL);
    assert!(bench.asked[0].block().is_some_and(|block| block.return_attributes));
    let nonce = bench.asked[0].nonce();
    bench.reply_with(nonce, &[instances()], &filtered(0, &[loaded(0), loaded(400)]));
    let change = bench.mappings.pop().unwrap();
    assert_eq!(change.classes, BTreeMap::from([(0, Choice::Locators(vec![chosen(1, 1), here(2)]))]));
    assert_eq!(change.mapping, Some(Mapping::Locators(vec![locator(1)])));
    bench.wait_s(5);
    assert!(bench.probes.iter().all(|(to, _)| *to == rloc(1)) && !bench.probes.is_empty());
    assert_eq!(bench.count(Counter::LocatorOwn), 0);
}

#[test]
fn one_that_is_only_here_has_a_row_with_ourselves() {
    let mut bench = Bench::new(skilled());
    bench.miss(SKILL);
    let mut only = instances();
    only.locators.remove(0);
    bench.reply_with(bench.asked[0].nonce(), &[only], &filtered(0, &[loaded(0)]));
    let change = bench.mappings.pop().unwrap();
    assert_eq!(change.classes[&0], Choice::Locators(vec![here(1)]));
    assert_eq!(change.mapping, Some(Mapping::Locators(vec![])));
}

#[test]
fn elsewhere_we_are_still_no_remote_locator() {
    let mut bench = Bench::new(skilled());
    bench.miss(EID);
    assert_eq!(bench.asked[0].block(), None, "no class and no skill");
    let mut own = host(&[]);
    own.locators.push(LocatorRecord::unicast(ip("203.0.113.1"), 1, 100));
    bench.reply(&[own]);
    assert_eq!((bench.rows(), bench.count(Counter::LocatorOwn)), (vec![], 1));
}

#[test]
fn nobody_answers_and_nothing_is_published() {
    let mut bench = Bench::new(skilled());
    bench.miss(SKILL);
    bench.wait_s(60);
    assert_eq!(bench.rows(), []);
}

#[test]
fn a_far_instance_costs_its_round_trip_and_ours_none() {
    let mut bench = Bench::new(skilled());
    bench.miss(SKILL);
    bench.reply_with(bench.asked[0].nonce(), &[instances()], &filtered(0, &[loaded(0), loaded(0)]));
    bench.rows();
    bench.wait_s(2);
    let (to, probe) = bench.probes.pop().unwrap();
    // The probe went out within the first second, so its round trip is far above the most that counts.
    bench.answer_probe(to, &probe, true);
    assert_eq!(bench.rows(), [BTreeMap::from([(0, Choice::Locators(vec![chosen(1, 2), here(1)]))])]);
}
