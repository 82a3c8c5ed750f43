//! Peers as a test scripts them: they sign, send and understand what comes back.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::acx::{
    Acx, AgentState, Attributes, Constraint, Hardware, Load, Need, Scope, Scoped, StatusCode,
};
use sterna_wire::lisp::control::auth::{self, Algorithm, Key};
use sterna_wire::lisp::control::{
    EidRecord, LispAddress, LocatorRecord, MapNotify, MapRegister, MapReply, MapRequest, Message,
    RequestRecord, XtrId, encapsulate, parse,
};
use sterna_wire::{Iid, Prefix};

use crate::outbox::{Datagram, Outbox};
use crate::random::Random;
use crate::server::*;

/// The Map-Server's address in all tests.
pub const SERVER: &str = "192.0.2.10";

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub fn iid(number: u32) -> Iid {
    Iid::new(number).unwrap()
}

pub fn at(address: &str) -> SocketAddr {
    SocketAddr::new(ip(address), 4342)
}

pub fn key(id: u8, secret: &str) -> Key {
    Key::new(id, Algorithm::HmacSha256_128, secret.as_bytes())
}

/// A site whose key has id 1 and its name as secret, with parts of this prefix in group 100.
pub fn site(name: &str, scope: &str) -> SiteSettings {
    SiteSettings {
        keys: vec![key(1, name)],
        scopes: vec![crate::server::Scope { iid: iid(100), prefix: prefix(scope), more_specifics: true }],
        ..SiteSettings::named(name)
    }
}

pub fn settings(sites: &[SiteSettings]) -> ServerSettings {
    ServerSettings { addresses: vec![ip(SERVER)], sites: sites.to_vec(), ..ServerSettings::default() }
}

/// A server and the time.
pub struct World {
    pub server: Server,
    pub now: Instant,
}

impl World {
    pub fn new(settings: ServerSettings) -> World {
        let now = Instant::now();
        let mut server = Server::new(settings.clone(), Random::seeded(1));
        let mut out = Outbox::default();
        server.configure(settings, now, &mut out);
        assert!(out.is_empty(), "a new server has nothing to say");
        World { server, now }
    }

    /// A world with site-a and site-b, which both may register parts of 10.1.0.0/16 in group 100.
    pub fn of_two() -> World {
        World::new(settings(&[site("site-a", "10.1.0.0/16"), site("site-b", "10.1.0.0/16")]))
    }

    /// Gives the server bytes; what it sends.
    pub fn give(&mut self, bytes: &[u8], from: SocketAddr) -> Vec<Datagram> {
        self.handle(bytes, from).1
    }

    pub fn handle(&mut self, bytes: &[u8], from: SocketAddr) -> (Handled, Vec<Datagram>) {
        let mut out = Outbox::default();
        let handled = self.server.receive(bytes, from, ip(SERVER), self.now, &mut out);
        (handled, out.datagrams)
    }

    /// Lets time pass, ticking whenever the server asks for it; what it sends.
    pub fn pass(&mut self, time: Duration) -> Vec<Datagram> {
        self.pass_timed(time).into_iter().map(|(_, datagram)| datagram).collect()
    }

    /// As `pass`, with when it is sent.
    pub fn pass_timed(&mut self, time: Duration) -> Vec<(Duration, Datagram)> {
        let (start, end) = (self.now, self.now + time);
        let mut sent = Vec::new();
        for _ in 0..1_000_000 {
            let due = self.server.next_deadline().filter(|due| *due <= end);
            self.now = due.map_or(end, |due| due.max(self.now));
            let mut out = Outbox::default();
            self.server.tick(self.now, &mut out);
            sent.extend(out.datagrams.into_iter().map(|datagram| (self.now - start, datagram)));
            if self.now == end && self.server.next_deadline().is_none_or(|due| due > end) {
                return sent;
            }
        }
        panic!("the server is never done");
    }

    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.server.counters().refused(refusal)
    }

    /// All that was refused, for assertions that nothing else was.
    pub fn refusals(&self) -> Vec<(&'static str, u64)> {
        let refused = Refusal::ALL.iter().map(|refusal| (refusal.name(), self.refused(*refusal)));
        refused.filter(|(_, count)| *count > 0).collect()
    }

    /// The locators' addresses registered for exactly this prefix in group 100.
    pub fn registered(&self, exact: &str) -> Vec<IpAddr> {
        let mut found: Vec<IpAddr> = self
            .server
            .registrations(self.now)
            .filter(|view| view.iid == iid(100) && view.prefix == prefix(exact))
            .flat_map(|view| view.locators.iter().map(|locator| locator.address).collect::<Vec<_>>())
            .collect();
        found.sort();
        found
    }
}

/// An xTR.
pub struct Peer {
    pub key: Key,
    pub source: SocketAddr,
    pub xtr: Option<XtrId>,
    pub nonce: u64,
}

