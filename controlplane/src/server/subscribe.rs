//! Subscribing and unsubscribing (RFC 9437 section 5).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::{LispAddress, MapNotify, XtrId};
use sterna_wire::{Iid, Prefix};

use super::pace;
use super::registrations::Tick;
use super::request::Asked;
use super::saves::{Identity, Save, SavedSubscription, SubscriptionKey};
use super::subscriptions::{MAX_WAITING, Subscription, Work};
use super::{Refusal, Server, TICK};
use crate::context::{Question, answer};
use crate::outbox::{CONTROL_PORT, Datagram, Outbox};

/// The most ITR-RLOCs of a subscription that are kept.
const MAX_RLOCS: usize = 8;
/// Nonces reserved in the store at a time.
const BLOCK: u64 = 1024;
/// How often a part of the subscriptions is searched for expired ones, and how large a part.
const SWEEP_PERIOD: Duration = Duration::from_secs(10);
const SWEEP: u32 = 8192;

impl Server {
    /// Subscribes the querier to a prefix, renews that, or ends it, and confirms it by a Map-Notify.
    pub(super) fn subscribe(
        &mut self,
        asked: &Asked<'_>,
        iid: Iid,
        prefix: &Prefix,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let xtr = asked.request.xtr.filter(|xtr| xtr.xtr_id != [0; 16]);
        let xtr = xtr.ok_or(Refusal::SubscriptionAnonymous)?;
        let site = self.subscriber_site(asked, &xtr, iid).ok_or(Refusal::SubscriptionKeyless)?;
        let ends = asked.request.itr_rlocs == [LispAddress::None];
        let hash = asked.question.as_ref().and_then(|question| match ends {
            // It may have been filtered when it began.
            true => question.hash(),
            false => self.hash_for(question, iid, prefix),
        });
        let key = SubscriptionKey { xtr_id: xtr.xtr_id, iid, prefix: *prefix, hash };
        let known = self.subscriptions.find(&key);
        let seen = known.and_then(|place| self.subscriptions.get(place)).map(|known| known.seen);
        if seen.is_some_and(|seen| asked.request.nonce <= seen) {
            return Err(Refusal::SubscriptionStale);
        }
        if ends {
            return self.unsubscribe(asked, key, site, xtr, out);
        }
        let rlocs = self.rlocs_of(asked, site);
        if rlocs.is_empty() {
            return Err(Refusal::SubscriptionForeignRloc);
        }
        let question = match &asked.question {
            Some(question) => Some(self.questions.share(question.clone()).ok_or(Refusal::QuestionsFull)?),
            None => None,
        };
        let place = match known {
            Some(place) => place,
            None if self.has_room_for(&key) => {
                self.subscriptions.insert(Subscription::new(key, site, rlocs.clone()))
            }
            None => return Err(Refusal::SubscriptionsFull),
        };
        self.counters.subscribed += 1;
        let question = self.subscriptions.change(place, |subscription| {
            std::mem::replace(&mut subscription.question, question.clone()) != question
        });
        let new = known.is_none() || question == Some(true);
        self.renew(place, new, asked, site, xtr.site_id, rlocs);
        self.send_publication(place, out);
        Ok(())
    }

    /// C-HASH for the key of a subscription to a filtered list: its answers hold for that question alone.
    fn hash_for(&self, question: &Question, iid: Iid, prefix: &Prefix) -> Option<[u8; 8]> {
        let hash = question.hash()?;
        let known = self.answer(iid, prefix, false).records;
        let filtered = known.first().is_some_and(|known| known.is_filtered(question));
        (filtered || self.scopes.is_skill(iid, prefix)).then_some(hash)
    }

    fn has_room_for(&self, key: &SubscriptionKey) -> bool {
        self.subscriptions.len() < self.settings.max_subscriptions
            && self.subscriptions.of_xtr(&key.xtr_id) < self.settings.max_subscriptions_per_xtr
    }

