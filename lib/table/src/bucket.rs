//! A bucket: one cache line that says where eight entries are, and whether looking further makes sense.

use crate::memory::Blank;
use crate::sync::{AtomicU32, AtomicU64, Ordering, Side, Writing};
use sterna_cpu::match_tags;

/// Entries per bucket.
pub(crate) const WAYS: usize = 8;

/// The tag of an empty way.
const VACANT: u16 = 0;

/// Eight tags, eight entry indices (0: none), and how many entries wanted to lie here but lie further on.
///
/// Only the writer stores. Tags and the overflow count are hints as far as memory order goes: a reader that sees
/// an old one either sees what was true at an earlier moment of its burst, or is sent to an entry whose key it
/// compares in full. What carries the order is the index.
#[repr(C, align(64))]
pub(crate) struct Bucket {
    tags: [AtomicU64; 2],
    entries: [AtomicU32; WAYS],
    passed: AtomicU32,
}

// SAFETY: atomic integers of zero bytes are zero: every way vacant, nothing passed by; nothing to drop.
unsafe impl Blank for Bucket {
    fn blank() -> Self {
        Bucket {
            tags: std::array::from_fn(|_| AtomicU64::new(0)),
            entries: std::array::from_fn(|_| AtomicU32::new(0)),
            passed: AtomicU32::new(0),
        }
    }
}

/// The tag of a hash: 15 of its lowest 16 bits, never that of an empty way.
#[inline(always)]
pub(crate) fn tag_of(hash: u64) -> u16 {
    hash as u16 | 1
}

/// The eight tags in two words, as numbers that one load each can read atomically.
#[inline(always)]
fn unpack(words: [u64; 2]) -> [u16; WAYS] {
    // SAFETY: both are 16 bytes of plain integers; every bit pattern is valid for either. The order of the tags
    // within a word depends on the machine's byte order, but `pack` is the exact reverse.
    unsafe { std::mem::transmute(words) }
}

fn pack(tags: [u16; WAYS]) -> [u64; 2] {
    // SAFETY: the reverse of `unpack`.
    unsafe { std::mem::transmute(tags) }
}

impl Bucket {
    #[inline(always)]
    fn tags<S: Side>(&self) -> [u16; WAYS] {
        unpack([S::load_u64(&self.tags[0]), S::load_u64(&self.tags[1])])
    }

    /// Which ways carry this tag, as a bit mask.
    #[inline(always)]
    pub(crate) fn matching<S: Side>(&self, tag: u16) -> u8 {
        match_tags(&self.tags::<S>(), tag)
    }

    /// The entry index in a way, 0 for none.
    #[inline(always)]
    pub(crate) fn entry<S: Side>(&self, way: usize) -> u32 {
        // Acquire: pairs with the Release in `set_entry`; the entry it names is completely written.
        S::load_acquire(&self.entries[way % WAYS])
    }

    /// Whether some entry that hashes here, or before, lies further on.
    #[inline(always)]
    pub(crate) fn overflows<S: Side>(&self) -> bool {
        S::load_u32(&self.passed) != 0
    }

    /// The entries of this bucket, in no order; for the writer.
    pub(crate) fn occupied(&self) -> impl Iterator<Item = u32> + '_ {
        (0..WAYS).map(|way| self.entry::<Writing>(way)).filter(|entry| *entry != 0)
    }

    /// A way without an entry; for the writer.
    pub(crate) fn vacant(&self) -> Option<usize> {
        self.tags::<Writing>().iter().position(|tag| *tag == VACANT)
    }

    /// Publishes an entry in a vacant way.
    pub(crate) fn occupy(&self, way: usize, tag: u16, entry: u32) {
        self.set_entry(way, entry);
        self.set_tag(way, tag);
    }

    /// Publishes another entry in an occupied way: readers find the old or the new one, never neither.
    pub(crate) fn set_entry(&self, way: usize, entry: u32) {
        // Release: pairs with the Acquire in `entry`.
        self.entries[way % WAYS].store(entry, Ordering::Release);
    }

    /// Takes the entry out of a way.
    pub(crate) fn vacate(&self, way: usize) {
        self.set_tag(way, VACANT);
        self.set_entry(way, 0);
    }

    fn set_tag(&self, way: usize, tag: u16) {
        let mut tags = self.tags::<Writing>();
        tags[way % WAYS] = tag;
        let word = way % WAYS / (WAYS / 2);
        self.tags[word].store(pack(tags)[word], Ordering::Relaxed);
    }

    /// Counts an entry that lies further on; before it is published there.
    pub(crate) fn pass(&self) {
        self.passed.store(Writing::load_u32(&self.passed) + 1, Ordering::Relaxed);
    }

    /// Takes such an entry back; after it was unlinked there.
    pub(crate) fn unpass(&self) {
        self.passed.store(Writing::load_u32(&self.passed).saturating_sub(1), Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_cache_line() {
        assert_eq!((size_of::<Bucket>(), align_of::<Bucket>()), (64, 64));
    }

    #[test]
    fn no_hash_has_the_tag_of_an_empty_way() {
        assert!((0..=u64::from(u16::MAX)).all(|hash| tag_of(hash) != VACANT));
        assert_eq!(tag_of(0xabcd_1234), 0x1235);
    }

    #[test]
    fn ways_fill_match_and_empty() {
        let bucket = Bucket::blank();
        for way in 0..WAYS {
            assert_eq!(bucket.vacant(), Some(way));
            bucket.occupy(way, 100 + (way as u16 & 1), 1 + way as u32);
        }
        assert_eq!(bucket.vacant(), None);
        assert_eq!(
            (bucket.matching::<Writing>(100), bucket.matching::<Writing>(101), bucket.matching::<Writing>(7)),
            (0x55, 0xaa, 0)
        );
        bucket.set_entry(3, 77);
        assert_eq!(bucket.occupied().collect::<Vec<u32>>(), [1, 2, 3, 77, 5, 6, 7, 8]);
        bucket.vacate(3);
        assert_eq!(
            (bucket.vacant(), bucket.matching::<Writing>(101), bucket.entry::<Writing>(3)),
            (Some(3), 0xa2, 0)
        );
    }

    #[test]
    fn overflow_is_counted_not_flagged() {
        let bucket = Bucket::blank();
        bucket.pass();
        bucket.pass();
        bucket.unpass();
        assert!(bucket.overflows::<Writing>());
        bucket.unpass();
        assert!(!bucket.overflows::<Writing>());
    }
}
