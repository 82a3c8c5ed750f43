//! One gateway without threads, kernel and clock: the control plane's logic, the applier and `step_burst` over
//! ports in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use sterna_controlplane::plane::ControlPlane;
use sterna_dataplane::apply::{Applier, TableLimits, build_tables};
use sterna_dataplane::counters::catalogue;
use sterna_dataplane::layout::{PortRow, Side};
use sterna_dataplane::release::release_held;
use sterna_dataplane::state::{FRESH, UPLINK, Upward, WorkerLimits, WorkerState};
use sterna_dataplane::step::{Verdicts, step_burst};
use sterna_dataplane::tables::Tables;
use sterna_dataplane::worker::transmit_ready;
use sterna_shm::{
    Balance, CounterBlock, Counters, CountersView, Event, ScopeName, ScopeView, Update, balance,
};
use sterna_xsk::{BURST, Frame, MemoryOptions, Port, Wire, memory_port};

use super::case::{Arrival, Case};
use super::record::Record;
use super::world::World;

/// How packets of one moment reach `step_burst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bursts {
    /// Together.
    AsTheyCame,
    /// One by one; nothing may change by it.
    OfOne,
}

/// What a run gave.
#[derive(Clone)]
pub struct Outcome {
    /// Frames that left, by port.
    pub sent: Vec<Vec<Vec<u8>>>,
    /// Counters, by port.
    pub scopes: Vec<ScopeView>,
    /// Where all packets went.
    pub balance: Balance,
    /// Frames of packet memory that are nowhere, by port.
    pub leaked: Vec<i64>,
}

impl Outcome {
    /// Adds to a counter, as a gateway would that counts wrongly.
    pub fn count(&mut self, port: &str, counter: &str, amount: u64) {
        let scope = self.scopes.iter_mut().find(|scope| scope.port_name == port).expect("a port");
        let value = scope.values.iter_mut().find(|value| &*value.name == counter).expect("a counter");
        value.value += amount;
    }
}

/// Time stands still but for these steps while packets wait.
const STEP_NS: u64 = 100_000_000;
/// A case begins at this time, so that nothing begins at zero.
const START_NS: u64 = 10_000_000_000;
/// Rounds of "tell the control plane, take its answer, release" per moment; more would be a loop without end.
const ROUNDS: usize = 8;

struct Gateway {
    began: Instant,
    plane: ControlPlane,
    applier: Applier,
    tables: Tables,
    reader: sterna_table::Reader,
    state: WorkerState,
    ports: Vec<(Port, Wire)>,
    counters: Counters,
    blocks: Vec<CounterBlock>,
    sent: Vec<Vec<Vec<u8>>>,
}

/// Runs a case.
pub fn run(case: &Case, world: &World, bursts: Bursts) -> Outcome {
    let mut gateway = Gateway::new(case, world);
    let same_moment = |a: &Arrival, b: &Arrival| (a.at_ns, a.port) == (b.at_ns, b.port);
    let mut records = case.records.iter().enumerate().peekable();
    for moment in case.arrivals.chunk_by(same_moment) {
        while let Some((number, record)) = records.next_if(|(_, record)| record.at_ns() <= moment[0].at_ns) {
            gateway.hear(record, &record.updates(&case.config, world, number as u32));
        }
        gateway.advance(START_NS + moment[0].at_ns);
        let size = if bursts == Bursts::OfOne { 1 } else { BURST };
        for burst in moment.chunks(size) {
            gateway.serve(burst);
        }
        gateway.settle();
    }
    for (number, record) in records {
        gateway.hear(record, &record.updates(&case.config, world, number as u32));
    }
    gateway.advance(START_NS + case.until_ns);
    gateway.outcome()
}

