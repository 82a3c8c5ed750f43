//! An ITR, its peers and its clock, all in the hands of a test.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::acx::Acx;
use sterna_wire::lisp::control::auth::{Algorithm, Key};
use sterna_wire::lisp::control::{
    Act, Ecm, EidRecord, LispAddress, LocatorRecord, MapNotify, MapReply, MapRequest, Message, XtrId, parse,
};
use sterna_wire::{Iid, Prefix};

use crate::itr::{Counter, EntryState, EntryView, GroupRanges, Identity, Itr, ItrSettings, MapServerKeys};
use crate::outbox::{Choice, Locator, LocatorChange, Mapping, MappingChange, Outbox};
use crate::random::Random;

pub const XTR: XtrId = XtrId { xtr_id: [7; 16], site_id: 9 };

/// The group of most tests.
pub fn group() -> Iid {
    Iid::new(100).unwrap()
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub fn resolver(number: u8) -> IpAddr {
    [192, 0, 2, number].into()
}

/// RLOC of another site.
pub fn rloc(number: u8) -> IpAddr {
    [198, 51, 100, number].into()
}

pub fn locator(number: u8) -> Locator {
    Locator { address: rloc(number), priority: 1, weight: 100 }
}

/// A positive record with these RLOCs.
pub fn record(iid: Iid, text: &str, rlocs: &[u8]) -> EidRecord {
    let locators = rlocs.iter().map(|number| LocatorRecord::unicast(rloc(*number), 1, 100)).collect();
    EidRecord { locators, ..EidRecord::of(iid, prefix(text)) }
}

/// A negative record.
pub fn nobody(iid: Iid, text: &str, minutes: u32) -> EidRecord {
    EidRecord { ttl: minutes, act: Act::NativelyForward, ..EidRecord::of(iid, prefix(text)) }
}

pub fn key() -> Key {
    Key::new(1, Algorithm::HmacSha256_128, b"secret-a")
}

/// Two resolvers, an RLOC of each family, group 100 with 10.1.0.0/16 as a range and 10.9.0.0/24 served here.
pub fn settings() -> ItrSettings {
    let ranges = vec![prefix("10.1.0.0/16"), prefix("fd00:1::/32")];
    let group_ranges = GroupRanges { ranges, served: vec![prefix("10.9.0.0/24")] };
    ItrSettings {
        resolvers: vec![resolver(10), resolver(11)],
        local_rlocs: vec![ip("203.0.113.1"), ip("2001:db8::1")],
        groups: [(group(), group_ranges)].into(),
        ..ItrSettings::default()
    }
}

/// The same with a Map-Server's key, so that the ITR subscribes.
pub fn subscribing() -> ItrSettings {
    ItrSettings {
        map_servers: vec![MapServerKeys { address: resolver(10), keys: vec![key()] }],
        ..settings()
    }
}

/// A request that went to a map-resolver.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at_ms: u128,
    pub resolver: IpAddr,
    pub inner_source: IpAddr,
    pub inner_destination: IpAddr,
    pub request: MapRequest,
}

impl Asked {
    pub fn prefix(&self) -> Prefix {
        self.request.records[0].prefix().unwrap().1
    }

    pub fn nonce(&self) -> u64 {
        self.request.nonce
    }

    /// The context block, and that nothing else follows the request.
    pub fn block(&self) -> Option<Acx> {
        Acx::find(&self.request.tail).unwrap()
    }

    pub fn subscribes(&self) -> bool {
        self.request.records[0].subscribe
    }
}

/// The bench.
pub struct Bench {
    pub itr: Itr,
    pub start: Instant,
    pub now: Instant,
    pub asked: Vec<Asked>,
    pub probes: Vec<(IpAddr, MapRequest)>,
    pub acks: Vec<(SocketAddr, MapNotify)>,
    pub mappings: Vec<MappingChange>,
    pub locators: Vec<LocatorChange>,
    /// RLOCs that answer probes at once.
    pub alive: Vec<IpAddr>,
}

impl Bench {
    pub fn new(settings: ItrSettings) -> Self {
        Self::started(settings, 1)
    }

    pub fn started(settings: ItrSettings, start: u32) -> Self {
        let itr = Itr::new(settings, Identity { xtr: XTR, start }, Random::seeded(u64::from(start)));
        let start = Instant::now();
        Self {
            itr,
            start,
            now: start,
            asked: vec![],
            probes: vec![],
            acks: vec![],
            mappings: vec![],
            locators: vec![],
            alive: vec![],
        }
    }

