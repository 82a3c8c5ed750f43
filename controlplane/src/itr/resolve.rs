//! Asking the mapping system (RFC 9301 section 5.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::acx::Acx;
use sterna_wire::lisp::control::{LispAddress, MapRequest, RequestRecord, encapsulate};
use sterna_wire::{Iid, Prefix};

use super::cache::Entry;
use super::counters::Counter;
use super::locators::is_unicast;
use super::pending::{State, Why};
use super::question::{Hash, Question};
use super::{EidPrefix, Itr};
use crate::outbox::{CONTROL_PORT, Outbox};

/// Own RLOCs that a request names at most.
const MAX_ITR_RLOCS: usize = 8;
/// Requests without an answer from anyone, and for how long, until the mapping system counts as silent.
const SILENT_REQUESTS: u32 = 3;
const SILENT_TIME: Duration = Duration::from_secs(3);

/// Whether the mapping system answers at all.
#[derive(Debug, Default)]
pub struct Silence {
    unanswered: u32,
    since: Option<Instant>,
}

impl Silence {
    fn asked(&mut self, now: Instant) {
        self.unanswered = self.unanswered.saturating_add(1);
        self.since.get_or_insert(now);
    }

    /// Some answer came.
    pub fn broken(&mut self) {
        *self = Self::default();
    }

    /// Several requests went out for some time and nothing came back.
    pub fn holds(&self, now: Instant) -> bool {
        let long = self.since.is_some_and(|since| now.saturating_duration_since(since) >= SILENT_TIME);
        long && self.unanswered >= SILENT_REQUESTS
    }
}

impl Itr {
    /// The dataplane misses the mapping of an EID for packets of a context class, or, with `source_check`, doubts the
    /// one of a packet's source. It asks again every 500 ms while packets wait.
    pub fn miss(
        &mut self,
        iid: Iid,
        eid: IpAddr,
        source_check: bool,
        class: u8,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.observe(now);
        self.counters.count(Counter::Misses);
        let Some(group) = self.settings.groups.get(&iid) else {
            return self.counters.count(Counter::MissUnknownGroup);
        };
        if !is_unicast(eid) {
            return self.counters.count(Counter::MissBadEid);
        }
        if group.is_served(eid) {
            return self.counters.count(Counter::MissOwnEid);
        }
        let class = if source_check { 0 } else { class };
        let Some(needs) = self.classes.get(class).map(|known| known.needs) else {
            return self.counters.count(Counter::MissUnknownClass);
        };
        let known = self.cache.covering(iid, eid).next();
        let key = (iid, Prefix::host(eid));
        match known {
            Some(known) if !source_check => self.row_missing(known, class, needs, now, out),
            Some(_) => self.check_source(Question::plain(key), now),
            None => self.ask_for_packets(Question { key, needs }, source_check, now),
        }
        self.pump(now, out);
    }

    /// There is an entry: the dataplane lost it (evicted there, or the event was on its way when it came), or it has no
    /// row for this class yet.
    fn row_missing(
        &mut self,
        key: EidPrefix,
        class: u8,
        needs: Option<Hash>,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.used(key.0, key.1, now);
        let positive = self.cache.get(key).is_some_and(Entry::is_positive);
        let plays = positive && self.settings.uses_context(key.0, key.1);
        let rows = self.contexts.get(key).map(|known| &known.rows);
        let has_row = rows.map_or(class == 0, |rows| rows.contains_key(&class));
        if has_row || !plays {
            return self.publish(key, true, out);
        }
        self.ask_for_packets(Question { key, needs }, false, now);
    }

    /// A packet's source does not fit the mapping that we have: it may have moved. Asked once a second per EID, and a
    /// second time if the answer is what we have: the packet may have overtaken the news.
    fn check_source(&mut self, asked: Question, now: Instant) {
        if self.join(asked, Why::SOURCE, now) {
            return;
        }
        if !self.check_paces.allow(asked.key, now) {
            self.counters.count(Counter::SourceCheckPaced);
        } else if !self.check_bucket.take(now) {
            self.counters.count(Counter::SourceCheckLimited);
        } else {
            self.ask(asked, Why::SOURCE, now);
        }
    }

    fn ask_for_packets(&mut self, asked: Question, source_check: bool, now: Instant) {
        let why = if source_check { Why::SOURCE } else { Why::MISS };
        if self.join(asked, why, now) {
            return;
        }
        if source_check && !self.check_bucket.take(now) {
            return self.counters.count(Counter::SourceCheckLimited);
        }
        self.ask(asked, why, now);
    }

