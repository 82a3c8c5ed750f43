//! Who uses our mappings, and how they are told of a change: the solicitation of a Map-Request
//! (RFC 9301 section 6.1).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::{LispAddress, MapRequest, RequestRecord};
use sterna_wire::{Iid, Prefix};

use super::Etr;
use super::counters::{Counter, Counters};
use super::register::Entry;
use super::reply_to::is_usable;
use crate::outbox::Outbox;
use crate::pace::Pace;

/// Correspondents that are remembered, and gateways that sent data.
const CORRESPONDENTS: usize = 8192;
const HEARD: usize = 1024;
/// How long a gateway counts as using our mappings after its last data.
const HEARD_FOR: Duration = Duration::from_secs(60);
/// How long one is remembered that asked for a mapping.
const ASKED_FOR: Duration = Duration::from_secs(600);
/// The least time between two solicitations of the same gateway for the same EID.
const AGAIN: Duration = Duration::from_secs(1);
/// Solicitations after a change of our own, until the gateway asks.
const TRIES: u8 = 3;
/// Pause when the rate is used up, and between two searches for what can be forgotten.
const PAUSE: Duration = Duration::from_millis(10);
const SWEEP: Duration = Duration::from_secs(1);

/// Our prefix, and the gateway that uses it.
type Pair = (Entry, IpAddr);

/// A gateway that uses a prefix of ours.
#[derive(Debug)]
struct Correspondent {
    /// An EID of its own.
    theirs: Option<IpAddr>,
    heard: Instant,
    solicited: Option<Instant>,
    due: Option<Instant>,
    left: u8,
}

/// The gateways that use our mappings.
#[derive(Debug)]
pub(super) struct Correspondents {
    table: BTreeMap<Pair, Correspondent>,
    queue: BTreeSet<(Instant, Pair)>,
    heard: BTreeMap<IpAddr, Instant>,
    limit: Pace,
    paused: Option<Instant>,
    swept: Option<Instant>,
}

