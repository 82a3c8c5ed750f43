//! What is promised at the limits: every entry fits, full is said honestly, and no memory is lost.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use sterna_table::{Domain, EidKey, EidReader, Full, Question, Reader, Sizes, eid_table, eid_table_sized};
use sterna_wire::{Family, Iid, Prefix};

const ENTRIES: usize = if cfg!(miri) { 60 } else { 200_000 };

fn iid(value: u32) -> Iid {
    Iid::new(value).unwrap()
}

/// A random number generator good enough for keys (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let a = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        b ^ (b >> 31)
    }
}

fn v4(number: usize) -> EidKey {
    EidKey::host(iid(1), Ipv4Addr::from(number as u32).into())
}

/// Fills to exactly the limit, finds all, is refused the next, empties, and finds none.
fn fill_and_empty(keys: &[EidKey], seed: [u64; 2]) {
    let domain = Domain::new(1);
    let mut worker = domain.reader().unwrap();
    let (mut writer, table) = eid_table::<u64>(&domain, keys.len(), seed);
    assert_eq!(writer.capacity(), keys.len());
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(writer.insert(*key, number as u64), Ok(None), "{number} {key:?}");
    }
    let stranger = EidKey::host(iid(77), IpAddr::V6(Ipv6Addr::LOCALHOST));
    assert_eq!(writer.insert(stranger, 0), Err(Full::Entries));
    assert_eq!((writer.get(&stranger), writer.lengths(iid(77), Family::V6)), (None, vec![]));
    expect_all(&table, &mut worker, keys, |number| Some(number as u64));
    // A full table still takes replacements.
    for key in keys {
        assert!(matches!(writer.insert(*key, 1), Ok(Some(_))));
    }
    for key in keys {
        assert_eq!(writer.remove(key), Some(1));
    }
    assert!(writer.is_empty() && writer.iter().next().is_none());
    expect_all(&table, &mut worker, keys, |_| None);
}

fn expect_all(
    table: &EidReader<u64>,
    worker: &mut Reader,
    keys: &[EidKey],
    expected: impl Fn(usize) -> Option<u64>,
) {
    for (chunk, keys) in keys.chunks(100).enumerate() {
        let questions: Vec<Question> =
            keys.iter().map(|key| Question::new(iid(key.iid()), key.addr())).collect();
        let guard = worker.enter();
        let mut found = vec![None; keys.len()];
        table.lookup_burst(&guard, &questions, &mut found);
        for (at, found) in found.iter().enumerate() {
            assert_eq!(found.map(|found| *found.value), expected(chunk * 100 + at), "{:?}", keys[at]);
        }
    }
}

#[test]
fn random_keys_fit_up_to_the_last_entry() {
    let mut random = Random(1);
    for seed in [[0, 0], [random.next(), random.next()]] {
        let mut keys: Vec<EidKey> = (0..ENTRIES)
            .map(|_| {
                EidKey::host(
                    iid(random.next() as u32 % 50),
                    Ipv6Addr::from_bits(u128::from(random.next()) << 20).into(),
                )
            })
            .collect();
        keys.sort_unstable();
        keys.dedup();
        fill_and_empty(&keys, seed);
    }
}

#[test]
fn sequential_keys_fit_up_to_the_last_entry() {
    let strided = |stride: usize| (0..ENTRIES).map(|number| v4(number * stride)).collect::<Vec<EidKey>>();
    let v6 = |shift: u32| {
        (0..ENTRIES as u128)
            .map(|number| EidKey::host(iid(5), Ipv6Addr::from(number << shift).into()))
            .collect::<Vec<_>>()
    };
    // Low bits only, high bits only, both words of the address, one instance each.
    let instances = (0..ENTRIES.min(30_000) as u32)
        .map(|number| EidKey::host(iid(number), Ipv4Addr::LOCALHOST.into()))
        .collect();
    for keys in [strided(1), strided(256), strided(16_384), v6(0), v6(64), v6(100), v6(55), instances] {
        fill_and_empty(&keys, [7, 9]);
    }
}

/// No moving means that churn may push entries away from home; at full load they must still fit, for ever.
#[test]
fn ten_times_the_capacity_passes_through_a_full_table() {
    let entries = ENTRIES / 4;
    let domain = Domain::new(1);
    let mut worker = domain.reader().unwrap();
    let (mut writer, table) = eid_table::<u64>(&domain, entries, [3, 5]);
    let bytes = writer.bytes();
    for number in 0..entries {
        writer.insert(v4(number), number as u64).unwrap();
    }
    let mut random = Random(2);
    let mut present: Vec<usize> = (0..entries).collect();
    for number in entries..entries * 11 {
        let victim = random.next() as usize % entries;
        assert_eq!(writer.remove(&v4(present[victim])), Some(present[victim] as u64));
        assert_eq!(writer.insert(v4(number), number as u64), Ok(None));
        present[victim] = number;
        if number % 32 == 0 {
            writer.reclaim();
        }
    }
    assert_eq!((writer.len(), writer.bytes()), (entries, bytes));
    let keys: Vec<EidKey> = present.iter().map(|number| v4(*number)).collect();
    expect_all(&table, &mut worker, &keys, |at| Some(present[at] as u64));
}

