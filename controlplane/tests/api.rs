//! The management API over a real Unix socket, in front of an in-memory control plane.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod model;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Instant;

use model::site::{self, CONFIG, config, iid, ip};
use serde_json::{Value, json};
use sterna_controlplane::api;
use sterna_controlplane::plane::ControlPlane;
use sterna_controlplane::shared::Shared;
use sterna_shm::{
    ControlSession, CounterDesc, Counters, DataplaneSession, Event, Kind, Offer, PortDesc, ScopeName, Side,
    session_pair,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A served API; everything ends with it.
struct Bench {
    shared: Shared,
    folder: TempDir,
    socket: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, CONFIG).unwrap();
        let mut plane = ControlPlane::new(config());
        plane.underlay(site::facts(&plane.questions()), Instant::now());
        let shared = Shared::new(plane, file);
        let socket = folder.path().join("control.sock");
        let listener = api::bind(&socket).unwrap();
        tokio::spawn(api::serve(listener, shared.clone()));
        Self { shared, folder, socket }
    }

    fn write_config(&self, text: &str) {
        std::fs::write(self.folder.path().join("gateway.toml"), text).unwrap();
    }

    /// Status and body. Speaks HTTP by hand, so that no client of ours judges our server.
    async fn ask(&self, method: &str, path: &str) -> (u16, Value) {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }
}

const DESCRIPTIONS: [CounterDesc; 4] = [
    CounterDesc { name: "rx_packets", kind: Kind::Rx, help: "Packets received." },
    CounterDesc { name: "tx_packets", kind: Kind::Tx, help: "Packets sent." },
    CounterDesc { name: "rloc_spoof", kind: Kind::Drop, help: "The outer source is not the mapping's." },
    CounterDesc { name: "bad_iid", kind: Kind::Drop, help: "No such group here." },
];

/// A dataplane with some counts, and the control plane's end of a session with it.
fn dataplane() -> (Counters, DataplaneSession, ControlSession) {
    let scopes = [("e0", Side::Eid, 0), ("u0", Side::Rloc, 2)].map(|(name, side, port)| ScopeName {
        worker: 0,
        port,
        port_name: name.into(),
        side,
    });
    let counters = Counters::create(&DESCRIPTIONS, &scopes).unwrap();
    let block = counters.block(1).unwrap();
    block.add(0, 10);
    block.add(1, 6);
    block.add(2, 3);
    counters.beat(sterna_controlplane::clock::monotonic_ns());
    let ports = ["e0", "e1", "u0", "u1"].map(|name| PortDesc { name: name.into(), side: Side::Both });
    let (far, near) = session_pair(&Offer { counters: &counters, ring_slots: 64, ports: &ports }).unwrap();
    (counters, far, near)
}

#[tokio::test]
async fn eids_locators_ports_and_agents() {
    let bench = Bench::new();
    {
        let mut plane = bench.shared.plane();
        let mac = "02:00:00:00:00:05".parse().unwrap();
        let now = Instant::now();
        plane.event(Event::Agent { iid: iid(200), eid: ip("10.1.1.5"), mac, port: 1, vlan: None }, now);
        plane
            .event(Event::Miss { iid: iid(200), eid: ip("10.1.9.9"), source: false, port: 1, class: 0 }, now);
    }
    let eids = bench.get("/v1/eids").await;
    let rows = eids.as_array().unwrap();
    assert_eq!(rows.len(), 7);
    let find =
        |iid: u32, eid: &str| rows.iter().find(|row| row["iid"] == iid && row["eid"] == eid).unwrap().clone();
    let mapped = find(100, "10.1.2.0/24");
    assert_eq!((&mapped["group"], &mapped["kind"]), (&json!("research"), &json!("static")));
    let locators = json!([
        { "address": "203.0.113.1", "priority": 1, "weight": 100, "usable": true },
        { "address": "203.0.113.2", "priority": 2, "weight": 100, "usable": true },
    ]);
    assert_eq!(mapped["locators"], locators);
    let local = find(200, "10.1.1.0/24");
    assert_eq!((&local["kind"], &local["port"], &local["vlan"]), (&json!("local"), &json!("e1"), &json!(20)));
    let negative = find(200, "10.1.9.9/32");
    assert_eq!((&negative["kind"], &negative["action"]), (&json!("negative"), &json!("native")));
    assert!(negative["expires_s"].as_u64().unwrap() >= 58);

    let locators = bench.get("/v1/locators").await;
    let expected = json!({
        "address": "203.0.113.1", "local": "192.0.2.1", "reachable": true, "reason": "reachable",
        "next_hop": "192.0.2.254", "mac": site::gateway_mac(site::U0).to_string(), "mtu": 1500, "port": "u0",
    });
    assert_eq!(locators[0], expected);

    let ports = bench.get("/v1/ports").await;
    let expected = json!({
        "name": "u0", "side": "rloc", "index": 2, "up": true, "mac": site::own_mac(site::U0).to_string(),
        "mtu": 1500, "rlocs": ["192.0.2.1", "2001:db8::1"], "groups": [],
    });
    assert_eq!(ports[2], expected);

    let agents = bench.get("/v1/agents").await;
    let expected = json!([{
        "iid": 200, "group": "trading", "eid": "10.1.1.5", "mac": "02:00:00:00:00:05", "port": "e1", "vlan": null,
        "age_s": 0,
    }]);
    assert_eq!(agents, expected);
}

