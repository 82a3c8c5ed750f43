//! Map-Notifies: the answers to our registers, and what a Map-Server tells us unasked.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use sterna_wire::lisp::control::auth::{self, Coverage, Key};
use sterna_wire::lisp::control::{EidRecord, MapNotify};

use super::agents::{Eid, State, Step};
use super::counters::Counter;
use super::question::usable;
use super::register::{Entry, Verdict};
use super::replay::Novelty;
use super::{Etr, change};
use crate::outbox::{AgentState, Datagram, Locator, Outbox};

impl Etr {
    /// A Map-Notify that is no publication (the ITR judges those first). `message` is all of its bytes.
    /// True when it comes from a Map-Server of ours, be it accepted or counted as refused.
    pub fn map_notify(
        &mut self,
        notify: &MapNotify,
        message: &[u8],
        from: SocketAddr,
        now: Instant,
        out: &mut Outbox,
    ) -> bool {
        if notify.ack {
            self.counters.count(Counter::AckIgnored);
            return false;
        }
        let nonce = notify.nonce;
        let asked = self.registrar.sent_to(nonce).or_else(|| self.contexts.sent_to(nonce));
        let from_server = self.settings.server(from.ip()).map(|server| server.address);
        let Some(server) = asked.or(from_server) else {
            self.counters.count(Counter::NotifyUnknown);
            return false;
        };
        let Some((key, coverage)) = self.authentic(notify, message, server) else {
            self.counters.count(Counter::NotifyBadAuth);
            return true;
        };
        // An xTR-ID that is not authentic says nothing.
        let xtr = notify.xtr.filter(|_| coverage == Coverage::Whole);
        if xtr.is_some_and(|xtr| xtr.xtr_id != self.identity.xtr_id) {
            self.counters.count(Counter::NotifyOtherXtr);
            return true;
        }
        match asked {
            Some(_) => {
                self.registered_by(notify, now, out);
                // After it, for what this wants sooner than the next refresh.
                self.context_answered(notify, server, coverage == Coverage::Whole, now);
            }
            None => {
                let notice = Notice { notify, server, from, key, numbered: xtr.is_some() };
                self.told_by(&notice, now, out);
            }
        }
        self.send_registers(now, out);
        true
    }

    /// The key that made the message, and what of the message it vouches for.
    fn authentic(&self, notify: &MapNotify, message: &[u8], server: IpAddr) -> Option<(Key, Coverage)> {
        self.keys_for(server, notify.key_id, notify.algorithm).into_iter().find_map(|key| {
            let coverage = auth::verify(message, notify.records_end, &key).ok()?;
            Some((key, coverage))
        })
    }

    /// The answer to a register of ours.
    fn registered_by(&mut self, notify: &MapNotify, now: Instant, out: &mut Outbox) {
        let records: BTreeMap<Entry, &EidRecord> =
            notify.records.iter().filter_map(|record| Some((record.prefix()?, record))).collect();
        let ours: Vec<_> = records
            .iter()
            .filter(|(_, record)| usable(record).iter().any(|to| self.settings.is_local(to.address)))
            .map(|(entry, _)| *entry)
            .collect();
        let verdicts = self.registrar.answered(
            notify.nonce,
            |entry| ours.binary_search(entry).is_ok(),
            self.settings.timers.register,
            &mut self.random,
            now,
        );
        for (entry, verdict) in verdicts {
            let record = records.get(&entry).copied();
            match verdict {
                Verdict::Confirmed => self.registration_confirmed(entry, record, now, out),
                Verdict::Refused => self.registration_refused(entry, record, now, out),
            }
        }
    }

    fn registration_confirmed(
        &mut self,
        (iid, prefix): Entry,
        record: Option<&EidRecord>,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.counters.count(Counter::RegistrationsConfirmed);
        if !prefix.is_host() {
            return;
        }
        let eid = (iid, prefix.addr());
        let previous = record.map(|record| self.previous(record)).unwrap_or_default();
        let Some(mut agent) = self.agents.take(&eid) else { return };
        match &agent.state {
            State::Claiming(claim) => {
                let claim = claim.clone();
                let Step::Registering { previous: known, .. } = &claim.step else {
                    return self.put(eid, agent);
                };
                let previous = if previous.is_empty() { known.clone() } else { previous };
                return self.claim_confirmed(eid, agent, &claim, previous, now, out);
            }
            State::Expected if !previous.is_empty() && previous != agent.previous => {
                change(eid, AgentState::Expect { previous: previous.clone() }, out);
                agent.previous = previous;
            }
            State::Attached if !previous.is_empty() && previous != agent.previous => {
                if let Some(place) = agent.place {
                    change(eid, self.admitted(eid, place, previous.clone()), out);
                }
                agent.previous = previous;
            }
            _ => {}
        }
        self.put(eid, agent);
    }

