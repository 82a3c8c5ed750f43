//! What the control plane says at a moment of a case, beside what follows from its config: `records.toml`.
//!
//! The mapping system, which would say it, is not part of these cases.

use std::net::IpAddr;
use std::path::Path;

use serde::Deserialize;
use sterna_config::Config;
use sterna_shm::{Adjacency, EidAction, Locator, LocatorSet, NextHop, Update};
use sterna_wire::{Family, Iid, Mac, Prefix};

use super::world::World;

/// One thing said.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// When, since the case began.
    at_ms: u64,
    /// A range where agents come and go.
    dynamic: Option<String>,
    /// The agent that the rest is about.
    eid: Option<IpAddr>,
    /// What happens to packets for it.
    becomes: Option<Becomes>,
    /// Where it went.
    #[serde(default)]
    locators: Vec<IpAddr>,
    /// Its MAC here.
    mac: Option<String>,
    /// Who relays for it.
    relay_from: Option<IpAddr>,
    /// The relay's time is over.
    #[serde(default)]
    forbid: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Becomes {
    Here,
    Hold,
    Away,
}

#[derive(Default, Deserialize)]
struct Records {
    #[serde(default)]
    record: Vec<Record>,
}

/// The records of a case's folder, in order of time; none when there is no file.
pub fn read(folder: &Path) -> Vec<Record> {
    let path = folder.join("records.toml");
    let Ok(text) = std::fs::read_to_string(&path) else { return Vec::new() };
    let records: Records =
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut records = records.record;
    records.sort_by_key(|record| record.at_ms);
    records
}

/// The group that all records are about.
const GROUP: u32 = 100;
/// Session numbers that the control plane of a small config does not reach.
const FIRST_ID: u32 = 1_000_000;

impl Record {
    /// When, since the case began.
    pub fn at_ns(&self) -> u64 {
        self.at_ms * 1_000_000
    }

    /// The updates that say so; `number` makes their session numbers the record's own.
    pub fn updates(&self, config: &Config, world: &World, number: u32) -> Vec<Update> {
        let iid = Iid::new(GROUP).expect("an instance-ID");
        let mut all = Vec::new();
        let range = self.dynamic.as_deref().map(|text| text.parse::<Prefix>().expect("a prefix"));
        all.extend(range.map(|prefix| Update::DynamicUpsert { iid, prefix }));
        let Some(eid) = self.eid else { return all };
        all.extend(self.relay_from.map(|from| match self.forbid {
            false => Update::RelayAllow { iid, eid, from },
            true => Update::RelayForbid { iid, eid, from },
        }));
        let Some(becomes) = self.becomes else { return all };
        let action = match becomes {
            Becomes::Hold => EidAction::Hold,
            Becomes::Here => {
                let group = config.groups.iter().find(|group| group.iid == iid).expect("the group");
                let mac: Mac = self.mac.as_deref().and_then(|mac| mac.parse().ok()).expect("its MAC");
                EidAction::LocalHost { port: group.port as u16, vlan: group.vlan, mac }
            }
            Becomes::Away => {
                let id = FIRST_ID + 100 * number;
                all.extend(self.set(config, world, id));
                EidAction::Away { set: id }
            }
        };
        all.push(Update::EidUpsert { iid, prefix: Prefix::host(eid), action });
        all
    }

    /// A set of the record's locators, all behind the world's router.
    fn set(&self, config: &Config, world: &World, id: u32) -> Vec<Update> {
        let port = config.ports.iter().position(|port| port.side.is_rloc()).expect("an rloc-side port");
        let (source, _) = world.link(&config.ports[port].name);
        let destination = Some(world.router());
        let hop = NextHop { port: port as u16, source, destination };
        let mut all = vec![Update::NextHopUpsert { id, hop }];
        let mut locators = Vec::new();
        for (number, remote) in self.locators.iter().enumerate() {
            let own = config.rlocs.iter().map(|rloc| rloc.address);
            let local = own.into_iter().find(|own| Family::of(*own) == Family::of(*remote)).expect("an RLOC");
            let adjacency = id + number as u32;
            let value = Adjacency { next_hop: id, local, remote: *remote, mtu: 1500, udp_checksum: false };
            all.push(Update::AdjacencyUpsert { id: adjacency, adjacency: value });
            locators.push(Locator { adjacency, priority: 1, weight: 100, usable: true, keep: false });
        }
        let set = LocatorSet::new(&locators).expect("few locators");
        all.push(Update::SetUpsert { id, set });
        all
    }
}
