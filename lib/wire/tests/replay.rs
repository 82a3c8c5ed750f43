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

/// What the fuzzer runs.
type Target = fn(&[u8]);

/// Runs a target over its corpus and tells how many files there were.
fn replay(name: &str, target: Target) -> usize {
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

/// Each control target has a corpus of its own, and every file also goes through all the others.
#[test]
fn corpora_of_the_control_messages() {
    let targets: [(&str, Target); 10] = [
        ("parse_control", targets::control::parse_control),
        ("map_request", targets::control::map_request),
        ("map_reply", targets::control::map_reply),
        ("map_register", targets::control::map_register),
        ("map_notify", targets::control::map_notify),
        ("info", targets::control::info),
        ("ecm", targets::control::ecm),
        ("lisp_address", targets::control::lisp_address),
        ("control_auth", targets::control::control_auth),
        ("acx", targets::control::acx),
    ];
    for (folder, _) in targets {
        for (_, target) in targets {
            assert!(replay(folder, target) > 0, "the corpus of {folder} is empty");
        }
    }
}
