//! Who answers each of many flows: a question per flow and round, answered by a [`super::responder`] that says who it is.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::Socket;

use super::ledger::{Ledger, Tally};
use super::pace::Pace;
use super::payload::{HEADER, Payload};
use super::probe::udp;
use super::responder::PORT;
use crate::error::{LabError, Result};
use crate::interrupt;
use crate::namespace::Namespace;

/// Source ports are given out in turns: a port that is used again within a minute is no new flow to a gateway.
static NEXT: AtomicU16 = AtomicU16::new(0);
/// The first source port, and how many there are.
const FIRST: u16 = 50_000;
const PORTS: u16 = 10_000;
/// Ports that may be taken in a row: the kernel gives them out too.
const TAKEN: usize = 16;
/// How long the last answers of a round may take.
const GRACE: Duration = Duration::from_millis(1500);
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// Which flows.
#[derive(Clone, Copy, Debug)]
pub struct CensusPlan {
    /// Our address.
    pub source: IpAddr,
    /// Whom we ask.
    pub target: IpAddr,
    /// The asker's instance-ID.
    pub group: u32,
    /// How many flows: each has a port of its own.
    pub flows: usize,
    /// Differentiated-services code point of the questions (IPv4).
    pub dscp: u8,
    /// Questions per second.
    pub rate: u32,
}

/// Flows that are open. A later round asks on the very same ones.
#[derive(Debug)]
pub struct Census {
    plan: CensusPlan,
    sockets: Vec<Socket>,
    rounds: u64,
}

/// What came of one question per flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// By flow: the tag of who answered.
    pub answerers: Vec<Option<u32>>,
    /// Questions and answers.
    pub tally: Tally,
}

impl Round {
    /// Flows by who answered them.
    pub fn shares(&self) -> BTreeMap<u32, usize> {
        let mut shares = BTreeMap::new();
        for tag in self.answerers.iter().flatten() {
            *shares.entry(*tag).or_default() += 1;
        }
        shares
    }

    /// Flows that this host answered.
    pub fn answered_by(&self, tag: u32) -> usize {
        self.answerers.iter().filter(|answerer| **answerer == Some(tag)).count()
    }

    /// Flows that were answered by somebody else than in an earlier round, or no longer at all.
    pub fn moved_since(&self, before: &Round) -> usize {
        self.answerers.iter().zip(&before.answerers).filter(|(now, then)| now != then).count()
    }
}

impl Census {
    /// Opens a socket per flow.
    ///
    /// # Errors
    /// When the address is not there.
    pub fn open(namespace: &Namespace, plan: CensusPlan) -> Result<Self> {
        let what = || LabError::io(format!("opening {} flows from {}", plan.flows, plan.source));
        let open = || -> io::Result<Socket> {
            let socket = next_port(plan.source)?;
            if plan.source.is_ipv4() {
                socket.set_tos_v4(u32::from(plan.dscp) << 2)?;
            }
            socket.connect(&SocketAddr::new(plan.target, PORT).into())?;
            Ok(socket)
        };
        let sockets = namespace.run(|| (0..plan.flows).map(|_| open()).collect::<io::Result<Vec<_>>>())?;
        Ok(Self { plan, sockets: sockets.map_err(what())?, rounds: 0 })
    }

    /// The source ports of its flows.
    pub fn ports(&self) -> Vec<u16> {
        let port = |socket: &Socket| socket.local_addr().ok()?.as_socket().map(|address| address.port());
        // A socket without an address has sent nothing either.
        self.sockets.iter().map(|socket| port(socket).unwrap_or(0)).collect()
    }

