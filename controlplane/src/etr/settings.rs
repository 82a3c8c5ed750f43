//! What an ETR is told: its Map-Servers, its locators, the groups it serves, and its times and limits.

use std::net::IpAddr;
use std::time::Duration;

use sterna_wire::lisp::control::auth::Key;
use sterna_wire::{Iid, Prefix};

use crate::context::Ranking;

/// Everything that the configuration says about the ETR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtrSettings {
    /// Where to register. None: nothing is registered.
    pub map_servers: Vec<MapServer>,
    /// Map-Resolvers to ask whose an EID is; when there is none, the Map-Servers are asked.
    pub resolvers: Vec<IpAddr>,
    /// Our own locators.
    pub local_rlocs: Vec<LocalRloc>,
    /// The groups with members here; each instance-ID once.
    pub groups: Vec<Group>,
    /// How long others may keep what we register and answer, in minutes.
    pub mapping_ttl_min: u32,
    /// Whether a registration lives as long as that too (T bit). Else it dies three refreshes after the last one.
    pub use_ttl: bool,
    /// Times.
    pub timers: Timers,
    /// Limits.
    pub limits: Limits,
    /// EIDs that many agents have at a time, each at a site of its own: registered beside the others', never moved.
    pub skills: Vec<(Iid, Prefix)>,
    /// How topology and fitness are weighed.
    pub ranking: Ranking,
}

/// A Map-Server to register with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapServer {
    /// Its address; each server once.
    pub address: IpAddr,
    /// The keys shared with it; more than one while keys are exchanged.
    pub keys: Vec<Key>,
    /// Index of the key to send with.
    pub send: usize,
    /// Whether it shall answer requests in our place (P bit).
    pub proxy_reply: bool,
}

/// One of our own locators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalRloc {
    /// The address.
    pub address: IpAddr,
    /// Lower is used first; 255 is not used.
    pub priority: u8,
    /// Share among equals.
    pub weight: u8,
    /// Whether its link is up.
    pub up: bool,
}

/// A group with members here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The instance-ID.
    pub iid: Iid,
    /// Prefixes served here, registered as they are.
    pub eids: Vec<Prefix>,
    /// Ranges in which agents may come and go; each agent is registered by itself.
    pub dynamic: Vec<Prefix>,
    /// The group's gateway addresses; they are nobody's EID.
    pub gateways: Vec<IpAddr>,
}

/// The ETR's times. [`Default`] is what the configuration manual says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timers {
    /// From one registration to its refresh (RFC 9301 section 5.6).
    pub register: Duration,
    /// How long an agent may say nothing before it is asked whether it is there.
    pub agent_silent: Duration,
    /// How long packets wait for an agent that is leaving.
    pub detach_hold: Duration,
    /// How long packets are sent on to where an agent went.
    pub relay: Duration,
    /// How long the previous gateway may take to say whether an agent is still there.
    pub claim_probe: Duration,
    /// The least time between two claims of an EID that was refused.
    pub claim_again: Duration,
    /// The same, when it was the Map-Server that refused.
    pub claim_again_server: Duration,
    /// How long our dataplane may take to ask a host by ARP or neighbour discovery.
    pub check: Duration,
    /// How long after an API attach the agent counts as attached without having been seen.
    pub expect: Duration,
    /// Within which time the moves of an EID count.
    pub freeze_within: Duration,
    /// How long an EID that moved too often cannot be claimed by detection.
    pub freeze_for: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            register: Duration::from_secs(60),
            agent_silent: Duration::from_secs(60),
            detach_hold: Duration::from_secs(5),
            relay: Duration::from_secs(30),
            claim_probe: Duration::from_secs(1),
            claim_again: Duration::from_secs(1),
            claim_again_server: Duration::from_secs(10),
            check: Duration::from_millis(300),
            expect: Duration::from_secs(10),
            freeze_within: Duration::from_secs(180),
            freeze_for: Duration::from_secs(180),
        }
    }
}

/// The ETR's limits. [`Default`] is what the configuration manual says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Dynamic agents, in whatever state.
    pub agents: usize,
    /// Claims that wait for an answer at the same time.
    pub claims: usize,
    /// New claims per second.
    pub claim_rate: u32,
    /// Answers to Map-Requests per second, in all.
    pub answer_rate: u32,
    /// Answers to Map-Requests per second and address.
    pub answer_rate_per_source: u32,
    /// Answers to probes per second, in all.
    pub probe_rate: u32,
    /// Answers to probes per second and address.
    pub probe_rate_per_source: u32,
    /// Claims of other gateways answered per second. Above it they get no answer, which grants them.
    pub claims_judged_rate: u32,
    /// Solicitations (SMR) per second.
    pub smr_rate: u32,
    /// Hosts asked by ARP or neighbour discovery because another gateway wants to know, per second.
    pub check_rate: u32,
    /// Moves of an EID by detection within [`Timers::freeze_within`]; the next one freezes it.
    pub freeze_moves: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            agents: 65_536,
            claims: 4096,
            claim_rate: 1000,
            answer_rate: 5000,
            answer_rate_per_source: 200,
            probe_rate: 5000,
            probe_rate_per_source: 500,
            claims_judged_rate: 20_000,
            smr_rate: 200,
            check_rate: 1000,
            freeze_moves: 5,
        }
    }
}

impl EtrSettings {
    /// Settings without servers, locators and groups.
    pub fn new() -> Self {
        Self {
            map_servers: Vec::new(),
            resolvers: Vec::new(),
            local_rlocs: Vec::new(),
            groups: Vec::new(),
            mapping_ttl_min: 1440,
            use_ttl: false,
            timers: Timers::default(),
            limits: Limits::default(),
            skills: Vec::new(),
            ranking: Ranking::default(),
        }
    }

    pub(super) fn server(&self, address: IpAddr) -> Option<&MapServer> {
        self.map_servers.iter().find(|server| server.address == address)
    }

    pub(super) fn group(&self, iid: Iid) -> Option<&Group> {
        self.groups.iter().find(|group| group.iid == iid)
    }

    pub(super) fn is_local(&self, address: IpAddr) -> bool {
        self.local_rlocs.iter().any(|rloc| rloc.address == address)
    }

    /// Whom to ask whose an EID is.
    pub(super) fn asked(&self) -> Vec<IpAddr> {
        if self.resolvers.is_empty() {
            return self.map_servers.iter().map(|server| server.address).collect();
        }
        self.resolvers.clone()
    }
}

impl Default for EtrSettings {
    fn default() -> Self {
        Self::new()
    }
}

impl MapServer {
    /// The key to send with; none when the index names none.
    pub(super) fn key(&self) -> Option<&Key> {
        self.keys.get(self.send)
    }
}
