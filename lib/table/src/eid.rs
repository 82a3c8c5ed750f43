//! What both ends of the EID table share: its memory, and how a key is found in it.

use crate::arena::{Arena, Cell};
use crate::bucket::{Bucket, WAYS, tag_of};
use crate::cells::spare_for;
use crate::domain::Domain;
use crate::eid_reader::EidReader;
use crate::eid_writer::EidWriter;
use crate::key::{EidKey, Secret, spread};
use crate::lengths::Lengths;
use crate::memory::{Fixed, Touch};
use crate::sync::Side;
use std::sync::Arc;

/// Ways per entry, at 8 bytes each. By Poisson's law, at 2 (four of eight ways in use on average) 2 % of the buckets
/// overflow and 0.8 % of the keys lie outside their home bucket; at 1.5 that is 9 % and 3 % for 4 bytes less per
/// entry; at 1.1 a third of the probes for absent keys would walk on.
const WAYS_PER_ENTRY: usize = 2;

/// How many buckets from its home an entry may lie. At two ways per entry a run of n full buckets has a chance
/// of about e^(-1.5 n), so 32 is never reached; it only bounds the damage of a seed that became known.
const STEPS: usize = 32;

/// The realms (instances times families) a table has room for unless told otherwise: 64 bytes each, 4 MB.
const MOST_REALMS: usize = 65_536;

/// An entry: key and value, written before it is published and never changed.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Entry<V> {
    pub(crate) key: EidKey,
    pub(crate) value: V,
}

/// What an EID table has room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    /// Entries at a time.
    pub max_entries: usize,
    /// (Instance-ID, address family) pairs with at least one entry, at a time.
    pub max_instances: usize,
    /// Entries beyond, for what was replaced or removed and still waits for a reader.
    pub spare_entries: usize,
}

impl Sizes {
    /// The sizes that go with a number of entries.
    pub fn for_entries(max_entries: usize) -> Sizes {
        let entries = u32::try_from(max_entries).unwrap_or(u32::MAX);
        Sizes {
            max_entries,
            max_instances: max_entries.clamp(1, MOST_REALMS),
            spare_entries: spare_for(entries) as usize,
        }
    }

    /// Entry indices are 32 bits wide; half of them is 128 GB of entries.
    fn bounded(self) -> Sizes {
        let most = 1 << 31;
        Sizes {
            max_entries: self.max_entries.clamp(1, most),
            max_instances: self.max_instances.clamp(1, 1 << 25),
            spare_entries: self.spare_entries.clamp(1, most / 2),
        }
    }
}

pub(crate) struct Shared<V: Copy> {
    pub(crate) domain: Arc<Domain>,
    pub(crate) buckets: Fixed<Bucket>,
    pub(crate) entries: Arc<Fixed<Cell<Entry<V>>>>,
    pub(crate) lengths: Lengths,
    pub(crate) secret: Secret,
}

/// Makes an EID table for `max_entries` entries, with keys hashed under a random `seed`.
///
/// The memory is taken at once; when there is none the process ends, as for every collection.
pub fn eid_table<V: Copy + Send + Sync + 'static>(
    domain: &Arc<Domain>,
    max_entries: usize,
    seed: [u64; 2],
) -> (EidWriter<V>, EidReader<V>) {
    eid_table_sized(domain, Sizes::for_entries(max_entries), seed)
}

/// Like [`eid_table`], with every size given. Sizes of zero count as one.
pub fn eid_table_sized<V: Copy + Send + Sync + 'static>(
    domain: &Arc<Domain>,
    sizes: Sizes,
    seed: [u64; 2],
) -> (EidWriter<V>, EidReader<V>) {
    // Loom's cells are larger than what they stand for.
    #[cfg(not(loom))]
    const {
        assert!(
            size_of::<Cell<Entry<V>>>() == 64,
            "an entry is one cache line: values have at most 32 bytes"
        );
    }
    let sizes = sizes.bounded();
    let secret = Secret::new(seed);
    let arena = Arena::new(domain, (sizes.max_entries + sizes.spare_entries) as u32);
    let shared = Arc::new(Shared {
        domain: Arc::clone(domain),
        buckets: Fixed::new((sizes.max_entries * WAYS_PER_ENTRY).div_ceil(WAYS), Touch::Now),
        entries: Arc::clone(arena.cells()),
        lengths: Lengths::new(sizes.max_instances, secret),
        secret,
    });
    (EidWriter::new(Arc::clone(&shared), arena, sizes), EidReader::new(shared))
}

/// Where an entry lies.
pub(crate) struct Place {
    pub(crate) bucket: usize,
    pub(crate) way: usize,
    pub(crate) entry: u32,
}

impl<V: Copy> Shared<V> {
    /// The buckets an entry with this hash may lie in, nearest first.
    pub(crate) fn path(&self, hash: u64) -> impl Iterator<Item = usize> + use<V> {
        let (home, len) = (spread(hash, self.buckets.len()), self.buckets.len());
        (0..STEPS.min(len)).map(move |step| if home + step < len { home + step } else { home + step - len })
    }

    /// Finds the entry of a key, bucket by bucket until one that nothing has passed.
    pub(crate) fn find<S: Side>(&self, key: &EidKey, hash: u64) -> Option<Place> {
        for bucket in self.path(hash) {
            let mut ways = self.buckets[bucket].matching::<S>(tag_of(hash));
            while ways != 0 {
                let way = ways.trailing_zeros() as usize;
                let entry = self.buckets[bucket].entry::<S>(way);
                // SAFETY: found in a bucket just now; see `entry_of`.
                if entry != 0 && unsafe { self.entry_of(entry) }.key.equals(key) {
                    return Some(Place { bucket, way, entry });
                }
                ways &= ways - 1;
            }
            if !self.buckets[bucket].overflows::<S>() {
                return None;
            }
        }
        None
    }

    /// The entry with an index.
    ///
    /// # Safety
    /// The index is not 0 and was loaded from a bucket, while the caller either held a guard of this table's
    /// domain, which it still holds, or is the writer and has not retired the entry since.
    #[inline(always)]
    pub(crate) unsafe fn entry_of(&self, index: u32) -> &Entry<V> {
        // SAFETY: `Bucket::entry` loads with Acquire what the writer published after `Arena::put`; the rest is
        // the caller's part, which is the contract of `Cell::get`.
        unsafe { self.entries[index as usize].get() }
    }
}
