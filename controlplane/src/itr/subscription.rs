//! Our subscriptions at Map-Servers, and the nonces that go with them (RFC 9437).
//!
//! The nonces of one subscription only grow: a request has the last one plus one, the confirmation repeats it, and
//! each publication adds one. A Map-Notify therefore finds its subscription by its nonce: it is the one whose last
//! nonce lies shortly below. As the first nonce is random, nobody off the path can hit that window.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::EidPrefix;
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
const MAX_CANDIDATES: usize = 4;

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
    New(EidPrefix),
    /// The same as last time.
    Same(EidPrefix),
    /// One from before.
    Old(EidPrefix),
}

/// All subscriptions.
#[derive(Debug)]
pub struct Subscriptions {
    start: u64,
    subscriptions: BTreeMap<EidPrefix, Subscription>,
    by_last: BTreeSet<(u64, EidPrefix)>,
    deadlines: Schedule<EidPrefix>,
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

    /// The subscription of exactly this prefix.
    pub fn get(&self, key: EidPrefix) -> Option<&Subscription> {
        self.subscriptions.get(&key)
    }

    /// All subscribed prefixes.
    pub fn keys(&self) -> impl Iterator<Item = EidPrefix> + '_ {
        self.subscriptions.keys().copied()
    }

    /// Whether a Map-Server confirmed the subscription of exactly this prefix.
    pub fn is_confirmed(&self, key: EidPrefix) -> bool {
        self.get(key).is_some_and(|subscription| subscription.confirmed)
    }

    /// Whether a record of this prefix can belong to a subscription of ours: it lies in a subscribed prefix.
    pub fn covers(&self, key: EidPrefix) -> bool {
        (0..=key.1.len()).rev().any(|len| {
            sterna_wire::Prefix::masked(key.1.addr(), len)
                .is_ok_and(|prefix| self.subscriptions.contains_key(&(key.0, prefix)))
        })
    }

    /// The nonce of the next request for this prefix; it begins a subscription if there is none.
    pub fn next_nonce(&mut self, key: EidPrefix, random: &mut Random) -> u64 {
        let start = self.start;
        let by_last = &mut self.by_last;
        let subscription = self.subscriptions.entry(key).or_insert_with(|| {
            // One at least, so that there is a nonce below the first one.
            let first = (start << START_SHIFT) | (random.number() >> (64 - RANDOM_BITS)).max(1);
            by_last.insert((first - 1, key));
            Subscription { last: first - 1, asked: first - 1, confirmed: false, due: None }
        });
        subscription.asked = subscription.asked.max(subscription.last) + 1;
        subscription.asked
    }

    /// The subscription that this nonce belongs to, and for which `related` holds.
    pub fn find(&self, nonce: u64, related: impl Fn(EidPrefix) -> bool) -> Option<Match> {
        let lowest = (nonce.saturating_sub(WINDOW), super::first_key());
        let highest = (nonce, super::last_key());
        let below = self.by_last.range(lowest..=highest).rev().take(MAX_CANDIDATES);
        let new = below
            .filter(|(_, key)| related(*key))
            .map(|(last, key)| if *last == nonce { Match::Same(*key) } else { Match::New(*key) });
        let above = (nonce.saturating_add(1), super::first_key());
        let end = (nonce.saturating_add(WINDOW), super::last_key());
        let old = self.by_last.range(above..=end).take(MAX_CANDIDATES);
        let old = old.filter(|(_, key)| related(*key)).map(|(_, key)| Match::Old(*key));
        new.chain(old).next()
    }

    /// A Map-Notify with this nonce was accepted; whether it is the first one.
    pub fn accept(&mut self, key: EidPrefix, nonce: u64) -> bool {
        let Some(subscription) = self.subscriptions.get_mut(&key) else { return false };
        self.by_last.remove(&(subscription.last, key));
        subscription.last = subscription.last.max(nonce);
        self.by_last.insert((subscription.last, key));
        !std::mem::replace(&mut subscription.confirmed, true)
    }

    /// The subscription is over; gives whether it was confirmed.
    pub fn remove(&mut self, key: EidPrefix) -> bool {
        let Some(mut subscription) = self.subscriptions.remove(&key) else { return false };
        self.deadlines.set(key, &mut subscription.due, None);
        self.by_last.remove(&(subscription.last, key));
        subscription.confirmed
    }

    /// Looks at the subscription at that time.
    pub fn set_due(&mut self, key: EidPrefix, at: Instant) {
        if let Some(subscription) = self.subscriptions.get_mut(&key) {
            self.deadlines.set(key, &mut subscription.due, Some(at));
        }
    }

    /// A subscription to look at.
    pub fn due(&self, now: Instant) -> Option<EidPrefix> {
        self.deadlines.due(now)
    }

    /// When the next is to be looked at.
    pub fn next_due(&self) -> Option<Instant> {
        self.deadlines.next()
    }
}

#[cfg(test)]
mod tests {
    use sterna_wire::{Iid, Prefix};

    use super::*;

    fn key(number: u32) -> EidPrefix {
        (Iid::DEFAULT, Prefix::host(number.to_be_bytes().into()))
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
        subscriptions.next_nonce((Iid::DEFAULT, "10.1.0.0/16".parse().unwrap()), &mut random);
        let covers =
            |iid, prefix: &str| subscriptions.covers((Iid::new(iid).unwrap(), prefix.parse().unwrap()));
        assert!(covers(0, "10.1.0.0/16") && covers(0, "10.1.2.3/32"));
        assert!(!covers(0, "10.0.0.0/8") && !covers(0, "10.2.0.0/16") && !covers(1, "10.1.0.0/16"));
    }
}
