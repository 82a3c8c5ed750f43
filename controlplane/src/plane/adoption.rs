//! Taking over what the dataplane has, so that a restart of this process changes nothing for packets.
//!
//! At the start of a session the dataplane says which learned entries and agents it has. What this process does not
//! know better becomes part of its own state *before* the first sync, so that the sweep at the sync's end removes none
//! of it. The mapping system then confirms or corrects it, at a bounded rate.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use sterna_shm::{KnownAction, MAX_LOCATORS};

use super::ControlPlane;
use super::settle::set_of;
use crate::desired::{EidKey, EidWanted, Source};
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
    sets: BTreeMap<u32, Vec<Locator>>,
}

impl Adoption {
    pub(super) fn new(generation: u64, deadline: Instant) -> Self {
        Self { generation, deadline, adopted: 0, sets: BTreeMap::new() }
    }

    /// One more locator of a set.
    pub(super) fn locator(&mut self, set: u32, address: IpAddr, priority: u8, weight: u8) {
        if self.sets.len() < MAX_SETS || self.sets.contains_key(&set) {
            let locators = self.sets.entry(set).or_default();
            if locators.len() < MAX_LOCATORS {
                locators.push(Locator { address, priority, weight });
            }
        }
    }

    fn locators(&self, set: u32) -> Vec<Locator> {
        let mut locators = self.sets.get(&set).cloned().unwrap_or_default();
        locators.sort_unstable();
        locators
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
            KnownAction::Remote { set } => {
                let locators = adoption.locators(set);
                // Without a locator it is no hit that could become a miss.
                if locators.is_empty() || self.tables.site().covering(key.iid, key.prefix.addr()).is_some() {
                    return false;
                }
                let wanted = EidWanted::Remote(set_of(&locators));
                let adopted = self.roles.adopt(key.iid, key.prefix, locators, now);
                if adopted {
                    self.want(Source::Mapping, key, Some(wanted));
                }
                adopted
            }
            KnownAction::LocalHost { port, vlan, mac } => {
                let is_ours =
                    self.tables.site().is_dynamic(key.iid, key.prefix.addr()) && key.prefix.is_host();
                if is_ours {
                    self.want(Source::Agent, key, Some(EidWanted::LocalHost { port, vlan, mac }));
                    let place = AgentPlace { port, vlan, mac };
                    self.adopt_agent(key.iid, key.prefix.addr(), place, now);
                }
                is_ours
            }
            KnownAction::Away { set } => {
                let left = EidWanted::Away(set_of(&adoption.locators(set)));
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
}
