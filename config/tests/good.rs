//! The shipped files are right, and say what they mean to say.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sterna_config::{Code, Config, KeyAlgorithm, Paths, Role, Side, load};
use tempfile::TempDir;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> Config {
    load(path).unwrap_or_else(|report| panic!("{report}")).into_config()
}

/// The examples in a folder of their own, with the key files that they tell the reader to make.
fn with_keys() -> TempDir {
    let made = tempfile::tempdir().unwrap();
    for path in examples() {
        fs::copy(&path, made.path().join(path.file_name().unwrap())).unwrap();
    }
    for (name, secret) in [("site-a.key", "0123456789abcdef\n"), ("site-b.key", "fedcba9876543210\n")] {
        let path = made.path().join(name);
        fs::write(&path, secret).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    made
}

fn examples() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder().join("examples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    // Whoever tries the examples makes key files beside them.
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

#[test]
fn every_example_is_right() {
    let files = examples();
    assert!(files.len() >= 7);
    let folder = with_keys();
    for path in files {
        let config = read(&folder.path().join(path.file_name().unwrap()));
        assert_eq!(config.has(Role::Xtr), config.gateway.name != "ms");
        assert_eq!(config.paths, Paths::of(&config.gateway.name));
    }
}

#[test]
fn an_example_without_its_keys_says_only_that() {
    for path in examples() {
        let Err(report) = load(&path) else { continue };
        for finding in &report.findings {
            assert!([Code::BadKeyFile, Code::OpenKeyFile].contains(&finding.code), "{report}");
        }
    }
}

#[test]
fn the_map_server_knows_both_sites() {
    let folder = with_keys();
    let of = |name: &str| read(&folder.path().join(name));
    let (ms, a, b) = (of("map-server.toml"), of("mapping-system-a.toml"), of("mapping-system-b.toml"));
    for (gateway, site) in [(&a, &ms.sites[0]), (&b, &ms.sites[1])] {
        let system = gateway.mapping_system.as_ref().unwrap();
        let address: IpAddr = ms.rlocs[0].address;
        assert_eq!(
            (system.map_resolvers.as_slice(), system.map_servers[0].address),
            (&[address][..], address)
        );
        assert_eq!(system.map_servers[0].sending_key(), Some(&site.keys[0]));
        assert_eq!(site.keys[0].algorithm, KeyAlgorithm::Sha256);
        assert_eq!(site.keys[0].secret.as_bytes().len(), 16);
        for group in &gateway.groups {
            let dynamic = group.dynamic_eids.iter().map(|range| (range, true));
            for (prefix, more) in group.eids.iter().map(|served| (&served.prefix, false)).chain(dynamic) {
                let scope =
                    site.eids.iter().find(|eid| (eid.iid, &eid.prefix) == (group.iid, prefix)).unwrap();
                assert_eq!(scope.more_specifics, more, "{prefix}");
            }
        }
    }
    assert_eq!(a.groups[0].mac, b.groups[0].mac);
    let shares = |config: &Config| -> Vec<(u8, u8)> {
        config.rlocs.iter().map(|rloc| (rloc.priority, rloc.weight)).collect()
    };
    assert_eq!((shares(&a), shares(&b)), (vec![(1, 100), (2, 100)], vec![(1, 75), (1, 25)]));
}

#[test]
fn a_map_server_needs_no_dataplane() {
    let ms = read(&with_keys().path().join("map-server.toml"));
    assert_eq!(ms.gateway.roles, [Role::MapServer, Role::MapResolver]);
    assert!(ms.ports.is_empty() && ms.groups.is_empty() && ms.mapping_system.is_none());
    assert_eq!(ms.rlocs[0].port, None);
    assert_eq!(ms.map_server.map(|limits| limits.registration_s), Some(180));
    assert_eq!(ms.map_resolver.map(|resolver| resolver.map_servers.len()), Some(0));
}

#[test]
fn nothing_that_is_printed_holds_a_secret() {
    let folder = with_keys();
    for name in ["map-server.toml", "mapping-system-a.toml"] {
        let config = load(&folder.path().join(name)).unwrap();
        let printed = format!("{config:?} {config:#?}");
        assert!(printed.contains("hidden") && !printed.contains("0123456789abcdef"), "{printed}");
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
    assert_eq!(config.rlocs[0].port, Some(0));
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
