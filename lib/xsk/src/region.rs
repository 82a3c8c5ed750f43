//! The memory that a port's chunks lie in.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;

use xsk_rs::umem::Umem;

/// Bytes that the kernel keeps free before a received packet (XDP_PACKET_HEADROOM).
pub(crate) const HEADROOM: usize = 256;

/// Room for an Ethernet header with one 802.1Q tag.
const LINK_HEADER: u32 = 18;
/// A huge page of x86-64, and of aarch64 with base pages of 4 KiB.
pub(crate) const HUGE_PAGE: usize = 2 << 20;

/// The chunk size in bytes that holds a packet of this MTU with its headers and headroom; `None` when a page
/// is not enough.
pub(crate) fn chunk_size(mtu: u32) -> Option<usize> {
    let need = mtu.saturating_add(LINK_HEADER) as usize + HEADROOM;
    [2048, 4096].into_iter().find(|&size| need <= size)
}

/// The largest MTU that fits a chunk, in bytes.
pub(crate) fn largest_mtu() -> u32 {
    4096 - HEADROOM as u32 - LINK_HEADER
}

/// Packet memory: equal chunks, a power of two in size.
pub(crate) enum Region {
    /// Registered with the kernel.
    Umem {
        /// This handle keeps it mapped.
        _umem: Umem,
        base: NonNull<u8>,
        chunks: u32,
        chunk_size: usize,
        /// The socket it was registered with. libxdp closes it with the memory, not with the queues.
        socket: RawFd,
    },
    /// Plain memory of this process.
    Heap(Heap),
}

// SAFETY: the pointers are unique to their owner: `Heap` owns its allocation, and `Umem` is sendable by itself
// with `base` pointing into its mapping.
unsafe impl Send for Region {}

impl Region {
    /// Leaves the memory mapped for good, since frames still point into it. What else hangs on it goes: the
    /// socket closes, so that the interface's queue is free for others.
    ///
    /// # Safety
    /// The queues of the socket are dropped.
    pub(crate) unsafe fn abandon(self) {
        if let Self::Umem { socket, .. } = &self {
            // SAFETY: libxdp would close it when the memory's last handle is dropped; the one in `self` never
            // is, and the queues, which use it, are gone (the caller's contract). So it is ours to close.
            drop(unsafe { OwnedFd::from_raw_fd(*socket) });
        }
        std::mem::forget(self);
    }

    /// The first byte of the first chunk.
    pub(crate) fn base(&self) -> NonNull<u8> {
        match self {
            Self::Umem { base, .. } => *base,
            Self::Heap(heap) => heap.base,
        }
    }

    /// How many chunks there are.
    pub(crate) fn chunks(&self) -> u32 {
        match self {
            Self::Umem { chunks, .. } => *chunks,
            Self::Heap(heap) => heap.chunks,
        }
    }

    /// A chunk's size in bytes.
    pub(crate) fn chunk_size(&self) -> usize {
        match self {
            Self::Umem { chunk_size, .. } => *chunk_size,
            Self::Heap(heap) => heap.chunk_size,
        }
    }
}

/// Zeroed memory of this process.
pub(crate) struct Heap {
    base: NonNull<u8>,
    layout: Layout,
    chunks: u32,
    chunk_size: usize,
}

impl Heap {
    /// Allocates; `chunks` is not 0 and `chunk_size` a power of two of at most 4096.
    pub(crate) fn new(chunks: u32, chunk_size: usize) -> Self {
        assert!(chunks > 0 && chunk_size.is_power_of_two() && chunk_size <= 4096, "chunk geometry");
        let size = chunks as usize * chunk_size;
        let align = if size >= HUGE_PAGE { HUGE_PAGE } else { 4096 };
        let Ok(layout) = Layout::from_size_align(size, align) else {
            unreachable!("at most 2^44 bytes, aligned to a page")
        };
        // SAFETY: the size is not 0 (asserted above).
        let pointer = unsafe { alloc(layout) };
        let Some(base) = NonNull::new(pointer) else { handle_alloc_error(layout) };
        if align == HUGE_PAGE {
            // SAFETY: the range was allocated just now. Advice: a refusal only costs speed.
            unsafe { libc::madvise(pointer.cast(), size, libc::MADV_HUGEPAGE) };
        }
        // SAFETY: the range was allocated just now, and nobody else knows it.
        unsafe { pointer.write_bytes(0, size) };
        Self { base, layout, chunks, chunk_size }
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, freed once; the pool drops a region only when no frame
        // points into it.
        unsafe { dealloc(self.base.as_ptr(), self.layout) };
    }
}
