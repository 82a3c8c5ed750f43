//! HTTP with agents at their gateway's address, over the way that the dataplane's packets come.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod agent;
mod model;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::Host;
use axum::Router;
use axum::routing::{get, put};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use sterna_controlplane::eid_api::bounds::{BODY, BUFFER, HEAD, PER_AGENT};
use sterna_controlplane::eid_api::counters::Counter;
use sterna_controlplane::eid_api::serve::{Link, serve};
use sterna_controlplane::eid_api::{Agent, Endpoint, http};
use sterna_controlplane::plane::ControlPlane;
use sterna_controlplane::shared::Shared;
use sterna_shm::{
    CounterDesc, Counters, DataplaneSession, Heard, Kind, Offer, PACKET, PacketLink, session_pair,
};
use sterna_wire::Iid;
use tokio::sync::watch;

const PORT: u16 = 4380;
const PATIENCE: Duration = Duration::from_secs(20);

fn iid(number: u32) -> Iid {
    Iid::new(number).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Who asks, and what came.
fn endpoints(agent: Agent) -> Router {
    let who = format!("{} in {}", agent.eid, agent.iid);
    http::bounded(
        Router::new()
            .route("/who", get(move || async move { who }))
            .route("/echo", put(|body: String| async move { body })),
    )
}

/// A served endpoint, and a dataplane that carries between it and hosts.
struct Bench {
    endpoint: Endpoint,
    links: watch::Sender<Link>,
    dataplane: DataplaneSession,
}

fn way() -> (DataplaneSession, PacketLink) {
    let rx = CounterDesc { name: "rx_packets", kind: Kind::Rx, help: "Packets received." };
    let counters = Counters::create(&[rx], &[]).unwrap();
    let offer = Offer { counters: &counters, ring_slots: 8, ports: &[] };
    let (dataplane, mut control) = session_pair(&offer).unwrap();
    (dataplane, control.packets.take().unwrap())
}

impl Bench {
    fn new() -> Bench {
        Self::with(endpoints)
    }

    fn with(router: impl Fn(Agent) -> Router + Send + Sync + 'static) -> Bench {
        let (dataplane, link) = way();
        let links = watch::Sender::new(Some(Arc::new(link)));
        let endpoint = Endpoint::default();
        tokio::spawn(serve(endpoint.clone(), links.subscribe(), router));
        Bench { endpoint, links, dataplane }
    }

    /// Carries packets of one host for a moment.
    async fn carry(&self, group: Iid, host: &mut Host) {
        let mut packet = [0; PACKET];
        let mut down = Vec::new();
        while let Heard::Packet { iid, len } = self.dataplane.packets.receive(&mut packet) {
            assert_eq!(iid, group);
            down.push(packet[..len].to_vec());
        }
        for packet in host.turn(down, Instant::now()) {
            assert!(self.dataplane.packets.send(group, &packet));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Carries until something holds.
    async fn until(&self, group: Iid, host: &mut Host, mut holds: impl FnMut(&mut Host) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(host) {
            assert!(Instant::now() < deadline, "too late");
            self.carry(group, host).await;
        }
    }

    async fn connect(&self, group: Iid, host: &mut Host, gateway: &str) -> SocketHandle {
        let handle = host.connect(ip(gateway), PORT);
        self.until(group, host, |host| host.state(handle) != State::SynSent).await;
        handle
    }

    /// Sends a request, and gives status and body of the answer.
    async fn ask(&self, group: Iid, host: &mut Host, on: SocketHandle, request: &[u8]) -> (u16, String) {
        let (mut sent, mut answer) = (0, Vec::new());
        self.until(group, host, |host| {
            let socket = host.socket(on);
            if sent < request.len() && socket.can_send() {
                sent += socket.send_slice(&request[sent..]).unwrap();
            }
            answer.extend(host.read(on));
            is_whole(&answer) || !host.socket(on).may_recv()
        })
        .await;
        let text = String::from_utf8(answer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn count(&self, counter: Counter) -> u64 {
        self.endpoint.stacks().counters().get(counter)
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

#[tokio::test]
async fn each_agent_is_known_by_its_own_address_and_group() {
    let bench = Bench::new();
    for (group, eid, gateway) in
        [(100, "10.1.0.5", "10.1.0.1"), (200, "10.1.0.5", "10.1.0.1"), (100, "fd00:64::5", "fd00:64::1")]
    {
        let (group, mut host) = (iid(group), Host::new(ip(eid), Instant::now()));
        let on = bench.connect(group, &mut host, gateway).await;
        for _ in 0..3 {
            let answer = bench.ask(group, &mut host, on, &request("GET", "/who", "")).await;
            assert_eq!(answer, (200, format!("{eid} in {group}")), "on one connection");
        }
        let (status, _) = bench.ask(group, &mut host, on, &request("GET", "/v1/status", "")).await;
        assert_eq!(status, 404);
        host.socket(on).close();
        bench.until(group, &mut host, |_| bench.endpoint.stacks().connections() == 0).await;
    }
    assert_eq!(bench.count(Counter::Accepted), 3);
}

#[tokio::test]
async fn bodies_longer_than_a_buffer_pass_both_ways_and_longer_than_the_bound_do_not() {
    let bench = Bench::new();
    let (group, mut host) = (iid(100), Host::new(ip("10.1.0.5"), Instant::now()));
    let on = bench.connect(group, &mut host, "10.1.0.1").await;
    let body = "sterna ".repeat(3 * BUFFER / 7);
    let answer = bench.ask(group, &mut host, on, &request("PUT", "/echo", &body)).await;
    assert_eq!(answer, (200, body));
    let long = "x".repeat(BODY + 1);
    let (status, _) = bench.ask(group, &mut host, on, &request("PUT", "/echo", &long)).await;
    assert_eq!(status, 413);
    let on = bench.connect(group, &mut host, "10.1.0.1").await;
    let head = request("GET", &format!("/{}", "x".repeat(2 * HEAD)), "");
    let (status, _) = bench.ask(group, &mut host, on, &head).await;
    assert!(matches!(status, 400 | 414 | 431), "{status}");
    let on = bench.connect(group, &mut host, "10.1.0.1").await;
    let (status, _) = bench.ask(group, &mut host, on, b"\x16\x03\x01 no HTTP\r\n\r\n").await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn an_agent_that_closes_each_time_is_served_each_time() {
    let bench = Bench::new();
    let (group, mut host) = (iid(100), Host::new(ip("10.1.0.5"), Instant::now()));
    for _ in 0..5 * PER_AGENT {
        let on = bench.connect(group, &mut host, "10.1.0.1").await;
        let once = b"GET /who HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n";
        let (status, _) = bench.ask(group, &mut host, on, once).await;
        assert_eq!(status, 200);
        bench.until(group, &mut host, |host| !host.socket(on).may_recv()).await;
        host.socket(on).close();
        bench.until(group, &mut host, |_| bench.endpoint.stacks().connections() == 0).await;
    }
    assert_eq!((bench.count(Counter::RefusedAgent), bench.count(Counter::Idle)), (0, 0));
}

#[tokio::test]
async fn another_dataplane_begins_anew_and_the_old_connections_are_over() {
    let mut bench = Bench::new();
    let (group, mut host) = (iid(100), Host::new(ip("10.1.0.5"), Instant::now()));
    let on = bench.connect(group, &mut host, "10.1.0.1").await;
    let (status, _) = bench.ask(group, &mut host, on, &request("GET", "/who", "")).await;
    assert_eq!(status, 200);
    bench.links.send_replace(None);
    let deadline = Instant::now() + PATIENCE;
    while bench.endpoint.stacks().connections() > 0 {
        assert!(Instant::now() < deadline, "too late");
        tokio::task::yield_now().await;
    }
    let (dataplane, link) = way();
    bench.dataplane = dataplane;
    bench.links.send_replace(Some(Arc::new(link)));
    host.socket(on).send_slice(b"GET /who").unwrap();
    bench.until(group, &mut host, |host| host.state(on) == State::Closed).await;
    let on = bench.connect(group, &mut host, "10.1.0.1").await;
    let (status, _) = bench.ask(group, &mut host, on, &request("GET", "/who", "")).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn an_agent_may_report_for_itself_alone_and_nothing_else_is_there() {
    let shared = Shared::new(ControlPlane::new(model::site::config()), "gateway.toml".into());
    let bench = Bench::with(move |agent| http::endpoints(shared.clone(), agent));
    let (group, mut host) = (iid(100), Host::new(ip("10.1.0.5"), Instant::now()));
    let on = bench.connect(group, &mut host, "10.1.0.1").await;
    let context = |group, eid| format!("/v1/groups/{group}/agents/{eid}/context");
    let own = context(100, "10.1.0.5");
    let cases = [
        // This gateway has no mapping system: what is refused for that alone was allowed.
        ("PUT", own.clone(), r#"{"load":0.5}"#, 409),
        ("PATCH", own.clone(), r#"{"load":0.5}"#, 409),
        ("DELETE", own.clone(), "", 409),
        ("POST", format!("{own}/heartbeat"), "", 409),
        ("PUT", own.clone(), r#"{"load":2}"#, 400),
        ("PUT", context(100, "10.1.0.6"), r#"{"load":0.5}"#, 403),
        ("PATCH", context(200, "10.1.0.5"), r#"{"load":0.5}"#, 403),
        ("DELETE", context(100, "fd00:64::5"), "", 403),
        ("POST", context(100, "10.1.0.6") + "/heartbeat", "", 403),
        ("GET", own, "", 405),
        ("POST", "/v1/context/batch".to_owned(), "", 404),
        ("GET", "/v1/context".to_owned(), "", 404),
        ("GET", "/v1/status".to_owned(), "", 404),
        ("POST", "/v1/apply".to_owned(), "", 404),
        ("POST", "/v1/agents/detach".to_owned(), "", 404),
    ];
    for (method, path, body, expected) in cases {
        let (status, text) = bench.ask(group, &mut host, on, &request(method, &path, body)).await;
        assert_eq!(status, expected, "{method} {path}: {text}");
    }
}
