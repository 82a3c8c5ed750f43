//! What a flood costs: the share of one core that a process spends on it, how long one turn of messages holds up
//! everybody else, and how much memory it takes.
//!
//! `cargo run --release -p sterna-controlplane --example flood` prints one JSON object. Each flood lasts some seconds
//! of a simulated clock at the total rate at which the sockets hand messages over ([`socket`]'s police); what comes
//! beyond that rate stays in the kernel. Everything runs in this process without sockets. After each flood an honest
//! message is answered in the same turn, or this panics.
//!
//! [`socket`]: sterna_controlplane::lisp::socket

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sterna_shm::Event;
use sterna_wire::lisp::control::{LispAddress, MapNotify};

#[allow(dead_code)]
#[path = "../../tests/hostile/world.rs"]
mod world;

use world::*;

/// Simulated seconds of each flood.
const SECONDS: u32 = 3;
/// Messages of a turn, as the sockets take them.
const TURN: u32 = 64;
/// Messages per second that the sockets of a gateway hand over, and those of a Map-Server with its default limits.
const GATEWAY_RATE: u32 = 20_000;
const SERVER_RATE: u32 = 90_000;
/// Events per second from the dataplane: as fast as a flood of unknown destinations can make them.
const MISS_RATE: u32 = 100_000;

/// One thing that comes, and to whom.
enum Item {
    Gateway(Vec<u8>, IpAddr),
    Server(Vec<u8>, IpAddr),
    Miss(IpAddr),
}

/// An address of the underlay that nobody has.
fn forged(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0xc612_0000 + number % 0x1_0000).into()
}

/// What a flood came to.
#[derive(Default)]
struct Cost {
    spent: Duration,
    turns: Vec<Duration>,
    sent: usize,
    saved: usize,
}

/// Gives a world one turn's items and does what is due.
fn turn(world: &mut World, items: Vec<Item>, cost: &mut Cost) {
    let start = core_time();
    for item in items {
        match item {
            Item::Gateway(bytes, from) => {
                world.xtr.datagram(&bytes, (from, 4342).into(), ip(GATEWAY), world.now);
            }
            Item::Server(bytes, from) => {
                world.server.datagram(&bytes, (from, 4342).into(), ip(SERVER), world.now);
            }
            Item::Miss(eid) => {
                world.xtr.event(Event::Miss { iid: iid(), eid, source: false, port: 0, class: 0 }, world.now);
            }
        }
    }
    for plane in [&mut world.xtr, &mut world.server] {
        if plane.next_deadline().is_some_and(|due| due <= world.now) {
            plane.tick(world.now);
        }
        cost.sent += plane.take_datagrams().len();
        cost.saved += plane.take_saves().len();
    }
    let took = core_time() - start;
    cost.spent += took;
    cost.turns.push(took);
}

/// Floods a world at a rate and tells what it cost as JSON.
fn flood(name: &str, world: &mut World, rate: u32, mut item: impl FnMut(u32) -> Item) -> String {
    let (start, mut cost, before) = (world.now, Cost::default(), resident());
    for first in (0..rate * SECONDS).step_by(TURN as usize) {
        world.now = start + Duration::from_secs(first.into()) / rate;
        let items = (first..first + TURN).map(&mut item).collect();
        turn(world, items, &mut cost);
    }
    let grown = resident().saturating_sub(before);
    honest(world);
    cost.turns.sort_unstable();
    let at =
        |share: usize| cost.turns[(cost.turns.len() * share / 1000).min(cost.turns.len() - 1)].as_micros();
    let (seconds, share) = (f64::from(SECONDS), cost.spent.as_secs_f64() / f64::from(SECONDS));
    format!(
        "\"{name}\":{{\"per_s\":{rate},\"share_of_a_core\":{share:.4},\"ns_each\":{:.0},\"turn_p99_us\":{},\
         \"turn_max_us\":{},\"sent_per_s\":{:.0},\"saved\":{},\"memory_bytes\":{grown}}}",
        share / f64::from(rate) * 1e9,
        at(990),
        at(1000),
        cost.sent as f64 / seconds,
        cost.saved,
    )
}

