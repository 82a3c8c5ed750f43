//! What the management API shows of the ITR.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::Act;
use sterna_wire::lisp::control::acx::Attributes;
use sterna_wire::{Iid, Prefix};

use super::cache::{Entry, Known};
use super::contexts::Rows;
use super::liveness::{Remote, State};
use super::pending::Pending;
use super::question::Question;
use super::sets::LocatorSets;
use super::{EidPrefix, Itr};
use crate::context::PathTerm;
use crate::outbox::{Choice, Locator};

/// Where an EID prefix stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryState {
    /// The mapping system said so within the entry's lifetime.
    Fresh,
    /// It is used on although its time is over and nobody answers, or it was taken over from the dataplane.
    Stale,
    /// Nobody is there.
    Negative,
    /// There is no entry yet; the mapping system was asked.
    Resolving,
}

/// One entry of the map-cache, or a question without an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryView {
    /// Group.
    pub iid: Iid,
    /// EID prefix.
    pub prefix: Prefix,
    /// Where it stands.
    pub state: EntryState,
    /// What to do with packets, where the entry is negative.
    pub act: Option<Act>,
    /// The locators, sorted by address; 255 is a priority that is never sent to.
    pub locators: Vec<Locator>,
    /// A Map-Server confirmed that it keeps us informed.
    pub subscribed: bool,
    /// The mapping system was asked about it and has not answered yet.
    pub asking: bool,
    /// What each context class uses; empty where context plays no part.
    pub classes: BTreeMap<u8, Choice>,
    /// When it was learned, or first asked for.
    pub learned: Instant,
    /// When its time is over; none for a question.
    pub expires: Option<Instant>,
    /// When the dataplane last used it, or last asked for it.
    pub used: Instant,
}

impl EntryView {
    /// Time since it was learned.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.learned)
    }

    /// Time until it expires; zero once it is stale.
    pub fn ttl_left(&self, now: Instant) -> Duration {
        self.expires.map_or(Duration::ZERO, |expires| expires.saturating_duration_since(now))
    }
}

/// One remote RLOC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeView {
    /// Its address.
    pub remote: IpAddr,
    /// Packets may be sent there.
    pub up: bool,
    /// It does not answer; it may still be up because nobody beside it answers either.
    pub silent: bool,
    /// Smoothed round trip in microseconds, once measured.
    pub rtt_us: Option<u32>,
    /// Smoothed share of probes without an answer, 0 to 1000.
    pub loss_permille: u16,
    /// When data or an answer last came from it.
    pub last_heard: Option<Instant>,
    /// When packets were last sent to it.
    pub last_carried: Option<Instant>,
    /// The underlay has a path there.
    pub has_path: bool,
}

/// What the row of a class follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The record's own priorities: context plays no part.
    Record,
    /// An answer of somebody who knows nothing of context.
    Blind,
    /// An answer with all locators.
    All,
    /// An answer filtered for what the class needs.
    Filtered,
    /// An answer that no locator will do.
    Nobody,
    /// Nothing: it would be asked for.
    Nothing,
}

/// A locator that a class may use or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered {
    /// As it was registered.
    pub locator: Locator,
    /// What is known of the agent there.
    pub attributes: Attributes,
    /// What the way there costs; none where it is not measured.
    pub path: Option<PathTerm>,
}

/// What packets of a class to an EID meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// The entry.
    pub entry: EntryView,
    /// What the class's row follows from.
    pub basis: Basis,
    /// The locators that were considered.
    pub considered: Vec<Considered>,
}

impl Itr {
    /// What packets of this class to this EID meet; none without an entry.
    pub fn meeting(&self, iid: Iid, eid: IpAddr, class: u8, now: Instant) -> Option<Meeting> {
        let entry = self.lookup(iid, eid)?;
        let key = (entry.iid, entry.prefix);
        if !self.settings.uses_context(key.0, key.1) {
            let basis = if class == 0 { Basis::Record } else { Basis::Nothing };
            return Some(self.plain(entry, basis));
        }
        let needs = self.classes.get(class)?.needs;
        let Some(known) = self.contexts.get(key) else {
            let basis = if class == 0 { Basis::Record } else { Basis::Nothing };
            return Some(self.plain(entry, basis));
        };
        let Some(answer) = known.answer(needs) else {
            return Some(Meeting { entry, basis: Basis::Nothing, considered: Vec::new() });
        };
        let basis = match answer {
            _ if answer.nobody => Basis::Nobody,
            _ if answer.blind => Basis::Blind,
            _ if known.is_filtered() => Basis::Filtered,
            _ => Basis::All,
        };
        let considered = answer.fits.iter().map(|fit| Considered {
            locator: Locator { address: fit.address, priority: fit.priority, weight: fit.weight },
            attributes: fit.at(now),
            path: self.path(fit.address),
        });
        Some(Meeting { considered: considered.collect(), entry, basis })
    }

