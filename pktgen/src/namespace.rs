//! Work in another network namespace, and which one this is.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Where iproute2 keeps the names of namespaces.
const NAMES: &str = "/run/netns";
/// What the names of the lab's namespaces begin with (`lib/lab`).
const LAB_PREFIX: &str = "st-";

/// Moves this thread into a namespace for good; nothing to do without a name.
///
/// # Errors
/// There is no such namespace, or no permission.
pub fn enter(name: Option<&str>) -> Result<()> {
    let Some(name) = name else { return Ok(()) };
    let path = Path::new(NAMES).join(name);
    let file = File::open(&path)
        .with_context(|| format!("there is no network namespace {name}: `ip netns` lists them"))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("cannot enter the network namespace {name}: run as root"))
}

/// Calls a function on a thread of its own in a namespace.
///
/// # Errors
/// The namespace's, or the function's.
pub fn inside<T: Send>(name: Option<&str>, call: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| enter(name).and_then(|()| call()));
        thread.join().unwrap_or_else(|_| Err(anyhow!("a thread in namespace {name:?} panicked")))
    })
}

/// Whether this thread is in one of the lab's namespaces.
pub fn is_lab() -> bool {
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let here = identity(Path::new("/proc/thread-self/ns/net"));
    let names = std::fs::read_dir(NAMES).into_iter().flatten().flatten();
    let mut labs =
        names.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(LAB_PREFIX.as_bytes()));
    here.is_some() && labs.any(|entry| identity(&entry.path()) == here)
}