    /// The site whose key signs what the subscriber is told: where its xTR-ID has registered, or else whose
    /// addresses it has.
    fn subscriber_site(&self, asked: &Asked<'_>, xtr: &XtrId, iid: Iid) -> Option<u32> {
        let registered = self.xtrs.sites_of(Identity::Id(xtr.xtr_id)).map(|(site, _)| site);
        registered.chain(asked.querier.sites()).find(|site| {
            self.sites.get(*site as usize).is_some_and(|site| site.has_iid(iid) && !site.keys.is_empty())
        })
    }

    /// The ITR-RLOCs that are the site's, the packet's source first: nobody else can be made a target.
    fn rlocs_of(&self, asked: &Asked<'_>, site: u32) -> Arc<[IpAddr]> {
        let rlocs = asked.request.itr_rlocs.iter().filter_map(LispAddress::rloc);
        let ours = |rloc: &IpAddr| self.table.sets.owns(site, *rloc);
        let mut rlocs: Vec<IpAddr> = rlocs.filter(ours).take(MAX_RLOCS).collect();
        rlocs.sort_by_key(|rloc| *rloc != asked.from.ip());
        rlocs.dedup();
        rlocs.into()
    }

    /// The subscription holds from this nonce on; what it is answered is its first message.
    fn renew(
        &mut self,
        place: u32,
        new: bool,
        asked: &Asked<'_>,
        site: u32,
        site_id: u64,
        rlocs: Arc<[IpAddr]>,
    ) {
        let Some(subscription) = self.subscriptions.get(place) else { return };
        let key = subscription.key;
        let nonce = asked.request.nonce;
        let before = (subscription.answered, subscription.site, subscription.rlocs.clone());
        let question = subscription.question.clone();
        let (answered, told, waiting) = self.first_message(&key, question.as_deref());
        let same = before == (answered, site, rlocs.clone());
        self.subscriptions.quiet(place);
        self.subscriptions.set_answered(place, answered);
        self.subscriptions.set_sent(place, nonce);
        let renewed = self.ticks(asked.now);
        self.subscriptions.change(place, |subscription| {
            (subscription.site, subscription.site_id) = (site, site_id);
            (subscription.rlocs, subscription.local) = (rlocs, Some(asked.to));
            (subscription.seen, subscription.renewed) = (nonce, renewed);
            subscription.sent_at = Some(asked.now);
            let resend = pace::wait(1).map(|wait| asked.now + wait);
            let work = Work { waiting, told, confirming: true, sendings: 1, resend, ..Work::default() };
            subscription.work = Some(Box::new(work));
        });
        if self.reserve_nonces(place) || new || !same {
            self.save_subscription(place);
        }
        self.subscriptions.sweep.1.get_or_insert(asked.now + SWEEP_PERIOD);
    }

    /// What a subscription is answered: the prefix, the prefixes of the first message, and those of later ones.
    fn first_message(
        &mut self,
        key: &SubscriptionKey,
        question: Option<&Question>,
    ) -> (Prefix, std::collections::BTreeSet<Prefix>, std::collections::BTreeSet<Prefix>) {
        let answer = self.answer(key.iid, &key.prefix, true);
        let prefixes: Vec<Prefix> =
            answer.records.iter().filter_map(|known| Some(known.record.prefix()?.1)).collect();
        let first = prefixes.first().filter(|first| first.covers(&key.prefix));
        let answered = first.copied().unwrap_or(key.prefix);
        let count = answer.records.len();
        let fitting = self.fitting(answer.records.into_iter(), question);
        if fitting < count {
            self.counters.refuse(Refusal::AnswerCut);
        }
        let told = prefixes.iter().take(fitting).copied().collect();
        let mut waiting: std::collections::BTreeSet<Prefix> =
            prefixes.iter().skip(fitting).copied().collect();
        if prefixes.len() > 1 || waiting.len() > 1 {
            let parts = self.table.tree.inside(key.iid, &answered).map(|(part, _)| part);
            waiting.extend(parts.filter(|part| !prefixes.contains(part)).take(MAX_WAITING));
        }
        (answered, told, waiting)
    }

