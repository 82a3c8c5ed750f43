//! One agent's TCP.

use std::net::IpAddr;
use std::time::Instant;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::AnySocket;
use smoltcp::socket::tcp::{self, State};
use smoltcp::wire::{HardwareAddress, IpCidr};

use super::agent::Segment;
use super::bounds::{BUFFER, CLOSING, IDLE, LIFE, OPENING};
use super::counters::Counter;
use super::device::Wire;

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The agent has not confirmed it.
    Opening,
    /// Somebody of ours uses it.
    Used,
    /// Nobody does any more: what was said is delivered, then it goes.
    Closing,
}

/// One connection.
#[derive(Debug)]
struct Connection {
    id: u64,
    handle: SocketHandle,
    peer_port: u16,
    phase: Phase,
    /// When its phase began, and when something was read from it last.
    since: Instant,
    opened: Instant,
}

impl Connection {
    /// When it is reset, and what that is counted as.
    fn limit(&self) -> (Instant, Counter) {
        let life = self.opened + LIFE;
        match self.phase {
            Phase::Opening => (self.since + OPENING, Counter::Idle),
            Phase::Closing => (self.since + CLOSING, Counter::Idle),
            Phase::Used if self.since + IDLE < life => (self.since + IDLE, Counter::Idle),
            Phase::Used => (life, Counter::Expired),
        }
    }
}

/// One agent's connections to one port.
pub(super) struct Stack {
    interface: Interface,
    wire: Wire,
    sockets: SocketSet<'static>,
    connections: Vec<Connection>,
    gateway: IpAddr,
    port: u16,
    /// The time that smoltcp counts from.
    start: Instant,
}

/// What a turn brought.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Packets to be sent.
    pub packets: Vec<Vec<u8>>,
    /// Connections that stand now.
    pub accepted: Vec<u64>,
    /// Connections that were reset, and why.
    pub reset: Vec<Counter>,
}

