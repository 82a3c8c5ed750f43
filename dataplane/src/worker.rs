//! The poll loop: one thread, pinned, with a queue of each port to itself.

use crate::checks::Ask;
use crate::counters::{Basic, Tally, set_gauge};
use crate::gateway_port::send_answers;
use crate::neighbor::ask_host;
use crate::parcels::Mail;
use crate::release::release_held;
use crate::state::{Egress, FRESH, WorkerState};
use crate::step::{Verdicts, step_burst};
use crate::tables::Tables;
use crate::verdict::DropReason;
use arrayvec::ArrayVec;
use crossbeam_queue::ArrayQueue;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::OwnedFd;
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use sterna_shm::CounterBlock;
use sterna_table::Reader;
use sterna_xsk::{BURST, Frame, Mode, Port};

/// Ports that a worker can sleep on at once.
pub const MAX_PORTS: usize = 64;
/// Ports and the bell.
const MAX_FDS: usize = MAX_PORTS + 1;
/// Between two looks at rings, ledger and kernel statistics.
const HOUSEKEEPING_NS: u64 = 1_000_000_000;
/// Between two tries to release held packets when no table changed (next hops resolve without telling).
const RELEASE_NS: u64 = 1_000_000;

/// What a worker does when it finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Never sleep.
    Spin,
    /// Sleep on the sockets after some empty turns.
    Sleep {
        /// Empty turns before sleeping.
        after_turns: u32,
        /// Longest sleep, ms.
        at_most_ms: u32,
    },
}

/// What the conductor and its workers share.
pub struct Shared {
    /// Workers end when this is set.
    pub stop: AtomicBool,
    /// Grows with every change of the tables.
    pub tables_version: AtomicU64,
    /// Events that found no room on their way to the control plane, since they were last counted.
    pub events_lost: AtomicU64,
    /// Updates that found a table full, since they were last counted.
    pub updates_refused: AtomicU64,
    /// Wakes the conductor.
    pub conductor: OwnedFd,
    /// What agents and the control plane say to each other.
    pub mail: Arc<Mail>,
    /// Hosts to ask for by ARP or neighbour discovery, and what wakes the worker that does it and sends answers.
    pub asks: ArrayQueue<Ask>,
    /// See `asks`.
    pub asker: OwnedFd,
}

/// Questions that may wait for their worker; those beyond are asked at the next try.
const ASKS: usize = 256;

impl Shared {
    /// Nothing yet. Errors: no descriptors left.
    pub fn new() -> std::io::Result<Shared> {
        let bell = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        Ok(Shared {
            stop: AtomicBool::new(false),
            tables_version: AtomicU64::new(0),
            events_lost: AtomicU64::new(0),
            updates_refused: AtomicU64::new(0),
            conductor: bell()?,
            mail: Arc::default(),
            asks: ArrayQueue::new(ASKS),
            asker: bell()?,
        })
    }

    /// Has a worker ask for these hosts.
    pub fn ask(&self, asks: impl IntoIterator<Item = Ask>) {
        let mut any = false;
        for ask in asks {
            any |= self.asks.push(ask).is_ok();
        }
        if any {
            self.wake_asker();
        }
    }

    /// Wakes the worker that asks and answers.
    pub fn wake_asker(&self) {
        ring(&self.asker);
    }
}

/// Rings a bell. Full means that it has been rung and nobody has looked yet.
fn ring(bell: &OwnedFd) {
    let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
}

/// One worker.
pub struct Worker {
    ports: Vec<Option<Port>>,
    blocks: Vec<CounterBlock>,
    tables: Tables,
    reader: Reader,
    state: WorkerState,
    idle: Idle,
    shared: Arc<Shared>,
    is_first: bool,
    rx: Vec<Frame>,
    verdicts: Verdicts,
    seen_version: u64,
    next_release_ns: u64,
    next_housekeeping_ns: u64,
}

/// What a worker is made of.
pub struct WorkerParts {
    /// By port index: this worker's queue of it.
    pub ports: Vec<Option<Port>>,
    /// By port index: where to count.
    pub blocks: Vec<CounterBlock>,
    /// The tables.
    pub tables: Tables,
    /// This thread's place among their readers.
    pub reader: Reader,
    /// Hold pool, flows, limits.
    pub state: WorkerState,
    /// When to sleep.
    pub idle: Idle,
    /// What it shares with the conductor.
    pub shared: Arc<Shared>,
    /// One worker asks for hosts, and accounts for what the conductor lost and refused.
    pub is_first: bool,
}

/// Monotonic time, ns.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Neither is negative on a monotonic clock.
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

