//! Answers to Map-Requests: only for what is served here, never more than three times what was asked.

use std::net::SocketAddr;
use std::time::Instant;

use sterna_wire::lisp::control::acx::Acx;
use sterna_wire::lisp::control::{EidRecord, LocatorRecord, MapReply, MapRequest, RequestRecord};
use sterna_wire::{Iid, Prefix};

use super::counters::Counter;
use super::database::Answer;
use super::reply_to::reply_to;
use super::{Arrival, Etr};
use crate::context::{Answered, Known, MAX_MESSAGE, Manner, Question, answer_within};
use crate::outbox::{Datagram, Outbox};

/// Records of one request that are answered.
const RECORDS: usize = 16;
/// A reply is at most so many times as long as its request: nobody shall use us to flood others.
const AMPLIFICATION: usize = 3;
/// ECM, UDP and inner IP header of a request; the shorter of the two families.
const ECM_OVERHEAD: usize = 4 + 20 + 8;
/// A Map-Reply without records.
const REPLY: usize = 12;
/// Minutes for which an answer holds that is known to have exceptions.
const MIXED_TTL: u32 = 1;

impl Etr {
    /// A Map-Request that came to one of our locators: plain, forwarded by a Map-Server in an ECM, or a probe.
    pub fn map_request(&mut self, request: &MapRequest, via: Arrival, now: Instant, out: &mut Outbox) {
        if request.smr {
            return self.counters.count(Counter::RequestSolicitation);
        }
        if request.probe {
            return self.probe(request, via, now, out);
        }
        if request.no_reply {
            return self.counters.count(Counter::RequestNoReply);
        }
        let Some(to) = reply_to(request, &via, &self.settings) else {
            return self.counters.count(Counter::RequestNoRloc);
        };
        let ecm = if via.ecm_inner.is_some() { ECM_OVERHEAD } else { 0 };
        let mut budget = AMPLIFICATION * (request.emit().len() + ecm);
        self.counters.add(Counter::RequestTooMany, request.records.len().saturating_sub(RECORDS));
        for record in request.records.iter().take(RECORDS) {
            if !self.may_answer(&via, to, now) {
                return;
            }
            let asked = Asked { request, record, to };
            self.answer(&asked, &mut budget, now, out);
        }
    }

    /// Rates: the address that the reply goes to, the one that asked (unless it is a Map-Server), and all.
    fn may_answer(&mut self, via: &Arrival, to: SocketAddr, now: Instant) -> bool {
        let source = via.from.ip();
        let vetted = source == to.ip() || self.settings.server(source).is_some();
        let limits = &mut self.limits;
        let per_address = limits.answers_per_address.allow(to.ip(), now)
            && (vetted || limits.answers_per_address.allow(source, now));
        if !per_address {
            self.counters.count(Counter::RequestRate);
            return false;
        }
        if !limits.answers.allow(now) {
            self.counters.count(Counter::RequestRateTotal);
            return false;
        }
        true
    }

    fn answer(&mut self, asked: &Asked<'_>, budget: &mut usize, now: Instant, out: &mut Outbox) {
        let Some((iid, prefix)) = asked.record.prefix() else {
            return self.counters.count(Counter::RequestNotIp);
        };
        let Some(found) = self.database.find(&self.agents, iid, &prefix) else {
            return self.counters.count(Counter::RequestNotOurs);
        };
        let mut locators = self.locators(None);
        let mut records = self.records(iid, &found.entry, &prefix, found.answer, &locators);
        if length(&records) > *budget && records.len() > 1 {
            let part = self.database.part(&self.agents, iid, &found.entry, &prefix);
            records = self.records(iid, &found.entry, &prefix, part, &locators);
        }
        while length(&records) > *budget {
            self.counters.count(Counter::RepliesCut);
            if !drop_worst(&mut locators) {
                return;
            }
            records.iter_mut().for_each(|record| record.locators.clone_from(&locators));
        }
        if records.iter().any(|record| record.mask_len != found.entry.len()) && records.len() == 1 {
            self.counters.count(Counter::RequestsNarrowed);
        }
        let block = Acx::find(&asked.request.tail).unwrap_or_else(|_| {
            self.counters.count(Counter::RequestTailUnknown);
            None
        });
        let question = block.as_ref().map(Question::of);
        let answered = self.in_context(records, question.as_ref(), *budget);
        let tail = answered.tail();
        *budget = budget.saturating_sub(length(&answered.records) + tail.len());
        self.remember(asked, (iid, found.entry), now);
        let records = answered.records;
        let reply = MapReply { nonce: asked.request.nonce, records, tail, ..MapReply::default() };
        out.datagrams.push(Datagram { from: None, to: asked.to, bytes: reply.emit() });
        self.counters.count(Counter::RequestsAnswered);
    }

