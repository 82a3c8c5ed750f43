//! Workers that are killed and come back: the pinned link keeps agents' packets from leaving in the clear.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

mod lab;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab::Lab;
use lab::path::{Forwarder, GATEWAY, Sender, TESTER, balanced, check, drain, options, steer, wire_up};
use sterna_xsk::{Port, PortSpec, Side, Steering};

const QUIET: Duration = Duration::from_millis(100);
/// The worker leaves the TTL alone, the kernel lowers it: that tells who forwarded a packet.
const BY_WORKER: u8 = 64;
const BY_KERNEL: u8 = 63;

/// A worker in a process of its own, to be killed.
struct Worker(Child);

impl Worker {
    fn start(lab: &Lab, pins: &Path, to: [u8; 6]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "worker_child", "--nocapture"])
            .env("STERNA_XSK_NAMESPACE", format!("/run/netns/{}", lab.name(GATEWAY)))
            .env("STERNA_XSK_PINS", pins)
            .env("STERNA_XSK_TO", to.map(|byte| format!("{byte:02x}")).join(":"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("worker is ready")), "the worker did not start");
        Self(child)
    }

    /// SIGKILL, and the process is gone.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The process that `Worker` starts: a gateway that copies from g0 to g1 until it is killed.
#[test]
fn worker_child() {
    let Ok(namespace) = std::env::var("STERNA_XSK_NAMESPACE") else {
        return;
    };
    let pins = PathBuf::from(std::env::var_os("STERNA_XSK_PINS").unwrap());
    let to: Vec<u8> = std::env::var("STERNA_XSK_TO")
        .unwrap()
        .split(':')
        .map(|b| u8::from_str_radix(b, 16).unwrap())
        .collect();
    lab::enter(&namespace);
    let specs = ["g0", "g1"].map(|name| PortSpec { name: name.into(), side: Side::Eid, queues: 1 });
    let mut steering = Steering::load(&specs, Some(&pins)).unwrap();
    let ports = ["g0", "g1"].map(|name| Port::open(&options(name, 0)).unwrap());
    for (index, port) in ports.iter().enumerate() {
        steering.register(index, 0, port.wait_fd().unwrap()).unwrap();
    }
    steering.attach(false).unwrap();
    println!("worker is ready");
    let [from, into] = ports;
    let mut forwarder = Forwarder::new(from, into, to.try_into().unwrap());
    loop {
        forwarder.turn();
    }
}

/// The kernel of the gateway would forward 10.8.0.2 -> 10.9.0.2 if it got the packets.
fn let_the_kernel_route(lab: &Lab, far: [u8; 6]) {
    let far = far.map(|byte| format!("{byte:02x}")).join(":");
    lab.ip(GATEWAY, "addr add 10.8.0.1/24 dev g0");
    lab.ip(GATEWAY, "addr add 10.9.0.1/24 dev g1");
    lab.ip(GATEWAY, &format!("neigh add 10.9.0.2 lladdr {far} dev g1 nud permanent"));
    for setting in ["ip_forward=1", "conf.all.rp_filter=0", "conf.g0.rp_filter=0"] {
        lab.run(GATEWAY, "sysctl", &["-q", "-w", &format!("net.ipv4.{setting}")]);
    }
}

/// Sends packets and gives those that arrive, all of which must have been forwarded by the one named.
fn exchange(sender: &mut Sender, far: &mut Port, count: usize, by: u8) -> BTreeSet<u32> {
    let mut arrived = BTreeSet::new();
    let mut left = count;
    while left > 0 {
        left -= sender.send(left.min(16));
        drain(far, Duration::from_millis(2), |bytes| assert!(arrived.insert(check(bytes, by))));
    }
    drain(far, QUIET, |bytes| assert!(arrived.insert(check(bytes, by))));
    arrived
}

