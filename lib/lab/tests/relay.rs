//! The userspace relay does exactly what it is told, and the kernel's own counters agree with its books.
//! Needs root; says SKIP where it cannot run.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use sterna_lab::error::LabError;
use sterna_lab::lab::{Adjust, Lab};
use sterna_lab::relay::cable::Cable;
use sterna_lab::relay::fate::Cause;
use sterna_lab::relay::impairment::{Flap, Impairment, Loss, Rate};
use sterna_lab::site::{Family, Host, Site};
use sterna_lab::topology::{CABLE, Topology, relay_ports};
use sterna_lab::traffic::fan::{Fan, FanPlan};
use sterna_lab::traffic::probe::{Probe, ProbePlan, Via};
use sterna_lab::traffic::stream::{Stream, StreamPlan};
use sterna_lab::traffic::transfer::{Transfer, TransferPlan};
use sterna_lab::underlay::RELAY;
use sterna_lab::wiring::interface_counters;

const A1: Host = Host::new(Site::A, 1);
const B1: Host = Host::new(Site::B, 1);
const RELAYED: Topology = Topology { relayed: &[(Site::B, 0)], ..Topology::KERNEL };

/// A lab in which the kernel forwards; `None`, after saying why, where no lab can be.
fn lab(topology: Topology) -> Option<Lab> {
    match Lab::build(topology, Adjust::NOTHING) {
        Ok(lab) => Some(lab),
        Err(error @ LabError::Missing { .. }) => {
            eprintln!("SKIP: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn ping(lab: &Lab, count: u64) -> sterna_lab::traffic::ledger::Tally {
    let plan = ProbePlan {
        source: A1.eid(Family::V4, Family::V4),
        target: B1.eid(Family::V4, Family::V4),
        via: Via::Icmp,
        group: 100,
        answerer: None,
        rate: 1000,
        count: Some(count),
        size: 64,
    };
    Probe::start(&lab.host(A1), plan).unwrap().finish().unwrap()
}

#[test]
fn frames_pass_whole_late_or_not_at_all_as_told() {
    let Some(lab) = lab(RELAYED) else { return };
    let relay = lab.relay(Site::B, 0).unwrap();
    let plain = ping(&lab, 500);
    assert!(plain.is_perfect(), "{plain}");

    relay.direction(0).delay_us(20_000);
    relay.direction(1).delay_us(30_000);
    let late = ping(&lab, 200);
    assert!(late.is_perfect(), "{late}");
    assert!(late.delay_p50_us >= 50_000, "{late:?}");
    // Not a judgement of speed: a clock that is read wrongly would be off by orders.
    assert!(late.delay_p50_us < 500_000, "{late:?}");
    relay.direction(0).delay_us(0);
    relay.direction(1).delay_us(0);

    let before = relay.counts();
    relay.direction(0).loss_permille(200);
    let lossy = ping(&lab, 500);
    relay.direction(0).loss_permille(0);
    let lost = relay.counts().lost - before.lost;
    // An ARP answer may be among what was lost, and is sent again.
    assert!((60..=140).contains(&lossy.lost) && lossy.lost.abs_diff(lost) <= 3, "{lossy} {lost}");

    relay.cut(true);
    let cut = ping(&lab, 20);
    assert_eq!((cut.delivered, relay.counts().cut >= 20), (0, true), "{cut}");
    relay.cut(false);
    let mended = ping(&lab, 200);
    assert!(mended.is_perfect(), "{mended}");

    // What came in by the kernel's count came in by ours, and nothing is unaccounted for.
    let counts = relay.counts();
    assert_eq!((counts.error(), counts.overflow, counts.refused, counts.waiting), (0, 0, 0, 0), "{counts:?}");
    let kernel = interface_counters(&lab.namespace(RELAY)).unwrap();
    let received: u64 = relay_ports(Site::B, 0).iter().map(|port| kernel[port].rx_packets).sum();
    // Links that come up talk a little before the relay listens.
    assert!(received >= counts.received && received - counts.received <= 20, "{received} {counts:?}");
    assert!(lab.down().unwrap().is_clean());
}

#[test]
fn a_held_direction_waits_and_a_paced_transfer_is_whole() {
    let Some(lab) = lab(RELAYED) else { return };
    let relay = lab.relay(Site::B, 0).unwrap();
    assert!(ping(&lab, 10).is_perfect());
    let plan = TransferPlan {
        source: A1.eid(Family::V4, Family::V4),
        target: B1.eid(Family::V4, Family::V4),
        port: 5001,
        bytes: u64::MAX,
        pace: Some(2_000_000),
    };
    let transfer = Transfer::start(&lab.host(A1), &lab.host(B1), plan).unwrap();
    let targets: Vec<_> = Family::BOTH.iter().map(|outer| B1.eid(Family::V4, *outer)).collect();
    let mut fan = FanPlan::to_addresses(A1.eid(Family::V4, Family::V4), &targets, 5003);
    (fan.group, fan.rate) = (100, 2000);
    let fan = Fan::start(&lab.host(A1), &lab.host(B1), fan).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    relay.direction(1).hold(true);
    std::thread::sleep(Duration::from_millis(100));
    assert!(relay.counts().waiting > 50, "{:?}", relay.counts());
    relay.direction(1).hold(false);
    std::thread::sleep(Duration::from_millis(300));
    let done = transfer.stop().unwrap();
    assert!(done.matches() && done.received > 500_000, "{done:?}");
    let fanned = fan.stop().unwrap();
    assert!(fanned.tally.is_perfect() && fanned.tally.offered > 1000, "{}", fanned.tally);
    assert!(fanned.tally.longest_gap_ms >= 90, "{:?}", fanned.tally);
    assert_eq!(fanned.first_us.len(), 2);
}

#[test]
fn a_cable_is_heard_where_it_is_plugged_in_and_keeps_its_sockets() {
    let topology = Topology { sites: &Site::ALL, roamer: true, ..Topology::KERNEL };
    let Some(lab) = lab(topology) else { return };
    let cable: &Cable = lab.cable().unwrap();
    let agent = lab.namespace("m1");
    // Hosts 2 take the group as their own link, and so does the agent here: no gateway has a part in this.
    agent.output("ip", &["addr", "add", "10.1.200.1/16", "dev", "eth0"]).unwrap();
    let ask = |site: Site| {
        // An ARP question that nobody answered must not keep the next one waiting.
        agent.output("ip", &["neigh", "flush", "dev", "eth0"]).unwrap();
        let target = Host::new(site, 2).eid(Family::V4, Family::V4);
        let plan = ProbePlan {
            source: [10, 1, 200, 1].into(),
            target,
            via: Via::Icmp,
            group: 100,
            answerer: None,
            rate: 500,
            count: Some(50),
            size: 64,
        };
        Probe::start(&agent, plan).unwrap().finish().unwrap()
    };
    assert_eq!(ask(Site::B).delivered, 0);
    for site in [Site::B, Site::C, Site::B] {
        cable.plug(Some(site));
        let other = if site == Site::B { Site::C } else { Site::B };
        assert!(ask(site).is_perfect());
        assert_eq!(ask(other).delivered, 0);
    }
    assert_eq!(cable.counts().error(), 0);
    assert!(lab.namespace(CABLE).exists());
    assert!(lab.down().unwrap().is_clean());
}

/// Everything that a rough link does, in one direction.
fn rough() -> Impairment {
    Impairment {
        delay_us: 5000,
        jitter_us: 4000,
        loss: Loss { ppm: 20_000, burst: 2 },
        reorder_ppm: 20_000,
        reorder_us: 3000,
        duplicate_ppm: 10_000,
        corrupt_ppm: 10_000,
        rate: Some(Rate { bits_s: 20_000_000, queue: Duration::from_millis(50) }),
        flap: Some(Flap { every: Duration::from_millis(700), down: Duration::from_millis(40) }),
    }
}

#[test]
fn each_packet_that_a_rough_link_keeps_is_in_its_books_and_no_other_is_missing() {
    let Some(lab) = lab(RELAYED) else { return };
    let relay = lab.relay(Site::B, 0).unwrap();
    assert!(ping(&lab, 10).is_perfect());
    relay.direction(1).impair(&rough());
    relay.watch();
    let before = relay.counts();
    let plan = StreamPlan {
        source: A1.eid(Family::V4, Family::V4),
        target: B1.eid(Family::V4, Family::V4),
        port: 5002,
        group: 100,
        rate: 1000,
        count: Some(4000),
        size: 200,
    };
    let stream = Stream::start(&lab.host(A1), &lab.host(B1), plan).unwrap();
    std::thread::sleep(Duration::from_millis(4200));
    let (ledger, sent) = stream.stop().unwrap();
    let missing = ledger.missing(sent);
    let tally = ledger.close(sent);
    relay.direction(1).impair(&Impairment::default());
    let counts = relay.counts();
    // Nothing that arrives is wrong: the host's checksum finds the turned bit.
    assert_eq!((tally.corrupted, tally.strayed), (0, 0), "{tally}");
    let kept = counts.not_relayed() - before.not_relayed();
    let struck = counts.corrupted - before.corrupted;
    assert!(counts.lost > 20 && counts.flapped > 20 && struck > 10 && counts.doubled > 10, "{counts:?}");
    assert!(tally.lost <= kept + struck && tally.lost + 10 >= kept, "{tally} {counts:?}");
    // Some doubles were of packets that were lost or struck, and some packets passed with a bit turned over where none
    // looks: in the identification, the TTL's neighbour fields or a padding.
    assert!(tally.duplicated <= counts.doubled && tally.duplicated > 10, "{tally} {counts:?}");
    assert!(tally.reordered <= counts.reordered && tally.reordered > 20, "{tally} {counts:?}");
    let fates = relay.direction(1).fates();
    assert_eq!(fates.forgotten, 0);
    assert_eq!(fates.kept().iter().filter(|fate| fate.cause == Cause::Lost).count() as u64, counts.lost);
    assert_eq!((missing.len() as u64, counts.error()), (tally.lost, 0));
    assert!(lab.down().unwrap().is_clean());
}
