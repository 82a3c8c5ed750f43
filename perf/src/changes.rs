//! The measured gateway's tables under change: another process feeds the thread that writes them.

use crate::case::Case;
use crate::updater::{self, Answer};
use crate::writer::Writer;
use anyhow::{Context, Result, anyhow, bail};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use sterna_dataplane::apply::Applier;
use sterna_dataplane::tables::Tables;
use sterna_shm::Counters;

/// The process that changes the tables. It ends with this, and then the thread that writes them.
pub struct Changes {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    _writer: Writer,
}

/// What a round of changes came to.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Changes.
    pub changes: u64,
    /// Until the last one was in use, s.
    pub seconds: f64,
}

impl Changes {
    /// Lets another process write these tables, on `core`, at `rate` changes per second once told to.
    pub fn start(
        case: &Case,
        applier: Applier,
        tables: &Tables,
        counters: Counters,
        core: usize,
        rate: u64,
    ) -> Result<Changes> {
        let writer = Writer::start(applier, tables, counters, core)?;
        let mut child = process(case, writer.socket(), core, rate)?;
        let (orders, answers) = (child.stdin.take(), child.stdout.take());
        let answers = BufReader::new(answers.context("no pipe from the updater")?);
        let mut changes = Changes { child, orders, answers, _writer: writer };
        match changes.answer()? {
            Answer::Ready => Ok(changes),
            other => bail!("the updater said {other:?} first"),
        }
    }

    fn order(&mut self, word: &str) -> Result<()> {
        let orders = self.orders.as_mut().context("the updater was dismissed")?;
        writeln!(orders, "{word}").and_then(|()| orders.flush()).context("the updater has ended")
    }

    fn answer(&mut self) -> Result<Answer> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line)?;
        // What went wrong it has said on the standard error that it shares with us.
        if read == 0 {
            bail!("the updater has ended: {}", self.child.wait()?);
        }
        serde_json::from_str(&line).map_err(|error| anyhow!("the updater said {line:?}: {error}"))
    }

    /// Changes go on until [`Self::pause`].
    pub fn go(&mut self) -> Result<()> {
        self.order("go")?;
        match self.answer()? {
            Answer::Going => Ok(()),
            other => bail!("the updater said {other:?} instead of going"),
        }
    }

    /// Waits until all changes are in use.
    pub fn pause(&mut self) -> Result<Round> {
        self.order("pause")?;
        match self.answer()? {
            Answer::Paused { changes, took_ns } => Ok(Round { changes, seconds: took_ns as f64 / 1e9 }),
            other => bail!("the updater said {other:?} instead of pausing"),
        }
    }

    /// Has the tables read back and compared; the number of entries.
    pub fn verify(mut self) -> Result<u64> {
        self.order("verify")?;
        match self.answer()? {
            Answer::Verified { entries } => Ok(entries),
            other => bail!("the updater said {other:?} instead of verifying"),
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        // Without its input it ends by itself; if it hangs, it is ended.
        self.orders = None;
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn process(case: &Case, socket: &Path, core: usize, rate: u64) -> Result<Child> {
    let options = updater::Options {
        socket: socket.to_owned(),
        eids: case.eids,
        spare: case.eids / 2,
        rate,
        inner: case.inner,
        outer: case.outer,
        core,
    };
    Command::new(std::env::current_exe()?)
        .args(options.to_arguments())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the updater")
}
