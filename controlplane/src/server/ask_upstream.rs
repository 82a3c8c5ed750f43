//! Questions with constraints for what other Map-Servers know: we ask in our own name and filter what they answer,
//! because a plain Map-Server would ignore the constraints (design section 9).

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::acx::Acx;
use sterna_wire::lisp::control::{LispAddress, MapReply, MapRequest, RequestRecord, encapsulate};
use sterna_wire::{Iid, Prefix};

use super::request::{Asked, REPLY_HEADER};
use super::{Refusal, Server};
use crate::context::{Known, MAX_MESSAGE, Manner, Question, answer_within};
use crate::outbox::{CONTROL_PORT, Datagram, Outbox};

/// The most questions that are open.
const MAX_OPEN: usize = 4096;
/// How long an answer is waited for. Then the ITR has asked again.
const PATIENCE: Duration = Duration::from_secs(2);

/// A question that we asked for somebody.
#[derive(Debug)]
struct OpenQuestion {
    question: Question,
    iid: Iid,
    prefix: Prefix,
    /// The nonce and address that the answer is wanted with and at, and our address that was asked.
    nonce: u64,
    to: SocketAddr,
    from: IpAddr,
    /// Bytes that the answer may have.
    room: usize,
}

/// All that are open, by our nonce.
#[derive(Debug, Default)]
pub(super) struct OpenQuestions {
    by_nonce: HashMap<u64, OpenQuestion>,
    order: VecDeque<(Instant, u64)>,
}

impl OpenQuestions {
    /// When the first is given up.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.order.front().map(|(asked, _)| *asked + PATIENCE)
    }
}

impl Server {
    /// Asks another Map-Server in our own name; false when there is no address of ours to ask from.
    pub(super) fn ask_upstream(
        &mut self,
        asked: &Asked<'_>,
        (iid, prefix): (Iid, &Prefix),
        upstream: IpAddr,
        out: &mut Outbox,
    ) -> bool {
        let Some(question) = asked.question.clone() else { return false };
        let Some(to) = asked.querier.to else {
            self.counters.refuse(Refusal::NoUsableRloc);
            return true;
        };
        let ours = self.settings.addresses.iter().copied();
        let ours = std::iter::once(asked.to).chain(ours).find(|ours| ours.is_ipv4() == upstream.is_ipv4());
        let Some(ours) = ours else { return false };
        let nonce = self.random.number();
        let request = MapRequest {
            nonce,
            source_eid: asked.request.source_eid.clone(),
            itr_rlocs: vec![LispAddress::Ip(ours)],
            records: vec![RequestRecord::of(iid, *prefix)],
            tail: asked.request.tail.clone(),
            ..MapRequest::default()
        };
        let inner = SocketAddr::new(prefix.addr(), CONTROL_PORT);
        let bytes = encapsulate(SocketAddr::new(ours, CONTROL_PORT), inner, &request.emit());
        out.datagrams.push(Datagram { from: Some(ours), to: SocketAddr::new(upstream, CONTROL_PORT), bytes });
        self.counters.asked_upstream += 1;
        let open = OpenQuestion {
            question,
            iid,
            prefix: *prefix,
            nonce: asked.request.nonce,
            to,
            from: asked.to,
            room: asked.room(MAX_MESSAGE - REPLY_HEADER),
        };
        self.keep_open(nonce, open, asked.now);
        true
    }

    fn keep_open(&mut self, nonce: u64, open: OpenQuestion, now: Instant) {
        if self.open.order.len() >= MAX_OPEN
            && let Some((_, oldest)) = self.open.order.pop_front()
            && self.open.by_nonce.remove(&oldest).is_some()
        {
            self.counters.refuse(Refusal::UpstreamFull);
        }
        self.open.by_nonce.insert(nonce, open);
        self.open.order.push_back((now, nonce));
    }

    /// Takes a Map-Reply; false when it answers no question of ours.
    pub fn map_reply(&mut self, reply: &MapReply, from: SocketAddr, out: &mut Outbox) -> bool {
        if reply.probe || from.port() != CONTROL_PORT || !self.open.by_nonce.contains_key(&reply.nonce) {
            return false;
        }
        let covers = |open: &OpenQuestion| {
            let mut prefixes = reply.records.iter().filter_map(|record| record.prefix());
            prefixes.any(|(iid, prefix)| iid == open.iid && prefix.covers(&open.prefix))
        };
        if !self.open.by_nonce.get(&reply.nonce).is_some_and(covers) {
            self.counters.refuse(Refusal::UpstreamOdd);
            return true;
        }
        let Some(open) = self.open.by_nonce.remove(&reply.nonce) else { return false };
        let knows = matches!(Acx::find(&reply.tail), Ok(Some(block)) if block.reply);
        let answer = if knows {
            // It has filtered by what it knows, which is more than we do.
            MapReply { nonce: open.nonce, ..reply.clone() }
        } else {
            self.filtered_answer(reply, &open)
        };
        out.datagrams.push(Datagram { from: Some(open.from), to: open.to, bytes: answer.emit() });
        true
    }

    /// The locators of a plain Map-Server, of which nothing is known here.
    fn filtered_answer(&mut self, reply: &MapReply, open: &OpenQuestion) -> MapReply {
        let mut known: Vec<Known> = reply.records.iter().cloned().map(Known::plain).collect();
        // The one that covers the question is filtered.
        known.sort_by_key(|known| {
            !known.record.prefix().is_some_and(|(iid, prefix)| iid == open.iid && prefix.covers(&open.prefix))
        });
        let manner = Manner { filter: true, ..self.manner(Some(&open.question), false) };
        let (answered, cut) = answer_within(&known, manner, open.room);
        self.count_answer(&answered, cut);
        let tail = answered.tail();
        MapReply { nonce: open.nonce, records: answered.records, tail, ..MapReply::default() }
    }

    /// Forgets questions that nobody answered.
    pub(super) fn expire_questions(&mut self, now: Instant) {
        while self.open.order.front().is_some_and(|(asked, _)| *asked + PATIENCE <= now) {
            if let Some((_, nonce)) = self.open.order.pop_front()
                && self.open.by_nonce.remove(&nonce).is_some()
            {
                self.counters.refuse(Refusal::UpstreamSilent);
            }
        }
    }
}
