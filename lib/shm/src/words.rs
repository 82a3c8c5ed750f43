//! What a ring lies in: a row of atomic words.
//!
//! Shared memory is only ever seen through this type, so there is never a `&T` into memory that the peer writes.

use std::sync::Arc;

use crate::sync::AtomicU64;

/// A row of words that both sides of a ring see.
pub trait Words {
    /// The words; always the same ones.
    fn words(&self) -> &[AtomicU64];

    /// Told before a slot's words are written; loom's memory checks here that nobody may still read them.
    #[inline]
    fn before_write(&self, _slot: u64) {}

    /// Told after a slot's words were read; loom's memory checks here that nobody may yet write them.
    #[inline]
    fn after_read(&self, _slot: u64) {}
}

/// Words in this process's own memory: for tests, benches and models.
#[derive(Clone)]
pub struct PlainWords {
    words: Arc<[AtomicU64]>,
    #[cfg(loom)]
    slots: Arc<[watch::Slot]>,
}

impl PlainWords {
    /// So many zeroed words.
    pub fn new(count: usize) -> PlainWords {
        PlainWords {
            words: (0..count).map(|_| AtomicU64::new(0)).collect(),
            #[cfg(loom)]
            slots: (0..count * 8 / crate::record::SLOT).map(|_| watch::Slot::new()).collect(),
        }
    }
}

impl Words for PlainWords {
    #[inline]
    fn words(&self) -> &[AtomicU64] {
        &self.words
    }

    #[cfg(loom)]
    fn before_write(&self, slot: u64) {
        self.slots[slot as usize].write();
    }

    #[cfg(loom)]
    fn after_read(&self, slot: u64) {
        self.slots[slot as usize].read();
    }
}

/// Loom never lets a relaxed load see the future, so reading a slot too late would go unnoticed; its cells, which
/// insist on a happens-before between a read and a write, do notice.
#[cfg(loom)]
mod watch {
    use loom::cell::UnsafeCell;

    pub(super) struct Slot(UnsafeCell<()>);

    // SAFETY: the cell holds nothing and is never dereferenced; loom itself guards its bookkeeping.
    unsafe impl Sync for Slot {}

    impl Slot {
        pub(super) fn new() -> Slot {
            Slot(UnsafeCell::new(()))
        }

        pub(super) fn write(&self) {
            self.0.with_mut(drop);
        }

        pub(super) fn read(&self) {
            self.0.with(drop);
        }
    }
}
