//! The control plane without I/O: misses, negative entries, reloads, sessions.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod model;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use model::Model;
use model::site::{self, CONFIG, config, iid, ip, prefix};
use sterna_controlplane::negatives::{LIFETIME, MAX_NEGATIVES};
use sterna_controlplane::plane::ControlPlane;
use sterna_shm::{EidAction, Event, NegativeAction, RefusedKind, Update};

fn ports() -> Vec<String> {
    config().ports.iter().map(|port| port.name.clone()).collect()
}

/// A plane in sync with a model dataplane.
fn synced() -> (ControlPlane, Model) {
    let mut plane = ControlPlane::new(config());
    plane.underlay(site::facts(&plane.questions()), Instant::now());
    let mut model = Model::default();
    model.new_session();
    plane.session_began(1, ports(), Instant::now());
    plane.event(Event::KnownEnd, Instant::now());
    deliver(&mut plane, &mut model);
    plane.event(Event::Applied { generation: 1 }, Instant::now());
    assert!(plane.publisher().synced());
    (plane, model)
}

fn deliver(plane: &mut ControlPlane, model: &mut Model) -> Vec<Update> {
    let records = plane.pump(usize::MAX);
    records.iter().for_each(|record| model.apply(record));
    records
}

fn miss(number: u32, eid: &str) -> Event {
    Event::Miss { iid: iid(number), eid: ip(eid), source: false, port: 0, class: 0 }
}

fn negative(number: u32, eid: &str, action: NegativeAction) -> Update {
    let action = EidAction::Negative { action };
    Update::EidUpsert { iid: iid(number), prefix: prefix(eid), action }
}

#[test]
fn a_miss_is_answered_by_a_host_entry_of_the_groups_kind() {
    let (mut plane, mut model) = synced();
    let now = Instant::now();
    plane.event(miss(100, "10.1.9.9"), now);
    plane.event(miss(200, "10.1.9.9"), now);
    plane.event(Event::Miss { iid: iid(100), eid: ip("fd00:64::9"), source: true, port: 2, class: 0 }, now);
    let expected = vec![
        negative(100, "10.1.9.9/32", NegativeAction::Drop),
        negative(100, "fd00:64::9/128", NegativeAction::Drop),
        negative(200, "10.1.9.9/32", NegativeAction::Native),
    ];
    assert_eq!(deliver(&mut plane, &mut model), expected);
    plane.event(miss(100, "10.1.9.9"), now + Duration::from_millis(500));
    assert_eq!(deliver(&mut plane, &mut model), vec![], "answered already");
    let misses = plane.misses();
    assert_eq!((misses.received, misses.negative, misses.repeated), (4, 3, 1));
}

#[test]
fn no_negative_hides_a_configured_eid_or_serves_a_foreign_group() {
    let (mut plane, mut model) = synced();
    plane.event(miss(100, "10.1.2.7"), Instant::now());
    plane.event(miss(100, "10.1.1.7"), Instant::now());
    plane.event(miss(999, "10.1.9.9"), Instant::now());
    assert_eq!(deliver(&mut plane, &mut model), vec![]);
    let misses = plane.misses();
    assert_eq!((misses.configured, misses.foreign), (2, 1));
    assert!(plane.negatives().is_empty());
}

#[test]
fn negatives_are_deleted_after_their_minute() {
    let (mut plane, mut model) = synced();
    let start = Instant::now();
    plane.event(miss(100, "10.1.9.9"), start);
    deliver(&mut plane, &mut model);
    plane.tick(start + LIFETIME - Duration::from_millis(1));
    assert_eq!(deliver(&mut plane, &mut model), vec![]);
    plane.tick(start + LIFETIME);
    let gone = Update::EidDelete { iid: iid(100), prefix: prefix("10.1.9.9/32") };
    assert_eq!(deliver(&mut plane, &mut model), vec![gone]);
}

#[test]
fn a_scan_costs_a_bounded_number_of_entries_in_the_dataplane() {
    let (mut plane, mut model) = synced();
    let configured = plane.site().eids.len();
    let now = Instant::now();
    for number in 0..3 * MAX_NEGATIVES as u32 {
        let eid = IpAddr::from((0x0a02_0000 + number).to_be_bytes());
        plane.event(Event::Miss { iid: iid(100), eid, source: false, port: 0, class: 0 }, now);
        if number % 100 == 0 {
            deliver(&mut plane, &mut model);
            assert!(model.eids().len() <= configured + MAX_NEGATIVES);
        }
    }
    deliver(&mut plane, &mut model);
    assert_eq!(model.eids().len(), configured + MAX_NEGATIVES);
    assert_eq!(plane.negatives().evicted(), 2 * MAX_NEGATIVES as u64);
}

