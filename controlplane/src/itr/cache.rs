//! The map-cache: what the mapping system said of EID prefixes, bounded, with a deadline for each entry.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::Act;
use sterna_wire::{Family, Iid, Prefix};

use super::EidPrefix;
use super::schedule::Schedule;
use super::sets::SetId;

/// Marks of use come every 10 s at most, so that within two of them an entry counts as in use.
const USE_WINDOW_MIN: Duration = Duration::from_secs(20);

/// What an EID prefix maps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// These locators.
    Locators(SetId),
    /// None; the record said what to do.
    Negative(Act),
}

/// One entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it says.
    pub known: Known,
    /// When the mapping system last said so.
    pub learned: Instant,
    /// When its time is over.
    pub expires: Instant,
    /// From when on it is asked for again when it is in use.
    pub refresh: Instant,
    /// Its time is over and nobody answered; or it was taken over from the dataplane and not yet confirmed.
    pub stale: bool,
    /// It was taken over from the dataplane, and the mapping system has not been heard about it.
    pub adopted: bool,
    /// When the dataplane last used it.
    pub used: Instant,
    /// When a Map-Server last published it.
    pub published: Option<Instant>,
    /// The next time that something is to be done about it.
    due: Option<Instant>,
}

impl Entry {
    /// An entry learned now, used now.
    pub fn learned(known: Known, now: Instant, ttl: Duration) -> Self {
        Self {
            known,
            learned: now,
            expires: now + ttl,
            refresh: now + ttl,
            stale: false,
            adopted: false,
            used: now,
            published: None,
            due: None,
        }
    }

    /// Whether it maps to locators.
    pub fn is_positive(&self) -> bool {
        matches!(self.known, Known::Locators(_))
    }

    /// Whether it was used so lately that it is worth a Map-Request: within a tenth of its lifetime.
    pub fn in_use(&self, now: Instant) -> bool {
        let lifetime = self.expires.saturating_duration_since(self.learned);
        now.saturating_duration_since(self.used) <= USE_WINDOW_MIN.max(lifetime / 10)
    }
}

/// The entries.
#[derive(Debug)]
pub struct MapCache {
    entries: BTreeMap<EidPrefix, Entry>,
    /// How many entries there are of each prefix length.
    lengths: BTreeMap<(Iid, Family), BTreeMap<u8, usize>>,
    /// Who goes first when there is no room: negatives, then those unused for longest.
    victims: BTreeSet<(bool, Instant, EidPrefix)>,
    deadlines: Schedule<EidPrefix>,
    negatives: usize,
}

