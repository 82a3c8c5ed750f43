//! Telling the Map-Servers what is said of the agents here, and what they answer.

use std::net::IpAddr;
use std::time::Instant;

use sterna_wire::lisp::control::acx::{Acx, Status, StatusCode};
use sterna_wire::lisp::control::{LocatorRecord, MapNotify, MapRegister};
use sterna_wire::{Iid, Prefix};

use super::context::{Carried, Placed, snapshot};
use super::counters::Counter;
use super::register::{Batch, Entry};
use super::{Etr, entry_of};
use crate::context::{Reported, Telling};
use crate::outbox::Outbox;

/// Messages without records that one call sends; the rest waits for the next tick.
const DELTAS_PER_CALL: usize = 64;

impl Etr {
    /// Whether something may be said of this EID here: an agent that is here, or a host that is served by itself.
    pub fn may_report(&self, iid: Iid, eid: IpAddr) -> bool {
        let served = self.agents.get(&(iid, eid)).is_some_and(|agent| agent.is_served());
        served || self.database.prefixes().contains(&(iid, Prefix::host(eid)))
    }

    /// What is said of an agent has changed, and the Map-Servers are to know; call [`Etr::tick`] or
    /// [`Etr::send_contexts`] when all such changes are in.
    pub fn tell_context(&mut self, telling: Telling, now: Instant) {
        let entry = entry_of((telling.iid, telling.eid));
        // Refreshes renew it, so what it says must outlast two of them.
        let least = self.settings.timers.register * 2;
        let ttl_s = u32::try_from(telling.ttl.max(least).as_secs()).unwrap_or(u32::MAX);
        let servers: Vec<IpAddr> = self.settings.map_servers.iter().map(|server| server.address).collect();
        for server in self.contexts.tell(entry, telling.reported, ttl_s, &servers, now) {
            self.registrar.sooner(&entry, server, now);
        }
    }

    /// Sends what was told to [`Etr::tell_context`].
    pub fn send_contexts(&mut self, now: Instant, out: &mut Outbox) {
        self.send_registers(now, out);
    }

    /// The agent is here no more: nothing is said of it.
    pub fn forget_context(&mut self, iid: Iid, eid: IpAddr) {
        self.contexts.forget(&entry_of((iid, eid)));
    }

    /// What is said of an EID, of the locators of a record.
    pub(super) fn reported(&self, entry: &Entry) -> Option<&Reported> {
        self.contexts.get(entry).map(|told| &told.reported)
    }

    /// The snapshot of what is said of a message's entries; none where nothing is said of any, or where the server
    /// gets no context.
    pub(super) fn snapshot(
        &mut self,
        batch: &Batch,
        locators: &[LocatorRecord],
        now: Instant,
    ) -> Option<Acx> {
        let said =
            batch.entries.iter().any(|(entry, withdrawn)| !withdrawn && self.contexts.get(entry).is_some());
        let peer = self.contexts.peer(batch.server);
        if batch.retries > 0 && (said || peer.is_tried()) && peer.repeated(now) {
            self.contexts.pause(batch.server);
        }
        if !self.contexts.peer(batch.server).carries(now) {
            return None;
        }
        let locators: Vec<IpAddr> = locators.iter().filter_map(|locator| locator.address.rloc()).collect();
        let (mut entries, mut carried) = (Vec::new(), Vec::new());
        for (index, (entry, withdrawn)) in batch.entries.iter().enumerate() {
            let (Some(told), Ok(record)) = (self.contexts.get(entry), u8::try_from(index)) else { continue };
            if !withdrawn {
                entries.extend(snapshot(&told.reported, told.ttl_s, Placed { record, locators: &locators }));
                carried.push(*entry);
            }
        }
        if carried.is_empty() {
            return None;
        }
        let seq = self.contexts.peer(batch.server).sequence(batch.nonce);
        self.contexts.sent(batch.nonce, batch.server, &carried, now);
        self.counters.add(Counter::ContextsSent, carried.len());
        let echo = Some(self.identity);
        Some(Acx { aware: true, complete: true, seq, entries, echo, ..Acx::default() })
    }

    /// Sends the changes that are due as registers without records.
    pub(super) fn send_deltas(&mut self, now: Instant, out: &mut Outbox) {
        for _ in 0..DELTAS_PER_CALL {
            let Some((address, delta, retried)) = self.contexts.next_delta(now) else { return };
            if retried && self.contexts.peer(address).repeated(now) {
                self.contexts.pause(address);
                continue;
            }
            let Some(server) = self.settings.server(address) else { continue };
            let Some(key) = server.key().filter(|_| !delta.eids.is_empty()) else { continue };
            let nonce = self.registrar.take_nonce();
            self.contexts.sent(nonce, address, &delta.eids, now);
            self.counters.count(Counter::ContextDeltasSent);
            self.counters.add(Counter::ContextsSent, delta.eids.len());
            let seq = self.contexts.peer(address).sequence(nonce);
            let register = MapRegister {
                proxy_reply: server.proxy_reply,
                want_notify: true,
                nonce,
                xtr: Some(self.identity),
                tail: delta.block(seq, self.identity).bytes(),
                ..MapRegister::default()
            };
            // Behind the register that it adds to.
            out.promise(address, register.signed(key));
        }
    }

    /// A Map-Notify answers a register of ours. `whole`: its tail is authentic too.
    pub(super) fn context_answered(&mut self, notify: &MapNotify, server: IpAddr, whole: bool, now: Instant) {
        let Some(carried) = self.contexts.take_sent(notify.nonce) else {
            if self.contexts.peer(server).answered_plain(now) {
                self.counters.count(Counter::ContextDowngraded);
            }
            return;
        };
        let block = if whole { Acx::find(&notify.tail) } else { Ok(None) };
        let block = block.ok().flatten().filter(|block| block.reply && block.aware);
        if self.contexts.peer(server).answered(block.is_some()) {
            self.counters.count(Counter::ContextLegacy);
        }
        let Some(block) = block else { return };
        for entry in self.outcome(&block, &carried, notify, server) {
            self.registrar.sooner(&entry, server, now);
        }
    }

    /// What became of the context that a message carried. Gives the entries that are to be told again.
    fn outcome(&mut self, block: &Acx, carried: &Carried, notify: &MapNotify, server: IpAddr) -> Vec<Entry> {
        match block.status.map_or(StatusCode::Ok, |Status { code, .. }| code) {
            StatusCode::Ok => {
                self.counters.count(Counter::ContextsConfirmed);
                self.contexts.confirmed(carried);
                Vec::new()
            }
            StatusCode::StaleSequence => {
                self.counters.count(Counter::ContextStale);
                let next = self.registrar.next_nonce();
                let newer = self.contexts.peer(server).overtaken(block.seq, next);
                if newer { self.contexts.unknown(carried) } else { Vec::new() }
            }
            // Perhaps it has lost the registration that the context belongs to. Its record tells both.
            StatusCode::Denied => {
                self.counters.count(Counter::ContextDenied);
                let again = self.contexts.unknown(carried);
                if notify.records.is_empty() { again } else { Vec::new() }
            }
            _ => {
                self.counters.count(Counter::ContextRefused);
                drop(self.contexts.unknown(carried));
                Vec::new()
            }
        }
    }
}
