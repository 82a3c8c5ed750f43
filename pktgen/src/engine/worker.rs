//! One queue's worker: it sends, receives, or both, turn after turn.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sterna_xsk::{BURST, Frame, Granted, Ledger, Port, XdpStatistics};

use super::{Control, Sender, Sent, Update};
use crate::clock::{Clock, SECOND_NS};
use crate::sink::{Numbers, Seen, Sink, histogram};

/// How long an ended sender tries to hand over its last burst, in nanoseconds.
const FLUSH_NS: u64 = SECOND_NS;
/// A sleeper wakes this long before the next packet is due, in nanoseconds: twice what a wake cost on the machine
/// of afxdp-proved.md (45 us).
const WAKE_NS: u64 = 100_000;
/// The longest sleep, in nanoseconds, so that orders are seen.
const NAP_NS: u64 = 1_000_000;

/// What a worker did, when it is over.
#[derive(Debug)]
pub struct Outcome {
    /// What it sent.
    pub sent: Sent,
    /// How late packets were written, in nanoseconds.
    pub lateness: Histogram<u64>,
    /// What it saw.
    pub seen: Seen,
    /// The numbers of each sender that arrived.
    pub numbers: Vec<Numbers>,
    /// Latencies since the last update, in nanoseconds.
    pub latency: Histogram<u64>,
    /// When they begin.
    pub latency_from_ns: u64,
    /// Each port's name, what it was granted, kernel counters, and chunks at the end.
    pub ports: Vec<(String, Granted, XdpStatistics, Ledger)>,
    /// When sending was over: the count was handed over, or the end had come.
    pub sent_until_ns: u64,
}

/// One queue's worker.
pub struct Worker<C> {
    /// Its number among the run's workers.
    pub index: usize,
    /// Its ports.
    pub ports: Vec<Port>,
    /// What it sends, at which of the ports.
    pub sender: Option<(usize, Sender)>,
    /// Where it receives, at which of the ports.
    pub sink: Option<(usize, Sink)>,
    /// Orders.
    pub control: Arc<Control>,
    /// Where it tells.
    pub updates: mpsc::Sender<Update>,
    /// The time.
    pub clock: C,
    /// Sleep while nothing is due, instead of asking on.
    pub sleeps: bool,
}

impl<C: Clock> Worker<C> {
    /// Works until [`Control::finish`].
    pub fn run(mut self) -> Outcome {
        let mut frames = Vec::with_capacity(BURST);
        let mut told_ns = self.clock.now_ns();
        let mut sending = self.sender.is_some();
        let mut sent_until_ns = told_ns;
        let mut is_done = false;
        while !self.control.is_finished() {
            let received = self.receive(&mut frames);
            let now_ns = self.clock.now_ns();
            let mut moved = received > 0;
            if sending {
                moved |= self.send(now_ns);
                if !is_done {
                    sent_until_ns = now_ns;
                }
                sending = !self.is_over(now_ns);
            }
            self.ports.iter_mut().for_each(Port::maintain);
            // Who has sent its count says so at once: the run ends by what is told.
            let ends = !is_done && self.sender.as_ref().is_some_and(|(_, sender)| sender.is_done());
            is_done |= ends;
            if ends || now_ns.saturating_sub(told_ns) >= SECOND_NS {
                self.tell(told_ns, now_ns);
                told_ns = now_ns;
            }
            if self.sleeps && !moved {
                self.nap(now_ns, sending);
            }
        }
        self.outcome(told_ns, sent_until_ns)
    }

    #[inline]
    fn receive(&mut self, frames: &mut Vec<Frame>) -> usize {
        let Some((at, sink)) = &mut self.sink else { return 0 };
        let port = &mut self.ports[*at];
        let count = port.receive(frames, BURST);
        if count > 0 {
            let now_ns = self.clock.now_ns();
            frames.iter().for_each(|frame| sink.take(frame, now_ns));
            port.release(frames);
        }
        count
    }

    #[inline]
    fn send(&mut self, now_ns: u64) -> bool {
        let Some((at, sender)) = &mut self.sender else { return false };
        now_ns < self.control.end_ns() && sender.turn(&mut self.ports[*at], now_ns)
    }

    /// Ends sending when it is time; gives whether it is over.
    fn is_over(&mut self, now_ns: u64) -> bool {
        let Some((at, sender)) = &mut self.sender else { return true };
        let end_ns = self.control.end_ns();
        if now_ns < end_ns {
            return false;
        }
        let port = &mut self.ports[*at];
        let mut flushed = sender.end(end_ns);
        while !flushed && self.clock.now_ns() < now_ns + FLUSH_NS {
            port.maintain();
            flushed = sender.flush(port);
        }
        sender.abandon(port);
        true
    }

    fn tell(&mut self, from_ns: u64, now_ns: u64) {
        let update = Update {
            worker: self.index,
            between_ns: (from_ns, now_ns),
            latency: self.sink.as_mut().map(|(_, sink)| sink.take_latency()),
            sent: self.sender.as_ref().map(|(_, sender)| sender.sent()).unwrap_or_default(),
            seen: self.sink.as_ref().map(|(_, sink)| sink.seen()).unwrap_or_default(),
        };
        // A run that no longer listens is about to end.
        let _ = self.updates.send(update);
    }

    fn nap(&mut self, now_ns: u64, sending: bool) {
        let due = self.sender.as_ref().filter(|_| sending).map_or(u64::MAX, |(_, s)| s.next_due_ns());
        let free = due.saturating_sub(now_ns).saturating_sub(WAKE_NS).min(NAP_NS);
        if free == 0 || !self.ports.iter_mut().all(Port::may_wait) {
            return;
        }
        let Some((at, _)) = &self.sink else {
            return std::thread::sleep(Duration::from_nanos(free));
        };
        if let Some(fd) = self.ports[*at].wait_fd() {
            let timeout = Timespec { tv_sec: 0, tv_nsec: free.cast_signed() };
            // Interrupted or not: the next turn looks.
            let _ = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout));
        }
    }

    fn outcome(mut self, latency_from_ns: u64, sent_until_ns: u64) -> Outcome {
        self.ports.iter_mut().for_each(Port::maintain);
        let ports = self.ports.iter_mut();
        let account =
            |port: &mut Port| (port.name().to_owned(), port.granted(), port.statistics(), port.ledger());
        let ports = ports.map(account).collect();
        let (sent, lateness) = match self.sender {
            Some((_, sender)) => (sender.sent(), sender.into_lateness()),
            None => (Sent::default(), histogram()),
        };
        let (seen, latency, numbers) = match self.sink {
            Some((_, mut sink)) => (sink.seen(), sink.take_latency(), sink.into_numbers()),
            None => (Seen::default(), histogram(), Vec::new()),
        };
        Outcome { sent, lateness, seen, numbers, latency, latency_from_ns, ports, sent_until_ns }
    }
}
