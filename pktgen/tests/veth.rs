//! Sender and sink over veth pairs: what is sent is counted exactly, and what a network does to it shows.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

mod lab;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lab::Lab;
use sterna_pktgen::profile::Profile;
use sterna_pktgen::report::{Account, Report};
use sterna_pktgen::run::{Engine, Options, run};
use sterna_xsk::{BULK_PORT, PROBE_PORT};

/// Longer than any machine needs; the runs end by their counts.
const PATIENCE_NS: u64 = 120_000_000_000;

const EIDS: &str = "[eids]\nsource = \"10.1.0.10\"\ndestination = \"10.2.0.0\"\n";

fn profile(text: &str) -> Profile {
    Profile::parse(text).unwrap_or_else(|findings| panic!("{findings:?}"))
}

fn counted(profile: &Profile, options: &Options, count: u64) -> Report {
    let options = Options { count: Some(count), duration_ns: Some(PATIENCE_NS), ..options.clone() };
    let report = run(profile, &options, &AtomicBool::new(false), |line| println!("{line}")).unwrap();
    println!("{report}");
    report
}

/// All of `count` arrived as they were sent.
fn whole(count: u64) -> Account {
    Account { sent: count, arrived: count, ..Account::default() }
}

fn healthy(report: &Report) {
    for port in &report.ports {
        assert_eq!((port.frames_leaked, port.tx_invalid), (0, 0), "{port:?}");
    }
    assert!(!report.partial);
}

#[test]
fn what_is_sent_is_counted_exactly() {
    let Some(lab) = Lab::new() else { return };
    lab.veth("t0", "t1", 3_500);
    let options = lab.options("t0", "t1");
    for (text, count) in [
        (format!("rate = 20_000\n{EIDS}count = 100"), 10_000),
        (
            format!("rate = 20_000\nburst = 50\n[frame]\nsize = \"imix\"\n{EIDS}count = 7\norder = \"zipf\""),
            10_000,
        ),
        (format!("rate = 5_000\n[frame]\nsize = 3500\n{EIDS}"), 2_000),
        (format!("rate = \"max\"\n{EIDS}[groups]\nvlans = [10, 20]"), 50_000),
        (
            "rate = 20_000\n[eids]\nsource = \"fd00::1\"\ndestination = \"fd00::2:0\"\ncount = 9".to_owned(),
            5_000,
        ),
        (
            format!(
                "rate = 20_000\n{EIDS}[groups]\niids = [1, 2]\n[lisp]\nsource = \"2001:db8::1\"\ndestination = \"2001:db8::2\""
            ),
            5_000,
        ),
    ] {
        let report = counted(&profile(&text), &options, count);
        // What the kernel said it dropped on the way out never left.
        assert_eq!(report.probes, whole(count - report.sent.lost_busy), "{text}");
        assert_eq!(report.sent.written.packets(), count, "{text}");
        assert_eq!(report.latency_ns.count, report.probes.arrived, "{text}");
        assert_eq!(report.tx_interface.unwrap().tx_packets, report.probes.sent, "{text}");
        healthy(&report);
    }
}

#[test]
fn a_router_that_drops_an_eid_shows_as_loss_of_just_that() {
    let Some(lab) = Lab::new() else { return };
    lab.veth("t0", "f0", 1_500);
    lab.veth("f1", "t1", 1_500);
    for setting in ["ip_forward=1", "conf.all.rp_filter=0", "conf.f0.rp_filter=0"] {
        lab.run(&format!("sysctl -q -w net.ipv4.{setting}"));
    }
    lab.run("ip link set f0 address 02:00:00:00:00:0a");
    lab.run("ip addr add 10.1.0.1/24 dev f0");
    lab.run("ip addr add 10.2.255.254/16 dev f1");
    for eid in ["10.2.0.10", "10.2.0.11"] {
        lab.run(&format!("ip neigh add {eid} lladdr 02:00:00:00:00:0b dev f1 nud permanent"));
    }
    lab.run("ip route add blackhole 10.2.0.11/32");
    let text = "rate = 20_000\n[frame]\ndestination_mac = \"02:00:00:00:00:0a\"\n\
        [eids]\nsource = \"10.1.0.10\"\ndestination = \"10.2.0.10\"\ncount = 2\n";
    let dropped = counted(&profile(text), &lab.options("t0", "t1"), 4_000);
    assert_eq!(dropped.probes, Account { sent: 4_000, arrived: 2_000, lost: 2_000, ..Account::default() });
    // The same router without the black hole: the control that it was the router.
    lab.run("ip route del blackhole 10.2.0.11/32");
    let passed = counted(&profile(text), &lab.options("t0", "t1"), 4_000);
    assert_eq!(passed.probes, whole(4_000));
}

