//! `sterna-perf`: how fast, with what was on, on which machine.

#![forbid(unsafe_code)]

mod bench;
mod budget;
mod case;
mod changes;
mod clocks;
mod diff;
mod floor;
mod frames;
mod instructions;
mod lab;
mod machine;
mod oracle;
mod packets;
mod pipeline;
mod quick;
mod reaction;
mod remote;
mod report;
mod row;
mod samples;
mod site;
mod steal;
mod updater;
mod writer;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Measures Sterna and says under which conditions.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Clocks per packet of the forwarding code itself: ports in memory, no kernel.
    Pipeline(pipeline::Options),
    /// How soon packets follow a change of their mapping, and small exchanges (root for most of it).
    Reaction(reaction::Options),
    /// What is carried over veth pairs, beside what else could forward there (root).
    Lab(lab::Options),
    /// The quick set of all of it, under five minutes.
    Bench(quick::Options),
    /// All of it as one page with pictures, raw files and HDR logs beside it (root for most of it).
    Report(report::Options),
    /// Compares what two reports or runs measured: faster, slower, or noise.
    Diff(diff::Options),
    /// Instructions per packet of the forwarding code under callgrind, against the committed numbers.
    Instructions(instructions::Options),
    /// Bursts of one row, for an instruction counter around this process.
    #[command(hide = true)]
    Counted(instructions::Counted),
    /// The other process of rows with updates.
    #[command(hide = true)]
    Updater(updater::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Pipeline(options) => pipeline::run(&options),
        Command::Reaction(options) => reaction::run(&options),
        Command::Lab(options) => lab::run(&options),
        Command::Bench(options) => quick::run(&options),
        Command::Report(options) => report::run(&options),
        Command::Diff(options) => return diff::run(&options),
        Command::Instructions(options) => instructions::run(&options),
        Command::Counted(options) => instructions::counted(&options),
        Command::Updater(options) => updater::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sterna-perf: {error:#}");
            ExitCode::FAILURE
        }
    }
}
