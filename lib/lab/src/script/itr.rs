//! A scripted ITR: asks at a stated rate, and checks and times every answer.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use sterna_wire::lisp::control::{EidRecord, LispAddress, MapReply, MapRequest, RequestRecord, encapsulate};
use sterna_wire::{Iid, Prefix};

use super::etr::{CONTROL, Entry};
use crate::error::{LabError, Result};
use crate::interrupt;
use crate::namespace::Namespace;
use crate::relay::dice::Dice;
use crate::traffic::pace::Pace;

/// How long the last answers may take.
const GRACE: Duration = Duration::from_millis(1500);
const TICK: Duration = Duration::from_millis(20);
/// Latencies are kept up to this, microseconds.
const LONGEST_US: u64 = 60_000_000;

/// What came of the questions.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Questions sent.
    pub asked: u64,
    /// Right answers.
    pub right: u64,
    /// Answers with another prefix, other locators, or a nonce that nobody used.
    pub wrong: u64,
    /// What was wrong with the first of those.
    pub first_wrong: Option<String>,
    /// From the due time of a question to its answer, microseconds.
    pub latency_us: Histogram<u64>,
    /// From the first question to the last.
    pub took: Duration,
}

impl Asked {
    /// Questions without an answer.
    pub fn unanswered(&self) -> u64 {
        self.asked.saturating_sub(self.right)
    }

    fn found_wrong(&mut self, what: impl FnOnce() -> String) {
        self.wrong += 1;
        self.first_wrong.get_or_insert_with(what);
    }

    /// Questions per second that were really sent.
    pub fn rate(&self) -> f64 {
        self.asked as f64 / self.took.as_secs_f64().max(1e-9)
    }
}

/// What is asked, how fast, how often.
pub struct Questions<'e> {
    /// The EID of a number below `count`, and what it must map to.
    pub entry: &'e (dyn Fn(u64) -> Entry + Sync),
    /// How many EIDs there are.
    pub count: u64,
    /// Questions per second.
    pub rate: u32,
    /// Questions in all.
    pub questions: u64,
    /// Decides the order.
    pub seed: u64,
}

/// Asks from `address` in a namespace and gives what came of it.
///
/// # Errors
/// When a socket cannot be had, or [`LabError::Interrupted`].
pub fn ask(namespace: &Namespace, address: IpAddr, resolver: IpAddr, plan: &Questions<'_>) -> Result<Asked> {
    let what = || LabError::io(format!("opening a scripted ITR at {address}"));
    let socket = namespace.run(|| UdpSocket::bind(SocketAddr::new(address, 0)))?.map_err(what())?;
    socket.set_read_timeout(Some(TICK)).map_err(what())?;
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 64 << 20)
        .map_err(|errno| what()(errno.into()))?;
    let own = socket.local_addr().map_err(what())?;
    let (sent, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let pace = Pace::begin(plan.rate);
    let mut asked = std::thread::scope(|scope| {
        let receiver = scope.spawn(|| hear(&socket, plan, pace, &sent, &done));
        let to = SocketAddr::new(resolver, CONTROL);
        // What the kernel refuses is found unanswered.
        let took = send(plan, pace, (own, to), &sent, |message| drop(socket.send_to(message, to)));
        done.store(true, Ordering::Relaxed);
        let heard = receiver.join().map_err(|_| LabError::Panicked("the scripted ITR".to_owned()))?;
        heard.map(|asked| Asked { took, ..asked })
    })?;
    interrupt::check()?;
    asked.asked = sent.load(Ordering::Relaxed);
    Ok(asked)
}

/// Which EID question `number` is about; sender and receiver agree without a word.
fn eid_of(plan: &Questions<'_>, number: u64) -> u64 {
    Dice(plan.seed.wrapping_add(number)).roll(plan.count)
}

/// The nonce of a question: its number, hidden, so that a wrong echo is no other question's.
fn nonce_of(plan: &Questions<'_>, number: u64) -> u64 {
    number | (Dice(plan.seed ^ number).number() << 32)
}

/// Puts every question on its way when it is due.
fn send(
    plan: &Questions<'_>,
    pace: Pace,
    (own, to): (SocketAddr, SocketAddr),
    sent: &AtomicU64,
    put: impl Fn(&[u8]),
) -> Duration {
    let start = Instant::now();
    for number in 0..plan.questions {
        let message = question(plan, number, own, to);
        pace.wait(number);
        if interrupt::requested() {
            break;
        }
        // Before the message leaves: its answer may be here before this thread runs again.
        sent.store(number + 1, Ordering::Release);
        put(&message);
    }
    start.elapsed()
}

fn question(plan: &Questions<'_>, number: u64, own: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let entry = (plan.entry)(eid_of(plan, number));
    let request = MapRequest {
        nonce: nonce_of(plan, number),
        itr_rlocs: vec![LispAddress::Ip(own.ip())],
        records: vec![RequestRecord::of(entry.iid, Prefix::host(entry.prefix.addr()))],
        ..MapRequest::default()
    };
    encapsulate(own, to, &request.emit())
}

