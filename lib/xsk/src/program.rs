//! A loaded XDP program whose map `sockets` has a socket for each queue of one interface.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::error::Error;
use crate::granted::Mode;
use crate::interface::Interface;
use crate::steering::bpf::{self, Object};
use crate::steering::links;

const SOCKETS: &CStr = c"sockets";

/// Queues that can have a socket, in all programs of this kind.
pub(crate) const QUEUES: u32 = 16;

/// Off its interface when this is dropped or the process dies.
pub(crate) struct Program {
    // Closed first: the link lets go of the program before the object does.
    link: Option<OwnedFd>,
    object: Object,
    interface: Interface,
}

impl Program {
    /// Loads the program in an object file for an interface of this thread's network namespace.
    ///
    /// Errors: no such interface, no permission, a kernel that refuses the program.
    pub(crate) fn load(object: &'static [u8], interface: &str) -> Result<Self, Error> {
        let interface = Interface::find(interface)?;
        let mut object = Object::open(object).map_err(|e| Error::system("read a built-in XDP program", e))?;
        object.load().map_err(|(source, log)| crate::live::load_error(source, log))?;
        Ok(Self { link: None, object, interface })
    }

    /// One of its maps.
    pub(crate) fn map(&self, name: &CStr) -> Result<BorrowedFd<'_>, Error> {
        self.object.map_fd(name).map_err(|e| Error::system("find a table of an XDP program", e))
    }

    /// Lets what is for a queue, below [`QUEUES`], come to this socket. It ends when the socket closes.
    ///
    /// Errors: a queue beyond the sixteenth.
    pub(crate) fn register(&self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), Error> {
        if queue >= QUEUES {
            return Err(Error::NoPort { port: 0, queue });
        }
        let fd = socket.as_raw_fd().to_ne_bytes();
        // SAFETY: `sockets` has keys and values of 4 bytes in every program of this kind.
        unsafe { bpf::map_update(self.map(SOCKETS)?, &queue.to_ne_bytes(), &fd) }
            .map_err(|e| Error::system("register a socket with an XDP program", e))
    }

    /// Puts the program of this name on the interface.
    ///
    /// Errors: somebody else's program there, no native mode (unless `allow_generic`), no permission.
    pub(crate) fn attach(&mut self, name: &CStr, allow_generic: bool) -> Result<Mode, Error> {
        let program =
            self.object.program_fd(name).map_err(|e| Error::system("find a built-in XDP program", e))?;
        let Interface { name, ifindex, .. } = &self.interface;
        self.link = Some(links::create(program, name, *ifindex, allow_generic)?);
        Ok(links::mode(*ifindex))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Closing alone would leave it there as long as a child process holds a copy of the descriptor.
        if let Some(link) = &self.link {
            bpf::link_detach(link.as_fd());
        }
    }
}
