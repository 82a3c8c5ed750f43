//! `/v1/path` over its socket, in front of a control plane that a scripted mapping system answers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod model;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Instant;

use model::site::{self, SERVER, iid, ip, lisp_config, prefix};
use serde_json::{Value, json};
use sterna_config::{Class, Policy};
use sterna_controlplane::api;
use sterna_controlplane::outbox::CONTROL_PORT;
use sterna_controlplane::plane::ControlPlane;
use sterna_controlplane::shared::Shared;
use sterna_shm::Event;
use sterna_wire::lisp::control::acx::{
    Acx, AgentState, Attributes, Constraint, Hardware, Load, Need, Scope, Scoped, Score, Status, StatusCode,
};
use sterna_wire::lisp::control::{self, Act, EidRecord, LocatorRecord, MapReply, Message};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const EID: &str = "10.1.7.7";
const HOST: &str = "10.1.7.7/32";

struct Bench {
    shared: Shared,
    socket: PathBuf,
    _folder: TempDir,
}

fn gpu() -> Hardware {
    Hardware::from_names(["gpu"]).unwrap()
}

fn rloc(last: u8) -> IpAddr {
    [203, 0, 113, last].into()
}

impl Bench {
    /// Class 1 needs a GPU; packets with DSCP 46 and those to TCP 443 are of it.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = lisp_config(folder.path());
        let constraints = vec![Constraint::hard(Need::Hardware(gpu())), Constraint::soft(Need::Load(500), 8)];
        config.classes = vec![Class { id: 1, name: "gpu-fast".into(), constraints, require_context: true }];
        let any =
            Policy { iid: None, from: None, to: None, dscp: None, protocol: None, ports: None, class: 1 };
        config.policies = vec![
            Policy { iid: Some(iid(200)), ..any },
            Policy { dscp: Some(46), from: Some(prefix("10.1.0.0/16")), ..any },
            Policy { protocol: Some(6), ports: Some((443, 443)), ..any },
        ];
        let mut plane = ControlPlane::new(config);
        plane.underlay(site::facts(&plane.questions()), Instant::now());
        let shared = Shared::new(plane, folder.path().join("gateway.toml"));
        let socket = folder.path().join("control.sock");
        tokio::spawn(api::serve(api::bind(&socket).unwrap(), shared.clone()));
        Self { shared, socket, _folder: folder }
    }

    async fn ask(&self, query: &str) -> (u16, Value) {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        let request = format!("GET /v1/path?{query} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    async fn path(&self, query: &str) -> Value {
        let (status, body) = self.ask(query).await;
        assert_eq!(status, 200, "{query}: {body}");
        body
    }

    /// Has the dataplane miss the EID, and answers the request for it.
    fn resolve(&self, record: EidRecord, block: Option<&Acx>) {
        let mut plane = self.shared.plane();
        let now = Instant::now();
        let miss = Event::Miss { iid: iid(100), eid: ip(EID), source: false, port: 0, class: 1 };
        plane.event(miss, now);
        let nonce = plane.take_datagrams().iter().find_map(|sent| match control::parse(&sent.bytes) {
            Ok(Message::Ecm(ecm)) => match control::parse(ecm.message) {
                Ok(Message::MapRequest(request)) => Some(request.nonce),
                _ => None,
            },
            _ => None,
        });
        let tail = block.map(Acx::bytes).unwrap_or_default();
        let reply = MapReply { nonce: nonce.unwrap(), records: vec![record], tail, ..MapReply::default() };
        plane.datagram(&reply.emit(), SocketAddr::new(ip(SERVER), CONTROL_PORT), ip("192.0.2.1"), now);
        // What is probed from now on has a way.
        let facts = site::facts(&plane.questions());
        plane.underlay(facts, now);
    }
}

fn record(rlocs: &[u8]) -> EidRecord {
    let locators = rlocs.iter().map(|last| LocatorRecord::unicast(rloc(*last), 1, 100)).collect();
    EidRecord { locators, ..EidRecord::of(iid(100), prefix(HOST)) }
}

fn block(said: &[Attributes]) -> Acx {
    let entry = |(place, attributes): (usize, &Attributes)| Scoped {
        score: Some(Score { score: 0, priority: 1 }),
        ..Scoped::new(Scope::Locator { record: 0, locator: place as u8 }, attributes.clone())
    };
    let entries = said.iter().enumerate().map(entry).collect();
    Acx { reply: true, aware: true, complete: true, entries, ..Acx::default() }
}

/// One with a GPU and little load, one that failed, one of which nothing is known.
fn three() -> (EidRecord, Acx) {
    let load = |permille| Some(Load { permille: Some(permille), queue: None });
    let fit = Attributes { hardware: Some(gpu()), load: load(100), ..Attributes::default() };
    let failed = Attributes { state: Some(AgentState::Failed), ..fit.clone() };
    (record(&[71, 72, 73]), block(&[fit, failed, Attributes::default()]))
}

#[tokio::test]
async fn the_class_comes_from_the_policies_or_is_given() {
    let bench = Bench::new();
    let (record, block) = three();
    bench.resolve(record, Some(&block));
    let to = format!("from=10.1.1.2&to={EID}&group=research");
    for (more, id, why) in [
        ("", 0, "no policy"),
        ("&dscp=46", 1, "policy 2 of the config file"),
        ("&protocol=6&port=443", 1, "policy 3 of the config file"),
        ("&protocol=17&port=443", 0, "no policy"),
        ("&protocol=6&port=444", 0, "no policy"),
        ("&class=gpu-fast", 1, "given"),
        ("&class=1", 1, "given"),
        ("&class=0&dscp=46", 0, "given"),
    ] {
        let body = bench.path(&format!("{to}{more}")).await;
        let name = if id == 1 { json!("gpu-fast") } else { Value::Null };
        assert_eq!(body["class"], json!({ "id": id, "name": name, "why": why }), "{more}");
    }
}

