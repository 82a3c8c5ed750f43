//! Instructions per packet against the committed numbers, and what the program says to wrong arguments.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "test code")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The release build: the numbers are its alone.
fn release() -> Option<PathBuf> {
    let debug = PathBuf::from(env!("CARGO_BIN_EXE_sterna-perf"));
    let target = debug.ancestors().nth(2).unwrap();
    Some(target.join("release/sterna-perf")).filter(|program| program.is_file())
}

fn perf(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sterna-perf")).args(arguments).output().unwrap()
}

#[test]
fn a_packet_takes_as_many_instructions_as_committed() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("SKIP: valgrind is missing: `make deps` installs it");
        return;
    }
    let Some(program) = release() else {
        println!("SKIP: no release build: `cargo build --release -p sterna-perf`, as `make test` does");
        return;
    };
    let done = Command::new(program).arg("instructions").current_dir(root()).output().unwrap();
    println!("{}", String::from_utf8_lossy(&done.stdout));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn wrong_arguments_are_errors() {
    for (arguments, says) in [
        (&["pipeline", "--row", "encap-v4-in-v4-64-1-often"][..], "often is no order"),
        (&["pipeline", "--row", "encap-v4-in-v4-64-1-uniform", "--quick"], "cannot be used with"),
        (&["pipeline", "--all", "--list"], "cannot be used with"),
        (&["pipeline", "--runs", "4"], "4 is not in 5..=101"),
        (&["pipeline", "--core", "4096"], "there is no core 4096"),
        (&["instructions", "--file", "/nowhere/at/all.json"], "/nowhere/at/all.json"),
    ] {
        let done = perf(arguments);
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success() && told.contains(says), "{arguments:?}: {told}");
    }
}

#[test]
fn a_row_is_measured_with_everything_that_was_on() {
    let row = "encap-v4-in-v4-64-4096-zipf-2locators";
    let core = std::thread::available_parallelism().map_or(0, |cores| usize::from(cores) - 1).to_string();
    let done = perf(&[
        "pipeline", "--row", row, "--floor", "--json", "--runs", "5", "--bursts", "1024", "--core", &core,
    ]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let told: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let first = &told["rows"][0];
    assert_eq!(first["name"], row);
    assert!(first["over_floor"].as_f64().unwrap() > 0.0 && first["locators"] == 2, "{told}");
    assert!(told["on"].as_array().unwrap().iter().any(|on| on == "MSS clamp"), "{told}");
}
