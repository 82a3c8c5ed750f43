//! Map-Requests: answered, forwarded to the ETR, or forwarded to another Map-Server (RFC 9301 sections 8.3 and 8.4).

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use sterna_wire::lisp::control::{Ecm, EidRecord, MapReply, MapRequest, encapsulate_packet};
use sterna_wire::{Iid, Prefix};

use super::answer::record_len;
use super::querier::Querier;
use super::{Refusal, Server};
use crate::outbox::{CONTROL_PORT, Datagram, Outbox};

/// The most records of one request that are looked at.
const MAX_REQUESTED: usize = 16;
/// Bytes of records in an answer, so that it is not fragmented on the way.
pub(super) const MAX_ANSWER: usize = 1200;
/// An answer to somebody unknown has at most so many times the bytes of the question.
const MAX_AMPLIFICATION: usize = 3;
/// Type, counts and nonce of a Map-Reply.
const REPLY_HEADER: usize = 12;
/// Header of an ECM.
const ECM_HEADER: usize = 4;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It is done with.
    Yes,
    /// It is for the ETR of this process: hand the request to it.
    ForwardToOwnEtr,
}

/// A request on its way through.
pub(super) struct Asked<'a> {
    pub(super) request: &'a MapRequest,
    pub(super) ecm: &'a Ecm<'a>,
    pub(super) querier: Querier,
    pub(super) from: SocketAddr,
    /// Our address that it came to.
    pub(super) to: IpAddr,
    pub(super) now: Instant,
    /// Where the packet has been forwarded to.
    forwarded: Vec<IpAddr>,
    handled: Handled,
}

impl Server {
    /// Takes a Map-Request that came in an ECM from `from` to our address `to`.
    /// A probe or an SMR is refused; `ForwardToOwnEtr` hands the request on to the ETR of this process.
    pub fn map_request(
        &mut self,
        request: &MapRequest,
        ecm: &Ecm<'_>,
        from: SocketAddr,
        to: IpAddr,
        now: Instant,
        out: &mut Outbox,
    ) -> Handled {
        let querier = self.querier(request, from, ecm.source);
        if let Err(refusal) = self.may_ask(request, &querier, from, now) {
            self.counters.refuse(refusal);
            return Handled::Yes;
        }
        self.counters.requests += 1;
        if request.records.len() > MAX_REQUESTED {
            self.counters.refuse(Refusal::TooManyRecords);
        }
        let mut asked =
            Asked { request, ecm, querier, from, to, now, forwarded: Vec::new(), handled: Handled::Yes };
        for (place, record) in request.records.iter().take(MAX_REQUESTED).enumerate() {
            match record.prefix() {
                Some((iid, prefix)) => self.requested(&mut asked, place, iid, &prefix, out),
                None => self.counters.refuse(Refusal::RequestedEidNotIp),
            }
        }
        self.publish(now, out);
        asked.handled
    }

    /// Counts a Map-Request that came outside an ECM and that no other role of this process takes.
    pub fn request_outside_ecm(&mut self, request: &MapRequest) {
        let odd = request.probe || request.smr;
        self.counters.refuse(if odd { Refusal::ProbeOrSmr } else { Refusal::RequestOutsideEcm });
    }

    fn may_ask(
        &mut self,
        request: &MapRequest,
        querier: &Querier,
        from: SocketAddr,
        now: Instant,
    ) -> Result<(), Refusal> {
        if request.probe || request.smr {
            return Err(Refusal::ProbeOrSmr);
        }
        let sources = &mut self.limits.request_sources;
        let answered = querier.to.map(|to| to.ip()).filter(|to| *to != from.ip());
        if !sources.take(from.ip(), now) || answered.is_some_and(|to| !sources.take(to, now)) {
            return Err(Refusal::RequestRateOfSource);
        }
        let limit =
            if querier.is_known() { &mut self.limits.site_requests } else { &mut self.limits.other_requests };
        if limit.take(now) { Ok(()) } else { Err(Refusal::RequestRate) }
    }

    fn requested(
        &mut self,
        asked: &mut Asked<'_>,
        place: usize,
        iid: Iid,
        prefix: &Prefix,
        out: &mut Outbox,
    ) {
        if let Err(refusal) = self.may_query(&asked.querier, iid) {
            self.counters.refuse(refusal);
            return self.reply(asked, vec![Server::denial(iid, prefix)], out);
        }
        if asked.request.records[place].subscribe {
            match self.subscribe(asked, iid, prefix, out) {
                Ok(()) => return,
                // What cannot be subscribed to can still be known.
                Err(refusal) => self.counters.refuse(refusal),
            }
        }
        let answer = self.answer(iid, prefix, true);
        match answer.registered {
            Some(registered) => self.registered(asked, iid, &registered, answer, prefix, out),
            None if self.scopes.touches(iid, prefix) => self.reply(asked, answer.records, out),
            None => self.foreign(asked, iid, prefix, answer.records, out),
        }
    }

