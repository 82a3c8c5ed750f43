//! The ETR: what is served here, told to the Map-Servers and to whoever asks, and the agents that come and go.
//!
//! [`Etr`] never sends by itself. Every call is given the time, and what is to be done goes into an [`Outbox`].
//! Call [`Etr::tick`] once after [`Etr::new`] (that sends the first registers) and then whenever
//! [`Etr::next_deadline`] has come.
//!
//! # Who has an EID
//! An agent's *state* (module `agents` has the picture) changes by what the dataplane sees, what the API orders,
//! and what the mapping system says. Three rules decide between sites:
//! - **Detection asks first.** A host that speaks in a dynamic range is registered only when nobody has its EID,
//!   or when the gateway that has it asked the host by ARP or neighbour discovery and got no answer, or does not
//!   answer itself within a second, and the host answered here. So neither a spoofed packet nor a flood of them takes
//!   an EID. On one link the host that has it keeps it while it answers (module `greet`).
//! - **The API orders.** An attach registers at once; the last register wins at the Map-Server.
//! - **The Map-Server tells.** An EID goes away when its Map-Notify names other locators. Packets that still come
//!   are sent on there for a while, and their senders are solicited (SMR).
//!
//! A register by detection has the E bit, one by configuration or order has not: the Map-Server freezes only EIDs
//! that detection moves too often.
//!
//! # After a restart of the control plane
//! The dataplane went on forwarding and lists its agents first: [`Etr::adopt`] takes each over and registers it at
//! once, with no question asked and no gap. If it moved meanwhile, the Map-Server ignores that register as one of
//! the previous holder and tells us of the move. A host that speaks but was not in the list takes the ordinary way,
//! [`Etr::attach_seen`]; the mapping system then names our own locators, which counts as nobody's.
//! Register nonces go on above those of the last life: [`Etr::next_nonce`] tells how far a reserved block is used.

mod agents;
mod answer;
mod assign;
mod attach;
mod claim;
mod context;
mod counters;
mod database;
mod depart;
mod freeze;
mod greet;
mod map_notify;
mod presence;
mod probe_answer;
mod question;
mod rate;
mod register;
mod replay;
mod reply_to;
mod retry;
mod settings;
mod skill;
mod smr;
mod tell;
mod view;

#[cfg(test)]
mod moves;
#[cfg(test)]
mod scripted;

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use sterna_wire::lisp::control::auth::Key;
use sterna_wire::lisp::control::{EidRecord, LispAddress, LocatorRecord, MapRegister, XtrId};
use sterna_wire::{Iid, Prefix};

pub use agents::Phase;
pub use assign::{AssignId, Assigned};
pub use attach::AttachError;
pub use counters::{Counter, Counters};
pub use settings::{EtrSettings, Group, Limits, LocalRloc, MapServer, Timers};
pub use view::{AgentView, Registration, RegistrationView};

use crate::outbox::{AgentChange, AgentPlace, AgentState, Outbox};
use crate::pace::Pace;
use crate::random::Random;
use agents::{Agent, Agents, Eid};
use assign::Assignments;
use context::Contexts;
use database::Database;
use freeze::Restraints;
use question::Questions;
use rate::LimitPerAddress;
use register::{Batch, Entry, Registrar};
use replay::Replays;
use smr::Correspondents;

/// Agents whose deadlines one tick handles; the rest waits for the next.
const AGENTS_PER_TICK: usize = 1024;

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Source of the packet on the wire.
    pub from: SocketAddr,
    /// Our address that it came to.
    pub to: IpAddr,
    /// Source of the packet inside an ECM; none when the message came plain.
    pub ecm_inner: Option<SocketAddr>,
}

/// An agent that the dataplane saw in a dynamic range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentSeen {
    /// Group.
    pub iid: Iid,
    /// The agent.
    pub eid: IpAddr,
    /// Where it was seen.
    pub place: AgentPlace,
}

/// The ETR of one gateway.
#[derive(Debug)]
pub struct Etr {
    settings: EtrSettings,
    identity: XtrId,
    random: Random,
    database: Database,
    agents: Agents,
    registrar: Registrar,
    contexts: Contexts,
    questions: Questions,
    assignments: Assignments,
    restraints: Restraints,
    correspondents: Correspondents,
    replays: Replays,
    limits: RunningLimits,
    counters: Counters,
    started: bool,
}

/// The limits with what of them is used.
#[derive(Debug)]
struct RunningLimits {
    claims: Pace,
    checks: Pace,
    answers: Pace,
    answers_per_address: LimitPerAddress,
    probes: Pace,
    probes_per_address: LimitPerAddress,
    /// Claims of other gateways: silence would grant them.
    claims_judged: Pace,
}

