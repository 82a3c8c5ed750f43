//! What is desired, changed bit by bit: always what computing it afresh would give, and never more work than the
//! change is worth.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod model;

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::site::{self, U0, U1, config, iid, ip};
use model::{Meaning, Model};
use proptest::prelude::*;
use sterna_config::Config;
use sterna_controlplane::desired::{
    ClassesKey, EidKey, EidWanted, LocatorKey, Paths, Ports, RowKey, SetKey, Site, Source, Tables, View,
};
use sterna_controlplane::underlay::{Facts, Neighbour, NeighbourKey, Questions};
use sterna_shm::{EidAction, NegativeAction, PRIORITY_NEVER, Update};

const REMOTES: [&str; 5] = ["203.0.113.1", "203.0.113.2", "203.0.113.3", "2001:db8:1::1", "2001:db8:1::2"];

/// An RLOC of ours.
const OWN: &str = "192.0.2.1";

/// Tables with the underlay that they see.
struct Bench {
    config: Config,
    ports: Ports,
    facts: Facts,
    tables: Tables,
    model: Model,
    generation: u64,
}

impl Bench {
    fn new() -> Self {
        let config = config();
        let ports = Ports::of(&config);
        let facts = facts(&config);
        let view = View { config: &config, facts: &facts, ports: &ports };
        let tables = Tables::new(Site::new(&config, &ports), view);
        let model = Model::default();
        let mut bench = Self { config, ports, facts, tables, model, generation: 0 };
        bench.connect();
        bench
    }

    fn view(&self) -> View<'_> {
        View { config: &self.config, facts: &self.facts, ports: &self.ports }
    }

    fn connect(&mut self) {
        self.generation += 1;
        self.model.new_session();
        self.tables.publisher_mut().begin_session(self.generation);
        self.deliver();
    }

    fn deliver(&mut self) -> Vec<Update> {
        let records = self.tables.publisher_mut().pump(usize::MAX);
        records.iter().for_each(|record| self.model.apply(record));
        records
    }

    fn want(&mut self, source: Source, key: EidKey, value: Option<EidWanted>) {
        let view = View { config: &self.config, facts: &self.facts, ports: &self.ports };
        self.tables.want(source, key, value, view);
    }

    fn underlay(&mut self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.facts);
        self.tables.underlay(View { config: &self.config, facts: &self.facts, ports: &self.ports });
    }

    /// What a computation from nothing gives for the sets that are in use.
    fn afresh(&self, silent: &[IpAddr]) -> Paths {
        let wanted: Vec<&EidWanted> =
            self.tables.publisher().wanted_eids().map(|(_, wanted)| wanted).collect();
        let of_classes = wanted.iter().filter_map(|wanted| wanted.classes()).flat_map(ClassesKey::sets);
        let sets = wanted.iter().filter_map(|wanted| wanted.set()).chain(of_classes).cloned().collect();
        let mut paths = Paths::new(&Site { sets, ..Site::default() }, self.view());
        silent.iter().for_each(|remote| paths.probed(*remote, false));
        paths
    }
}

/// An underlay that knows all remotes of this test.
fn facts(config: &Config) -> Facts {
    site::facts(&Questions {
        remotes: REMOTES.iter().map(|remote| ip(remote)).collect(),
        locals: config.rlocs.iter().map(|rloc| rloc.address).collect(),
        ports: ["u0".to_string(), "u1".to_string()].into(),
    })
}

fn set(remotes: &[(usize, u8)]) -> SetKey {
    let locator = |(at, priority): &(usize, u8)| LocatorKey {
        remote: ip(REMOTES[*at]),
        priority: *priority,
        weight: 100,
        udp_checksum: false,
        keep: false,
        here: false,
    };
    SetKey::new(remotes.iter().map(locator).collect())
}

fn host(number: u32) -> EidKey {
    EidKey::host(iid(100), IpAddr::from((0x0a40_0000 + number).to_be_bytes()))
}

#[derive(Clone, Debug)]
enum Op {
    Want(Source, u8, Option<u8>),
    Probed(usize, bool),
    Link(u32, bool),
    Mac(u32, u8),
    Silent(u32),
    Route(usize, bool),
    Asked(usize, bool),
    Deliver,
    Connect,
}

