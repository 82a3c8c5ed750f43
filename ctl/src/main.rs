//! `sterna`: the operator's hand on a gateway.
//!
//! One file per verb; `show` has one file per noun. Verbs that ask a running gateway go through [`client`].
//!
//! | exit status | means                                                             |
//! |-------------|-------------------------------------------------------------------|
//! | 0           | all is well                                                       |
//! | 1           | something was found: a mistake in a file, a gateway not in order  |
//! | 2           | the verb failed, or was called wrongly                            |
//! | 3           | nothing can be told: the file cannot be read, no gateway answers  |
#![forbid(unsafe_code)]

mod agent;
mod apply;
mod check;
mod client;
mod demo;
mod down;
mod exit;
mod lab;
mod path;
mod run;
mod show;
mod table;
mod target;
mod terminal;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Agents keep their address; gateways carry their packets. This is the hand on a gateway.
#[derive(Debug, Parser)]
#[command(name = "sterna", version, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Read a config file and name every mistake; needs no root
    Check(check::Args),
    /// Have a running gateway read its config file again
    Apply(apply::Args),
    /// Attach an agent to a running gateway, or announce that it leaves
    #[command(subcommand)]
    Agent(agent::Command),
    /// Show what a running gateway knows and counts
    Show(show::Args),
    /// Explain where packets between two EIDs go, and why there
    Path(path::Args),
    /// Start a gateway's two processes in the foreground, for a try
    Run(run::Args),
    /// Clear what a stopped or killed gateway left behind
    Down(down::Args),
    /// Two sites in network namespaces: scenarios with figures
    #[command(subcommand)]
    Lab(lab::Command),
    /// Show everything at work on this machine, without a special NIC
    Demo(demo::Args),
}

fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    let out = &mut io::stdout();
    exit::conclude(match verb {
        Verb::Check(args) => check::run(&args, out),
        Verb::Apply(args) => apply::run(&args, out),
        Verb::Agent(command) => agent::run(&command, out),
        Verb::Show(args) => show::run(&args, out),
        Verb::Path(args) => path::run(&args, out),
        Verb::Run(args) => run::run(&args, out),
        Verb::Down(args) => down::run(&args, out),
        Verb::Lab(command) => lab::run(command),
        Verb::Demo(args) => demo::run(args),
    })
}
