//! Ports over the kernel: veth pairs between namespaces, copy mode.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

mod lab;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use lab::Lab;
use lab::path::{
    Forwarder, GATEWAY, Sender, TESTER, balanced, check, drain, options, packet, steer, wire_up,
};
use sterna_xsk::{BURST, Error, Interface, KernelOptions, Mode, Port, PortSpec, Side, Steering};

const QUIET: Duration = Duration::from_millis(100);

fn sender(lab: &Lab, to: [u8; 6]) -> Sender {
    let port = lab.inside(TESTER, || Port::open(&options("t0", 0)).unwrap());
    Sender::new(port, to)
}

#[test]
fn forwards_frames_unharmed_and_loses_none() {
    const COUNT: u32 = 20_000;
    let Some(lab) = Lab::new(2) else { return };
    wire_up(&lab, 1);
    let (_far_steering, mut far) = steer(&lab, TESTER, &["t1"], Side::Eid);
    let (steering, gateway) = steer(&lab, GATEWAY, &["g0", "g1"], Side::Eid);
    let mut far = far.remove(0);
    let [from, into] = <[Port; 2]>::try_from(gateway).ok().unwrap();
    assert_eq!(steering.modes(), [Mode::Native, Mode::Native]);
    let granted = from.granted();
    assert!(!granted.zero_copy, "veth has none, and we must say so");
    println!("granted: {granted:?}");

    let mut sender = sender(&lab, from.mac());
    let mut forwarder = Forwarder::new(from, into, far.mac());
    let (mut next, mut received, mut frames) = (0, 0, Vec::with_capacity(BURST));
    let end = Instant::now() + Duration::from_secs(60);
    while u64::from(received) + sender.lost + forwarder.lost < u64::from(COUNT) {
        assert!(Instant::now() < end, "{received} received, {} sent", sender.next);
        sender.send((COUNT - sender.next) as usize);
        forwarder.turn();
        far.receive(&mut frames, BURST);
        for frame in &frames {
            let number = check(frame.bytes(), 64);
            assert!(number >= next, "packet {number} after packet {next}: out of order or twice");
            next = number + 1;
            received += 1;
        }
        far.release(&mut frames);
        far.maintain();
    }
    // Every packet was received or counted as lost in the moment it was lost.
    println!("{received} received, {} + {} counted lost", sender.lost, forwarder.lost);
    assert!(received >= COUNT - COUNT / 100);
    for port in [&mut sender.port, &mut forwarder.from, &mut forwarder.into, &mut far] {
        balanced(port);
    }
    let transit = steering.port_verdicts(0).into_iter().find(|(name, _)| *name == "socket_transit");
    assert_eq!(transit.unwrap().1, u64::from(COUNT) - sender.lost);
}

#[test]
fn full_rings_lose_packets_but_no_frames() {
    let Some(lab) = Lab::new(2) else { return };
    wire_up(&lab, 1);
    let (steering, mut port) = lab.inside(GATEWAY, || {
        let specs = [PortSpec { name: "g0".into(), side: Side::Eid, queues: 1 }];
        let mut steering = Steering::load(&specs, None).unwrap();
        let small = KernelOptions { rx_ring: 64, tx_ring: 64, frames: Some(512), ..options("g0", 0) };
        let port = Port::open(&small).unwrap();
        steering.register(0, 0, port.wait_fd().unwrap()).unwrap();
        steering.attach(false).unwrap();
        (steering, port)
    });
    let mut sender = sender(&lab, port.mac());
    let mut sent = 0;
    while sent < 1000 {
        sent += sender.send(1000 - sent);
    }
    std::thread::sleep(QUIET);
    let statistics = port.statistics();
    let refused = statistics.rx_ring_full + statistics.rx_dropped;
    assert!(refused >= 800, "{statistics:?}");
    let mut received = 0;
    drain(&mut port, QUIET, |bytes| {
        check(bytes, 64);
        received += 1;
    });
    let redirected =
        steering.verdict_counters().iter().find(|(name, _)| *name == "socket_transit").unwrap().1;
    assert_eq!(received + refused, redirected, "{statistics:?}");
    balanced(&mut port);
    // And it goes on.
    let mut again = 0;
    for _ in 0..100 {
        sender.send(10);
        drain(&mut port, Duration::from_millis(1), |_| again += 1);
    }
    drain(&mut port, QUIET, |_| again += 1);
    assert_eq!(again + sender.lost, 1000);
    balanced(&mut port);
    balanced(&mut sender.port);
    full_tx_ring(&mut port);
}

