//! What the machine must have before a lab is tried, each lack told in one sentence with its cure.

use std::path::Path;

use crate::command;
use crate::error::{LabError, Result};
use crate::identity::ROOT;

/// The programs a lab runs, with the sentence that installs each.
const PROGRAMS: [(&str, &str); 4] = [
    ("ip", "run `apt-get install iproute2`"),
    ("ethtool", "run `apt-get install ethtool`"),
    ("tcpdump", "run `apt-get install tcpdump`"),
    ("tshark", "run `apt-get install tshark`"),
];

/// Where the kernel's pinned objects live.
pub const BPF_DIR: &str = "/sys/fs/bpf";

/// The magic number of the bpf file system (statfs).
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

/// How to get a program that is missing.
pub fn package_of(program: &str) -> &'static str {
    PROGRAMS
        .iter()
        .find(|(name, _)| *name == program)
        .map_or("install the Debian package that has it", |(_, cure)| cure)
}

/// Checks for root, the programs and namespaces.
///
/// # Errors
/// [`LabError::Missing`] naming the first lack.
pub fn check() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(LabError::Missing {
            what: "the lab makes network namespaces and needs root".to_owned(),
            cure: "run it with sudo, or as root in a virtual machine".to_owned(),
        });
    }
    for (program, cure) in PROGRAMS {
        if !in_path(program) {
            return Err(LabError::Missing {
                what: format!("the program `{program}` is not installed"),
                cure: cure.to_owned(),
            });
        }
    }
    if !Path::new("/proc/self/ns/net").exists() {
        return Err(LabError::Missing {
            what: "this kernel has no network namespaces".to_owned(),
            cure: "use a kernel with CONFIG_NET_NS, as every Debian kernel has".to_owned(),
        });
    }
    Ok(())
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].iter().map(std::path::PathBuf::from))
        .any(|folder| folder.join(program).is_file())
}

/// Is the bpf file system mounted where links are pinned?
pub fn bpf_fs_mounted() -> bool {
    rustix::fs::statfs(BPF_DIR).is_ok_and(|fs| u64::try_from(fs.f_type).is_ok_and(|t| t == BPF_FS_MAGIC))
}

/// Remembers across runs that a lab mounted the bpf file system, so that the last one unmounts it.
const MOUNTED: &str = "bpf-mounted-here";

/// Mounts the bpf file system when it is not.
///
/// # Errors
/// [`LabError::Missing`] when the kernel has no bpf file system or we may not mount it.
pub fn mount_bpf_fs() -> Result<()> {
    if bpf_fs_mounted() {
        return Ok(());
    }
    command::output("mount", &["-t", "bpf", "bpf", BPF_DIR]).map_err(|error| LabError::Missing {
        what: format!("the bpf file system cannot be mounted on {BPF_DIR} ({error})"),
        cure: "use a kernel with CONFIG_BPF_SYSCALL and root in the first user namespace".to_owned(),
    })?;
    std::fs::write(Path::new(ROOT).join(MOUNTED), "").map_err(LabError::io("remembering the mount"))
}

/// Unmounts what a lab mounted, unless somebody uses it by now.
pub fn unmount_bpf_fs() {
    let mark = Path::new(ROOT).join(MOUNTED);
    let root = Path::new(BPF_DIR);
    // Succeeds only when it is empty, which is what we want.
    let _ = std::fs::remove_dir(root.join("sterna"));
    // The kernel's own two files (`maps.debug`, `progs.debug`) are there from the start.
    let ours = |entry: &std::fs::DirEntry| !entry.file_name().to_string_lossy().ends_with(".debug");
    let empty = std::fs::read_dir(root).is_ok_and(|entries| !entries.flatten().any(|entry| ours(&entry)));
    if mark.exists() && empty && command::output("umount", &[BPF_DIR]).is_ok() {
        // A mark that stays would only make the next lab try again.
        let _ = std::fs::remove_file(mark);
    }
}
