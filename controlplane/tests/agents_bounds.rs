//! What agents may cost at their gateway's address: two TCP ends and a clock in the test's hand.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod agent;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use agent::Host;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use sterna_controlplane::eid_api::bounds::{CLOSING, IDLE, IN_ALL, LIFE, OPENING, PER_AGENT, PER_GROUP};
use sterna_controlplane::eid_api::counters::Counter;
use sterna_controlplane::eid_api::stream::Stream;
use sterna_controlplane::eid_api::{Agent, Endpoint};
use sterna_wire::Iid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PORT: u16 = 4380;

fn iid(number: u32) -> Iid {
    Iid::new(number).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

struct Bench {
    endpoint: Endpoint,
    host: Host,
    gateway: IpAddr,
    now: Instant,
    accepted: Vec<(Agent, u64)>,
}

impl Bench {
    fn new(eid: &str, gateway: &str) -> Bench {
        let now = Instant::now();
        let host = Host::new(ip(eid), now);
        Bench { endpoint: Endpoint::default(), host, gateway: ip(gateway), now, accepted: Vec::new() }
    }

    fn v4() -> Bench {
        Bench::new("10.1.0.5", "10.1.0.1")
    }

    /// Carries packets until both are silent.
    fn settle(&mut self) {
        let mut down = Vec::new();
        loop {
            let up = self.host.turn(down, self.now);
            for packet in &up {
                self.endpoint.stacks().receive(iid(100), packet, self.now);
            }
            let output = self.endpoint.stacks().run(self.now);
            self.accepted.extend(output.accepted);
            down = output.packets.into_iter().map(|(_, packet)| packet).collect();
            if up.is_empty() && down.is_empty() {
                return;
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.settle();
    }

    fn connect(&mut self) -> SocketHandle {
        let handle = self.host.connect(self.gateway, PORT);
        self.settle();
        handle
    }

    fn count(&self, counter: Counter) -> u64 {
        self.endpoint.stacks().counters().get(counter)
    }

    fn open(&self) -> usize {
        self.endpoint.stacks().connections()
    }

    fn stream(&mut self) -> Stream {
        let (agent, id) = self.accepted.remove(0);
        Stream::new(self.endpoint.clone(), agent, id)
    }
}

/// A SYN from this agent, as its host would send it.
fn syn(eid: IpAddr, gateway: IpAddr, now: Instant) -> Vec<u8> {
    let mut host = Host::new(eid, now);
    host.connect(gateway, PORT);
    host.turn(Vec::new(), now).remove(0)
}

#[tokio::test]
async fn bytes_go_both_ways_and_the_end_is_seen_on_both_sides() {
    for (eid, gateway) in [("10.1.0.5", "10.1.0.1"), ("fd00:64::5", "fd00:64::1")] {
        let mut bench = Bench::new(eid, gateway);
        let handle = bench.connect();
        assert_eq!(bench.host.state(handle), State::Established);
        assert_eq!(bench.accepted, [(Agent { iid: iid(100), eid: ip(eid) }, 1)]);
        let mut stream = bench.stream();
        bench.host.socket(handle).send_slice(b"hello").unwrap();
        bench.settle();
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
        stream.write_all(b"good day").await.unwrap();
        bench.settle();
        assert_eq!(bench.host.read(handle), b"good day");
        bench.host.socket(handle).close();
        bench.settle();
        assert_eq!(stream.read(&mut heard).await.unwrap(), 0);
        stream.shutdown().await.unwrap();
        drop(stream);
        bench.settle();
        assert_eq!((bench.open(), bench.count(Counter::Accepted)), (0, 1));
        assert!(bench.endpoint.stacks().next_deadline().is_none(), "nothing is left");
    }
}

#[tokio::test]
async fn more_than_a_buffer_waits_for_the_reader_on_either_side() {
    let mut bench = Bench::v4();
    let handle = bench.connect();
    let mut stream = bench.stream();
    let said: Vec<u8> = (0..14_000u32).map(|n| n as u8).collect();
    bench.host.socket(handle).send_slice(&said).unwrap();
    let mut heard: Vec<u8> = Vec::new();
    while heard.len() < said.len() {
        bench.pass(Duration::from_millis(20));
        let mut part = [0; 1000];
        let read = stream.read(&mut part).await.unwrap();
        heard.extend(&part[..read]);
    }
    assert_eq!(heard, said);
    let writing = async {
        stream.write_all(&said).await.unwrap();
        stream
    };
    tokio::pin!(writing);
    let mut back = Vec::new();
    while back.len() < said.len() {
        tokio::select! {
            biased;
            stream = &mut writing => { std::mem::forget(stream); break },
            () = tokio::task::yield_now() => {}
        }
        bench.pass(Duration::from_millis(20));
        back.extend(bench.host.read(handle));
    }
    while back.len() < said.len() {
        bench.pass(Duration::from_millis(20));
        back.extend(bench.host.read(handle));
    }
    assert_eq!(back, said);
}

#[test]
fn one_agent_has_a_few_connections_and_gets_room_again() {
    let mut bench = Bench::v4();
    let handles: Vec<_> = (0..PER_AGENT).map(|_| bench.connect()).collect();
    let one_more = bench.connect();
    assert_eq!(bench.host.state(one_more), State::Closed, "refused, not left waiting");
    assert_eq!((bench.open(), bench.count(Counter::RefusedAgent)), (PER_AGENT, 1));
    drop(bench.stream());
    bench.settle();
    assert_eq!((bench.host.state(handles[0]), bench.open()), (State::Closed, PER_AGENT - 1), "reset");
    let again = bench.connect();
    assert_eq!(bench.host.state(again), State::Established);
}

#[test]
fn a_connection_that_is_closed_by_us_makes_room_at_once() {
    let mut bench = Bench::v4();
    for _ in 0..5 * PER_AGENT {
        let handle = bench.connect();
        let mut stream = bench.stream();
        futures_util::future::FutureExt::now_or_never(stream.shutdown()).unwrap().unwrap();
        drop(stream);
        bench.settle();
        assert_eq!(bench.host.state(handle), State::CloseWait);
        bench.host.socket(handle).close();
        bench.settle();
        assert_eq!(bench.open(), 0);
    }
    assert_eq!(bench.count(Counter::RefusedAgent), 0);
}

#[test]
fn groups_and_all_together_are_bounded_and_half_open_ones_go_by_themselves() {
    let bench = Bench::v4();
    let now = bench.now;
    let agent = |n: usize| IpAddr::from(std::net::Ipv4Addr::from(0x0a01_0100 + u32::try_from(n).unwrap()));
    let groups = IN_ALL / PER_GROUP;
    for group in 0..=groups {
        for n in 0..=PER_GROUP {
            let group = iid(u32::try_from(group).unwrap());
            bench.endpoint.stacks().receive(group, &syn(agent(n), bench.gateway, now), now);
        }
    }
    let all = (groups + 1) * (PER_GROUP + 1);
    let refused = (bench.count(Counter::RefusedGroup), bench.count(Counter::RefusedAll));
    assert_eq!(refused, (groups as u64, PER_GROUP as u64 + 1));
    assert_eq!(bench.open(), IN_ALL);
    let answers = bench.endpoint.stacks().run(now).packets.len();
    assert_eq!(answers, all, "each was answered, by yes or no");
    let later = now + OPENING;
    assert!(bench.endpoint.stacks().next_deadline().unwrap() < later);
    bench.endpoint.stacks().run(later);
    assert_eq!((bench.open(), bench.count(Counter::Idle)), (0, IN_ALL as u64));
    assert!(bench.endpoint.stacks().next_deadline().is_none());
}

#[tokio::test]
async fn a_silent_agent_is_reset() {
    let mut bench = Bench::v4();
    let handle = bench.connect();
    let mut stream = bench.stream();
    bench.pass(IDLE - Duration::from_secs(1));
    bench.host.socket(handle).send_slice(b"x").unwrap();
    bench.settle();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
    bench.pass(IDLE - Duration::from_secs(1));
    assert_eq!((bench.host.state(handle), bench.count(Counter::Idle)), (State::Established, 0));
    bench.pass(Duration::from_secs(2));
    assert_eq!((bench.host.state(handle), bench.count(Counter::Idle)), (State::Closed, 1));
    assert!(stream.read_u8().await.is_err());
    drop(stream);
    bench.settle();
    assert_eq!(bench.open(), 0);
}

#[tokio::test]
async fn one_that_speaks_for_ever_is_reset_when_its_time_is_over() {
    let mut bench = Bench::v4();
    let handle = bench.connect();
    let mut stream = bench.stream();
    let start = bench.now;
    while bench.now + IDLE / 2 < start + LIFE {
        bench.pass(IDLE / 2);
        bench.host.socket(handle).send_slice(b"x").unwrap();
        bench.settle();
        assert_eq!(stream.read_u8().await.unwrap(), b'x');
    }
    assert_eq!(bench.host.state(handle), State::Established);
    bench.pass(IDLE / 2);
    let reset = (bench.count(Counter::Idle), bench.count(Counter::Expired));
    assert_eq!((bench.host.state(handle), reset), (State::Closed, (0, 1)));
}

#[test]
fn one_that_is_closing_and_never_hears_is_given_up() {
    let mut bench = Bench::v4();
    bench.connect();
    let mut stream = bench.stream();
    futures_util::future::FutureExt::now_or_never(stream.shutdown()).unwrap().unwrap();
    drop(stream);
    let now = bench.now;
    bench.endpoint.stacks().run(now);
    assert_eq!(bench.open(), 1);
    bench.endpoint.stacks().run(now + CLOSING + Duration::from_secs(1));
    assert_eq!(bench.open(), 0);
}

#[test]
fn a_segment_of_no_connection_is_answered_with_a_reset_and_leaves_nothing() {
    let mut bench = Bench::v4();
    let handle = bench.connect();
    bench.endpoint.stacks().clear();
    bench.host.socket(handle).send_slice(b"still there?").unwrap();
    bench.settle();
    assert_eq!((bench.host.state(handle), bench.open()), (State::Closed, 0));
}

#[test]
fn another_port_after_a_reload_begins_anew() {
    let mut bench = Bench::v4();
    bench.connect();
    let mut stream = bench.stream();
    let other = bench.host.connect(bench.gateway, PORT + 1);
    bench.settle();
    assert_eq!((bench.host.state(other), bench.open()), (State::Established, 1));
    let mut byte = [0];
    let read = futures_util::future::FutureExt::now_or_never(stream.read(&mut byte)).unwrap();
    assert!(read.is_err(), "the old connection is gone");
    drop(stream);
    bench.settle();
    assert_eq!(bench.open(), 1);
}

#[test]
fn a_syn_that_comes_twice_opens_one_connection() {
    let bench = Bench::v4();
    let packet = syn(ip("10.1.0.5"), bench.gateway, bench.now);
    for _ in 0..3 {
        bench.endpoint.stacks().receive(iid(100), &packet, bench.now);
    }
    assert_eq!(bench.open(), 1);
}

#[test]
fn sequence_numbers_of_one_agent_tell_nothing_of_another_s() {
    let bench = Bench::v4();
    let first = |eid: &str| {
        bench.endpoint.stacks().receive(iid(100), &syn(ip(eid), bench.gateway, bench.now), bench.now);
        let answer = bench.endpoint.stacks().run(bench.now).packets.remove(0).1;
        answer[24..28].to_vec()
    };
    let numbers: std::collections::BTreeSet<_> =
        (1..100).map(|n| first(&format!("10.1.0.{}", n + 1))).collect();
    assert_eq!(numbers.len(), 99);
}

#[test]
fn noise_is_counted_and_answered_by_nothing() {
    let bench = Bench::v4();
    let mut packet = syn(ip("10.1.0.5"), bench.gateway, bench.now);
    for noise in [&[][..], &[0x45], &packet[..39], &[0x60; 60]] {
        bench.endpoint.stacks().receive(iid(100), noise, bench.now);
    }
    assert_eq!((bench.count(Counter::Malformed), bench.count(Counter::Segments)), (4, 4));
    // A checksum that is wrong: TCP itself looks at it.
    *packet.last_mut().unwrap() ^= 1;
    bench.endpoint.stacks().receive(iid(100), &packet, bench.now);
    assert!(bench.endpoint.stacks().run(bench.now).packets.is_empty());
    assert_eq!(bench.open(), 0);
}
