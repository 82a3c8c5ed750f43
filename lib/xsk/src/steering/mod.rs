//! The XDP program: which frames come to the ports and which go to the kernel.
//!
//! One program with one set of tables serves all ports of a gateway; it tells them apart by interface index.
//! The rules are written at the head of `bpf/steer.bpf.c`.

pub(crate) mod bpf;
pub(crate) mod links;
mod maps;
mod verdict;

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use self::bpf::Object;
use self::maps::{Maps, PortEntry};
pub use self::verdict::{Action, Verdict};
use crate::error::Error;
use crate::granted::Mode;
use crate::interface::Interface;

/// libelf reads the object file in place.
#[repr(C, align(8))]
pub(crate) struct Aligned<T: ?Sized>(pub(crate) T);

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/steer.bpf.o")));

const XDP_DROP: u8 = 1;
const XDP_PASS: u8 = 2;
const XDP_REDIRECT: u32 = 4;

/// What a port is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Agents.
    Eid,
    /// The underlay.
    Rloc,
    /// Both: untagged frames are the underlay's, tagged ones the agents', but for our own addresses.
    Both,
}

/// A port to be steered.
#[derive(Clone, Debug)]
pub struct PortSpec {
    /// The interface's name, in this thread's network namespace.
    pub name: String,
    /// What it is connected to.
    pub side: Side,
    /// How many of its queues have a socket, from queue 0.
    pub queues: u32,
}

/// A steered port.
struct SteeredPort {
    name: String,
    ifindex: u32,
    /// Key of its queue 0 among the sockets.
    key_base: u32,
    queues: u32,
    mode: Mode,
    /// Holds the program on the interface, unless it is pinned.
    link: Option<OwnedFd>,
}

/// The loaded XDP program.
///
/// Without a pin directory the program is off its interfaces when this is dropped or the process dies.
/// With one it stays: eid-side frames are then dropped and rloc-side ones go to the kernel, until the next
/// start or [`Self::unpin`].
pub struct Steering {
    // Closed first: the links let go of the program before the object does.
    ports: Vec<SteeredPort>,
    object: Object,
    pin_dir: Option<PathBuf>,
}

