//! The port over AF_XDP: the rings of one xsk-rs socket.
//!
//! Every xsk-rs step is unsafe for one reason: a descriptor must name a chunk of this memory that the caller
//! may give away, or has got back. The pool's ledger is what knows that, and the table of descriptors here has
//! one per chunk, each made by xsk-rs for that chunk.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use xsk_rs::umem::frame::FrameDesc;
use xsk_rs::{CompQueue, FillQueue, RxQueue, TxQueue, Umem};

use crate::BURST;
use crate::frame::Frame;
use crate::granted::{Kicked, XdpStatistics};
use crate::membership::Membership;
use crate::pool::Pool;
use crate::sys;

/// Packets per system call when the kernel was not told otherwise (TX_BATCH_SIZE in net/xdp/xsk.c).
const KERNEL_BATCH: u32 = 32;

/// XDP_PKT_CONTD of linux/if_xdp.h: the packet goes on in the next descriptor.
const XDP_PKT_CONTD: u32 = 1;

/// How many frames from the front are whole packets.
#[inline]
fn whole_packets(frames: &[Frame]) -> usize {
    frames.iter().rposition(|frame| !frame.is_continued()).map_or(0, |last| last + 1)
}

/// The rings of one socket.
pub(crate) struct KernelRings {
    pub rx: RxQueue,
    pub tx: TxQueue,
    pub fill: FillQueue,
    pub comp: CompQueue,
    pub umem: Umem,
    /// For each chunk, a descriptor with the address where its packet starts.
    pub descs: Box<[FrameDesc]>,
    pub scratch: [FrameDesc; BURST],
    /// How many chunks the kernel shall have to receive into.
    pub fill_target: u32,
    pub tx_ring: u32,
    pub zero_copy: bool,
    /// Held for what its end does.
    pub _membership: Option<Membership>,
}

impl AsFd for KernelRings {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket is open as long as its queues, which `self` owns.
        unsafe { BorrowedFd::borrow_raw(self.rx.fd().as_raw_fd()) }
    }
}

