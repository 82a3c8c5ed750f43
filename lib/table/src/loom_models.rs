//! Small models of everything that is shared, in which loom tries every order of the atomic accesses (up to three
//! forced switches) and every value that the memory model lets a load return.
//!
//! `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p sterna-table --release --lib loom`
//!
//! Values carry their complement, so that a half-written one shows; loom itself reports a cell that is written
//! while, or without order after, somebody reads it, which is what reuse under a guard would be.

use crate::arena::Arena;
use crate::cells::cells_with_spare;
use crate::key::{EidKey, Question, Secret, spread};
use crate::sync::{AtomicU32, Ordering, Side, Writing};
use crate::{Domain, EidReader, EidWriter, Found, Guard, Sizes, eid_table_sized, published};
use loom::thread;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use sterna_wire::{Iid, Prefix};

const SEED: [u64; 2] = [5, 6];
const SIZES: Sizes = Sizes { max_entries: 4, max_instances: 2, spare_entries: 1 };

/// Two cells for one entry: every change after the first reuses what the one before it retired, or is refused.
const TIGHT: Sizes = Sizes { max_entries: 1, max_instances: 2, spare_entries: 1 };

type Value = [u64; 2];

fn whole(value: u64) -> Value {
    [value, !value]
}

fn read(value: &Value) -> u64 {
    assert_eq!(value[1], !value[0], "half-written");
    value[0]
}

fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.max_branches = 100_000;
    // One run would mean that loom saw nothing to reorder.
    let runs = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&runs);
    builder.check(move || {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        run();
    });
    let runs = runs.load(std::sync::atomic::Ordering::Relaxed);
    println!("{runs} orders");
    assert!(runs > 50, "only {runs}");
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 | number).into()
}

fn host_of(iid: u32, number: u32) -> EidKey {
    EidKey::host(Iid::new(iid).unwrap(), address(number))
}

fn host(number: u32) -> EidKey {
    host_of(1, number)
}

fn question_of(iid: u32, number: u32) -> Question {
    Question::new(Iid::new(iid).unwrap(), address(number))
}

fn question(number: u32) -> Question {
    question_of(1, number)
}

fn parts(found: Option<Found<'_, Value>>) -> Option<(u8, u64)> {
    found.map(|found| (found.len, read(found.value)))
}

/// What the burst says, which must be possible for the single lookup too; models use one or the other.
fn by_burst(table: &EidReader<Value>, guard: &Guard<'_>, asked: Question) -> Option<(u8, u64)> {
    let mut found = [None];
    table.lookup_burst(guard, &[asked], &mut found);
    parts(found[0])
}

