//! All agents' stacks, and what they may cost together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use smoltcp::socket::tcp;
use sterna_wire::Iid;

use super::agent::{Agent, Segment};
use super::bounds::{IN_ALL, PER_AGENT, PER_GROUP};
use super::counters::{Counter, Counters};
use super::stack::{Stack, Turn};
use crate::random::Random;

/// What there is to do outside.
#[derive(Debug, Default)]
pub struct Output {
    /// Packets for the dataplane, with their groups.
    pub packets: Vec<(Iid, Vec<u8>)>,
    /// Connections that stand now.
    pub accepted: Vec<(Agent, u64)>,
}

struct Entry {
    stack: Stack,
    /// When it has something to do by itself.
    due: Option<Instant>,
}

/// Who speaks with us. An agent without a connection has no stack.
pub struct Stacks {
    agents: BTreeMap<Agent, Entry>,
    /// Those whose connections were read, written or left since they were last looked at.
    touched: BTreeSet<Agent>,
    groups: BTreeMap<Iid, usize>,
    connections: usize,
    next_id: u64,
    random: Random,
    counters: Counters,
    output: Output,
    /// When we last looked: soon enough for what happens between two looks.
    now: Instant,
}

impl Stacks {
    /// Nobody speaks yet.
    pub fn new(random: Random, now: Instant) -> Stacks {
        Stacks {
            agents: BTreeMap::new(),
            touched: BTreeSet::new(),
            groups: BTreeMap::new(),
            connections: 0,
            next_id: 0,
            random,
            counters: Counters::default(),
            output: Output::default(),
            now,
        }
    }

    /// Reads what the dataplane handed over.
    pub fn receive(&mut self, iid: Iid, packet: &[u8], now: Instant) {
        self.now = now;
        self.counters.count(Counter::Segments);
        let Some(segment) = Segment::read(packet) else {
            self.counters.count(Counter::Malformed);
            return;
        };
        let agent = Agent { iid, eid: segment.from };
        // Another port after a reload, or another gateway address: what was there before is over.
        if self.agents.get(&agent).is_some_and(|known| !known.stack.is_for(&segment)) {
            self.forget(&agent);
        }
        let known = self.agents.get(&agent);
        let opens = known.map_or(segment.opens, |known| known.stack.opens_another(&segment));
        let id = if opens { self.admit(&agent) } else { None };
        let (random, before) = (&mut self.random, known_count(&self.agents, &agent));
        let entry = self.agents.entry(agent).or_insert_with(|| {
            let stack = Stack::new(&segment, random.number(), now);
            Entry { stack, due: None }
        });
        let turn = entry.stack.receive(packet, &segment, id, now);
        self.take(agent, before, turn, now);
    }

    /// Whether an agent may have one more connection, and its number.
    fn admit(&mut self, agent: &Agent) -> Option<u64> {
        let of_group = self.groups.get(&agent.iid).copied().unwrap_or(0);
        let refused = if known_count(&self.agents, agent) >= PER_AGENT {
            Counter::RefusedAgent
        } else if of_group >= PER_GROUP {
            Counter::RefusedGroup
        } else if self.connections >= IN_ALL {
            Counter::RefusedAll
        } else {
            self.next_id += 1;
            return Some(self.next_id);
        };
        self.counters.count(refused);
        None
    }

    /// Does what is due, and gives what is to be done outside.
    pub fn run(&mut self, now: Instant) -> Output {
        self.now = now;
        let due = self.agents.iter().filter(|(_, entry)| entry.due.is_some_and(|due| due <= now));
        let due: BTreeSet<Agent> =
            due.map(|(agent, _)| *agent).chain(std::mem::take(&mut self.touched)).collect();
        for agent in due {
            let before = known_count(&self.agents, &agent);
            if let Some(entry) = self.agents.get_mut(&agent) {
                let turn = entry.stack.turn(now);
                self.take(agent, before, turn, now);
            }
        }
        std::mem::take(&mut self.output)
    }

    /// Takes what a stack's turn brought; `before` is how many connections it had.
    fn take(&mut self, agent: Agent, before: usize, turn: Turn, now: Instant) {
        self.output.packets.extend(turn.packets.into_iter().map(|packet| (agent.iid, packet)));
        for id in turn.accepted {
            self.counters.count(Counter::Accepted);
            self.output.accepted.push((agent, id));
        }
        turn.reset.into_iter().for_each(|counter| self.counters.count(counter));
        let after = known_count(&self.agents, &agent);
        self.account(agent.iid, before, after);
        if after == 0 {
            self.agents.remove(&agent);
        } else if let Some(entry) = self.agents.get_mut(&agent) {
            entry.due = entry.stack.due(now);
        }
    }

    fn account(&mut self, iid: Iid, before: usize, after: usize) {
        self.connections = self.connections + after - before;
        let of_group = self.groups.entry(iid).or_default();
        *of_group = *of_group + after - before;
        if *of_group == 0 {
            self.groups.remove(&iid);
        }
    }

    fn forget(&mut self, agent: &Agent) {
        if let Some(mut entry) = self.agents.remove(agent) {
            entry.stack.abandon();
            self.account(agent.iid, entry.stack.count(), 0);
        }
    }

    /// Forgets everybody: the way to them is gone.
    pub fn clear(&mut self) {
        let agents: Vec<Agent> = self.agents.keys().copied().collect();
        agents.iter().for_each(|agent| self.forget(agent));
        self.touched.clear();
        self.output = Output::default();
    }

    /// When [`Stacks::run`] has something to do by itself.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.agents.values().filter_map(|entry| entry.due).min()
    }

    /// Whether a connection was used since the last run.
    pub fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Uses a connection, if it is there; then the agent's stack is looked at in the next run.
    pub(super) fn with<T>(
        &mut self,
        agent: &Agent,
        id: u64,
        on: impl FnOnce(&mut tcp::Socket<'static>) -> T,
    ) -> Option<T> {
        let socket = self.agents.get_mut(agent)?.stack.socket(id)?;
        self.touched.insert(*agent);
        Some(on(socket))
    }

    /// Something was read from a connection.
    pub(super) fn heard(&mut self, agent: &Agent, id: u64) {
        if let Some(entry) = self.agents.get_mut(agent) {
            entry.stack.heard(id, self.now);
        }
    }

    /// Nobody uses a connection any more.
    pub(super) fn release(&mut self, agent: &Agent, id: u64) {
        if let Some(entry) = self.agents.get_mut(agent) {
            entry.stack.release(id, self.now);
            self.touched.insert(*agent);
        }
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// One more of something that happened outside.
    pub fn count(&mut self, counter: Counter) {
        self.counters.count(counter);
    }

    /// Connections in any phase.
    pub fn connections(&self) -> usize {
        self.connections
    }
}

fn known_count(agents: &BTreeMap<Agent, Entry>, agent: &Agent) -> usize {
    agents.get(agent).map_or(0, |known| known.stack.count())
}
