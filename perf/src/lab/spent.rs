//! CPU time that a system under test has spent, as the scheduler counts it (proc_pid_schedstat(5)).

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use sterna_lab::interrupt;

/// So far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// On a core, ns.
    pub cpu_ns: u64,
    /// Polls that found packets.
    pub bursts: u64,
    /// Polls that did not.
    pub empty_polls: u64,
}

impl Spent {
    /// All threads of a process.
    pub fn of_process(id: u32) -> Result<Spent> {
        let tasks = format!("/proc/{id}/task");
        let mut cpu_ns = 0;
        for task in fs::read_dir(&tasks).with_context(|| tasks.clone())?.flatten() {
            cpu_ns += on_core(&task.path()).unwrap_or(0);
        }
        Ok(Spent { cpu_ns, ..Spent::default() })
    }

    /// Every thread whose name begins so: the kernel's threads that do an interface's work.
    pub fn of_threads(prefix: &str) -> Result<Spent> {
        let mut spent = Spent::default();
        for process in fs::read_dir("/proc")?.flatten() {
            if fs::read_to_string(process.path().join("comm")).is_ok_and(|name| name.starts_with(prefix)) {
                spent.cpu_ns += on_core(&process.path()).unwrap_or(0);
            }
        }
        Ok(spent)
    }

    /// Since then.
    pub fn since(self, before: Spent) -> Spent {
        Spent {
            cpu_ns: self.cpu_ns.saturating_sub(before.cpu_ns),
            bursts: self.bursts.saturating_sub(before.bursts),
            empty_polls: self.empty_polls.saturating_sub(before.empty_polls),
        }
    }

    /// Share of the polls that found nothing; `None` where polls are not counted.
    pub fn empty_share(&self) -> Option<f64> {
        let polls = self.bursts + self.empty_polls;
        (polls > 0).then(|| self.empty_polls as f64 / polls as f64)
    }
}

/// What was spent between two moments within a trial, so that setting up and the last frames' way do not count.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Frames that came out meanwhile.
    pub frames: u64,
    /// Spent on them.
    pub spent: Spent,
}

/// Frames by which it shows that the trial has begun; what neighbours say to each other is less.
const BEGUN: u64 = 1000;
/// Share of the trial that is looked at.
const SHARE: f64 = 0.6;

impl Cost {
    /// Waits until frames come out, and measures for most of a trial's seconds. `None` when it was over before.
    pub fn during(
        seconds: f64,
        frames: impl Fn() -> Result<u64>,
        spent: impl Fn() -> Result<Spent>,
        over: &AtomicBool,
    ) -> Result<Option<Cost>> {
        let first = frames()?;
        while frames()? < first + BEGUN {
            if over.load(Ordering::Relaxed) {
                return Ok(None);
            }
            interrupt::sleep(Duration::from_millis(10))?;
        }
        let (spent_before, frames_before) = (spent()?, frames()?);
        interrupt::sleep(Duration::from_secs_f64(seconds * SHARE))?;
        let (spent_after, frames_after) = (spent()?, frames()?);
        Ok(Some(Cost { frames: frames_after - frames_before, spent: spent_after.since(spent_before) }))
    }
}

fn on_core(task: &Path) -> Option<u64> {
    fs::read_to_string(task.join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    #[test]
    fn our_own_time_is_counted_and_grows() {
        let before = Spent::of_process(std::process::id()).unwrap();
        let start = std::time::Instant::now();
        while start.elapsed().as_millis() < 30 {
            std::hint::spin_loop();
        }
        let spent = Spent::of_process(std::process::id()).unwrap().since(before);
        assert!(spent.cpu_ns > 1_000_000, "{spent:?}");
        assert_eq!(spent.empty_share(), None);
        assert_eq!(Spent { bursts: 1, empty_polls: 3, cpu_ns: 0 }.empty_share(), Some(0.75));
    }
}