fn op() -> impl Strategy<Value = Op> {
    let source = prop_oneof![Just(Source::Agent), Just(Source::Mapping), Just(Source::Negative)];
    let link = prop_oneof![Just(U0), Just(U1)];
    prop_oneof![
        6 => (source, 0..6_u8, any::<Option<u8>>()).prop_map(|(source, at, what)| Op::Want(source, at, what)),
        2 => (0..REMOTES.len(), any::<bool>()).prop_map(|(at, up)| Op::Probed(at, up)),
        1 => (link.clone(), any::<bool>()).prop_map(|(link, up)| Op::Link(link, up)),
        1 => (link.clone(), any::<u8>()).prop_map(|(link, last)| Op::Mac(link, last)),
        1 => link.prop_map(Op::Silent),
        1 => (0..REMOTES.len(), any::<bool>()).prop_map(|(at, there)| Op::Route(at, there)),
        1 => (0..REMOTES.len(), any::<bool>()).prop_map(|(at, asked)| Op::Asked(at, asked)),
        2 => Just(Op::Deliver),
        1 => Just(Op::Connect),
    ]
}

/// A set of these and our own RLOC.
fn with_own(remotes: &[(usize, u8)]) -> SetKey {
    let own = LocatorKey { remote: ip(OWN), ..set(&[(0, 1)]).locators()[0] };
    SetKey::new(set(remotes).locators().iter().copied().chain([own]).collect())
}

