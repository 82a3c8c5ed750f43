//! The writing end of the EID table.

use crate::arena::Arena;
use crate::bucket::tag_of;
use crate::eid::{Entry, Place, Shared, Sizes};
use crate::full::Full;
use crate::key::{EidKey, realm_of};
use crate::sync::Writing;
use std::collections::BTreeMap;
use std::sync::Arc;
use sterna_wire::{Family, Iid};

/// The one writer of an EID table.
///
/// It may live on any thread and needs no guard. Nothing it does waits for a reader.
pub struct EidWriter<V: Copy> {
    shared: Arc<Shared<V>>,
    arena: Arena<Entry<V>>,
    sizes: Sizes,
    len: usize,
    /// How many realms have an entry.
    realms: usize,
    /// How many entries each prefix length of each realm has; lengths without any are not in it.
    counts: BTreeMap<(u32, u8), u32>,
}

impl<V: Copy> EidWriter<V> {
    pub(crate) fn new(shared: Arc<Shared<V>>, arena: Arena<Entry<V>>, sizes: Sizes) -> EidWriter<V> {
        EidWriter { shared, arena, sizes, len: 0, realms: 0, counts: BTreeMap::new() }
    }
}

impl<V: Copy + Send + Sync + 'static> EidWriter<V> {
    /// Inserts a value, or replaces the one there, which is returned. Readers find the old or the new value.
    ///
    /// # Errors
    /// A bound was reached ([`Full`] says which) and nothing has changed.
    pub fn insert(&mut self, key: EidKey, value: V) -> Result<Option<V>, Full> {
        let hash = self.shared.secret.hash(&key);
        match self.shared.find::<Writing>(&key, hash) {
            Some(place) => self.replace(&place, Entry { key, value }).map(Some),
            None => self.add(hash, Entry { key, value }).map(|()| None),
        }
    }

    fn replace(&mut self, place: &Place, entry: Entry<V>) -> Result<V, Full> {
        let new = self.arena.put(entry).ok_or(Full::Readers)?;
        let old = self.value(place.entry);
        self.shared.buckets[place.bucket].set_entry(place.way, new);
        self.retire(place.entry);
        Ok(old)
    }

    fn add(&mut self, hash: u64, entry: Entry<V>) -> Result<(), Full> {
        if self.len >= self.sizes.max_entries {
            return Err(Full::Entries);
        }
        let (shared, key) = (&*self.shared, entry.key);
        let vacant = |bucket: usize| shared.buckets[bucket].vacant().map(|way| (bucket, way));
        let (bucket, way) = shared.path(hash).find_map(vacant).ok_or(Full::Buckets)?;
        let realm = shared.lengths.find_or_take(key.realm()).ok_or(Full::Instances)?;
        let realm = shared.lengths.slot(realm);
        let first_of_realm = realm.is_empty();
        if first_of_realm && self.realms >= self.sizes.max_instances {
            return Err(Full::Instances);
        }
        let new = self.arena.put(entry).ok_or(Full::Readers)?;
        // From here nothing fails. Whatever leads to the entry comes before the entry itself.
        self.realms += usize::from(first_of_realm);
        *self.counts.entry((key.realm(), key.prefix_len())).or_insert(0) += 1;
        realm.add(key.free_bits());
        for passed in shared.path(hash).take_while(|at| *at != bucket) {
            shared.buckets[passed].pass();
        }
        shared.buckets[bucket].occupy(way, tag_of(hash), new);
        self.len += 1;
        Ok(())
    }

    /// Removes an entry and returns its value; `None` when there was none.
    pub fn remove(&mut self, key: &EidKey) -> Option<V> {
        let hash = self.shared.secret.hash(key);
        let place = self.shared.find::<Writing>(key, hash)?;
        let value = self.value(place.entry);
        // The reverse of `add`: the entry first, then what leads to it.
        self.shared.buckets[place.bucket].vacate(place.way);
        for passed in self.shared.path(hash).take_while(|at| *at != place.bucket) {
            self.shared.buckets[passed].unpass();
        }
        self.uncount(key);
        self.retire(place.entry);
        self.len -= 1;
        Some(value)
    }

    fn uncount(&mut self, key: &EidKey) {
        let of = (key.realm(), key.prefix_len());
        let Some(count) = self.counts.get_mut(&of) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&of);
            if let Some(realm) = self.shared.lengths.find::<Writing>(key.realm()) {
                let realm = self.shared.lengths.slot(realm);
                realm.remove(key.free_bits());
                self.realms -= usize::from(realm.is_empty());
            }
        }
    }

    fn value(&self, entry: u32) -> V {
        // SAFETY: the index stands in a bucket and we are the writer, so it is not retired.
        unsafe { self.shared.entry_of(entry) }.value
    }

    fn retire(&mut self, entry: u32) {
        // SAFETY: it came from `put`, stood in one way only, and that was overwritten just before.
        unsafe { self.arena.retire(entry) };
    }

    /// The value of exactly this key; no longest match.
    pub fn get(&self, key: &EidKey) -> Option<V> {
        let place = self.shared.find::<Writing>(key, self.shared.secret.hash(key))?;
        Some(self.value(place.entry))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many entries there can be.
    pub fn capacity(&self) -> usize {
        self.sizes.max_entries
    }

    /// All entries, in no order. Walks every bucket, so its cost goes with the capacity.
    pub fn iter(&self) -> impl Iterator<Item = (EidKey, V)> + '_ {
        self.shared.buckets.iter().flat_map(|bucket| bucket.occupied()).map(|index| {
            // SAFETY: the index stands in a bucket and we are the writer, so it is not retired.
            let entry = unsafe { self.shared.entry_of(index) };
            (entry.key, entry.value)
        })
    }

    /// The entry with an index that [`Found`](crate::Found) gave; `None` when nothing is there now.
    /// An index is used again: what is told is the entry that lies there now.
    pub fn at(&self, index: u32) -> Option<(EidKey, V)> {
        let entry = self.arena.last_put(index)?;
        let place = self.shared.find::<Writing>(&entry.key, self.shared.secret.hash(&entry.key))?;
        (place.entry == index).then_some((entry.key, entry.value))
    }

    /// How many buckets there are, for [`EidWriter::in_bucket`].
    pub fn buckets(&self) -> usize {
        self.shared.buckets.len()
    }

    /// The entries of one bucket, at most eight: a walk over all buckets that is interrupted and continued finds
    /// every entry that is there throughout exactly once, because an entry never moves.
    pub fn in_bucket(&self, bucket: usize) -> impl Iterator<Item = (EidKey, V)> + '_ {
        self.shared.buckets.get(bucket).into_iter().flat_map(|bucket| bucket.occupied()).map(|index| {
            // SAFETY: the index stands in a bucket and we are the writer, so it is not retired.
            let entry = unsafe { self.shared.entry_of(index) };
            (entry.key, entry.value)
        })
    }

    /// The prefix lengths present in an instance, longest first.
    pub fn lengths(&self, iid: Iid, family: Family) -> Vec<u8> {
        let realm = realm_of(iid, family);
        self.counts.range((realm, 0)..=(realm, u8::MAX)).rev().map(|((_, len), _)| *len).collect()
    }

    /// Makes the memory of replaced and removed entries usable again once all readers have passed. Constant time;
    /// `insert` does it too when it needs memory.
    pub fn reclaim(&mut self) {
        self.arena.reclaim();
    }

    /// How many replaced or removed entries still wait for readers.
    pub fn waiting(&self) -> usize {
        self.arena.waiting()
    }

    /// What the table occupies when every entry has been used, in bytes; fixed, but for a few per instance.
    pub fn bytes(&self) -> usize {
        self.shared.buckets.bytes() + self.shared.entries.bytes() + self.shared.lengths.bytes()
    }
}
