//! What a lookup costs: `cargo run -p sterna-table --release --example probe [ENTRIES]...`
//!
//! Prints clocks per lookup (see `sterna_cpu::clocks`) for bursts of 64 over uniformly random host entries, for
//! absent hosts, and for longest match over eight prefix lengths; quantiles over the bursts.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::net::Ipv4Addr;
use sterna_cpu::{clocks_fenced, fold_multiply};
use sterna_table::{Domain, EidKey, EidReader, Question, Reader, eid_table};
use sterna_wire::{Iid, Prefix};

const BURST: usize = 64;
const ROUNDS: usize = 9;
/// Enough bursts that a round visits 1 M places, so that nothing stays cached by having been asked before.
const BURSTS: usize = 16_384;

type Value = [u64; 4];

/// The address of an entry: a bijection of 0..2^32, so distinct and without pattern.
fn address(number: u32) -> u32 {
    let mixed = (number ^ number >> 16).wrapping_mul(0x7feb_352d);
    let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x846c_a68b);
    mixed ^ mixed >> 16
}

/// The instance of an entry, of `instances`.
fn instance(number: u32, instances: u32) -> Iid {
    Iid::new(number % instances).unwrap()
}

fn question(number: u32, instances: u32) -> Question {
    Question::new(instance(number, instances), Ipv4Addr::from(address(number)).into())
}

/// Uniformly random numbers below `bound`, the same in every run.
fn random(round: usize, bound: u32) -> Vec<u32> {
    let draw = |at: usize| {
        fold_multiply((round * BURSTS * BURST + at) as u64 ^ 0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03)
    };
    (0..BURSTS * BURST).map(|at| (((draw(at) >> 32) * u64::from(bound)) >> 32) as u32).collect()
}

/// Clocks of each burst of one round. `expected` is the prefix length every answer must have; 0 for none.
fn round(
    table: &EidReader<Value>,
    worker: &mut Reader,
    questions: &[Question],
    expected: impl Fn(usize) -> u8,
) -> Vec<u64> {
    let mut wrong = 0;
    let mut spent = Vec::with_capacity(BURSTS);
    for (burst, questions) in questions.chunks_exact(BURST).enumerate() {
        // A worker has just written its questions, so they are in its L1 cache.
        let questions: [Question; BURST] = std::hint::black_box(std::array::from_fn(|at| questions[at]));
        let mut found = [None; BURST];
        let start = clocks_fenced();
        let guard = worker.enter();
        table.lookup_burst(&guard, &questions, &mut found);
        let mut sum = 0;
        for answer in found.iter().flatten() {
            sum ^= answer.value[3];
        }
        std::hint::black_box(sum);
        spent.push(clocks_fenced() - start);
        for (at, answer) in found.iter().enumerate() {
            wrong += usize::from(answer.map_or(0, |answer| answer.len) != expected(burst * BURST + at));
        }
    }
    assert_eq!(wrong, 0);
    spent
}

/// Quantiles over the bursts, not means: a burst in which the kernel took the core says nothing about the table.
fn report(what: &str, rounds: impl Iterator<Item = Vec<u64>>) {
    let mut bursts: Vec<u64> = rounds.flatten().collect();
    bursts.sort_unstable();
    let at = |percent: usize| bursts[(bursts.len() - 1) * percent / 100] as f64 / BURST as f64;
    println!("  {what:<28} {:6.1}  ({:.1} - {:.1})", at(50), at(10), at(90));
}

/// Hosts only. With several instances, neighbours in a burst mostly ask in different ones: the harder case.
fn measure(entries: u32, instances: u32) {
    let domain = Domain::new(1);
    let mut worker = domain.reader().unwrap();
    let (mut writer, table) = eid_table::<Value>(&domain, entries as usize, [0x1234_5678, 0x9abc_def0]);
    let start = clocks_fenced();
    for number in 0..entries {
        let key = EidKey::host(instance(number, instances), Ipv4Addr::from(address(number)).into());
        writer.insert(key, [1; 4]).unwrap();
    }
    let insert = (clocks_fenced() - start) as f64 / f64::from(entries);
    let bytes = writer.bytes() as f64 / f64::from(entries);
    println!("{entries} hosts, {instances} instances: {bytes:.1} bytes each, {insert:.0} clocks per insert");
    let ask = |numbers: Vec<u32>| -> Vec<Question> {
        numbers.into_iter().map(|number| question(number, instances)).collect()
    };
    report("measuring alone", std::iter::once(overhead(&table, &mut worker)));
    let mut hits = |index: usize| round(&table, &mut worker, &ask(random(index, entries)), |_| 32);
    report("hosts, uniform", (0..ROUNDS).map(&mut hits));
    let mut absent = |index: usize| {
        let numbers = random(index, entries).into_iter().map(|number| number + entries);
        round(&table, &mut worker, &ask(numbers.collect()), |_| 0)
    };
    report("absent hosts, uniform", (0..ROUNDS).map(&mut absent));
}

/// Eight lengths, /25 to /32, an eighth of the entries each; every question is covered by exactly one.
fn measure_lengths(entries: u32) {
    let domain = Domain::new(1);
    let mut worker = domain.reader().unwrap();
    let (mut writer, table) = eid_table::<Value>(&domain, entries as usize, [1, 2]);
    let len = |number: u32| 25 + (number % 8) as u8;
    let iid = Iid::new(1).unwrap();
    for number in 0..entries {
        let eid = Ipv4Addr::from(number << 8);
        writer.insert(EidKey::prefix(iid, Prefix::masked(eid.into(), len(number)).unwrap()), [1; 4]).unwrap();
    }
    println!("{entries} entries of 8 prefix lengths");
    let rounds = (0..ROUNDS).map(|index| {
        let numbers = random(index, entries);
        let questions: Vec<Question> =
            numbers.iter().map(|number| Question::v4(1, (number << 8).to_be_bytes())).collect();
        round(&table, &mut worker, &questions, |at| len(numbers[at]))
    });
    report("longest match, uniform", rounds);
}

/// What the measuring itself costs: clock, guard and call, with no question asked.
fn overhead(table: &EidReader<Value>, worker: &mut Reader) -> Vec<u64> {
    let burst = |_| {
        let start = clocks_fenced();
        let guard = worker.enter();
        table.lookup_burst(&guard, std::hint::black_box(&[]), &mut []);
        drop(guard);
        clocks_fenced() - start
    };
    (0..BURSTS).map(burst).collect()
}

fn main() {
    let given: Vec<u32> = std::env::args().skip(1).filter_map(|entries| entries.parse().ok()).collect();
    let sizes = if given.is_empty() { vec![4_096, 1_000_000, 10_000_000] } else { given };
    println!("clocks per lookup, bursts of {BURST}: median (10 % - 90 %) over the bursts");
    for entries in sizes {
        measure(entries, 1);
        measure(entries, 16);
    }
    measure_lengths(4_096);
}