#[test]
fn hostile_packets_go_out_beside_good_ones_and_misses_are_an_account_of_their_own() {
    let Some(lab) = Lab::new() else { return };
    lab.veth("t0", "t1", 1_500);
    let text = format!(
        "rate = 20_000\n{EIDS}[misses]\nshare = 0.25\ndestination = \"10.99.0.0\"\n\
         [hostile]\nshare = 0.25\nclasses = [\"ipv4_bad_checksum\", \"inner_version\", \"runt_frame\"]\n\
         rlocs_v4 = [\"192.0.2.1\", \"192.0.2.2\"]"
    );
    let report = counted(&profile(&text), &lab.options("t0", "t1"), 8_000);
    let written = report.sent.written;
    assert_eq!(report.probes, whole(written.probes));
    // Nobody sorts out misses here, so they arrive.
    assert_eq!(report.misses_arrived, written.misses);
    // Both shares are of all packets; seeded, and five standard deviations would be 194.
    for share in [written.misses, written.hostile] {
        assert!(share.abs_diff(2_000) < 194, "{written:?}");
    }
    // None of these classes is for the probes' port.
    assert_eq!(report.sink.unwrap().to_kernel, written.hostile);
    healthy(&report);
}

#[test]
fn live_frames_are_counted_exactly_and_probes_beside_them() {
    let Some(lab) = Lab::new() else { return };
    lab.veth("t0", "t1", 1_500);
    let options = Options { engine: Engine::Live, ..lab.options("t0", "t1") };
    for (text, count) in [
        (format!("rate = 200_000\n{EIDS}count = 1_000"), 40_000),
        (
            format!("rate = \"max\"\n[frame]\nsize = \"imix\"\n{EIDS}count = 100\norder = \"uniform\""),
            300_000,
        ),
    ] {
        let report = counted(&profile(&text), &options, count);
        let bulk = report.bulk.unwrap();
        assert_eq!(bulk.offered, count, "{text}");
        assert_eq!((bulk.arrived + bulk.refused, bulk.lost, bulk.late), (count, 0, 0), "{text}");
        assert_eq!(report.sink.unwrap().bulk, bulk.arrived);
        // A probe that meets a full ring is dropped by the kernel there; that is no live frame.
        assert_eq!(report.probes.duplicated + report.probes.corrupted + report.probes.reordered, 0);
        assert!(report.probes.arrived > 0);
        // None before the moment from which rates are counted: the fastest veth needs longer for so many.
        assert!(bulk.offered_pps > 0.0 && bulk.offered_pps < 20_000_000.0, "{bulk:?}");
        healthy(&report);
    }
}

/// Datagrams that this thread's namespace took and had no room for, as its socket was not read in time.
fn without_room() -> u64 {
    let read = |file| std::fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap();
    let (v4, v6) = (read("snmp"), read("snmp6"));
    let mut udp = v4.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, numbers) = (udp.next().unwrap(), udp.next().unwrap());
    let mut pairs = names.split(' ').zip(numbers.split(' '));
    let v4 = pairs.find(|(name, _)| *name == "RcvbufErrors").unwrap().1;
    let v6 = v6.lines().find_map(|line| line.strip_prefix("Udp6RcvbufErrors")).unwrap();
    v4.parse::<u64>().unwrap() + v6.trim().parse::<u64>().unwrap()
}

