//! The SPSC ring: fixed slots, two indices that only grow, and a consumer that believes nothing.
//!
//! Words 0 to 15 hold the producer's index, 16 to 31 the consumer's, 32 to 47 the doorbell's gate; slots follow
//! from word 64. Each line has one writer (the gate has two, see `doorbell`).
//! Each side keeps its own index in private memory and never reads it back, so a peer that scribbles over the
//! shared words can at worst make this side report a [`ChannelFault`].

use std::marker::PhantomData;

use crate::record::{BODY, Record, RecordFault, SLOT, SLOT_HEADER};
use crate::sync::Ordering;
use crate::words::Words;

/// Words before the first slot.
pub const RING_HEAD_WORDS: usize = 64;
/// Word of the producer's index.
const PRODUCER: usize = 0;
/// Word of the consumer's index; 128 bytes on, since adjacent lines are fetched in pairs.
const CONSUMER: usize = 16;
/// Word of the doorbell's gate.
pub(crate) const GATE: usize = 32;
const SLOT_WORDS: usize = SLOT / 8;
const HEADER_WORDS: usize = SLOT_HEADER / 8;
/// Slots a ring may have: 16 MiB of them.
pub const MAX_SLOTS: usize = 1 << 16;

/// The ring has no room; nothing was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the ring is full")]
pub struct Full;

/// The peer broke the ring's rules: the channel is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChannelFault {
    /// An index that no honest peer can have written.
    #[error("the peer's ring index {found} is impossible beside our {own} in {slots} slots")]
    Index {
        /// Our index.
        own: u64,
        /// The peer's.
        found: u64,
        /// The ring's capacity.
        slots: u64,
    },
    /// A slot that does not hold the record whose turn it is.
    #[error("the slot holds record number {found} where {expected} is due")]
    Sequence {
        /// The number due.
        expected: u64,
        /// The number found.
        found: u64,
    },
    /// A slot header with a length or reserved bits that cannot be.
    #[error("the slot header {0:#018x} is malformed")]
    Header(u64),
    /// A record that means nothing.
    #[error(transparent)]
    Record(#[from] RecordFault),
}

/// Bytes of a ring with this many slots.
pub const fn ring_bytes(slots: usize) -> usize {
    RING_HEAD_WORDS * 8 + slots * SLOT
}

/// The number of slots in a row of words, when it is one a ring can have.
fn slots_in(words: usize) -> Option<u64> {
    let slots = words.checked_sub(RING_HEAD_WORDS)? / SLOT_WORDS;
    let fits = RING_HEAD_WORDS + slots * SLOT_WORDS == words;
    (fits && slots.is_power_of_two() && slots <= MAX_SLOTS).then_some(slots as u64)
}

/// First word of the slot for this position.
#[inline]
fn slot_at(position: u64, slots: u64) -> usize {
    RING_HEAD_WORDS + (position & (slots - 1)) as usize * SLOT_WORDS
}

/// The writing end. One per ring.
pub struct Producer<R, S = DefaultWords> {
    memory: S,
    slots: u64,
    /// Position of the next record to write.
    next: u64,
    /// Up to where the consumer can see.
    published: u64,
    /// The consumer's index when last read.
    consumed: u64,
    fault: Option<ChannelFault>,
    record: PhantomData<fn(&R)>,
}

/// The reading end. One per ring.
pub struct Consumer<R, S = DefaultWords> {
    memory: S,
    slots: u64,
    /// Position of the next record to read.
    next: u64,
    /// The producer's index when last read.
    published: u64,
    fault: Option<ChannelFault>,
    record: PhantomData<fn() -> R>,
}

#[cfg(loom)]
type DefaultWords = crate::words::PlainWords;
#[cfg(not(loom))]
type DefaultWords = crate::region::SharedWords;

impl<R: Record, S: Words> Producer<R, S> {
    /// The writing end of a fresh (all zero) ring; `None` unless the slots are a power of two, at most [`MAX_SLOTS`].
    pub fn new(memory: S) -> Option<Producer<R, S>> {
        let slots = slots_in(memory.words().len())?;
        let record = PhantomData;
        Some(Producer { memory, slots, next: 0, published: 0, consumed: 0, fault: None, record })
    }

    /// Writes one record and shows it to the consumer.
    #[inline]
    pub fn push(&mut self, record: &R) -> Result<(), Full> {
        self.stage(record)?;
        self.publish();
        Ok(())
    }

    /// Writes records from the front while there is room and shows them all at once; returns how many.
    pub fn push_batch(&mut self, records: &[R]) -> usize {
        let written = records.iter().take_while(|record| self.stage(record).is_ok()).count();
        self.publish();
        written
    }

    /// Writes one record that the consumer does not see before [`publish`](Self::publish).
    #[inline]
    pub fn stage(&mut self, record: &R) -> Result<(), Full> {
        if self.next.wrapping_sub(self.consumed) >= self.slots {
            self.refresh();
            if self.next.wrapping_sub(self.consumed) >= self.slots {
                return Err(Full);
            }
        }
        let encoded = record.encode();
        let body = encoded.body();
        self.memory.before_write(self.next & (self.slots - 1));
        let at = slot_at(self.next, self.slots);
        let slot = &self.memory.words()[at..at + SLOT_WORDS];
        let header = u64::from(encoded.kind()) | (body.len() as u64) << 16;
        slot[0].store(self.next.wrapping_add(1), Ordering::Relaxed);
        slot[1].store(header, Ordering::Relaxed);
        for (word, bytes) in slot[HEADER_WORDS..].iter().zip(body.as_chunks().0) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
        self.next = self.next.wrapping_add(1);
        Ok(())
    }

