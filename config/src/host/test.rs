use std::collections::HashMap;

use super::*;

const FILE: &str = include_str!("../../examples/single-gateway.toml");

/// A machine that fits the example.
struct Made {
    interfaces: HashMap<&'static str, Interface>,
    default: Vec<&'static str>,
    cores: Vec<usize>,
}

impl Made {
    fn fitting() -> Made {
        let plain = Interface { mtu: Some(1500), queues: Some(1), loopback: false };
        Made {
            interfaces: HashMap::from([("eth0", plain), ("eth1", plain)]),
            default: vec![],
            cores: vec![0, 1],
        }
    }

    fn with(mut self, name: &'static str, interface: Interface) -> Made {
        self.interfaces.insert(name, interface);
        self
    }
}

impl Facts for Made {
    fn interfaces(&self) -> Option<Vec<String>> {
        let mut names: Vec<String> = self.interfaces.keys().map(|name| (*name).to_owned()).collect();
        names.sort();
        Some(names)
    }

    fn interface(&self, name: &str) -> Interface {
        self.interfaces.get(name).copied().unwrap_or_default()
    }

    fn default_routes(&self) -> Vec<String> {
        self.default.iter().map(|name| (*name).to_owned()).collect()
    }

    fn cores(&self) -> Option<Vec<usize>> {
        Some(self.cores.clone())
    }
}

fn found(text: &str, facts: &dyn Facts) -> Vec<(Code, String, usize)> {
    let config = crate::parse(text, "x").unwrap_or_else(|report| panic!("{report}"));
    let report = check(&config, facts).err();
    let findings = report.map(|report| report.findings).unwrap_or_default();
    findings.into_iter().map(|finding| (finding.code, finding.path, finding.line)).collect()
}

#[test]
fn a_fitting_machine_has_no_findings() {
    assert_eq!(found(FILE, &Made::fitting()), []);
}

#[test]
fn every_misfit_is_found_at_once_with_its_line() {
    let mut facts = Made::fitting().with("eth0", Interface { mtu: Some(1300), ..Interface::default() });
    facts.interfaces.remove("eth1");
    facts.default.push("eth0");
    facts.cores = vec![0];
    let line = |needle: &str| FILE.lines().position(|line| line.contains(needle)).unwrap() + 1;
    assert_eq!(
        found(FILE, &facts),
        [
            (Code::NoSuchCore, "dataplane.cores[0]".to_owned(), line("cores = [1]")),
            (Code::NoSuchInterface, "port[0].name".to_owned(), line("name = \"eth1\"")),
            (Code::DefaultRoute, "port[1].name".to_owned(), line("name = \"eth0\"")),
            (Code::HostMtu, "port[1].name".to_owned(), line("name = \"eth0\"")),
        ]
    );
}

#[test]
fn a_gateway_without_a_dataplane_asks_nothing_of_cores_and_ports() {
    let resolver = "[gateway]\nname = \"mr\"\nroles = [\"map-resolver\"]\n[[rloc]]\naddress = \"192.0.2.1\"\n\
                    [map_resolver]\nmap_servers = [{ address = \"192.0.2.2\" }]\n";
    let mut facts = Made::fitting();
    facts.cores = vec![];
    assert_eq!(found(resolver, &facts), []);
}

#[test]
fn a_shared_port_may_carry_the_default_route() {
    let mut facts = Made::fitting();
    facts.default.push("eth0");
    assert_eq!(found(FILE, &facts).len(), 1);
    let shared = FILE.replace("side = \"rloc\"", "side = \"rloc\"\nallow_shared = true");
    assert_eq!(found(&shared, &facts), []);
}

#[test]
fn queues_must_be_as_many_as_are_served() {
    let facts = Made::fitting().with("eth1", Interface { queues: Some(4), ..Interface::default() });
    assert_eq!(found(FILE, &facts)[0].0, Code::HostQueues);
}

#[test]
fn mtu_must_fit_frame_file_and_locators() {
    let with_mtu =
        |name, mtu| Made::fitting().with(name, Interface { mtu: Some(mtu), ..Interface::default() });
    for (name, mtu, fits) in [
        ("eth0", 1316, true),
        ("eth0", 1315, false),
        ("eth0", 3498, true),
        ("eth0", 9000, false),
        ("eth1", 1280, true),
        ("eth1", 1279, false),
    ] {
        assert_eq!(found(FILE, &with_mtu(name, mtu)).is_empty(), fits, "{name} {mtu}");
    }
    let asked = FILE.replace("side = \"rloc\"", "side = \"rloc\"\nmtu = 1600");
    assert_eq!(found(&asked, &with_mtu("eth0", 1500)), [(Code::HostMtu, "port[1].mtu".to_owned(), 18)]);
}

#[test]
fn a_loopback_is_no_port() {
    let facts = Made::fitting().with("eth1", Interface { loopback: true, ..Interface::default() });
    assert_eq!(found(FILE, &facts)[0].0, Code::BadInterface);
}

#[test]
fn what_is_not_known_is_no_finding() {
    struct Nothing;
    impl Facts for Nothing {
        fn interfaces(&self) -> Option<Vec<String>> {
            None
        }
        fn interface(&self, _: &str) -> Interface {
            Interface::default()
        }
        fn default_routes(&self) -> Vec<String> {
            Vec::new()
        }
        fn cores(&self) -> Option<Vec<usize>> {
            None
        }
    }
    assert_eq!(found(FILE, &Nothing), []);
}