impl Stack {
    /// A stack for what this segment begins. `seed` decides its sequence numbers: a fresh random one per stack, since
    /// smoltcp's later ones follow from the first.
    pub(super) fn new(segment: &Segment, seed: u64, now: Instant) -> Stack {
        let mut wire = Wire::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut wire, smoltcp::time::Instant::ZERO);
        let gateway = segment.to;
        interface.update_ip_addrs(|addresses| {
            let length = if gateway.is_ipv4() { 32 } else { 128 };
            // Room for one address there always is.
            let _ = addresses.push(IpCidr::new(gateway.into(), length));
        });
        // Everybody is reached by the wire; the address of the next hop means nothing on it.
        let _ = match gateway {
            IpAddr::V4(gateway) => interface.routes_mut().add_default_ipv4_route(gateway),
            IpAddr::V6(gateway) => interface.routes_mut().add_default_ipv6_route(gateway),
        };
        Stack {
            interface,
            wire,
            sockets: SocketSet::new(Vec::new()),
            connections: Vec::new(),
            gateway,
            port: segment.to_port,
            start: now,
        }
    }

    /// Whether a segment is for this gateway address and port.
    pub(super) fn is_for(&self, segment: &Segment) -> bool {
        (self.gateway, self.port) == (segment.to, segment.to_port)
    }

    /// Connections in any phase.
    pub(super) fn count(&self) -> usize {
        self.connections.len()
    }

    /// Whether a segment would open another connection.
    pub(super) fn opens_another(&self, segment: &Segment) -> bool {
        segment.opens && !self.connections.iter().any(|known| known.peer_port == segment.from_port)
    }

    /// Reads a packet; it may open the connection `id`, if there is one.
    pub(super) fn receive(
        &mut self,
        packet: &[u8],
        segment: &Segment,
        id: Option<u64>,
        now: Instant,
    ) -> Turn {
        let listener = id.and_then(|id| Some((id, self.listen()?)));
        self.wire.incoming = Some(packet.to_vec());
        self.poll(now);
        if let Some((id, handle)) = listener {
            if self.sockets.get::<tcp::Socket<'_>>(handle).state() == State::Listen {
                self.sockets.remove(handle);
            } else {
                let peer_port = segment.from_port;
                let phase = Phase::Opening;
                self.connections.push(Connection { id, handle, peer_port, phase, since: now, opened: now });
            }
        }
        self.settle(now)
    }

    /// Lets time pass, and sends what there is to send.
    pub(super) fn turn(&mut self, now: Instant) -> Turn {
        let mut reset = Vec::new();
        for connection in &mut self.connections {
            let (limit, counter) = connection.limit();
            if limit <= now {
                let socket = self.sockets.get_mut::<tcp::Socket<'_>>(connection.handle);
                if socket.state() != State::Closed {
                    reset.push(counter);
                    socket.abort();
                }
            }
        }
        self.poll(now);
        Turn { reset, ..self.settle(now) }
    }

    /// A socket that waits for the next connection.
    fn listen(&mut self) -> Option<SocketHandle> {
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        // An answer is written at once and waits for nothing.
        socket.set_nagle_enabled(false);
        socket.set_timeout(Some(smoltcp::time::Duration::from_secs(IDLE.as_secs())));
        socket.listen((self.gateway, self.port)).ok()?;
        Some(self.sockets.add(socket))
    }

    fn poll(&mut self, now: Instant) {
        let now = self.time(now);
        self.interface.poll(now, &mut self.wire, &mut self.sockets);
    }

    /// What the last poll brought: connections that stand, and those that are over and that nobody uses.
    fn settle(&mut self, now: Instant) -> Turn {
        let mut turn = Turn { packets: std::mem::take(&mut self.wire.outgoing), ..Turn::default() };
        let sockets = &mut self.sockets;
        self.connections.retain_mut(|connection| {
            let state = sockets.get::<tcp::Socket<'_>>(connection.handle).state();
            // In the last state we only wait whether the agent has heard that we heard it: it may ask again, and is
            // told that the connection is over.
            let over = matches!(state, State::Closed | State::TimeWait);
            if connection.phase == Phase::Opening && !over && state != State::SynReceived {
                (connection.phase, connection.since) = (Phase::Used, now);
                turn.accepted.push(connection.id);
            }
            let gone = over && connection.phase != Phase::Used;
            if gone {
                sockets.remove(connection.handle);
            }
            !gone
        });
        turn
    }

    /// When [`Stack::turn`] has something to do by itself.
    pub(super) fn due(&mut self, now: Instant) -> Option<Instant> {
        let time = self.time(now);
        let next = self.interface.poll_at(time, &self.sockets);
        let next = next.map(|at| {
            let micros = (at - time).total_micros();
            now + std::time::Duration::from_micros(if at > time { micros } else { 0 })
        });
        // One that is over already waits for its user alone.
        let sockets = &self.sockets;
        let open = |handle| sockets.get::<tcp::Socket<'_>>(handle).state() != State::Closed;
        let open = self.connections.iter().filter(|connection| open(connection.handle));
        let limit = open.map(|connection| connection.limit().0).min();
        [next, limit].into_iter().flatten().min()
    }

    fn time(&self, now: Instant) -> smoltcp::time::Instant {
        let micros = now.saturating_duration_since(self.start).as_micros();
        smoltcp::time::Instant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// A connection that is used; `read` says that something is read from it.
    pub(super) fn socket(&mut self, id: u64) -> Option<&mut tcp::Socket<'static>> {
        let connection = self.connections.iter().find(|known| known.id == id)?;
        Some(self.sockets.get_mut(connection.handle))
    }

    /// Something was read from a connection.
    pub(super) fn heard(&mut self, id: u64, now: Instant) {
        if let Some(connection) = self.connections.iter_mut().find(|known| known.id == id) {
            connection.since = now;
        }
    }

    /// Nobody uses a connection any more.
    pub(super) fn release(&mut self, id: u64, now: Instant) {
        if let Some(connection) = self.connections.iter_mut().find(|known| known.id == id) {
            (connection.phase, connection.since) = (Phase::Closing, now);
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(connection.handle);
            // Said good-bye to, or left in the middle.
            if socket.may_send() {
                socket.abort();
            }
        }
    }

    /// Ends all connections at once, without a word: their users are woken and see it.
    pub(super) fn abandon(&mut self) {
        // There are others besides TCP's only where another crate of the workspace asks for them.
        let all = self.sockets.iter_mut().filter_map(|(_, socket)| tcp::Socket::downcast_mut(socket));
        all.for_each(tcp::Socket::abort);
    }
}
