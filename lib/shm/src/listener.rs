//! The dataplane's socket: lets control planes in, one at a time, and waits for nobody.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketAddrUnix, SocketFlags};

use crate::handshake::{self, HandshakeError, Offer, PATIENCE, system};
use crate::link;
use crate::message::{Message, MessageFault};
use crate::session::DataplaneSession;

/// Connections that may be waited for at a time; one more pushes out the oldest.
const MAX_PENDING: usize = 8;
/// Bytes of a HELLO that matter; a later version's may be longer.
const HELLO_BYTES: usize = 256;

/// A listening socket.
pub struct Listener {
    socket: OwnedFd,
    /// Holds the socket and all pending connections, so that one descriptor tells of any of them.
    epoll: OwnedFd,
    pending: VecDeque<Pending>,
    path: PathBuf,
    /// Device and inode of our socket file.
    file: (u64, u64),
}

/// Connected, checked, but silent so far.
struct Pending {
    socket: OwnedFd,
    peer_pid: u32,
    until: Instant,
}

impl Listener {
    /// Listens at this path, with mode 0600.
    ///
    /// A socket file without a listener is replaced; a living one is `AddrInUse`, any other file `AlreadyExists`.
    pub fn bind(path: &Path) -> io::Result<Listener> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory = rustix::fs::open(parent, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        // Two dataplanes that start together take turns here; the lock ends with `directory`.
        take_turn(&directory)?;
        refuse_if_taken(path)?;
        // Made under another name and moved, so that the name never stands for a socket that does not listen yet.
        let draft = path.with_extension(format!("new.{}", std::process::id()));
        let _ = rustix::fs::unlink(&draft);
        let socket = listen_at(&draft)?;
        let moved = rustix::fs::chmod(&draft, Mode::RUSR | Mode::WUSR).and_then(|()| {
            let stat = rustix::fs::stat(&draft)?;
            rustix::fs::rename(&draft, path)?;
            Ok((stat.st_dev, stat.st_ino))
        });
        let file = moved.inspect_err(|_| {
            let _ = rustix::fs::unlink(&draft);
        })?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        watch(&epoll, &socket)?;
        Ok(Listener { socket, epoll, pending: VecDeque::new(), path: path.to_owned(), file })
    }

    /// Takes the next step with whoever is at the door; never waits.
    ///
    /// A step without a session is a few system calls; one with a session also makes and fills in the memory for
    /// two rings, a millisecond or so per MiB, and so is for a thread that does not forward.
    /// `Ok(Some)` is a new session: whether it replaces the present one is the caller's decision (newest wins).
    /// `Err` means that one peer was turned away; listening goes on. Call it when [`Listener::as_fd`](AsFd) is
    /// readable, and now and then in any case, so that silent peers are let go.
    pub fn accept(&mut self, offer: &Offer<'_>) -> Result<Option<DataplaneSession>, HandshakeError> {
        let let_in = self.let_in();
        let mut index = 0;
        while index < self.pending.len() {
            let mut bytes = [0; HELLO_BYTES];
            let heard = link::receive(self.pending[index].socket.as_fd(), &mut bytes, RecvFlags::DONTWAIT);
            if heard == Err(Errno::AGAIN) && Instant::now() < self.pending[index].until {
                index += 1;
                continue;
            }
            let Some(peer) = self.release(index) else { break };
            return match heard {
                Ok(0) | Err(Errno::CONNRESET) => Err(HandshakeError::Gone),
                Ok(len) => answer(peer, &bytes[..len], offer).map(Some),
                Err(Errno::AGAIN) => Err(HandshakeError::Silent),
                Err(errno) => Err(system("hear from a control plane")(errno)),
            };
        }
        let_in.map(|()| None)
    }

    /// Moves connections from the kernel's queue into ours, a few per call.
    fn let_in(&mut self) -> Result<(), HandshakeError> {
        for _ in 0..MAX_PENDING {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = match rustix::net::accept_with(&self.socket, flags) {
                Ok(socket) => socket,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(errno) => return Err(system("let a control plane in")(errno)),
            };
            let peer_pid = handshake::checked_peer(socket.as_fd())
                .inspect_err(|error| refuse(socket.as_fd(), &error.to_string()))?;
            watch(&self.epoll, &socket).map_err(system("watch a control plane"))?;
            self.pending.push_back(Pending { socket, peer_pid, until: Instant::now() + PATIENCE });
            if self.pending.len() > MAX_PENDING {
                self.release(0);
                return Err(HandshakeError::Silent);
            }
        }
        Ok(())
    }

    fn release(&mut self, index: usize) -> Option<Pending> {
        let peer = self.pending.remove(index)?;
        let _ = epoll::delete(&self.epoll, &peer.socket);
        Some(peer)
    }
}

/// Readable when [`Listener::accept`] has something to do.
impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A successor may have put its own socket there.
        let ours = rustix::fs::stat(&self.path).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.file);
        if ours {
            let _ = rustix::fs::unlink(&self.path);
        }
    }
}

fn answer(peer: Pending, bytes: &[u8], offer: &Offer<'_>) -> Result<DataplaneSession, HandshakeError> {
    let judged = match Message::decode(bytes) {
        Ok(Message::Hello(hello)) => handshake::judge(&hello),
        Ok(_) => Err(MessageFault::Kind.into()),
        Err(fault) => Err(fault.into()),
    };
    judged.inspect_err(|error| refuse(peer.socket.as_fd(), &error.to_string()))?;
    handshake::welcome(peer.socket, peer.peer_pid, offer)
}

/// Tells a peer why not; it may be gone, so this cannot fail.
fn refuse(socket: BorrowedFd<'_>, sentence: &str) {
    let message = Message::Refused { sentence: sentence.to_owned() };
    let _ = link::send(socket, &message, &[], SendFlags::DONTWAIT);
}

fn watch(epoll: &OwnedFd, socket: &OwnedFd) -> Result<(), Errno> {
    epoll::add(epoll, socket, epoll::EventData::new_u64(0), epoll::EventFlags::IN)
}

fn listen_at(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = handshake::seqpacket(flags).map_err(io::Error::other)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, MAX_PENDING as i32)?;
    Ok(socket)
}

/// Locks a directory; gives up after a second.
fn take_turn(directory: &OwnedFd) -> io::Result<()> {
    const TRIES: u32 = 100;
    for _ in 0..TRIES {
        match rustix::fs::flock(directory, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_secs(1) / TRIES),
            other => return Ok(other?),
        }
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, "another process keeps the socket's directory locked"))
}

/// Fails if something at this path must not be replaced.
fn refuse_if_taken(path: &Path) -> io::Result<()> {
    let stat = match rustix::fs::statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        let text = format!("{} is there and is no socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    let probe =
        handshake::seqpacket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).map_err(io::Error::other)?;
    match rustix::net::connect(&probe, &SocketAddrUnix::new(path)?) {
        Err(Errno::CONNREFUSED) => Ok(()),
        // EAGAIN: its queue is full, so it listens. EPROTOTYPE: another kind of socket listens there.
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => {
            let text = format!("a process already listens on {}", path.display());
            Err(io::Error::new(io::ErrorKind::AddrInUse, text))
        }
        Err(errno) => Err(errno.into()),
    }
}
