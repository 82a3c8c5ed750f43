//! The port in plain memory: the same face and the same rings, and a [`Wire`] in place of the kernel.
//!
//! A packet put on the wire waits until the port receives it into a chunk of its fill ring.
//! A transmitted frame stays in the tx ring until a kick, and its chunk stays lent until the wire's holder has
//! collected the packet, as with a kernel whose peer is slow; without a holder it completes at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::frame::Frame;
use crate::granted::{Granted, Kicked, Mode, XdpStatistics};
use crate::pool::Pool;
use crate::port::{Backend, Identity, Port};
use crate::region::{HEADROOM, Heap, Region, chunk_size};

/// How to make a port in memory.
#[derive(Clone, Debug)]
pub struct MemoryOptions {
    /// The port's name.
    pub name: String,
    /// Its interface index.
    pub ifindex: u32,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Its MTU in bytes; above 1,774 the chunks are 4096 bytes.
    pub mtu: u32,
    /// Chunks of packet memory, at least 1.
    pub frames: u32,
    /// Descriptors in the rx ring: how many packets wait on the wire at most.
    pub rx_ring: u32,
    /// Descriptors in the tx ring, and how many sent packets may wait for the wire's holder.
    pub tx_ring: u32,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self {
            name: "mem0".to_owned(),
            ifindex: 1,
            mac: [0x02, 0x53, 0x54, 0, 0, 1],
            mtu: 1500,
            frames: 4096,
            rx_ring: 1024,
            tx_ring: 1024,
        }
    }
}

/// Makes a port in memory and the far end of its wire.
pub fn memory_port(options: &MemoryOptions) -> (Port, Wire) {
    let state = WireState { limit: options.rx_ring as usize, ..WireState::default() };
    let shared = Arc::new(Mutex::new(state));
    let port = assemble(options, Source::Wire(Arc::clone(&shared)), |_, _| ());
    let capacity = port.frame_capacity();
    (port, Wire { shared, capacity })
}

/// Makes a port for benches that receives the same packets over and over, without copying them.
///
/// Packet `i` lies in chunk `i` for good: a received frame that comes back waits behind all others before it is
/// received again, with its first length and whatever bytes the application left in it.
/// [`Port::fresh`] takes the other chunks only; what is transmitted completes at the next kick.
/// Packets beyond `options.frames` or too long for a frame are left out.
pub fn cycling_port<'a>(options: &MemoryOptions, packets: impl IntoIterator<Item = &'a [u8]>) -> Port {
    assemble(options, Source::Cycle { lengths: Vec::new() }, |rings, pool| {
        let mut lengths = Vec::new();
        for packet in packets {
            let Some(mut frame) = rings.fresh(pool) else { break };
            let fits = frame.write(packet);
            let index = pool.release(frame);
            if fits {
                lengths.push(packet.len() as u32);
                rings.push_fill(pool, index);
            } else {
                pool.push_free(index);
            }
        }
        rings.source = Source::Cycle { lengths };
    })
}

fn assemble(options: &MemoryOptions, source: Source, load: impl FnOnce(&mut MemoryRings, &mut Pool)) -> Port {
    let chunk_size = chunk_size(options.mtu).unwrap_or(4096);
    let frames = options.frames.max(1);
    let mut pool = Pool::new(Region::Heap(Heap::new(frames, chunk_size)));
    let mut rings = MemoryRings {
        source,
        fill: VecDeque::with_capacity(frames as usize),
        tx: VecDeque::with_capacity(options.tx_ring as usize),
        fill_target: options.rx_ring.saturating_mul(2).min(frames / 2).max(1),
        tx_ring: options.tx_ring as usize,
        chunk_size,
    };
    load(&mut rings, &mut pool);
    let granted = Granted {
        mode: Mode::Memory,
        zero_copy: false,
        queue: 0,
        rx_ring: options.rx_ring,
        tx_ring: options.tx_ring,
        frames,
        frame_size: chunk_size as u32,
        tx_budget: None,
        huge_pages: false,
        multi_buffer: false,
    };
    let identity =
        Identity { name: options.name.clone(), ifindex: options.ifindex, mac: options.mac, mtu: options.mtu };
    let mut port = Port::new(Backend::Memory(rings), pool, identity, granted);
    port.maintain();
    port
}

//------------ Wire ------------------------------------------------------------------------------------------

/// The far end of a memory port. It may be used from another thread.
pub struct Wire {
    shared: Arc<Mutex<WireState>>,
    capacity: usize,
}

#[derive(Default)]
struct WireState {
    /// Packets to be received.
    inbound: VecDeque<Vec<u8>>,
    /// How many may wait.
    limit: usize,
    /// Packets sent, with the chunk's offset.
    outbound: VecDeque<(usize, Vec<u8>)>,
    /// Offsets of collected chunks, to be completed.
    completed: Vec<usize>,
    down: bool,
    lose: u64,
    statistics: XdpStatistics,
}

fn lock(shared: &Mutex<WireState>) -> MutexGuard<'_, WireState> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wire {
    /// Puts a packet on the wire, to be received next; false when the rx ring is full or it cannot fit a frame.
    pub fn inject(&self, packet: &[u8]) -> bool {
        let mut state = lock(&self.shared);
        if packet.len() > self.capacity {
            state.statistics.rx_dropped += 1;
            return false;
        }
        if state.inbound.len() >= state.limit {
            state.statistics.rx_ring_full += 1;
            return false;
        }
        state.inbound.push_back(packet.to_vec());
        true
    }

    /// Takes all packets that were transmitted and kicked, oldest first, and completes their chunks.
    pub fn collect(&self) -> Vec<Vec<u8>> {
        let mut state = lock(&self.shared);
        let sent = std::mem::take(&mut state.outbound);
        sent.into_iter()
            .map(|(offset, packet)| {
                state.completed.push(offset);
                packet
            })
            .collect()
    }

    /// Packets that the port has not received yet.
    pub fn waiting(&self) -> usize {
        lock(&self.shared).inbound.len()
    }

    /// Takes the link down or up: while it is down a kick sends nothing and says so.
    pub fn set_down(&self, down: bool) {
        lock(&self.shared).down = down;
    }

    /// Makes the next `packets` sent packets get lost, as EBUSY does in copy mode.
    pub fn lose(&self, packets: u64) {
        lock(&self.shared).lose += packets;
    }
}

