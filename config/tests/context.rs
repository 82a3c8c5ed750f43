//! Context classes, policies and skills of a right file, typed, and what their changes take.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]

use std::path::Path;

use sterna_config::{Change, Config, Context, Effect, Policy, diff, parse_in};
use sterna_wire::lisp::control::acx::{AgentState, Constraint, Hardware, LatencyClass, Need, Security};

const HEAD: &str = r#"
[gateway]
name = "gw-a"
[[port]]
name = "eth1"
side = "eid"
[[port]]
name = "eth0"
side = "rloc"
[[rloc]]
address = "192.0.2.1"
[[group]]
iid = 100
name = "research"
port = "eth1"
gateway = ["10.1.0.1/16"]
eids = ["10.1.0.0/24"]
"#;

const CLASSES: &str = r#"
[[class]]
id = 1
name = "gpu-fast"
require = { hardware = ["gpu", "h100"], max_latency = "medium", max_latency_us = 5000, states = ["active", "idle"], max_load = 0.8, min_security = 2, security = ["crypto", "tee"], domain = 7 }
prefer = [{ max_load = 0.7, weight = 8 }, { hardware = ["nvme"] }, { max_latency_us = 900, weight = 1 }]
[[class]]
id = 15
name = "near"
prefer = [{ max_latency = "low", weight = 15 }]
[[class]]
id = 2
name = "safe"
require = { domain = 9 }
require_context = false
[[policy]]
group = "research"
from = "10.1.0.0/16"
to = "10.1.9.0/24"
dscp = 46
protocol = "tcp"
ports = "443"
class = "gpu-fast"
[[policy]]
protocol = 47
class = "near"
[[policy]]
ports = "8000-8100"
class = "safe"
"#;

fn config(text: &str) -> Config {
    match parse_in(&format!("{HEAD}{text}"), "x", Path::new("")) {
        Ok(config) => config.into_config(),
        Err(report) => panic!("{report}"),
    }
}

fn lines(changes: &[Change]) -> Vec<String> {
    assert!(changes.iter().all(|change| change.effect == Effect::Live), "{changes:?}");
    changes.iter().map(|change| format!("{} {}", change.path, change.text)).collect()
}

#[test]
fn classes_are_constraints() {
    let config = config(CLASSES);
    let hardware = |names: &[&str]| Need::Hardware(Hardware::from_names(names.iter().copied()).unwrap());
    let [fast, near, safe] = config.classes.as_slice() else { panic!("{:?}", config.classes) };
    let states = AgentState::Active.bit() | AgentState::Idle.bit();
    let flags = Security::CRYPTO | Security::TEE;
    let hard = [
        hardware(&["gpu", "h100"]),
        Need::Latency { class: Some(LatencyClass::Medium), max_us: 5000 },
        Need::Load(800),
        Need::Security { level: 2, flags, domain: 7 },
        Need::State(states),
    ];
    let soft = [
        Constraint::soft(Need::Load(700), 8),
        Constraint::soft(hardware(&["nvme"]), 4),
        Constraint::soft(Need::Latency { class: None, max_us: 900 }, 1),
    ];
    let expected: Vec<Constraint> = hard.into_iter().map(Constraint::hard).chain(soft).collect();
    assert_eq!((fast.id, fast.name.as_str(), fast.require_context), (1, "gpu-fast", true));
    let sorted = |constraints: &[Constraint]| {
        let mut lines: Vec<String> = constraints.iter().map(|one| format!("{one:?}")).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&fast.constraints), sorted(&expected));
    assert_eq!((near.id, near.require_context), (15, false));
    assert_eq!((safe.id, safe.require_context), (2, false));
    let lowest = Need::Security { level: 0, flags: 0, domain: 9 };
    assert_eq!(safe.constraints, [Constraint::hard(lowest)]);
}

#[test]
fn policies_are_numbers() {
    let any = Policy { iid: None, from: None, to: None, dscp: None, protocol: None, ports: None, class: 15 };
    let first = Policy {
        iid: sterna_wire::Iid::new(100),
        from: "10.1.0.0/16".parse().ok(),
        to: "10.1.9.0/24".parse().ok(),
        dscp: Some(46),
        protocol: Some(6),
        ports: Some((443, 443)),
        class: 1,
    };
    let second = Policy { protocol: Some(47), ..any };
    let third = Policy { ports: Some((8000, 8100)), class: 2, ..any };
    assert_eq!(config(CLASSES).policies, [first, second, third]);
}

#[test]
fn a_file_without_context_has_the_defaults() {
    let config = config("");
    assert_eq!(config.context, Context::default());
    assert!(config.classes.is_empty() && config.policies.is_empty() && config.groups[0].skills.is_empty());
}

#[test]
fn the_section_says_what_it_says() {
    let text = "[context]\nload_threshold = 0.0255\nspread = 0\neid_api_port = 4380\n";
    let expected = Context { load_threshold: 26, spread: 0, eid_api_port: Some(4380), ..Context::default() };
    assert_eq!(config(text).context, expected);
    for (written, permille) in [("0", 0), ("1", 1000), ("0.5", 500), ("1e-1", 100)] {
        assert_eq!(
            config(&format!("[context]\nload_threshold = {written}\n")).context.load_threshold,
            permille
        );
    }
}

#[test]
fn all_changes_of_context_are_live() {
    let changed = CLASSES
        .replace("max_load = 0.8", "max_load = 0.9")
        .replace("id = 15", "id = 14")
        .replace("require_context = false", "require_context = true")
        .replace("dscp = 46", "dscp = 34");
    let changed =
        format!("{changed}\n[[policy]]\ndscp = 1\nclass = \"safe\"\n[context]\nload_threshold = 0.2\n");
    let gone = changed.replace("protocol = 47\n", "");
    assert_eq!(
        lines(&diff(&config(CLASSES), &config(&changed))),
        [
            "class[1] class 15 (near) goes",
            "class[0] class gpu-fast needs something else",
            "class[1] class 14 (near) comes",
            "class[2].require_context false becomes true",
            "policy[0] group 100 from 10.1.0.0/16 to 10.1.9.0/24 dscp 46 protocol 6 port 443 class gpu-fast becomes \
             group 100 from 10.1.0.0/16 to 10.1.9.0/24 dscp 34 protocol 6 port 443 class gpu-fast",
            "policy[3] policy dscp 1 class safe comes",
            "context.load_threshold 0.1 becomes 0.2",
        ]
    );
    // A policy for all packets before others leaves them nothing.
    let report = parse_in(&format!("{HEAD}{gone}"), "x", Path::new("")).unwrap_err();
    assert_eq!(report.findings.len(), 2, "{report}");
}

#[test]
fn a_class_in_use_cannot_go() {
    let without = CLASSES.replace("name = \"near\"", "name = \"far-away\"");
    let report = parse_in(&format!("{HEAD}{without}"), "x", Path::new("")).unwrap_err();
    let [finding] = report.findings.as_slice() else { panic!("{report}") };
    assert_eq!((finding.path.as_str(), finding.code.as_str()), ("policy[1].class", "STERNA-C080"));
    assert!(finding.line > 20 && finding.column > 1 && finding.text.contains("\"near\""), "{finding:?}");
}
