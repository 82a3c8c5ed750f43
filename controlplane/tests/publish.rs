//! The publisher against a model dataplane: whatever changes when, and however little room the ring has, no record
//! ever refers to what is not there, nothing steady is ever missing, and the end is what was desired.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod model;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use model::Model;
use proptest::prelude::*;
use sterna_controlplane::desired::{
    AdjacencyKey, AdjacencyWanted, EidKey, EidWanted, LocatorKey, LocatorWanted, NextHopKey, Paths, SetKey,
    Site, Touched,
};
use sterna_controlplane::publish::Publisher;
use sterna_shm::{Group, NegativeAction, NextHop, Settings, Update};
use sterna_wire::{Iid, Mac, Prefix};

const REMOTES: usize = 4;
const EIDS: usize = 8;

/// How a remote RLOC stands.
#[derive(Clone, Debug)]
struct Remote {
    local: u8,
    hop: u8,
    mac: Option<u8>,
    mtu: u16,
    usable: bool,
}

/// What is configured for one EID: nothing, locators (a bit each), or served here.
#[derive(Clone, Debug)]
enum Slot {
    None,
    Mapped { remotes: u8, checksum: bool },
    Local { port: u16 },
}

#[derive(Clone, Debug)]
struct World {
    slots: Vec<Slot>,
    remotes: Vec<Remote>,
    groups: u8,
}

#[derive(Clone, Debug)]
enum Op {
    /// Another config.
    World(World),
    /// The same config over another underlay.
    Remotes(Vec<Remote>),
    /// A negative entry comes or goes.
    Negative(u8, Option<bool>),
    /// The publisher may say this much at most.
    Pump(usize),
    /// The dataplane takes this many records.
    Drain(usize),
    /// One of the planes is started again; what is in the ring is lost.
    Reconnect,
}

fn remote_address(index: usize) -> IpAddr {
    [192, 0, 2, 10 + index as u8].into()
}

fn iid(number: u32) -> Iid {
    Iid::new(number).unwrap()
}

fn eid_key(index: usize) -> EidKey {
    let prefix = Prefix::masked([10, index as u8, 0, 0].into(), 16).unwrap();
    EidKey { iid: iid(100 + (index as u32 % 2)), prefix }
}

fn negative_key(index: u8) -> EidKey {
    EidKey { iid: iid(100), prefix: Prefix::host([172, 16, 0, index].into()) }
}

fn negative(action: bool) -> NegativeAction {
    if action { NegativeAction::Drop } else { NegativeAction::Native }
}

impl World {
    fn site(&self) -> Site {
        let mut site = Site::default();
        for number in (0..4).filter(|bit| self.groups & (1 << bit) != 0) {
            site.rlocs.insert([192, 0, 2, number].into());
            let group = Group {
                iid: iid(100 + u32::from(number)),
                port: 0,
                vlan: None,
                mac: Mac([2, 0x53, 0x54, 0, 0, number]),
                gateway_v4: None,
                gateway_v6: None,
                proxy_arp: true,
            };
            site.groups.insert(group.iid, group);
        }
        for (index, slot) in self.slots.iter().enumerate() {
            let wanted = match slot {
                Slot::None => continue,
                Slot::Local { port } => EidWanted::Local { port: *port, vlan: None, via: None },
                Slot::Mapped { remotes, checksum } => {
                    let named = (0..REMOTES).filter(|bit| remotes & (1 << bit) != 0);
                    let locators = named.map(|at| LocatorKey {
                        remote: remote_address(at),
                        priority: 1,
                        weight: 100,
                        udp_checksum: *checksum,
                        keep: false,
                        here: false,
                    });
                    EidWanted::Remote(SetKey::new(locators.collect()))
                }
            };
            if let EidWanted::Remote(set) = &wanted {
                site.sets.insert(set.clone());
            }
            site.eids.insert(eid_key(index), wanted);
        }
        site
    }

