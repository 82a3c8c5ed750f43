//! `sterna-perf reaction` with few trials: what it tells, and that every packet is accounted for. Never a time: those
//! are for a machine that does nothing else.
//!
//! The lab's part needs root and the lab's tools; where they are missing the test prints `SKIP` and the reason.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "test code")]

use serde_json::Value;
use std::process::{Command, Output};

fn reaction(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sterna-perf"));
    command.arg("reaction").args(arguments).output().unwrap()
}

fn told(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// A histogram holds each of its trials once, and its points are in order.
fn spread(told: &Value, trials: u64) {
    let points =
        ["min_us", "p50_us", "p90_us", "p99_us", "p999_us", "max_us"].map(|at| told[at].as_f64().unwrap());
    assert!(points.windows(2).all(|pair| pair[0] <= pair[1]) && points[5] > 0.0, "{told}");
    let steps = told["histogram"].as_array().unwrap();
    assert_eq!(
        (told["count"].as_u64(), steps.last().unwrap()[1].as_u64()),
        (Some(trials), Some(trials)),
        "{told}"
    );
}

#[test]
fn the_ring_alone_follows_every_change_and_says_what_was_left_out() {
    let output = reaction(&["--json", "--ring-only", "--changes", "100"]);
    let told = told(&output);
    assert!(output.status.success(), "{told}");
    spread(&told["ring"], 100);
    assert!(told["machine"]["kernel"].is_string() && told["lab"].is_null(), "{told}");
    assert_eq!(told["left_out"], "--ring-only");
    assert_eq!(told["budgets"].as_array().unwrap().len(), 1, "{told}");
    let table = reaction(&["--ring-only", "--changes", "100"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("ring record to the first packet") && table.contains("not measured"), "{table}");
}

#[test]
fn with_sites_every_change_is_followed_and_every_packet_arrives() {
    if let Err(reason) = sterna_lab::requirements::check() {
        println!("SKIP: {reason}");
        return;
    }
    let few =
        ["--changes", "100", "--notifies", "10", "--rate", "2000", "--strangers", "5", "--rounds", "50"];
    let output = reaction(&[&few[..], &["--short", "--json"]].concat());
    let told = told(&output);
    assert!(output.status.success(), "{told:#}: {}", String::from_utf8_lossy(&output.stderr));
    let [notify, context, exchange] = ["notify", "context", "exchange"].map(|part| &told["lab"][part]);
    spread(&notify["notified"], 10);
    for packets in [&notify["packets"], &context["packets"]] {
        assert!(
            packets["offered"].as_u64().unwrap() > 0 && packets["delivered"] == packets["offered"],
            "{packets}"
        );
        for none in ["lost", "duplicated", "corrupted", "balance_error"] {
            assert_eq!(packets[none], 0, "{none}: {packets}");
        }
    }
    assert_eq!((&notify["missing"], &notify["strayed"]), (&0.into(), &0.into()), "{notify}");
    spread(&context["last"], 40);
    spread(&exchange["first"], 5);
    spread(&exchange["rounds"], 50);
    spread(&exchange["kernel"], 50);
    for none in ["extra_round_trips", "lost", "wrong", "balance_error"] {
        assert_eq!(exchange[none], 0, "{none}: {exchange}");
    }
    assert_eq!(told["budgets"].as_array().unwrap().len(), 4, "{told}");
}
