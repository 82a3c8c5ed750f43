//! Counters in shared memory that describe themselves.
//!
//! The first free word of the header page gives the length of a description in bytes.
//! That description stands behind the header page as UTF-8 text, one line each, fields separated by tabs:
//!
//! ```text
//! sterna counters 1
//! counter  NAME  KIND  HELP                       (the position of the line is the index in a block)
//! scope    WORKER  PORT  PORT-NAME  SIDE  OFFSET  (bytes from the start of the region to the block)
//! ```
//!
//! Blocks of u64 follow, one per scope, on 128-byte boundaries so that two workers never share a line.
//! A block has one writer, which loads and stores without locking; readers copy out.
//! The region is sealed against any other writer, so its descriptor may go to anyone.

use std::cell::Cell;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::description::{self, CounterDesc, ScopeName};
use crate::incarnation;
use crate::region::{
    HEADER, HEADER_WORDS, Purpose, Region, RegionError, SharedWords, WORD_DATAPLANE, WORD_OWN,
};
use crate::sync::Ordering;
use crate::words::Words;

/// Blocks start on such boundaries, in bytes.
const BLOCK_ALIGN: usize = 128;
/// Bytes a description may have.
pub(crate) const MAX_TEXT: usize = 1 << 20;

/// Word of the header page: bytes of the description.
pub(crate) const WORD_TEXT: usize = WORD_OWN;

/// The counters of a dataplane: the writing end.
pub struct Counters {
    region: Region,
    incarnation: u64,
    first_word: usize,
    block_words: usize,
    counters: usize,
    taken: Arc<[AtomicBool]>,
}

impl Counters {
    /// A region with one zeroed block per scope, every counter in each.
    ///
    /// Fails when names are empty or contain tabs or line ends, when there is too much, or without memory.
    pub fn create(counters: &[CounterDesc], scopes: &[ScopeName]) -> Result<Counters, RegionError> {
        let incarnation =
            incarnation::fresh().map_err(|source| RegionError::System { doing: "name", source })?;
        let block = (counters.len() * 8).next_multiple_of(BLOCK_ALIGN);
        let (text, first) = description::write(counters, scopes, block, BLOCK_ALIGN)?;
        if text.len() > MAX_TEXT {
            return Err(RegionError::Description("too long"));
        }
        let region = Region::create(Purpose::Counters, first - HEADER + block * scopes.len(), incarnation)?;
        store_text(&region, &text)?;
        region.word(WORD_TEXT).store(text.len() as u64, Ordering::Relaxed);
        Ok(Counters {
            region,
            incarnation,
            first_word: first / 8,
            block_words: block / 8,
            counters: counters.len(),
            taken: scopes.iter().map(|_| AtomicBool::new(false)).collect(),
        })
    }

    /// The block of a scope, by its position in `create`. `None` when there is no such scope or its block is
    /// already with a writer, for a block with two writers would lose counts.
    pub fn block(&self, scope: usize) -> Option<CounterBlock> {
        let flag = self.taken.get(scope)?;
        let words = self.region.part(self.first_word + scope * self.block_words, self.counters)?;
        // Acquire pairs with the Release in `CounterBlock::drop`: the next writer goes on from the last one's counts.
        if flag.swap(true, Ordering::Acquire) {
            return None;
        }
        Some(CounterBlock { words, taken: Arc::clone(&self.taken), scope, one_thread: PhantomData })
    }

    /// Says that the dataplane is alive: nanoseconds of CLOCK_MONOTONIC.
    #[inline]
    pub fn beat(&self, now_ns: u64) {
        self.region.word(WORD_DATAPLANE).store(now_ns, Ordering::Relaxed);
    }

    /// The random number of this run of the dataplane.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Every word of the region, for tests that spoil it.
    #[cfg(test)]
    pub(crate) fn all_words(&self) -> SharedWords {
        self.region.part(0, self.first_word + self.taken.len() * self.block_words).expect("our own size")
    }

    /// A read-only descriptor of the region, for whoever wants to look.
    pub fn file(&self) -> Result<OwnedFd, RegionError> {
        self.region.reopen_read_only()
    }
}

fn store_text(region: &Region, text: &str) -> Result<(), RegionError> {
    let place = region.part(HEADER_WORDS, text.len().div_ceil(8));
    let place = place.ok_or(RegionError::Description("too long"))?;
    for (word, bytes) in place.words().iter().zip(text.as_bytes().chunks(8)) {
        let mut whole = [0; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        word.store(u64::from_ne_bytes(whole), Ordering::Relaxed);
    }
    Ok(())
}

/// The counters of one scope, in the hands of the one thread that writes them.
pub struct CounterBlock {
    words: SharedWords,
    taken: Arc<[AtomicBool]>,
    scope: usize,
    /// May move to another thread, may not be shared: two writers would lose counts.
    one_thread: PhantomData<Cell<()>>,
}

impl CounterBlock {
    /// Adds to the counter with this index, wrapping; an index that does not exist is ignored.
    #[inline]
    pub fn add(&self, index: usize, amount: u64) {
        if let Some(word) = self.words.words().get(index) {
            // One writer: no read-modify-write instruction is needed.
            word.store(word.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
        }
    }

    /// Sets the counter with this index (gauges); an index that does not exist is ignored.
    #[inline]
    pub fn set(&self, index: usize, value: u64) {
        if let Some(word) = self.words.words().get(index) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// The counter with this index; zero when it does not exist.
    #[inline]
    pub fn get(&self, index: usize) -> u64 {
        self.words.words().get(index).map_or(0, |word| word.load(Ordering::Relaxed))
    }
}

impl Drop for CounterBlock {
    fn drop(&mut self) {
        // Read by the Acquire in `Counters::block`.
        self.taken[self.scope].store(false, Ordering::Release);
    }
}
