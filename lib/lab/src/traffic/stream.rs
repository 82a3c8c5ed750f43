//! One-way UDP at a stated rate into a sink that keeps account.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use socket2::Socket;

use super::ledger::{Ledger, Tally};
use super::pace::Pace;
use super::payload::{HEADER, Payload};
use super::probe::udp;
use crate::error::{LabError, Result};
use crate::interrupt;
use crate::namespace::Namespace;
use crate::thread;

/// How long the sink waits for the last packets.
const GRACE: Duration = Duration::from_millis(1500);

/// What to send, from where to where.
#[derive(Clone, Copy, Debug)]
pub struct StreamPlan {
    /// Our address.
    pub source: IpAddr,
    /// The sink's address.
    pub target: IpAddr,
    /// The sink's port.
    pub port: u16,
    /// The sender's instance-ID.
    pub group: u32,
    /// Packets per second.
    pub rate: u32,
    /// How many; none: until told.
    pub count: Option<u64>,
    /// Payload bytes.
    pub size: usize,
}

/// A stream that is running.
#[derive(Debug)]
pub struct Stream {
    began: Duration,
    sent: Arc<AtomicU64>,
    delivered: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    sender: JoinHandle<Duration>,
    sink: JoinHandle<Ledger>,
}

impl Stream {
    /// Opens the sink in `to`, the sender in `from`, and begins.
    ///
    /// # Errors
    /// When an address is not there.
    pub fn start(from: &Namespace, to: &Namespace, plan: StreamPlan) -> Result<Self> {
        let what = || LabError::io(format!("opening a stream from {} to {}", plan.source, plan.target));
        let sink = to.run(|| udp(SocketAddr::new(plan.target, plan.port)))?.map_err(what())?;
        let source = from.run(|| open_source(&plan))?.map_err(what())?;
        let (sent, delivered): (Arc<AtomicU64>, Arc<AtomicU64>) = Default::default();
        let stop: Arc<AtomicBool> = Arc::default();
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let pace = Pace::begin(plan.rate);
        let sink = {
            let (sent, delivered) = (Arc::clone(&sent), Arc::clone(&delivered));
            let stop = Arc::clone(&stop);
            thread::start("stream sink", move || drain(&sink, &plan, pace, &sent, &delivered, &stop))?
        };
        let sender = {
            let (sent, stop) = (Arc::clone(&sent), Arc::clone(&stop));
            thread::start("stream tx", move || {
                let took = send(&source, &plan, pace, &sent, &stop);
                // From now on the sink waits for stragglers only.
                stop.store(true, Ordering::Relaxed);
                took
            })?
        };
        Ok(Self { began, sent, delivered, stop, sender, sink })
    }

    /// When the first packet was due, since the epoch: witnesses have that clock.
    pub fn began(&self) -> Duration {
        self.began
    }

    /// Packets sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Packets that came so far.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Runs to the end; the account, and how long sending took.
    ///
    /// # Errors
    /// [`LabError::Interrupted`], or when a thread panicked.
    pub fn finish(self) -> Result<(Tally, Duration)> {
        let sent = Arc::clone(&self.sent);
        let (ledger, took) = self.end()?;
        Ok((ledger.close(sent.load(Ordering::Relaxed)), took))
    }

    /// Stops sending and waits for what is on its way; the open account with every delay, and what was sent.
    ///
    /// # Errors
    /// As [`Stream::finish`].
    pub fn stop(self) -> Result<(Ledger, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        let sent = Arc::clone(&self.sent);
        let (ledger, _) = self.end()?;
        Ok((ledger, sent.load(Ordering::Relaxed)))
    }

    fn end(self) -> Result<(Ledger, Duration)> {
        while !self.sender.is_finished() {
            if interrupt::requested() {
                self.stop.store(true, Ordering::Relaxed);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let took = thread::join(self.sender)?;
        let ledger = thread::join(self.sink)?;
        interrupt::check()?;
        Ok((ledger, took))
    }
}

fn open_source(plan: &StreamPlan) -> io::Result<Socket> {
    let socket = udp(SocketAddr::new(plan.source, 0))?;
    socket.connect(&SocketAddr::new(plan.target, plan.port).into())?;
    Ok(socket)
}

fn send(socket: &Socket, plan: &StreamPlan, pace: Pace, sent: &AtomicU64, stop: &AtomicBool) -> Duration {
    let start = Instant::now();
    let mut packet = vec![0; plan.size.max(HEADER)];
    for sequence in 0..plan.count.unwrap_or(u64::MAX) {
        let due = pace.wait(sequence);
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let due_ns = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
        Payload { group: plan.group, sequence, due_ns, answerer: 0 }.emit(&mut packet);
        // What the kernel refuses to send was offered all the same, and will be found lost.
        let _ = socket.send(&packet);
        sent.store(sequence + 1, Ordering::Relaxed);
    }
    start.elapsed()
}

fn drain(
    mut sink: &Socket,
    plan: &StreamPlan,
    pace: Pace,
    sent: &AtomicU64,
    delivered: &AtomicU64,
    stop: &AtomicBool,
) -> Ledger {
    let mut ledger = Ledger::default();
    let mut buffer = vec![0; 2048];
    let mut stopped: Option<Instant> = None;
    loop {
        if let Ok(length) = sink.read(&mut buffer) {
            match Payload::parse(&buffer[..length]) {
                Ok(payload) if payload.group != plan.group => ledger.stray(),
                Ok(payload) if length == plan.size.max(HEADER) => {
                    ledger.arrived(payload.sequence, pace.since(payload.due_ns));
                    delivered.store(ledger.delivered(), Ordering::Relaxed);
                }
                Ok(_) | Err(_) => ledger.changed(),
            }
        }
        if stopped.is_none() && stop.load(Ordering::Relaxed) {
            stopped = Some(Instant::now());
        }
        if let Some(since) = stopped {
            let all = ledger.delivered() >= sent.load(Ordering::Relaxed);
            if since.elapsed() > GRACE || all && since.elapsed() > Duration::from_millis(40) {
                return ledger;
            }
        }
    }
}
