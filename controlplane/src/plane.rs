//! The control plane without its I/O: events, facts and configs in, records out.
//!
//! Everything that decides is in here, and nothing in here waits, opens a socket or reads a clock; the time comes
//! with the call. Who owns a [`ControlPlane`] feeds it and pushes what [`ControlPlane::pump`] gives.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use sterna_config::{Change, Config, Effect};
use sterna_shm::{Event, NegativeAction, RefusedKind, Update};
use sterna_wire::Iid;
use tracing::{debug, info, warn};

use crate::agents::{Agents, Attachment};
use crate::desired::{EidKey, Paths, Ports, Site};
use crate::negatives::{Inserted, MAX_NEGATIVES, Negatives};
use crate::publish::Publisher;
use crate::underlay::{Facts, Questions};

/// Everything the control plane knows.
pub struct ControlPlane {
    config: Config,
    facts: Facts,
    ports: Ports,
    site: Site,
    paths: Paths,
    publisher: Publisher,
    negatives: Negatives,
    agents: Agents,
    misses: Misses,
    refused: BTreeMap<&'static str, u64>,
    warnings: BTreeSet<String>,
}

/// What became of miss events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Misses {
    /// Misses there were.
    pub received: u64,
    /// Answered by a new negative entry.
    pub negative: u64,
    /// Repeated while the negative entry was on its way.
    pub repeated: u64,
    /// For an EID that is configured: its entry is on its way, or did not fit into the table.
    pub configured: u64,
    /// For a group that is not here.
    pub foreign: u64,
}

impl ControlPlane {
    /// A control plane that knows its config and nothing of the underlay.
    pub fn new(config: Config) -> Self {
        let facts = Facts::default();
        let ports = Ports::of(&config);
        let site = Site::new(&config, &ports);
        let paths = Paths::new(&config, &site, &facts, &ports);
        let agents = Agents::new(config.dataplane.max_eids);
        let mut plane = Self {
            config,
            facts,
            ports,
            site,
            paths,
            publisher: Publisher::default(),
            negatives: Negatives::new(MAX_NEGATIVES),
            agents,
            misses: Misses::default(),
            refused: BTreeMap::new(),
            warnings: BTreeSet::new(),
        };
        plane.publish_all();
        plane
    }

    /// What must be known of the underlay.
    pub fn questions(&self) -> Questions {
        let own = self.config.rlocs.iter();
        let ports = self.config.ports.iter().filter(|port| port.side.is_rloc());
        let remotes = self.site.sets.iter().flat_map(|set| set.locators());
        Questions {
            remotes: remotes.map(|locator| locator.remote).collect(),
            locals: own.map(|rloc| rloc.address).collect(),
            ports: ports.map(|port| port.name.clone()).collect(),
        }
    }

    /// The underlay is now like this.
    pub fn underlay(&mut self, facts: Facts) {
        self.facts = facts;
        let paths = Paths::new(&self.config, &self.site, &self.facts, &self.ports);
        if paths != self.paths {
            self.report_reach(&paths);
            self.paths = paths;
            self.publisher.replace_paths(&self.paths);
        }
        self.warn();
    }

    /// Takes a new config, unless a change in it needs a restart: then those changes are the error, and nothing
    /// has changed.
    pub fn apply(&mut self, config: Config) -> Result<Vec<Change>, Vec<Change>> {
        let changes = sterna_config::diff(&self.config, &config);
        if changes.iter().any(|change| change.effect == Effect::Restart) {
            return Err(changes.into_iter().filter(|change| change.effect == Effect::Restart).collect());
        }
        self.ports = self.ports.under(&config);
        self.config = config;
        self.publish_all();
        Ok(changes)
    }

    /// A dataplane has answered and knows nothing yet. `ports` are its ports in its order.
    pub fn session_began(&mut self, generation: u64, ports: Vec<String>) {
        self.agents.clear();
        let ports = Ports::new(&self.config, ports);
        if ports != self.ports {
            self.ports = ports;
            self.publish_all();
        }
        self.publisher.begin_session(generation);
    }

    /// The channel to the dataplane is over. What it forwards, it goes on forwarding.
    pub fn session_ended(&mut self) {
        self.publisher.end_session();
    }

    /// The dataplane says something.
    pub fn event(&mut self, event: Event, now: Instant) {
        match event {
            Event::Miss { iid, eid, .. } => self.miss(iid, eid, now),
            Event::Agent { iid, eid, mac, port, vlan } => {
                self.agents.seen(iid, eid, Attachment { mac, port, vlan }, now);
            }
            Event::AgentGone { iid, eid } => self.agents.gone(iid, eid),
            Event::Applied { generation } => {
                self.publisher.applied(generation);
                info!(generation, eids = self.site.eids.len(), "the dataplane is in sync");
            }
            Event::Refused { kind, detail } => self.refusal(kind, detail),
        }
    }

    /// Lets time pass: negative entries expire.
    pub fn tick(&mut self, now: Instant) {
        for EidKey { iid, prefix } in self.negatives.expire(now) {
            self.publisher.want_negative(iid, prefix, None);
        }
    }

