//! What a lab leaves behind when it is not taken down, and taking it away by name.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::identity::{LabId, PREFIX, ROOT};
use crate::namespace::Namespace;
use crate::requirements::BPF_DIR;

/// Everything of one lab, or of every lab, that is still on the machine.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Leftovers {
    /// Names of namespaces.
    pub namespaces: Vec<String>,
    /// Ids of processes inside those, or with the lab's folder on their command line.
    pub processes: Vec<i32>,
    /// Pinned objects below the bpf file system.
    pub pins: Vec<PathBuf>,
    /// Folders with configs, logs and sockets.
    pub folders: Vec<PathBuf>,
}

impl Leftovers {
    /// Looks for what one lab left.
    pub fn of(id: &LabId) -> Self {
        Self::search(&id.prefix(), &id.folder())
    }

    /// Looks for what any lab left.
    pub fn of_all() -> Self {
        let mut found = Self::search(PREFIX, Path::new(ROOT));
        found.folders = LabId::all().iter().map(LabId::folder).collect();
        found
    }

    fn search(prefix: &str, folder: &Path) -> Self {
        let namespaces = Namespace::all_with_prefix(prefix);
        let mut processes: Vec<i32> = namespaces.iter().flat_map(Namespace::processes).collect();
        processes.extend(processes_naming(folder));
        processes.sort_unstable();
        processes.dedup();
        Self {
            namespaces: namespaces.iter().map(|n| n.name().to_owned()).collect(),
            processes,
            pins: pins_with_prefix(prefix),
            folders: if folder.exists() { vec![folder.to_owned()] } else { Vec::new() },
        }
    }

    /// Is the machine clean?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes everything away; what could not be removed is found by looking again.
    ///
    /// # Errors
    /// When a namespace or a pin refuses to go.
    pub fn remove(&self) -> Result<()> {
        for &id in &self.processes {
            if let Some(pid) = rustix::process::Pid::from_raw(id) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        // Removing a pin drops the last reference to its XDP link, which detaches the program.
        for pin in &self.pins {
            remove_tree(pin)?;
        }
        for name in &self.namespaces {
            Namespace::named(name).remove()?;
        }
        for folder in &self.folders {
            remove_tree(folder)?;
        }
        Ok(())
    }
}

impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} namespaces, {} processes, {} pinned folders, {} run-time folders",
            self.namespaces.len(),
            self.processes.len(),
            self.pins.len(),
            self.folders.len()
        )
    }
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => {
            Err(crate::error::LabError::Io { what: format!("removing {}", path.display()), source })
        }
    }
}

/// Folders of pins of gateways whose name begins with a lab's prefix.
fn pins_with_prefix(prefix: &str) -> Vec<PathBuf> {
    fs::read_dir(Path::new(BPF_DIR).join("sterna"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect()
}

/// Processes other than ours that have a path in the lab's folder on their command line: gateways that
/// were started for it, wherever they are now.
fn processes_naming(folder: &Path) -> Vec<i32> {
    let needle = format!("{}/", folder.display());
    let own = std::process::id();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut arguments = line.split(|byte| *byte == 0);
        let program = arguments.next().map(String::from_utf8_lossy).unwrap_or_default();
        // Only programs the lab starts: an editor that has a log open is none of our business.
        let ours = ["sterna-dataplane", "sterna-controlplane", "tcpdump", "tshark"]
            .iter()
            .any(|name| Path::new(&*program).file_name().is_some_and(|file| file == *name));
        if id != own && ours && arguments.any(|a| String::from_utf8_lossy(a).starts_with(&needle)) {
            found.extend(i32::try_from(id));
        }
    }
    found
}
