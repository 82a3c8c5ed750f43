//! How a control plane and a dataplane find each other.
//!
//! The dataplane listens on a SOCK_SEQPACKET socket; the control plane connects and says HELLO with the layout
//! versions it knows and the fingerprint of its records.
//! The dataplane answers WELCOME with six descriptors (updates ring, events ring, counters, the eventfds of the two
//! rings, and a socket for whole packets) or REFUSED with one sentence. After that the socket is silent: it is open, or it is over.
//! Both sides ask the kernel who the other is (SO_PEERCRED): the own user or root, nobody else.
//! Planes in PID namespaces that cannot see each other are refused too, since the kernel then names no process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::Timeout;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use crate::abi::{ABI_HASH, LAYOUT_VERSION};
use crate::counters::Counters;
use crate::counters_view::CountersView;
use crate::doorbell::{eventfd, is_eventfd};
use crate::link::{self, DESCRIPTORS};
use crate::message::{Hello, MAX_PORTS, Message, MessageFault};
use crate::packets::PacketLink;
use crate::port::PortDesc;
use crate::region::{Purpose, Region, RegionError, WORD_OWN};
use crate::ring::ring_bytes;
use crate::session::{ControlSession, DataplaneSession, Parts, RingParts};
use crate::sync::Ordering;

/// How long a control plane waits for the dataplane's word, and may keep the dataplane waiting for its own.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Why two planes did not come together.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The kernel said no.
    #[error("cannot {doing}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The dataplane refused us.
    #[error("the dataplane refused: {0}")]
    Refused(String),
    /// The peer runs as somebody else.
    #[error("the peer runs as user {peer}, not as user {own} or root")]
    ForeignUser {
        /// Its user number.
        peer: u32,
        /// Ours.
        own: u32,
    },
    /// No layout version that both know.
    #[error(
        "the dataplane speaks layout version {ours}, the control plane {oldest} to {newest}: install both from one \
         release"
    )]
    Version {
        /// The dataplane's.
        ours: u32,
        /// The oldest the control plane knows.
        oldest: u32,
        /// The newest the control plane knows.
        newest: u32,
    },
    /// The same version number over different records.
    #[error(
        "both planes claim layout version {version}, but the dataplane's records are {ours:#018x} and the control \
         plane's {theirs:#018x}: install both from one build"
    )]
    Records {
        /// The version number.
        version: u32,
        /// The dataplane's fingerprint.
        ours: u64,
        /// The control plane's fingerprint.
        theirs: u64,
    },
    /// Not a word in time.
    #[error("the peer said nothing in time")]
    Silent,
    /// It hung up first.
    #[error("the peer hung up during the handshake")]
    Gone,
    /// It said something else.
    #[error(transparent)]
    Message(#[from] MessageFault),
    /// The descriptors that came along are not those that should.
    #[error(
        "the dataplane sent {found} descriptors, or other ones than two rings, counters, two eventfds and a \
         packet socket"
    )]
    Descriptors {
        /// How many came.
        found: usize,
    },
    /// The shared memory is not what it should be.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// A ring size or number of ports that cannot be offered.
    #[error("a ring needs a power of two of slots, at most 65536, and a gateway has at most 256 ports")]
    Offer,
}

pub(crate) fn system<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> HandshakeError {
    move |source| HandshakeError::System { doing, source: source.into() }
}

/// What a dataplane offers to whoever connects.
#[derive(Clone, Copy)]
pub struct Offer<'a> {
    /// The counters; they also give the incarnation.
    pub counters: &'a Counters,
    /// Slots of each ring: a power of two, at most [`MAX_SLOTS`](crate::MAX_SLOTS).
    pub ring_slots: usize,
    /// The ports, in the order of their index.
    pub ports: &'a [PortDesc],
}

/// Connects to the dataplane that listens at this path; blocks for at most about [`PATIENCE`].
pub fn connect(path: &Path) -> Result<ControlSession, HandshakeError> {
    connect_as(path, &Hello::ours(), PATIENCE)
}

/// Both ends of a session in one process, over a socket pair: for tests and benches.
pub fn session_pair(offer: &Offer<'_>) -> Result<(DataplaneSession, ControlSession), HandshakeError> {
    let pair =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    let (dataplane, control) = pair.map_err(system("make a socket pair"))?;
    let dataplane = welcome(dataplane, std::process::id(), offer)?;
    Ok((dataplane, take_welcome(control, std::process::id())?))
}

/// [`connect`] with another greeting and patience.
pub(crate) fn connect_as(
    path: &Path,
    hello: &Hello,
    patience: Duration,
) -> Result<ControlSession, HandshakeError> {
    let address = SocketAddrUnix::new(path).map_err(system("use the dataplane's socket path"))?;
    let socket = seqpacket(SocketFlags::CLOEXEC)?;
    for timeout in [Timeout::Recv, Timeout::Send] {
        let set = rustix::net::sockopt::set_socket_timeout(&socket, timeout, Some(patience));
        set.map_err(system("set a time limit"))?;
    }
    rustix::net::connect(&socket, &address).map_err(system("connect to the dataplane's socket"))?;
    let peer_pid = checked_peer(socket.as_fd())?;
    let message = Message::Hello(*hello);
    match link::send(socket.as_fd(), &message, &[], SendFlags::empty()) {
        // A dataplane that refuses at once may have hung up already; its sentence is still there to be read.
        Ok(()) | Err(Errno::PIPE | Errno::CONNRESET | Errno::CONNREFUSED) => take_welcome(socket, peer_pid),
        Err(errno) => Err(system("greet the dataplane")(errno)),
    }
}

