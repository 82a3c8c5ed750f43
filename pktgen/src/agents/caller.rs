//! The end of a TCP connection that opens it: asks and waits for answers, or streams.

use std::net::{IpAddr, SocketAddr};

use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, State};

use super::ledger::{Kind, Ledger};
use super::letter::{Letter, Reader};
use super::pace::Pace;
use crate::clock::SECOND_NS;

/// Local ports of one caller: each attempt has another one, so that a late segment of the last is no news.
const ATTEMPTS: u16 = 100;
/// The first local port of the first caller.
const FIRST_PORT: u16 = 10_000;
/// Between a connection that broke and the next attempt, nanoseconds.
const PAUSE_NS: u64 = SECOND_NS;

/// What became of a caller's connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// It was established at least once.
    pub opened: bool,
    /// It is established now.
    pub is_open: bool,
    /// How often an established one broke.
    pub broken: u64,
    /// How often one was not established.
    pub refused: u64,
}

/// One caller.
#[derive(Debug)]
pub struct Caller {
    kind: Kind,
    socket: SocketHandle,
    local: IpAddr,
    remote: SocketAddr,
    /// Which of its agent's callers it is.
    index: u16,
    attempts: u16,
    size: usize,
    /// Of requests: cuts answers.
    answers: Option<Reader>,
    /// When it connects next.
    connect_ns: Option<u64>,
    /// When letters are due; nothing is said before.
    pub pace: Option<Pace>,
    /// Letters handed to the stack, and the part of the last one that it has not taken yet.
    written: u64,
    outgoing: Vec<u8>,
    /// The number that the next answer must have.
    expected: u64,
    /// What became of the connection.
    pub connection: Connection,
}

impl Caller {
    /// One that calls `remote` with letters of `size` bytes, once it is told when. `answer` is the size of answers;
    /// without one it streams.
    pub fn new(
        index: u16,
        socket: SocketHandle,
        (local, remote): (IpAddr, SocketAddr),
        size: usize,
        answer: Option<usize>,
    ) -> Self {
        Self {
            kind: if answer.is_some() { Kind::Request } else { Kind::Stream },
            socket,
            local,
            remote,
            index,
            attempts: 0,
            size,
            answers: answer.map(Reader::new),
            connect_ns: None,
            pace: None,
            written: 0,
            outgoing: Vec::new(),
            expected: 0,
            connection: Connection::default(),
        }
    }

    /// What it says.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Lets it connect at a moment, nanoseconds.
    pub fn connect_at(&mut self, at_ns: u64) {
        self.connect_ns = Some(at_ns);
    }

    /// When it wants to do something next, if nothing comes for it before; nanoseconds.
    pub fn next_due(&self, now_ns: u64) -> Option<u64> {
        let letter = self.pace.and_then(|pace| pace.due(self.written)).filter(|due| *due > now_ns);
        [letter, self.connect_ns].into_iter().flatten().min()
    }

    /// Does what can be done; true when the stack has something to do by it. `answered` hears how long each answer
    /// took, nanoseconds.
    pub fn work(
        &mut self,
        now_ns: u64,
        (stack, sockets): (&mut Interface, &mut SocketSet<'static>),
        ledger: &mut Ledger,
        answered: &mut impl FnMut(u64),
    ) -> bool {
        let socket = sockets.get_mut::<Socket<'_>>(self.socket);
        self.look(socket, now_ns);
        if self.connect_ns.is_some_and(|at| at <= now_ns) {
            self.connect_ns = None;
            return self.connect(stack, socket, now_ns);
        }
        let read = self.read(socket, now_ns, ledger, answered);
        self.write(socket, now_ns, ledger) || read
    }

    /// Notes what became of the connection.
    fn look(&mut self, socket: &mut Socket<'_>, now_ns: u64) {
        let is_open = socket.may_send();
        if is_open && !self.connection.is_open {
            self.connection.opened = true;
        } else if !is_open && self.connection.is_open {
            self.connection.broken += 1;
            self.give_up(socket, now_ns);
        } else if socket.state() == State::Closed && self.attempts > 0 && self.connect_ns.is_none() {
            self.connection.refused += 1;
            self.give_up(socket, now_ns);
        }
        self.connection.is_open = is_open;
    }

    /// The connection is over: what was not answered never will be.
    fn give_up(&mut self, socket: &mut Socket<'_>, now_ns: u64) {
        socket.abort();
        self.outgoing.clear();
        self.expected = self.written;
        self.answers.iter_mut().for_each(Reader::clear);
        self.connect_ns = Some(now_ns + PAUSE_NS);
    }

    fn connect(&mut self, stack: &mut Interface, socket: &mut Socket<'_>, now_ns: u64) -> bool {
        let port = FIRST_PORT + self.index * ATTEMPTS + self.attempts % ATTEMPTS;
        self.attempts = self.attempts.wrapping_add(1).max(1);
        let done = socket.connect(stack.context(), self.remote, (self.local, port));
        if done.is_err() {
            self.connection.refused += 1;
            self.connect_ns = Some(now_ns + PAUSE_NS);
        }
        done.is_ok()
    }

    fn read(
        &mut self,
        socket: &mut Socket<'_>,
        now_ns: u64,
        ledger: &mut Ledger,
        answered: &mut impl FnMut(u64),
    ) -> bool {
        let (Some(answers), Some(pace)) = (&mut self.answers, self.pace) else { return false };
        let expected = &mut self.expected;
        let mut hear = |letter: Option<Letter>| {
            let right = letter.filter(|l| l.number == *expected && pace.due(l.number) == Some(l.due_ns));
            match right {
                Some(letter) => {
                    *expected += 1;
                    ledger.done(Kind::Request, letter.due_ns, now_ns);
                    answered(now_ns.saturating_sub(letter.due_ns));
                }
                None => ledger.wrong += 1,
            }
        };
        let mut any = false;
        while socket.can_recv() {
            let taken = socket.recv(|bytes| {
                answers.take(bytes, &mut hear);
                (bytes.len(), bytes.len())
            });
            any |= taken.is_ok_and(|taken| taken > 0);
        }
        any
    }

    /// Writes what is due, as far as there is room.
    fn write(&mut self, socket: &mut Socket<'_>, now_ns: u64, ledger: &mut Ledger) -> bool {
        let Some(pace) = self.pace else { return false };
        let mut any = false;
        while socket.can_send() {
            if self.outgoing.is_empty() {
                let Some(due_ns) = pace.due(self.written).filter(|due| *due <= now_ns) else { break };
                Letter { number: self.written, due_ns }.write(self.size, &mut self.outgoing);
                self.written += 1;
                ledger.sent(self.kind, due_ns);
            }
            let Ok(taken) = socket.send_slice(&self.outgoing) else { break };
            self.outgoing.drain(..taken);
            any |= taken > 0;
        }
        any
    }
}