/// The tx ring has 64 places.
fn full_tx_ring(port: &mut Port) {
    let mut frames = Vec::new();
    assert_eq!(port.fresh(&mut frames, 150), 150);
    frames.iter_mut().for_each(|frame| assert!(frame.write(&packet(1, [2, 0, 0, 0, 0, 1]))));
    assert_eq!(port.transmit(&mut frames), 64);
    assert_eq!(frames.len(), 86);
    assert_eq!(port.transmit(&mut frames), 0);
    assert!(!port.may_wait(), "packets wait to be sent");
    let kicked = port.kick();
    assert_eq!((kicked.backlog, kicked.error), (0, None), "{kicked:?}");
    port.maintain();
    assert_eq!(port.transmit(&mut frames), 64);
    port.kick();
    port.release(&mut frames);
    balanced(port);
    assert!(port.may_wait());
}

#[test]
fn a_link_that_goes_down_comes_back() {
    let Some(lab) = Lab::new(2) else { return };
    wire_up(&lab, 1);
    let (_steering, mut far) = steer(&lab, GATEWAY, &["g0"], Side::Eid);
    let mut far = far.remove(0);
    let mut sender = sender(&lab, far.mac());
    assert_eq!(sender.send(10), 10);
    lab.ip(TESTER, "link set t0 down");
    assert_eq!(sender.send(10), 10, "the ring still takes packets");
    let kicked = sender.port.kick();
    assert!(kicked.down && !kicked.gone && kicked.backlog > 0, "{kicked:?}");
    lab.ip(TESTER, "link set t0 up");
    let end = Instant::now() + Duration::from_secs(5);
    while sender.port.kick().backlog > 0 {
        assert!(Instant::now() < end, "still down");
    }
    assert_eq!(sender.send(10), 10);
    let mut numbers = BTreeSet::new();
    drain(&mut far, QUIET, |bytes| assert!(numbers.insert(check(bytes, 64))));
    // The kernel may drop what it took just when carrier returned; the last ten must be there.
    assert!(numbers.len() >= 20 && (20..30).all(|number| numbers.contains(&number)), "{numbers:?}");
    balanced(&mut sender.port);
    balanced(&mut far);

    lab.ip(TESTER, "link del t0");
    sender.send(10);
    let kicked = sender.port.kick();
    assert!(kicked.gone || kicked.down, "{kicked:?}");
    assert_eq!(sender.port.ledger().leaked(), 0);
}

#[test]
fn each_queue_has_its_own_socket() {
    let Some(lab) = Lab::new(2) else { return };
    wire_up(&lab, 2);
    let (steering, mut ports) = lab.inside(GATEWAY, || {
        let spec = |name: &str| PortSpec { name: name.into(), side: Side::Eid, queues: 2 };
        let mut steering = Steering::load(&[spec("g1"), spec("g0")], None).unwrap();
        let mut ports = Vec::new();
        for (index, name) in ["g1", "g0"].into_iter().enumerate() {
            for queue in 0..2 {
                let port = Port::open(&options(name, queue)).unwrap();
                steering.register(index, queue, port.wait_fd().unwrap()).unwrap();
                ports.push(port);
            }
        }
        steering.attach(false).unwrap();
        assert!(matches!(Port::open(&options("g0", 2)), Err(Error::NoQueue { queues: 2, queue: 2, .. })));
        (steering, ports)
    });
    assert!(matches!(
        steering.register(0, 2, ports[0].wait_fd().unwrap()),
        Err(Error::NoPort { port: 0, queue: 2 })
    ));
    for (interface, queue, expected) in [("t1", 0, 0), ("t1", 1, 1), ("t0", 0, 2), ("t0", 1, 3)] {
        let port = lab.inside(TESTER, || Port::open(&options(interface, queue)).unwrap());
        let mut sender = Sender::new(port, ports[expected].mac());
        assert_eq!(sender.send(50), 50);
        for (index, port) in ports.iter_mut().enumerate() {
            let mut got = 0;
            drain(port, Duration::from_millis(20), |bytes| {
                check(bytes, 64);
                got += 1;
            });
            assert_eq!(got, if index == expected { 50 } else { 0 }, "{interface} queue {queue} at {index}");
        }
        balanced(&mut sender.port);
    }
    ports.iter_mut().for_each(balanced);
}