    /// Does something with the ITR and sorts what it wants done.
    pub fn call<T>(&mut self, what: impl FnOnce(&mut Itr, Instant, &mut Outbox) -> T) -> T {
        let mut out = Outbox::default();
        let result = what(&mut self.itr, self.now, &mut out);
        assert!(out.agents.is_empty());
        self.mappings.extend(out.mappings);
        self.locators.extend(out.locators);
        for datagram in out.datagrams {
            self.sort(datagram.to, &datagram.bytes);
        }
        result
    }

    fn sort(&mut self, to: SocketAddr, bytes: &[u8]) {
        match parse(bytes).unwrap() {
            Message::Ecm(ecm) => {
                assert_eq!(to.port(), 4342);
                self.asked.push(self.read(to, &ecm));
            }
            Message::MapRequest(probe) => {
                assert!(probe.probe && probe.source_eid == LispAddress::None);
                self.probes.push((to.ip(), probe.clone()));
                if self.alive.contains(&to.ip()) {
                    self.answer_probe(to.ip(), &probe, true);
                }
            }
            Message::MapNotify(ack) => {
                assert!(ack.ack);
                assert!(sterna_wire::lisp::control::auth::verify(bytes, ack.records_end, &key()).is_ok());
                self.acks.push((to, ack));
            }
            other => panic!("an ITR does not send {other:?}"),
        }
    }

    fn read(&self, to: SocketAddr, ecm: &Ecm<'_>) -> Asked {
        assert_eq!((ecm.source.port(), ecm.destination.port()), (4342, 4342));
        let Message::MapRequest(request) = parse(ecm.message).unwrap() else { panic!("not a Map-Request") };
        assert!(!request.probe && !request.smr && request.records.len() == 1);
        Asked {
            at_ms: self.now.duration_since(self.start).as_millis(),
            resolver: to.ip(),
            inner_source: ecm.source.ip(),
            inner_destination: ecm.destination.ip(),
            request,
        }
    }