    fn plain(&self, entry: EntryView, basis: Basis) -> Meeting {
        let plain = |locator: &Locator| Considered {
            locator: *locator,
            attributes: Attributes::default(),
            path: self.path(locator.address),
        };
        Meeting { considered: entry.locators.iter().map(plain).collect(), entry, basis }
    }

    /// Since when the mapping system is asked for this EID, whatever is needed.
    pub fn asked_since(&self, iid: Iid, eid: IpAddr) -> Option<Instant> {
        let asked = self.pendings.about((iid, Prefix::host(eid)));
        asked.filter_map(|asked| self.pendings.get(asked)).map(|pending| pending.since).min()
    }

    /// The map-cache, and after it what was asked for and has no entry yet.
    pub fn entries(&self) -> impl Iterator<Item = EntryView> + '_ {
        let cached = self.cache.iter().map(|(key, entry)| self.view(key, entry));
        let asked = self.unanswered();
        let asked = asked.map(|(Question { key: (iid, prefix), .. }, pending)| EntryView {
            iid,
            prefix,
            state: EntryState::Resolving,
            act: None,
            locators: Vec::new(),
            subscribed: self.subscriptions.is_confirmed((iid, prefix)),
            asking: true,
            classes: Rows::new(),
            learned: pending.since,
            expires: None,
            used: pending.demanded,
        });
        cached.chain(asked)
    }

    /// Questions about prefixes without an entry, one of each prefix.
    fn unanswered(&self) -> impl Iterator<Item = (Question, &Pending)> + '_ {
        let mut last = None;
        let asked = self.pendings.iter().filter(|(asked, _)| self.cache.get(asked.key).is_none());
        asked.filter(move |(asked, _)| last.replace(asked.key) != Some(asked.key))
    }

    /// The entry that packets to this EID meet.
    pub fn lookup(&self, iid: Iid, eid: IpAddr) -> Option<EntryView> {
        let key = self.cache.covering(iid, eid).next()?;
        self.cache.get(key).map(|entry| self.view(key, entry))
    }

    /// The remote RLOCs of the map-cache that packets may be sent to.
    pub fn locators(&self) -> impl Iterator<Item = ProbeView> + '_ {
        self.prober.iter().map(|(remote, known)| probe_view(remote, known))
    }

    /// What a Map-Server published belongs to a subscription, maybe to that of a shorter prefix.
    fn is_subscribed(&self, key: EidPrefix, entry: &Entry) -> bool {
        self.subscriptions.is_confirmed(key) || (entry.published.is_some() && self.subscriptions.covers(key))
    }

    fn view(&self, (iid, prefix): EidPrefix, entry: &Entry) -> EntryView {
        EntryView {
            iid,
            prefix,
            state: state_of(entry),
            act: match entry.known {
                Known::Negative(act) => Some(act),
                Known::Locators(_) => None,
            },
            locators: locators_of(entry, &self.sets).to_vec(),
            subscribed: self.is_subscribed((iid, prefix), entry),
            asking: self.is_asking((iid, prefix)),
            classes: self.contexts.rows((iid, prefix)),
            learned: entry.learned,
            expires: Some(entry.expires),
            used: entry.used,
        }
    }
}

fn state_of(entry: &Entry) -> EntryState {
    match entry.known {
        Known::Negative(_) => EntryState::Negative,
        Known::Locators(_) if entry.stale => EntryState::Stale,
        Known::Locators(_) => EntryState::Fresh,
    }
}

fn locators_of<'a>(entry: &Entry, sets: &'a LocatorSets) -> &'a [Locator] {
    match entry.known {
        Known::Locators(id) => sets.locators(id),
        Known::Negative(_) => &[],
    }
}

fn probe_view(remote: IpAddr, known: &Remote) -> ProbeView {
    ProbeView {
        remote,
        up: known.state != State::Down,
        silent: known.state == State::Silent,
        rtt_us: known.rtt.map(|rtt| u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX)),
        loss_permille: known.loss.clamp(0.0, 1000.0) as u16,
        last_heard: known.heard,
        last_carried: known.carried,
        has_path: known.has_path,
    }
}
