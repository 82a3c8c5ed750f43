//! Publishing changes to subscribers (RFC 9437 section 6): the first at once, more of them together a little later,
//! each until it is acknowledged.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::{EidRecord, MapNotify, XtrId};
use sterna_wire::{Iid, Prefix};

use super::pace;
use super::request::MAX_ANSWER;
use super::subscriptions::{Subscription, Work};
use super::{Refusal, Server};
use crate::context::{Known, MAX_MESSAGE, Question, answer, answer_within, record_len};
use crate::outbox::{CONTROL_PORT, Datagram, Outbox};

/// Changes within this after a message to the same subscriber go together.
const PAUSE: Duration = Duration::from_millis(5);
/// Messages in one go, so that many subscribers do not hold up everything else.
const MAX_MESSAGES: usize = 256;
/// Header, authentication data and identity of a Map-Notify, and that again at the end of its block.
const NOTIFY_HEADER: usize = 16 + 32 + 24 + 28;
/// The most records of a publication in ACX.
const MAX_TOGETHER: usize = 16;
/// Answered prefixes inside a changed one that are looked at in one go.
const MAX_SCAN: usize = 4096;

impl Server {
    /// What is registered for this prefix has changed: whoever believes to know it is told.
    pub(super) fn changed(&mut self, iid: Iid, prefix: &Prefix, now: Instant) {
        self.counters.changes += 1;
        if self.subscriptions.len() == 0 {
            return;
        }
        for place in self.subscriptions.covering(iid, prefix) {
            self.note(place, *prefix, now);
        }
        if !prefix.is_host() {
            self.scan(iid, *prefix, *prefix, now);
        }
    }

    pub(super) fn note(&mut self, place: u32, prefix: Prefix, now: Instant) {
        if self.subscriptions.note(place, prefix, PAUSE, now) {
            self.counters.refuse(Refusal::PublicationDropped);
        }
    }

    /// Those that were answered a part of the changed prefix, if that part is still answered by it.
    fn scan(&mut self, iid: Iid, prefix: Prefix, after: Prefix, now: Instant) {
        let parts: Vec<_> = self.subscriptions.answered_inside(iid, &prefix, after).take(MAX_SCAN).collect();
        if parts.len() == MAX_SCAN
            && let Some((last, _)) = parts.last()
        {
            self.subscriptions.scans.push((iid, prefix, *last));
        }
        for (part, first) in parts {
            let closer = self.table.tree.longest(iid, &part);
            if closer.is_some_and(|(closer, _)| closer.len() > prefix.len()) {
                continue;
            }
            let places: Vec<u32> = self.subscriptions.list(first).collect();
            for place in places {
                self.note(place, part, now);
            }
        }
    }

    /// Who was answered this prefix or a part of it by what is registered for it, with what each is to be told.
    pub(super) fn watchers(&mut self, iid: Iid, prefix: &Prefix) -> Vec<(u32, Prefix)> {
        let covering = self.subscriptions.covering(iid, prefix);
        let mut watchers: Vec<(u32, Prefix)> = covering.into_iter().map(|place| (place, *prefix)).collect();
        if prefix.is_host() {
            return watchers;
        }
        let parts: Vec<_> = self.subscriptions.answered_inside(iid, prefix, *prefix).take(MAX_SCAN).collect();
        if parts.len() == MAX_SCAN
            && let Some((last, _)) = parts.last()
        {
            self.subscriptions.scans.push((iid, *prefix, *last));
        }
        for (part, first) in parts {
            let closer = self.table.tree.longest(iid, &part);
            if closer.is_none_or(|(closer, _)| closer.len() <= prefix.len()) {
                watchers.extend(self.subscriptions.list(first).map(|place| (place, part)));
            }
        }
        watchers
    }

    /// Sends what is due to subscribers.
    pub(super) fn publish(&mut self, now: Instant, out: &mut Outbox) {
        if let Some((iid, prefix, after)) = self.subscriptions.scans.pop() {
            self.scan(iid, prefix, after, now);
        }
        if self.subscriptions.exhausted_until.is_some_and(|until| now < until) {
            return;
        }
        self.subscriptions.exhausted_until = None;
        for _ in 0..MAX_MESSAGES {
            let Some((_, place)) = self.subscriptions.next_due().filter(|(due, _)| *due <= now) else {
                return;
            };
            let subscription = self.subscriptions.get(place);
            let Some(work) = subscription.and_then(|subscription| subscription.work.as_ref()) else { return };
            let enough = if work.flush.is_some_and(|flush| flush <= now) {
                self.tell_changes(place, now, out)
            } else {
                self.tell_again(place, now, out)
            };
            if !enough {
                self.subscriptions.exhausted_until = Some(self.limits.published.next(now));
                return;
            }
        }
    }

