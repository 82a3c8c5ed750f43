//! What agents report, over a real Unix socket, up to the Map-Registers that follow from it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod model;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use model::site::{self, iid, ip, lisp_config};
use serde_json::{Value, json};
use sterna_controlplane::api;
use sterna_controlplane::context::body::{Body, Line, Manner, Op};
use sterna_controlplane::plane::{ControlPlane, ReportRefusal, Reporter};
use sterna_controlplane::shared::Shared;
use sterna_wire::lisp::control::MapRegister;
use sterna_wire::lisp::control::acx::{Acx, AgentState};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const AGENT: &str = "/v1/groups/100/agents/10.1.100.7/context";

/// A control plane with agents 10.1.100.7 and 10.1.100.8.
fn plane() -> (ControlPlane, TempDir) {
    plane_with(20_000)
}

fn plane_with(report_rate: u32) -> (ControlPlane, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = lisp_config(folder.path());
    config.context.report_rate = report_rate;
    let mut plane = ControlPlane::new(config);
    let now = Instant::now();
    plane.underlay(site::facts(&plane.questions()), now);
    for eid in ["10.1.100.7", "10.1.100.8"] {
        plane.attach("research", Some(ip(eid)), None, now).unwrap();
    }
    (plane, folder)
}

/// A served API; everything ends with it.
struct Bench {
    socket: PathBuf,
    _folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::of(20_000)
    }

    fn of(report_rate: u32) -> Self {
        let (plane, folder) = plane_with(report_rate);
        let shared = Shared::new(plane, folder.path().join("gateway.toml"));
        let socket = folder.path().join("control.sock");
        let listener = api::bind(&socket).unwrap();
        tokio::spawn(api::serve(listener, shared));
        Self { socket, _folder: folder }
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // A server that refuses a long body by its length may close before it has it all.
        let _ = stream.write_all(body.as_bytes()).await;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
        (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    async fn say(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.ask(method, path, &body.to_string()).await
    }

    async fn shown(&self) -> Value {
        self.ask("GET", "/v1/context", "").await.1
    }

    async fn count(&self, name: &str) -> u64 {
        self.ask("GET", "/v1/lisp/counters", "").await.1["context"][name].as_u64().unwrap()
    }
}

fn report() -> Value {
    json!({
        "latency": {"class": "low", "sla_us": 5000}, "hardware": ["gpu", "h100"], "state": "active", "load": 0.4,
        "queue": 3, "security": {"level": 3, "flags": ["crypto"], "domain": 0}, "ttl_s": 90,
        "locators": {"192.0.2.1": {"state": "busy"}},
    })
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_put_is_shown_and_told() {
    let bench = Bench::new();
    assert_eq!(bench.say("PUT", AGENT, &report()).await, (200, json!({"iid": 100, "eid": "10.1.100.7"})));
    let shown = bench.shown().await;
    let row = &shown[0];
    assert_eq!(
        (&row["eid"], &row["group"], &row["ttl_s"]),
        (&json!("10.1.100.7"), &json!("research"), &json!(90))
    );
    let expected = json!({
        "latency": {"class": "low", "sla_us": 5000}, "hardware": ["gpu", "h100"], "state": "active", "load": 0.4,
        "queue": 3, "security": {"level": 3, "flags": ["crypto"], "domain": 0},
    });
    assert_eq!((&row["context"], &row["locators"]), (&expected, &json!({"192.0.2.1": {"state": "busy"}})));
    assert_eq!((&row["waiting"], &row["expired"], &row["told_s"]), (&json!(false), &json!(false), &json!(0)));
    // A patch of the load by a little is kept and not told; what failed is told at once.
    assert_eq!(bench.say("PATCH", AGENT, &json!({"load": 0.45})).await.0, 200);
    assert_eq!(bench.shown().await[0]["context"]["load"], json!(0.45));
    assert_eq!((bench.count("suppressed_threshold").await, bench.count("told").await), (1, 1));
    assert_eq!(bench.say("PATCH", AGENT, &json!({"state": "failed"})).await.0, 200);
    assert_eq!(bench.count("told").await, 2);
    assert_eq!(bench.ask("POST", &format!("{AGENT}/heartbeat"), "").await.0, 200);
    assert_eq!(bench.ask("DELETE", AGENT, "").await.0, 200);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(bench.ask("POST", &format!("{AGENT}/heartbeat"), "").await.0, 404);
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_wrong_is_told_with_its_path_and_changes_nothing() {
    let bench = Bench::new();
    let (status, body) = bench
        .say("PUT", AGENT, &json!({"load": 1.5, "stat": "busy", "locators": {"192.0.2.1": {"load": "x"}}}))
        .await;
    let mut paths: Vec<&str> =
        body["faults"].as_array().unwrap().iter().map(|fault| fault["path"].as_str().unwrap()).collect();
    paths.sort_unstable();
    assert_eq!((status, paths), (400, vec!["load", "locators.192.0.2.1.load", "stat"]));
    assert!(body["error"].as_str().unwrap().contains("and 2 more"), "{body}");
    assert_eq!(bench.ask("PUT", AGENT, "{").await.0, 400);
    assert_eq!(bench.ask("PUT", AGENT, "").await.0, 400);
    assert_eq!(bench.ask("PUT", AGENT, &" ".repeat(17 << 10)).await.0, 413);
    let names: Vec<String> = (0..16).map(|n| format!("{n:-<63}")).collect();
    let (status, body) = bench.say("PUT", AGENT, &json!({"hardware": names})).await;
    assert_eq!((status, body["error"].as_str().unwrap().contains("Map-Register")), (400, true));
    for path in [
        "/v1/groups/100/agents/10.1.100.9/context",
        "/v1/groups/999/agents/10.1.100.7/context",
        "/v1/groups/x/agents/10.1.100.7/context",
        "/v1/groups/100/agents/x/context",
    ] {
        let (status, body) = bench.say("PUT", path, &report()).await;
        assert!(status == 404 && body["error"].is_string(), "{path}: {status} {body}");
    }
    assert_eq!(bench.ask("POST", AGENT, "{}").await.0, 405);
    assert_eq!(bench.shown().await, json!([]));
    assert_eq!((bench.count("reports_malformed").await, bench.count("reports_unknown").await), (3, 2));
    assert_eq!((bench.count("reports_long").await, bench.count("told").await), (1, 0));
}

#[tokio::test(flavor = "current_thread")]
async fn each_line_of_a_batch_is_judged_alone() {
    let bench = Bench::new();
    let lines = [
        json!({"iid": 100, "eid": "10.1.100.7", "op": "put", "context": report()}).to_string(),
        String::new(),
        json!({"iid": 100, "eid": "10.1.100.8", "op": "put", "context": {"load": 7}}).to_string(),
        "{".to_owned(),
        json!({"iid": 100, "eid": "10.1.100.9", "op": "put", "context": {}}).to_string(),
        json!({"iid": 100, "eid": "10.1.100.7", "op": "heartbeat"}).to_string(),
        format!("\"{}\"", "x".repeat(17 << 10)),
    ];
    let (status, body) = bench.ask("POST", "/v1/context/batch", &lines.join("\n")).await;
    assert_eq!(
        (status, &body["taken"], &body["refused"], &body["limited"]),
        (200, &json!(2), &json!(4), &json!(0))
    );
    let errors: Vec<(u64, u64)> = body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["line"].as_u64().unwrap(), error["status"].as_u64().unwrap()))
        .collect();
    assert_eq!(errors, [(3, 400), (4, 400), (5, 404), (7, 400)]);
    assert_eq!(body["errors"][0]["faults"][0]["path"], json!("context.load"));
    let many = "\n{}".repeat(65_537);
    assert_eq!(bench.ask("POST", "/v1/context/batch", &many).await.0, 413);
    assert_eq!(bench.ask("POST", "/v1/context/batch", &" ".repeat((4 << 20) + 1)).await.0, 413);
}

#[tokio::test(flavor = "current_thread")]
async fn above_the_rate_reports_are_429() {
    let bench = Bench::of(100);
    assert_eq!(bench.say("PUT", AGENT, &report()).await.0, 200);
    let line = json!({"iid": 100, "eid": "10.1.100.7", "op": "heartbeat"}).to_string();
    let batch = vec![line.as_str(); 5000].join("\n");
    let (status, body) = bench.ask("POST", "/v1/context/batch", &batch).await;
    let (taken, limited) = (body["taken"].as_u64().unwrap(), body["limited"].as_u64().unwrap());
    assert_eq!((status, taken + limited), (200, 5000));
    assert!(taken > 0 && limited > 1000 && bench.count("reports_rate").await == limited, "{body}");
    assert!(body["errors"].as_array().unwrap().is_empty());
    // A single one, as soon as the burst is used up.
    let mut last = 200;
    for _ in 0..50 {
        last = bench.ask("POST", &format!("{AGENT}/heartbeat"), "").await.0;
        if last == 429 {
            break;
        }
    }
    assert_eq!(last, 429);
}

/// While a batch is done, others have their turn: whoever wakes up every millisecond is never kept waiting for long.
#[tokio::test(flavor = "current_thread")]
async fn a_batch_lets_others_have_their_turn() {
    let bench = Bench::new();
    let line = json!({"iid": 100, "eid": "10.1.100.7", "op": "put", "context": report()}).to_string();
    let batch = vec![line.as_str(); 10_000].join("\n");
    let turns = std::rc::Rc::new(std::cell::Cell::new(0_u32));
    let counted = turns.clone();
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let other = tokio::task::spawn_local(async move {
                loop {
                    counted.set(counted.get() + 1);
                    tokio::task::yield_now().await;
                }
            });
            let (status, body) = bench.ask("POST", "/v1/context/batch", &batch).await;
            assert_eq!((status, body["refused"].as_u64()), (200, Some(0)));
            other.abort();
        })
        .await;
    // As many as there are slices, at the least.
    assert!(turns.get() as usize >= 10_000 / api::BATCH_SLICE, "only {} turns", turns.get());
}

