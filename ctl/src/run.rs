//! `sterna run FILE`.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use sterna_config::Role;

use crate::exit::Exit;
use crate::terminal;

/// Starts the dataplane and the control plane of a gateway in the foreground and ends both with Ctrl-C. For a try; in
/// production systemd starts each.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway's config file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Directory of the sockets, instead of the file's
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
}

/// How long a plane may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at a plane that is about to end.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Runs until a signal comes or a plane ends.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Exit> {
    let config = match sterna_config::load(&args.file) {
        Ok(config) => config,
        Err(report) => {
            write!(out, "{}", report.render(terminal::look()))?;
            return Ok(if report.is_unreadable() { Exit::CannotTell } else { Exit::Found });
        }
    };
    let folder = own_folder()?;
    // Before the children: the death of one that dies at once must be seen too.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCHLD]).context("cannot watch for signals")?;
    // In this order they start, and in the reverse they end: the dataplane forwards on without the control plane, and
    // not the other way round. A gateway that forwards nothing has no dataplane.
    let mut names = vec!["sterna-controlplane"];
    if config.has(Role::Xtr) {
        names.insert(0, "sterna-dataplane");
    }
    let mut planes = start(&folder, &names, args)?;
    let dead = watch(&mut signals, &mut planes)?;
    if let Some(sentence) = &dead {
        let others = if planes.len() > 1 { "; ending the other" } else { "" };
        eprintln!("sterna: {sentence}{others}");
    }
    let ended: Vec<Result<bool>> = planes.iter_mut().rev().map(Plane::stop).collect();
    let clean = ended.into_iter().collect::<Result<Vec<bool>>>()?.into_iter().all(|clean| clean);
    Ok(if dead.is_none() && clean { Exit::Ok } else { Exit::Failed })
}

/// Starts all, or none.
fn start(folder: &Path, names: &[&'static str], args: &Args) -> Result<Vec<Plane>> {
    let mut planes: Vec<Plane> = Vec::new();
    for name in names {
        match Plane::start(folder, name, args) {
            Ok(plane) => planes.push(plane),
            Err(error) => {
                for plane in &mut planes {
                    // Its own error would only hide why we are here.
                    let _ = plane.stop();
                }
                return Err(error);
            }
        }
    }
    Ok(planes)
}

/// Waits for a signal to end, or for the first plane to end, and then says which.
fn watch(signals: &mut Signals, planes: &mut [Plane]) -> Result<Option<String>> {
    for signal in signals.forever() {
        if signal != SIGCHLD {
            return Ok(None);
        }
        for plane in &mut *planes {
            if let Some(status) = plane.child.try_wait()? {
                return Ok(Some(format!("{} has ended by itself ({status})", plane.name)));
            }
        }
    }
    Ok(None)
}

/// Where this program and, beside it, the planes are.
fn own_folder() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    Ok(own.parent().map(Path::to_owned).unwrap_or_default())
}

/// One of the two processes.
struct Plane {
    name: &'static str,
    child: Child,
}

impl Plane {
    fn start(folder: &Path, name: &'static str, args: &Args) -> Result<Plane> {
        let program = folder.join(name);
        let mut command = Command::new(&program);
        command.arg("--config").arg(&args.file);
        if let Some(run_dir) = &args.run_dir {
            command.arg("--run-dir").arg(run_dir);
        }
        // A group of its own, so that Ctrl-C comes to us alone and the planes end in order.
        let child = command.process_group(0).spawn();
        match child {
            Ok(child) => Ok(Plane { name, child }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
                "there is no {name} beside this program in {}: build or install all of Sterna (`cargo build`)",
                folder.display()
            ),
            Err(error) => Err(error).with_context(|| format!("cannot start {}", program.display())),
        }
    }

    /// Ends it and waits for that. Whether it ended by itself and well, in time.
    fn stop(&mut self) -> Result<bool> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status.success());
        }
        if let Some(pid) = Pid::from_raw(self.child.id().try_into()?) {
            kill_process(pid, Signal::TERM).with_context(|| format!("cannot end {}", self.name))?;
        }
        match self.wait()? {
            Some(status) => Ok(status.success()),
            None => {
                eprintln!("sterna: {} did not end within {} s: killing it", self.name, PATIENCE.as_secs());
                self.child.kill()?;
                self.child.wait()?;
                Ok(false)
            }
        }
    }

    fn wait(&mut self) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(None)
    }
}
