//! A gateway, a Map-Server and their words, in memory.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use sterna_controlplane::outbox::{CONTROL_PORT, Datagram};
use sterna_controlplane::plane::ControlPlane;
use sterna_shm::Event;
use sterna_wire::lisp::control::auth::{Algorithm, Key};
use sterna_wire::lisp::control::{
    self, EidRecord, LispAddress, LocatorRecord, MapRegister, MapReply, MapRequest, Message, RequestRecord,
    XtrId, encapsulate,
};
use sterna_wire::{Iid, Prefix};
use tempfile::TempDir;

/// Our own gateway.
pub const GATEWAY: &str = "192.0.2.1";
/// The gateway of site B.
pub const PEER: &str = "192.0.2.2";
/// The Map-Server and Map-Resolver.
pub const SERVER: &str = "192.0.2.10";
/// Whoever has no business here.
pub const STRANGER: &str = "198.51.100.66";

const XTR: &str = r#"
[gateway]
name = "gw-a"
[[port]]
name = "eth1"
side = "eid"
[[port]]
name = "eth0"
side = "rloc"
[[rloc]]
address = "192.0.2.1"
[mapping_system]
map_resolvers = ["192.0.2.10"]
map_servers = [{ address = "192.0.2.10", keys = [{ id = 1, file = "a.key" }] }]
[[group]]
iid = 100
name = "research"
port = "eth1"
gateway = ["10.1.0.1/16"]
eids = ["10.1.1.0/24"]
dynamic_eids = ["10.1.128.0/17"]
"#;

const SITES: &str = r#"
[gateway]
name = "ms"
roles = ["map-server", "map-resolver"]
[[rloc]]
address = "192.0.2.10"
[[site]]
name = "site-a"
keys = [{ id = 1, file = "a.key" }]
eids = [{ iid = 100, prefix = "10.1.1.0/24", more_specifics = true }]
[[site]]
name = "site-b"
keys = [{ id = 2, file = "b.key" }]
eids = [{ iid = 100, prefix = "10.1.2.0/24", more_specifics = true }]
"#;

/// A gateway with the role xtr, a process with the roles map-server and map-resolver, and the time.
pub struct World {
    pub xtr: ControlPlane,
    pub server: ControlPlane,
    pub now: Instant,
    /// The nonce of the question that was asked last.
    pub nonce: u64,
    _keys: TempDir,
}