fn op(value: Value) -> Op {
    Op::Report(Manner::Whole, Body::read(&value, Manner::Whole).unwrap())
}

#[test]
fn an_agent_reports_for_itself_alone() {
    let (mut plane, _folder) = plane();
    let (now, mine, other) = (Instant::now(), (iid(100), ip("10.1.100.7")), (iid(100), ip("10.1.100.8")));
    let agent = Reporter::Agent { iid: mine.0, eid: mine.1 };
    plane.report(agent, mine, &op(json!({"load": 0.1})), now).unwrap();
    let refused = plane.report(agent, other, &op(json!({"load": 0.1})), now).unwrap_err();
    assert!(matches!(refused, ReportRefusal::NotYours { .. }), "{refused}");
    // Nor for its own address in another group, or by any other verb.
    let elsewhere = (iid(200), mine.1);
    assert!(matches!(
        plane.report(agent, elsewhere, &Op::Heartbeat, now),
        Err(ReportRefusal::NotYours { .. })
    ));
    assert!(matches!(plane.report(agent, other, &Op::Delete, now), Err(ReportRefusal::NotYours { .. })));
    assert_eq!(plane.contexts().iter().count(), 1);
    plane.report(Reporter::Local, other, &op(json!({"load": 0.1})), now).unwrap();
}

