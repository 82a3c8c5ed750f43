//! A port's chunks: who has which, and the count that must always add up.
//!
//! Each chunk is in one of four places. The pool writes down the place of each, so that a descriptor that the
//! kernel hands back is believed only when that chunk was really lent to the kernel for that purpose; this is
//! what makes [`Frame`]'s sole ownership true.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use crate::frame::{Frame, Home};
use crate::region::Region;

/// Where a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Place {
    /// In the pool, to be used for anything.
    Free,
    /// With the kernel, to receive into, from the fill ring up to the rx ring.
    Fill,
    /// With the application, as a [`Frame`].
    App,
    /// With the kernel, to be sent, from the tx ring up to the completion ring.
    Tx,
}

/// How many of a port's chunks are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// In the port's pool.
    pub free: u32,
    /// Lent to the kernel to receive into.
    pub fill: u32,
    /// Held by the application as frames.
    pub held_by_app: u32,
    /// Lent to the kernel to be sent and not completed yet.
    pub tx: u32,
    /// All chunks there are.
    pub total: u32,
}

impl Ledger {
    /// Chunks that are nowhere; anything but 0 is a bug in this crate.
    pub fn leaked(&self) -> i64 {
        let known = [self.free, self.fill, self.held_by_app, self.tx];
        i64::from(self.total) - known.iter().map(|&n| i64::from(n)).sum::<i64>()
    }
}

/// Things that must not happen, counted when they do; none of them corrupts memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anomalies {
    /// Frames of another port that were given to this one to send or release; they went home.
    pub foreign_frames: u64,
    /// Frames that were dropped instead of released.
    pub dropped_frames: u64,
    /// Descriptors from the kernel that named no chunk it had, or bytes outside of it; ignored.
    pub bad_descriptors: u64,
    /// Frames that were shorter than an Ethernet header and therefore not submitted.
    pub runt_frames: u64,
    /// Frames that say that their packet goes on in the next one, at a port that knows no such packets, and therefore
    /// not submitted.
    pub unjoined_frames: u64,
}

/// The chunks of one port.
pub(crate) struct Pool {
    region: ManuallyDrop<Region>,
    base: NonNull<u8>,
    home: &'static Home,
    chunk_shift: u32,
    places: Box<[Place]>,
    free: Vec<u32>,
    fill: u32,
    held: u32,
    tx: u32,
    pub(crate) anomalies: Anomalies,
}

// SAFETY: `base` points into `region`, which the pool owns and which is itself sendable (see `region.rs`).
unsafe impl Send for Pool {}

impl Pool {
    /// Takes over a region; every chunk starts free.
    pub(crate) fn new(region: Region) -> Self {
        let count = region.chunks();
        Self {
            base: region.base(),
            chunk_shift: region.chunk_size().trailing_zeros(),
            region: ManuallyDrop::new(region),
            home: Home::vacant(),
            places: vec![Place::Free; count as usize].into(),
            // Popped from the end: low chunks first.
            free: (0..count).rev().collect(),
            fill: 0,
            held: 0,
            tx: 0,
            anomalies: Anomalies::default(),
        }
    }

    /// The chunk's size in bytes.
    fn chunk_size(&self) -> usize {
        1 << self.chunk_shift
    }

    /// The chunk that an offset in the region lies in.
    #[inline]
    pub(crate) fn chunk_of(&self, offset: usize) -> u32 {
        u32::try_from(offset >> self.chunk_shift).unwrap_or(u32::MAX)
    }

    /// Frames in the pool.
    pub(crate) fn free_len(&self) -> u32 {
        self.free.len() as u32
    }

    /// Chunks with the kernel to receive into.
    pub(crate) fn fill_len(&self) -> u32 {
        self.fill
    }

    /// A free chunk's number; the caller moves it on with `lend_to_fill` or `hand_out_free`, or gives it back.
    #[inline]
    pub(crate) fn pop_free(&mut self) -> Option<u32> {
        self.free.pop()
    }

    /// Undoes `pop_free`.
    #[inline]
    pub(crate) fn push_free(&mut self, index: u32) {
        debug_assert_eq!(self.places[index as usize], Place::Free);
        self.free.push(index);
    }

