//! Blocks of context for Map-Registers, and how large they are.

use std::net::IpAddr;

use sterna_wire::lisp::control::XtrId;
use sterna_wire::lisp::control::acx::{Acx, Attributes, MAX_LEN, MAX_TLVS, Scope, Scoped};

use super::super::register::{Entry, OVERHEAD};
use crate::context::{MAX_MESSAGE, Reported};

/// A block's header, and the sender's identity at its end.
const FRAME: usize = 20 + 28;
/// EIDs that one delta may be about: each takes two values at least.
pub(super) const DELTA_EIDS: usize = MAX_TLVS / 2;

/// How much of a block something takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::etr) struct Size {
    pub bytes: usize,
    pub values: usize,
}

impl Size {
    /// What is said of an entry in a snapshot: scopes, values, lifetimes.
    pub(in crate::etr) fn of(placed: &[Scoped]) -> Size {
        let mut bytes = Vec::new();
        let block = Acx { entries: placed.to_vec(), ..Acx::default() };
        block.emit(&mut bytes);
        // A change of scope may need a value more than when it stands alone.
        Size { bytes: bytes.len() - 20 + 8, values: placed.iter().map(values).sum() }
    }

    pub(in crate::etr) fn and(self, other: Size) -> Size {
        Size { bytes: self.bytes + other.bytes, values: self.values + other.values }
    }

    /// Whether it fits into a block and, where `room` bytes are left for records, into a message.
    pub(in crate::etr) fn fits(self, room: usize) -> bool {
        let message = MAX_MESSAGE - super::super::register::MESSAGE + room;
        self == Size::default() || self.bytes + FRAME <= MAX_LEN.min(message) && self.values < MAX_TLVS
    }
}

fn values(entry: &Scoped) -> usize {
    let Attributes { latency, hardware, state, load, security } = &entry.attributes;
    let said = [latency.is_some(), hardware.is_some(), state.is_some(), load.is_some(), security.is_some()];
    // Two for the scope: the EID and the locator.
    2 + said.iter().filter(|said| **said).count() + usize::from(entry.ttl_s.is_some())
}

/// Where in a message an entry's record is, and its locators in their order.
#[derive(Clone, Copy, Debug)]
pub(in crate::etr) struct Placed<'a> {
    pub record: u8,
    pub locators: &'a [IpAddr],
}

/// What is said of an entry, beside its record.
pub(in crate::etr) fn snapshot(reported: &Reported, ttl_s: u32, at: Placed<'_>) -> Vec<Scoped> {
    let mut entries = Vec::new();
    let mut add = |scope: Scope, said: &Attributes| {
        if !said.is_empty() {
            entries.push(Scoped { ttl_s: lives(said, ttl_s), ..Scoped::new(scope, said.clone()) });
        }
    };
    add(Scope::Record(at.record), &reported.own);
    for (rloc, said) in &reported.locators {
        let index = at.locators.iter().position(|known| known == rloc);
        if let Some(locator) = index.and_then(|index| u8::try_from(index).ok()) {
            add(Scope::Locator { record: at.record, locator }, said);
        }
    }
    entries
}

/// Only what is dynamic has an end.
fn lives(said: &Attributes, ttl_s: u32) -> Option<u32> {
    (*said != said.without_dynamic()).then_some(ttl_s)
}

/// What changed, with the values of now; what is said no more is unknown.
pub(in crate::etr) fn delta_between(before: &Reported, now: &Reported) -> Reported {
    let nothing = Attributes::default();
    let named = before.locators.keys().chain(now.locators.keys());
    let of = |said: &Reported, rloc: &IpAddr| said.locators.get(rloc).unwrap_or(&nothing).clone();
    let locators = named.map(|rloc| (*rloc, of(now, rloc).since(&of(before, rloc))));
    Reported {
        own: now.own.since(&before.own),
        locators: locators.filter(|(_, said)| !said.is_empty()).collect(),
    }
}

/// What changed later goes before what changed sooner.
pub(super) fn overlay(pending: &mut Reported, change: &Reported) {
    pending.own = pending.own.overlaid(&change.own);
    for (rloc, said) in &change.locators {
        let known = pending.locators.entry(*rloc).or_default();
        *known = known.overlaid(said);
    }
}

/// A block of changes.
#[derive(Debug, Default)]
pub(in crate::etr) struct Delta {
    entries: Vec<Scoped>,
    size: Size,
    /// The EIDs in it.
    pub eids: Vec<Entry>,
}

impl Delta {
    /// Adds what changed of an EID; false when there is no room for it.
    pub(super) fn add(&mut self, entry: Entry, pending: &Reported, ttl_s: u32) -> bool {
        let (iid, prefix) = entry;
        let own = (!pending.own.is_empty()).then_some((Scope::Eid(iid, prefix), &pending.own));
        let locators = pending.locators.iter();
        let locators = locators.map(|(rloc, said)| (Scope::EidLocator(iid, prefix, *rloc), said));
        let scoped = own
            .into_iter()
            .chain(locators)
            .map(|(scope, said)| Scoped { ttl_s: lives(said, ttl_s), ..Scoped::new(scope, said.clone()) });
        let scoped: Vec<Scoped> = scoped.collect();
        let size = self.size.and(Size::of(&scoped));
        let fits = size.fits(MAX_MESSAGE - OVERHEAD);
        if !fits && !self.eids.is_empty() {
            return false;
        }
        self.entries.extend(scoped);
        self.size = size;
        self.eids.push(entry);
        true
    }

    /// The block, with the sender's identity at its end.
    pub(in crate::etr) fn block(self, seq: u32, echo: XtrId) -> Acx {
        Acx { aware: true, seq, entries: self.entries, echo: Some(echo), ..Acx::default() }
    }
}