/// The lengths of datagrams that the kernel itself takes on a port, and how many more came that it had no room for: it
/// checks every header and checksum, we do not. Last, how many the interface dropped on sending.
fn taken_by_kernel(lab: &Lab, profile: &Profile, engine: Engine, count: u64) -> (Vec<usize>, u64, u64) {
    let port = if engine == Engine::Live { BULK_PORT } else { PROBE_PORT };
    let (name, sent) = (lab.name.clone(), Arc::new(AtomicBool::new(false)));
    let (all_sent, (ready, is_ready)) = (Arc::clone(&sent), std::sync::mpsc::channel());
    let listener = std::thread::spawn(move || {
        sterna_pktgen::namespace::enter(Some(&name)).unwrap();
        let socket = std::net::UdpSocket::bind(("::", port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let before = without_room();
        ready.send(()).unwrap();
        let (mut lengths, mut bytes) = (Vec::new(), [0; 4_000]);
        loop {
            match socket.recv(&mut bytes) {
                Ok(length) => lengths.push(length),
                Err(_) if all_sent.load(Ordering::Relaxed) => break,
                Err(_) => (),
            }
        }
        (lengths, without_room() - before)
    });
    is_ready.recv().unwrap();
    let options = Options { rx: None, engine, ..lab.options("t0", "t1") };
    let report = counted(profile, &options, count);
    sent.store(true, Ordering::Relaxed);
    let (lengths, without_room) = listener.join().unwrap();
    (lengths, without_room, report.bulk.map_or(report.sent.lost_busy, |bulk| bulk.refused))
}

#[test]
fn the_kernel_takes_what_both_engines_send() {
    let Some(lab) = Lab::new() else { return };
    lab.veth("t0", "t1", 1_500);
    lab.run("sysctl -q -w net.ipv6.conf.t1.disable_ipv6=0");
    lab.run("ip addr add 10.2.0.0/16 dev t1");
    lab.run("ip addr add fd00:2::/64 dev t1 nodad");
    lab.run("ip -6 route add fd00:1::/64 dev t1");
    lab.run("ip route add 10.1.0.0/16 dev t1");
    // Live frames go to the peer's queues only where something polls them (Linux 5.13: GRO does).
    lab.run("ethtool -K t1 gro on");
    lab.run("ip link set t1 address 02:00:00:00:00:01");
    let frame = "[frame]\ndestination_mac = \"02:00:00:00:00:01\"\nsize = [84, 301, 1000]\n";
    for (headers, eids) in [
        (14 + 20 + 8 + 4, "[eids]\nsource = \"10.1.0.1\"\ndestination = \"10.2.0.0\"\n"),
        (14 + 40 + 8 + 4, "[eids]\nsource = \"fd00:1::1\"\ndestination = \"fd00:2::\"\n"),
    ] {
        let profile = profile(&format!("rate = 20_000\n{frame}{eids}[flows]\ncount = 50\n"));
        for engine in [Engine::Xdp, Engine::Live] {
            let (lengths, without_room, refused) = taken_by_kernel(&lab, &profile, engine, 6_000);
            let taken = lengths.len() as u64;
            println!("{taken} taken, no room for {without_room}, {refused} refused");
            assert_eq!(taken + without_room + refused, 6_000, "{engine:?} {eids}");
            for size in [84, 301, 1000] {
                assert!(lengths.contains(&(size - headers)), "{engine:?} {eids} {size}");
            }
        }
    }
}

#[test]
fn a_network_that_may_be_somebodys_is_not_loaded() {
    let Some(lab) = Lab::new() else { return };
    lab.veth("t0", "t1", 1_500);
    let options = Options { own_network: false, ..lab.options("t0", "t1") };
    let refused = run(&profile(&format!("rate = 1\n{EIDS}")), &options, &AtomicBool::new(false), |_| ());
    let told = format!("{:#}", refused.err().unwrap());
    assert!(told.contains("t0 is outside a lab namespace"), "{told}");
}

#[test]
fn an_interrupted_run_reports_what_it_has_as_partial() {
    let Some(lab) = Lab::new() else { return };
    lab.veth("t0", "t1", 1_500);
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sterna-pktgen"));
    command.args(["run", "frames-64", "--rate", "1000", "--json", "--i-own-this-network", "--sleep"]);
    command.args(["--tx", "t0", "--tx-netns", &lab.name, "--rx", "t1", "--rx-netns", &lab.name]);
    command.arg("--hdr").arg(log.path());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["partial"], true);
    let sent = report["probes"]["sent"].as_u64().unwrap();
    assert!(sent > 0 && report["probes"]["arrived"] == sent && report["probes"]["lost"] == 0, "{report}");
    // The live line.
    assert!(told.lines().any(|line| line.contains("p99.9") && line.contains("rx ")), "{told}");
    judge_log(&std::fs::read(log.path()).unwrap(), sent);
}

/// The log is one that others read: every interval decodes, and together they hold every probe.
fn judge_log(log: &[u8], arrived: u64) {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    let mut count = 0;
    for entry in IntervalLogIterator::new(log) {
        let LogEntry::Interval(interval) = entry.unwrap() else { continue };
        let bytes =
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, interval.encoded_histogram());
        let histogram: hdrhistogram::Histogram<u64> =
            Deserializer::new().deserialize(&mut &bytes.unwrap()[..]).unwrap();
        assert_eq!(interval.tag().unwrap().as_str(), "worker0");
        count += histogram.len();
    }
    assert_eq!(count, arrived);
}
