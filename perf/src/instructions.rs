//! `sterna-perf instructions`: what a machine that is shared can still tell: how many instructions a packet costs.
//!
//! Each row runs under valgrind's callgrind, which counts inside the timed burst only. The numbers belong to one
//! compiler and one build profile (release), not to a machine: valgrind offers no AVX-512, so whatever is dispatched
//! at run time takes another way, and the C library is told to use its plainest copies.

use crate::bench::{Bench, Under};
use crate::case::Case;
use crate::pipeline::default_config;
use crate::site::{self, Plan};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use sterna_xsk::BURST;

/// The rows: every way through the code, at tables that are built quickly (a lookup in a larger one is as many
/// instructions and more waiting, which is not counted here).
const ROWS: &[&str] = &[
    "encap-v4-in-v4-64-1-sequential",
    "encap-v4-in-v4-64-4096-uniform",
    "encap-v4-in-v4-64-4096-uniform-prefixes",
    "encap-v4-in-v4-64-4096-uniform-2locators",
    "encap-v4-in-v4-64-4096-uniform-classes",
    "encap-v4-in-v4-1400-4096-uniform",
    "encap-v6-in-v6-64-4096-uniform",
    "encap-v4-in-v4-64-4096-uniform-misses",
    "decap-v4-in-v4-64-4096-uniform",
    "decap-v6-in-v6-64-4096-uniform",
    "encap-mixed-in-v4-4096-uniform",
];
/// Bursts that are counted: enough that what happens once in a hundred bursts is among them.
const BURSTS: u32 = 128;
/// By how much a row may differ from its committed number, in either direction.
const TOLERANCE: f64 = 0.02;
/// How an instruction counter finds what to count.
const COUNTED: &str = "*timed_burst*";
/// The C library's copies differ from machine to machine otherwise.
const TUNABLES: &str =
    "glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-ERMS,-FSRM,-AVX_Fast_Unaligned_Load";

/// What to count and what to compare with.
#[derive(clap::Args)]
pub struct Options {
    /// The committed numbers.
    #[arg(long, default_value = "perf/instructions.json")]
    file: PathBuf,
    /// Writes the numbers counted now to the file.
    #[arg(long)]
    update: bool,
}

/// Instructions per packet by row.
type Numbers = BTreeMap<String, f64>;

/// Counts, and compares or writes.
pub fn run(options: &Options) -> Result<()> {
    let committed = if options.update { Numbers::new() } else { read(&options.file)? };
    let mut counted = Numbers::new();
    let mut wrong = Vec::new();
    let mut out = std::io::stdout().lock();
    for row in ROWS {
        let now = count(row).with_context(|| (*row).to_owned())?;
        let verdict = if options.update {
            String::new()
        } else {
            compare(committed.get(*row).copied(), now, row, &mut wrong)
        };
        writeln!(out, "{row:<44} {now:>8.1} {verdict}")?;
        counted.insert((*row).to_owned(), (now * 10.0).round() / 10.0);
    }
    if options.update {
        let text = serde_json::to_string_pretty(&counted)? + "\n";
        return std::fs::write(&options.file, text).with_context(|| options.file.display().to_string());
    }
    wrong.extend(
        committed
            .keys()
            .filter(|row| !counted.contains_key(*row))
            .map(|row| format!("{row} is no row any more")),
    );
    ensure!(
        wrong.is_empty(),
        "{}; if that is meant: `sterna-perf instructions --update`, and commit {} with the reason",
        wrong.join("; "),
        options.file.display()
    );
    Ok(())
}

fn read(file: &Path) -> Result<Numbers> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| file.display().to_string())
}

fn compare(committed: Option<f64>, now: f64, row: &str, wrong: &mut Vec<String>) -> String {
    let Some(committed) = committed else {
        wrong.push(format!("{row} has no committed number"));
        return "new".to_owned();
    };
    let change = now / committed - 1.0;
    if change.abs() > TOLERANCE {
        wrong.push(format!("{row} takes {now:.1} instructions per packet instead of {committed:.1}"));
    }
    format!("{committed:>8.1} {:+.1} %", change * 100.0)
}

/// Instructions per packet of a row.
fn count(row: &str) -> Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(std::env::current_exe()?)
        .args(["counted", "--row", row, "--bursts", &BURSTS.to_string()])
        .env("GLIBC_TUNABLES", TUNABLES)
        .output()
        .context("valgrind cannot be started: `make deps` installs it")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {text}", output.status);
    let Some(collected) = collected(&text) else { bail!("callgrind did not say what it counted: {text}") };
    ensure!(collected > 0, "callgrind counted nothing: is {COUNTED} still a function of its own?");
    Ok(collected as f64 / (f64::from(BURSTS) * BURST as f64))
}

/// The number in callgrind's line `==123== Collected : 456`.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok()
}

/// What runs inside valgrind.
#[derive(clap::Args)]
pub struct Counted {
    #[arg(long)]
    row: String,
    #[arg(long)]
    bursts: u32,
}

/// Bursts of one row, checked like a timed one.
pub fn counted(options: &Counted) -> Result<()> {
    let case = Case::parse(&options.row)?;
    let config = default_config()?;
    let site = site::build(&config, Plan::of(&case))?;
    let under = Under { tables: &site.tables, view: &site.view, blocks: &site.blocks };
    let mut bench = Bench::new(case, &config, under, 16)?;
    bench.measure(options.bursts as usize)?;
    bench.close()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    #[test]
    fn rows_are_rows() {
        for row in ROWS {
            assert_eq!(Case::parse(row).unwrap().name(), *row);
        }
    }

    #[test]
    fn callgrinds_sum_is_read() {
        let text = "==7== Events    : Ir\n==7== Collected : 9876543\n==7== \n";
        assert_eq!(collected(text), Some(9_876_543));
        assert_eq!(collected("==7== Events    : Ir\n"), None);
    }

    #[test]
    fn more_than_the_tolerance_is_wrong_in_either_direction() {
        let judge = |now| {
            let mut wrong = Vec::new();
            compare(Some(100.0), now, "row", &mut wrong);
            wrong.len()
        };
        assert_eq!([97.9, 98.1, 100.0, 101.9, 102.1].map(judge), [1, 0, 0, 0, 1]);
        let mut wrong = Vec::new();
        compare(None, 1.0, "row", &mut wrong);
        assert_eq!(wrong.len(), 1);
    }
}