    /// One question on every flow.
    ///
    /// # Errors
    /// Only [`LabError::Interrupted`]: a question without an answer is in the tally.
    pub fn round(&mut self) -> Result<Round> {
        let number = self.rounds;
        self.rounds += 1;
        let pace = Pace::begin(self.plan.rate);
        let mut round = Hearing::new(self, number, pace);
        for flow in 0..self.sockets.len() as u64 {
            self.ask(flow, number, pace);
            round.hear(Timespec { tv_sec: 0, tv_nsec: 0 });
        }
        let asked = Instant::now();
        while round.missing() && asked.elapsed() < GRACE {
            interrupt::check()?;
            round.hear(TICK);
        }
        Ok(round.close())
    }

    fn ask(&self, flow: u64, sequence: u64, pace: Pace) {
        let due = pace.wait(flow);
        let due_ns = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
        let mut packet = [0; HEADER + 16];
        Payload { group: self.plan.group, sequence, due_ns, answerer: 0 }.emit(&mut packet);
        // What the kernel refuses to send was asked all the same, and is found unanswered.
        let _ = self.sockets[flow as usize].send(&packet);
    }
}

/// A socket on the next port that nobody has.
fn next_port(source: IpAddr) -> io::Result<Socket> {
    let next = || FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
    let mut opened = udp(SocketAddr::new(source, next()));
    for _ in 0..TAKEN {
        match opened {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                opened = udp(SocketAddr::new(source, next()));
            }
            other => return other,
        }
    }
    opened
}

/// The answers of one round.
struct Hearing<'c> {
    census: &'c Census,
    number: u64,
    pace: Pace,
    answerers: Vec<Option<u32>>,
    /// By flow, so that no flow's order is another's.
    ledger: Ledger,
    wrong: Tally,
}

impl<'c> Hearing<'c> {
    fn new(census: &'c Census, number: u64, pace: Pace) -> Self {
        let answerers = vec![None; census.sockets.len()];
        Self { census, number, pace, answerers, ledger: Ledger::default(), wrong: Tally::default() }
    }

    fn missing(&self) -> bool {
        self.answerers.iter().any(Option::is_none)
    }

    /// Takes what has come, or waits for something.
    fn hear(&mut self, wait: Timespec) {
        let sockets = &self.census.sockets;
        let mut fds: Vec<PollFd<'_>> =
            sockets.iter().map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)).collect();
        // A timeout and an interrupted wait are the same here: nothing has come yet.
        let _ = poll(&mut fds, Some(&wait));
        let ready: Vec<usize> =
            (0..fds.len()).filter(|at| fds[*at].revents().contains(PollFlags::IN)).collect();
        let mut buffer = [0; 2048];
        for flow in ready {
            if let Ok(length) = (&self.census.sockets[flow]).read(&mut buffer) {
                self.take(flow, &buffer[..length]);
            }
        }
    }

    fn take(&mut self, flow: usize, packet: &[u8]) {
        match Payload::parse(packet) {
            Ok(payload) if payload.group != self.census.plan.group => self.wrong.strayed += 1,
            // A late answer of an earlier round was counted as lost there.
            Ok(payload) if payload.sequence != self.number => {}
            Ok(payload) => {
                self.answerers[flow].get_or_insert(payload.answerer);
                self.ledger.arrived(flow as u64, self.pace.since(payload.due_ns));
            }
            Err(_) => self.wrong.corrupted += 1,
        }
    }

    fn close(self) -> Round {
        let tally = self.ledger.close(self.answerers.len() as u64);
        let (strayed, corrupted) = (self.wrong.strayed, self.wrong.corrupted);
        // Flows go to different sites: that one overtakes another is nothing.
        let tally = Tally { reordered: 0, strayed, corrupted, ..tally };
        Round { answerers: self.answerers, tally }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_tells_who_answered_and_who_is_new() {
        let before = Round { answerers: vec![Some(21), Some(21), Some(31)], tally: Tally::default() };
        let after = Round { answerers: vec![Some(21), None, Some(21)], tally: Tally::default() };
        assert_eq!(before.shares(), [(21, 2), (31, 1)].into());
        assert_eq!((before.answered_by(21), after.moved_since(&before)), (2, 2));
    }
}
