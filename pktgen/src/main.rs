//! `sterna-pktgen`: loads a network, and says what came of it.

#![forbid(unsafe_code)]

mod arguments;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use sterna_pktgen::hostile::Class;
use sterna_pktgen::profile::{Profile, ProfileError, shipped};
use sterna_pktgen::report::Report;
use sterna_pktgen::run::{Line, Options, run};

use self::arguments::{Arguments, Command};

/// The exit code of a run that was ended before its time.
const PARTIAL: u8 = 3;

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(arguments) => profile_of(&arguments.profile).and_then(|mut profile| {
            arguments.change(&mut profile);
            execute(&profile, &arguments.options(), arguments.output.json)
        }),
        Command::Sink(arguments) => execute(&receiving(), &arguments.options(), arguments.output.json),
        Command::Check { profiles } => check(&profiles),
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

fn execute(profile: &Profile, options: &Options, json: bool) -> Result<ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second one ends the program at once.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let progress = |line: &Line| {
        // Nobody may watch; the run goes on.
        let _ = writeln!(std::io::stderr(), "{line}");
    };
    let report = run(profile, options, &stop, progress)?;
    print(&report, json)?;
    Ok(if report.partial { ExitCode::from(PARTIAL) } else { ExitCode::SUCCESS })
}

fn print(report: &Report, json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(())
}

fn check(profiles: &[std::path::PathBuf]) -> Result<ExitCode> {
    let mut wrong = 0;
    for path in profiles {
        match Profile::load(path) {
            Ok(_) => writeln!(std::io::stdout(), "{}: ok", path.display())?,
            Err(error) => {
                wrong += 1;
                writeln!(std::io::stdout(), "{error}")?;
            }
        }
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list(entries: impl Iterator<Item = (&'static str, String)>) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    for (name, about) in entries {
        writeln!(out, "{name:26} {about}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(name: &str) -> Result<ExitCode> {
    let found = shipped().iter().find(|one| one.name == name);
    let found =
        found.ok_or_else(|| anyhow!("there is no profile {name}: `sterna-pktgen profiles` lists them"))?;
    write!(std::io::stdout(), "{}", found.text)?;
    Ok(ExitCode::SUCCESS)
}
