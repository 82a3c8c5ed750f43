//! Map-Notifies of our subscriptions: confirmations and publications (RFC 9437).

use std::net::SocketAddr;
use std::time::Instant;

use sterna_wire::Prefix;
use sterna_wire::lisp::control::MapNotify;
use sterna_wire::lisp::control::auth::{self, Coverage, Key};

use super::answer::{self, Answer, Answers, Says};
use super::cache::Entry;
use super::counters::Counter;
use super::learn::Origin;
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
        let found = self.subscriptions.find(notify.nonce, |key| is_related(notify, key));
        // The last word of a subscription that we ended, or of a question that was answered otherwise.
        if found.is_none() && !self.pendings.was_answered(notify.nonce) {
            return false;
        }
        match self.authenticate(notify, message) {
            Err(reason) => self.counters.bump(reason),
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
            return self.counters.bump(Counter::NotifyForeignXtr);
        }
        match found {
            Some(Match::New(key)) => self.publication(notify, key, now, out),
            Some(Match::Old(_)) => self.counters.bump(Counter::NotifyReplayed),
            Some(Match::Same(_)) | None => self.counters.bump(Counter::NotifyDuplicate),
        }
    }

    /// Whether the xTR-ID, if there is an authentic one, is ours.
    fn is_for_us(&self, notify: &MapNotify, coverage: Coverage) -> bool {
        let named = notify.xtr.filter(|_| coverage == Coverage::Whole);
        named.is_none_or(|xtr| xtr.xtr_id == self.identity.xtr.xtr_id)
    }

    /// The next Map-Notify of a subscription.
    fn publication(&mut self, notify: &MapNotify, subscribed: EidPrefix, now: Instant, out: &mut Outbox) {
        self.silence.broken();
        self.counters.bump(Counter::NotifiesAccepted);
        let confirms = self.pendings.of_nonce(notify.nonce) == Some(subscribed);
        let first = self.subscriptions.accept(subscribed, notify.nonce);
        if first {
            self.counters.bump(Counter::SubscriptionsConfirmed);
        }
        let ours = |key: EidPrefix| {
            (key.0 == subscribed.0 && key.1.covers(&subscribed.1)) || self.subscriptions.covers(key)
        };
        let records = answer::of_notify(&notify.records, ours, &self.settings, &mut self.counters);
        let origin = Origin { published: true, confirm: false };
        let (about, others): (Vec<_>, Vec<_>) = records.into_iter().partition(|(iid, answer)| {
            *iid == subscribed.0
                && (answer.prefix.covers(&subscribed.1) || subscribed.1.covers(&answer.prefix))
        });
        for (iid, answer) in others {
            self.take_over(&answer, (iid, answer.prefix), origin, now, out);
        }
        let about: Vec<Answer> = about.into_iter().map(|(_, answer)| answer).collect();
        let covering = about.iter().map(|answer| answer.prefix).filter(|prefix| prefix.covers(&subscribed.1));
        let covering = covering.max_by_key(Prefix::len);
        // The confirmation of a subscription answers the request as well.
        if confirms && covering.is_some() {
            let answers = Answers { answers: about, covering };
            if let Err(reason) = self.accept(&answers, subscribed, origin, now, out) {
                self.counters.bump(reason);
            }
        } else {
            self.published(&about, subscribed, now, out);
        }
        if let Some(covering) = covering.filter(|_| first) {
            self.subscribe_wider(covering, subscribed, now);
        }
    }

    /// An EID was subscribed and turns out to have the mapping of a whole prefix: what becomes of other EIDs of
    /// that prefix is ours to know too.
    fn subscribe_wider(&mut self, covering: Prefix, subscribed: EidPrefix, now: Instant) {
        let wider = (subscribed.0, covering);
        let positive = self.cache.get(wider).is_some_and(Entry::is_positive);
        if positive && covering.len() < subscribed.1.len() && self.subscriptions.get(wider).is_none() {
            self.refresh(wider, now);
        }
    }

    /// A change of a subscribed mapping.
    fn published(&mut self, about: &[Answer], subscribed: EidPrefix, now: Instant, out: &mut Outbox) {
        let confirm = self.pendings.get(subscribed).is_some_and(|pending| pending.why.confirm);
        let origin = Origin { published: true, confirm };
        for answer in about {
            self.take_over(answer, subscribed, origin, now, out);
            let appeared = matches!(answer.says, Says::Locators(..)) && answer.prefix.covers(&subscribed.1);
            if !appeared {
                continue;
            }
            // Whoever was missing is there now, by a prefix that contains it.
            let missing = self.cache.get(subscribed).is_some_and(|entry| !entry.is_positive());
            if missing {
                self.forget(subscribed, now, out);
            }
            self.settle(subscribed);
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
        self.counters.bump(Counter::NotifiesAcknowledged);
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
