//! `sterna-perf bench`: the quick set, as README shows it.

use crate::{lab, pipeline, reaction};
use anyhow::Result;
use serde::Serialize;
use std::io::Write;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Prints JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// The core of whoever is measured; the load and the control plane have the other one.
    #[arg(long, default_value_t = 1)]
    core: usize,
}

/// Changes of the quick reaction.
const CHANGES: u32 = 1000;

#[derive(Serialize)]
struct Report {
    pipeline: crate::row::Report,
    reaction: reaction::Report,
    lab: Option<lab::Report>,
    /// Why there is no lab.
    without_lab: Option<String>,
}

/// In a thread of its own: each pins its thread, and what the lab starts must find all cores.
pub fn apart<T: Send>(measure: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        scope.spawn(measure).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Measures and prints. Without root, or without the lab's tools, all but the lab, and says so.
pub fn run(options: &Options) -> Result<()> {
    let pipeline = apart(|| pipeline::quick(options.core))?;
    let reaction = apart(|| reaction::measure(CHANGES, options.core))?;
    let (lab, without_lab) = match sterna_lab::requirements::check() {
        Ok(()) => (Some(lab::quick(options.core)?), None),
        Err(missing) => (None, Some(missing.to_string())),
    };
    let report = Report { pipeline, reaction, lab, without_lab };
    let mut out = std::io::stdout().lock();
    if options.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
        return Ok(());
    }
    writeln!(out, "{}\n{}", report.pipeline, report.reaction)?;
    match (&report.lab, &report.without_lab) {
        (Some(lab), _) => write!(out, "{lab}")?,
        (None, why) => writeln!(out, "no lab: {}", why.as_deref().unwrap_or("it was not built"))?,
    }
    report.lab.as_ref().map_or(Ok(()), lab::Report::check)
}
