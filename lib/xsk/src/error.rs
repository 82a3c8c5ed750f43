//! What can go wrong, in a sentence that says what it is and how to mend it.

use std::io;
use std::path::PathBuf;

/// Why a port could not be opened or steered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name is not an interface's here.
    #[error(
        "there is no interface {name} in this network namespace: correct the name (`ip -brief link` lists them) or create the interface first"
    )]
    NoInterface {
        /// The name asked for.
        name: String,
    },
    /// The interface has fewer queues.
    #[error(
        "{name} has {queues} rx queues, so there is no queue {queue}: use fewer workers, or raise the number with `ethtool -L {name} combined N` (veth: `rx N tx N`)"
    )]
    NoQueue {
        /// The interface.
        name: String,
        /// The queue asked for, from 0.
        queue: u32,
        /// How many there are.
        queues: u32,
    },
    /// Another socket has the queue.
    #[error(
        "queue {queue} of {name} is taken by another AF_XDP socket, still after {waited_ms} ms: stop the other program that uses it"
    )]
    QueueTaken {
        /// The interface.
        name: String,
        /// The queue.
        queue: u32,
        /// How long we tried, in milliseconds.
        waited_ms: u128,
    },
    /// The kernel said EPERM or EACCES.
    #[error(
        "no permission to {doing}: run as root, or give the program CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF"
    )]
    NotPermitted {
        /// What was refused.
        doing: &'static str,
    },
    /// The kernel was built without AF_XDP.
    #[error("this kernel has no AF_XDP sockets: use Linux 5.11 or newer built with CONFIG_XDP_SOCKETS=y")]
    NoAfXdp,
    /// Locked memory is limited.
    #[error(
        "the kernel would not lock {mib} MiB of packet memory: raise the limit (`ulimit -l`, systemd LimitMEMLOCK=), give the program CAP_IPC_LOCK, or set fewer frames"
    )]
    MemoryLocked {
        /// What was asked for, in MiB.
        mib: usize,
    },
    /// A packet of this size does not fit a page.
    #[error(
        "the MTU of {name} is {mtu}, and an AF_XDP frame carries at most {most}: lower it with `ip link set dev {name} mtu {most}`"
    )]
    MtuTooLarge {
        /// The interface.
        name: String,
        /// Its MTU in bytes.
        mtu: u32,
        /// The largest MTU that fits, in bytes.
        most: u32,
    },
    /// A size that the kernel's rings cannot have.
    #[error("{what} is {value}: it must be {rule}")]
    BadSize {
        /// Which setting.
        what: &'static str,
        /// Its value.
        value: u32,
        /// What it must be.
        rule: &'static str,
    },
    /// Somebody else's XDP program is on the interface.
    #[error(
        "{name} already carries an XDP program of somebody else (id {id}): remove it with `ip link set dev {name} xdp off`, or, if a link holds it, by ending its owner (`bpftool link` and `bpftool prog show id {id}` tell whose it is)"
    )]
    ForeignProgram {
        /// The interface.
        name: String,
        /// The program's id.
        id: u32,
    },
    /// The driver has no native XDP, or not with these settings.
    #[error(
        "the driver of {name} refuses XDP in native mode ({source}): lower the MTU, turn off LRO, give it as many rx queues as its peer has tx queues, or allow generic mode, which is about ten times slower"
    )]
    NoNativeMode {
        /// The interface.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The program could not be attached for another reason.
    #[error("the XDP program could not be attached to {name} ({source}): see the kernel log (`dmesg`)")]
    NotAttached {
        /// The interface.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The pin directory is not on a BPF file system.
    #[error("{} is not on a BPF file system: mount one with `mount -t bpf bpf /sys/fs/bpf`, or give a pin directory below such a mount", path.display())]
    NoBpfFileSystem {
        /// The pin directory.
        path: PathBuf,
    },
    /// A file in the pin directory could not be read, written or removed.
    #[error("cannot {doing} {} ({source}): check its owner and mode, or remove it", path.display())]
    Pin {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The kernel's verifier or loader refused the XDP program.
    #[error(
        "the kernel would not load the XDP program ({source}; {log}): use Linux 5.11 or newer with CONFIG_BPF_SYSCALL=y and CONFIG_BPF_JIT=y"
    )]
    NotLoaded {
        /// The kernel's answer.
        source: io::Error,
        /// The loader's last complaint.
        log: String,
    },
    /// One of the XDP program's maps is full.
    #[error("the XDP program's table of {what} is full ({most} entries): use fewer")]
    MapFull {
        /// What the map holds.
        what: &'static str,
        /// Its size in entries.
        most: u32,
    },
    /// There is no such port in this steering.
    #[error(
        "port {port}, queue {queue} is not among those the XDP program was loaded for: load it again with all ports and their queues"
    )]
    NoPort {
        /// The port's index.
        port: usize,
        /// The queue.
        queue: u32,
    },
    /// The system refused for a reason without a known cure.
    #[error("cannot {doing}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl Error {
    /// The error for a failed system call, with the usual causes told apart.
    pub(crate) fn system(doing: &'static str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NotPermitted { doing },
            Some(libc::EAFNOSUPPORT) => Self::NoAfXdp,
            _ => Self::System { doing, source },
        }
    }
}
