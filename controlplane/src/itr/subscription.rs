//! Our subscriptions at Map-Servers, and the nonces that go with them (RFC 9437).
//!
//! The nonces of one subscription only grow: a request has the last one plus one, the confirmation repeats it, and
//! each publication adds one. A Map-Notify therefore finds its subscription by its nonce: it is the one whose last
//! nonce lies shortly below. As the first nonce is random, nobody off the path can hit that window.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::EidPrefix;
use super::question::Question;
use super::schedule::Schedule;
use crate::random::Random;

/// How far a nonce may lie above the last one: publications were lost on the way, or the Map-Server restarted and
/// left out some to be sure.
const WINDOW: u64 = 1 << 20;
/// Bits of the first nonce that are random, below those that count the starts of this gateway.
/// One bit between them stays zero, so that growing never reaches the count.
const RANDOM_BITS: u32 = 43;
const START_SHIFT: u32 = 44;
const START_MASK: u64 = (1 << 20) - 1;
/// Subscriptions whose windows may overlap and that are looked at.
const MAX_CANDIDATES: usize = 20;

/// One subscription.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The nonce of the last Map-Notify accepted, or one below that of the first request.
    last: u64,
    /// The nonce of the last request.
    asked: u64,
    /// A Map-Server confirmed it.
    pub confirmed: bool,
    /// When to look whether it is still needed.
    due: Option<Instant>,
}

/// How the nonce of a Map-Notify relates to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// The next one.
    New(Question),
    /// The same as last time.
    Same(Question),
    /// One from before.
    Old(Question),
}

/// All subscriptions.
#[derive(Debug)]
pub struct Subscriptions {
    start: u64,
    subscriptions: BTreeMap<Question, Subscription>,
    by_last: BTreeSet<(u64, Question)>,
    deadlines: Schedule<Question>,
}

impl Subscriptions {
    /// None yet, in this start of the gateway.
    pub fn new(start: u32) -> Self {
        Self {
            start: u64::from(start) & START_MASK,
            subscriptions: BTreeMap::new(),
            by_last: BTreeSet::new(),
            deadlines: Schedule::default(),
        }
    }

    /// Number of subscriptions.
    pub fn len(&self) -> usize {
        self.subscriptions.len()
    }

    /// The subscription to exactly this.
    pub fn get(&self, key: Question) -> Option<&Subscription> {
        self.subscriptions.get(&key)
    }

