//! Updates become tables: the only writer of everything that packets are looked up in.
//!
//! Entries of an earlier channel session stay until the new one's sync has ended; then whatever it did not
//! confirm is swept. Nothing that a burst may still see is freed (see [`crate::rows`]).

use crate::attached::Attached;
use crate::checks::{Checking, Checks};
use crate::classes::ClassesRow;
use crate::encap::build_adjacency;
use crate::layout::{Attachment, DEFAULT_SETTINGS, Layout, PortRow, Side, tag_of};
use crate::locator::build_set;
use crate::marks::Marks;
use crate::mobility::Mobility;
use crate::policies::Policies;
use crate::relays::Relays;
use crate::rows::{Named, Rows};
use crate::tables::{
    AdjacencyRow, EidBody, EidValue, HopRow, LOCAL_TAG, LocatorRow, Moment, NO_ROW, SetRow, Tables,
    address_tag,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use sterna_shm::{
    Adjacency, EidAction, Event, Group, LOCAL, LocatorSet, NegativeAction, NextHop, PRIORITY_NEVER,
    RefusedKind, Settings, Update,
};
use sterna_table::{CellsWriter, Domain, EidKey, EidWriter, PublishedWriter, cells, eid_table, published};
use sterna_wire::{Family, Iid, Mac, Prefix, VlanId, addr_bytes};

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

    /// A control plane connected: its numbers are its own.
    pub fn begin_session(&mut self) {
        self.hops.forget_numbers();
        self.adjacencies.forget_numbers();
        self.sets.forget_numbers();
        self.classes.forget_numbers();
        self.drop_unused_rows();
    }

    /// Rows that no EID leads to, left behind by a session that ended before its sync did: without this, a control
    /// plane that fails again and again would use up all rows.
    fn drop_unused_rows(&mut self) {
        let (mut sets, mut classes) = (HashSet::new(), HashSet::new());
        for (_, value) in self.writers.eids.iter() {
            sets.extend(value.body.set());
            classes.extend(value.body.classes());
        }
        let rows = classes.iter().filter_map(|row| self.writers.classes.get(*row));
        sets.extend(rows.flat_map(|row: ClassesRow| row.sets()));
        let adjacencies: HashSet<u32> = sets
            .iter()
            .filter_map(|row| self.set_facts.get(row))
            .flat_map(|set| set.as_slice().iter().map(|locator| locator.adjacency))
            .collect();
        let hops: HashSet<u32> =
            adjacencies.iter().filter_map(|row| self.adjacency_facts.get(row)).map(|a| a.next_hop).collect();
        self.classes.keep(&classes, &self.domain);
        self.sets.keep(&sets, &self.domain);
        self.adjacencies.keep(&adjacencies, &self.domain);
        self.hops.keep(&hops, &self.domain);
        self.reclaim();
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

    fn put_hop(&mut self, id: u32, hop: NextHop) -> Option<Event> {
        // What leaves through an eid-side port must never be the underlay's.
        if self.ports.get(usize::from(hop.port)).is_none_or(|port| port.side == Side::Eid) {
            self.hops.refuse(id);
            return refused(RefusedKind::UnknownPort, u64::from(hop.port));
        }
        let full = refused(RefusedKind::NextHopTableFull, u64::from(id));
        if !self.hops.has_row_for(id) {
            self.reclaim();
        }
        let Some(row) = self.hops.confirm(id, self.epoch) else { return full };
        let value = HopRow { port: hop.port, source: hop.source, destination: hop.destination };
        let before = self.writers.hops.get(row);
        if before == Some(value) || self.writers.hops.set(row, value).is_ok() {
            return None;
        }
        give_back(&mut self.hops, id, before.is_none(), &self.domain);
        full
    }

    fn put_adjacency(&mut self, id: u32, adjacency: Adjacency) -> Result<Option<Event>, Fault> {
        let full = refused(RefusedKind::AdjacencyTableFull, u64::from(id));
        let hop = match self.hops.named(adjacency.next_hop) {
            Named::Row(row) => row,
            Named::Unknown => return Err(Fault::UnknownId(adjacency.next_hop)),
            Named::Refused => {
                self.adjacencies.refuse(id);
                return Ok(full);
            }
        };
        let value =
            build_adjacency(&adjacency, hop, self.settings.outer_df).ok_or(Fault::MixedFamilies(id))?;
        if !self.adjacencies.has_row_for(id) {
            self.reclaim();
        }
        let Some(row) = self.adjacencies.confirm(id, self.epoch) else { return Ok(full) };
        let before = self.writers.adjacencies.get(row);
        if before != Some(value) && self.writers.adjacencies.set(row, value).is_err() {
            give_back(&mut self.adjacencies, id, before.is_none(), &self.domain);
            return Ok(full);
        }
        self.adjacency_facts.insert(row, Adjacency { next_hop: hop, ..adjacency });
        // Sets carry copies of these two.
        let copied = |row: &AdjacencyRow| (row.remote, row.payload_mtu());
        if before.is_some_and(|before| copied(&before) != copied(&value)) {
            self.rebuild_sets_of(row);
        }
        Ok(None)
    }

    /// An adjacency's MTU or address changed: the sets that use it carry copies of both.
    fn rebuild_sets_of(&mut self, adjacency: u32) {
        let uses = |set: &LocatorSet| set.as_slice().iter().any(|l| l.adjacency == adjacency);
        let rows: Vec<u32> =
            self.set_facts.iter().filter(|(_, set)| uses(set)).map(|(row, _)| *row).collect();
        for row in rows {
            if let Some(facts) = self.set_facts.get(&row).copied() {
                let value = self.set_row(&facts);
                // No room for the copy just now: the old row stays valid, the next update rebuilds it.
                let _ = self.writers.sets.set(row, value);
            }
        }
    }

    fn put_set(&mut self, id: u32, set: &LocatorSet) -> Result<Option<Event>, Fault> {
        let full = refused(RefusedKind::SetTableFull, u64::from(id));
        let mut locators = Vec::with_capacity(set.as_slice().len());
        for locator in set.as_slice() {
            match self.adjacencies.named(locator.adjacency) {
                _ if locator.adjacency == LOCAL => locators.push(*locator),
                Named::Row(row) => locators.push(sterna_shm::Locator { adjacency: row, ..*locator }),
                Named::Unknown => return Err(Fault::UnknownId(locator.adjacency)),
                Named::Refused => {
                    self.sets.refuse(id);
                    return Ok(full);
                }
            }
        }
        let Some(facts) = LocatorSet::new(&locators) else { return Err(Fault::UnknownId(id)) };
        if !self.sets.has_row_for(id) {
            self.reclaim();
        }
        let Some(row) = self.sets.confirm(id, self.epoch) else { return Ok(full) };
        let before = self.writers.sets.get(row);
        if before.is_some() && self.set_facts.get(&row) == Some(&facts) {
            return Ok(None);
        }
        let value = self.set_row(&facts);
        if self.writers.sets.set(row, value).is_err() {
            give_back(&mut self.sets, id, before.is_none(), &self.domain);
            return Ok(full);
        }
        self.set_facts.insert(row, facts);
        Ok(None)
    }

    fn set_row(&mut self, facts: &LocatorSet) -> SetRow {
        self.set_generation = self.set_generation.wrapping_add(1);
        let mut keys = Vec::new();
        let mut rows = Vec::new();
        let mut payload_mtu = u16::MAX;
        for locator in facts.as_slice() {
            let here = locator.adjacency == LOCAL;
            let adjacency = self.writers.adjacencies.get(locator.adjacency).filter(|_| !here);
            let remote = adjacency.map_or([0; 16], |a| a.remote);
            let sends = locator.usable && locator.priority != PRIORITY_NEVER;
            if let (true, Some(adjacency)) = (sends, adjacency) {
                payload_mtu = payload_mtu.min(adjacency.payload_mtu());
            }
            keys.push(address_key(&remote));
            rows.push(LocatorRow {
                adjacency: locator.adjacency,
                tag: if here { LOCAL_TAG } else { address_tag(&remote) },
                priority: locator.priority,
                weight: locator.weight,
                usable: locator.usable,
                keep: locator.keep,
            });
        }
        build_set(&rows, &keys, payload_mtu, self.set_generation)
    }

    fn put_eid(&mut self, iid: Iid, prefix: Prefix, action: EidAction) -> Result<Option<Event>, Fault> {
        let body = match self.body_of(action) {
            Ok(body) => body,
            Err(Unfit::Fault(fault)) => return Err(fault),
            Err(Unfit::Refused(kind, id)) => return Ok(refused(kind, id.into())),
        };
        let entry = self.value(self.attached.keep_agent(iid, prefix, body));
        let key = EidKey::prefix(iid, prefix);
        if prefix.is_host() {
            self.note_departure(iid, prefix.addr(), &key, &entry.body);
        }
        if self.writers.eids.insert(key, entry).is_err() {
            self.writers.eids.reclaim();
            if self.writers.eids.insert(key, entry).is_err() {
                return Ok(refused(RefusedKind::EidTableFull, u64::from(iid.get())));
            }
        }
        // Only now: what the agents had goes when the answer that replaces it is there.
        let gone = self.attached.note(iid, prefix, body, self.epoch);
        self.remove_agents(iid, &gone);
        Ok(None)
    }

    /// The entry of an action, with rows for numbers.
    fn body_of(&self, action: EidAction) -> Result<EidBody, Unfit> {
        let set_row = |set| row_of(&self.sets, set, RefusedKind::SetTableFull);
        let classes_row = |classes: Option<u32>| {
            classes.map_or(Ok(NO_ROW), |id| row_of(&self.classes, id, RefusedKind::ClassesTableFull))
        };
        let tag = |vlan: Option<VlanId>| vlan.map_or(0, |vlan| vlan.get());
        Ok(match action {
            EidAction::Remote { set, classes } => {
                EidBody::Remote { set: set_row(set)?, classes: classes_row(classes)? }
            }
            EidAction::Away { set } => EidBody::Away { set: set_row(set)? },
            EidAction::Hold => EidBody::Hold,
            EidAction::Negative { action } => EidBody::Negative { native: action == NegativeAction::Native },
            EidAction::Local { port, vlan, via } => EidBody::Served { port, vlan: tag(vlan), via },
            EidAction::LocalHost { port, vlan, mac } => {
                EidBody::Agent { port, vlan: tag(vlan), mac, given: true }
            }
            EidAction::Skill { port, vlan, mac, set, classes } => EidBody::Skill {
                port,
                vlan: tag(vlan),
                mac,
                set: set.map_or(Ok(NO_ROW), set_row)?,
                classes: classes_row(classes)?,
            },
        })
    }

    /// The last digits of the epoch, as entries have them.
    fn session(&self) -> u16 {
        self.epoch as u16
    }

    /// An entry as it is written now.
    pub(crate) fn value(&self, body: EidBody) -> EidValue {
        EidValue { body, session: self.session(), written: Moment::at(self.now_ns) }
    }

    /// What a packet for an address would find.
    pub(crate) fn longest(&self, iid: Iid, eid: IpAddr) -> Option<EidBody> {
        let entry =
            |len: u8| Some(self.writers.eids.get(&EidKey::prefix(iid, Prefix::masked(eid, len).ok()?))?.body);
        self.writers.eids.lengths(iid, Family::of(eid)).into_iter().find_map(entry)
    }

    /// The attachment of the group, for an address of its dynamic ranges.
    pub(crate) fn home_of_agents(&self, iid: Iid, eid: IpAddr) -> Option<Attachment> {
        let (group, _) = self.groups.get(&iid)?;
        let home = Attachment { port: group.port, vlan: tag_of(group) };
        self.mobility.is_dynamic(iid, eid).then_some(home)
    }

    fn delete_eid(&mut self, iid: Iid, prefix: Prefix) {
        let gone = self.attached.forget(iid, prefix);
        self.remove_agents(iid, &gone);
        // A host prefix may go while its agent stays, in the prefix around it.
        if !self.attached.has_agent(iid, prefix) {
            self.writers.eids.remove(&EidKey::prefix(iid, prefix));
        }
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

    /// Everything that the finished sync did not confirm goes.
    fn sweep(&mut self) {
        let epoch = self.epoch;
        let gone = self.attached.sweep(epoch);
        for (iid, agents) in gone {
            self.remove_agents(iid, &agents);
        }
        let (attached, session) = (&self.attached, self.session());
        let stale: Vec<EidKey> = self
            .writers
            .eids
            .iter()
            .filter(|(key, value)| {
                value.session != session && !attached.is_agent(key.iid(), key.addr(), &value.body)
            })
            .map(|(key, _)| key)
            .collect();
        for key in stale {
            self.writers.eids.remove(&key);
            self.attached.swept(&key);
        }
        self.mobility.sweep(epoch);
        self.policies.sweep(epoch);
        let before = (self.groups.len(), self.rlocs.len());
        self.groups.retain(|_, (_, confirmed)| *confirmed == epoch);
        self.rlocs.retain(|_, confirmed| *confirmed == epoch);
        self.layout_changed |= before != (self.groups.len(), self.rlocs.len());
        self.classes.sweep(epoch, &self.domain);
        self.sets.sweep(epoch, &self.domain);
        self.adjacencies.sweep(epoch, &self.domain);
        self.hops.sweep(epoch, &self.domain);
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

    /// Frees what every worker has passed; call it regularly.
    pub fn reclaim(&mut self) {
        let Writers { eids, sets, classes, adjacencies, hops, layout, relays } = &mut self.writers;
        self.classes.reclaim(&self.domain, |row| classes.clear(row));
        self.sets.reclaim(&self.domain, |row| {
            sets.clear(row);
            self.set_facts.remove(&row);
        });
        self.adjacencies.reclaim(&self.domain, |row| {
            adjacencies.clear(row);
            self.adjacency_facts.remove(&row);
        });
        self.hops.reclaim(&self.domain, |row| hops.clear(row));
        eids.reclaim();
        sets.reclaim();
        classes.reclaim();
        adjacencies.reclaim();
        hops.reclaim();
        layout.reclaim();
        relays.reclaim();
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

/// A row could not be written. One that was never written is not a number's row; any other keeps its old value.
pub(crate) fn give_back(rows: &mut Rows, id: u32, is_new: bool, domain: &Domain) {
    if is_new {
        rows.retire(id, domain);
        rows.refuse(id);
    }
}

/// Why an action is no entry.
enum Unfit {
    Fault(Fault),
    /// What it refers to found no room.
    Refused(RefusedKind, u32),
}

/// The row of a number.
fn row_of(rows: &Rows, id: u32, full: RefusedKind) -> Result<u32, Unfit> {
    match rows.named(id) {
        Named::Row(row) => Ok(row),
        Named::Unknown => Err(Unfit::Fault(Fault::UnknownId(id))),
        Named::Refused => Err(Unfit::Refused(full, id)),
    }
}

fn refusal_of(done: Result<(), RefusedKind>, iid: Iid) -> Option<Event> {
    done.err().and_then(|kind| refused(kind, u64::from(iid.get())))
}

pub(crate) fn refused(kind: RefusedKind, detail: u64) -> Option<Event> {
    Some(Event::Refused { kind, detail })
}

/// A locator's identity for the slot table: its address, not its place.
fn address_key(address: &[u8; 16]) -> u64 {
    let (high, low) = address.split_at(8);
    let word = |half: &[u8]| half.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    sterna_cpu::fold_multiply(word(high) ^ 0xff51_afd7_ed55_8ccd, word(low) ^ 0xc4ce_b9fe_1a85_ec53)
}

/// The address bytes of a locator as the tables hold them.
pub fn remote_bytes(address: IpAddr) -> [u8; 16] {
    addr_bytes(address)
}
