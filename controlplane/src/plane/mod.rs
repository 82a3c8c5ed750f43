//! The control plane without its I/O: events, facts, configs and messages in, records and messages out.
//!
//! Everything that decides is in here, and nothing in here waits, opens a socket or reads a clock; the time comes
//! with the call. Who owns a [`ControlPlane`] feeds it, pushes what [`ControlPlane::pump`] gives to the dataplane, and
//! then sends what [`ControlPlane::take_datagrams`] gives: the tables always come first.

mod adoption;
mod agent;
mod context;
mod miss;
mod relays;
mod roles;
mod settle;
mod views;
mod warnings;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sterna_config::{Change, Config, Effect};
use sterna_shm::{Event, RefusedKind, Update};
use tracing::{info, warn};

use crate::agents::{Agents, Attachment};
use crate::context::Store;
use crate::desired::{EidKey, EidWanted, Path, Ports, Site, Source, Tables, View};
use crate::identity::Identity;
use crate::lisp::Roles;
use crate::negatives::{MAX_NEGATIVES, Negatives};
use crate::outbox::{Datagram, Outbox};
use crate::server::Save;
use crate::underlay::{Facts, Questions};

use adoption::Adoption;
pub use agent::{Assigned, AttachRefusal, Attached};
pub use context::{ReportRefusal, Reporter};
pub use miss::Misses;
use relays::Relays;
pub use views::negative_word;

/// How long the first sync of a session waits for the dataplane to say what it has.
const DUMP_WITHIN: Duration = Duration::from_secs(5);

/// Messages that wait to be sent at most. More than a full turn of everything makes; beyond it the socket does not
/// take them, and they would only grow old.
const MAX_OUTGOING: usize = 65_536;

/// Everything the control plane knows.
pub struct ControlPlane {
    config: Config,
    facts: Facts,
    ports: Ports,
    tables: Tables,
    roles: Roles,
    negatives: Negatives,
    agents: Agents,
    relays: Relays,
    adoption: Option<Adoption>,
    misses: Misses,
    contexts: Store,
    outgoing: VecDeque<Datagram>,
    /// Messages that wait until the dataplane forwards by what they say, each with its barrier.
    promised: VecDeque<(u64, Datagram)>,
    /// The barrier behind the last change of an agent.
    agents_told: u64,
    saves: Vec<Save>,
    assigned: Vec<Assigned>,
    unsent: u64,
    refused: BTreeMap<&'static str, u64>,
    warnings: BTreeSet<String>,
}

impl ControlPlane {
    /// A control plane that knows its config and nothing of the underlay, with an identity of its own for as long as
    /// it lives.
    pub fn new(config: Config) -> Self {
        let identity = Identity::fleeting(&config);
        Self::with_identity(config, identity, Instant::now())
    }

    /// A control plane that knows its config and who it is.
    pub fn with_identity(config: Config, identity: Identity, now: Instant) -> Self {
        let facts = Facts::default();
        let ports = Ports::of(&config);
        let view = View { config: &config, facts: &facts, ports: &ports };
        let tables = Tables::new(Site::new(&config, &ports), view);
        let agents = Agents::new(config.dataplane.max_eids);
        let roles = Roles::new(identity);
        let contexts = Store::new(context::bounds(&config.context));
        let mut plane = Self {
            config,
            facts,
            ports,
            tables,
            roles,
            negatives: Negatives::new(MAX_NEGATIVES),
            agents,
            relays: Relays::default(),
            adoption: None,
            misses: Misses::default(),
            contexts,
            outgoing: VecDeque::new(),
            promised: VecDeque::new(),
            agents_told: 0,
            saves: Vec::new(),
            assigned: Vec::new(),
            unsent: 0,
            refused: BTreeMap::new(),
            warnings: BTreeSet::new(),
        };
        plane.configure_roles(now);
        plane.warn();
        plane
    }

