//! From the record in the ring to the first packet that follows it: a control plane's end of a real session on one
//! thread, the real conductor on another, and on this one the worker's own burst, over and over. The EID's mapping
//! goes to the other locator and back.

use super::spread::Spread;
use crate::bench::{Bench, Under};
use crate::case::Case;
use crate::machine::Machine;
use crate::pipeline::default_config;
use crate::remote::Numbering;
use crate::site::{self, Plan, Site, iid, locators, underlay};
use crate::writer::Writer;
use anyhow::{Context, Result, anyhow, bail, ensure};
use hdrhistogram::Histogram;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use sterna_dataplane::worker::now_ns;
use sterna_shm::{ControlSession, EidAction, Update, connect};

/// Between a change that was followed and the next one: the conductor sleeps again by then.
const BETWEEN: Duration = Duration::from_micros(500);
/// After that a change is lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the two threads share.
struct Shared {
    /// Which of the two locators packets shall go to, and since when, ns; 0 when no change is under way.
    since_ns: AtomicU64,
    wanted: AtomicU64,
    ended: AtomicBool,
}

/// Measures so many changes with the worker on a core.
pub fn measure(machine: &Machine, changes: u32, core: usize) -> Result<Spread> {
    ensure!(core < machine.cores, "there is no core {core}: 0 to {}", machine.cores - 1);
    let beside = (core + 1) % machine.cores;
    ensure!(beside != core, "the control plane needs a second core");
    core_affinity::set_for_current(core_affinity::CoreId { id: core });
    // The mark for updates: an output is compared with either locator.
    let case = Case { eids: 1, updates: true, ..Case::parse("encap-v4-in-v4-64-4096-sequential")? };
    let config = default_config()?;
    let Site { applier, tables, counters, view, blocks } = site::build(&config, Plan::of(&case))?;
    let writer = Writer::start(applier, &tables, counters, beside)?;
    let under = Under { tables: &tables, view: &view, blocks: &blocks };
    let mut bench = Bench::new(case, &config, under, 64)?;
    let shared =
        Shared { since_ns: AtomicU64::new(0), wanted: AtomicU64::new(0), ended: AtomicBool::new(false) };
    let seen = std::thread::scope(|scope| {
        let control = scope.spawn(|| {
            core_affinity::set_for_current(core_affinity::CoreId { id: beside });
            let done = change(&case, writer.socket(), changes, &shared);
            shared.ended.store(true, Ordering::Release);
            done
        });
        let seen = watch(&mut bench, &case, &shared);
        shared.ended.store(true, Ordering::Release);
        let changed = control.join().map_err(|_| anyhow!("the control plane's thread panicked"))?;
        // When the worker ended first, its reason is the one to be told.
        seen.and_then(|seen| changed.map(|()| seen))
    })?;
    bench.close()?;
    ensure!(seen.len() == u64::from(changes), "{} of {changes} changes were followed", seen.len());
    Ok(Spread::of(&seen))
}

/// The control plane: changes the mapping whenever packets have followed the last change.
fn change(case: &Case, socket: &Path, changes: u32, shared: &Shared) -> Result<()> {
    let mut session = connect(socket)?;
    for update in underlay(case.outer)? {
        push(&mut session, &update)?;
    }
    let prefix = Numbering { prefixes: false }.prefix(case.inner, 0);
    for number in 0..changes {
        std::thread::sleep(BETWEEN);
        while session.events.pop()?.is_some() {}
        let other = 1 - (number % 2);
        let action = EidAction::Remote { set: other + 1, classes: None };
        shared.wanted.store(u64::from(other), Ordering::Relaxed);
        // Release: whoever sees the moment sees what is wanted.
        shared.since_ns.store(now_ns(), Ordering::Release);
        push(&mut session, &Update::EidUpsert { iid: iid(), prefix, action })?;
        let start = Instant::now();
        while shared.since_ns.load(Ordering::Acquire) != 0 {
            ensure!(start.elapsed() < PATIENCE, "change {number} was not followed in {PATIENCE:?}");
            if shared.ended.load(Ordering::Acquire) {
                bail!("the worker ended");
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }
    Ok(())
}

fn push(session: &mut ControlSession, update: &Update) -> Result<()> {
    session.updates.push(update).ok().context("the ring is full")?;
    session.ring_updates();
    Ok(())
}

/// The worker: burst after burst, and when the first one is ready of which a packet goes where it shall.
fn watch(bench: &mut Bench<'_>, case: &Case, shared: &Shared) -> Result<Histogram<u64>> {
    let remotes = locators(case.outer).1;
    let mut seen = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
    while !shared.ended.load(Ordering::Acquire) {
        let since = shared.since_ns.load(Ordering::Acquire);
        let wanted = remotes[shared.wanted.load(Ordering::Relaxed) as usize % 2];
        let (remote, done_ns) = bench.remote_of_next()?;
        if since != 0 && remote == wanted {
            seen.record(done_ns.saturating_sub(since).max(1))?;
            shared.since_ns.store(0, Ordering::Release);
        }
    }
    Ok(seen)
}
