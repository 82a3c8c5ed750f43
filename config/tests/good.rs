//! The shipped files are right, and say what they mean to say.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]

use std::fs;
use std::path::{Path, PathBuf};

use sterna_config::{Config, Paths, Role, Side, load};

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> Config {
    load(path).unwrap_or_else(|report| panic!("{report}")).into_config()
}

fn examples() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder().join("examples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_example_is_right() {
    let files = examples();
    assert!(files.len() >= 4);
    for path in files {
        let config = read(&path);
        assert_eq!(config.gateway.roles, [Role::Xtr]);
        assert_eq!(config.paths, Paths::of(&config.gateway.name));
    }
}

#[test]
fn the_two_sites_fit_each_other() {
    let a = read(&folder().join("examples/two-sites-a.toml"));
    let b = read(&folder().join("examples/two-sites-b.toml"));
    assert_eq!(a.groups.len(), b.groups.len());
    for (ours, theirs) in a.groups.iter().zip(&b.groups) {
        assert_eq!((ours.iid, &ours.name, ours.mac), (theirs.iid, &theirs.name, theirs.mac));
        assert_eq!(ours.gateway, theirs.gateway);
    }
    for (here, there) in [(&a, &b), (&b, &a)] {
        for mapping in &here.mappings {
            let group = there.groups.iter().find(|group| group.iid == mapping.iid).unwrap();
            assert!(group.eids.iter().any(|served| served.prefix == mapping.eid), "{}", mapping.eid);
            for rloc in &mapping.rlocs {
                assert!(there.rlocs.iter().any(|own| own.address == rloc.address), "{}", rloc.address);
            }
        }
    }
}

#[test]
fn the_ipv6_example_has_one_port_of_both_sides() {
    let config = read(&folder().join("examples/ipv6-underlay.toml"));
    let [port] = config.ports.as_slice() else { panic!("{:?}", config.ports) };
    assert_eq!((port.side, port.mtu, port.queues), (Side::Both, Some(1500), 1));
    assert_eq!(config.rlocs[0].port, 0);
    assert!(config.groups[0].vlan.is_some());
    assert!(config.mappings[1].rlocs[0].udp_checksum);
}

#[test]
fn a_group_without_a_mac_has_the_anycast_one() {
    let config = read(&folder().join("examples/single-gateway.toml"));
    assert_eq!(config.groups[0].mac.to_string(), "02:53:54:00:00:64");
    assert_eq!(config.groups[0].gateway_v4(), Some(("10.1.0.1".parse().unwrap(), 16)));
    assert_eq!(config.groups[0].gateway_v6(), Some(("fd00:64::1".parse().unwrap(), 64)));
}