impl RunningLimits {
    fn new(limits: &Limits) -> Self {
        Self {
            claims: Pace::new(limits.claim_rate),
            checks: Pace::new(limits.check_rate),
            answers: Pace::new(limits.answer_rate),
            answers_per_address: LimitPerAddress::new(limits.answer_rate_per_source),
            probes: Pace::new(limits.probe_rate),
            probes_per_address: LimitPerAddress::new(limits.probe_rate_per_source),
            claims_judged: Pace::new(limits.claims_judged_rate),
        }
    }
}

impl Etr {
    /// An ETR with this identity. `first_nonce` is above every register nonce that this identity ever used.
    pub fn new(settings: EtrSettings, identity: XtrId, random: Random, first_nonce: u64) -> Self {
        Self {
            database: Database::new(&settings),
            agents: Agents::new(),
            registrar: Registrar::new(first_nonce),
            contexts: Contexts::default(),
            questions: Questions::default(),
            assignments: Assignments::default(),
            restraints: Restraints::new(),
            correspondents: Correspondents::new(settings.limits.smr_rate),
            replays: Replays::default(),
            limits: RunningLimits::new(&settings.limits),
            counters: Counters::default(),
            started: false,
            settings,
            identity,
            random,
        }
    }

    /// New settings hold from now on. Locators that were known stay up or down as they are.
    pub fn configure(&mut self, mut settings: EtrSettings, now: Instant, out: &mut Outbox) {
        for rloc in &mut settings.local_rlocs {
            let known = self.settings.local_rlocs.iter().find(|known| known.address == rloc.address);
            rloc.up = known.map_or(rloc.up, |known| known.up);
        }
        let told_others = (settings.mapping_ttl_min, settings.use_ttl, &settings.local_rlocs)
            != (self.settings.mapping_ttl_min, self.settings.use_ttl, &self.settings.local_rlocs);
        if settings.limits != self.settings.limits {
            self.limits = RunningLimits::new(&settings.limits);
            self.correspondents.set_rate(settings.limits.smr_rate);
        }
        self.settings = settings;
        if self.started {
            self.restart_registrations(now);
            self.judge_agents_again(now, out);
            if told_others {
                self.announce(now);
            }
            self.send_registers(now, out);
        } else {
            self.database = Database::new(&self.settings);
        }
    }

    /// Brings the registrations in line with the settings.
    fn restart_registrations(&mut self, now: Instant) {
        let servers: Vec<_> = self.settings.map_servers.iter().map(|server| server.address).collect();
        self.replays.retain(&servers);
        self.contexts.retain(&servers);
        self.registrar.set_skills(self.settings.skills.clone());
        self.registrar.set_servers(servers, now);
        let old = std::mem::replace(&mut self.database, Database::new(&self.settings));
        for entry in old.prefixes().difference(self.database.prefixes()) {
            self.registrar.withdraw(*entry, now);
            self.contexts.forget(entry);
        }
        for entry in self.database.prefixes() {
            if self.registrar.track(entry).is_none_or(|track| track.withdrawn) {
                self.registrar.want(*entry, false, false, now);
            }
        }
    }

    /// The state of our own links. A change is registered at once, and those who send to us are solicited.
    pub fn local_rlocs(&mut self, up: &[(IpAddr, bool)], now: Instant, out: &mut Outbox) {
        let mut changed = false;
        for rloc in &mut self.settings.local_rlocs {
            if let Some((_, up)) = up.iter().find(|(address, _)| *address == rloc.address) {
                changed |= rloc.up != *up;
                rloc.up = *up;
            }
        }
        if changed && self.started {
            self.announce(now);
            self.send_registers(now, out);
            self.send_solicitations(now, out);
        }
    }

    /// Our locators changed: tell the Map-Servers and those who use them.
    fn announce(&mut self, now: Instant) {
        self.registrar.want_all(now);
        self.correspondents.solicit_all(self.database.prefixes(), now);
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant, out: &mut Outbox) {
        if !self.started {
            self.started = true;
            self.restart_registrations(now);
        }
        for _ in 0..AGENTS_PER_TICK {
            let Some(eid) = self.agents.first_due(now) else { break };
            if let Some(agent) = self.agents.take(&eid) {
                self.agent_due(eid, agent, now, out);
            }
        }
        self.assignments_due(now, out);
        self.send_registers(now, out);
        self.send_solicitations(now, out);
    }

