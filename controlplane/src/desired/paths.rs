//! The half that follows from the underlay: next hops, adjacencies, locator sets as they stand, settings.
//!
//! Locator sets come and go with the EIDs that name them, so they are counted, and what a set needs (the way to each
//! of its remotes, adjacencies, next hops) is computed when the first EID names it and dropped with the last. A change
//! costs what depends on it: a set that appears costs its own locators, a remote that changes costs the sets that
//! name it, and no change costs anything per EID.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sterna_config::{Config, DscpDecap};
use sterna_shm::{MAX_LOCATORS, NextHop, PRIORITY_NEVER, Settings};

use super::path::{MTU_UNKNOWN, link_mtu, path};
use super::{
    AdjacencyKey, AdjacencyWanted, LocatorKey, LocatorWanted, NextHopKey, Path, Ports, SetKey, Site,
};
use crate::underlay::Facts;

/// What paths are computed from.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The config in force.
    pub config: &'a Config,
    /// The underlay as known.
    pub facts: &'a Facts,
    /// The dataplane's ports.
    pub ports: &'a Ports,
}

/// Everything the underlay decides.
#[derive(Clone, Debug)]
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
    /// Remote RLOCs that do not answer probes.
    silent: BTreeSet<IpAddr>,
    uses: Uses,
    /// Sets whose locators are all down by probes alone; their best ones stay in use.
    last_resort: BTreeSet<SetKey>,
    all_locators_silent: u64,
    touched: Touched,
    evaluations: u64,
}

/// Who needs what.
#[derive(Clone, Debug, Default)]
struct Uses {
    /// EIDs and class rows per set.
    sets: BTreeMap<SetKey, usize>,
    /// Sets per remote RLOC.
    remotes: BTreeMap<IpAddr, BTreeSet<SetKey>>,
    /// Sets per adjacency.
    adjacencies: BTreeMap<AdjacencyKey, usize>,
    /// Adjacencies per next hop.
    hops: BTreeMap<NextHopKey, usize>,
    /// Usable remotes per path MTU.
    mtus: BTreeMap<u16, usize>,
}

/// Keys whose value may have changed since it was last asked.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// Next hops.
    pub hops: BTreeSet<NextHopKey>,
    /// Pairs of RLOCs.
    pub adjacencies: BTreeSet<AdjacencyKey>,
    /// Locator sets.
    pub sets: BTreeSet<SetKey>,
    /// Remote RLOCs came or went: the underlay must be asked anew.
    pub remotes: bool,
}

impl Paths {
    /// No sets yet.
    pub fn bare(settings: Settings) -> Self {
        Paths {
            settings,
            hops: BTreeMap::new(),
            adjacencies: BTreeMap::new(),
            sets: BTreeMap::new(),
            remotes: BTreeMap::new(),
            silent: BTreeSet::new(),
            uses: Uses::default(),
            last_resort: BTreeSet::new(),
            all_locators_silent: 0,
            touched: Touched::default(),
            evaluations: 0,
        }
    }

    /// The paths for a site's locator sets, each used once.
    pub fn new(site: &Site, view: View<'_>) -> Self {
        let mut paths = Self::bare(settings(view.config, MTU_UNKNOWN));
        for set in &site.sets {
            paths.acquire(set, view);
        }
        paths.refresh_settings(view);
        paths
    }

    /// The key of an equal set that is in use, so that equal sets share their memory; else this one.
    pub fn shared(&self, set: SetKey) -> SetKey {
        self.uses.sets.get_key_value(&set).map(|(known, _)| known.clone()).unwrap_or(set)
    }

    /// One more EID (or class rows) names this set.
    pub fn acquire(&mut self, set: &SetKey, view: View<'_>) {
        if let Some(count) = self.uses.sets.get_mut(set) {
            *count += 1;
            return;
        }
        self.uses.sets.insert(set.clone(), 1);
        for remote in remotes_of(set) {
            self.acquire_remote(remote, set, view);
        }
        self.place(set);
        self.refresh_settings(view);
    }

