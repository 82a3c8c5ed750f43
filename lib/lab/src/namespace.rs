//! One network namespace by name: made, entered by a thread, emptied and removed.
//!
//! A thread enters with setns alone, never through `ip netns exec`, which remounts /sys and hides the
//! bpf file system from the processes it starts.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;

use rustix::process::{Pid, Signal};
use rustix::thread::LinkNameSpaceType;

use crate::command;
use crate::error::{LabError, Result};
use crate::thread::panic_text;

/// Where iproute2 keeps the names of namespaces.
const NETNS_DIR: &str = "/run/netns";

/// A named network namespace; a cheap handle, dropping it removes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    name: Arc<str>,
}

impl Namespace {
    /// Makes a new namespace with loopback up.
    ///
    /// # Errors
    /// When the name exists or the kernel refuses.
    pub fn create(name: &str) -> Result<Self> {
        command::output("ip", &["netns", "add", name])?;
        let namespace = Self::named(name);
        command::output("ip", &["-n", name, "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// A handle for a namespace that exists already, or may.
    pub fn named(name: &str) -> Self {
        Self { name: name.into() }
    }

    /// Every namespace whose name begins with `prefix`.
    pub fn all_with_prefix(prefix: &str) -> Vec<Self> {
        let mut found: Vec<Self> = std::fs::read_dir(NETNS_DIR)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.starts_with(prefix))
            .map(|name| Self::named(&name))
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// Its full name, as `ip netns` shows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(NETNS_DIR).join(&*self.name)
    }

    /// Does it exist?
    pub fn exists(&self) -> bool {
        self.path().exists()
    }

    /// Moves the calling thread into this namespace for good. Only for a thread that will end soon, or a
    /// process that is about to become another program: the caller's other namespaces stay.
    ///
    /// # Errors
    /// When the namespace does not exist or we are not root.
    pub fn enter_for_good(&self) -> Result<()> {
        let file =
            File::open(self.path()).map_err(LabError::io(format!("opening namespace {}", self.name)))?;
        rustix::thread::move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(
            |errno| LabError::Io { what: format!("entering namespace {}", self.name), source: errno.into() },
        )
    }

    /// Runs `work` in a thread inside the namespace. Sockets and processes made there stay there.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or with the panic of `work`.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let inside = std::thread::Builder::new()
                .name(format!("in {}", self.name))
                .spawn_scoped(scope, || self.enter_for_good().map(|()| work()))
                .map_err(LabError::io("starting a thread"))?;
            inside.join().unwrap_or_else(|panic| Err(LabError::Panicked(panic_text(&*panic))))
        })
    }

    /// Starts a process inside the namespace, in a process group of its own.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(&self, mut command: Command) -> Result<Child> {
        let program = command.get_program().to_string_lossy().into_owned();
        self.run(|| command.process_group(0).spawn())?
            .map_err(|source| command::not_started(&program, source))
    }

    /// Runs a program inside the namespace to its end and gives its standard output.
    ///
    /// # Errors
    /// As [`command::output`].
    pub fn output(&self, program: &str, arguments: &[&str]) -> Result<String> {
        self.run(|| command::output(program, arguments))?
    }

    /// Sets a sysctl of this namespace, named by its path below `/proc/sys/net`.
    ///
    /// # Errors
    /// When the kernel has no such knob or refuses the value.
    pub fn sysctls(&self, settings: &[(String, String)]) -> Result<()> {
        self.run(|| {
            for (knob, value) in settings {
                let path = format!("/proc/sys/net/{knob}");
                // Bridge filtering is a module: where it is not loaded there is nothing to turn off.
                if knob.starts_with("bridge/") && !std::path::Path::new(&path).exists() {
                    continue;
                }
                std::fs::write(&path, value).map_err(LabError::io(format!("setting {path} to {value}")))?;
            }
            Ok(())
        })?
    }

    /// The number of one of its interfaces.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn interface_index(&self, interface: &str) -> Result<u32> {
        self.run(|| {
            let socket = std::net::UdpSocket::bind(("0.0.0.0", 0))?;
            rustix::net::netdevice::name_to_index(&socket, interface).map_err(std::io::Error::from)
        })?
        .map_err(LabError::io(format!("looking for {interface} in {}", self.name)))
    }

    /// Ids of the processes whose main thread is inside.
    pub fn processes(&self) -> Vec<i32> {
        command::output("ip", &["netns", "pids", &self.name])
            .unwrap_or_default()
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .collect()
    }

    /// Kills what runs inside and removes the name; no error when it is gone already.
    ///
    /// # Errors
    /// When the name cannot be removed.
    pub fn remove(&self) -> Result<()> {
        if !self.exists() {
            return Ok(());
        }
        for id in self.processes() {
            if let Some(pid) = Pid::from_raw(id) {
                // It may have ended by itself since it was listed.
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
        command::output("ip", &["netns", "del", &self.name]).map(|_| ())
    }
}
