//! A Map-Server that knows nothing beyond RFC 9301: no subscriptions, no context. It confirms what is registered with
//! a key, and answers from a list.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use sterna_wire::lisp::control::auth::{Coverage, Key, verify};
use sterna_wire::lisp::control::{
    Act, EidRecord, LispAddress, LocatorRecord, MapNotify, MapRegister, MapReply, MapRequest, Message, parse,
};
use sterna_wire::{Iid, Prefix};

use super::etr::{CONTROL, Entry};
use crate::error::{LabError, Result};
use crate::namespace::Namespace;
use crate::thread;

const TICK: Duration = Duration::from_millis(20);

/// A running server; stops when dropped.
#[derive(Debug)]
pub struct PlainServer {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Counts {
    confirmed: AtomicU64,
    answered: AtomicU64,
    with_tail: AtomicU64,
}

impl PlainServer {
    /// Serves the control port of `address`: registers signed with `key` are confirmed, requests answered from `known`.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start(namespace: &Namespace, address: IpAddr, key: Key, known: Vec<Entry>) -> Result<Self> {
        let what = || LabError::io(format!("opening the control port of {address}"));
        let socket = namespace.run(|| UdpSocket::bind(SocketAddr::new(address, CONTROL)))?.map_err(what())?;
        socket.set_read_timeout(Some(TICK)).map_err(what())?;
        let (stop, counts): (Arc<AtomicBool>, Arc<Counts>) = Default::default();
        let (ending, counted) = (Arc::clone(&stop), Arc::clone(&counts));
        let thread = thread::start("plain Map-Server", move || {
            let mut buffer = [0; 4096];
            while !ending.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                if let Some((to, answer)) = answer(&buffer[..length], from, &key, &known, &counted) {
                    // What cannot be sent is asked for again.
                    let _ = socket.send_to(&answer, to);
                }
            }
        })?;
        Ok(Self { stop, counts, thread: Some(thread) })
    }

    /// Map-Registers that it confirmed.
    pub fn confirmed(&self) -> u64 {
        self.counts.confirmed.load(Ordering::Relaxed)
    }

    /// Map-Requests that it answered.
    pub fn answered(&self) -> u64 {
        self.counts.answered.load(Ordering::Relaxed)
    }

    /// Messages with something behind their defined content, which it ignored.
    pub fn with_tail(&self) -> u64 {
        self.counts.with_tail.load(Ordering::Relaxed)
    }
}

impl Drop for PlainServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there shows as questions without an answer.
            let _ = thread.join();
        }
    }
}

fn answer(
    message: &[u8],
    from: SocketAddr,
    key: &Key,
    known: &[Entry],
    counts: &Counts,
) -> Option<(SocketAddr, Vec<u8>)> {
    let note = |count: &AtomicU64, tail: &[u8]| {
        count.fetch_add(1, Ordering::Relaxed);
        counts.with_tail.fetch_add(u64::from(!tail.is_empty()), Ordering::Relaxed);
    };
    match parse(message).ok()? {
        Message::MapRegister(register) => {
            // As old servers do: the MAC covers the whole message, whatever stands at its end.
            let coverage = verify(message, register.records_end, key).ok()?;
            (coverage == Coverage::Whole).then_some(())?;
            note(&counts.confirmed, &register.tail);
            let MapRegister { nonce, records, xtr, .. } = register;
            Some((from, MapNotify { nonce, records, xtr, ..MapNotify::default() }.signed(key)))
        }
        Message::Ecm(ecm) => {
            let request = ecm.map_request().ok()?;
            note(&counts.answered, &request.tail);
            let to = request.itr_rlocs.iter().find_map(LispAddress::rloc)?;
            let records = vec![found(&request, known)?];
            let reply = MapReply { nonce: request.nonce, records, ..MapReply::default() };
            Some((SocketAddr::new(to, ecm.source.port()), reply.emit()))
        }
        _ => None,
    }
}

fn found(request: &MapRequest, known: &[Entry]) -> Option<EidRecord> {
    let (iid, prefix) = request.records.first()?.prefix()?;
    let entry = known.iter().find(|entry| (entry.iid, entry.prefix) == (iid, prefix));
    Some(entry.map_or_else(|| nobody(iid, prefix), record))
}

fn record(entry: &Entry) -> EidRecord {
    let locators = entry.locators.iter().map(|address| LocatorRecord::unicast(*address, 1, 100));
    EidRecord { ttl: 10, locators: locators.collect(), ..EidRecord::of(entry.iid, entry.prefix) }
}

fn nobody(iid: Iid, prefix: Prefix) -> EidRecord {
    EidRecord { ttl: 1, act: Act::Drop, ..EidRecord::of(iid, prefix) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::plan::KeyFile;
    use crate::script::etr::key;
    use sterna_wire::lisp::control::acx::Acx;
    use sterna_wire::lisp::control::{RequestRecord, encapsulate};

    #[test]
    fn it_confirms_and_answers_and_never_speaks_of_context() {
        let (key, counts) = (key(&KeyFile::named("plain")), Counts::default());
        let itr = SocketAddr::from(([192, 0, 2, 1], CONTROL));
        let entry = Entry {
            iid: Iid::DEFAULT,
            prefix: Prefix::host([10, 1, 50, 1].into()),
            locators: vec![[192, 0, 2, 133].into()],
        };
        let tail = Acx { aware: true, ..Acx::default() }.bytes();
        let register = MapRegister { nonce: 5, tail: tail.clone(), ..MapRegister::default() };
        let known = std::slice::from_ref(&entry);
        let (_, notify) = answer(&register.signed(&key), itr, &key, known, &counts).unwrap();
        let notify = MapNotify::parse(&notify).unwrap();
        assert_eq!((notify.nonce, notify.tail.len()), (5, 0));
        let request = MapRequest {
            nonce: 7,
            itr_rlocs: vec![LispAddress::Ip(itr.ip())],
            records: vec![RequestRecord::of(entry.iid, entry.prefix)],
            tail,
            ..MapRequest::default()
        };
        let (to, reply) = answer(&encapsulate(itr, itr, &request.emit()), itr, &key, known, &counts).unwrap();
        let reply = MapReply::parse(&reply).unwrap();
        assert_eq!((to, reply.nonce, reply.tail.len(), reply.records[0].locators.len()), (itr, 7, 0, 1));
        assert_eq!(counts.with_tail.load(Ordering::Relaxed), 2);
    }
}
