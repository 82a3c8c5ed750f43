//! A whole gateway in memory: the real tables, the real worker, ports without a kernel, and a clock in the
//! caller's hand. Tests, golden cases, the fuzz target and the bench drive it; production code never does.

use crate::apply::{Applier, Fault, SteeringChange, TableLimits, build_tables};
use crate::counters::catalogue;
use crate::known::{Dump, Filled};
use crate::layout::{PortRow, Side};
use crate::state::{UPLINK, Uplink, WorkerLimits, WorkerState};
use crate::usage::Usage;
use crate::worker::{Idle, Shared, Worker, WorkerParts};
use anyhow::{Context, Result};
use crossbeam_queue::ArrayQueue;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use sterna_shm::{Balance, Counters, CountersView, Event, ScopeName, Update, balance};
use sterna_wire::Iid;
use sterna_xsk::{MemoryOptions, Port, Wire, memory_port};

pub use crate::fuzz_body::fuzz_step;

/// What a rig is built from.
#[derive(Clone, Debug)]
pub struct RigOptions {
    /// The ports, in index order.
    pub ports: Vec<PortRow>,
    /// EID entries.
    pub max_eids: usize,
    /// Frames of each port's memory.
    pub frames: u32,
    /// Packets that may be held.
    pub hold_packets: usize,
    /// How long, ns.
    pub hold_ns: u64,
    /// Keys of the EID hash.
    pub seed: [u64; 2],
}

impl RigOptions {
    /// Small tables for these ports.
    pub fn new(ports: Vec<PortRow>) -> RigOptions {
        RigOptions {
            ports,
            max_eids: 4096,
            frames: 4096,
            hold_packets: 256,
            hold_ns: 3_000_000_000,
            seed: [1, 2],
        }
    }

    /// The table sizes.
    pub fn limits(&self) -> TableLimits {
        TableLimits {
            max_eids: self.max_eids,
            max_sets: 4096,
            max_adjacencies: 4096,
            max_hops: 1024,
            max_groups: 1024,
            readers: 2,
            seed: self.seed,
        }
    }
}

/// The gateway.
pub struct Rig {
    applier: Applier,
    worker: Worker,
    wires: Vec<Wire>,
    uplink: Uplink,
    shared: Arc<Shared>,
    counters: CountersView,
    _region: Counters,
    usage: Usage,
    now_ns: u64,
}

impl Rig {
    /// An empty gateway.
    ///
    /// Errors: no memory for the counters' region.
    pub fn new(options: &RigOptions) -> Result<Rig> {
        let (applier, tables) = build_tables(&options.limits(), options.ports.clone());
        let (ports, wires): (Vec<_>, Vec<_>) =
            options.ports.iter().enumerate().map(|(at, row)| in_memory(at, row, options.frames)).unzip();
        let scopes: Vec<ScopeName> =
            options.ports.iter().enumerate().map(|(at, row)| scope(at, row)).collect();
        let region = Counters::create(&catalogue(), &scopes)?;
        let counters = CountersView::open(region.file()?)?;
        let blocks = (0..scopes.len()).map(|at| region.block(at)).collect::<Option<_>>();
        let shared = Arc::new(Shared::new()?);
        let uplink: Uplink = Arc::new(ArrayQueue::new(UPLINK));
        let limits =
            WorkerLimits { hold_packets: options.hold_packets, hold_ns: options.hold_ns, frame_bytes: 2048 };
        let worker = Worker::new(WorkerParts {
            state: WorkerState::new(ports.len(), &limits, Arc::clone(&uplink)),
            ports: ports.into_iter().map(Some).collect(),
            blocks: blocks.context("a counter block was taken twice")?,
            reader: tables.domain.reader().context("no reader slot")?,
            tables,
            idle: Idle::Spin,
            shared: Arc::clone(&shared),
            is_first: true,
        });
        Ok(Rig {
            applier,
            worker,
            wires,
            uplink,
            shared,
            counters,
            _region: region,
            usage: Usage::default(),
            now_ns: 1_000_000_000,
        })
    }

    /// Starts a channel session, as a control plane that connects does.
    pub fn begin_session(&mut self) {
        self.applier.begin_session();
    }

