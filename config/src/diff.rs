//! What changes from one configuration to the next, and what that takes.

mod context;
mod system;
mod words;

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use serde::Serialize;
use sterna_wire::Prefix;

use self::words::Words;

use crate::{Config, Dataplane, Group, LocalRloc, Mapping, Port};

/// What a change takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It is taken up while packets flow.
    Live,
    /// It is fixed while the gateway's processes live.
    Restart,
}

/// One difference between two configurations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where, such as `group[1].eids`; the old file's index for what is gone, else the new one's.
    pub path: String,
    /// What it takes.
    pub effect: Effect,
    /// What changes, in one sentence without a full stop.
    pub text: String,
}

/// Every difference between two configurations, in the file's order.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Changes(Vec::new());
    changes.gateway(old, new);
    changes.dataplane(&old.dataplane, &new.dataplane);
    changes.ports(&old.ports, &new.ports);
    changes.rlocs(old, new);
    changes.groups(old, new);
    changes.mappings(old, new);
    changes.mapping_system(old, new);
    changes.servers(old, new);
    changes.sites(old, new);
    changes.classes(old, new);
    changes.policies(old, new);
    changes.context(&old.context, &new.context);
    changes.0
}

/// Why a running gateway cannot take the changes up, in one sentence; nothing when it can.
pub fn refusal(changes: &[Change]) -> Option<String> {
    let fixed: Vec<String> = changes
        .iter()
        .filter(|change| change.effect == Effect::Restart)
        .map(|change| format!("{} ({})", change.path, change.text))
        .collect();
    let verb = if fixed.len() == 1 { "is" } else { "are" };
    (!fixed.is_empty()).then(|| {
        format!(
            "{} {verb} fixed while the gateway runs: put back the old value, or restart the gateway with this file",
            fixed.join(", ")
        )
    })
}

struct Changes(Vec<Change>);

impl Changes {
    fn push(&mut self, path: impl Into<String>, effect: Effect, text: impl Into<String>) {
        self.0.push(Change { path: path.into(), effect, text: text.into() });
    }

    /// One value against another.
    fn value<T: PartialEq + Words>(&mut self, path: impl Into<String>, effect: Effect, old: &T, new: &T) {
        if old != new {
            self.push(path, effect, format!("{} becomes {}", old.words(), new.words()));
        }
    }

    fn gateway(&mut self, old: &Config, new: &Config) {
        self.value("gateway.name", Effect::Restart, &old.gateway.name, &new.gateway.name);
        let roles = |config: &Config| {
            let mut roles = config.gateway.roles.clone();
            roles.sort_unstable();
            roles
        };
        self.value("gateway.roles", Effect::Restart, &roles(old), &roles(new));
        self.value("paths.run_dir", Effect::Restart, &old.paths.run_dir, &new.paths.run_dir);
        self.value("paths.pin_dir", Effect::Restart, &old.paths.pin_dir, &new.paths.pin_dir);
        self.value("paths.state_dir", Effect::Restart, &old.paths.state_dir, &new.paths.state_dir);
    }

