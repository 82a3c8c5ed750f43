//! Bytes that once hurt somebody, each a file named by its meaning with a sentence in `regressions.toml`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The text of a key, which must be there.
fn text<'a>(case: &'a toml::Table, key: &str) -> &'a str {
    let value = case.get(key).and_then(toml::Value::as_str);
    value.unwrap_or_else(|| panic!("no text called {key} in {case:?}"))
}

fn cases() -> toml::Table {
    fs::read_to_string(folder().join("regressions.toml")).unwrap().parse().unwrap()
}

#[test]
fn every_file_has_a_sentence_and_every_sentence_a_file() {
    let told: BTreeSet<String> = cases().keys().map(|name| format!("{name}.bin")).collect();
    let kept: BTreeSet<String> = fs::read_dir(folder().join("regressions"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(told, kept);
    assert!(!kept.is_empty());
}

#[test]
fn each_is_judged_as_its_sentence_says() {
    for (name, case) in &cases() {
        let case = case.as_table().unwrap();
        assert!(text(case, "sentence").ends_with('.'), "{name} needs a sentence");
        let bytes = fs::read(folder().join(format!("regressions/{name}.bin"))).unwrap();
        let outcome = match targets::judge(text(case, "parser"), &bytes) {
            Ok(()) => "accepted".to_owned(),
            Err(reason) => format!("{reason:?}"),
        };
        assert_eq!(outcome, text(case, "outcome"), "{name}");
        targets::parse_frame(&bytes);
        targets::parse_lisp(&bytes);
        targets::control::parse_control(&bytes);
    }
}
