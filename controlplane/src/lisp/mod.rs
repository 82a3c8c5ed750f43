//! The LISP control protocol of this gateway: its roles, and how messages find them.
//!
//! [`Roles`] has the roles that the config asks for and hands each message to the one it is for; [`socket`] is the
//! only place that touches the network.

mod counters;
mod dispatch;
mod settings;
pub mod socket;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use sterna_config::{Config, Role};
use sterna_wire::{Iid, Prefix};

use crate::context::Telling;
use crate::etr::{AgentSeen, AssignId, AttachError, Etr};
use crate::identity::Identity;
use crate::itr::{self, Itr};
use crate::outbox::{AgentPlace, Locator, Outbox};
use crate::random::Random;
use crate::server::{Save, Saved, Server};

pub use counters::Counters;

/// The roles of this gateway. Which are there follows from the config.
pub struct Roles {
    identity: Identity,
    itr: Option<Itr>,
    etr: Option<Etr>,
    server: Option<Server>,
    counters: Counters,
    /// What an ETR that went with a reload has used up.
    last_nonce: u64,
    /// New settings may have made something due at once.
    due: Option<Instant>,
}

impl Roles {
    /// No roles yet; [`Roles::configure`] brings them.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            itr: None,
            etr: None,
            server: None,
            counters: Counters::default(),
            last_nonce: 0,
            due: None,
        }
    }

    /// Who this gateway is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Who this gateway is from now on; roles that are there keep what they began with.
    pub fn set_identity(&mut self, identity: Identity) {
        self.identity = identity;
    }

    /// Makes, changes and drops roles as the config says. `up` are our own RLOCs and whether their links are up.
    pub fn configure(&mut self, config: &Config, up: &[(IpAddr, bool)], now: Instant, out: &mut Outbox) {
        match config.mapping_system.as_ref().filter(|_| config.has(Role::Xtr)) {
            Some(system) => {
                let settings = settings::itr(config, system);
                let identity = itr::Identity { xtr: self.identity.xtr, start: self.identity.start };
                let itr = self
                    .itr
                    .get_or_insert_with(|| Itr::new(settings.clone(), identity, Random::from_system()));
                itr.configure(settings, out);
                let settings = settings::etr(config, system, up);
                let first = self.identity.first_nonce.max(self.last_nonce);
                let etr = self.etr.get_or_insert_with(|| {
                    Etr::new(settings.clone(), self.identity.xtr, Random::from_system(), first)
                });
                etr.configure(settings, now, out);
            }
            None => {
                self.itr = None;
                self.last_nonce = self.next_nonce().unwrap_or(self.last_nonce);
                self.etr = None;
            }
        }
        self.due = Some(now);
        match settings::server(config) {
            Some(settings) => {
                let server =
                    self.server.get_or_insert_with(|| Server::new(settings.clone(), Random::from_system()));
                server.configure(settings, now, out);
            }
            None => self.server = None,
        }
    }

    /// Whether there is a mapping system to ask.
    pub fn asks(&self) -> bool {
        self.itr.is_some()
    }

    /// Whether any role sends or answers messages.
    pub fn any(&self) -> bool {
        self.itr.is_some() || self.etr.is_some() || self.server.is_some()
    }

    /// The map-cache.
    pub fn itr(&self) -> Option<&Itr> {
        self.itr.as_ref()
    }

    /// The registrar.
    pub fn etr(&self) -> Option<&Etr> {
        self.etr.as_ref()
    }

    /// The Map-Server and Map-Resolver.
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// Counters of the dispatch.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The next nonce of a register, from which on nonces must be reserved; none without an ETR.
    pub fn next_nonce(&self) -> Option<u64> {
        self.etr.as_ref().map(Etr::next_nonce)
    }
}

/// What the dataplane says.
impl Roles {
    /// A packet of a context class has no answer.
    pub fn miss(
        &mut self,
        (iid, eid): (Iid, IpAddr),
        source: bool,
        class: u8,
        now: Instant,
        out: &mut Outbox,
    ) {
        if let Some(itr) = &mut self.itr {
            itr.miss(iid, eid, source, class, now, out);
        }
    }

    /// Packets use this entry.
    pub fn used(&mut self, iid: Iid, prefix: Prefix, now: Instant) {
        if let Some(itr) = &mut self.itr {
            itr.used(iid, prefix, now);
        }
    }

    /// Packets went to a remote RLOC, or came from there.
    pub fn traffic(&mut self, remote: IpAddr, sent: bool, received: bool, now: Instant) {
        if let Some(itr) = &mut self.itr {
            itr.traffic(remote, sent, received, now);
        }
        if let Some(etr) = self.etr.as_mut().filter(|_| received) {
            etr.traffic(remote, now);
        }
    }

    /// A site still sends here what is for an agent that left.
    pub fn correspondent(&mut self, iid: Iid, eid: IpAddr, from: IpAddr, now: Instant) {
        if let Some(etr) = &mut self.etr {
            etr.correspondent(iid, eid, from, now);
        }
    }