    /// The records of an answer, all of the same life and with the same locators.
    fn records(
        &self,
        iid: Iid,
        entry: &Prefix,
        asked: &Prefix,
        answer: Answer,
        locators: &[LocatorRecord],
    ) -> Vec<EidRecord> {
        let ttl = self.settings.mapping_ttl_min;
        let (prefixes, ttl) = match answer {
            Answer::Whole(siblings) => ([*entry].into_iter().chain(siblings).collect(), ttl),
            Answer::Part(part) => (vec![part], ttl),
            Answer::Mixed => (vec![*asked], ttl.min(MIXED_TTL)),
        };
        prefixes.into_iter().map(|prefix| answered(iid, prefix, ttl, locators.to_vec())).collect()
    }

    /// The records as those may use them who ask in ACX, or do not; of those that are told too little room is left for,
    /// the worst go.
    fn in_context(
        &mut self,
        records: Vec<EidRecord>,
        question: Option<&Question>,
        budget: usize,
    ) -> Answered {
        let known: Vec<Known> = records.into_iter().map(|record| self.known(record)).collect();
        let manner = Manner { question, ranking: self.settings.ranking, subscribed: false, filter: false };
        let most = if question.is_some() { MAX_MESSAGE } else { budget };
        let room = budget.min(most).saturating_sub(REPLY);
        let (answered, cut) = answer_within(&known, manner, room);
        self.counters.add(Counter::RepliesCut, cut);
        answered
    }

    /// A record of ours, and what is said of its locators.
    fn known(&self, record: EidRecord) -> Known {
        let Some(entry) = record.prefix() else { return Known::plain(record) };
        let skill = self.is_skill(&(entry.0, entry.1.addr()));
        let said = self.reported(&entry).map(|reported| {
            let rlocs = record.locators.iter().map(|locator| locator.address.rloc());
            rlocs.map(|rloc| rloc.map_or_else(|| reported.own.clone(), |rloc| reported.of(rloc))).collect()
        });
        Known { attributes: said.unwrap_or_default(), skill, record }
    }

    fn remember(&mut self, asked: &Asked<'_>, entry: (Iid, Prefix), now: Instant) {
        let Asked { request, to, .. } = asked;
        let theirs = request.source_eid.eid().filter(|(iid, _)| *iid == entry.0).map(|(_, eid)| eid);
        let known = self.correspondents.asked(entry, to.ip(), theirs, request.smr_invoked, now);
        if !known {
            self.counters.count(Counter::CorrespondentsFull);
        }
    }
}

/// One EID that is asked for.
struct Asked<'a> {
    request: &'a MapRequest,
    record: &'a RequestRecord,
    to: SocketAddr,
}

/// A record as the ETR itself gives it.
pub(super) fn answered(iid: Iid, prefix: Prefix, ttl: u32, locators: Vec<LocatorRecord>) -> EidRecord {
    EidRecord { ttl, authoritative: true, locators, ..EidRecord::of(iid, prefix) }
}

/// Leaves out the locator that is preferred least, but never the last one.
fn drop_worst(locators: &mut Vec<LocatorRecord>) -> bool {
    let worst = (0..locators.len()).max_by_key(|at| locators[*at].priority);
    match worst {
        Some(at) if locators.len() > 1 => {
            locators.remove(at);
            true
        }
        _ => false,
    }
}

/// Bytes of a reply with these records.
fn length(records: &[EidRecord]) -> usize {
    let locator = |locator: &LocatorRecord| 6 + locator.address.encoded_len();
    let record = |record: &EidRecord| {
        10 + record.eid.encoded_len() + record.locators.iter().map(locator).sum::<usize>()
    };
    REPLY + records.iter().map(record).sum::<usize>()
}

#[cfg(test)]
mod test;
