//! A recorded run is replayed against another build of gateways, and compared packet by packet: against the same ones
//! nothing differs, and what another one does otherwise is found.
//! Needs root and the gateways' programs; where they are missing it prints `SKIP` and the reason.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

mod greeting;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use greeting::greet;
use sterna_lab::error::LabError;
use sterna_lab::gateway::plan::GatewayPlan;
use sterna_lab::lab::{Adjust, Lab};
use sterna_lab::site::{Family, Host, Site, anycast_mac};
use sterna_lab::topology::Topology;
use sterna_pktgen::pcap;
use sterna_pktgen::profile::Profile;
use sterna_pktgen::report::Recorded;
use sterna_pktgen::run::{Options, Place, run};

const COUNT: u64 = 500;
/// Longer than any machine needs; the run ends by its count.
const PATIENCE_NS: u64 = 60_000_000_000;
const RUN: u32 = 77;
const FROM: Host = Host::new(Site::A, 1);
const TO: Host = Host::new(Site::B, 1);

/// Sends a profile through a lab's gateways and records it; the captures' names begin with `record`.
fn record(text: &str, record: &Path, gateway: &dyn Fn(&mut GatewayPlan)) -> Option<Recorded> {
    let lab = match Lab::build(Topology::PLAIN, Adjust { gateway, server: &|_| {} }) {
        Ok(lab) => lab,
        Err(error @ LabError::Missing { .. }) => {
            println!("SKIP: {error}");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    [FROM, TO].iter().for_each(|host| greet(&lab, *host));
    let profile = Profile::parse(text).unwrap_or_else(|findings| panic!("{findings:?}"));
    let place = |host: Host| {
        Some(Place { interface: "eth0".to_owned(), namespace: Some(lab.host(host).name().to_owned()) })
    };
    let options = Options {
        own_network: true,
        count: Some(COUNT),
        duration_ns: Some(PATIENCE_NS),
        run_id: Some(RUN),
        record: Some(record.to_owned()),
        ..Options::between(place(FROM), place(TO))
    };
    let report = run(&profile, &options, &AtomicBool::new(false), |_| ()).unwrap();
    assert!(lab.down().unwrap().is_clean());
    report.recorded
}

/// What `sterna-pktgen compare` says: its exit code and its object.
fn compare(a: &Path, b: &Path, more: &[&str]) -> (i32, serde_json::Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sterna-pktgen"));
    let output = command.arg("compare").args([a, b]).args(["--json"]).args(more).output().unwrap();
    let told = serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null);
    (output.status.code().unwrap(), told)
}

#[test]
fn a_recorded_run_is_the_same_through_the_same_gateways_and_not_through_others() {
    let folder = tempfile::tempdir().unwrap();
    let named = |name: &str| folder.path().join(name);
    let capture = |name: &str| -> PathBuf { named(name) };
    let mac = anycast_mac(FROM.iid()).map(|byte| format!("{byte:02x}")).join(":");
    let (source, target) = (FROM.eid(Family::V4, Family::V4), TO.eid(Family::V4, Family::V4));
    let first = format!(
        "rate = 1_000\n[frame]\nsize = [90, 600, 1400]\ndestination_mac = \"{mac}\"\n\
         [eids]\nsource = \"{source}\"\ndestination = \"{target}\"\n[flows]\ncount = 16\n"
    );
    let Some(recorded) = record(&first, &named("first"), &|_| {}) else { return };
    assert_eq!(recorded, Recorded { sent: Some(COUNT), received: Some(COUNT) });
    let sent = pcap::read(&capture("first.sent.pcap")).unwrap();
    assert!(sent.is_sorted_by_key(|frame| frame.at_ns) && sent.iter().all(|frame| frame.whole));
    // The hosts of another lab have other MAC addresses; its gateways are the ones under test.
    let again = format!(
        "[replay]\nfile = \"{}\"\nkeep_times = true\n[frame]\ndestination_mac = \"{mac}\"\n",
        capture("first.sent.pcap").display()
    );
    let recorded = record(&again, &named("again"), &|_| {}).unwrap();
    assert_eq!(recorded, Recorded { sent: Some(COUNT), received: Some(COUNT) });
    let (code, told) =
        compare(&capture("first.received.pcap"), &capture("again.received.pcap"), &["--ignore", "macs"]);
    assert_eq!((code, &told["equal"], &told["same"]), (0, &COUNT.into(), &true.into()), "{told:#}");
    // The same packets with another size: each differs, and where is said.
    let shifted = again.replace("keep_times = true\n", "keep_times = true\nsize = 700\n");
    record(&shifted, &named("shifted"), &|_| {}).unwrap();
    let (code, told) =
        compare(&capture("first.received.pcap"), &capture("shifted.received.pcap"), &["--ignore", "macs"]);
    assert_eq!((code, &told["same"]), (1, &false.into()), "{told:#}");
    // Gateways that do not know the way: everything is missing.
    let lost = |plan: &mut GatewayPlan| {
        if plan.site == Site::A {
            plan.mappings.clear();
        }
    };
    record(&again, &named("lost"), &lost).unwrap();
    let (code, told) = compare(&capture("first.received.pcap"), &capture("lost.received.pcap"), &[]);
    assert_eq!((code, &told["missing"], &told["equal"]), (1, &COUNT.into(), &0.into()), "{told:#}");
}

#[test]
fn a_capture_that_cannot_be_read_is_named_with_the_offset() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.pcap");
    let recorder = pcap::Recorder::create(&path).unwrap();
    [60, 61].iter().for_each(|length| recorder.take(&vec![7; *length], 0));
    recorder.finish().unwrap();
    assert_eq!(compare(&path, &path, &[]).0, 0);
    let whole = std::fs::read(&path).unwrap();
    let cut = folder.path().join("really-cut.pcap");
    std::fs::write(&cut, &whole[..whole.len() - 1]).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sterna-pktgen"));
    let output = command.arg("compare").args([&path, &cut]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("really-cut.pcap: record 2 at offset 100 "), "{told}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sterna-pktgen"));
    let absent = command.args(["compare", "/nowhere.pcap"]).arg(&path).output().unwrap();
    assert_eq!(absent.status.code(), Some(2));
}
