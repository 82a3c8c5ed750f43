//! Locator sets: equal ones are kept once, and each remote RLOC knows the sets it is in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::EidPrefix;
use crate::outbox::Locator;

/// Names a locator set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SetId(u32);

/// The priority of a locator that is never sent to.
pub const SOURCE_ONLY: u8 = 255;

/// Siblings that are asked when a locator falls silent; more would tell no more.
const MAX_SIBLINGS: usize = 16;
/// Sets that are looked at for that.
const MAX_SETS: usize = 64;

#[derive(Debug)]
struct LocatorSet {
    locators: Arc<[Locator]>,
    users: usize,
    /// An entry that uses the set, the last one that was learned or used: what a probe asks for.
    sample: EidPrefix,
}

/// All locator sets of the map-cache.
#[derive(Debug, Default)]
pub struct LocatorSets {
    sets: BTreeMap<SetId, LocatorSet>,
    by_content: BTreeMap<Arc<[Locator]>, SetId>,
    by_remote: BTreeMap<IpAddr, BTreeSet<SetId>>,
    last: u32,
}

impl LocatorSets {
    /// The set with these locators, sorted; `user` uses it from now on.
    pub fn acquire(&mut self, locators: &[Locator], user: EidPrefix) -> SetId {
        if let Some(id) = self.by_content.get(locators)
            && let Some(set) = self.sets.get_mut(id)
        {
            set.users += 1;
            set.sample = user;
            return *id;
        }
        let id = self.free_id();
        let locators: Arc<[Locator]> = locators.into();
        for address in remotes(&locators) {
            self.by_remote.entry(address).or_default().insert(id);
        }
        self.by_content.insert(locators.clone(), id);
        self.sets.insert(id, LocatorSet { locators, users: 1, sample: user });
        id
    }

    /// One user less; the set goes with the last one. Gives the RLOCs that are in no set any more.
    pub fn release(&mut self, id: SetId) -> Vec<IpAddr> {
        let Some(set) = self.sets.get_mut(&id) else { return Vec::new() };
        set.users -= 1;
        if set.users > 0 {
            return Vec::new();
        }
        let Some(set) = self.sets.remove(&id) else { return Vec::new() };
        self.by_content.remove(&set.locators);
        let mut gone = Vec::new();
        for address in remotes(&set.locators) {
            if let Some(sets) = self.by_remote.get_mut(&address) {
                sets.remove(&id);
                if sets.is_empty() {
                    self.by_remote.remove(&address);
                    gone.push(address);
                }
            }
        }
        gone
    }

    /// The set's locators.
    pub fn locators(&self, id: SetId) -> &[Locator] {
        self.sets.get(&id).map_or(&[], |set| &set.locators)
    }

    /// This entry of the set is in use: the next probe asks for it.
    pub fn sample(&mut self, id: SetId, user: EidPrefix) {
        if let Some(set) = self.sets.get_mut(&id) {
            set.sample = user;
        }
    }

    /// Entries that may be asked for in a probe of this RLOC: those last used of some sets it is in.
    pub fn samples(&self, remote: IpAddr) -> impl Iterator<Item = EidPrefix> + '_ {
        self.sets_of(remote).map(|set| set.sample)
    }

    /// The other locators of the sets that this RLOC is in.
    pub fn siblings(&self, remote: IpAddr) -> BTreeSet<IpAddr> {
        let others = self.sets_of(remote).flat_map(|set| remotes(&set.locators));
        others.filter(|other| *other != remote).take(MAX_SIBLINGS).collect()
    }

    fn sets_of(&self, remote: IpAddr) -> impl Iterator<Item = &LocatorSet> + '_ {
        let ids = self.by_remote.get(&remote).into_iter().flatten().take(MAX_SETS);
        ids.filter_map(|id| self.sets.get(id))
    }

    fn free_id(&mut self) -> SetId {
        loop {
            self.last = self.last.wrapping_add(1);
            if !self.sets.contains_key(&SetId(self.last)) {
                return SetId(self.last);
            }
        }
    }

    #[cfg(test)]
    pub fn users(&self) -> usize {
        self.sets.values().map(|set| set.users).sum()
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.by_content.is_empty() && self.by_remote.is_empty()
    }
}

/// The RLOCs of a set that packets may be sent to.
pub fn remotes(locators: &[Locator]) -> impl Iterator<Item = IpAddr> + '_ {
    locators.iter().filter(|locator| locator.priority != SOURCE_ONLY).map(|locator| locator.address)
}

#[cfg(test)]
mod tests {
    use sterna_wire::{Iid, Prefix};

    use super::*;

    fn locator(last: u8, priority: u8) -> Locator {
        Locator { address: rloc(last), priority, weight: 100 }
    }

    fn rloc(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn key(last: u8) -> EidPrefix {
        (Iid::DEFAULT, Prefix::host([10, 0, 0, last].into()))
    }

    #[test]
    fn equal_sets_are_one_and_the_last_user_takes_it_away() {
        let mut sets = LocatorSets::default();
        let one = sets.acquire(&[locator(1, 1)], key(1));
        assert_eq!(sets.acquire(&[locator(1, 1)], key(2)), one);
        assert_ne!(sets.acquire(&[locator(1, 2)], key(3)), one);
        assert!(sets.release(one).is_empty());
        assert_eq!(sets.locators(one), &[locator(1, 1)]);
        assert!(sets.release(one).is_empty(), "the other set has it too");
        assert_eq!(sets.locators(one), &[]);
        let other = *sets.sets.keys().next().unwrap();
        assert_eq!(sets.release(other), [rloc(1)]);
        assert!(sets.is_empty());
    }

    #[test]
    fn siblings_are_those_of_all_sets_without_the_source_only_ones() {
        let mut sets = LocatorSets::default();
        sets.acquire(&[locator(1, 1), locator(2, 1), locator(3, SOURCE_ONLY)], key(1));
        sets.acquire(&[locator(1, 1), locator(4, 2)], key(2));
        sets.acquire(&[locator(5, 1)], key(3));
        assert_eq!(sets.siblings(rloc(1)), [rloc(2), rloc(4)].into());
        assert_eq!(sets.siblings(rloc(5)), [].into());
        assert!(!sets.by_remote.contains_key(&rloc(3)));
        assert_eq!(sets.samples(rloc(1)).collect::<Vec<_>>(), vec![key(1), key(2)]);
    }

    #[test]
    fn the_last_user_is_the_sample() {
        let mut sets = LocatorSets::default();
        let id = sets.acquire(&[locator(1, 1)], key(1));
        sets.acquire(&[locator(1, 1)], key(2));
        assert_eq!(sets.samples(rloc(1)).collect::<Vec<_>>(), vec![key(2)]);
        sets.sample(id, key(1));
        assert_eq!(sets.samples(rloc(1)).collect::<Vec<_>>(), vec![key(1)]);
    }
}