    fn paths(&self) -> Paths {
        let settings = Settings {
            mss_clamp: true,
            dscp_decap_pipe: false,
            udp_source_fixed: None,
            smallest_underlay_mtu: self.remotes[0].mtu,
            outer_df: true,
            eid_api_port: None,
        };
        let mut paths = Paths::bare(settings);
        for set in self.site().sets {
            let locators = set.locators().iter().map(|key| self.locator(key, &mut paths)).collect();
            paths.sets.insert(set, locators);
        }
        paths
    }

    fn locator(&self, key: &LocatorKey, paths: &mut Paths) -> LocatorWanted {
        let at = (0..REMOTES).find(|at| remote_address(*at) == key.remote).unwrap();
        let Remote { local, hop, mac, mtu, usable } = self.remotes[at].clone();
        let next_hop = NextHopKey { port: 1, address: Some([192, 0, 2, 200 + hop].into()) };
        let destination = mac.map(|last| Mac([2, 0, 0, 0, 0, last]));
        paths.hops.insert(next_hop, NextHop { port: 1, source: Mac([2; 6]), destination });
        let adjacency = AdjacencyKey {
            local: [192, 0, 2, local].into(),
            remote: key.remote,
            udp_checksum: key.udp_checksum,
        };
        paths.adjacencies.insert(adjacency, AdjacencyWanted { next_hop, mtu });
        let LocatorKey { priority, weight, keep, here, .. } = *key;
        LocatorWanted { adjacency, priority, weight, usable, keep, here }
    }
}

fn remotes() -> impl Strategy<Value = Vec<Remote>> {
    let one = (0..3_u8, 0..3_u8, any::<Option<u8>>(), 1300..1500_u16, any::<bool>());
    let one = one.prop_map(|(local, hop, mac, mtu, usable)| Remote { local, hop, mac, mtu, usable });
    prop::collection::vec(one, REMOTES)
}

fn slot() -> impl Strategy<Value = Slot> {
    prop_oneof![
        1 => Just(Slot::None),
        3 => (1..16_u8, any::<bool>()).prop_map(|(remotes, checksum)| Slot::Mapped { remotes, checksum }),
        1 => (0..2_u16).prop_map(|port| Slot::Local { port }),
    ]
}

/// The first slot is never empty: it is the steady one.
fn world() -> impl Strategy<Value = World> {
    let steady = slot().prop_filter("the first EID is always there", |slot| !matches!(slot, Slot::None));
    let slots = (steady, prop::collection::vec(slot(), EIDS - 1));
    let slots = slots.prop_map(|(first, others)| std::iter::once(first).chain(others).collect::<Vec<_>>());
    (slots, remotes(), any::<u8>()).prop_map(|(slots, remotes, groups)| World { slots, remotes, groups })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => world().prop_map(Op::World),
        2 => remotes().prop_map(Op::Remotes),
        3 => (0..6_u8, any::<Option<bool>>()).prop_map(|(at, action)| Op::Negative(at, action)),
        8 => (1..20_usize).prop_map(Op::Pump),
        8 => (1..20_usize).prop_map(Op::Drain),
        1 => Just(Op::Reconnect),
    ]
}

/// Tells the publisher of another world, as whoever computes the difference does.
fn replace(publisher: &mut Publisher, before: Option<&World>, after: &World) {
    let (site, paths) = (after.site(), after.paths());
    let old = before.map(|world| (world.site(), world.paths()));
    publisher.replace_site(&site);
    let mut touched = Touched::default();
    for paths in old.iter().map(|(_, paths)| paths).chain([&paths]) {
        touched.hops.extend(paths.hops.keys());
        touched.adjacencies.extend(paths.adjacencies.keys());
        touched.sets.extend(paths.sets.keys().cloned());
    }
    publisher.update_paths(&paths, &touched);
    for site in old.iter().map(|(site, _)| site).chain([&site]) {
        for key in site.eids.keys() {
            publisher.want_eid(key, after.site().eids.get(key).cloned());
        }
    }
}

