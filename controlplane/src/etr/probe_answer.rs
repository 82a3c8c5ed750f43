//! Answers to probes: that a locator is alive, and whether an agent is still where it is said to be.
//!
//! A probe whose source EID is the very EID that it asks for is a *claim*: a gateway saw the agent and wants to know
//! whether it is here too. It is answered when the host was asked. Any other probe is answered at once.

use std::net::SocketAddr;
use std::time::Instant;

use sterna_wire::lisp::control::{MapReply, MapRequest};
use sterna_wire::{Iid, Prefix};

use super::agents::{Agent, Asker, Eid, State};
use super::answer::answered;
use super::counters::Counter;
use super::reply_to::reply_to;
use super::{Arrival, Etr};
use crate::outbox::{Datagram, Outbox};

impl Etr {
    pub(super) fn probe(&mut self, request: &MapRequest, via: Arrival, now: Instant, out: &mut Outbox) {
        if via.ecm_inner.is_some() {
            return self.counters.count(Counter::ProbeEncapsulated);
        }
        let [record] = request.records.as_slice() else {
            return self.counters.count(Counter::ProbeRecords);
        };
        let Some((iid, prefix)) = record.prefix() else {
            return self.counters.count(Counter::RequestNotIp);
        };
        let Some(to) = reply_to(request, &via, &self.settings) else {
            return self.counters.count(Counter::RequestNoRloc);
        };
        let asker = Asker { to, from: via.to, nonce: request.nonce };
        let eid = (iid, prefix.addr());
        if prefix.is_host() && request.source_eid.eid() == Some(eid) {
            return self.claimed_elsewhere(eid, asker, now, out);
        }
        if self.may_answer_probe(to, now) {
            let served = self.database.find(&self.agents, iid, &prefix).is_some();
            self.answer_probe(iid, prefix, &asker, served, out);
        }
    }

    fn may_answer_probe(&mut self, to: SocketAddr, now: Instant) -> bool {
        if !self.limits.probes_per_address.allow(to.ip(), now) {
            self.counters.count(Counter::ProbeRate);
            return false;
        }
        if !self.limits.probes.allow(now) {
            self.counters.count(Counter::ProbeRateTotal);
            return false;
        }
        true
    }

    /// Another gateway saw the agent. It has the EID if we say no, or nothing.
    fn claimed_elsewhere(&mut self, eid: Eid, asker: Asker, now: Instant, out: &mut Outbox) {
        if !self.limits.claims_judged.allow(now) {
            return self.counters.count(Counter::ClaimsUnjudged);
        }
        let (iid, address) = eid;
        let Some(agent) = self.agents.take(&eid) else {
            // Within a prefix that is configured here nobody else can have it.
            let served = self.database.covering(iid, &Prefix::host(address)).is_some();
            return self.answer_probe(iid, Prefix::host(address), &asker, served, out);
        };
        let ordered_now = matches!(agent.state, State::Expected)
            && now.duration_since(agent.since) < self.settings.timers.expect;
        match agent.state {
            State::Expected if ordered_now => self.uphold(eid, agent, &asker, out),
            State::Expected | State::Attached if agent.check.is_some() => {
                self.start_check(eid, agent, Some(asker), now, out);
            }
            State::Expected | State::Attached => {
                if self.limits.checks.allow(now) {
                    self.start_check(eid, agent, Some(asker), now, out);
                } else {
                    self.counters.count(Counter::ChecksLimited);
                    self.uphold(eid, agent, &asker, out);
                }
            }
            State::Held { .. } | State::Away(_) | State::Claiming(_) => {
                self.put(eid, agent);
                self.answer_probe(iid, Prefix::host(address), &asker, false, out);
            }
        }
    }

    /// The agent is ours without asking the host.
    fn uphold(&mut self, eid: Eid, agent: Agent, asker: &Asker, out: &mut Outbox) {
        self.counters.count(Counter::ClaimsUpheld);
        self.put(eid, agent);
        self.answer_probe(eid.0, Prefix::host(eid.1), asker, true, out);
    }

    /// Tells the gateways that wait for it whether the agent is here.
    pub(super) fn answer_askers(&mut self, (iid, eid): Eid, agent: &Agent, here: bool, out: &mut Outbox) {
        for asker in agent.check.iter().flat_map(|check| &check.askers) {
            self.answer_probe(iid, Prefix::host(eid), asker, here, out);
        }
    }

    /// Answers with the prefix that was asked for, because that is what the sender has in its cache.
    /// What is not served here has no locators.
    fn answer_probe(&mut self, iid: Iid, prefix: Prefix, asker: &Asker, served: bool, out: &mut Outbox) {
        let locators = if served { self.locators(Some(asker.from)) } else { Vec::new() };
        let ttl = if served { self.settings.mapping_ttl_min } else { 1 };
        let records = vec![answered(iid, prefix, ttl, locators)];
        let reply = MapReply { probe: true, nonce: asker.nonce, records, ..MapReply::default() };
        out.datagrams.push(Datagram { from: Some(asker.from), to: asker.to, bytes: reply.emit() });
        let counter = if served { Counter::ProbesAnswered } else { Counter::ProbesNotOurs };
        self.counters.count(counter);
    }
}

#[cfg(test)]
mod test;
