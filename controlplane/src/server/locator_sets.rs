//! Locator-sets of registrations. Equal sets of one site are one, because a gateway's thousand agents are all
//! reached by the same locators. Also tells whose an RLOC is.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use sterna_wire::lisp::control::LocatorRecord;

use super::arena::Arena;

/// The most locators of one record.
pub const MAX_LOCATORS: usize = 32;
/// The most locators of all holders of a skill that are told apart.
pub(super) const MAX_SKILL_LOCATORS: usize = 255;

/// One locator as it was registered (RFC 9301 section 5.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RegisteredLocator {
    /// Lowest is used first, 255 never.
    pub priority: u8,
    /// The RLOC.
    pub address: IpAddr,
    /// Share among equals.
    pub weight: u8,
    /// As `priority`, for multicast.
    pub multicast_priority: u8,
    /// As `weight`, for multicast.
    pub multicast_weight: u8,
    /// It is the registering ETR's own (L bit).
    pub local: bool,
    /// The ETR says that it can be reached (R bit).
    pub reachable: bool,
}

impl RegisteredLocator {
    /// A locator for unicast that can be reached.
    pub const fn unicast(address: IpAddr, priority: u8, weight: u8) -> RegisteredLocator {
        RegisteredLocator {
            priority,
            address,
            weight,
            multicast_priority: 255,
            multicast_weight: 0,
            local: false,
            reachable: true,
        }
    }

    /// The locator of a record; none when its address is nothing to send to.
    pub(super) fn of(record: &LocatorRecord) -> Option<RegisteredLocator> {
        let address = record.address.rloc().filter(|address| is_sendable(*address))?;
        Some(RegisteredLocator {
            priority: record.priority,
            address,
            weight: record.weight,
            multicast_priority: record.multicast_priority,
            multicast_weight: record.multicast_weight,
            local: record.local,
            reachable: record.reachable,
        })
    }

    pub(super) fn record(&self) -> LocatorRecord {
        LocatorRecord {
            priority: self.priority,
            weight: self.weight,
            multicast_priority: self.multicast_priority,
            multicast_weight: self.multicast_weight,
            local: self.local,
            probed: false,
            reachable: self.reachable,
            address: self.address.into(),
        }
    }

    /// Whether an ITR may send there.
    pub(super) const fn is_usable(&self) -> bool {
        self.priority != 255 && self.reachable
    }
}

/// Whether a packet may be sent to this address at all: not to many, to nobody or to ourselves.
pub(super) fn is_sendable(address: IpAddr) -> bool {
    if address.is_multicast() || address.is_loopback() || address.is_unspecified() {
        return false;
    }
    match address {
        IpAddr::V4(v4) => !v4.is_broadcast() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    }
}

/// A locator-set's place.
pub(super) type SetId = u32;

#[derive(Debug)]
struct LocatorSet {
    locators: Arc<[RegisteredLocator]>,
    site: u32,
    users: u32,
    /// Which locator a request is forwarded to next.
    turn: u8,
}

/// All locator-sets, and the addresses that belong to sites.
#[derive(Debug, Default)]
pub(super) struct LocatorSets {
    sets: Arena<LocatorSet>,
    by_content: HashMap<(u32, Arc<[RegisteredLocator]>), SetId>,
    /// How many times an address belongs to a site.
    owners: BTreeMap<(IpAddr, u32), u32>,
}

impl LocatorSets {
    /// One more user of this set; `locators` is sorted.
    pub(super) fn acquire(&mut self, site: u32, locators: &[RegisteredLocator]) -> SetId {
        let locators: Arc<[RegisteredLocator]> = locators.into();
        if let Some(id) = self.by_content.get(&(site, Arc::clone(&locators))).copied() {
            if let Some(set) = self.sets.get_mut(id) {
                set.users += 1;
            }
            return id;
        }
        locators.iter().for_each(|locator| self.own(locator.address, site));
        let set = LocatorSet { locators: Arc::clone(&locators), site, users: 1, turn: 0 };
        let id = self.sets.insert(set);
        self.by_content.insert((site, locators), id);
        id
    }

    /// One user less; a set without users is gone.
    pub(super) fn release(&mut self, id: SetId) {
        let Some(set) = self.sets.get_mut(id) else { return };
        set.users -= 1;
        if set.users > 0 {
            return;
        }
        if let Some(set) = self.sets.remove(id) {
            set.locators.iter().for_each(|locator| self.disown(locator.address, set.site));
            self.by_content.remove(&(set.site, set.locators));
        }
    }

