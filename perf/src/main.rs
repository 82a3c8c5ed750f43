//! `sterna-perf`: how fast, with what was on, on which machine.

#![forbid(unsafe_code)]

mod bench;
mod floor;
mod frames;
mod machine;
mod oracle;
mod pipeline;
mod site;

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
}

fn main() -> ExitCode {
    let Command::Pipeline(options) = Arguments::parse().command;
    match pipeline::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sterna-perf: {error:#}");
            ExitCode::FAILURE
        }
    }
}
