//! The half that follows from the config: groups, own RLOCs, and what happens to each EID.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sterna_config::{Config, OnNegative, Rloc};
use sterna_shm::{Group, NegativeAction, Policy};
use sterna_wire::{Family, Iid, Prefix};

use super::{ClassesKey, EidKey, EidWanted, LocatorKey, Ports, SetKey};
use crate::context::{Class, Ranking};

/// Everything the config alone decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// Our own RLOCs.
    pub rlocs: BTreeSet<IpAddr>,
    /// Groups attached here.
    pub groups: BTreeMap<Iid, Group>,
    /// What a negative answer means, per group.
    pub on_negative: BTreeMap<Iid, NegativeAction>,
    /// Configured EIDs.
    pub eids: BTreeMap<EidKey, EidWanted>,
    /// Ranges in which agents may come and go, skills among them.
    pub dynamic: BTreeSet<EidKey>,
    /// EIDs that an agent here may have together with agents at other sites.
    pub skills: BTreeSet<EidKey>,
    /// What gives packets their class: the first that matches.
    pub policies: Vec<Policy>,
    /// All locator sets the EIDs name.
    pub sets: BTreeSet<SetKey>,
}

impl Site {
    /// The site of `config` on a dataplane with these ports.
    pub fn new(config: &Config, ports: &Ports) -> Self {
        let mut site = Site {
            rlocs: config.rlocs.iter().map(|rloc| rloc.address).collect(),
            policies: config.policies.iter().map(policy).collect(),
            ..Site::default()
        };
        let classes: Vec<Class> = config.classes.iter().map(Class::from).collect();
        for mapping in &config.mappings {
            let key = EidKey { iid: mapping.iid, prefix: mapping.eid };
            site.fixed(key, &mapping.rlocs, &classes, Ranking::of(config));
        }
        // After the mappings: what is served here is never sent away.
        for group in &config.groups {
            site.group(group, ports);
        }
        site
    }

    /// A configured mapping.
    fn fixed(&mut self, key: EidKey, rlocs: &[Rloc], classes: &[Class], ranking: Ranking) {
        let set = SetKey::new(rlocs.iter().map(LocatorKey::from).collect());
        self.sets.insert(set.clone());
        if classes.is_empty() {
            self.eids.insert(key, EidWanted::Remote(set));
            return;
        }
        let classes = ClassesKey::fixed(rlocs, classes, ranking);
        self.sets.extend(classes.sets().into_iter().cloned());
        self.eids.insert(key, EidWanted::Chosen { set, classes });
    }

    fn group(&mut self, group: &sterna_config::Group, ports: &Ports) {
        let action = match group.on_negative {
            OnNegative::Drop => NegativeAction::Drop,
            OnNegative::Native => NegativeAction::Native,
        };
        self.on_negative.insert(group.iid, action);
        let Some(port) = ports.index(group.port) else {
            return;
        };
        let record = Group {
            iid: group.iid,
            port,
            vlan: group.vlan,
            mac: group.mac,
            gateway_v4: group.gateway_v4(),
            gateway_v6: group.gateway_v6(),
            proxy_arp: group.proxy_arp,
        };
        self.groups.insert(group.iid, record);
        for served in &group.eids {
            let key = EidKey { iid: group.iid, prefix: served.prefix };
            self.eids.insert(key, EidWanted::Local { port, vlan: group.vlan, via: served.via });
        }
        self.skills.extend(group.skills.iter().map(|&prefix| EidKey { iid: group.iid, prefix }));
        // Agents with a skill come and go like others.
        for &prefix in group.dynamic_eids.iter().chain(&group.skills) {
            self.dynamic.insert(EidKey { iid: group.iid, prefix });
        }
    }

    /// Whether agents may come and go at this address.
    pub fn is_dynamic(&self, iid: Iid, address: IpAddr) -> bool {
        let ranges = self.dynamic.range(EidKey::first_of(iid)..);
        ranges.take_while(|key| key.iid == iid).any(|key| key.prefix.contains(address))
    }

    /// Whether agents at several sites may have this EID.
    pub fn is_skill(&self, iid: Iid, address: IpAddr) -> bool {
        let ranges = self.skills.range(EidKey::first_of(iid)..);
        ranges.take_while(|key| key.iid == iid).any(|key| key.prefix.contains(address))
    }

    /// What a negative answer means in a group; packets of a group that is not here are dropped.
    pub fn negative(&self, iid: Iid) -> NegativeAction {
        self.on_negative.get(&iid).copied().unwrap_or(NegativeAction::Drop)
    }

    /// The longest configured prefix over an address.
    pub fn covering(&self, iid: Iid, address: IpAddr) -> Option<(EidKey, &EidWanted)> {
        (0..=Family::of(address).bits()).rev().find_map(|len| {
            let key = EidKey { iid, prefix: Prefix::masked(address, len).ok()? };
            self.eids.get(&key).map(|wanted| (key, wanted))
        })
    }
}

fn policy(policy: &sterna_config::Policy) -> Policy {
    let sterna_config::Policy { iid, from, to, dscp, protocol, ports, class } = *policy;
    Policy { iid, from, to, dscp, protocol, ports, class }
}
