//! Attaching the program to interfaces, and pins: links that outlive the process.
//!
//! A pin directory belongs to one gateway. In it is one pinned link per port, `link-<ifindex>`.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::bpf;
use crate::error::Error;
use crate::granted::Mode;

/// BPF_FS_MAGIC of linux/magic.h.
const BPF_FILE_SYSTEM: u32 = 0xcafe_4a11;
const FLAG_SKB_MODE: u32 = 1 << 1;
const FLAG_DRV_MODE: u32 = 1 << 2;
const PREFIX: &str = "link-";

/// A link found in a pin directory that is still on its interface.
pub(crate) struct Pinned {
    pub ifindex: u32,
    pub link: OwnedFd,
}

/// Sees to it that the directory exists on a BPF file system.
pub(crate) fn prepare(dir: &Path) -> Result<(), Error> {
    let existing = dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let kind = rustix::fs::statfs(existing).map_err(|e| Error::Pin {
        doing: "look at",
        path: existing.to_owned(),
        source: e.into(),
    })?;
    if kind.f_type as u32 != BPF_FILE_SYSTEM {
        return Err(Error::NoBpfFileSystem { path: dir.to_owned() });
    }
    fs::create_dir_all(dir).map_err(|source| pin_error("create", dir, source))
}

/// The links that an earlier process left on these interfaces. What else it left there is removed: links
/// whose interface is gone, and those on interfaces that are not ours any more.
pub(crate) fn take_over(dir: &Path, ifindexes: &[u32]) -> Result<Vec<Pinned>, Error> {
    let mut found: Vec<Pinned> = Vec::new();
    for path in pins(dir)? {
        match alive(&path) {
            Some(pinned)
                if ifindexes.contains(&pinned.ifindex)
                    && path == pin_path(dir, pinned.ifindex)
                    && found.iter().all(|other| other.ifindex != pinned.ifindex) =>
            {
                found.push(pinned);
            }
            _ => remove(&path)?,
        }
    }
    Ok(found)
}

/// The pinned link, if it is the one that is at work on its interface in this network namespace.
/// (Interface indices repeat from namespace to namespace; program ids do not.)
fn alive(path: &Path) -> Option<Pinned> {
    let link = bpf::get_pinned(path).ok()?;
    let info = bpf::link_info(link.as_fd()).ok()??;
    let (program, _) = bpf::attached(info.ifindex).ok()?;
    (info.ifindex != 0 && program == info.program).then_some(Pinned { ifindex: info.ifindex, link })
}

/// Attaches a program where none is.
pub(crate) fn create(
    program: BorrowedFd<'_>,
    name: &str,
    ifindex: u32,
    allow_generic: bool,
) -> Result<OwnedFd, Error> {
    let native = match bpf::link_create(program, ifindex, FLAG_DRV_MODE) {
        Ok(link) => return Ok(link),
        Err(error) => error,
    };
    let (present, _) = bpf::attached(ifindex).unwrap_or_default();
    match native.raw_os_error() {
        Some(libc::EBUSY | libc::EEXIST) if present != 0 => {
            Err(Error::ForeignProgram { name: name.to_owned(), id: present })
        }
        Some(libc::EPERM | libc::EACCES) => Err(Error::NotPermitted { doing: "attach an XDP program" }),
        Some(libc::ENODEV) => Err(Error::NoInterface { name: name.to_owned() }),
        _ if allow_generic => bpf::link_create(program, ifindex, FLAG_SKB_MODE)
            .map_err(|source| Error::NotAttached { name: name.to_owned(), source }),
        _ => Err(Error::NoNativeMode { name: name.to_owned(), source: native }),
    }
}

/// How the program on an interface is attached.
pub(crate) fn mode(ifindex: u32) -> Mode {
    match bpf::attached(ifindex) {
        Ok((_, true)) => Mode::Native,
        _ => Mode::Generic,
    }
}

/// Where a port's link is pinned.
pub(crate) fn pin_path(dir: &Path, ifindex: u32) -> PathBuf {
    dir.join(format!("{PREFIX}{ifindex}"))
}

/// Pins a link.
pub(crate) fn pin(link: &OwnedFd, path: &Path) -> Result<(), Error> {
    bpf::pin(link.as_fd(), path).map_err(|source| pin_error("pin the XDP link at", path, source))
}

/// Takes a pinned link off its interface and removes the pin.
/// Without the first step the kernel would take it off some time after the second.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    if let Ok(link) = bpf::get_pinned(path) {
        bpf::link_detach(link.as_fd());
    }
    fs::remove_file(path).map_err(|source| pin_error("remove", path, source))
}

/// Removes all pins and the directory. Pins that are not there are no error.
pub(crate) fn clear(dir: &Path) -> Result<(), Error> {
    for path in pins(dir)? {
        remove(&path)?;
    }
    match fs::remove_dir(dir) {
        // Something else is in it, or it never was.
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOTEMPTY | libc::ENOENT)) => Ok(()),
        other => other.map_err(|source| pin_error("remove", dir, source)),
    }
}

fn pins(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|source| pin_error("list", dir, source))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| pin_error("list", dir, source))?;
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn pin_error(doing: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Pin { doing, path: path.to_owned(), source }
}
