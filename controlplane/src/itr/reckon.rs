//! When the rows of the context classes are made, and that only changes are published.
//!
//! They follow from the answers (`learn`), from the paths (`probe`: a path counts as changed when its term moved by ten
//! points since it was last counted), from time (what is said holds for a while, a drain ends) and from the settings.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::answer::Answer;
use super::cache::Known;
use super::contexts::{Clockwork, Knowledge, Rows};
use super::counters::Counter;
use super::learn::Origin;
use super::question::{Hash, Question};
use super::rows::{self, Circumstances};
use super::said::{Chosen, Said};
use super::upkeep::MOMENT;
use super::{EidPrefix, Itr};
use crate::context::PathTerm;
use crate::outbox::{Locator, Outbox};

/// Entries that are ranked anew at once.
const RANK_BUDGET: usize = 256;

impl Itr {
    /// Takes over an answer about locators with what is said of them.
    pub(super) fn take_over_context(
        &mut self,
        answer: &Answer,
        key: EidPrefix,
        lifetime: Duration,
        origin: Origin,
        now: Instant,
        out: &mut Outbox,
    ) {
        let mut known = self.contexts.take(key).unwrap_or_default();
        let before = std::mem::take(&mut known.rows);
        self.learn(&mut known, answer, lifetime, origin, now);
        let (rows, mapping) = self.reckon(key, &known, now);
        known.rows = rows;
        let changed = known.rows != before;
        // Answers for one need do not put off what is due for the others.
        let part = matches!(answer.chosen, Chosen::For(_) | Chosen::Nobody(Some(_)));
        let beside = self.cache.get(key).filter(|entry| part && entry.is_positive() && !entry.stale);
        let beside = beside.map(|entry| (entry.expires, entry.refresh));
        let longest =
            beside.map_or(lifetime, |(expires, _)| lifetime.max(expires.saturating_duration_since(now)));
        let set = Known::Locators(self.sets.acquire(&mapping, key));
        let moved = self.write(key, set, longest, origin, now, out);
        if let Some((_, refresh)) = beside.filter(|(_, refresh)| *refresh > now) {
            self.cache.refresh_from(key, refresh);
            self.cache.set_due(key, refresh);
        }
        let kept = self.keep(key, known, now);
        if moved || changed || !kept || origin.confirm {
            self.counters.add(Counter::RowsPublished, usize::from(changed));
            self.publish(key, origin.confirm, out);
        }
    }

    fn learn(
        &mut self,
        known: &mut Knowledge,
        answer: &Answer,
        lifetime: Duration,
        origin: Origin,
        now: Instant,
    ) {
        let said: Vec<Said> = answer.about.clone();
        known.learn(answer.chosen, said, (now, lifetime), origin.published);
        let classes = &self.classes;
        let stale_max = self.settings.timers.stale_max;
        known.prune(|needs| classes.constraints(needs).is_some(), stale_max, now);
    }

    /// The rows, and the mapping that has all of their locators.
    fn reckon(&self, key: EidPrefix, known: &Knowledge, now: Instant) -> (Rows, Vec<Locator>) {
        let path = |remote| self.path(remote);
        let rows = self.circumstances(key, &path, now).rows(known);
        let mapping = rows::mapping(known, &rows, &self.settings.local_rlocs);
        (rows, mapping)
    }