    /// One EID less names this set.
    pub fn release(&mut self, set: &SetKey, view: View<'_>) {
        match self.uses.sets.get_mut(set) {
            None => return,
            Some(count) if *count > 1 => {
                *count -= 1;
                return;
            }
            Some(_) => {}
        }
        self.uses.sets.remove(set);
        self.displace(set);
        self.last_resort.remove(set);
        for remote in remotes_of(set) {
            self.release_remote(remote, set);
        }
        self.refresh_settings(view);
    }

    /// A remote RLOC answers probes, or does not.
    pub fn probed(&mut self, remote: IpAddr, up: bool) {
        let changed = if up { self.silent.remove(&remote) } else { self.silent.insert(remote) };
        if changed {
            for set in self.uses.remotes.get(&remote).cloned().unwrap_or_default() {
                self.replace(&set);
            }
        }
    }

    /// Nobody probes any more: what probes said is void.
    pub fn forget_probes(&mut self) {
        for remote in std::mem::take(&mut self.silent) {
            for set in self.uses.remotes.get(&remote).cloned().unwrap_or_default() {
                self.replace(&set);
            }
        }
    }

    /// The config, the underlay or the ports have changed; the sets are the same.
    pub fn renew(&mut self, view: View<'_>) {
        let remotes: Vec<IpAddr> = self.remotes.keys().copied().collect();
        for remote in remotes {
            let new = self.find(remote, view);
            let Some(old) = self.remotes.get(&remote) else { continue };
            if *old == new {
                continue;
            }
            if moved(old.as_ref(), new.as_ref()) {
                self.reroute(remote, new);
            } else if let Some(new) = new {
                self.rehop(remote, new);
            }
        }
        self.refresh_settings(view);
    }

    /// What may have changed since the last call.
    pub fn take_touched(&mut self) -> Touched {
        std::mem::take(&mut self.touched)
    }

    /// Whether this remote RLOC does not answer probes.
    pub fn is_silent(&self, remote: IpAddr) -> bool {
        self.silent.contains(&remote)
    }

    /// Remote RLOCs that do not answer probes; some may not be in use any more.
    pub fn silent(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.silent.iter().copied()
    }

    /// Sets that are used although none of their locators answers probes.
    pub fn last_resort(&self) -> usize {
        self.last_resort.len()
    }

    /// How often a set lost its last locator that answers probes.
    pub fn all_locators_silent(&self) -> u64 {
        self.all_locators_silent
    }

    /// EIDs that name this set.
    pub fn uses(&self, set: &SetKey) -> usize {
        self.uses.sets.get(set).copied().unwrap_or(0)
    }

    /// Ways looked up and sets computed so far: what changes have cost.
    pub fn evaluations(&self) -> u64 {
        self.evaluations
    }

    fn find(&mut self, remote: IpAddr, view: View<'_>) -> Option<Path> {
        self.evaluations += 1;
        path(view.config, view.facts, view.ports, remote)
    }

    fn acquire_remote(&mut self, remote: IpAddr, set: &SetKey, view: View<'_>) {
        self.uses.remotes.entry(remote).or_default().insert(set.clone());
        if !self.remotes.contains_key(&remote) {
            let path = self.find(remote, view);
            self.count_mtu(path.as_ref(), true);
            self.remotes.insert(remote, path);
            self.touched.remotes = true;
        }
    }

    fn release_remote(&mut self, remote: IpAddr, set: &SetKey) {
        let Some(sets) = self.uses.remotes.get_mut(&remote) else { return };
        sets.remove(set);
        if sets.is_empty() {
            self.uses.remotes.remove(&remote);
            let path = self.remotes.remove(&remote).flatten();
            self.count_mtu(path.as_ref(), false);
            self.touched.remotes = true;
        }
    }