impl Peer {
    /// An xTR of this site at this address.
    pub fn of(site: &str, address: &str) -> Peer {
        let number = address.bytes().fold(1u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
        Peer {
            key: key(1, site),
            source: at(address),
            xtr: Some(XtrId { xtr_id: [number; 16], site_id: 7 }),
            nonce: 1000,
        }
    }

    /// One that has no xTR-ID.
    pub fn legacy(site: &str, address: &str) -> Peer {
        Peer { xtr: None, ..Peer::of(site, address) }
    }

    pub fn address(&self) -> IpAddr {
        self.source.ip()
    }

    /// A register of these prefixes in group 100 at its own address.
    pub fn register(&mut self, prefixes: &[&str]) -> MapRegister {
        let locator = LocatorRecord { local: true, ..LocatorRecord::unicast(self.address(), 1, 100) };
        let records = prefixes.iter().map(|text| EidRecord {
            authoritative: true,
            locators: vec![locator.clone()],
            ..EidRecord::of(iid(100), prefix(text))
        });
        self.nonce += 1;
        MapRegister {
            proxy_reply: true,
            want_notify: true,
            nonce: self.nonce,
            records: records.collect(),
            xtr: self.xtr,
            ..MapRegister::default()
        }
    }

    /// A register that withdraws these prefixes.
    pub fn withdrawal(&mut self, prefixes: &[&str]) -> MapRegister {
        let mut register = self.register(prefixes);
        register.records.iter_mut().for_each(|record| record.ttl = 0);
        register
    }

    /// Signs and sends; what the server sends.
    pub fn send(&self, world: &mut World, register: &MapRegister) -> Vec<Datagram> {
        world.give(&register.signed(&self.key), self.source)
    }

    /// Registers these prefixes; the records of the answer.
    pub fn registers(&mut self, world: &mut World, prefixes: &[&str]) -> Vec<EidRecord> {
        let register = self.register(prefixes);
        let sent = self.send(world, &register);
        self.confirmation(&sent, register.nonce)
    }

    /// The records of the Map-Notify that answers the register with this nonce.
    pub fn confirmation(&self, sent: &[Datagram], nonce: u64) -> Vec<EidRecord> {
        let mine = self.notifies(sent).into_iter().find(|notify| notify.nonce == nonce);
        mine.unwrap_or_else(|| panic!("no Map-Notify {nonce} in {sent:?}")).records
    }

    /// The Map-Notifies to this xTR, verified.
    pub fn notifies(&self, sent: &[Datagram]) -> Vec<MapNotify> {
        let mine = sent.iter().filter(|datagram| datagram.to.ip() == self.address());
        let parsed = mine.filter_map(|datagram| match parse(&datagram.bytes).unwrap() {
            Message::MapNotify(notify) => {
                // Without records it is about context alone.
                assert!(!notify.ack && (!notify.records.is_empty() || !notify.tail.is_empty()));
                assert_eq!(datagram.from, Some(ip(SERVER)));
                let verified = auth::verify(&datagram.bytes, notify.records_end, &self.key);
                assert_eq!(verified, Ok(auth::Coverage::Whole));
                Some(notify)
            }
            _ => None,
        });
        parsed.collect()
    }

    /// Acknowledges a Map-Notify; what the server sends then.
    pub fn ack(&self, world: &mut World, notify: &MapNotify) -> Vec<Datagram> {
        let ack = MapNotify { ack: true, ..notify.clone() };
        world.give(&ack.signed(&self.key), self.source)
    }

    /// A request for these prefixes in group 100.
    pub fn request(&mut self, prefixes: &[&str]) -> MapRequest {
        self.nonce += 1;
        MapRequest {
            nonce: self.nonce,
            itr_rlocs: vec![self.address().into()],
            records: prefixes.iter().map(|text| RequestRecord::of(iid(100), prefix(text))).collect(),
            ..MapRequest::default()
        }
    }

    /// A register that says this with this sequence, and nothing else: a delta without records.
    pub fn delta(&mut self, seq: u32, entries: Vec<Scoped>) -> MapRegister {
        let block = Acx { aware: true, seq, entries, ..Acx::default() };
        MapRegister { tail: block.bytes(), ..self.register(&[]) }
    }

    /// A register of these prefixes with a snapshot.
    pub fn snapshot(&mut self, prefixes: &[&str], seq: u32, entries: Vec<Scoped>) -> MapRegister {
        let block = Acx { aware: true, complete: true, seq, entries, ..Acx::default() };
        MapRegister { tail: block.bytes(), ..self.register(prefixes) }
    }

    /// Sends a register with context; the sequence and status that answer it.
    pub fn says(&self, world: &mut World, register: &MapRegister) -> (u32, StatusCode) {
        let sent = self.send(world, register);
        let notify = self.notifies(&sent).into_iter().find(|notify| notify.nonce == register.nonce);
        let block = block(&notify.unwrap().tail).unwrap();
        assert!(block.reply && block.aware && block.echo == self.xtr);
        (block.seq, block.status.unwrap().code)
    }

    /// Asks for one prefix in ACX; the record and the block of the answer.
    pub fn asks(&mut self, world: &mut World, text: &str, question: &Acx) -> (EidRecord, Option<Acx>) {
        let request = MapRequest { tail: question.bytes(), ..self.request(&[text]) };
        let sent = self.ask(world, &request);
        let mut replies = self.replies(&sent);
        assert_eq!(replies.len(), 1, "{sent:?}");
        let reply = replies.remove(0);
        assert!(reply.emit().len() <= 1400 && reply.nonce == request.nonce);
        (reply.records[0].clone(), block(&reply.tail))
    }

    /// A request that subscribes to this prefix.
    pub fn subscription(&mut self, text: &str) -> MapRequest {
        let mut request = self.request(&[text]);
        request.xtr = self.xtr;
        request.records[0].subscribe = true;
        request
    }

    /// Sends a request in an ECM; what the server sends.
    pub fn ask(&self, world: &mut World, request: &MapRequest) -> Vec<Datagram> {
        world.give(&ecm(request, self.source), self.source)
    }

    /// Asks for one prefix; the records of the Map-Reply.
    pub fn resolves(&mut self, world: &mut World, text: &str) -> Vec<EidRecord> {
        let request = self.request(&[text]);
        let sent = self.ask(world, &request);
        let replies = self.replies(&sent);
        assert_eq!(replies.len(), 1, "{sent:?}");
        assert_eq!(replies[0].nonce, request.nonce);
        replies[0].records.clone()
    }

    /// The Map-Replies to this xTR.
    pub fn replies(&self, sent: &[Datagram]) -> Vec<MapReply> {
        let mine = sent.iter().filter(|datagram| datagram.to.ip() == self.address());
        mine.filter_map(|datagram| MapReply::parse(&datagram.bytes).ok()).collect()
    }
}

/// The ACX block of a tail.
pub fn block(tail: &[u8]) -> Option<Acx> {
    Acx::find(tail).unwrap()
}

/// An EID of group 100 with all its locators.
pub fn whole(eid: &str) -> Scope {
    Scope::Eid(iid(100), prefix(eid))
}

pub fn in_state(state: AgentState) -> Attributes {
    Attributes { state: Some(state), ..Attributes::default() }
}

pub fn loaded(permille: u16) -> Attributes {
    Attributes { load: Some(Load { permille: Some(permille), queue: None }), ..Attributes::default() }
}

pub fn with_hardware(names: &[&str]) -> Attributes {
    let hardware = Some(Hardware::from_names(names.iter().copied()).unwrap());
    Attributes { hardware, ..Attributes::default() }
}

/// A question for all attributes.
pub fn for_attributes() -> Acx {
    Acx { aware: true, return_attributes: true, ..Acx::default() }
}

/// A question for a list of what has this hardware.
pub fn for_hardware(name: &str) -> Acx {
    let hardware = Hardware::from_names([name]).unwrap();
    Acx { aware: true, constraints: vec![Constraint::hard(Need::Hardware(hardware))], ..Acx::default() }
}

/// (last part of the address, priority) of each locator of a record.
pub fn order(record: &EidRecord) -> Vec<(String, u8)> {
    let one = |locator: &LocatorRecord| {
        let address = locator.address.rloc().unwrap().to_string();
        (address.rsplit(['.', ':']).next().unwrap().to_owned(), locator.priority)
    };
    record.locators.iter().map(one).collect()
}

/// A request in an ECM, from this address and port, to the first EID asked for.
pub fn ecm(request: &MapRequest, source: SocketAddr) -> Vec<u8> {
    let eid = request.records.first().and_then(|record| record.eid.eid());
    let eid = eid.map_or(ip(SERVER), |(_, eid)| eid);
    encapsulate(source, SocketAddr::new(eid, 4342), &request.emit())
}

/// The addresses of a record's locators.
pub fn addresses(record: &EidRecord) -> Vec<IpAddr> {
    record.locators.iter().filter_map(|locator| locator.address.rloc()).collect()
}

/// The prefix of a record in group 100.
pub fn prefix_of(record: &EidRecord) -> Prefix {
    let (group, prefix) = record.prefix().unwrap();
    assert_eq!(group, iid(100));
    prefix
}

/// An address that only a peer of another kind understands.
pub fn opaque() -> LispAddress {
    // An LCAF of type 14 (JSON) with a length of 4.
    LispAddress::Opaque(vec![0x40, 0x03, 0, 0, 14, 0, 0, 4, 0, 0, 0, 0])
}
