//! The ring and the doorbell's gate under every schedule and every memory order that loom can think of.
//!
//! `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p sterna-shm --release --lib loom`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::net::{IpAddr, Ipv6Addr};

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::doorbell;
use crate::ring::{Consumer, Producer, ring_bytes, ring_pair};
use crate::update::Update;
use crate::words::PlainWords;

/// A record of several words that all depend on the number, so that a torn one shows.
fn record(number: u16) -> Update {
    let address = Ipv6Addr::from_segments([number; 8]);
    Update::LocalRlocUpsert { address: IpAddr::V6(address) }
}

fn pair(slots: usize) -> (PlainWords, Producer<Update>, Consumer<Update>) {
    let memory = PlainWords::new(ring_bytes(slots) / 8);
    let (producer, consumer) = ring_pair(memory.clone()).unwrap();
    (memory, producer, consumer)
}

fn pop_waiting(consumer: &mut Consumer<Update>) -> Update {
    loop {
        match consumer.pop().expect("an honest producer causes no fault") {
            Some(record) => return record,
            None => thread::yield_now(),
        }
    }
}

fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

/// Nothing lost, nothing twice, in order, nothing torn, although slots are used again.
#[test]
fn loom_ring_hands_over_whole_records_in_order() {
    model(3, || {
        let (_, mut producer, mut consumer) = pair(2);
        let writer = thread::spawn(move || {
            for number in 1..=3 {
                while producer.push(&record(number)).is_err() {
                    assert_eq!(producer.fault(), None);
                    thread::yield_now();
                }
            }
        });
        for number in 1..=3 {
            assert_eq!(pop_waiting(&mut consumer), record(number));
        }
        writer.join().unwrap();
        assert_eq!(consumer.pop(), Ok(None));
    });
}

/// A batch becomes visible as a whole: the first record implies the second.
#[test]
fn loom_batch_is_published_at_once() {
    model(3, || {
        let (_, mut producer, mut consumer) = pair(2);
        let writer = thread::spawn(move || {
            assert_eq!(producer.push_batch(&[record(1), record(2)]), 2);
        });
        if let Some(first) = consumer.pop().unwrap() {
            assert_eq!(first, record(1));
            assert_eq!(consumer.pop(), Ok(Some(record(2))));
        }
        writer.join().unwrap();
    });
}

/// An eventfd, as far as a doorbell cares.
struct Eventfd {
    count: Mutex<u64>,
    written: Condvar,
}

impl Eventfd {
    fn new() -> Eventfd {
        Eventfd { count: Mutex::new(0), written: Condvar::new() }
    }

    fn write(&self) {
        *self.count.lock().unwrap() += 1;
        self.written.notify_one();
    }

    fn read(&self) {
        *self.count.lock().unwrap() = 0;
    }

    /// poll(2) without a time limit: a lost wake-up is a deadlock, which loom reports.
    fn wait(&self) {
        let mut count = self.count.lock().unwrap();
        while *count == 0 {
            count = self.written.wait(count).unwrap();
        }
    }
}

/// A consumer that drains, pops until empty and only then sleeps gets every record, however the gate is passed.
#[test]
fn loom_doorbell_wakes() {
    model(3, || {
        let (memory, mut producer, mut consumer) = pair(2);
        let bell = Arc::new(Eventfd::new());
        let writer = {
            let (memory, bell) = (memory.clone(), Arc::clone(&bell));
            thread::spawn(move || {
                for number in 1..=2 {
                    producer.push(&record(number)).unwrap();
                    if doorbell::must_ring(&memory) {
                        bell.write();
                    }
                }
            })
        };
        let mut next = 1;
        while next <= 2 {
            bell.wait();
            bell.read();
            doorbell::reopen(&memory);
            while let Some(found) = consumer.pop().unwrap() {
                assert_eq!(found, record(next));
                next += 1;
            }
        }
        writer.join().unwrap();
    });
}
