//! Programs of the system that the lab runs: output kept, failure told with what the program said.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::error::{LabError, Result};

/// Runs a program to its end and gives its standard output.
///
/// # Errors
/// [`LabError::Command`] with its standard error, or [`LabError::Missing`] when it is not installed.
pub fn output(program: &str, arguments: &[&str]) -> Result<String> {
    feed(program, arguments, "")
}

/// Like [`output`], with `input` on its standard input.
///
/// # Errors
/// As [`output`].
pub fn feed(program: &str, arguments: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C on the terminal is for the lab alone; it ends its children in order.
        .process_group(0)
        .spawn()
        .map_err(|source| not_started(program, source))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends before it has read everything reports its own reason below.
        let _ = stdin.write_all(input.as_bytes());
    }
    let done = child.wait_with_output().map_err(LabError::io(program))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let mut stderr = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    if stderr.is_empty() {
        stderr = done.status.to_string();
    }
    Err(LabError::Command { command: format!("{program} {}", arguments.join(" ")), stderr })
}

/// The error for a program that could not be started.
pub fn not_started(program: &str, source: std::io::Error) -> LabError {
    if source.kind() == std::io::ErrorKind::NotFound {
        LabError::Missing {
            what: format!("the program `{program}` is not installed"),
            cure: crate::requirements::package_of(program).to_owned(),
        }
    } else {
        LabError::Io { what: format!("starting `{program}`"), source }
    }
}