//------------ MemoryRings -----------------------------------------------------------------------------------

/// Where received packets come from and sent ones go.
enum Source {
    Wire(Arc<Mutex<WireState>>),
    /// Chunks below `lengths.len()` are received in turn, with these lengths.
    Cycle {
        lengths: Vec<u32>,
    },
}

/// The rings of a memory port.
pub(crate) struct MemoryRings {
    source: Source,
    fill: VecDeque<u32>,
    /// Chunk offset of the packet, and its length.
    tx: VecDeque<(usize, u32)>,
    fill_target: u32,
    tx_ring: usize,
    chunk_size: usize,
}

impl MemoryRings {
    fn packet_offset(&self, index: u32) -> usize {
        index as usize * self.chunk_size + HEADROOM
    }

    pub(crate) fn fresh(&mut self, pool: &mut Pool) -> Option<Frame> {
        let index = pool.pop_free()?;
        Some(pool.hand_out_free(index, self.packet_offset(index)))
    }

    pub(crate) fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Frame>, max: usize) -> usize {
        let before = into.len();
        match &self.source {
            Source::Wire(shared) => {
                let mut state = lock(shared);
                while into.len() - before < max && !state.inbound.is_empty() {
                    let Some(index) = self.fill.pop_front() else {
                        state.statistics.rx_fill_ring_empty += 1;
                        break;
                    };
                    let packet = state.inbound.pop_front().unwrap_or_default();
                    let offset = self.packet_offset(index);
                    if let Some(mut frame) = pool.receive(offset, packet.len()) {
                        frame.bytes_mut().copy_from_slice(&packet);
                        into.push(frame);
                    }
                }
            }
            Source::Cycle { lengths } => {
                for _ in 0..max.min(self.fill.len()) {
                    let Some(index) = self.fill.pop_front() else { break };
                    let length = lengths.get(index as usize).copied().unwrap_or(0);
                    into.extend(pool.receive(self.packet_offset(index), length as usize));
                }
            }
        }
        into.len() - before
    }

    /// How many frames `submit` takes now.
    pub(crate) fn tx_room(&self) -> usize {
        self.tx_ring - self.tx.len()
    }

    /// Puts a frame on the tx ring; the caller has asked `tx_room` and `Pool::owns`.
    pub(crate) fn submit(&mut self, pool: &mut Pool, frame: Frame) {
        let length = frame.len() as u32;
        let index = pool.lend_to_tx(frame);
        self.tx.push_back((self.packet_offset(index), length));
    }

    pub(crate) fn kick(&mut self, pool: &mut Pool) -> Kicked {
        let mut kicked = Kicked { calls: u32::from(!self.tx.is_empty()), ..Kicked::default() };
        match &self.source {
            Source::Wire(shared) => {
                let watched = Arc::strong_count(shared) > 1;
                let mut state = lock(shared);
                kicked.down = state.down;
                while !state.down && state.outbound.len() < self.tx_ring {
                    let Some((offset, length)) = self.tx.pop_front() else {
                        break;
                    };
                    if state.lose > 0 {
                        state.lose -= 1;
                        kicked.lost_busy += 1;
                        state.completed.push(offset);
                    } else if watched {
                        let packet = pool.lent_bytes(offset, length as usize).to_vec();
                        state.outbound.push_back((offset, packet));
                    } else {
                        state.completed.push(offset);
                    }
                }
            }
            Source::Cycle { .. } => {
                while let Some((offset, _)) = self.tx.pop_front() {
                    if let Some(index) = pool.complete(offset) {
                        self.take_home(pool, index);
                    }
                }
            }
        }
        kicked.backlog = self.tx.len() as u32;
        kicked
    }

    /// A chunk that came home goes where its next use is.
    pub(crate) fn take_home(&mut self, pool: &mut Pool, index: u32) {
        match &self.source {
            Source::Cycle { lengths } if (index as usize) < lengths.len() => self.push_fill(pool, index),
            _ => pool.push_free(index),
        }
    }

    fn push_fill(&mut self, pool: &mut Pool, index: u32) {
        pool.lend_to_fill(index);
        self.fill.push_back(index);
    }

    /// Completions to the pool, the pool to the fill ring.
    pub(crate) fn maintain(&mut self, pool: &mut Pool) {
        let Source::Wire(shared) = &self.source else {
            return;
        };
        let completed = {
            let mut state = lock(shared);
            if Arc::strong_count(shared) == 1 {
                // Nobody will collect these.
                let WireState { outbound, completed, .. } = &mut *state;
                completed.extend(outbound.drain(..).map(|(offset, _)| offset));
            }
            std::mem::take(&mut state.completed)
        };
        for offset in completed {
            if let Some(index) = pool.complete(offset) {
                pool.push_free(index);
            }
        }
        while pool.fill_len() < self.fill_target {
            let Some(index) = pool.pop_free() else { break };
            self.push_fill(pool, index);
        }
    }

    pub(crate) fn statistics(&self) -> XdpStatistics {
        match &self.source {
            Source::Wire(shared) => lock(shared).statistics,
            Source::Cycle { .. } => XdpStatistics::default(),
        }
    }
}