    /// All that is subscribed.
    pub fn keys(&self) -> impl Iterator<Item = Question> + '_ {
        self.subscriptions.keys().copied()
    }

    /// The subscriptions to exactly this prefix, whatever is needed.
    pub fn about(&self, key: EidPrefix) -> Vec<Question> {
        self.subscriptions.range(Question::about(key)).map(|(asked, _)| *asked).collect()
    }

    /// Whether a Map-Server confirmed the subscription of exactly this prefix.
    pub fn is_confirmed(&self, key: EidPrefix) -> bool {
        self.subscriptions.range(Question::about(key)).any(|(_, subscription)| subscription.confirmed)
    }

    /// Whether a record of this prefix can belong to a subscription of ours: it lies in a subscribed prefix.
    pub fn covers(&self, key: EidPrefix) -> bool {
        (0..=key.1.len()).rev().any(|len| {
            sterna_wire::Prefix::masked(key.1.addr(), len).is_ok_and(|prefix| self.is_any((key.0, prefix)))
        })
    }

    /// Whether there is a subscription to this prefix, whatever is needed.
    fn is_any(&self, key: EidPrefix) -> bool {
        self.subscriptions.range(Question::about(key)).next().is_some()
    }

    /// The nonce of the next request for this; it begins a subscription if there is none.
    pub fn next_nonce(&mut self, key: Question, random: &mut Random) -> u64 {
        let start = self.start;
        let beside = self
            .subscriptions
            .range(Question::about(key.key))
            .map(|(_, beside)| beside.asked.max(beside.last));
        let above = beside.max().map(|highest| highest + 2 * WINDOW);
        let by_last = &mut self.by_last;
        let subscription = self.subscriptions.entry(key).or_insert_with(|| {
            // One at least, so that there is a nonce below the first one.
            let random = || (start << START_SHIFT) | (random.number() >> (64 - RANDOM_BITS)).max(1);
            let first = above.unwrap_or_else(random);
            by_last.insert((first - 1, key));
            Subscription { last: first - 1, asked: first - 1, confirmed: false, due: None }
        });
        subscription.asked = subscription.asked.max(subscription.last) + 1;
        subscription.asked
    }

    /// The subscription that this nonce belongs to, and for which `related` holds.
    pub fn find(&self, nonce: u64, related: impl Fn(Question) -> bool) -> Option<Match> {
        let lowest = (nonce.saturating_sub(WINDOW), first());
        let highest = (nonce, last());
        let below = self.by_last.range(lowest..=highest).rev().take(MAX_CANDIDATES);
        let new = below
            .filter(|(_, key)| related(*key))
            .map(|(last, key)| if *last == nonce { Match::Same(*key) } else { Match::New(*key) });
        let above = (nonce.saturating_add(1), first());
        let end = (nonce.saturating_add(WINDOW), last());
        let old = self.by_last.range(above..=end).take(MAX_CANDIDATES);
        let old = old.filter(|(_, key)| related(*key)).map(|(_, key)| Match::Old(*key));
        new.chain(old).next()
    }

    /// A Map-Notify with this nonce was accepted; whether it is the first one.
    pub fn accept(&mut self, key: Question, nonce: u64) -> bool {
        let Some(subscription) = self.subscriptions.get_mut(&key) else { return false };
        self.by_last.remove(&(subscription.last, key));
        subscription.last = subscription.last.max(nonce);
        self.by_last.insert((subscription.last, key));
        !std::mem::replace(&mut subscription.confirmed, true)
    }

    /// An answer to a request of one subscription turned out to be the first message of another: it depends on what
    /// is needed. Whether that one is new.
    pub fn fork(&mut self, key: Question, nonce: u64) -> bool {
        if self.subscriptions.contains_key(&key) {
            return false;
        }
        self.by_last.insert((nonce, key));
        self.subscriptions
            .insert(key, Subscription { last: nonce, asked: nonce, confirmed: false, due: None });
        true
    }

    /// What was asked for certain needs was answered for all: it is the subscription to the prefix from now on.
    pub fn widen(&mut self, key: Question) {
        let plain = Question::plain(key.key);
        if key == plain {
            return;
        }
        let Some(mut one) = self.subscriptions.remove(&key) else { return };
        self.remove(plain);
        self.deadlines.set(key, &mut one.due, None);
        self.by_last.remove(&(one.last, key));
        self.by_last.insert((one.last, plain));
        self.subscriptions.insert(plain, one);
    }

    /// The subscription is over; gives whether it was confirmed.
    pub fn remove(&mut self, key: Question) -> bool {
        let Some(mut subscription) = self.subscriptions.remove(&key) else { return false };
        self.deadlines.set(key, &mut subscription.due, None);
        self.by_last.remove(&(subscription.last, key));
        subscription.confirmed
    }

    /// Looks at the subscription at that time.
    pub fn set_due(&mut self, key: Question, at: Instant) {
        if let Some(subscription) = self.subscriptions.get_mut(&key) {
            self.deadlines.set(key, &mut subscription.due, Some(at));
        }
    }

    /// A subscription to look at.
    pub fn due(&self, now: Instant) -> Option<Question> {
        self.deadlines.due(now)
    }

    /// When the next is to be looked at.
    pub fn next_due(&self) -> Option<Instant> {
        self.deadlines.next()
    }
}

/// The first and the last there can be.
fn first() -> Question {
    *Question::about(super::first_key()).start()
}

fn last() -> Question {
    *Question::about(super::last_key()).end()
}

#[cfg(test)]
mod tests {
    use sterna_wire::{Iid, Prefix};

    use super::*;

    fn key(number: u32) -> Question {
        Question::plain((Iid::DEFAULT, Prefix::host(number.to_be_bytes().into())))
    }

    fn needing(number: u32, hash: u8) -> Question {
        Question { needs: Some([hash; 8]), ..key(number) }
    }

    #[test]
    fn later_ones_of_an_eid_begin_above_the_earlier_ones_and_apart_from_them() {
        let (mut subscriptions, mut random) = (Subscriptions::new(3), Random::seeded(1));
        let plain = subscriptions.next_nonce(key(1), &mut random);
        let needing_1 = subscriptions.next_nonce(needing(1, 1), &mut random);
        let needing_2 = subscriptions.next_nonce(needing(1, 2), &mut random);
        assert!(needing_1 > plain + WINDOW && needing_2 > needing_1 + WINDOW);
        assert_eq!(subscriptions.find(needing_1, |_| true), Some(Match::New(needing(1, 1))));
        assert_eq!(subscriptions.find(plain + 3, |_| true), Some(Match::New(key(1))));
    }

