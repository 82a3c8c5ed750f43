//! Map-Requests: answered, forwarded to the ETR, or forwarded to another Map-Server (RFC 9301 sections 8.3 and 8.4).

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use sterna_wire::lisp::control::acx::{Acx, AcxError, Status, StatusCode};
use sterna_wire::lisp::control::{Ecm, MapReply, MapRequest, encapsulate_packet};
use sterna_wire::{Iid, Prefix};

use super::querier::Querier;
use super::{Refusal, Server};
use crate::context::{Answered, Known, MAX_MESSAGE, Question, answer_within, record_len};
use crate::outbox::{CONTROL_PORT, Datagram, Outbox};

/// The most records of one request that are looked at.
const MAX_REQUESTED: usize = 16;
/// Bytes of records in an answer, so that it is not fragmented on the way.
pub(super) const MAX_ANSWER: usize = 1200;
/// An answer to somebody unknown has at most so many times the bytes of the question.
const MAX_AMPLIFICATION: usize = 3;
/// Type, counts and nonce of a Map-Reply.
pub(super) const REPLY_HEADER: usize = 12;
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
    /// What is asked in ACX.
    pub(super) question: Option<Question>,
    /// What goes into an answer's block before anything is known: that we did not understand the question.
    unsupported: Option<Status>,
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
        let (question, unsupported) = match self.asked_in_acx(request, &querier, from, now) {
            Ok(asked) => asked,
            Err(refusal) => {
                self.counters.refuse(refusal);
                return Handled::Yes;
            }
        };
        self.counters.requests += 1;
        if request.records.len() > MAX_REQUESTED {
            self.counters.refuse(Refusal::TooManyRecords);
        }
        let mut asked = Asked {
            request,
            ecm,
            querier,
            from,
            to,
            now,
            question,
            unsupported,
            forwarded: Vec::new(),
            handled: Handled::Yes,
        };
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

    /// What a request asks in ACX, and what to say of a block that we do not understand. One that is malformed is as
    /// if it were not there. Constraints cost more than a look into a table, so they have a rate of their own.
    fn asked_in_acx(
        &mut self,
        request: &MapRequest,
        querier: &Querier,
        from: SocketAddr,
        now: Instant,
    ) -> Result<(Option<Question>, Option<Status>), Refusal> {
        if request.tail.is_empty() {
            return Ok((None, None));
        }
        let question = match self.block_of(&request.tail) {
            Some(Ok(block)) => Question::of(&block),
            Some(Err(AcxError::UnknownCritical(offending))) => {
                return Ok((None, Some(Status { code: StatusCode::UnsupportedConstraint, offending })));
            }
            _ => return Ok((None, None)),
        };
        let sources = &mut self.limits.constraint_sources;
        let answered = querier.to.map(|to| to.ip()).filter(|to| *to != from.ip());
        let costs = !question.constraints.is_empty();
        if costs && (!sources.take(from.ip(), now) || answered.is_some_and(|to| !sources.take(to, now))) {
            return Err(Refusal::ConstraintRate);
        }
        Ok((Some(question), None))
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
            return self.reply(asked, vec![Known::plain(Server::denial(iid, prefix))], out);
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
            let fits = asked.fits(&answer.records);
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
        negative: Vec<Known>,
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
                let constrained = asked.question.as_ref().is_some_and(|asks| !asks.constraints.is_empty());
                if constrained && self.ask_upstream(asked, (iid, prefix), upstream, out) {
                    return;
                }
                if forward(asked, upstream, out) {
                    self.counters.forwarded_upstream += 1;
                }
            }
            None => self.reply(asked, negative, out),
        }
    }

    /// Sends a Map-Reply, cut to what the querier may get.
    fn reply(&mut self, asked: &Asked<'_>, known: Vec<Known>, out: &mut Outbox) {
        let Some(to) = asked.querier.to else { return self.counters.refuse(Refusal::NoUsableRloc) };
        if asked.request.no_reply {
            return self.counters.refuse(Refusal::NoReplyWanted);
        }
        let most = if asked.question.is_some() { MAX_MESSAGE - REPLY_HEADER } else { MAX_ANSWER };
        let (mut answered, cut) = self.answered(asked.question.as_ref(), known, asked.room(most));
        if let Some(status) = asked.unsupported {
            answered.block = Some(Acx { reply: true, aware: true, status: Some(status), ..Acx::default() });
        }
        self.count_answer(&answered, cut);
        let tail = answered.tail();
        let reply =
            MapReply { nonce: asked.request.nonce, records: answered.records, tail, ..MapReply::default() };
        out.datagrams.push(Datagram { from: Some(asked.to), to, bytes: reply.emit() });
    }

    /// The answer and how much was cut of it. Where nobody says anything the records are as they are.
    fn answered(&self, question: Option<&Question>, known: Vec<Known>, room: usize) -> (Answered, usize) {
        if question.is_some() || !self.contexts.is_empty() {
            return answer_within(&known, self.manner(question, false), room);
        }
        let records = known.into_iter().map(|known| known.record).collect();
        let mut answered = Answered { records, block: None };
        let cut = answered.cut(room);
        (answered, cut)
    }

    /// Counts a Map-Reply.
    pub(super) fn count_answer(&mut self, answered: &Answered, cut: usize) {
        if cut > 0 {
            self.counters.refuse(Refusal::AnswerCut);
        }
        if answered.records.iter().any(|record| !record.locators.is_empty()) {
            self.counters.replies += 1;
        } else {
            self.counters.negatives += 1;
        }
        let Some(block) = &answered.block else { return };
        self.counters.filtered += u64::from(block.filtered);
        let none = block.status.is_some_and(|status| status.code == StatusCode::NoMatch);
        self.counters.no_matches += u64::from(none);
    }
}

impl Asked<'_> {
    /// Whether the querier may get as much; what is known is told in no more bytes of records.
    fn fits(&self, known: &[Known]) -> bool {
        known.iter().map(|known| record_len(&known.record)).sum::<usize>() <= self.room(MAX_ANSWER)
    }

    /// Bytes of records and block that the querier may get, at most this many.
    pub(super) fn room(&self, most: usize) -> usize {
        if self.querier.is_validated {
            return most;
        }
        let question = self.ecm.packet.len() + ECM_HEADER;
        (MAX_AMPLIFICATION * question).saturating_sub(REPLY_HEADER).min(most)
    }
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
