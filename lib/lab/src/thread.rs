//! Named threads whose panic comes back as an error.

use std::thread::JoinHandle;

use crate::error::{LabError, Result};

/// Starts a thread.
///
/// # Errors
/// When the kernel has no more of them.
pub fn start<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(LabError::io("starting a thread"))
}

/// Waits for a thread's result.
///
/// # Errors
/// [`LabError::Panicked`] with what the panic said.
pub fn join<T>(thread: JoinHandle<T>) -> Result<T> {
    thread.join().map_err(|panic| LabError::Panicked(panic_text(&*panic)))
}

/// What a panic said.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "no text".to_owned())
}

/// Waits for the result of a scoped thread that may fail.
///
/// # Errors
/// What it failed with, or [`LabError::Panicked`] with what the panic said.
pub fn join_scoped<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| Err(LabError::Panicked(panic_text(&*panic))))
}
