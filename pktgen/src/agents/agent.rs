//! One agent: a TCP/IP stack behind a wire, and those who talk through it.

use std::net::{IpAddr, SocketAddr};

use hdrhistogram::Histogram;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use sterna_wire::Mac;

use super::caller::Caller;
use super::ledger::{Kind, Ledger};
use super::link::{Asker, Link};
use super::listener::Listener;
use super::mail::Mail;
use super::pace::Pace;
use super::profile::{Member, Profile};
use super::wire::Wire;
use crate::clock::SECOND_NS;

/// Ports that agents are called at.
const REQUEST_PORT: u16 = 7001;
const STREAM_PORT: u16 = 7002;
const MESSAGE_PORT: u16 = 7003;
/// Bytes of a socket's buffer at least, each way.
const BUFFER: usize = 4096;
/// Messages that a socket keeps each way.
const MESSAGES: usize = 64;
/// Between two questions for the gateway's Ethernet address, nanoseconds.
const ASK_NS: u64 = SECOND_NS;
/// How often it says where it is, and the time between, nanoseconds (RFC 5227 section 1.1).
const ANNOUNCEMENTS: u32 = 2;
const ANNOUNCE_NS: u64 = 2 * SECOND_NS;
/// How often the stack and those above it take turns before others have theirs.
const ROUNDS: usize = 8;

/// One agent.
pub struct Agent {
    /// `GROUP/NUMBER`.
    pub name: String,
    /// Who it is on its link.
    pub link: Link,
    /// Where it is, by place in the profile; nowhere while it is moved.
    pub place: Option<usize>,
    /// How often it was put somewhere else.
    pub moves: u64,
    /// From when a request was due to its answer, microseconds.
    pub latency: Histogram<u32>,
    gateway: IpAddr,
    /// When it says next where it is, and how often it will.
    announce: Option<(u64, u32)>,
    ask_ns: Option<u64>,
    stack: Interface,
    sockets: SocketSet<'static>,
    /// Its wire.
    pub wire: Wire,
    /// The connections that it opens.
    pub callers: Vec<Caller>,
    listeners: Vec<Listener>,
    mail: Option<Mail>,
}

impl Agent {
    /// A member of a profile, nowhere yet.
    pub fn new(profile: &Profile, member: &Member, now_ns: u64) -> Self {
        let link = member.link;
        let gateway = profile.groups[member.group].gateway;
        let mut wire = Wire::new(link, usize::from(profile.mtu));
        let stack = stack(link.eid, gateway, &mut wire, now_ns);
        let mut agent = Self {
            name: member.name.clone(),
            link,
            place: None,
            moves: 0,
            latency: Histogram::new(2).unwrap_or_else(|_| unreachable!("two digits are at most five")),
            gateway,
            announce: None,
            ask_ns: None,
            stack,
            sockets: SocketSet::new(Vec::new()),
            wire,
            callers: Vec::new(),
            listeners: Vec::new(),
            mail: None,
        };
        agent.open_sockets(profile, member);
        agent
    }

    fn open_sockets(&mut self, profile: &Profile, member: &Member) {
        let group = &profile.groups[member.group];
        if let Some(requests) = profile.requests {
            for which in 0..requests.peers {
                let peer = profile.peer(member, which);
                self.call(SocketAddr::new(peer, REQUEST_PORT), requests.size, Some(requests.answer));
                self.listen(REQUEST_PORT, requests.size, Some(requests.answer));
            }
        }
        if let Some(streams) = profile.streams {
            // Whoever comes before is the one whose peer this is.
            let before = (member.number + group.agents - 1) % group.agents;
            if member.number < streams.agents {
                self.call(SocketAddr::new(profile.peer(member, 0), STREAM_PORT), streams.size, None);
            }
            if before < streams.agents {
                self.listen(STREAM_PORT, streams.size, None);
            }
        }
        if let Some(messages) = profile.messages {
            let peer = |which| SocketAddr::new(profile.peer(member, which), MESSAGE_PORT);
            let before = |which| group.eid((member.number + group.agents - 1 - which) % group.agents);
            self.mail(
                (0..messages.peers).map(peer).collect(),
                (0..messages.peers).map(before),
                messages.size,
            );
        }
    }

    fn call(&mut self, remote: SocketAddr, size: usize, answer: Option<usize>) {
        let socket = self.sockets.add(tcp_socket(size.max(answer.unwrap_or(0))));
        let index = self.callers.len() as u16;
        self.callers.push(Caller::new(index, socket, (self.link.eid, remote), size, answer));
    }

    fn listen(&mut self, port: u16, size: usize, answer: Option<usize>) {
        let socket = self.sockets.add(tcp_socket(size.max(answer.unwrap_or(0))));
        self.listeners.push(Listener::new(socket, port, size, answer));
    }

