//! UDP port 4342: one socket per own RLOC.
//!
//! A socket that is bound to an RLOC tells by itself which of our addresses a message came to, and answers leave from
//! that address. An RLOC whose address the host does not have yet is tried again until it does.
//!
//! Fairness: a socket hands over at most [`TURN`] messages before everybody else has a turn, and all sockets together
//! at most what [`Police`] allows. What is beyond that stays in the kernel's buffer, and overflows there at no cost to
//! us; the kernel counts it ([`kernel_drops`]). So a flood of messages delays neither the dataplane's questions nor the
//! API, and takes a bounded share of the processor.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use crate::outbox::{CONTROL_PORT, Datagram};
use crate::shared::Shared;

/// Messages that one socket hands over in one turn.
const TURN: usize = 64;

/// Pause before an address that the host does not have is tried again.
const BIND_AGAIN: Duration = Duration::from_secs(1);

/// Pause when no message may be handled, and after a socket failed.
const PAUSE: Duration = Duration::from_millis(1);

/// Receive buffer in bytes that is asked for: a burst of registers from a thousand gateways fits, and some thousand
/// questions. Without CAP_NET_ADMIN the kernel grants less where `net.core.rmem_max` says so.
const RECEIVE_BUFFER: usize = 4 << 20;

/// How long the kernel's choice of a source address is remembered.
const SOURCE_FOR: Duration = Duration::from_secs(1);

/// Destinations whose source address is remembered.
const MAX_SOURCES: usize = 1024;

/// Messages per second for a gateway beside what its Map-Server allows itself: answers, probes, notifications.
const XTR_RATE: u32 = 20_000;

/// The sockets by address, and what failed.
#[derive(Debug, Default)]
pub struct Sockets {
    bound: BTreeMap<IpAddr, Bound>,
    failed: BTreeMap<IpAddr, String>,
    sources: BTreeMap<IpAddr, (Instant, Option<IpAddr>)>,
    police: Police,
    counts: Counts,
}

#[derive(Debug)]
struct Bound {
    socket: Arc<UdpSocket>,
    listener: JoinHandle<()>,
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// What the sockets count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages sent.
    pub sent: u64,
    /// Messages that no socket could be found for: no own RLOC of that address family listens.
    pub no_socket: u64,
    /// Messages that the kernel refused to send: no route, say.
    pub send_failed: u64,
    /// Failures to receive.
    pub receive_failed: u64,
    /// Turns that had to wait because of the total rate; the kernel holds what comes meanwhile.
    pub policed: u64,
}

impl Sockets {
    /// Sends messages in order. What the kernel has no room for now is given back.
    pub fn send(&mut self, mut datagrams: VecDeque<Datagram>, now: Instant) -> VecDeque<Datagram> {
        while let Some(datagram) = datagrams.front() {
            let Some(socket) = self.source_for(datagram, now) else {
                self.counts.no_socket += 1;
                datagrams.pop_front();
                continue;
            };
            match socket.send_to(&datagram.bytes, datagram.to) {
                Ok(_) => self.counts.sent += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return datagrams,
                Err(error) => {
                    self.counts.send_failed += 1;
                    debug!(to = %datagram.to, %error, "a control message could not be sent");
                }
            }
            datagrams.pop_front();
        }
        datagrams
    }

    /// The socket that a message leaves by: the one it names, or that of the kernel's choice of a source address, or
    /// any of its family.
    fn source_for(&mut self, datagram: &Datagram, now: Instant) -> Option<Arc<UdpSocket>> {
        let to = datagram.to.ip();
        let chosen = match datagram.from {
            Some(from) => Some(from),
            None => self.kernel_choice(to, now),
        };
        let named = chosen.and_then(|address| self.bound.get(&address));
        let any = || self.bound.iter().find(|(at, _)| at.is_ipv4() == to.is_ipv4()).map(|(_, bound)| bound);
        named.or_else(any).map(|bound| bound.socket.clone())
    }

    fn kernel_choice(&mut self, to: IpAddr, now: Instant) -> Option<IpAddr> {
        // With one socket of the family there is nothing to choose.
        if self.bound.keys().filter(|at| at.is_ipv4() == to.is_ipv4()).count() < 2 {
            return None;
        }
        match self.sources.get(&to) {
            Some((asked, source)) if now.saturating_duration_since(*asked) < SOURCE_FOR => return *source,
            _ => {}
        }
        if self.sources.len() >= MAX_SOURCES {
            self.sources.clear();
        }
        let source = source_towards(to).ok();
        self.sources.insert(to, (now, source));
        source
    }

