//! A load through two real gateways of the lab: every probe arrives, in order, with its latency.
//! Needs root and the gateways' programs; where they are missing it prints `SKIP` and the reason.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

mod greeting;

use std::sync::atomic::AtomicBool;

use greeting::greet;
use sterna_lab::error::LabError;
use sterna_lab::lab::{Adjust, Lab};
use sterna_lab::site::{Family, Host, Site, anycast_mac};
use sterna_lab::topology::Topology;
use sterna_pktgen::profile::Profile;
use sterna_pktgen::report::Account;
use sterna_pktgen::run::{Options, Place, run};

const COUNT: u64 = 10_000;
/// Longer than any machine needs; the run ends by its count.
const PATIENCE_NS: u64 = 120_000_000_000;
const FROM: Host = Host::new(Site::A, 1);
const TO: Host = Host::new(Site::B, 1);

#[test]
fn two_gateways_carry_a_modest_load_without_loss() {
    let lab = match Lab::build(Topology::PLAIN, Adjust::NOTHING) {
        Ok(lab) => lab,
        Err(error @ LabError::Missing { .. }) => return println!("SKIP: {error}"),
        Err(error) => panic!("{error}"),
    };
    [FROM, TO].iter().for_each(|host| greet(&lab, *host));
    let mac = anycast_mac(FROM.iid()).map(|byte| format!("{byte:02x}")).join(":");
    let (source, target) = (FROM.eid(Family::V4, Family::V4), TO.eid(Family::V4, Family::V4));
    let profile = Profile::parse(&format!(
        "rate = 2_000\n[frame]\nsize = [90, 600, 1400]\ndestination_mac = \"{mac}\"\n\
         [eids]\nsource = \"{source}\"\ndestination = \"{target}\"\n[flows]\ncount = 16\n"
    ))
    .unwrap_or_else(|findings| panic!("{findings:?}"));
    let place = |host: Host| {
        Some(Place { interface: "eth0".to_owned(), namespace: Some(lab.host(host).name().to_owned()) })
    };
    let options = Options {
        own_network: true,
        count: Some(COUNT),
        duration_ns: Some(PATIENCE_NS),
        ..Options::between(place(FROM), place(TO))
    };
    let report = run(&profile, &options, &AtomicBool::new(false), |line| println!("{line}")).unwrap();
    println!("{report}");
    assert_eq!(report.probes, Account { sent: COUNT, arrived: COUNT, ..Account::default() });
    assert_eq!((report.latency_ns.count, report.sent.lost_busy), (COUNT, 0));
    assert!(report.ports.iter().all(|port| port.frames_leaked == 0), "{:?}", report.ports);
    // All of it went by the gateways: each forwarded as many, and neither's balance is off.
    for gateway in lab.gateways() {
        let books = gateway.books_at_rest().unwrap();
        assert_eq!(books.balance.error, 0, "{}", gateway.plan.name);
        assert!(
            books.sum("rloc", "tx_packets") + books.sum("rloc", "rx_packets") >= COUNT,
            "{}",
            gateway.plan.name
        );
    }
    assert!(lab.down().unwrap().is_clean());
}
