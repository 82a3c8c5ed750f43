//! Frames are conserved: a memory port under random use, against a model of what it should hold.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use std::collections::VecDeque;

use proptest::prelude::*;
use sterna_xsk::{BURST, Frame, MemoryOptions, Port, Wire, cycling_port, memory_port};

fn small(frames: u32) -> MemoryOptions {
    MemoryOptions { frames, rx_ring: 16, tx_ring: 16, ..MemoryOptions::default() }
}

fn packet(number: u32, len: usize) -> Vec<u8> {
    (0..len).map(|i| (number as usize + 7 * i) as u8).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Inject { len: usize },
    Receive { max: usize },
    Fresh { count: usize, len: usize },
    Transmit { count: usize },
    Release { count: usize },
    Drop { count: usize },
    ReleaseElsewhere { count: usize },
    TransmitElsewhere { count: usize },
    Kick,
    Collect,
    Maintain,
    Down(bool),
    Lose(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_usize..2100).prop_map(|len| Step::Inject { len }),
        4 => (0_usize..20).prop_map(|max| Step::Receive { max }),
        3 => (0_usize..20, 0_usize..1500).prop_map(|(count, len)| Step::Fresh { count, len }),
        4 => (0_usize..30).prop_map(|count| Step::Transmit { count }),
        3 => (0_usize..20).prop_map(|count| Step::Release { count }),
        1 => (0_usize..4).prop_map(|count| Step::Drop { count }),
        1 => (0_usize..4).prop_map(|count| Step::ReleaseElsewhere { count }),
        1 => (0_usize..4).prop_map(|count| Step::TransmitElsewhere { count }),
        4 => Just(Step::Kick),
        3 => Just(Step::Collect),
        4 => Just(Step::Maintain),
        1 => any::<bool>().prop_map(Step::Down),
        1 => (0_u64..3).prop_map(Step::Lose),
    ]
}

/// The port under test, another one, and what we know must be where.
struct Bench {
    port: Port,
    wire: Wire,
    other: Port,
    /// Frames in our hands, oldest first, with what they must contain.
    held: VecDeque<(Frame, Vec<u8>)>,
    /// On the wire towards the port.
    inbound: VecDeque<Vec<u8>>,
    /// In the tx ring.
    submitted: VecDeque<Vec<u8>>,
    /// Sent, not collected.
    sent: VecDeque<Vec<u8>>,
    /// Chunks on their way back: collected, lost or dropped, before the next maintain.
    dropped: usize,
    down: bool,
    lose: u64,
    number: u32,
}

impl Bench {
    fn new(frames: u32) -> Self {
        let (port, wire) = memory_port(&small(frames));
        let (other, _) = memory_port(&small(8));
        Self {
            port,
            wire,
            other,
            held: VecDeque::new(),
            inbound: VecDeque::new(),
            submitted: VecDeque::new(),
            sent: VecDeque::new(),
            dropped: 0,
            down: false,
            lose: 0,
            number: 0,
        }
    }

