//! A sealed memfd and the ways to look at it.
//!
//! Every region starts with one header page; what follows is the ring's or the counters' business.
//!
//! | word | holds |
//! |---|---|
//! | 0 | magic |
//! | 1 | layout version (low half), purpose (high half) |
//! | 2 | ABI hash |
//! | 3 | size in bytes, this page included |
//! | 4 | incarnation of the dataplane |
//! | 5 to 15 | the purpose's own |
//! | 16, 17 | dataplane: heartbeat in ns of CLOCK_MONOTONIC, state |
//! | 32, 33 | control plane: the same |
//!
//! All unsafe code of this crate is here: mapping, unmapping, and forming slices of atomics over a mapping.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use crate::abi::{ABI_HASH, LAYOUT_VERSION};
use crate::sync::{AtomicU64, Ordering};
use crate::words::Words;

/// Bytes of the header page.
pub(crate) const HEADER: usize = 4096;
/// Words of the header page.
pub(crate) const HEADER_WORDS: usize = HEADER / 8;
/// "STERNA" and two bytes that are no text, little-endian.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"STERNA\x1a\x93");
/// No region is larger: what a hostile peer can make us map.
const MAX_REGION: u64 = 64 << 20;

pub(crate) const WORD_MAGIC: usize = 0;
pub(crate) const WORD_VERSION: usize = 1;
pub(crate) const WORD_ABI: usize = 2;
pub(crate) const WORD_SIZE: usize = 3;
pub(crate) const WORD_INCARNATION: usize = 4;
/// First word that a purpose may use as it likes.
pub(crate) const WORD_OWN: usize = 5;
pub(crate) const WORD_DATAPLANE: usize = 16;
pub(crate) const WORD_CONTROL: usize = 32;

/// What a region is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Purpose {
    Updates = 1,
    Events = 2,
    Counters = 3,
}

impl Purpose {
    /// Seals that must be on. The counters' also keep everyone but their creator from writing.
    fn seals(self) -> SealFlags {
        let fixed_size = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        match self {
            Purpose::Counters => fixed_size | SealFlags::FUTURE_WRITE,
            Purpose::Updates | Purpose::Events => fixed_size,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Purpose::Updates => "sterna-updates",
            Purpose::Events => "sterna-events",
            Purpose::Counters => "sterna-counters",
        }
    }
}

/// Why a region could not be made or taken.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// The kernel said no.
    #[error("cannot {doing} shared memory: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// The kernel's answer.
        source: Errno,
    },
    /// It can still be cut short, which would kill whoever reads it.
    #[error("the shared memory is not sealed against changes of size and writers")]
    Unsealed,
    /// Its size is not what its header or its purpose say.
    #[error("the shared memory has an impossible size of {0} bytes")]
    Size(u64),
    /// Its header is not ours.
    #[error("the shared memory has a foreign header: {0}")]
    Header(&'static str),
    /// Its description cannot be understood.
    #[error("the counters' description is malformed: {0}")]
    Description(&'static str),
}

fn system(doing: &'static str) -> impl FnOnce(Errno) -> RegionError {
    move |source| RegionError::System { doing, source }
}

/// One mmap, undone on drop.
struct Mapping {
    first: NonNull<AtomicU64>,
    bytes: usize,
}

// SAFETY: a mapping is memory that belongs to no thread; all access goes through atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above: shared access is atomic access.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a whole memfd, whose size the caller has checked and whose seals forbid to shrink it.
    fn new(fd: BorrowedFd<'_>, bytes: usize, protection: ProtFlags) -> Result<Mapping, RegionError> {
        // Populated at once, so that no worker takes a page fault later.
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: the kernel chooses a free range, so no existing object is overlapped.
        let address = unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, protection, flags, fd, 0) };
        let address = address.map_err(system("map"))?;
        let first = NonNull::new(address.cast()).ok_or(RegionError::Size(0))?;
        Ok(Mapping { first, bytes })
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: `first` is page-aligned and `bytes` long (from mmap in `new`), lives as long as `self`
        // (unmapped only in `drop`), cannot be cut short (seals checked before `new`), and any bit pattern
        // is an AtomicU64. The peer's writes race with ours only as atomics do.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.bytes / 8) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is exactly the one mapped in `new`; every view of it holds the `Arc` that owns `self`.
        let unmapped = unsafe { rustix::mm::munmap(self.first.as_ptr().cast(), self.bytes) };
        debug_assert!(unmapped.is_ok(), "unmapping our own mapping failed");
    }
}

/// Part of a mapping that both sides may write.
#[derive(Clone)]
pub struct SharedWords {
    first: NonNull<AtomicU64>,
    count: usize,
    /// Keeps `first` valid.
    _mapping: Arc<Mapping>,
}

// SAFETY: it is a shared reference to atomics together with the `Arc` that keeps them alive.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl Words for SharedWords {
    #[inline]
    fn words(&self) -> &[AtomicU64] {
        // SAFETY: `first` and `count` are a subslice of `_mapping`'s words (established in `Region::part`), and
        // `_mapping` keeps them mapped and in place while `self` lives.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }
}

/// Part of a mapping that we may only read; storing into it is not offered, since it would be a fault.
#[derive(Clone)]
pub(crate) struct ReadWords {
    mapping: Arc<Mapping>,
}

impl ReadWords {
    /// The word at this index of the region; `None` beyond its end.
    pub(crate) fn load(&self, index: usize) -> Option<u64> {
        self.mapping.words().get(index).map(|word| word.load(Ordering::Relaxed))
    }

    /// Bytes of the region.
    pub(crate) fn bytes(&self) -> usize {
        self.mapping.bytes
    }
}

