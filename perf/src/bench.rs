//! One case: frames through `step_burst`, timed from the frame in the receive vector to the finished frame in the
//! transmit vector, outputs compared and counters balanced.

use crate::frames::{Direction, Family, Sequence, Slot, template};
use crate::oracle;
use crate::site::{EID_PORT, RLOC_PORT, Site, ports};
use anyhow::{Context, Result, ensure};
use crossbeam_queue::ArrayQueue;
use std::sync::Arc;
use sterna_config::Config;
use sterna_cpu::clocks_fenced;
use sterna_dataplane::state::{FRESH, WorkerLimits, WorkerState};
use sterna_dataplane::step::{Verdicts, step_burst};
use sterna_dataplane::tables::Reader;
use sterna_dataplane::worker::transmit_ready;
use sterna_shm::{CounterBlock, CountersView, balance};
use sterna_xsk::{BURST, Frame, MemoryOptions, Port, memory_port};

/// Received frames that a case cycles over: 1,024 bursts, so that none was touched for the last 1,000.
const RX_FRAMES: usize = 1024 * BURST;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Direction.
    pub direction: Direction,
    /// Inner family.
    pub inner: Family,
    /// Outer family.
    pub outer: Family,
    /// Inner packet, bytes.
    pub size: usize,
    /// Remote EIDs.
    pub eids: u32,
    /// Uniformly at random instead of in turn.
    pub random: bool,
}

/// A case ready to run.
pub struct Bench<'s> {
    case: Case,
    site: &'s Site,
    reader: Reader,
    state: WorkerState,
    blocks: Vec<CounterBlock>,
    /// The two ports whose frames are written to.
    tx: Vec<Port>,
    rx: Vec<Frame>,
    /// Keeps the received frames' memory.
    _rx_port: Port,
    slot: Slot,
    sequence: Sequence,
    at: usize,
    checked: u64,
}

impl<'s> Bench<'s> {
    /// Prepares frames and rings of the configuration's sizes.
    pub fn new(case: Case, config: &Config, site: &'s Site, blocks: Vec<CounterBlock>) -> Result<Bench<'s>> {
        let options =
            MemoryOptions { mtu: 1600, frames: config.dataplane.frames, ..MemoryOptions::default() };
        let tx_ring = config.dataplane.tx_ring;
        // Without a holder of the wire, sent frames complete at once.
        let tx =
            ports().iter().map(|_| memory_port(&MemoryOptions { tx_ring, ..options.clone() }).0).collect();
        let spare = RX_FRAMES as u32 + 8192;
        let (mut rx_port, _) = memory_port(&MemoryOptions { frames: spare, ..options });
        let mut rx = Vec::with_capacity(RX_FRAMES);
        rx_port.fresh(&mut rx, RX_FRAMES);
        ensure!(rx.len() == RX_FRAMES, "only {} frames for the receive cycle", rx.len());
        let bytes = template(case.direction, case.inner, case.outer, case.size)?;
        let slot = Slot::new(case.direction, case.inner, case.outer);
        let mut sequence = Sequence::new(case.eids, case.random);
        for frame in &mut rx {
            ensure!(frame.write(&bytes), "the packet does not fit a frame");
            slot.put(frame.bytes_mut(), sequence.next());
        }
        let limits = WorkerLimits {
            hold_packets: config.dataplane.hold_packets as usize,
            hold_ns: u64::from(config.dataplane.hold_ms) * 1_000_000,
            frame_bytes: 2048,
        };
        let uplink = Arc::new(ArrayQueue::new(4096));
        Ok(Bench {
            case,
            site,
            reader: site.tables.domain.reader().context("no reader slot")?,
            state: WorkerState::new(2, &limits, uplink),
            blocks,
            tx,
            rx,
            _rx_port: rx_port,
            slot,
            sequence,
            at: 0,
            checked: 0,
        })
    }

    fn ingress(&self) -> u16 {
        match self.case.direction {
            Direction::Encap => EID_PORT,
            Direction::Decap => RLOC_PORT,
        }
    }

    fn egress(&self) -> usize {
        usize::from(match self.case.direction {
            Direction::Encap => RLOC_PORT,
            Direction::Decap => EID_PORT,
        })
    }

    /// Clocks per packet over `bursts` bursts.
    pub fn measure(&mut self, bursts: usize) -> Result<f64> {
        let mut verdicts = Verdicts::new();
        let mut clocks = 0;
        for burst in 0..bursts {
            self.refill();
            let ingress = self.ingress();
            let frames = &self.rx[self.at..self.at + BURST];
            let start = clocks_fenced();
            let view = self.site.tables.view(&mut self.reader);
            step_burst(&view, &mut self.state, ingress, frames, &mut verdicts);
            drop(view);
            self.state.tallies[usize::from(ingress)].settle(&self.blocks[usize::from(ingress)]);
            clocks += clocks_fenced() - start;
            self.finish(burst)?;
        }
        Ok(clocks as f64 / (bursts * BURST) as f64)
    }

    fn refill(&mut self) {
        for (port, egress) in self.tx.iter_mut().zip(&mut self.state.egress) {
            port.maintain();
            let missing = FRESH.saturating_sub(egress.fresh.len());
            port.fresh(&mut egress.fresh, missing);
        }
        self.state.now_ns += 1_000;
    }

    /// Compares one output in about a hundred, sends, and readies the frames for their next use 1,024 bursts on.
    fn finish(&mut self, burst: usize) -> Result<()> {
        let egress = self.egress();
        let ready = &self.state.egress[egress].ready;
        ensure!(ready.len() == BURST, "{} of {BURST} packets came out", ready.len());
        // Every burst but a few, a changing place: 1 % of the outputs.
        if burst % 16 < 10 {
            let pick = (burst * 37) % BURST;
            let input = self.rx[self.at + pick].bytes();
            oracle::check(self.case.direction, self.case.outer, input, ready[pick].bytes())?;
            self.checked += 1;
        }
        transmit_ready(&mut self.tx[egress], &mut self.state, egress);
        for frame in &mut self.rx[self.at..self.at + BURST] {
            self.slot.put(frame.bytes_mut(), self.sequence.next());
        }
        self.at = (self.at + BURST) % RX_FRAMES;
        Ok(())
    }

    /// Settles the counts and checks that every packet is accounted for.
    pub fn close(mut self) -> Result<()> {
        for (tally, block) in self.state.tallies.iter_mut().zip(&self.blocks) {
            tally.settle(block);
        }
        let scopes = CountersView::open(self.site.counters.file()?)?.scopes();
        let sum = balance(&scopes);
        ensure!(sum.error == 0, "the counters do not balance: {sum:?}");
        ensure!(sum.dropped == 0 && sum.held == 0, "packets were dropped or held: {sum:?}");
        ensure!(self.checked > 0, "no output was compared");
        Ok(())
    }
}
