//! One process of the system under test: started in its namespace, watched, killed, ended.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::error::{LabError, Result};
use crate::namespace::Namespace;

/// How long a process may take to end when asked.
const END: Duration = Duration::from_secs(3);
/// What of a log goes into an error.
const LAST_WORDS: u64 = 1500;

/// A process, running or not.
#[derive(Debug)]
pub struct Daemon {
    program: PathBuf,
    arguments: Vec<PathBuf>,
    namespace: Namespace,
    log: PathBuf,
    child: Option<Child>,
    starts: u32,
}

impl Daemon {
    /// A daemon that is not started yet; it will read `config` and meet its peers in `run_dir`.
    pub fn new(
        program: &Path,
        namespace: Namespace,
        config: PathBuf,
        run_dir: PathBuf,
        log: PathBuf,
    ) -> Self {
        let arguments = vec!["--config".into(), config, "--run-dir".into(), run_dir];
        Self { program: program.to_owned(), arguments, namespace, log, child: None, starts: 0 }
    }

    /// Starts it.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(&mut self) -> Result<()> {
        let what = || LabError::io(format!("opening {}", self.log.display()));
        let log = File::options().create(true).append(true).open(&self.log).map_err(what())?;
        let also = log.try_clone().map_err(what())?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(also).stderr(log);
        self.child = Some(self.namespace.spawn(command)?);
        self.starts += 1;
        Ok(())
    }

    /// How often it was started.
    pub fn starts(&self) -> u32 {
        self.starts
    }

    /// Was it started, and neither killed nor ended by us since?
    pub fn is_there(&self) -> bool {
        self.child.is_some()
    }

    /// Its process id while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// # Errors
    /// [`LabError::Died`] with the log's end when it ended by itself.
    pub fn check_alive(&mut self) -> Result<()> {
        let ended = match &mut self.child {
            Some(child) => child.try_wait().map_err(LabError::io("looking after a process"))?,
            None => None,
        };
        let Some(status) = ended else { return Ok(()) };
        self.child = None;
        Err(LabError::Died {
            who: self.program.display().to_string(),
            status: status.to_string(),
            log: self.last_words(),
        })
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let mut bytes = Vec::new();
        let read = File::open(&self.log).and_then(|mut log| {
            let length = log.metadata()?.len();
            log.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS)))?;
            log.read_to_end(&mut bytes)
        });
        let text = String::from_utf8_lossy(&bytes);
        if read.is_err() || text.trim().is_empty() { "nothing".to_owned() } else { text.trim().to_owned() }
    }

    /// SIGKILL, as a crash would be; nothing when it does not run.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        match self.child.take() {
            Some(mut child) => {
                child.kill().map_err(LabError::io("killing a process"))?;
                child.wait().map_err(LabError::io("waiting for a killed process")).map(|_| ())
            }
            None => Ok(()),
        }
    }

    /// SIGTERM, and SIGKILL when it does not go. True when it went when asked, or did not run.
    pub fn stop(&mut self) -> bool {
        self.child.take().is_none_or(|mut child| end(&mut child))
    }

    /// Leaves it running when this handle goes; for a lab that is kept.
    pub fn leave_running(&mut self) {
        // A dropped `Child` neither kills nor waits.
        self.child = None;
    }

    /// Resident memory, bytes; none when it does not run.
    pub fn resident_bytes(&self) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.id()?)).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    }

    /// Time on a core since it was started; none when it does not run.
    pub fn cpu_time(&self) -> Option<Duration> {
        self.scheduled(0)
    }

    /// Time that it had work to do and others had the cores; none when it does not run.
    pub fn wait_time(&self) -> Option<Duration> {
        self.scheduled(1)
    }

    /// A field of proc_pid_schedstat(5) of the main thread: a control plane is one thread but for the store's writer.
    fn scheduled(&self, field: usize) -> Option<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.id()?)).ok()?;
        Some(Duration::from_nanos(text.split_whitespace().nth(field)?.parse().ok()?))
    }
}

fn end(child: &mut Child) -> bool {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended already.
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
    let deadline = Instant::now() + END;
    // Not an interruptible wait: this runs after Ctrl-C too.
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // Gone or not, nothing more can be done to it.
    let _ = child.kill();
    let _ = child.wait();
    false
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}
