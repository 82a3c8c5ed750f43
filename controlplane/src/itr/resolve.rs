//! Asking the mapping system (RFC 9301 section 5.2).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::{LispAddress, MapRequest, RequestRecord, encapsulate};
use sterna_wire::{Iid, Prefix};

use super::cache::{Entry, Known};
use super::counters::Counter;
use super::locators::is_unicast;
use super::pending::{State, Why};
use super::{EidPrefix, Itr};
use crate::outbox::{CONTROL_PORT, Mapping, MappingChange, Outbox};

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
    /// The dataplane misses the mapping of an EID, or, with `source_check`, doubts the one of a packet's source.
    /// It asks again every 500 ms while packets wait.
    pub fn miss(&mut self, iid: Iid, eid: IpAddr, source_check: bool, now: Instant, out: &mut Outbox) {
        self.observe(now);
        self.counters.bump(Counter::Misses);
        let Some(group) = self.settings.groups.get(&iid) else {
            return self.counters.bump(Counter::MissUnknownGroup);
        };
        if !is_unicast(eid) {
            return self.counters.bump(Counter::MissBadEid);
        }
        if group.is_served(eid) {
            return self.counters.bump(Counter::MissOwnEid);
        }
        let known = self.cache.covering(iid, eid).next();
        let key = (iid, Prefix::host(eid));
        match known {
            Some(known) if !source_check => self.publish_again(known, now, out),
            Some(_) => self.check_source(key, now),
            None => self.ask_for_packets(key, source_check, now),
        }
        self.pump(now, out);
    }

    /// The dataplane lost an entry that we have: evicted there, or the event was on its way when it came.
    fn publish_again(&mut self, key: EidPrefix, now: Instant, out: &mut Outbox) {
        self.used(key.0, key.1, now);
        let Some(entry) = self.cache.get(key) else { return };
        let mapping = match entry.known {
            Known::Locators(id) => Mapping::Locators(self.sets.locators(id).to_vec()),
            Known::Negative(_) => Mapping::Negative,
        };
        let (iid, prefix) = key;
        let classes = BTreeMap::new();
        out.mappings.push(MappingChange { iid, prefix, mapping: Some(mapping), confirm: true, classes });
    }

    /// A packet's source does not fit the mapping that we have: it may have moved. Asked once a second per EID.
    fn check_source(&mut self, key: EidPrefix, now: Instant) {
        if self.join(key, Why::SOURCE, now) {
            return;
        }
        if !self.check_paces.allow(key, now) {
            self.counters.bump(Counter::SourceCheckPaced);
        } else if !self.check_bucket.take(now) {
            self.counters.bump(Counter::SourceCheckLimited);
        } else {
            self.ask(key, Why::SOURCE, now);
        }
    }

    fn ask_for_packets(&mut self, key: EidPrefix, source_check: bool, now: Instant) {
        let why = if source_check { Why::SOURCE } else { Why::MISS };
        if self.join(key, why, now) {
            return;
        }
        if source_check && !self.check_bucket.take(now) {
            return self.counters.bump(Counter::SourceCheckLimited);
        }
        self.ask(key, why, now);
    }

    /// Another reason for a question that is asked already.
    pub(super) fn join(&mut self, key: EidPrefix, why: Why, now: Instant) -> bool {
        let state = self.pendings.demand(key, why, now);
        if state == Some(State::Paused) {
            self.counters.bump(Counter::MissPaused);
        }
        state.is_some()
    }

    /// Asks, as soon as the rate limits allow; whether the question was taken.
    pub(super) fn ask(&mut self, key: EidPrefix, why: Why, now: Instant) -> bool {
        if self.join(key, why, now) {
            return true;
        }
        if self.settings.resolvers.is_empty() {
            self.counters.bump(Counter::NoResolver);
            return false;
        }
        if self.settings.local_rlocs.is_empty() {
            self.counters.bump(Counter::NoItrRloc);
            return false;
        }
        if self.pendings.len() >= self.settings.limits.pending && !self.make_room(key.0) {
            self.counters.bump(Counter::PendingFull);
            return false;
        }
        let ticket = self.gate.enter(key);
        self.pendings.insert(key, why, ticket, now);
        true
    }

    /// Asks again for an entry that shall stay.
    pub(super) fn refresh(&mut self, key: EidPrefix, now: Instant) {
        self.ask(key, Why::REFRESH, now);
    }

    /// Gives up a question of the group that has most, for one of a group that has fewer.
    fn make_room(&mut self, iid: Iid) -> bool {
        let Some(victim) = self.pendings.victim_for(iid) else { return false };
        self.counters.bump(Counter::PendingEvicted);
        self.give_up(victim);
        true
    }

    /// Forgets a question.
    pub(super) fn give_up(&mut self, key: EidPrefix) {
        if let Some(gone) = self.pendings.remove(key)
            && let State::Queued(ticket) = gone.state
        {
            self.gate.leave(key.0, ticket);
        }
    }

    /// Sends the requests that the rate limits allow now.
    pub(super) fn pump(&mut self, now: Instant, out: &mut Outbox) {
        while let Some((ticket, key)) = self.gate.next(now) {
            self.gate.leave(key.0, ticket);
            match self.pendings.get(key) {
                Some(pending) if pending.is_wanted(now) => {
                    self.gate.spend(key.0, now);
                    self.send_request(key, now, out);
                }
                Some(_) => {
                    self.counters.bump(Counter::RequestsAbandoned);
                    self.pendings.remove(key);
                }
                None => {}
            }
        }
    }

    fn send_request(&mut self, key: EidPrefix, now: Instant, out: &mut Outbox) {
        let Some(pending) = self.pendings.get(key) else { return };
        let (tries, smr) = (pending.tries, pending.why.smr);
        if tries == 0 && pending.why.waits && now > pending.since {
            self.counters.bump(Counter::RequestsDelayed);
        }
        let resolvers = &self.settings.resolvers;
        let index = (self.preferred + usize::from(tries)) % resolvers.len().max(1);
        let Some(resolver) = resolvers.get(index).copied() else { return self.give_up(key) };
        let subscribe = self.may_subscribe(key, tries);
        let nonce = match subscribe {
            true => self.subscriptions.next_nonce(key, &mut self.random),
            false => self.random.number(),
        };
        let record = RequestRecord { subscribe, ..RequestRecord::of(key.0, key.1) };
        let rlocs = self.settings.local_rlocs.iter().take(MAX_ITR_RLOCS);
        let request = MapRequest {
            smr_invoked: smr,
            nonce,
            itr_rlocs: rlocs.map(|rloc| LispAddress::Ip(*rloc)).collect(),
            records: vec![record],
            xtr: subscribe.then_some(self.identity.xtr),
            ..MapRequest::default()
        };
        out.send(resolver, self.encapsulated(&request, key.1.addr(), resolver));
        self.pendings.sent(key, nonce, index, now);
        self.silence.asked(now);
        self.counters.bump(Counter::RequestsSent);
        if tries > 0 {
            self.counters.bump(Counter::RequestsRetried);
        }
        self.await_answer(key, now);
        if subscribe {
            self.subscriptions.set_due(key, now + self.settings.timers.linger);
        }
    }

    /// The next request goes out when the gap is over; a tenth more or less, so that many do not fall into step.
    fn await_answer(&mut self, key: EidPrefix, now: Instant) {
        let Some(pending) = self.pendings.get(key) else { return };
        let gap = pending.gap(&self.settings.timers);
        let jitter = u64::try_from(gap.as_micros() / 10).unwrap_or(0);
        let until = now + gap + Duration::from_micros(self.random.below(jitter));
        self.pendings.set_state(key, State::Asked, Some(until));
    }

    /// Whether a request subscribes. Every second one of a series without an answer does not, because the
    /// Map-Server may dislike just that.
    fn may_subscribe(&mut self, key: EidPrefix, tries: u8) -> bool {
        if !self.settings.subscribes() || (tries >= 2 && tries.is_multiple_of(2)) {
            return false;
        }
        let room = self.has_subscription_for(key);
        if !room {
            self.counters.bump(Counter::SubscriptionsFull);
        }
        room
    }

    /// Whether there is a subscription for this prefix, or room for one. What has no mapping yet gets only half of
    /// the room, so that a scan of unknown EIDs does not use up all.
    pub(super) fn has_subscription_for(&self, key: EidPrefix) -> bool {
        let limit = self.settings.limits.subscriptions;
        let mapped = self.cache.get(key).is_some_and(Entry::is_positive);
        let room = if mapped { limit } else { limit / 2 };
        self.subscriptions.get(key).is_some() || self.subscriptions.len() < room
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
    pub(super) fn pending_due(&mut self, key: EidPrefix, now: Instant) {
        let Some(pending) = self.pendings.get(key) else { return };
        let exhausted = pending.tries >= self.settings.timers.unanswered_max;
        match pending.state {
            State::Paused => self.give_up(key),
            _ if exhausted => {
                self.counters.bump(Counter::RequestsPaused);
                let until = now + self.settings.timers.pause;
                self.pendings.set_state(key, State::Paused, Some(until));
            }
            _ if !pending.is_wanted_again() => {
                self.counters.bump(Counter::RequestsAbandoned);
                self.give_up(key);
            }
            _ => {
                let ticket = self.gate.enter(key);
                self.pendings.set_state(key, State::Queued(ticket), None);
            }
        }
    }
}
