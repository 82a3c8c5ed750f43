//! A packet buffer and its way home.
//!
//! A [`Frame`] is the only owner of one chunk of its port's packet memory.
//! It cannot be cloned, so a chunk cannot be submitted twice, read while the kernel writes it, or freed while
//! it is read.

use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

//------------ Home ------------------------------------------------------------------------------------------

/// Where frames go that are dropped instead of released, and what tells one port's frames from another's.
///
/// A home is never freed, so a frame may be dropped on any thread at any time, also while or after its port
/// goes away; homes of closed ports are used again, so their number is the largest number of ports at a time.
pub(crate) struct Home {
    /// Chunks of frames that were dropped.
    returned: Mutex<Vec<u32>>,
    /// Set when `returned` may hold something, so that the port needs no lock to see that it does not.
    waiting: AtomicBool,
}

/// Homes without a port and without frames.
static VACANT: Mutex<Vec<&'static Home>> = Mutex::new(Vec::new());

impl Home {
    /// A home that no frame refers to.
    pub(crate) fn vacant() -> &'static Home {
        let vacant = VACANT.lock().unwrap_or_else(PoisonError::into_inner).pop();
        vacant.unwrap_or_else(|| {
            Box::leak(Box::new(Home { returned: Mutex::new(Vec::new()), waiting: AtomicBool::new(false) }))
        })
    }

    /// Gives a home back. The caller knows that no frame refers to it any more.
    pub(crate) fn vacate(&'static self) {
        VACANT.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }

    /// Hands over the chunks of frames that were dropped since the last call.
    pub(crate) fn collect(&self, mut each: impl FnMut(u32)) {
        // Acquire pairs with the Release in `Frame::drop`; the lock orders the list itself.
        if self.waiting.load(Ordering::Acquire) {
            let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
            self.waiting.store(false, Ordering::Relaxed);
            returned.drain(..).for_each(&mut each);
        }
    }
}

//------------ Frame -----------------------------------------------------------------------------------------

/// A packet buffer: the unique owner of one chunk of a port's packet memory.
///
/// Hand it on with [`Port::transmit`](crate::Port::transmit) or back with
/// [`Port::release`](crate::Port::release).
/// A frame that is merely dropped finds its way home too, but through a lock: the port counts it in
/// [`Anomalies::dropped_frames`](crate::Anomalies).
pub struct Frame {
    data: NonNull<u8>,
    home: &'static Home,
    index: u32,
    len: u32,
    capacity: u32,
    continued: bool,
}

// A burst of frames is moved between vectors: half a cache line each.
const _: () = assert!(size_of::<Frame>() == 32);

// SAFETY: a frame owns its chunk alone (see `Frame::new`), so sending it sends that ownership with it; `home`
// is `Sync`.
unsafe impl Send for Frame {}
// SAFETY: through `&Frame` the chunk can only be read, and nobody writes it while the frame exists.
unsafe impl Sync for Frame {}

impl Frame {
    /// Makes the owner of a chunk.
    ///
    /// # Safety
    /// `data` points at `capacity` initialised bytes inside one chunk; until this frame is dissolved or dropped
    /// they stay mapped and nobody else, kernel included, reads or writes them; `len <= capacity`.
    pub(crate) unsafe fn new(
        data: NonNull<u8>,
        home: &'static Home,
        index: u32,
        len: u32,
        capacity: u32,
    ) -> Self {
        debug_assert!(len <= capacity);
        Self { data, home, index, len, capacity, continued: false }
    }

    /// Ends the ownership without the way home of `drop`; the caller now answers for the chunk.
    pub(crate) fn dissolve(self) -> u32 {
        let index = self.index;
        std::mem::forget(self);
        index
    }

    /// Does this frame belong to the port with this home?
    pub(crate) fn lives_at(&self, home: &'static Home) -> bool {
        std::ptr::eq(self.home, home)
    }

    /// The chunk's number in its port.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// The packet.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `Frame::new`'s contract: readable, initialised and unshared; `len <= capacity` always.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.len as usize) }
    }

    /// The packet, to be changed in place.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.len as usize) }
    }

    /// The whole room for a packet, whatever the present length: [`Self::capacity`] bytes.
    ///
    /// Bytes beyond the length are left over from earlier packets.
    #[inline]
    pub fn room_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes_mut`, for all `capacity` bytes of the contract.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.capacity as usize) }
    }

    /// The packet's length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether the frame holds no packet.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets the packet's length in bytes; false, and no change, beyond the capacity.
    #[inline]
    #[must_use]
    pub fn set_len(&mut self, len: usize) -> bool {
        match u32::try_from(len) {
            Ok(len) if len <= self.capacity => {
                self.len = len;
                true
            }
            _ => false,
        }
    }

    /// Makes the frame hold this packet; false, and no change, when it does not fit.
    #[inline]
    #[must_use]
    pub fn write(&mut self, packet: &[u8]) -> bool {
        let fits = self.set_len(packet.len());
        if fits {
            self.bytes_mut().copy_from_slice(packet);
        }
        fits
    }

    /// The largest packet that fits, in bytes.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Whether the packet goes on in the next frame: only at ports opened with
    /// [`KernelOptions::multi_buffer`](crate::KernelOptions).
    #[inline]
    pub fn is_continued(&self) -> bool {
        self.continued
    }

    /// Says whether the packet goes on in the next frame.
    #[inline]
    pub fn set_continued(&mut self, continued: bool) {
        self.continued = continued;
    }

    /// Asks the CPU to fetch the packet's first cache line.
    #[inline]
    pub fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch reads nothing architecturally and cannot fault.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.data.as_ptr().cast());
        }
    }
}

impl Drop for Frame {
    /// The slow way home; the port picks the chunk up in its next `maintain`.
    #[cold]
    fn drop(&mut self) {
        let mut returned = self.home.returned.lock().unwrap_or_else(PoisonError::into_inner);
        returned.push(self.index);
        // Release pairs with the Acquire in `Home::collect`.
        self.home.waiting.store(true, Ordering::Release);
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("index", &self.index).field("len", &self.len).finish_non_exhaustive()
    }
}