fn hear(
    socket: &UdpSocket,
    plan: &Questions<'_>,
    pace: Pace,
    sent: &AtomicU64,
    done: &AtomicBool,
) -> Result<Asked> {
    let fault = |error: hdrhistogram::CreationError| LabError::Panicked(error.to_string());
    let latency_us = Histogram::new_with_bounds(1, LONGEST_US, 3).map_err(fault)?;
    let mut asked =
        Asked { asked: 0, right: 0, wrong: 0, first_wrong: None, latency_us, took: Duration::ZERO };
    let mut answered: HashSet<u64> = HashSet::new();
    let mut buffer = [0; 4096];
    let mut ended: Option<Instant> = None;
    loop {
        if let Ok((length, _)) = socket.recv_from(&mut buffer) {
            match judge(plan, &buffer[..length], sent.load(Ordering::Acquire)) {
                Ok(number) if answered.insert(number) => {
                    asked.right += 1;
                    let due = u64::try_from(pace.due(number).as_nanos()).unwrap_or(u64::MAX);
                    let late = u64::try_from(pace.since(due).as_micros()).unwrap_or(LONGEST_US);
                    asked.latency_us.saturating_record(late.max(1));
                }
                Ok(number) => asked.found_wrong(|| format!("question {number} was answered twice")),
                Err(why) => asked.found_wrong(|| why),
            }
        }
        if ended.is_none() && done.load(Ordering::Relaxed) {
            ended = Some(Instant::now());
        }
        let all = asked.right >= sent.load(Ordering::Acquire);
        if ended.is_some_and(|since| all || since.elapsed() > GRACE) {
            return Ok(asked);
        }
    }
}

/// The number of the question that this answers rightly, or what is wrong with it.
fn judge(plan: &Questions<'_>, message: &[u8], sent: u64) -> std::result::Result<u64, String> {
    let reply = MapReply::parse(message).map_err(|error| format!("no Map-Reply: {error}"))?;
    let number = reply.nonce & u64::from(u32::MAX);
    if number >= sent || reply.nonce != nonce_of(plan, number) {
        return Err(format!("nobody asked with nonce {:#x} ({sent} questions were sent)", reply.nonce));
    }
    let expected = (plan.entry)(eid_of(plan, number));
    let mut wanted = expected.locators.clone();
    wanted.sort_unstable();
    let right = |record: &EidRecord| {
        let mut locators: Vec<IpAddr> = record.locators.iter().filter_map(|l| l.address.rloc()).collect();
        locators.sort_unstable();
        record.prefix() == Some((expected.iid, expected.prefix)) && locators == wanted && record.ttl > 0
    };
    match reply.records.as_slice() {
        [record] if right(record) => Ok(number),
        records => Err(format!("question {number} about {expected:?} was answered by {records:?}")),
    }
}

/// An instance-ID; a number that is none gives the default one.
pub fn iid(number: u32) -> Iid {
    Iid::new(number).unwrap_or(Iid::DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sterna_wire::lisp::control::LocatorRecord;

    fn entry(number: u64) -> Entry {
        let last = u8::try_from(number).unwrap();
        Entry {
            iid: iid(7),
            prefix: Prefix::host([10, 0, 0, last].into()),
            locators: vec![[192, 0, 2, last].into()],
        }
    }

    fn answer(plan: &Questions<'_>, number: u64) -> MapReply {
        let about = entry(eid_of(plan, number));
        let locators = vec![LocatorRecord::unicast(about.locators[0], 1, 100)];
        let record = EidRecord { locators, ..EidRecord::of(about.iid, about.prefix) };
        MapReply { nonce: nonce_of(plan, number), records: vec![record], ..MapReply::default() }
    }

    #[test]
    fn only_the_right_answer_counts() {
        let plan = Questions { entry: &entry, count: 200, rate: 1, questions: 9, seed: 3 };
        let reply = answer(&plan, 4);
        assert_eq!(judge(&plan, &reply.emit(), 9), Ok(4));
        // Not asked yet; another nonce; another locator; no locator at all.
        assert!(judge(&plan, &reply.emit(), 4).is_err());
        let other = MapReply { nonce: nonce_of(&plan, 5), ..reply.clone() };
        assert!(judge(&plan, &other.emit(), 9).is_err());
        let mut wrong = reply.clone();
        wrong.records[0].locators[0].address = LispAddress::Ip([192, 0, 3, 1].into());
        assert!(judge(&plan, &wrong.emit(), 9).is_err());
        wrong.records[0].locators.clear();
        assert!(judge(&plan, &wrong.emit(), 9).is_err());
    }

    /// A thread that is put aside right after its system call must not turn a fast answer into a wrong one.
    #[test]
    fn an_answer_that_is_there_before_the_sender_runs_again_is_right() {
        let plan = Questions { entry: &entry, count: 200, rate: 1_000_000, questions: 9, seed: 3 };
        let (sent, judged) = (AtomicU64::new(0), std::cell::RefCell::new(Vec::new()));
        let put = |_: &[u8]| {
            let number = judged.borrow().len() as u64;
            let reply = answer(&plan, number).emit();
            judged.borrow_mut().push(judge(&plan, &reply, sent.load(Ordering::Acquire)));
        };
        let at = SocketAddr::from(([192, 0, 2, 1], CONTROL));
        send(&plan, Pace::begin(plan.rate), (at, at), &sent, put);
        assert_eq!(judged.into_inner(), (0..9).map(Ok).collect::<Vec<_>>());
    }
}