impl Gateway {
    fn new(case: &Case, world: &World) -> Gateway {
        let config = &case.config;
        let ports: Vec<_> = config.ports.iter().map(|port| memory(&port.name, world)).collect();
        let rows = config.ports.iter().map(|port| row(port, world)).collect();
        let limits = TableLimits {
            max_eids: config.dataplane.max_eids,
            max_sets: config.dataplane.max_sets,
            max_adjacencies: 64,
            max_hops: 64,
            max_groups: 64,
            readers: 1,
            seed: [1, 2],
        };
        let (applier, tables) = build_tables(&limits, rows);
        let worker = WorkerLimits {
            hold_packets: config.dataplane.hold_packets as usize,
            hold_ns: u64::from(config.dataplane.hold_ms) * 1_000_000,
            frame_bytes: ports[0].0.frame_capacity(),
        };
        let counters = Counters::create(&catalogue(), &scopes(case)).expect("counters");
        let blocks = (0..ports.len()).map(|port| counters.block(port).expect("a block")).collect();
        let reader = tables.domain.reader().expect("a reader");
        let uplink = Arc::new(ArrayQueue::new(UPLINK));
        let state = WorkerState::new(ports.len(), &worker, uplink);
        let sent = vec![Vec::new(); ports.len()];
        let plane = ControlPlane::new(config.clone());
        let began = Instant::now();
        let mut gateway =
            Gateway { began, plane, applier, tables, reader, state, ports, counters, blocks, sent };
        gateway.state.now_ns = START_NS;
        gateway.synchronise(case, world);
        gateway
    }

    /// The session begins as in production: the underlay's facts, then the whole state; hosts were seen before.
    fn synchronise(&mut self, case: &Case, world: &World) {
        let now = self.now();
        self.plane.underlay(world.facts(&self.plane.questions()), now);
        self.applier.begin_session();
        let ports = case.config.ports.iter().map(|port| port.name.clone()).collect();
        self.plane.session_began(1, ports, now);
        // The table is empty: there is nothing to be told before.
        self.plane.event(Event::KnownEnd, now);
        self.conduct();
        assert!(self.plane.publisher().synced(), "{}: the tables did not sync", case.name);
        for (iid, eid, mac) in world.agents() {
            let Some(group) = case.config.groups.iter().find(|group| group.iid == iid) else {
                continue;
            };
            let (port, vlan) = (group.port as u16, group.vlan.map_or(0, |vlan| vlan.get()));
            self.applier.learn(&Upward::Learned { iid: iid.get(), eid, mac, port, vlan });
        }
        self.applier.flush();
    }

    /// What the conductor does: events up, updates down, until both are silent.
    fn conduct(&mut self) {
        let now = self.now();
        self.applier.set_time(self.state.now_ns);
        for _ in 0..ROUNDS {
            while let Some(seen) = self.state.uplink.pop() {
                if let Some(event) = self.applier.learn(&seen) {
                    self.plane.event(event, now);
                }
            }
            let updates = self.plane.pump(4096);
            for update in &updates {
                let event = self.applier.apply(update).unwrap_or_else(|fault| panic!("{fault}"));
                if let Some(event) = event {
                    self.plane.event(event, now);
                }
            }
            self.applier.flush();
            if updates.is_empty() && self.state.uplink.is_empty() {
                return;
            }
        }
        panic!("the planes do not come to rest");
    }

    /// Something that the config does not say becomes true.
    fn hear(&mut self, record: &Record, updates: &[Update]) {
        self.advance(START_NS + record.at_ns());
        self.applier.set_time(self.state.now_ns);
        for update in updates {
            let answer = self.applier.apply(update).unwrap_or_else(|fault| panic!("{fault}"));
            assert_eq!(answer, None, "{update:?} is refused");
        }
        self.applier.flush();
        self.settle();
    }

    /// The case's clock as the control plane reads it.
    fn now(&self) -> Instant {
        self.began + Duration::from_nanos(self.state.now_ns - START_NS)
    }

