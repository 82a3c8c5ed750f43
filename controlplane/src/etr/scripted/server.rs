//! A Map-Server of a few lines: last register wins, the previous holder is told until it acknowledges,
//! moves by detection are limited.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::{
    self, Act, EidRecord, LocatorRecord, MapNotify, MapRegister, MapReply, MapRequest, Message, auth,
};
use sterna_wire::{Iid, Prefix};

use super::key;
use crate::outbox::CONTROL_PORT;

type Entry = (Iid, Prefix);

struct Held {
    xtr: [u8; 16],
    address: IpAddr,
    locators: Vec<LocatorRecord>,
    previous: Vec<LocatorRecord>,
}

struct Told {
    xtr: [u8; 16],
    to: IpAddr,
    bytes: Vec<u8>,
    due: Instant,
    tries: u32,
}

/// The Map-Server's state.
pub(in super::super) struct Server {
    registered: BTreeMap<Entry, Held>,
    told: BTreeMap<(u64, Entry), Told>,
    moves: BTreeMap<Entry, Vec<Instant>>,
    nonce: u64,
    /// Registers refused because the EID is frozen.
    pub frozen: usize,
    /// Registers ignored because their sender does not know yet that it lost the EID.
    pub superseded: usize,
}

/// Messages to send.
pub(super) type Messages = Vec<(SocketAddr, Vec<u8>)>;

impl Server {
    pub fn new() -> Self {
        Self {
            registered: BTreeMap::new(),
            told: BTreeMap::new(),
            moves: BTreeMap::new(),
            nonce: 1 << 40,
            frozen: 0,
            superseded: 0,
        }
    }

    /// Where packets for an agent go by now.
    pub fn holder(&self, iid: Iid, eid: IpAddr) -> Option<IpAddr> {
        self.registered.get(&(iid, eid.into())).map(|held| held.address)
    }

    pub fn receive(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) -> Messages {
        match control::parse(bytes) {
            Ok(Message::MapRegister(register)) => self.register(&register, bytes, from, now),
            Ok(Message::MapNotify(ack)) if ack.ack => {
                auth::verify(bytes, ack.records_end, &key()).unwrap();
                self.told.retain(|(nonce, _), _| *nonce != ack.nonce);
                Vec::new()
            }
            Ok(Message::Ecm(ecm)) => self.request(&ecm.map_request().unwrap()),
            other => panic!("nothing for a Map-Server: {other:?}"),
        }
    }

    fn request(&self, request: &MapRequest) -> Messages {
        let (iid, asked) = request.records[0].prefix().unwrap();
        let covering =
            self.registered.iter().filter(|((group, prefix), _)| *group == iid && prefix.covers(&asked));
        let found = covering.max_by_key(|((_, prefix), _)| prefix.len());
        let record = match found {
            Some(((_, prefix), held)) => {
                EidRecord { locators: held.locators.clone(), ..EidRecord::of(iid, *prefix) }
            }
            None => EidRecord { ttl: 1, act: Act::NativelyForward, ..EidRecord::of(iid, asked) },
        };
        let reply = MapReply { nonce: request.nonce, records: vec![record], ..MapReply::default() };
        let to = request.itr_rlocs[0].rloc().unwrap();
        vec![(SocketAddr::new(to, CONTROL_PORT), reply.emit())]
    }

    fn register(&mut self, register: &MapRegister, bytes: &[u8], from: SocketAddr, now: Instant) -> Messages {
        auth::verify(bytes, register.records_end, &key()).unwrap();
        let mut messages = Vec::new();
        let records: Vec<_> =
            register.records.iter().filter_map(|record| self.take(record, register, from, now)).collect();
        if !records.is_empty() {
            let notify =
                MapNotify { nonce: register.nonce, records, xtr: register.xtr, ..MapNotify::default() };
            messages.push((from, notify.signed(&key())));
        }
        messages.extend(self.due(now));
        messages
    }

    /// What the answer says of a record; none leaves it out.
    fn take(
        &mut self,
        record: &EidRecord,
        register: &MapRegister,
        from: SocketAddr,
        now: Instant,
    ) -> Option<EidRecord> {
        let entry = record.prefix().unwrap();
        let xtr = register.xtr.unwrap().xtr_id;
        let holder = self.registered.get(&entry).map(|held| held.xtr);
        if record.ttl == 0 {
            if holder == Some(xtr) {
                self.registered.remove(&entry);
            }
            return Some(record.clone());
        }
        let mut previous = Vec::new();
        if holder.is_some_and(|holder| holder != xtr) {
            let mut ignorant = self.told.iter_mut().filter(|((_, told), _)| *told == entry);
            if let Some((_, told)) = ignorant.find(|(_, told)| told.xtr == xtr) {
                told.due = now;
                self.superseded += 1;
                let locators = self.registered[&entry].locators.clone();
                return Some(EidRecord { locators, ..record.clone() });
            }
            if register.eid_notify && self.is_frozen(entry, now) {
                self.frozen += 1;
                let locators = self.registered[&entry].locators.clone();
                return Some(EidRecord { locators, ..record.clone() });
            }
            previous = self.replace(entry, record, now);
        } else if let Some(held) = self.registered.get(&entry) {
            previous.clone_from(&held.previous);
        }
        let locators = record.locators.clone();
        let answered = locators.iter().chain(&previous).cloned().collect();
        self.registered.insert(entry, Held { xtr, address: from.ip(), locators, previous });
        Some(EidRecord { locators: answered, ..record.clone() })
    }

    fn is_frozen(&mut self, entry: Entry, now: Instant) -> bool {
        let moves = self.moves.entry(entry).or_default();
        moves.retain(|at| now.duration_since(*at) < Duration::from_secs(180));
        if moves.len() >= 5 {
            return true;
        }
        moves.push(now);
        false
    }

    /// Tells the holder that it has lost the entry; gives its locators as those of the previous site.
    fn replace(&mut self, entry: Entry, record: &EidRecord, now: Instant) -> Vec<LocatorRecord> {
        let held = self.registered.remove(&entry).unwrap();
        self.nonce += 1;
        let notify = MapNotify {
            nonce: self.nonce,
            records: vec![record.clone()],
            xtr: Some(control::XtrId { xtr_id: held.xtr, site_id: 0 }),
            ..MapNotify::default()
        };
        let told = Told { xtr: held.xtr, to: held.address, bytes: notify.signed(&key()), due: now, tries: 0 };
        // What is told now makes older news void.
        self.told.retain(|(_, other), _| *other != entry);
        self.told.insert((self.nonce, entry), told);
        held.locators.into_iter().map(|locator| LocatorRecord { priority: 255, ..locator }).collect()
    }

    pub fn due(&mut self, now: Instant) -> Messages {
        let mut messages = Vec::new();
        for told in self.told.values_mut().filter(|told| told.due <= now) {
            told.tries += 1;
            told.due = now + Duration::from_millis([50, 200, 1000][(told.tries as usize - 1).min(2)]);
            messages.push((SocketAddr::new(told.to, CONTROL_PORT), told.bytes.clone()));
        }
        messages
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.told.values().map(|told| told.due).min()
    }
}
