//! One writer and two readers at full speed for a bounded time: nothing missing, nothing torn, nothing stale.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use sterna_table::{Domain, EidKey, EidReader, EidWriter, Question, Reader, cells, eid_table, published};
use sterna_wire::{Iid, Prefix};

/// Hosts that are there throughout, replaced again and again.
const STABLE: u32 = if cfg!(miri) { 8 } else { 2_000 };
/// Hosts that come and go; together they fill the table.
const FLEETING: u32 = if cfg!(miri) { 8 } else { 2_000 };
const TIME: Duration = Duration::from_millis(if cfg!(miri) { 30 } else { 1_500 });
/// How often each side must at least have got round in that time.
const TURNS: u64 = if cfg!(miri) { 0 } else { 10 };

type Value = [u64; 4];

/// A value that shows whether it is whole, whose it is, and how new.
fn value(number: u32, version: u64) -> Value {
    let (number, version) = (u64::from(number), version);
    [number, version, number.wrapping_mul(0x9e37_79b9) ^ !version, version.rotate_left(32) ^ number]
}

fn number_and_version(seen: &Value) -> (u32, u64) {
    let (number, version) = (seen[0] as u32, seen[1]);
    assert_eq!(*seen, value(number, version), "torn");
    (number, version)
}

fn iid() -> Iid {
    Iid::new(7).unwrap()
}

fn host(number: u32) -> EidKey {
    EidKey::host(iid(), Ipv4Addr::from(0x0a00_0000 | number).into())
}

fn covering() -> EidKey {
    EidKey::prefix(iid(), "10.0.0.0/8".parse::<Prefix>().unwrap())
}

fn write(mut writer: EidWriter<Value>, finished: &AtomicU64, stop: &AtomicBool) -> u64 {
    let mut version = 1;
    while !stop.load(Ordering::Relaxed) {
        version += 1;
        for number in 0..STABLE {
            // A reader put aside by the kernel may hold all spare entries for a moment.
            while writer.insert(host(number), value(number, version)).is_err() {
                std::thread::yield_now();
            }
            let fleeting = STABLE + (number * 7 + version as u32) % FLEETING;
            if writer.remove(&host(fleeting)).is_none() {
                let _ = writer.insert(host(fleeting), value(fleeting, version));
            }
        }
        // Who sees this sees every stable host at this version or a newer one.
        finished.store(version, Ordering::Release);
        writer.reclaim();
    }
    version
}

fn read(table: &EidReader<Value>, worker: &mut Reader, finished: &AtomicU64, stop: &AtomicBool) -> u64 {
    let mut bursts = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let oldest = finished.load(Ordering::Acquire);
        let numbers: [u32; 64] = std::array::from_fn(|at| {
            (bursts as u32).wrapping_mul(0x9e37_79b1).wrapping_add(at as u32 * 977) % (STABLE + FLEETING)
        });
        let questions = numbers.map(|number| Question::v4(7, (0x0a00_0000 | number).to_be_bytes()));
        let guard = worker.enter();
        let mut found = [None; 64];
        table.lookup_burst(&guard, &questions, &mut found);
        if bursts.is_multiple_of(64) {
            // Long enough for everything found to be replaced, were it not for the guard.
            std::thread::yield_now();
        }
        for (asked, found) in numbers.iter().zip(found) {
            let found = found.expect("the covering prefix is there throughout");
            let (number, version) = number_and_version(found.value);
            if *asked < STABLE {
                assert_eq!((number, found.len), (*asked, 32), "a stable host is always found");
                assert!(version >= oldest, "an older value than one already finished");
            } else {
                assert!(number == *asked || found.len == 8);
            }
        }
        bursts += 1;
    }
    bursts
}

#[test]
fn readers_find_everything_whole_while_the_writer_writes() {
    let domain = Domain::new(2);
    let (mut writer, table) = eid_table::<Value>(&domain, (STABLE + FLEETING + 1) as usize, [11, 12]);
    writer.insert(covering(), value(u32::MAX, 0)).unwrap();
    for number in 0..STABLE {
        writer.insert(host(number), value(number, 1)).unwrap();
    }
    let (finished, stop) = (AtomicU64::new(1), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (mut worker, table) = (domain.reader().unwrap(), table.clone());
                let (finished, stop) = (&finished, &stop);
                scope.spawn(move || read(&table, &mut worker, finished, stop))
            })
            .collect();
        let writing = scope.spawn(|| write(writer, &finished, &stop));
        let end = Instant::now() + TIME;
        while Instant::now() < end && !readers.iter().any(|reader| reader.is_finished()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() > TURNS);
        }
        assert!(writing.join().unwrap() > 1 + TURNS / 10);
    });
}

#[test]
fn cells_and_published_values_stay_whole() {
    let domain = Domain::new(1);
    let (mut numbered, cell) = cells::<Value>(&domain, 8);
    let (mut writer, snapshot) = published(&domain, Arc::new(value(0, 1).to_vec()));
    (0..8).for_each(|id| numbered.set(id, value(id, 1)).unwrap());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut worker = domain.reader().unwrap();
        let stop = &stop;
        let reading = scope.spawn(move || {
            let (mut newest, mut turns) = ([0; 9], 0_u64);
            while !stop.load(Ordering::Relaxed) {
                let guard = worker.enter();
                for id in 0..8 {
                    let (number, version) = number_and_version(cell.get(&guard, id).expect("set throughout"));
                    assert!(number == id && version >= newest[id as usize]);
                    newest[id as usize] = version;
                }
                let whole: Value = snapshot.load(&guard)[..].try_into().unwrap();
                let (_, version) = number_and_version(&whole);
                assert!(version >= newest[8]);
                newest[8] = version;
                turns += 1;
            }
            turns
        });
        let end = Instant::now() + TIME / 3;
        let mut version = 1;
        while Instant::now() < end && !reading.is_finished() {
            version += 1;
            for id in 0..8 {
                while numbered.set(id, value(id, version)).is_err() {
                    std::thread::yield_now();
                }
            }
            writer.store(Arc::new(value(0, version).to_vec()));
        }
        stop.store(true, Ordering::Relaxed);
        assert!(reading.join().unwrap() > TURNS && version > TURNS);
    });
}
