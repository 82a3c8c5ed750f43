//! The subscriptions (RFC 9437): who wants to be told of changes of what, and what it has not acknowledged.
//!
//! A subscription is identified by xTR-ID and the prefix that was asked for, and where the answer is a filtered list
//! by the C-HASH of what was asked. What changes concern it is decided by the
//! prefix that it was *answered*, because that is what the subscriber believes to know and uses for other EIDs too.
//!
//! Each subscription has one sequence of nonces and at most one message on the way. A newer message contains
//! everything that is not acknowledged, so an older one need never be sent again.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sterna_wire::{Iid, Prefix};

use super::arena::{Arena, NONE};
use super::registrations::Tick;
use super::saves::SubscriptionKey;
use super::tree::PrefixTree;
use crate::context::Question;

/// Changes that one subscriber may have to be told; beyond, the first by address is dropped.
pub(super) const MAX_WAITING: usize = 16_384;

/// One subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) key: SubscriptionKey,
    /// What it was answered.
    pub(super) answered: Prefix,
    /// What it asked in ACX; none for a subscriber that did not.
    pub(super) question: Option<Arc<Question>>,
    /// Whose key signs.
    pub(super) site: u32,
    pub(super) site_id: u64,
    /// Where publications may go; the first is best.
    pub(super) rlocs: Arc<[IpAddr]>,
    /// Our address that the subscriber knows.
    pub(super) local: Option<IpAddr>,
    /// The last nonce that the subscriber used or acknowledged.
    pub(super) seen: u64,
    /// The highest nonce used by either.
    pub(super) sent: u64,
    /// Nonce of the message on the way.
    pub(super) on_way: u64,
    /// Nonces below this are saved as used.
    pub(super) reserved: u64,
    /// When it was renewed or acknowledged last.
    pub(super) renewed: Tick,
    /// When something was sent last.
    pub(super) sent_at: Option<Instant>,
    /// What is to be done; none when the subscriber knows everything.
    pub(super) work: Option<Box<Work>>,
    /// Neighbours in the list of those that were answered the same prefix.
    pub(super) before: u32,
    pub(super) behind: u32,
}

