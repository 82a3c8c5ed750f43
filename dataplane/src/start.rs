//! From a configuration to running threads, and back: everything that can be refused is refused before the host
//! is changed.

use crate::apply::{SteeringChange, TableLimits, build_tables};
use crate::conductor::{Conductor, ConductorParts, Steer};
use crate::counters::catalogue;
use crate::layout::{PortRow, Side};
use crate::state::{UPLINK, WorkerLimits, WorkerState};
use crate::tables::Tables;
use crate::worker::{Idle, Shared, Worker, WorkerParts};
use anyhow::{Context, Result, anyhow, bail};
use crossbeam_queue::ArrayQueue;
use rustix::fd::BorrowedFd;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use sterna_config::{Config, Polling};
use sterna_shm::{Counters, Listener, PortDesc, ScopeName};
use sterna_wire::Mac;
use sterna_xsk::{Interface, KernelOptions, Port, PortSpec, Steering};
use tracing::{info, warn};

/// Adjacencies: pairs of RLOCs. 65,536 pairs are far more than one site talks to at a time, at 192 bytes each.
const MAX_ADJACENCIES: usize = 1 << 16;
/// Underlay next hops.
const MAX_HOPS: usize = 1 << 12;
/// Groups; the layout is searched by bisection, so this bounds a copy per change, not the packets.
const MAX_GROUPS: usize = 1 << 14;

/// The live XDP program as the conductor sees it.
pub struct LiveSteering(Steering);

impl Steer for LiveSteering {
    fn steer(&mut self, change: &SteeringChange) {
        let done = match *change {
            SteeringChange::Rloc(address, true) => self.0.add_local(address),
            SteeringChange::Rloc(address, false) => self.0.remove_local(address),
            SteeringChange::GatewayMac(port, mac, true) => self.0.add_mac(usize::from(port), mac.0),
            SteeringChange::GatewayMac(port, mac, false) => self.0.remove_mac(usize::from(port), mac.0),
        };
        if let Err(error) = done {
            warn!(%error, ?change, "the XDP program did not take a change");
        }
    }
}

/// Runs the dataplane until `stop` is readable. Leaves nothing on the host afterwards.
pub fn run(config: &Config, run_dir: &Path, stop: BorrowedFd<'_>) -> Result<()> {
    std::fs::create_dir_all(run_dir)
        .with_context(|| format!("cannot make the run directory {}", run_dir.display()))?;
    let interfaces =
        config.ports.iter().map(|port| Interface::find(&port.name)).collect::<Result<Vec<_>, _>>()?;
    let listener = Listener::bind(&run_dir.join("dataplane.sock"))
        .with_context(|| format!("cannot listen at {}/dataplane.sock", run_dir.display()))?;
    let specs: Vec<PortSpec> = config.ports.iter().map(port_spec).collect();
    let mut steering = Steering::load(&specs, Some(&config.paths.pin_dir))?;
    let mut queues = open_ports(config)?;
    for (worker, ports) in queues.iter().enumerate() {
        for (at, port) in ports.iter().enumerate() {
            if let Some(fd) = port.as_ref().and_then(Port::wait_fd) {
                steering.register(at, worker as u32, fd)?;
            }
        }
    }
    steering.attach(config.dataplane.allow_generic)?;
    let modes = steering.modes();
    for (at, port) in queues.iter_mut().flat_map(|ports| ports.iter_mut().enumerate()) {
        if let (Some(port), Some(mode)) = (port, modes.get(at)) {
            port.set_mode(*mode);
        }
    }
    queues.iter().flatten().flatten().for_each(report_granted);

    let rows = config.ports.iter().zip(&interfaces).map(|(port, i)| port_row(port, i)).collect();
    let (applier, tables) = build_tables(&table_limits(config), rows);
    let counters = Counters::create(&catalogue(), &scopes(config, queues.len()))?;
    let shared = Arc::new(Shared::new()?);
    let uplink = Arc::new(ArrayQueue::new(UPLINK));
    let threads = spawn_workers(config, queues, &tables, &counters, &shared, &uplink)?;
    let parts = ConductorParts {
        applier,
        domain: Arc::clone(&tables.domain),
        uplink,
        shared: Arc::clone(&shared),
        counters,
        ports: config.ports.iter().map(port_desc).collect(),
        listener,
    };
    info!(gateway = config.gateway.name, workers = threads.len(), "ready");
    let mut conductor = Conductor::new(parts, LiveSteering(steering));
    conductor.run(stop);
    info!("stopping");
    // The program goes first: what comes then is the kernel's, and no frame is stranded in a ring.
    conductor.into_steering().0.detach()?;
    shared.stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().map_err(|_| anyhow!("a worker panicked"))?;
    }
    Ok(())
}

