//! Records that answer: what is registered, or how much is not.

use std::collections::HashSet;
use std::time::Instant;

use sterna_wire::lisp::control::{Act, EidRecord, LispAddress, LocatorRecord};
use sterna_wire::{Iid, Prefix};

use super::locator_sets::{MAX_LOCATORS, MAX_SKILL_LOCATORS, RegisteredLocator};
use super::refusal::{Counters, Refusal};
use super::registrations::{Registration, Slot, flag};
use super::{Identity, Server};
use crate::context::{Known, record_len};

/// The most records of one answer.
const MAX_RECORDS: usize = 16;
/// TTL of a negative answer inside a site's prefixes, in minutes.
const UNREGISTERED_TTL: u32 = 1;
/// A negative answer says nothing of more than half of all addresses.
const MIN_NEGATIVE_LEN: u8 = 1;
/// Nobody uses a locator of this priority for sending.
const UNUSED: u8 = 255;
/// TTL that leaves it to the receiver.
const TTL_UNSAID: u32 = u32::MAX;
const MINUTES_PER_DAY: u32 = 1440;

/// An answer to a question about one prefix.
#[derive(Debug)]
pub(super) struct Answer {
    /// The first record covers the question.
    pub(super) records: Vec<Known>,
    /// The registered prefix that answers; none in a negative answer.
    pub(super) registered: Option<Prefix>,
    /// Some parts of the prefix are registered by other xTRs than the prefix.
    pub(super) parts_of_others: bool,
}

impl Answer {
    fn of(record: EidRecord) -> Answer {
        Answer { records: vec![Known::plain(record)], registered: None, parts_of_others: false }
    }
}

impl Server {
    /// The answer to a question. With `whole` false it is one record, as narrow as it must be to hide nothing.
    pub(super) fn answer(&self, iid: Iid, question: &Prefix, whole: bool) -> Answer {
        match self.table.tree.longest(iid, question) {
            Some((prefix, first)) => self.positive(iid, question, prefix, first, whole),
            None => self.negative(iid, question),
        }
    }

    fn positive(&self, iid: Iid, question: &Prefix, prefix: Prefix, first: Slot, whole: bool) -> Answer {
        let tree = &self.table.tree;
        if !tree.has_inside(iid, &prefix) {
            let records = vec![self.known(iid, &prefix, first)];
            return Answer { records, registered: Some(prefix), parts_of_others: false };
        }
        let parts: Vec<_> = tree.inside(iid, &prefix).take(MAX_RECORDS).collect();
        let parts_of_others = parts.iter().any(|(_, part)| !self.same_holder(first, *part));
        let records = if whole && parts.len() < MAX_RECORDS {
            let parts = parts.iter().map(|(part, slot)| self.known(iid, part, *slot));
            std::iter::once(self.known(iid, &prefix, first)).chain(parts).collect()
        } else if !tree.has_inside(iid, question) {
            vec![self.known(iid, &tree.widest_empty(iid, question, prefix.len()), first)]
        } else {
            // A question about many parts: as many of them as one answer holds.
            let parts = tree.inside(iid, question).take(MAX_RECORDS - 1);
            let parts = parts.map(|(part, slot)| self.known(iid, &part, slot));
            std::iter::once(self.known(iid, question, first)).chain(parts).collect()
        };
        // More parts than were looked at are taken for others'.
        let parts_of_others = parts_of_others || parts.len() == MAX_RECORDS;
        Answer { records, registered: Some(prefix), parts_of_others }
    }

    fn same_holder(&self, a: Slot, b: Slot) -> bool {
        let holder = |slot| self.table.get(slot).map(|registration| registration.xtr);
        holder(a) == holder(b)
    }

    /// The answer about a prefix that no registration covers.
    fn negative(&self, iid: Iid, question: &Prefix) -> Answer {
        let parts = self.table.tree.inside(iid, question).take(MAX_RECORDS);
        let parts: Vec<_> = parts.map(|(part, slot)| self.known(iid, &part, slot)).collect();
        if !parts.is_empty() {
            return Answer { records: parts, registered: None, parts_of_others: true };
        }
        if self.scopes.touches(iid, question) {
            return Answer::of(EidRecord {
                ttl: UNREGISTERED_TTL,
                act: Act::NativelyForward,
                ..EidRecord::of(iid, *question)
            });
        }
        let widest = self.scopes.tree.widest_empty(iid, question, MIN_NEGATIVE_LEN);
        let act = if iid == Iid::DEFAULT { Act::NativelyForward } else { Act::NoAction };
        Answer::of(EidRecord { ttl: self.settings.negative_ttl_min, act, ..EidRecord::of(iid, widest) })
    }

    /// A refusal to answer about this prefix (section 2.9: policy denies the querier).
    pub(super) fn denial(iid: Iid, question: &Prefix) -> EidRecord {
        EidRecord { ttl: UNREGISTERED_TTL, act: Act::DropPolicyDenied, ..EidRecord::of(iid, *question) }
    }