    #[test]
    fn an_answer_for_all_makes_the_subscription_that_of_the_prefix() {
        let (mut subscriptions, mut random) = (Subscriptions::new(3), Random::seeded(1));
        subscriptions.next_nonce(key(1), &mut random);
        let nonce = subscriptions.next_nonce(needing(1, 1), &mut random);
        subscriptions.set_due(key(1), Instant::now());
        subscriptions.accept(needing(1, 1), nonce);
        subscriptions.widen(needing(1, 1));
        assert_eq!((subscriptions.len(), subscriptions.by_last.len()), (1, 1));
        assert_eq!(subscriptions.find(nonce + 1, |_| true), Some(Match::New(key(1))));
        assert_eq!(subscriptions.next_due(), None);
        subscriptions.widen(key(1));
        assert_eq!(subscriptions.next_nonce(key(1), &mut random), nonce + 1);
    }

    #[test]
    fn an_answer_for_certain_needs_begins_a_subscription_of_its_own() {
        let (mut subscriptions, mut random) = (Subscriptions::new(3), Random::seeded(1));
        let nonce = subscriptions.next_nonce(key(1), &mut random);
        assert!(subscriptions.fork(needing(1, 1), nonce) && !subscriptions.fork(needing(1, 1), nonce + 9));
        let of = |needs: Option<[u8; 8]>| move |key: Question| key.needs == needs;
        assert_eq!(subscriptions.find(nonce, of(Some([1; 8]))), Some(Match::Same(needing(1, 1))));
        assert_eq!(subscriptions.find(nonce, of(None)), Some(Match::New(key(1))));
        assert!(subscriptions.accept(needing(1, 1), nonce) && subscriptions.is_confirmed(key(1).key));
    }

    #[test]
    fn nonces_grow_with_requests_and_notifies() {
        let (mut subscriptions, mut random) = (Subscriptions::new(3), Random::seeded(1));
        let first = subscriptions.next_nonce(key(1), &mut random);
        assert_eq!(first >> START_SHIFT, 3);
        assert_eq!(subscriptions.next_nonce(key(1), &mut random), first + 1);
        assert_eq!(subscriptions.find(first - 2, |_| true), Some(Match::Old(key(1))));
        assert_eq!(subscriptions.find(first, |_| true), Some(Match::New(key(1))));
        assert!(subscriptions.accept(key(1), first), "the first one confirms");
        assert_eq!(subscriptions.find(first, |_| true), Some(Match::Same(key(1))));
        assert_eq!(subscriptions.find(first + 5, |_| true), Some(Match::New(key(1))), "some were lost");
        assert!(!subscriptions.accept(key(1), first + 5));
        assert_eq!(subscriptions.find(first + 4, |_| true), Some(Match::Old(key(1))));
        assert_eq!(subscriptions.next_nonce(key(1), &mut random), first + 6);
    }

    #[test]
    fn a_nonce_far_away_belongs_to_nobody() {
        let (mut subscriptions, mut random) = (Subscriptions::new(0), Random::seeded(1));
        let first = subscriptions.next_nonce(key(1), &mut random);
        assert_eq!(subscriptions.find(first + WINDOW, |_| true), None);
        assert_eq!(subscriptions.find(first - 2 - WINDOW, |_| true), None);
        assert_eq!(subscriptions.find(first, |_| false), None, "it must be related too");
        assert_eq!(subscriptions.find(0, |_| true), None);
        assert_eq!(subscriptions.find(u64::MAX, |_| true), None);
    }

    #[test]
    fn a_later_start_has_higher_nonces_whatever_the_dice_say() {
        for seed in 0..50 {
            let before = Subscriptions::new(7).next_nonce(key(1), &mut Random::seeded(seed));
            let after = Subscriptions::new(8).next_nonce(key(1), &mut Random::seeded(seed + 1000));
            assert!(after > before + (1 << RANDOM_BITS) / 2);
        }
    }

    #[test]
    fn what_is_removed_is_found_no_more() {
        let (mut subscriptions, mut random) = (Subscriptions::new(0), Random::seeded(1));
        let first = subscriptions.next_nonce(key(1), &mut random);
        subscriptions.set_due(key(1), Instant::now());
        assert!(!subscriptions.remove(key(1)));
        assert_eq!((subscriptions.find(first, |_| true), subscriptions.next_due()), (None, None));
        assert!(subscriptions.by_last.is_empty());
    }

    #[test]
    fn a_record_belongs_to_the_subscriptions_that_contain_it() {
        let (mut subscriptions, mut random) = (Subscriptions::new(0), Random::seeded(1));
        subscriptions
            .next_nonce(Question::plain((Iid::DEFAULT, "10.1.0.0/16".parse().unwrap())), &mut random);
        let covers =
            |iid, prefix: &str| subscriptions.covers((Iid::new(iid).unwrap(), prefix.parse().unwrap()));
        assert!(covers(0, "10.1.0.0/16") && covers(0, "10.1.2.3/32"));
        assert!(!covers(0, "10.0.0.0/8") && !covers(0, "10.2.0.0/16") && !covers(1, "10.1.0.0/16"));
    }
}
