//! `sterna down`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use sterna_config::Paths;

use crate::exit::Exit;
use crate::target::folders;
use crate::terminal;

/// Clears what a stopped or killed gateway left behind: its pinned XDP links, so that its ports belong to the kernel
/// again, and its sockets. A gateway that runs is left alone.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway's name; needless where only one left something
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    name: Option<String>,
    /// The gateway's config file, when it has [paths] of its own
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Clears and says what was cleared.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Exit> {
    let paths = match (&args.config, &args.name) {
        (Some(file), _) => match sterna_config::load(file) {
            Ok(config) => config.paths.clone(),
            Err(report) => {
                write!(out, "{}", report.render(terminal::look()))?;
                return Ok(if report.is_unreadable() { Exit::CannotTell } else { Exit::Found });
            }
        },
        (None, Some(name)) => Paths::of(name),
        (None, None) => match only_one()? {
            Some(name) => Paths::of(&name),
            None => {
                writeln!(out, "nothing to clear: no gateway left anything behind")?;
                return Ok(Exit::Ok);
            }
        },
    };
    clear(&paths, out)
}

/// The name of the one gateway that left something.
fn only_one() -> Result<Option<String>> {
    let names: BTreeSet<String> =
        [Paths::RUN_ROOT, Paths::PIN_ROOT].into_iter().flat_map(|root| folders(Path::new(root))).collect();
    if names.len() > 1 {
        let names: Vec<String> = names.into_iter().collect();
        bail!("several gateways left something: choose one with --name ({})", names.join(", "));
    }
    Ok(names.into_iter().next())
}

fn clear(paths: &Paths, out: &mut dyn Write) -> Result<Exit> {
    let alive = alive(paths);
    if !alive.is_empty() {
        bail!(
            "the {} of {} still {} first (Ctrl-C in `sterna run`, or `systemctl stop`)",
            alive.join(" and the "),
            paths.run_dir.display(),
            if alive.len() == 1 { "runs: end it" } else { "run: end them" }
        );
    }
    let links = remove_pins(&paths.pin_dir)?;
    let files = remove_run_files(&paths.run_dir)?;
    if links + files == 0 {
        writeln!(out, "nothing to clear in {} and {}", paths.run_dir.display(), paths.pin_dir.display())?;
        return Ok(Exit::Ok);
    }
    if links > 0 {
        let what = if links == 1 { "1 XDP link; its port belongs" } else { "XDP links; their ports belong" };
        let number = if links == 1 { String::new() } else { format!("{links} ") };
        writeln!(out, "released {number}{what} to the kernel again ({})", paths.pin_dir.display())?;
    }
    if files > 0 {
        let what = if files == 1 { "file" } else { "files" };
        writeln!(out, "removed {files} {what} ({})", paths.run_dir.display())?;
    }
    Ok(Exit::Ok)
}

/// Which planes still listen.
fn alive(paths: &Paths) -> Vec<&'static str> {
    let mut alive = Vec::new();
    if listens_for_packets(&paths.dataplane_socket()) {
        alive.push("dataplane");
    }
    if UnixStream::connect(paths.control_socket()).is_ok() {
        alive.push("control plane");
    }
    alive
}

/// Whether someone listens on the dataplane's socket, which has message boundaries. Saying nothing there does no harm.
fn listens_for_packets(path: &Path) -> bool {
    let connect = || {
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)
    };
    connect().is_ok()
}

/// Removes the pins: the last reference to each link, so the kernel takes the program off the port.
fn remove_pins(dir: &Path) -> Result<usize> {
    let mut removed = 0;
    for path in entries(dir)? {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("link-")) {
            remove(&path)?;
            removed += 1;
        }
    }
    remove_if_empty(dir)?;
    Ok(removed)
}

/// Removes the sockets and the lock; anything else that someone put there stays, and so does its directory.
fn remove_run_files(dir: &Path) -> Result<usize> {
    let mut removed = 0;
    for path in entries(dir)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let ours = ["dataplane.", "control.", "controlplane."].iter().any(|start| name.starts_with(start));
        if ours && !path.is_dir() {
            remove(&path)?;
            removed += 1;
        }
    }
    remove_if_empty(dir)?;
    Ok(removed)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(|| format!("cannot look into {}", dir.display()))?,
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.with_context(|| format!("cannot remove {}", path.display())),
    }
}

fn remove_if_empty(dir: &Path) -> Result<()> {
    match fs::remove_dir(dir) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
            Ok(())
        }
        other => other.with_context(|| format!("cannot remove {}", dir.display())),
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn paths(root: &Path) -> Paths {
        Paths { run_dir: root.join("run"), pin_dir: root.join("pins"), state_dir: root.join("state") }
    }

    fn cleared(paths: &Paths) -> String {
        let mut out = Vec::new();
        assert_eq!(clear(paths, &mut out).unwrap(), Exit::Ok);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn leftovers_go_and_a_second_time_finds_nothing() {
        let root = tempfile::tempdir().unwrap();
        let paths = paths(root.path());
        fs::create_dir(&paths.run_dir).unwrap();
        fs::create_dir(&paths.pin_dir).unwrap();
        // Bound and dropped: socket files that nobody listens on.
        drop(UnixListener::bind(paths.control_socket()).unwrap());
        drop(UnixListener::bind(paths.dataplane_socket()).unwrap());
        for link in ["link-2", "link-3"] {
            fs::write(paths.pin_dir.join(link), "").unwrap();
        }
        let said = cleared(&paths);
        assert!(said.contains("released 2 XDP links") && said.contains("removed 2 files"), "{said}");
        assert!(!paths.run_dir.exists() && !paths.pin_dir.exists());
        assert!(cleared(&paths).starts_with("nothing to clear"));
    }

    #[test]
    fn what_is_not_ours_stays() {
        let root = tempfile::tempdir().unwrap();
        let paths = paths(root.path());
        fs::create_dir(&paths.run_dir).unwrap();
        fs::write(paths.run_dir.join("notes.txt"), "mine").unwrap();
        fs::write(paths.run_dir.join("controlplane.lock"), "").unwrap();
        assert!(cleared(&paths).contains("removed 1 file "));
        assert!(paths.run_dir.join("notes.txt").exists());
    }

    #[test]
    fn a_running_plane_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let paths = paths(root.path());
        fs::create_dir(&paths.run_dir).unwrap();
        let _control = UnixListener::bind(paths.control_socket()).unwrap();
        let flags = SocketFlags::CLOEXEC;
        let dataplane =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        rustix::net::bind(&dataplane, &SocketAddrUnix::new(paths.dataplane_socket()).unwrap()).unwrap();
        rustix::net::listen(&dataplane, 1).unwrap();
        let error = clear(&paths, &mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains("dataplane and the control plane"), "{error}");
        assert!(paths.control_socket().exists() && paths.dataplane_socket().exists());
    }
}