    /// Another reason for a question that is asked already.
    pub(super) fn join(&mut self, asked: Question, why: Why, now: Instant) -> bool {
        let state = self.pendings.demand(asked, why, now);
        if state == Some(State::Paused) {
            self.counters.count(Counter::MissPaused);
        }
        state.is_some()
    }

    /// Asks, as soon as the rate limits allow; whether the question was taken.
    pub(super) fn ask(&mut self, asked: Question, why: Why, now: Instant) -> bool {
        if self.join(asked, why, now) {
            return true;
        }
        if self.settings.resolvers.is_empty() {
            self.counters.count(Counter::NoResolver);
            return false;
        }
        if self.settings.local_rlocs.is_empty() {
            self.counters.count(Counter::NoItrRloc);
            return false;
        }
        if self.pendings.len() >= self.settings.limits.pending && !self.make_room(asked.iid()) {
            self.counters.count(Counter::PendingFull);
            return false;
        }
        let ticket = self.gate.enter(asked);
        self.pendings.insert(asked, why, ticket, now);
        true
    }

    /// Asks again for an entry that shall stay.
    pub(super) fn refresh(&mut self, key: EidPrefix, now: Instant) {
        for needs in self.needs_of(key) {
            self.ask(Question { key, needs }, Why::REFRESH, now);
        }
    }

    /// Gives up a question of the group that has most, for one of a group that has fewer.
    fn make_room(&mut self, iid: Iid) -> bool {
        let Some(victim) = self.pendings.victim_for(iid) else { return false };
        self.counters.count(Counter::PendingEvicted);
        self.give_up(victim);
        true
    }

    /// Forgets a question.
    pub(super) fn give_up(&mut self, asked: Question) {
        if let Some(gone) = self.pendings.remove(asked)
            && let State::Queued(ticket) = gone.state
        {
            self.gate.leave(asked.iid(), ticket);
        }
    }

    /// Sends the requests that the rate limits allow now.
    pub(super) fn pump(&mut self, now: Instant, out: &mut Outbox) {
        while let Some((ticket, asked)) = self.gate.next(now) {
            self.gate.leave(asked.iid(), ticket);
            match self.pendings.get(asked) {
                Some(pending) if pending.is_wanted(now) => {
                    self.gate.spend(asked.iid(), now);
                    self.send_request(asked, now, out);
                }
                Some(_) => {
                    self.counters.count(Counter::RequestsAbandoned);
                    self.pendings.remove(asked);
                }
                None => {}
            }
        }
    }

    fn send_request(&mut self, asked: Question, now: Instant, out: &mut Outbox) {
        let Some(pending) = self.pendings.get(asked) else { return };
        let (tries, smr) = (pending.tries, pending.why.smr);
        if tries == 0 && pending.why.waits && !pending.looked && now > pending.since {
            self.counters.count(Counter::RequestsDelayed);
        }
        let resolvers = &self.settings.resolvers;
        let index = (self.preferred + usize::from(tries)) % resolvers.len().max(1);
        let Some(resolver) = resolvers.get(index).copied() else { return self.give_up(asked) };
        let series = self.series(asked);
        let subscribe = self.may_subscribe(series, tries);
        let Some(tail) = self.block(asked, subscribe) else {
            self.counters.count(Counter::ClassTooLong);
            return self.give_up(asked);
        };
        let nonce = match subscribe {
            true => self.subscriptions.next_nonce(series, &mut self.random),
            false => self.random.number(),
        };
        let record = RequestRecord { subscribe, ..RequestRecord::of(asked.iid(), asked.prefix()) };
        let rlocs = self.settings.local_rlocs.iter().take(MAX_ITR_RLOCS);
        let request = MapRequest {
            smr_invoked: smr,
            nonce,
            itr_rlocs: rlocs.map(|rloc| LispAddress::Ip(*rloc)).collect(),
            records: vec![record],
            xtr: subscribe.then_some(self.identity.xtr),
            tail,
            ..MapRequest::default()
        };
        out.send(resolver, self.encapsulated(&request, asked.prefix().addr(), resolver));
        self.pendings.sent(asked, nonce, index, now);
        self.silence.asked(now);
        self.counters.count(Counter::RequestsSent);
        self.counters.add(Counter::RequestsRetried, usize::from(tries > 0));
        self.await_answer(asked, now);
        if subscribe {
            self.subscriptions.set_due(series, now + self.settings.timers.linger);
        }
    }

