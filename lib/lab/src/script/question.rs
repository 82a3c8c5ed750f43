//! One question to a Map-Resolver and its answer, whatever that says.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::acx::Acx;
use sterna_wire::lisp::control::{LispAddress, MapReply, MapRequest, RequestRecord, encapsulate};
use sterna_wire::{Iid, Prefix};

use super::etr::CONTROL;
use crate::error::{LabError, Result};
use crate::interrupt;
use crate::namespace::Namespace;

const TICK: Duration = Duration::from_millis(20);
/// How long an answer may take before the question is asked again, and how often that is done.
const AGAIN: Duration = Duration::from_millis(500);
const TRIES: u32 = 4;

/// Somebody who asks.
#[derive(Debug)]
pub struct Asker {
    socket: UdpSocket,
    resolver: SocketAddr,
    nonce: u64,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The message.
    pub message: MapReply,
    /// The block behind it; none for a legacy answer.
    pub context: Option<Acx>,
}

impl Asker {
    /// Opens a socket at `address` in a namespace.
    ///
    /// # Errors
    /// When the address is not there.
    pub fn open(namespace: &Namespace, address: IpAddr, resolver: IpAddr) -> Result<Self> {
        let what = || LabError::io(format!("opening a scripted ITR at {address}"));
        let socket = namespace.run(|| UdpSocket::bind(SocketAddr::new(address, 0)))?.map_err(what())?;
        socket.set_read_timeout(Some(TICK)).map_err(what())?;
        Ok(Self { socket, resolver: SocketAddr::new(resolver, CONTROL), nonce: 0x5354_0000 })
    }

    /// Asks for an EID; `context` goes behind the request.
    ///
    /// # Errors
    /// [`LabError::Late`] when nobody answers.
    pub fn ask(&mut self, iid: Iid, eid: IpAddr, context: Option<&Acx>) -> Result<Reply> {
        let what = || LabError::io(format!("asking a Map-Resolver for {eid}"));
        let own = self.socket.local_addr().map_err(what())?;
        for _ in 0..TRIES {
            self.nonce += 1;
            let request = MapRequest {
                nonce: self.nonce,
                itr_rlocs: vec![LispAddress::Ip(own.ip())],
                records: vec![RequestRecord::of(iid, Prefix::host(eid))],
                tail: context.map(Acx::bytes).unwrap_or_default(),
                ..MapRequest::default()
            };
            let message = encapsulate(own, self.resolver, &request.emit());
            self.socket.send_to(&message, self.resolver).map_err(what())?;
            if let Some(reply) = self.hear()? {
                return Ok(reply);
            }
        }
        Err(LabError::Late {
            what: format!("an answer about {eid}"),
            seconds: (AGAIN * TRIES).as_secs(),
            detail: String::new(),
        })
    }

    fn hear(&self) -> Result<Option<Reply>> {
        let (asked, mut buffer) = (Instant::now(), [0; 4096]);
        while asked.elapsed() < AGAIN {
            interrupt::check()?;
            let Ok((length, _)) = self.socket.recv_from(&mut buffer) else { continue };
            let reply = MapReply::parse(&buffer[..length]).ok().filter(|reply| reply.nonce == self.nonce);
            if let Some(message) = reply {
                // A block that cannot be read is as none, and whoever wanted one finds it missing.
                let context = Acx::find(&message.tail).ok().flatten();
                return Ok(Some(Reply { message, context }));
            }
        }
        Ok(None)
    }
}
