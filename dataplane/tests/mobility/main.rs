//! Agents that come, leave and are elsewhere: attach, hold, relay, and the questions about them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod attach;
mod far_gateway;
mod presence;
mod relay;
#[path = "../site/mod.rs"]
mod site;
mod source_check;

use site::*;
use std::net::IpAddr;
use sterna_dataplane::rig::{Rig, RigOptions};
use sterna_shm::{
    Adjacency, AttachProof, EidAction, Event, KnownAction, Locator, LocatorSet, NegativeAction, Update,
};
use sterna_wire::{Iid, Mac};

const AGENT: &str = "10.1.5.5";
const SITE_B: &str = "192.0.2.2";
const SITE_C: &str = "192.0.2.3";
/// Session id of the set of site C.
const C: u32 = 4;

fn iid() -> Iid {
    Iid::new(100).unwrap()
}

/// The site with a dynamic range, and site C beside site B.
fn mobile_site() -> Rig {
    let mut rig = site();
    make_mobile(&mut rig);
    rig
}

/// The same, where more packets may wait for one answer than one turn moves.
fn roomy_mobile_site() -> Rig {
    let mut rig = Rig::new(&RigOptions { hold_packets: 4096, ..RigOptions::new(ports()) }).unwrap();
    rig.apply(&site_updates(Some(Mac(CORE)))).unwrap();
    make_mobile(&mut rig);
    rig
}

fn make_mobile(rig: &mut Rig) {
    let adjacency = Adjacency {
        next_hop: 1,
        local: address("192.0.2.1"),
        remote: address(SITE_C),
        mtu: 1500,
        udp_checksum: false,
    };
    let locator = Locator { adjacency: 8, priority: 1, weight: 100, usable: true, keep: false };
    rig.apply(&[
        Update::AdjacencyUpsert { id: 8, adjacency },
        Update::SetUpsert { id: C, set: LocatorSet::new(&[locator]).unwrap() },
        Update::DynamicUpsert { iid: iid(), prefix: "10.1.5.0/24".parse().unwrap() },
        Update::DynamicUpsert { iid: iid(), prefix: "fd00:64:0:0:d::/80".parse().unwrap() },
        eid("10.1.0.5/32", here(HOST)),
    ])
    .unwrap();
}

fn here(mac: [u8; 6]) -> EidAction {
    EidAction::LocalHost { port: 0, vlan: None, mac: Mac(mac) }
}

fn install(rig: &mut Rig, action: EidAction) {
    rig.apply(&[eid("10.1.5.5/32", action)]).unwrap();
}

fn allow(eid: &str, from: &str) -> Update {
    Update::RelayAllow { iid: iid(), eid: address(eid), from: address(from) }
}

/// A frame of 10.1.2.9 at site B for an EID, told apart by its length.
fn from_b(to: &str, len: usize) -> Vec<u8> {
    tunnelled(SITE_B, 100, &udp("10.1.2.9", to, 64, len)[14..])
}

/// The same frame, relayed so often.
fn relayed(mut frame: Vec<u8>, times: u8) -> Vec<u8> {
    frame[42] |= 0x80;
    frame[43..46].copy_from_slice(&[b'S', b'T', times]);
    frame[40..42].fill(0);
    frame
}

/// The answer that 10.1.2.9 is at site B still.
fn confirm(rig: &mut Rig) {
    rig.apply(&[eid("10.1.2.0/24", EidAction::Remote { set: 3, classes: None })]).unwrap();
    rig.settle();
}

fn attaches(events: &[Event]) -> Vec<(IpAddr, Mac, AttachProof)> {
    let attach = |event: &Event| match *event {
        Event::Attach { eid, mac, proof, port: 0, vlan: None, .. } => Some((eid, mac, proof)),
        _ => None,
    };
    events.iter().filter_map(attach).collect()
}

fn source_misses(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Miss { source: true, .. })).count()
}

fn lengths(frames: &[Vec<u8>]) -> Vec<usize> {
    frames.iter().map(Vec::len).collect()
}

fn requests(rig: &Rig) -> usize {
    rig.collect(0).iter().filter(|frame| frame[12..14] == [8, 6] && frame[21] == 1).count()
}
