//! `sterna-pktgen`: loads a network, and says what came of it.

#![forbid(unsafe_code)]

mod arguments;

use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use serde::Serialize;
use sterna_pktgen::agents;
use sterna_pktgen::hostile::Class;
use sterna_pktgen::profile::{Profile, ProfileError, shipped};
use sterna_pktgen::run::{Line, Options, run};

use self::arguments::{AgentsArguments, Arguments, Command, CompareArguments};

/// The exit code of a run that was ended before its time.
const PARTIAL: u8 = 3;
/// The exit code of a comparison of what cannot be read.
const UNREADABLE: u8 = 2;

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(arguments) => profile_of(&arguments.profile).and_then(|mut profile| {
            arguments.change(&mut profile);
            execute(&profile, &arguments.options(), arguments.output.json)
        }),
        Command::Agents(arguments) => crowd(&arguments),
        Command::Sink(arguments) => execute(&receiving(), &arguments.options(), arguments.output.json),
        Command::Check { profiles, agents } => check(&profiles, agents),
        Command::Compare(arguments) => compare(&arguments),
        Command::Profiles => list(shipped().iter().map(|one| {
            let about = Profile::parse(one.text).map(|profile| profile.about).unwrap_or_default();
            (one.name, about)
        })),
        Command::Classes => list(Class::ALL.iter().map(|class| (class.name(), class.help().to_owned()))),
        Command::Show { name } => show(&name),
    };
    done.unwrap_or_else(|error| {
        // Nothing more can be done when nobody listens.
        let _ = writeln!(std::io::stderr(), "sterna-pktgen: {error:#}");
        ExitCode::FAILURE
    })
}

/// A profile by file, or by the name of one that comes with the program.
fn profile_of(name: &str) -> Result<Profile> {
    let Some(known) = shipped().iter().find(|one| one.name == name) else {
        return Ok(Profile::load(Path::new(name))?);
    };
    Profile::parse(known.text)
        .map_err(|findings| ProfileError::Wrong { path: name.into(), findings })
        .context("a profile of our own")
}

/// What a sink alone needs of a profile: nothing.
fn receiving() -> Profile {
    Profile::empty()
}

/// A flag that Ctrl-C sets; the second one ends the program at once.
fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

fn crowd(arguments: &AgentsArguments) -> Result<ExitCode> {
    let profile = agents::profile::Profile::load(&arguments.profile)?;
    let stop = stop_flag()?;
    let progress = |line: &agents::run::Line| {
        // Nobody may watch; the run goes on.
        let _ = writeln!(std::io::stderr(), "{line}");
    };
    let answer = |line: &str| {
        // Who gave the order and does not listen does not want to know.
        let _ = writeln!(std::io::stdout(), "{line}");
    };
    let report = agents::run::run(&profile, &arguments.options(), &stop, progress, answer)?;
    print(&report, arguments.json)?;
    Ok(if report.partial { ExitCode::from(PARTIAL) } else { ExitCode::SUCCESS })
}

fn execute(profile: &Profile, options: &Options, json: bool) -> Result<ExitCode> {
    let stop = stop_flag()?;
    let progress = |line: &Line| {
        // Nobody may watch; the run goes on.
        let _ = writeln!(std::io::stderr(), "{line}");
    };
    let report = run(profile, options, &stop, progress)?;
    print(&report, json)?;
    Ok(if report.partial { ExitCode::from(PARTIAL) } else { ExitCode::SUCCESS })
}

fn print(report: &(impl Display + Serialize), json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(())
}

fn check(profiles: &[std::path::PathBuf], of_agents: bool) -> Result<ExitCode> {
    let mut wrong = 0;
    for path in profiles {
        let loaded = match of_agents {
            true => agents::profile::Profile::load(path).map(|_| ()),
            false => Profile::load(path).map(|_| ()),
        };
        match loaded {
            Ok(()) => writeln!(std::io::stdout(), "{}: ok", path.display())?,
            Err(error) => {
                wrong += 1;
                writeln!(std::io::stdout(), "{error}")?;
            }
        }
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Compares two captures.
fn compare(arguments: &CompareArguments) -> Result<ExitCode> {
    let verdict = match sterna_pktgen::compare::files(&arguments.a, &arguments.b, &arguments.rules()) {
        Ok(verdict) => verdict,
        Err(error) => {
            writeln!(std::io::stderr(), "sterna-pktgen: {error}")?;
            return Ok(ExitCode::from(UNREADABLE));
        }
    };
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &verdict)?;
        writeln!(out)?;
    } else {
        write!(out, "{verdict}")?;
    }
    Ok(if verdict.same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list(entries: impl Iterator<Item = (&'static str, String)>) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    for (name, about) in entries {
        writeln!(out, "{name:26} {about}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(name: &str) -> Result<ExitCode> {
    if name == "agents" {
        write!(std::io::stdout(), "{}", agents::profile::MANUAL)?;
        return Ok(ExitCode::SUCCESS);
    }
    let found = shipped().iter().find(|one| one.name == name);
    let found =
        found.ok_or_else(|| anyhow!("there is no profile {name}: `sterna-pktgen profiles` lists them"))?;
    write!(std::io::stdout(), "{}", found.text)?;
    Ok(ExitCode::SUCCESS)
}