    /// When [`Etr::tick`] has something to do; it may lie in the past.
    pub fn next_deadline(&self) -> Option<Instant> {
        [
            self.agents.next_deadline(),
            self.registrar.next_deadline(),
            self.contexts.next_deadline(),
            self.assignments.next_deadline(),
            self.correspondents.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The nonce that the next Map-Register will have; it must be reserved before it is used.
    pub fn next_nonce(&self) -> u64 {
        self.registrar.next_nonce()
    }

    /// What was done and refused so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether packets for this EID end here: an agent attached here, or a configured prefix.
    pub fn serves(&self, iid: Iid, eid: IpAddr) -> bool {
        match self.agents.get(&(iid, eid)) {
            Some(agent) if agent.is_served() => true,
            Some(agent) if agent.away().is_some() => false,
            _ => self.database.covering(iid, &Prefix::host(eid)).is_some(),
        }
    }

    /// Sends the registers that are due.
    fn send_registers(&mut self, now: Instant, out: &mut Outbox) {
        let locators = self.locators(None);
        let bytes = locators.iter().map(|locator| 6 + locator.address.encoded_len()).sum();
        let rlocs: Vec<IpAddr> = locators.iter().filter_map(|locator| locator.address.rloc()).collect();
        let ride = self.settings.timers.register / 6;
        loop {
            let Self { registrar, contexts, .. } = self;
            let size = |entry: &Entry| contexts.size(entry, &rlocs);
            let Some(batch) = registrar.due(bytes, size, ride, now) else { break };
            self.send_register(&batch, &locators, now, out);
        }
        self.send_deltas(now, out);
    }

    fn send_register(&mut self, batch: &Batch, locators: &[LocatorRecord], now: Instant, out: &mut Outbox) {
        let snapshot = self.snapshot(batch, locators, now);
        let Some(server) = self.settings.server(batch.server) else { return };
        let Some(key) = server.key() else {
            self.counters.count(Counter::RegistersUnsigned);
            return;
        };
        let register = MapRegister {
            proxy_reply: server.proxy_reply,
            eid_notify: batch.detected,
            use_ttl: self.settings.use_ttl,
            merge: batch.merge,
            want_notify: true,
            nonce: batch.nonce,
            records: batch.entries.iter().map(|entry| self.registered(entry, locators)).collect(),
            xtr: Some(self.identity),
            tail: snapshot.map(|block| block.bytes()).unwrap_or_default(),
            ..MapRegister::default()
        };
        out.promise(batch.server, register.signed(key));
        self.counters.count(Counter::RegistersSent);
        self.counters.add(Counter::RegisterRecordsSent, batch.entries.len());
        self.counters.add(Counter::RegisterRetries, batch.retries);
    }

    /// The record of an entry in a register. Withdrawn, it lives no longer.
    fn registered(&self, (entry, withdrawn): &(Entry, bool), locators: &[LocatorRecord]) -> EidRecord {
        let (iid, prefix) = *entry;
        let ttl = if *withdrawn { 0 } else { self.settings.mapping_ttl_min };
        let locators = locators.to_vec();
        EidRecord { ttl, authoritative: true, locators, ..EidRecord::of(iid, prefix) }
    }

    /// Our locators for a record, sorted by address. Those that are down are left out while another is up, because
    /// not every peer minds the R bit; the answer to a probe lists them all, with the probed one marked.
    fn locators(&self, probed: Option<IpAddr>) -> Vec<LocatorRecord> {
        let mut rlocs: Vec<_> = self.settings.local_rlocs.iter().collect();
        rlocs.sort_by_key(|rloc| rloc.address);
        let some_up = rlocs.iter().any(|rloc| rloc.up);
        rlocs
            .into_iter()
            .filter(|rloc| rloc.up || !some_up || probed.is_some())
            .map(|rloc| LocatorRecord {
                local: true,
                reachable: rloc.up,
                probed: probed == Some(rloc.address),
                ..LocatorRecord::unicast(rloc.address, rloc.priority, rloc.weight)
            })
            .collect()
    }

    /// Our addresses for the ITR-RLOCs of a request, those that are up first.
    fn itr_rlocs(&self) -> Vec<LispAddress> {
        let (mut up, down): (Vec<LocalRloc>, Vec<_>) =
            self.settings.local_rlocs.iter().partition(|rloc| rloc.up);
        if up.is_empty() {
            up = down;
        }
        up.into_iter().take(32).map(|rloc| rloc.address.into()).collect()
    }

    fn put(&mut self, eid: Eid, agent: Agent) {
        self.agents.put(eid, agent, self.settings.timers.agent_silent);
    }

    /// A key of this Map-Server for a message that names this one. Some servers answer with a key id of their own,
    /// so the id only says which key is tried first.
    fn keys_for(&self, server: IpAddr, key_id: u8, algorithm: u8) -> Vec<Key> {
        let Some(server) = self.settings.server(server) else { return Vec::new() };
        let mut keys: Vec<_> =
            server.keys.iter().filter(|key| key.algorithm as u8 == algorithm).cloned().collect();
        keys.sort_by_key(|key| key.id != key_id);
        keys.iter_mut().for_each(|key| key.id = key_id);
        keys
    }
}

/// The entry of an agent.
fn entry_of((iid, eid): Eid) -> Entry {
    (iid, Prefix::host(eid))
}

fn change((iid, eid): Eid, state: AgentState, out: &mut Outbox) {
    out.agents.push(AgentChange { iid, eid, state });
}
