//! A tester's two ports around a gateway, and packets that can be told apart and checked byte for byte.

use std::time::{Duration, Instant};

use sterna_xsk::{BURST, Frame, KernelOptions, Port, PortSpec, Side, Steering};

use super::Lab;

/// The tester's namespace.
pub const TESTER: usize = 0;
/// The gateway's namespace.
pub const GATEWAY: usize = 1;

/// t0 -- g0 and g1 -- t1.
pub fn wire_up(lab: &Lab, queues: u32) {
    lab.veth((TESTER, "t0"), (GATEWAY, "g0"), queues);
    lab.veth((TESTER, "t1"), (GATEWAY, "g1"), queues);
}

pub fn options(interface: &str, queue: u32) -> KernelOptions {
    KernelOptions { frames: Some(4096), rx_ring: 1024, tx_ring: 512, ..KernelOptions::new(interface, queue) }
}

/// Loads steering for interfaces of a namespace, opens queue 0 of each and attaches.
pub fn steer(lab: &Lab, namespace: usize, names: &[&str], side: Side) -> (Steering, Vec<Port>) {
    lab.inside(namespace, || {
        let specs: Vec<PortSpec> =
            names.iter().map(|name| PortSpec { name: (*name).into(), side, queues: 1 }).collect();
        let mut steering = Steering::load(&specs, None).unwrap();
        let ports: Vec<Port> = names.iter().map(|name| Port::open(&options(name, 0)).unwrap()).collect();
        for (index, port) in ports.iter().enumerate() {
            steering.register(index, 0, port.wait_fd().unwrap()).unwrap();
        }
        steering.attach(false).unwrap();
        (steering, ports)
    })
}

/// A valid IPv4 and UDP packet of a length and content that follow from its number.
pub fn packet(number: u32, to: [u8; 6]) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(18 + (number.wrapping_mul(2_654_435_761) >> 8) as usize % 1430, 0);
    let mut state = number;
    for byte in &mut payload[4..] {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (state >> 24) as u8;
    }
    let mut frame = Vec::new();
    etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], to)
        .ipv4([10, 8, 0, 2], [10, 9, 0, 2], 64)
        .udp(1000, 2000)
        .write(&mut frame, &payload)
        .unwrap();
    frame
}

/// A received packet's number; panics when anything behind its MAC addresses differs from what was sent.
pub fn check(bytes: &[u8], ttl: u8) -> u32 {
    let number = u32::from_be_bytes(bytes[42..46].try_into().unwrap());
    let sent = packet(number, [0; 6]);
    assert_eq!(bytes[22], ttl, "TTL of packet {number}");
    assert_eq!(bytes[26..], sent[26..], "content of packet {number}");
    number
}

/// Sends numbered packets.
pub struct Sender {
    pub port: Port,
    pub to: [u8; 6],
    pub next: u32,
    pub lost: u64,
    frames: Vec<Frame>,
}

impl Sender {
    pub fn new(port: Port, to: [u8; 6]) -> Self {
        Self { port, to, next: 0, lost: 0, frames: Vec::with_capacity(BURST) }
    }

    /// Submits up to `count` packets and kicks; gives how many went.
    pub fn send(&mut self, count: usize) -> usize {
        self.port.maintain();
        self.port.fresh(&mut self.frames, count.min(BURST));
        for (i, frame) in self.frames.iter_mut().enumerate() {
            assert!(frame.write(&packet(self.next + i as u32, self.to)));
        }
        let sent = self.port.transmit(&mut self.frames);
        self.port.release(&mut self.frames);
        self.next += sent as u32;
        self.lost += self.port.kick().lost_busy;
        sent
    }
}

/// Copies what comes in at one port to another, as encapsulation would.
pub struct Forwarder {
    pub from: Port,
    pub into: Port,
    pub to: [u8; 6],
    pub forwarded: u64,
    pub lost: u64,
    received: Vec<Frame>,
    written: Vec<Frame>,
}

impl Forwarder {
    pub fn new(from: Port, into: Port, to: [u8; 6]) -> Self {
        let burst = || Vec::with_capacity(BURST);
        Self { from, into, to, forwarded: 0, lost: 0, received: burst(), written: burst() }
    }

    /// One worker's turn.
    pub fn turn(&mut self) {
        let count = self.from.receive(&mut self.received, BURST);
        let fresh = self.into.fresh(&mut self.written, count);
        for (from, to) in self.received.iter().zip(&mut self.written) {
            from.prefetch();
            assert!(to.write(from.bytes()));
            to.bytes_mut()[..6].copy_from_slice(&self.to);
        }
        self.lost += (count - fresh) as u64;
        self.from.release(&mut self.received);
        self.forwarded += self.into.transmit(&mut self.written) as u64;
        self.lost += self.written.len() as u64;
        self.into.release(&mut self.written);
        let kicked = self.into.kick();
        assert_eq!((kicked.error, kicked.gone), (None, false));
        self.lost += kicked.lost_busy;
        self.from.maintain();
        self.into.maintain();
    }
}

/// Receives until nothing has come for `quiet`; hands each packet's bytes to `each`.
pub fn drain(port: &mut Port, quiet: Duration, mut each: impl FnMut(&[u8])) {
    let mut last = Instant::now();
    let mut frames = Vec::with_capacity(BURST);
    while last.elapsed() < quiet {
        if port.receive(&mut frames, BURST) > 0 {
            last = Instant::now();
        }
        frames.iter().for_each(|frame| each(frame.bytes()));
        port.release(&mut frames);
        port.maintain();
    }
}

/// Waits until sent chunks have come back, then requires that every chunk is accounted for.
pub fn balanced(port: &mut Port) {
    let end = Instant::now() + Duration::from_secs(5);
    while port.ledger().tx > 0 && Instant::now() < end {
        port.kick();
        port.maintain();
    }
    let ledger = port.ledger();
    assert_eq!(ledger, port.audit());
    assert_eq!((ledger.leaked(), ledger.held_by_app, ledger.tx), (0, 0, 0), "{}: {ledger:?}", port.name());
    assert_eq!(port.anomalies(), sterna_xsk::Anomalies::default());
    let statistics = port.statistics();
    assert_eq!((statistics.tx_invalid_descs, statistics.rx_invalid_descs), (0, 0));
}
