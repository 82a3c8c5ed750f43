//! Which lab this is: a short name for its namespaces, a folder for its files, and the machine's one lock.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;

use crate::error::{LabError, Result};
use crate::interrupt;

/// Everything a lab leaves on the file system stands below this folder.
pub const ROOT: &str = "/run/sterna-lab";

/// What every namespace of every lab begins with.
pub const PREFIX: &str = "st-";

/// How long a lab waits for another that is being measured.
const LOCK_WAIT: Duration = Duration::from_secs(900);

/// The file in a lab's folder that says it was left up on purpose.
const KEPT: &str = "kept";

/// A lab's name, such as `a1`, and its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabId {
    name: String,
}

impl LabId {
    /// The lab's short name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The full name of one of its namespaces.
    pub fn namespace(&self, short: &str) -> String {
        format!("{PREFIX}{}-{short}", self.name)
    }

    /// What the names of all its namespaces begin with.
    pub fn prefix(&self) -> String {
        format!("{PREFIX}{}-", self.name)
    }

    /// Its folder: configs, logs, sockets, captures.
    pub fn folder(&self) -> PathBuf {
        Path::new(ROOT).join(&self.name)
    }

    /// Marks it as left up on purpose, so that the next lab does not clear it away.
    ///
    /// # Errors
    /// When the folder is gone.
    pub fn keep(&self) -> Result<()> {
        fs::write(self.folder().join(KEPT), "").map_err(LabError::io("marking the lab as kept"))
    }

    /// Was it left up on purpose?
    pub fn is_kept(&self) -> bool {
        self.folder().join(KEPT).exists()
    }

    /// Every lab that has a folder.
    pub fn all() -> Vec<Self> {
        let mut found: Vec<Self> = fs::read_dir(ROOT)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .map(|name| Self { name })
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// Takes the first free name and makes its folder. Only with the lock held.
    ///
    /// # Errors
    /// When no folder can be made below [`ROOT`].
    pub fn take(_lock: &LabLock) -> Result<Self> {
        let mut number = 1;
        loop {
            let id = Self { name: format!("a{number}") };
            let folder = id.folder();
            match fs::create_dir(&folder) {
                Ok(()) => return Ok(id),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(source) => {
                    return Err(LabError::Io { what: format!("making {}", folder.display()), source });
                }
            }
        }
    }
}

/// The machine's one lab lock: two labs at once would measure each other. Freed when dropped, also by death.
#[derive(Debug)]
pub struct LabLock {
    _file: File,
}

impl LabLock {
    /// Waits until no other lab is being measured.
    ///
    /// # Errors
    /// When [`ROOT`] cannot be written, after 15 minutes, or on Ctrl-C.
    pub fn acquire() -> Result<Self> {
        fs::create_dir_all(ROOT).map_err(LabError::io(format!("making {ROOT}")))?;
        let path = Path::new(ROOT).join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(LabError::io(format!("opening {}", path.display())))?;
        interrupt::wait_for("the end of another lab", LOCK_WAIT, || {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => Ok(Some(())),
                Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
                Err(errno) => Err(LabError::Io { what: "locking the lab".to_owned(), source: errno.into() }),
            }
        })?;
        Ok(Self { _file: file })
    }
}
