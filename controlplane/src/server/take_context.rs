//! Taking what registers say of context: snapshots beside their records, and deltas without any
//! (reference/lisp-protocol.md section 6.3, semantics 1 to 3).

use std::collections::BTreeMap;
use std::time::Instant;

use sterna_wire::lisp::control::MapRegister;
use sterna_wire::lisp::control::acx::{Acx, AcxError, Attributes, Scope, Scoped, Status, StatusCode};
use sterna_wire::lisp::control::auth::Coverage;
use sterna_wire::{Iid, Prefix};

use super::contexts::{Bounds, Update, is_older};
use super::register::Arrived;
use super::registrations::Slot;
use super::saves::{Save, SavedContext, SavedSaid};
use super::{MARKS_PERIOD, Refusal, Server};

/// TLV types that a status is about.
const SCOPE: u8 = 0x01;
const SCOPE_EID: u8 = 0x02;
const SCOPE_RLOC: u8 = 0x03;

/// What became of a block, the worst of it.
#[derive(Default)]
struct Outcome {
    /// A stored sequence that is newer.
    stored: Option<u32>,
    /// The type that something was denied for.
    denied: Option<u8>,
}

impl Server {
    /// Takes the context that a register carries. Gives the block for its Map-Notify; none when it carries none.
    pub(super) fn take_context(
        &mut self,
        arrived: &Arrived,
        register: &MapRegister,
        coverage: Coverage,
    ) -> Option<Acx> {
        let reply = Acx { reply: true, aware: true, ..Acx::default() };
        let failed =
            |code, offending, seq| Acx { seq, status: Some(Status { code, offending }), ..reply.clone() };
        let block = match self.block_of(&register.tail)? {
            _ if coverage != Coverage::Whole => {
                self.counters.refuse(Refusal::ContextUnauthentic);
                return None;
            }
            Ok(block) => block,
            Err(AcxError::Malformed(kind) | AcxError::UnknownCritical(kind)) => {
                return Some(failed(StatusCode::Malformed, kind, 0));
            }
            Err(_) => return Some(failed(StatusCode::Malformed, 0, 0)),
        };
        if block.seq == 0 {
            self.counters.refuse(Refusal::ContextMalformed);
            return Some(failed(StatusCode::Malformed, 0, 0));
        }
        let outcome = self.apply(arrived, register, &block);
        let (code, offending) = match (outcome.stored, outcome.denied) {
            (Some(_), _) => (StatusCode::StaleSequence, 0),
            (None, Some(offending)) => (StatusCode::Denied, offending),
            (None, None) => (StatusCode::Ok, 0),
        };
        Some(failed(code, offending, outcome.stored.unwrap_or(block.seq)))
    }

    /// The block in a message's tail; why there is none is counted. None when the message has no ACX.
    pub(super) fn block_of(&mut self, tail: &[u8]) -> Option<Result<Acx, AcxError>> {
        let found = Acx::find(tail);
        let refusal = match &found {
            Ok(None) => return None,
            Ok(Some(block)) => {
                for _ in 0..block.duplicates {
                    self.counters.refuse(Refusal::ContextDuplicate);
                }
                return found.transpose();
            }
            Err(AcxError::NotAcx) => {
                self.counters.refuse(Refusal::TrailingUnknown);
                return None;
            }
            Err(AcxError::UnknownCritical(_)) => Refusal::ContextUnsupported,
            Err(AcxError::TooLong | AcxError::Malformed(_)) => Refusal::ContextMalformed,
        };
        self.counters.refuse(refusal);
        found.transpose()
    }

