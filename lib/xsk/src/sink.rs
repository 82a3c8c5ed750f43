//! The XDP program of a generator's sink: probes come to its sockets, bulk frames are counted and dropped in the
//! kernel, all else is the kernel's.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use crate::error::Error;
use crate::granted::Mode;
use crate::live::read_entry;
use crate::program::{Program, QUEUES};
use crate::steering::Aligned;
use crate::steering::bpf;

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/sink.bpf.o")));

const BULK: &CStr = c"bulk";
const COUNTERS: &CStr = c"counters";
const RUN_TAG: &CStr = c"run_tag";

/// Senders that the program tells apart.
const SENDERS: u32 = 16;

/// UDP destination port of frames that come to the sink's sockets.
pub const PROBE_PORT: u16 = 8641;
/// UDP destination port of frames that are counted in the kernel.
pub const BULK_PORT: u16 = 8642;

/// What arrived of one sender's bulk frames at one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BulkCount {
    /// Frames.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames with a lower number than one before them.
    pub late: u64,
    /// The highest number and one.
    pub next: u64,
}

/// Where the program sent what entered, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkCounts {
    /// Probes that a socket was there for.
    pub to_socket: u64,
    /// Probes at a queue without a socket, dropped.
    pub no_socket: u64,
    /// Bulk frames, counted and dropped.
    pub bulk: u64,
    /// Bulk frames of another run, dropped.
    pub other_run: u64,
    /// Everything else, to the kernel.
    pub to_kernel: u64,
}

/// The loaded program on one interface; off it when this is dropped or the process dies.
pub struct SinkProgram(Program);

impl SinkProgram {
    /// Loads the program for an interface of this thread's network namespace. Bulk frames count when their
    /// payload begins with `run_tag`.
    ///
    /// Errors: no such interface, no permission, a kernel that refuses the program.
    pub fn load(interface: &str, run_tag: u8) -> Result<Self, Error> {
        let program = Program::load(&OBJECT.0, interface)?;
        // SAFETY: `run_tag` has keys and values of 4 bytes.
        unsafe { bpf::map_update(program.map(RUN_TAG)?, &[0; 4], &u32::from(run_tag).to_ne_bytes()) }
            .map_err(|e| Error::system("write the run's tag", e))?;
        Ok(Self(program))
    }

    /// Lets probes of a queue, below 16, come to this socket. It ends when the socket closes.
    ///
    /// Errors: a queue beyond the sixteenth.
    pub fn register(&self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), Error> {
        self.0.register(queue, socket)
    }

    /// Puts the program on the interface.
    ///
    /// Errors: somebody else's program there, no native mode (unless `allow_generic`), no permission.
    pub fn attach(&mut self, allow_generic: bool) -> Result<Mode, Error> {
        self.0.attach(c"sink", allow_generic)
    }

    /// Where frames went since the program was loaded.
    ///
    /// Errors: a table that cannot be read.
    pub fn counts(&self) -> Result<SinkCounts, Error> {
        let map = self.0.map(COUNTERS)?;
        let read = |index| {
            // SAFETY: `counters` is a per-CPU array of u64.
            unsafe { bpf::per_cpu_sum(map, index) }.map_err(|e| Error::system("read the sink's counters", e))
        };
        Ok(SinkCounts {
            to_socket: read(0)?,
            no_socket: read(1)?,
            bulk: read(2)?,
            other_run: read(3)?,
            to_kernel: read(4)?,
        })
    }

    /// What arrived of a sender's bulk frames at a queue, both below 16.
    ///
    /// Errors: a table that cannot be read.
    pub fn bulk(&self, queue: u32, sender: u8) -> Result<BulkCount, Error> {
        let key = (queue % QUEUES) * SENDERS + u32::from(sender) % SENDERS;
        let mut value = [0; 32];
        // SAFETY: `bulk` is an array with values of 32 bytes.
        unsafe { read_entry(self.0.map(BULK)?, key, &mut value) }
            .map_err(|e| Error::system("read the sink's bulk counters", e))?;
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&value[at * 8..at * 8 + 8]);
            u64::from_ne_bytes(bytes)
        };
        Ok(BulkCount { frames: word(0), bytes: word(1), late: word(2), next: word(3) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_those_of_the_c_program() {
        let source = include_str!("../bpf/sink.bpf.c");
        for (name, value) in [
            ("PROBE_PORT", u32::from(PROBE_PORT)),
            ("BULK_PORT", u32::from(BULK_PORT)),
            ("QUEUES", QUEUES),
            ("SENDERS", SENDERS),
        ] {
            assert!(source.contains(&format!("{name} = {value},")), "{name}");
        }
        assert!(source.contains(
            "enum verdict { SOCKET_PROBE, DROP_NO_SOCKET, DROP_BULK, DROP_OTHER_RUN, KERNEL_OTHER,"
        ));
    }
}
