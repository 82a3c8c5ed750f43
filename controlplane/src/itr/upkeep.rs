//! What time does: entries are refreshed, go stale and expire, questions are asked again, subscriptions end.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::{LispAddress, MapRequest, RequestRecord};

use super::cache::{Entry, Known};
use super::classes::Classes;
use super::counters::Counter;
use super::limits::Bucket;
use super::question::Question;
use super::settings::{ItrSettings, Rate};
use super::{EidPrefix, Itr, Surroundings};
use crate::outbox::Outbox;

/// Deadlines of each kind that one tick serves; the rest has to wait a moment, so that a tick is short.
const BUDGET: usize = 1024;
pub(super) const MOMENT: Duration = Duration::from_millis(1);
/// Subscriptions that wait to be ended.
const MAX_FAREWELLS: usize = 1024;

/// Subscriptions to end, with the nonces for that and what was needed.
#[derive(Debug)]
pub struct Farewells {
    waiting: VecDeque<(EidPrefix, u64, Vec<u8>)>,
    pub(super) bucket: Bucket,
}

impl Farewells {
    /// None to end.
    pub fn new(rate: Rate) -> Self {
        Self { waiting: VecDeque::new(), bucket: Bucket::new(rate) }
    }

    fn ready_at(&self, now: Instant) -> Option<Instant> {
        self.waiting.front().and_then(|_| self.bucket.ready_at(now))
    }
}

impl Itr {
    /// Does what is due.
    pub fn tick(&mut self, now: Instant, out: &mut Outbox) {
        self.observe(now);
        self.resume = None;
        self.serve(now, |itr| {
            let key = itr.pendings.due(now)?;
            itr.pending_due(key, now);
            Some(())
        });
        self.serve(now, |itr| {
            let key = itr.cache.due(now)?;
            itr.entry_due(key, now, out);
            Some(())
        });
        self.serve(now, |itr| {
            let asked = itr.subscriptions.due(now)?;
            itr.subscription_due(asked, now);
            Some(())
        });
        self.say_farewell(now, out);
        self.probe_due(now, out);
        self.follow_paths(now, out);
        self.pump(now, out);
        if self.prober.next_due().is_some_and(|due| due <= now) {
            self.resume = Some(now + MOMENT);
        }
    }

