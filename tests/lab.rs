//! The lab's scenarios with real Linux hosts at the ends, each with its negative control: with the feature in
//! question taken away, the scenario must fail, or it proves nothing.
//!
//! Needs root and the lab's tools; where they are missing a test prints `SKIP` and the reason.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test code")]

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One lab at a time: two cores carry all of it.
static ONE: Mutex<()> = Mutex::new(());

fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(|deps| deps.parent()).unwrap().join(name);
    assert!(built.exists(), "{} is not built: cargo build --workspace --bins", built.display());
    built
}

/// The reason why no lab can be built here.
fn missing() -> Option<String> {
    sterna_lab::requirements::check().err().map(|error| error.to_string())
}

/// Runs a scenario; its object and how the process ended. `None` when there can be no lab here.
fn run(name: &str, negative: bool) -> Option<(Value, bool)> {
    let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(reason) = missing() {
        println!("SKIP: {reason}");
        return None;
    }
    let mut command = Command::new(program("sterna"));
    command.args(["lab", "run", name, "--json", "--short"]);
    if negative {
        command.arg("--negative");
    }
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let told = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}: {text}"));
    Some((told, output.status.success()))
}

fn figure(told: &Value, name: &str) -> i64 {
    told["figures"][name].as_i64().unwrap_or_else(|| panic!("no figure {name} in {told}"))
}

/// What must be 0 in every scenario.
const ZERO: [&str; 8] = [
    "duplicated",
    "corrupted",
    "strayed",
    "balance_error",
    "frames_leaked",
    "clear_packets",
    "wrong_iid_packets",
    "malformed",
];

/// Scenarios in which packets take another way than those before them: their order is no promise.
const OTHER_WAYS: [&str; 4] = ["move", "multihoming", "thousand", "rough"];

fn holds(name: &str) {
    let Some((told, success)) = run(name, false) else { return };
    assert!(success && told["ok"] == true, "{told:#}");
    for zero in ZERO {
        // A link doubles packets, and no gateway is to find that.
        let zero = if (name, zero) == ("rough", "duplicated") { "duplicated_unexplained" } else { zero };
        assert_eq!(figure(&told, zero), 0, "{zero}: {told:#}");
    }
    assert_eq!(figure(&told, "lost"), allowed_loss(name, &told), "{told:#}");
    if !OTHER_WAYS.contains(&name) {
        assert_eq!(figure(&told, "reordered"), 0, "{told:#}");
    }
    let seen = if name == "scale" { "control_packets" } else { "lisp_packets" };
    assert!(figure(&told, "offered") > 0 && figure(&told, seen) > 0, "{told:#}");
}

/// The packets that a scenario says it may lose, each for a reason that it measures.
fn allowed_loss(name: &str, told: &Value) -> i64 {
    match name {
        // A killed dataplane may lose what it had in its rings; that scenario says how much is allowed.
        "fail-closed" => figure(told, "lost"),
        "move" => {
            assert_eq!((figure(told, "announced_lost"), figure(told, "both_links_lost")), (0, 0), "{told:#}");
            assert_eq!(figure(told, "tcp_resets"), 0, "{told:#}");
            assert_eq!(figure(told, "tcp_sha256_ok"), figure(told, "tcp_transfers"), "{told:#}");
            assert!(figure(told, "relayed_packets") > 0, "{told:#}");
            assert!(figure(told, "unannounced_lost") <= figure(told, "unannounced_lost_bound"), "{told:#}");
            figure(told, "unannounced_lost")
        }
        "multihoming" => {
            assert!(figure(told, "lost_in_failover") <= figure(told, "lost_at_the_cut"), "{told:#}");
            figure(told, "lost_in_failover")
        }
        "thousand" => {
            assert_eq!(figure(told, "tcp_resets"), 0, "{told:#}");
            assert_eq!(figure(told, "connections_survived"), figure(told, "connections"), "{told:#}");
            assert!(figure(told, "moves") > 0 && figure(told, "map_messages") > 0, "{told:#}");
            0
        }
        "rough" => {
            for zero in ["lost_unexplained", "wrong_answers", "tcp_resets", "relay_error"] {
                assert_eq!(figure(told, zero), 0, "{zero}: {told:#}");
            }
            assert_eq!(figure(told, "tcp_sha256_ok"), figure(told, "tcp_transfers"), "{told:#}");
            let mut kept = 0;
            for kind in ["wan", "satellite", "wifi", "5g"] {
                let link = &told["figures"]["links"][kind];
                let number =
                    |name: &str| link[name].as_u64().unwrap_or_else(|| panic!("{kind} {name}: {told:#}"));
                assert!(number("control_messages") <= number("control_messages_bound"), "{told:#}");
                assert!(number("probe_messages") <= number("probe_messages_bound"), "{told:#}");
                assert!(number("offered") > 500, "{kind}: {told:#}");
                kept += number("frames_lost");
            }
            assert!(kept > 0, "the links kept nothing: {told:#}");
            figure(told, "lost")
        }
        _ => 0,
    }
}

