//! The desired state from a config and an underlay.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod model;

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use model::site::{self, U0, U1, config, gateway_mac, iid, ip, own_mac, prefix};
use sterna_controlplane::desired::{EidKey, EidWanted, NextHopKey, Path, Paths, Ports, Reach, Site, View};
use sterna_controlplane::plane::ControlPlane;
use sterna_controlplane::underlay::{Facts, Neighbour, NeighbourKey, RouteQuestion};
use sterna_shm::{Event, NegativeAction, NextHop};

/// A plane in a working underlay that was changed a little.
fn plane(change: impl FnOnce(&mut Facts)) -> ControlPlane {
    let mut plane = ControlPlane::new(config());
    let mut facts = site::facts(&plane.questions());
    change(&mut facts);
    plane.underlay(facts, Instant::now());
    plane
}

fn path(plane: &ControlPlane, remote: &str) -> Path {
    plane.paths().remotes[&ip(remote)].clone().unwrap()
}

/// Which locators of an EID are usable.
fn usable(plane: &ControlPlane, number: u32, eid: &str) -> Vec<(IpAddr, bool)> {
    let key = EidKey { iid: iid(number), prefix: prefix(eid) };
    let EidWanted::Remote(set) = &plane.site().eids[&key] else { panic!("not remote") };
    plane.paths().sets[set].iter().map(|locator| (locator.adjacency.remote, locator.usable)).collect()
}

#[test]
fn the_site_follows_from_the_config() {
    let plane = plane(|_| {});
    let site = plane.site();
    assert_eq!(site.rlocs, [ip("192.0.2.1"), ip("198.51.100.1"), ip("2001:db8::1")].into());
    let research = site.groups[&iid(100)];
    assert_eq!((research.port, research.vlan), (0, None));
    assert_eq!(research.gateway_v4, Some(([10, 1, 0, 1].into(), 16)));
    assert_eq!(research.gateway_v6.map(|(_, len)| len), Some(64));
    let trading = site.groups[&iid(200)];
    assert_eq!((trading.port, trading.vlan.map(|vlan| vlan.get())), (1, Some(20)));
    assert_eq!(site.on_negative[&iid(100)], NegativeAction::Drop);
    assert_eq!(site.on_negative[&iid(200)], NegativeAction::Native);
    let local = &site.eids[&EidKey { iid: iid(200), prefix: prefix("10.1.1.0/24") }];
    assert_eq!(*local, EidWanted::Local { port: 1, vlan: trading.vlan, via: None });
    assert_eq!(site.eids.len(), 6);
    assert_eq!(site.sets.len(), 2, "the same locators in another order are one set");
}

#[test]
fn a_working_underlay_gives_paths() {
    let plane = plane(|_| {});
    let here = path(&plane, "203.0.113.1");
    assert_eq!((here.local, &here.reach, here.mtu), (ip("192.0.2.1"), &Reach::Reachable, 1500));
    let key = NextHopKey { port: 2, address: Some(ip("192.0.2.254")) };
    assert_eq!(here.next_hop, key);
    let hop = NextHop { port: 2, source: own_mac(U0), destination: Some(gateway_mac(U0)) };
    assert_eq!(plane.paths().hops[&key], hop);
    assert_eq!(path(&plane, "2001:db8:1::1").local, ip("2001:db8::1"));
    assert!(
        plane.paths().adjacencies.keys().any(|key| key.udp_checksum && key.remote == ip("2001:db8:1::1"))
    );
    assert_eq!(plane.paths().settings.smallest_underlay_mtu, 1500);
    assert!(plane.warnings().is_empty(), "{:?}", plane.warnings());
}

#[test]
fn the_kernels_choice_of_a_port_decides_the_local_rloc() {
    let plane = plane(|facts| {
        let free = RouteQuestion { remote: ip("203.0.113.1"), source: None };
        site::add_route(facts, free, U1);
    });
    assert_eq!(path(&plane, "203.0.113.1").local, ip("198.51.100.1"));
    assert_eq!(path(&plane, "203.0.113.1").next_hop.port, 3);
    assert_eq!(path(&plane, "203.0.113.2").local, ip("192.0.2.1"), "the other remote is not concerned");
}

#[test]
fn a_link_down_moves_to_the_other_own_rloc_where_there_is_one() {
    let plane = plane(|facts| {
        facts.links.get_mut(&U0).unwrap().up = false;
        facts.neighbours.retain(|key, _| key.link != U0);
    });
    assert_eq!(path(&plane, "203.0.113.1").local, ip("198.51.100.1"));
    assert_eq!(path(&plane, "203.0.113.1").reach, Reach::Reachable);
    assert_eq!(path(&plane, "2001:db8:1::1").reach, Reach::LinkDown);
    assert_eq!(usable(&plane, 100, "10.1.2.0/24"), [(ip("203.0.113.1"), true), (ip("203.0.113.2"), true)]);
    assert_eq!(usable(&plane, 200, "10.1.2.0/24"), [(ip("2001:db8:1::1"), false)]);
}

#[test]
fn a_lost_route_leaves_the_locator_known_but_unusable() {
    let plane = plane(|facts| facts.routes.retain(|question, _| question.remote != ip("203.0.113.1")));
    assert_eq!(path(&plane, "203.0.113.1").reach, Reach::NoRoute);
    assert_eq!(
        usable(&plane, 100, "10.1.2.0/24"),
        [(ip("203.0.113.1"), false), (ip("203.0.113.2"), true)],
        "it stays a valid source, the other one takes over"
    );
}