    /// Shows what was staged: one Release store, however many records.
    #[inline]
    pub fn publish(&mut self) {
        if self.published != self.next {
            self.published = self.next;
            // Read by the Acquire in `Consumer::refresh`: who sees this index sees the slots below it.
            self.memory.words()[PRODUCER].store(self.next, Ordering::Release);
        }
    }

    /// Slots free now.
    pub fn free(&mut self) -> usize {
        self.refresh();
        self.slots.saturating_sub(self.next.wrapping_sub(self.consumed)) as usize
    }

    /// All slots.
    pub fn capacity(&self) -> usize {
        self.slots as usize
    }

    /// Records written and published since the start.
    pub fn position(&self) -> u64 {
        self.published
    }

    /// What the consumer's index showed to be wrong. From then on the ring counts as full.
    pub fn fault(&self) -> Option<ChannelFault> {
        self.fault
    }

    #[cold]
    fn refresh(&mut self) {
        // Pairs with the Release in `Consumer::pop`: the slots below this index have been read and may be reused.
        let found = self.memory.words()[CONSUMER].load(Ordering::Acquire);
        let waiting = self.next.wrapping_sub(found);
        let went_back = found.wrapping_sub(self.consumed) > self.slots;
        if self.fault.is_some() || waiting > self.slots || went_back {
            self.fault.get_or_insert(ChannelFault::Index { own: self.next, found, slots: self.slots });
            self.consumed = self.next.wrapping_sub(self.slots);
            return;
        }
        self.consumed = found;
    }
}

impl<R: Record, S: Words> Consumer<R, S> {
    /// The reading end of a fresh (all zero) ring; `None` unless the slots are a power of two, at most [`MAX_SLOTS`].
    pub fn new(memory: S) -> Option<Consumer<R, S>> {
        let slots = slots_in(memory.words().len())?;
        Some(Consumer { memory, slots, next: 0, published: 0, fault: None, record: PhantomData })
    }

    /// The next record, if there is one. After a fault every call gives that fault.
    #[inline]
    pub fn pop(&mut self) -> Result<Option<R>, ChannelFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.next == self.published {
            self.refresh()?;
            if self.next == self.published {
                return Ok(None);
            }
        }
        let record = self.copy_out().map_err(|fault| self.fail(fault))?;
        self.next = self.next.wrapping_add(1);
        // Read by the Acquire in `Producer::refresh`: the slot has been copied out and may be written again.
        self.memory.words()[CONSUMER].store(self.next, Ordering::Release);
        Ok(Some(record))
    }

    /// Records that wait, as the producer says; never more than the ring has.
    pub fn depth(&self) -> usize {
        // Pairs with the Release in `Producer::publish`; only a number is taken from it.
        let found = self.memory.words()[PRODUCER].load(Ordering::Acquire);
        found.wrapping_sub(self.next).min(self.slots) as usize
    }

    /// All slots.
    pub fn capacity(&self) -> usize {
        self.slots as usize
    }

    /// Records read since the start.
    pub fn position(&self) -> u64 {
        self.next
    }

    fn refresh(&mut self) -> Result<(), ChannelFault> {
        // Pairs with the Release in `Producer::publish`: the slots below this index are written.
        let found = self.memory.words()[PRODUCER].load(Ordering::Acquire);
        if found.wrapping_sub(self.next) > self.slots {
            return Err(self.fail(ChannelFault::Index { own: self.next, found, slots: self.slots }));
        }
        self.published = found;
        Ok(())
    }

    /// Copies the slot into private memory word by word, and only then looks at it.
    #[inline]
    fn copy_out(&self) -> Result<R, ChannelFault> {
        let at = slot_at(self.next, self.slots);
        let slot = &self.memory.words()[at..at + SLOT_WORDS];
        let expected = self.next.wrapping_add(1);
        let found = slot[0].load(Ordering::Relaxed);
        if found != expected {
            return Err(ChannelFault::Sequence { expected, found });
        }
        let header = slot[1].load(Ordering::Relaxed);
        let (kind, len) = (header as u16, usize::from((header >> 16) as u16));
        if header >> 32 != 0 || len > BODY || len % 8 != 0 {
            return Err(ChannelFault::Header(header));
        }
        let mut body = [0; BODY];
        let body = &mut body[..len];
        for (bytes, word) in body.as_chunks_mut().0.iter_mut().zip(&slot[HEADER_WORDS..]) {
            *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        self.memory.after_read(self.next & (self.slots - 1));
        Ok(R::decode(kind, body)?)
    }

    #[cold]
    fn fail(&mut self, fault: ChannelFault) -> ChannelFault {
        self.fault = Some(fault);
        fault
    }
}

/// Both ends of a ring over the same fresh words; `None` as in [`Producer::new`].
pub fn ring_pair<R: Record, S: Words + Clone>(memory: S) -> Option<(Producer<R, S>, Consumer<R, S>)> {
    Some((Producer::new(memory.clone())?, Consumer::new(memory)?))
}

#[cfg(all(test, not(loom)))]
mod test;