    /// The locators of the site that had the EID before: listed after a move, with priority 255.
    fn previous(&self, record: &EidRecord) -> Vec<IpAddr> {
        let all = record.locators.iter().filter(|locator| locator.priority == 255);
        let mut previous: Vec<_> = all.filter_map(|locator| locator.address.rloc()).collect();
        previous.retain(|address| !self.settings.is_local(*address));
        previous.sort_unstable();
        previous.dedup();
        previous.truncate(16);
        previous
    }

    fn registration_refused(
        &mut self,
        (iid, prefix): Entry,
        record: Option<&EidRecord>,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.counters.count(Counter::RegistrationsRefused);
        let holders = record.map(|record| self.others(record)).unwrap_or_default();
        let eid = (iid, prefix.addr());
        if !prefix.is_host() || self.database.prefixes().contains(&(iid, prefix)) {
            return;
        }
        // Others have it as well: that is what a skill is.
        if !holders.is_empty() && !self.is_skill(&eid) {
            return self.taken(eid, holders, false, now, out);
        }
        let Some(agent) = self.agents.take(&eid) else { return };
        match agent.state.clone() {
            State::Claiming(claim) if matches!(claim.step, Step::Registering { .. }) => {
                self.registrar.forget(&(iid, prefix));
                self.refuse_claim(eid, agent, claim, Counter::ClaimsLost, now, out);
            }
            _ => self.put(eid, agent),
        }
    }

    /// The record's usable locators; none when one of them is ours.
    fn others(&self, record: &EidRecord) -> Vec<Locator> {
        let locators = usable(record);
        if record.ttl == 0 || locators.iter().any(|to| self.settings.is_local(to.address)) {
            return Vec::new();
        }
        locators
    }

    /// What a Map-Server tells us unasked.
    fn told_by(&mut self, notice: &Notice<'_>, now: Instant, out: &mut Outbox) {
        match self.replays.judge(notice.server, notice.notify.nonce, notice.numbered) {
            Novelty::Old => self.counters.count(Counter::NotifyReplayed),
            Novelty::Repeated => {
                self.counters.count(Counter::NotifyRepeated);
                self.acknowledge(notice, out);
            }
            Novelty::New => {
                let ours: Vec<_> =
                    notice.notify.records.iter().filter(|record| self.concerns_us(record)).collect();
                if ours.is_empty() {
                    return self.counters.count(Counter::NotifyNotOurs);
                }
                self.replays.accept(notice.server, notice.notify.nonce, notice.numbered);
                // First, so that a register that follows comes from one who knows.
                self.acknowledge(notice, out);
                for record in ours {
                    self.told(record, now, out);
                }
            }
        }
    }

    /// Whether the record is about a prefix of ours, an agent, or where agents of ours may be.
    fn concerns_us(&self, record: &EidRecord) -> bool {
        let Some((iid, prefix)) = record.prefix() else { return false };
        let Some(group) = self.settings.group(iid) else { return false };
        let ranges = group.eids.iter().chain(&group.dynamic);
        ranges.into_iter().any(|range| range.covers(&prefix))
    }

    fn told(&mut self, record: &EidRecord, now: Instant, out: &mut Outbox) {
        let Some((iid, prefix)) = record.prefix() else { return };
        let locators = self.others(record);
        if locators.is_empty() {
            return self.counters.count(Counter::NotifyNoChange);
        }
        if !prefix.is_host() || self.database.prefixes().contains(&(iid, prefix)) {
            return self.counters.count(Counter::NotifyStatic);
        }
        let eid: Eid = (iid, prefix.addr());
        self.taken(eid, locators, true, now, out);
    }

    /// The same message as a Map-Notify-Ack (RFC 9301 section 5.7).
    fn acknowledge(&mut self, notice: &Notice<'_>, out: &mut Outbox) {
        let ack = MapNotify { ack: true, tail: Vec::new(), ..notice.notify.clone() };
        out.datagrams.push(Datagram { from: None, to: notice.from, bytes: ack.signed(&notice.key) });
        self.counters.count(Counter::NotifyAcked);
    }
}

/// An unsolicited Map-Notify that is authentic.
struct Notice<'a> {
    notify: &'a MapNotify,
    server: IpAddr,
    from: SocketAddr,
    key: Key,
    /// Its nonce is one of a rising series.
    numbered: bool,
}

#[cfg(test)]
mod test;