/// What a subscriber does not know or has not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Changed prefixes that no message on the way tells.
    pub(super) waiting: BTreeSet<Prefix>,
    /// Prefixes told by the message on the way.
    pub(super) told: BTreeSet<Prefix>,
    /// The message on the way is the confirmation of the subscription.
    pub(super) confirming: bool,
    /// How many times it was sent.
    pub(super) sendings: u8,
    /// When to send it again.
    pub(super) resend: Option<Instant>,
    /// When to tell what is waiting.
    pub(super) flush: Option<Instant>,
    /// As it stands in `due`.
    pub(super) due: Option<Instant>,
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    places: Arena<Subscription>,
    by_key: HashMap<SubscriptionKey, u32>,
    /// First of the list of those that were answered this prefix.
    by_answer: PrefixTree,
    per_xtr: HashMap<[u8; 16], usize>,
    /// Nonces of messages on the way.
    by_nonce: BTreeSet<(u64, u32)>,
    due: BTreeSet<(Instant, u32)>,
    /// Changes whose subscriptions inside have not all been looked at: behind this prefix.
    pub(super) scans: Vec<(Iid, Prefix, Prefix)>,
    /// Where the search for expired ones goes on, and when.
    pub(super) sweep: (u32, Option<Instant>),
    /// No more can be published before this.
    pub(super) exhausted_until: Option<Instant>,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn of_xtr(&self, xtr_id: &[u8; 16]) -> usize {
        self.per_xtr.get(xtr_id).copied().unwrap_or(0)
    }

    pub(super) fn get(&self, place: u32) -> Option<&Subscription> {
        self.places.get(place)
    }

    pub(super) fn find(&self, key: &SubscriptionKey) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Subscription)> {
        self.places.iter()
    }

    pub(super) fn places(&self) -> u32 {
        self.places.places()
    }

    pub(super) fn insert(&mut self, subscription: Subscription) -> u32 {
        let key = subscription.key;
        *self.per_xtr.entry(key.xtr_id).or_insert(0) += 1;
        let place = self.places.insert(subscription);
        self.by_key.insert(key, place);
        self.link(place);
        place
    }

    pub(super) fn remove(&mut self, place: u32) -> Option<Subscription> {
        self.quiet(place);
        self.unlink(place);
        let subscription = self.places.remove(place)?;
        self.by_key.remove(&subscription.key);
        if let Some(count) = self.per_xtr.get_mut(&subscription.key.xtr_id) {
            *count -= 1;
            if *count == 0 {
                self.per_xtr.remove(&subscription.key.xtr_id);
            }
        }
        Some(subscription)
    }

    /// Nothing is on the way and nothing to be done any more.
    pub(super) fn quiet(&mut self, place: u32) {
        let Some(subscription) = self.places.get_mut(place) else { return };
        self.by_nonce.remove(&(subscription.on_way, place));
        if let Some(due) = subscription.work.take().and_then(|work| work.due) {
            self.due.remove(&(due, place));
        }
    }

    /// Changes a subscription, and looks again at when something is due. What was answered and the nonce on the
    /// way have functions of their own.
    pub(super) fn change<R>(&mut self, place: u32, change: impl FnOnce(&mut Subscription) -> R) -> Option<R> {
        let subscription = self.places.get_mut(place)?;
        let before = subscription.work.as_ref().and_then(|work| work.due);
        let result = change(subscription);
        let mut after = None;
        if let Some(work) = &mut subscription.work {
            after = [work.resend, work.flush].into_iter().flatten().min();
            work.due = after;
        }
        if before != after {
            before.map(|due| self.due.remove(&(due, place)));
            after.map(|due| self.due.insert((due, place)));
        }
        Some(result)
    }

    /// The message with this nonce is on the way, and no other.
    pub(super) fn set_sent(&mut self, place: u32, nonce: u64) {
        let Some(subscription) = self.places.get_mut(place) else { return };
        self.by_nonce.remove(&(subscription.on_way, place));
        subscription.on_way = nonce;
        subscription.sent = subscription.sent.max(nonce);
        self.by_nonce.insert((nonce, place));
    }

    /// The message on the way has arrived.
    pub(super) fn clear_sent(&mut self, place: u32) {
        if let Some(subscription) = self.places.get(place) {
            self.by_nonce.remove(&(subscription.on_way, place));
        }
    }

    /// Subscriptions that have a message with this nonce on the way.
    pub(super) fn waiting_for(&self, nonce: u64) -> impl Iterator<Item = u32> {
        self.by_nonce.range((nonce, 0)..=(nonce, u32::MAX)).map(|(_, place)| *place)
    }

    /// The subscription that something is due for next.
    pub(super) fn next_due(&self) -> Option<(Instant, u32)> {
        self.due.first().copied()
    }

    /// When something is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let sweep = self.sweep.1.filter(|_| self.len() > 0);
        let due = self.due.first().map(|(due, _)| self.exhausted_until.map_or(*due, |until| until.max(*due)));
        due.into_iter().chain(sweep).min()
    }

    /// This subscriber is to be told about this prefix, at once if it was left in peace for `pause`.
    /// Gives whether an older change had to be dropped.
    pub(super) fn note(&mut self, place: u32, prefix: Prefix, pause: Duration, now: Instant) -> bool {
        let note = |subscription: &mut Subscription| {
            let earliest = subscription.sent_at.map_or(now, |sent| (sent + pause).max(now));
            let work = subscription.work.get_or_insert_default();
            work.waiting.insert(prefix);
            work.flush.get_or_insert(earliest);
            work.waiting.len() > MAX_WAITING && work.waiting.pop_first().is_some()
        };
        self.change(place, note).unwrap_or(false)
    }

    /// The subscriber was answered another prefix.
    pub(super) fn set_answered(&mut self, place: u32, answered: Prefix) {
        self.unlink(place);
        if let Some(subscription) = self.places.get_mut(place) {
            subscription.answered = answered;
        }
        self.link(place);
    }

    /// Those that were answered this prefix or one around it.
    pub(super) fn covering(&self, iid: Iid, prefix: &Prefix) -> Vec<u32> {
        self.by_answer.covering(iid, prefix).flat_map(|(_, first)| self.list(first)).collect()
    }

    /// All subscriptions of this xTR to this prefix, whatever was asked.
    pub(super) fn alike(&self, key: &SubscriptionKey) -> Vec<u32> {
        let alike = |place: &u32| {
            self.places.get(*place).is_some_and(|other| {
                (other.key.xtr_id, other.key.iid, other.key.prefix) == (key.xtr_id, key.iid, key.prefix)
            })
        };
        self.covering(key.iid, &key.prefix).into_iter().filter(alike).collect()
    }

    /// Prefixes inside this one, behind `after`, that were answered to some.
    pub(super) fn answered_inside(
        &self,
        iid: Iid,
        prefix: &Prefix,
        after: Prefix,
    ) -> impl Iterator<Item = (Prefix, u32)> {
        self.by_answer.inside_after(iid, prefix, after)
    }

    /// Those in the list from this one on.
    pub(super) fn list(&self, first: u32) -> impl Iterator<Item = u32> {
        let at = |place: u32| self.places.get(place).map(|_| place);
        std::iter::successors(at(first), move |place| at(self.places.get(*place)?.behind))
    }

    fn link(&mut self, place: u32) {
        let Some(subscription) = self.places.get(place) else { return };
        let (iid, answered) = (subscription.key.iid, subscription.answered);
        let behind = self.by_answer.insert(iid, &answered, place).unwrap_or(NONE);
        if let Some(subscription) = self.places.get_mut(place) {
            (subscription.before, subscription.behind) = (NONE, behind);
        }
        if let Some(subscription) = self.places.get_mut(behind) {
            subscription.before = place;
        }
    }

    fn unlink(&mut self, place: u32) {
        let Some(subscription) = self.places.get(place) else { return };
        let (iid, answered) = (subscription.key.iid, subscription.answered);
        let (before, behind) = (subscription.before, subscription.behind);
        match self.places.get_mut(before) {
            Some(subscription) => subscription.behind = behind,
            None if behind == NONE => {
                self.by_answer.remove(iid, &answered);
            }
            None => {
                self.by_answer.insert(iid, &answered, behind);
            }
        }
        if let Some(subscription) = self.places.get_mut(behind) {
            subscription.before = before;
        }
    }

    /// Sites have new numbers; subscriptions of sites without one are given up by the caller before.
    pub(super) fn renumber(&mut self, new: impl Fn(u32) -> u32) {
        for place in 0..self.places.places() {
            if let Some(subscription) = self.places.get_mut(place) {
                subscription.site = new(subscription.site);
            }
        }
    }
}

impl Subscription {
    /// A subscription to which nothing was sent yet.
    pub(super) fn new(key: SubscriptionKey, site: u32, rlocs: Arc<[IpAddr]>) -> Subscription {
        Subscription {
            key,
            answered: key.prefix,
            question: None,
            site,
            site_id: 0,
            rlocs,
            local: None,
            seen: 0,
            sent: 0,
            on_way: 0,
            reserved: 0,
            renewed: 0,
            sent_at: None,
            work: None,
            before: NONE,
            behind: NONE,
        }
    }
}