impl KernelRings {
    pub(crate) fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Frame>, max: usize) -> usize {
        let before = into.len();
        while into.len() - before < max {
            let want = (max - (into.len() - before)).min(BURST);
            // SAFETY: `consume` overwrites the scratch descriptors; what they name is judged by the pool before
            // anything is read.
            let got = unsafe { self.rx.consume(&mut self.scratch[..want]) };
            for desc in &self.scratch[..got] {
                let Some(mut frame) = pool.receive(desc.addr(), desc.lengths().data()) else {
                    continue;
                };
                let known = &mut self.descs[frame.index() as usize];
                if known.addr() != desc.addr() {
                    // The XDP program or the driver moved the start of the packet within its chunk.
                    *known = *desc;
                    known.set_options(0);
                }
                frame.set_continued(desc.has_more_frames());
                into.push(frame);
            }
            if got < want {
                break;
            }
        }
        into.len() - before
    }

    pub(crate) fn fresh(&mut self, pool: &mut Pool) -> Option<Frame> {
        let index = pool.pop_free()?;
        Some(pool.hand_out_free(index, self.descs[index as usize].addr()))
    }

    /// Submits whole packets from the front; the caller has asked `Pool::owns` for every frame.
    pub(crate) fn submit(&mut self, pool: &mut Pool, frames: &mut Vec<Frame>) -> usize {
        let mut sent = 0;
        while sent < frames.len() {
            let want = (frames.len() - sent).min(BURST);
            // `produce` takes all or nothing, so never offer more than fits.
            let room = want.min(self.tx.nb_free(want as u32) as usize);
            let count = whole_packets(&frames[sent..sent + room]);
            for (desc, frame) in self.scratch.iter_mut().zip(&frames[sent..sent + count]) {
                *desc = self.descs[frame.index() as usize];
                // SAFETY: the descriptor is that of the frame's chunk, which the frame owns; nobody has borrowed
                // its bytes, since `frames` is borrowed mutably by us.
                unsafe { self.umem.data_mut(desc) }.cursor().set_pos(frame.len());
                desc.set_options(if frame.is_continued() { XDP_PKT_CONTD } else { 0 });
            }
            // SAFETY: each descriptor names the chunk of a frame that we own and, if `produce` takes it, give
            // up below without touching it again.
            if count == 0 || unsafe { self.tx.produce(&self.scratch[..count]) } != count {
                break;
            }
            sent += count;
        }
        for frame in frames.drain(..sent) {
            pool.lend_to_tx(frame);
        }
        sent
    }

    fn backlog(&mut self) -> u32 {
        self.tx_ring.saturating_sub(self.tx.nb_free_exact())
    }

    /// Calls sendto until the tx ring is empty or nothing moves any more.
    ///
    /// In copy mode the system call is the transmission: the kernel sends a batch and answers EAGAIN when there
    /// is more. The bound keeps a worker from staying here while it could receive.
    pub(crate) fn kick(&mut self, pool: &mut Pool) -> Kicked {
        let mut kicked = Kicked { backlog: self.backlog(), ..Kicked::default() };
        let bound = self.tx_ring / KERNEL_BATCH + 2;
        while kicked.backlog > 0 && kicked.calls < bound && (!self.zero_copy || self.tx.needs_wakeup()) {
            kicked.calls += 1;
            let answer = sys::kick_tx(self.as_fd());
            // Makes room in the completion ring; a full one stops sending too.
            self.reap(pool);
            let before = std::mem::replace(&mut kicked.backlog, self.backlog());
            match answer {
                Ok(()) | Err(libc::EAGAIN | libc::EINTR) => (),
                // The kernel dropped one packet after taking its descriptor (NET_XMIT_DROP). With zero-copy the
                // packets stay in the ring.
                Err(libc::EBUSY) if !self.zero_copy => kicked.lost_busy += 1,
                Err(libc::EBUSY | libc::ENOBUFS) => break,
                Err(libc::ENETDOWN) => kicked.down = true,
                Err(libc::ENXIO) => kicked.gone = true,
                Err(other) => kicked.error = Some(other),
            }
            if kicked.backlog == before {
                break;
            }
        }
        kicked
    }

    /// Takes back what was sent.
    fn reap(&mut self, pool: &mut Pool) {
        loop {
            // SAFETY: as in `receive`: overwritten, then judged by the pool. Completions carry no length; only
            // their address is used.
            let got = unsafe { self.comp.consume(&mut self.scratch) };
            for desc in &self.scratch[..got] {
                if let Some(index) = pool.complete(desc.addr()) {
                    pool.push_free(index);
                }
            }
            if got < BURST {
                return;
            }
        }
    }

    pub(crate) fn maintain(&mut self, pool: &mut Pool) {
        self.reap(pool);
        self.refill(pool);
        if self.fill.needs_wakeup() {
            sys::kick_rx(self.as_fd());
        }
    }

    /// Lends free chunks until the kernel has its share. What the ring refuses, though it should have room
    /// (seen right after a receive), stays free and is offered again next time.
    pub(crate) fn refill(&mut self, pool: &mut Pool) {
        while pool.fill_len() < self.fill_target {
            let want = (self.fill_target - pool.fill_len()).min(BURST as u32).min(pool.free_len());
            let room = want.min(self.fill.nb_free(want)) as usize;
            let mut chosen = [0; BURST];
            let mut count = 0;
            while count < room
                && let Some(index) = pool.pop_free()
            {
                chosen[count] = index;
                self.scratch[count] = self.descs[index as usize];
                count += 1;
            }
            // SAFETY: each descriptor names a chunk that was just popped from the free list, so neither a frame
            // nor the kernel has it.
            let taken = count > 0 && unsafe { self.fill.produce(&self.scratch[..count]) } == count;
            for &index in &chosen[..count] {
                if taken { pool.lend_to_fill(index) } else { pool.push_free(index) }
            }
            if !taken {
                return;
            }
        }
    }

    pub(crate) fn may_wait(&mut self, pool: &Pool) -> bool {
        self.backlog() == 0 && pool.fill_len() >= self.fill_target / 2
    }

    pub(crate) fn statistics(&self) -> XdpStatistics {
        let Ok(counted) = self.rx.fd().xdp_statistics() else {
            return XdpStatistics::default();
        };
        XdpStatistics {
            rx_dropped: counted.rx_dropped(),
            rx_invalid_descs: counted.rx_invalid_descs(),
            tx_invalid_descs: counted.tx_invalid_descs(),
            rx_ring_full: counted.rx_ring_full(),
            rx_fill_ring_empty: counted.rx_fill_ring_empty_descs(),
            tx_ring_empty: counted.tx_ring_empty_descs(),
        }
    }
}
