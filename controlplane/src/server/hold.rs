//! Holding a prefix: new registrations, refreshes, and what of them is saved and published.

use std::time::{Duration, Instant};

use sterna_wire::lisp::control::EidRecord;
use sterna_wire::{Iid, Prefix};

use super::locator_sets::RegisteredLocator;
use super::register::Arrived;
use super::registrations::{Registration, Slot, Terms, flag};
use super::saves::{RegistrationKey, Save, SavedRegistration};
use super::{Refusal, Server};

/// The longest life of a registration whose TTL decides it: a week.
const MAX_LIFE: Duration = Duration::from_secs(7 * 86_400);
/// TTL that leaves it to the receiver.
const TTL_UNSAID: u32 = u32::MAX;

impl Server {
    /// The sender holds the prefix from now on. None when there is no room.
    pub(super) fn hold(
        &mut self,
        arrived: &Arrived,
        iid: Iid,
        prefix: &Prefix,
        record: &EidRecord,
        locators: &[RegisteredLocator],
    ) -> Option<()> {
        let authoritative = if record.authoritative { flag::AUTHORITATIVE } else { 0 };
        let terms = Terms {
            deadline: self.life(arrived.flags, record.ttl, arrived.now),
            ttl: record.ttl,
            version: record.map_version,
            act: record.act,
            flags: arrived.flags | authoritative,
        };
        let own = self.table.holders(iid, prefix).find(|(_, holder)| {
            holder.xtr == arrived.xtr
                || self.xtrs.get(holder.xtr).is_some_and(|xtr| xtr.identity == arrived.identity)
        });
        let own = own.map(|(slot, holder)| (slot, *holder));
        match own {
            Some((slot, holder)) if holder.xtr == arrived.xtr => {
                self.refresh(slot, terms, locators, arrived);
            }
            Some((slot, _)) => {
                // The same xTR by another site's key.
                self.remove_quietly(slot);
                self.add(iid, prefix, terms, locators, arrived);
            }
            None if self.table.len() < self.settings.max_registrations => {
                self.add(iid, prefix, terms, locators, arrived);
            }
            None => {
                self.counters.refuse(Refusal::RegistrationsFull);
                return None;
            }
        }
        self.counters.records += 1;
        Some(())
    }

    /// When a registration that is made or refreshed now expires.
    pub(super) fn life(&mut self, flags: u8, ttl: u32, now: Instant) -> u32 {
        let by_ttl = flags & flag::USE_TTL != 0 && ttl != TTL_UNSAID;
        let life = if by_ttl {
            Duration::from_secs(u64::from(ttl) * 60).min(MAX_LIFE)
        } else {
            self.settings.registration
        };
        self.tick_after(life, now)
    }

    fn add(
        &mut self,
        iid: Iid,
        prefix: &Prefix,
        terms: Terms,
        locators: &[RegisteredLocator],
        arrived: &Arrived,
    ) {
        let set = self.table.sets.acquire(arrived.site, locators);
        let slot = self.table.insert(Registration::new(iid, prefix, set, arrived.xtr, terms));
        if let Some(xtr) = self.xtrs.get_mut(arrived.xtr) {
            xtr.registrations += 1;
        }
        self.save_registration(slot);
        self.changed(iid, prefix, arrived.now);
    }

    /// Writes a holder's registration anew; only a difference is saved and published.
    fn refresh(&mut self, slot: Slot, terms: Terms, locators: &[RegisteredLocator], arrived: &Arrived) {
        let Some(held) = self.table.get(slot).copied() else { return };
        let same_set = self.table.sets.get(held.set) == locators;
        let set = if same_set { held.set } else { self.table.sets.acquire(arrived.site, locators) };
        if let Some(held) = self.table.get_mut(slot) {
            (held.set, held.terms) = (set, terms);
        }
        if terms.deadline < held.terms.deadline {
            self.table.rehang(slot);
        }
        if !same_set {
            self.table.sets.release(held.set);
            if self.contexts.keep(slot, locators) {
                self.save_context(slot);
            }
        }
        if !same_set || (Terms { deadline: terms.deadline, ..held.terms }) != terms {
            self.save_registration(slot);
        }
        let told = |terms: &Terms| (terms.act, terms.version, terms.flags & flag::MERGE);
        if !same_set || told(&held.terms) != told(&terms) {
            self.changed(held.iid(), &held.prefix(), arrived.now);
        }
    }

    /// What the store knows a registration by.
    pub(super) fn key_of(&self, slot: Slot) -> Option<RegistrationKey> {
        let registration = self.table.get(slot)?;
        let xtr = self.xtrs.get(registration.xtr)?;
        Some(RegistrationKey {
            iid: registration.iid(),
            prefix: registration.prefix(),
            site: self.sites.get(xtr.site as usize)?.name.clone(),
            holder: xtr.identity,
        })
    }

    fn save_registration(&mut self, slot: Slot) {
        let Some((registration, key)) = self.table.get(slot).zip(self.key_of(slot)) else { return };
        self.saves.push(Save::Registration(SavedRegistration {
            key,
            ttl: registration.terms.ttl,
            act: registration.terms.act,
            version: registration.terms.version,
            flags: registration.terms.flags,
            locators: self.table.sets.shared(registration.set),
        }));
    }
}