    fn take(&mut self, count: usize) -> (Vec<Frame>, Vec<Vec<u8>>) {
        let count = count.min(self.held.len());
        self.held.drain(..count).unzip()
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Inject { len } => self.inject(len),
            Step::Receive { max } => self.receive(max),
            Step::Fresh { count, len } => self.fresh(count, len),
            Step::Transmit { count } => self.transmit(count),
            Step::Release { count } => {
                let (mut frames, _) = self.take(count);
                self.port.release(&mut frames);
                assert!(frames.is_empty());
            }
            Step::Drop { count } => self.dropped += self.take(count).0.len(),
            Step::ReleaseElsewhere { count } => {
                let (mut frames, _) = self.take(count);
                self.dropped += frames.len();
                self.other.release(&mut frames);
            }
            Step::TransmitElsewhere { count } => {
                let (mut frames, contents) = self.take(count);
                assert_eq!(self.other.transmit(&mut frames), 0, "foreign frames are never sent");
                self.held.extend(frames.into_iter().zip(contents));
            }
            Step::Kick => self.kick(),
            Step::Collect => {
                let collected = self.wire.collect();
                assert_eq!(collected, self.sent.drain(..).collect::<Vec<_>>());
            }
            Step::Maintain => {
                self.port.maintain();
                self.dropped = 0;
            }
            Step::Down(down) => {
                self.down = down;
                self.wire.set_down(down);
            }
            Step::Lose(count) => {
                self.lose += count;
                self.wire.lose(count);
            }
        }
    }

    fn inject(&mut self, len: usize) {
        self.number += 1;
        let packet = packet(self.number, len);
        let fits = len <= self.port.frame_capacity() && self.inbound.len() < 16;
        assert_eq!(self.wire.inject(&packet), fits);
        if fits {
            self.inbound.push_back(packet);
        }
    }

    fn receive(&mut self, max: usize) {
        let mut frames = Vec::new();
        let available = max.min(self.inbound.len()).min(self.port.ledger().fill as usize);
        assert_eq!(self.port.receive(&mut frames, max), available);
        for frame in frames {
            let expected = self.inbound.pop_front().unwrap();
            assert_eq!(frame.bytes(), expected);
            self.held.push_back((frame, expected));
        }
    }

    fn fresh(&mut self, count: usize, len: usize) {
        let mut frames = Vec::new();
        let available = count.min(self.port.ledger().free as usize);
        assert_eq!(self.port.fresh(&mut frames, count), available);
        for mut frame in frames {
            self.number += 1;
            assert!(frame.is_empty());
            let contents = packet(self.number, len);
            assert!(frame.write(&contents));
            self.held.push_back((frame, contents));
        }
    }

    fn transmit(&mut self, count: usize) {
        let (mut frames, contents) = self.take(count);
        let (good, runts): (Vec<_>, Vec<_>) = contents.into_iter().partition(|c| c.len() >= 14);
        let room = 16 - self.submitted.len();
        let sent = self.port.transmit(&mut frames);
        assert_eq!(sent, room.min(good.len()));
        let mut rest = good.into_iter();
        self.submitted.extend(rest.by_ref().take(sent));
        let rest: Vec<_> = rest.chain(runts).collect();
        assert_eq!(rest.len(), frames.len());
        for (frame, contents) in frames.into_iter().zip(rest).rev() {
            self.held.push_front((frame, contents));
        }
    }

    fn kick(&mut self) {
        let kicked = self.port.kick();
        let mut lost = 0;
        while !self.down && self.sent.len() < 16 {
            let Some(packet) = self.submitted.pop_front() else {
                break;
            };
            if self.lose > 0 {
                self.lose -= 1;
                lost += 1;
            } else {
                self.sent.push_back(packet);
            }
        }
        assert_eq!((kicked.lost_busy, kicked.down), (lost, self.down));
        assert_eq!(kicked.backlog as usize, self.submitted.len());
    }

    fn check(&self, total: u32) {
        let ledger = self.port.ledger();
        assert_eq!(ledger.total, total);
        assert_eq!(ledger.leaked(), 0);
        assert_eq!(ledger, self.port.audit());
        assert_eq!(ledger.held_by_app as usize, self.held.len() + self.dropped);
        assert!(ledger.tx as usize >= self.submitted.len() + self.sent.len());
        assert_eq!(self.port.anomalies().bad_descriptors, 0);
        for (frame, contents) in &self.held {
            assert_eq!(frame.bytes(), contents, "a held frame changed");
        }
    }

    /// Everything is given back: all chunks must be home.
    fn finish(mut self, total: u32) {
        self.wire.set_down(false);
        let mut frames: Vec<Frame> = self.held.drain(..).map(|(frame, _)| frame).collect();
        self.port.release(&mut frames);
        for _ in 0..4 {
            self.port.kick();
            self.wire.collect();
            self.port.maintain();
        }
        let ledger = self.port.ledger();
        assert_eq!((ledger.held_by_app, ledger.tx, ledger.leaked()), (0, 0, 0));
        assert_eq!(ledger.free + ledger.fill, total);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn frames_are_conserved(total in 1_u32..80, steps in prop::collection::vec(step(), 1..200)) {
        let mut bench = Bench::new(total);
        for step in &steps {
            bench.apply(step);
            bench.check(total);
        }
        bench.finish(total);
    }
}

#[test]
fn ports_and_frames_may_move_between_threads() {
    fn send<T: Send>() {}
    send::<Port>();
    send::<Frame>();
    send::<Wire>();
    send::<sterna_xsk::Steering>();
}

#[test]
fn lengths_stay_within_the_frame() {
    let (mut port, _wire) = memory_port(&small(4));
    let mut frames = Vec::new();
    port.fresh(&mut frames, 1);
    let capacity = port.frame_capacity();
    let frame = &mut frames[0];
    assert_eq!(frame.capacity(), capacity);
    assert!(frame.set_len(capacity));
    assert!(!frame.set_len(capacity + 1));
    assert!(!frame.set_len(usize::MAX));
    assert_eq!(frame.len(), capacity);
    assert!(!frame.write(&vec![1; capacity + 1]));
    assert_eq!(frame.len(), capacity);
    assert_eq!(frame.room_mut().len(), capacity);
}

#[test]
fn large_mtu_takes_large_frames() {
    let (port, wire) = memory_port(&MemoryOptions { mtu: 3000, ..small(4) });
    assert_eq!(port.granted().frame_size, 4096);
    assert!(wire.inject(&[1; 3018]));
}

#[test]
fn frames_outlive_their_port() {
    let (mut port, wire) = memory_port(&small(8));
    assert!(wire.inject(&packet(3, 100)));
    let mut frames = Vec::new();
    assert_eq!(port.receive(&mut frames, 1), 1);
    drop((port, wire));
    frames[0].bytes_mut()[0] = 9;
    assert_eq!(frames[0].bytes()[1..], packet(3, 100)[1..]);
    drop(frames);
    // The home of a port that was left with frames out is never given to another port.
    let (mut next, _wire) = memory_port(&small(8));
    next.maintain();
    assert_eq!(next.anomalies().dropped_frames, 0);
}

