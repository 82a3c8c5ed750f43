//! A TCP transfer whose digest both ends compute.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use socket2::{Domain, Socket, Type};

use super::pace::Pace;
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
/// Bytes written at once by a transfer with a pace.
const PACED_CHUNK: usize = 1200;

/// What to send, from where to where.
#[derive(Clone, Copy, Debug)]
pub struct TransferPlan {
    /// Our address.
    pub source: IpAddr,
    /// The receiver's address.
    pub target: IpAddr,
    /// The receiver's port.
    pub port: u16,
    /// How much; with a pace at most.
    pub bytes: u64,
    /// Bytes per second; none goes as fast as TCP does.
    pub pace: Option<u32>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// Bytes sent.
    pub sent: u64,
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
        self.sent_digest == self.received_digest && self.sent == self.received
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
    stop: Arc<AtomicBool>,
    receiver: JoinHandle<io::Result<(u64, [u8; 32])>>,
    sender: JoinHandle<io::Result<(Duration, u64, [u8; 32])>>,
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
        let stop: Arc<AtomicBool> = Arc::default();
        let receiver = thread::start("transfer rx", move || receive(&listener))?;
        let told = Arc::clone(&stop);
        let sender = thread::start("transfer tx", move || send(socket, &plan, &told))?;
        Ok(Self { stop, receiver, sender })
    }

    /// Sends no more and runs to the end.
    ///
    /// # Errors
    /// As [`Transfer::finish`].
    pub fn stop(self) -> Result<Transferred> {
        self.stop.store(true, Ordering::Relaxed);
        self.finish()
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// When either end gave up, or [`LabError::Interrupted`].
    pub fn finish(self) -> Result<Transferred> {
        let sender = thread::join(self.sender)?;
        let receiver = thread::join(self.receiver)?;
        interrupt::check()?;
        let (took, sent, sent_digest) = sender.map_err(LabError::io("sending over TCP"))?;
        let (received, received_digest) = receiver.map_err(LabError::io("receiving over TCP"))?;
        Ok(Transferred { sent, received, took, sent_digest, received_digest })
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

fn receive(listener: &TcpListener) -> io::Result<(u64, [u8; 32])> {
    let mut stream = accept(listener)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut received = 0;
    loop {
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

fn send(socket: Socket, plan: &TransferPlan, stop: &AtomicBool) -> io::Result<(Duration, u64, [u8; 32])> {
    socket.connect_timeout(&SocketAddr::new(plan.target, plan.port).into(), CONNECT)?;
    let mut stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(SILENCE))?;
    stream.set_read_timeout(Some(SILENCE))?;
    let start = Instant::now();
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15 ^ u64::from(plan.port));
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; plan.pace.map_or(CHUNK, |_| PACED_CHUNK)];
    let chunks_per_second = plan.pace.map(|bytes| bytes / PACED_CHUNK as u32);
    let pace = Pace::begin(chunks_per_second.unwrap_or(1));
    let mut left = plan.bytes;
    for number in 0.. {
        if left == 0 || stop.load(Ordering::Relaxed) {
            break;
        }
        stop_on_interrupt()?;
        if chunks_per_second.is_some() {
            pace.wait(number);
        }
        let length = usize::try_from(left).unwrap_or(CHUNK).min(chunk.len());
        noise.fill(&mut chunk[..length]);
        hasher.update(&chunk[..length]);
        stream.write_all(&chunk[..length])?;
        left -= length as u64;
    }
    stream.shutdown(Shutdown::Write)?;
    let digest: [u8; 32] = hasher.finalize().into();
    let mut echoed = [0; 32];
    stream.read_exact(&mut echoed)?;
    Ok((start.elapsed(), plan.bytes - left, digest))
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