    fn dataplane(&mut self, old: &Dataplane, new: &Dataplane) {
        // Taken apart, so that a field added later cannot be forgotten here.
        let Dataplane {
            cores,
            polling,
            max_eids,
            max_sets,
            rx_ring,
            tx_ring,
            frames,
            hold_packets,
            hold_ms,
            mss_clamp,
            outer_df,
            dscp_decap,
            udp_source_port,
            allow_generic,
        } = old;
        self.value("dataplane.cores", Effect::Restart, cores, &new.cores);
        self.value("dataplane.polling", Effect::Restart, polling, &new.polling);
        self.value("dataplane.max_eids", Effect::Restart, max_eids, &new.max_eids);
        self.value("dataplane.max_sets", Effect::Restart, max_sets, &new.max_sets);
        self.value("dataplane.rx_ring", Effect::Restart, rx_ring, &new.rx_ring);
        self.value("dataplane.tx_ring", Effect::Restart, tx_ring, &new.tx_ring);
        self.value("dataplane.frames", Effect::Restart, frames, &new.frames);
        self.value("dataplane.hold_packets", Effect::Restart, hold_packets, &new.hold_packets);
        self.value("dataplane.hold_ms", Effect::Restart, hold_ms, &new.hold_ms);
        self.value("dataplane.mss_clamp", Effect::Live, mss_clamp, &new.mss_clamp);
        self.value("dataplane.outer_df", Effect::Live, outer_df, &new.outer_df);
        self.value("dataplane.dscp_decap", Effect::Live, dscp_decap, &new.dscp_decap);
        self.value("dataplane.udp_source_port", Effect::Live, udp_source_port, &new.udp_source_port);
        self.value("dataplane.allow_generic", Effect::Restart, allow_generic, &new.allow_generic);
    }

    /// A port's index is its identity on both planes, so ports are compared in order.
    fn ports(&mut self, old: &[Port], new: &[Port]) {
        for index in 0..old.len().max(new.len()) {
            let path = format!("port[{index}]");
            match (old.get(index), new.get(index)) {
                (Some(old), Some(new)) if old.name == new.name => self.port(&path, old, new),
                (Some(old), Some(new)) => {
                    self.value(format!("{path}.name"), Effect::Restart, &old.name, &new.name)
                }
                (Some(old), None) => self.push(path, Effect::Restart, format!("port {} goes", old.name)),
                (None, Some(new)) => self.push(path, Effect::Restart, format!("port {} comes", new.name)),
                (None, None) => {}
            }
        }
    }

    fn port(&mut self, path: &str, old: &Port, new: &Port) {
        let Port { name: _, side, queues, allow_shared, mtu } = old;
        self.value(format!("{path}.side"), Effect::Restart, side, &new.side);
        self.value(format!("{path}.queues"), Effect::Restart, queues, &new.queues);
        self.value(format!("{path}.allow_shared"), Effect::Restart, allow_shared, &new.allow_shared);
        self.value(format!("{path}.mtu"), Effect::Restart, mtu, &new.mtu);
    }

    fn rlocs(&mut self, old: &Config, new: &Config) {
        let name = |config: &Config, rloc: &LocalRloc| {
            let port = rloc.port.and_then(|index| config.ports.get(index));
            port.map(|port| port.name.clone())
        };
        self.entries(
            "rloc",
            (&old.rlocs, &new.rlocs),
            |rloc| rloc.address,
            |rloc| format!("locator {}", rloc.address),
            |changes, path, before, after| {
                changes.value(format!("{path}.port"), Effect::Live, &name(old, before), &name(new, after));
                let LocalRloc { address: _, port: _, priority, weight } = before;
                changes.value(format!("{path}.priority"), Effect::Live, priority, &after.priority);
                changes.value(format!("{path}.weight"), Effect::Live, weight, &after.weight);
            },
        );
    }

    fn groups(&mut self, old: &Config, new: &Config) {
        let port = |config: &Config, group: &Group| {
            config.ports.get(group.port).map(|port| port.name.clone()).unwrap_or_default()
        };
        self.entries(
            "group",
            (&old.groups, &new.groups),
            |group| group.iid,
            |group| format!("group {} ({})", group.iid, group.name),
            |changes, path, before, after| {
                changes.value(format!("{path}.port"), Effect::Live, &port(old, before), &port(new, after));
                changes.group(path, before, after);
            },
        );
    }

