//! Waking the other side: an eventfd, rung at most once per sleep.
//!
//! The producer publishes and then calls `ring`; the consumer waits on the eventfd, calls `drain`, and pops until
//! the ring is empty before it waits again.
//! A gate word in the ring's memory saves the system call in between: `ring` writes the eventfd only when the gate
//! is open and closes it, `drain` opens it again.
//! So a consumer that polls its ring and never drains costs the producer one system call in all, and one that
//! sleeps cannot be missed: either its look at the ring comes after the publication, or the producer's look at the
//! gate comes after its opening (a SeqCst fence on both sides; the loom model `doorbell_wakes` shows it).
//!
//! The gate is the peer's to spoil, but it can only spoil its own being heard.
//! What the peer could do with the eventfd itself (make it blocking and fill its count) takes a process of our own
//! user, which could as well kill us; the check of the peer's user in `handshake` is the wall there.

use crate::ring::GATE;
use crate::sync::{AtomicU64, Ordering, fence};
use crate::words::Words;

/// A fresh ring is all zero, so its gate is open.
const OPEN: u64 = 0;
const CLOSED: u64 = 1;

fn gate(memory: &impl Words) -> &AtomicU64 {
    &memory.words()[GATE]
}

/// The producer's half: whether the eventfd has to be written now. Call after publishing.
#[inline]
pub(crate) fn must_ring(memory: &impl Words) -> bool {
    // Pairs with the fence in `reopen`: our publication comes before this fence, the consumer's look after its.
    fence(Ordering::SeqCst);
    if gate(memory).load(Ordering::Relaxed) == CLOSED {
        return false;
    }
    // Overwriting a `reopen` that comes just now is harmless: the eventfd is written after this store.
    gate(memory).store(CLOSED, Ordering::Relaxed);
    true
}

/// The consumer's half: from now on a publication rings. Call after emptying the eventfd, before popping.
#[inline]
pub(crate) fn reopen(memory: &impl Words) {
    gate(memory).store(OPEN, Ordering::Relaxed);
    // Pairs with the fence in `must_ring`: what was published before that fence is seen by our pops.
    fence(Ordering::SeqCst);
}

#[cfg(not(loom))]
pub use os::Doorbell;

#[cfg(not(loom))]
mod os {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

    use rustix::event::EventfdFlags;
    use rustix::io::Errno;

    use crate::region::SharedWords;

    /// A fresh eventfd for a doorbell.
    pub(crate) fn eventfd() -> io::Result<OwnedFd> {
        Ok(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
    }

    /// Whether a descriptor from the peer is an eventfd; writing eight bytes to anything else may do anything.
    pub(crate) fn is_eventfd(fd: BorrowedFd<'_>) -> bool {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        std::fs::read_link(path).is_ok_and(|target| target.as_os_str() == "anon_inode:[eventfd]")
    }

    /// The producer's end: rings.
    pub(crate) struct Bell {
        fd: OwnedFd,
        memory: SharedWords,
    }

    impl Bell {
        pub(crate) fn new(fd: OwnedFd, memory: SharedWords) -> Bell {
            Bell { fd, memory }
        }

        /// Wakes the consumer if it has not been rung since it last drained. Call after publishing.
        #[inline]
        pub(crate) fn ring(&self) {
            if super::must_ring(&self.memory) {
                write_one(self.fd.as_fd());
            }
        }
    }

    /// The consumer's end: poll its descriptor for reading.
    pub struct Doorbell {
        fd: OwnedFd,
        memory: SharedWords,
    }

    impl Doorbell {
        pub(crate) fn new(fd: OwnedFd, memory: SharedWords) -> Doorbell {
            Doorbell { fd, memory }
        }

        /// Silences the bell and asks to be rung again; returns whether it had been rung.
        ///
        /// Pop until the ring is empty after this and before waiting again; otherwise what is left in the ring
        /// waits for the next ring of the bell.
        pub fn drain(&self) -> bool {
            let mut count = [0; 8];
            let rung = loop {
                match rustix::io::read(&self.fd, &mut count) {
                    Err(Errno::INTR) => {}
                    other => break other.is_ok(),
                }
            };
            super::reopen(&self.memory);
            rung
        }
    }

    impl AsFd for Doorbell {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.fd.as_fd()
        }
    }

    #[cold]
    fn write_one(fd: BorrowedFd<'_>) {
        // EAGAIN means that the count is at its limit: the bell has been rung.
        while let Err(Errno::INTR) = rustix::io::write(fd, &1u64.to_ne_bytes()) {}
    }
}

#[cfg(not(loom))]
pub(crate) use os::{Bell, eventfd, is_eventfd};
