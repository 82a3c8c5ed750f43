//! The fuzz corpus, replayed: each file goes through the very function that the fuzzer runs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and names its file"
)]

mod targets;

use std::fs;
use std::path::PathBuf;

/// Runs a target over its corpus and tells how many files there were.
fn replay(name: &str, target: fn(&[u8])) -> usize {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
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
fn corpus_of_parse_frame() {
    assert!(replay("parse_frame", targets::parse_frame) > 0, "the corpus is empty");
}

#[test]
fn corpus_of_parse_lisp() {
    assert!(replay("parse_lisp", targets::parse_lisp) > 0, "the corpus is empty");
}