    pub(super) fn get(&self, id: SetId) -> &[RegisteredLocator] {
        self.sets.get(id).map_or(&[], |set| &set.locators)
    }

    pub(super) fn shared(&self, id: SetId) -> Arc<[RegisteredLocator]> {
        self.sets.get(id).map_or_else(|| Arc::from([]), |set| Arc::clone(&set.locators))
    }

    /// The usable locators take turns; none when there is none.
    pub(super) fn next_usable(&mut self, id: SetId) -> Option<IpAddr> {
        let set = self.sets.get_mut(id)?;
        let usable = || set.locators.iter().filter(|locator| locator.is_usable());
        let count = usable().count().max(1);
        let address = usable().nth(usize::from(set.turn) % count)?.address;
        set.turn = set.turn.wrapping_add(1);
        Some(address)
    }

    /// The address belongs to the site, once more.
    pub(super) fn own(&mut self, address: IpAddr, site: u32) {
        *self.owners.entry((address, site)).or_insert(0) += 1;
    }

    /// The address belongs to the site, once less.
    pub(super) fn disown(&mut self, address: IpAddr, site: u32) {
        if let Some(count) = self.owners.get_mut(&(address, site)) {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(&(address, site));
            }
        }
    }

    /// The sites that this address belongs to.
    pub(super) fn owners(&self, address: IpAddr) -> impl Iterator<Item = u32> {
        self.owners.range((address, 0)..=(address, u32::MAX)).map(|((_, site), _)| *site)
    }

    /// Whether this address belongs to this site.
    pub(super) fn owns(&self, site: u32, address: IpAddr) -> bool {
        self.owners.contains_key(&(address, site))
    }

    /// Sites have new numbers; nothing belongs to one that has none.
    pub(super) fn renumber(&mut self, new: impl Fn(u32) -> u32) {
        let owners = std::mem::take(&mut self.owners);
        self.owners =
            owners.into_iter().map(|((address, site), count)| ((address, new(site)), count)).collect();
        self.by_content.clear();
        for id in 0..self.sets.places() {
            if let Some(set) = self.sets.get_mut(id) {
                set.site = new(set.site);
                self.by_content.insert((set.site, Arc::clone(&set.locators)), id);
            }
        }
    }

    /// How many sets there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locator(address: &str, priority: u8) -> RegisteredLocator {
        RegisteredLocator::unicast(address.parse().unwrap(), priority, 50)
    }

    #[test]
    fn equal_sets_are_one_until_the_last_user_goes() {
        let mut sets = LocatorSets::default();
        let both = [locator("192.0.2.1", 1), locator("192.0.2.2", 1)];
        let (a, b) = (sets.acquire(0, &both), sets.acquire(0, &both));
        assert_eq!((a, sets.len()), (b, 1));
        assert_ne!(sets.acquire(1, &both), a, "another site's");
        assert_eq!(sets.owners("192.0.2.2".parse().unwrap()).collect::<Vec<_>>(), [0, 1]);
        sets.release(a);
        assert_eq!(sets.get(a), both);
        sets.release(b);
        assert!(sets.get(a).is_empty());
        assert_eq!(sets.owners("192.0.2.2".parse().unwrap()).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn usable_locators_take_turns_and_others_have_none() {
        let mut sets = LocatorSets::default();
        let down = RegisteredLocator { reachable: false, ..locator("192.0.2.3", 1) };
        let set = sets
            .acquire(0, &[locator("192.0.2.1", 1), locator("192.0.2.2", 2), down, locator("192.0.2.4", 255)]);
        let turns: Vec<_> = (0..3).map(|_| sets.next_usable(set).unwrap().to_string()).collect();
        assert_eq!(turns, ["192.0.2.1", "192.0.2.2", "192.0.2.1"]);
        let none = sets.acquire(0, &[down]);
        assert_eq!(sets.next_usable(none), None);
    }

    #[test]
    fn nobody_is_made_to_send_to_many_or_to_itself() {
        for address in
            ["224.0.0.1", "ff02::1", "127.0.0.1", "::1", "0.0.0.0", "::", "255.255.255.255", "fe80::1"]
        {
            assert!(!is_sendable(address.parse().unwrap()), "{address}");
        }
        assert!(is_sendable("192.0.2.1".parse().unwrap()) && is_sendable("2001:db8::1".parse().unwrap()));
    }
}
