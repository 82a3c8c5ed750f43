//! Updates become tables: the only writer of everything that packets are looked up in.
//!
//! Entries of an earlier channel session stay until the new one's sync has ended; then whatever it did not
//! confirm is swept ([`session`]). Nothing that a burst may still see is freed (see [`crate::rows`]).

mod entries;
mod session;
mod underlay;

use crate::attached::Attached;
use crate::checks::{Checking, Checks};
use crate::classes::ClassesRow;
use crate::encap::build_adjacency;
use crate::layout::{DEFAULT_SETTINGS, Layout, PortRow, Side};
use crate::marks::Marks;
use crate::mobility::Mobility;
use crate::policies::Policies;
use crate::relays::Relays;
use crate::rows::Rows;
use crate::tables::{AdjacencyRow, EidValue, HopRow, SetRow, Tables};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use sterna_shm::{Adjacency, Event, Group, LocatorSet, RefusedKind, Settings, Update};
use sterna_table::{CellsWriter, Domain, EidWriter, PublishedWriter, cells, eid_table, published};
use sterna_wire::{Iid, Mac, addr_bytes};
pub(crate) use underlay::give_back;

/// RLOCs of our own; the XDP program has room for as many.
const MAX_LOCAL_RLOCS: usize = 1024;

/// How much the tables hold.
#[derive(Clone, Copy, Debug)]
pub struct TableLimits {
    /// EID entries, prefixes and hosts together.
    pub max_eids: usize,
    /// Locator sets; class rows as many again.
    pub max_sets: usize,
    /// Adjacencies; each is one pair of RLOCs.
    pub max_adjacencies: usize,
    /// Underlay next hops.
    pub max_hops: usize,
    /// Groups.
    pub max_groups: usize,
    /// Workers that read.
    pub readers: usize,
    /// Keys of the EID hash, random per start.
    pub seed: [u64; 2],
}

/// A change that the XDP program has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SteeringChange {
    /// Frames for this RLOC come to us (true) or not.
    Rloc(IpAddr, bool),
    /// Frames for this gateway MAC on this port come to us (true) or not.
    GatewayMac(u16, Mac, bool),
}

/// An update that breaks the contract: the channel must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A set names an adjacency, an adjacency a hop, class rows a set, or an EID one of these that this session never
    /// defined.
    UnknownId(u32),
    /// An adjacency between two families.
    MixedFamilies(u32),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::UnknownId(id) => write!(f, "an update refers to number {id}, which was never defined"),
            Fault::MixedFamilies(id) => write!(f, "adjacency {id} joins two address families"),
        }
    }
}

pub(crate) struct Writers {
    pub eids: EidWriter<EidValue>,
    sets: CellsWriter<SetRow>,
    pub classes: CellsWriter<ClassesRow>,
    adjacencies: CellsWriter<AdjacencyRow>,
    hops: CellsWriter<HopRow>,
    layout: PublishedWriter<Layout>,
    relays: PublishedWriter<Relays>,
}

/// Applies updates; see the module's text.
pub struct Applier {
    pub(crate) writers: Writers,
    pub(crate) domain: Arc<Domain>,
    limits: TableLimits,
    ports: Vec<PortRow>,
    pub(crate) epoch: u32,
    hops: Rows,
    adjacencies: Rows,
    pub(crate) sets: Rows,
    pub(crate) classes: Rows,
    /// By adjacency row: what it was built from, with the hop's row.
    pub(crate) adjacency_facts: HashMap<u32, Adjacency>,
    /// By set row: what it was built from, with adjacency rows.
    pub(crate) set_facts: HashMap<u32, LocatorSet>,
    groups: BTreeMap<Iid, (Group, u32)>,
    rlocs: BTreeMap<IpAddr, u32>,
    settings: Settings,
    pub(crate) attached: Attached,
    pub(crate) mobility: Mobility,
    policies: Policies,
    pub(crate) checks: Checks,
    pub(crate) marks: Arc<[Marks]>,
    /// Monotonic time, ns; see [`Applier::set_time`].
    pub(crate) now_ns: u64,
    set_generation: u32,
    layout_changed: bool,
    steered: BTreeSet<SteeringChange>,
}

