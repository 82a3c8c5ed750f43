//! `sterna-perf reaction`: how soon packets follow a change, and what a small exchange takes.
//!
//! In this process, from a record in the ring; and with whole gateways in a lab, which needs root: from a Map-Notify,
//! from a context report, and questions and answers between two agents.

mod report;
mod ring;
mod sites;
mod spread;

use crate::machine::Machine;
use anyhow::{Result, bail};
use std::io::Write;
use sterna_lab::error::LabError;
use sterna_lab::experiment::exchange::MOST_STRANGERS;

use report::Lab;
pub use report::Report;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Changes through the ring.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    changes: u32,
    /// Changes that a Map-Server tells.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    notifies: u32,
    /// Packets per second to the EID whose mapping a Map-Server changes.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=50_000))]
    rate: u32,
    /// Agents that are asked for the first time.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST_STRANGERS)))]
    strangers: u8,
    /// Questions to an agent that is known.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: u32,
    /// Forty context reports in place of two hundred.
    #[arg(long)]
    short: bool,
    /// The ring alone: no lab, no root.
    #[arg(long)]
    ring_only: bool,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// The core of the ring's worker; the control plane and the conductor have the other one.
    #[arg(long, default_value_t = 1)]
    core: usize,
}

/// Measures and prints.
///
/// # Errors
/// Also when a packet was lost or an account does not balance: a time is worth nothing then.
pub fn run(options: &Options) -> Result<()> {
    let mut report = measure(options.changes, options.core)?;
    if options.ring_only {
        report.left_out = Some("--ring-only".to_owned());
    } else if let Err(error) = sterna_lab::requirements::check() {
        report.left_out = Some(error.to_string());
    } else {
        report.lab = Some(measure_lab(options)?);
    }
    let mut out = std::io::stdout().lock();
    if options.json {
        writeln!(out, "{}", serde_json::to_string(&report.judged())?)?;
    } else {
        write!(out, "{report}")?;
    }
    match report.faults() {
        faults if faults.is_empty() => Ok(()),
        faults => bail!("these figures do not count: {}", faults.join("; ")),
    }
}

/// From the ring alone: so many changes with the worker on a core.
pub fn measure(changes: u32, core: usize) -> Result<Report> {
    let machine = Machine::read();
    // On a thread of its own, whose core is chosen and forgotten.
    let ring = std::thread::scope(|scope| {
        let measured = scope.spawn(|| ring::measure(&machine, changes, core)).join();
        measured.unwrap_or_else(|_| bail!("the measuring thread panicked"))
    })?;
    Ok(Report { machine, ring, lab: None, left_out: None })
}

fn measure_lab(options: &Options) -> Result<Lab> {
    sterna_lab::interrupt::install()?;
    let lab = || -> Result<Lab> {
        Ok(Lab {
            notify: sites::notify(options.notifies, options.rate)?,
            context: sites::context(options.short)?,
            exchange: sites::exchange(options.strangers, options.rounds)?,
        })
    };
    lab().map_err(|error| match error.downcast_ref::<LabError>() {
        Some(LabError::Interrupted) => error.context("nothing is left of the lab"),
        _ => error,
    })
}
