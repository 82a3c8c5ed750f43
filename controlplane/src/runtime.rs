//! The process: starts the tasks, takes the signals, ends cleanly.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sterna_config::{Config, Paths};
use sterna_shm::Farewell;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::info;

use crate::plane::ControlPlane;
use crate::reload::reload;
use crate::shared::Shared;
use crate::underlay::{Facts, follow::follow};
use crate::{api, session};

/// Pause between two looks at what has expired. Negative entries live for a minute; half a second is exact enough.
const TICK: Duration = Duration::from_millis(500);

/// How long to wait for a predecessor that is about to end.
const LOCK_WITHIN: Duration = Duration::from_secs(2);

/// Runs until SIGTERM or SIGINT. The dataplane forwards on afterwards.
pub async fn run(config: Config, config_file: PathBuf, run_dir: Option<PathBuf>) -> anyhow::Result<()> {
    let run_dir = run_dir.unwrap_or_else(|| config.paths.run_dir.clone());
    let paths = Paths { run_dir, ..config.paths.clone() };
    let _lock = take_run_dir(&paths.run_dir).await?;
    let mut signals = Signals::new()?;
    let shared = Shared::new(ControlPlane::new(config), config_file);
    let (facts, known) = watch::channel(Facts::default());
    let (socket, dataplane) = (paths.control_socket(), paths.dataplane_socket());
    let listener =
        api::bind(&socket).with_context(|| format!("cannot serve the API on {}", socket.display()))?;
    let mut tasks = JoinSet::new();
    tasks.spawn(follow(shared.questions(), facts));
    tasks.spawn(take_facts(shared.clone(), known.clone()));
    tasks.spawn(tick(shared.clone()));
    let api_shared = shared.clone();
    tasks.spawn(async move {
        if let Err(error) = api::serve(listener, api_shared).await {
            tracing::error!(%error, "the API has ended");
        }
    });
    // For whoever started us, on a line of its own; everything else on stderr is log.
    eprintln!("ready");
    let outcome = tokio::select! {
        () = session::keep(&shared, &dataplane, known) => Ok(()),
        () = signals.until_stop(&shared) => Ok(()),
        Some(ended) = tasks.join_next() => Err(anyhow!("a task of the control plane has ended: {ended:?}")),
    };
    if let Some(session) = shared.set_session(None) {
        session.dismiss(Farewell::Stopping);
    }
    // The lock is still held, so this is our own socket.
    let _ = std::fs::remove_file(&socket);
    info!("stopped; the dataplane forwards on");
    outcome
}

/// Hands the underlay's facts to the control plane.
async fn take_facts(shared: Shared, mut known: watch::Receiver<Facts>) {
    while known.changed().await.is_ok() {
        let facts = known.borrow_and_update().clone();
        shared.plane().underlay(facts);
        shared.publish();
    }
}

async fn tick(shared: Shared) {
    loop {
        tokio::time::sleep(TICK).await;
        let mut plane = shared.plane();
        plane.tick(Instant::now());
        if plane.publisher().has_work() {
            shared.publish();
        }
    }
}

/// The signals that mean something to us.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Reloads on SIGHUP, returns on SIGTERM and SIGINT.
    async fn until_stop(&mut self, shared: &Shared) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                // The outcome is in the log, with every finding.
                _ = self.hangup.recv() => drop(reload(shared)),
            }
        }
    }
}

/// Makes the run directory and locks it: two control planes would take the dataplane from each other for ever.
async fn take_run_dir(run_dir: &Path) -> anyhow::Result<File> {
    let made = DirBuilder::new().recursive(true).mode(0o755).create(run_dir);
    made.with_context(|| format!("cannot make the run directory {}", run_dir.display()))?;
    let path = run_dir.join("controlplane.lock");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    let deadline = Instant::now() + LOCK_WITHIN;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(Errno::WOULDBLOCK) => {
                bail!("another control plane serves {}: stop it first", run_dir.display())
            }
            Err(error) => return Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }
}
