//! The lab measures truly: with the kernel forwarding in the gateways' place it sees nothing where nothing is
//! wrong, and counts exactly what was done wrong on purpose. Needs root; says SKIP where it cannot run.
// Also outside the test functions themselves, in what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::SocketAddr;
use std::time::Duration;

use sterna_lab::error::LabError;
use sterna_lab::identity::{LabId, LabLock};
use sterna_lab::lab::{Adjust, Lab, Teardown};
use sterna_lab::leftovers::Leftovers;
use sterna_lab::namespace::Namespace;
use sterna_lab::site::{Family, Host, Site};
use sterna_lab::topology::Topology;
use sterna_lab::traffic::ledger::Tally;
use sterna_lab::traffic::probe::{Probe, ProbePlan, Via};
use sterna_lab::traffic::responder::{Impairment, PORT, Responder, who_is_at};
use sterna_lab::traffic::stream::{Stream, StreamPlan};
use sterna_lab::traffic::tagged::{TaggedAgent, TaggedPlan};
use sterna_lab::traffic::transfer::{Transfer, TransferPlan};
use sterna_lab::underlay::CORE;
use sterna_lab::wiring::interface_counters;
use sterna_lab::witness::judge::judge;

const A1: Host = Host::new(Site::A, 1);
const A2: Host = Host::new(Site::A, 2);
const B1: Host = Host::new(Site::B, 1);

