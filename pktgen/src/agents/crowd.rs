//! All agents of a process, without I/O and without a clock.

use std::collections::{BTreeSet, VecDeque};

use super::agent::Agent;
use super::command::Unclear;
use super::dispatch::{Directory, Strays};
use super::ledger::{Kind, Ledger};
use super::link::{Heard, hear};
use super::pace::Pace;
use super::profile::Profile;
use crate::clock::SECOND_NS;

/// Frames that wait for a port at most.
const QUEUE: usize = 16_384;
/// Every how many agents one moves, so that those that move soon after each other are no neighbours.
const STRIDE: u64 = 61;

/// One place, as the crowd sees it.
#[derive(Debug, Default)]
pub struct Spot {
    /// Frames for its port.
    pub frames: VecDeque<Vec<u8>>,
    /// Frames that found the queue full.
    pub overflow: u64,
    /// Frames that came in.
    pub received: u64,
    /// Of them, those that were for nobody here.
    pub strays: Strays,
}

/// All agents.
pub struct Crowd {
    profile: Profile,
    /// The agents, by number.
    pub agents: Vec<Agent>,
    directory: Directory,
    /// The places, in the order of the profile.
    pub spots: Vec<Spot>,
    /// When each agent wants to be called, and all those moments in order.
    due: Vec<Option<u64>>,
    timers: BTreeSet<(u64, usize)>,
    /// Agents that something came for.
    awake: Vec<usize>,
    is_awake: Vec<bool>,
    /// What was said and heard.
    pub ledger: Ledger,
    is_talking: bool,
    /// When the profile's own moves are due, and how many were made.
    moves: Option<Pace>,
    moved: u64,
}

impl Crowd {
    /// The agents of a profile, each nowhere yet.
    pub fn new(profile: &Profile, now_ns: u64) -> Self {
        let members = profile.members();
        let agents: Vec<_> = members.iter().map(|member| Agent::new(profile, member, now_ns)).collect();
        let mut directory = Directory::default();
        agents.iter().enumerate().for_each(|(at, agent)| directory.add(&agent.name, &agent.link, at));
        Self {
            profile: profile.clone(),
            directory,
            spots: profile.places.iter().map(|_| Spot::default()).collect(),
            due: vec![None; agents.len()],
            timers: BTreeSet::new(),
            awake: Vec::new(),
            is_awake: vec![false; agents.len()],
            agents,
            ledger: Ledger::default(),
            is_talking: false,
            moves: None,
            moved: 0,
        }
    }

    /// Puts everybody where he begins, one after another in the first half of the time to settle.
    pub fn arrive(&mut self, now_ns: u64) {
        let half_ns = (self.profile.settle_s / 2.0 * SECOND_NS as f64) as u64;
        let count = self.agents.len() as u64;
        for (at, member) in self.profile.members().into_iter().enumerate() {
            self.agents[at].arrive(member.home, now_ns + half_ns * at as u64 / count);
            self.wake(at);
        }
    }

    /// Lets everybody connect, one connection after another.
    pub fn connect(&mut self, now_ns: u64) {
        let between = SECOND_NS / u64::from(self.profile.connects_per_s);
        let mut moments = (0..).map(|number| now_ns + number * between);
        for at in 0..self.agents.len() {
            let callers = self.agents[at].callers.len();
            self.agents[at].connect(moments.by_ref().take(callers).collect::<Vec<_>>().into_iter());
            self.wake(at);
        }
    }

    /// Connections that there are to be, and those that are established.
    pub fn connections(&self) -> (usize, usize) {
        let callers = || self.agents.iter().flat_map(|agent| &agent.callers);
        (callers().count(), callers().filter(|caller| caller.connection.is_open).count())
    }

    /// Begins a phase; with the first one, everybody begins to talk.
    pub fn begin(&mut self, phase: &str, now_ns: u64) {
        self.ledger.begin(phase, now_ns);
        if std::mem::replace(&mut self.is_talking, true) {
            return;
        }
        self.moves = self.profile.moves_per_s.map(|rate| pace(rate, now_ns, 0, 1));
        let (profile, count) = (self.profile.clone(), self.agents.len() as u64);
        for (at, agent) in self.agents.iter_mut().enumerate() {
            agent.begin(|kind, which, of| {
                let rate = match kind {
                    // The peers share an agent's rate.
                    Kind::Request => profile.requests.map(|requests| requests.rate / of as f64),
                    Kind::Stream => profile.streams.map(|streams| streams.rate),
                    Kind::Message => profile.messages.map(|messages| messages.rate),
                };
                let (number, of) = (at as u64 + which as u64 * count, of as u64 * count);
                rate.map(|rate| pace(rate, now_ns, number, of))
            });
        }
        (0..self.agents.len()).for_each(|at| self.wake(at));
    }

    /// Nothing is due any more after this moment.
    pub fn end(&mut self, now_ns: u64) {
        // What is due at this very moment may have been sent already.
        self.agents.iter_mut().for_each(|agent| agent.end(now_ns + 1));
        (0..self.agents.len()).for_each(|at| self.wake(at));
        self.moves = None;
    }