pub(crate) fn seqpacket(flags: SocketFlags) -> Result<OwnedFd, HandshakeError> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
    socket.map_err(system("make a socket"))
}

/// The peer's process number, if it runs as our user or root.
pub(crate) fn checked_peer(socket: BorrowedFd<'_>) -> Result<u32, HandshakeError> {
    let peer = rustix::net::sockopt::socket_peercred(socket).map_err(system("ask who the peer is"))?;
    let own = rustix::process::geteuid();
    if peer.uid != own && !peer.uid.is_root() {
        return Err(HandshakeError::ForeignUser { peer: peer.uid.as_raw(), own: own.as_raw() });
    }
    Ok(peer.pid.as_raw_nonzero().get().unsigned_abs())
}

/// The dataplane's judgement of a greeting.
pub(crate) fn judge(hello: &Hello) -> Result<(), HandshakeError> {
    let Hello { oldest, newest, abi, .. } = *hello;
    if !(oldest..=newest).contains(&LAYOUT_VERSION) {
        return Err(HandshakeError::Version { ours: LAYOUT_VERSION, oldest, newest });
    }
    if abi != ABI_HASH {
        return Err(HandshakeError::Records { version: LAYOUT_VERSION, ours: ABI_HASH, theirs: abi });
    }
    Ok(())
}

/// The dataplane's answer to a good greeting: fresh rings, handed over.
pub(crate) fn welcome(
    socket: OwnedFd,
    peer_pid: u32,
    offer: &Offer<'_>,
) -> Result<DataplaneSession, HandshakeError> {
    if !offer.ring_slots.is_power_of_two()
        || offer.ring_slots > crate::ring::MAX_SLOTS
        || offer.ports.len() > MAX_PORTS
    {
        return Err(HandshakeError::Offer);
    }
    let incarnation = offer.counters.incarnation();
    let updates = fresh_ring(Purpose::Updates, offer.ring_slots, incarnation)?;
    let events = fresh_ring(Purpose::Events, offer.ring_slots, incarnation)?;
    let counters = offer.counters.file()?;
    let (packets, far_packets) = PacketLink::pair().map_err(system("make a socket pair for packets"))?;
    let descriptors: [BorrowedFd<'_>; DESCRIPTORS] = [
        updates.region.fd(),
        events.region.fd(),
        counters.as_fd(),
        updates.eventfd.as_fd(),
        events.eventfd.as_fd(),
        far_packets.as_fd(),
    ];
    let message = Message::Welcome { incarnation, ports: offer.ports.to_vec() };
    let sent = link::send(socket.as_fd(), &message, &descriptors, SendFlags::DONTWAIT);
    sent.map_err(system("answer the control plane"))?;
    Ok(DataplaneSession::new(Parts { socket, updates, events, packets, peer_pid })?)
}

fn fresh_ring(purpose: Purpose, slots: usize, incarnation: u64) -> Result<RingParts, HandshakeError> {
    let bytes = ring_bytes(slots);
    let region = Region::create(purpose, bytes, incarnation)?;
    region.word(WORD_OWN).store((bytes / 8) as u64, Ordering::Relaxed);
    let eventfd = eventfd().map_err(system("make a doorbell"))?;
    Ok(RingParts { ring: region.ring()?, region, eventfd })
}

fn received_ring(
    purpose: Purpose,
    fd: OwnedFd,
    eventfd: OwnedFd,
    incarnation: u64,
) -> Result<RingParts, HandshakeError> {
    if !is_eventfd(eventfd.as_fd()) {
        return Err(HandshakeError::Descriptors { found: DESCRIPTORS });
    }
    rustix::io::ioctl_fionbio(&eventfd, true).map_err(system("set up a doorbell"))?;
    let region = Region::open(fd, purpose, incarnation)?;
    Ok(RingParts { ring: region.ring()?, region, eventfd })
}

/// The control plane's half after its greeting.
fn take_welcome(socket: OwnedFd, peer_pid: u32) -> Result<ControlSession, HandshakeError> {
    let received = match link::receive_with_descriptors(socket.as_fd()) {
        // Said once when a dataplane hung up without reading our greeting; what it sent before comes after that.
        Err(Errno::CONNRESET) => link::receive_with_descriptors(socket.as_fd()),
        other => other,
    };
    let (bytes, descriptors) = match received {
        Ok(received) => received,
        Err(Errno::AGAIN) => return Err(HandshakeError::Silent),
        Err(Errno::CONNRESET) => return Err(HandshakeError::Gone),
        Err(errno) => return Err(system("hear from the dataplane")(errno)),
    };
    if bytes.is_empty() {
        return Err(HandshakeError::Gone);
    }
    let (incarnation, ports) = match Message::decode(&bytes)? {
        Message::Welcome { incarnation, ports } => (incarnation, ports),
        Message::Refused { sentence } => return Err(HandshakeError::Refused(sentence)),
        Message::Hello(_) | Message::Farewell(_) => return Err(MessageFault::Kind.into()),
    };
    let found = descriptors.len();
    let descriptors: Result<[OwnedFd; DESCRIPTORS], _> = descriptors.try_into();
    let [updates, events, counters, updates_eventfd, events_eventfd, packets] =
        descriptors.map_err(|_| HandshakeError::Descriptors { found })?;
    let parts = Parts {
        socket,
        updates: received_ring(Purpose::Updates, updates, updates_eventfd, incarnation)?,
        events: received_ring(Purpose::Events, events, events_eventfd, incarnation)?,
        packets: PacketLink::received(packets).ok_or(HandshakeError::Descriptors { found })?,
        peer_pid,
    };
    Ok(ControlSession::new(parts, CountersView::open(counters)?, ports, incarnation)?)
}

#[cfg(test)]
mod test;