    /// Sends one message with what is waiting and what is not acknowledged. Gives whether the rate allowed it.
    fn tell_changes(&mut self, place: u32, now: Instant, out: &mut Outbox) -> bool {
        let told = self.next_told(place);
        if told.is_empty() {
            // The acknowledgement of what is on the way goes first.
            self.subscriptions.change(place, |subscription| {
                if let Some(work) = &mut subscription.work {
                    work.flush = None;
                }
            });
            return true;
        }
        if !self.limits.published.take_many(told.len() as u32, now) {
            return false;
        }
        let Some(nonce) = self.subscriptions.get(place).map(|subscription| subscription.sent + 1) else {
            return true;
        };
        self.counters.published += told.len() as u64;
        self.subscriptions.set_sent(place, nonce);
        self.subscriptions.change(place, |subscription| {
            subscription.sent_at = Some(now);
            let work = subscription.work.get_or_insert_default();
            work.waiting.retain(|prefix| !told.contains(prefix));
            (work.told, work.sendings) = (told, 1);
            (work.flush, work.resend) = (None, pace::wait(1).map(|wait| now + wait));
        });
        if self.reserve_nonces(place) {
            self.save_subscription(place);
        }
        self.send_publication(place, out);
        true
    }

    /// What the next message tells: everything that is not acknowledged. When that is too much for one message:
    /// nothing while one is on the way, otherwise as much as fits.
    fn next_told(&self, place: u32) -> BTreeSet<Prefix> {
        let Some(subscription) = self.subscriptions.get(place) else { return BTreeSet::new() };
        let Some(work) = subscription.work.as_ref().filter(|work| !work.confirming) else {
            return BTreeSet::new();
        };
        let all: Vec<Prefix> = work.told.union(&work.waiting).copied().collect();
        let known = all.iter().map(|prefix| self.publication(subscription, work, prefix));
        let fitting = self.fitting(known, subscription.question.as_deref());
        if fitting < all.len() && !work.told.is_empty() {
            return BTreeSet::new();
        }
        all.into_iter().take(fitting).collect()
    }

    /// How many of these one publication tells, at least one. A filtered list goes alone, and in ACX the block of all
    /// must fit.
    pub(super) fn fitting(&self, known: impl Iterator<Item = Known>, question: Option<&Question>) -> usize {
        let mut together: Vec<Known> = Vec::new();
        let mut len = 0;
        for known in known {
            let alone = question.is_some_and(|question| known.is_filtered(question));
            len += record_len(&known.record);
            together.push(known);
            let fits = match question {
                None => len <= MAX_ANSWER,
                Some(_) => {
                    let answered = answer(&together, self.manner(question, true));
                    answered.fits(MAX_MESSAGE - NOTIFY_HEADER)
                }
            };
            if !fits || alone && together.len() > 1 {
                return (together.len() - 1).max(1);
            }
            if alone || together.len() == MAX_TOGETHER && question.is_some() {
                break;
            }
        }
        together.len()
    }

    /// Sends the message on the way once more, or gives up. Gives whether the rate allowed it.
    fn tell_again(&mut self, place: u32, now: Instant, out: &mut Outbox) -> bool {
        let Some(work) = self.subscriptions.get(place).and_then(|subscription| subscription.work.as_ref())
        else {
            return true;
        };
        let (sendings, confirming) = (work.sendings.saturating_add(1), work.confirming);
        let Some(wait) = pace::wait(sendings) else {
            self.give_up(place, confirming);
            return true;
        };
        if !self.limits.published.take_many(work.told.len() as u32, now) {
            return false;
        }
        self.counters.retransmitted += 1;
        self.subscriptions.change(place, |subscription| {
            if let Some(work) = &mut subscription.work {
                (work.sendings, work.resend) = (sendings, Some(now + wait));
            }
        });
        self.send_publication(place, out);
        true
    }

    /// One that never confirmed is no subscriber. One that did is told everything with the next change.
    fn give_up(&mut self, place: u32, confirming: bool) {
        if confirming {
            self.counters.refuse(Refusal::SubscriptionGivenUp);
            return self.end_subscription(place);
        }
        self.counters.refuse(Refusal::PublicationGivenUp);
        self.subscriptions.clear_sent(place);
        self.subscriptions.change(place, |subscription| {
            if let Some(work) = &mut subscription.work {
                work.waiting.append(&mut work.told);
                (work.resend, work.flush) = (None, None);
            }
        });
    }