    fn mail(&mut self, peers: Vec<SocketAddr>, senders: impl Iterator<Item = IpAddr>, size: usize) {
        let buffer =
            || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; MESSAGES], vec![0; MESSAGES * size]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        // A fresh socket takes any port but 0.
        let _ = socket.bind(MESSAGE_PORT);
        let socket = self.sockets.add(socket);
        self.mail = Some(Mail::new(socket, peers, senders, size));
    }

    /// Puts it somewhere: from this moment on it says where it is, and asks for its gateway when it does not know it.
    pub fn arrive(&mut self, place: usize, at_ns: u64) {
        self.place = Some(place);
        self.announce = Some((at_ns, ANNOUNCEMENTS));
        if self.wire.gateway.is_none() {
            self.ask_ns = Some(at_ns);
        }
    }

    /// Somebody said where an address is.
    pub fn told(&mut self, address: IpAddr, mac: Mac) {
        if address == self.gateway {
            self.wire.gateway = Some(mac);
            self.ask_ns = None;
        }
    }

    /// Somebody asked where it is.
    pub fn asked(&mut self, asker: Asker) {
        if let Some(answer) = self.link.answer(asker) {
            self.wire.say(answer);
        }
    }

    /// Lets its callers connect, one at each of these moments.
    pub fn connect(&mut self, mut moments: impl Iterator<Item = u64>) {
        for (caller, at) in self.callers.iter_mut().zip(&mut moments) {
            caller.connect_at(at);
        }
    }

    /// When it says something: `of` gives the pace of each kind, and of which of so many callers.
    pub fn begin(&mut self, of: impl Fn(Kind, usize, usize) -> Option<Pace>) {
        for kind in [Kind::Request, Kind::Stream] {
            let mut callers: Vec<_> =
                self.callers.iter_mut().filter(|caller| caller.kind() == kind).collect();
            let count = callers.len();
            callers.iter_mut().enumerate().for_each(|(at, caller)| caller.pace = of(kind, at, count));
        }
        self.mail.iter_mut().for_each(|mail| mail.pace = of(Kind::Message, 0, 1));
    }

    /// Nothing is due any more from a moment on.
    pub fn end(&mut self, end_ns: u64) {
        let of_mail = self.mail.iter_mut().map(|mail| &mut mail.pace);
        let paces = self.callers.iter_mut().map(|caller| &mut caller.pace).chain(of_mail);
        paces.flatten().for_each(|pace| pace.end_ns = pace.end_ns.min(end_ns));
    }

    /// Adds what was due to the accounts.
    pub fn add_due(&self, ledger: &mut Ledger) {
        let of_mail = self.mail.iter().map(|mail| (Kind::Message, mail.pace));
        let paces = self.callers.iter().map(|caller| (caller.kind(), caller.pace)).chain(of_mail);
        for (kind, pace) in paces {
            if let Some(pace) = pace {
                ledger.add_due(kind, |moment| pace.before(moment));
            }
        }
    }

    /// Does what is due, and gives the moment when it wants to be called again, nanoseconds. Who is nowhere does
    /// nothing: time goes on, and his frames wait.
    pub fn turn(&mut self, now_ns: u64, ledger: &mut Ledger) -> Option<u64> {
        self.place?;
        if let Some((at, times)) = self.announce.filter(|(at, _)| *at <= now_ns) {
            self.wire.say(self.link.announcement());
            self.announce = (times > 1).then_some((at.max(now_ns) + ANNOUNCE_NS, times - 1));
        }
        if self.ask_ns.is_some_and(|at| at <= now_ns) {
            self.ask_ns = Some(now_ns + ASK_NS);
            self.link.question(self.gateway).into_iter().for_each(|frame| self.wire.say(frame));
        }
        let announce = self.announce.map(|(at, _)| at);
        if self.wire.gateway.is_none() {
            return [self.ask_ns, announce].into_iter().flatten().min();
        }
        let now = instant(now_ns);
        for _ in 0..ROUNDS {
            self.stack.poll(now, &mut self.wire, &mut self.sockets);
            if !self.work(now_ns, ledger) {
                break;
            }
        }
        [self.next_due(now_ns), announce].into_iter().flatten().min()
    }

    fn work(&mut self, now_ns: u64, ledger: &mut Ledger) -> bool {
        let Self { stack, sockets, callers, listeners, mail, latency, .. } = self;
        let mut any = false;
        // Longer than 71 minutes counts as that.
        let mut answered = |ns: u64| latency.saturating_record((ns / 1000).clamp(1, u64::from(u32::MAX)));
        for caller in callers {
            any |= caller.work(now_ns, (stack, sockets), ledger, &mut answered);
        }
        for listener in listeners {
            any |= listener.work(now_ns, sockets, ledger);
        }
        mail.as_mut().is_some_and(|mail| mail.work(now_ns, sockets, ledger)) || any
    }

    fn next_due(&mut self, now_ns: u64) -> Option<u64> {
        let stack = self.stack.poll_at(instant(now_ns), &self.sockets);
        let stack = stack.map(|at| at.total_micros().max(0).cast_unsigned() * 1000);
        let callers = self.callers.iter().filter_map(|caller| caller.next_due(now_ns));
        let mail = self.mail.as_ref().and_then(|mail| mail.next_due(now_ns));
        callers.chain(mail).chain(stack).min()
    }
}

fn stack(eid: IpAddr, gateway: IpAddr, wire: &mut Wire, now_ns: u64) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    // Sequence numbers differ from agent to agent and from run to run.
    config.random_seed = u64::from(crate::address::low(eid)) << 32 ^ now_ns;
    let mut stack = Interface::new(config, wire, instant(now_ns));
    let own = IpAddress::from(eid);
    stack.update_ip_addrs(|addresses| {
        // There is room for two.
        let _ = addresses.push(IpCidr::new(own, if eid.is_ipv4() { 32 } else { 128 }));
    });
    // As far as the stack is concerned everything is behind its gateway; there is room for a route of each family.
    let _ = match gateway {
        IpAddr::V4(gateway) => stack.routes_mut().add_default_ipv4_route(gateway).map(|_| ()),
        IpAddr::V6(gateway) => stack.routes_mut().add_default_ipv6_route(gateway).map(|_| ()),
    };
    stack
}

fn tcp_socket(largest: usize) -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER.max(2 * largest)]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    // A request is whole when it is written: waiting for more would only add to its latency.
    socket.set_nagle_enabled(false);
    socket
}

fn instant(now_ns: u64) -> Instant {
    Instant::from_micros(i64::try_from(now_ns / 1000).unwrap_or(i64::MAX))
}