    /// The remote is reached from another own RLOC, or its usability changed: the sets that name it change.
    fn reroute(&mut self, remote: IpAddr, new: Option<Path>) {
        let sets = self.uses.remotes.get(&remote).cloned().unwrap_or_default();
        for set in &sets {
            self.displace(set);
        }
        self.set_path(remote, new);
        for set in &sets {
            self.place(set);
        }
    }

    /// Only the way behind the same pair of RLOCs changed: no set is concerned.
    fn rehop(&mut self, remote: IpAddr, new: Path) {
        for udp_checksum in [false, true] {
            let key = AdjacencyKey { local: new.local, remote, udp_checksum };
            let Some(before) = self.adjacencies.get(&key).copied() else { continue };
            self.use_hop(&new);
            self.adjacencies.insert(key, AdjacencyWanted { next_hop: new.next_hop, mtu: new.mtu });
            self.leave_hop(before.next_hop);
            self.touched.adjacencies.insert(key);
        }
        self.set_path(remote, Some(new));
    }

    fn set_path(&mut self, remote: IpAddr, new: Option<Path>) {
        self.count_mtu(new.as_ref(), true);
        let old = self.remotes.insert(remote, new).flatten();
        self.count_mtu(old.as_ref(), false);
    }

    /// Puts a set in place by the ways as they are known.
    fn place(&mut self, set: &SetKey) {
        let locators = self.locators(set);
        for locator in locators.iter().filter(|locator| !locator.here) {
            if let Some(Some(path)) = self.remotes.get(&locator.adjacency.remote).cloned() {
                self.use_adjacency(locator.adjacency, &path);
            }
        }
        self.sets.insert(set.clone(), locators);
        self.touched.sets.insert(set.clone());
    }

    fn displace(&mut self, set: &SetKey) {
        let gone = self.sets.remove(set).unwrap_or_default();
        for locator in gone.iter().filter(|locator| !locator.here) {
            self.leave_adjacency(locator.adjacency);
        }
        self.touched.sets.insert(set.clone());
    }

    /// Only the usability of locators changed: adjacencies stay.
    fn replace(&mut self, set: &SetKey) {
        let locators = self.locators(set);
        self.sets.insert(set.clone(), locators);
        self.touched.sets.insert(set.clone());
    }

    /// The locators of a set as they stand; one of a family in which we have no RLOC is left out, since its
    /// packets could neither leave nor arrive.
    fn locators(&mut self, set: &SetKey) -> Vec<LocatorWanted> {
        self.evaluations += 1;
        let mut locators = Vec::with_capacity(set.locators().len());
        for key in in_use(set) {
            let LocatorKey { remote, priority, weight, udp_checksum, keep, here } = *key;
            let path = self.remotes.get(&remote).and_then(Option::as_ref).filter(|_| !here);
            let (local, usable) = match path {
                Some(path) => (path.local, path.reach.usable()),
                None if here => (remote, true),
                None => continue,
            };
            let adjacency = AdjacencyKey { local, remote, udp_checksum };
            locators.push(LocatorWanted { adjacency, priority, weight, usable, keep, here });
        }
        self.fold_probes(set, &mut locators);
        locators
    }

    /// Probes take locators out of use, unless they would take all: then the control plane at the far end is the
    /// likelier culprit, and the best locators stay.
    fn fold_probes(&mut self, set: &SetKey, locators: &mut [LocatorWanted]) {
        let candidate = |locator: &LocatorWanted| locator.usable && locator.priority != PRIORITY_NEVER;
        let best = locators.iter().filter(|locator| candidate(locator)).map(|locator| locator.priority).min();
        let answers =
            |locator: &LocatorWanted| locator.here || !self.silent.contains(&locator.adjacency.remote);
        let any = locators.iter().any(|locator| candidate(locator) && answers(locator));
        let last_resort = !any && best.is_some();
        for locator in locators.iter_mut() {
            locator.usable &= answers(locator) || (last_resort && Some(locator.priority) == best);
        }
        if !last_resort {
            self.last_resort.remove(set);
        } else if self.last_resort.insert(set.clone()) {
            self.all_locators_silent += 1;
        }
    }

