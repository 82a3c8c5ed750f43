//! Memory of a fixed size, taken once, in huge pages where the kernel gives them.
//!
//! One million entries are 64 MB: with 4 KiB pages a random lookup pays for a page walk besides the cache miss,
//! with 2 MiB pages it does not. Under loom and Miri the memory is an ordinary boxed slice.

use std::ops::Deref;

/// A value that exists in memory that was never written.
///
/// # Safety
/// All bytes zero must be a valid value, the one that [`Blank::blank`] gives, and there must be nothing to drop.
pub(crate) unsafe trait Blank {
    /// The value of never-written memory.
    #[cfg_attr(not(any(loom, miri)), allow(dead_code))]
    fn blank() -> Self;
}

/// When the kernel must find the memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touch {
    /// At construction: for what readers visit anywhere from the start; they must not take page faults.
    Now,
    /// When first written: for what readers visit only after a writer did.
    Later,
}

/// A slice of blank values that never grows, moves or shrinks.
pub(crate) struct Fixed<T: Blank> {
    store: store::Store<T>,
}

impl<T: Blank> Fixed<T> {
    /// Takes memory for `len` values; ends the process as every Rust collection does when there is none.
    pub(crate) fn new(len: usize, touch: Touch) -> Fixed<T> {
        const { assert!(!std::mem::needs_drop::<T>()) };
        Fixed { store: store::Store::new(len, touch) }
    }

    /// What it occupies when all of it has been touched, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.store.bytes()
    }
}

impl<T: Blank> Deref for Fixed<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        self.store.slice()
    }
}

#[cfg(any(loom, miri))]
mod store {
    use super::{Blank, Touch};

    pub(super) struct Store<T>(Box<[T]>);

    impl<T: Blank> Store<T> {
        pub(super) fn new(len: usize, _touch: Touch) -> Store<T> {
            Store((0..len).map(|_| T::blank()).collect())
        }

        pub(super) fn slice(&self) -> &[T] {
            &self.0
        }

        pub(super) fn bytes(&self) -> usize {
            size_of_val(&*self.0)
        }
    }
}

#[cfg(not(any(loom, miri)))]
mod store {
    use super::{Blank, Touch};
    use std::alloc::{Layout, handle_alloc_error};
    use std::ptr::{NonNull, null_mut};

    /// The size of a huge page on x86-64, and on aarch64 with 4 KiB base pages.
    const HUGE: usize = 2 << 20;
    /// The smallest page; larger base pages only mean that the kernel rounds up further.
    const PAGE: usize = 4096;

    pub(super) struct Store<T> {
        base: NonNull<T>,
        len: usize,
        mapping: *mut libc::c_void,
        mapped: usize,
        used: usize,
    }

    // SAFETY: the store owns its mapping as a boxed slice owns its allocation, so it is as thread-safe as `[T]`.
    unsafe impl<T: Send> Send for Store<T> {}
    // SAFETY: as above; shared access hands out `&[T]` only.
    unsafe impl<T: Sync> Sync for Store<T> {}

    impl<T: Blank> Store<T> {
        pub(super) fn new(len: usize, touch: Touch) -> Store<T> {
            const { assert!(size_of::<T>() != 0 && align_of::<T>() <= PAGE) };
            let Ok(layout) = Layout::array::<T>(len.max(1)) else { handle_alloc_error(Layout::new::<T>()) };
            // A table smaller than a huge page gains nothing from one.
            let unit = if layout.size() >= HUGE { HUGE } else { PAGE };
            // What does not fill a huge page at the end gets small ones, instead of up to 2 MiB that nobody uses.
            let used = layout.size().next_multiple_of(PAGE);
            // Kernels before 6.7 do not align large mappings, so map one unit more and begin at its boundary.
            let mapped = if unit == HUGE { used + HUGE } else { used };
            // SAFETY: an anonymous private mapping at an address the kernel chooses touches no memory of ours.
            let mapping = unsafe {
                libc::mmap(
                    null_mut(),
                    mapped,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                    -1,
                    0,
                )
            };
            if mapping == libc::MAP_FAILED {
                handle_alloc_error(layout)
            }
            let start = mapping.map_addr(|address| address.next_multiple_of(unit));
            let Some(base) = NonNull::new(start.cast::<T>()) else { handle_alloc_error(layout) };
            if unit == HUGE {
                // SAFETY: the range lies inside the mapping made above. Advice: a refusal only costs speed.
                unsafe { libc::madvise(start, used, libc::MADV_HUGEPAGE) };
            }
            if touch == Touch::Now {
                // SAFETY: the range lies inside the mapping made above, which nobody else knows yet.
                unsafe { start.cast::<u8>().write_bytes(0, used) };
            }
            Store { base, len, mapping, mapped, used }
        }

        #[inline(always)]
        pub(super) fn slice(&self) -> &[T] {
            // SAFETY: `new` mapped at least `len` values at `base`, aligned to a page; the mapping reads as zeros
            // until written, which `Blank` makes valid values; it lives until `drop`.
            unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.len) }
        }

        pub(super) fn bytes(&self) -> usize {
            self.used
        }
    }

    impl<T> Drop for Store<T> {
        fn drop(&mut self) {
            // SAFETY: exactly the mapping made in `new`; all borrows of `slice` have ended, `Blank` has no drop.
            unsafe { libc::munmap(self.mapping, self.mapped) };
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::{AtomicU64, Ordering};

    // SAFETY: an atomic integer of zero bytes is zero, and has nothing to drop.
    unsafe impl Blank for AtomicU64 {
        fn blank() -> Self {
            AtomicU64::new(0)
        }
    }

    #[test]
    fn blank_writable_and_as_large_as_asked() {
        let sizes = if cfg!(miri) { [0, 1, 513] } else { [0, 1, (3 << 20) / 8] };
        for len in sizes {
            for touch in [Touch::Now, Touch::Later] {
                let memory = Fixed::<AtomicU64>::new(len, touch);
                assert_eq!(memory.len(), len);
                assert!(memory.bytes() >= len * 8);
                assert!(memory.iter().all(|word| word.load(Ordering::Relaxed) == 0));
                if let Some(last) = memory.last() {
                    last.store(7, Ordering::Relaxed);
                    assert_eq!(memory[len - 1].load(Ordering::Relaxed), 7);
                }
            }
        }
    }
}
