//! The program from outside: arguments, exit statuses, what it prints, and the processes it starts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]

mod ask;
mod check;
mod run;

use std::path::Path;
use std::process::{Command, Output};

/// The program under test.
fn sterna(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sterna")).args(arguments).env("NO_COLOR", "1").output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A file of the config crate.
fn config_file(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(name).to_str().unwrap().to_owned()
}

#[test]
fn wrong_arguments_are_told_with_status_2() {
    for (arguments, told) in [
        (&[][..], "Usage: sterna"),
        (&["chekc", "x"], "'check'"),
        (&["check"], "<FILE>"),
        (&["show"], "<NOUN>"),
        (&["show", "eid"], "'eids'"),
        (&["show", "eids", "--name", "a", "--run-dir", "/b"], "cannot be used with"),
        (&["lab"], "Usage: sterna lab"),
        (&["lab", "run"], "<NAME>"),
        (&["down", "extra"], "unexpected argument"),
    ] {
        let output = sterna(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(told), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn help_names_every_verb_and_the_exit_statuses() {
    let output = sterna(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    for word in ["check", "apply", "show", "run", "down", "lab", "demo", "Exit status"] {
        assert!(stdout(&output).contains(word), "{word}");
    }
}

#[test]
fn the_lab_names_its_scenarios() {
    let output = sterna(&["lab", "list"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("demo"));
}
