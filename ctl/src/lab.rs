//! `sterna lab`: a network in namespaces, and the scenarios that run in it.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};
use sterna_lab::error::LabError;
use sterna_lab::report::{Scenario, Silent, Step, Table, Watch};
use sterna_lab::scenario::{self, Entry, Options};
use sterna_lab::{interrupt, lab};

use crate::exit::Exit;

/// The verbs of `sterna lab`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Name the scenarios, what each proves, and what its negative control takes away
    List,
    /// Build a lab, run a scenario in it, tell the figures, clear up
    Run(Run),
    /// A shell, or a command, in a host, a gateway or the core of a lab that is up
    Enter(Enter),
    /// Clear every lab that is up or was left by a killed run
    Down,
}

/// `sterna lab run`.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The scenario, as `sterna lab list` names it
    name: String,
    /// Print one JSON object alone
    #[arg(long)]
    json: bool,
    /// Leave the lab up and say how to look into it
    #[arg(long)]
    keep: bool,
    /// Run the negative control: the same without the feature in question, which must fail
    #[arg(long)]
    negative: bool,
    /// Do less of what takes long (`scale`: 20,000 EIDs in place of a million), as the tests do
    #[arg(long)]
    short: bool,
}

/// `sterna lab enter`.
#[derive(Debug, clap::Args)]
pub struct Enter {
    /// a1 to a4, b1 to b4, gwa, gwb, lana, lanb, core or ms; with several labs up, a full name such as st-a1-gwa
    host: String,
    /// What to run there; a shell if nothing is given
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Runs a verb of `sterna lab`.
pub fn run(command: Command) -> Result<Exit> {
    match command {
        Command::List => list(&mut io::stdout()),
        Command::Run(args) => run_scenario(&args, &mut io::stdout()),
        Command::Enter(args) => enter(&args),
        Command::Down => down(&mut io::stdout()),
    }
}

fn list(out: &mut dyn Write) -> Result<Exit> {
    for entry in &scenario::ALL {
        writeln!(out, "{:<20} {}", entry.name, entry.about)?;
        writeln!(out, "{:<20}   negative control without {}", "", entry.without)?;
    }
    Ok(Exit::Ok)
}

fn run_scenario(args: &Run, out: &mut dyn Write) -> Result<Exit> {
    let entry = scenario::find(&args.name)?;
    let options = Options { negative: args.negative, keep: args.keep, short: args.short };
    let told = tell(entry, options, args.json, out)?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&told)?)?;
    } else {
        writeln!(out, "{}", serde_json::to_string_pretty(&told.figures)?)?;
    }
    Ok(if told.ok { Exit::Ok } else { Exit::Found })
}

/// Runs a scenario, showing people what happens as it happens.
///
/// # Errors
/// When the machine cannot have a lab, or on Ctrl-C; everything is cleared then.
pub fn tell(entry: &Entry, options: Options, json: bool, out: &mut dyn Write) -> Result<Scenario> {
    interrupt::install()?;
    let result = if json {
        scenario::run(entry, options, &mut Silent)
    } else {
        scenario::run(entry, options, &mut Progress { out })
    };
    result.map_err(|error| match error {
        LabError::Interrupted => anyhow::anyhow!("interrupted; the lab is cleared"),
        error => error.into(),
    })
}

/// Writes what happens in a scenario for people.
struct Progress<'w> {
    out: &'w mut dyn Write,
}

impl Progress<'_> {
    /// A reader that went away ends the writing, not the scenario and its clearing up.
    fn say(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
    }
}

impl Watch for Progress<'_> {
    fn step(&mut self, step: &Step) {
        let mark = if step.ok { "ok    " } else { "FAILED" };
        // One thing seen per line reads better than one long line.
        let seen = step.detail.replace("; ", "\n         ");
        self.say(format_args!("{mark} {}: {seen}", step.name));
    }

    fn table(&mut self, table: &Table) {
        self.say(format_args!("\n{table}"));
    }

    fn note(&mut self, text: &str) {
        self.say(format_args!("       {text}"));
    }
}

fn enter(args: &Enter) -> Result<Exit> {
    let namespace = lab::find_namespace(&args.host)?;
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let (program, arguments) = args.command.split_first().map_or((&shell, [].as_slice()), |(p, a)| (p, a));
    if args.command.is_empty() {
        eprintln!("this shell is in {}; `exit` leaves it", namespace.name());
    }
    // Only the network namespace changes: files, pins and processes are the machine's own.
    namespace.enter_for_good()?;
    let error =
        std::process::Command::new(program).args(arguments).env("STERNA_LAB_HOST", namespace.name()).exec();
    Err(error).with_context(|| format!("cannot run {}", program.to_string_lossy()))
}

fn down(out: &mut dyn Write) -> Result<Exit> {
    sterna_lab::requirements::check()?;
    let (found, left) = lab::down_all()?;
    if found.is_empty() {
        writeln!(out, "no lab was up")?;
    } else {
        writeln!(out, "cleared: {found}")?;
    }
    if left.is_empty() {
        return Ok(Exit::Ok);
    }
    writeln!(out, "still there: {left}")?;
    Ok(Exit::Found)
}
