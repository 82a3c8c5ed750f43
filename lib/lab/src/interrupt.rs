//! Ctrl-C: every wait of the lab ends early, so that teardown runs instead of the default death.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::error::{LabError, Result};

static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// How long a wait goes on before it looks at the flag again.
const SLICE: Duration = Duration::from_millis(20);

/// Turns SIGINT, SIGTERM and SIGHUP into a flag for the rest of the process's life; safe to call twice.
///
/// # Errors
/// When the kernel refuses the handler.
pub fn install() -> Result<()> {
    if FLAG.get().is_some() {
        return Ok(());
    }
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&flag)).map_err(LabError::io("catching signals"))?;
    }
    // A second caller that raced us registered its own flag; both are set by a signal, one is read.
    let _ = FLAG.set(flag);
    Ok(())
}

/// Has the run been asked to end?
pub fn requested() -> bool {
    FLAG.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// `Interrupted` once the run has been asked to end.
///
/// # Errors
/// [`LabError::Interrupted`].
pub fn check() -> Result<()> {
    if requested() { Err(LabError::Interrupted) } else { Ok(()) }
}

/// Sleeps, but ends early with an error on Ctrl-C.
///
/// # Errors
/// [`LabError::Interrupted`].
pub fn sleep(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(SLICE));
    }
}

/// Asks `ready` every 20 ms until it gives a value, at most for `limit`.
///
/// # Errors
/// [`LabError::Late`] with the name `what`, [`LabError::Interrupted`], or what `ready` failed with.
pub fn wait_for<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = ready()? {
            return Ok(value);
        }
        if Instant::now() >= end {
            return Err(LabError::Late {
                what: what.to_owned(),
                seconds: limit.as_secs(),
                detail: String::new(),
            });
        }
        sleep(SLICE)?;
    }
}