/// A table with these hosts in it, `writing` on another thread, and `reading` under a guard on this one.
fn beside(
    sizes: Sizes,
    hosts: &'static [u32],
    writing: fn(&mut EidWriter<Value>),
    reading: fn(&EidReader<Value>, &Guard<'_>),
) {
    model(move || {
        let domain = Domain::new(1);
        let mut worker = domain.reader().unwrap();
        let (mut writer, table) = eid_table_sized::<Value>(&domain, sizes, SEED);
        for number in hosts {
            writer.insert(host(*number), whole(u64::from(*number))).unwrap();
        }
        let writing = thread::spawn(move || writing(&mut writer));
        reading(&table, &worker.enter());
        writing.join().unwrap();
    });
}

/// One spare entry: the second replacement reuses the first entry if the reader has passed, and is refused if not.
#[test]
fn loom_a_replaced_key_is_found_whole() {
    let writing = |writer: &mut EidWriter<Value>| {
        assert!(writer.insert(host(1), whole(10)).is_ok());
        let _ = writer.insert(host(1), whole(11));
    };
    beside(SIZES, &[1, 2, 3, 4], writing, |table, guard| {
        let (len, value) = parts(table.lookup(guard, question(1))).expect("present throughout");
        assert!(len == 32 && [1, 10, 11].contains(&value));
    });
    beside(SIZES, &[1, 2, 3, 4], writing, |table, guard| {
        let (len, value) = by_burst(table, guard, question(1)).expect("present throughout");
        assert!(len == 32 && [1, 10, 11].contains(&value));
    });
}

/// What was found stays what it was until the guard goes, however often it is replaced.
#[test]
fn loom_the_guard_keeps_what_was_found() {
    let writing = |writer: &mut EidWriter<Value>| {
        let _ = writer.insert(host(1), whole(10));
        let _ = writer.remove(&host(1));
        let _ = writer.insert(host(2), whole(12));
    };
    beside(TIGHT, &[1], writing, |table, guard| {
        let Some(found) = table.lookup(guard, question(1)) else {
            return;
        };
        let before = read(found.value);
        thread::yield_now();
        assert_eq!(read(found.value), before);
        // Through the cell again, so that loom checks the access too.
        if let Some(again) = table.lookup(guard, question(1)) {
            assert!([before, 10].contains(&read(again.value)));
        }
    });
}

/// Neighbours in the same bucket, whose tags share words with the key's, come, change and go.
#[test]
fn loom_a_key_is_found_while_its_neighbours_change() {
    let writing = |writer: &mut EidWriter<Value>| {
        writer.insert(host(3), whole(3)).unwrap();
        writer.remove(&host(2)).unwrap();
        let _ = writer.insert(host(4), whole(4));
    };
    beside(SIZES, &[1, 2], writing, |table, guard| {
        assert_eq!(by_burst(table, guard, question(1)), Some((32, 1)));
    });
    beside(SIZES, &[1, 2], writing, |table, guard| {
        assert!([None, Some((32, 2))].contains(&by_burst(table, guard, question(2))));
        assert!([None, Some((32, 4))].contains(&by_burst(table, guard, question(4))));
        assert_eq!(parts(table.lookup(guard, question(1))), Some((32, 1)));
    });
}

/// A key that had to pass a full bucket is found while that bucket empties and others that passed it go.
#[test]
fn loom_an_overflowed_key_is_found() {
    model(|| {
        let domain = Domain::new(1);
        let mut worker = domain.reader().unwrap();
        let sizes = Sizes { max_entries: 10, max_instances: 2, spare_entries: 4 };
        let (mut writer, table) = eid_table_sized::<Value>(&domain, sizes, SEED);
        // Ten entries make three buckets; ten hosts that all want the first.
        let secret = Secret::new(SEED);
        let wants_first = |number: &u32| spread(secret.hash(&host(*number)), 3) == 0;
        let crowd: Vec<u32> = (0..).filter(wants_first).take(10).collect();
        for number in &crowd {
            writer.insert(host(*number), whole(u64::from(*number))).unwrap();
        }
        let (first, passed, last) = (crowd[0], crowd[8], crowd[9]);
        let writing = thread::spawn(move || {
            writer.remove(&host(first)).unwrap();
            writer.remove(&host(passed)).unwrap();
            writer.insert(host(passed), whole(99)).unwrap();
        });
        let guard = worker.enter();
        assert_eq!(by_burst(&table, &guard, question(last)), Some((32, u64::from(last))));
        drop(guard);
        writing.join().unwrap();
    });
}

/// A host comes and goes under a prefix that stays: one of the two always answers.
#[test]
fn loom_the_covering_prefix_answers() {
    model(|| {
        let domain = Domain::new(1);
        let mut worker = domain.reader().unwrap();
        let (mut writer, table) = eid_table_sized::<Value>(&domain, SIZES, SEED);
        let iid = Iid::new(1).unwrap();
        let covering = EidKey::prefix(iid, "10.0.0.0/8".parse::<Prefix>().unwrap());
        writer.insert(covering, whole(8)).unwrap();
        let writing = thread::spawn(move || {
            writer.insert(host(1), whole(32)).unwrap();
            writer.insert(EidKey::prefix(iid, "10.0.0.0/24".parse().unwrap()), whole(24)).unwrap();
            writer.remove(&host(1)).unwrap();
        });
        let guard = worker.enter();
        let answer = by_burst(&table, &guard, question(1)).expect("covered throughout");
        assert!([(8, 8), (24, 24), (32, 32)].contains(&answer));
        drop(guard);
        writing.join().unwrap();
    });
}

/// A realm goes, another takes its slot; a third is found throughout, and nobody gets another's value.
#[test]
fn loom_realms_change_places() {
    model(|| {
        let domain = Domain::new(1);
        let mut worker = domain.reader().unwrap();
        let (mut writer, table) = eid_table_sized::<Value>(&domain, SIZES, SEED);
        writer.insert(host_of(1, 1), whole(1)).unwrap();
        writer.insert(host_of(2, 1), whole(2)).unwrap();
        let writing = thread::spawn(move || {
            writer.remove(&host_of(2, 1)).unwrap();
            writer.insert(host_of(3, 1), whole(3)).unwrap();
        });
        let guard = worker.enter();
        assert!([None, Some((32, 2))].contains(&by_burst(&table, &guard, question_of(2, 1))));
        assert!([None, Some((32, 3))].contains(&by_burst(&table, &guard, question_of(3, 1))));
        assert_eq!(by_burst(&table, &guard, question_of(1, 1)), Some((32, 1)));
        drop(guard);
        writing.join().unwrap();
    });
}

/// A reader that leaves and enters again: what the first burst saw is free, what the second sees is not.
#[test]
fn loom_bursts_follow_each_other() {
    model(|| {
        let domain = Domain::new(1);
        let mut worker = domain.reader().unwrap();
        let (mut writer, table) = eid_table_sized::<Value>(&domain, TIGHT, SEED);
        writer.insert(host(1), whole(1)).unwrap();
        let writing = thread::spawn(move || {
            let _ = writer.insert(host(1), whole(2));
            writer.reclaim();
            let _ = writer.insert(host(1), whole(3));
        });
        let mut newest = 0;
        for _ in 0..2 {
            let guard = worker.enter();
            let (_, value) = parts(table.lookup(&guard, question(1))).expect("present throughout");
            assert!(value >= newest, "an older value after a newer one");
            newest = value;
        }
        writing.join().unwrap();
    });
}

/// Two writers advance the one epoch of the domain; neither frees too early because of the other.
#[test]
fn loom_two_writers_share_a_domain() {
    model(|| {
        let domain = Domain::new(1);
        let mut worker = domain.reader().unwrap();
        let start = |value: u64| {
            let mut arena = Arena::<Value>::new(&domain, 2);
            let index = Arc::new(AtomicU32::new(arena.put(whole(value)).unwrap()));
            let cells = Arc::clone(arena.cells());
            let published = Arc::clone(&index);
            let writing = thread::spawn(move || {
                for round in 1..3 {
                    let Some(new) = arena.put(whole(value + round)) else {
                        return;
                    };
                    let old = Writing::load_u32(&published);
                    published.store(new, Ordering::Release);
                    // SAFETY: `old` was put, stood in `published` only, and was overwritten just before.
                    unsafe { arena.retire(old) };
                }
            });
            (cells, index, writing)
        };
        let (a, b) = (start(10), start(20));
        let guard = worker.enter();
        for (cells, index, _) in [&a, &b] {
            let index = index.load(Ordering::Acquire);
            // SAFETY: loaded (Acquire) under a guard of the arenas' domain.
            let first = read(unsafe { cells[index as usize].get() });
            // SAFETY: as above, and the guard is still held.
            let second = read(unsafe { cells[index as usize].get() });
            assert_eq!(first, second);
        }
        drop(guard);
        a.2.join().unwrap();
        b.2.join().unwrap();
    });
}

#[test]
fn loom_cells_are_replaced_whole() {
    model(|| {
        let domain = Domain::new(1);
        let mut worker = domain.reader().unwrap();
        let (mut writer, reader) = cells_with_spare::<Value>(&domain, 1, 1);
        writer.set(0, whole(1)).unwrap();
        let writing = thread::spawn(move || {
            writer.set(0, whole(2)).unwrap();
            let _ = writer.set(0, whole(3));
            writer.clear(0);
        });
        let guard = worker.enter();
        reader.prefetch(0);
        if let Some(value) = reader.get(&guard, 0) {
            assert!([1, 2, 3].contains(&read(value)));
        }
        drop(guard);
        writing.join().unwrap();
    });
}

/// A value whose drop loom watches.
struct Watched(loom::cell::UnsafeCell<u32>);

impl Watched {
    fn read(&self) -> u32 {
        // SAFETY: written by `drop` only, and loom reports when that is not ordered after this.
        self.0.with(|value| unsafe { *value })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // SAFETY: nobody has a reference in drop; loom reports when somebody read without order before it.
        self.0.with_mut(|value| unsafe { *value = 0 });
    }
}

// SAFETY: shared reads only, until drop; loom checks just that.
unsafe impl Sync for Watched {}

#[test]
fn loom_published_values_are_dropped_after_their_readers() {
    model(|| {
        let domain = Domain::new(1);
        let mut worker = domain.reader().unwrap();
        let watched = |value: u32| Watched(loom::cell::UnsafeCell::new(value));
        let (mut writer, reader) = published(&domain, watched(1));
        let writing = thread::spawn(move || {
            writer.store(watched(2));
            writer.store(watched(3));
            writer.reclaim();
        });
        let guard = worker.enter();
        let value = reader.load(&guard);
        assert!([1, 2, 3].contains(&value.read()));
        assert!(value.read() != 0);
        drop(guard);
        writing.join().unwrap();
    });
}