    /// What must be known of the underlay.
    pub fn questions(&self) -> Questions {
        let own = self.config.rlocs.iter();
        let ports = self.config.ports.iter().filter(|port| port.side.is_rloc());
        Questions {
            remotes: self.tables.paths().remotes.keys().copied().collect(),
            locals: own.map(|rloc| rloc.address).collect(),
            ports: ports.map(|port| port.name.clone()).collect(),
        }
    }

    /// The underlay is now like this.
    pub fn underlay(&mut self, facts: Facts, now: Instant) {
        self.facts = facts;
        let before = self.tables.paths().remotes.clone();
        self.tables.underlay(View { config: &self.config, facts: &self.facts, ports: &self.ports });
        self.report_reach(&before);
        self.underlay_of_roles(now);
        self.warn();
    }

    /// Takes a new config, unless a change in it needs a restart: then those changes are the error, and nothing
    /// has changed.
    pub fn apply(&mut self, config: Config, now: Instant) -> Result<Vec<Change>, Vec<Change>> {
        let changes = sterna_config::diff(&self.config, &config);
        if changes.iter().any(|change| change.effect == Effect::Restart) {
            return Err(changes.into_iter().filter(|change| change.effect == Effect::Restart).collect());
        }
        self.ports = self.ports.under(&config);
        self.contexts.configure(context::bounds(&config.context));
        self.config = config;
        self.publish_all();
        self.configure_roles(now);
        self.forget_absent_contexts();
        self.warn();
        Ok(changes)
    }

    /// A dataplane has answered. `ports` are its ports in its order. It is told nothing before it has said what it
    /// has: [`Event::KnownEnd`].
    pub fn session_began(&mut self, generation: u64, ports: Vec<String>, now: Instant) {
        self.agents.clear();
        let ports = Ports::new(&self.config, ports);
        if ports != self.ports {
            self.renumber_agents(&ports);
            self.ports = ports;
            self.publish_all();
            self.warn();
        }
        self.adoption = Some(Adoption::new(generation, now + DUMP_WITHIN));
    }

    /// The channel to the dataplane is over. What it forwards, it goes on forwarding.
    pub fn session_ended(&mut self) {
        self.adoption = None;
        self.tables.publisher_mut().end_session();
    }

    /// The dataplane says something.
    pub fn event(&mut self, event: Event, now: Instant) {
        match event {
            Event::Miss { iid, eid, source, class, .. } => self.miss((iid, eid), source, class, now),
            Event::Agent { iid, eid, mac, port, vlan } => {
                let at = Attachment { mac, port, vlan };
                self.agents.seen(iid, eid, at, now);
                self.agent_answered(iid, eid, at, now);
            }
            Event::AgentGone { iid, eid } => {
                self.agents.gone(iid, eid);
                self.agent_gone(iid, eid, now);
            }
            Event::Attach { iid, eid, mac, port, vlan, .. } => {
                self.attach_seen(iid, eid, Attachment { mac, port, vlan }, now);
            }
            Event::Used { iid, prefix } => self.roles.used(iid, prefix, now),
            Event::Traffic { remote, sent, received } => self.roles.traffic(remote, sent, received, now),
            Event::Stray { iid, eid, from } => self.roles.correspondent(iid, eid, from, now),
            Event::KnownLocator { set, remote, priority, weight, keep } => {
                self.known_locator(set, remote, priority, weight, keep);
            }
            Event::KnownClasses { classes, rows } => {
                if let Some(adoption) = &mut self.adoption {
                    adoption.classes(classes, rows);
                }
            }
            Event::KnownEid { iid, prefix, action } => self.adopt(EidKey { iid, prefix }, action, now),
            Event::KnownEnd => self.begin_sync(),
            Event::Applied { generation } => {
                self.tables.publisher_mut().applied(generation);
                info!(generation, eids = self.tables.publisher().eids(), "the dataplane is in sync");
            }
            Event::Reached { number } => self.tables.publisher_mut().reached(number),
            Event::Refused { kind, detail } => self.refusal(kind, detail),
        }
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Instant) {
        for key in self.negatives.expire(now) {
            self.want(Source::Negative, key, None);
        }
        self.expire_relays(now);
        if self.adoption.as_ref().is_some_and(|adoption| adoption.deadline <= now) {
            warn!("the dataplane did not say all it has in time; what was not said is learned anew");
            self.begin_sync();
        }
        let mut out = Outbox::default();
        self.roles.tick(now, &mut out);
        self.settle(out, now);
        self.tell_contexts(now);
    }

