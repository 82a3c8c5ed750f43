//! tcpdump in the core router, read as it writes.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdout, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use pcap_file::pcap::{PcapReader, PcapWriter};

use super::control::ControlCapture;
use super::sight::{Sight, ingress, look};
use super::tally::{Followed, Known, Sender, Sightings};
use super::tcpdump::{START, Tcpdump};
use crate::error::{LabError, Result};
use crate::interrupt;
use crate::namespace::Namespace;
use crate::thread;

/// Bytes kept of a frame: whole pings with every header, so that tshark can check their sums.
const SNAP: &str = "200";
/// LISP packets that tshark gets to judge out of every step; it reads some 20,000 packets a second.
pub const SAMPLE_PER_STEP: u64 = 2000;

#[derive(Debug, Default)]
struct State {
    sightings: Sightings,
    followed: Followed,
    sampled: u64,
    quota: u64,
    fault: Option<String>,
}

/// The running witness.
#[derive(Debug)]
pub struct Witness {
    tcpdump: Tcpdump,
    state: Arc<Mutex<State>>,
    reader: Option<JoinHandle<()>>,
    speaker: Option<JoinHandle<Vec<String>>>,
    sample: PathBuf,
    control: Option<ControlCapture>,
}

/// What the witness says in the end.
#[derive(Clone, Debug)]
pub struct Testimony {
    /// Every frame, counted.
    pub sightings: Sightings,
    /// What was followed packet by packet.
    pub followed: Followed,
    /// Files for tshark, with the number of frames in each.
    pub samples: Vec<(PathBuf, u64)>,
}

