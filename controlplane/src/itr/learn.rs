//! What was accepted becomes an entry, and every change of the map-cache is published.

use std::time::{Duration, Instant};

use sterna_wire::{Iid, Prefix};

use super::answer::{Answer, Says};
use super::cache::{Entry, Known};
use super::counters::Counter;
use super::negative;
use super::sets::SetId;
use super::{EidPrefix, Itr};
use crate::outbox::{Locator, Mapping, MappingChange, Outbox};

/// How an answer came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin {
    /// The dataplane waits for the mapping even if it does not change.
    pub confirm: bool,
    /// A Map-Server published it.
    pub published: bool,
}

impl Itr {
    /// Takes over one judged record that came for the question about `asked`. Gives the entry it made.
    pub(super) fn take_over(
        &mut self,
        answer: &Answer,
        asked: EidPrefix,
        origin: Origin,
        now: Instant,
        out: &mut Outbox,
    ) -> Option<EidPrefix> {
        let key = (asked.0, answer.prefix);
        match &answer.says {
            Says::Locators(_, lifetime) | Says::Nobody(lifetime)
                if self.settings.uses_context(key.0, key.1) =>
            {
                self.take_over_context(answer, key, *lifetime, origin, now, out);
                Some(key)
            }
            Says::Locators(locators, lifetime) => {
                let known = Known::Locators(self.sets.acquire(locators, key));
                self.store(key, known, *lifetime, origin, now, out);
                Some(key)
            }
            Says::Negative(act, lifetime) if answer.prefix.covers(&asked.1) => {
                let known = (Known::Negative(*act), *lifetime);
                self.take_over_negative(answer.prefix, asked, known, origin, now, out)
            }
            Says::Negative(..) | Says::Gone | Says::Here => {
                self.forget(key, now, out);
                None
            }
            Says::AskAgain | Says::Nothing | Says::Nobody(_) => None,
        }
    }

    fn take_over_negative(
        &mut self,
        said: Prefix,
        asked: EidPrefix,
        (known, lifetime): (Known, Duration),
        origin: Origin,
        now: Instant,
        out: &mut Outbox,
    ) -> Option<EidPrefix> {
        let group = self.settings.groups.get(&asked.0)?;
        let (prefix, longest) = negative::reach(asked.1.addr(), said, group, &self.settings.timers);
        if !prefix.covers(&asked.1) {
            // The mapping of a whole prefix is gone; each EID in it is asked for on its own again.
            self.forget(asked, now, out);
            return None;
        }
        self.counters.count(Counter::NegativesLearned);
        let key = (asked.0, prefix);
        self.store(key, known, longest.min(lifetime), Origin { published: false, ..origin }, now, out);
        Some(key)
    }

    /// Writes an entry where context plays no part, and publishes it if it says something new.
    /// The caller has acquired the locator set.
    fn store(
        &mut self,
        key: EidPrefix,
        known: Known,
        lifetime: Duration,
        origin: Origin,
        now: Instant,
        out: &mut Outbox,
    ) {
        let had_rows = self.contexts.take(key).is_some_and(|known| !known.rows.is_empty());
        let changed = self.write(key, known, lifetime, origin, now, out);
        if changed || had_rows || origin.confirm {
            self.publish(key, origin.confirm, out);
        }
    }

    /// Writes an entry, whose locator set the caller has acquired. Gives whether it maps to something else than before.
    pub(super) fn write(
        &mut self,
        key: EidPrefix,
        known: Known,
        lifetime: Duration,
        origin: Origin,
        now: Instant,
        out: &mut Outbox,
    ) -> bool {
        if self.cache.get(key).is_none() {
            self.make_room_in_cache(known, now, out);
        }
        let mut entry = Entry::learned(known, now, lifetime);
        entry.published = origin.published.then_some(now);
        if let Known::Locators(id) = known {
            entry.refresh = now + self.refresh_after(key, lifetime);
            self.probe_set(id, now);
        }
        let due = entry.refresh;
        let old = self.cache.insert(key, entry);
        self.cache.set_due(key, due);
        let changed = old.as_ref().is_none_or(|old| old.known != known);
        if let Some(old) = old {
            self.let_go(&old, out);
        }
        changed
    }

    /// The locators of this set are probed from now on.
    pub(super) fn probe_set(&mut self, id: SetId, now: Instant) {
        let (settings, random) = (&self.settings, &mut self.random);
        for remote in super::sets::remotes(self.sets.locators(id)) {
            self.prober.add(remote, settings, random, &mut self.counters, now);
        }
    }