#[test]
fn a_next_hop_is_held_for_while_it_is_asked_and_given_up_when_it_fails() {
    let key = NeighbourKey { link: U0, address: ip("192.0.2.254") };
    let asked = plane(|facts| {
        facts.neighbours.insert(key, Neighbour::default());
    });
    let here = path(&asked, "203.0.113.1");
    assert_eq!((here.reach, here.destination), (Reach::Resolving, None));
    assert_eq!(here.local, ip("192.0.2.1"));
    assert!(usable(&asked, 100, "10.1.2.0/24").iter().all(|(_, usable)| *usable));
    let silent = Neighbour { failed: true, ..Neighbour::default() };
    let failed = plane(|facts| {
        facts.neighbours.insert(key, silent);
    });
    assert_eq!(path(&failed, "203.0.113.1").local, ip("198.51.100.1"), "the other uplink takes over");
}

#[test]
fn a_route_by_a_foreign_link_is_no_way() {
    let plane = plane(|facts| {
        let name = "mgmt0".to_string();
        let link =
            sterna_controlplane::underlay::Link { index: 9, name, mac: own_mac(9), mtu: 1500, up: true };
        facts.links.insert(9, link);
        for route in facts.routes.values_mut() {
            route.oif = 9;
        }
    });
    assert_eq!(path(&plane, "203.0.113.1").reach, Reach::NotAPort("mgmt0".into()));
    assert!(plane.paths().hops.values().all(|hop| hop.destination.is_none()));
}

#[test]
fn the_smallest_mtu_is_that_of_the_paths_in_use() {
    let small = plane(|facts| {
        for (question, route) in &mut facts.routes {
            if question.remote == ip("203.0.113.2") {
                route.mtu = Some(1400);
            }
        }
    });
    assert_eq!(path(&small, "203.0.113.2").mtu, 1400);
    assert_eq!(path(&small, "203.0.113.1").mtu, 1500);
    assert_eq!(small.paths().settings.smallest_underlay_mtu, 1400);
    let none = plane(|facts| {
        facts.routes.clear();
        facts.links.get_mut(&U1).unwrap().mtu = 1350;
    });
    assert_eq!(none.paths().settings.smallest_underlay_mtu, 1350, "that of the links before any path works");
    let jumbo = plane(|facts| facts.links.get_mut(&U0).unwrap().mtu = 70_000);
    assert_eq!(path(&jumbo, "203.0.113.1").mtu, u16::MAX);
}

#[test]
fn an_rloc_that_is_not_on_its_port_is_warned_about() {
    let wrong = plane(|facts| {
        facts.addresses.remove(&(U1, ip("198.51.100.1")));
    });
    let warnings: Vec<_> = wrong.warnings().iter().collect();
    assert!(
        matches!(&warnings[..], [one] if one.contains("198.51.100.1") && one.contains("u1")),
        "{warnings:?}"
    );
    let loopback = plane(|facts| {
        facts.addresses.remove(&(U1, ip("198.51.100.1")));
        let lo = sterna_controlplane::underlay::Link {
            index: 99,
            name: "lo".into(),
            mac: sterna_wire::Mac::ZERO,
            mtu: 65_536,
            up: true,
        };
        facts.links.insert(99, lo);
        facts.addresses.insert((99, ip("198.51.100.1")));
    });
    assert!(loopback.warnings().is_empty(), "{:?}", loopback.warnings());
}

#[test]
fn ports_are_counted_as_the_dataplane_counts_them() {
    let config = config();
    let names = ["u0", "e1", "e0"].map(String::from).to_vec();
    let ports = Ports::new(&config, names);
    assert_eq!(ports.index(0), Some(2));
    assert_eq!(ports.rloc_side("u0"), Some(0));
    assert_eq!(ports.rloc_side("e0"), None, "not an rloc-side port");
    assert_eq!(ports.missing().collect::<Vec<_>>(), ["u1"]);
    let site = Site::new(&config, &ports);
    assert_eq!(site.groups[&iid(100)].port, 2);
    let facts = site::facts(&ControlPlane::new(config.clone()).questions());
    let paths = Paths::new(&site, View { config: &config, facts: &facts, ports: &ports });
    assert!(
        paths.remotes.values().flatten().all(|path| path.next_hop.port == 0),
        "u1 has no index to be used by"
    );
}

#[test]
fn every_example_of_the_config_gives_a_closed_state() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples");
    let mut read = 0;
    let keys = tempfile::tempdir().unwrap();
    for name in ["site-a.key", "site-b.key"] {
        let file = keys.path().join(name);
        std::fs::write(&file, "secret").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let config = sterna_config::parse_in(&text, "example", keys.path()).unwrap().into_config();
        let mut model = model::Model::default();
        model.new_session();
        let ports = config.ports.iter().map(|port| port.name.clone()).collect();
        let mut plane = ControlPlane::new(config);
        plane.session_began(1, ports, Instant::now());
        plane.event(Event::KnownEnd, Instant::now());
        for record in plane.pump(usize::MAX) {
            model.apply(&record);
        }
        model.assert_is(plane.site(), plane.paths(), &Default::default());
        read += 1;
    }
    assert!(read >= 3, "{read} examples");
}