    /// The next records for the updates ring, at most `room`; see [`Publisher::pump`].
    pub fn pump(&mut self, room: usize) -> Vec<Update> {
        self.publisher.pump(room)
    }

    /// Nobody mapped this EID; in this gateway the config is all there is to ask.
    fn miss(&mut self, iid: Iid, eid: IpAddr, now: Instant) {
        self.misses.received += 1;
        let Some(&action) = self.site.on_negative.get(&iid) else {
            self.misses.foreign += 1;
            return;
        };
        if let Some((covering, _)) = self.site.covering(iid, eid) {
            self.misses.configured += 1;
            debug!(%iid, %eid, prefix = %covering.prefix, "a miss for a configured EID");
            return;
        }
        match self.negatives.insert(iid, eid, action, now) {
            Inserted::Known => self.misses.repeated += 1,
            Inserted::New { evicted } => {
                self.misses.negative += 1;
                if let Some(EidKey { iid, prefix }) = evicted {
                    self.publisher.want_negative(iid, prefix, None);
                }
                self.publisher.want_negative(iid, sterna_wire::Prefix::host(eid), Some(action));
            }
        }
    }

    fn refusal(&mut self, kind: RefusedKind, detail: u64) {
        let count = self.refused.entry(refused_name(kind)).or_default();
        *count += 1;
        // A full table refuses by the thousand; the powers of two tell enough.
        if count.is_power_of_two() {
            warn!(reason = refused_name(kind), detail, count, "the dataplane refused an update");
        }
    }

    /// Recomputes everything after the config or the port list has changed.
    fn publish_all(&mut self) {
        // What was unknown may have a mapping now, and a negative answer another meaning.
        self.negatives.clear();
        self.site = Site::new(&self.config, &self.ports);
        let paths = Paths::new(&self.config, &self.site, &self.facts, &self.ports);
        self.report_reach(&paths);
        self.paths = paths;
        self.publisher.replace(&self.site, &self.paths);
        self.warn();
    }

    /// Logs remote RLOCs that became usable or unusable.
    fn report_reach(&self, new: &Paths) {
        for (remote, path) in &new.remotes {
            let before = self.paths.remotes.get(remote).and_then(|path| path.as_ref());
            let Some(path) = path else { continue };
            if before.map(|path| &path.reach) != Some(&path.reach) {
                info!(%remote, local = %path.local, reach = %path.reach, "locator");
            }
        }
    }

    /// Logs what is newly wrong beside the config.
    fn warn(&mut self) {
        let now = self.find_warnings();
        for warning in now.difference(&self.warnings) {
            warn!("{warning}");
        }
        self.warnings = now;
    }

    fn find_warnings(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for name in self.ports.missing() {
            found.insert(format!("the dataplane does not have the port {name}: restart it with this config"));
        }
        for (remote, path) in &self.paths.remotes {
            if path.is_none() {
                found.insert(format!(
                    "the locator {remote} cannot be used: no [[rloc]] of its address family"
                ));
            }
        }
        if self.facts.links.is_empty() {
            return found;
        }
        for rloc in &self.config.rlocs {
            let Some(port) = self.config.ports.get(rloc.port) else {
                continue;
            };
            let on = |link| self.facts.has_address(Some(link), rloc.address);
            if !on(&port.name) && !on("lo") {
                let (address, name) = (rloc.address, &port.name);
                found.insert(format!("the RLOC {address} is not on {name}: add it with `ip address add`"));
            }
        }
        found
    }
}

/// What the API shows.
impl ControlPlane {
    /// The config in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The underlay as known.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The ports with their indices.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// What the config decides.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// What the underlay decides.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The publisher.
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// The negative entries.
    pub fn negatives(&self) -> &Negatives {
        &self.negatives
    }

    /// The attached agents.
    pub fn agents(&self) -> &Agents {
        &self.agents
    }

    /// What became of misses.
    pub fn misses(&self) -> Misses {
        self.misses
    }

    /// Updates that the dataplane refused, by reason.
    pub fn refused(&self) -> &BTreeMap<&'static str, u64> {
        &self.refused
    }

    /// What is wrong beside the config, a sentence each.
    pub fn warnings(&self) -> &BTreeSet<String> {
        &self.warnings
    }

    /// The name of a group, by its IID.
    pub fn group_name(&self, iid: Iid) -> Option<&str> {
        self.config.groups.iter().find(|group| group.iid == iid).map(|group| group.name.as_str())
    }
}

/// The word for a negative action, as the config has it.
pub fn negative_word(action: NegativeAction) -> &'static str {
    match action {
        NegativeAction::Drop => "drop",
        NegativeAction::Native => "native",
    }
}

fn refused_name(kind: RefusedKind) -> &'static str {
    match kind {
        RefusedKind::EidTableFull => "eid_table_full",
        RefusedKind::NextHopTableFull => "next_hop_table_full",
        RefusedKind::AdjacencyTableFull => "adjacency_table_full",
        RefusedKind::SetTableFull => "set_table_full",
        RefusedKind::GroupTableFull => "group_table_full",
        RefusedKind::LocalRlocTableFull => "local_rloc_table_full",
        RefusedKind::UnknownPort => "unknown_port",
    }
}