    /// One burst of one port through `step_burst`, as the worker does it.
    fn serve(&mut self, burst: &[Arrival]) {
        let at = burst[0].port;
        let mut frames: Vec<Frame> = Vec::with_capacity(BURST);
        let (port, wire) = &mut self.ports[at];
        for arrival in burst {
            assert!(wire.inject(&arrival.bytes), "a frame of {} bytes does not fit", arrival.bytes.len());
        }
        port.maintain();
        assert_eq!(port.receive(&mut frames, BURST), burst.len());
        self.refill();
        let view = self.tables.view(&mut self.reader);
        let mut verdicts = Verdicts::new();
        step_burst(&view, &mut self.state, at as u16, &frames, &mut verdicts);
        drop(view);
        assert_eq!(verdicts.len(), burst.len(), "one verdict per packet");
        self.ports[at].0.release(&mut frames);
        self.transmit();
    }

    fn refill(&mut self) {
        for ((port, _), egress) in self.ports.iter_mut().zip(&mut self.state.egress) {
            port.maintain();
            let missing = FRESH.saturating_sub(egress.fresh.len());
            port.fresh(&mut egress.fresh, missing);
        }
    }

    fn transmit(&mut self) {
        for (at, (port, wire)) in self.ports.iter_mut().enumerate() {
            transmit_ready(port, &mut self.state, at);
            self.sent[at].extend(wire.collect());
        }
    }

    /// The moment's consequences: what the control plane answers, and what may go on because of it.
    fn settle(&mut self) {
        self.conduct();
        for _ in 0..ROUNDS {
            if self.state.hold.is_empty() {
                return;
            }
            self.refill();
            let view = self.tables.view(&mut self.reader);
            release_held(&view, &mut self.state);
            drop(view);
            self.transmit();
            self.conduct();
        }
    }

    fn advance(&mut self, until_ns: u64) {
        while !self.state.hold.is_empty() && self.state.now_ns + STEP_NS < until_ns {
            self.state.now_ns += STEP_NS;
            self.settle();
        }
        self.state.now_ns = self.state.now_ns.max(until_ns);
    }

    fn outcome(mut self) -> Outcome {
        for (tally, block) in self.state.tallies.iter_mut().zip(&self.blocks) {
            tally.settle(block);
        }
        let view = CountersView::open(self.counters.file().expect("a descriptor")).expect("a view");
        let scopes = view.scopes();
        let leaked = self.ports.iter_mut().zip(&self.state.egress).map(|((port, _), egress)| {
            port.maintain();
            let (ledger, ours) = (port.ledger(), egress.fresh.len() + egress.ready.len());
            ledger.leaked().abs() + (i64::from(ledger.held_by_app) - ours as i64).abs() + i64::from(ledger.tx)
        });
        let leaked = leaked.collect();
        Outcome { sent: self.sent, balance: balance(&scopes), scopes, leaked }
    }
}

fn memory(name: &str, world: &World) -> (Port, Wire) {
    let (mac, mtu) = world.link(name);
    let (name, mac) = (name.to_owned(), mac.0);
    memory_port(&MemoryOptions {
        name,
        mac,
        mtu,
        frames: 1024,
        rx_ring: 128,
        tx_ring: 256,
        ..Default::default()
    })
}

fn row(port: &sterna_config::Port, world: &World) -> PortRow {
    let (mac, mtu) = world.link(&port.name);
    let side = match port.side {
        sterna_config::Side::Eid => Side::Eid,
        sterna_config::Side::Rloc => Side::Rloc,
        sterna_config::Side::Both => Side::Both,
    };
    PortRow { side, mac, mtu: port.mtu.unwrap_or(mtu as u16) }
}

fn scopes(case: &Case) -> Vec<ScopeName> {
    let side = |side| match side {
        sterna_config::Side::Eid => sterna_shm::Side::Eid,
        sterna_config::Side::Rloc => sterna_shm::Side::Rloc,
        sterna_config::Side::Both => sterna_shm::Side::Both,
    };
    let ports = case.config.ports.iter().enumerate();
    let scope = |(at, port): (usize, &sterna_config::Port)| ScopeName {
        worker: 0,
        port: at as u16,
        port_name: port.name.clone(),
        side: side(port.side),
    };
    ports.map(scope).collect()
}
