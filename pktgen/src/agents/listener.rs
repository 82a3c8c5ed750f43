//! The end of a TCP connection that waits for it: answers requests, or hears a stream.

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, State};

use super::ledger::{Kind, Ledger};
use super::letter::{Letter, Reader};

/// Bytes of answers that wait at most; whoever does not read his answers is not read either.
const PATIENCE: usize = 1 << 17;

/// One listener.
#[derive(Debug)]
pub struct Listener {
    socket: SocketHandle,
    port: u16,
    letters: Reader,
    /// Of requests: the size of an answer.
    answer: Option<usize>,
    outgoing: Vec<u8>,
    /// Of a stream: the number that no letter may be below.
    next: u64,
}

impl Listener {
    /// One that hears letters of `size` bytes at a port, and answers them with `answer` bytes or not at all.
    pub fn new(socket: SocketHandle, port: u16, size: usize, answer: Option<usize>) -> Self {
        Self { socket, port, letters: Reader::new(size), answer, outgoing: Vec::new(), next: 0 }
    }

    /// Does what can be done; true when the stack has something to do by it.
    pub fn work(&mut self, now_ns: u64, sockets: &mut SocketSet<'static>, ledger: &mut Ledger) -> bool {
        let socket = sockets.get_mut::<Socket<'_>>(self.socket);
        if matches!(socket.state(), State::Closed | State::TimeWait | State::CloseWait | State::LastAck) {
            socket.abort();
            self.letters.clear();
            self.outgoing.clear();
            // Nobody has this port's number 0, so a listener can always listen.
            return socket.listen(self.port).is_ok();
        }
        let read = self.read(socket, now_ns, ledger);
        self.write(socket) || read
    }

    fn read(&mut self, socket: &mut Socket<'_>, now_ns: u64, ledger: &mut Ledger) -> bool {
        let Self { letters, outgoing, answer, next, .. } = self;
        let mut any = false;
        while socket.can_recv() && outgoing.len() < PATIENCE {
            let mut hear = |letter: Option<Letter>| match (letter, *answer) {
                (Some(letter), Some(size)) => letter.write(size, outgoing),
                (Some(letter), None) if letter.number >= *next => {
                    *next = letter.number + 1;
                    ledger.done(Kind::Stream, letter.due_ns, now_ns);
                }
                _ => ledger.wrong += 1,
            };
            let taken = socket.recv(|bytes| {
                letters.take(bytes, &mut hear);
                (bytes.len(), bytes.len())
            });
            any |= taken.is_ok_and(|taken| taken > 0);
        }
        any
    }

    fn write(&mut self, socket: &mut Socket<'_>) -> bool {
        if self.outgoing.is_empty() || !socket.can_send() {
            return false;
        }
        let taken = socket.send_slice(&self.outgoing).unwrap_or(0);
        self.outgoing.drain(..taken);
        taken > 0
    }
}