#[test]
fn a_report_is_in_the_next_map_register_and_gone_with_its_agent() {
    let (mut plane, _folder) = plane();
    let now = Instant::now();
    plane.tick(now);
    plane.take_datagrams();
    let agent = (iid(100), ip("10.1.100.7"));
    plane.report(Reporter::Local, agent, &op(json!({"state": "busy"})), now).unwrap();
    plane.tell_contexts(now);
    let sent = plane.take_datagrams();
    let registers = sent.iter().filter_map(|sent| MapRegister::parse(&sent.bytes).ok());
    let blocks: Vec<Acx> = registers.filter_map(|register| Acx::find(&register.tail).unwrap()).collect();
    assert_eq!(
        blocks.iter().flat_map(|block| &block.entries).next().unwrap().attributes.state,
        Some(AgentState::Busy)
    );
    plane.detach("research", agent.1, now).unwrap();
    assert_eq!(plane.contexts().iter().count(), 1, "it is still ours while it is held");
    plane.tick(now + Duration::from_secs(6));
    assert_eq!(plane.contexts().iter().count(), 0);
}

const SCHEMA: &str = include_str!("../context.schema.json");

/// A judge of the part of JSON Schema that we write; it panics on any keyword that it does not know.
fn accepts(schema: &Value, rule: &Value, value: &Value) -> bool {
    rule.as_object().unwrap().iter().all(|(keyword, said)| match keyword.as_str() {
        "$schema" | "$id" | "title" | "description" | "default" | "$defs" | "format" => true,
        "$ref" => {
            let name = said.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
            accepts(schema, &schema["$defs"][name], value)
        }
        "type" => {
            let kinds = said.as_array().cloned().unwrap_or_else(|| vec![said.clone()]);
            kinds.iter().any(|kind| match kind.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                "null" => value.is_null(),
                other => panic!("type {other}"),
            })
        }
        "enum" => said.as_array().unwrap().contains(value),
        "minimum" => value.as_f64().is_none_or(|number| number >= said.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= said.as_f64().unwrap()),
        "maxItems" => value.as_array().is_none_or(|list| list.len() as u64 <= said.as_u64().unwrap()),
        "maxProperties" => {
            value.as_object().is_none_or(|object| object.len() as u64 <= said.as_u64().unwrap())
        }
        "items" => value.as_array().is_none_or(|list| list.iter().all(|entry| accepts(schema, said, entry))),
        "oneOf" => {
            said.as_array().unwrap().iter().filter(|choice| accepts(schema, choice, value)).count() == 1
        }
        "required" => value.as_object().is_none_or(|object| {
            said.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap()))
        }),
        "properties" => value.as_object().is_none_or(|object| {
            object.iter().all(|(key, value)| said.get(key).is_none_or(|rule| accepts(schema, rule, value)))
        }),
        "additionalProperties" => value.as_object().is_none_or(|object| {
            let others = object.iter().filter(|(key, _)| rule["properties"].get(*key).is_none());
            others.into_iter().all(|(_, value)| match said {
                Value::Bool(allowed) => *allowed,
                rule => accepts(schema, rule, value),
            })
        }),
        other => panic!("keyword {other}"),
    })
}

