//! The reading end of the EID table.

use crate::burst::{BURST, Passes};
use crate::domain::Guard;
use crate::eid::Shared;
use crate::key::Question;
use crate::sync::Reading;
use std::sync::Arc;

/// The reading end of an EID table; clone it for every worker.
pub struct EidReader<V: Copy> {
    shared: Arc<Shared<V>>,
}

impl<V: Copy> Clone for EidReader<V> {
    fn clone(&self) -> Self {
        EidReader { shared: Arc::clone(&self.shared) }
    }
}

/// The answer to a question.
pub struct Found<'g, V> {
    /// The index of the entry, below [`EidReader::index_bound`]; a replaced entry has another one.
    pub index: u32,
    /// Its prefix length in bits.
    pub len: u8,
    /// Its value.
    pub value: &'g V,
}

impl<V> Clone for Found<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Found<'_, V> {}

impl<V: std::fmt::Debug> std::fmt::Debug for Found<'_, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found")
            .field("index", &self.index)
            .field("len", &self.len)
            .field("value", self.value)
            .finish()
    }
}

impl<V: Copy> EidReader<V> {
    pub(crate) fn new(shared: Arc<Shared<V>>) -> EidReader<V> {
        EidReader { shared }
    }
}

impl<V: Copy + Send + Sync + 'static> EidReader<V> {
    /// Entry indices are below this; for bitmaps by entry.
    pub fn index_bound(&self) -> usize {
        self.shared.entries.len()
    }

    /// The longest prefix that covers a question, or `None`.
    ///
    /// # Panics
    /// When the guard belongs to another domain.
    pub fn lookup<'g>(&'g self, guard: &'g Guard<'_>, question: Question) -> Option<Found<'g, V>> {
        guard.check(&self.shared.domain);
        let shared = &*self.shared;
        let mut remaining = shared.lengths.of(question.realm());
        while let Some(len) = shared.lengths.next(&mut remaining) {
            let key = question.key(len);
            if let Some(place) = shared.find::<Reading>(&key, shared.secret.hash(&key)) {
                // SAFETY: `find` loaded the index from a bucket just now, under a guard of this domain held for 'g.
                let entry = unsafe { shared.entry_of(place.entry) };
                return Some(Found { index: place.entry, len, value: &entry.value });
            }
        }
        None
    }

    /// Answers a burst by longest prefix: `found[i]` is the answer to `questions[i]`, as [`EidReader::lookup`]
    /// would give it. Answers as many as both slices have room for.
    ///
    /// # Panics
    /// When the guard belongs to another domain.
    pub fn lookup_burst<'g>(
        &'g self,
        guard: &'g Guard<'_>,
        questions: &[Question],
        found: &mut [Option<Found<'g, V>>],
    ) {
        for (questions, found) in questions.chunks(BURST).zip(found.chunks_mut(BURST)) {
            Passes::new(&self.shared, guard, questions, found).longest();
        }
    }

    /// Answers a burst by host entries only; everything else as in [`EidReader::lookup_burst`].
    ///
    /// # Panics
    /// When the guard belongs to another domain.
    pub fn host_burst<'g>(
        &'g self,
        guard: &'g Guard<'_>,
        questions: &[Question],
        found: &mut [Option<Found<'g, V>>],
    ) {
        for (questions, found) in questions.chunks(BURST).zip(found.chunks_mut(BURST)) {
            Passes::new(&self.shared, guard, questions, found).hosts();
        }
    }
}
