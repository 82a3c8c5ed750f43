//! The conductor and a control plane in one process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod site;

use crossbeam_queue::ArrayQueue;
use site::*;
use std::collections::HashSet;
use std::sync::Arc;
use sterna_dataplane::apply::{SteeringChange, TableLimits, build_tables};
use sterna_dataplane::conductor::{Conductor, ConductorParts, Steer};
use sterna_dataplane::counters::catalogue;
use sterna_dataplane::state::{UPLINK, Uplink, Upward};
use sterna_dataplane::tables::Tables;
use sterna_dataplane::worker::Shared;
use sterna_shm::{ControlSession, Counters, Event, Listener, PortDesc, ScopeName, Update};
use sterna_wire::Mac;

struct Nobody;

impl Steer for Nobody {
    fn steer(&mut self, _: &SteeringChange) {}
}

struct Desk {
    conductor: Conductor<Nobody>,
    tables: Tables,
    uplink: Uplink,
    shared: Arc<Shared>,
    socket: std::path::PathBuf,
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.socket.parent().unwrap());
    }
}

fn desk(name: &str) -> Desk {
    let folder = std::env::temp_dir().join(format!("sterna-conductor-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let socket = folder.join("dataplane.sock");
    let limits = TableLimits {
        max_eids: 65_536,
        max_sets: 64,
        max_adjacencies: 64,
        max_hops: 64,
        max_groups: 64,
        readers: 1,
        seed: [1, 2],
    };
    let (applier, tables) = build_tables(&limits, ports());
    let side = sterna_shm::Side::Eid;
    let scope = ScopeName { worker: 0, port: 0, port_name: "port0".into(), side };
    let uplink: Uplink = Arc::new(ArrayQueue::new(UPLINK));
    let shared = Arc::new(Shared::new().unwrap());
    let parts = ConductorParts {
        applier,
        domain: Arc::clone(&tables.domain),
        uplink: Arc::clone(&uplink),
        shared: Arc::clone(&shared),
        counters: Counters::create(&catalogue(), &[scope]).unwrap(),
        ports: vec![PortDesc { name: "port0".into(), side }],
        listener: Listener::bind(&socket).unwrap(),
    };
    Desk { conductor: Conductor::new(parts, Nobody), tables, uplink, shared, socket }
}

impl Desk {
    fn connect(&mut self) -> ControlSession {
        let socket = self.socket.clone();
        let control = std::thread::spawn(move || sterna_shm::connect(&socket).unwrap());
        while !control.is_finished() {
            self.conductor.turn();
            std::thread::yield_now();
        }
        control.join().unwrap()
    }

    fn learn(&mut self, hosts: std::ops::Range<u32>) {
        for n in hosts {
            let eid = std::net::Ipv4Addr::from(0x0a01_1000 + n).into();
            let seen = Upward::Learned { iid: 100, eid, mac: Mac(HOST), port: 0, vlan: 0 };
            if self.uplink.push(seen).is_err() {
                self.conductor.turn();
                self.uplink.push(seen).unwrap();
            }
        }
        self.conductor.turn();
    }
}

fn sync(control: &mut ControlSession, generation: u64) {
    let mut updates = vec![Update::BeginSync { generation }];
    updates.extend(site_updates(Some(Mac(CORE))));
    updates.push(eid("10.1.0.0/16", local()));
    updates.push(Update::EndSync { generation });
    assert_eq!(control.updates.push_batch(&updates), updates.len());
}

fn events(control: &mut ControlSession) -> Vec<Event> {
    std::iter::from_fn(|| control.events.pop().unwrap()).collect()
}

#[test]
fn every_agent_and_the_end_of_a_sync_reach_a_control_plane_that_reads_slowly() {
    const AGENTS: u32 = 20_000;
    let mut desk = desk("agents");
    let mut first = desk.connect();
    sync(&mut first, 1);
    desk.conductor.turn();
    desk.learn(0..AGENTS);
    drop(first);
    desk.conductor.turn();
    // A new one: told of all agents, though its ring has room for a fifth of them.
    let mut control = desk.connect();
    sync(&mut control, 2);
    for _ in 0..3 {
        desk.conductor.turn();
    }
    // A storm of misses while it does not read.
    for n in 0..3 * UPLINK as u32 {
        let eid = std::net::Ipv4Addr::from(0x0b00_0000 + n).into();
        let miss = Upward::Miss { iid: 100, eid, source: false, port: 0, class: 0 };
        if desk.uplink.push(miss).is_err() {
            desk.conductor.turn();
        }
    }
    let (mut agents, mut applied, mut quiet) = (HashSet::new(), 0, 0);
    while quiet < 3 {
        desk.conductor.turn();
        let got = events(&mut control);
        quiet = if got.is_empty() { quiet + 1 } else { 0 };
        for event in got {
            match event {
                Event::Agent { eid, .. } => assert!(agents.insert(eid), "{eid} twice"),
                Event::Applied { generation } => applied = generation,
                Event::Miss { .. }
                | Event::KnownLocator { .. }
                | Event::KnownEid { .. }
                | Event::KnownEnd => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((agents.len(), applied), (AGENTS as usize, 2));
    assert!(desk.shared.events_lost.load(std::sync::atomic::Ordering::Relaxed) > 0, "misses may be lost");
}

#[test]
fn a_sync_is_confirmed_only_when_every_worker_has_seen_it() {
    let mut desk = desk("settling");
    let mut control = desk.connect();
    let tables = desk.tables.clone();
    let mut reader = tables.domain.reader().unwrap();
    let inside = tables.view(&mut reader);
    sync(&mut control, 7);
    for _ in 0..5 {
        desk.conductor.turn();
    }
    assert!(!events(&mut control).contains(&Event::Applied { generation: 7 }));
    drop(inside);
    desk.conductor.turn();
    assert!(events(&mut control).contains(&Event::Applied { generation: 7 }));
}

#[test]
fn more_updates_than_one_turn_takes_do_not_keep_neighbours_waiting() {
    let mut desk = desk("many");
    let mut control = desk.connect();
    sync(&mut control, 1);
    desk.conductor.turn();
    events(&mut control);
    let busy = eid("10.1.200.0/24", local());
    while control.updates.push(&busy).is_ok() {}
    desk.learn(5..6);
    assert!(events(&mut control).iter().any(|event| matches!(event, Event::Agent { .. })));
}

#[test]
fn a_broken_contract_closes_the_channel_and_a_new_session_is_welcome() {
    let mut desk = desk("fault");
    let mut control = desk.connect();
    sync(&mut control, 1);
    control
        .updates
        .push(&eid("10.1.3.0/24", sterna_shm::EidAction::Remote { set: 999, classes: None }))
        .unwrap();
    desk.conductor.turn();
    assert!(control.closed());
    let mut control = desk.connect();
    sync(&mut control, 2);
    desk.conductor.turn();
    desk.conductor.turn();
    assert!(events(&mut control).contains(&Event::Applied { generation: 2 }));
}
