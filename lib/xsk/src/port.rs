//! A port: one queue of one interface, or a stand-in for it in memory, with one face for both.
//!
//! A port and its frames belong to one worker thread; nothing here is shared, locked or allocated per packet.

use std::os::fd::{AsFd, BorrowedFd};

use crate::frame::Frame;
use crate::granted::{Granted, Kicked, Mode, XdpStatistics};
use crate::kernel::KernelRings;
use crate::memory::MemoryRings;
use crate::pool::{Anomalies, Ledger, Pool};
use crate::region::HEADROOM;

/// The shortest frame that is sent, in bytes: an Ethernet header. The kernel drops shorter ones, some of them
/// without giving their chunk back.
const SHORTEST: usize = 14;

/// Who a port is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub name: String,
    pub ifindex: u32,
    pub mac: [u8; 6],
    pub mtu: u32,
}

/// What stands behind a port.
pub(crate) enum Backend {
    Kernel(Box<KernelRings>),
    Memory(MemoryRings),
}

/// One queue of one interface, with its packet memory.
///
/// Open one with [`Port::open`] or make one with [`memory_port`](crate::memory_port).
/// The turn of a worker is: `receive`, work, `transmit`, `release`, `kick`, `maintain`.
pub struct Port {
    // Declared first, so dropped first: the sockets close before the memory goes.
    backend: Backend,
    pool: Pool,
    identity: Identity,
    granted: Granted,
}

impl Port {
    pub(crate) fn new(backend: Backend, pool: Pool, identity: Identity, granted: Granted) -> Self {
        Self { backend, pool, identity, granted }
    }

    /// Takes up to `max` received packets and appends them; gives how many.
    pub fn receive(&mut self, into: &mut Vec<Frame>, max: usize) -> usize {
        match &mut self.backend {
            Backend::Kernel(rings) => rings.receive(&mut self.pool, into, max),
            Backend::Memory(rings) => rings.receive(&mut self.pool, into, max),
        }
    }

    /// Appends up to `count` free frames of length 0 to write packets into; gives how many.
    pub fn fresh(&mut self, into: &mut Vec<Frame>, count: usize) -> usize {
        let before = into.len();
        for _ in 0..count {
            let frame = match &mut self.backend {
                Backend::Kernel(rings) => rings.fresh(&mut self.pool),
                Backend::Memory(rings) => rings.fresh(&mut self.pool),
            };
            match frame {
                Some(frame) => into.push(frame),
                None => break,
            }
        }
        into.len() - before
    }

    /// Submits frames from the front, as many as the tx ring takes, removes them and gives how many.
    ///
    /// What stays is the caller's to count and release. Frames of other ports, frames shorter than an
    /// Ethernet header, and parts of packets at a port without [`Granted::multi_buffer`] are never submitted: they
    /// are counted and stay too. A packet of several frames is taken whole or not at all.
    /// Nothing leaves in copy mode before [`Self::kick`].
    pub fn transmit(&mut self, frames: &mut Vec<Frame>) -> usize {
        let mut refused = Vec::new();
        if frames.iter().any(|frame| !self.may_send(frame)) {
            self.set_aside(frames, &mut refused);
        }
        let sent = match &mut self.backend {
            Backend::Kernel(rings) => rings.submit(&mut self.pool, frames),
            Backend::Memory(rings) => {
                let count = rings.tx_room().min(frames.len());
                frames.drain(..count).for_each(|frame| rings.submit(&mut self.pool, frame));
                count
            }
        };
        frames.append(&mut refused);
        sent
    }

    #[inline]
    fn may_send(&self, frame: &Frame) -> bool {
        self.pool.owns(frame)
            && frame.len() >= SHORTEST
            && (self.granted.multi_buffer || !frame.is_continued())
    }