impl MapCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            lengths: BTreeMap::new(),
            victims: BTreeSet::new(),
            deadlines: Schedule::default(),
            negatives: 0,
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Number of negative entries.
    pub fn negatives(&self) -> usize {
        self.negatives
    }

    /// The entry of exactly this prefix.
    pub fn get(&self, key: EidPrefix) -> Option<&Entry> {
        self.entries.get(&key)
    }

    /// All entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (EidPrefix, &Entry)> + '_ {
        self.entries.iter().map(|(key, entry)| (*key, entry))
    }

    /// The prefixes with an entry that contain the EID, longest first.
    pub fn covering(&self, iid: Iid, eid: IpAddr) -> impl Iterator<Item = EidPrefix> + '_ {
        let lengths = self.lengths.get(&(iid, Family::of(eid)));
        lengths.into_iter().flat_map(|lengths| lengths.keys().rev()).filter_map(move |len| {
            let key = (iid, Prefix::masked(eid, *len).ok()?);
            self.entries.contains_key(&key).then_some(key)
        })
    }

    /// Puts an entry in the place of what was there, which is given back.
    pub fn insert(&mut self, key: EidPrefix, entry: Entry) -> Option<Entry> {
        let old = self.remove(key);
        let lengths = self.lengths.entry((key.0, key.1.family())).or_default();
        *lengths.entry(key.1.len()).or_default() += 1;
        self.victims.insert((entry.is_positive(), entry.used, key));
        self.negatives += usize::from(!entry.is_positive());
        self.entries.insert(key, entry);
        old
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: EidPrefix) -> Option<Entry> {
        let mut entry = self.entries.remove(&key)?;
        self.deadlines.set(key, &mut entry.due, None);
        self.victims.remove(&(entry.is_positive(), entry.used, key));
        self.negatives -= usize::from(!entry.is_positive());
        if let Some(lengths) = self.lengths.get_mut(&(key.0, key.1.family())) {
            if let Some(count) = lengths.get_mut(&key.1.len()) {
                *count -= 1;
            }
            lengths.retain(|_, count| *count > 0);
            if lengths.is_empty() {
                self.lengths.remove(&(key.0, key.1.family()));
            }
        }
        Some(entry)
    }

    /// The dataplane used this entry.
    pub fn mark_used(&mut self, key: EidPrefix, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&key) {
            self.victims.remove(&(entry.is_positive(), entry.used, key));
            entry.used = entry.used.max(now);
            self.victims.insert((entry.is_positive(), entry.used, key));
        }
    }

    /// It maps to other locators, and is otherwise what it was.
    pub fn set_known(&mut self, key: EidPrefix, known: Known) {
        if let Some(entry) = self.entries.get_mut(&key).filter(|entry| entry.is_positive()) {
            entry.known = known;
        }
    }

    /// Nobody answered: it is in use beyond its time.
    pub fn mark_stale(&mut self, key: EidPrefix) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.stale = true;
        }
    }

    /// From this time on, it is asked for again when it is in use.
    pub fn refresh_from(&mut self, key: EidPrefix, at: Instant) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.refresh = at;
        }
    }

    /// Something is to be done about this entry at that time, and not before.
    pub fn set_due(&mut self, key: EidPrefix, at: Instant) {
        if let Some(entry) = self.entries.get_mut(&key) {
            self.deadlines.set(key, &mut entry.due, Some(at));
        }
    }

    /// An entry whose time has come.
    pub fn due(&self, now: Instant) -> Option<EidPrefix> {
        self.deadlines.due(now)
    }

    /// When the next one's time comes.
    pub fn next_due(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// The entry that is missed least.
    pub fn victim(&self) -> Option<EidPrefix> {
        self.victims.first().map(|(.., key)| *key)
    }

    #[cfg(test)]
    pub fn check(&self) {
        let by_length: usize = self.lengths.values().flat_map(BTreeMap::values).sum();
        assert_eq!((by_length, self.victims.len()), (self.entries.len(), self.entries.len()));
        let negatives = self.entries.values().filter(|entry| !entry.is_positive()).count();
        assert_eq!(negatives, self.negatives);
        assert!(self.entries.values().all(|entry| entry.due.is_some()), "every entry has a deadline");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::itr::sets::LocatorSets;
    use crate::outbox::Locator;

    const GROUP: Iid = Iid::DEFAULT;

    fn key(prefix: &str) -> EidPrefix {
        (GROUP, prefix.parse().unwrap())
    }

    fn negative(now: Instant) -> Entry {
        Entry::learned(Known::Negative(Act::Drop), now, Duration::from_secs(60))
    }

    fn positive(now: Instant) -> Entry {
        let locator = Locator { address: [192, 0, 2, 1].into(), priority: 1, weight: 1 };
        let id = LocatorSets::default().acquire(&[locator], key("10.0.0.0/8"));
        Entry::learned(Known::Locators(id), now, Duration::from_secs(600))
    }

    #[test]
    fn the_longest_prefix_comes_first_in_its_group_only() {
        let (mut cache, now) = (MapCache::new(), Instant::now());
        for prefix in ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "10.2.0.0/16", "fd00::/16"] {
            cache.insert(key(prefix), negative(now));
        }
        let other = Iid::new(7).unwrap();
        cache.insert((other, "10.1.2.0/24".parse().unwrap()), negative(now));
        let found: Vec<_> = cache.covering(GROUP, [10, 1, 2, 3].into()).collect();
        assert_eq!(found, vec![key("10.1.2.3/32"), key("10.1.0.0/16"), key("10.0.0.0/8")]);
        assert_eq!(cache.covering(other, [10, 1, 3, 3].into()).count(), 0);
        assert_eq!(cache.covering(GROUP, "fd00::1".parse().unwrap()).count(), 1);
        cache.remove(key("10.1.0.0/16"));
        assert_eq!(cache.covering(GROUP, [10, 1, 2, 4].into()).next(), Some(key("10.0.0.0/8")));
        assert_eq!((cache.len(), cache.negatives()), (5, 5));
    }

    #[test]
    fn negatives_go_first_then_what_was_unused_for_longest() {
        let (mut cache, now) = (MapCache::new(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        cache.insert(key("10.1.0.0/16"), positive(at(0)));
        cache.insert(key("10.2.0.0/16"), positive(at(1)));
        cache.insert(key("10.3.0.0/16"), negative(at(2)));
        cache.mark_used(key("10.1.0.0/16"), at(3));
        let mut gone = vec![];
        while let Some(victim) = cache.victim() {
            cache.remove(victim);
            gone.push(victim);
        }
        assert_eq!(gone, vec![key("10.3.0.0/16"), key("10.2.0.0/16"), key("10.1.0.0/16")]);
        assert!(cache.lengths.is_empty() && cache.next_due().is_none());
    }

    #[test]
    fn in_use_means_within_a_tenth_of_the_lifetime() {
        let now = Instant::now();
        let mut entry = Entry::learned(Known::Negative(Act::Drop), now, Duration::from_secs(86_400));
        assert!(entry.in_use(now + Duration::from_secs(8640)));
        assert!(!entry.in_use(now + Duration::from_secs(8641)));
        entry.expires = now + Duration::from_secs(60);
        assert!(entry.in_use(now + Duration::from_secs(20)));
        assert!(!entry.in_use(now + Duration::from_secs(21)));
    }

    #[test]
    fn a_deadline_goes_with_its_entry() {
        let (mut cache, now) = (MapCache::new(), Instant::now());
        cache.insert(key("10.1.0.0/16"), negative(now));
        cache.set_due(key("10.1.0.0/16"), now);
        assert_eq!(cache.due(now), Some(key("10.1.0.0/16")));
        cache.insert(key("10.1.0.0/16"), negative(now));
        assert_eq!((cache.due(now), cache.next_due()), (None, None));
    }
}
