//! The conductor between the workers' packets and a control plane in the same process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod site;

use crossbeam_queue::ArrayQueue;
use site::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use sterna_dataplane::apply::{SteeringChange, TableLimits, build_tables};
use sterna_dataplane::conductor::{Conductor, ConductorParts, Steer};
use sterna_dataplane::counters::catalogue;
use sterna_dataplane::parcels::PARCELS;
use sterna_dataplane::state::UPLINK;
use sterna_dataplane::worker::Shared;
use sterna_shm::{ControlSession, Counters, Heard, Listener, PACKET, PortDesc, ScopeName};
use sterna_wire::Iid;

struct Nobody;

impl Steer for Nobody {
    fn steer(&mut self, _: &SteeringChange) {}
}

struct Desk {
    conductor: Conductor<Nobody>,
    shared: Arc<Shared>,
    folder: tempfile::TempDir,
}

fn desk() -> Desk {
    let folder = tempfile::tempdir().unwrap();
    let limits = TableLimits {
        max_eids: 64,
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
    let shared = Arc::new(Shared::new().unwrap());
    let parts = ConductorParts {
        applier,
        domain: Arc::clone(&tables.domain),
        uplink: Arc::new(ArrayQueue::new(UPLINK)),
        shared: Arc::clone(&shared),
        counters: Counters::create(&catalogue(), &[scope]).unwrap(),
        ports: vec![PortDesc { name: "port0".into(), side }],
        listener: Listener::bind(&folder.path().join("dataplane.sock")).unwrap(),
    };
    Desk { conductor: Conductor::new(parts, Nobody), shared, folder }
}

impl Desk {
    fn connect(&mut self) -> ControlSession {
        let socket = self.folder.path().join("dataplane.sock");
        let control = std::thread::spawn(move || sterna_shm::connect(&socket).unwrap());
        while !control.is_finished() {
            self.conductor.turn();
            std::thread::yield_now();
        }
        control.join().unwrap()
    }

    fn lost(&self) -> u64 {
        self.shared.mail.lost.load(Ordering::Relaxed)
    }
}

fn iid(number: u32) -> Iid {
    Iid::new(number).unwrap()
}

#[test]
fn packets_go_both_ways_between_workers_and_a_control_plane() {
    let mut desk = desk();
    let control = desk.connect();
    let packets = control.packets.as_ref().unwrap();
    assert!(
        desk.shared.mail.up.put(iid(100), &[0x45; 60]) && desk.shared.mail.up.put(iid(200), &[0x60; PACKET])
    );
    desk.conductor.turn();
    let mut bytes = [0; PACKET];
    assert_eq!(packets.receive(&mut bytes), Heard::Packet { iid: iid(100), len: 60 });
    assert_eq!(bytes[..60], [0x45; 60]);
    assert_eq!(packets.receive(&mut bytes), Heard::Packet { iid: iid(200), len: PACKET });
    assert!(packets.send(iid(100), &[1, 2, 3]) && packets.send(iid(7), &[4]));
    desk.conductor.turn();
    let take = || desk.shared.mail.down.take(|iid, packet| (iid.get(), packet.to_vec()));
    assert_eq!([take(), take(), take()], [Some((100, vec![1, 2, 3])), Some((7, vec![4])), None]);
    let mut rung = [0; 8];
    assert_eq!(rustix::io::read(&desk.shared.asker, &mut rung), Ok(8), "the worker is woken");
    assert_eq!(desk.lost(), 0);
}

#[test]
fn without_a_control_plane_they_are_lost_and_counted() {
    let mut desk = desk();
    for _ in 0..3 {
        while desk.shared.mail.up.put(iid(100), &[0x45; 60]) {}
        desk.conductor.turn();
    }
    assert_eq!(desk.lost(), 3 * PARCELS as u64);
    assert!(desk.shared.mail.up.has_room());
}

#[test]
fn a_control_plane_that_does_not_read_loses_its_own_and_delays_nobody() {
    let mut desk = desk();
    let control = desk.connect();
    for _ in 0..20 {
        while desk.shared.mail.up.put(iid(100), &[0x45; PACKET]) {}
        desk.conductor.turn();
    }
    let mut bytes = [0; PACKET];
    let packets = control.packets.as_ref().unwrap();
    let heard =
        std::iter::from_fn(|| matches!(packets.receive(&mut bytes), Heard::Packet { .. }).then_some(()));
    let heard = heard.count() as u64;
    assert!(heard > 0 && heard < 20 * PARCELS as u64, "{heard}");
    assert_eq!(heard + desk.lost(), 20 * PARCELS as u64, "each was heard or counted");
    assert!(!control.closed());
}

#[test]
fn answers_that_no_worker_takes_wait_in_the_socket_and_not_in_memory() {
    let mut desk = desk();
    let control = desk.connect();
    let packets = control.packets.as_ref().unwrap();
    let mut said = 0;
    for _ in 0..20 {
        while packets.send(iid(1), &[0; PACKET]) {
            said += 1;
        }
        desk.conductor.turn();
    }
    assert!(!desk.shared.mail.down.has_room() && said < 20 * PARCELS);
    let mut taken = 0;
    while desk.shared.mail.down.take(|_, _| ()).is_some() {
        taken += 1;
        desk.conductor.turn();
    }
    assert_eq!(taken, said, "none is lost, since each was accepted");
}

#[test]
fn a_control_plane_that_closes_its_end_is_dismissed() {
    let mut desk = desk();
    let mut control = desk.connect();
    drop(control.packets.take());
    desk.conductor.turn();
    assert!(control.closed());
    let again = desk.connect();
    assert!(again.packets.as_ref().unwrap().send(iid(1), &[1]));
    desk.conductor.turn();
    assert!(!desk.shared.mail.down.is_empty() && !again.closed());
}
