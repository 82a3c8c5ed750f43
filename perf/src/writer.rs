//! The measured gateway's tables in the hands of the real conductor, on a thread of its own, so that a control plane
//! can connect.

use anyhow::{Context, Result};
use crossbeam_queue::ArrayQueue;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use sterna_dataplane::apply::{Applier, SteeringChange};
use sterna_dataplane::conductor::{Conductor, ConductorParts, Steer};
use sterna_dataplane::state::UPLINK;
use sterna_dataplane::tables::Tables;
use sterna_dataplane::worker::Shared;
use sterna_shm::{Counters, Listener, PortDesc};

/// Ports in memory have no XDP program.
struct NoProgram;

impl Steer for NoProgram {
    fn steer(&mut self, _: &SteeringChange) {}
}

static STARTED: AtomicU32 = AtomicU32::new(0);

/// The conductor's thread; it ends with this.
pub struct Writer {
    thread: Option<JoinHandle<()>>,
    stop: Arc<OwnedFd>,
    folder: PathBuf,
    socket: PathBuf,
}

impl Writer {
    /// Lets a conductor on `core` write these tables.
    pub fn start(applier: Applier, tables: &Tables, counters: Counters, core: usize) -> Result<Writer> {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("sterna-perf-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let socket = folder.join("updates.sock");
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let parts = ConductorParts {
            applier,
            domain: Arc::clone(&tables.domain),
            uplink: Arc::new(ArrayQueue::new(UPLINK)),
            shared: Arc::new(Shared::new()?),
            counters,
            ports: ports(),
            listener: Listener::bind(&socket)?,
        };
        let until = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("conductor".to_owned()).spawn(move || {
            core_affinity::set_for_current(core_affinity::CoreId { id: core });
            Conductor::new(parts, NoProgram).run(until.as_fd());
        })?;
        Ok(Writer { thread: Some(thread), stop, folder, socket })
    }

    /// Where a control plane connects.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn ports() -> Vec<PortDesc> {
    let port = |name: &str, side| PortDesc { name: name.to_owned(), side };
    vec![port("mem0", sterna_shm::Side::Eid), port("mem1", sterna_shm::Side::Rloc)]
}
