use serde_json::json;
use sterna_wire::lisp::control::acx::{
    AgentState, Attributes, Hardware, Latency, LatencyClass, Load, Security,
};

use super::*;

fn whole() -> Value {
    json!({
        "latency": {"class": "low", "sla_us": 5000},
        "hardware": ["gpu", "h100"],
        "state": "active",
        "load": 0.4,
        "queue": 3,
        "security": {"level": 3, "flags": ["crypto"], "domain": 7},
        "ttl_s": 90,
        "locators": {"192.0.2.1": {"state": "busy"}, "2001:db8::1": {"load": 1}},
    })
}

fn put(value: &Value) -> Reported {
    Body::read(value, Manner::Whole).unwrap().applied(Manner::Whole, &Reported::default())
}

fn patched(before: &Reported, value: &Value) -> Reported {
    Body::read(value, Manner::Patch).unwrap().applied(Manner::Patch, before)
}

fn paths(outcome: Result<Body, Vec<Fault>>) -> Vec<String> {
    outcome.unwrap_err().into_iter().map(|fault| fault.path).collect()
}

#[test]
fn a_whole_report_is_attributes() {
    let said = put(&whole());
    let own = Attributes {
        latency: Some(Latency { class: Some(LatencyClass::Low), sla_us: 5000 }),
        hardware: Hardware::from_names(["gpu", "h100"]).ok(),
        state: Some(AgentState::Active),
        load: Some(Load { permille: Some(400), queue: Some(3) }),
        security: Some(Security { level: 3, flags: Security::CRYPTO, domain: 7 }),
    };
    assert_eq!(said.own, own);
    let locators: Vec<_> = said.locators.keys().map(ToString::to_string).collect();
    assert_eq!(locators, ["192.0.2.1", "2001:db8::1"]);
    assert_eq!(said.of([192, 0, 2, 1].into()), Attributes { state: Some(AgentState::Busy), ..own });
    assert_eq!(Body::read(&whole(), Manner::Whole).unwrap().ttl, Some(Duration::from_secs(90)));
    assert_eq!(put(&json!({})), Reported::default());
}

#[test]
fn a_patch_changes_what_it_names_and_null_takes_back() {
    let before = put(&whole());
    let after = patched(&before, &json!({"load": 0.5, "latency": {"class": "high"}}));
    assert_eq!(after.own.load, Some(Load { permille: Some(500), queue: Some(3) }));
    assert_eq!(after.own.latency, Some(Latency { class: Some(LatencyClass::High), sla_us: 5000 }));
    assert_eq!((after.own.state, &after.locators), (before.own.state, &before.locators));
    let value = json!({"state": null, "queue": null, "security": null, "hardware": null, "locators": {"192.0.2.1": null}});
    let after = patched(&before, &value);
    assert_eq!((after.own.state, after.own.security, &after.own.hardware), (None, None, &None));
    assert_eq!((after.own.load, after.locators.len()), (Some(Load { permille: Some(400), queue: None }), 1));
    assert!(patched(&before, &json!({"locators": null})).locators.is_empty());
    let level = patched(&before, &json!({"security": {"level": 1}}));
    assert_eq!(level.own.security, Some(Security { level: 1, flags: Security::CRYPTO, domain: 7 }));
}

#[test]
fn everything_wrong_is_told_with_its_path() {
    let wrong = json!({
        "latency": {"class": "fast", "sla_us": 0, "max": 1},
        "hardware": ["gpu", "H100", 7],
        "state": "sleeping",
        "load": 1.01,
        "queue": -1,
        "security": {"level": 256, "flags": ["crypt"], "domain": 65536},
        "ttl_s": 4,
        "lod": 0.4,
        "locators": {"192.0.2.1": {"load": "0.4", "ttl_s": 9}, "somewhere": {}},
    });
    let mut found = paths(Body::read(&wrong, Manner::Whole));
    found.sort();
    let expected = [
        "hardware.1",
        "hardware.2",
        "latency.class",
        "latency.max",
        "latency.sla_us",
        "load",
        "locators.192.0.2.1.load",
        "locators.192.0.2.1.ttl_s",
        "locators.somewhere",
        "lod",
        "queue",
        "security.domain",
        "security.flags.0",
        "security.level",
        "state",
        "ttl_s",
    ];
    assert_eq!(found, expected);
}

