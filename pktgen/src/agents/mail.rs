//! UDP messages to some peers, and those of others.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::udp::Socket;

use super::ledger::{Kind, Ledger};
use super::letter::Letter;
use super::pace::Pace;
use crate::sink::Numbers;

/// What came from one sender.
#[derive(Debug, Default)]
struct Sender {
    numbers: Numbers,
}

/// One agent's messages.
#[derive(Debug)]
pub struct Mail {
    socket: SocketHandle,
    peers: Vec<SocketAddr>,
    size: usize,
    /// When messages are due; nothing is sent before.
    pub pace: Option<Pace>,
    sent: u64,
    senders: BTreeMap<IpAddr, Sender>,
}

impl Mail {
    /// Messages of `size` bytes to these peers in turn; those of `senders` are expected.
    pub fn new(
        socket: SocketHandle,
        peers: Vec<SocketAddr>,
        senders: impl IntoIterator<Item = IpAddr>,
        size: usize,
    ) -> Self {
        let senders = senders.into_iter().map(|sender| (sender, Sender::default())).collect();
        Self { socket, peers, size, pace: None, sent: 0, senders }
    }

    /// When the next message is due, nanoseconds.
    pub fn next_due(&self, now_ns: u64) -> Option<u64> {
        self.pace.and_then(|pace| pace.due(self.sent)).filter(|due| *due > now_ns)
    }

    /// Reads what came and sends what is due; true when the stack has something to do by it.
    pub fn work(&mut self, now_ns: u64, sockets: &mut SocketSet<'static>, ledger: &mut Ledger) -> bool {
        let socket = sockets.get_mut::<Socket<'_>>(self.socket);
        while let Ok((bytes, from)) = socket.recv() {
            let sender = self.senders.get_mut(&IpAddr::from(from.endpoint.addr));
            match (sender, Letter::read(bytes)) {
                (Some(sender), Some(letter)) => sender.hear(letter, now_ns, ledger),
                _ => ledger.wrong += 1,
            }
        }
        self.send(socket, now_ns, ledger)
    }

    fn send(&mut self, socket: &mut Socket<'_>, now_ns: u64, ledger: &mut Ledger) -> bool {
        let Some(pace) = self.pace else { return false };
        let peers = self.peers.len() as u64;
        let mut any = false;
        while let Some(due_ns) = pace.due(self.sent).filter(|due| *due <= now_ns && socket.can_send()) {
            let mut bytes = Vec::with_capacity(self.size);
            // Each peer's numbers have no gaps.
            Letter { number: self.sent / peers, due_ns }.write(self.size, &mut bytes);
            let to = self.peers[(self.sent % peers) as usize];
            if socket.send_slice(&bytes, to).is_err() {
                break;
            }
            self.sent += 1;
            ledger.sent(Kind::Message, due_ns);
            any = true;
        }
        any
    }
}

impl Sender {
    fn hear(&mut self, letter: Letter, now_ns: u64, ledger: &mut Ledger) {
        let late = letter.number < self.numbers.end();
        if !self.numbers.insert(letter.number) {
            return ledger.duplicated(Kind::Message, letter.due_ns);
        }
        if late {
            ledger.reordered(Kind::Message, letter.due_ns);
        }
        ledger.done(Kind::Message, letter.due_ns, now_ns);
    }
}