impl Worker {
    /// A worker ready to run.
    pub fn new(parts: WorkerParts) -> Worker {
        let WorkerParts { ports, blocks, tables, reader, mut state, idle, shared, is_first } = parts;
        state.gate.lead_to(&shared.mail);
        Worker {
            ports,
            blocks,
            tables,
            reader,
            state,
            idle,
            shared,
            is_first,
            rx: Vec::with_capacity(BURST),
            verdicts: Verdicts::new(),
            seen_version: 0,
            next_release_ns: 0,
            next_housekeeping_ns: 0,
        }
    }

    /// Polls until told to stop.
    pub fn run(&mut self) {
        let mut empty_turns = 0u32;
        while !self.shared.stop.load(Ordering::Relaxed) {
            if self.turn() {
                empty_turns = 0;
                continue;
            }
            empty_turns = empty_turns.saturating_add(1);
            match self.idle {
                Idle::Sleep { after_turns, at_most_ms } if empty_turns > after_turns => {
                    self.sleep(at_most_ms)
                }
                _ => sterna_cpu::pause(),
            }
        }
        self.settle();
    }

    /// One look at every port; true if anything was there.
    pub fn turn(&mut self) -> bool {
        self.turn_at(now_ns())
    }

    /// The same at a given monotonic time, ns: tests and benches bring their own clock.
    pub fn turn_at(&mut self, now_ns: u64) -> bool {
        self.state.now_ns = now_ns;
        let mut busy = false;
        for at in 0..self.ports.len() {
            busy |= self.serve(at);
        }
        if self.is_first && !(self.shared.asks.is_empty() && self.shared.mail.down.is_empty()) {
            self.ask();
            busy = true;
        }
        if !self.state.hold.is_empty() {
            self.release();
        }
        if self.state.now_ns >= self.next_housekeeping_ns {
            self.next_housekeeping_ns = self.state.now_ns + HOUSEKEEPING_NS;
            self.housekeeping();
        }
        if busy || self.state.uplink_rung {
            self.settle();
            self.ring_conductor();
        }
        busy
    }

    /// One burst of one port, from its receive ring to the transmit rings.
    fn serve(&mut self, at: usize) -> bool {
        let Some(port) = self.ports.get_mut(at).and_then(Option::as_mut) else { return false };
        if port.receive(&mut self.rx, BURST) == 0 {
            self.state.tallies[at].add(Basic::EmptyPolls, 1);
            port.maintain();
            // What the kernel did not take at the last kick.
            transmit_ready(port, &mut self.state, at);
            return false;
        }
        self.state.tallies[at].add(Basic::Bursts, 1);
        self.refresh_frames();
        let view = self.tables.view(&mut self.reader);
        step_burst(&view, &mut self.state, at as u16, &self.rx, &mut self.verdicts);
        drop(view);
        if let Some(port) = self.ports.get_mut(at).and_then(Option::as_mut) {
            port.release(&mut self.rx);
            port.maintain();
        }
        self.transmit();
        true
    }

    /// Sees to it that every port has the frames that one burst may need.
    fn refresh_frames(&mut self) {
        for (port, egress) in self.ports.iter_mut().zip(&mut self.state.egress) {
            let missing = FRESH.saturating_sub(egress.fresh.len());
            if let (Some(port), true) = (port, missing >= BURST || egress.fresh.is_empty()) {
                port.maintain();
                port.fresh(&mut egress.fresh, missing);
            }
        }
    }

    fn transmit(&mut self) {
        for (at, port) in self.ports.iter_mut().enumerate() {
            let Some(port) = port else { continue };
            transmit_ready(port, &mut self.state, at);
        }
    }

    fn release(&mut self) {
        let version = self.shared.tables_version.load(Ordering::Acquire);
        if version == self.seen_version && self.state.now_ns < self.next_release_ns {
            return;
        }
        self.seen_version = version;
        self.next_release_ns = self.state.now_ns + RELEASE_NS;
        // Each port adds at most a burst per turn; twice as many rounds outrun that, so that a queue drains under
        // full load.
        let rounds = 2 * self.ports.len() + 2;
        for round in 0..rounds {
            self.refresh_frames();
            let view = self.tables.view(&mut self.reader);
            let released = release_held(&view, &mut self.state);
            drop(view);
            self.transmit();
            if !released {
                break;
            }
            if round + 1 == rounds {
                self.next_release_ns = self.state.now_ns;
            }
        }
        self.settle();
        self.ring_conductor();
    }

    /// Sends the questions and answers that the conductor wants sent.
    fn ask(&mut self) {
        let mut bell = [0; 8];
        // Not readable means not rung; the queue is looked at all the same.
        let _ = rustix::io::read(&self.shared.asker, &mut bell);
        self.refresh_frames();
        let view = self.tables.view(&mut self.reader);
        // No more per turn than there are fresh frames for.
        for _ in 0..BURST {
            let Some(ask) = self.shared.asks.pop() else { break };
            ask_host(&view, &mut self.state, &ask);
        }
        send_answers(&view, &mut self.state, &self.shared.mail.down);
        drop(view);
        self.transmit();
    }

