//! The fuzz corpora, replayed: each file goes through the very function that the fuzzer runs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and names its file"
)]

use std::fs;
use std::path::PathBuf;

/// Runs a target over its corpus and tells how many files there were.
fn replay(name: &str, target: fn(&[u8])) -> usize {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        target(&fs::read(&path).unwrap());
        count += 1;
    }
    count
}

#[test]
fn corpus_of_step_burst() {
    assert!(replay("step_burst", sterna_dataplane::rig::fuzz_step) > 0, "the corpus is empty");
}

#[test]
fn corpus_of_shm_records() {
    assert!(replay("shm_records", sterna_shm::fuzz_records) > 0, "the corpus is empty");
}

#[test]
fn corpus_of_shm_ring() {
    assert!(replay("shm_ring", sterna_shm::fuzz_ring) > 0, "the corpus is empty");
}
