//! One run: opens the ports, lets the workers work, and gives the report.

mod live;
mod log;
mod ports;
mod recorders;
mod tally;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use self::live::LiveThreads;
use self::log::HdrLog;
use self::ports::Opened;
use self::recorders::Recorders;
pub use self::tally::Line;
use self::tally::Tally;
use crate::clock::{Clock, Monotonic, SECOND_NS};
use crate::compose::MOST_WORKERS;
use crate::engine::{Control, Outcome, Update, Worker};
use crate::probe::RunId;
use crate::profile::Profile;
use crate::report::Report;

/// From opening the ports to the first packet, in nanoseconds: all workers are ready by then.
const LEAD_NS: u64 = 100_000_000;
/// How often orders and updates are looked at.
const TICK: Duration = Duration::from_millis(20);
/// The least time between two looks, in nanoseconds.
const SHORTEST_TICK_NS: u64 = 1_000_000;

/// What sends the bulk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Sockets: every packet is a probe, on any NIC.
    Xdp,
    /// The kernel's live frames, with a few probes beside them.
    Live,
}

/// An interface, and the namespace it is in (`None`: this thread's).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The interface's name.
    pub interface: String,
    /// The network namespace's name.
    pub namespace: Option<String>,
}

/// How to run a profile.
#[derive(Clone, Debug)]
pub struct Options {
    /// The profile's name, for the report.
    pub name: String,
    /// Where to send; `None`: only receive.
    pub tx: Option<Place>,
    /// Where to receive; `None`: only send. May be where is sent.
    pub rx: Option<Place>,
    /// What sends the bulk.
    pub engine: Engine,
    /// Queues, and so workers, from queue 0; at most 8.
    pub queues: u32,
    /// Sending and receiving get a thread each.
    pub separate: bool,
    /// CPUs to pin threads to, in the order in which they start; none: not pinned.
    pub cores: Vec<usize>,
    /// Threads sleep while nothing is due.
    pub sleeps: bool,
    /// How long to send, in nanoseconds; `None`: until stopped, or the count is sent.
    pub duration_ns: Option<u64>,
    /// Packets to send at most over all workers; `None`: no limit.
    pub count: Option<u64>,
    /// How long to receive after the last packet, in nanoseconds.
    pub linger_ns: u64,
    /// The run's number; `None`: a random one.
    pub run_id: Option<u32>,
    /// Where to write the latencies as an HDR histogram log.
    pub hdr: Option<PathBuf>,
    /// Begin of the names of two captures: what was sent (`.sent.pcap`) and what came (`.received.pcap`).
    pub record: Option<PathBuf>,
    /// Let the kernel run the sink's program where the driver cannot.
    pub allow_generic: bool,
    /// Load also what may be somebody's network.
    pub own_network: bool,
}

impl Options {
    /// Sends at one place, receives at another, over one queue with sockets, for as long as nothing else is said.
    pub fn between(tx: Option<Place>, rx: Option<Place>) -> Self {
        Self {
            name: String::new(),
            tx,
            rx,
            engine: Engine::Xdp,
            queues: 1,
            separate: false,
            cores: Vec::new(),
            sleeps: false,
            duration_ns: None,
            count: None,
            linger_ns: SECOND_NS / 2,
            run_id: None,
            hdr: None,
            record: None,
            allow_generic: false,
            own_network: false,
        }
    }

    fn check(&self) -> Result<()> {
        ensure!(self.tx.is_some() || self.rx.is_some(), "nothing to do: give --tx, --rx or both");
        ensure!(self.engine == Engine::Xdp || self.tx.is_some(), "the engine `live` only sends: give --tx");
        ensure!((1..=MOST_WORKERS).contains(&self.queues), "{} queues: use 1 to {MOST_WORKERS}", self.queues);
        Ok(())
    }
}