#[test]
fn null_means_nothing_where_all_is_said() {
    assert_eq!(paths(Body::read(&json!({"state": null}), Manner::Whole)), ["state"]);
    assert_eq!(paths(Body::read(&json!({"locators": null}), Manner::Whole)), ["locators"]);
    assert_eq!(
        paths(Body::read(&json!({"locators": {"192.0.2.1": null}}), Manner::Whole)),
        ["locators.192.0.2.1"]
    );
    for value in [json!(null), json!([]), json!("x"), json!(1)] {
        assert_eq!(paths(Body::read(&value, Manner::Patch)), [""]);
    }
}

#[test]
fn what_is_told_back_is_bounded() {
    let many: serde_json::Map<String, Value> =
        (0..1000).map(|n| (format!("x{n}{}", "y".repeat(500)), json!(1))).collect();
    let faults = Body::read(&Value::Object(many), Manner::Whole).unwrap_err();
    assert_eq!(faults.len(), 32);
    assert!(faults.iter().all(|fault| fault.path.len() < 80 && fault.text.len() < 200));
    let locators: serde_json::Map<String, Value> =
        (0..17).map(|n| (format!("192.0.2.{n}"), json!({"load": 1}))).collect();
    assert_eq!(paths(Body::read(&json!({ "locators": locators }), Manner::Whole)), ["locators"]);
}

#[test]
fn lines_of_a_batch() {
    let line = |value: Value| Line::read(&value);
    let put = line(json!({"iid": 100, "eid": "10.1.0.5", "op": "put", "context": {"load": 0.1}})).unwrap();
    assert_eq!((put.iid.get(), put.eid), (100, IpAddr::from([10, 1, 0, 5])));
    assert!(matches!(put.op, Op::Report(Manner::Whole, _)));
    let patch =
        line(json!({"iid": 100, "eid": "10.1.0.5", "op": "patch", "context": {"state": null}})).unwrap();
    assert!(matches!(patch.op, Op::Report(Manner::Patch, _)));
    for (op, expected) in [("heartbeat", Op::Heartbeat), ("delete", Op::Delete)] {
        assert_eq!(line(json!({"iid": 1, "eid": "fd00::5", "op": op})).unwrap().op, expected);
        let faults = line(json!({"iid": 1, "eid": "fd00::5", "op": op, "context": {}})).unwrap_err();
        assert_eq!(faults[0].path, "context");
    }
    for (value, path) in [
        (json!({"iid": 100, "eid": "10.1.0.5", "op": "put"}), "context"),
        (json!({"iid": 100, "eid": "10.1.0.5", "op": "put", "context": {"load": 2}}), "context.load"),
        (json!({"iid": 100, "eid": "10.1.0.5", "op": "put", "context": {"load": null}}), "context.load"),
        (json!({"iid": 100, "eid": "10.1.0.5"}), "op"),
        (json!({"iid": 100, "op": "delete"}), "eid"),
        (json!({"eid": "10.1.0.5", "op": "delete"}), "iid"),
        (json!({"iid": 16_777_215, "eid": "10.1.0.5", "op": "delete"}), "iid"),
        (json!({"iid": 1, "eid": "10.1.0.500", "op": "delete"}), "eid"),
        (json!({"iid": 1, "eid": "10.1.0.5", "op": "drop"}), "op"),
        (json!({"iid": 1, "eid": "10.1.0.5", "op": "delete", "now": 1}), "now"),
        (json!([]), ""),
    ] {
        let faults = line(value.clone()).unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.path.as_str()).collect::<Vec<_>>(), [path], "{value}");
    }
}