impl World {
    pub fn new() -> World {
        let keys = tempfile::tempdir().unwrap();
        for name in ["a.key", "b.key"] {
            let file = keys.path().join(name);
            std::fs::write(&file, format!("secret of {name}\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let plane = |text: &str| {
            let config = sterna_config::parse_in(text, "test", keys.path());
            ControlPlane::new(config.unwrap_or_else(|report| panic!("{report:?}")).into_config())
        };
        let (xtr, server) = (plane(XTR), plane(SITES));
        let mut world = World { xtr, server, now: Instant::now(), nonce: 0, _keys: keys };
        world.xtr.tick(world.now);
        world.server.tick(world.now);
        world.registered_b();
        world.xtr.take_datagrams();
        world.server.take_datagrams();
        world.server.take_saves();
        world
    }

    /// Site B registers its prefix, for which the server answers.
    fn registered_b(&mut self) {
        let bytes = register(7, vec![mapping("10.1.2.0/24", &[PEER])]).signed(&key_b());
        self.server.datagram(&bytes, at(PEER), ip(SERVER), self.now);
        assert_eq!(self.server.take_datagrams().len(), 1, "the register is confirmed");
    }

    /// So many milliseconds later, with what is due done.
    pub fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        self.xtr.tick(self.now);
        self.server.tick(self.now);
    }

    /// A packet of ours misses this EID; the Map-Request goes out, and its nonce is remembered.
    pub fn ask(&mut self, eid: &str) -> u64 {
        self.xtr.take_datagrams();
        self.xtr.event(Event::Miss { iid: iid(), eid: ip(eid), source: false, port: 0, class: 0 }, self.now);
        let about = Some((iid(), Prefix::host(ip(eid))));
        let asked = self.xtr.take_datagrams();
        let mut questions = asked.iter().filter_map(question);
        let asked = questions.find(|asked| asked.records[0].prefix() == about).expect("a Map-Request");
        self.nonce = asked.nonce;
        self.nonce
    }

    /// The map-cache learns this mapping.
    pub fn learn(&mut self, asked: &str, record: EidRecord) {
        let nonce = self.ask(asked);
        self.xtr.datagram(&reply(nonce, vec![record]).emit(), at(SERVER), ip(GATEWAY), self.now);
    }

    /// Where packets to this EID go, as the map-cache says it: the addresses, empty for a negative entry.
    pub fn known(&self, eid: &str) -> Option<Vec<IpAddr>> {
        let entry = self.xtr.roles().itr().unwrap().lookup(iid(), ip(eid))?;
        Some(entry.locators.iter().map(|locator| locator.address).collect())
    }

    /// Whether a true answer to the last question is still welcome, and makes an entry.
    pub fn still_asks(&mut self, eid: &str) -> bool {
        let bytes = reply(self.nonce, vec![mapping("10.1.2.0/24", &[PEER])]).emit();
        self.xtr.datagram(&bytes, at(SERVER), ip(GATEWAY), self.now);
        self.known(eid) == Some(vec![ip(PEER)])
    }

    /// Whether the server has a registration for exactly this prefix's first address.
    pub fn registered(&self, eid: &str) -> bool {
        let prefix = prefix(eid);
        let server = self.server.roles().server().unwrap();
        server.registrations(self.now).any(|registration| registration.prefix == prefix)
    }
}

/// All counters of a process by role and name.
pub fn counters(plane: &ControlPlane) -> BTreeMap<String, u64> {
    let roles = plane.roles();
    let mut all: BTreeMap<String, u64> =
        roles.counters().iter().map(|(name, count, _)| (format!("dispatch.{name}"), count)).collect();
    if let Some(itr) = roles.itr() {
        all.extend(itr.counters().iter().map(|(counter, count)| (format!("itr.{}", counter.name()), count)));
    }
    if let Some(etr) = roles.etr() {
        all.extend(etr.counters().iter().map(|(counter, count)| (format!("etr.{}", counter.name()), count)));
    }
    if let Some(server) = roles.server() {
        all.extend(server.counters().all().map(|(name, count)| (format!("server.{name}"), count)));
    }
    all
}

//------------ words -----------------------------------------------------------------------------------------

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The control port of an address.
pub fn at(address: &str) -> SocketAddr {
    SocketAddr::new(ip(address), CONTROL_PORT)
}

pub fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub fn iid() -> Iid {
    Iid::new(100).unwrap()
}

pub fn key_a() -> Key {
    Key::new(1, Algorithm::HmacSha256_128, b"secret of a.key")
}

pub fn key_b() -> Key {
    Key::new(2, Algorithm::HmacSha256_128, b"secret of b.key")
}

/// Who registers for site B.
pub const XTR_B: XtrId = XtrId { xtr_id: [0xb; 16], site_id: 2 };

/// A record of the group with these locators.
pub fn mapping(text: &str, rlocs: &[&str]) -> EidRecord {
    let locators = rlocs.iter().map(|rloc| LocatorRecord::unicast(ip(rloc), 1, 100)).collect();
    EidRecord { locators, ..EidRecord::of(iid(), prefix(text)) }
}

pub fn reply(nonce: u64, records: Vec<EidRecord>) -> MapReply {
    MapReply { nonce, records, ..MapReply::default() }
}

/// A register of site B's xTR.
pub fn register(nonce: u64, records: Vec<EidRecord>) -> MapRegister {
    MapRegister {
        proxy_reply: true,
        want_notify: true,
        nonce,
        records,
        xtr: Some(XTR_B),
        ..MapRegister::default()
    }
}

/// A question of the gateway at site B.
pub fn request(eids: &[&str]) -> MapRequest {
    MapRequest {
        nonce: 0x0102_0304_0506_0708,
        source_eid: LispAddress::for_eid(iid(), ip("10.1.2.5")),
        itr_rlocs: vec![ip(PEER).into()],
        records: eids.iter().map(|eid| RequestRecord::of(iid(), prefix(eid))).collect(),
        ..MapRequest::default()
    }
}

/// A message in an ECM, as the gateway at site B sends it to its Map-Resolver.
pub fn ecm(message: &[u8]) -> Vec<u8> {
    encapsulate(at("10.1.2.5"), at("10.1.1.5"), message)
}

/// An address form that nobody here acts upon: an LCAF of type 12 with four bytes.
pub fn opaque() -> LispAddress {
    LispAddress::Opaque(vec![0x40, 3, 0, 0, 12, 0, 0, 4, 1, 2, 3, 4])
}

/// The Map-Request in a datagram, plain or in an ECM.
pub fn question(datagram: &Datagram) -> Option<MapRequest> {
    match control::parse(&datagram.bytes).ok()? {
        Message::MapRequest(request) => Some(request),
        Message::Ecm(ecm) => MapRequest::parse(ecm.message).ok(),
        _ => None,
    }
}