    /// Makes sure that the next nonce is saved as used. Gives whether that must be saved now.
    pub(super) fn reserve_nonces(&mut self, place: u32) -> bool {
        let reserve = |subscription: &mut Subscription| {
            let short = subscription.sent >= subscription.reserved;
            if short {
                subscription.reserved = subscription.sent.saturating_add(BLOCK);
            }
            short
        };
        self.subscriptions.change(place, reserve).unwrap_or(false)
    }

    pub(super) fn save_subscription(&mut self, place: u32) {
        let Some(subscription) = self.subscriptions.get(place) else { return };
        let Some(site) = self.sites.get(subscription.site as usize) else { return };
        self.saves.push(Save::Subscription(SavedSubscription {
            key: subscription.key,
            answered: subscription.answered,
            site: site.name.clone(),
            site_id: subscription.site_id,
            rlocs: subscription.rlocs.clone(),
            local: subscription.local,
            seen: subscription.seen,
            reserved: subscription.reserved,
            question: subscription.question.as_deref().cloned(),
        }));
    }

    /// Ends a subscription, and says so to where the request came from, if that is the subscriber's.
    fn unsubscribe(
        &mut self,
        asked: &Asked<'_>,
        key: SubscriptionKey,
        site: u32,
        xtr: XtrId,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let source = asked.from.ip();
        if !self.table.sets.owns(site, source) {
            return Err(Refusal::SubscriptionForeignRloc);
        }
        // Without ACX nothing says which of several it is: all of them.
        let ended = match &asked.question {
            Some(_) => self.subscriptions.find(&key).into_iter().collect(),
            None => self.subscriptions.alike(&key),
        };
        for place in ended {
            self.end_subscription(place);
            self.counters.unsubscribed += 1;
        }
        let known = self.answer(key.iid, &key.prefix, false).records;
        let answered = answer(&known, self.manner(asked.question.as_ref(), false));
        let (records, tail) = (answered.records.clone(), answered.tail_for(Some(xtr)));
        let Some((site, algorithm)) = self.sites.get(site as usize).zip(self.signature(&key, site)) else {
            return Err(Refusal::SubscriptionKeyless);
        };
        let signing = site.signing_key(algorithm.0, algorithm.1).ok_or(Refusal::SubscriptionKeyless)?;
        let nonce = asked.request.nonce;
        let notify = MapNotify { nonce, records, xtr: Some(xtr), tail, ..MapNotify::default() };
        let to = SocketAddr::new(source, CONTROL_PORT);
        out.datagrams.push(Datagram { from: Some(asked.to), to, bytes: notify.signed(signing) });
        Ok(())
    }

    /// Key id and algorithm that the subscriber's own registers use.
    pub(super) fn signature(&self, key: &SubscriptionKey, site: u32) -> Option<(u8, u8)> {
        let xtr = self.xtrs.find(Identity::Id(key.xtr_id), site).and_then(|place| self.xtrs.get(place));
        let first = self.sites.get(site as usize)?.keys.first();
        xtr.map(|xtr| (xtr.key_id, xtr.algorithm)).or(first.map(|key| (key.id, key.algorithm as u8)))
    }

    pub(super) fn end_subscription(&mut self, place: u32) {
        if let Some(subscription) = self.subscriptions.remove(place) {
            self.saves.push(Save::SubscriptionGone(subscription.key));
        }
    }

    /// Ends subscriptions that were neither renewed nor acknowledged for long, a part at a time.
    pub(super) fn sweep_subscriptions(&mut self, now: Instant) {
        let (first, when) = self.subscriptions.sweep;
        if when.is_none_or(|when| now < when) {
            return;
        }
        let life = (self.settings.subscription.as_millis() / TICK.as_millis()) as Tick;
        let tick = self.ticks(now);
        let last = first.saturating_add(SWEEP).min(self.subscriptions.places());
        for place in first..last {
            let renewed = self.subscriptions.get(place).map(|subscription| subscription.renewed);
            if renewed.is_some_and(|renewed| tick.saturating_sub(renewed) > life) {
                self.counters.refuse(Refusal::SubscriptionExpired);
                self.end_subscription(place);
            }
        }
        let next = if last >= self.subscriptions.places() { 0 } else { last };
        self.subscriptions.sweep = (next, Some(now + SWEEP_PERIOD));
    }
}
