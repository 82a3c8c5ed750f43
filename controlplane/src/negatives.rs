//! Short-lived negative entries for EIDs that nobody mapped.
//!
//! Without them every packet for an unknown EID would be held and asked for again. They are host-length, so that
//! they never hide a neighbour's mapping, bounded, and forgotten after a minute, so that a later mapping is found.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sterna_shm::NegativeAction;
use sterna_wire::{Iid, Prefix};

use crate::desired::EidKey;

/// Entries kept at most. A scan of unknown EIDs then costs this many table entries and no more; a smaller number
/// would make an ordinary site with some hundreds of dead peers miss over and over.
pub const MAX_NEGATIVES: usize = 4096;

/// How long an entry lives: at most one minute inside a configured EID range.
pub const LIFETIME: Duration = Duration::from_secs(60);

/// The negative entries, oldest first.
#[derive(Debug)]
pub struct Negatives {
    entries: BTreeMap<EidKey, NegativeAction>,
    /// All entries in the order they were made. One lifetime for all makes it the order of expiry too.
    order: VecDeque<(Instant, EidKey)>,
    capacity: usize,
    evicted: u64,
}

/// What became of a new entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is new; the oldest entry had to go for it, if one is named.
    New {
        /// The entry that went.
        evicted: Option<EidKey>,
    },
    /// It was there already; its lifetime goes on.
    Known,
}

impl Negatives {
    /// Room for `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        Self { entries: BTreeMap::new(), order: VecDeque::new(), capacity, evicted: 0 }
    }

    /// Makes an entry for one EID.
    pub fn insert(&mut self, iid: Iid, eid: IpAddr, action: NegativeAction, now: Instant) -> Inserted {
        let key = EidKey { iid, prefix: Prefix::host(eid) };
        if self.entries.contains_key(&key) {
            return Inserted::Known;
        }
        let full = self.entries.len() >= self.capacity;
        let evicted = full.then(|| self.order.pop_front()).flatten().map(|(_, oldest)| oldest);
        if let Some(oldest) = &evicted {
            self.entries.remove(oldest);
            self.evicted += 1;
        }
        self.entries.insert(key, action);
        self.order.push_back((now, key));
        Inserted::New { evicted }
    }

    /// Removes and returns the entries whose time is over.
    pub fn expire(&mut self, now: Instant) -> Vec<EidKey> {
        let over = self.order.iter().take_while(|(made, _)| now.duration_since(*made) >= LIFETIME).count();
        let gone: Vec<EidKey> = self.order.drain(..over).map(|(_, key)| key).collect();
        for key in &gone {
            self.entries.remove(key);
        }
        gone
    }

    /// Forgets everything and returns what it was; what was unknown may have a mapping now.
    pub fn clear(&mut self) -> Vec<EidKey> {
        self.order.clear();
        std::mem::take(&mut self.entries).into_keys().collect()
    }

    /// When the next entry's time is over.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.order.front().map(|(made, _)| *made + LIFETIME)
    }

    /// All entries with the time they have left.
    pub fn remaining(&self, now: Instant) -> impl Iterator<Item = (EidKey, NegativeAction, Duration)> + '_ {
        self.order.iter().filter_map(move |(made, key)| {
            let left = LIFETIME.saturating_sub(now.duration_since(*made));
            Some((*key, *self.entries.get(key)?, left))
        })
    }

    /// Entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Entries that went before their time because there was no room.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eid(last: u8) -> IpAddr {
        [10, 9, 9, last].into()
    }

    fn key(last: u8) -> EidKey {
        EidKey { iid: Iid::new(100).unwrap(), prefix: Prefix::host(eid(last)) }
    }

    fn insert(negatives: &mut Negatives, last: u8, now: Instant) -> Inserted {
        negatives.insert(Iid::new(100).unwrap(), eid(last), NegativeAction::Drop, now)
    }

    #[test]
    fn the_oldest_goes_first_when_full() {
        let mut negatives = Negatives::new(2);
        let now = Instant::now();
        assert_eq!(insert(&mut negatives, 1, now), Inserted::New { evicted: None });
        assert_eq!(insert(&mut negatives, 2, now), Inserted::New { evicted: None });
        assert_eq!(insert(&mut negatives, 1, now), Inserted::Known, "a repetition does not make it younger");
        assert_eq!(insert(&mut negatives, 3, now), Inserted::New { evicted: Some(key(1)) });
        assert_eq!(negatives.remaining(now).map(|(key, ..)| key).collect::<Vec<_>>(), vec![key(2), key(3)]);
        assert_eq!((negatives.len(), negatives.evicted()), (2, 1));
    }

    #[test]
    fn entries_expire_a_minute_after_they_were_made() {
        let mut negatives = Negatives::new(8);
        let start = Instant::now();
        insert(&mut negatives, 1, start);
        insert(&mut negatives, 2, start + LIFETIME / 2);
        insert(&mut negatives, 1, start + LIFETIME / 2);
        assert_eq!(negatives.expire(start + LIFETIME - Duration::from_millis(1)), vec![]);
        assert_eq!(negatives.expire(start + LIFETIME), vec![key(1)]);
        let left: Vec<_> = negatives.remaining(start + LIFETIME).collect();
        assert_eq!(left, vec![(key(2), NegativeAction::Drop, LIFETIME / 2)]);
        assert_eq!(insert(&mut negatives, 1, start + LIFETIME), Inserted::New { evicted: None });
        assert_eq!(negatives.expire(start + LIFETIME * 3), vec![key(2), key(1)]);
        assert!(negatives.is_empty());
    }

    #[test]
    fn a_million_unknown_eids_stay_within_bounds() {
        let mut negatives = Negatives::new(MAX_NEGATIVES);
        let now = Instant::now();
        for number in 0..1_000_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            negatives.insert(Iid::DEFAULT, address, NegativeAction::Drop, now);
        }
        assert_eq!(negatives.len(), MAX_NEGATIVES);
        assert_eq!(negatives.order.len(), MAX_NEGATIVES);
        assert_eq!(negatives.evicted(), 1_000_000 - MAX_NEGATIVES as u64);
    }
}
