//! The XDP program of an interface that belongs to one process: whatever enters comes to its sockets, and nothing to
//! the kernel.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::error::Error;
use crate::granted::Mode;
use crate::interface::Interface;
use crate::steering::Aligned;
use crate::steering::bpf::{self, Object};
use crate::steering::links;

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/funnel.bpf.o")));

const SOCKETS: &CStr = c"sockets";

/// Queues that can have a socket.
const QUEUES: u32 = 16;

/// The loaded program on one interface; off it when this is dropped or the process dies.
pub struct Funnel {
    // Closed first: the link lets go of the program before the object does.
    link: Option<OwnedFd>,
    object: Object,
    interface: Interface,
}

impl Funnel {
    /// Loads the program for an interface of this thread's network namespace.
    ///
    /// Errors: no such interface, no permission, a kernel that refuses the program.
    pub fn load(interface: &str) -> Result<Self, Error> {
        let interface = Interface::find(interface)?;
        let mut object =
            Object::open(&OBJECT.0).map_err(|e| Error::system("read the built-in funnel program", e))?;
        object.load().map_err(|(source, log)| crate::live::load_error(source, log))?;
        Ok(Self { link: None, object, interface })
    }

    /// Lets frames of a queue, below 16, come to this socket. It ends when the socket closes. Frames of queues
    /// without a socket are dropped.
    ///
    /// Errors: a queue beyond the sixteenth.
    pub fn register(&self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), Error> {
        if queue >= QUEUES {
            return Err(Error::NoPort { port: 0, queue });
        }
        let sockets = self
            .object
            .map_fd(SOCKETS)
            .map_err(|e| Error::system("find a table of the funnel program", e))?;
        let fd = socket.as_raw_fd().to_ne_bytes();
        // SAFETY: `sockets` has keys and values of 4 bytes.
        unsafe { bpf::map_update(sockets, &queue.to_ne_bytes(), &fd) }
            .map_err(|e| Error::system("register a socket with the funnel program", e))
    }

    /// Puts the program on the interface.
    ///
    /// Errors: somebody else's program there, no native mode (unless `allow_generic`), no permission.
    pub fn attach(&mut self, allow_generic: bool) -> Result<Mode, Error> {
        let program =
            self.object.program_fd(c"funnel").map_err(|e| Error::system("find the funnel program", e))?;
        let Interface { name, ifindex, .. } = &self.interface;
        self.link = Some(links::create(program, name, *ifindex, allow_generic)?);
        Ok(links::mode(*ifindex))
    }
}

impl Drop for Funnel {
    fn drop(&mut self) {
        // Closing alone would leave it there as long as a child process holds a copy of the descriptor.
        if let Some(link) = &self.link {
            bpf::link_detach(link.as_fd());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_program_has_as_many_queues() {
        assert!(include_str!("../bpf/funnel.bpf.c").contains(&format!("QUEUES = {QUEUES},")));
    }
}