/// A region we may write.
pub(crate) struct Region {
    fd: OwnedFd,
    mapping: Arc<Mapping>,
}

impl Region {
    /// Makes, fills in and seals a region with `body` bytes behind the header page.
    pub(crate) fn create(purpose: Purpose, body: usize, incarnation: u64) -> Result<Region, RegionError> {
        let bytes = (HEADER + body).next_multiple_of(HEADER);
        if bytes as u64 > MAX_REGION {
            return Err(RegionError::Size(bytes as u64));
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create(purpose.name(), flags).map_err(system("create"))?;
        // Reserves the pages too: a lazily filled memfd kills its user when memory is short later.
        rustix::fs::fallocate(&fd, FallocateFlags::empty(), 0, bytes as u64).map_err(system("reserve"))?;
        let mapping = Mapping::new(fd.as_fd(), bytes, ProtFlags::READ | ProtFlags::WRITE)?;
        let region = Region { fd, mapping: Arc::new(mapping) };
        for (word, value) in header(purpose, bytes, incarnation) {
            region.word(word).store(value, Ordering::Relaxed);
        }
        // After our own mapping, since FUTURE_WRITE forbids new writable ones.
        rustix::fs::fcntl_add_seals(&region.fd, purpose.seals()).map_err(system("seal"))?;
        Ok(region)
    }

    /// Takes a region that the dataplane made, for writing.
    pub(crate) fn open(fd: OwnedFd, purpose: Purpose, incarnation: u64) -> Result<Region, RegionError> {
        let mapping = map_foreign(fd.as_fd(), purpose, ProtFlags::READ | ProtFlags::WRITE)?;
        let region = Region { fd, mapping };
        if region.word(WORD_INCARNATION).load(Ordering::Relaxed) != incarnation {
            return Err(RegionError::Header("another incarnation"));
        }
        Ok(region)
    }

    /// One word of the header page.
    pub(crate) fn word(&self, index: usize) -> &AtomicU64 {
        debug_assert!(index < HEADER_WORDS, "not in the header page");
        &self.mapping.words()[index]
    }

    /// The words from `start` on, `count` of them; `None` when the region is shorter.
    pub(crate) fn part(&self, start: usize, count: usize) -> Option<SharedWords> {
        let part = self.mapping.words().get(start..start.checked_add(count)?)?;
        Some(SharedWords { first: NonNull::from(part).cast(), count, _mapping: Arc::clone(&self.mapping) })
    }

    /// The ring behind the header page. The region is whole pages, so how much of it is the ring stands in the
    /// first free word; read once, before the peer can have changed it or checked like anything from the peer.
    pub(crate) fn ring(&self) -> Result<SharedWords, RegionError> {
        let words = usize::try_from(self.word(WORD_OWN).load(Ordering::Relaxed)).ok();
        let ring = words.and_then(|words| self.part(HEADER_WORDS, words));
        ring.ok_or(RegionError::Header("a ring beyond the region"))
    }

    /// The descriptor to hand to the peer.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// A second, read-only descriptor of the same memory.
    ///
    /// By itself it is no protection, since its holder may open it again; the seal FUTURE_WRITE is.
    pub(crate) fn reopen_read_only(&self) -> Result<OwnedFd, RegionError> {
        reopen(self.fd.as_fd(), OFlags::RDONLY)
    }
}

/// Opens what a descriptor refers to once more.
pub(crate) fn reopen(fd: BorrowedFd<'_>, access: OFlags) -> Result<OwnedFd, RegionError> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::fs::open(path, access | OFlags::CLOEXEC, Mode::empty()).map_err(system("reopen"))
}

/// Takes a region that somebody else made, for reading.
pub(crate) fn open_read_only(fd: BorrowedFd<'_>, purpose: Purpose) -> Result<ReadWords, RegionError> {
    Ok(ReadWords { mapping: map_foreign(fd, purpose, ProtFlags::READ)? })
}

/// What the header page of a fresh region says.
fn header(purpose: Purpose, bytes: usize, incarnation: u64) -> [(usize, u64); 5] {
    [
        (WORD_MAGIC, MAGIC),
        (WORD_VERSION, u64::from(LAYOUT_VERSION) | (purpose as u64) << 32),
        (WORD_ABI, ABI_HASH),
        (WORD_SIZE, bytes as u64),
        (WORD_INCARNATION, incarnation),
    ]
}

/// Seals and size first, then the mapping, then the header.
fn map_foreign(
    fd: BorrowedFd<'_>,
    purpose: Purpose,
    protection: ProtFlags,
) -> Result<Arc<Mapping>, RegionError> {
    let seals = rustix::fs::fcntl_get_seals(fd).map_err(system("read the seals of"))?;
    if !seals.contains(purpose.seals()) {
        return Err(RegionError::Unsealed);
    }
    let size = rustix::fs::fstat(fd).map_err(system("measure"))?.st_size as u64;
    if size <= HEADER as u64 || size > MAX_REGION || !size.is_multiple_of(HEADER as u64) {
        return Err(RegionError::Size(size));
    }
    let mapping = Mapping::new(fd, size as usize, protection)?;
    let words = mapping.words();
    for (word, expected) in header(purpose, size as usize, 0) {
        let found = words[word].load(Ordering::Relaxed);
        let wrong = match word {
            WORD_MAGIC => "not a Sterna region",
            WORD_VERSION => "another layout version or purpose",
            WORD_ABI => "other record layouts",
            WORD_SIZE => "a size that is not its own",
            _ => continue,
        };
        if found != expected {
            return Err(RegionError::Header(wrong));
        }
    }
    Ok(Arc::new(mapping))
}

#[cfg(test)]
mod test;
