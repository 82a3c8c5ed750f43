//! What the API shows.

use std::collections::{BTreeMap, BTreeSet};

use sterna_config::Config;
use sterna_shm::{NegativeAction, RefusedKind};
use sterna_wire::Iid;

use super::{ControlPlane, Misses};
use crate::agents::Agents;
use crate::desired::{Learned, Paths, Ports, Site};
use crate::negatives::Negatives;
use crate::publish::Publisher;
use crate::underlay::Facts;

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
        self.tables.site()
    }

    /// What the underlay decides.
    pub fn paths(&self) -> &Paths {
        self.tables.paths()
    }

    /// What was learned.
    pub fn learned(&self) -> &Learned {
        self.tables.learned()
    }

    /// The generation of the present session, also while its sync has not begun.
    pub fn generation(&self) -> Option<u64> {
        let waiting = self.adoption.as_ref().map(|adoption| adoption.generation);
        waiting.or(self.tables.publisher().generation())
    }

    /// Whether packets may be sent to this remote RLOC, by its path and by probing.
    pub fn is_usable(&self, remote: std::net::IpAddr) -> bool {
        let path = self.tables.paths().remotes.get(&remote).and_then(Option::as_ref);
        path.is_some_and(|path| path.reach.usable()) && !self.tables.paths().is_silent(remote)
    }

    /// Messages that were given up because the sockets did not take them.
    pub fn unsent(&self) -> u64 {
        self.unsent
    }

    /// The publisher.
    pub fn publisher(&self) -> &Publisher {
        self.tables.publisher()
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

pub(super) fn refused_name(kind: RefusedKind) -> &'static str {
    match kind {
        RefusedKind::EidTableFull => "eid_table_full",
        RefusedKind::NextHopTableFull => "next_hop_table_full",
        RefusedKind::AdjacencyTableFull => "adjacency_table_full",
        RefusedKind::SetTableFull => "set_table_full",
        RefusedKind::GroupTableFull => "group_table_full",
        RefusedKind::LocalRlocTableFull => "local_rloc_table_full",
        RefusedKind::UnknownPort => "unknown_port",
        RefusedKind::DynamicTableFull => "dynamic_table_full",
        RefusedKind::RelayTableFull => "relay_table_full",
        RefusedKind::AgentChecksFull => "agent_checks_full",
        RefusedKind::ClassesTableFull => "classes_table_full",
        RefusedKind::PolicyTableFull => "policy_table_full",
    }
}