    /// What a control plane that connects now is told first.
    pub fn known(&self) -> Vec<Event> {
        let (mut dump, mut known) = (Dump::default(), Vec::new());
        while dump.fill(&self.applier) != Filled::Ended {
            known.extend(dump.ready().drain(..));
        }
        known
    }

    /// Every agent that is known to be here, as a control plane that connects is told.
    pub fn agents(&self) -> Vec<Event> {
        self.applier.agents().filter_map(|(iid, eid)| self.applier.agent_event(iid, eid)).collect()
    }

    /// Applies updates as one batch; gives the events that answer them and what the XDP program would be told.
    pub fn apply(&mut self, updates: &[Update]) -> Result<(Vec<Event>, Vec<SteeringChange>), Fault> {
        let mut events = Vec::new();
        self.applier.set_time(self.now_ns);
        for update in updates {
            events.extend(self.applier.apply(update)?);
        }
        let changes = self.applier.flush();
        self.shared.tables_version.fetch_add(1, Ordering::Release);
        Ok((events, changes))
    }

    /// Puts a frame on a port's wire; false when it does not fit.
    pub fn inject(&self, port: usize, frame: &[u8]) -> bool {
        self.wires.get(port).is_some_and(|wire| wire.inject(frame))
    }

    /// Takes what a port sent.
    pub fn collect(&self, port: usize) -> Vec<Vec<u8>> {
        self.wires.get(port).map(Wire::collect).unwrap_or_default()
    }

    /// Turns the worker until it finds nothing, carrying its findings to the tables as the conductor would;
    /// gives the events for the control plane.
    pub fn settle(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            // Later than any retry of the release loop, so that answers take effect at once.
            self.now_ns += 2_000_000;
            let busy = self.worker.turn_at(self.now_ns);
            let mut learned = false;
            self.applier.set_time(self.now_ns);
            let due = self.applier.due_checks();
            self.shared.ask(due.asks);
            events.extend(due.verdicts);
            self.usage.look(&self.applier, self.now_ns, |event| events.push(event));
            while let Some(seen) = self.uplink.pop() {
                learned = true;
                events.extend(self.applier.learn(&seen));
            }
            if learned {
                self.applier.flush();
                self.shared.tables_version.fetch_add(1, Ordering::Release);
            }
            if !busy && !learned && self.shared.asks.is_empty() && self.shared.mail.down.is_empty() {
                return events;
            }
        }
    }

    /// Lets time pass and settles.
    pub fn pass(&mut self, ns: u64) -> Vec<Event> {
        self.now_ns += ns;
        self.settle()
    }

    /// What agents said to the control plane since the last call, with their groups.
    pub fn punted(&self) -> Vec<(u32, Vec<u8>)> {
        let take = || self.shared.mail.up.take(|iid, packet| (iid.get(), packet.to_vec()));
        std::iter::from_fn(take).collect()
    }

    /// Has a worker send what the control plane answers; false without room.
    pub fn answer(&self, iid: Iid, packet: &[u8]) -> bool {
        self.shared.mail.down.put(iid, packet)
    }

    /// A counter, summed over all ports.
    pub fn counter(&self, name: &str) -> u64 {
        self.counters.scopes().iter().filter_map(|scope| scope.value(name)).fold(0, u64::wrapping_add)
    }

    /// The balance of design section 5.
    pub fn balance(&self) -> Balance {
        balance(&self.counters.scopes())
    }

    /// The counters, as any reader sees them.
    pub fn counters(&self) -> &CountersView {
        &self.counters
    }
}

fn in_memory(at: usize, row: &PortRow, frames: u32) -> (Port, Wire) {
    memory_port(&MemoryOptions {
        name: format!("port{at}"),
        ifindex: at as u32 + 1,
        mac: row.mac.0,
        mtu: u32::from(row.mtu),
        frames,
        ..MemoryOptions::default()
    })
}

fn scope(at: usize, row: &PortRow) -> ScopeName {
    let side = match row.side {
        Side::Eid => sterna_shm::Side::Eid,
        Side::Rloc => sterna_shm::Side::Rloc,
        Side::Both => sterna_shm::Side::Both,
    };
    ScopeName { worker: 0, port: at as u16, port_name: format!("port{at}"), side }
}