/// Publisher, ring and model, with what is desired.
struct Bench {
    publisher: Publisher,
    ring: VecDeque<Update>,
    capacity: usize,
    model: Model,
    world: World,
    negatives: BTreeMap<EidKey, EidWanted>,
    generation: u64,
    /// The steady EID was there once.
    steady: bool,
}

impl Bench {
    fn new(world: World, capacity: usize) -> Self {
        let mut publisher = Publisher::default();
        replace(&mut publisher, None, &world);
        let (ring, model, negatives) = (VecDeque::new(), Model::default(), BTreeMap::new());
        Self { publisher, ring, capacity, model, world, negatives, generation: 0, steady: false }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::World(world) => {
                replace(&mut self.publisher, Some(&self.world), &world);
                self.world = world;
            }
            Op::Remotes(remotes) => {
                let before = self.world.clone();
                self.world.remotes = remotes;
                replace(&mut self.publisher, Some(&before), &self.world);
            }
            Op::Negative(at, action) => {
                let key = negative_key(at);
                let wanted = action.map(negative).map(EidWanted::Negative);
                self.publisher.want_eid(&key, wanted.clone());
                match wanted {
                    Some(wanted) => self.negatives.insert(key, wanted),
                    None => self.negatives.remove(&key),
                };
            }
            Op::Pump(most) => self.pump(most),
            Op::Drain(most) => self.drain(most),
            Op::Reconnect => self.reconnect(),
        }
    }

    fn pump(&mut self, most: usize) {
        let room = (self.capacity - self.ring.len()).min(most);
        let records = self.publisher.pump(room);
        assert!(records.len() <= room, "never more than there is room for");
        self.ring.extend(records);
    }

    fn drain(&mut self, most: usize) {
        for _ in 0..most {
            let Some(record) = self.ring.pop_front() else {
                break;
            };
            self.model.apply(&record);
            let there = self.model.meaning(&eid_key(0)).is_some();
            assert!(there || !self.steady, "a steady EID is never missing");
            self.steady |= there;
            if let Update::EndSync { generation } = record {
                self.publisher.applied(generation);
                assert!(self.publisher.synced());
            }
        }
    }

    fn reconnect(&mut self) {
        self.ring.clear();
        self.publisher.end_session();
        assert!(self.publisher.pump(100).is_empty(), "nobody to talk to");
        self.generation += 1;
        self.publisher.begin_session(self.generation);
        self.model.new_session();
        assert!(!self.publisher.synced());
    }

    fn finish(&mut self) {
        if self.generation == 0 {
            self.reconnect();
        }
        while self.publisher.has_work() || !self.ring.is_empty() {
            self.pump(usize::MAX);
            self.drain(usize::MAX);
        }
        assert!(self.publisher.synced());
        assert_eq!(self.publisher.dirty(), 0);
        self.model.assert_is(&self.world.site(), &self.world.paths(), &self.negatives);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_model_ends_as_desired(
        first in world(),
        capacity in 1..12_usize,
        ops in prop::collection::vec(op(), 0..120),
    ) {
        let mut bench = Bench::new(first, capacity);
        for op in ops {
            bench.run(op);
        }
        bench.finish();
    }
}

fn plain_world() -> World {
    let remote = Remote { local: 1, hop: 1, mac: Some(9), mtu: 1500, usable: true };
    let slots = vec![Slot::Mapped { remotes: 0b0011, checksum: false }; EIDS];
    World { slots, remotes: vec![remote; REMOTES], groups: 1 }
}

#[test]
fn equal_sets_and_adjacencies_are_shared() {
    let mut bench = Bench::new(plain_world(), 1000);
    bench.reconnect();
    let records = bench.publisher.pump(1000);
    let count = |of: fn(&Update) -> bool| records.iter().filter(|record| of(record)).count();
    assert_eq!(count(|record| matches!(record, Update::EidUpsert { .. })), EIDS);
    assert_eq!(count(|record| matches!(record, Update::SetUpsert { .. })), 1);
    assert_eq!(count(|record| matches!(record, Update::AdjacencyUpsert { .. })), 2);
    assert_eq!(count(|record| matches!(record, Update::NextHopUpsert { .. })), 1);
}