fn fails_without_its_feature(name: &str) {
    let Some((told, success)) = run(name, true) else { return };
    assert!(!success && told["ok"] == false, "the negative control held: {told:#}");
}

macro_rules! scenarios {
    ($($test:ident, $control:ident: $name:literal;)*) => {
        $(
            #[test]
            fn $test() {
                holds($name);
            }

            #[test]
            fn $control() {
                fails_without_its_feature($name);
            }
        )*

        #[test]
        fn every_scenario_is_tested_here() {
            let tested = [$($name,)* "demo"];
            for entry in &sterna_lab::scenario::ALL {
                assert!(tested.contains(&entry.name), "{} has no test", entry.name);
            }
        }
    };
}

scenarios! {
    ping_matrix, ping_matrix_control: "ping-matrix";
    tcp, tcp_control: "tcp";
    udp, udp_control: "udp";
    isolation, isolation_control: "isolation";
    control_plane_kill, control_plane_kill_control: "control-plane-kill";
    locator_change, locator_change_control: "locator-change";
    accounting, accounting_control: "accounting";
    vlan, vlan_control: "vlan";
    bulk, bulk_control: "bulk";
    multi_queue, multi_queue_control: "multi-queue";
    fail_closed, fail_closed_control: "fail-closed";
    resolve, resolve_control: "resolve";
    moving, moving_control: "move";
    multihoming, multihoming_control: "multihoming";
    hijack, hijack_control: "hijack";
    restart, restart_control: "restart";
    scale, scale_control: "scale";
    context, context_control: "context";
    reaction, reaction_control: "reaction";
    legacy, legacy_control: "legacy";
    storm, storm_control: "storm";
    thousand, thousand_control: "thousand";
    rough, rough_control: "rough";
}

#[test]
fn the_demo_shows_all_seven_and_prints_one_object() {
    let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(reason) = missing() {
        println!("SKIP: {reason}");
        return;
    }
    let start = Instant::now();
    let output = Command::new(program("sterna")).args(["demo", "--json"]).output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && told["ok"] == true, "{told:#}");
    let steps = told["steps"].as_array().unwrap();
    assert!(steps.len() >= 7, "{told:#}");
    assert!(steps.iter().all(|s| s["ok"] == true && s["name"].is_string() && s["detail"].is_string()));
    assert_eq!(told.as_object().unwrap().len(), 2, "only ok and steps");
    // Not a judgement of speed: ten times the promised minute means that something hangs.
    assert!(start.elapsed() < Duration::from_secs(600));
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(reason) = missing() {
        println!("SKIP: {reason}");
        return;
    }
    let mut demo = Command::new(program("sterna")).arg("demo").stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(4));
    assert!(demo.try_wait().unwrap().is_none(), "the demo ended before it could be interrupted");
    let pid = rustix::process::Pid::from_child(&demo);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(!demo.wait().unwrap().success());
    let names = Command::new("ip").args(["netns", "list"]).output().unwrap();
    let names = String::from_utf8(names.stdout).unwrap();
    assert!(!names.lines().any(|n| n.starts_with("st-")), "{names}");
    let pins = std::fs::read_dir("/sys/fs/bpf/sterna").map(|dir| dir.flatten().count()).unwrap_or(0);
    assert_eq!(pins, 0, "pins are left");
}