/// A site's gateway is heard in the same turn.
fn honest(world: &mut World) {
    world.pass(1);
    drop((world.server.take_datagrams(), world.xtr.take_datagrams()));
    let bytes = register(1_000_000, vec![mapping("10.1.2.9/32", &[PEER])]).signed(&key_b());
    world.server.datagram(&bytes, at(PEER), ip(SERVER), world.now);
    assert_eq!(world.server.take_datagrams().len(), 1, "an honest register is not confirmed");
}

/// The time that this thread has had a core: what a flood costs does not depend on what else the machine does.
fn core_time() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), u32::try_from(spent.tv_nsec).unwrap())
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// A gateway that knows 256 prefixes.
fn with_mappings() -> World {
    let mut world = World::new();
    for third in 0..=255_u8 {
        world.learn(&format!("10.7.{third}.9"), mapping(&format!("10.7.{third}.0/24"), &[PEER]));
        world.pass(100);
    }
    world
}

fn of_gateway() -> Vec<String> {
    let unknown = |number: u32| IpAddr::from(Ipv4Addr::from_bits(0x0a01_4000 + number % 0x4000));
    let misses = flood("misses", &mut World::new(), MISS_RATE, |number| Item::Miss(unknown(number)));
    let unasked = reply(7, vec![mapping("10.1.2.0/24", &[STRANGER])]).emit();
    let forged_reply = |number: u32| {
        let mut bytes = unasked.clone();
        bytes[8..12].copy_from_slice(&number.to_be_bytes());
        Item::Gateway(bytes, forged(number))
    };
    let replies = flood("forged_replies", &mut with_mappings(), GATEWAY_RATE, forged_reply);
    let records = vec![mapping("10.1.128.9/32", &[STRANGER])];
    let notify = MapNotify { nonce: 1, records, ..MapNotify::default() }.signed(&key_b());
    let notifies = flood("forged_notifies", &mut with_mappings(), GATEWAY_RATE, |_| {
        Item::Gateway(notify.clone(), ip(SERVER))
    });
    let smrs = flood("smrs", &mut with_mappings(), GATEWAY_RATE, |number| {
        let mut smr = request(&["10.1.1.5/32"]);
        smr.smr = true;
        let eid = Ipv4Addr::new(10, 7, number as u8, 0);
        smr.source_eid = LispAddress::for_eid(iid(), eid.into());
        Item::Gateway(smr.emit(), forged(number))
    });
    vec![misses, replies, notifies, smrs]
}

fn of_server() -> Vec<String> {
    let mut wrong_key = register(8, vec![mapping("10.1.2.9/32", &[STRANGER])]).signed(&key_a());
    // Says that it is made with the key of site B.
    wrong_key[12] = 2;
    let registers = flood("forged_registers", &mut World::new(), SERVER_RATE, |number| {
        Item::Server(wrong_key.clone(), forged(number))
    });
    let old = register(7, vec![mapping("10.1.2.0/24", &[PEER])]).signed(&key_b());
    let replays = flood("replayed_registers", &mut World::new(), SERVER_RATE, |number| {
        Item::Server(old.clone(), forged(number))
    });
    let requests = flood("requests", &mut World::new(), SERVER_RATE, |number| {
        let mut question = request(&["10.1.2.9/32"]);
        question.itr_rlocs = vec![forged(number).into()];
        Item::Server(ecm(&question.emit()), forged(number))
    });
    let garbage = flood("malformed", &mut World::new(), SERVER_RATE, |number| {
        let cut = old.len() - 1 - number as usize % 8;
        Item::Server(old[..cut].to_vec(), forged(number))
    });
    vec![registers, replays, requests, garbage]
}

fn main() {
    println!("{{\"gateway\":{{{}}},\"map_server\":{{{}}}}}", of_gateway().join(","), of_server().join(","));
}