    /// Somebody has registered it: answer for him, or let him answer.
    fn registered(
        &mut self,
        asked: &mut Asked<'_>,
        iid: Iid,
        registered: &Prefix,
        answer: super::answer::Answer,
        question: &Prefix,
        out: &mut Outbox,
    ) {
        let Some(first) = self.table.tree.get(iid, registered) else { return };
        let proxied = self.is_proxied(first);
        if proxied || answer.parts_of_others {
            if !proxied {
                self.counters.answered_for_parts += 1;
            }
            let fits = self.fits(asked, &answer.records);
            let records = if fits { answer.records } else { self.answer(iid, question, false).records };
            return self.reply(asked, records, out);
        }
        let set = self.table.get(first).map(|registration| registration.set);
        match set.and_then(|set| self.table.sets.next_usable(set)) {
            Some(etr) if self.settings.addresses.contains(&etr) => {
                asked.handled = Handled::ForwardToOwnEtr;
            }
            Some(etr) => {
                if forward(asked, etr, out) {
                    self.counters.forwarded += 1;
                }
            }
            None => {
                self.counters.refuse(Refusal::NoLocatorUp);
                self.reply(asked, answer.records, out);
            }
        }
    }

    /// No site here covers it: another Map-Server may know.
    fn foreign(
        &mut self,
        asked: &mut Asked<'_>,
        iid: Iid,
        prefix: &Prefix,
        negative: Vec<EidRecord>,
        out: &mut Outbox,
    ) {
        if self.upstreams.contains(asked.from.ip()) {
            // A Map-Server sends us a request because it takes us for the ETR.
            self.counters.refuse(Refusal::ForwardLoop);
            asked.handled = Handled::ForwardToOwnEtr;
            return;
        }
        match self.upstreams.next(iid, prefix) {
            Some(upstream) => {
                if forward(asked, upstream, out) {
                    self.counters.forwarded_upstream += 1;
                }
            }
            None => self.reply(asked, negative, out),
        }
    }

    /// Whether the querier may get as much.
    fn fits(&self, asked: &Asked<'_>, records: &[EidRecord]) -> bool {
        records.iter().map(record_len).sum::<usize>() <= room(asked)
    }

    /// Sends a Map-Reply, cut to what the querier may get.
    fn reply(&mut self, asked: &Asked<'_>, records: Vec<EidRecord>, out: &mut Outbox) {
        let Some(to) = asked.querier.to else { return self.counters.refuse(Refusal::NoUsableRloc) };
        if asked.request.no_reply {
            return self.counters.refuse(Refusal::NoReplyWanted);
        }
        let room = room(asked);
        let mut records = self.counters.fitting(records, room);
        if let [only] = records.as_mut_slice()
            && record_len(only) > room
        {
            self.counters.refuse(Refusal::AnswerCut);
            // By priority, so the best stay.
            while only.locators.len() > 1 && record_len(only) > room {
                only.locators.pop();
            }
        }
        if records.iter().any(|record| !record.locators.is_empty()) {
            self.counters.replies += 1;
        } else {
            self.counters.negatives += 1;
        }
        let reply = MapReply { nonce: asked.request.nonce, records, ..MapReply::default() };
        out.datagrams.push(Datagram { from: Some(asked.to), to, bytes: reply.emit() });
    }
}

/// Bytes of records that the querier may get.
fn room(asked: &Asked<'_>) -> usize {
    if asked.querier.is_validated {
        return MAX_ANSWER;
    }
    let question = asked.ecm.packet.len() + ECM_HEADER;
    (MAX_AMPLIFICATION * question).saturating_sub(REPLY_HEADER).min(MAX_ANSWER)
}

/// Sends the inner packet on, byte for byte; once, however many of its records go there.
fn forward(asked: &mut Asked<'_>, to: IpAddr, out: &mut Outbox) -> bool {
    if asked.forwarded.contains(&to) {
        return false;
    }
    asked.forwarded.push(to);
    let bytes = encapsulate_packet(asked.ecm.packet, false);
    out.datagrams.push(Datagram { from: None, to: SocketAddr::new(to, CONTROL_PORT), bytes });
    true
}