    fn use_adjacency(&mut self, key: AdjacencyKey, path: &Path) {
        let count = self.uses.adjacencies.entry(key).or_default();
        *count += 1;
        if *count == 1 {
            self.use_hop(path);
            self.adjacencies.insert(key, AdjacencyWanted { next_hop: path.next_hop, mtu: path.mtu });
            self.touched.adjacencies.insert(key);
        }
    }

    fn leave_adjacency(&mut self, key: AdjacencyKey) {
        if count_down(&mut self.uses.adjacencies, &key)
            && let Some(gone) = self.adjacencies.remove(&key)
        {
            self.leave_hop(gone.next_hop);
            self.touched.adjacencies.insert(key);
        }
    }

    fn use_hop(&mut self, path: &Path) {
        *self.uses.hops.entry(path.next_hop).or_default() += 1;
        let Path { source, destination, .. } = *path;
        self.hops.insert(path.next_hop, NextHop { port: path.next_hop.port, source, destination });
        self.touched.hops.insert(path.next_hop);
    }

    fn leave_hop(&mut self, key: NextHopKey) {
        if count_down(&mut self.uses.hops, &key) {
            self.hops.remove(&key);
            self.touched.hops.insert(key);
        }
    }

    fn count_mtu(&mut self, path: Option<&Path>, more: bool) {
        let Some(path) = path.filter(|path| path.reach.usable() && path.next_hop.address.is_some()) else {
            return;
        };
        if more {
            *self.uses.mtus.entry(path.mtu).or_default() += 1;
        } else {
            count_down(&mut self.uses.mtus, &path.mtu);
        }
    }

    /// The smallest path MTU in use; before any path works, that of the rloc-side links.
    fn refresh_settings(&mut self, view: View<'_>) {
        let used = self.uses.mtus.keys().next().copied();
        let smallest = used.unwrap_or_else(|| {
            let rloc_side = view.config.ports.iter().filter(|port| port.side.is_rloc());
            let links = rloc_side.filter_map(|port| view.facts.link_named(&port.name));
            links.map(|link| link_mtu(view.config, link)).min().unwrap_or(MTU_UNKNOWN)
        });
        self.settings = settings(view.config, smallest);
    }
}

/// Two sets of paths are equal when they say the same to the dataplane, whatever led there.
impl PartialEq for Paths {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
            && self.hops == other.hops
            && self.adjacencies == other.adjacencies
            && self.sets == other.sets
            && self.remotes == other.remotes
    }
}

/// Whether sets that name the remote have to say something else now.
fn moved(old: Option<&Path>, new: Option<&Path>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => old.local != new.local || old.reach.usable() != new.reach.usable(),
        _ => true,
    }
}

/// Counts down; true, and the entry is gone, when this was the last.
fn count_down<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) -> bool {
    match counts.get_mut(key) {
        Some(count) if *count > 1 => {
            *count -= 1;
            false
        }
        Some(_) => counts.remove(key).is_some(),
        None => false,
    }
}

/// The locators of a set that a record has room for.
fn in_use(set: &SetKey) -> impl Iterator<Item = &LocatorKey> {
    set.locators().iter().take(MAX_LOCATORS)
}

/// Each remote RLOC of a set once.
fn remotes_of(set: &SetKey) -> BTreeSet<IpAddr> {
    in_use(set).filter(|locator| !locator.here).map(|locator| locator.remote).collect()
}

fn settings(config: &Config, smallest_underlay_mtu: u16) -> Settings {
    Settings {
        mss_clamp: config.dataplane.mss_clamp,
        dscp_decap_pipe: config.dataplane.dscp_decap == DscpDecap::Pipe,
        udp_source_fixed: config.dataplane.udp_source_port,
        smallest_underlay_mtu,
        outer_df: config.dataplane.outer_df,
        eid_api_port: config.context.eid_api_port,
    }
}