    /// Takes over an entry that the dataplane had when this process started: it is in use, stale, and asked for
    /// again, so many per second. False if there is no room for it.
    pub fn adopt(&mut self, iid: Iid, prefix: Prefix, locators: Vec<Locator>, now: Instant) -> bool {
        self.observe(now);
        let key = (iid, prefix);
        if self.cache.len() >= self.settings.limits.entries {
            self.counters.count(Counter::AdoptRefused);
            return false;
        }
        if self.cache.get(key).is_some() {
            return true;
        }
        let mut locators = locators;
        locators.sort_by_key(|locator| locator.address);
        let id = self.sets.acquire(&locators, key);
        self.probe_set(id, now);
        let mut entry = Entry::learned(Known::Locators(id), now, Duration::ZERO);
        entry.stale = true;
        entry.adopted = true;
        self.cache.insert(key, entry);
        let gap = Duration::from_secs(1) / self.settings.limits.adopt_rate.max(1);
        let at = self.adopted_until.map_or(now, |last| now.max(last + gap));
        self.adopted_until = Some(at);
        self.cache.set_due(key, at);
        true
    }

    /// Removes an entry and says so. Its subscription lives on for a while.
    pub(super) fn forget(&mut self, key: EidPrefix, now: Instant, out: &mut Outbox) {
        let Some(gone) = self.cache.remove(key) else { return };
        self.let_go(&gone, out);
        self.contexts.take(key);
        self.publish(key, false, out);
        for asked in self.subscriptions.about(key) {
            self.subscriptions.set_due(asked, now + self.settings.timers.linger);
        }
    }

    /// Removes the entries that an answer contradicts: those that contain the whole of what was asked, are longer
    /// than the prefix that answers it, and were not made by the answer itself.
    pub(super) fn forget_longer(
        &mut self,
        asked: EidPrefix,
        covering: Option<Prefix>,
        made: &[EidPrefix],
        now: Instant,
        out: &mut Outbox,
    ) {
        let longer_than = covering.map_or(asked.1.len().saturating_sub(1), |covering| covering.len());
        let longer = self.cache.covering(asked.0, asked.1.addr());
        let longer = longer.filter(|key| key.1.len() > longer_than && key.1.covers(&asked.1));
        let contradicted: Vec<EidPrefix> = longer.filter(|key| !made.contains(key)).collect();
        for key in contradicted {
            self.forget(key, now, out);
        }
    }

    fn make_room_in_cache(&mut self, newcomer: Known, now: Instant, out: &mut Outbox) {
        let negative = matches!(newcomer, Known::Negative(_));
        let limits = self.settings.limits.clone();
        while self.cache.len() >= limits.entries || (negative && self.cache.negatives() >= limits.negatives) {
            let Some(victim) = self.cache.victim() else { return };
            let positive = self.cache.get(victim).is_some_and(Entry::is_positive);
            self.counters.count(if positive {
                Counter::CacheEvicted
            } else {
                Counter::CacheEvictedNegatives
            });
            self.forget(victim, now, out);
        }
    }

    pub(super) fn let_go(&mut self, entry: &Entry, out: &mut Outbox) {
        if let Known::Locators(id) = entry.known {
            for remote in self.sets.release(id) {
                self.prober.remove(remote, out);
            }
        }
    }

    /// Says what holds for this prefix now.
    pub(super) fn publish(&self, key: EidPrefix, confirm: bool, out: &mut Outbox) {
        let mapping = self.cache.get(key).map(|entry| match entry.known {
            Known::Locators(id) => Mapping::Locators(self.sets.locators(id).to_vec()),
            Known::Negative(_) => Mapping::Negative,
        });
        let classes = self.contexts.rows(key);
        out.mappings.push(MappingChange { iid: key.0, prefix: key.1, mapping, confirm, classes });
    }

    /// When an entry that is in use is asked for again: at nine tenths of its lifetime, a little less so that
    /// entries learned together do not fall into step; sooner when it is subscribed.
    fn refresh_after(&mut self, key: EidPrefix, lifetime: Duration) -> Duration {
        let longest = match self.subscriptions.is_confirmed(key) {
            true => lifetime.min(self.settings.timers.resubscribe * 10 / 9),
            false => lifetime,
        };
        let jitter = u64::try_from(longest.as_millis() / 20).unwrap_or(0);
        longest * 9 / 10 - Duration::from_millis(self.random.below(jitter))
    }
}
