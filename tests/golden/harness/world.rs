//! The underlay and the attached hosts that all cases share, as the kernel would tell them.

use std::fs;
use std::net::IpAddr;

use serde::Deserialize;
use sterna_controlplane::underlay::{Facts, Link, Neighbour, NeighbourKey, Questions, Route};
use sterna_wire::{Iid, Mac};

use super::case::root;

/// `world.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    link: Vec<LinkRow>,
    neighbour: Vec<NeighbourRow>,
    route: Vec<RouteRow>,
    agent: Vec<AgentRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkRow {
    name: String,
    mac: String,
    mtu: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NeighbourRow {
    link: String,
    address: IpAddr,
    mac: Option<String>,
    #[serde(default)]
    failed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteRow {
    remote: IpAddr,
    link: String,
    next_hop: IpAddr,
    mtu: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentRow {
    iid: u32,
    eid: IpAddr,
    mac: String,
}

fn mac(text: &str) -> Mac {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

impl World {
    /// The one there is.
    pub fn read() -> World {
        let text = fs::read_to_string(root().join("world.toml")).expect("the world");
        toml::from_str(&text).unwrap_or_else(|error| panic!("world.toml: {error}"))
    }

    /// A link's MAC and MTU.
    pub fn link(&self, name: &str) -> (Mac, u32) {
        let link = &self.link[self.index(name) as usize - 1];
        (mac(&link.mac), link.mtu)
    }

    /// Interface indices are places in the file, from 1 on.
    fn index(&self, name: &str) -> u32 {
        let at = self.link.iter().position(|link| link.name == name);
        at.unwrap_or_else(|| panic!("no link {name} in world.toml")) as u32 + 1
    }

    /// The MAC of the underlay's router.
    pub fn router(&self) -> Mac {
        let known = self.neighbour.iter().find_map(|row| row.mac.as_deref());
        mac(known.expect("a router in world.toml"))
    }

    /// The kernel's answers to these questions.
    pub fn facts(&self, questions: &Questions) -> Facts {
        let mut facts = Facts { read: true, settled: true, ..Facts::default() };
        for row in &self.link {
            let (index, name) = (self.index(&row.name), row.name.clone());
            facts.links.insert(index, Link { index, name, mac: mac(&row.mac), mtu: row.mtu, up: true });
        }
        for question in questions.routes() {
            let Some(row) = self.route.iter().find(|row| row.remote == question.remote) else {
                continue;
            };
            let route = Route { oif: self.index(&row.link), next_hop: row.next_hop, mtu: row.mtu };
            facts.routes.insert(question, route);
        }
        for row in &self.neighbour {
            let key = NeighbourKey { link: self.index(&row.link), address: row.address };
            let mac = row.mac.as_deref().map(mac);
            facts.neighbours.insert(key, Neighbour { mac, failed: row.failed, ..Neighbour::default() });
        }
        facts
    }

    /// The hosts that were seen before the case begins.
    pub fn agents(&self) -> impl Iterator<Item = (Iid, IpAddr, Mac)> {
        let iid = |row: &AgentRow| Iid::new(row.iid).expect("an instance-ID");
        self.agent.iter().map(move |row| (iid(row), row.eid, mac(&row.mac)))
    }
}
