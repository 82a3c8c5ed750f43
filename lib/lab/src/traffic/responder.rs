//! A host's answering service: UDP and TCP on one port, saying who answered.
//!
//! The UDP side can be made to misbehave on purpose, which is how the lab proves that it would notice.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::payload::Payload;
use super::probe::udp;
use crate::error::{LabError, Result};
use crate::namespace::Namespace;
use crate::thread;

/// Where every host of the lab answers.
pub const PORT: u16 = 4007;

/// Misbehaviour on purpose: every so manyth answer, 0 for never. Counted from the first question.
#[derive(Clone, Copy, Debug, Default)]
pub struct Impairment {
    /// Not answered.
    pub lose_every: u64,
    /// Answered twice.
    pub repeat_every: u64,
    /// Kept back until the next one is answered.
    pub swap_every: u64,
    /// Answered with one changed byte.
    pub change_every: u64,
}

/// A running responder; stops when dropped.
#[derive(Debug)]
pub struct Responder {
    stop: Arc<AtomicBool>,
    strayed: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Responder {
    /// Starts answering inside the namespace, on each of the host's addresses, as the host with `tag`,
    /// member of `group`.
    ///
    /// # Errors
    /// When the port is taken or an address is not there.
    pub fn start(
        namespace: &Namespace,
        addresses: &[IpAddr],
        tag: u32,
        group: u32,
        impairment: Impairment,
    ) -> Result<Self> {
        let what = || LabError::io(format!("opening port {PORT} in {}", namespace.name()));
        let stop: Arc<AtomicBool> = Arc::default();
        let strayed: Arc<AtomicU64> = Arc::default();
        let mut threads = Vec::new();
        for address in addresses {
            let bind = SocketAddr::new(*address, PORT);
            // A socket per address, so that an answer leaves from the address that was asked.
            let (udp, tcp) =
                namespace.run(|| io::Result::Ok((open_udp(bind)?, open_tcp(bind)?)))?.map_err(what())?;
            let (ending, strays) = (Arc::clone(&stop), Arc::clone(&strayed));
            threads.push(thread::start("responder udp", move || {
                answer(&udp, tag, group, impairment, &ending, &strays);
            })?);
            let ending = Arc::clone(&stop);
            threads.push(thread::start("responder tcp", move || greet(&tcp, tag, group, &ending))?);
        }
        Ok(Self { stop, strayed, threads })
    }

    /// Questions that came from a member of another group.
    pub fn strayed(&self) -> u64 {
        self.strayed.load(Ordering::Relaxed)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic there has already shown itself as unanswered questions.
            let _ = thread.join();
        }
    }
}

const TICK: Duration = Duration::from_millis(50);

fn open_udp(bind: SocketAddr) -> io::Result<UdpSocket> {
    let socket = udp(bind)?;
    socket.set_read_timeout(Some(TICK))?;
    Ok(socket.into())
}

fn open_tcp(bind: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(bind), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&bind.into())?;
    socket.listen(64)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Answers questions until told to stop; a question of another group is counted and not answered.
fn answer(
    socket: &UdpSocket,
    tag: u32,
    group: u32,
    impairment: Impairment,
    stop: &AtomicBool,
    strayed: &AtomicU64,
) {
    let mut buffer = vec![0; 2048];
    let mut kept: Option<(Vec<u8>, SocketAddr)> = None;
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let mut reply = buffer[..length].to_vec();
        let Ok(question) = Payload::parse(&reply) else {
            continue;
        };
        if question.group != group {
            strayed.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        number += 1;
        Payload { answerer: tag, ..question }.emit(&mut reply);
        let due = |every: u64| every > 0 && number % every == 0;
        if due(impairment.lose_every) {
            continue;
        }
        if due(impairment.change_every)
            && let Some(last) = reply.last_mut()
        {
            *last ^= 0x20;
        }
        if due(impairment.swap_every) && kept.is_none() {
            kept = Some((reply, from));
            continue;
        }
        let copies = if due(impairment.repeat_every) { 2 } else { 1 };
        for _ in 0..copies {
            // What cannot be sent is found lost by the one who asked.
            let _ = socket.send_to(&reply, from);
        }
        if let Some((late, to)) = kept.take() {
            let _ = socket.send_to(&late, to);
        }
    }
}

/// Says who is here to everyone who connects.
fn greet(listener: &TcpListener, tag: u32, group: u32, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            // A caller that hangs up early hears nothing, which is its own finding.
            Ok((mut caller, _)) => {
                let _ = caller.write_all(format!("{tag} {group}\n").as_bytes());
            }
            Err(_) => std::thread::sleep(TICK),
        }
    }
}

/// Asks over TCP who is at an address: the answerer's tag and group.
///
/// # Errors
/// When nobody answers within `limit`, or with nonsense.
pub fn who_is_at(
    namespace: &Namespace,
    source: IpAddr,
    target: IpAddr,
    limit: Duration,
) -> Result<(u32, u32)> {
    let what = || LabError::io(format!("asking over TCP who is at {target}"));
    let mut caller = namespace
        .run(|| {
            let socket = Socket::new(Domain::for_address(SocketAddr::new(source, 0)), Type::STREAM, None)?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
            socket.connect_timeout(&SocketAddr::new(target, PORT).into(), limit)?;
            socket.set_read_timeout(Some(limit))?;
            io::Result::Ok(std::net::TcpStream::from(socket))
        })?
        .map_err(what())?;
    let mut text = String::new();
    caller.read_to_string(&mut text).map_err(what())?;
    let mut words = text.split_whitespace().map(str::parse);
    match (words.next(), words.next()) {
        (Some(Ok(tag)), Some(Ok(group))) => Ok((tag, group)),
        _ => Err(what()(io::Error::new(io::ErrorKind::InvalidData, format!("{text:?}")))),
    }
}