/// A lab in which the kernel forwards; `None`, after saying why, where no lab can be.
fn kernel_lab() -> Option<Lab> {
    match Lab::build(Topology::KERNEL, Adjust::NOTHING) {
        Ok(lab) => Some(lab),
        Err(error @ LabError::Missing { .. }) => {
            eprintln!("SKIP: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn assert_clean(teardown: &Teardown) {
    assert!(teardown.is_clean(), "{teardown:?}");
}

fn ask(lab: &Lab, family: Family, via: Via, group: u32, count: u64) -> Tally {
    let plan = ProbePlan {
        source: A1.eid(family, Family::V4),
        target: B1.eid(family, Family::V4),
        via,
        group,
        answerer: (via != Via::Icmp).then(|| B1.tag()),
        rate: 1000,
        count: Some(count),
        size: 64,
    };
    Probe::start(&lab.host(A1), plan).unwrap().finish().unwrap()
}

#[test]
fn an_unimpaired_network_is_perfect_and_the_witness_counts_every_packet() {
    let Some(mut lab) = kernel_lab() else { return };
    let received_by_kernel = |lab: &Lab| -> u64 {
        interface_counters(&lab.namespace(CORE)).unwrap().values().map(|c| c.rx_packets).sum()
    };
    let before = received_by_kernel(&lab);
    for family in Family::BOTH {
        let tally = ask(&lab, family, Via::Icmp, 100, 300);
        assert!(tally.is_perfect(), "{family}: {tally}");
        assert!(tally.delay_p50_us > 0 && tally.delay_max_us >= tally.delay_p99_us);
    }
    let seen = lab.witness().unwrap().settle().unwrap();
    // Two families, 300 requests and 300 answers each, and nothing of it was LISP.
    assert_eq!((seen.clear, seen.lisp), (1200, 0));

    let plan = TransferPlan {
        source: A1.eid(Family::V6, Family::V6),
        target: B1.eid(Family::V6, Family::V6),
        port: 5001,
        bytes: 20_000_000,
        pace: None,
    };
    let done = Transfer::start(&lab.host(A1), &lab.host(B1), plan).unwrap().finish().unwrap();
    assert!(done.matches() && done.received == 20_000_000, "{done:?}");

    let plan = StreamPlan {
        source: A1.eid(Family::V4, Family::V6),
        target: B1.eid(Family::V4, Family::V6),
        port: 5002,
        group: 100,
        rate: 5000,
        count: Some(5000),
        size: 1000,
    };
    let (tally, took) = Stream::start(&lab.host(A1), &lab.host(B1), plan).unwrap().finish().unwrap();
    assert!(tally.is_perfect(), "{tally}");
    assert!((Duration::from_millis(950)..Duration::from_millis(1500)).contains(&took), "{took:?}");

    lab.witness().unwrap().settle().unwrap();
    let kernel = received_by_kernel(&lab) - before;
    let testimony = lab.testify().unwrap().unwrap();
    // Links that have just come up talk a little between the witness's start and our first reading.
    let talk = testimony.sightings.neighbour;
    assert!(kernel.abs_diff(testimony.sightings.frames) <= talk, "{kernel} {testimony:?}");
    let verdict = judge(&testimony).unwrap();
    assert!(verdict.judged > 1000, "{verdict:?}");
    assert_eq!((verdict.lisp, verdict.malformed), (0, 0));
    assert_clean(&lab.down().unwrap());
}

#[test]
fn every_fault_is_counted_exactly_and_by_its_name() {
    let Some(lab) = kernel_lab() else { return };
    let impaired = |impairment| {
        let addresses = B1.eids();
        let _responder = Responder::start(&lab.host(B1), &addresses, B1.tag(), 100, impairment).unwrap();
        ask(&lab, Family::V4, Via::Udp(PORT), 100, 200)
    };
    let tally = impaired(Impairment::default());
    assert!(tally.is_perfect(), "{tally}");

    let tally = impaired(Impairment { lose_every: 10, ..Impairment::default() });
    assert_eq!((tally.offered, tally.delivered, tally.lost), (200, 180, 20), "{tally}");

    let tally = impaired(Impairment { repeat_every: 20, ..Impairment::default() });
    assert_eq!((tally.delivered, tally.duplicated), (200, 10), "{tally}");

    let tally = impaired(Impairment { swap_every: 50, ..Impairment::default() });
    // The one that is kept back last has nobody after it to be answered first.
    assert_eq!((tally.delivered, tally.reordered, tally.lost), (199, 3, 1), "{tally}");

    let tally = impaired(Impairment { change_every: 40, ..Impairment::default() });
    assert_eq!((tally.delivered, tally.corrupted, tally.lost), (195, 5, 5), "{tally}");
    assert_clean(&lab.down().unwrap());
}

#[test]
fn a_packet_in_the_wrong_group_or_from_the_wrong_host_is_noticed() {
    let Some(lab) = kernel_lab() else { return };
    let addresses = B1.eids();
    let right = Responder::start(&lab.host(B1), &addresses, B1.tag(), 100, Impairment::default()).unwrap();
    let tally = ask(&lab, Family::V6, Via::Udp(PORT), 200, 20);
    assert_eq!((tally.delivered, right.strayed()), (0, 20));
    let (source, target) = (A1.eid(Family::V4, Family::V4), B1.eid(Family::V4, Family::V4));
    let who = who_is_at(&lab.host(A1), source, target, Duration::from_secs(2)).unwrap();
    assert_eq!(who, (B1.tag(), 100));
    drop(right);

    let twin = Host::new(Site::B, 3);
    let _wrong = Responder::start(&lab.host(B1), &addresses, twin.tag(), 100, Impairment::default()).unwrap();
    let tally = ask(&lab, Family::V4, Via::Udp(PORT), 100, 20);
    assert_eq!((tally.delivered, tally.wrong_peer), (0, 20), "{tally}");
    assert_clean(&lab.down().unwrap());
}

#[test]
fn the_witness_and_tshark_notice_what_is_not_right_lisp() {
    let Some(mut lab) = kernel_lab() else { return };
    let target = SocketAddr::new(B1.eid(Family::V4, Family::V4), 4341);
    let source = SocketAddr::new(A1.eid(Family::V4, Family::V4), 0);
    let socket = lab.host(A1).run(|| std::net::UdpSocket::bind(source)).unwrap().unwrap();
    // Group 200's header around nothing that is a packet; no instance-ID; and a header cut short.
    let headers: [&[u8]; 3] = [&[8, 0, 0, 0, 0, 0, 200, 0, 0x45], &[0, 0, 0, 0, 0, 0, 200, 0], &[8, 0, 0]];
    for header in headers {
        socket.send_to(header, target).unwrap();
    }
    let seen = lab.witness().unwrap().settle().unwrap();
    assert_eq!((seen.lisp, seen.wrong_iid), (2, 1), "{seen:?}");
    // Besides the third packet the far host's three refusals by ICMP, which quote what they refuse.
    assert_eq!(seen.clear, 4, "{seen:?}");
    let testimony = lab.testify().unwrap().unwrap();
    let verdict = judge(&testimony).unwrap();
    assert!(verdict.malformed >= 2, "{verdict:?}");
    assert_clean(&lab.down().unwrap());
}

#[test]
fn tagged_agents_hear_each_other_by_the_tag_alone() {
    let Some(lab) = kernel_lab() else { return };
    let address = |host: Host| match host.eid(Family::V4, Family::V4) {
        std::net::IpAddr::V4(address) => address,
        std::net::IpAddr::V6(_) => unreachable!(),
    };
    // On one bridge, without a gateway: each takes the other for it.
    let agent = |host: Host, other: Host, tag| {
        let plan = TaggedPlan { address: address(host), gateway: address(other), tag, group: 300 };
        TaggedAgent::start(&lab.host(host), plan).unwrap()
    };
    let one = agent(A1, A2, 30);
    {
        let other = agent(A2, A1, 31);
        assert!(matches!(one.find_gateway(), Err(LabError::Late { .. })));
        assert_eq!(other.answered(), 0);
    }
    let other = agent(A2, A1, 30);
    let tally = one.ping(address(A2), 500, 100).unwrap();
    assert!(tally.is_perfect(), "{tally}");
    assert_eq!((other.answered(), one.mistagged(), other.mistagged()), (100, 0, 0));
    drop((one, other));
    assert_clean(&lab.down().unwrap());
}

#[test]
fn nothing_is_left_after_a_panic_and_a_killed_run_is_cleared_by_the_next() {
    let Some(lab) = kernel_lab() else { return };
    let id = lab.id().clone();
    assert!(!Leftovers::of(&id).is_empty());
    let panicked = std::thread::spawn(move || {
        let _lab = lab;
        panic!("on purpose");
    })
    .join();
    assert!(panicked.is_err());
    // With the lock in hand, so that no other test's lab has taken the name by now.
    let lock = LabLock::acquire().unwrap();
    assert!(Leftovers::of(&id).is_empty(), "{}", Leftovers::of(&id));

    // What a killed run leaves: namespaces and a folder, and nobody who holds the lock.
    let dead = LabId::take(&lock).unwrap();
    let orphan = Namespace::create(&dead.namespace("core")).unwrap();
    drop(lock);
    let lab = kernel_lab().unwrap();
    assert_clean(&lab.down().unwrap());
    let _lock = LabLock::acquire().unwrap();
    assert!(!orphan.exists());
}

#[test]
fn a_process_inside_a_host_ends_with_the_lab() {
    let Some(lab) = kernel_lab() else { return };
    let mut command = std::process::Command::new("sleep");
    command.arg("600");
    let mut child = lab.host(A1).spawn(command).unwrap();
    assert_clean(&lab.down().unwrap());
    assert!(!child.wait().unwrap().success());
}