    fn apply(&mut self, arrived: &Arrived, register: &MapRegister, block: &Acx) -> Outcome {
        let mut outcome = Outcome::default();
        let tick = self.ticks(arrived.now);
        for ((iid, prefix), update) in self.updates(register, block, &mut outcome) {
            let Some(slot) = self.own_slot(arrived, iid, &prefix) else {
                let foreign = !self.scopes.allows(arrived.site, iid, &prefix);
                self.counters.refuse(if foreign {
                    Refusal::ContextForeign
                } else {
                    Refusal::ContextUnregistered
                });
                outcome.denied.get_or_insert(SCOPE_EID);
                continue;
            };
            let Some(update) = self.judge(slot, update, block.seq, &mut outcome) else { continue };
            let before = self.known_exactly(iid, &prefix);
            let bounds = self.context_bounds();
            if let Err(refusal) = self.contexts.update(slot, (&update, block.seq), bounds, tick) {
                self.counters.refuse(refusal);
                outcome.denied.get_or_insert(0);
                continue;
            }
            self.counters.contexts += 1;
            let before = before.zip(self.known_exactly(iid, &prefix));
            if let Some((before, after)) = before.filter(|(before, after)| before != after) {
                self.context_changed((iid, &prefix), &before, &after, arrived.now);
                self.context_unsaved(slot, &update, arrived.now);
            }
        }
        outcome
    }

    pub(super) fn context_bounds(&self) -> Bounds {
        Bounds { count: self.settings.max_contexts, bytes: self.settings.max_context_bytes }
    }

    /// What the block says of each EID. A snapshot says of each of its records' EIDs that there is no more.
    fn updates(
        &mut self,
        register: &MapRegister,
        block: &Acx,
        outcome: &mut Outcome,
    ) -> BTreeMap<(Iid, Prefix), Update> {
        let mut updates: BTreeMap<(Iid, Prefix), Update> = BTreeMap::new();
        let eids =
            || register.records.iter().filter(|record| record.ttl != 0).filter_map(|record| record.prefix());
        if block.complete {
            updates.extend(eids().map(|eid| (eid, Update { complete: true, ..Update::default() })));
        }
        for entry in &block.entries {
            let named: Vec<(Iid, Prefix)> = match &entry.scope {
                Scope::Message => eids().collect(),
                Scope::Record(record) | Scope::Locator { record, .. } => {
                    let record = register.records.get(usize::from(*record));
                    record.and_then(|record| record.prefix()).into_iter().collect()
                }
                Scope::Eid(iid, prefix) | Scope::EidLocator(iid, prefix, _) => vec![(*iid, *prefix)],
            };
            let locator = match &entry.scope {
                Scope::Locator { record, locator } => {
                    let record = register.records.get(usize::from(*record));
                    let locator = record.and_then(|record| record.locators.get(usize::from(*locator)));
                    Some(locator.and_then(|locator| locator.address.rloc()))
                }
                Scope::EidLocator(_, _, address) => Some(Some(*address)),
                _ => None,
            };
            if named.is_empty() || locator == Some(None) {
                self.counters.refuse(Refusal::ContextOfNothing);
                outcome.denied.get_or_insert(SCOPE);
                continue;
            }
            for eid in named {
                let update = updates
                    .entry(eid)
                    .or_insert_with(|| Update { complete: block.complete, ..Update::default() });
                update.add(locator.flatten(), entry);
            }
        }
        updates
    }

    /// The sender's own registration of exactly this prefix.
    fn own_slot(&self, arrived: &Arrived, iid: Iid, prefix: &Prefix) -> Option<Slot> {
        let is_own = |xtr: u32| self.xtrs.get(xtr).is_some_and(|xtr| xtr.identity == arrived.identity);
        self.table.holders(iid, prefix).find(|(_, holder)| is_own(holder.xtr)).map(|(slot, _)| slot)
    }