    /// A popped chunk goes to the fill ring.
    #[inline]
    pub(crate) fn lend_to_fill(&mut self, index: u32) {
        debug_assert_eq!(self.places[index as usize], Place::Free);
        self.places[index as usize] = Place::Fill;
        self.fill += 1;
    }

    /// A popped chunk becomes an empty frame whose packet starts at `offset` of the region.
    #[inline]
    pub(crate) fn hand_out_free(&mut self, index: u32, offset: usize) -> Frame {
        debug_assert_eq!(self.places[index as usize], Place::Free);
        self.hand_out(index, offset, 0)
    }

    /// The kernel says that it received `len` bytes at `offset`: a frame, if that can be true.
    #[inline]
    pub(crate) fn receive(&mut self, offset: usize, len: usize) -> Option<Frame> {
        let index = self.chunk_of(offset);
        let inside = (offset & (self.chunk_size() - 1)).saturating_add(len) <= self.chunk_size();
        if inside && self.places.get(index as usize) == Some(&Place::Fill) {
            self.fill -= 1;
            return Some(self.hand_out(index, offset, len as u32));
        }
        self.anomalies.bad_descriptors += 1;
        None
    }

    /// `index` is in bounds and its chunk Free (popped) or Fill; `offset` lies in it and `len` fits.
    #[inline]
    fn hand_out(&mut self, index: u32, offset: usize, len: u32) -> Frame {
        self.places[index as usize] = Place::App;
        self.held += 1;
        let capacity = (self.chunk_size() - (offset & (self.chunk_size() - 1))) as u32;
        assert!(self.chunk_of(offset) == index, "offset outside its chunk");
        // SAFETY: `offset` lies in chunk `index` (asserted), which is in the region because `places` has an
        // entry for it; the place was Free or Fill and is now App, so no other frame owns the chunk and the
        // kernel has given it back; `Pool::drop` keeps the region mapped while frames are out.
        unsafe { Frame::new(self.base.add(offset), self.home, index, len, capacity) }
    }

    /// Is this one of our frames?
    #[inline]
    pub(crate) fn owns(&self, frame: &Frame) -> bool {
        frame.lives_at(self.home)
    }

    /// One of our frames goes to the tx ring; the caller has checked `owns`.
    #[inline]
    pub(crate) fn lend_to_tx(&mut self, frame: Frame) -> u32 {
        let index = self.take_back(frame);
        self.places[index as usize] = Place::Tx;
        self.tx += 1;
        index
    }

    /// One of our frames comes back to the pool; the caller has checked `owns`.
    #[inline]
    pub(crate) fn release(&mut self, frame: Frame) -> u32 {
        let index = self.take_back(frame);
        self.places[index as usize] = Place::Free;
        index
    }

    #[inline]
    fn take_back(&mut self, frame: Frame) -> u32 {
        let index = frame.dissolve();
        debug_assert_eq!(self.places[index as usize], Place::App);
        self.held -= 1;
        index
    }

    /// The kernel says that it has sent the chunk around `offset`: its number, if that can be true.
    /// The chunk then counts as popped: the caller pushes it to the free list or lends it on.
    #[inline]
    pub(crate) fn complete(&mut self, offset: usize) -> Option<u32> {
        let index = self.chunk_of(offset);
        match self.places.get_mut(index as usize) {
            Some(place @ Place::Tx) => {
                *place = Place::Free;
                self.tx -= 1;
                Some(index)
            }
            _ => {
                self.anomalies.bad_descriptors += 1;
                None
            }
        }
    }

    /// Picks up the chunks of dropped frames; each then counts as popped and is given to `each`.
    pub(crate) fn collect_dropped(&mut self, mut each: impl FnMut(&mut Self, u32)) {
        let home = self.home;
        home.collect(|index| {
            self.places[index as usize] = Place::Free;
            self.held -= 1;
            self.anomalies.dropped_frames += 1;
            each(self, index);
        });
    }