    /// Whether somebody has not been answered yet, or has not got what was sent.
    pub fn is_waiting(&self) -> bool {
        let lines = self.ledger.phases.iter().flat_map(|phase| &phase.lines);
        lines.into_iter().any(|line| line.done < line.sent)
    }

    /// A frame came in at a place.
    pub fn receive(&mut self, place: usize, frame: &[u8]) {
        let spot = &mut self.spots[place];
        spot.received += 1;
        let Ok((vlan, to, heard)) = hear(frame) else {
            spot.strays.malformed += 1;
            return;
        };
        let found = match heard {
            Heard::Question(eid, _) => self.directory.eid(vlan, eid),
            _ => self.directory.mac(vlan, to),
        };
        let here = found.filter(|at| self.agents[*at].place == Some(place));
        let Some(at) = here else {
            let strays = &mut spot.strays;
            let count = match heard {
                Heard::Other => &mut strays.other,
                _ if to.is_multicast() => &mut strays.multicast,
                _ if found.is_some() => &mut strays.elsewhere,
                _ => &mut strays.unknown,
            };
            *count += 1;
            return;
        };
        let agent = &mut self.agents[at];
        match heard {
            Heard::Packet(packet) => agent.wire.deliver(packet),
            Heard::Question(_, asker) => agent.asked(asker),
            Heard::Answer(address, mac) => agent.told(address, mac),
            Heard::Other => spot.strays.other += 1,
        }
        self.wake(at);
    }

    /// Does what is due by now.
    pub fn turn(&mut self, now_ns: u64) {
        self.move_on(now_ns);
        while let Some((due, at)) = self.timers.first().copied().filter(|(due, _)| *due <= now_ns) {
            self.timers.remove(&(due, at));
            self.due[at] = None;
            self.wake(at);
        }
        for at in std::mem::take(&mut self.awake) {
            self.is_awake[at] = false;
            let due = self.agents[at].turn(now_ns, &mut self.ledger);
            self.take_frames(at);
            self.set_timer(at, due);
        }
    }

    /// When there is something to do next, if no frame comes before.
    pub fn next_due(&self) -> Option<u64> {
        let awake = (!self.awake.is_empty()).then_some(0);
        let timer = self.timers.first().map(|(due, _)| *due);
        let moves = self.moves.and_then(|moves| moves.due(self.moved));
        [awake, timer, moves].into_iter().flatten().min()
    }

    /// Takes an agent off its place.
    ///
    /// # Errors
    /// There is no such agent.
    pub fn lift(&mut self, name: &str) -> Result<(), Unclear> {
        let at = self.named(name)?;
        self.agents[at].place = None;
        self.set_timer(at, None);
        Ok(())
    }

    /// Puts an agent somewhere, off where it was; it says so.
    ///
    /// # Errors
    /// There is no such agent, or no such place.
    pub fn put(&mut self, name: &str, place: &str, now_ns: u64) -> Result<(), Unclear> {
        let at = self.named(name)?;
        let place = self.profile.places.iter().position(|known| known.name == place);
        let place = place.ok_or(Unclear::NoPlace)?;
        self.put_at(at, place, now_ns);
        Ok(())
    }

    fn put_at(&mut self, at: usize, place: usize, now_ns: u64) {
        self.agents[at].moves += 1;
        self.agents[at].arrive(place, now_ns);
        self.wake(at);
    }

    /// The moves of the profile that are due.
    fn move_on(&mut self, now_ns: u64) {
        while self.moves.and_then(|moves| moves.due(self.moved)).is_some_and(|due| due <= now_ns) {
            let count = self.agents.len() as u64;
            // Everybody has his turn, also where the stride divides their number.
            let at = ((self.moved * STRIDE + self.moved / count) % count) as usize;
            self.moved += 1;
            if let Some(place) = self.agents[at].place {
                self.put_at(at, (place + 1) % self.spots.len(), now_ns);
            }
        }
    }

    fn named(&self, name: &str) -> Result<usize, Unclear> {
        self.directory.name(name).ok_or(Unclear::NoAgent)
    }

    fn wake(&mut self, at: usize) {
        if !std::mem::replace(&mut self.is_awake[at], true) {
            self.awake.push(at);
        }
    }

    fn take_frames(&mut self, at: usize) {
        let agent = &mut self.agents[at];
        let Some(spot) = agent.place.map(|place| &mut self.spots[place]) else { return };
        for frame in agent.wire.frames() {
            if spot.frames.len() < QUEUE {
                spot.frames.push_back(frame);
            } else {
                spot.overflow += 1;
            }
        }
    }

    fn set_timer(&mut self, at: usize, due: Option<u64>) {
        if let Some(old) = std::mem::replace(&mut self.due[at], due) {
            self.timers.remove(&(old, at));
        }
        self.timers.extend(due.map(|due| (due, at)));
    }
}

/// A pace at a rate per second; `number` of `of` senders, each beginning a little after the one before.
fn pace(rate: f64, start_ns: u64, number: u64, of: u64) -> Pace {
    let interval_ns = ((SECOND_NS as f64 / rate) as u64).max(1);
    let after = u128::from(interval_ns) * u128::from(number) / u128::from(of.max(1));
    Pace { first_ns: start_ns + after as u64, interval_ns, end_ns: u64::MAX }
}