    #[cold]
    fn set_aside(&mut self, frames: &mut Vec<Frame>, refused: &mut Vec<Frame>) {
        for frame in std::mem::take(frames) {
            if self.may_send(&frame) {
                frames.push(frame);
                continue;
            }
            let is_ours = self.pool.owns(&frame);
            let anomalies = &mut self.pool.anomalies;
            *match (is_ours, frame.is_continued()) {
                (false, _) => &mut anomalies.foreign_frames,
                (true, true) => &mut anomalies.unjoined_frames,
                (true, false) => &mut anomalies.runt_frames,
            } += 1;
            refused.push(frame);
        }
    }

    /// Gives frames back. A frame of another port is counted and finds its way to that port.
    pub fn release(&mut self, frames: &mut Vec<Frame>) {
        for frame in frames.drain(..) {
            if !self.pool.owns(&frame) {
                self.pool.anomalies.foreign_frames += 1;
                drop(frame);
                continue;
            }
            let index = self.pool.release(frame);
            match &mut self.backend {
                Backend::Kernel(_) => self.pool.push_free(index),
                Backend::Memory(rings) => rings.take_home(&mut self.pool, index),
            }
        }
    }

    /// Makes the kernel send what was submitted; a bounded number of system calls, none when nothing waits.
    pub fn kick(&mut self) -> Kicked {
        match &mut self.backend {
            Backend::Kernel(rings) => rings.kick(&mut self.pool),
            Backend::Memory(rings) => rings.kick(&mut self.pool),
        }
    }

    /// Takes back what was sent and refills the fill ring. Call it every turn, idle or not.
    pub fn maintain(&mut self) {
        let Self { backend, pool, .. } = self;
        pool.collect_dropped(|pool, index| match backend {
            Backend::Kernel(_) => pool.push_free(index),
            Backend::Memory(rings) => rings.take_home(pool, index),
        });
        match backend {
            Backend::Kernel(rings) => rings.maintain(pool),
            Backend::Memory(rings) => rings.maintain(pool),
        }
    }

    /// The descriptor to wait on for received packets (POLLIN); `None` for a port in memory.
    ///
    /// Do not wait while [`Self::may_wait`] is false.
    pub fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.backend {
            Backend::Kernel(rings) => Some(rings.as_fd()),
            Backend::Memory(_) => None,
        }
    }

    /// Whether it is safe to sleep: the kernel has chunks to receive into, and nothing waits to be sent.
    /// With an empty fill ring no packet would ever wake the sleeper.
    pub fn may_wait(&mut self) -> bool {
        match &mut self.backend {
            Backend::Kernel(rings) => rings.may_wait(&self.pool),
            Backend::Memory(rings) => rings.tx_room() == self.granted.tx_ring as usize,
        }
    }

    /// How many of the port's chunks are where.
    pub fn ledger(&self) -> Ledger {
        self.pool.ledger()
    }

    /// The same, counted anew chunk by chunk: slow, for tests and shutdown reports.
    pub fn audit(&self) -> Ledger {
        self.pool.audit()
    }

    /// What went wrong so far; all zero in a healthy port.
    pub fn anomalies(&self) -> Anomalies {
        self.pool.anomalies
    }

    /// What was granted.
    pub fn granted(&self) -> Granted {
        self.granted
    }

    /// Notes how the XDP program is attached, for [`Granted::mode`].
    pub fn set_mode(&mut self, mode: Mode) {
        self.granted.mode = mode;
    }

    /// The kernel's counters of this socket; all zero when it cannot be asked.
    pub fn statistics(&mut self) -> XdpStatistics {
        match &mut self.backend {
            Backend::Kernel(rings) => rings.statistics(),
            Backend::Memory(rings) => rings.statistics(),
        }
    }

    /// The largest packet that a fresh frame holds, in bytes, Ethernet header included.
    pub fn frame_capacity(&self) -> usize {
        self.granted.frame_size as usize - HEADROOM
    }

    /// The interface's hardware address when the port was opened.
    pub fn mac(&self) -> [u8; 6] {
        self.identity.mac
    }

    /// The interface's MTU in bytes when the port was opened.
    pub fn mtu(&self) -> u32 {
        self.identity.mtu
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// The interface's index.
    pub fn ifindex(&self) -> u32 {
        self.identity.ifindex
    }
}