    /// The bytes of a chunk that is lent to be sent; empty when that is not so.
    pub(crate) fn lent_bytes(&self, offset: usize, len: usize) -> &[u8] {
        let index = self.chunk_of(offset) as usize;
        let inside = (offset & (self.chunk_size() - 1)).saturating_add(len) <= self.chunk_size();
        if !inside || self.places.get(index) != Some(&Place::Tx) {
            return &[];
        }
        // SAFETY: the range lies in chunk `index` of the region (checked); its place is Tx, so no frame owns
        // it, and it cannot become a frame while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(self.base.add(offset).as_ptr(), len) }
    }

    /// The running counts.
    pub(crate) fn ledger(&self) -> Ledger {
        Ledger {
            free: self.free.len() as u32,
            fill: self.fill,
            held_by_app: self.held,
            tx: self.tx,
            total: self.places.len() as u32,
        }
    }

    /// The same counts, made anew by looking at each chunk.
    pub(crate) fn audit(&self) -> Ledger {
        let count = |wanted| self.places.iter().filter(|&&place| place == wanted).count() as u32;
        Ledger {
            free: count(Place::Free),
            fill: count(Place::Fill),
            held_by_app: count(Place::App),
            tx: count(Place::Tx),
            total: self.places.len() as u32,
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.collect_dropped(Self::push_free);
        // SAFETY: taken once, here, and not used after.
        let region = unsafe { ManuallyDrop::take(&mut self.region) };
        if self.held == 0 {
            // No frame points into the region any more.
            self.home.vacate();
            drop(region);
        } else {
            // Frames are still out: their memory and their home stay for good rather than dangle.
            // SAFETY: a port drops its queues before its pool (the order of its fields).
            unsafe { region.abandon() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::{HEADROOM, Heap};

    fn pool() -> Pool {
        Pool::new(Region::Heap(Heap::new(4, 2048)))
    }

    #[test]
    fn descriptors_are_believed_only_for_chunks_that_were_lent() {
        let mut pool = pool();
        assert!(pool.receive(HEADROOM, 60).is_none(), "chunk 0 is free");
        let index = pool.pop_free().unwrap();
        pool.lend_to_fill(index);
        assert!(pool.complete(HEADROOM).is_none(), "lent to receive, not to send");
        assert!(pool.receive(HEADROOM, 2048 - HEADROOM + 1).is_none(), "beyond its chunk");
        assert!(pool.receive(HEADROOM, usize::MAX).is_none());
        assert!(pool.receive(4 * 2048 + HEADROOM, 60).is_none(), "beyond the region");
        assert!(pool.receive(usize::MAX, 60).is_none());
        assert_eq!(pool.anomalies.bad_descriptors, 6);
        let frame = pool.receive(HEADROOM, 60).unwrap();
        assert!(pool.receive(HEADROOM, 60).is_none(), "received twice");
        assert!(pool.lent_bytes(HEADROOM, 60).is_empty());
        pool.lend_to_tx(frame);
        assert_eq!(pool.lent_bytes(HEADROOM, 60).len(), 60);
        assert!(pool.lent_bytes(HEADROOM, 2048).is_empty());
        assert_eq!(pool.complete(HEADROOM + 17), Some(0), "an address anywhere in the chunk names it");
        assert!(pool.complete(HEADROOM).is_none(), "completed twice");
        pool.push_free(0);
        assert_eq!(pool.ledger(), pool.audit());
    }

    #[test]
    fn capacity_follows_the_start_of_the_packet() {
        let mut pool = pool();
        for start in [0, 1, HEADROOM - 56, HEADROOM, 2047] {
            let index = pool.pop_free().unwrap();
            let mut frame = pool.hand_out_free(index, index as usize * 2048 + start);
            assert_eq!(frame.capacity(), 2048 - start);
            frame.room_mut().fill(index as u8);
            let index = pool.release(frame);
            pool.push_free(index);
        }
    }

    #[test]
    fn memory_stays_while_frames_are_out() {
        let mut pool = pool();
        let index = pool.pop_free().unwrap();
        let mut frame = pool.hand_out_free(index, index as usize * 2048);
        let home = pool.home;
        drop(pool);
        assert!(frame.write(&[3; 2048]));
        assert!(frame.lives_at(home));
        drop(frame);
    }
}