#[test]
fn a_closed_socket_is_counted_by_side() {
    let Some(lab) = Lab::new(2) else { return };
    wire_up(&lab, 1);
    let (steering, mut ports) = steer(&lab, GATEWAY, &["g0"], Side::Eid);
    let port = ports.remove(0);
    let mut sender = sender(&lab, port.mac());
    let count = |name: &str| steering.verdict_counters().into_iter().find(|(n, _)| *n == name).unwrap().1;
    sender.send(20);
    assert_eq!((count("socket_transit"), count("drop_no_worker")), (20, 0));
    steering.unregister(0, 0).unwrap();
    steering.unregister(0, 0).unwrap();
    sender.send(20);
    assert_eq!((count("socket_transit"), count("drop_no_worker")), (20, 20));
    steering.register(0, 0, port.wait_fd().unwrap()).unwrap();
    sender.send(20);
    assert_eq!((count("socket_transit"), count("drop_no_worker")), (40, 20));
    drop(port);
    // Another test of this process may be starting a child, which holds the socket for a moment.
    let end = Instant::now() + Duration::from_secs(5);
    while count("drop_no_worker") == 20 {
        assert!(Instant::now() < end, "the socket is still there");
        sender.send(1);
    }
    let so_far = (count("socket_transit"), count("drop_no_worker"));
    sender.send(20);
    assert_eq!((count("socket_transit"), count("drop_no_worker")), (so_far.0, so_far.1 + 20));
    balanced(&mut sender.port);
}

#[test]
fn a_sleeper_wakes_for_a_packet() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let Some(lab) = Lab::new(2) else { return };
    wire_up(&lab, 1);
    let (_steering, mut far) = steer(&lab, GATEWAY, &["g0"], Side::Eid);
    let mut far = far.remove(0);
    let mut sender = sender(&lab, far.mac());
    let sleep = |far: &Port, milliseconds: i64| {
        let limit = Timespec { tv_sec: 0, tv_nsec: milliseconds * 1_000_000 };
        let fd = far.wait_fd().unwrap();
        poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit)).unwrap()
    };
    for _ in 0..20 {
        far.maintain();
        assert!(far.may_wait());
        assert_eq!(sleep(&far, 1), 0, "nothing came");
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            assert_eq!(sender.send(1), 1);
            sender
        });
        assert_eq!(sleep(&far, 900), 1);
        let mut frames = Vec::new();
        assert_eq!(far.receive(&mut frames, BURST), 1);
        far.release(&mut frames);
        sender = thread.join().unwrap();
    }
    balanced(&mut far);
}

#[test]
fn frames_outlive_a_port_and_its_queue_is_free_again() {
    let Some(lab) = Lab::new(2) else { return };
    wire_up(&lab, 1);
    let (steering, mut ports) = steer(&lab, GATEWAY, &["g0"], Side::Eid);
    let mut port = ports.remove(0);
    let mut sender = sender(&lab, port.mac());
    sender.send(40);
    let mut frames = Vec::new();
    assert_eq!(port.receive(&mut frames, BURST), 40);
    drop(port);
    let mut port = lab.inside(GATEWAY, || Port::open(&options("g0", 0)).unwrap());
    steering.register(0, 0, port.wait_fd().unwrap()).unwrap();
    sender.send(40);
    for (number, frame) in frames.iter_mut().enumerate() {
        assert_eq!(check(frame.bytes(), 64) as usize, number);
        frame.bytes_mut().fill(0xff);
    }
    let mut numbers = Vec::new();
    drain(&mut port, QUIET, |bytes| numbers.push(check(bytes, 64)));
    assert_eq!(numbers, (40..80).collect::<Vec<_>>());
    // They are not the new port's, and it does not take them for its own.
    port.release(&mut frames);
    assert_eq!(port.anomalies().foreign_frames, 40);
    assert_eq!(port.ledger(), port.audit());
}

