//! The half that follows from the underlay: next hops, adjacencies, locator sets as they stand, settings.

use std::collections::BTreeMap;
use std::net::IpAddr;

use sterna_config::{Config, DscpDecap};
use sterna_shm::{MAX_LOCATORS, NextHop, Settings};

use super::path::{MTU_UNKNOWN, link_mtu, path};
use super::{AdjacencyKey, AdjacencyWanted, LocatorWanted, NextHopKey, Path, Ports, SetKey, Site};
use crate::underlay::Facts;

/// Everything the underlay decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// What holds for all packets.
    pub settings: Settings,
    /// Next hops.
    pub hops: BTreeMap<NextHopKey, NextHop>,
    /// Pairs of RLOCs.
    pub adjacencies: BTreeMap<AdjacencyKey, AdjacencyWanted>,
    /// Locator sets.
    pub sets: BTreeMap<SetKey, Vec<LocatorWanted>>,
    /// The way to each remote RLOC; none where we have no RLOC of its family.
    pub remotes: BTreeMap<IpAddr, Option<Path>>,
}

impl Paths {
    /// The paths for a site's locator sets.
    pub fn new(config: &Config, site: &Site, facts: &Facts, ports: &Ports) -> Self {
        let mut paths = Paths {
            settings: settings(config, MTU_UNKNOWN),
            hops: BTreeMap::new(),
            adjacencies: BTreeMap::new(),
            sets: BTreeMap::new(),
            remotes: BTreeMap::new(),
        };
        for set in &site.sets {
            let locators = paths.locators(set, |remote| path(config, facts, ports, remote));
            paths.sets.insert(set.clone(), locators);
        }
        paths.settings = settings(config, paths.smallest_mtu(config, facts));
        paths
    }

    /// The locators of a set as they stand; one of a family in which we have no RLOC is left out, since its
    /// packets could neither leave nor arrive.
    fn locators(&mut self, set: &SetKey, find: impl Fn(IpAddr) -> Option<Path>) -> Vec<LocatorWanted> {
        let mut locators = Vec::with_capacity(set.locators().len());
        for key in set.locators().iter().take(MAX_LOCATORS) {
            let path = self.remotes.entry(key.remote).or_insert_with(|| find(key.remote));
            let Some(path) = path else { continue };
            let adjacency =
                AdjacencyKey { local: path.local, remote: key.remote, udp_checksum: key.udp_checksum };
            let hop =
                NextHop { port: path.next_hop.port, source: path.source, destination: path.destination };
            self.hops.insert(path.next_hop, hop);
            let stands = AdjacencyWanted { next_hop: path.next_hop, mtu: path.mtu };
            self.adjacencies.insert(adjacency, stands);
            let usable = path.reach.usable();
            locators.push(LocatorWanted { adjacency, priority: key.priority, weight: key.weight, usable });
        }
        locators
    }

    /// The smallest path MTU in use; before any path works, that of the rloc-side links.
    fn smallest_mtu(&self, config: &Config, facts: &Facts) -> u16 {
        let used =
            self.remotes.values().flatten().filter(|path| path.reach.usable()).map(|path| path.mtu).min();
        used.unwrap_or_else(|| {
            let rloc_side = config.ports.iter().filter(|port| port.side.is_rloc());
            let links = rloc_side.filter_map(|port| facts.link_named(&port.name));
            links.map(|link| link_mtu(config, link)).min().unwrap_or(MTU_UNKNOWN)
        })
    }
}

fn settings(config: &Config, smallest_underlay_mtu: u16) -> Settings {
    Settings {
        mss_clamp: config.dataplane.mss_clamp,
        dscp_decap_pipe: config.dataplane.dscp_decap == DscpDecap::Pipe,
        udp_source_fixed: config.dataplane.udp_source_port,
        smallest_underlay_mtu,
        outer_df: config.dataplane.outer_df,
    }
}