    /// When [`ControlPlane::tick`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let adoption = self.adoption.as_ref().map(|adoption| adoption.deadline);
        let all =
            [self.negatives.next_expiry(), self.relays.next_expiry(), adoption, self.roles.next_deadline()];
        all.into_iter().chain([self.contexts.next_deadline()]).flatten().min()
    }

    /// The next records for the updates ring, at most `room`; see [`Publisher::pump`](crate::publish::Publisher::pump).
    pub fn pump(&mut self, room: usize) -> Vec<Update> {
        self.tables.publisher_mut().pump(room)
    }

    /// The messages to send, after the records that were pumped before.
    pub fn take_datagrams(&mut self) -> VecDeque<Datagram> {
        self.keep_promises();
        std::mem::take(&mut self.outgoing)
    }

    /// A number for what was decided so far; see [`Publisher::want_barrier`](crate::publish::Publisher::want_barrier).
    pub fn want_barrier(&mut self) -> u64 {
        self.tables.publisher_mut().want_barrier()
    }

    /// Whether there are messages to send.
    pub fn has_datagrams(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Messages that the sockets did not take now; they stand before those that came since.
    pub fn give_back_datagrams(&mut self, mut rest: VecDeque<Datagram>) {
        rest.append(&mut self.outgoing);
        let room = rest.len().min(MAX_OUTGOING);
        self.unsent += (rest.len() - room) as u64;
        rest.truncate(room);
        self.outgoing = rest;
    }

    /// What the Map-Server wants to have kept.
    pub fn take_saves(&mut self) -> Vec<Save> {
        std::mem::take(&mut self.saves)
    }

    /// Whether remote RLOCs came or went, so that the underlay must be asked anew.
    pub fn take_remotes_changed(&mut self) -> bool {
        self.tables.take_remotes_changed()
    }

    fn want(&mut self, source: Source, key: EidKey, value: Option<EidWanted>) {
        let view = View { config: &self.config, facts: &self.facts, ports: &self.ports };
        self.tables.want(source, key, value, view);
    }

    /// Says the whole state between a begin and an end.
    fn begin_sync(&mut self) {
        if let Some(adoption) = self.adoption.take() {
            let generation = adoption.generation;
            info!(generation, entries = adoption.adopted, "what the dataplane had was taken over");
            self.tables.publisher_mut().begin_session(generation);
        }
    }

    fn refusal(&mut self, kind: RefusedKind, detail: u64) {
        let count = self.refused.entry(views::refused_name(kind)).or_default();
        *count += 1;
        // A full table refuses by the thousand; the powers of two tell enough.
        if count.is_power_of_two() {
            warn!(reason = views::refused_name(kind), detail, count, "the dataplane refused an update");
        }
    }

    /// Recomputes what follows from the config and the port list.
    fn publish_all(&mut self) {
        // What was unknown may have a mapping now, and a negative answer another meaning.
        for key in self.negatives.clear() {
            self.want(Source::Negative, key, None);
        }
        let site = Site::new(&self.config, &self.ports);
        let before = self.tables.paths().remotes.clone();
        self.tables.configure(site, View { config: &self.config, facts: &self.facts, ports: &self.ports });
        self.report_reach(&before);
    }

    /// Logs remote RLOCs that became usable or unusable.
    fn report_reach(&self, before: &BTreeMap<IpAddr, Option<Path>>) {
        for (remote, path) in &self.tables.paths().remotes {
            let Some(path) = path else { continue };
            let known = before.get(remote).and_then(|path| path.as_ref());
            if known.map(|path| &path.reach) != Some(&path.reach) {
                info!(%remote, local = %path.local, reach = %path.reach, "locator");
            }
        }
    }
}