    /// What of an update counts: nothing when it is stale or when there is nothing to say, and of locators those that
    /// are registered.
    fn judge(&mut self, slot: Slot, mut update: Update, seq: u32, outcome: &mut Outcome) -> Option<Update> {
        let stored = self.contexts.get(slot).map(|context| context.seq);
        if let Some(stored) = stored.filter(|stored| is_older(seq, *stored)) {
            self.counters.refuse(Refusal::ContextStale);
            let newest = outcome.stored.filter(|other| is_older(stored, *other)).unwrap_or(stored);
            outcome.stored = Some(newest);
            return None;
        }
        let registered = self.table.get(slot).map_or(&[][..], |held| self.table.sets.get(held.set));
        let before = update.locators.len();
        update.locators.retain(|(address, ..)| registered.iter().any(|locator| locator.address == *address));
        for _ in update.locators.len()..before {
            self.counters.refuse(Refusal::ContextOfNothing);
            outcome.denied.get_or_insert(SCOPE_RLOC);
        }
        let empty = update.whole.is_none() && update.locators.is_empty();
        // An EID without context needs no place for that.
        (!empty || stored.is_some() && update.complete).then_some(update)
    }

    /// What is over becomes unknown, and whoever minds is told.
    pub(super) fn expire_contexts(&mut self, now: Instant) {
        let tick = self.ticks(now);
        for slot in self.contexts.due(tick) {
            let eid = self.table.get(slot).map(|held| (held.iid(), held.prefix()));
            let before = eid.and_then(|(iid, prefix)| self.known_exactly(iid, &prefix));
            self.contexts.expire(slot, tick);
            let Some((eid, before)) = eid.zip(before) else { continue };
            if let Some(after) = self.known_exactly(eid.0, &eid.1).filter(|after| *after != before) {
                self.context_changed((eid.0, &eid.1), &before, &after, now);
            }
            self.save_context(slot);
        }
    }

    /// Hardware, security and state are saved at once, latency and load with the next nonce marks.
    fn context_unsaved(&mut self, slot: Slot, update: &Update, now: Instant) {
        let lasting =
            |said: &Attributes| said.hardware.is_some() || said.security.is_some() || said.state.is_some();
        let whole = update.whole.iter().map(|(said, _)| said);
        if update.complete || whole.chain(update.locators.iter().map(|(_, said, _)| said)).any(lasting) {
            self.save_context(slot);
        } else {
            self.unsaved_contexts.insert(slot);
            self.marks_due.get_or_insert(now + MARKS_PERIOD);
        }
    }

    /// Has what is said of a registration saved as it is now.
    pub(super) fn save_context(&mut self, slot: Slot) {
        self.unsaved_contexts.remove(&slot);
        let Some((context, key)) = self.contexts.get(slot).zip(self.key_of(slot)) else { return };
        let saved = |said: &super::contexts::Said| SavedSaid {
            attributes: said.attributes.clone(),
            ttl_s: said.ttl_s,
        };
        let locators = context.locators.iter().map(|(address, said)| (*address, saved(said))).collect();
        let whole = saved(&context.whole);
        self.saves.push(Save::Context(SavedContext { key, seq: context.seq, whole, locators }));
    }

    /// A registration goes, and what was said of it.
    pub(super) fn forget_context(&mut self, slot: Slot) {
        self.unsaved_contexts.remove(&slot);
        if self.contexts.remove(slot) {
            self.saves.extend(self.key_of(slot).map(Save::ContextGone));
        }
    }
}

impl Update {
    fn add(&mut self, locator: Option<std::net::IpAddr>, entry: &Scoped) {
        let (said, ttl_s) = (entry.attributes.clone(), entry.ttl_s);
        match locator {
            // What a closer scope said before holds.
            None => match &mut self.whole {
                Some((known, known_ttl_s)) => {
                    *known = said.overlaid(known);
                    *known_ttl_s = known_ttl_s.or(ttl_s);
                }
                none => *none = Some((said, ttl_s)),
            },
            Some(address) => match self.locators.iter_mut().find(|(known, ..)| *known == address) {
                Some((_, known, known_ttl_s)) => {
                    *known = said.overlaid(known);
                    *known_ttl_s = known_ttl_s.or(ttl_s);
                }
                None => self.locators.push((address, said, ttl_s)),
            },
        }
    }
}
