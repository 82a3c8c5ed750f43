//! The lab with everything that it measures, in short: every frame is accounted for and every figure is there. What
//! the figures are is nobody's business here.
//!
//! Needs root and the lab's tools; where they are missing a test prints `SKIP` and the reason.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "test code")]

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn lab(arguments: &[&str]) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_sterna-perf"));
    let gateway = program.with_file_name("sterna-dataplane");
    assert!(gateway.exists(), "{} is not built: cargo build --workspace --bins", gateway.display());
    let mut command = Command::new(program);
    command.arg("lab").args(arguments);
    command
}

/// Says so when there can be no lab here.
fn is_missing() -> bool {
    let missing = sterna_lab::requirements::check().err();
    if let Some(reason) = &missing {
        println!("SKIP: {reason}");
    }
    missing.is_some()
}

fn measured(arguments: &[&str]) -> Value {
    let Output { status, stdout, .. } = lab(arguments).stderr(Stdio::inherit()).output().unwrap();
    let told: Value = serde_json::from_slice(&stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&stdout)));
    assert!(status.success(), "{told:#}");
    told
}

/// A trial's frames, added up anew.
fn adds_up(name: &str, trial: &Value) {
    let of =
        |key: &str| trial["account"][key].as_i64().unwrap_or_else(|| panic!("{name}: no {key} in {trial}"));
    let parts = ["refused", "before", "inside", "behind", "arrived"].map(of);
    assert_eq!(parts.iter().sum::<i64>(), of("offered"), "{name}: {trial:#}");
    assert!(of("offered") > 0 && of("arrived") > 0, "{name}: {trial:#}");
    // Frames of the kernels' own are few.
    assert!(of("before").abs() <= 64 && of("behind").abs() <= 64, "{name}: {trial:#}");
}

#[test]
fn every_system_has_its_figures_and_every_frame_is_accounted_for() {
    if is_missing() {
        return;
    }
    let told = measured(&["--quick", "--seconds", "0.3", "--json"]);
    for key in ["plain_mpps", "kernel_vxlan_mpps", "encap_mpps", "two_gateways_kpps", "encap_over_plain"] {
        assert!(told[key].as_f64().is_some_and(|value| value > 0.0), "{key}: {told:#}");
    }
    assert!(told["encap_over_kernel_vxlan"].is_number(), "{told:#}");
    let why = told["missing"].as_array().unwrap();
    // It is another maker's, and need not be installed.
    let without_testpmd =
        why.iter().any(|missing| missing["part"] == "testpmd" && missing["why"].is_string());
    assert_eq!(told["testpmd_mpps"].is_null(), without_testpmd, "{told:#}");
    assert_eq!(why.len(), usize::from(without_testpmd), "{told:#}");
    for system in told["systems"].as_array().unwrap() {
        let name = system["name"].as_str().unwrap();
        adds_up(name, &system["overload"]);
        for latency in system["latency"].as_array().unwrap() {
            adds_up(name, &latency["at"]);
        }
        assert!(system["cpu_ns_per_packet"].as_f64().unwrap() > 0.0, "{system:#}");
        assert!(system["overload"]["probes"].as_u64().unwrap() > 0, "{system:#}");
    }
    for budget in told["budgets"].as_array().unwrap() {
        assert_eq!(budget["value"].is_number(), budget["met"].is_boolean(), "{budget}");
    }
}

#[test]
fn an_interrupted_lab_leaves_nothing() {
    if is_missing() {
        return;
    }
    let mut command = lab(&["--only", "gateway", "--seconds", "600"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    // Until its own namespaces are there, another lab may be the one that is up.
    let folders = || sterna_lab::identity::LabId::all();
    while !folders().iter().any(|id| id.folder().join("box/run/control.sock").exists()) {
        assert!(start.elapsed() < Duration::from_secs(900), "the lab was not built");
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(50));
    }
    let up = folders().into_iter().find(|id| id.folder().join("box").exists()).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .unwrap();
    let done = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success() && told.contains("the lab is cleared"), "{told}");
    assert!(
        sterna_lab::leftovers::Leftovers::of(&up).is_empty(),
        "{}",
        sterna_lab::leftovers::Leftovers::of(&up)
    );
}

#[test]
fn wrong_arguments_are_errors() {
    for (arguments, says) in [
        (&["--seconds", "0"][..], "give 0.2 to 3600 seconds"),
        (&["--only", "everything"], "invalid value 'everything'"),
        (&["--core", "4096"], "there is no core 4096"),
    ] {
        let done = lab(arguments).output().unwrap();
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success() && told.contains(says), "{arguments:?}: {told}");
    }
}
