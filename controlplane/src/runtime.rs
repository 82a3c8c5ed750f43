//! The process: starts the tasks, takes the signals, ends cleanly.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sterna_config::{Config, Paths, Role};
use sterna_shm::Farewell;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{error, info, warn};

use crate::identity::{Identity, IdentityFile};
use crate::lisp::socket::{rebind, serve as serve_messages};
use crate::plane::ControlPlane;
use crate::reload::reload;
use crate::shared::Shared;
use crate::store::{FileStore, Store};
use crate::underlay::{Facts, follow::follow};
use crate::{api, eid_api, session};

/// Pause between two looks whether enough nonces are reserved: far shorter than a block of them lasts.
const RESERVE_EVERY: Duration = Duration::from_secs(5);

/// The Map-Server's file in the state directory.
const STORE: &str = "map-server.redb";

/// Pause before state that could not be written is written again.
const WRITE_AGAIN: Duration = Duration::from_secs(1);

/// How long to wait for a predecessor that is about to end.
const LOCK_WITHIN: Duration = Duration::from_secs(2);

/// Runs until SIGTERM or SIGINT. The dataplane forwards on afterwards.
pub async fn run(config: Config, config_file: PathBuf, run_dir: Option<PathBuf>) -> anyhow::Result<()> {
    let run_dir = run_dir.unwrap_or_else(|| config.paths.run_dir.clone());
    let paths = Paths { run_dir, ..config.paths.clone() };
    let _lock = take_run_dir(&paths.run_dir).await?;
    let mut signals = Signals::new()?;
    let (identity, identity_file) = identity(&config, &paths)?;
    let (is_xtr, is_server) = (config.has(Role::Xtr), config.map_server.is_some());
    let mut plane = ControlPlane::with_identity(config, identity, Instant::now());
    let store = is_server.then(|| open_store(&paths, &mut plane)).transpose()?;
    let shared = Shared::new(plane, config_file);
    let (facts, known) = watch::channel(Facts::default());
    let (socket, dataplane) = (paths.control_socket(), paths.dataplane_socket());
    let listener =
        api::bind(&socket).with_context(|| format!("cannot serve the API on {}", socket.display()))?;
    let mut tasks = JoinSet::new();
    if is_xtr {
        tasks.spawn(follow(shared.questions(), facts));
        tasks.spawn(take_facts(shared.clone(), known.clone()));
        let agents = shared.clone();
        let endpoints = move |agent| eid_api::http::endpoints(agents.clone(), agent);
        tasks.spawn(eid_api::serve::serve(shared.agents().clone(), shared.links(), endpoints));
    }
    let writing = store.map(|store| keep_saves(&shared, store));
    rebind(&shared);
    tasks.spawn(serve_messages(shared.clone()));
    tasks.spawn(reserve_nonces(shared.clone(), identity_file, paths.state_dir.clone()));
    let conductor = shared.clone();
    tasks.spawn(async move { conductor.conduct().await });
    let api_shared = shared.clone();
    tasks.spawn(async move {
        if let Err(error) = api::serve(listener, api_shared).await {
            error!(%error, "the API has ended");
        }
    });
    // For whoever started us, on a line of its own; everything else on stderr is log.
    eprintln!("ready");
    let outcome = tokio::select! {
        () = session::keep(&shared, &dataplane, known), if is_xtr => Ok(()),
        () = signals.until_stop(&shared) => Ok(()),
        Some(ended) = tasks.join_next() => Err(anyhow!("a task of the control plane has ended: {ended:?}")),
    };
    if let Some(session) = shared.set_session(None) {
        session.dismiss(Farewell::Stopping);
    }
    if let Some(writing) = writing {
        shared.stop_keeping();
        // What was handed over is written before the process ends.
        let _ = writing.await;
    }
    // The lock is still held, so this is our own socket.
    let _ = std::fs::remove_file(&socket);
    info!("stopped; the dataplane forwards on");
    outcome
}

/// Who this gateway is. One without a mapping system tells nobody, so nothing need be kept.
fn identity(config: &Config, paths: &Paths) -> anyhow::Result<(Identity, Option<IdentityFile>)> {
    if config.mapping_system.is_none() {
        return Ok((Identity::fleeting(config), None));
    }
    let opened = IdentityFile::open(&paths.state_dir, config);
    let (identity, file) = opened.with_context(|| {
        format!("cannot keep our identity in the state directory {}", paths.state_dir.display())
    })?;
    Ok((identity, Some(file)))
}

/// What the Map-Server kept, read back before anybody is answered.
fn open_store(paths: &Paths, plane: &mut ControlPlane) -> anyhow::Result<FileStore> {
    let folder = &paths.state_dir;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make the state directory {}", folder.display()))?;
    let file = folder.join(STORE);
    let mut store = FileStore::open(&file).with_context(|| format!("at {}", file.display()))?;
    let loaded = store.load(&mut |saved| plane.restore(saved, Instant::now()))?;
    info!(values = loaded.values, unreadable = loaded.unreadable, "the map-server's state was read back");
    Ok(store)
}

/// Writes what the Map-Server wants to have kept on a thread of its own, so that nobody waits for the disk. What comes
/// while it writes is written together; what could not be written is tried again with what came since.
fn keep_saves(shared: &Shared, mut store: impl Store + 'static) -> JoinHandle<()> {
    let (hand_over, mut saves) = mpsc::unbounded_channel();
    shared.keep_by(hand_over);
    tokio::task::spawn_blocking(move || {
        let mut batch = Vec::new();
        while let Some(mut more) = saves.blocking_recv() {
            batch.append(&mut more);
            while let Ok(mut more) = saves.try_recv() {
                batch.append(&mut more);
            }
            while let Err(error) = store.write(&batch) {
                error!(%error, records = batch.len(), "the map-server's state could not be written; trying again");
                std::thread::sleep(WRITE_AGAIN);
                if saves.is_closed() {
                    // The process ends, and the disk has had its second chance.
                    break;
                }
                while let Ok(mut more) = saves.try_recv() {
                    batch.append(&mut more);
                }
            }
            batch.clear();
        }
    })
}

/// Keeps nonces reserved ahead of their use. A gateway that gets its mapping system by a reload gets its identity
/// file here, for its next start.
async fn reserve_nonces(shared: Shared, mut file: Option<IdentityFile>, state_dir: PathBuf) {
    loop {
        tokio::time::sleep(RESERVE_EVERY).await;
        let Some(next) = shared.plane().roles().next_nonce() else { continue };
        let kept = file.take();
        let config = kept.is_none().then(|| shared.plane().config().clone());
        let folder = state_dir.clone();
        let write = move || {
            let mut kept = match (kept, config) {
                (Some(kept), _) => kept,
                (None, Some(config)) => IdentityFile::open(&folder, &config)?.1,
                (None, None) => return Ok(None),
            };
            let reserved = kept.reserve(next);
            reserved.map(|_| Some(kept))
        };
        match tokio::task::spawn_blocking(write).await {
            Ok(Ok(kept)) => file = kept,
            Ok(Err(error)) => warn!(%error, folder = %state_dir.display(), "nonces cannot be reserved"),
            Err(_) => return,
        }
    }
}

/// Hands the underlay's facts to the control plane.
async fn take_facts(shared: Shared, mut known: watch::Receiver<Facts>) {
    while known.changed().await.is_ok() {
        let facts = known.borrow_and_update().clone();
        shared.plane().underlay(facts, Instant::now());
        shared.flush();
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