impl Witness {
    /// Starts capturing what enters `namespace` on any interface.
    ///
    /// # Errors
    /// When tcpdump cannot be started or does not begin.
    pub fn start(namespace: &Namespace, folder: &Path, known: &Known) -> Result<Self> {
        let sample = folder.join("witness.pcap");
        let mut tcpdump = Tcpdump::start(namespace, SNAP, |command| {
            command.args(["-w", "-"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        })?;
        let (stdout, stderr) = (tcpdump.child.stdout.take(), tcpdump.child.stderr.take());
        let state = Arc::new(Mutex::new(State { quota: SAMPLE_PER_STEP, ..State::default() }));
        let mut witness = Self { tcpdump, state, reader: None, speaker: None, sample, control: None };
        if let (Some(stdout), Some(stderr)) = (stdout, stderr) {
            witness.listen(stdout, stderr, known)?;
        }
        Ok(witness)
    }

    /// Also keeps whole every control message that enters the core, for the judge and for replays.
    ///
    /// # Errors
    /// When another tcpdump cannot be started.
    pub fn keep_control(&mut self, namespace: &Namespace, folder: &Path) -> Result<()> {
        self.control = Some(ControlCapture::start(namespace, folder)?);
        Ok(())
    }

    /// The control messages kept so far.
    pub fn control(&self) -> Option<&ControlCapture> {
        self.control.as_ref()
    }

    fn listen(&mut self, stdout: ChildStdout, stderr: ChildStderr, known: &Known) -> Result<()> {
        let (ready, begun) = std::sync::mpsc::channel();
        self.speaker = Some(thread::start("witness stderr", move || {
            let lines = BufReader::new(stderr).lines().map_while(std::io::Result::ok);
            lines
                .inspect(|line| {
                    if line.contains("listening on") {
                        // Nobody waits any more when this fails.
                        let _ = ready.send(());
                    }
                })
                .collect()
        })?);
        let (state, path, known) = (Arc::clone(&self.state), self.sample.clone(), known.clone());
        self.reader = Some(thread::start("witness", move || {
            if let Err(error) = read(stdout, &path, &known, &state) {
                lock(&state).fault = Some(error.to_string());
            }
        })?);
        interrupt::wait_for("the start of tcpdump", START, || Ok(begun.try_recv().ok()))
    }

    /// Everything seen up to now.
    pub fn sightings(&self) -> Sightings {
        lock(&self.state).sightings.clone()
    }

    /// What was followed up to now.
    pub fn followed(&self) -> Followed {
        lock(&self.state).followed.clone()
    }

    /// Forgets what was followed, and follows what `what` says from now on.
    pub fn follow(&self, what: Followed) {
        lock(&self.state).followed = what;
    }

    /// A new step begins: the next frames go to tshark again.
    pub fn begin_step(&self) {
        lock(&self.state).quota = SAMPLE_PER_STEP;
    }

    /// Waits until nothing new has been seen for a moment, then gives what was.
    ///
    /// # Errors
    /// [`LabError::Interrupted`].
    pub fn settle(&self) -> Result<Sightings> {
        let mut before = self.sightings();
        loop {
            interrupt::sleep(Duration::from_millis(60))?;
            let now = self.sightings();
            // Kernels may probe their neighbours at any time: only LISP must have come to rest.
            if now.lisp == before.lisp && now.clear == before.clear {
                return Ok(now);
            }
            before = now;
        }
    }

    /// Ends the capture.
    ///
    /// # Errors
    /// [`LabError::Witness`] when the kernel dropped frames before tcpdump had them, or counts disagree.
    pub fn stop(mut self) -> Result<Testimony> {
        self.end()?;
        let words = match self.speaker.take() {
            Some(speaker) => thread::join(speaker)?,
            None => Vec::new(),
        };
        let control = self.control.take().map(ControlCapture::stop).transpose()?;
        let state = lock(&self.state);
        if let Some(fault) = &state.fault {
            return Err(LabError::Witness(fault.clone()));
        }
        let dropped = said(&words, "dropped by kernel");
        let captured = said(&words, "captured");
        if dropped != Some(0) || captured != Some(state.sightings.frames) {
            return Err(LabError::Witness(format!(
                "tcpdump captured {captured:?} frames and the kernel dropped {dropped:?}; {} were counted",
                state.sightings.frames
            )));
        }
        Ok(Testimony {
            sightings: state.sightings.clone(),
            followed: state.followed.clone(),
            samples: std::iter::once((self.sample.clone(), state.sampled)).chain(control).collect(),
        })
    }

    fn end(&mut self) -> Result<()> {
        self.tcpdump.end()?;
        match self.reader.take() {
            Some(reader) => thread::join(reader),
            None => Ok(()),
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // After `stop` there is nothing left to end and this only reaps.
        if matches!(self.tcpdump.child.try_wait(), Ok(None)) {
            let _ = self.end();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A panic elsewhere leaves whole numbers behind, nothing half-written.
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The number at the beginning of tcpdump's line that ends with `what`.
pub(super) fn said(words: &[String], what: &str) -> Option<u64> {
    let line = words.iter().find(|line| line.contains(what) && !line.contains("listening"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn read(stdout: ChildStdout, sample: &Path, known: &Known, state: &Mutex<State>) -> Result<()> {
    let malformed = |error: pcap_file::PcapError| LabError::Witness(format!("tcpdump's output: {error}"));
    let mut reader = PcapReader::new(stdout).map_err(malformed)?;
    let file = File::create(sample).map_err(LabError::io(format!("making {}", sample.display())))?;
    let mut writer = PcapWriter::with_header(BufWriter::new(file), reader.header()).map_err(malformed)?;
    while let Some(packet) = reader.next_raw_packet() {
        let packet = packet.map_err(malformed)?;
        let sight = look(&packet.data);
        let sender = known.sender(ingress(&packet.data));
        let at = Duration::new(packet.ts_sec.into(), packet.ts_frac.saturating_mul(1000));
        let mut state = lock(state);
        state.sightings.count(sight, sender, at, known);
        if let Sight::Lisp(data) = &sight {
            state.followed.note(data);
        }
        // Control messages are longer than what is kept here and are judged from a capture of their own; an
        // attacker's packets are wrong on purpose.
        let judged = sender != Sender::Outsider && !matches!(sight, Sight::Control { .. });
        if state.quota > 0 && judged {
            state.quota -= 1;
            state.sampled += 1;
            drop(state);
            writer.write_raw_packet(&packet).map_err(malformed)?;
        }
    }
    Ok(())
}
