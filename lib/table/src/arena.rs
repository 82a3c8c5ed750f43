//! Cells that are written once, read by many, and used again when every reader has passed.
//!
//! A cell is *free* (or never used), *live* from [`Arena::put`] to [`Arena::retire`], then waits: first in the
//! `open` list, where retired cells gather, then, with one stamp for all of them, in the `closed` list, until
//! the [`Domain`] says that the stamp has passed. The lists run through the cells themselves, in a word that
//! readers never touch: retiring cannot fail, nothing is allocated, and reclaiming a whole list is one splice.

use crate::domain::{Domain, Stamp};
use crate::memory::{Blank, Fixed, Touch};
use crate::sync::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::Arc;

/// Reclaim before touching fresh memory once this many cells wait: they are warm, fresh ones are page faults.
/// Below, the two fences of a reclaim would be spread over too few cells.
const RECLAIM_AT: u32 = 64;

/// One cell: a cache line or a whole number of them.
#[repr(C, align(64))]
pub(crate) struct Cell<T> {
    content: UnsafeCell<MaybeUninit<T>>,
    /// The next cell of the list this one is in; touched by the one writer only.
    link: UnsafeCell<u32>,
}

// SAFETY: `content` is written by the one writer while no reader can reach the cell, and only read otherwise
// (contracts of `Arena::retire` and `Cell::get`); `link` is the writer's alone.
unsafe impl<T: Send + Sync> Sync for Cell<T> {}

// SAFETY: zero bytes are valid for `MaybeUninit` and for an integer; `T` is never dropped.
unsafe impl<T: Copy> Blank for Cell<T> {
    fn blank() -> Self {
        Cell { content: UnsafeCell::new(MaybeUninit::zeroed()), link: UnsafeCell::new(0) }
    }
}

impl<T: Copy> Cell<T> {
    /// The content.
    ///
    /// # Safety
    /// The cell's index was loaded (Acquire) from where a writer published it after [`Arena::put`], and since
    /// then either a guard of the arena's domain has been held, or the caller is the writer and has not retired it;
    /// or the caller is the writer, once put something there, and puts nothing while the borrow lives.
    #[inline(always)]
    pub(crate) unsafe fn get(&self) -> &T {
        // SAFETY: by the contract the cell is live or waits for us: initialised by `put`, which happened before
        // the index was published, and not written until reclaimed.
        self.content.with(|content| unsafe { (*content).assume_init_ref() })
    }
}

/// A list through the cells' links; first in, first out.
#[derive(Default)]
struct List {
    first: u32,
    last: u32,
    len: u32,
}

/// The writer's side: which cells are in use. Index 0 is never used, so it can mean "none" to readers.
pub(crate) struct Arena<T: Copy> {
    cells: Arc<Fixed<Cell<T>>>,
    domain: Arc<Domain>,
    /// The first cell that was never used.
    fresh: u32,
    free: List,
    open: List,
    closed: List,
    stamp: Option<Stamp>,
}

impl<T: Copy> Arena<T> {
    /// An arena of `len` usable cells, at most 2^32 - 2.
    pub(crate) fn new(domain: &Arc<Domain>, len: u32) -> Arena<T> {
        let total = len.min(u32::MAX - 1) as usize + 1;
        Arena {
            cells: Arc::new(Fixed::new(total, Touch::Later)),
            domain: Arc::clone(domain),
            fresh: 1,
            free: List::default(),
            open: List::default(),
            closed: List::default(),
            stamp: None,
        }
    }

    /// The cells, for the readers' side.
    pub(crate) fn cells(&self) -> &Arc<Fixed<Cell<T>>> {
        &self.cells
    }

    /// Writes `value` to an unused cell; its index is to be published with Release. `None`: all are in use or wait.
    pub(crate) fn put(&mut self, value: T) -> Option<u32> {
        let index = self.take()?;
        let cell = &self.cells[index as usize];
        // SAFETY: `take` gave a cell that no reader can reach: never published, or reclaimed after all had passed.
        cell.content.with_mut(|content| unsafe { (*content).write(value) });
        Some(index)
    }

    /// Hands a cell back; it is used again when every reader inside now has left.
    ///
    /// # Safety
    /// `index` came from `put`, is not retired yet, and its publication has been overwritten: who enters after
    /// this cannot find it.
    pub(crate) unsafe fn retire(&mut self, index: u32) {
        append(&self.cells, &mut self.open, List { first: index, last: index, len: 1 });
    }

