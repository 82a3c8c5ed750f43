//! Reclamation: who may still be looking at what was unlinked.
//!
//! Every reader has a slot on a cache line of its own: 0 while it is outside (a worker that sleeps is outside),
//! or the epoch it read when it entered. A writer unlinks, then takes a stamp from [`Domain::advance`]; when
//! [`Domain::passed`] says so, no reader can hold what was unlinked before that stamp.
//!
//! Why that is enough. A reader enters in three steps: load the epoch (Acquire), store it to its slot, fence.
//! A writer does: unlink, advance the epoch (Release), fence, load the slots.
//! * The slot shows an epoch *after* the stamp: the reader's load synchronised with `advance`, so it saw the
//!   unlinking before its burst began.
//! * The slot shows 0: either the reader has left (its Release store is seen by the writer's Acquire load, so its
//!   last access came before), or it has not come to its fence; then the writer's fence is first in the one
//!   order of all SeqCst fences, and the reader sees the unlinking.
//! * The slot shows the stamp or an earlier epoch: the writer waits.

use crate::sync::{AtomicBool, AtomicU64, Ordering, fence};
use std::marker::PhantomData;
use std::sync::Arc;

/// The epoch value that means "outside".
const OUTSIDE: u64 = 0;

/// 128 bytes: x86-64 fetches cache lines in adjacent pairs, so 64 would still let two readers disturb each other.
#[repr(align(128))]
struct Line<T>(T);

struct Slot {
    seen: AtomicU64,
    taken: AtomicBool,
}

/// A reclamation domain: the readers that may look into any table made for it.
pub struct Domain {
    epoch: Line<AtomicU64>,
    slots: Box<[Line<Slot>]>,
}

/// A moment after which unlinked memory waits for the readers inside; from [`Domain::advance`].
#[derive(Clone, Copy)]
pub struct Stamp(u64);

impl Domain {
    /// A domain with room for `max_readers` readers at a time.
    pub fn new(max_readers: usize) -> Arc<Domain> {
        let slot = || Line(Slot { seen: AtomicU64::new(OUTSIDE), taken: AtomicBool::new(false) });
        Arc::new(Domain {
            epoch: Line(AtomicU64::new(OUTSIDE + 1)),
            slots: (0..max_readers).map(|_| slot()).collect(),
        })
    }

    /// Takes a reader slot, for one worker thread; `None` when all are taken. Dropping the reader gives it back.
    pub fn reader(self: &Arc<Self>) -> Option<Reader> {
        // Acquire: pairs with the Release in Reader::drop, so the slot's last owner is done with it.
        let free = |slot: &Line<Slot>| {
            slot.0.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        let slot = self.slots.iter().position(free)?;
        Some(Reader { domain: Arc::clone(self), slot })
    }

    /// Begins a new epoch; whatever the caller unlinked before may be freed once [`Domain::passed`] says so.
    pub fn advance(&self) -> Stamp {
        // Release: pairs with the Acquire load in Reader::enter. AcqRel also keeps a chain through other writers.
        Stamp(self.epoch.0.fetch_add(1, Ordering::AcqRel))
    }

    /// Whether every reader has left, or entered anew, since `stamp` was taken.
    pub fn passed(&self, stamp: Stamp) -> bool {
        // Loom changes threads at accesses, not at fences: with one before the fence it can change there too.
        #[cfg(loom)]
        self.slots.iter().for_each(|slot| {
            let _ = slot.0.seen.load(Ordering::Relaxed);
        });
        // Pairs with the fence in Reader::enter: a reader seen outside will see everything unlinked until now.
        fence(Ordering::SeqCst);
        self.slots.iter().all(|slot| {
            // Acquire: pairs with the Release stores in Guard::drop and Reader::enter; its last burst is over.
            let seen = slot.0.seen.load(Ordering::Acquire);
            seen == OUTSIDE || seen > stamp.0
        })
    }
}

/// One thread's right to look into the tables of a [`Domain`].
pub struct Reader {
    domain: Arc<Domain>,
    slot: usize,
}

impl Reader {
    /// Its number, below the domain's `max_readers`; no other reader has it at the same time.
    #[inline]
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// Enters, at the start of a burst: one store and one fence. Nothing seen is freed until the guard is dropped.
    ///
    /// Keep it short: what writers unlink meanwhile waits for it. A worker that sleeps drops it first.
    #[inline]
    pub fn enter(&mut self) -> Guard<'_> {
        let domain = &*self.domain;
        let slot = &domain.slots[self.slot].0;
        // Acquire: pairs with the Release in Domain::advance.
        let epoch = domain.epoch.0.load(Ordering::Acquire);
        // Release: a writer that sees this epoch instead of the 0 before it still sees the last burst as finished.
        slot.seen.store(epoch, Ordering::Release);
        // Pairs with the fence in Domain::passed.
        fence(Ordering::SeqCst);
        Guard { domain, slot, not_send: PhantomData }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let slot = &self.domain.slots[self.slot].0;
        // A guard that was forgotten instead of dropped left the slot inside; no reference through it survives.
        slot.seen.store(OUTSIDE, Ordering::Release);
        slot.taken.store(false, Ordering::Release);
    }
}

/// Proof of being inside: nothing seen through it is freed while it lives. Stays on its thread.
pub struct Guard<'r> {
    domain: &'r Domain,
    slot: &'r Slot,
    not_send: PhantomData<*const ()>,
}

impl Guard<'_> {
    /// Refuses a guard of another domain: it would protect nothing. One compare of two pointers.
    ///
    /// # Panics
    /// When the guard was made from a reader of another domain, which is a mistake in the program.
    #[inline(always)]
    pub(crate) fn check(&self, domain: &Arc<Domain>) {
        assert!(std::ptr::eq(self.domain, Arc::as_ptr(domain)), "this guard belongs to another domain");
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: pairs with the Acquire load in Domain::passed.
        self.slot.seen.store(OUTSIDE, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn slots_are_bounded_and_come_back() {
        let domain = Domain::new(2);
        let first = domain.reader();
        let second = domain.reader();
        assert_eq!([&first, &second].map(|reader| reader.as_ref().map(Reader::slot)), [Some(0), Some(1)]);
        assert!(first.is_some() && second.is_some() && domain.reader().is_none());
        drop(first);
        assert!(domain.reader().is_some());
    }

    #[test]
    fn a_stamp_waits_for_those_inside_and_for_nobody_else() {
        let domain = Domain::new(2);
        let mut early = domain.reader().unwrap();
        let mut late = domain.reader().unwrap();
        assert!(domain.passed(domain.advance()));
        let inside = early.enter();
        let stamp = domain.advance();
        let _after = late.enter();
        assert!(!domain.passed(stamp));
        drop(inside);
        assert!(domain.passed(stamp), "the reader that entered after the stamp does not count");
        assert!(!domain.passed(domain.advance()), "but it does for the next one");
    }

    #[test]
    fn a_forgotten_guard_ends_with_its_reader() {
        let domain = Domain::new(1);
        let mut reader = domain.reader().unwrap();
        std::mem::forget(reader.enter());
        let stamp = domain.advance();
        assert!(!domain.passed(stamp));
        drop(reader);
        assert!(domain.passed(stamp));
    }
}
