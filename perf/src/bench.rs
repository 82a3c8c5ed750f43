//! One case: frames through `step_burst`, timed from the frame in the receive vector to the finished frame in the
//! transmit vector, outputs compared and counters balanced.

use crate::case::{Case, Traffic};
use crate::clocks::Clocks;
use crate::oracle;
use crate::packets::{Expected, Packets};
use crate::site::{EID_PORT, Plan, RLOC_PORT, locators, ports};
use anyhow::{Context, Result, bail, ensure};
use crossbeam_queue::ArrayQueue;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use sterna_config::Config;
use sterna_cpu::clocks_fenced;
use sterna_dataplane::release::release_held;
use sterna_dataplane::state::{FRESH, UPLINK, Uplink, WorkerLimits, WorkerState};
use sterna_dataplane::step::{Verdicts, step_burst};
use sterna_dataplane::tables::{Reader, Tables};
use sterna_dataplane::verdict::{DropReason, Verdict};
use sterna_dataplane::worker::{now_ns, transmit_ready};
use sterna_shm::{Balance, CounterBlock, CountersView, balance};
use sterna_xsk::{BURST, Frame, MemoryOptions, Port, memory_port};

/// Monotonic time between two bursts, ns: 6.4 Mpps.
const BURST_NS: u64 = 10_000;
/// How often a worker looks at what it holds while no table changes.
const RELEASE_NS: u64 = 1_000_000;

/// A site as a bench needs it: its writer may be at work elsewhere.
#[derive(Clone, Copy)]
pub struct Under<'s> {
    /// What the packets are looked up in.
    pub tables: &'s Tables,
    /// The counters, as anybody reads them.
    pub view: &'s CountersView,
    /// By port: where to count.
    pub blocks: &'s [CounterBlock],
}

/// A case ready to run.
pub struct Bench<'s> {
    case: Case,
    worker: Timed<'s>,
    uplink: Uplink,
    /// The two ports whose frames are written to.
    tx: Vec<Port>,
    rx: Vec<Frame>,
    /// Keeps the received frames' memory.
    _rx_port: Port,
    packets: Packets,
    at: usize,
    random: StdRng,
    view: &'s CountersView,
    before: Balance,
    remotes: [IpAddr; 2],
    /// The remote locator of each flow that was compared.
    chosen: HashMap<(u32, bool), IpAddr>,
    checked: u64,
    waiting: u64,
}

/// What the clock is read around.
struct Timed<'s> {
    under: Under<'s>,
    reader: Reader,
    state: WorkerState,
    verdicts: Verdicts,
    ingress: u16,
    next_release_ns: u64,
}

impl Timed<'_> {
    /// One burst, as a worker does it between taking frames from a ring and giving them to another. Not inlined, so
    /// that an instruction counter finds it by name.
    #[inline(never)]
    fn timed_burst(&mut self, frames: &[Frame]) {
        let view = self.under.tables.view(&mut self.reader);
        step_burst(&view, &mut self.state, self.ingress, frames, &mut self.verdicts);
        if !self.state.hold.is_empty() && self.state.now_ns >= self.next_release_ns {
            self.next_release_ns = self.state.now_ns + RELEASE_NS;
            release_held(&view, &mut self.state);
        }
        drop(view);
        for (tally, block) in self.state.tallies.iter_mut().zip(self.under.blocks) {
            tally.settle(block);
        }
    }
}

