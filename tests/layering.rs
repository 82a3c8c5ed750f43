//! Who may use whom (design section 4), and where unsafe may live. Read from `cargo metadata` and the sources.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test code")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each package and what it may use of ours. Anything else is forbidden.
const ALLOWED: &[(&str, &[&str])] = &[
    ("sterna-wire", &[]),
    ("sterna-xsk", &[]),
    ("sterna-cpu", &[]),
    ("sterna-table", &["sterna-wire", "sterna-cpu"]),
    ("sterna-shm", &["sterna-wire"]),
    ("sterna-config", &["sterna-wire"]),
    (
        "sterna-dataplane",
        &["sterna-xsk", "sterna-shm", "sterna-table", "sterna-cpu", "sterna-config", "sterna-wire"],
    ),
    ("sterna-controlplane", &["sterna-shm", "sterna-config", "sterna-wire"]),
    ("sterna", &["sterna-shm", "sterna-config", "sterna-wire", "sterna-lab"]),
    ("sterna-lab", &["sterna-wire", "sterna-config"]),
    ("sterna-pktgen", &["sterna-xsk", "sterna-wire"]),
    // perf reads clocks and prefetches in its floor, makes ports and reads the defaults (docs/adr/0003).
    (
        "sterna-perf",
        &[
            "sterna-pktgen",
            "sterna-dataplane",
            "sterna-controlplane",
            "sterna-lab",
            "sterna-shm",
            "sterna-wire",
            "sterna-cpu",
            "sterna-xsk",
            "sterna-config",
        ],
    ),
];

/// Crates that may contain `unsafe`; every other one forbids it.
const UNSAFE_HOMES: &[&str] = &["lib/xsk", "lib/shm", "lib/table", "lib/cpu"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Package name to the names of its dependencies, dev-dependencies left out.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let name = |v: &Value| v["name"].as_str().unwrap().to_owned();
    let normal = |d: &&Value| d["kind"].as_str() != Some("dev");
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|p| (name(p), p["dependencies"].as_array().unwrap().iter().filter(normal).map(name).collect()))
        .collect()
}

#[test]
fn nobody_uses_what_the_design_forbids() {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let ours: BTreeSet<String> = uses().into_keys().collect();
    for (package, dependencies) in uses() {
        if package == "sterna-tests" {
            continue;
        }
        let allowed =
            allowed.get(package.as_str()).unwrap_or_else(|| panic!("{package} is not in the table"));
        for dependency in dependencies.intersection(&ours) {
            assert!(allowed.contains(&dependency.as_str()), "{package} must not use {dependency}");
        }
    }
}

#[test]
fn the_dataplane_knows_no_async_runtime_and_the_control_plane_no_packets() {
    let uses = uses();
    for forbidden in ["tokio", "axum", "hyper", "futures-util"] {
        assert!(!uses["sterna-dataplane"].contains(forbidden), "dataplane uses {forbidden}");
    }
    for forbidden in ["xsk-rs", "libxdp-sys"] {
        assert!(!uses["sterna-controlplane"].contains(forbidden), "controlplane uses {forbidden}");
    }
}

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && name != ".git" {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn unsafe_stays_in_its_homes() {
    let root = root();
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 50, "the sources were not found");
    // Written apart, so that this file does not find itself.
    let words = [concat!("un", "safe {"), concat!("un", "safe fn"), concat!("un", "safe impl")];
    for file in files {
        let relative = file.strip_prefix(&root).unwrap();
        if UNSAFE_HOMES.iter().any(|home| relative.starts_with(home)) || relative.starts_with("fuzz") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            assert!(!words.iter().any(|word| line.contains(word)), "{}: {line}", relative.display());
        }
    }
}

#[test]
fn every_other_crate_forbids_unsafe() {
    let root = root();
    for package in metadata()["packages"].as_array().unwrap() {
        for target in package["targets"].as_array().unwrap() {
            let kinds = target["kind"].as_array().unwrap();
            let entry = PathBuf::from(target["src_path"].as_str().unwrap());
            let relative = entry.strip_prefix(&root).unwrap().to_owned();
            let shipped = kinds.iter().any(|k| k == "lib" || k == "bin");
            if !shipped || UNSAFE_HOMES.iter().any(|home| relative.starts_with(home)) {
                continue;
            }
            let text = std::fs::read_to_string(&entry).unwrap();
            let forbids = text.contains(concat!("#![forbid(un", "safe_code)]"));
            assert!(forbids, "{} does not forbid it", relative.display());
        }
    }
}

#[test]
fn no_name_says_nothing() {
    let root = root();
    let mut files = Vec::new();
    sources(&root, &mut files);
    for file in files {
        let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
        let bad = ["util", "utils", "common", "helper", "helpers", "misc", "types", "manager"];
        assert!(!bad.contains(&stem.as_str()), "{}", file.display());
    }
}