impl Steering {
    /// Loads the program for these ports; the ports' indices are those of this slice from now on.
    ///
    /// Errors: no such interface, no permission, a kernel that refuses the program, no BPF file system at
    /// `pin_dir`.
    pub fn load(ports: &[PortSpec], pin_dir: Option<&Path>) -> Result<Self, Error> {
        pin_dir.map_or(Ok(()), links::prepare)?;
        let interfaces: Vec<Interface> =
            ports.iter().map(|port| Interface::find(&port.name)).collect::<Result<_, _>>()?;
        let queues: u32 = ports.iter().map(|port| port.queues).sum();
        let mut object =
            Object::open(&OBJECT.0).map_err(|e| Error::system("read the built-in XDP program", e))?;
        maps::size(&mut object, ports.len().max(1) as u32, queues.max(1))
            .map_err(|e| Error::system("size the tables of the XDP program", e))?;
        object.load().map_err(|(source, log)| match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) if log.starts_with("the verifier") => {
                Error::NotPermitted { doing: "load an XDP program" }
            }
            _ => Error::NotLoaded { source, log },
        })?;
        let mut steering = Self { ports: Vec::new(), object, pin_dir: pin_dir.map(Path::to_owned) };
        for (spec, interface) in ports.iter().zip(interfaces) {
            steering.add_port(spec, interface)?;
        }
        Ok(steering)
    }

    fn add_port(&mut self, spec: &PortSpec, interface: Interface) -> Result<(), Error> {
        let key_base = self.ports.last().map_or(0, |port| port.key_base + port.queues);
        let entry = PortEntry {
            ifindex: interface.ifindex,
            key_base,
            queues: spec.queues,
            counter_base: (self.ports.len() * Verdict::ALL.len()) as u32,
            side: match spec.side {
                Side::Eid => 1,
                Side::Rloc => 2,
                Side::Both => 3,
            },
            // An agent's packet that the kernel routed would leave in the clear.
            eid_miss: XDP_DROP,
            rloc_miss: XDP_PASS,
            mac: interface.mac,
        };
        self.maps().set_port(&entry)?;
        self.ports.push(SteeredPort {
            name: interface.name,
            ifindex: interface.ifindex,
            key_base,
            queues: spec.queues,
            mode: Mode::Native,
            link: None,
        });
        Ok(())
    }

    fn maps(&self) -> Maps<'_> {
        Maps(&self.object)
    }

    fn key(&self, port: usize, queue: u32) -> Result<u32, Error> {
        let found = self.ports.get(port).filter(|found| queue < found.queues);
        found.map(|found| found.key_base + queue).ok_or(Error::NoPort { port, queue })
    }

    fn ifindex(&self, port: usize) -> Result<u32, Error> {
        self.ports.get(port).map(|found| found.ifindex).ok_or(Error::NoPort { port, queue: 0 })
    }

    /// Lets frames of a port's queue come to this socket ([`Port::wait_fd`](crate::Port::wait_fd)).
    /// It ends when the socket closes.
    pub fn register(&self, port: usize, queue: u32, socket: BorrowedFd<'_>) -> Result<(), Error> {
        self.maps().set_socket(self.key(port, queue)?, socket)
    }

    /// Ends what [`Self::register`] began, while the socket stays open: the way to drain it.
    pub fn unregister(&self, port: usize, queue: u32) -> Result<(), Error> {
        self.maps().clear_socket(self.key(port, queue)?)
    }

    /// Puts the program on every port: in place of an earlier process's where that left its link pinned,
    /// without a gap, else anew. Register the sockets first.
    ///
    /// `allow_generic`: where the driver has no XDP, let the kernel run the program, slowly; see
    /// [`Self::modes`].
    /// Errors: somebody else's program on a port, no native mode, no permission. Ports that got a new link
    /// are then without again.
    pub fn attach(&mut self, allow_generic: bool) -> Result<(), Error> {
        let ifindexes: Vec<u32> = self.ports.iter().map(|port| port.ifindex).collect();
        let mut pinned = match &self.pin_dir {
            Some(dir) => links::take_over(dir, &ifindexes)?,
            None => Vec::new(),
        };
        let mut created = Vec::new();
        for (index, ifindex) in ifindexes.into_iter().enumerate() {
            let old = pinned.iter().position(|pinned| pinned.ifindex == ifindex);
            let old = old.map(|at| pinned.swap_remove(at).link);
            let result = match old {
                Some(link) => self.update(index, link),
                None => self.create(index, allow_generic, &mut created),
            };
            if let Err(error) = result {
                self.undo(&created);
                return Err(error);
            }
            self.ports[index].mode = links::mode(ifindex);
        }
        Ok(())
    }

    fn update(&mut self, index: usize, link: OwnedFd) -> Result<(), Error> {
        let program = self.program()?;
        bpf::link_update(link.as_fd(), program)
            .map_err(|source| Error::NotAttached { name: self.ports[index].name.clone(), source })?;
        self.ports[index].link = Some(link);
        Ok(())
    }

    fn create(&mut self, index: usize, allow_generic: bool, created: &mut Vec<usize>) -> Result<(), Error> {
        let port = &self.ports[index];
        let link = links::create(self.program()?, &port.name, port.ifindex, allow_generic)?;
        if let Some(dir) = &self.pin_dir {
            links::pin(&link, &links::pin_path(dir, port.ifindex))?;
        }
        created.push(index);
        self.ports[index].link = Some(link);
        Ok(())
    }

    fn undo(&mut self, created: &[usize]) {
        for &index in created {
            if let Some(dir) = &self.pin_dir {
                // Nothing more can be done here; the pin shows in `unpin`.
                let _ = links::remove(&links::pin_path(dir, self.ports[index].ifindex));
            }
            if let Some(link) = self.ports[index].link.take() {
                bpf::link_detach(link.as_fd());
            }
        }
    }

    fn program(&self) -> Result<BorrowedFd<'_>, Error> {
        self.object.program_fd(c"steer").map_err(|e| Error::system("find the XDP program", e))
    }

    /// How the program is attached to each port.
    pub fn modes(&self) -> Vec<Mode> {
        self.ports.iter().map(|port| port.mode).collect()
    }

    /// The ports' interface indices.
    pub fn ifindexes(&self) -> Vec<u32> {
        self.ports.iter().map(|port| port.ifindex).collect()
    }

    /// Adds an address of this box: LISP data for it comes to us, all else for it is the kernel's.
    /// On every port: all of the box's addresses belong here, or what is sent to them becomes transit.
    pub fn add_local(&self, address: IpAddr) -> Result<(), Error> {
        self.maps().set_local(address, true)
    }

    /// Removes an address of this box.
    pub fn remove_local(&self, address: IpAddr) -> Result<(), Error> {
        self.maps().set_local(address, false)
    }

    /// Adds a group's anycast MAC address to a port.
    pub fn add_mac(&self, port: usize, mac: [u8; 6]) -> Result<(), Error> {
        self.maps().set_mac(self.ifindex(port)?, mac, true)
    }

    /// Removes a group's anycast MAC address from a port.
    pub fn remove_mac(&self, port: usize, mac: [u8; 6]) -> Result<(), Error> {
        self.maps().set_mac(self.ifindex(port)?, mac, false)
    }

    /// What became of the frames that entered, by verdict, over all ports since the program was loaded.
    pub fn verdict_counters(&self) -> Vec<(&'static str, u64)> {
        let of_ports: Vec<_> = (0..self.ports.len()).map(|port| self.port_verdicts(port)).collect();
        let sum = |at: usize| of_ports.iter().filter_map(|one| one.get(at)).map(|(_, n)| n).sum();
        Verdict::ALL.iter().enumerate().map(|(at, verdict)| (verdict.name(), sum(at))).collect()
    }

    /// The same for one port. A counter that cannot be read is 0.
    pub fn port_verdicts(&self, port: usize) -> Vec<(&'static str, u64)> {
        let base = port * Verdict::ALL.len();
        let read = |verdict: Verdict| self.maps().counter(base as u32 + verdict as u32).unwrap_or(0);
        Verdict::ALL.iter().map(|&verdict| (verdict.name(), read(verdict))).collect()
    }

    /// Asks the program what it would do with a frame that comes in at a port's queue 0. It counts the frame.
    ///
    /// Errors: frames shorter than 14 bytes or longer than about 3,500.
    pub fn probe(&self, port: usize, frame: &[u8]) -> Result<Action, Error> {
        let action = bpf::test_run(self.program()?, frame, self.ifindex(port)?)
            .map_err(|e| Error::system("try a frame on the XDP program", e))?;
        Ok(match action {
            XDP_REDIRECT => Action::Socket,
            action if action == u32::from(XDP_PASS) => Action::Kernel,
            _ => Action::Drop,
        })
    }

    /// Takes the program off all ports and removes its pins: a clean stop.
    pub fn detach(mut self) -> Result<(), Error> {
        // What is pinned no longer is kept by nothing but our links, which the drop takes off.
        self.pin_dir.take().map_or(Ok(()), |dir| Self::unpin(&dir))
    }

    /// Removes what an earlier process left pinned, and so its program from its ports. Nothing there is no
    /// error.
    pub fn unpin(pin_dir: &Path) -> Result<(), Error> {
        links::clear(pin_dir)
    }
}

impl Drop for Steering {
    fn drop(&mut self) {
        if self.pin_dir.is_none() {
            // Closing alone would leave it there as long as a child process that is just being started holds
            // a copy of the descriptor.
            let links = self.ports.iter().filter_map(|port| port.link.as_ref());
            links.for_each(|link| bpf::link_detach(link.as_fd()));
        }
    }
}
