//! Map-Notifies of our subscriptions: confirmations and publications (RFC 9437).

use std::net::SocketAddr;
use std::time::Instant;

use sterna_wire::lisp::control::MapNotify;
use sterna_wire::lisp::control::acx::Acx;
use sterna_wire::lisp::control::auth::{self, Coverage, Key};
use sterna_wire::{Iid, Prefix};

use super::answer::{self, Answer, Answers, Says};
use super::cache::Entry;
use super::counters::Counter;
use super::learn::Origin;
use super::question::Question;
use super::said::{self, Chosen};
use super::subscription::Match;
use super::{EidPrefix, Itr};
use crate::outbox::{Datagram, Outbox};

impl Itr {
    /// A Map-Notify. False if its nonce belongs to none of our subscriptions: it may be for another role.
    /// `message` is the datagram that `notify` was read from.
    pub fn map_notify(
        &mut self,
        notify: &MapNotify,
        message: &[u8],
        from: SocketAddr,
        now: Instant,
        out: &mut Outbox,
    ) -> bool {
        self.observe(now);
        if notify.ack {
            return false;
        }
        // Whether it is authentic shows later; until then the block only tells which subscription may be meant.
        let block = Acx::find(&notify.tail).ok().flatten();
        let fits = |asked: Question| is_related(notify, asked.key) && self.is_series(asked, block.as_ref());
        let found = self.subscriptions.find(notify.nonce, fits);
        // The last word of a subscription that we ended, or of a question that was answered otherwise.
        if found.is_none() && !self.pendings.was_answered(notify.nonce) {
            return false;
        }
        match self.authenticate(notify, message) {
            Err(reason) => self.counters.count(reason),
            Ok((key, coverage)) => {
                self.authentic(notify, found, coverage, now, out);
                if !matches!(found, Some(Match::Old(_))) && self.is_for_us(notify, coverage) {
                    self.acknowledge(notify, coverage, &key, from, out);
                }
                self.pump(now, out);
            }
        }
        true
    }

    fn authentic(
        &mut self,
        notify: &MapNotify,
        found: Option<Match>,
        coverage: Coverage,
        now: Instant,
        out: &mut Outbox,
    ) {
        if !self.is_for_us(notify, coverage) {
            return self.counters.count(Counter::NotifyForeignXtr);
        }
        match found {
            Some(Match::New(series)) => self.publication(notify, series, coverage, now, out),
            Some(Match::Old(_)) => self.counters.count(Counter::NotifyReplayed),
            Some(Match::Same(_)) | None => self.counters.count(Counter::NotifyDuplicate),
        }
    }

    /// Whether the xTR-ID, if there is an authentic one, is ours.
    fn is_for_us(&self, notify: &MapNotify, coverage: Coverage) -> bool {
        let named = notify.xtr.filter(|_| coverage == Coverage::Whole);
        named.is_none_or(|xtr| xtr.xtr_id == self.identity.xtr.xtr_id)
    }

    /// Whether a message with this block may belong to this subscription: there is one per EID, but where answers are
    /// filtered one for each need.
    fn is_series(&self, asked: Question, block: Option<&Acx>) -> bool {
        let Some(block) = block.filter(|block| block.filtered) else { return true };
        let named = Question { needs: block.hash, ..asked };
        asked == named || (asked.needs.is_none() && self.subscriptions.get(named).is_none())
    }

    /// The next Map-Notify of a subscription.
    fn publication(
        &mut self,
        notify: &MapNotify,
        series: Question,
        coverage: Coverage,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.silence.broken();
        self.counters.count(Counter::NotifiesAccepted);
        let asked = self.pendings.of_nonce(notify.nonce).filter(|asked| asked.key == series.key);
        let block = self.block_of(notify, coverage);
        let chosen = said::chosen(block.as_ref(), 0);
        let series = self.follow_series(series, chosen, notify.nonce, now);
        let first = self.subscriptions.accept(series, notify.nonce);
        if first {
            self.counters.count(Counter::SubscriptionsConfirmed);
        }
        self.take_records(notify, (series, asked), block.as_ref(), first, now, out);
    }

    /// The records of an authentic Map-Notify of this subscription; `asked` is the question whose request it confirms, and
    /// `first` that no message of the subscription came before.
    fn take_records(
        &mut self,
        notify: &MapNotify,
        (series, asked): (Question, Option<Question>),
        block: Option<&Acx>,
        first: bool,
        now: Instant,
        out: &mut Outbox,
    ) {
        let key = series.key;
        let ours = |other: EidPrefix| {
            (other.0 == key.0 && other.1.covers(&key.1)) || self.subscriptions.covers(other)
        };
        let (settings, counters) = (&self.settings, &mut self.counters);
        let records = answer::of_notify(&notify.records, block, ours, settings, counters);
        let records = self.without_foreign(records);
        let origin = Origin { published: true, confirm: false };
        let (about, others): (Vec<_>, Vec<_>) = records.into_iter().partition(|(iid, answer)| {
            *iid == key.0 && (answer.prefix.covers(&key.1) || key.1.covers(&answer.prefix))
        });
        for (iid, answer) in others {
            self.take_over(&answer, (iid, answer.prefix), origin, now, out);
        }
        let about: Vec<Answer> = about.into_iter().map(|(_, answer)| answer).collect();
        let covering = about.iter().map(|answer| answer.prefix).filter(|prefix| prefix.covers(&key.1));
        let covering = covering.max_by_key(Prefix::len);
        // The confirmation of a subscription answers the request as well.
        match asked.filter(|_| covering.is_some()) {
            Some(asked) => {
                let answers = Answers { answers: about, covering };
                if let Err(reason) = self.accept(&answers, asked, origin, now, out) {
                    self.counters.count(reason);
                }
            }
            None => self.published(&about, series, now, out),
        }
        if let Some(covering) = covering.filter(|_| first) {
            self.subscribe_wider(covering, key, now);
        }
    }

