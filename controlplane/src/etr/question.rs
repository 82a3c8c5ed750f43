//! What the ETR itself asks: the mapping system whose an EID is, and other gateways whether an agent is there.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use sterna_wire::Prefix;
use sterna_wire::lisp::control::{
    Act, EidRecord, LispAddress, MapReply, MapRequest, RequestRecord, encapsulate,
};

use super::agents::Eid;
use super::assign::AssignId;
use super::{Counter, Etr};
use crate::outbox::{CONTROL_PORT, Locator, Outbox};

/// What a question was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A claim asks the mapping system.
    Claim(Eid),
    /// A claim asks the gateway at this locator.
    Probe(Eid, IpAddr),
    /// An EID is picked for a new agent.
    Assign(AssignId, Eid),
}

/// The questions that wait for an answer, by nonce. Claims and assignments are bounded, and so are these.
#[derive(Debug, Default)]
pub(super) struct Questions(BTreeMap<u64, Purpose>);

impl Questions {
    pub(super) fn get(&self, nonce: u64) -> Option<Purpose> {
        self.0.get(&nonce).copied()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn forget(&mut self, nonces: &[u64]) {
        for nonce in nonces {
            self.0.remove(nonce);
        }
    }
}

/// What the mapping system says of an EID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Nobody has it, or we do.
    Free,
    /// It is reached by these locators, the preferred ones first.
    Elsewhere(Vec<Locator>),
    /// It belongs to somebody, but no locator can be used.
    Unusable,
    /// We may not know.
    Denied,
}

impl Etr {
    /// A Map-Reply. True when its nonce is that of a question of ours.
    pub fn map_reply(
        &mut self,
        reply: &MapReply,
        _from: SocketAddr,
        now: std::time::Instant,
        out: &mut Outbox,
    ) -> bool {
        let Some(purpose) = self.questions.get(reply.nonce) else { return false };
        let (Purpose::Claim(eid) | Purpose::Probe(eid, _) | Purpose::Assign(_, eid)) = purpose;
        let Some(record) = covering(reply, eid) else {
            self.counters.count(Counter::ReplyWrongEid);
            return true;
        };
        let said = self.said(record);
        match purpose {
            Purpose::Claim(eid) => self.claim_answered(eid, said, now, out),
            Purpose::Probe(eid, holder) => self.probe_answered(eid, holder, &said, now, out),
            Purpose::Assign(id, eid) => self.assign_answered(id, eid, &said, now, out),
        }
        true
    }

    fn said(&self, record: &EidRecord) -> Said {
        if record.locators.is_empty() || record.ttl == 0 {
            return match record.act {
                Act::DropPolicyDenied | Act::DropAuthFailure => Said::Denied,
                _ => Said::Free,
            };
        }
        let locators = usable(record);
        if locators.iter().any(|locator| self.settings.is_local(locator.address)) {
            return Said::Free;
        }
        if locators.is_empty() { Said::Unusable } else { Said::Elsewhere(locators) }
    }

    /// A nonce that no question waits for.
    fn nonce_for(&mut self, purpose: Purpose) -> u64 {
        loop {
            let nonce = self.random.number();
            if let std::collections::btree_map::Entry::Vacant(place) = self.questions.0.entry(nonce) {
                place.insert(purpose);
                return nonce;
            }
        }
    }

    /// Asks the mapping system whose the EID is; the `tries`-th try goes to another server than the one before.
    /// None when there is nobody to ask.
    pub(super) fn ask(&mut self, eid: Eid, purpose: Purpose, tries: usize, out: &mut Outbox) -> Option<u64> {
        let asked = self.settings.asked();
        let server = *asked.get(tries % asked.len().max(1))?;
        let nonce = self.nonce_for(purpose);
        let (iid, address) = eid;
        let request = MapRequest {
            nonce,
            itr_rlocs: self.itr_rlocs(),
            records: vec![RequestRecord::of(iid, Prefix::host(address))],
            xtr: Some(self.identity),
            ..MapRequest::default()
        };
        let local = self.settings.local_rlocs.iter().map(|rloc| rloc.address);
        let inner = local.clone().find(|local| local.is_ipv4() == address.is_ipv4());
        let inner = inner.or(local.clone().next()).unwrap_or(address);
        let message = encapsulate(
            SocketAddr::new(inner, CONTROL_PORT),
            SocketAddr::new(address, CONTROL_PORT),
            &request.emit(),
        );
        out.send(server, message);
        Some(nonce)
    }

    /// A nonce for asking the gateway at `holder`.
    pub(super) fn probe_nonce(&mut self, eid: Eid, holder: IpAddr) -> u64 {
        self.nonce_for(Purpose::Probe(eid, holder))
    }

    /// Asks the gateway at this locator whether the agent is there: a probe whose source EID is the EID itself.
    pub(super) fn send_probe(&self, (iid, eid): Eid, holder: IpAddr, nonce: u64, out: &mut Outbox) {
        let request = MapRequest {
            probe: true,
            nonce,
            source_eid: LispAddress::for_eid(iid, eid),
            itr_rlocs: self.itr_rlocs(),
            records: vec![RequestRecord::of(iid, Prefix::host(eid))],
            ..MapRequest::default()
        };
        out.send(holder, request.emit());
    }
}

/// The reply's longest record that covers the EID.
fn covering(reply: &MapReply, (iid, eid): Eid) -> Option<&EidRecord> {
    let covers = |record: &&EidRecord| {
        record.prefix().is_some_and(|(group, prefix)| group == iid && prefix.contains(eid))
    };
    reply.records.iter().filter(covers).max_by_key(|record| record.mask_len)
}

/// The record's locators that packets may be sent to, the preferred ones first.
pub(super) fn usable(record: &EidRecord) -> Vec<Locator> {
    let mut locators: Vec<_> = record
        .locators
        .iter()
        .filter(|locator| locator.priority < 255)
        .filter_map(|locator| {
            let (priority, weight) = (locator.priority, locator.weight);
            Some(Locator { address: locator.address.rloc()?, priority, weight })
        })
        .collect();
    locators.sort_by_key(|locator| (locator.priority, locator.address));
    locators.dedup_by_key(|locator| locator.address);
    locators.truncate(16);
    locators
}