#[tokio::test]
async fn counters_drops_and_status_with_and_without_a_dataplane() {
    let bench = Bench::new();
    for path in ["/v1/counters", "/v1/drops"] {
        let (status, body) = bench.ask("GET", path).await;
        assert_eq!((status, &body["error"]), (503, &json!("no dataplane is connected")));
    }
    let status = bench.get("/v1/status").await;
    assert_eq!((&status["gateway"], &status["synced"]), (&json!("gw-a"), &json!(false)));
    assert_eq!((&status["dataplane"], &status["generation"]), (&Value::Null, &Value::Null));

    let (counters, _far, near) = dataplane();
    let incarnation = near.incarnation;
    let ports = near.ports.iter().map(|port| port.name.clone()).collect();
    bench.shared.plane().session_began(77, ports, Instant::now());
    bench.shared.plane().event(Event::KnownEnd, Instant::now());
    bench.shared.set_session(Some(near));
    let body = bench.get("/v1/counters").await;
    let scope = json!({
        "worker": 0, "port": "u0", "side": "rloc",
        "counters": { "rx_packets": 10, "tx_packets": 6, "rloc_spoof": 3, "bad_iid": 0 },
    });
    assert_eq!(body["scopes"][1], scope);
    let balance = json!({ "rx": 10, "made": 0, "tx": 6, "punted": 0, "held": 0, "dropped": 3, "error": 1 });
    assert_eq!(body["balance"], balance);
    let help = "The outer source is not the mapping's.";
    let drops = json!([{ "reason": "rloc_spoof", "port": "u0", "count": 3, "help": help }]);
    assert_eq!(bench.get("/v1/drops").await, drops);
    assert_eq!(bench.get("/v1/drops?all=true").await.as_array().unwrap().len(), 4);

    let status = bench.get("/v1/status").await;
    assert_eq!((&status["generation"], &status["synced"]), (&json!(77), &json!(false)));
    assert_eq!(status["dataplane"]["incarnation"], json!(incarnation));
    assert!(status["dataplane"]["heartbeat_age_ms"].as_u64().unwrap() < 60_000);
    assert!(status["pending"].as_u64().unwrap() > 0);
    drop(counters);
}

#[tokio::test]
async fn apply_takes_a_good_file_and_refuses_a_bad_one_whole() {
    let bench = Bench::new();
    let (status, body) = bench.ask("POST", "/v1/apply").await;
    assert_eq!((status, body), (200, json!({ "applied": true, "changes": [] })));

    let mut questions = bench.shared.questions();
    bench.write_config(&CONFIG.replace("\"203.0.113.2\"", "\"203.0.113.8\""));
    let (status, body) = bench.ask("POST", "/v1/apply").await;
    assert_eq!((status, &body["applied"]), (200, &json!(true)));
    assert_eq!(body["changes"][0]["effect"], "live");
    assert!(questions.has_changed().unwrap());
    assert!(questions.borrow_and_update().remotes.contains(&ip("203.0.113.8")));

    bench.write_config(
        &CONFIG.replace("roles = [\"xtr\"]", "roles = [\"xtr\"]\ncolour = \"red\"\nname = \"gw-b\""),
    );
    let (status, body) = bench.ask("POST", "/v1/apply").await;
    assert_eq!(status, 422);
    let findings = body["findings"].as_array().unwrap();
    assert!(
        findings.iter().any(|finding| finding["path"] == "gateway.colour" && finding["line"] == 5),
        "{body}"
    );

    bench.write_config(&format!("{CONFIG}\n[dataplane]\nmax_eids = 5000\n"));
    let (status, body) = bench.ask("POST", "/v1/apply").await;
    assert_eq!((status, &body["findings"][0]["code"]), (422, &json!("STERNA-R001")), "{body}");
    for field in ["path", "line", "column", "text", "help"] {
        assert!(!body["findings"][0][field].is_null(), "{field} of {body}");
    }
    assert!(
        bench.shared.plane().questions().remotes.contains(&ip("203.0.113.8")),
        "the last good config holds"
    );
}

#[tokio::test]
async fn wrong_requests_are_refused() {
    let bench = Bench::new();
    assert_eq!(bench.ask("GET", "/v1/nothing").await, (404, json!({ "error": "no such endpoint" })));
    assert_eq!(bench.ask("GET", "/v1/apply").await.0, 405);
    assert_eq!(bench.ask("POST", "/v1/eids").await.0, 405);
    assert_eq!(bench.ask("GET", "/v1/drops?everything=1").await.0, 400);
}

#[tokio::test]
async fn the_socket_is_private_and_replaces_a_dead_one() {
    let bench = Bench::new();
    let mode = std::fs::metadata(&bench.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = api::bind(&bench.socket).unwrap();
    tokio::spawn(api::serve(again, bench.shared.clone()));
    assert_eq!(bench.get("/v1/status").await["gateway"], "gw-a");
    let left: Vec<_> =
        std::fs::read_dir(bench.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the config and the socket, no draft: {left:?}");
}
