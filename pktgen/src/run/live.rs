//! The threads whose calls make the kernel send live frames.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use sterna_xsk::{LiveControl, LiveFrames, LiveOptions};

use super::ports::Opened;
use super::{Options, pin};
use crate::clock::{Clock, Monotonic};
use crate::engine::Bulk;
use crate::namespace::enter;
use crate::profile::Profile;

/// A thread per queue, each with its part of the rate. They end with this.
pub(super) struct LiveThreads {
    threads: Vec<Thread>,
    stopped_ns: Option<u64>,
}

struct Thread {
    handle: Option<JoinHandle<Result<()>>>,
    control: LiveControl,
    /// Takes the moment when the first frame is due.
    go: mpsc::Sender<u64>,
}

impl LiveThreads {
    /// Loads the programs with their tables, which may take a while, and waits for [`Self::go`].
    pub fn prepare(
        profile: &Profile,
        options: &Options,
        opened: &Opened,
        cores: &mut impl Iterator<Item = usize>,
    ) -> Result<Self> {
        let place = opened.tx.clone().context("live frames need --tx")?;
        let mut threads = Self { threads: Vec::new(), stopped_ns: None };
        for worker in 0..options.queues {
            let bulk = Bulk::new(profile, &opened.link, worker, options.queues)?;
            let live = part_of(profile, options, &place.interface, worker);
            threads.threads.push(prepare(live, bulk, place.namespace.clone(), cores.next())?);
        }
        Ok(threads)
    }

    /// Lets them send; the first frames are due at a moment.
    pub fn go(&self, start_ns: u64) {
        // A thread that does not listen has ended, and `finish` says why.
        for thread in &self.threads {
            let _ = thread.go.send(start_ns);
        }
    }

    /// Frames offered so far; what cannot be read is left out.
    pub fn sent(&self) -> u64 {
        self.threads.iter().filter_map(|thread| thread.control.sent().ok()).sum()
    }

    /// Ends sending, and gives the moment when the threads were out of the kernel; the first call's, when it had
    /// ended.
    pub fn stop(&mut self) -> u64 {
        *self.stopped_ns.get_or_insert_with(|| {
            self.threads.iter().for_each(|thread| thread.control.stop());
            Monotonic.now_ns()
        })
    }

    /// Waits for the threads; gives how many frames were offered, and when the last one was out.
    pub fn finish(mut self) -> Result<(u64, u64)> {
        let until_ns = self.stop();
        let mut offered = 0;
        for thread in &mut self.threads {
            thread.handle.take().map_or(Ok(()), ended)?;
            offered += thread.control.sent()?;
        }
        Ok((offered, until_ns))
    }
}

impl Drop for LiveThreads {
    /// A run that fails must not go on sending.
    fn drop(&mut self) {
        self.stop();
    }
}

/// What one worker of several sends.
fn part_of(profile: &Profile, options: &Options, interface: &str, worker: u32) -> LiveOptions {
    let (worker, workers) = (u64::from(worker), u64::from(options.queues));
    let part = |whole: u64| whole / workers + u64::from(worker < whole % workers);
    LiveOptions {
        interface: interface.to_owned(),
        rate: profile.rate.map(|rate| part(rate).max(1)),
        burst: profile.burst,
        limit: options.count.map(part),
    }
}

fn prepare(live: LiveOptions, bulk: Bulk, namespace: Option<String>, core: Option<usize>) -> Result<Thread> {
    let (ready, is_ready) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    let handle = std::thread::Builder::new().name("live frames".to_owned()).spawn(move || {
        enter(namespace.as_deref())?;
        pin(core);
        let mut frames = LiveFrames::load(&live, &bulk.images, &bulk.picks, &bulk.filler)?;
        drop(bulk);
        // Nobody listens only when the run is over already.
        let _ = ready.send(frames.control());
        match gone.recv() {
            Ok(start_ns) => {
                wait_until(start_ns);
                Ok(frames.run(start_ns)?)
            }
            Err(_) => Ok(()),
        }
    })?;
    match is_ready.recv() {
        Ok(control) => Ok(Thread { handle: Some(handle), control, go }),
        Err(_) => Err(ended(handle).err().unwrap_or_else(|| anyhow!("no live frames"))),
    }
}

/// As many as go would go at once, before the moment from which rates are counted.
fn wait_until(start_ns: u64) {
    std::thread::sleep(Duration::from_nanos(start_ns.saturating_sub(Monotonic.now_ns())));
}

fn ended(thread: JoinHandle<Result<()>>) -> Result<()> {
    thread.join().unwrap_or_else(|_| Err(anyhow!("a thread that sends live frames panicked")))
}
