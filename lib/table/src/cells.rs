//! Numbered values: id -> immutable value, replaced whole.
//!
//! For what packets reach by a number from an EID entry: locator sets, adjacencies, next hops.

use crate::arena::{Arena, Cell};
use crate::domain::{Domain, Guard};
use crate::full::Full;
use crate::memory::{Blank, Fixed, Touch};
use crate::sync::{AtomicU32, Ordering, Reading, Side, Writing};
use std::sync::Arc;
use sterna_cpu::prefetch_read;

/// Spare cells beyond the capacity, for values that wait for readers after being replaced. A burst lasts tens of
/// microseconds, so a writer that replaces a million values a second needs tens; a sixteenth rides out a reader
/// that the kernel put aside, up to a bound beyond which memory would only hide a stuck reader.
const SPARE_SHARE: u32 = 16;
const SPARE_LEAST: u32 = 64;
const SPARE_MOST: u32 = 65_536;

/// The number of spare cells for a capacity.
pub(crate) fn spare_for(capacity: u32) -> u32 {
    (capacity / SPARE_SHARE).clamp(SPARE_LEAST, SPARE_MOST)
}

/// An index word without a value.
const NONE: u32 = 0;

struct Index(AtomicU32);

// SAFETY: an atomic integer of zero bytes is zero: no value; nothing to drop.
unsafe impl Blank for Index {
    fn blank() -> Self {
        Index(AtomicU32::new(NONE))
    }
}

struct Shared<T: Copy> {
    domain: Arc<Domain>,
    ids: Fixed<Index>,
    cells: Arc<Fixed<Cell<T>>>,
}

/// The writing end of a set of numbered values.
pub struct CellsWriter<T: Copy> {
    shared: Arc<Shared<T>>,
    arena: Arena<T>,
}

/// The reading end; clone it for every worker.
pub struct CellsReader<T: Copy> {
    shared: Arc<Shared<T>>,
}

/// Makes room for values with ids `0..capacity`, each at first without a value.
///
/// The memory is taken at once; when there is none the process ends, as for every collection.
pub fn cells<T: Copy + Send + Sync + 'static>(
    domain: &Arc<Domain>,
    capacity: usize,
) -> (CellsWriter<T>, CellsReader<T>) {
    let capacity = u32::try_from(capacity).unwrap_or(u32::MAX).min(u32::MAX / 2);
    cells_with_spare(domain, capacity, spare_for(capacity))
}

pub(crate) fn cells_with_spare<T: Copy + Send + Sync + 'static>(
    domain: &Arc<Domain>,
    capacity: u32,
    spare: u32,
) -> (CellsWriter<T>, CellsReader<T>) {
    let arena = Arena::new(domain, capacity + spare);
    let shared = Arc::new(Shared {
        domain: Arc::clone(domain),
        ids: Fixed::new(capacity as usize, Touch::Now),
        cells: Arc::clone(arena.cells()),
    });
    (CellsWriter { shared: Arc::clone(&shared), arena }, CellsReader { shared })
}

impl<T: Copy + Send + Sync + 'static> CellsWriter<T> {
    /// Gives `id` this value, in the place of any it had.
    ///
    /// # Errors
    /// [`Full::Id`] for an id past the capacity, [`Full::Readers`] when every spare cell waits for a reader.
    pub fn set(&mut self, id: u32, value: T) -> Result<(), Full> {
        let word = self.shared.ids.get(id as usize).ok_or(Full::Id)?;
        let new = self.arena.put(value).ok_or(Full::Readers)?;
        let old = Writing::load_u32(&word.0);
        // Release: pairs with the Acquire in CellsReader::get.
        word.0.store(new, Ordering::Release);
        self.retire(old);
        Ok(())
    }

    /// Takes the value of `id` away; nothing happens when it has none.
    pub fn clear(&mut self, id: u32) {
        let Some(word) = self.shared.ids.get(id as usize) else {
            return;
        };
        let old = Writing::load_u32(&word.0);
        word.0.store(NONE, Ordering::Release);
        self.retire(old);
    }

    fn retire(&mut self, old: u32) {
        if old != NONE {
            // SAFETY: `old` came from `put` and stood in one word only, which was overwritten just before.
            unsafe { self.arena.retire(old) };
        }
    }

    /// The value of `id`.
    pub fn get(&self, id: u32) -> Option<T> {
        let index = Writing::load_u32(&self.shared.ids.get(id as usize)?.0);
        if index == NONE {
            return None;
        }
        // SAFETY: we are the writer, and what stands in a word is not retired.
        Some(unsafe { *self.shared.cells[index as usize].get() })
    }

    /// Makes the cells of replaced values usable again once all readers have passed. Constant time.
    pub fn reclaim(&mut self) {
        self.arena.reclaim();
    }

    /// How many ids there are: `0..capacity`.
    pub fn capacity(&self) -> usize {
        self.shared.ids.len()
    }

    /// What it occupies when every cell has been used, in bytes.
    pub fn bytes(&self) -> usize {
        self.shared.ids.bytes() + self.shared.cells.bytes()
    }
}