    /// Sends the message on the way to the next of the subscriber's RLOCs.
    pub(super) fn send_publication(&self, place: u32, out: &mut Outbox) {
        let Some(subscription) = self.subscriptions.get(place) else { return };
        let Some(work) = subscription.work.as_ref() else { return };
        let Some(site) = self.sites.get(subscription.site as usize) else { return };
        let Some((key_id, algorithm)) = self.signature(&subscription.key, subscription.site) else { return };
        let Some(key) = site.signing_key(key_id, algorithm) else { return };
        let turn = usize::from(work.sendings.saturating_sub(1));
        let Some(rloc) = subscription.rlocs.get(turn % subscription.rlocs.len().max(1)) else { return };
        let known: Vec<Known> =
            work.told.iter().map(|prefix| self.publication(subscription, work, prefix)).collect();
        let question = subscription.question.as_deref();
        let room = if question.is_some() { MAX_MESSAGE - NOTIFY_HEADER } else { usize::MAX };
        let (answered, _) = answer_within(&known, self.manner(question, true), room);
        let xtr = XtrId { xtr_id: subscription.key.xtr_id, site_id: subscription.site_id };
        let tail = answered.tail_for(Some(xtr));
        let notify = MapNotify {
            nonce: subscription.on_way,
            records: answered.records,
            tail,
            xtr: Some(xtr),
            ..MapNotify::default()
        };
        out.datagrams.push(Datagram {
            from: subscription.local,
            to: SocketAddr::new(*rloc, CONTROL_PORT),
            bytes: notify.signed(key),
        });
    }

    /// What a subscriber is told of a prefix now. For what it was answered the registration around it will do;
    /// of other prefixes it only learns what is registered for them or that nothing is.
    fn publication(&self, subscription: &Subscription, work: &Work, prefix: &Prefix) -> Known {
        let iid = subscription.key.iid;
        let tree = &self.table.tree;
        let is_answer = *prefix == subscription.answered;
        let found = match tree.get(iid, prefix) {
            None if is_answer => tree.longest(iid, prefix).map(|(_, first)| first),
            exact => exact,
        };
        match found {
            Some(first) => self.known(iid, prefix, first),
            None if is_answer && work.confirming => {
                let mut answer = self.answer(iid, prefix, false).records;
                answer.pop().unwrap_or_else(|| Known::plain(EidRecord::of(iid, *prefix)))
            }
            None => Known::plain(EidRecord { ttl: 0, ..EidRecord::of(iid, *prefix) }),
        }
    }

    /// A subscriber acknowledges what is on the way to it.
    pub(super) fn publication_acknowledged(
        &mut self,
        ack: &MapNotify,
        message: &[u8],
        from: SocketAddr,
        now: Instant,
    ) -> Result<(), Refusal> {
        let is_from = |place: &u32| {
            self.subscriptions.get(*place).is_some_and(|subscription| match &ack.xtr {
                Some(xtr) => xtr.xtr_id == subscription.key.xtr_id,
                None => subscription.rlocs.contains(&from.ip()),
            })
        };
        let suspects: Vec<u32> = self.subscriptions.waiting_for(ack.nonce).filter(is_from).take(8).collect();
        if suspects.is_empty() {
            return Err(Refusal::AckUnknown);
        }
        for place in suspects {
            let site = self.subscriptions.get(place).map_or(u32::MAX, |subscription| subscription.site);
            if self.verify_ack(site, ack, message).is_ok() {
                self.acknowledge(place, now);
                return Ok(());
            }
        }
        Err(Refusal::AckAuth)
    }

    fn acknowledge(&mut self, place: u32, now: Instant) {
        let renewed = self.ticks(now);
        self.subscriptions.clear_sent(place);
        self.subscriptions.change(place, |subscription| {
            (subscription.seen, subscription.renewed) = (subscription.seen.max(subscription.on_way), renewed);
            let pause = subscription.sent_at.map_or(now, |sent| sent + PAUSE).max(now);
            match &mut subscription.work {
                Some(work) if !work.waiting.is_empty() => {
                    work.told.clear();
                    (work.confirming, work.resend, work.flush) = (false, None, Some(pause));
                }
                _ => subscription.work = None,
            }
        });
    }
}