/// Builds empty tables for these ports.
pub fn build_tables(limits: &TableLimits, ports: Vec<PortRow>) -> (Applier, Tables) {
    let domain = Domain::new(limits.readers);
    let (eid_writer, eids) = eid_table(&domain, limits.max_eids, limits.seed);
    let (set_writer, sets) = cells(&domain, Rows::capacity_for(limits.max_sets));
    let (classes_writer, classes) = cells(&domain, Rows::capacity_for(limits.max_sets));
    let (adjacency_writer, adjacencies) = cells(&domain, Rows::capacity_for(limits.max_adjacencies));
    let (hop_writer, hops) = cells(&domain, Rows::capacity_for(limits.max_hops));
    let first = Layout::new(ports.clone(), vec![], &[], DEFAULT_SETTINGS);
    let (layout_writer, layout) = published(&domain, first);
    let (relay_writer, relays) = published(&domain, Relays::default());
    let checking = Arc::new(Checking::new());
    let mark = |_| Marks::new(eids.index_bound(), Rows::capacity_for(limits.max_adjacencies));
    let marks: Arc<[Marks]> = (0..limits.readers).map(mark).collect();
    let applier = Applier {
        writers: Writers {
            eids: eid_writer,
            sets: set_writer,
            classes: classes_writer,
            adjacencies: adjacency_writer,
            hops: hop_writer,
            layout: layout_writer,
            relays: relay_writer,
        },
        domain: Arc::clone(&domain),
        limits: *limits,
        ports,
        epoch: 1,
        hops: Rows::new(limits.max_hops),
        adjacencies: Rows::new(limits.max_adjacencies),
        sets: Rows::new(limits.max_sets),
        classes: Rows::new(limits.max_sets),
        adjacency_facts: HashMap::new(),
        set_facts: HashMap::new(),
        groups: BTreeMap::new(),
        rlocs: BTreeMap::new(),
        settings: DEFAULT_SETTINGS,
        attached: Attached::default(),
        mobility: Mobility::default(),
        policies: Policies::default(),
        checks: Checks::new(Arc::clone(&checking)),
        marks: Arc::clone(&marks),
        now_ns: 0,
        set_generation: 0,
        layout_changed: false,
        steered: BTreeSet::new(),
    };
    (applier, Tables { eids, sets, classes, adjacencies, hops, layout, relays, marks, checking, domain })
}

impl Applier {
    /// The monotonic time of what is applied next, ns. The readers compare it with their own.
    pub fn set_time(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
    }

    /// Applies one update. An event that comes back goes to the control plane.
    ///
    /// Call [`Applier::flush`] after a batch: layout changes are published together.
    pub fn apply(&mut self, update: &Update) -> Result<Option<Event>, Fault> {
        match *update {
            Update::BeginSync { .. } => self.epoch = self.epoch.wrapping_add(1),
            Update::EndSync { generation } => {
                self.sweep();
                return Ok(Some(Event::Applied { generation }));
            }
            Update::Barrier { number } => return Ok(Some(Event::Reached { number })),
            Update::NextHopUpsert { id, hop } => return Ok(self.put_hop(id, hop)),
            Update::NextHopDelete { id } => {
                self.hops.retire(id, &self.domain);
            }
            Update::AdjacencyUpsert { id, adjacency } => return self.put_adjacency(id, adjacency),
            Update::AdjacencyDelete { id } => {
                self.adjacencies.retire(id, &self.domain);
            }
            Update::SetUpsert { id, set } => return self.put_set(id, &set),
            Update::SetDelete { id } => {
                self.sets.retire(id, &self.domain);
            }
            Update::ClassesUpsert { id, rows } => return self.put_classes(id, &rows),
            Update::ClassesDelete { id } => {
                self.classes.retire(id, &self.domain);
            }
            Update::PolicyUpsert { index, policy, more } => {
                let put = self.policies.put(index, policy, more, self.epoch);
                return Ok(put.err().and_then(|kind| refused(kind, index.into())));
            }
            Update::PolicyDelete { index, more } => self.policies.remove(index, more),
            Update::EidUpsert { iid, prefix, action } => return self.put_eid(iid, prefix, action),
            Update::EidDelete { iid, prefix } => self.delete_eid(iid, prefix),
            Update::GroupUpsert { group } => return Ok(self.put_group(group)),
            Update::GroupDelete { iid } => {
                self.layout_changed |= self.groups.remove(&iid).is_some();
            }
            Update::LocalRlocUpsert { address } => {
                if self.rlocs.len() >= MAX_LOCAL_RLOCS && !self.rlocs.contains_key(&address) {
                    return Ok(refused(RefusedKind::LocalRlocTableFull, 0));
                }
                self.layout_changed |= self.rlocs.insert(address, self.epoch).is_none();
            }
            Update::LocalRlocDelete { address } => {
                self.layout_changed |= self.rlocs.remove(&address).is_some();
            }
            Update::SettingsUpsert { settings } => self.put_settings(settings),
            Update::DynamicUpsert { iid, prefix } => {
                return Ok(refusal_of(self.mobility.put_range(iid, prefix, self.epoch), iid));
            }
            Update::DynamicDelete { iid, prefix } => self.mobility.remove_range(iid, prefix),
            Update::RelayAllow { iid, eid, from } => {
                return Ok(refusal_of(self.mobility.allow(iid, eid, from, self.epoch), iid));
            }
            Update::RelayForbid { iid, eid, from } => self.mobility.forbid(iid, eid, from),
            Update::AgentCheck { iid, eid } => return Ok(self.begin_check(iid, eid)),
        }
        Ok(None)
    }

