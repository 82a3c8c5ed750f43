//! Asking for memory before it is needed.
//!
//! A prefetch is a hint: it changes no state of the program, and an address that is not mapped is ignored by
//! the processor without a fault. That is why these functions are safe, whatever they are given.

/// Asks for the cache line at `address`, which need not be valid.
#[inline(always)]
pub fn prefetch_address<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: PREFETCHT0 is part of SSE, which x86-64 guarantees; it never faults and writes nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    {
        // SAFETY: PRFM is a hint that never faults; it writes no memory, no register and no flag.
        unsafe {
            core::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(readonly, nostack, preserves_flags))
        };
    }
    #[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
    {
        let _ = address;
    }
}

/// Asks for the first cache line of `value`.
#[inline(always)]
pub fn prefetch_read<T>(value: &T) {
    prefetch_address(core::ptr::from_ref(value));
}

/// Asks for the first two cache lines of a packet: its headers, also with others in front of them.
#[inline(always)]
pub fn prefetch_packet(packet: &[u8]) {
    prefetch_address(packet.as_ptr());
    prefetch_address(packet.as_ptr().wrapping_add(64));
}

/// Asks for the first cache line of `slice[index]`; an index past the end is allowed and does nothing useful.
#[inline(always)]
pub fn prefetch_slice_index<T>(slice: &[T], index: usize) {
    prefetch_address(slice.as_ptr().wrapping_add(index));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one thing a prefetch can do wrong is to fault.
    #[test]
    fn no_address_faults() {
        let values = [1_u64, 2, 3];
        prefetch_read(&values);
        prefetch_packet(&[]);
        prefetch_packet(&[1, 2, 3]);
        for index in [0, 2, 3, 1 << 40, usize::MAX] {
            prefetch_slice_index(&values, index);
        }
        prefetch_address(core::ptr::null::<u8>());
        prefetch_address(core::ptr::without_provenance::<u8>(usize::MAX));
        assert_eq!(values, [1, 2, 3]);
    }
}
