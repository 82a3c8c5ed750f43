//! Bodies of the fuzz targets, so that a corpus also replays as an ordinary test.

use crate::event::Event;
use crate::record::{BODY, Record};
use crate::ring::{ChannelFault, Consumer, RING_HEAD_WORDS};
use crate::sync::Ordering;
use crate::update::Update;
use crate::words::{PlainWords, Words};

/// Decodes arbitrary bytes as a record of either ring: two bytes of kind, then the body.
///
/// Panics when a record that was accepted does not encode to the very bytes it came from.
pub fn fuzz_records(input: &[u8]) {
    let Some((kind, body)) = input.split_first_chunk::<2>() else {
        return;
    };
    let kind = u16::from_le_bytes(*kind);
    accepted_is_exact::<Update>(kind, body);
    accepted_is_exact::<Event>(kind, body);
}

fn accepted_is_exact<R: Record>(kind: u16, body: &[u8]) {
    if let Ok(record) = R::decode(kind, body) {
        let again = record.encode();
        assert_eq!((again.kind(), again.body()), (kind, body), "an accepted record has a second encoding");
        assert!(body.len() <= BODY, "an accepted record is longer than a slot");
    }
}

/// Lets a consumer read a ring whose memory is the input: its first eight bytes are the producer's index, the rest
/// fills the slots again and again.
///
/// Panics when the consumer gives more records than the ring has slots, or goes on after a fault.
pub fn fuzz_ring(input: &[u8]) {
    const SLOTS: usize = 8;
    let Some((index, fill)) = input.split_first_chunk::<8>() else {
        return;
    };
    let memory = PlainWords::new(crate::ring::ring_bytes(SLOTS) / 8);
    for (word, bytes) in memory.words()[RING_HEAD_WORDS..].iter().zip(fill.chunks(8).cycle()) {
        let mut whole = [0; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        word.store(u64::from_ne_bytes(whole), Ordering::Relaxed);
    }
    memory.words()[0].store(u64::from_le_bytes(*index), Ordering::Relaxed);
    let Some(mut consumer) = Consumer::<Update, _>::new(memory) else {
        return;
    };
    let mut records = 0;
    let fault: Option<ChannelFault> = loop {
        match consumer.pop() {
            Ok(Some(_)) => records += 1,
            Ok(None) => break None,
            Err(fault) => break Some(fault),
        }
        assert!(records <= SLOTS, "more records than slots");
    };
    assert_eq!(consumer.pop().err(), fault, "a fault is final");
}