    /// The context block, as far as it can be believed.
    fn block_of(&mut self, notify: &MapNotify, coverage: Coverage) -> Option<Acx> {
        let block = said::block(&notify.tail, &mut self.counters)?;
        if coverage == Coverage::RecordsOnly {
            self.counters.count(Counter::ContextUnauthentic);
            return None;
        }
        Some(block)
    }

    /// The subscription that a message of this one belongs to, now that it shows how the answer was chosen.
    fn follow_series(&mut self, series: Question, chosen: Chosen, nonce: u64, now: Instant) -> Question {
        let due = now + self.settings.timers.linger;
        match chosen {
            Chosen::For(needs) if needs != series.needs && self.classes.constraints(needs).is_some() => {
                let named = Question { needs, ..series };
                if !self.has_subscription_for(named) {
                    self.counters.count(Counter::SubscriptionsFull);
                    return series;
                }
                self.subscriptions.fork(named, nonce);
                self.subscriptions.set_due(named, due);
                named
            }
            Chosen::All | Chosen::Blindly if series.needs.is_some() => {
                self.subscriptions.widen(series);
                self.subscriptions.set_due(Question::plain(series.key), due);
                Question::plain(series.key)
            }
            _ => series,
        }
    }

    fn without_foreign(&mut self, records: Vec<(Iid, Answer)>) -> Vec<(Iid, Answer)> {
        let before = records.len();
        let known: Vec<_> = records.into_iter().filter(|(_, answer)| !self.is_foreign(answer)).collect();
        self.counters.add(Counter::ContextForeign, before - known.len());
        known
    }

    /// An EID was subscribed and turns out to have the mapping of a whole prefix: what becomes of other EIDs of
    /// that prefix is ours to know too.
    fn subscribe_wider(&mut self, covering: Prefix, subscribed: EidPrefix, now: Instant) {
        let wider = (subscribed.0, covering);
        let positive = self.cache.get(wider).is_some_and(Entry::is_positive);
        if positive && covering.len() < subscribed.1.len() && self.subscriptions.about(wider).is_empty() {
            self.refresh(wider, now);
        }
    }

    /// A change of a subscribed mapping.
    fn published(&mut self, about: &[Answer], series: Question, now: Instant, out: &mut Outbox) {
        let subscribed = series.key;
        let confirm = self.pendings.about(subscribed).any(|asked| self.decides(asked));
        let origin = Origin { published: true, confirm };
        let known = self.known(series);
        for answer in about {
            self.take_over(answer, subscribed, origin, now, out);
            let appeared = matches!(answer.says, Says::Locators(..) | Says::Nobody(_))
                && answer.prefix.covers(&subscribed.1);
            if !appeared {
                continue;
            }
            // Whoever was missing is there now, by a prefix that contains it.
            let missing = self.cache.get(subscribed).is_some_and(|entry| !entry.is_positive());
            if missing {
                self.forget(subscribed, now, out);
            }
            self.settle(series, answer.chosen, self.known(series) != known, now);
        }
    }

    /// The key that made the message, and how much of it is authentic.
    fn authenticate(&self, notify: &MapNotify, message: &[u8]) -> Result<(Key, Coverage), Counter> {
        let keys = self.settings.map_servers.iter().flat_map(|server| &server.keys);
        let named = keys.filter(|key| key.id == notify.key_id && key.algorithm as u8 == notify.algorithm);
        let mut reason = Counter::NotifyNoKey;
        for key in named {
            match auth::verify(message, notify.records_end, key) {
                Ok(coverage) => return Ok((key.clone(), coverage)),
                Err(_) => reason = Counter::NotifyAuth,
            }
        }
        Err(reason)
    }

    /// The Map-Notify-Ack is the same message with another type. What was not authentic is left out.
    fn acknowledge(
        &mut self,
        notify: &MapNotify,
        coverage: Coverage,
        key: &Key,
        from: SocketAddr,
        out: &mut Outbox,
    ) {
        let mut ack = MapNotify { ack: true, ..notify.clone() };
        if coverage == Coverage::RecordsOnly {
            ack.xtr = None;
            ack.tail.clear();
        }
        self.counters.count(Counter::NotifiesAcknowledged);
        out.datagrams.push(Datagram { from: None, to: from, bytes: ack.signed(key) });
    }
}

/// Whether a record of the Map-Notify is about this subscription.
fn is_related(notify: &MapNotify, key: EidPrefix) -> bool {
    notify
        .records
        .iter()
        .filter_map(|record| record.prefix())
        .any(|(iid, prefix)| iid == key.0 && (prefix.covers(&key.1) || key.1.covers(&prefix)))
}