impl Correspondents {
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            table: BTreeMap::new(),
            queue: BTreeSet::new(),
            heard: BTreeMap::new(),
            limit: Pace::new(per_second),
            paused: None,
            swept: None,
        }
    }

    pub(super) fn set_rate(&mut self, per_second: u32) {
        self.limit = Pace::new(per_second);
    }

    /// A gateway asked for a prefix of ours. False when it cannot be remembered.
    pub(super) fn asked(
        &mut self,
        entry: Entry,
        remote: IpAddr,
        theirs: Option<IpAddr>,
        solicited: bool,
        now: Instant,
    ) -> bool {
        let pair = (entry, remote);
        let Some(correspondent) = self.correspondent(pair, now) else { return false };
        correspondent.heard = now;
        correspondent.theirs = theirs.or(correspondent.theirs);
        if solicited {
            correspondent.left = 0;
            if let Some(due) = correspondent.due.take() {
                self.queue.remove(&(due, pair));
            }
        }
        true
    }

    /// A gateway sent data to us.
    pub(super) fn heard(&mut self, remote: IpAddr, now: Instant) {
        if self.heard.len() >= HEARD && !self.heard.contains_key(&remote) {
            self.sweep(now);
            if self.heard.len() >= HEARD {
                return;
            }
        }
        self.heard.insert(remote, now);
    }

    /// Solicits a gateway at once, unless that was done within the last second.
    /// False when it cannot be remembered.
    pub(super) fn solicit(&mut self, entry: Entry, remote: IpAddr, tries: u8, now: Instant) -> bool {
        let pair = (entry, remote);
        let Some(correspondent) = self.correspondent(pair, now) else { return false };
        correspondent.heard = now;
        correspondent.left = correspondent.left.max(tries);
        if correspondent.due.is_none() {
            let due = correspondent.solicited.map_or(now, |last| (last + AGAIN).max(now));
            correspondent.due = Some(due);
            self.queue.insert((due, pair));
        }
        true
    }

    /// Solicits all who asked for one of our prefixes, and those who sent data, for each configured prefix.
    pub(super) fn solicit_all(&mut self, prefixes: &BTreeSet<Entry>, now: Instant) {
        let asked: Vec<_> = self.table.keys().copied().collect();
        let heard = self.heard.iter().filter(|(_, at)| now.duration_since(**at) < HEARD_FOR);
        let heard: Vec<_> = heard.map(|(remote, _)| *remote).collect();
        let each = heard.iter().flat_map(|remote| prefixes.iter().map(|entry| (*entry, *remote)));
        for (entry, remote) in asked.into_iter().chain(each.take(CORRESPONDENTS)) {
            if !self.solicit(entry, remote, TRIES, now) {
                return;
            }
        }
    }

    fn correspondent(&mut self, pair: Pair, now: Instant) -> Option<&mut Correspondent> {
        if self.table.len() >= CORRESPONDENTS && !self.table.contains_key(&pair) {
            self.sweep(now);
            if self.table.len() >= CORRESPONDENTS {
                return None;
            }
        }
        Some(self.table.entry(pair).or_insert(Correspondent {
            theirs: None,
            heard: now,
            solicited: None,
            due: None,
            left: 0,
        }))
    }

    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.duration_since(swept) < SWEEP) {
            return;
        }
        self.swept = Some(now);
        self.heard.retain(|_, at| now.duration_since(*at) < HEARD_FOR);
        self.table.retain(|_, known| known.due.is_some() || now.duration_since(known.heard) < ASKED_FOR);
    }

    /// The next gateway to solicit now, with an EID of its own if one is known.
    fn next(&mut self, now: Instant, counters: &mut Counters) -> Option<(Pair, Option<IpAddr>)> {
        let (due, pair) = *self.queue.first().filter(|(due, _)| *due <= now)?;
        if self.paused.is_some_and(|until| now < until) {
            return None;
        }
        if !self.limit.allow(now) {
            counters.count(Counter::SmrLimited);
            self.paused = Some(now + PAUSE);
            return None;
        }
        self.queue.remove(&(due, pair));
        let known = self.table.get_mut(&pair)?;
        known.solicited = Some(now);
        known.left = known.left.saturating_sub(1);
        known.due = (known.left > 0).then(|| now + AGAIN * (1 << TRIES.saturating_sub(known.left + 1)));
        let (theirs, again) = (known.theirs, known.due);
        self.queue.extend(again.map(|due| (due, pair)));
        // Any EID of that gateway in the same group will do.
        let (((iid, _), remote), all) = (pair, &self.table);
        let theirs = theirs.or_else(|| {
            all.iter()
                .find(|(((group, _), other), known)| {
                    *group == iid && *other == remote && known.theirs.is_some()
                })
                .and_then(|(_, known)| known.theirs)
        });
        Some((pair, theirs))
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let (due, _) = self.queue.first()?;
        Some(self.paused.map_or(*due, |until| until.max(*due)))
    }
}

impl Etr {
    /// A gateway still sends packets here for an agent that went away: it is solicited, at most once a second.
    pub fn correspondent(&mut self, iid: Iid, eid: IpAddr, remote: IpAddr, now: Instant) {
        let Some(away) = self.agents.get(&(iid, eid)).and_then(|agent| agent.away()) else { return };
        // The agent's new gateway sends its packets here for another reason.
        let new_place = away.locators.iter().any(|to| to.address == remote);
        if new_place || !is_usable(remote, &self.settings) {
            return;
        }
        if !self.correspondents.solicit((iid, Prefix::host(eid)), remote, 1, now) {
            self.counters.count(Counter::CorrespondentsFull);
        }
    }

    /// Data came from this gateway.
    pub fn traffic(&mut self, remote: IpAddr, now: Instant) {
        if is_usable(remote, &self.settings) {
            self.correspondents.heard(remote, now);
        }
    }

    pub(super) fn send_solicitations(&mut self, now: Instant, out: &mut Outbox) {
        while let Some((((iid, prefix), remote), theirs)) = self.correspondents.next(now, &mut self.counters)
        {
            // A foreign ITR looks its own EID up before it acts; without one, ours says at least which family.
            let record = RequestRecord::of(iid, theirs.map_or(prefix, Prefix::host));
            let request = MapRequest {
                smr: true,
                nonce: self.random.number(),
                source_eid: LispAddress::for_eid(iid, prefix.addr()),
                itr_rlocs: self.itr_rlocs(),
                records: vec![record],
                ..MapRequest::default()
            };
            out.send(remote, request.emit());
            self.counters.count(Counter::SmrSent);
        }
    }
}

#[cfg(test)]
mod test;