    pub(super) fn circumstances<'a>(
        &'a self,
        key: EidPrefix,
        path: &'a dyn Fn(IpAddr) -> Option<PathTerm>,
        now: Instant,
    ) -> Circumstances<'a> {
        let (ranking, drain) = (self.settings.ranking, self.settings.drain);
        let skill = self.settings.is_skill(key.0, key.1);
        Circumstances { classes: &self.classes, ranking, drain, path, now, skill }
    }

    /// What the way to an RLOC costs; nothing to ourselves.
    pub(super) fn path(&self, remote: IpAddr) -> Option<PathTerm> {
        self.prober.term(remote)
    }

    /// False if there is no room for it: then nothing of it is published any more.
    fn keep(&mut self, key: EidPrefix, known: Box<Knowledge>, now: Instant) -> bool {
        let times = Clockwork { stale_max: self.settings.timers.stale_max, drain: self.settings.drain };
        let kept = self.contexts.put(key, known, times, now, self.settings.limits.context);
        self.counters.add(Counter::ContextFull, usize::from(!kept));
        kept
    }

    /// Makes the rows of an entry anew and publishes them if they are not what they were.
    pub(super) fn rerank(&mut self, key: EidPrefix, now: Instant, out: &mut Outbox) {
        let Some(mut known) = self.contexts.take(key) else { return };
        let Some(old) = self.cache.get(key).filter(|entry| entry.is_positive()).cloned() else { return };
        if !self.settings.uses_context(key.0, key.1) {
            return self.publish(key, false, out);
        }
        let classes = &self.classes;
        known.prune(|needs| classes.constraints(needs).is_some(), self.settings.timers.stale_max, now);
        if known.is_empty() {
            // Whoever needs it asks anew.
            return self.forget(key, now, out);
        }
        let (rows, mapping) = self.reckon(key, &known, now);
        let changed = std::mem::replace(&mut known.rows, rows) != known.rows;
        let kept = self.keep(key, known, now);
        let set = self.sets.acquire(&mapping, key);
        let moved = old.known != Known::Locators(set);
        self.probe_set(set, now);
        self.cache.set_known(key, Known::Locators(set));
        self.let_go(&old, out);
        if moved || changed || !kept {
            self.counters.add(Counter::RowsPublished, usize::from(changed));
            self.publish(key, false, out);
        }
    }

    /// Whether the answer is for needs of nobody here.
    pub(super) fn is_foreign(&self, answer: &Answer) -> bool {
        match answer.chosen {
            Chosen::For(needs) | Chosen::Nobody(needs) => self.classes.constraints(needs).is_none(),
            Chosen::All | Chosen::Blindly => false,
        }
    }

    /// Ranks anew what uses paths that moved.
    pub(super) fn follow_paths(&mut self, now: Instant, out: &mut Outbox) {
        for remote in self.prober.take_moved() {
            self.counters.count(Counter::PathTermsMoved);
            self.contexts.touch_remote(remote);
        }
        self.rank_due(now, out);
    }

    /// Ranks anew what is due, but not too much at once.
    pub(super) fn rank_due(&mut self, now: Instant, out: &mut Outbox) {
        for _ in 0..RANK_BUDGET {
            let Some(key) = self.contexts.due(now) else { return };
            self.rerank(key, now, out);
        }
        self.resume = Some(now + MOMENT);
    }

    /// Other classes, ranking, skills or RLOCs: what is known is ranked anew, and what was learned without context is
    /// asked for again, so many a second.
    pub(super) fn reclassify(&mut self, now: Instant) {
        self.contexts.touch_all();
        let unused: Vec<EidPrefix> =
            self.contexts.keys().filter(|key| !self.settings.uses_context(key.0, key.1)).collect();
        let plain = self.cache.iter().filter(|(key, entry)| {
            entry.is_positive()
                && self.settings.uses_context(key.0, key.1)
                && self.contexts.get(*key).is_none()
        });
        let again: Vec<EidPrefix> = plain.map(|(key, _)| key).chain(unused).collect();
        let gap = Duration::from_secs(1) / self.settings.limits.adopt_rate.max(1);
        let mut at = now;
        for key in again {
            self.cache.refresh_from(key, at);
            self.cache.set_due(key, at);
            at += gap;
        }
    }

    /// Questions for needs that no class has any more are over.
    pub(super) fn drop_needs(&mut self) {
        let asked = self.pendings.iter().map(|(asked, _)| asked);
        let gone: Vec<Question> =
            asked.filter(|asked| self.classes.constraints(asked.needs).is_none()).collect();
        gone.into_iter().for_each(|asked| self.give_up(asked));
    }

    /// What to ask for so that an entry stays what it is.
    pub(super) fn needs_of(&self, key: EidPrefix) -> Vec<Option<Hash>> {
        let needs = self.contexts.get(key).map(Knowledge::needs).unwrap_or_default();
        if needs.is_empty() { vec![None] } else { needs }
    }
}