    /// A record of `prefix` with what its holders, or those of a prefix around it, registered, as an ITR can use it,
    /// and what is said of its locators.
    pub(super) fn known(&self, iid: Iid, prefix: &Prefix, first: Slot) -> Known {
        let mut record = EidRecord::of(iid, *prefix);
        let mut ttl = self.settings.answer_ttl_min;
        let mut act = Act::NoAction;
        for (_, holder) in self.table.chain(first) {
            ttl = ttl.min(if holder.terms.ttl == TTL_UNSAID { MINUTES_PER_DAY } else { holder.terms.ttl });
            act = holder.terms.act;
            record.map_version = holder.terms.version;
        }
        let skill = self.is_skill(first);
        let mut locators = self.merged(first, skill);
        // When none is said to be up, the ETR does not tell: it would not have registered otherwise.
        let none_up = !locators.iter().any(|(locator, _)| locator.is_usable());
        locators.retain(|(locator, _)| locator.is_usable() || none_up && locator.priority != UNUSED);
        record.locators = locators.iter().map(|(locator, _)| locator.record()).collect();
        record.ttl = ttl;
        record.act = if record.locators.is_empty() { act } else { Act::NoAction };
        let said = |(locator, slot): &(RegisteredLocator, Slot)| self.contexts.of(*slot, locator.address);
        let attributes =
            if self.contexts.is_empty() { Vec::new() } else { locators.iter().map(said).collect() };
        Known { record, attributes, skill }
    }

    /// What is known of exactly this prefix, as far as context matters. None when nothing is registered.
    pub(super) fn known_exactly(&self, iid: Iid, prefix: &Prefix) -> Option<Known> {
        Some(self.known(iid, prefix, self.table.tree.get(iid, prefix)?))
    }

    /// Whether this is a holder of a skill.
    fn is_skill(&self, slot: Slot) -> bool {
        self.scopes.has_skills()
            && self.table.get(slot).is_some_and(|held| self.scopes.is_skill(held.iid(), &held.prefix()))
    }

    /// All holders' locators with who holds them, each address once, by priority. Of two that are the same the one of
    /// the better priority counts; of a skill that of the holder that came last, because each is an instance.
    fn merged(&self, first: Slot, skill: bool) -> Vec<(RegisteredLocator, Slot)> {
        let mut locators = Vec::new();
        let mut alone = 0;
        for (slot, holder) in self.table.chain(first) {
            let set = self.table.sets.get(holder.set);
            locators.extend(set.iter().map(|locator| (*locator, slot)));
            alone = if slot == first { locators.len() } else { alone };
        }
        if locators.len() > alone {
            if !skill {
                locators.sort_unstable();
            }
            let mut seen = HashSet::with_capacity(locators.len());
            locators.retain(|(locator, _)| seen.insert(locator.address));
            locators.sort_unstable();
            locators.truncate(if skill { MAX_SKILL_LOCATORS } else { MAX_LOCATORS });
        }
        locators
    }

    /// What is registered for exactly this prefix, as its holders registered it. None when nothing is.
    pub(super) fn registered_record(&self, iid: Iid, prefix: &Prefix) -> Option<EidRecord> {
        let first = self.table.tree.get(iid, prefix)?;
        let holder: &Registration = self.table.get(first)?;
        Some(EidRecord {
            ttl: holder.terms.ttl,
            act: holder.terms.act,
            authoritative: holder.has(flag::AUTHORITATIVE),
            map_version: holder.terms.version,
            locators: self.merged(first, false).iter().map(|(locator, _)| locator.record()).collect(),
            ..EidRecord::of(iid, *prefix)
        })
    }

    /// What is registered for a skill: of the many locators first those of this holder, because it looks for them.
    pub(super) fn registered_skill(&self, iid: Iid, prefix: &Prefix, holder: Identity) -> Option<EidRecord> {
        let first = self.table.tree.get(iid, prefix)?;
        let is_own = |slot: Slot| {
            let held = self.table.get(slot).and_then(|held| self.xtrs.get(held.xtr));
            held.is_some_and(|xtr| xtr.identity == holder)
        };
        let mut locators = self.merged(first, true);
        locators.sort_by_key(|(_, slot)| !is_own(*slot));
        locators.truncate(MAX_LOCATORS);
        let locators = locators.iter().map(|(locator, _)| locator.record()).collect();
        Some(EidRecord { locators, ..self.registered_record(iid, prefix)? })
    }

    /// Appends the locators that an EID was reached by before it moved, marked as not to be used.
    pub(super) fn append_previous(&self, record: &mut EidRecord, iid: Iid, eid: &Prefix, now: Instant) {
        for previous in self.moves.previous(iid, eid, now) {
            let address = LispAddress::Ip(previous.address);
            if !record.locators.iter().any(|locator| locator.address == address) {
                let priority = UNUSED;
                record.locators.push(LocatorRecord { priority, local: false, ..previous.record() });
            }
        }
    }

    /// Whether we answer for this registration ourselves.
    pub(super) fn is_proxied(&self, first: Slot) -> bool {
        self.is_skill(first)
            || self.table.chain(first).any(|(_, holder)| {
                let xtr = self.xtrs.get(holder.xtr);
                let site = xtr.and_then(|xtr| self.sites.get(xtr.site as usize));
                holder.has(flag::PROXY)
                    || holder.has(flag::STATIC)
                    || site.is_some_and(|site| site.always_proxy)
                    || xtr.is_some_and(|xtr| xtr.identity == Identity::Config)
            })
    }
}

impl Counters {
    /// The first records that take at most `max` bytes together, but at least one; what is cut is counted.
    pub(super) fn fitting(&mut self, mut records: Vec<EidRecord>, max: usize) -> Vec<EidRecord> {
        let mut len = 0;
        let fit = records.iter().take_while(|record| {
            len += record_len(record);
            len <= max
        });
        let fit = fit.count().max(1);
        if fit < records.len() {
            self.refuse(Refusal::AnswerCut);
            records.truncate(fit);
        }
        records
    }
}
