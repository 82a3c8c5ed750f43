//! Taking over what the dataplane has, so that a restart of this process changes nothing for packets.
//!
//! At the start of a session the dataplane says which learned entries and agents it has. What this process does not
//! know better becomes part of its own state *before* the first sync, so that the sweep at the sync's end removes none
//! of it. The mapping system then confirms or corrects it, at a bounded rate.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use sterna_shm::{ClassRow, ClassRows, KnownAction, MAX_LOCATORS};

use super::ControlPlane;
use crate::desired::{ClassesKey, EidKey, EidWanted, LocatorKey, RowKey, SetKey, Source};
use crate::outbox::{AgentPlace, Locator};

/// Locator sets taken at most; the dataplane's own table is smaller.
const MAX_SETS: usize = 1 << 20;

/// What the dataplane has said so far.
#[derive(Debug)]
pub(super) struct Adoption {
    /// Of the sync that follows.
    pub(super) generation: u64,
    /// When it follows at the latest.
    pub(super) deadline: Instant,
    /// Entries taken over.
    pub(super) adopted: u64,
    sets: BTreeMap<u32, Vec<LocatorKey>>,
    classes: BTreeMap<u32, ClassRows>,
}

impl Adoption {
    pub(super) fn new(generation: u64, deadline: Instant) -> Self {
        Self { generation, deadline, adopted: 0, sets: BTreeMap::new(), classes: BTreeMap::new() }
    }

    /// One more locator of a set.
    pub(super) fn locator(&mut self, set: u32, locator: LocatorKey) {
        if self.sets.len() < MAX_SETS || self.sets.contains_key(&set) {
            let locators = self.sets.entry(set).or_default();
            if locators.len() < MAX_LOCATORS {
                locators.push(locator);
            }
        }
    }

    /// What each class uses.
    pub(super) fn classes(&mut self, classes: u32, rows: ClassRows) {
        if self.classes.len() < MAX_SETS || self.classes.contains_key(&classes) {
            self.classes.insert(classes, rows);
        }
    }

    fn locators(&self, set: u32) -> Vec<Locator> {
        let each = self.sets.get(&set).into_iter().flatten();
        let mut locators: Vec<Locator> = each
            .map(|key| Locator { address: key.remote, priority: key.priority, weight: key.weight })
            .collect();
        locators.sort_unstable();
        locators
    }

    fn set(&self, set: u32) -> SetKey {
        SetKey::new(self.sets.get(&set).cloned().unwrap_or_default())
    }

    /// A mapping as it was published: with what each class uses, if it had that.
    fn mapping(&self, set: u32, classes: Option<u32>) -> EidWanted {
        let set = self.set(set);
        let Some(rows) = classes.and_then(|classes| self.classes.get(&classes)) else {
            return EidWanted::Remote(set);
        };
        let key = |row: &ClassRow| match *row {
            ClassRow::Unknown => RowKey::Unknown,
            ClassRow::NoMatch => RowKey::NoMatch,
            ClassRow::Set { set } => RowKey::Set(self.set(set)),
        };
        EidWanted::Chosen { set, classes: ClassesKey::new((0..).zip(rows.0.iter().map(key))) }
    }
}

impl ControlPlane {
    /// An entry that an earlier control plane left in the dataplane.
    pub(super) fn adopt(&mut self, key: EidKey, action: KnownAction, now: Instant) {
        let Some(mut adoption) = self.adoption.take() else { return };
        let room = self.tables.publisher().eids() < self.config.dataplane.max_eids;
        let configured = self.tables.publisher().eid(&key).is_some();
        // What is configured or known here is newer than what the dataplane remembers.
        if room && !configured && self.roles.asks() && self.tables.site().on_negative.contains_key(&key.iid) {
            adoption.adopted += u64::from(self.adopt_action(&adoption, key, action, now));
        }
        self.adoption = Some(adoption);
    }

    fn adopt_action(&mut self, adoption: &Adoption, key: EidKey, action: KnownAction, now: Instant) -> bool {
        match action {
            KnownAction::Remote { set, classes } => {
                let configured = self.tables.site().covering(key.iid, key.prefix.addr()).is_some();
                !configured && self.adopt_mapping(adoption, key, set, classes, now)
            }
            KnownAction::Skill { port, vlan, mac, set, classes } => {
                let place = AgentPlace { port, vlan, mac };
                if !self.tables.site().is_skill(key.iid, key.prefix.addr()) {
                    let agent = EidWanted::LocalHost { port, vlan, mac };
                    return self.adopt_attached(key, agent, place, now);
                }
                if let Some(set) = set {
                    self.adopt_mapping(adoption, key, set, classes, now);
                }
                let agent = EidWanted::Skill { port, vlan, mac, set: None, classes: None };
                let is_ours = self.adopt_attached(key, agent.clone(), place, now);
                // The registrar took it over; what it is, the config says.
                if is_ours {
                    self.want(Source::Agent, key, Some(agent));
                }
                is_ours
            }
            KnownAction::LocalHost { port, vlan, mac } => {
                let agent = EidWanted::LocalHost { port, vlan, mac };
                self.adopt_attached(key, agent, AgentPlace { port, vlan, mac }, now)
            }
            KnownAction::Away { set } => {
                let left = EidWanted::Away(adoption.set(set));
                self.want(Source::Agent, key, Some(left));
                self.keep_leftover(key, now);
                true
            }
            KnownAction::Hold => {
                self.want(Source::Agent, key, Some(EidWanted::Hold));
                self.keep_leftover(key, now);
                true
            }
        }
    }

    fn adopt_mapping(
        &mut self,
        adoption: &Adoption,
        key: EidKey,
        set: u32,
        classes: Option<u32>,
        now: Instant,
    ) -> bool {
        let locators = adoption.locators(set);
        // Without a locator it is no hit that could become a miss.
        if locators.is_empty() {
            return false;
        }
        let adopted = self.roles.adopt(key.iid, key.prefix, locators, now);
        if adopted {
            self.want(Source::Mapping, key, Some(adoption.mapping(set, classes)));
        }
        adopted
    }

    /// An agent that an earlier process had admitted here.
    fn adopt_attached(&mut self, key: EidKey, agent: EidWanted, place: AgentPlace, now: Instant) -> bool {
        let is_ours = self.tables.site().is_dynamic(key.iid, key.prefix.addr()) && key.prefix.is_host();
        if is_ours {
            self.want(Source::Agent, key, Some(agent));
            self.adopt_agent(key.iid, key.prefix.addr(), place, now);
        }
        is_ours
    }

    /// A locator of a set that an earlier control plane left. The agent that is attached here goes by an RLOC of our own.
    pub(super) fn known_locator(
        &mut self,
        set: u32,
        remote: Option<IpAddr>,
        priority: u8,
        weight: u8,
        keep: bool,
    ) {
        let own = self.config.rlocs.first().map(|rloc| rloc.address);
        if let (Some(adoption), Some(remote)) = (&mut self.adoption, remote.or(own)) {
            let (udp_checksum, here) = (false, false);
            adoption.locator(set, LocatorKey { remote, priority, weight, udp_checksum, keep, here });
        }
    }
}