    /// What a request says of the needs; nothing where context plays no part. None if it cannot be said.
    pub(super) fn block(&self, asked: Question, subscribe: bool) -> Option<Vec<u8>> {
        if !self.settings.uses_context(asked.iid(), asked.prefix()) {
            return Some(Vec::new());
        }
        let constraints = self.classes.constraints(asked.needs)?.to_vec();
        let block = Acx {
            aware: true,
            constraints,
            return_attributes: true,
            // Some look for the identity at the end of the message.
            echo: subscribe.then_some(self.identity.xtr),
            ..Acx::default()
        };
        block.fits().then(|| block.bytes())
    }

    /// The subscription that a request belongs to: one per EID, or one per need where answers are filtered.
    fn series(&self, asked: Question) -> Question {
        let skill = self.settings.is_skill(asked.iid(), asked.prefix());
        let filtered = self.contexts.get(asked.key).map_or(skill, |known| known.is_filtered());
        if filtered { asked } else { Question::plain(asked.key) }
    }

    /// The next request goes out when the gap is over; a tenth more or less, so that many do not fall into step.
    fn await_answer(&mut self, asked: Question, now: Instant) {
        let Some(pending) = self.pendings.get(asked) else { return };
        let gap = pending.gap(&self.settings.timers);
        let jitter = u64::try_from(gap.as_micros() / 10).unwrap_or(0);
        let until = now + gap + Duration::from_micros(self.random.below(jitter));
        self.pendings.set_state(asked, State::Asked, Some(until));
    }

    /// Whether a request subscribes. Every second one of a series without an answer does not, because the
    /// Map-Server may dislike just that.
    fn may_subscribe(&mut self, series: Question, tries: u8) -> bool {
        if !self.settings.subscribes() || (tries >= 2 && tries.is_multiple_of(2)) {
            return false;
        }
        let room = self.has_subscription_for(series);
        if !room {
            self.counters.count(Counter::SubscriptionsFull);
        }
        room
    }

    /// Whether there is a subscription for this prefix, or room for one. What has no mapping yet gets only half of
    /// the room, so that a scan of unknown EIDs does not use up all.
    pub(super) fn has_subscription_for(&self, series: Question) -> bool {
        let limit = self.settings.limits.subscriptions;
        let mapped = self.cache.get(series.key).is_some_and(Entry::is_positive);
        let room = if mapped { limit } else { limit / 2 };
        self.subscriptions.get(series).is_some() || self.subscriptions.len() < room
    }

    /// The request in an Encapsulated Control Message. Its inner addresses are one of our RLOCs and the EID;
    /// if those are of different families, they are one of our RLOCs and the map-resolver.
    pub(super) fn encapsulated(&self, request: &MapRequest, eid: IpAddr, resolver: IpAddr) -> Vec<u8> {
        let own = |like: IpAddr| {
            let mut rlocs = self.settings.local_rlocs.iter().copied();
            rlocs.find(|rloc| rloc.is_ipv4() == like.is_ipv4())
        };
        let nobody: IpAddr =
            if eid.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let (source, destination) = match (own(eid), own(resolver)) {
            (Some(rloc), _) => (rloc, eid),
            (None, Some(rloc)) => (rloc, resolver),
            (None, None) => (nobody, eid),
        };
        let at = |address| SocketAddr::new(address, CONTROL_PORT);
        encapsulate(at(source), at(destination), &request.emit())
    }

    /// A question's deadline came: ask again, pause, or give up.
    pub(super) fn pending_due(&mut self, asked: Question, now: Instant) {
        let Some(pending) = self.pendings.get(asked) else { return };
        let exhausted = pending.tries >= self.settings.timers.unanswered_max;
        match pending.state {
            State::Paused => self.give_up(asked),
            _ if exhausted => {
                self.counters.count(Counter::RequestsPaused);
                let until = now + self.settings.timers.pause;
                self.pendings.set_state(asked, State::Paused, Some(until));
            }
            _ if !pending.is_wanted_again() => {
                self.counters.count(Counter::RequestsAbandoned);
                self.give_up(asked);
            }
            _ => {
                let ticket = self.gate.enter(asked);
                self.pendings.set_state(asked, State::Queued(ticket), None);
            }
        }
    }
}