    /// An entry that an earlier process had learned; false when there is no room for it.
    pub fn adopt(&mut self, iid: Iid, prefix: Prefix, locators: Vec<Locator>, now: Instant) -> bool {
        self.itr.as_mut().is_some_and(|itr| itr.adopt(iid, prefix, locators, now))
    }

    /// An agent that an earlier process had admitted.
    pub fn adopt_agent(&mut self, iid: Iid, eid: IpAddr, place: AgentPlace, now: Instant, out: &mut Outbox) {
        if let Some(etr) = &mut self.etr {
            etr.adopt(AgentSeen { iid, eid, place }, now, out);
        }
    }

    /// A host spoke in a range of dynamic EIDs. False when nobody here registers agents.
    pub fn attach_seen(
        &mut self,
        iid: Iid,
        eid: IpAddr,
        place: AgentPlace,
        now: Instant,
        out: &mut Outbox,
    ) -> bool {
        match &mut self.etr {
            Some(etr) => {
                etr.attach_seen(AgentSeen { iid, eid, place }, now, out);
                true
            }
            None => false,
        }
    }

    /// An agent answered, or was found where it is expected.
    pub fn agent_answered(
        &mut self,
        iid: Iid,
        eid: IpAddr,
        place: AgentPlace,
        now: Instant,
        out: &mut Outbox,
    ) {
        if let Some(etr) = &mut self.etr {
            etr.agent_answered(AgentSeen { iid, eid, place }, now, out);
        }
    }

    /// An agent does not answer.
    pub fn agent_gone(&mut self, iid: Iid, eid: IpAddr, now: Instant, out: &mut Outbox) {
        if let Some(etr) = &mut self.etr {
            etr.agent_gone(iid, eid, now, out);
        }
    }
}

/// What the API, the underlay and the clock say.
impl Roles {
    /// Attaches an agent with this EID; none when nobody here registers agents.
    pub fn attach(
        &mut self,
        agent: (Iid, IpAddr),
        name: Option<String>,
        now: Instant,
        out: &mut Outbox,
    ) -> Option<Result<(), AttachError>> {
        self.etr.as_mut().map(|etr| etr.attach_as(agent, name, now, out))
    }

    /// What is said of agents here has changed.
    pub fn tell_contexts(&mut self, tellings: Vec<Telling>, now: Instant, out: &mut Outbox) {
        let Some(etr) = self.etr.as_mut().filter(|_| !tellings.is_empty()) else { return };
        for telling in tellings {
            etr.tell_context(telling, now);
        }
        etr.send_contexts(now, out);
    }

    /// Finds a free EID for an agent and attaches it.
    pub fn assign(
        &mut self,
        iid: Iid,
        now: Instant,
        out: &mut Outbox,
    ) -> Option<Result<AssignId, AttachError>> {
        self.etr.as_mut().map(|etr| etr.assign(iid, now, out))
    }

    /// An agent is about to leave.
    pub fn detach(
        &mut self,
        iid: Iid,
        eid: IpAddr,
        now: Instant,
        out: &mut Outbox,
    ) -> Option<Result<(), AttachError>> {
        self.etr.as_mut().map(|etr| etr.detach(iid, eid, now, out))
    }

    /// Free EIDs that were found, or not.
    pub fn assigned(&mut self) -> Vec<crate::etr::Assigned> {
        self.etr.as_mut().map(Etr::assigned).unwrap_or_default()
    }

    /// What the underlay says: our own RLOCs and whether their links are up, and the remote ones without a path.
    pub fn underlay(
        &mut self,
        up: &[(IpAddr, bool)],
        unreachable: &BTreeSet<IpAddr>,
        now: Instant,
        out: &mut Outbox,
    ) {
        if let Some(itr) = &mut self.itr {
            itr.underlay(unreachable, now, out);
        }
        if let Some(etr) = &mut self.etr {
            etr.local_rlocs(up, now, out);
        }
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Instant, out: &mut Outbox) {
        self.due = None;
        if let Some(itr) = &mut self.itr {
            itr.tick(now, out);
        }
        if let Some(etr) = &mut self.etr {
            etr.tick(now, out);
        }
        if let Some(server) = &mut self.server {
            server.tick(now, out);
        }
    }

    /// When [`Roles::tick`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let itr = self.itr.as_ref().and_then(Itr::next_deadline);
        let etr = self.etr.as_ref().and_then(Etr::next_deadline);
        let server = self.server.as_ref().and_then(Server::next_deadline);
        [itr, etr, server, self.due].into_iter().flatten().min()
    }

    /// What the Map-Server wants to have kept since the last call.
    pub fn take_saves(&mut self) -> Vec<Save> {
        self.server.as_mut().map(Server::take_saves).unwrap_or_default()
    }

    /// What an earlier process kept for the Map-Server.
    pub fn restore(&mut self, saved: Saved, now: Instant) {
        if let Some(server) = &mut self.server {
            server.restore(saved, now);
        }
    }
}