#[test]
fn the_guard_keeps_the_old_value_and_a_stuck_reader_is_reported() {
    let domain = Domain::new(1);
    let mut worker = domain.reader().unwrap();
    let sizes = Sizes { max_entries: 2, max_instances: 1, spare_entries: 3 };
    let (mut writer, table) = eid_table_sized::<[u64; 4]>(&domain, sizes, [1, 1]);
    writer.insert(v4(1), [1; 4]).unwrap();
    writer.insert(v4(2), [2; 4]).unwrap();
    let guard = worker.enter();
    let question = Question::v4(1, [0, 0, 0, 1]);
    let old = table.lookup(&guard, question).unwrap();
    for round in 10..13 {
        assert!(writer.insert(v4(1), [round; 4]).is_ok());
    }
    assert_eq!(writer.insert(v4(1), [13; 4]), Err(Full::Readers));
    assert_eq!(writer.get(&v4(1)), Some([12; 4]), "a refusal changes nothing");
    // Removing never needs memory.
    assert_eq!(writer.remove(&v4(1)), Some([12; 4]));
    assert_eq!(writer.insert(v4(1), [14; 4]), Err(Full::Readers));
    assert_eq!(writer.lengths(iid(1), Family::V4), [32]);
    assert_eq!((old.value, writer.waiting()), (&[1; 4], 4));
    drop(guard);
    assert_eq!(writer.insert(v4(1), [14; 4]), Ok(None));
    assert_eq!(table.lookup(&worker.enter(), question).map(|found| *found.value), Some([14; 4]));
}

#[test]
fn instances_are_bounded_and_come_back() {
    let domain = Domain::new(1);
    let mut worker = domain.reader().unwrap();
    let sizes = Sizes { max_entries: 1_000, max_instances: 4, spare_entries: 10 };
    let (mut writer, table) = eid_table_sized::<u64>(&domain, sizes, [1, 1]);
    let key = |instance: u32| EidKey::prefix(iid(instance), "10.0.0.0/8".parse::<Prefix>().unwrap());
    let fitting = (0..1_000).take_while(|instance| writer.insert(key(*instance), 1).is_ok()).count() as u32;
    assert_eq!(fitting, 4);
    assert_eq!(writer.insert(key(fitting), 1), Err(Full::Instances));
    for instance in fitting..fitting + 500 {
        writer.remove(&key(instance - fitting)).unwrap();
        writer.insert(key(instance), 2).unwrap();
        assert!(table.lookup(&worker.enter(), Question::v4(instance, [10, 1, 1, 1])).is_some());
        assert!(table.lookup(&worker.enter(), Question::v4(instance - fitting, [10, 1, 1, 1])).is_none());
    }
}

#[test]
fn values_outlive_the_writer() {
    let domain = Domain::new(1);
    let mut worker = domain.reader().unwrap();
    let (mut writer, table) = eid_table::<u64>(&domain, 10, [1, 1]);
    writer.insert(v4(1), 11).unwrap();
    drop(writer);
    assert_eq!(
        table.lookup(&worker.enter(), Question::v4(1, [0, 0, 0, 1])).map(|found| *found.value),
        Some(11)
    );
}

#[test]
#[should_panic(expected = "another domain")]
fn a_guard_of_another_domain_is_refused() {
    let mut stranger = Domain::new(1).reader().unwrap();
    let (_writer, table) = eid_table::<u64>(&Domain::new(1), 10, [1, 1]);
    table.lookup(&stranger.enter(), Question::v4(1, [0, 0, 0, 1]));
}

#[test]
fn an_entry_costs_at_most_a_hundred_bytes() {
    if cfg!(miri) {
        return;
    }
    let (writer, _table) = eid_table::<[u64; 4]>(&Domain::new(1), 1_000_000, [1, 1]);
    let each = writer.bytes() as f64 / 1e6;
    assert!(each <= 100.0, "{each}");
}

#[test]
fn an_index_leads_back_to_its_entry_while_it_is_there() {
    let domain = Domain::new(1);
    let mut worker = domain.reader().unwrap();
    let (mut writer, table) = eid_table::<u64>(&domain, 10, [1, 1]);
    writer.insert(v4(1), 11).unwrap();
    let index = |worker: &mut Reader| {
        table.lookup(&worker.enter(), Question::v4(1, [0, 0, 0, 1])).map(|found| found.index)
    };
    let first = index(&mut worker).unwrap();
    assert_eq!(writer.at(first), Some((v4(1), 11)));
    writer.insert(v4(1), 12).unwrap();
    let second = index(&mut worker).unwrap();
    assert_eq!((writer.at(first), writer.at(second)), (None, Some((v4(1), 12))));
    writer.remove(&v4(1));
    assert_eq!(writer.at(second), None);
    assert_eq!([writer.at(0), writer.at(9), writer.at(u32::MAX)], [None; 3], "nothing was ever there");
}

#[test]
fn a_walk_by_buckets_meets_what_stays_once_whatever_comes_and_goes() {
    let domain = Domain::new(1);
    let count = if cfg!(miri) { 40 } else { 4000 };
    let (mut writer, _table) = eid_table::<u64>(&domain, 2 * count, [1, 1]);
    for number in 0..count {
        writer.insert(v4(number), 0).unwrap();
    }
    let mut met = vec![0; count];
    for bucket in 0..writer.buckets() {
        for (key, _) in writer.in_bucket(bucket) {
            let IpAddr::V4(address) = key.addr() else { continue };
            if let Some(met) = met.get_mut(u32::from(address) as usize) {
                *met += 1;
            }
        }
        // Odd ones come and go, even ones are replaced; others join.
        let number = bucket % count;
        if number % 2 == 1 {
            writer.remove(&v4(number));
        }
        writer.insert(v4(number), 1).unwrap();
        writer.insert(v4(count + number), 1).unwrap();
    }
    assert!(met.iter().step_by(2).all(|met| *met == 1));
    assert_eq!(writer.in_bucket(usize::MAX).count(), 0);
}
