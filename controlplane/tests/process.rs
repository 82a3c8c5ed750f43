//! The binary: how it starts, reloads and ends.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod model;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use model::site::CONFIG;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A running control plane; killed when dropped.
struct Running {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Running {
    fn start(folder: &Path) -> Self {
        let mut child = command(folder).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (tell, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let running = Self { child, lines };
        running.wait_for(|line| line == "ready");
        running
    }

    /// The next line on stderr that is as wanted.
    fn wait_for(&self, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if wanted(&line) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("the line never came; there were {seen:#?}"),
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn status(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sterna-controlplane"));
    command.arg("--config").arg(folder.join("gateway.toml")).arg("--run-dir").arg(folder.join("run"));
    command
}

fn folder(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gateway.toml"), config).unwrap();
    folder
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn status_of(folder: &Path) -> String {
    let mut stream = UnixStream::connect(folder.join("run/control.sock")).unwrap();
    stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_bad_config_is_shown_and_nothing_starts() {
    let folder = folder(&CONFIG.replace("side = \"rloc\"", "side = \"outside\""));
    let output = command(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("outside") && text(&output).contains("gateway.toml"), "{}", text(&output));
    assert!(!folder.path().join("run").exists());
}

#[test]
fn it_serves_reloads_on_sighup_and_ends_on_sigterm() {
    let folder = folder(CONFIG);
    let mut running = Running::start(folder.path());
    assert!(status_of(folder.path()).contains("\"gateway\":\"gw-a\""));

    std::fs::write(folder.path().join("gateway.toml"), CONFIG.replace("10.1.2.0/24", "10.1.3.0/24")).unwrap();
    running.signal(Signal::HUP);
    running.wait_for(|line| line.contains("config applied"));
    std::fs::write(folder.path().join("gateway.toml"), "[gateway]\nname = 7\n").unwrap();
    running.signal(Signal::HUP);
    running.wait_for(|line| line.contains("the old one stays in force"));
    running.wait_for(|line| line.contains("gateway.name") && line.contains("line=2"));
    assert!(status_of(folder.path()).contains("\"gateway\":\"gw-a\""));

    running.signal(Signal::TERM);
    assert!(running.status().success());
    assert!(!folder.path().join("run/control.sock").exists());
}

#[test]
fn a_second_one_is_refused_and_a_killed_one_is_followed() {
    let folder = folder(CONFIG);
    let mut first = Running::start(folder.path());
    let output = command(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("another control plane"), "{}", text(&output));
    assert!(status_of(folder.path()).contains("200 OK"), "the first is not disturbed");
    first.signal(Signal::KILL);
    first.status();
    let _second = Running::start(folder.path());
    assert!(status_of(folder.path()).contains("200 OK"));
}
