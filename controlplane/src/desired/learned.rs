//! The half that nobody configured: what the agents do and what the mapping system says.

use std::collections::BTreeMap;

use sterna_wire::Iid;

use super::{ClassesKey, EidKey, EidWanted, RowKey, SetKey, Site};

/// Entries by where they come from. An EID may be in several; [`Learned::effective`] says which one counts.
#[derive(Debug, Default)]
pub struct Learned {
    /// Dynamic agents of this site: attached, about to leave, or gone elsewhere a moment ago.
    agents: BTreeMap<EidKey, EidWanted>,
    /// Mappings of the mapping system.
    mappings: BTreeMap<EidKey, EidWanted>,
    /// Short-lived negative entries of a gateway without a mapping system.
    negatives: BTreeMap<EidKey, EidWanted>,
}

/// Where an entry comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A dynamic agent.
    Agent,
    /// The mapping system.
    Mapping,
    /// Nobody mapped it.
    Negative,
}

impl Learned {
    /// What holds for exactly this key: what is served here goes before dynamic agents, these before configured
    /// mappings, these before learned ones, and these before negatives.
    pub fn effective<'a>(&'a self, site: &'a Site, key: &EidKey) -> Option<&'a EidWanted> {
        let configured = site.eids.get(key);
        if let Some(EidWanted::Local { .. }) = configured {
            return configured;
        }
        let learned = || self.mappings.get(key).or_else(|| self.negatives.get(key));
        self.agents.get(key).or(configured).or_else(learned)
    }

    /// The same as the dataplane shall have it: an agent with a skill is one of its mapping's locators, and wherever
    /// classes choose, our own RLOC stands for that agent or for nobody.
    pub fn wanted(&self, site: &Site, key: &EidKey) -> Option<EidWanted> {
        match self.effective(site, key)? {
            EidWanted::Skill { port, vlan, mac, .. } => {
                let mapping = site.eids.get(key).or_else(|| self.mappings.get(key));
                let (set, classes) = beside_instance(site, mapping);
                Some(EidWanted::Skill { port: *port, vlan: *vlan, mac: *mac, set, classes })
            }
            EidWanted::Chosen { set, classes } => Some(EidWanted::Chosen {
                set: set.seen_from(&site.rlocs, false),
                classes: classes.seen_from(&site.rlocs, false),
            }),
            other => Some(other.clone()),
        }
    }

    /// Replaces or removes an entry; true when that changed it.
    pub fn set(&mut self, source: Source, key: EidKey, value: Option<EidWanted>) -> bool {
        let layer = self.layer_mut(source);
        if layer.get(&key) == value.as_ref() {
            return false;
        }
        match value {
            Some(value) => layer.insert(key, value),
            None => layer.remove(&key),
        };
        true
    }

    /// An entry by where it comes from.
    pub fn get(&self, source: Source, key: &EidKey) -> Option<&EidWanted> {
        self.layer(source).get(key)
    }

    /// All entries from one source.
    pub fn iter(&self, source: Source) -> impl Iterator<Item = (&EidKey, &EidWanted)> {
        self.layer(source).iter()
    }

    /// Negative mappings of a group; their meaning is the group's.
    pub fn negative_mappings(&self, iid: Iid) -> impl Iterator<Item = EidKey> + '_ {
        let group = self.mappings.range(EidKey::first_of(iid)..).take_while(move |(key, _)| key.iid == iid);
        group.filter(|(_, wanted)| matches!(wanted, EidWanted::Negative(_))).map(|(key, _)| *key)
    }

    /// Entries there are from one source.
    pub fn count(&self, source: Source) -> usize {
        self.layer(source).len()
    }

    fn layer(&self, source: Source) -> &BTreeMap<EidKey, EidWanted> {
        match source {
            Source::Agent => &self.agents,
            Source::Mapping => &self.mappings,
            Source::Negative => &self.negatives,
        }
    }

    fn layer_mut(&mut self, source: Source) -> &mut BTreeMap<EidKey, EidWanted> {
        match source {
            Source::Agent => &mut self.agents,
            Source::Mapping => &mut self.mappings,
            Source::Negative => &mut self.negatives,
        }
    }
}

/// The locators of a skill that has an instance here, by its mapping.
fn beside_instance(site: &Site, mapping: Option<&EidWanted>) -> (Option<SetKey>, Option<ClassesKey>) {
    match mapping {
        Some(EidWanted::Chosen { set, classes }) => {
            (Some(set.seen_from(&site.rlocs, true)), Some(classes.seen_from(&site.rlocs, true)))
        }
        Some(EidWanted::Remote(set)) => (Some(set.seen_from(&site.rlocs, true)), None),
        // The mapping system does not know of our own instance yet. Whether it meets what a class needs, it will say.
        Some(EidWanted::Negative(_)) => {
            let only = site.rlocs.first().map(|own| SetKey::only_here(*own));
            let classes = only.clone().map(|only| ClassesKey::new([(0, RowKey::Set(only))]));
            (only, classes)
        }
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use sterna_shm::NegativeAction;

    use super::*;
    use crate::desired::{LocatorKey, SetKey};

    fn key() -> EidKey {
        EidKey::host(Iid::DEFAULT, [10, 1, 1, 5].into())
    }

    #[test]
    fn the_order_of_sources_is_served_agent_configured_mapping_negative() {
        let remote = |number| {
            let remote = [192, 0, 2, number].into();
            let locator =
                LocatorKey { remote, priority: 1, weight: 1, udp_checksum: false, keep: false, here: false };
            EidWanted::Remote(SetKey::new(vec![locator]))
        };
        let (mut site, mut learned) = (Site::default(), Learned::default());
        let negative = EidWanted::Negative(NegativeAction::Drop);
        assert!(learned.set(Source::Negative, key(), Some(negative.clone())));
        assert!(!learned.set(Source::Negative, key(), Some(negative.clone())), "the same again");
        assert_eq!(learned.effective(&site, &key()), Some(&negative));
        learned.set(Source::Mapping, key(), Some(remote(1)));
        assert_eq!(learned.effective(&site, &key()), Some(&remote(1)));
        site.eids.insert(key(), remote(2));
        assert_eq!(learned.effective(&site, &key()), Some(&remote(2)));
        learned.set(Source::Agent, key(), Some(EidWanted::Hold));
        assert_eq!(learned.effective(&site, &key()), Some(&EidWanted::Hold));
        let served = EidWanted::Local { port: 0, vlan: None, via: None };
        site.eids.insert(key(), served.clone());
        assert_eq!(learned.effective(&site, &key()), Some(&served));
        site.eids.clear();
        learned.set(Source::Agent, key(), None);
        assert_eq!(learned.effective(&site, &key()), Some(&remote(1)), "what was hidden shows again");
    }
}
