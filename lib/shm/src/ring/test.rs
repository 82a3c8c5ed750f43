#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use super::*;
use crate::update::Update;
use crate::words::PlainWords;

const SLOTS: usize = 4;

fn memory() -> PlainWords {
    PlainWords::new(ring_bytes(SLOTS) / 8)
}

fn record(number: u64) -> Update {
    Update::BeginSync { generation: number }
}

fn pair() -> (PlainWords, Producer<Update, PlainWords>, Consumer<Update, PlainWords>) {
    let memory = memory();
    let (producer, consumer) = ring_pair(memory.clone()).unwrap();
    (memory, producer, consumer)
}

fn poke(memory: &PlainWords, word: usize, value: u64) {
    memory.words()[word].store(value, Ordering::Relaxed);
}

#[test]
fn in_order_and_around() {
    let (_, mut producer, mut consumer) = pair();
    let mut next = 0;
    for round in 0..5 {
        let pushed = 1 + round % SLOTS as u64;
        for number in 0..pushed {
            producer.push(&record(next + number)).unwrap();
        }
        assert_eq!(consumer.depth(), pushed as usize);
        for _ in 0..pushed {
            assert_eq!(consumer.pop(), Ok(Some(record(next))));
            next += 1;
        }
        assert_eq!(consumer.pop(), Ok(None));
    }
    assert_eq!((producer.position(), consumer.position()), (next, next));
}

#[test]
fn full_writes_nothing_and_recovers() {
    let (_, mut producer, mut consumer) = pair();
    for number in 0..SLOTS as u64 {
        producer.push(&record(number)).unwrap();
    }
    assert_eq!(producer.push(&record(99)), Err(Full));
    assert_eq!(producer.free(), 0);
    assert_eq!(consumer.pop(), Ok(Some(record(0))));
    assert_eq!(producer.free(), 1);
    producer.push(&record(4)).unwrap();
    for number in 1..5 {
        assert_eq!(consumer.pop(), Ok(Some(record(number))));
    }
    assert_eq!(producer.free(), producer.capacity());
}

#[test]
fn a_batch_appears_at_once() {
    let (_, mut producer, mut consumer) = pair();
    producer.stage(&record(0)).unwrap();
    producer.stage(&record(1)).unwrap();
    assert_eq!(consumer.pop(), Ok(None), "staged records are invisible");
    producer.publish();
    assert_eq!(consumer.pop(), Ok(Some(record(0))));
    let more: Vec<Update> = (2..9).map(record).collect();
    assert_eq!(producer.push_batch(&more), 3, "as many as fit, from the front");
    for number in 1..5 {
        assert_eq!(consumer.pop(), Ok(Some(record(number))));
    }
    assert_eq!(consumer.pop(), Ok(None));
}

#[test]
fn sizes_that_no_ring_has() {
    for words in [0, RING_HEAD_WORDS, RING_HEAD_WORDS + SLOT_WORDS * 3, ring_bytes(4) / 8 + 1] {
        assert!(Producer::<Update, _>::new(PlainWords::new(words)).is_none(), "{words} words");
        assert!(Consumer::<Update, _>::new(PlainWords::new(words)).is_none(), "{words} words");
    }
}

#[test]
fn an_impossible_producer_index_is_a_lasting_fault() {
    for index in [SLOTS as u64 + 1, u64::MAX, 1 << 63] {
        let (memory, _, mut consumer) = pair();
        poke(&memory, PRODUCER, index);
        let fault = ChannelFault::Index { own: 0, found: index, slots: SLOTS as u64 };
        assert_eq!(consumer.pop(), Err(fault));
        assert_eq!(consumer.depth(), SLOTS);
        poke(&memory, PRODUCER, 0);
        assert_eq!(consumer.pop(), Err(fault), "a failed channel stays failed");
    }
}

#[test]
fn a_producer_index_that_goes_back_is_a_fault() {
    let (memory, mut producer, mut consumer) = pair();
    producer.push(&record(0)).unwrap();
    producer.push(&record(1)).unwrap();
    assert!(matches!(consumer.pop(), Ok(Some(_))));
    assert!(matches!(consumer.pop(), Ok(Some(_))));
    poke(&memory, PRODUCER, 1);
    assert_eq!(consumer.pop(), Err(ChannelFault::Index { own: 2, found: 1, slots: SLOTS as u64 }));
}

#[test]
fn an_impossible_consumer_index_stops_the_producer() {
    for index in [1, u64::MAX, 1 << 40] {
        let (memory, mut producer, _) = pair();
        poke(&memory, CONSUMER, index);
        assert_eq!(producer.free(), 0);
        let fault = ChannelFault::Index { own: 0, found: index, slots: SLOTS as u64 };
        assert_eq!(producer.fault(), Some(fault));
        poke(&memory, CONSUMER, 0);
        assert_eq!(producer.push(&record(0)), Err(Full), "a failed channel stays failed");
        assert_eq!(producer.free(), 0);
    }
}

#[test]
fn a_consumer_index_that_goes_back_stops_the_producer() {
    let (memory, mut producer, mut consumer) = pair();
    for number in 0..3 {
        producer.push(&record(number)).unwrap();
        consumer.pop().unwrap();
    }
    assert_eq!(producer.free(), SLOTS);
    poke(&memory, CONSUMER, 2);
    assert_eq!(producer.free(), 0);
    assert!(producer.fault().is_some());
}

#[test]
fn spoiled_slots_are_faults() {
    let first = RING_HEAD_WORDS;
    let header = 1 | 8 << 16;
    let cases = [
        (first, 7, ChannelFault::Sequence { expected: 1, found: 7 }),
        (first + 1, header | 1 << 32, ChannelFault::Header(header | 1 << 32)),
        (first + 1, 1 | 9 << 16, ChannelFault::Header(1 | 9 << 16)),
        (first + 1, 1 | 248 << 16, ChannelFault::Header(1 | 248 << 16)),
        (first + 1, 0x7777 | 8 << 16, ChannelFault::Record(RecordFault::Kind(0x7777))),
        (first + 1, 1 | 16 << 16, ChannelFault::Record(RecordFault::Length { kind: 1, found: 16 })),
    ];
    for (word, value, fault) in cases {
        let (memory, mut producer, mut consumer) = pair();
        producer.push(&record(5)).unwrap();
        poke(&memory, word, value);
        assert_eq!(consumer.pop(), Err(fault));
        poke(&memory, first, 1);
        poke(&memory, first + 1, header);
        assert_eq!(consumer.pop(), Err(fault), "a failed channel stays failed");
    }
}

#[test]
fn an_event_on_the_updates_ring_is_a_fault() {
    let memory = memory();
    let mut producer = Producer::<crate::Event, _>::new(memory.clone()).unwrap();
    let mut consumer = Consumer::<Update, _>::new(memory).unwrap();
    producer.push(&crate::Event::Applied { generation: 1 }).unwrap();
    assert_eq!(consumer.pop(), Err(ChannelFault::Record(RecordFault::Kind(0x0120))));
}

#[test]
fn two_threads() {
    let records = if cfg!(miri) { 60 } else { 200_000 };
    let (_, mut producer, mut consumer) = pair();
    let writer = std::thread::spawn(move || {
        for number in 0..records {
            while producer.push(&record(number)).is_err() {
                std::thread::yield_now();
            }
        }
    });
    for number in 0..records {
        let found = loop {
            match consumer.pop().unwrap() {
                Some(found) => break found,
                None => std::thread::yield_now(),
            }
        };
        assert_eq!(found, record(number));
    }
    assert_eq!(consumer.pop(), Ok(None));
    writer.join().unwrap();
}
