//! Several queues, what an engine refuses, and a load through gateways.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

mod lab;

use std::process::Command;
use std::sync::atomic::AtomicBool;

use lab::Lab;
use sterna_pktgen::profile::Profile;
use sterna_pktgen::report::{Account, Report};
use sterna_pktgen::run::{Engine, Options, run};

/// Longer than any machine needs; the runs end by their counts.
const PATIENCE_NS: u64 = 120_000_000_000;
const COUNT: u64 = 10_000;
const EIDS: &str = "[eids]\nsource = \"10.1.0.10\"\ndestination = \"10.2.0.0\"\n";

fn profile(text: &str) -> Profile {
    Profile::parse(text).unwrap_or_else(|findings| panic!("{findings:?}"))
}

fn attempt(text: &str, options: &Options) -> Result<Report, String> {
    let options = Options { count: Some(COUNT), duration_ns: Some(PATIENCE_NS), ..options.clone() };
    run(&profile(text), &options, &AtomicBool::new(false), |line| println!("{line}"))
        .map_err(|error| format!("{error:#}"))
}

/// A veth pair with two queues each way.
fn two_queues() -> Option<Lab> {
    let lab = Lab::new()?;
    lab.run("ip link add t0 numtxqueues 2 numrxqueues 2 type veth peer name t1 numtxqueues 2 numrxqueues 2");
    for interface in ["t0", "t1"] {
        lab.run(&format!("ethtool -L {interface} rx 2 tx 2"));
        lab.run(&format!("sysctl -q -w net.ipv6.conf.{interface}.disable_ipv6=1"));
        lab.run(&format!("ethtool -K {interface} tx off rxvlan off txvlan off"));
        lab.run(&format!("ip link set {interface} up"));
    }
    Some(lab)
}

/// Packets that the kernel says a program took at each of two queues.
fn by_queue(lab: &Lab, interface: &str) -> [u64; 2] {
    let output = Command::new("ip").args(["netns", "exec", &lab.name, "ethtool", "-S", interface]).output();
    let told = String::from_utf8(output.unwrap().stdout).unwrap();
    [0, 1].map(|queue| {
        let name = format!("rx_queue_{queue}_xdp_packets:");
        let line = told.lines().find_map(|line| line.trim().strip_prefix(name.as_str()));
        line.unwrap_or_else(|| panic!("no {name} in {told}")).trim().parse().unwrap()
    })
}

#[test]
fn a_worker_per_queue_sends_its_part_and_counts_its_part() {
    let Some(lab) = two_queues() else { return };
    let options = Options { queues: 2, ..lab.options("t0", "t1") };
    let report =
        attempt(&format!("rate = 20_000\n{EIDS}count = 100\n[flows]\ncount = 16"), &options).unwrap();
    println!("{report}");
    let sent = COUNT - report.sent.lost_busy;
    // In order too: a flow is one worker's, and a worker's queue is one way.
    assert_eq!(report.probes, Account { sent, arrived: sent, ..Account::default() });
    let seen = by_queue(&lab, "t1");
    assert_eq!(seen.iter().sum::<u64>(), sent, "{seen:?}");
    assert!(seen.iter().all(|part| *part >= COUNT / 2 - report.sent.lost_busy), "{seen:?}");
    for port in &report.ports {
        assert_eq!((port.frames_leaked, port.tx_invalid), (0, 0), "{port:?}");
    }
}

#[test]
fn live_frames_of_two_threads_are_counted_exactly() {
    let Some(lab) = two_queues() else { return };
    let options = Options { queues: 2, engine: Engine::Live, ..lab.options("t0", "t1") };
    let report = attempt(&format!("rate = 20_000\n{EIDS}count = 100"), &options).unwrap();
    println!("{report}");
    let bulk = report.bulk.unwrap();
    assert_eq!((bulk.offered, bulk.lost), (COUNT, 0));
    assert_eq!(bulk.arrived + bulk.refused, COUNT);
    assert_eq!(report.probes.duplicated + report.probes.corrupted, 0);
}

