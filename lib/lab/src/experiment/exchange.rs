//! Small questions and answers between two agents through two gateways: the first one to an agent that nobody asked for
//! before, and then one after the other.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::{Accounts, close, nanoseconds};
use crate::error::{LabError, Result};
use crate::interrupt;
use crate::lab::{Adjust, Lab};
use crate::scenario::agents::{arrive, greet};
use crate::site::{Family, Host, Site, roaming_eid};
use crate::topology::Topology;
use crate::traffic::payload::Payload;
use crate::traffic::responder::{Impairment, PORT, Responder};

/// Who asks, and who answers.
const ASKER: Host = Host::new(Site::A, 1);
const ANSWERER: Host = Host::new(Site::B, 1);
/// The first of the answerer's addresses that nobody knows yet, and how many there can be.
const FIRST: u8 = 101;
/// The most strangers of one run: what is left of the last number.
pub const MOST_STRANGERS: u8 = 100;
/// How long an answer may take before the question is asked again, and how often it is asked at all.
const AGAIN: Duration = Duration::from_secs(1);
const TRIES: u32 = 4;
/// Between two questions: agents think, and the machine gets to rest as it would.
const BETWEEN: Duration = Duration::from_millis(1);
/// Bytes of a question and of its answer, without headers.
const SIZE: usize = 64;

/// How much.
#[derive(Clone, Copy, Debug)]
pub struct ExchangePlan {
    /// Agents that nobody has asked for before, at most [`MOST_STRANGERS`].
    pub strangers: u8,
    /// Questions to an agent that is known.
    pub rounds: u32,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Exchanged {
    /// From a first question to its answer, nanoseconds; of those that needed one question only.
    pub first_ns: Vec<u64>,
    /// Questions beyond the first that the first exchanges needed: each is an extra round trip for the agent.
    pub extra: u64,
    /// From a question to its answer once both gateways know both agents, nanoseconds.
    pub round_ns: Vec<u64>,
    /// Questions without an answer, of known agents.
    pub lost: u64,
    /// Answers that were not to the question, or not by the one who was asked.
    pub wrong: u64,
    /// The gateways' balance and the lab's end.
    pub accounts: Accounts,
}

/// Builds a lab of two sites that find each other through a Map-Server, asks, takes the lab down.
///
/// # Errors
/// When the machine cannot have a lab ([`LabError::Missing`]), or when an agent cannot be registered.
pub fn measure(plan: ExchangePlan) -> Result<Exchanged> {
    let lab = Lab::build(Topology::MAPPED, Adjust::NOTHING)?;
    let strangers: Vec<IpAddr> =
        (0..plan.strangers.min(MOST_STRANGERS)).map(|at| roaming_eid(Family::V4, FIRST + at)).collect();
    arrive(&lab, ANSWERER, &strangers)?;
    greet(&lab, &[ASKER, ANSWERER])?;
    let responder = answer(&lab, &strangers)?;
    let mut seen = Exchanged::default();
    for stranger in &strangers {
        seen.first(&Question::open(&lab, *stranger)?)?;
    }
    if let Some(known) = strangers.first() {
        seen.rounds(&Question::open(&lab, *known)?, plan.rounds)?;
    }
    drop(responder);
    seen.accounts = close(lab)?;
    Ok(seen)
}

/// The same rounds with the kernel's own forwarding in the gateways' place, without any LISP: what the machine takes.
///
/// # Errors
/// As [`measure`].
pub fn measure_kernel(rounds: u32) -> Result<Exchanged> {
    let lab = Lab::build(Topology::KERNEL, Adjust::NOTHING)?;
    let known = ANSWERER.eid(Family::V4, Family::V4);
    let responder = answer(&lab, &[known])?;
    let mut seen = Exchanged::default();
    let question = Question::open(&lab, known)?;
    // Kernels ask for MACs on the way: that is no round of ours.
    interrupt::wait_for("the first answer", AGAIN * TRIES, || Ok(question.ask(0)?.ok().map(|_| ())))?;
    seen.rounds(&question, rounds)?;
    drop(responder);
    seen.accounts = close(lab)?;
    Ok(seen)
}

fn answer(lab: &Lab, addresses: &[IpAddr]) -> Result<Responder> {
    let namespace = lab.host(ANSWERER);
    Responder::start(&namespace, addresses, ANSWERER.tag(), ANSWERER.iid(), Impairment::default())
}

/// Why a question has no good answer.
enum Failed {
    /// None came.
    Silence,
    /// Another came.
    Wrong,
}

/// Somebody who asks one address.
struct Question {
    socket: UdpSocket,
}

impl Question {
    fn open(lab: &Lab, target: IpAddr) -> Result<Self> {
        let what = || LabError::io(format!("opening a socket to ask {target}"));
        let source = ASKER.eid(Family::V4, Family::V4);
        let socket = lab.host(ASKER).run(|| {
            let socket = UdpSocket::bind(SocketAddr::new(source, 0))?;
            socket.connect(SocketAddr::new(target, PORT))?;
            socket.set_read_timeout(Some(AGAIN))?;
            io::Result::Ok(socket)
        })?;
        Ok(Self { socket: socket.map_err(what())? })
    }

    /// Asks once; how long the answer took.
    fn ask(&self, sequence: u64) -> Result<std::result::Result<Duration, Failed>> {
        let mut packet = [0; SIZE];
        let question = Payload { group: ASKER.iid(), sequence, due_ns: 0, answerer: 0 };
        question.emit(&mut packet);
        let asked = Instant::now();
        self.socket.send(&packet).map_err(LabError::io("asking"))?;
        let mut buffer = [0; 2048];
        let received = self.socket.recv(&mut buffer);
        let took = asked.elapsed();
        interrupt::check()?;
        let Ok(length) = received else { return Ok(Err(Failed::Silence)) };
        let wanted = Payload { answerer: ANSWERER.tag(), ..question };
        let right = length == SIZE && Payload::parse(&buffer[..length]) == Ok(wanted);
        Ok(if right { Ok(took) } else { Err(Failed::Wrong) })
    }
}

impl Exchanged {
    /// The first exchange with a stranger: asked again until it is answered.
    fn first(&mut self, question: &Question) -> Result<()> {
        for attempt in 0..TRIES {
            match question.ask(u64::from(attempt))? {
                Ok(took) if attempt == 0 => {
                    self.first_ns.push(nanoseconds(took));
                    return Ok(());
                }
                Ok(_) => return Ok(()),
                Err(Failed::Wrong) => self.wrong += 1,
                Err(Failed::Silence) => {}
            }
            self.extra += 1;
        }
        Ok(())
    }

    fn rounds(&mut self, question: &Question, rounds: u32) -> Result<()> {
        for round in 0..u64::from(rounds) {
            // Above the numbers of first exchanges, so that a late answer is none of these.
            match question.ask(1000 + round)? {
                Ok(took) => self.round_ns.push(nanoseconds(took)),
                Err(Failed::Silence) => self.lost += 1,
                Err(Failed::Wrong) => self.wrong += 1,
            }
            std::thread::sleep(BETWEEN);
        }
        Ok(())
    }
}