#[test]
fn dropped_frames_come_home_from_other_threads() {
    let (mut port, _wire) = memory_port(&small(64));
    for _ in 0..50 {
        let mut frames = Vec::new();
        port.fresh(&mut frames, 20);
        std::thread::spawn(move || drop(frames)).join().unwrap();
        port.maintain();
    }
    assert_eq!(port.anomalies().dropped_frames, 1000);
    assert_eq!(port.ledger().held_by_app, 0);
}

#[test]
fn foreign_and_runt_frames_are_counted() {
    let (mut port, _wire) = memory_port(&small(16));
    let (mut other, _other_wire) = memory_port(&small(16));
    let mut frames = Vec::new();
    port.fresh(&mut frames, 2);
    assert!(frames[0].write(&[1; 64]) && frames[1].write(&[1; 13]));
    assert_eq!(other.transmit(&mut frames), 0);
    assert_eq!(frames.len(), 2);
    assert_eq!(port.transmit(&mut frames), 1);
    assert_eq!(frames.len(), 1);
    other.release(&mut frames);
    port.maintain();
    assert_eq!(other.anomalies().foreign_frames, 3);
    assert_eq!((port.anomalies().runt_frames, port.anomalies().dropped_frames), (1, 1));
    assert_eq!(port.ledger().held_by_app + other.ledger().held_by_app, 0);
}

#[test]
fn a_part_of_a_packet_is_not_sent_where_packets_have_one_frame() {
    let (mut port, wire) = memory_port(&small(16));
    let mut frames = Vec::new();
    port.fresh(&mut frames, 2);
    assert!(frames[0].write(&[1; 64]) && frames[1].write(&[2; 64]));
    frames[0].set_continued(true);
    assert_eq!(port.transmit(&mut frames), 1);
    port.kick();
    assert_eq!(wire.collect(), [vec![2; 64]]);
    assert_eq!(port.anomalies().unjoined_frames, 1);
    port.release(&mut frames);
    port.maintain();
    assert_eq!(port.ledger().held_by_app, 0);
    // Handed out anew it is a frame like any other.
    port.fresh(&mut frames, 16);
    assert!(!frames.iter().any(sterna_xsk::Frame::is_continued));
    port.release(&mut frames);
}

#[test]
fn without_a_holder_the_wire_completes_by_itself() {
    let (mut port, wire) = memory_port(&small(16));
    drop(wire);
    for _ in 0..100 {
        let mut frames = Vec::new();
        assert_eq!(port.fresh(&mut frames, 4), 4);
        frames.iter_mut().for_each(|frame| assert!(frame.write(&[5; 60])));
        assert_eq!(port.transmit(&mut frames), 4);
        port.kick();
        port.maintain();
    }
    assert_eq!(port.ledger().tx, 0);
}

#[test]
fn uncollected_packets_fill_the_tx_ring() {
    let (mut port, wire) = memory_port(&small(128));
    let mut frames = Vec::new();
    port.fresh(&mut frames, 40);
    frames.iter_mut().for_each(|frame| assert!(frame.write(&[5; 60])));
    assert_eq!(port.transmit(&mut frames), 16);
    assert_eq!(port.kick().backlog, 0);
    assert_eq!(port.transmit(&mut frames), 16);
    assert_eq!(port.kick().backlog, 16, "nobody took the first 16");
    assert_eq!(port.transmit(&mut frames), 0);
    assert_eq!(frames.len(), 8);
    assert_eq!(wire.collect().len(), 16);
    assert_eq!(port.kick().backlog, 0);
}

#[test]
fn cycle_gives_the_same_packets_in_turn() {
    let packets: Vec<Vec<u8>> = (0..10).map(|n| packet(n, 60 + n as usize)).collect();
    let mut port = cycling_port(&small(32), packets.iter().map(Vec::as_slice));
    let (mut frames, mut out) = (Vec::with_capacity(BURST), Vec::with_capacity(BURST));
    let mut seen = 0;
    for round in 0..100 {
        port.receive(&mut frames, 1 + round % 7);
        for frame in &frames {
            assert_eq!(frame.bytes(), packets[seen % 10]);
            seen += 1;
        }
        port.fresh(&mut out, frames.len());
        out.iter_mut().for_each(|frame| assert!(frame.write(&[0xee; 100])));
        assert_eq!(port.transmit(&mut out), frames.len());
        port.release(&mut frames);
        port.kick();
        port.maintain();
        assert_eq!(port.ledger(), port.audit());
    }
    assert!(seen > 300);
    assert_eq!(port.ledger().fill, 10);
}

#[test]
fn cycle_leaves_out_what_does_not_fit() {
    let packets: [&[u8]; 3] = [&[1; 60], &[2; 3000], &[3; 60]];
    let mut port = cycling_port(&small(8), packets);
    let mut frames = Vec::new();
    assert_eq!(port.receive(&mut frames, 8), 2);
    assert_eq!((frames[0].bytes()[0], frames[1].bytes()[0]), (1, 3));
}