    /// Lets the time go on, and calls the ITR at its deadlines.
    pub fn wait(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(deadline) = self.itr.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.call(Itr::tick);
            let next = self.itr.next_deadline();
            assert!(next.is_none_or(|next| next > self.now), "a deadline in the past after tick");
        }
        self.now = end;
    }

    pub fn wait_s(&mut self, seconds: u64) {
        self.wait(seconds * 1000);
    }

    pub fn elapsed_ms(&self) -> u128 {
        self.now.duration_since(self.start).as_millis()
    }

    pub fn miss(&mut self, eid: &str) {
        self.call(|itr, now, out| itr.miss(group(), ip(eid), false, 0, now, out));
    }

    pub fn miss_class(&mut self, eid: &str, class: u8) {
        self.call(|itr, now, out| itr.miss(group(), ip(eid), false, class, now, out));
    }

    pub fn doubt(&mut self, source: &str) {
        self.call(|itr, now, out| itr.miss(group(), ip(source), true, 0, now, out));
    }

    pub fn used(&mut self, text: &str) {
        self.call(|itr, now, _| itr.used(group(), prefix(text), now));
    }

    /// Answers the last request with these records.
    pub fn reply(&mut self, records: &[EidRecord]) {
        let nonce = self.asked.last().unwrap().nonce();
        self.reply_to(nonce, records);
    }

    pub fn reply_to(&mut self, nonce: u64, records: &[EidRecord]) {
        let reply = MapReply { nonce, records: records.to_vec(), ..MapReply::default() };
        self.reply_from(reply, SocketAddr::new(resolver(10), 4342));
    }

    /// Answers a request with records and a context block.
    pub fn reply_with(&mut self, nonce: u64, records: &[EidRecord], block: &Acx) {
        let reply = MapReply { nonce, records: records.to_vec(), tail: block.bytes(), ..MapReply::default() };
        self.reply_from(reply, SocketAddr::new(resolver(10), 4342));
    }

    /// A Map-Notify with a context block.
    pub fn notify_with(&mut self, nonce: u64, records: &[EidRecord], block: &Acx) -> bool {
        let (records, tail) = (records.to_vec(), block.bytes());
        let notify = MapNotify { nonce, records, xtr: Some(XTR), tail, ..MapNotify::default() };
        self.notify_bytes(&notify.signed(&key()))
    }

    /// The classes of what was published since the last look.
    pub fn rows(&mut self) -> Vec<BTreeMap<u8, Choice>> {
        std::mem::take(&mut self.mappings).into_iter().map(|change| change.classes).collect()
    }

    pub fn reply_from(&mut self, reply: MapReply, from: SocketAddr) {
        // Through the bytes, as in life.
        let reply = MapReply::parse(&reply.emit()).unwrap();
        self.call(|itr, now, out| itr.map_reply(reply, from, now, out));
    }

    /// A Map-Notify of the Map-Server, signed with its key; whether the ITR took it for its own.
    pub fn notify(&mut self, nonce: u64, records: &[EidRecord]) -> bool {
        let notify = MapNotify { nonce, records: records.to_vec(), xtr: Some(XTR), ..MapNotify::default() };
        self.notify_bytes(&notify.signed(&key()))
    }

    pub fn notify_bytes(&mut self, bytes: &[u8]) -> bool {
        let notify = MapNotify::parse(bytes).unwrap();
        let from = SocketAddr::new(resolver(10), 4342);
        self.call(|itr, now, out| itr.map_notify(&notify, bytes, from, now, out))
    }

    /// Confirms the subscription of the last request.
    pub fn confirm(&mut self, records: &[EidRecord]) {
        let nonce = self.asked.last().unwrap().nonce();
        assert!(self.notify(nonce, records));
    }

    pub fn smr(&mut self, source: &str) {
        let request = MapRequest {
            smr: true,
            source_eid: LispAddress::for_eid(group(), ip(source)),
            itr_rlocs: vec![rloc(1).into()],
            records: vec![sterna_wire::lisp::control::RequestRecord::of(group(), prefix("10.9.0.0/24"))],
            ..MapRequest::default()
        };
        self.call(|itr, now, out| itr.smr(&request, SocketAddr::new(rloc(1), 4342), now, out));
    }

    pub fn traffic(&mut self, number: u8, sent: bool, received: bool) {
        self.call(|itr, now, _| itr.traffic(rloc(number), sent, received, now));
    }

    pub fn answer_probe(&mut self, from: IpAddr, probe: &MapRequest, reachable: bool) {
        let (iid, prefix) = probe.records[0].prefix().unwrap();
        let answered =
            LocatorRecord { probed: true, local: true, reachable, ..LocatorRecord::unicast(from, 1, 100) };
        let record = EidRecord { locators: vec![answered], ..EidRecord::of(iid, prefix) };
        let reply =
            MapReply { probe: true, nonce: probe.nonce, records: vec![record], ..MapReply::default() };
        self.reply_from(reply, SocketAddr::new(from, 4342));
    }

    /// Resolves an EID to this mapping.
    pub fn learn(&mut self, eid: &str, mapping: EidRecord) {
        self.miss(eid);
        self.reply(&[mapping]);
        self.published();
    }

    /// What was published since the last look: prefix and RLOC numbers; none for negative, nothing for removed.
    pub fn published(&mut self) -> Vec<(String, Option<Option<Vec<Locator>>>)> {
        let changes = std::mem::take(&mut self.mappings).into_iter();
        changes
            .map(|change| {
                let mapping = change.mapping.map(|mapping| match mapping {
                    Mapping::Locators(locators) => Some(locators),
                    Mapping::Negative => None,
                });
                (change.prefix.to_string(), mapping)
            })
            .collect()
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.itr.counters().get(counter)
    }

    pub fn entry(&self, text: &str) -> Option<EntryView> {
        let wanted = prefix(text);
        self.itr.entries().find(|entry| entry.iid == group() && entry.prefix == wanted)
    }

    pub fn state(&self, text: &str) -> Option<EntryState> {
        self.entry(text).map(|entry| entry.state)
    }
}

/// What [`Bench::published`] gives for a mapping to these RLOCs.
pub fn mapped(text: &str, numbers: &[u8]) -> (String, Option<Option<Vec<Locator>>>) {
    (text.to_owned(), Some(Some(numbers.iter().map(|number| locator(*number)).collect())))
}

pub fn negative(text: &str) -> (String, Option<Option<Vec<Locator>>>) {
    (text.to_owned(), Some(None))
}

pub fn removed(text: &str) -> (String, Option<Option<Vec<Locator>>>) {
    (text.to_owned(), None)
}
