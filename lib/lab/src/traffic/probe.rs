//! Questions that are answered: ICMP echo by the far kernel, or UDP by a [`super::responder`].

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::ledger::{Ledger, Tally};
use super::pace::Pace;
use super::payload::{HEADER, Payload, Refused};
use crate::error::{LabError, Result};
use crate::interrupt;
use crate::namespace::Namespace;
use crate::thread;

/// Bytes of an ICMP echo header.
const ICMP_HEADER: usize = 8;
/// How long after the last packet an answer may still come.
const GRACE: Duration = Duration::from_millis(1500);
/// How long the second packet waits for the answer to the first.
const FIRST: Duration = Duration::from_millis(500);
/// How long a receiver waits before it looks whether it should end.
const TICK: Duration = Duration::from_millis(20);
/// Room for what arrives while the receiver waits for a core.
const RECEIVE_BUFFER: usize = 16 << 20;

/// What carries the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// ICMP or ICMPv6 echo; the kernel at the other end answers.
    Icmp,
    /// UDP to this port; a responder answers and says who it is.
    Udp(u16),
}

/// What to ask, from where, how often.
#[derive(Clone, Copy, Debug)]
pub struct ProbePlan {
    /// Our address.
    pub source: IpAddr,
    /// Whom we ask.
    pub target: IpAddr,
    /// How.
    pub via: Via,
    /// The asker's instance-ID, written into every packet.
    pub group: u32,
    /// Who must answer (UDP only).
    pub answerer: Option<u32>,
    /// Packets per second.
    pub rate: u32,
    /// Stop after so many; `None`: until told.
    pub count: Option<u64>,
    /// Payload bytes, at least [`HEADER`].
    pub size: usize,
}

/// A probe that is running.
#[derive(Debug)]
pub struct Probe {
    sent: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    sender: JoinHandle<()>,
    receiver: JoinHandle<Ledger>,
}

impl Probe {
    /// Opens the socket inside the namespace and starts asking.
    ///
    /// # Errors
    /// When the address is not there or a socket cannot be opened.
    pub fn start(namespace: &Namespace, plan: ProbePlan) -> Result<Self> {
        let what = format!("opening a probe from {} in {}", plan.source, namespace.name());
        let socket = namespace.run(|| open(&plan))?.map_err(LabError::io(what))?;
        let socket = Arc::new(socket);
        let (sent, answered, stop) = (Arc::default(), Arc::default(), Arc::default());
        let pace = Pace::begin(plan.rate);
        let receiver = {
            let (socket, sent, answered) = (Arc::clone(&socket), Arc::clone(&sent), Arc::clone(&answered));
            let stop = Arc::clone(&stop);
            thread::start("probe rx", move || receive(&socket, &plan, pace, &sent, &answered, &stop))?
        };
        let sender = {
            let (sent, stop) = (Arc::clone(&sent), Arc::clone(&stop));
            let answered = Arc::clone(&answered);
            thread::start("probe tx", move || {
                send(&socket, &plan, pace, &sent, &answered, &stop);
                // From now on the receiver waits for stragglers only.
                stop.store(true, Ordering::Relaxed);
            })?
        };
        Ok(Self { sent, answered, stop, sender, receiver })
    }

    /// Packets sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Answers so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Stops asking, waits for what is on its way, and closes the account.
    ///
    /// # Errors
    /// Only when a thread panicked.
    pub fn stop(self) -> Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        self.finish()
    }

    /// Lets a probe with a count run to its end and closes the account.
    ///
    /// # Errors
    /// [`LabError::Interrupted`], or when a thread panicked.
    pub fn finish(self) -> Result<Tally> {
        while !self.sender.is_finished() {
            if interrupt::requested() {
                self.stop.store(true, Ordering::Relaxed);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        thread::join(self.sender)?;
        let ledger = thread::join(self.receiver)?;
        interrupt::check()?;
        Ok(ledger.close(self.sent.load(Ordering::Relaxed)))
    }
}

/// Opens a UDP socket with a deep receive buffer.
pub(super) fn udp(bind: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(bind), Type::DGRAM, None)?;
    deepen(&socket)?;
    socket.bind(&bind.into())?;
    Ok(socket)
}

fn deepen(socket: &Socket) -> io::Result<()> {
    rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, RECEIVE_BUFFER)?;
    socket.set_read_timeout(Some(TICK))
}