#[tokio::test]
async fn the_winner_and_the_others_are_explained() {
    let bench = Bench::new();
    let (record, block) = three();
    bench.resolve(record, Some(&block));
    let body = bench.path(&format!("from=10.1.1.2&to={EID}&group=100&class=1")).await;
    assert_eq!((&body["verdict"], &body["winners"]), (&json!("sent"), &json!(["203.0.113.71"])));
    assert_eq!(body["why"], "203.0.113.71 is the only one that will do");
    assert_eq!((&body["mapping"]["eid"], &body["mapping"]["state"]), (&json!(HOST), &json!("fresh")));
    let first = &body["candidates"][0];
    assert_eq!(first["attributes"], json!({ "hardware": ["gpu"], "load_permille": 100 }));
    assert_eq!(
        first["constraints"],
        json!([
            { "need": "hardware gpu", "hard": true, "weight": 0, "met": "met", "passes": true },
            { "need": "load 500 permille or less", "hard": false, "weight": 8, "met": "met", "passes": true },
        ])
    );
    assert_eq!(first["terms"], json!({ "latency": -50, "load": -25, "state": -50, "soft": [80], "path": 0 }));
    assert_eq!(
        (&first["score"], &first["effective"], &first["priority"]),
        (&json!(455), &json!(745), &json!(1))
    );
    assert_eq!((&first["path"]["state"], &first["winner"]), (&json!("up"), &json!(true)));
    let excluded = |address: &str| {
        let rows = body["candidates"].as_array().unwrap();
        rows.iter().find(|row| row["address"] == address).unwrap()["excluded"].clone()
    };
    assert_eq!(excluded("203.0.113.72"), "nobody may use it: it is failed");
    assert_eq!(excluded("203.0.113.73"), "the class requires hardware gpu");
    let plain = bench.path(&format!("from=10.1.1.2&to={EID}&group=100")).await;
    // 375 against 275: two groups.
    assert_eq!(plain["winners"], json!(["203.0.113.71"]));
    assert_eq!(plain["why"], "203.0.113.71 has the lowest effective value, by more than the spread of 50");
}

#[tokio::test]
async fn those_within_the_spread_share() {
    let bench = Bench::new();
    bench.resolve(record(&[71, 72]), Some(&block(&[Attributes::default(), Attributes::default()])));
    let body = bench.path(&format!("from=10.1.1.2&to={EID}&group=research")).await;
    let why = "203.0.113.71 and 203.0.113.72 are within the spread of 50 of the best and share new flows";
    assert_eq!(body["why"], why);
}

#[tokio::test]
async fn what_is_dropped_says_why() {
    let bench = Bench::new();
    bench.resolve(record(&[71]), None);
    let query = format!("from=10.1.1.2&to={EID}&group=research&class=1");
    let body = bench.path(&query).await;
    assert_eq!((&body["verdict"], &body["winners"]), (&json!("no_match"), &json!([])));
    assert_eq!(body["why"], "the answer has no context, and the class requires it (require_context)");
    let bench = Bench::new();
    let status = Some(Status { code: StatusCode::NoMatch, offending: 0 });
    let nobody = EidRecord { act: Act::DropPolicyDenied, ttl: 1, ..record(&[]) };
    bench.resolve(nobody, Some(&Acx { status, ..block(&[]) }));
    let body = bench.path(&query).await;
    assert_eq!(
        (&body["verdict"], &body["why"]),
        (&json!("no_match"), &json!("the mapping system says that no locator will do"))
    );
}

#[tokio::test]
async fn what_is_here_or_configured_or_not_known_yet() {
    let bench = Bench::new();
    let here = bench.path("from=10.1.1.2&to=10.1.1.9&group=research").await;
    assert_eq!((&here["verdict"], &here["candidates"]), (&json!("here"), &json!([])));
    let fixed = bench.path("from=10.1.1.2&to=10.1.2.9&group=research").await;
    assert_eq!((&fixed["mapping"]["state"], &fixed["winners"]), (&json!("config"), &json!(["203.0.113.1"])));
    let unknown = bench.path("from=10.1.1.2&to=10.1.8.8&group=research").await;
    assert_eq!(unknown["verdict"], "unresolved");
    assert!(unknown["why"].as_str().unwrap().ends_with("would be asked now"), "{unknown}");
}

#[tokio::test]
async fn wrong_questions_are_refused_by_what_is_wrong() {
    let bench = Bench::new();
    for (query, status, wanted) in [
        ("from=10.1.1.2&to=10.1.2.3&group=nobody", 404, "there is no group nobody here"),
        ("from=10.1.1.2&to=10.1.2.3", 400, "name the group of 10.1.1.2: research, trading"),
        ("from=10.1.1.2&to=fd00::1&group=research", 400, "one address family"),
        ("from=10.1.1.2&to=10.1.2.3&group=research&dscp=64", 400, "dscp is 0 to 63, not 64"),
        ("from=10.1.1.2&to=10.1.2.3&group=research&class=7", 404, "there is no class 7: gpu-fast (1)"),
    ] {
        let (told, body) = bench.ask(query).await;
        assert_eq!(told, status, "{query}");
        assert!(body["error"].as_str().unwrap().contains(wanted), "{query}: {body}");
    }
    for query in ["from=10.1.1.2", "from=x&to=10.1.2.3", "from=10.1.1.2&to=10.1.2.3&colour=red"] {
        assert_eq!(bench.ask(query).await.0, 400, "{query}");
    }
}
