//! An ETR that answers more than it was asked: its Map-Replies claim far more than it serves.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use sterna_wire::Prefix;
use sterna_wire::lisp::control::{EidRecord, LispAddress, LocatorRecord, MapReply, Message, parse};

use super::etr::CONTROL;
use crate::error::{LabError, Result};
use crate::namespace::Namespace;
use crate::thread;

const TICK: Duration = Duration::from_millis(20);

/// A running liar; stops when dropped.
#[derive(Debug)]
pub struct Liar {
    stop: Arc<AtomicBool>,
    lies: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Liar {
    /// Listens on the control port of `address` and answers every Map-Request that is forwarded there with a record
    /// for `claimed` in place of the EID.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start(namespace: &Namespace, address: IpAddr, claimed: Prefix) -> Result<Self> {
        let what = || LabError::io(format!("opening the control port of {address}"));
        let socket = namespace.run(|| UdpSocket::bind(SocketAddr::new(address, CONTROL)))?.map_err(what())?;
        socket.set_read_timeout(Some(TICK)).map_err(what())?;
        let (stop, lies): (Arc<AtomicBool>, Arc<AtomicU64>) = Default::default();
        let (ending, told) = (Arc::clone(&stop), Arc::clone(&lies));
        let thread = thread::start("liar", move || {
            let mut buffer = [0; 4096];
            while !ending.load(Ordering::Relaxed) {
                let Ok((length, _)) = socket.recv_from(&mut buffer) else { continue };
                if let Some((to, reply)) = lie(&buffer[..length], address, claimed)
                    && sent(socket.send_to(&reply, to))
                {
                    told.fetch_add(1, Ordering::Relaxed);
                }
            }
        })?;
        Ok(Self { stop, lies, thread: Some(thread) })
    }

    /// Ends it; how often it lied.
    pub fn finish(mut self) -> u64 {
        self.end();
        self.lies.load(Ordering::Relaxed)
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there shows as lies that were not told.
            let _ = thread.join();
        }
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.end();
    }
}

fn sent(result: io::Result<usize>) -> bool {
    result.is_ok()
}

/// The answer to a forwarded Map-Request, with the right nonce and the wrong prefix.
fn lie(message: &[u8], own: IpAddr, claimed: Prefix) -> Option<(SocketAddr, Vec<u8>)> {
    let Ok(Message::Ecm(ecm)) = parse(message) else { return None };
    let request = ecm.map_request().ok()?;
    let (iid, _) = request.records.first()?.prefix()?;
    let itr = request.itr_rlocs.iter().find_map(LispAddress::rloc)?;
    let record =
        EidRecord { locators: vec![LocatorRecord::unicast(own, 1, 100)], ..EidRecord::of(iid, claimed) };
    let reply = MapReply { nonce: request.nonce, records: vec![record], ..MapReply::default() };
    Some((SocketAddr::new(itr, ecm.source.port()), reply.emit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sterna_wire::Iid;
    use sterna_wire::lisp::control::{MapRequest, RequestRecord, encapsulate};

    #[test]
    fn a_lie_has_the_right_nonce_and_claims_too_much() {
        let itr: IpAddr = [192, 0, 2, 1].into();
        let request = MapRequest {
            nonce: 77,
            itr_rlocs: vec![LispAddress::Ip(itr)],
            records: vec![RequestRecord::of(Iid::DEFAULT, Prefix::host([10, 1, 50, 1].into()))],
            ..MapRequest::default()
        };
        let ecm = encapsulate(
            SocketAddr::new(itr, CONTROL),
            SocketAddr::new([10, 1, 50, 1].into(), CONTROL),
            &request.emit(),
        );
        let claimed = Prefix::new([10, 1, 0, 0].into(), 16).unwrap();
        let (to, reply) = lie(&ecm, [192, 0, 2, 133].into(), claimed).unwrap();
        let reply = MapReply::parse(&reply).unwrap();
        assert_eq!((to, reply.nonce), (SocketAddr::new(itr, CONTROL), 77));
        assert_eq!(reply.records[0].prefix(), Some((Iid::DEFAULT, claimed)));
        assert_eq!(lie(&[1, 2, 3], itr, claimed), None);
    }
}