#[test]
fn a_killed_worker_fails_closed_and_the_next_takes_over() {
    let Some(mut lab) = Lab::new(2) else { return };
    let pins = lab.pin_dir();
    wire_up(&lab, 1);
    let (_steering, mut far) = steer(&lab, TESTER, &["t1"], Side::Eid);
    let mut far = far.remove(0);
    let_the_kernel_route(&lab, far.mac());
    let port = lab.inside(TESTER, || Port::open(&options("t0", 0)).unwrap());
    let mut sender = Sender::new(port, lab.mac(GATEWAY, "g0"));

    // Without us the kernel forwards: the witness works.
    assert_eq!(exchange(&mut sender, &mut far, 100, BY_KERNEL).len(), 100);

    let mut worker = Worker::start(&lab, &pins, far.mac());
    assert_eq!(exchange(&mut sender, &mut far, 200, BY_WORKER).len(), 200);
    let ifindex = lab.inside(GATEWAY, || sterna_xsk::Interface::find("g0").unwrap().ifindex);
    let pin = pins.join(format!("link-{ifindex}"));
    let inode = std::fs::metadata(&pin).unwrap().ino();

    for round in 0..8 {
        // Killed in the middle of traffic.
        sender.send(64);
        worker.kill();
        drain(&mut far, QUIET, |bytes| {
            check(bytes, BY_WORKER);
        });
        let leaked = exchange(&mut sender, &mut far, 500, BY_KERNEL);
        assert!(leaked.is_empty(), "round {round}: {} packets left in the clear", leaked.len());

        // Started in the middle of traffic: nothing may be the kernel's at any moment.
        worker = std::thread::scope(|scope| {
            let starting = scope.spawn(|| Worker::start(&lab, &pins, far_mac(&lab)));
            while !starting.is_finished() {
                exchange(&mut sender, &mut far, 16, BY_WORKER);
            }
            starting.join().unwrap()
        });
        assert_eq!(exchange(&mut sender, &mut far, 500, BY_WORKER).len(), 500, "round {round}");
        assert_eq!(std::fs::metadata(&pin).unwrap().ino(), inode, "the same link, with a new program");
    }

    worker.kill();
    Steering::unpin(&pins).unwrap();
    Steering::unpin(&pins).unwrap();
    assert!(!pins.exists());
    assert_eq!(exchange(&mut sender, &mut far, 100, BY_KERNEL).len(), 100, "unpinned: the kernel's again");
    assert_eq!(sender.lost, 0);
    balanced(&mut sender.port);
    balanced(&mut far);
}

fn far_mac(lab: &Lab) -> [u8; 6] {
    lab.mac(TESTER, "t1")
}

#[test]
fn stale_pins_are_replaced() {
    let Some(mut lab) = Lab::new(2) else { return };
    let pins = lab.pin_dir();
    wire_up(&lab, 1);
    let start = |lab: &Lab, names: &[&str]| {
        lab.inside(GATEWAY, || {
            let specs: Vec<PortSpec> = names
                .iter()
                .map(|name| PortSpec { name: (*name).into(), side: Side::Eid, queues: 1 })
                .collect();
            let mut steering = Steering::load(&specs, Some(&pins)).unwrap();
            steering.attach(false).unwrap();
            steering
        })
    };
    let count = || std::fs::read_dir(&pins).unwrap().count();
    let program = |lab: &Lab, name: &str| lab.ip(GATEWAY, &format!("link show {name}")).contains("prog/xdp");

    drop(start(&lab, &["g0", "g1"]));
    assert_eq!(count(), 2);
    assert!(program(&lab, "g0") && program(&lab, "g1"), "pinned links stay");
    // An interface that is not ours any more is let go.
    drop(start(&lab, &["g0"]));
    assert_eq!(count(), 1);
    assert!(program(&lab, "g0") && !program(&lab, "g1"));
    // An interface that was deleted and made again is not the one that was pinned.
    lab.ip(GATEWAY, "link del g0");
    lab.veth((TESTER, "t0"), (GATEWAY, "g0"), 1);
    let steering = start(&lab, &["g0"]);
    assert_eq!(count(), 1);
    assert!(program(&lab, "g0"));
    steering.detach().unwrap();
    assert!(!program(&lab, "g0") && !pins.exists());
}
