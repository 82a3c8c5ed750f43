//! Thousands of agents in one process: `sterna-pktgen agents`, told what to do line by line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::command::not_started;
use crate::error::{LabError, Result};
use crate::gateway::process::find;
use crate::interrupt;
use crate::thread;

const PROGRAM: &str = "sterna-pktgen";
/// How long an answer to a command may take, but for `connect`.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the report may take when all is over, what is under way awaited.
const REPORT: Duration = Duration::from_secs(30);
/// How often a wait looks whether it is to end.
const SLICE: Duration = Duration::from_millis(100);

/// The running process. Dropping it ends it.
#[derive(Debug)]
pub struct Crowd {
    child: Child,
    talk: Mutex<Talk>,
    log: PathBuf,
}

/// Both ends of the conversation; one command is answered before the next one is given.
#[derive(Debug)]
struct Talk {
    commands: ChildStdin,
    answers: Receiver<String>,
}

impl Crowd {
    /// Starts it with a profile, which is written to the folder beside its log.
    ///
    /// # Errors
    /// When the program is not there or cannot be started.
    pub fn start(profile: &str, folder: &Path) -> Result<Self> {
        let (file, log) = (folder.join("agents.toml"), folder.join("agents.log"));
        std::fs::write(&file, profile).map_err(LabError::io("writing the agents' profile"))?;
        let errors = File::create(&log).map_err(LabError::io("making the agents' log"))?;
        let program = find(PROGRAM)?;
        let mut command = Command::new(&program);
        command.arg("agents").arg(&file).args(["--commands", "--json"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        // Ctrl-C is for the lab alone.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|source| not_started(PROGRAM, source))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (commands, stdout) = pipes.ok_or_else(|| LabError::Missing {
            what: "the agents' process has no pipes".to_owned(),
            cure: "this is a fault of the lab".to_owned(),
        })?;
        let (lines, answers) = channel();
        // It ends with the process, or when nobody listens.
        thread::start("agents' answers", move || read(stdout, |line| lines.send(line).is_ok()))?;
        Ok(Self { child, talk: Mutex::new(Talk { commands, answers }), log })
    }

    /// Gives a command and waits for its answer, without the moment at its end.
    ///
    /// # Errors
    /// It was refused, the process has ended, or there is no answer.
    pub fn tell(&self, command: &str) -> Result<String> {
        self.tell_within(command, ANSWER)
    }

    /// The same with another patience.
    ///
    /// # Errors
    /// As [`Crowd::tell`].
    pub fn tell_within(&self, command: &str, patience: Duration) -> Result<String> {
        let mut talk = self.talk();
        writeln!(talk.commands, "{command}").map_err(LabError::io(format!("telling agents `{command}`")))?;
        let answer = self.next_line(&talk, patience, command)?;
        match answer.rsplit_once(' ') {
            Some((said, _)) if !answer.starts_with("error ") => Ok(said.to_owned()),
            _ => Err(LabError::Command { command: format!("{PROGRAM}: {command}"), stderr: answer }),
        }
    }

    /// Ends talking, and gives the report.
    ///
    /// # Errors
    /// There is none, or it is no JSON.
    pub fn finish(self) -> Result<Value> {
        self.tell("end")?;
        let talk = self.talk();
        let (mut text, end) = (String::new(), Instant::now() + REPORT);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.next_line(&talk, left, "end") {
                Ok(line) => text += &line,
                Err(LabError::Died { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        drop(talk);
        serde_json::from_str(&text).map_err(|error| self.died(format!("its report: {error}")))
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().rev().take(5).collect::<Vec<_>>().join(" | ")
    }

    fn talk(&self) -> MutexGuard<'_, Talk> {
        self.talk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_line(&self, talk: &Talk, patience: Duration, command: &str) -> Result<String> {
        let end = Instant::now() + patience;
        loop {
            interrupt::check()?;
            let left = end.saturating_duration_since(Instant::now());
            match talk.answers.recv_timeout(left.min(SLICE)) {
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Disconnected) => return Err(self.died("its output is over".to_owned())),
                Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                    return Err(LabError::Late {
                        what: format!("the agents' answer to `{command}`"),
                        seconds: patience.as_secs(),
                        detail: format!(" ({})", self.last_words()),
                    });
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn died(&self, status: String) -> LabError {
        LabError::Died { who: PROGRAM.to_owned(), status, log: self.last_words() }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            // It may end just now.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Reads lines until there are no more, or nobody wants them.
fn read(stdout: impl Read, mut told: impl FnMut(String) -> bool) {
    for line in BufReader::new(stdout).lines() {
        if !line.is_ok_and(&mut told) {
            break;
        }
    }
}
