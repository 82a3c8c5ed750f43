//! `sterna-perf diff`: whether one is faster than the other, or whether that is noise.

mod rank;
mod runs;
mod verdict;

use self::verdict::{Compared, Terms, Verdict, compare};
use anyhow::{Result, ensure};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// What to compare, and how sure to be.
#[derive(clap::Args)]
pub struct Options {
    /// Before: a raw file, a file with a list of them, a report's folder, or a folder of such.
    a: PathBuf,
    /// After: the same. As many runs as before are pairs, the first with the first: make them in turn.
    b: PathBuf,
    /// Percent: how sure all verdicts together must be.
    #[arg(long, value_name = "PERCENT", default_value_t = 95.0, value_parser = confidence)]
    confidence: f64,
    /// Percent: a smaller difference is none that matters.
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0, value_parser = least)]
    least: f64,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

fn confidence(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|percent| (50.0..=99.99).contains(percent));
    percent.ok_or_else(|| "give 50 to 99.99 percent".to_owned())
}

fn least(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "give 0 to 100 percent".to_owned())
}

/// What it exits with when something is worse, and when nothing can be said.
const WORSE: u8 = 1;
const NOTHING: u8 = 2;

#[derive(Serialize)]
struct Told {
    terms: Terms,
    /// What the reader should know of the runs.
    notes: Vec<String>,
    compared: Vec<Compared>,
}

/// Compares and prints; 0: the same or better, 1: something is worse, 2: nothing can be said.
pub fn run(options: &Options) -> ExitCode {
    let done = tell(options).and_then(|told| {
        let mut out = std::io::stdout().lock();
        match options.json {
            true => writeln!(out, "{}", serde_json::to_string(&told)?)?,
            false => write!(out, "{}", told.in_words())?,
        }
        Ok(told.exit())
    });
    done.unwrap_or_else(|error| {
        eprintln!("sterna-perf: {error:#}");
        ExitCode::from(NOTHING)
    })
}

fn tell(options: &Options) -> Result<Told> {
    let (a, b) = (runs::read(&options.a)?, runs::read(&options.b)?);
    let terms = Terms { confidence: options.confidence / 100.0, least: options.least / 100.0 };
    let compared = compare(&a, &b, terms);
    ensure!(
        !compared.is_empty(),
        "{} and {} have no figure in common",
        options.a.display(),
        options.b.display()
    );
    let mut notes = Vec::new();
    let (first, second) = (&a[0].machine, &b[0].machine);
    if !first.is_like(second) {
        notes.push(format!(
            "other machines ({first}; {second}): ratios within a run are judged, times and rates not"
        ));
    } else if first != second && (first.kernel != second.kernel || first.mitigations != second.mitigations) {
        notes.push(
            "the kernel or its mitigations are not the same: they are part of the difference".to_owned(),
        );
    }
    if a.len() == 1 && b.len() == 1 {
        notes.push(
            "one run each: this is what changed between the two, the machine's own mood included; several made in turn \
             (A B A B ...) tell builds apart"
                .to_owned(),
        );
    } else if a.len() != b.len() {
        notes.push(format!("{} runs and {}: no pairs", a.len(), b.len()));
    }
    Ok(Told { terms, notes, compared })
}

impl Told {
    fn count(&self, verdict: Verdict) -> usize {
        self.compared.iter().filter(|compared| compared.verdict == verdict).count()
    }

    fn exit(&self) -> ExitCode {
        let said = [Verdict::Better, Verdict::Worse, Verdict::Same].map(|verdict| self.count(verdict));
        match said {
            [_, worse, _] if worse > 0 => ExitCode::from(WORSE),
            [0, 0, 0] => ExitCode::from(NOTHING),
            _ => ExitCode::SUCCESS,
        }
    }

    fn in_words(&self) -> String {
        let mut text = String::new();
        let width = self.compared.iter().map(|compared| compared.key.len()).max().unwrap_or(0);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<width$} {:>12} {:>12} {:>9} {:>19} {:>9} {:>8}  verdict",
            "", "before", "after", "change", "bounds", "runs", "chance"
        );
        for one in &self.compared {
            let percent = |share: f64| format!("{:+.1}", share * 100.0);
            let plain = |value: f64| format!("{value:+.4}");
            let shown = |value| if one.change.is_some() { percent(value) } else { plain(value) };
            let change =
                one.change.map_or_else(|| plain(one.b - one.a), |change| format!("{} %", percent(change)));
            let bounds =
                one.bounds.map_or("-".to_owned(), |(low, high)| format!("{}..{}", shown(low), shown(high)));
            let runs = if one.paired {
                format!("{} pairs", one.runs[0])
            } else {
                format!("{}, {}", one.runs[0], one.runs[1])
            };
            let _ = writeln!(
                text,
                "{:<width$} {:>12} {:>12} {change:>9} {bounds:>19} {runs:>9} {:>8.4}  {}",
                one.key,
                value(one.a),
                value(one.b),
                one.p,
                one.verdict.in_words(&one.unit)
            );
        }
        let _ = writeln!(
            text,
            "{} better, {} worse, {} without a difference beyond noise, {} of too few runs, {} of another machine; \
             confidence {} % for all together, differences below {} % left aside",
            self.count(Verdict::Better),
            self.count(Verdict::Worse),
            self.count(Verdict::Same),
            self.count(Verdict::TooFew),
            self.count(Verdict::OtherMachine),
            self.terms.confidence * 100.0,
            self.terms.least * 100.0
        );
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        text
    }
}

fn value(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.5}"),
    }
}