    /// Addresses at which nobody listens, with the reason.
    pub fn failed(&self) -> &BTreeMap<IpAddr, String> {
        &self.failed
    }

    /// Addresses at which we listen.
    pub fn listening(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.bound.keys().copied()
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

/// The source address that the kernel would use. Connecting a UDP socket sends nothing.
fn source_towards(to: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(SocketAddr::new(to, CONTROL_PORT))?;
    Ok(socket.local_addr()?.ip())
}

/// How many messages may be handled.
#[derive(Debug)]
pub struct Police {
    per_second: u32,
    credit: f64,
    at: Option<Instant>,
}

impl Default for Police {
    fn default() -> Self {
        Self { per_second: XTR_RATE, credit: f64::from(XTR_RATE) / 10.0, at: None }
    }
}

impl Police {
    /// At most this many a second, and a tenth of it at once.
    pub fn set_rate(&mut self, per_second: u32) {
        self.per_second = per_second;
        self.credit = self.credit.min(self.burst());
    }

    /// How many of `wanted` may be handled now; what is not used is given back with [`Police::give_back`].
    pub fn take(&mut self, wanted: usize, now: Instant) -> usize {
        let since = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.at = self.at.max(Some(now));
        self.credit = (self.credit + since.as_secs_f64() * f64::from(self.per_second)).min(self.burst());
        let granted = wanted.min(self.credit as usize);
        self.credit -= granted as f64;
        granted
    }

    /// These were not used.
    pub fn give_back(&mut self, unused: usize) {
        self.credit = (self.credit + unused as f64).min(self.burst());
    }

    fn burst(&self) -> f64 {
        f64::from(self.per_second) / 10.0
    }
}

/// Listens on the own RLOCs for ever: those that come with a reload or with an address too.
pub async fn serve(shared: Shared) {
    loop {
        rebind(&shared);
        tokio::time::sleep(BIND_AGAIN).await;
    }
}

/// Brings the sockets in line with the config and the host's addresses.
pub fn rebind(shared: &Shared) {
    let (wanted, rate) = {
        let plane = shared.plane();
        let listens = plane.roles().any();
        let rlocs = plane.config().rlocs.iter().filter(|_| listens).map(|rloc| rloc.address);
        let server = plane.config().map_server.as_ref();
        let allowed = server.map_or(0, |server| server.request_rate.saturating_add(server.register_rate));
        (rlocs.collect::<Vec<_>>(), allowed.saturating_add(XTR_RATE))
    };
    let mut sockets = shared.sockets();
    sockets.police.set_rate(rate);
    sockets.bound.retain(|address, bound| wanted.contains(address) && !bound.listener.is_finished());
    sockets.failed.retain(|address, _| wanted.contains(address));
    for address in wanted {
        if sockets.bound.contains_key(&address) {
            continue;
        }
        match bind(shared, address) {
            Ok(bound) => {
                info!(%address, port = CONTROL_PORT, "listening for LISP control messages");
                sockets.failed.remove(&address);
                sockets.bound.insert(address, bound);
            }
            Err(error) => {
                let error = error.to_string();
                if sockets.failed.insert(address, error.clone()).as_ref() != Some(&error) {
                    warn!(%address, port = CONTROL_PORT, error, "cannot listen for LISP control messages yet");
                }
            }
        }
    }
}

fn bind(shared: &Shared, address: IpAddr) -> io::Result<Bound> {
    let socket = UdpSocket::bind(SocketAddr::new(address, CONTROL_PORT))?;
    socket.set_nonblocking(true)?;
    let granted = enlarge(&socket, RECEIVE_BUFFER)?;
    if granted < RECEIVE_BUFFER {
        warn!(%address, granted, wanted = RECEIVE_BUFFER, "bursts of control messages may be lost; raise net.core.rmem_max");
    }
    let listening = tokio::net::UdpSocket::from_std(socket.try_clone()?)?;
    let listener = tokio::spawn(listen(shared.clone(), address, listening));
    Ok(Bound { socket: Arc::new(socket), listener })
}

/// Makes room for bursts, and gives how much there is. Whoever may configure networks may exceed the machine's limit,
/// so that it need not be raised for everybody.
fn enlarge(socket: &UdpSocket, wanted: usize) -> io::Result<usize> {
    use rustix::net::sockopt;
    if sockopt::set_socket_recv_buffer_size_force(socket, wanted).is_err() {
        sockopt::set_socket_recv_buffer_size(socket, wanted)?;
    }
    // The kernel counts its own overhead too, and says twice what was asked for.
    Ok(sockopt::socket_recv_buffer_size(socket)? / 2)
}

/// Hands over what comes to one socket.
async fn listen(shared: Shared, address: IpAddr, socket: tokio::net::UdpSocket) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        if socket.readable().await.is_err() {
            // The reactor is gone, and with it this process.
            return;
        }
        let allowed = shared.sockets().police.take(TURN, Instant::now());
        if allowed == 0 {
            shared.sockets().counts.policed += 1;
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        let (handled, failed) = hand_over(&shared, address, &socket, &mut buffer, allowed);
        {
            let mut sockets = shared.sockets();
            sockets.police.give_back(allowed - handled);
            sockets.counts.receive_failed += u64::from(failed);
        }
        shared.flush();
        if failed {
            tokio::time::sleep(PAUSE).await;
        }
        tokio::task::yield_now().await;
    }
}

/// At most `allowed` messages; how many there were, and whether the socket failed.
fn hand_over(
    shared: &Shared,
    address: IpAddr,
    socket: &tokio::net::UdpSocket,
    buffer: &mut [u8],
    allowed: usize,
) -> (usize, bool) {
    for handled in 0..allowed {
        match socket.try_recv_from(buffer) {
            Ok((len, from)) => {
                let message = buffer.get(..len).unwrap_or_default();
                shared.plane().datagram(message, from, address, Instant::now());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return (handled, false),
            Err(error) => {
                debug!(%address, %error, "a control message could not be received");
                return (handled, true);
            }
        }
    }
    (allowed, false)
}

/// Messages to port 4342 that the kernel dropped because its buffer was full, over all own sockets of this namespace.
pub fn kernel_drops() -> u64 {
    let files = ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"];
    let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    texts.map(|text| drops_in(&text)).sum()
}

/// Sums the last column of the lines about our port; the format is that of proc_net_udp(5).
fn drops_in(text: &str) -> u64 {
    let port = format!(":{CONTROL_PORT:04X}");
    let rows = text.lines().skip(1).map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let ours = rows.filter(|row| row.get(1).is_some_and(|local| local.ends_with(&port)));
    ours.filter_map(|row| row.last()?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_police_grants_a_burst_and_then_the_rate() {
        let (mut police, start) = (Police::default(), Instant::now());
        police.set_rate(1000);
        let mut granted = |after: u64| police.take(64, start + Duration::from_millis(after));
        assert_eq!([granted(0), granted(0), granted(0)], [64, 36, 0]);
        assert_eq!(granted(10), 10);
        assert_eq!(granted(5), 0, "time does not run back");
        assert_eq!(granted(10_000), 64);
        police.give_back(1_000_000);
        assert_eq!(police.take(1000, start), 100, "never more than the burst");
    }

    #[test]
    fn kernel_drops_are_those_of_our_port() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
             100: 0100007F:10F6 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0000000000000000 7\n\
             101: 0100007F:10F7 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0000000000000000 9\n\
             102: 0200007F:10F6 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0000000000000000 5\n";
        assert_eq!(drops_in(text), 12);
        assert_eq!(drops_in(""), 0);
    }

    #[test]
    fn a_socket_has_room_for_a_burst_whatever_the_machine_grants_others() {
        let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
        let limit = limit.trim().parse::<usize>().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let granted = enlarge(&socket, 2 * limit).unwrap();
        assert_eq!(granted, if rustix::process::geteuid().is_root() { 2 * limit } else { limit });
    }

    #[test]
    fn without_a_socket_a_message_is_counted_not_kept() {
        let mut sockets = Sockets::default();
        let to = SocketAddr::new([192, 0, 2, 1].into(), CONTROL_PORT);
        let rest = sockets.send([Datagram { from: None, to, bytes: vec![1] }].into(), Instant::now());
        assert!(rest.is_empty());
        assert_eq!(sockets.counts().no_socket, 1);
    }
}