/// Every value of a report with others in its place, and fields beside them.
fn variants(value: &Value) -> Vec<Value> {
    let odd = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1),
        json!(0.5),
        json!(1.5),
        json!(4),
        json!(70_000),
        json!(5_000_000_000_u64),
        json!(""),
        json!("low"),
        json!("failed"),
        json!("crypto"),
        json!("x y"),
        json!([]),
        json!(["gpu"]),
        json!(["crypto", "tee"]),
        json!(["GPU"]),
        json!([1]),
        json!({}),
        json!({"class": "high"}),
    ];
    let mut all: Vec<Value> = odd.to_vec();
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                for variant in variants(field) {
                    let mut changed = fields.clone();
                    changed.insert(key.clone(), variant);
                    all.push(Value::Object(changed));
                }
                let mut without = fields.clone();
                without.remove(key);
                all.push(Value::Object(without));
            }
            for extra in ["stat", "ttl", "locator"] {
                let mut more = fields.clone();
                more.insert(extra.to_owned(), json!(1));
                all.push(Value::Object(more));
            }
        }
        Value::Array(list) => {
            for (index, entry) in list.iter().enumerate() {
                for variant in variants(entry) {
                    let mut changed = list.clone();
                    changed[index] = variant;
                    all.push(Value::Array(changed));
                }
            }
        }
        _ => {}
    }
    all
}

/// What the schema cannot say: the form of a name of hardware, and the wrong ones that stand in `variants`.
fn names_hardware_wrongly(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(key, field)| match (key.as_str(), field) {
            ("hardware", Value::Array(names)) => {
                names.iter().any(|name| matches!(name.as_str(), Some("" | "x y" | "GPU")))
            }
            (_, field) => names_hardware_wrongly(field),
        }),
        _ => false,
    }
}

#[test]
fn the_schema_and_the_parser_agree() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let rule = |name: &str| schema["$defs"][name].clone();
    let (mut right, mut wrong) = (0, 0);
    let mut hold = |by_schema: bool, by_parser: bool, value: &Value| {
        if by_schema && names_hardware_wrongly(value) {
            assert!(!by_parser, "{value}");
            return;
        }
        assert_eq!(by_schema, by_parser, "{value}");
        if by_parser { right += 1 } else { wrong += 1 }
    };
    for value in variants(&report()).iter().chain([&report()]) {
        hold(accepts(&schema, &rule("put"), value), Body::read(value, Manner::Whole).is_ok(), value);
        hold(accepts(&schema, &rule("patch"), value), Body::read(value, Manner::Patch).is_ok(), value);
    }
    let line = json!({"iid": 100, "eid": "10.1.0.5", "op": "put", "context": {"load": 0.4}});
    for op in ["put", "patch", "delete", "heartbeat", "drop"] {
        let mut line = line.clone();
        line["op"] = json!(op);
        for value in variants(&line).iter().chain([&line]) {
            // An EID's form is for the parser alone.
            if value["eid"] == line["eid"] || !value["eid"].is_string() {
                hold(accepts(&schema, &rule("line"), value), Line::read(value).is_ok(), value);
            }
        }
    }
    assert!(right > 100 && wrong > 1000, "{right} right, {wrong} wrong");
}
