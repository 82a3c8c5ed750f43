//! A tcpdump in the core router.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::error::{LabError, Result};
use crate::interrupt;
use crate::namespace::Namespace;

/// How long it may take to begin.
pub(super) const START: Duration = Duration::from_secs(10);
/// The kernel's room for frames that it has not read yet, KiB.
const BUFFER: &str = "65536";
/// Bytes of a capture file's header, which is written when the capture is open.
const FILE_HEADER: u64 = 24;

/// A running tcpdump; ends when dropped.
#[derive(Debug)]
pub(super) struct Tcpdump {
    pub child: Child,
}

impl Tcpdump {
    /// Captures what enters `namespace` on any interface, `snap` bytes of a frame at most, into what `more` says.
    pub fn start(namespace: &Namespace, snap: &str, more: impl FnOnce(&mut Command)) -> Result<Self> {
        let mut command = Command::new("tcpdump");
        command
            .args(["-i", "any", "-Q", "in", "-n", "-U", "--immediate-mode", "-y", "LINUX_SLL2"])
            .args(["-s", snap, "-B", BUFFER])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        more(&mut command);
        Ok(Self { child: namespace.spawn(command)? })
    }

    /// The same into a file, of frames that pass `filter`; the capture is open when this returns.
    pub fn to_file(
        namespace: &Namespace,
        snap: &str,
        path: PathBuf,
        filter: &str,
        more: impl FnOnce(&mut Command),
    ) -> Result<(Self, PathBuf)> {
        let tcpdump = Self::start(namespace, snap, |command| {
            // The owner of the folder keeps the file: it is read while it grows.
            more(command);
            command.args(["-Z", "root", "-w"]).arg(&path).arg(filter);
        })?;
        interrupt::wait_for("the start of tcpdump", START, || Ok(is_open(&path).then_some(())))?;
        Ok((tcpdump, path))
    }

    /// Ends it; interrupted, it flushes what it has and tells its counts.
    pub fn end(&mut self) -> Result<()> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, Signal::INT);
        }
        self.child.wait().map_err(LabError::io("waiting for tcpdump")).map(|_| ())
    }
}

fn is_open(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.len() >= FILE_HEADER)
}

impl Drop for Tcpdump {
    fn drop(&mut self) {
        // After `end` there is nothing left to end and this only reaps.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.end();
        }
    }
}
