//! The XDP program of an interface that belongs to one process: whatever enters comes to its sockets, and nothing to
//! the kernel.

use std::os::fd::BorrowedFd;

use crate::error::Error;
use crate::granted::Mode;
use crate::program::Program;
use crate::steering::Aligned;

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/funnel.bpf.o")));

/// The loaded program on one interface; off it when this is dropped or the process dies.
pub struct Funnel(Program);

impl Funnel {
    /// Loads the program for an interface of this thread's network namespace.
    ///
    /// Errors: no such interface, no permission, a kernel that refuses the program.
    pub fn load(interface: &str) -> Result<Self, Error> {
        Program::load(&OBJECT.0, interface).map(Self)
    }

    /// Lets frames of a queue, below 16, come to this socket. It ends when the socket closes. Frames of queues
    /// without a socket are dropped.
    ///
    /// Errors: a queue beyond the sixteenth.
    pub fn register(&self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), Error> {
        self.0.register(queue, socket)
    }

    /// Puts the program on the interface.
    ///
    /// Errors: somebody else's program there, no native mode (unless `allow_generic`), no permission.
    pub fn attach(&mut self, allow_generic: bool) -> Result<Mode, Error> {
        self.0.attach(c"funnel", allow_generic)
    }
}

#[cfg(test)]
mod tests {
    use crate::program::QUEUES;

    #[test]
    fn the_c_program_has_as_many_queues() {
        assert!(include_str!("../bpf/funnel.bpf.c").contains(&format!("QUEUES = {QUEUES},")));
    }
}
