//! Atomics and cells: the standard ones, or loom's when a model is being checked (`--cfg loom`).
//!
//! Nothing else in this crate names `std::sync::atomic` or `std::cell::UnsafeCell`, so that loom sees every
//! access. `Arc` stays the standard one: the order of its count is not part of what the models prove.

#[cfg(loom)]
pub(crate) use loom::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering, fence},
};

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};

/// The standard cell with loom's face: the pointer is lent to a closure, so that loom can watch how long.
#[cfg(not(loom))]
#[repr(transparent)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> UnsafeCell<T> {
        UnsafeCell(std::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn with<R>(&self, access: impl FnOnce(*const T) -> R) -> R {
        access(self.0.get())
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
        access(self.0.get())
    }
}

/// How a side of a table loads what the writer alone stores.
///
/// To the processor the two sides differ in nothing. To loom they do: a writer's own loads cannot race, and left
/// in they would hide from its search that a reader's load and the store after them do.
pub(crate) trait Side {
    /// Loads with Acquire.
    fn load_acquire(word: &AtomicU32) -> u32;
    /// Loads with Relaxed.
    fn load_u32(word: &AtomicU32) -> u32;
    /// Loads with Relaxed.
    fn load_u64(word: &AtomicU64) -> u64;
}

/// The readers' side.
pub(crate) struct Reading;

impl Side for Reading {
    #[inline(always)]
    fn load_acquire(word: &AtomicU32) -> u32 {
        word.load(Ordering::Acquire)
    }

    #[inline(always)]
    fn load_u32(word: &AtomicU32) -> u32 {
        word.load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn load_u64(word: &AtomicU64) -> u64 {
        word.load(Ordering::Relaxed)
    }
}

/// The one writer's side: it sees its own stores in any case.
pub(crate) struct Writing;

impl Side for Writing {
    fn load_acquire(word: &AtomicU32) -> u32 {
        Self::load_u32(word)
    }

    #[cfg(not(loom))]
    fn load_u32(word: &AtomicU32) -> u32 {
        word.load(Ordering::Relaxed)
    }

    #[cfg(not(loom))]
    fn load_u64(word: &AtomicU64) -> u64 {
        word.load(Ordering::Relaxed)
    }

    #[cfg(loom)]
    fn load_u32(word: &AtomicU32) -> u32 {
        // SAFETY: only the writer stores, and the caller is the writer; loom reports it when that is not so.
        unsafe { word.unsync_load() }
    }

    #[cfg(loom)]
    fn load_u64(word: &AtomicU64) -> u64 {
        // SAFETY: as above.
        unsafe { word.unsync_load() }
    }
}