    fn group(&mut self, path: &str, old: &Group, new: &Group) {
        let Group {
            iid: _,
            name,
            port: _,
            vlan,
            gateway,
            mac,
            eids,
            dynamic_eids,
            skills,
            proxy_arp,
            on_negative,
        } = old;
        self.value(format!("{path}.name"), Effect::Live, name, &new.name);
        self.value(format!("{path}.vlan"), Effect::Live, vlan, &new.vlan);
        self.value(format!("{path}.mac"), Effect::Live, mac, &new.mac);
        self.value(format!("{path}.proxy_arp"), Effect::Live, proxy_arp, &new.proxy_arp);
        self.value(format!("{path}.on_negative"), Effect::Live, on_negative, &new.on_negative);
        let subnet = |&(address, len): &(IpAddr, u8)| format!("{address}/{len}");
        self.members(format!("{path}.gateway"), gateway, &new.gateway, subnet);
        self.members(format!("{path}.eids"), eids, &new.eids, |served| match served.via {
            Some(via) => format!("{} via {via}", served.prefix),
            None => served.prefix.to_string(),
        });
        self.members(format!("{path}.dynamic_eids"), dynamic_eids, &new.dynamic_eids, Prefix::to_string);
        self.members(format!("{path}.skills"), skills, &new.skills, Prefix::to_string);
    }

    fn mappings(&mut self, old: &Config, new: &Config) {
        self.entries(
            "mapping",
            (&old.mappings, &new.mappings),
            |mapping| (mapping.iid, mapping.eid),
            |mapping| format!("mapping of {} in {}", mapping.eid, mapping.iid),
            |changes, path, before: &Mapping, after| {
                changes.members(format!("{path}.rlocs"), &before.rlocs, &after.rlocs, |rloc| {
                    let checksum = if rloc.udp_checksum { " with UDP checksum" } else { "" };
                    format!("{} priority {} weight {}{checksum}", rloc.address, rloc.priority, rloc.weight)
                });
            },
        );
    }

    /// Entries of a list of tables that have an identity of their own: what goes, what comes, what changes.
    fn entries<T, K: Ord>(
        &mut self,
        list: &str,
        (old, new): (&[T], &[T]),
        identity: impl Fn(&T) -> K,
        called: impl Fn(&T) -> String,
        mut inside: impl FnMut(&mut Changes, &str, &T, &T),
    ) {
        let by_identity = |list| -> BTreeMap<K, (usize, &T)> {
            <[T]>::iter(list).enumerate().map(|(index, entry)| (identity(entry), (index, entry))).collect()
        };
        let (before, after) = (by_identity(old), by_identity(new));
        for (index, entry) in old.iter().enumerate() {
            if !after.contains_key(&identity(entry)) {
                self.push(format!("{list}[{index}]"), Effect::Live, format!("{} goes", called(entry)));
            }
        }
        for (index, entry) in new.iter().enumerate() {
            let path = format!("{list}[{index}]");
            match before.get(&identity(entry)) {
                Some((_, was)) => inside(self, &path, was, entry),
                None => self.push(path, Effect::Live, format!("{} comes", called(entry))),
            }
        }
    }

    /// Members of a set, by their words: what goes and what comes. Another order alone is no change.
    fn members<T>(&mut self, path: String, old: &[T], new: &[T], called: impl Fn(&T) -> String) {
        let words = |from: &[T]| -> Vec<String> { from.iter().map(&called).collect() };
        let (old, new) = (words(old), words(new));
        let list = |from: &[String], but: &[String]| -> Vec<String> {
            let but: HashSet<&String> = but.iter().collect();
            from.iter().filter(|entry| !but.contains(entry)).cloned().collect()
        };
        let (gone, come) = (list(&old, &new), list(&new, &old));
        let part = |names: Vec<String>, verb: &str| {
            (!names.is_empty()).then(|| format!("{} {verb}", names.join(", ")))
        };
        let parts: Vec<String> = [part(gone, "out"), part(come, "in")].into_iter().flatten().collect();
        if !parts.is_empty() {
            self.push(path, Effect::Live, parts.join("; "));
        }
    }
}

#[cfg(test)]
mod system_test;
#[cfg(test)]
mod test;