/// Some entry for a byte: a set of one to three locators, or something without a set.
fn wanted(what: u8) -> EidWanted {
    let at = usize::from(what) % REMOTES.len();
    let more = (at + 1 + usize::from(what / 50)) % REMOTES.len();
    match what % 8 {
        0 => EidWanted::Hold,
        // As the ITR chooses: a row for classes 0 and 1, and our own RLOC where an agent of ours may be.
        5 | 6 => {
            let row = RowKey::Set(with_own(&[(at, 1), (more, 2)]));
            let other = if what.is_multiple_of(3) { RowKey::NoMatch } else { RowKey::Set(set(&[(more, 1)])) };
            let classes = ClassesKey::new([(0, row), (1, other)]);
            EidWanted::Chosen { set: with_own(&[(at, 1), (more, 1)]), classes }
        }
        7 => {
            let mac = sterna_wire::Mac([2, 0, 0, 0, 0, 7]);
            EidWanted::Skill { port: 0, vlan: None, mac, set: None, classes: None }
        }
        1 => EidWanted::Negative(NegativeAction::Drop),
        2 => EidWanted::Away(set(&[(at, 1), (more, 2)])),
        3 => EidWanted::Remote(set(&[(at, 1), (more, 1)])),
        _ => EidWanted::Remote(set(&[(at, what % 3), (more, PRIORITY_NEVER), (0, 1)])),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bit_by_bit_is_as_afresh(ops in prop::collection::vec(op(), 0..80)) {
        let mut bench = Bench::new();
        let all = facts(&bench.config);
        let mut silent: Vec<IpAddr> = Vec::new();
        for op in ops {
            match op {
                Op::Want(source, at, what) => {
                    let what = what.map(wanted);
                    // Only agents are attached.
                    let fits = |wanted: &EidWanted| source == Source::Agent || !matches!(wanted, EidWanted::Skill { .. });
                    bench.want(source, host(at.into()), what.filter(fits));
                }
                Op::Probed(at, up) => {
                    let remote = ip(REMOTES[at]);
                    silent.retain(|known| *known != remote);
                    if !up {
                        silent.push(remote);
                    }
                    bench.tables.probed(remote, up);
                }
                Op::Link(link, up) => bench.underlay(|facts| facts.links.get_mut(&link).unwrap().up = up),
                Op::Mac(link, last) => bench.underlay(|facts| {
                    for (key, neighbour) in &mut facts.neighbours {
                        if key.link == link {
                            *neighbour = Neighbour { mac: Some(sterna_wire::Mac([2, 9, 9, 9, 9, last])), ..Neighbour::default() };
                        }
                    }
                }),
                Op::Silent(link) => bench.underlay(|facts| {
                    let key = NeighbourKey { link, address: site::gateway(link, ip("203.0.113.1")) };
                    facts.neighbours.insert(key, Neighbour { failed: true, ..Neighbour::default() });
                }),
                Op::Route(at, there) => bench.underlay(|facts| {
                    let remote = ip(REMOTES[at]);
                    facts.routes.retain(|question, _| question.remote != remote);
                    if there {
                        facts.routes.extend(all.routes.iter().filter(|(question, _)| question.remote == remote));
                    }
                }),
                Op::Asked(at, asked) => bench.underlay(|facts| {
                    if asked { facts.asked.insert(ip(REMOTES[at])); } else { facts.asked.remove(&ip(REMOTES[at])); }
                }),
                Op::Deliver => { bench.deliver(); }
                Op::Connect => bench.connect(),
            }
            let afresh = bench.afresh(&silent);
            prop_assert_eq!(bench.tables.paths(), &afresh);
            prop_assert_eq!(bench.tables.paths().last_resort(), afresh.last_resort());
        }
        bench.deliver();
        let eids: BTreeMap<EidKey, EidWanted> = bench.tables.publisher().wanted_eids()
            .filter(|(key, _)| !bench.tables.site().eids.contains_key(key))
            .map(|(key, wanted)| (*key, wanted.clone())).collect();
        bench.model.assert_is(bench.tables.site(), bench.tables.paths(), &eids);
    }
}

#[test]
fn two_hundred_thousand_learned_entries_cost_what_their_sets_cost() {
    const ENTRIES: u32 = 200_000;
    let mut bench = Bench::new();
    bench.model.fast = true;
    let before = bench.tables.paths().evaluations();
    let sets = [set(&[(0, 1)]), set(&[(0, 1), (1, 1)]), set(&[(2, 1)]), set(&[(3, 1), (4, 2)])];
    for number in 0..ENTRIES {
        // Every entry comes with a set of its own, as it does from a message.
        let own = SetKey::new(sets[number as usize % sets.len()].locators().to_vec());
        bench.want(Source::Mapping, host(number), Some(EidWanted::Remote(own)));
    }
    let cost = bench.tables.paths().evaluations() - before;
    assert!(cost <= 4 + REMOTES.len() as u64, "{cost} ways and sets computed for four sets");
    let records = bench.deliver();
    let count = |of: fn(&Update) -> bool| records.iter().filter(|record| of(record)).count();
    assert_eq!(count(|record| matches!(record, Update::EidUpsert { .. })), ENTRIES as usize);
    assert_eq!(count(|record| matches!(record, Update::SetUpsert { .. })), 4);
    assert_eq!(bench.tables.paths().uses(&sets[0]), ENTRIES as usize / 4);

    let before = bench.tables.paths().evaluations();
    bench.tables.probed(ip(REMOTES[1]), false);
    assert_eq!(bench.tables.paths().evaluations() - before, 2, "one of them and one of the config name it");
    assert!(matches!(bench.deliver()[..], [Update::SetUpsert { .. }, Update::SetUpsert { .. }]));

    bench.underlay(|facts| {
        for neighbour in facts.neighbours.values_mut() {
            neighbour.mac = Some(sterna_wire::Mac([2, 0, 0, 0, 7, 7]));
        }
    });
    assert!(bench.deliver().iter().all(|record| matches!(record, Update::NextHopUpsert { .. })));

    for number in 0..ENTRIES {
        bench.want(Source::Mapping, host(number), None);
    }
    let records = bench.deliver();
    let count = |of: fn(&Update) -> bool| records.iter().filter(|record| of(record)).count();
    assert_eq!(count(|record| matches!(record, Update::EidDelete { .. })), ENTRIES as usize);
    assert_eq!(count(|record| matches!(record, Update::SetDelete { .. })), 4);
    assert!(sets.iter().all(|set| bench.tables.paths().uses(set) == 0));
    let eids = BTreeMap::new();
    bench.model.assert_is(bench.tables.site(), bench.tables.paths(), &eids);
}

fn chosen(rows: &[(u8, RowKey)], all: &[(usize, u8)]) -> EidWanted {
    EidWanted::Chosen { set: with_own(all), classes: ClassesKey::new(rows.iter().cloned()) }
}

#[test]
fn equal_rows_are_one_record_between_their_sets_and_their_eids() {
    let mut bench = Bench::new();
    let rows = [(0, RowKey::Set(set(&[(0, 1)]))), (1, RowKey::Set(set(&[(2, 1)]))), (2, RowKey::NoMatch)];
    for number in 0..100 {
        bench.want(Source::Mapping, host(number), Some(chosen(&rows, &[(0, 1), (2, 1)])));
    }
    let records = bench.deliver();
    let count = |of: fn(&Update) -> bool| records.iter().filter(|record| of(record)).count();
    assert_eq!(count(|record| matches!(record, Update::SetUpsert { .. })), 3, "all, and one for each class");
    assert_eq!(count(|record| matches!(record, Update::ClassesUpsert { .. })), 1);
    assert_eq!(
        (count(|record| matches!(record, Update::EidUpsert { .. })), bench.tables.classes()),
        (100, 1)
    );
    // A path changes sets, and nothing that names them.
    bench.tables.probed(ip(REMOTES[2]), false);
    assert!(bench.deliver().iter().all(|record| matches!(record, Update::SetUpsert { .. })));
    for number in 0..100 {
        bench.want(Source::Mapping, host(number), None);
    }
    let records = bench.deliver();
    let count = |of: fn(&Update) -> bool| records.iter().filter(|record| of(record)).count();
    assert_eq!(count(|record| matches!(record, Update::ClassesDelete { .. })), 1);
    assert_eq!((count(|record| matches!(record, Update::SetDelete { .. })), bench.tables.classes()), (3, 0));
}

#[test]
fn an_agent_with_a_skill_is_one_locator_of_its_mapping() {
    let mut bench = Bench::new();
    let key = host(1);
    let mac = sterna_wire::Mac([2, 0, 0, 0, 0, 7]);
    let here = EidWanted::Skill { port: 0, vlan: None, mac, set: None, classes: None };
    let rows = [(0, RowKey::Set(with_own(&[(0, 2)]))), (1, RowKey::Set(set(&[(2, 1)])))];
    let seen = |bench: &mut Bench| {
        bench.deliver();
        bench.model.meaning(&key).unwrap()
    };
    let hops = |legs: &[model::Leg]| legs.iter().filter(|leg| leg.hop.is_none()).count();
    bench.want(Source::Mapping, key, Some(chosen(&rows, &[(0, 1), (2, 1)])));
    let Meaning::Chosen(all, classes) = seen(&mut bench) else { panic!("nobody is here") };
    assert_eq!((all.len(), hops(&all), classes[0].as_ref().unwrap().as_ref().unwrap().len()), (2, 0, 1));
    bench.want(Source::Agent, key, Some(here.clone()));
    let Meaning::Skill(EidAction::LocalHost { .. }, Some(all), Some(classes)) = seen(&mut bench) else {
        panic!("somebody is here")
    };
    assert_eq!((all.len(), hops(&all)), (3, 1));
    let by_class: Vec<usize> =
        classes[..2].iter().map(|row| hops(row.as_ref().unwrap().as_ref().unwrap())).collect();
    assert_eq!((by_class, classes[2].is_none()), (vec![1, 0], true));
    // Nobody is registered: our own instance is for packets of no class until more is known.
    bench.want(Source::Mapping, key, Some(EidWanted::Negative(NegativeAction::Drop)));
    let Meaning::Skill(_, Some(all), Some(classes)) = seen(&mut bench) else { panic!("still here") };
    assert_eq!((all.len(), hops(&all), classes[0].is_some(), classes[1].is_some()), (1, 1, true, false));
    bench.want(Source::Mapping, key, None);
    assert!(matches!(seen(&mut bench), Meaning::Skill(_, None, None)), "the dataplane asks");
    bench.want(Source::Agent, key, None);
    bench.deliver();
    assert_eq!(bench.model.meaning(&key), None);
}

#[test]
fn policies_change_as_a_whole() {
    let mut bench = Bench::new();
    let policy = |class| sterna_shm::Policy {
        iid: None,
        from: None,
        to: None,
        dscp: None,
        protocol: None,
        ports: None,
        class,
    };
    let mut with = |classes: &[u8]| {
        let mut site = Site::new(&bench.config, &bench.ports);
        site.policies = classes.iter().map(|class| policy(*class)).collect();
        let view = View { config: &bench.config, facts: &bench.facts, ports: &bench.ports };
        bench.tables.configure(site, view);
        let of = |record: &Update| match record {
            Update::PolicyUpsert { index, more, .. } => (*index, true, *more),
            Update::PolicyDelete { index, more } => (*index, false, *more),
            other => panic!("{other:?}"),
        };
        bench.deliver().iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(with(&[1, 2, 3]), [(0, true, true), (1, true, true), (2, true, false)]);
    assert_eq!(with(&[2, 3]), [(0, true, true), (1, true, true), (2, false, false)]);
    assert_eq!(with(&[2, 3]), []);
    assert_eq!(with(&[]), [(0, false, true), (1, false, false)]);
}

#[test]
fn when_no_locator_answers_the_best_stay_in_use() {
    let mut bench = Bench::new();
    let key = host(1);
    let three = set(&[(0, 1), (1, 1), (2, 2)]);
    bench.want(Source::Mapping, key, Some(EidWanted::Remote(three.clone())));
    let usable = |bench: &Bench| -> Vec<bool> {
        bench.tables.paths().sets[&three].iter().map(|locator| locator.usable).collect()
    };
    bench.tables.probed(ip(REMOTES[0]), false);
    assert_eq!(usable(&bench), [false, true, true]);
    bench.tables.probed(ip(REMOTES[1]), false);
    assert_eq!(usable(&bench), [false, false, true]);
    let silent =
        |bench: &Bench| (bench.tables.paths().last_resort(), bench.tables.paths().all_locators_silent());
    assert_eq!(silent(&bench), (1, 1), "the config's own set of these two");
    bench.tables.probed(ip(REMOTES[2]), false);
    assert_eq!(usable(&bench), [true, true, false], "as if nothing had been probed");
    assert_eq!(silent(&bench), (2, 2));
    bench.underlay(|facts| facts.routes.retain(|question, _| question.remote == ip(REMOTES[2])));
    assert_eq!(usable(&bench), [false, false, true], "the underlay is never overruled");
    bench.tables.probed(ip(REMOTES[2]), true);
    assert_eq!(usable(&bench), [false, false, true]);
    assert_eq!(silent(&bench), (0, 2));
}

#[test]
fn packets_for_a_locator_that_was_just_learned_wait_for_its_route() {
    let mut bench = Bench::new();
    bench.underlay(|facts| {
        facts.asked.remove(&ip(REMOTES[2]));
        facts.routes.retain(|question, _| question.remote != ip(REMOTES[2]));
    });
    let mtu = bench.tables.paths().settings;
    bench.want(Source::Mapping, host(1), Some(EidWanted::Remote(set(&[(2, 1)]))));
    assert!(bench.tables.take_remotes_changed());
    let locator = bench.tables.paths().sets[&set(&[(2, 1)])][0];
    assert!(locator.usable);
    let hop = bench.tables.paths().adjacencies[&locator.adjacency].next_hop;
    assert_eq!(bench.tables.paths().hops[&hop].destination, None, "which the dataplane holds packets for");
    assert_eq!(bench.tables.paths().settings, mtu, "nothing is known of its MTU");
    bench.underlay(|facts| {
        facts.asked.insert(ip(REMOTES[2]));
    });
    assert!(!bench.tables.paths().sets[&set(&[(2, 1)])][0].usable, "the kernel has no route");
    bench.want(Source::Mapping, host(1), None);
    assert!(bench.tables.take_remotes_changed() && !bench.tables.take_remotes_changed());
}

#[test]
fn a_confirmation_says_the_longest_entry_again() {
    let mut bench = Bench::new();
    let here = EidWanted::LocalHost { port: 0, vlan: None, mac: sterna_wire::Mac([2; 6]) };
    bench.want(Source::Agent, host(1), Some(here));
    bench.deliver();
    bench.tables.confirm(iid(100), host(1).prefix.addr());
    let records = bench.deliver();
    assert!(
        matches!(records[..], [Update::EidUpsert { prefix, action: EidAction::LocalHost { .. }, .. }] if prefix == host(1).prefix),
        "{records:?}"
    );
    bench.tables.confirm(iid(100), ip("10.1.2.9"));
    let records = bench.deliver();
    assert!(
        matches!(records[..], [Update::EidUpsert { prefix, .. }] if prefix == site::prefix("10.1.2.0/24")),
        "{records:?}"
    );
    bench.tables.confirm(iid(999), ip("10.1.2.9"));
    assert_eq!(bench.deliver(), vec![]);
}
