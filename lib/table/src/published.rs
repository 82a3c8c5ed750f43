//! One value of any type, replaced whole: for what changes rarely and fits no table, such as settings.

use crate::domain::{Domain, Guard, Stamp};
use crate::sync::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Boxed values that were replaced and may still be looked at.
struct Waiting<T> {
    open: Vec<Owned<T>>,
    closed: Vec<Owned<T>>,
    stamp: Option<Stamp>,
}

/// A box that readers may still hold references into, hence a pointer and not a `Box`.
struct Owned<T>(*mut T);

// SAFETY: owns a `T` as a box does; readers on other threads may hold `&T`, hence also `Sync`.
unsafe impl<T: Send + Sync> Send for Owned<T> {}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: made by `Box::into_raw`, owned here alone; dropped only when no reader can hold a reference:
        // after its stamp has passed, or with the last end, whose borrows have ended.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

struct Shared<T> {
    domain: Arc<Domain>,
    current: AtomicPtr<T>,
    /// Lives here and not in the writer because readers may outlive it. Only the writer locks.
    waiting: Mutex<Waiting<T>>,
}

// SAFETY: `&T` goes to any reader thread and values are dropped on the writer's or the last reader's, hence both
// bounds; the pointer itself is atomic, the rest is behind the mutex.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        drop(Owned(self.current.load(Ordering::Relaxed)));
    }
}

/// The writing end of a published value.
pub struct PublishedWriter<T: Send + Sync + 'static> {
    shared: Arc<Shared<T>>,
}

/// The reading end; clone it for every worker.
pub struct PublishedReader<T: Send + Sync + 'static> {
    shared: Arc<Shared<T>>,
}

/// Publishes a first value.
pub fn published<T: Send + Sync + 'static>(
    domain: &Arc<Domain>,
    initial: T,
) -> (PublishedWriter<T>, PublishedReader<T>) {
    let shared = Arc::new(Shared {
        domain: Arc::clone(domain),
        current: AtomicPtr::new(Box::into_raw(Box::new(initial))),
        waiting: Mutex::new(Waiting { open: Vec::new(), closed: Vec::new(), stamp: None }),
    });
    (PublishedWriter { shared: Arc::clone(&shared) }, PublishedReader { shared })
}

impl<T: Send + Sync + 'static> PublishedWriter<T> {
    /// Replaces the value. Never blocks: what readers still hold is kept until a later `store` or `reclaim`.
    pub fn store(&mut self, value: T) {
        let new = Box::into_raw(Box::new(value));
        // Release: pairs with the Acquire in `load`. Relaxed would do for the old pointer, which we stored.
        let old = self.shared.current.swap(new, Ordering::AcqRel);
        self.waiting(|waiting, _| waiting.open.push(Owned(old)));
        self.reclaim();
    }

    /// Frees replaced values that all readers have passed.
    pub fn reclaim(&mut self) {
        self.waiting(|waiting, domain| {
            // Twice: the first turn may only close what was open, and with nobody inside the second frees that.
            for _ in 0..2 {
                if let Some(stamp) = waiting.stamp {
                    if !domain.passed(stamp) {
                        return;
                    }
                    waiting.closed.clear();
                    waiting.stamp = None;
                }
                if waiting.open.is_empty() {
                    return;
                }
                std::mem::swap(&mut waiting.open, &mut waiting.closed);
                waiting.stamp = Some(domain.advance());
            }
        });
    }

    fn waiting(&mut self, change: impl FnOnce(&mut Waiting<T>, &Domain)) {
        // Never contended (one writer, `&mut self`); a panic in some `T`'s drop leaves the lists whole.
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut waiting, &self.shared.domain);
    }
}

impl<T: Send + Sync + 'static> Clone for PublishedReader<T> {
    fn clone(&self) -> Self {
        PublishedReader { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Send + Sync + 'static> PublishedReader<T> {
    /// The value now; unchanged for as long as the guard lives, whatever is stored meanwhile.
    ///
    /// # Panics
    /// When the guard belongs to another domain.
    #[inline]
    pub fn load<'g>(&'g self, guard: &'g Guard<'_>) -> &'g T {
        guard.check(&self.shared.domain);
        // Acquire: pairs with the Release in `store`.
        let current = self.shared.current.load(Ordering::Acquire);
        // SAFETY: a box made by `published` or `store`; a replaced one is dropped only after the guard has ended
        // (stamp passed) or with `Shared`, which `&'g self` keeps.
        unsafe { &*current }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// Counts how many of its kind are alive.
    struct Counted(u32, Arc<AtomicUsize>);

    impl Counted {
        fn new(number: u32, alive: &Arc<AtomicUsize>) -> Counted {
            alive.fetch_add(1, Ordering::Relaxed);
            Counted(number, Arc::clone(alive))
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.1.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn old_values_live_as_long_as_the_guard() {
        let alive = Arc::new(AtomicUsize::new(0));
        let domain = Domain::new(1);
        let mut worker = domain.reader().unwrap();
        let (mut writer, reader) = published(&domain, Counted::new(0, &alive));
        let guard = worker.enter();
        let first = reader.load(&guard);
        for number in 1..=10 {
            writer.store(Counted::new(number, &alive));
        }
        assert_eq!((first.0, reader.load(&guard).0, alive.load(Ordering::Relaxed)), (0, 10, 11));
        drop(guard);
        writer.reclaim();
        writer.reclaim();
        assert_eq!(alive.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn nothing_leaks_whichever_end_goes_first() {
        let alive = Arc::new(AtomicUsize::new(0));
        let domain = Domain::new(1);
        let mut worker = domain.reader().unwrap();
        let (mut writer, reader) = published(&domain, Counted::new(0, &alive));
        let guard = worker.enter();
        writer.store(Counted::new(1, &alive));
        drop(writer);
        assert_eq!((reader.load(&guard).0, alive.load(Ordering::Relaxed)), (1, 2));
        drop(guard);
        drop(reader);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    }
}