/// Packets that an interface has sent, as the kernel counts.
fn sent_by(lab: &Lab, interface: &str) -> u64 {
    let file = format!("/sys/class/net/{interface}/statistics/tx_packets");
    let output = Command::new("ip").args(["netns", "exec", &lab.name, "cat", &file]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn live_frames_refuse_hostile_packets_and_replays_before_anything_is_sent() {
    let Some(lab) = Lab::new() else { return };
    lab.veth("t0", "t1", 1_500);
    let options = Options { engine: Engine::Live, ..lab.options("t0", "t1") };
    let hostile = format!(
        "rate = 1_000\n{EIDS}[hostile]\nshare = 0.5\nclasses = [\"ipv4_bad_checksum\", \"runt_frame\"]\n\
         rlocs_v4 = [\"192.0.2.1\", \"192.0.2.2\"]\n"
    );
    let mut capture = tempfile::NamedTempFile::new().unwrap();
    let header =
        pcap_file::pcap::PcapHeader { datalink: pcap_file::DataLink::ETHERNET, ..Default::default() };
    let mut writer = pcap_file::pcap::PcapWriter::with_header(capture.as_file_mut(), header).unwrap();
    let packet = pcap_file::pcap::PcapPacket::new(std::time::Duration::ZERO, 60, &[0x5a; 60]);
    writer.write_packet(&packet).unwrap();
    let replay = format!("rate = 1_000\n[replay]\nfile = \"{}\"\n", capture.path().display());
    for text in [hostile, replay] {
        let told = attempt(&text, &options).err().unwrap_or_else(|| panic!("it was sent: {text}"));
        assert!(told.contains("neither hostile packets nor a replay: use --engine xdp"), "{told}");
        assert_eq!(sent_by(&lab, "t0"), 0, "{text}");
        // The control: over sockets the same profile goes out.
        let fresh = Lab::new().unwrap();
        fresh.veth("t0", "t1", 1_500);
        let few = Options { count: Some(20), duration_ns: Some(PATIENCE_NS), ..fresh.options("t0", "t1") };
        run(&profile(&text), &few, &AtomicBool::new(false), |_| ()).unwrap();
        assert_eq!(sent_by(&fresh, "t0"), 20, "{text}");
    }
}

#[test]
fn jumbo_frames_arrive_whole_and_a_wrong_size_is_refused() {
    let jumbo = format!("rate = 5_000\n[frame]\nsize = [64, 3500, 4000, 9018]\n{EIDS}count = 100");
    let findings = Profile::parse(&jumbo.replace("9018", "9019")).unwrap_err();
    let told = format!("{findings:?}");
    assert!(told.contains("size") && told.contains("9018"), "{told}");
    let Some(lab) = Lab::new() else { return };
    lab.veth("t0", "t1", 9_000);
    let report = attempt(&jumbo, &lab.options("t0", "t1")).unwrap();
    println!("{report}");
    let sent = COUNT - report.sent.lost_busy;
    assert_eq!(report.probes, Account { sent, arrived: sent, ..Account::default() });
    assert_eq!(report.tx_interface.unwrap().tx_packets, sent);
    for port in &report.ports {
        assert_eq!((port.frames_leaked, port.tx_invalid), (0, 0), "{port:?}");
    }
}

#[test]
fn jumbo_frames_are_refused_where_they_do_not_fit() {
    let jumbo = format!("rate = 5_000\n[frame]\nsize = 9018\n{EIDS}");
    let Some(lab) = Lab::new() else { return };
    lab.veth("t0", "t1", 9_000);
    let live = Options { engine: Engine::Live, ..lab.options("t0", "t1") };
    let told = attempt(&jumbo, &live).unwrap_err();
    assert!(told.contains("3500") && told.contains("--engine xdp"), "{told}");
    for mtu in [1_500, 4_000, 8_990] {
        let narrow = Lab::new().unwrap();
        narrow.veth("t0", "t1", mtu);
        let told = attempt(&jumbo, &narrow.options("t0", "t1")).unwrap_err();
        assert!(told.contains("9014") && told.contains("mtu"), "{told}");
        assert_eq!(sent_by(&narrow, "t0"), 0);
    }
}
