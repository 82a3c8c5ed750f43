//! What is said of registered EIDs: attributes of a whole EID and of single locators of it, by whoever registered it.
//!
//! It stands beside a registration and goes with it; it never makes, keeps or changes one. Dynamic attributes
//! (latency, state, load) are unknown again when their time is over (CTX-TTL), by the server's own ticks.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use sterna_wire::lisp::control::acx::{AgentState, Attributes, Hardware, Latency, Load, Security};

use super::registrations::{NEVER, Slot, Tick};
use super::{Refusal, RegisteredLocator};

/// For how many seconds dynamic attributes hold that come without CTX-TTL.
pub(super) const DEFAULT_TTL_S: u32 = 90;
/// The longest that they hold: a day.
const MAX_TTL_S: u32 = 86_400;
const TICKS_PER_SECOND: Tick = 10;
/// Expiries looked at in one go.
const MAX_DUE: usize = 4096;

/// Attributes and how long the dynamic ones of them hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) attributes: Attributes,
    pub(super) ttl_s: u32,
    /// `NEVER` where none is dynamic.
    until: Tick,
}

/// What is said of one registration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Context {
    /// Context-Seq of the last message.
    pub(super) seq: u32,
    /// When that came.
    pub(super) heard: Tick,
    pub(super) whole: Said,
    /// Sorted by address, each once, all registered.
    pub(super) locators: Vec<(IpAddr, Said)>,
    /// As it stands in `due`.
    due: Option<Tick>,
}

/// What one message says of one registration.
#[derive(Clone, Debug, Default)]
pub(super) struct Update {
    /// What is not said is unknown; else it stays.
    pub(super) complete: bool,
    /// Of the whole EID, with CTX-TTL.
    pub(super) whole: Option<(Attributes, Option<u32>)>,
    /// Of single locators, each once.
    pub(super) locators: Vec<(IpAddr, Attributes, Option<u32>)>,
}

/// How many contexts there may be, and of how many bytes together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) count: usize,
    pub(super) bytes: usize,
}

/// All that is said.
#[derive(Debug, Default)]
pub(super) struct Contexts {
    by_slot: HashMap<Slot, Context>,
    due: BTreeSet<(Tick, Slot)>,
    bytes: usize,
}

impl Default for Said {
    fn default() -> Self {
        Said { attributes: Attributes::default(), ttl_s: DEFAULT_TTL_S, until: NEVER }
    }
}

impl Said {
    /// What holds from now on for as long as it says.
    pub(super) fn new(attributes: Attributes, ttl_s: u32, now: Tick) -> Said {
        let mut said = Said { attributes, ttl_s: ttl_s.clamp(1, MAX_TTL_S), until: NEVER };
        said.renew(now);
        said
    }

    fn renew(&mut self, now: Tick) {
        let dynamic = self.attributes != self.attributes.without_dynamic();
        self.until = if dynamic { now.saturating_add(self.ttl_s * TICKS_PER_SECOND) } else { NEVER };
    }

    fn update(&mut self, said: &Attributes, ttl_s: Option<u32>, now: Tick) {
        let renewed = ttl_s.is_some() || *said != said.without_dynamic();
        self.attributes = known(self.attributes.overlaid(said));
        self.ttl_s = ttl_s.map_or(self.ttl_s, |ttl_s| ttl_s.clamp(1, MAX_TTL_S));
        if renewed {
            self.renew(now);
        }
    }

    fn expire(&mut self, now: Tick) {
        if self.until <= now {
            self.attributes = self.attributes.without_dynamic();
            self.until = NEVER;
        }
    }

    fn bytes(&self) -> usize {
        let tags = self.attributes.hardware.iter().flat_map(Hardware::tags);
        tags.map(|tag| size_of_val(tag) + tag.as_str().len()).sum()
    }
}

/// A value that says "unknown" says nothing.
fn known(said: Attributes) -> Attributes {
    Attributes {
        latency: said.latency.filter(|latency| *latency != Latency::default()),
        hardware: said.hardware.filter(|hardware| *hardware != Hardware::default()),
        state: said.state.filter(|state| *state != AgentState::Unknown),
        load: said.load.filter(|load| *load != Load::default()),
        security: said.security.filter(|security| *security != Security::default()),
    }
}

impl Context {
    /// What is said of a locator, that of the whole EID included.
    pub(super) fn of(&self, locator: IpAddr) -> Attributes {
        match self.locators.binary_search_by_key(&locator, |(address, _)| *address) {
            Ok(at) => self.whole.attributes.overlaid(&self.locators[at].1.attributes),
            Err(_) => self.whole.attributes.clone(),
        }
    }

    /// What the store had.
    pub(super) fn restored(seq: u32, heard: Tick, whole: Said, locators: Vec<(IpAddr, Said)>) -> Context {
        Context { seq, heard, whole, locators, due: None }
    }

    fn update(&mut self, update: &Update, now: Tick) {
        if update.complete {
            (self.whole, self.locators) = (Said::default(), Vec::new());
        }
        if let Some((said, ttl_s)) = &update.whole {
            self.whole.update(said, *ttl_s, now);
        }
        for (address, said, ttl_s) in &update.locators {
            let at = self.locators.binary_search_by_key(address, |(address, _)| *address);
            let at = at.unwrap_or_else(|at| {
                self.locators.insert(at, (*address, Said::default()));
                at
            });
            self.locators[at].1.update(said, *ttl_s, now);
        }
    }

