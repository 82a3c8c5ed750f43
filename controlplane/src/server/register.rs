//! Map-Registers: whose they are, whether they are new, and what they change (RFC 9301 section 5.6).

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use sterna_wire::lisp::control::acx::Acx;
use sterna_wire::lisp::control::auth::Coverage;
use sterna_wire::lisp::control::{EidRecord, MapNotify, MapRegister};
use sterna_wire::{Iid, Prefix};

use super::locator_sets::{MAX_LOCATORS, RegisteredLocator};
use super::registrations::flag;
use super::saves::Identity;
use super::{Refusal, Server};
use crate::outbox::{Datagram, Outbox};

/// Bytes of records in a Map-Notify, so that it fits into one datagram.
const MAX_NOTIFY: usize = 64_000;

/// An authentic register and its sender.
pub(super) struct Arrived {
    pub(super) site: u32,
    pub(super) xtr: u32,
    pub(super) identity: Identity,
    /// P, T and a bits, as a registration keeps them.
    pub(super) flags: u8,
    /// E bit: the xTR has seen the hosts speak and nobody vouches for them, so the freeze holds for them.
    pub(super) claimed: bool,
    pub(super) now: Instant,
}

/// An xTR that an EID left.
pub(super) struct Left {
    pub(super) xtr: u32,
    /// It had registered this very EID, so its refreshes are ignored until it knows.
    pub(super) superseded: bool,
}

impl Server {
    /// Takes a Map-Register. `message` is the whole UDP payload that `register` was parsed from, `from` its source,
    /// `to` our address that it came to.
    pub fn map_register(
        &mut self,
        register: &MapRegister,
        message: &[u8],
        from: SocketAddr,
        to: IpAddr,
        now: Instant,
        out: &mut Outbox,
    ) {
        if !self.may_register(from.ip(), now) {
            return;
        }
        let Some((site, coverage)) = self.authenticate(register, message, from.ip()) else { return };
        let id = if coverage == Coverage::Whole { register.xtr } else { None };
        let Some(arrived) = self.admit(register, site, id, (from, to), now) else { return };
        self.counters.registers += 1;
        let saved = self.saves.len();
        let mut records = Vec::new();
        for record in &register.records {
            records.extend(self.register_record(&arrived, record, out));
        }
        let said = self.take_context(&arrived, register, coverage);
        if self.saves.len() > saved {
            // A replay of what is saved now must be refused after a restart too.
            self.save_xtr(arrived.xtr);
        }
        if register.want_notify && (!records.is_empty() || said.is_some()) {
            self.confirm(&arrived, register, (records, said), (from, to), out);
        }
        self.publish(now, out);
    }

    /// Does what one record says. Gives what to answer about it; nothing about what is not the site's.
    fn register_record(
        &mut self,
        arrived: &Arrived,
        record: &EidRecord,
        out: &mut Outbox,
    ) -> Option<EidRecord> {
        let refuse = |server: &mut Server, refusal| {
            server.counters.refuse(refusal);
            None
        };
        let Some((iid, prefix)) = record.prefix() else { return refuse(self, Refusal::RecordEidNotIp) };
        let skill = self.scopes.is_skill(iid, &prefix);
        if !self.scopes.allows(arrived.site, iid, &prefix) {
            return refuse(self, if skill { Refusal::SkillForeign } else { Refusal::RecordForeign });
        }
        if self.table.holders(iid, &prefix).any(|(_, holder)| holder.has(flag::STATIC)) {
            return refuse(self, Refusal::StaticHeld);
        }
        if record.ttl == 0 {
            return self.withdraw(arrived, iid, &prefix);
        }
        let locators = match self.judge_locators(record) {
            Ok(locators) => locators,
            Err(refusal) => return refuse(self, refusal),
        };
        let accepted = if skill {
            self.may_share(arrived, iid, &prefix).map(|()| Vec::new())
        } else if arrived.flags & flag::MERGE != 0 {
            self.may_merge(arrived, iid, &prefix).map(|()| Vec::new())
        } else {
            self.take_over(arrived, iid, &prefix, &locators, out)
        };
        match &accepted {
            Ok(left) => {
                self.hold(arrived, iid, &prefix, record, &locators)?;
                left.iter().for_each(|left| self.tell(left, iid, &prefix, arrived.now, out));
            }
            Err(refusal) => self.counters.refuse(*refusal),
        }
        if skill {
            return self.registered_skill(iid, &prefix, arrived.identity);
        }
        let mut answer = self.registered_record(iid, &prefix)?;
        if accepted.is_ok() && self.xtrs.get(arrived.xtr)?.identified {
            self.append_previous(&mut answer, iid, &prefix, arrived.now);
        }
        Some(answer)
    }

    /// The locators that can be sent to, sorted; each address once, with its better priority.
    fn judge_locators(&mut self, record: &EidRecord) -> Result<Vec<RegisteredLocator>, Refusal> {
        if record.locators.len() > MAX_LOCATORS {
            return Err(Refusal::TooManyLocators);
        }
        let mut locators: Vec<_> = record.locators.iter().filter_map(RegisteredLocator::of).collect();
        for _ in locators.len()..record.locators.len() {
            self.counters.refuse(Refusal::LocatorUnusable);
        }
        if locators.is_empty() && !record.locators.is_empty() {
            return Err(Refusal::RecordUnusable);
        }
        locators.sort_unstable();
        let mut seen = Vec::with_capacity(locators.len());
        locators.retain(|locator| {
            let new = !seen.contains(&locator.address);
            seen.push(locator.address);
            new
        });
        Ok(locators)
    }

    /// A record with TTL 0: the sender no longer serves the prefix.
    fn withdraw(&mut self, arrived: &Arrived, iid: Iid, prefix: &Prefix) -> Option<EidRecord> {
        let own = self.table.holders(iid, prefix).find(|(_, holder)| {
            self.xtrs.get(holder.xtr).is_some_and(|xtr| xtr.identity == arrived.identity)
        });
        match own.map(|(slot, _)| slot) {
            Some(slot) => {
                self.counters.records += 1;
                self.drop_registration(slot, arrived.now);
            }
            None => self.counters.refuse(Refusal::WithdrawnNotHeld),
        }
        let gone = EidRecord { ttl: 0, ..EidRecord::of(iid, *prefix) };
        Some(self.registered_record(iid, prefix).unwrap_or(gone))
    }

    /// Answers a register with what is registered now, in the sender's way of signing.
    fn confirm(
        &mut self,
        arrived: &Arrived,
        register: &MapRegister,
        (records, said): (Vec<EidRecord>, Option<Acx>),
        (from, to): (SocketAddr, IpAddr),
        out: &mut Outbox,
    ) {
        let Some(site) = self.sites.get(arrived.site as usize) else { return };
        let Some(key) = site.key(register.key_id, register.algorithm) else { return };
        let xtr = self.xtrs.get(arrived.xtr).filter(|xtr| xtr.identified);
        // The whole identity as it came: an xTR-ID of zero is none to us, but to its sender.
        let xtr = xtr.and(register.xtr);
        let records = self.counters.fitting(records, MAX_NOTIFY);
        let tail = said.map_or_else(Vec::new, |said| Acx { echo: xtr, ..said }.bytes());
        let notify = MapNotify { nonce: register.nonce, records, xtr, tail, ..MapNotify::default() };
        self.counters.notifies += 1;
        out.datagrams.push(Datagram { from: Some(to), to: from, bytes: notify.signed(key) });
    }
}
