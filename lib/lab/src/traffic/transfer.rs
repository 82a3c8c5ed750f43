//! A TCP transfer whose digest both ends compute.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use socket2::{Domain, Socket, Type};

use crate::error::{LabError, Result};
use crate::interrupt;
use crate::namespace::Namespace;
use crate::thread;

/// How long the connection may take to open; a mapping that is not there is found out by then.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest silence within the transfer.
const SILENCE: Duration = Duration::from_secs(10);
/// Bytes written at once.
const CHUNK: usize = 64 << 10;

/// What to send, from where to where.
#[derive(Clone, Copy, Debug)]
pub struct TransferPlan {
    /// Our address.
    pub source: IpAddr,
    /// The receiver's address.
    pub target: IpAddr,
    /// The receiver's port.
    pub port: u16,
    /// How much.
    pub bytes: u64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// Bytes the receiver has.
    pub received: u64,
    /// From the first byte written to the digest that came back.
    pub took: Duration,
    /// Digest of what was sent.
    pub sent_digest: [u8; 32],
    /// Digest of what was received.
    pub received_digest: [u8; 32],
}

impl Transferred {
    /// Do both ends agree?
    pub fn matches(&self) -> bool {
        self.sent_digest == self.received_digest
    }

    /// Payload bits per second, in millions.
    pub fn mbit_per_second(&self) -> u64 {
        let micros = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX).max(1);
        self.received.saturating_mul(8) / micros
    }

    /// The first bytes of the sent digest, for people.
    pub fn short_digest(&self) -> String {
        self.sent_digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A transfer that is running.
#[derive(Debug)]
pub struct Transfer {
    receiver: JoinHandle<io::Result<(u64, [u8; 32])>>,
    sender: JoinHandle<io::Result<(Duration, [u8; 32])>>,
}

impl Transfer {
    /// Listens in `to`, connects from `from`, and begins.
    ///
    /// # Errors
    /// When an address is not there.
    pub fn start(from: &Namespace, to: &Namespace, plan: TransferPlan) -> Result<Self> {
        let listener =
            to.run(|| listen(&plan))?.map_err(LabError::io(format!("listening on {}", plan.target)))?;
        let socket = from
            .run(|| {
                let socket =
                    Socket::new(Domain::for_address(SocketAddr::new(plan.source, 0)), Type::STREAM, None)?;
                socket.bind(&SocketAddr::new(plan.source, 0).into())?;
                io::Result::Ok(socket)
            })?
            .map_err(LabError::io(format!("binding to {}", plan.source)))?;
        let receiver = thread::start("transfer rx", move || receive(&listener, plan.bytes))?;
        let sender = thread::start("transfer tx", move || send(socket, &plan))?;
        Ok(Self { receiver, sender })
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// When either end gave up, or [`LabError::Interrupted`].
    pub fn finish(self) -> Result<Transferred> {
        let sender = thread::join(self.sender)?;
        let receiver = thread::join(self.receiver)?;
        interrupt::check()?;
        let (took, sent_digest) = sender.map_err(LabError::io("sending over TCP"))?;
        let (received, received_digest) = receiver.map_err(LabError::io("receiving over TCP"))?;
        Ok(Transferred { received, took, sent_digest, received_digest })
    }
}

fn listen(plan: &TransferPlan) -> io::Result<TcpListener> {
    let address = SocketAddr::new(plan.target, plan.port);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Waits for the one connection, no longer than the other end tries.
fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let end = Instant::now() + CONNECT;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(SILENCE))?;
                stream.set_write_timeout(Some(SILENCE))?;
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if Instant::now() > end || interrupt::requested() {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody connected"));
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(error),
        }
    }
}

fn stop_on_interrupt() -> io::Result<()> {
    if interrupt::requested() { Err(io::Error::new(io::ErrorKind::TimedOut, "interrupted")) } else { Ok(()) }
}

fn receive(listener: &TcpListener, bytes: u64) -> io::Result<(u64, [u8; 32])> {
    let mut stream = accept(listener)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut received = 0;
    while received < bytes {
        stop_on_interrupt()?;
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        hasher.update(&buffer[..length]);
        received += length as u64;
    }
    let digest: [u8; 32] = hasher.finalize().into();
    // Tells the sender that everything is here, so that its clock stops at the right moment.
    stream.write_all(&digest)?;
    Ok((received, digest))
}

fn send(socket: Socket, plan: &TransferPlan) -> io::Result<(Duration, [u8; 32])> {
    socket.connect_timeout(&SocketAddr::new(plan.target, plan.port).into(), CONNECT)?;
    let mut stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(SILENCE))?;
    stream.set_read_timeout(Some(SILENCE))?;
    let start = Instant::now();
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15 ^ u64::from(plan.port));
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut left = plan.bytes;
    while left > 0 {
        stop_on_interrupt()?;
        let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        noise.fill(&mut chunk[..length]);
        hasher.update(&chunk[..length]);
        stream.write_all(&chunk[..length])?;
        left -= length as u64;
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let mut echoed = [0; 32];
    stream.read_exact(&mut echoed)?;
    Ok((start.elapsed(), digest))
}

/// Bytes that never repeat within a transfer (xorshift), so that a swapped segment changes the digest.
struct Noise(u64);

impl Noise {
    fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            word.copy_from_slice(&self.0.to_le_bytes()[..word.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_does_not_repeat() {
        let mut bytes = vec![0; 1 << 16];
        Noise(1).fill(&mut bytes);
        let mut words: Vec<&[u8]> = bytes.chunks(8).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), 1 << 13);
    }
}