fn open_ports(config: &Config) -> Result<Vec<Vec<Option<Port>>>> {
    let dataplane = &config.dataplane;
    let workers = dataplane.cores.len();
    if let Some(port) = config.ports.iter().find(|port| usize::from(port.queues) < workers) {
        // A worker sends by its own queue of each port; without one it could only drop.
        bail!(
            "port {} serves {} queues, but {workers} workers need one each: set its queues to {workers}, or use fewer cores",
            port.name,
            port.queues
        );
    }
    let open = |port: &sterna_config::Port, worker: usize| -> Result<Option<Port>> {
        if worker >= usize::from(port.queues) {
            return Ok(None);
        }
        let mut options = KernelOptions::new(&port.name, worker as u32);
        options.rx_ring = dataplane.rx_ring;
        options.tx_ring = dataplane.tx_ring;
        options.frames = Some(dataplane.frames);
        // Where the system has reserved some; every frame is a page of its own otherwise.
        options.huge_pages = true;
        Ok(Some(Port::open(&options)?))
    };
    (0..dataplane.cores.len())
        .map(|worker| config.ports.iter().map(|port| open(port, worker)).collect())
        .collect()
}

fn report_granted(port: &Port) {
    let granted = port.granted();
    info!(
        port = port.name(),
        queue = granted.queue,
        mode = ?granted.mode,
        zero_copy = granted.zero_copy,
        frames = granted.frames,
        huge_pages = granted.huge_pages,
        tx_budget = ?granted.tx_budget,
        "AF_XDP socket"
    );
}

fn spawn_workers(
    config: &Config,
    queues: Vec<Vec<Option<Port>>>,
    tables: &Tables,
    counters: &Counters,
    shared: &Arc<Shared>,
    uplink: &crate::state::Uplink,
) -> Result<Vec<JoinHandle<()>>> {
    let ports = config.ports.len();
    let mut threads = Vec::new();
    for (at, (queues, core)) in queues.into_iter().zip(&config.dataplane.cores).enumerate() {
        let blocks = (0..ports).map(|port| counters.block(at * ports + port)).collect::<Option<Vec<_>>>();
        let frame_bytes = queues.iter().flatten().map(Port::frame_capacity).max().unwrap_or(2048);
        let limits = WorkerLimits {
            hold_packets: config.dataplane.hold_packets as usize,
            hold_ns: u64::from(config.dataplane.hold_ms) * 1_000_000,
            frame_bytes,
        };
        let parts = WorkerParts {
            ports: queues,
            blocks: blocks.context("no counters for a worker")?,
            tables: tables.clone(),
            reader: tables.domain.reader().context("no reader slot for a worker")?,
            state: WorkerState::new(ports, &limits, Arc::clone(uplink)),
            idle: idle(config.dataplane.polling),
            shared: Arc::clone(shared),
            is_first: at == 0,
        };
        let core = core_affinity::CoreId { id: *core };
        let thread = std::thread::Builder::new().name(format!("worker-{at}")).spawn(move || {
            if !core_affinity::set_for_current(core) {
                warn!(core = core.id, "the worker could not be pinned");
            }
            Worker::new(parts).run();
        })?;
        threads.push(thread);
    }
    Ok(threads)
}

fn idle(polling: Polling) -> Idle {
    match polling {
        Polling::Spin => Idle::Spin,
        Polling::Adaptive { spin_turns, sleep_ms } => {
            Idle::Sleep { after_turns: spin_turns, at_most_ms: sleep_ms }
        }
    }
}

fn table_limits(config: &Config) -> TableLimits {
    let random = RandomState::new();
    TableLimits {
        max_eids: config.dataplane.max_eids,
        max_sets: config.dataplane.max_sets,
        max_adjacencies: MAX_ADJACENCIES,
        max_hops: MAX_HOPS,
        max_groups: MAX_GROUPS,
        readers: config.dataplane.cores.len(),
        seed: [random.hash_one(1u8), random.hash_one(2u8)],
    }
}

/// The port as the packets see it; the file's MTU counts before the interface's.
fn port_row(port: &sterna_config::Port, interface: &Interface) -> PortRow {
    let side = match port.side {
        sterna_config::Side::Eid => Side::Eid,
        sterna_config::Side::Rloc => Side::Rloc,
        sterna_config::Side::Both => Side::Both,
    };
    let found = u16::try_from(interface.mtu).unwrap_or(u16::MAX);
    PortRow { side, mac: Mac(interface.mac), mtu: port.mtu.unwrap_or(found) }
}

fn port_spec(port: &sterna_config::Port) -> PortSpec {
    let side = match port.side {
        sterna_config::Side::Eid => sterna_xsk::Side::Eid,
        sterna_config::Side::Rloc => sterna_xsk::Side::Rloc,
        sterna_config::Side::Both => sterna_xsk::Side::Both,
    };
    PortSpec { name: port.name.clone(), side, queues: u32::from(port.queues) }
}

fn shm_side(side: sterna_config::Side) -> sterna_shm::Side {
    match side {
        sterna_config::Side::Eid => sterna_shm::Side::Eid,
        sterna_config::Side::Rloc => sterna_shm::Side::Rloc,
        sterna_config::Side::Both => sterna_shm::Side::Both,
    }
}

fn port_desc(port: &sterna_config::Port) -> PortDesc {
    PortDesc { name: port.name.clone(), side: shm_side(port.side) }
}

/// One counter block per worker and port, worker by worker.
fn scopes(config: &Config, workers: usize) -> Vec<ScopeName> {
    let of = |worker: usize| {
        config.ports.iter().enumerate().map(move |(port, desc)| ScopeName {
            worker: worker as u16,
            port: port as u16,
            port_name: desc.name.clone(),
            side: shm_side(desc.side),
        })
    };
    (0..workers).flat_map(of).collect()
}