#[test]
fn a_reload_publishes_the_difference_and_forgets_negatives() {
    let (mut plane, mut model) = synced();
    plane.event(miss(100, "10.1.9.9"), Instant::now());
    deliver(&mut plane, &mut model);
    let moved =
        CONFIG.replace("address = \"203.0.113.1\", priority = 1", "address = \"203.0.113.1\", priority = 9");
    let changes =
        plane.apply(sterna_config::parse(&moved, "test").unwrap().into_config(), Instant::now()).unwrap();
    assert!(!changes.is_empty());
    let records = deliver(&mut plane, &mut model);
    assert!(
        records.contains(&Update::EidDelete { iid: iid(100), prefix: prefix("10.1.9.9/32") }),
        "{records:?}"
    );
    assert!(!records.iter().any(|record| matches!(record, Update::NextHopUpsert { .. })), "{records:?}");
    model.assert_is(plane.site(), plane.paths(), &Default::default());
    assert_eq!(
        plane.apply(plane.config().clone(), Instant::now()).unwrap(),
        vec![],
        "the same again is no change"
    );
    assert_eq!(deliver(&mut plane, &mut model), vec![]);
}

#[test]
fn a_reload_that_needs_a_restart_changes_nothing() {
    let (mut plane, mut model) = synced();
    let other = CONFIG
        .replace("[[group]]\niid = 100", "[dataplane]\nmax_eids = 5000\n[[group]]\niid = 100")
        .replace("address = \"203.0.113.1\"", "address = \"203.0.113.7\"");
    let before = plane.config().clone();
    let refused =
        plane.apply(sterna_config::parse(&other, "test").unwrap().into_config(), Instant::now()).unwrap_err();
    assert!(matches!(&refused[..], [change] if change.path.contains("max_eids")), "{refused:?}");
    assert_eq!(plane.config(), &before);
    assert_eq!(deliver(&mut plane, &mut model), vec![]);
}

#[test]
fn a_new_mapping_is_asked_for_in_the_underlay() {
    let (mut plane, _) = synced();
    let before = plane.questions();
    let more = format!(
        "{CONFIG}\n[[mapping]]\niid = 200\neid = \"10.1.7.0/24\"\nrlocs = [{{ address = \"203.0.113.9\" }}]\n"
    );
    plane.apply(sterna_config::parse(&more, "test").unwrap().into_config(), Instant::now()).unwrap();
    let new: Vec<_> = plane.questions().remotes.difference(&before.remotes).copied().collect();
    assert_eq!(new, vec![ip("203.0.113.9")]);
    assert_eq!(before.ports, ["u0".to_string(), "u1".to_string()].into());
}

#[test]
fn a_session_says_everything_again_and_agents_are_dumped_again() {
    let (mut plane, mut model) = synced();
    let now = Instant::now();
    let mac = sterna_wire::Mac([2, 0, 0, 0, 0, 5]);
    plane.event(Event::Agent { iid: iid(100), eid: ip("10.1.1.5"), mac, port: 0, vlan: None }, now);
    plane.event(miss(100, "10.1.9.9"), now);
    deliver(&mut plane, &mut model);
    let before = model.eids();
    assert_eq!(plane.agents().iter().count(), 1);

    plane.session_ended();
    assert!(!plane.publisher().synced());
    assert_eq!(plane.pump(usize::MAX), vec![]);
    plane.session_began(2, ports(), Instant::now());
    plane.event(Event::KnownEnd, Instant::now());
    assert_eq!(plane.agents().iter().count(), 0);
    model.new_session();
    deliver(&mut plane, &mut model);
    assert_eq!(model.eids(), before, "negatives of this process too");
    plane.event(Event::Applied { generation: 1 }, now);
    assert!(!plane.publisher().synced(), "an answer to another session");
    plane.event(Event::Applied { generation: 2 }, now);
    assert!(plane.publisher().synced());
}

#[test]
fn a_dataplane_on_an_older_file_gets_what_it_has_ports_for() {
    let mut plane = ControlPlane::new(config());
    plane.underlay(site::facts(&plane.questions()), Instant::now());
    plane.session_began(1, ["e0", "u0"].map(String::from).to_vec(), Instant::now());
    plane.event(Event::KnownEnd, Instant::now());
    let records = plane.pump(usize::MAX);
    let groups = records.iter().filter(|record| matches!(record, Update::GroupUpsert { .. })).count();
    assert_eq!(groups, 1);
    assert_eq!(plane.warnings().len(), 2, "{:?}", plane.warnings());
}

#[test]
fn refusals_are_counted_by_reason() {
    let (mut plane, _) = synced();
    for _ in 0..3 {
        plane.event(Event::Refused { kind: RefusedKind::EidTableFull, detail: 100 }, Instant::now());
    }
    assert_eq!(plane.refused().iter().collect::<Vec<_>>(), vec![(&"eid_table_full", &3)]);
}