    fn put_group(&mut self, group: Group) -> Option<Event> {
        if self.ports.get(usize::from(group.port)).is_none_or(|port| port.side == Side::Rloc) {
            return refused(RefusedKind::UnknownPort, u64::from(group.port));
        }
        if self.groups.len() >= self.limits.max_groups && !self.groups.contains_key(&group.iid) {
            return refused(RefusedKind::GroupTableFull, u64::from(group.iid.get()));
        }
        let before = self.groups.insert(group.iid, (group, self.epoch));
        self.layout_changed |= before.map(|(g, _)| g) != Some(group);
        None
    }

    fn put_settings(&mut self, settings: Settings) {
        if settings == self.settings {
            return;
        }
        let rebuild = settings.outer_df != self.settings.outer_df;
        self.settings = settings;
        self.layout_changed = true;
        if rebuild {
            for (row, facts) in &self.adjacency_facts {
                if let Some(value) = build_adjacency(facts, facts.next_hop, settings.outer_df) {
                    // No room for the copy just now: the old header stays valid.
                    let _ = self.writers.adjacencies.set(*row, value);
                }
            }
        }
    }

    /// Publishes pending layout changes, frees what nobody sees, and says what the XDP program must learn.
    pub fn flush(&mut self) -> Vec<SteeringChange> {
        let mut changes = Vec::new();
        self.layout_changed |= std::mem::take(&mut self.mobility.ranges_changed);
        self.layout_changed |= std::mem::take(&mut self.policies.changed);
        if std::mem::take(&mut self.layout_changed) {
            let groups: Vec<Group> = self.groups.values().map(|(g, _)| *g).collect();
            let rlocs: Vec<IpAddr> = self.rlocs.keys().copied().collect();
            changes = self.steering_changes(&groups, &rlocs);
            let layout = Layout::new(self.ports.clone(), groups, &rlocs, self.settings);
            let layout = layout.with_policies(self.policies.in_force());
            self.writers.layout.store(layout.with_dynamic(self.mobility.ranges()));
        }
        if let Some(relays) = self.mobility.take_relays() {
            self.writers.relays.store(relays);
        }
        self.reclaim();
        changes
    }

    fn steering_changes(&mut self, groups: &[Group], rlocs: &[IpAddr]) -> Vec<SteeringChange> {
        let macs = groups.iter().map(|g| SteeringChange::GatewayMac(g.port, g.mac, true));
        let wanted: BTreeSet<_> = rlocs.iter().map(|a| SteeringChange::Rloc(*a, true)).chain(macs).collect();
        let off = |change: &SteeringChange| match *change {
            SteeringChange::Rloc(address, _) => SteeringChange::Rloc(address, false),
            SteeringChange::GatewayMac(port, mac, _) => SteeringChange::GatewayMac(port, mac, false),
        };
        let mut changes: Vec<_> = wanted.difference(&self.steered).copied().collect();
        changes.extend(self.steered.difference(&wanted).map(off));
        self.steered = wanted;
        changes
    }

    /// Bytes of the EID table, and its entries.
    pub fn eid_footprint(&self) -> (usize, usize) {
        (self.writers.eids.bytes(), self.writers.eids.len())
    }

    /// Bytes of the class rows, for as many as the limits allow.
    pub fn classes_footprint(&self) -> usize {
        self.writers.classes.bytes()
    }
}

fn refusal_of(done: Result<(), RefusedKind>, iid: Iid) -> Option<Event> {
    done.err().and_then(|kind| refused(kind, u64::from(iid.get())))
}

pub(crate) fn refused(kind: RefusedKind, detail: u64) -> Option<Event> {
    Some(Event::Refused { kind, detail })
}

/// The address bytes of a locator as the tables hold them.
pub fn remote_bytes(address: IpAddr) -> [u8; 16] {
    addr_bytes(address)
}
