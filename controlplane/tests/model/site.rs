//! A gateway's config and an underlay in which it works, for tests.
#![allow(dead_code, clippy::unwrap_used, reason = "test code, and not every test uses all of it")]

use std::net::IpAddr;

use sterna_config::Config;
use sterna_controlplane::underlay::{Facts, Link, Neighbour, NeighbourKey, Questions, Route, RouteQuestion};
use sterna_wire::{Iid, Mac, Prefix};

/// Two uplinks, two groups with the same EIDs, mappings over both address families.
pub const CONFIG: &str = r#"
[gateway]
name = "gw-a"
roles = ["xtr"]
[[port]]
name = "e0"
side = "eid"
[[port]]
name = "e1"
side = "eid"
[[port]]
name = "u0"
side = "rloc"
[[port]]
name = "u1"
side = "rloc"
[[rloc]]
address = "192.0.2.1"
port = "u0"
[[rloc]]
address = "198.51.100.1"
port = "u1"
[[rloc]]
address = "2001:db8::1"
port = "u0"
[[group]]
iid = 100
name = "research"
port = "e0"
gateway = ["10.1.0.1/16", "fd00:64::1/64"]
eids = ["10.1.1.0/24", "fd00:64::a:0/112"]
[[group]]
iid = 200
name = "trading"
port = "e1"
vlan = 20
gateway = ["10.1.0.1/16"]
eids = ["10.1.1.0/24"]
on_negative = "native"
[[mapping]]
iid = 100
eid = "10.1.2.0/24"
rlocs = [{ address = "203.0.113.1", priority = 1 }, { address = "203.0.113.2", priority = 2 }]
[[mapping]]
iid = 100
eid = "fd00:64::b:0/112"
rlocs = [{ address = "203.0.113.2", priority = 2 }, { address = "203.0.113.1", priority = 1 }]
[[mapping]]
iid = 200
eid = "10.1.2.0/24"
rlocs = [{ address = "2001:db8:1::1", udp_checksum = true }]
"#;

pub fn config() -> Config {
    sterna_config::parse(CONFIG, "test").unwrap().into_config()
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub fn iid(number: u32) -> Iid {
    Iid::new(number).unwrap()
}

/// The MAC of the link with this index.
pub fn own_mac(link: u32) -> Mac {
    Mac([2, 0, 0, 0, 1, link as u8])
}

/// The MAC of the gateway behind the link with this index.
pub fn gateway_mac(link: u32) -> Mac {
    Mac([2, 0, 0, 0, 9, link as u8])
}

/// Links u0 (index 3) and u1 (index 4), each with a gateway.
pub const U0: u32 = 3;
pub const U1: u32 = 4;

/// The gateway behind a link.
pub fn gateway(link: u32, remote: IpAddr) -> IpAddr {
    match (remote, link) {
        (IpAddr::V4(_), U0) => ip("192.0.2.254"),
        (IpAddr::V4(_), _) => ip("198.51.100.254"),
        (IpAddr::V6(_), _) => ip("fe80::fe"),
    }
}

/// An underlay in which everything works: the kernel prefers u0, and each own RLOC routes by its own link.
pub fn facts(questions: &Questions) -> Facts {
    let mut facts = Facts { read: true, settled: true, ..Facts::default() };
    for (index, name, up) in [(1, "e0", true), (2, "e1", true), (U0, "u0", true), (U1, "u1", true)] {
        let link = Link { index, name: name.into(), mac: own_mac(index), mtu: 1500, up };
        facts.links.insert(index, link);
    }
    facts.asked = questions.remotes.clone();
    facts.addresses = [(U0, ip("192.0.2.1")), (U1, ip("198.51.100.1")), (U0, ip("2001:db8::1"))].into();
    for question in questions.routes() {
        let oif = if question.source == Some(ip("198.51.100.1")) { U1 } else { U0 };
        add_route(&mut facts, question, oif);
    }
    facts
}

/// A route by this link, over its gateway, which has answered.
pub fn add_route(facts: &mut Facts, question: RouteQuestion, oif: u32) {
    let next_hop = gateway(oif, question.remote);
    facts.routes.insert(question, Route { oif, next_hop, mtu: None });
    let known = Neighbour { mac: Some(gateway_mac(oif)), ..Neighbour::default() };
    facts.neighbours.insert(NeighbourKey { link: oif, address: next_hop }, known);
}

/// The secret of the tests' key files.
pub const SECRET: &str = "tern";

/// The Map-Server and Map-Resolver of [`lisp_config`].
pub const SERVER: &str = "203.0.113.10";

/// The config with a mapping system; its key file is written to `folder`.
pub fn lisp_config(folder: &std::path::Path) -> Config {
    use std::os::unix::fs::PermissionsExt;
    let key = folder.join("site.key");
    std::fs::write(&key, SECRET).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = lisp_text();
    sterna_config::parse_in(&text, "test", folder).unwrap().into_config()
}

/// The text of [`lisp_config`].
pub fn lisp_text() -> String {
    let dynamic = "eids = [\"10.1.1.0/24\", \"fd00:64::a:0/112\"]\n";
    let with_ranges = format!("{dynamic}dynamic_eids = [\"10.1.100.0/24\"]\n");
    let system = format!(
        "\n[mapping_system]\nmap_resolvers = [\"{SERVER}\"]\nsite_id = 7\n\
         xtr_id = \"000102030405060708090a0b0c0d0e0f\"\n\
         map_servers = [{{ address = \"{SERVER}\", keys = [{{ id = 1, file = \"site.key\" }}] }}]\n"
    );
    CONFIG.replace(dynamic, &with_ranges) + &system
}