#[test]
fn a_changed_mac_is_one_record_and_a_link_down_touches_no_eid() {
    let mut bench = Bench::new(plain_world(), 1000);
    bench.finish();
    let before = bench.world.clone();
    for remote in &mut bench.world.remotes {
        remote.mac = Some(77);
    }
    replace(&mut bench.publisher, Some(&before), &bench.world);
    let records = bench.publisher.pump(1000);
    assert!(matches!(records[..], [Update::NextHopUpsert { .. }]), "{records:?}");
    let before = bench.world.clone();
    for remote in &mut bench.world.remotes {
        remote.usable = false;
    }
    replace(&mut bench.publisher, Some(&before), &bench.world);
    let records = bench.publisher.pump(1000);
    assert!(matches!(records[..], [Update::SetUpsert { .. }]), "{records:?}");
}

#[test]
fn questions_are_asked_once_before_the_tables_and_forgotten_with_the_session() {
    let mut bench = Bench::new(plain_world(), 1000);
    let agent = IpAddr::from([10, 0, 0, 5]);
    bench.publisher.check(iid(100), agent);
    bench.finish();
    assert!(bench.model.checks.is_empty(), "there was nobody to ask");
    bench.publisher.check(iid(100), agent);
    bench.publisher.check(iid(100), agent);
    assert!(bench.publisher.has_work());
    bench.finish();
    assert_eq!(bench.model.checks, [(iid(100), agent)]);
    bench.publisher.check(iid(100), agent);
    bench.reconnect();
    bench.finish();
    assert_eq!(bench.model.checks.len(), 1);
    for number in 0..10_000_u32 {
        bench.publisher.check(iid(100), IpAddr::from(number.to_be_bytes()));
    }
    bench.finish();
    assert_eq!(bench.model.checks.len(), 1 + 4096, "what waits is bounded");
}

#[test]
fn relay_permissions_come_before_the_agent_and_go_after_it() {
    let mut bench = Bench::new(plain_world(), 1000);
    bench.finish();
    let (agent, from) = (IpAddr::from([10, 0, 0, 5]), remote_address(0));
    let key = EidKey::host(iid(100), agent);
    let here = EidWanted::LocalHost { port: 0, vlan: None, mac: Mac([2; 6]) };
    bench.publisher.want_eid(&key, Some(here));
    bench.publisher.want_relay(iid(100), agent, from, true);
    let records = bench.publisher.pump(10);
    assert!(matches!(records[..], [Update::RelayAllow { .. }, Update::EidUpsert { .. }]), "{records:?}");
    bench.publisher.say_again(&key);
    let records = bench.publisher.pump(10);
    assert!(matches!(records[..], [Update::EidUpsert { .. }]), "a confirmation: {records:?}");
    bench.publisher.want_relay(iid(100), agent, from, false);
    bench.publisher.want_eid(&key, None);
    let records = bench.publisher.pump(10);
    assert!(matches!(records[..], [Update::EidDelete { .. }, Update::RelayForbid { .. }]), "{records:?}");
}

#[test]
fn a_restart_upserts_everything_and_deletes_nothing() {
    let mut bench = Bench::new(plain_world(), 1000);
    bench.finish();
    let mut second = Publisher::default();
    replace(&mut second, None, &bench.world);
    second.begin_session(7);
    let records = second.pump(1000);
    assert_eq!(records.first(), Some(&Update::BeginSync { generation: 7 }));
    assert_eq!(records.last(), Some(&Update::EndSync { generation: 7 }));
    let before = bench.model.eids();
    bench.model.new_session();
    for record in &records {
        bench.model.apply(record);
        assert_eq!(bench.model.eids(), before, "forwarding is the same after every record");
    }
}