    fn settle(&mut self) {
        for (tally, block) in self.state.tallies.iter_mut().zip(&self.blocks) {
            tally.settle(block);
        }
    }

    fn ring_conductor(&mut self) {
        if std::mem::take(&mut self.state.uplink_rung) {
            ring(&self.shared.conductor);
        }
    }

    fn housekeeping(&mut self) {
        if self.is_first {
            for (counter, since) in [
                (Basic::EventsLost, &self.shared.events_lost),
                (Basic::UpdatesRefused, &self.shared.updates_refused),
                (Basic::ContextLost, &self.shared.mail.lost),
                (Basic::ContextAnswersRefused, &self.shared.mail.noise),
            ] {
                let since = since.swap(0, Ordering::Relaxed);
                self.state.tallies[0].add(counter, i64::try_from(since).unwrap_or(i64::MAX));
            }
        }
        for (at, port) in self.ports.iter_mut().enumerate() {
            let (Some(port), Some(block)) = (port, self.blocks.get(at)) else { continue };
            let kernel = port.statistics();
            set_gauge(block, Basic::KernelRxRingFull, kernel.rx_ring_full);
            set_gauge(block, Basic::KernelFillEmpty, kernel.rx_fill_ring_empty);
            set_gauge(block, Basic::KernelRxDropped, kernel.rx_dropped);
            let ledger = port.ledger();
            let egress = &self.state.egress[at];
            let ours = (egress.fresh.len() + egress.ready.len()) as i64;
            let leaked = ledger.leaked().abs() + (ledger.held_by_app as i64 - ours).abs();
            let granted = port.granted();
            set_gauge(block, Basic::NativeXdp, u64::from(granted.mode == Mode::Native));
            set_gauge(block, Basic::ZeroCopy, u64::from(granted.zero_copy));
            set_gauge(block, Basic::HugePages, u64::from(granted.huge_pages));
            set_gauge(block, Basic::FramesTotal, ledger.total as u64);
            set_gauge(block, Basic::FramesLeaked, leaked.unsigned_abs());
        }
    }

    /// Sleeps until a port has something or the time is over. Outside the tables: nothing waits for a sleeper.
    fn sleep(&mut self, at_most_ms: u32) {
        self.settle();
        if !self.ports.iter_mut().flatten().all(Port::may_wait) {
            return;
        }
        self.state.tallies[0].add(Basic::Sleeps, 1);
        let mut fds: ArrayVec<PollFd<'_>, MAX_FDS> = ArrayVec::new();
        for port in self.ports.iter().flatten() {
            if let Some(fd) = port.wait_fd()
                && !fds.is_full()
            {
                fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
            }
        }
        if self.is_first && !fds.is_full() {
            fds.push(PollFd::new(&self.shared.asker, PollFlags::IN));
        }
        // Whoever holds packets looks for their answers again soon.
        let waiting = !self.state.hold.is_empty() || self.state.egress.iter().any(|e| e.backlog != 0);
        let ms = if waiting { 1 } else { i64::from(at_most_ms) };
        let timeout = Timespec { tv_sec: ms / 1000, tv_nsec: (ms % 1000) * 1_000_000 };
        // An interrupted or failed poll is a short sleep: the next turn looks at every ring.
        let _ = poll(&mut fds, Some(&timeout));
    }
}

/// Gives a port's finished frames to its ring, counts them, and kicks the kernel. What does not fit is a drop.
pub fn transmit_ready(port: &mut Port, state: &mut WorkerState, at: usize) {
    let Egress { ready, backlog, .. } = &mut state.egress[at];
    if ready.is_empty() && *backlog == 0 {
        return;
    }
    let offered: usize = ready.iter().map(Frame::len).sum();
    let sent = port.transmit(ready);
    let refused: usize = ready.iter().map(Frame::len).sum();
    let tally: &mut Tally = &mut state.tallies[at];
    tally.add(Basic::TxPackets, sent as i64);
    tally.add(Basic::TxBytes, (offered - refused) as i64);
    if !ready.is_empty() {
        tally.add(DropReason::TxRingFull, ready.len() as i64);
        port.release(ready);
    }
    let kicked = port.kick();
    *backlog = kicked.backlog;
    if kicked.lost_busy != 0 {
        tally.add(Basic::TxPackets, -(kicked.lost_busy as i64));
        tally.add(DropReason::TxBusy, kicked.lost_busy as i64);
    }
}
