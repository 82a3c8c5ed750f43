//! What each context class of packets for an EID uses.
//!
//! Rows name locator sets by their locators, as EIDs do, and EIDs that agree share them. A set that rows name is
//! counted like one that an EID names: once for each different rows in use.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use sterna_config::Rloc;
use sterna_shm::CLASSES;
use sterna_wire::lisp::control::acx::Attributes;

use super::{LocatorKey, SetKey};
use crate::context::{Candidate, Class, Ranking, rank};

/// What one class uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKey {
    /// Nobody said yet: its packets wait.
    #[default]
    Unknown,
    /// These locators.
    Set(SetKey),
    /// No locator will do.
    NoMatch,
}

/// A row for each class, 0 being the packets of no class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClassesKey(Arc<[RowKey; CLASSES]>);

impl ClassesKey {
    /// These rows, each with its class; those of classes that do not exist are left out.
    pub fn new(named: impl IntoIterator<Item = (u8, RowKey)>) -> Self {
        let mut rows: [RowKey; CLASSES] = Default::default();
        for (class, row) in named {
            if let Some(place) = rows.get_mut(usize::from(class)) {
                *place = row;
            }
        }
        Self(rows.into())
    }

    /// The rows by class.
    pub fn rows(&self) -> &[RowKey; CLASSES] {
        &self.0
    }

    /// The sets that are named, each once.
    pub fn sets(&self) -> BTreeSet<&SetKey> {
        self.0.iter().filter_map(|row| if let RowKey::Set(set) = row { Some(set) } else { None }).collect()
    }

    /// The same with other sets.
    fn map(&self, mut change: impl FnMut(&SetKey) -> SetKey) -> Self {
        Self(Arc::new(self.0.each_ref().map(|row| match row {
            RowKey::Set(set) => RowKey::Set(change(set)),
            other => other.clone(),
        })))
    }

    /// The same from the point of view of this site; see [`SetKey::seen_from`].
    pub(super) fn seen_from(&self, own: &BTreeSet<IpAddr>, instance: bool) -> Self {
        self.map(|set| set.seen_from(own, instance))
    }

    /// The rows of a configured mapping: of its locators nothing is known but what the file says.
    pub fn fixed(rlocs: &[Rloc], classes: &[Class], ranking: Ranking) -> Self {
        let unknown = Attributes::default();
        let candidate = |rloc: &Rloc| Candidate {
            address: rloc.address,
            priority: rloc.priority,
            weight: rloc.weight,
            attributes: &unknown,
            path: None,
        };
        let candidates: Vec<Candidate<'_>> = rlocs.iter().map(candidate).collect();
        let row = |class: &Class| {
            let ranked = rank(&candidates, &class.constraints, ranking);
            if class.require_context || ranked.is_empty() {
                return (class.id, RowKey::NoMatch);
            }
            let key = |one: &crate::context::Ranked| LocatorKey {
                remote: one.address,
                priority: one.priority,
                weight: one.weight,
                udp_checksum: rlocs.get(one.index).is_some_and(|rloc| rloc.udp_checksum),
                keep: true,
                here: false,
            };
            (class.id, RowKey::Set(SetKey::new(ranked.iter().map(key).collect())))
        };
        // Packets of no class go by the file's own priorities.
        let none = rlocs.iter().map(LocatorKey::from).collect();
        Self::new(classes.iter().map(row).chain([(0, RowKey::Set(SetKey::new(none)))]))
    }
}

impl SetKey {
    /// The set from the point of view of this site: our own RLOC is no place to send to, but at a skill that has an
    /// instance here it stands for that instance.
    pub(super) fn seen_from(&self, own: &BTreeSet<IpAddr>, instance: bool) -> Self {
        let (here, there): (Vec<LocatorKey>, Vec<LocatorKey>) =
            self.locators().iter().partition(|locator| own.contains(&locator.remote));
        // With several RLOCs of our own it is still one instance.
        let best = here.into_iter().min_by_key(|locator| locator.priority).filter(|_| instance);
        let here = best.map(|locator| LocatorKey { here: true, udp_checksum: false, ..locator });
        Self::new(there.into_iter().chain(here).collect())
    }

    /// The instance that is here, alone.
    pub(super) fn only_here(own: IpAddr) -> Self {
        let (priority, weight) = (1, 1);
        let here = LocatorKey { remote: own, priority, weight, udp_checksum: false, keep: true, here: true };
        Self::new(vec![here])
    }
}

/// EIDs per rows.
#[derive(Debug, Default)]
pub(super) struct ClassUses(BTreeMap<ClassesKey, usize>);

impl ClassUses {
    /// The rows in use that equal these, so that equal ones share their memory; else these.
    pub fn shared(&self, classes: ClassesKey) -> ClassesKey {
        self.0.get_key_value(&classes).map(|(known, _)| known.clone()).unwrap_or(classes)
    }

    /// One more EID names these rows; true for the first.
    pub fn acquire(&mut self, classes: &ClassesKey) -> bool {
        let count = self.0.entry(classes.clone()).or_default();
        *count += 1;
        *count == 1
    }

    /// One EID less; true when it was the last.
    pub fn release(&mut self, classes: &ClassesKey) -> bool {
        match self.0.get_mut(classes) {
            Some(count) if *count > 1 => {
                *count -= 1;
                false
            }
            _ => self.0.remove(classes).is_some(),
        }
    }

    /// Different rows in use.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use sterna_wire::lisp::control::acx::{Constraint, Need};

    use super::*;

    fn rloc(last: u8, priority: u8) -> Rloc {
        Rloc { address: [192, 0, 2, last].into(), priority, weight: 50, udp_checksum: false }
    }

    #[test]
    fn of_a_configured_locator_nothing_is_known() {
        let classes = [
            Class { id: 1, constraints: vec![], require_context: false },
            Class { id: 2, constraints: vec![], require_context: true },
            Class { id: 3, constraints: vec![Constraint::hard(Need::Load(700))], require_context: false },
        ];
        let rows = ClassesKey::fixed(&[rloc(1, 1), rloc(2, 3)], &classes, Ranking::default());
        let RowKey::Set(ranked) = &rows.rows()[1] else { panic!("{rows:?}") };
        let priorities: Vec<_> = ranked.locators().iter().map(|locator| locator.priority).collect();
        assert_eq!(priorities, [1, 2], "200 points for a step of priority");
        assert_eq!(rows.rows()[2], RowKey::NoMatch);
        assert_eq!(rows.rows()[3], rows.rows()[1], "an unknown load excludes nobody");
        assert_eq!(rows.rows()[4], RowKey::Unknown);
        let RowKey::Set(plain) = &rows.rows()[0] else { panic!("{rows:?}") };
        assert!(plain.locators().iter().all(|locator| !locator.keep) && plain.locators()[1].priority == 3);
    }

    #[test]
    fn our_own_rlocs_are_the_instance_here_or_nothing() {
        let key = |last: u8, priority| LocatorKey::from(&rloc(last, priority));
        let set = SetKey::new(vec![key(1, 2), key(2, 1), key(3, 1)]);
        let own = [[192, 0, 2, 1].into(), [192, 0, 2, 2].into()].into();
        let with = set.seen_from(&own, true);
        let here: Vec<_> = with.locators().iter().filter(|locator| locator.here).collect();
        assert_eq!((with.locators().len(), here.len(), here[0].priority), (2, 1, 1), "the better of both");
        assert_eq!(set.seen_from(&own, false).locators(), [key(3, 1)]);
    }
}