    fn said(&mut self) -> impl Iterator<Item = &mut Said> {
        std::iter::once(&mut self.whole).chain(self.locators.iter_mut().map(|(_, said)| said))
    }

    /// When the first of it is over.
    fn until(&self) -> Option<Tick> {
        let all = self.locators.iter().map(|(_, said)| said.until).chain([self.whole.until]);
        all.min().filter(|until| *until != NEVER)
    }

    fn bytes(&self) -> usize {
        let locators = self.locators.iter().map(|(_, said)| size_of::<(IpAddr, Said)>() + said.bytes());
        size_of::<Context>() + self.whole.bytes() + locators.sum::<usize>()
    }
}

impl Contexts {
    /// Whether nothing is said of anybody.
    pub(super) fn is_empty(&self) -> bool {
        self.by_slot.is_empty()
    }

    /// How many registrations something was said of.
    pub(super) fn len(&self) -> usize {
        self.by_slot.len()
    }

    /// Bytes that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Context> {
        self.by_slot.get(&slot)
    }

    /// What is said of a registration's locator.
    pub(super) fn of(&self, slot: Slot, locator: IpAddr) -> Attributes {
        self.by_slot.get(&slot).map(|context| context.of(locator)).unwrap_or_default()
    }

    /// Takes what a message says. Errors: there would be too many contexts, or too many bytes of them.
    pub(super) fn update(
        &mut self,
        slot: Slot,
        (update, seq): (&Update, u32),
        bounds: Bounds,
        now: Tick,
    ) -> Result<(), Refusal> {
        let mut context = self.by_slot.get(&slot).cloned().unwrap_or_default();
        context.update(update, now);
        (context.seq, context.heard) = (seq, now);
        self.put(slot, context, bounds)
    }

    /// Puts what is said in the place of what was.
    pub(super) fn put(&mut self, slot: Slot, mut context: Context, bounds: Bounds) -> Result<(), Refusal> {
        let before = self.by_slot.get(&slot);
        let bytes = self.bytes - before.map_or(0, Context::bytes) + context.bytes();
        let grows = bytes > self.bytes;
        if before.is_none() && self.by_slot.len() >= bounds.count || grows && bytes > bounds.bytes {
            return Err(Refusal::ContextsFull);
        }
        self.bytes = bytes;
        // A deadline that only moves back is looked at when the old one comes.
        let (hung, until) = (before.and_then(|before| before.due), context.until());
        context.due =
            if hung.is_some_and(|hung| until.is_some_and(|until| hung <= until)) { hung } else { until };
        if context.due != hung {
            hung.map(|hung| self.due.remove(&(hung, slot)));
            context.due.map(|due| self.due.insert((due, slot)));
        }
        self.by_slot.insert(slot, context);
        Ok(())
    }

    /// Forgets what was said of a registration; whether there was anything.
    pub(super) fn remove(&mut self, slot: Slot) -> bool {
        let Some(context) = self.by_slot.remove(&slot) else { return false };
        self.bytes -= context.bytes();
        context.due.map(|due| self.due.remove(&(due, slot)));
        true
    }

    /// Forgets locators that are no longer registered; whether there were any.
    pub(super) fn keep(&mut self, slot: Slot, registered: &[RegisteredLocator]) -> bool {
        let Some(context) = self.by_slot.get_mut(&slot) else { return false };
        let (bytes, count) = (context.bytes(), context.locators.len());
        context.locators.retain(|(address, _)| registered.iter().any(|locator| locator.address == *address));
        self.bytes = self.bytes - bytes + context.bytes();
        context.locators.len() < count
    }

    /// Registrations of which something is over by now, some thousands at most.
    pub(super) fn due(&mut self, now: Tick) -> Vec<Slot> {
        let mut over = Vec::new();
        while over.len() < MAX_DUE
            && let Some((due, slot)) = self.due.first().copied().filter(|(due, _)| *due <= now)
        {
            self.due.remove(&(due, slot));
            let Some(context) = self.by_slot.get_mut(&slot) else { continue };
            context.due = context.until();
            match context.due {
                Some(until) if until <= now => over.push(slot),
                Some(until) => drop(self.due.insert((until, slot))),
                None => {}
            }
        }
        over
    }

    /// What is over by now is unknown.
    pub(super) fn expire(&mut self, slot: Slot, now: Tick) {
        let Some(context) = self.by_slot.get_mut(&slot) else { return };
        context.said().for_each(|said| said.expire(now));
        context.due = context.until();
        context.due.map(|due| self.due.insert((due, slot)));
    }

    /// When something is over next.
    pub(super) fn next_due(&self) -> Option<Tick> {
        self.due.first().map(|(due, _)| *due)
    }
}

/// Whether `a` is older than `b`, as sequences that wrap (RFC 1982 section 3.2). Two that are half the way apart are
/// neither older nor newer; the one that came is then taken for newer.
pub(super) fn is_older(a: u32, b: u32) -> bool {
    a != b && b.wrapping_sub(a) < 1 << 31
}

#[cfg(test)]
#[path = "contexts/test.rs"]
mod test;
