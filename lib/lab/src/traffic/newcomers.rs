//! New flows at a steady rate to an EID that several sites offer: which site each of them went to.
//!
//! Every packet is a flow of its own: sources and ports are counted through like the digits of a number.

use std::collections::HashSet;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::Socket;

use super::ledger::Tally;
use super::pace::Pace;
use super::payload::{HEADER, Payload};
use super::probe::udp;
use crate::error::{LabError, Result};
use crate::interrupt;
use crate::namespace::Namespace;
use crate::thread;

/// How long a sink waits before it looks whether it should end.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
/// How long the last packets may take.
const GRACE: Duration = Duration::from_millis(500);

/// Which flows.
#[derive(Clone, Copy, Debug)]
pub struct NewcomersPlan {
    /// Our address.
    pub source: IpAddr,
    /// The EID.
    pub target: IpAddr,
    /// The sender's instance-ID.
    pub group: u32,
    /// New flows per second.
    pub rate: u32,
    /// Source ports.
    pub sources: u16,
    /// Destination ports, from `first` on.
    pub ports: u16,
    /// The first of them.
    pub first: u16,
}

/// A packet that came: its flow's number and when it was meant to be sent, nanoseconds since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Arrival {
    flow: u64,
    due_ns: u64,
}

/// What one site has got.
#[derive(Debug, Default)]
struct Book {
    arrivals: Vec<Arrival>,
    faults: u64,
}

/// New flows on their way.
#[derive(Debug)]
pub struct Newcomers {
    pace: Pace,
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    books: Vec<Arc<Mutex<Book>>>,
    sender: JoinHandle<()>,
    sinks: Vec<JoinHandle<()>>,
}

impl Newcomers {
    /// Opens the ports at each site that offers the EID, and begins.
    ///
    /// # Errors
    /// When an address is not there.
    pub fn start(from: &Namespace, to: &[Namespace], plan: NewcomersPlan) -> Result<Self> {
        let what = || LabError::io("opening new flows");
        let sources = from.run(|| {
            (0..plan.sources).map(|_| udp(SocketAddr::new(plan.source, 0))).collect::<io::Result<Vec<_>>>()
        })?;
        let sources = sources.map_err(what())?;
        let (sent, stop): (Arc<AtomicU64>, Arc<AtomicBool>) = Default::default();
        let (mut books, mut sinks) = (Vec::new(), Vec::new());
        for namespace in to {
            let ports = (0..plan.ports).map(|at| SocketAddr::new(plan.target, plan.first + at));
            let sockets = namespace.run(|| ports.map(udp).collect::<io::Result<Vec<_>>>())?.map_err(what())?;
            let (book, stop): (Arc<Mutex<Book>>, _) = (Arc::default(), Arc::clone(&stop));
            books.push(Arc::clone(&book));
            sinks.push(thread::start("newcomers rx", move || drain(&sockets, plan.group, &book, &stop))?);
        }
        let pace = Pace::begin(plan.rate);
        let sender = {
            let (sent, stop) = (Arc::clone(&sent), Arc::clone(&stop));
            thread::start("newcomers tx", move || send(&sources, &plan, pace, &sent, &stop))?
        };
        Ok(Self { pace, sent, stop, books, sender, sinks })
    }

    /// Now, as packets tell their time.
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.pace.since(0).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Flows since a moment that came to a site, by its place in the list.
    pub fn came_since(&self, site: usize, since_ns: u64) -> usize {
        let book = lock(&self.books[site]);
        book.arrivals.iter().rev().take_while(|arrival| arrival.due_ns >= since_ns).count()
    }

    /// When the last flow since a moment was sent that came to a site.
    pub fn last_since(&self, site: usize, since_ns: u64) -> Option<u64> {
        let book = lock(&self.books[site]);
        let since = book.arrivals.iter().rev().take_while(|arrival| arrival.due_ns >= since_ns);
        since.map(|arrival| arrival.due_ns).max()
    }

    /// When the first flow since a moment was sent that came to a site.
    pub fn first_since(&self, site: usize, since_ns: u64) -> Option<u64> {
        let book = lock(&self.books[site]);
        let since = book.arrivals.iter().rev().take_while(|arrival| arrival.due_ns >= since_ns);
        since.map(|arrival| arrival.due_ns).min()
    }

    /// Ends, and closes the account.
    ///
    /// # Errors
    /// [`LabError::Interrupted`], or when a thread panicked.
    pub fn stop(self) -> Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        thread::join(self.sender)?;
        let offered = self.sent.load(Ordering::Relaxed);
        self.sinks.into_iter().try_for_each(thread::join)?;
        interrupt::check()?;
        let (mut seen, mut tally) = (HashSet::new(), Tally { offered, ..Tally::default() });
        for book in &self.books {
            let book = lock(book);
            tally.corrupted += book.faults;
            tally.duplicated +=
                book.arrivals.iter().filter(|arrival| !seen.insert(arrival.flow)).count() as u64;
        }
        tally.delivered = seen.len() as u64;
        tally.lost = offered.saturating_sub(tally.delivered);
        Ok(tally)
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

fn send(sources: &[Socket], plan: &NewcomersPlan, pace: Pace, sent: &AtomicU64, stop: &AtomicBool) {
    let mut packet = [0; HEADER + 16];
    let count = sources.len() as u64;
    // A flow that comes twice would be no new one.
    for flow in 0..count * u64::from(plan.ports) {
        let due = pace.wait(flow);
        if stop.load(Ordering::Relaxed) || interrupt::requested() {
            return;
        }
        let due_ns = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
        Payload { group: plan.group, sequence: flow, due_ns, answerer: 0 }.emit(&mut packet);
        let port = plan.first + (flow / count) as u16;
        // What the kernel refuses to send was offered all the same, and will be found lost.
        let _ = sources[(flow % count) as usize].send_to(&packet, &SocketAddr::new(plan.target, port).into());
        sent.store(flow + 1, Ordering::Relaxed);
    }
}

fn drain(sockets: &[Socket], group: u32, book: &Mutex<Book>, stop: &AtomicBool) {
    let mut buffer = [0; 2048];
    let mut stopped: Option<Instant> = None;
    while stopped.is_none_or(|since| since.elapsed() < GRACE) {
        let mut fds: Vec<PollFd<'_>> =
            sockets.iter().map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)).collect();
        // A timeout and an interrupted wait are the same here: nothing has come yet.
        let _ = poll(&mut fds, Some(&TICK));
        for (at, mut socket) in sockets.iter().enumerate() {
            if fds[at].revents().contains(PollFlags::IN)
                && let Ok(length) = socket.read(&mut buffer)
            {
                let mut book = lock(book);
                match Payload::parse(&buffer[..length]) {
                    Ok(payload) if payload.group == group => {
                        book.arrivals.push(Arrival { flow: payload.sequence, due_ns: payload.due_ns });
                    }
                    Ok(_) | Err(_) => book.faults += 1,
                }
            }
        }
        if stopped.is_none() && stop.load(Ordering::Relaxed) {
            stopped = Some(Instant::now());
        }
    }
}
