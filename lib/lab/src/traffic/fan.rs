//! Many UDP flows at once from one host to one host: to many addresses, or over many ports.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::Socket;

use super::ledger::{Ledger, Tally, quantile};
use super::pace::Pace;
use super::payload::{HEADER, Payload};
use super::probe::udp;
use crate::error::{LabError, Result};
use crate::interrupt;
use crate::namespace::Namespace;
use crate::thread;

/// How long the sink waits for the last packets when nothing is said.
const GRACE: Duration = Duration::from_millis(1500);
/// How long the sink waits before it looks whether it should end.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// What to send, from where to where.
#[derive(Clone, Debug)]
pub struct FanPlan {
    /// Our addresses and ports; port 0 lets the kernel choose.
    pub sources: Vec<SocketAddr>,
    /// The sink's addresses and ports: every source sends to every one.
    pub targets: Vec<SocketAddr>,
    /// The sender's instance-ID.
    pub group: u32,
    /// Packets per second, all flows together; flows take turns.
    pub rate: u32,
    /// Packets of every flow; none: until told.
    pub rounds: Option<u64>,
    /// Payload bytes.
    pub size: usize,
    /// How long the sink waits for the last packets.
    pub grace: Duration,
}

impl FanPlan {
    /// One source, a port at each of many addresses.
    pub fn to_addresses(source: IpAddr, targets: &[IpAddr], port: u16) -> Self {
        Self {
            sources: vec![SocketAddr::new(source, 0)],
            targets: targets.iter().map(|target| SocketAddr::new(*target, port)).collect(),
            group: 0,
            rate: 1000,
            rounds: None,
            size: 64,
            grace: GRACE,
        }
    }

    /// `width` source ports, and as many at the target: `width` squared flows.
    pub fn over_ports(source: IpAddr, target: IpAddr, width: u16, first: u16) -> Self {
        let ends = |address, base| (0..width).map(|at| SocketAddr::new(address, base + at)).collect();
        Self {
            sources: ends(source, first),
            targets: ends(target, first + width),
            group: 0,
            rate: 1000,
            rounds: None,
            size: 64,
            grace: GRACE,
        }
    }

    /// How many flows there are.
    pub fn flows(&self) -> usize {
        self.sources.len() * self.targets.len()
    }
}

/// What became of all flows.
#[derive(Clone, Debug, Default)]
pub struct Fanned {
    /// All flows added up.
    pub tally: Tally,
    /// How long after it was due the first packet of each flow came, microseconds, sorted; of those that came.
    pub first_us: Vec<u32>,
    /// Flow and number of every packet that did not come.
    pub missing: Vec<(u32, u64)>,
}

impl Fanned {
    /// 99 % of the flows' first packets came within this, milliseconds.
    pub fn first_p99_ms(&self) -> f64 {
        f64::from(quantile(&self.first_us, 99)) / 1000.0
    }
}

/// A fan that is running.
#[derive(Debug)]
pub struct Fan {
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    flows: usize,
    sender: JoinHandle<()>,
    sink: JoinHandle<Vec<Ledger>>,
}

impl Fan {
    /// Opens every sink in `to`, every source in `from`, and begins.
    ///
    /// # Errors
    /// When an address is not there.
    pub fn start(from: &Namespace, to: &Namespace, plan: FanPlan) -> Result<Self> {
        let what = || LabError::io("opening a fan of flows");
        let open = |ends: &[SocketAddr]| ends.iter().map(|end| udp(*end)).collect::<io::Result<Vec<_>>>();
        let sinks = to.run(|| open(&plan.targets))?.map_err(what())?;
        let sources = from.run(|| open(&plan.sources))?.map_err(what())?;
        let (sent, stop): (Arc<AtomicU64>, Arc<AtomicBool>) = Default::default();
        let pace = Pace::begin(plan.rate);
        let flows = plan.flows();
        let sink = {
            let (sent, stop, plan) = (Arc::clone(&sent), Arc::clone(&stop), plan.clone());
            thread::start("fan sink", move || drain(&sinks, &plan, pace, &sent, &stop))?
        };
        let sender = {
            let (sent, stop) = (Arc::clone(&sent), Arc::clone(&stop));
            thread::start("fan tx", move || {
                send(&sources, &plan, pace, &sent, &stop);
                stop.store(true, Ordering::Relaxed);
            })?
        };
        Ok(Self { sent, stop, flows, sender, sink })
    }

    /// Packets sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Stops sending and closes the accounts.
    ///
    /// # Errors
    /// As [`Fan::finish`].
    pub fn stop(self) -> Result<Fanned> {
        self.stop.store(true, Ordering::Relaxed);
        self.finish()
    }