impl<T: Copy> Clone for CellsReader<T> {
    fn clone(&self) -> Self {
        CellsReader { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Copy + Send + Sync + 'static> CellsReader<T> {
    /// The value of `id`; unchanged for as long as the guard lives, whatever is set meanwhile.
    ///
    /// # Panics
    /// When the guard belongs to another domain.
    #[inline]
    pub fn get<'g>(&'g self, guard: &'g Guard<'_>, id: u32) -> Option<&'g T> {
        guard.check(&self.shared.domain);
        // Acquire: pairs with the Release in CellsWriter::set.
        let index = Reading::load_acquire(&self.shared.ids.get(id as usize)?.0);
        if index == NONE {
            return None;
        }
        // SAFETY: the index was loaded (Acquire) under a guard of this domain, which outlives the borrow.
        Some(unsafe { self.shared.cells[index as usize].get() })
    }

    /// Asks for the first cache line of the value of `id`, a pass before [`CellsReader::get`].
    #[inline]
    pub fn prefetch(&self, id: u32) {
        if let Some(word) = self.shared.ids.get(id as usize) {
            let index = word.0.load(Ordering::Relaxed);
            if let Some(cell) = self.shared.cells.get(index as usize) {
                prefetch_read(cell);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn set_replace_clear() {
        let domain = Domain::new(1);
        let mut worker = domain.reader().unwrap();
        let (mut writer, reader) = cells::<[u64; 5]>(&domain, 4);
        let guard = worker.enter();
        assert_eq!((reader.get(&guard, 3), reader.get(&guard, 4)), (None, None));
        writer.set(3, [3; 5]).unwrap();
        let old = reader.get(&guard, 3).unwrap();
        writer.set(3, [33; 5]).unwrap();
        assert_eq!((old, reader.get(&guard, 3)), (&[3; 5], Some(&[33; 5])));
        assert_eq!((writer.get(3), writer.get(0), writer.get(9)), (Some([33; 5]), None, None));
        writer.clear(3);
        writer.clear(3);
        writer.clear(9);
        assert_eq!(reader.get(&guard, 3), None);
        assert_eq!(writer.set(4, [0; 5]), Err(Full::Id));
        reader.prefetch(3);
        reader.prefetch(u32::MAX);
    }

    #[test]
    fn every_id_can_be_set_and_replaced_forever() {
        let domain = Domain::new(1);
        let mut worker = domain.reader().unwrap();
        let (mut writer, reader) = cells::<u32>(&domain, 100);
        for round in 0..if cfg!(miri) { 4 } else { 50 } {
            for id in 0..100 {
                writer.set(id, round * 100 + id).unwrap();
            }
            let guard = worker.enter();
            assert!((0..100).all(|id| reader.get(&guard, id) == Some(&(round * 100 + id))));
        }
    }

    #[test]
    fn a_stuck_reader_is_reported_not_waited_for() {
        let domain = Domain::new(1);
        let mut worker = domain.reader().unwrap();
        let (mut writer, reader) = cells_with_spare::<u32>(&domain, 1, 2);
        writer.set(0, 0).unwrap();
        let guard = worker.enter();
        let seen = reader.get(&guard, 0).unwrap();
        assert_eq!(
            [writer.set(0, 1), writer.set(0, 2), writer.set(0, 3)],
            [Ok(()), Ok(()), Err(Full::Readers)]
        );
        assert_eq!((seen, writer.get(0)), (&0, Some(2)));
        drop(guard);
        assert_eq!(writer.set(0, 3), Ok(()));
    }

    #[test]
    #[should_panic(expected = "another domain")]
    fn a_guard_of_another_domain_is_refused() {
        let mut stranger = Domain::new(1).reader().unwrap();
        let (_writer, reader) = cells::<u32>(&Domain::new(1), 1);
        reader.get(&stranger.enter(), 0);
    }
}
