//! A peer that writes anything anywhere into the shared memory, while we read it.
//!
//! The peer is another mapping of the same memfd. Whatever it does, we see faults or valid records, at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering as StdOrdering};
use std::time::{Duration, Instant};

use sterna_wire::{Iid, Prefix};

use crate::counters::Counters;
use crate::counters_view::CountersView;
use crate::description::{CounterDesc, Kind, ScopeName};
use crate::event::Event;
use crate::port::Side;
use crate::record::{Record, SLOT};
use crate::region::{HEADER_WORDS, Purpose, Region, SharedWords, WORD_OWN};
use crate::ring::{Consumer, Producer, RING_HEAD_WORDS, ring_bytes};
use crate::sync::Ordering;
use crate::update::Update;
use crate::words::Words;

const SLOTS: usize = 8;
/// How long each of the tests scribbles.
const TIME: Duration = Duration::from_millis(400);
/// No single call may take longer, on however busy a machine.
const AT_ONCE: Duration = Duration::from_secs(2);

struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Mostly values that nearly make sense.
    fn word(&mut self) -> u64 {
        let noise = self.next();
        match noise % 4 {
            0 => noise,
            1 => noise >> 48,
            2 => noise >> 60,
            _ => (noise >> 40 & 0x7f) | (noise >> 50 & 0x1f) << 19,
        }
    }
}

/// Runs `body` again and again while another thread scribbles; returns how often it ran.
fn while_scribbled(peer: &SharedWords, first: usize, mut body: impl FnMut()) -> u64 {
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
            let words = &peer.words()[first..];
            while !stop.load(StdOrdering::Relaxed) {
                let at = noise.next() as usize % words.len();
                words[at].store(noise.word(), Ordering::Relaxed);
            }
        });
        let start = Instant::now();
        let mut rounds = 0;
        while start.elapsed() < TIME {
            let round = Instant::now();
            body();
            assert!(round.elapsed() < AT_ONCE, "a round took {:?}", round.elapsed());
            rounds += 1;
        }
        stop.store(true, StdOrdering::Relaxed);
        rounds
    })
}

/// Our mapping of a fresh ring, and the peer's.
fn ring() -> (SharedWords, SharedWords) {
    let ours = Region::create(Purpose::Updates, ring_bytes(SLOTS), 1).unwrap();
    ours.word(WORD_OWN).store((ring_bytes(SLOTS) / 8) as u64, Ordering::Relaxed);
    let theirs = Region::open(ours.fd().try_clone_to_owned().unwrap(), Purpose::Updates, 1).unwrap();
    (ours.ring().unwrap(), theirs.ring().unwrap())
}

fn drain<R: Record>(memory: &SharedWords) -> (u64, bool) {
    let mut consumer = Consumer::<R, _>::new(memory.clone()).unwrap();
    let mut records = 0;
    for _ in 0..4 * SLOTS {
        match consumer.pop() {
            Ok(Some(record)) => {
                let again = record.encode();
                assert!(R::decode(again.kind(), again.body()).is_ok());
                records += 1;
            }
            Ok(None) => {}
            Err(fault) => {
                assert!(consumer.pop().err() == Some(fault) && !fault.to_string().is_empty());
                return (records, true);
            }
        }
        assert!(consumer.depth() <= SLOTS);
    }
    (records, false)
}

#[test]
fn a_consumer_survives_noise_in_the_whole_ring() {
    let (ours, theirs) = ring();
    let mut faults = 0;
    let rounds = while_scribbled(&theirs, 0, || {
        faults += u64::from(drain::<Update>(&ours).1 || drain::<Event>(&ours).1);
    });
    assert!(rounds > 10 && faults > 0, "{rounds} rounds, {faults} faults");
}

/// Indices and slot headers are put right each time, so that the noise reaches the decoders.
#[test]
fn a_consumer_survives_noise_in_the_records() {
    let (ours, theirs) = ring();
    let (mut records, mut faults) = (0, 0);
    let set = Update::SetDelete { id: 5 }.encode();
    let eid =
        Update::EidDelete { iid: Iid::DEFAULT, prefix: Prefix::host(Ipv4Addr::LOCALHOST.into()) }.encode();
    while_scribbled(&theirs, RING_HEAD_WORDS, || {
        let words = ours.words();
        words[0].store(SLOTS as u64, Ordering::Relaxed);
        for slot in 0..SLOTS {
            let at = RING_HEAD_WORDS + slot * SLOT / 8;
            // The last slot's record has much that can be wrong.
            let encoded = if slot + 1 == SLOTS { &eid } else { &set };
            words[at].store(slot as u64 + 1, Ordering::Relaxed);
            let header = u64::from(encoded.kind()) | (encoded.body().len() as u64) << 16;
            words[at + 1].store(header, Ordering::Relaxed);
        }
        let (more, fault) = drain::<Update>(&ours);
        records += more;
        faults += u64::from(fault);
    });
    assert!(records > 100 && faults > 0, "{records} records, {faults} faults");
}

#[test]
fn a_producer_survives_noise_in_the_indices() {
    let (ours, theirs) = ring();
    let mut faults = 0;
    while_scribbled(&theirs, 0, || {
        let mut producer = Producer::<Update, _>::new(ours.clone()).unwrap();
        for id in 0..4 * SLOTS as u32 {
            let pushed = producer.push(&Update::SetDelete { id }).is_ok();
            let free = producer.free();
            assert!(free <= SLOTS && (producer.fault().is_none() || free == 0));
            assert!(pushed || producer.fault().is_some() || free <= SLOTS);
            crate::doorbell::must_ring(&ours);
            crate::doorbell::reopen(&ours);
        }
        faults += u64::from(producer.fault().is_some());
    });
    assert!(faults > 0, "the noise never reached the consumer's index");
}

#[test]
fn a_reader_survives_noise_in_the_counters() {
    let descs = [
        CounterDesc { name: "rx_packets", kind: Kind::Rx, help: "Packets received." },
        CounterDesc { name: "tx_packets", kind: Kind::Tx, help: "Packets sent." },
    ];
    let scope = |port| ScopeName { worker: 0, port, port_name: format!("eth{port}"), side: Side::Eid };
    let counters = Counters::create(&descs, &[scope(0), scope(1)]).unwrap();
    let open = CountersView::open(counters.file().unwrap()).unwrap();
    let everything = counters.all_words();
    let mut refused = 0;
    let rounds = while_scribbled(&everything, WORD_OWN, || {
        let scopes = open.scopes();
        assert_eq!((scopes.len(), scopes[1].values.len()), (2, 2), "the description was taken once");
        crate::balance::balance(&scopes);
        open.heartbeat_ns();
        match CountersView::open(counters.file().unwrap()) {
            Ok(view) => drop(view.scopes()),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
            }
        }
    });
    assert!(rounds > 10 && refused > 0, "{rounds} rounds, {refused} refused");
    assert!(everything.words().len() > HEADER_WORDS);
}