/// Runs a profile. `stop` ends sending early, which makes the report partial; `progress` gets a line a second.
///
/// # Errors
/// Ports that cannot be opened or must not be loaded, packets that do not fit them, a capture or log file that cannot
/// be used.
pub fn run(
    profile: &Profile,
    options: &Options,
    stop: &AtomicBool,
    mut progress: impl FnMut(&Line),
) -> Result<Report> {
    options.check()?;
    let log = HdrLog::create(options.hdr.as_deref())?;
    let run = RunId(options.run_id.unwrap_or_else(rand::random));
    let mut opened = Opened::open(profile, options, run)?;
    let mut cores = options.cores.iter().copied();
    let live = match options.engine {
        Engine::Live => Some(LiveThreads::prepare(profile, options, &opened, &mut cores)?),
        Engine::Xdp => None,
    };
    let control = Arc::new(Control::default());
    let (updates, inbox) = mpsc::channel();
    let start_ns = Monotonic.now_ns() + LEAD_NS;
    let recorders = Recorders::create(options)?;
    let workers = opened.workers(profile, options, (start_ns, &recorders), &control, &updates)?;
    drop(updates);
    if let Some(duration) = options.duration_ns {
        control.end_at(start_ns.saturating_add(duration));
    }
    let threads = start(workers, &mut cores)?;
    live.iter().for_each(|live| live.go(start_ns));
    let is_whole = options.tx.is_some() && options.rx.is_some();
    let tally = Tally::new(start_ns, log, is_whole);
    let mut watch = Watch { control, live, inbox, tally, partial: false };
    watch.until_over(options, stop, &mut progress)?;
    let report = watch.report(&opened, threads, start_ns)?;
    let recorded = recorders.finish()?;
    Ok(Report {
        profile: options.name.clone(),
        run_id: run.0,
        rate: profile.rate.filter(|_| options.tx.is_some()),
        recorded,
        rewritten: opened.rewritten,
        ..report
    })
}

/// A run while it runs. Its workers end with it.
struct Watch {
    control: Arc<Control>,
    live: Option<LiveThreads>,
    inbox: mpsc::Receiver<Update>,
    tally: Tally,
    partial: bool,
}

impl Watch {
    /// Sending goes on until its end, receiving a while longer.
    fn until_over(
        &mut self,
        options: &Options,
        stop: &AtomicBool,
        progress: &mut impl FnMut(&Line),
    ) -> Result<()> {
        while Monotonic.now_ns() < self.control.end_ns().saturating_add(options.linger_ns) {
            // Up to the end and no further: live frames go on until they are told.
            let left_ns = self.control.end_ns().saturating_sub(Monotonic.now_ns());
            std::thread::sleep(TICK.min(Duration::from_nanos(left_ns.max(SHORTEST_TICK_NS))));
            self.inbox.try_iter().try_for_each(|update| self.tally.take(update))?;
            let now_ns = Monotonic.now_ns();
            if let Some(line) = self.tally.line(now_ns, self.live.as_ref().map(LiveThreads::sent)) {
                progress(&line);
            }
            self.look(options, stop, now_ns);
        }
        Ok(())
    }

    /// Ends sending when it was said to, or all is sent.
    fn look(&mut self, options: &Options, stop: &AtomicBool, now_ns: u64) {
        // A count is one of live frames where there are such; the probes beside them do not count.
        let sent = self.live.as_ref().map_or_else(|| self.tally.sent_packets(), LiveThreads::sent);
        if options.count.is_some_and(|count| sent >= count) {
            self.control.end_at(now_ns);
        } else if stop.load(Ordering::Relaxed) && now_ns < self.control.end_ns() {
            self.partial = true;
            self.control.end_at(now_ns);
        }
        if now_ns >= self.control.end_ns() {
            self.live.as_mut().map(LiveThreads::stop);
        }
    }

    fn report(mut self, opened: &Opened, threads: Threads, start_ns: u64) -> Result<Report> {
        self.control.finish();
        let outcomes = join(threads)?;
        self.inbox.try_iter().try_for_each(|update| self.tally.take(update))?;
        let offered = self.live.take().map(LiveThreads::finish).transpose()?;
        let end_ns = self.control.end_ns().max(start_ns);
        let report = self.tally.report(opened, outcomes, offered, (start_ns, end_ns))?;
        Ok(Report { partial: self.partial, ..report })
    }
}

impl Drop for Watch {
    /// A run that fails must not leave workers at work.
    fn drop(&mut self) {
        self.control.end_at(0);
        self.control.finish();
    }
}

type Threads = Vec<JoinHandle<Outcome>>;

fn start(workers: Vec<Worker<Monotonic>>, cores: &mut impl Iterator<Item = usize>) -> Result<Threads> {
    let spawn = |worker: Worker<Monotonic>| {
        let core = cores.next();
        let thread = std::thread::Builder::new().name(format!("worker {}", worker.index));
        thread
            .spawn(move || {
                pin(core);
                worker.run()
            })
            .context("cannot start a thread")
    };
    workers.into_iter().map(spawn).collect()
}

/// Pins this thread to a CPU; where that is not possible it runs anywhere.
fn pin(core: Option<usize>) {
    if let Some(id) = core {
        core_affinity::set_for_current(core_affinity::CoreId { id });
    }
}

fn join(threads: Threads) -> Result<Vec<Outcome>> {
    threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a worker panicked"))).collect()
}