impl<'s> Bench<'s> {
    /// Prepares rings of the configuration's sizes, and received frames for a cycle of so many bursts.
    pub fn new(case: Case, config: &Config, under: Under<'s>, cycle: usize) -> Result<Bench<'s>> {
        let options =
            MemoryOptions { mtu: 1600, frames: config.dataplane.frames, ..MemoryOptions::default() };
        let tx_ring = config.dataplane.tx_ring;
        // Without a holder of the wire, sent frames complete at once.
        let tx =
            ports().iter().map(|_| memory_port(&MemoryOptions { tx_ring, ..options.clone() }).0).collect();
        let frames = cycle * BURST;
        let (mut rx_port, _) = memory_port(&MemoryOptions { frames: frames as u32 + 8192, ..options });
        let mut rx = Vec::with_capacity(frames);
        rx_port.fresh(&mut rx, frames);
        ensure!(rx.len() == frames, "only {} frames for the receive cycle", rx.len());
        let packets = Packets::new(&case, Plan::of(&case).eids, &mut rx)?;
        let limits = WorkerLimits {
            hold_packets: config.dataplane.hold_packets as usize,
            hold_ns: u64::from(config.dataplane.hold_ms) * 1_000_000,
            frame_bytes: 2048,
        };
        let uplink: Uplink = Arc::new(ArrayQueue::new(UPLINK));
        let worker = Timed {
            under,
            reader: under.tables.domain.reader().context("no reader slot")?,
            state: WorkerState::new(2, &limits, Arc::clone(&uplink)),
            verdicts: Verdicts::new(),
            ingress: if Packets::is_encap(&case) { EID_PORT } else { RLOC_PORT },
            next_release_ns: 0,
        };
        Ok(Bench {
            case,
            worker,
            uplink,
            tx,
            rx,
            _rx_port: rx_port,
            packets,
            at: 0,
            random: StdRng::seed_from_u64(1),
            view: under.view,
            before: balance(&under.view.scopes()),
            remotes: locators(case.outer).1,
            chosen: HashMap::new(),
            checked: 0,
            waiting: 0,
        })
    }

    fn egress(&self) -> usize {
        usize::from(if Packets::is_encap(&self.case) { RLOC_PORT } else { EID_PORT })
    }

    /// Clocks per packet over `bursts` bursts.
    pub fn measure(&mut self, bursts: usize) -> Result<Clocks> {
        let mut clocks = Vec::with_capacity(bursts);
        for _ in 0..bursts {
            self.refill();
            let frames = &self.rx[self.at..self.at + BURST];
            let start = clocks_fenced();
            self.worker.timed_burst(frames);
            clocks.push(clocks_fenced() - start);
            self.finish()?;
        }
        Clocks::per_packet(clocks)
    }

    /// One burst; the remote locator of its last packet, and when the burst was ready to be sent, monotonic ns.
    /// A change that comes while packets are looked up takes hold between two of them; none may go back.
    pub fn remote_of_next(&mut self) -> Result<(IpAddr, u64)> {
        self.refill();
        self.worker.timed_burst(&self.rx[self.at..self.at + BURST]);
        let done_ns = now_ns();
        let ready = &self.worker.state.egress[self.egress()].ready;
        let mut remotes = ready.iter().map(|frame| oracle::destination(self.case.outer, frame.bytes()));
        let (mut last, mut turns) = (remotes.next().context("nothing came out")??, 0);
        for remote in remotes {
            let remote = remote?;
            turns += u32::from(remote != last);
            last = remote;
        }
        ensure!(turns <= 1, "the packets of one burst changed their locator {turns} times in one change");
        self.finish()?;
        Ok((last, done_ns))
    }

    fn refill(&mut self) {
        let state = &mut self.worker.state;
        for (port, egress) in self.tx.iter_mut().zip(&mut state.egress) {
            port.maintain();
            let missing = FRESH.saturating_sub(egress.fresh.len());
            port.fresh(&mut egress.fresh, missing);
        }
        state.now_ns += BURST_NS;
        // The conductor's part: nobody answers here.
        state.uplink_rung = false;
        while self.uplink.pop().is_some() {}
    }

    /// Compares one output in about a hundred, sends, and readies the frames for their next use a cycle on.
    fn finish(&mut self) -> Result<()> {
        let egress = self.egress();
        // One of 64 in 64 of 100 bursts is 1 % of all.
        let pick = (self.random.random_range(0..100) < BURST).then(|| self.random.random_range(0..BURST));
        let mut out = 0;
        for place in 0..self.worker.verdicts.len() {
            let at = self.at + place;
            match (self.worker.verdicts[place], self.packets.expected(at)) {
                (Verdict::Transmit(port), Expected::Out(number)) if usize::from(port) == egress => {
                    if pick == Some(place) {
                        self.compare(at, out, number)?;
                    }
                    out += 1;
                }
                (Verdict::Held | Verdict::Drop(DropReason::HoldFull), Expected::Waits) => self.waiting += 1,
                (verdict, expected) => bail!("a packet that should be {expected:?} met {verdict:?}"),
            }
        }
        let ready = self.worker.state.egress[egress].ready.len();
        ensure!(ready == out, "{ready} packets came out instead of {out}");
        transmit_ready(&mut self.tx[egress], &mut self.worker.state, egress);
        self.packets.renew(self.at, &mut self.rx[self.at..self.at + BURST]);
        self.at = (self.at + BURST) % self.rx.len();
        Ok(())
    }

    /// Compares one output, and whether its flow keeps its locator.
    fn compare(&mut self, at: usize, out: usize, number: u32) -> Result<()> {
        let input = self.rx[at].bytes();
        let output = self.worker.state.egress[self.egress()].ready[out].bytes();
        let remote = oracle::check(self.case.direction, self.case.outer, &self.remotes, input, output)?;
        self.checked += 1;
        let (Some(remote), false) = (remote, self.case.updates) else { return Ok(()) };
        ensure!(self.case.two_locators || remote == self.remotes[0], "{remote} is no locator of the mapping");
        let is_v4 = input.get(12) == Some(&8);
        let chosen = *self.chosen.entry((number, is_v4)).or_insert(remote);
        ensure!(chosen == remote, "a flow changed its locator from {chosen} to {remote}");
        Ok(())
    }

    /// Settles the counts and checks that every packet is accounted for.
    pub fn close(mut self) -> Result<()> {
        for (tally, block) in self.worker.state.tallies.iter_mut().zip(self.worker.under.blocks) {
            tally.settle(block);
        }
        let (before, sum) = (self.before, balance(&self.view.scopes()));
        ensure!(sum.error == 0, "the counters do not balance: {sum:?}");
        let kept = (sum.dropped - before.dropped) + (sum.held - before.held);
        ensure!(
            kept == self.waiting,
            "{kept} packets were dropped or held instead of {}: {sum:?}",
            self.waiting
        );
        ensure!(self.checked > 0 || self.case.traffic == Traffic::Misses, "no output was compared");
        let both: std::collections::HashSet<_> = self.chosen.values().collect();
        ensure!(
            !self.case.two_locators || self.case.eids < 64 || both.len() != 1,
            "one locator had all flows"
        );
        Ok(())
    }
}
