//! The EID table against an oracle: a `BTreeMap` and a walk over all prefix lengths.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use sterna_table::{BURST, Domain, EidKey, EidReader, EidWriter, Found, Full, Guard, Question, eid_table};
use sterna_wire::{Family, Iid, Prefix};

const CAPACITY: usize = 48;
/// Most questions in a burst: longer than two bursts, so that every cut is tried.
const ASKED: usize = if cfg!(miri) { 8 } else { 2 * BURST + 10 };

#[derive(Clone, Debug)]
enum Step {
    Insert(Iid, Prefix, u64),
    Remove(Iid, Prefix),
    Reclaim,
    Ask(Vec<(Iid, IpAddr)>),
}

fn iid() -> impl Strategy<Value = Iid> {
    prop_oneof![Just(0), Just(1), Just(2), Just(0xff_fffe)].prop_map(|value| Iid::new(value).unwrap())
}

/// Few addresses that agree in many first bits, so that prefixes nest and questions hit.
fn address() -> impl Strategy<Value = IpAddr> {
    let v4 =
        (0..4_u32, 0..32_u32).prop_map(|(low, bit)| IpAddr::V4(Ipv4Addr::from(0x0a01_0200 | low | 1 << bit)));
    let v6 = (0..4_u128, 0..128_u32).prop_map(|(low, bit)| {
        IpAddr::V6(Ipv6Addr::from(0x2001_0db8_0000_0001_0000_0000_0000_0000 | low | 1 << bit))
    });
    prop_oneof![v4, v6]
}

fn prefix() -> impl Strategy<Value = Prefix> {
    let v4 = prop_oneof![Just(0_u8), Just(1), Just(8), Just(23), Just(24), Just(31), Just(32), 0..=32_u8];
    let v6 = prop_oneof![Just(0_u8), Just(63), Just(64), Just(65), Just(127), Just(128), 0..=128_u8];
    (address(), v4, v6).prop_map(|(address, v4, v6)| {
        let len = if address.is_ipv4() { v4 } else { v6 };
        Prefix::masked(address, len).unwrap()
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (iid(), prefix(), any::<u64>()).prop_map(|(iid, prefix, value)| Step::Insert(iid, prefix, value)),
        4 => (iid(), prefix()).prop_map(|(iid, prefix)| Step::Remove(iid, prefix)),
        1 => Just(Step::Reclaim),
        2 => vec((iid(), address()), 0..ASKED).prop_map(Step::Ask),
    ]
}

type Oracle = BTreeMap<(Iid, Prefix), u64>;

fn oracle_answer(oracle: &Oracle, iid: Iid, eid: IpAddr) -> Option<(u8, u64)> {
    let lengths = (0..=Family::of(eid).bits()).rev();
    lengths.into_iter().find_map(|len| {
        let value = oracle.get(&(iid, Prefix::masked(eid, len).unwrap()))?;
        Some((len, *value))
    })
}

fn parts(found: Option<Found<'_, u64>>) -> Option<(u8, u64)> {
    found.map(|found| (found.len, *found.value))
}

/// The burst, the single lookup and the oracle give one answer.
fn ask(table: &EidReader<u64>, guard: &Guard<'_>, oracle: &Oracle, asked: &[(Iid, IpAddr)]) {
    let questions: Vec<Question> = asked.iter().map(|(iid, eid)| Question::new(*iid, *eid)).collect();
    let mut found = vec![None; asked.len()];
    table.lookup_burst(guard, &questions, &mut found);
    let mut hosts = vec![None; asked.len()];
    table.host_burst(guard, &questions, &mut hosts);
    for (number, (iid, eid)) in asked.iter().enumerate() {
        let expected = oracle_answer(oracle, *iid, *eid);
        assert_eq!(parts(found[number]), expected, "burst: {iid} {eid}");
        let single = table.lookup(guard, questions[number]);
        assert_eq!(parts(single), expected, "single: {iid} {eid}");
        assert_eq!(single.map(|found| found.index), found[number].map(|found| found.index));
        assert!(single.is_none_or(|found| (1..table.index_bound()).contains(&(found.index as usize))));
        let host = expected.filter(|(len, _)| *len == Family::of(*eid).bits());
        assert_eq!(parts(hosts[number]), host, "host: {iid} {eid}");
    }
}

fn apply(writer: &mut EidWriter<u64>, oracle: &mut Oracle, step: &Step) {
    match step {
        Step::Insert(iid, prefix, value) => {
            let answer = writer.insert(EidKey::prefix(*iid, *prefix), *value);
            if oracle.len() == CAPACITY && !oracle.contains_key(&(*iid, *prefix)) {
                assert_eq!(answer, Err(Full::Entries));
            } else {
                assert_eq!(answer, Ok(oracle.insert((*iid, *prefix), *value)));
            }
        }
        Step::Remove(iid, prefix) => {
            assert_eq!(writer.remove(&EidKey::prefix(*iid, *prefix)), oracle.remove(&(*iid, *prefix)));
        }
        Step::Reclaim => writer.reclaim(),
        Step::Ask(_) => {}
    }
}

/// What the writer says of itself.
fn compare_whole(writer: &EidWriter<u64>, oracle: &Oracle) {
    assert_eq!(writer.len(), oracle.len());
    let listed: BTreeMap<EidKey, u64> = writer.iter().collect();
    let expected: BTreeMap<EidKey, u64> =
        oracle.iter().map(|((iid, prefix), value)| (EidKey::prefix(*iid, *prefix), *value)).collect();
    assert_eq!(listed, expected);
    assert_eq!(writer.iter().count(), oracle.len());
    for (key, value) in &expected {
        assert_eq!(writer.get(key), Some(*value));
    }
    for iid in [0, 1, 2, 0xff_fffe].map(|value| Iid::new(value).unwrap()) {
        for family in [Family::V4, Family::V6] {
            let mut lengths: Vec<u8> = oracle
                .keys()
                .filter(|(of, prefix)| *of == iid && prefix.family() == family)
                .map(|(_, prefix)| prefix.len())
                .collect();
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            lengths.dedup();
            assert_eq!(writer.lengths(iid, family), lengths);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 3 } else { 200 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn agrees_with_the_oracle(steps in vec(step(), 0..if cfg!(miri) { 20 } else { 300 }), seed: [u64; 2]) {
        let domain = Domain::new(1);
        let mut worker = domain.reader().unwrap();
        let (mut writer, table) = eid_table::<u64>(&domain, CAPACITY, seed);
        let mut oracle = Oracle::new();
        for step in &steps {
            apply(&mut writer, &mut oracle, step);
            if let Step::Ask(asked) = step {
                ask(&table, &worker.enter(), &oracle, asked);
            }
        }
        compare_whole(&writer, &oracle);
        let everything: Vec<(Iid, IpAddr)> = oracle.keys().map(|(iid, prefix)| (*iid, prefix.addr())).collect();
        ask(&table, &worker.enter(), &oracle, &everything);
    }
}