#[test]
fn errors_say_what_is_wrong() {
    let Some(mut lab) = Lab::new(2) else { return };
    wire_up(&lab, 1);
    let pins = lab.pin_dir();
    lab.inside(GATEWAY, || {
        assert!(matches!(Port::open(&options("nosuch0", 0)), Err(Error::NoInterface { .. })));
        assert!(matches!(Port::open(&options("a-name-that-is-too-long", 0)), Err(Error::NoInterface { .. })));
        assert!(matches!(Interface::find(""), Err(Error::NoInterface { .. })));
        let bad = KernelOptions { rx_ring: 1000, ..options("g0", 0) };
        assert!(matches!(Port::open(&bad), Err(Error::BadSize { what: "rx_ring", value: 1000, .. })));

        let impatient = KernelOptions { patience: Duration::from_millis(20), ..options("g0", 0) };
        let first = Port::open(&impatient).unwrap();
        let started = Instant::now();
        assert!(matches!(Port::open(&impatient), Err(Error::QueueTaken { queue: 0, .. })));
        assert!(started.elapsed() >= Duration::from_millis(20));
        drop(first);
        drop(Port::open(&KernelOptions { patience: Duration::from_secs(1), ..impatient }).unwrap());

        let specs = [PortSpec { name: "g0".into(), side: Side::Eid, queues: 1 }];
        assert!(matches!(
            Steering::load(&specs, Some(std::path::Path::new("/tmp/no-bpf-here"))),
            Err(Error::NoBpfFileSystem { .. })
        ));
        let mut first = Steering::load(&specs, None).unwrap();
        first.attach(false).unwrap();
        let mut second = Steering::load(&specs, Some(&pins)).unwrap();
        assert!(matches!(second.attach(true), Err(Error::ForeignProgram { .. })));
        drop(first);
        second.attach(true).unwrap();
        second.detach().unwrap();
        assert!(!pins.exists());

        let mut lo =
            Steering::load(&[PortSpec { name: "lo".into(), side: Side::Rloc, queues: 1 }], None).unwrap();
        assert!(matches!(lo.attach(false), Err(Error::NoNativeMode { .. })));
        lo.attach(true).unwrap();
        assert_eq!(lo.modes(), [Mode::Generic]);
    });
    lab.ip(GATEWAY, "link set g1 mtu 9000");
    lab.inside(GATEWAY, || {
        assert!(matches!(
            Port::open(&options("g1", 0)),
            Err(Error::MtuTooLarge { mtu: 9000, most: 3822, .. })
        ));
    });
}

#[test]
fn without_permission_it_says_which_is_needed() {
    use std::os::unix::process::CommandExt;
    let Some(_lab) = Lab::new(0) else { return };
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "unprivileged_child", "--nocapture"])
        .env("STERNA_XSK_UNPRIVILEGED", "1")
        .uid(65534)
        .gid(65534)
        .output();
    let Ok(output) = output else {
        println!("SKIP: another user cannot run the test binary");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("CAP_NET_ADMIN") && said.contains("CAP_BPF"), "{said}");
}

/// The other process of the test above.
#[test]
fn unprivileged_child() {
    if std::env::var_os("STERNA_XSK_UNPRIVILEGED").is_none() {
        return;
    }
    let options = KernelOptions { promiscuous: false, ..KernelOptions::new("lo", 0) };
    for options in [KernelOptions { promiscuous: true, ..options.clone() }, options] {
        match Port::open(&options) {
            // The loopback's MTU is judged before the permission is needed.
            Err(error @ (Error::NotPermitted { .. } | Error::MtuTooLarge { .. })) => println!("{error}"),
            other => panic!("{:?}", other.err()),
        }
    }
    match Steering::load(&[PortSpec { name: "lo".into(), side: Side::Eid, queues: 1 }], None) {
        Err(error @ Error::NotPermitted { .. }) => println!("{error}"),
        other => panic!("{:?}", other.err()),
    }
}