    /// Runs to the end and closes the accounts.
    ///
    /// # Errors
    /// [`LabError::Interrupted`], or when a thread panicked.
    pub fn finish(self) -> Result<Fanned> {
        while !self.sender.is_finished() {
            if interrupt::requested() {
                self.stop.store(true, Ordering::Relaxed);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        thread::join(self.sender)?;
        let ledgers = thread::join(self.sink)?;
        interrupt::check()?;
        let sent = self.sent.load(Ordering::Relaxed);
        let mut fanned = Fanned::default();
        for (flow, ledger) in (0_u64..).zip(ledgers) {
            fanned.first_us.extend(ledger.delay_us(0));
            // Flows take turns: the first ones have sent one more.
            let flows = self.flows as u64;
            let offered = sent / flows + u64::from(flow < sent % flows);
            let number = u32::try_from(flow).unwrap_or(u32::MAX);
            fanned.missing.extend(ledger.missing(offered).into_iter().map(|sequence| (number, sequence)));
            fanned.tally += ledger.close(offered);
        }
        fanned.first_us.sort_unstable();
        Ok(fanned)
    }
}

fn send(sources: &[Socket], plan: &FanPlan, pace: Pace, sent: &AtomicU64, stop: &AtomicBool) {
    let mut packet = vec![0; plan.size.max(HEADER)];
    let flows = plan.flows() as u64;
    let end = plan.rounds.map_or(u64::MAX, |rounds| rounds * flows);
    let targets: Vec<socket2::SockAddr> = plan.targets.iter().map(|target| (*target).into()).collect();
    for number in 0..end {
        let due = pace.wait(number);
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let (flow, sequence) = (number % flows, number / flows);
        let due_ns = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
        let answerer = u32::try_from(flow).unwrap_or(u32::MAX);
        Payload { group: plan.group, sequence, due_ns, answerer }.emit(&mut packet);
        let flow = answerer as usize;
        // What the kernel refuses to send was offered all the same, and will be found lost.
        let _ = sources[flow / targets.len()].send_to(&packet, &targets[flow % targets.len()]);
        sent.store(number + 1, Ordering::Relaxed);
    }
}

fn drain(sinks: &[Socket], plan: &FanPlan, pace: Pace, sent: &AtomicU64, stop: &AtomicBool) -> Vec<Ledger> {
    let mut ledgers: Vec<Ledger> = (0..plan.flows()).map(|_| Ledger::default()).collect();
    let mut buffer = vec![0; 2048];
    let (mut delivered, mut stopped) = (0, None::<Instant>);
    loop {
        let mut fds: Vec<PollFd<'_>> =
            sinks.iter().map(|sink| PollFd::from_borrowed_fd(sink.as_fd(), PollFlags::IN)).collect();
        // A timeout and an interrupted wait are the same here: nothing has come yet.
        let _ = poll(&mut fds, Some(&TICK));
        for (at, mut sink) in sinks.iter().enumerate() {
            if fds[at].revents().contains(PollFlags::IN)
                && let Ok(length) = sink.read(&mut buffer)
            {
                delivered += account(&mut ledgers, plan, at, pace, &buffer[..length]);
            }
        }
        if stopped.is_none() && stop.load(Ordering::Relaxed) {
            stopped = Some(Instant::now());
        }
        if let Some(since) = stopped {
            let all = delivered >= sent.load(Ordering::Relaxed);
            if since.elapsed() > plan.grace || all && since.elapsed() > Duration::from_millis(40) {
                return ledgers;
            }
        }
    }
}

/// Books one packet that came to the sink `at`; gives 1 when it is the first copy of one of ours.
fn account(ledgers: &mut [Ledger], plan: &FanPlan, at: usize, pace: Pace, packet: &[u8]) -> u64 {
    let payload = match Payload::parse(packet) {
        Ok(payload) if packet.len() == plan.size.max(HEADER) => payload,
        Ok(_) | Err(_) => {
            ledgers[0].changed();
            return 0;
        }
    };
    let Some(ledger) = usize::try_from(payload.answerer).ok().and_then(|flow| ledgers.get_mut(flow)) else {
        ledgers[0].changed();
        return 0;
    };
    if payload.group != plan.group {
        ledger.stray();
        return 0;
    }
    if payload.answerer as usize % plan.targets.len() != at {
        ledger.answered_by_another();
        return 0;
    }
    let before = ledger.delivered();
    ledger.arrived(payload.sequence, pace.since(payload.due_ns));
    ledger.delivered() - before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_counts_for_its_flow_at_its_sink_alone() {
        let mut plan = FanPlan::to_addresses(
            [10, 1, 14, 1].into(),
            &[[10, 1, 24, 1].into(), [10, 1, 24, 2].into()],
            5000,
        );
        plan.group = 100;
        let mut ledgers = vec![Ledger::default(), Ledger::default()];
        let mut packet = [0; 64];
        Payload { group: 100, sequence: 0, due_ns: 0, answerer: 1 }.emit(&mut packet);
        let pace = Pace::begin(1);
        assert_eq!(account(&mut ledgers, &plan, 1, pace, &packet), 1);
        assert_eq!(account(&mut ledgers, &plan, 1, pace, &packet), 0);
        assert_eq!(account(&mut ledgers, &plan, 0, pace, &packet), 0);
        let second = ledgers.remove(1).close(1);
        assert_eq!((second.delivered, second.duplicated, second.wrong_peer), (1, 1, 1));
    }

    #[test]
    fn ports_squared_are_flows() {
        let plan = FanPlan::over_ports([10, 1, 14, 1].into(), [10, 1, 24, 1].into(), 100, 20_000);
        assert_eq!(plan.flows(), 10_000);
        assert_eq!(plan.targets[0].port(), 20_100);
    }
}