    /// Makes every waiting cell usable that all readers have passed. Constant time.
    pub(crate) fn reclaim(&mut self) {
        // Twice: the first turn may only close what was open, and with nobody inside the second frees that too.
        for _ in 0..2 {
            if let Some(stamp) = self.stamp {
                if !self.domain.passed(stamp) {
                    return;
                }
                append(&self.cells, &mut self.free, std::mem::take(&mut self.closed));
                self.stamp = None;
            }
            if self.open.len == 0 {
                return;
            }
            self.closed = std::mem::take(&mut self.open);
            self.stamp = Some(self.domain.advance());
        }
    }

    /// What a cell was given last, in use or not; `None` for one that was never used.
    pub(crate) fn last_put(&self, index: u32) -> Option<&T> {
        if index == 0 || index >= self.fresh {
            return None;
        }
        // SAFETY: below `fresh`, so `put` wrote it, as it always does with what `take` gives; only `put` writes
        // it again, which `&self` of the one writer excludes, and a `Copy` value is never dropped.
        Some(unsafe { self.cells[index as usize].get() })
    }

    /// How many retired cells wait for readers.
    pub(crate) fn waiting(&self) -> usize {
        (self.open.len + self.closed.len) as usize
    }

    /// An unused cell: a reclaimed one first, else a fresh one.
    fn take(&mut self) -> Option<u32> {
        let untouched = self.cells.len() as u32 - self.fresh;
        if self.free.len == 0 && (untouched == 0 || self.open.len + self.closed.len >= RECLAIM_AT) {
            self.reclaim();
        }
        if self.free.len > 0 {
            let index = self.free.first;
            self.free.first = self.link(index);
            self.free.len -= 1;
            return Some(index);
        }
        if untouched == 0 {
            return None;
        }
        self.fresh += 1;
        Some(self.fresh - 1)
    }

    fn link(&self, index: u32) -> u32 {
        // SAFETY: links are touched by the one writer only; `&self` of it excludes a writing one.
        self.cells[index as usize].link.with(|link| unsafe { *link })
    }
}

/// Puts `tail` behind `list`, in constant time. For the one writer only.
fn append<T: Copy>(cells: &Fixed<Cell<T>>, list: &mut List, tail: List) {
    if tail.len == 0 {
        return;
    }
    if list.len == 0 {
        *list = tail;
        return;
    }
    // SAFETY: links are touched by the one writer only, which holds its arena's lists mutably here.
    cells[list.last as usize].link.with_mut(|link| unsafe { *link = tail.first });
    list.last = tail.last;
    list.len += tail.len;
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn fill(arena: &mut Arena<u64>) -> Vec<u32> {
        std::iter::from_fn(|| arena.put(9)).collect()
    }

    #[test]
    fn every_cell_is_given_once_and_never_index_zero() {
        let mut arena = Arena::<u64>::new(&Domain::new(1), 100);
        let mut all = fill(&mut arena);
        all.sort_unstable();
        assert_eq!(all, (1..=100).collect::<Vec<u32>>());
    }

    #[test]
    fn what_was_put_last_is_told_even_when_retired() {
        let mut arena = Arena::<u64>::new(&Domain::new(0), 2);
        assert_eq!([arena.last_put(0), arena.last_put(1), arena.last_put(99)], [None; 3]);
        let index = arena.put(7).unwrap();
        // SAFETY: never published at all.
        unsafe { arena.retire(index) };
        assert_eq!(arena.last_put(index), Some(&7));
        assert_eq!(arena.last_put(index + 1), None, "never used");
    }

    #[test]
    fn retired_cells_wait_for_the_reader_inside() {
        let domain = Domain::new(1);
        let mut reader = domain.reader().unwrap();
        let mut arena = Arena::<u64>::new(&domain, 3);
        let all = fill(&mut arena);
        let guard = reader.enter();
        for index in &all {
            // SAFETY: never published at all.
            unsafe { arena.retire(*index) };
        }
        assert_eq!((arena.put(1), arena.waiting()), (None, 3));
        drop(guard);
        arena.reclaim();
        assert_eq!(arena.waiting(), 0);
        let mut again = fill(&mut arena);
        again.sort_unstable();
        assert_eq!(again, all);
    }

    #[test]
    fn cells_circulate_without_loss() {
        let mut arena = Arena::<u64>::new(&Domain::new(0), 200);
        let mut live = std::collections::VecDeque::new();
        for step in 0..if cfg!(miri) { 600 } else { 20_000_u64 } {
            let index = arena.put(step).expect("at most 100 live, the rest reclaimable");
            live.push_back((index, step));
            if live.len() > 100 {
                let (index, written) = live.pop_front().unwrap();
                // SAFETY: live, and we are the writer.
                assert_eq!(unsafe { *arena.cells[index as usize].get() }, written);
                // SAFETY: never published, retired once.
                unsafe { arena.retire(index) };
            }
        }
        assert!(arena.fresh < 200, "warm cells are used before fresh ones: {}", arena.fresh);
    }
}