    /// When `tick` is to be called next.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.prober.has_changes() {
            return self.clock;
        }
        if self.resume.is_some() {
            return self.resume;
        }
        let now = self.clock?;
        let deadlines = [
            self.pendings.next_due(),
            self.cache.next_due(),
            self.subscriptions.next_due(),
            self.contexts.next_due(),
            self.prober.next_due(),
            self.gate.ready_at(now),
            self.farewells.ready_at(now),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Other settings. Entries that they no longer allow are removed.
    pub fn configure(&mut self, settings: ItrSettings, out: &mut Outbox) {
        let limits = &settings.limits;
        self.gate.set_limits(limits);
        self.prober.bucket.set_rate(limits.probe);
        self.smr_bucket.set_rate(limits.smr);
        self.check_bucket.set_rate(limits.source_check);
        self.farewells.bucket.set_rate(limits.unsubscribe);
        let moved = settings.local_rlocs != self.settings.local_rlocs;
        let regrouped = settings.groups != self.settings.groups;
        let reclassed = self.is_reclassed(&settings);
        if reclassed {
            self.part_with(&settings);
            self.classes = Classes::new(&settings.classes);
        }
        self.settings = settings;
        let Some(now) = self.clock.filter(|_| moved || regrouped || reclassed) else { return };
        let gone: Vec<Question> =
            self.pendings.iter().map(|(asked, _)| asked).filter(|asked| !self.asks(asked.key)).collect();
        gone.into_iter().for_each(|key| self.give_up(key));
        let gone: Vec<EidPrefix> =
            self.cache.iter().filter(|(key, entry)| !self.allows(*key, entry)).map(|(key, _)| key).collect();
        gone.into_iter().for_each(|key| self.forget(key, now, out));
        self.gate.keep_groups(|iid| self.settings.groups.contains_key(&iid));
        if moved {
            self.resubscribe(now);
        }
        if moved || reclassed {
            self.reclassify(now);
            self.drop_needs();
            self.rank_due(now, out);
        }
    }

    fn is_reclassed(&self, settings: &ItrSettings) -> bool {
        let of = |settings: &ItrSettings| {
            (settings.classes.clone(), settings.ranking, settings.skills.clone(), settings.drain)
        };
        of(settings) != of(&self.settings)
    }

    /// Subscriptions for needs that no class has any more are ended while it is known what was needed.
    fn part_with(&mut self, settings: &ItrSettings) {
        let classes = Classes::new(&settings.classes);
        let subscribed = self.subscriptions.keys();
        let gone: Vec<Question> =
            subscribed.filter(|asked| classes.constraints(asked.needs).is_none()).collect();
        gone.into_iter().for_each(|asked| self.part(asked));
    }

    /// Whether the settings let us ask for this prefix.
    fn asks(&self, key: EidPrefix) -> bool {
        let group = self.settings.groups.get(&key.0);
        group.is_some_and(|group| !group.is_served(key.1.addr()))
    }

    /// Whether the settings allow such an entry.
    fn allows(&self, key: EidPrefix, entry: &Entry) -> bool {
        let Some(group) = self.settings.groups.get(&key.0) else { return false };
        let served = group.served.iter().any(|own| own.covers(&key.1) || key.1.covers(own));
        let range = group.ranges.iter().any(|range| range.covers(&key.1) || key.1.covers(range));
        let own_locator = match entry.known {
            Known::Locators(id) => {
                let mut remotes = self.sets.locators(id).iter();
                remotes.any(|locator| self.settings.local_rlocs.contains(&locator.address))
            }
            Known::Negative(_) => range && !key.1.is_host(),
        };
        !served && !own_locator
    }

    /// Map-Servers publish to the RLOCs that the subscription named: tell them the new ones, in time.
    fn resubscribe(&mut self, now: Instant) {
        let gap = Duration::from_secs(1) / self.settings.limits.adopt_rate.max(1);
        let mut at = now;
        let subscribed: std::collections::BTreeSet<EidPrefix> =
            self.subscriptions.keys().map(|asked| asked.key).collect();
        for key in subscribed {
            let positive = self.cache.get(key).is_some_and(|entry| entry.is_positive() && !entry.stale);
            if positive {
                self.cache.refresh_from(key, at);
                self.cache.set_due(key, at);
                at += gap;
            }
        }
    }

    /// Calls `step` until nothing of its kind is due, or too much was.
    fn serve(&mut self, now: Instant, mut step: impl FnMut(&mut Self) -> Option<()>) {
        for _ in 0..BUDGET {
            if step(self).is_none() {
                return;
            }
        }
        self.resume = Some(now + MOMENT);
    }

    /// An entry's deadline came.
    fn entry_due(&mut self, key: EidPrefix, now: Instant, out: &mut Outbox) {
        let Some(entry) = self.cache.get(key).cloned() else { return };
        let timers = &self.settings.timers;
        let (pause, end) = (timers.pause, entry.expires + timers.stale_max);
        if entry.stale {
            if now >= end {
                self.counters.count(Counter::StaleDropped);
                return self.forget(key, now, out);
            }
            if entry.adopted || entry.in_use(now) {
                self.refresh(key, now);
            }
            return self.cache.set_due(key, end.min(now + pause));
        }
        if now < entry.expires {
            if entry.in_use(now) {
                self.refresh(key, now);
            }
            return self.cache.set_due(key, entry.expires);
        }
        let wanted = entry.in_use(now) || self.is_asking(key) || self.silence.holds(now);
        if !entry.is_positive() || !wanted {
            self.counters.count(Counter::EntriesExpired);
            return self.forget(key, now, out);
        }
        self.counters.count(Counter::EntriesStale);
        self.cache.mark_stale(key);
        self.refresh(key, now);
        self.cache.set_due(key, end.min(now + pause));
    }

    /// Looks whether a subscription is still needed: it has an entry, or a question.
    fn subscription_due(&mut self, asked: Question, now: Instant) {
        let known = self.contexts.get(asked.key);
        // One for certain needs is void once answers are for all.
        let holds = asked.needs.is_none() || known.is_some_and(|known| known.is_filtered());
        let is_asking = self.is_asking(asked.key);
        if is_asking || (holds && self.cache.get(asked.key).is_some()) {
            return self.subscriptions.set_due(asked, now + self.settings.timers.linger);
        }
        self.part(asked);
    }

    /// Ends a subscription: the Map-Server is told later, and only of one that it confirmed.
    fn part(&mut self, asked: Question) {
        let nonce = self.subscriptions.next_nonce(asked, &mut self.random);
        let tail = self.block(asked, true).unwrap_or_default();
        if !self.subscriptions.remove(asked) {
            return;
        }
        if self.farewells.waiting.len() >= MAX_FAREWELLS {
            return self.counters.count(Counter::FarewellsDropped);
        }
        self.farewells.waiting.push_back((asked.key, nonce, tail));
    }

    /// Ends subscriptions at the Map-Server: a subscription without an address to publish to (RFC 9437 section 5).
    fn say_farewell(&mut self, now: Instant, out: &mut Outbox) {
        let resolvers = &self.settings.resolvers;
        let Some(resolver) = resolvers.get(self.preferred).or(resolvers.first()).copied() else {
            return self.farewells.waiting.clear();
        };
        while !self.farewells.waiting.is_empty() && self.farewells.bucket.take(now) {
            let Some((key, nonce, tail)) = self.farewells.waiting.pop_front() else { return };
            let request = MapRequest {
                nonce,
                itr_rlocs: vec![LispAddress::None],
                records: vec![RequestRecord { subscribe: true, ..RequestRecord::of(key.0, key.1) }],
                xtr: Some(self.identity.xtr),
                tail,
                ..MapRequest::default()
            };
            out.send(resolver, self.encapsulated(&request, key.1.addr(), resolver));
            self.pendings.spend(nonce);
            self.counters.count(Counter::UnsubscribesSent);
        }
    }

    pub(super) fn probe_due(&mut self, now: Instant, out: &mut Outbox) {
        let around = Surroundings { settings: &self.settings, sets: &self.sets, cache: &self.cache };
        self.prober.tick(&around, &mut self.random, &mut self.counters, (now, BUDGET), out);
    }
}