fn open(plan: &ProbePlan) -> io::Result<Socket> {
    match plan.via {
        Via::Udp(port) => {
            let socket = udp(SocketAddr::new(plan.source, 0))?;
            socket.connect(&SocketAddr::new(plan.target, port).into())?;
            Ok(socket)
        }
        Via::Icmp => {
            let (domain, protocol) = match plan.source {
                IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
                IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
            };
            // A datagram ICMP socket: the kernel fills identifier and checksum and hands us our own answers only.
            let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
            deepen(&socket)?;
            socket.bind(&SocketAddr::new(plan.source, 0).into())?;
            socket.connect(&SocketAddr::new(plan.target, 0).into())?;
            Ok(socket)
        }
    }
}

fn header_of(plan: &ProbePlan) -> usize {
    if plan.via == Via::Icmp { ICMP_HEADER } else { 0 }
}

fn send(
    socket: &Socket,
    plan: &ProbePlan,
    mut pace: Pace,
    sent: &AtomicU64,
    answered: &AtomicU64,
    stop: &AtomicBool,
) {
    let header = header_of(plan);
    let mut packet = vec![0; header + plan.size.max(HEADER)];
    let mut sequence = 0;
    while plan.count.is_none_or(|count| sequence < count) {
        let due = pace.wait(sequence);
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if header > 0 {
            packet[0] = if plan.source.is_ipv4() { 8 } else { 128 };
            let [.., high, low] = sequence.to_be_bytes();
            packet[6..8].copy_from_slice(&[high, low]);
        }
        let due_ns = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
        let payload = Payload { group: plan.group, sequence, due_ns, answerer: 0 };
        payload.emit(&mut packet[header..]);
        // What the kernel refuses to send was offered all the same, and will be found lost.
        let _ = socket.send(&packet);
        sequence += 1;
        sent.store(sequence, Ordering::Relaxed);
        if sequence == 1 {
            wait_for_first(answered, stop);
            pace = pace.resume_at(1);
        }
    }
}

/// The first packet goes alone. While a host's kernel asks for a MAC it keeps packets back, and when it is
/// told lets new ones overtake them: that is the host's doing and must not be counted against the gateway.
fn wait_for_first(answered: &AtomicU64, stop: &AtomicBool) {
    let end = Instant::now() + FIRST;
    while answered.load(Ordering::Relaxed) == 0 && !stop.load(Ordering::Relaxed) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn receive(
    mut socket: &Socket,
    plan: &ProbePlan,
    pace: Pace,
    sent: &AtomicU64,
    answered: &AtomicU64,
    stop: &AtomicBool,
) -> Ledger {
    let mut ledger = Ledger::default();
    let mut buffer = vec![0; 2048];
    let mut stopped: Option<Instant> = None;
    loop {
        // A timeout and an ICMP error that came back are the same here: no answer yet.
        if let Ok(length) = io::Read::read(&mut socket, &mut buffer) {
            account(&mut ledger, plan, pace, &buffer[..length]);
            answered.store(ledger.delivered(), Ordering::Relaxed);
        }
        if stopped.is_none() && stop.load(Ordering::Relaxed) {
            stopped = Some(Instant::now());
        }
        if let Some(since) = stopped {
            let all = ledger.delivered() >= sent.load(Ordering::Relaxed);
            // Even when all have come, listen for two ticks more: a second copy would come late.
            if since.elapsed() > GRACE || all && since.elapsed() > 2 * TICK {
                return ledger;
            }
        }
    }
}

fn account(ledger: &mut Ledger, plan: &ProbePlan, pace: Pace, packet: &[u8]) {
    let header = header_of(plan);
    let reply = if plan.source.is_ipv4() { 0 } else { 129 };
    if header > 0 && packet.first() != Some(&reply) {
        return;
    }
    match packet.get(header..).map(Payload::parse) {
        Some(Ok(payload)) if payload.group != plan.group => ledger.stray(),
        Some(Ok(payload)) => {
            if plan.answerer.is_some_and(|expected| expected != payload.answerer) {
                ledger.answered_by_another();
            } else if packet.len() != header + plan.size.max(HEADER) {
                ledger.changed();
            } else {
                ledger.arrived(payload.sequence, pace.since(payload.due_ns));
            }
        }
        Some(Err(Refused::Corrupted | Refused::Foreign)) | None => ledger.changed(),
    }
}
