//! What the agents here said of themselves, for how long it holds, and when the mapping system is told.
//!
//! Damped, so that a noisy agent costs others nothing ([`Bounds`]):
//! - a change of anything but load and queue is told, a load only when it differs by the threshold from what was told;
//! - of one EID at most one telling per interval, unless something fails: that is told at once, and since what recovers
//!   waits for its interval again, it is at most two in each;
//! - all together so many records a second.
//!
//! What waits is told with what holds then; what is as it was told before it could be told is not told at all. So the
//! last state is told in the end, whatever came between.

mod counters;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sterna_wire::Iid;

pub use self::counters::{Counter, Counters};
use super::reported::Reported;
use crate::pace::Pace;

/// Reports whose time is over that one call looks at; the rest waits for the next.
const EXPIRIES: usize = 1024;

/// How much may be reported and told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long a report holds that does not say.
    pub ttl: Duration,
    /// By how many thousandths a load must differ to be told.
    pub load_threshold: u16,
    /// The least time between two tellings of one EID.
    pub min_interval: Duration,
    /// Records per second that are told.
    pub register_rate: u32,
    /// Reports per second that are taken.
    pub report_rate: u32,
    /// The most agents that something is said of.
    pub max_agents: usize,
}

/// An agent: its group and EID.
type Eid = (Iid, IpAddr);

/// What the mapping system is to be told of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// Group.
    pub iid: Iid,
    /// The agent.
    pub eid: IpAddr,
    /// All that is said of it now.
    pub reported: Reported,
    /// How long the report holds without being renewed.
    pub ttl: Duration,
}

/// Why a report is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More reports in this second than are taken.
    #[error(
        "there are more reports than this gateway takes in a second (report_rate): try again in a second"
    )]
    Rate,
    /// As many agents as there may be.
    #[error("there are as many agents with a context as this gateway keeps (max_agents)")]
    Full,
    /// Nothing is known that could be renewed.
    #[error("nothing is known of this agent that could be renewed: report it first")]
    Nothing,
}

/// What is kept of an agent.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it was reported last.
    pub said: Reported,
    /// How long it holds without being renewed.
    pub ttl: Duration,
    /// When it was reported or renewed last.
    pub heard: Instant,
    /// What is dynamic in it holds no more.
    pub expired: bool,
    /// What the mapping system was told.
    pub told: Reported,
    /// When it was told that.
    pub told_at: Option<Instant>,
    /// When it is to be told something else.
    pub due: Option<Instant>,
    urgent: bool,
    limited: bool,
}

impl Entry {
    fn new(ttl: Duration, now: Instant) -> Self {
        Self {
            said: Reported::default(),
            ttl,
            heard: now,
            expired: false,
            told: Reported::default(),
            told_at: None,
            due: None,
            urgent: false,
            limited: false,
        }
    }

    /// What holds now.
    pub fn current(&self) -> Reported {
        if self.expired { self.said.without_dynamic() } else { self.said.clone() }
    }

    /// Nothing is said of it, and that is told.
    fn is_over(&self) -> bool {
        self.said.is_empty() && self.told.is_empty() && self.due.is_none()
    }

    /// When time changes it: what is dynamic holds no more; one that is over need not wait any longer.
    fn expires(&self, interval: Duration) -> Option<Instant> {
        if self.is_over() {
            return self.told_at.map(|told| told + interval);
        }
        (!self.expired && self.said != self.said.without_dynamic()).then(|| self.heard + self.ttl)
    }
}

/// Agents by the time at which something is due.
type Queue = BTreeSet<(Instant, Eid)>;

/// What all agents here said.
#[derive(Debug)]
pub struct Store {
    bounds: Bounds,
    entries: BTreeMap<Eid, Entry>,
    /// What failed and is to be told.
    urgent: Queue,
    /// What else is to be told, and when.
    calm: Queue,
    expiries: Queue,
    reports: Pace,
    tellings: Pace,
    counters: Counters,
}

impl Store {
    /// Nothing said yet.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            entries: BTreeMap::new(),
            urgent: Queue::new(),
            calm: Queue::new(),
            expiries: Queue::new(),
            reports: Pace::new(bounds.report_rate),
            tellings: Pace::new(bounds.register_rate),
            counters: Counters::default(),
            bounds,
        }
    }

    /// Other bounds from now on. What is kept stays, also beyond a smaller `max_agents`.
    pub fn configure(&mut self, bounds: Bounds) {
        if bounds.report_rate != self.bounds.report_rate {
            self.reports = Pace::new(bounds.report_rate);
        }
        if bounds.register_rate != self.bounds.register_rate {
            self.tellings = Pace::new(bounds.register_rate);
        }
        let interval = std::mem::replace(&mut self.bounds, bounds).min_interval;
        if interval != self.bounds.min_interval {
            let all = self.entries.iter();
            let expiries =
                all.filter_map(|(key, entry)| Some((entry.expires(self.bounds.min_interval)?, *key)));
            self.expiries = expiries.collect();
        }
    }

    /// Whether one more report may be looked at in this second; counted where not.
    pub fn admit(&mut self, now: Instant) -> Result<(), Refusal> {
        let allowed = self.reports.allow(now);
        self.counters.count(if allowed { Counter::Reports } else { Counter::ReportsRate });
        if allowed { Ok(()) } else { Err(Refusal::Rate) }
    }

    /// What an agent said so far, all of it, expired or not.
    pub fn get(&self, iid: Iid, eid: IpAddr) -> Option<&Entry> {
        self.entries.get(&(iid, eid))
    }

    /// All agents that something is said of.
    pub fn iter(&self) -> impl Iterator<Item = (Iid, IpAddr, &Entry)> {
        let said = self.entries.iter().filter(|(_, entry)| !entry.is_over());
        said.map(|((iid, eid), entry)| (*iid, *eid, entry))
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A report was refused before anything was kept of it.
    pub(crate) fn refused(&mut self, why: Counter) {
        self.counters.count(why);
    }

    /// This is all that is said of an agent from now on, for `ttl` or as long as the bounds say. `Full`.
    pub fn report(
        &mut self,
        (iid, eid): (Iid, IpAddr),
        said: Reported,
        ttl: Option<Duration>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let key = (iid, eid);
        let ttl = ttl.unwrap_or(self.bounds.ttl);
        let mut entry = match self.take(&key) {
            Some(entry) => entry,
            None if self.entries.len() >= self.bounds.max_agents => {
                self.counters.count(Counter::ReportsFull);
                return Err(Refusal::Full);
            }
            None => Entry::new(ttl, now),
        };
        (entry.said, entry.ttl, entry.heard, entry.expired) = (said, ttl, now, false);
        self.assess(key, entry, now);
        Ok(())
    }

    /// What an agent said holds for its time again. `Nothing`.
    pub fn renew(&mut self, iid: Iid, eid: IpAddr, now: Instant) -> Result<(), Refusal> {
        let key = (iid, eid);
        let known = self.entries.get(&key).is_some_and(|entry| !entry.said.is_empty());
        let Some(mut entry) = known.then(|| self.take(&key)).flatten() else {
            self.counters.count(Counter::HeartbeatsUnknown);
            return Err(Refusal::Nothing);
        };
        self.counters.count(Counter::Heartbeats);
        (entry.heard, entry.expired) = (now, false);
        self.assess(key, entry, now);
        Ok(())
    }

    /// The agent is here no more. Nobody is told: its registration goes too.
    pub fn forget(&mut self, iid: Iid, eid: IpAddr) {
        if self.take(&(iid, eid)).is_some() {
            self.counters.count(Counter::Forgotten);
        }
    }

    /// What is to be told now.
    pub fn take_tellings(&mut self, now: Instant) -> Vec<Telling> {
        self.expire(now);
        let mut tellings = Vec::new();
        while let Some(key) = self.ready(now) {
            if !self.tellings.allow(now) {
                self.limited(&key);
                break;
            }
            let Some(mut entry) = self.take(&key) else { break };
            entry.told = entry.current();
            (entry.told_at, entry.due, entry.urgent, entry.limited) = (Some(now), None, false, false);
            self.counters.count(Counter::Told);
            let (iid, eid) = key;
            tellings.push(Telling { iid, eid, reported: entry.told.clone(), ttl: entry.ttl });
            self.put(key, entry);
        }
        tellings
    }

    /// When [`Store::take_tellings`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let first = |queue: &Queue| queue.first().map(|(at, _)| *at);
        let tell = [first(&self.urgent), first(&self.calm)].into_iter().flatten().min();
        let tell = tell.map(|at| self.tellings.next(at));
        [tell, first(&self.expiries)].into_iter().flatten().min()
    }

    fn expire(&mut self, now: Instant) {
        for _ in 0..EXPIRIES {
            let Some((_, key)) = self.expiries.first().copied().filter(|(at, _)| *at <= now) else { return };
            let Some(mut entry) = self.take(&key) else { return };
            if entry.is_over() {
                continue;
            }
            self.counters.count(Counter::Expired);
            entry.expired = true;
            self.assess(key, entry, now);
        }
    }

    /// The first of the queue whose time has come.
    fn ready(&self, now: Instant) -> Option<Eid> {
        let first = self.urgent.first().or(self.calm.first());
        first.filter(|(at, _)| *at <= now).map(|(_, key)| *key)
    }

    fn limited(&mut self, key: &Eid) {
        if let Some(entry) = self.entries.get_mut(key).filter(|entry| !entry.limited) {
            entry.limited = true;
            self.counters.count(Counter::SuppressedRate);
        }
    }

    /// Whether, and when, what holds now is to be told.
    fn assess(&mut self, key: Eid, mut entry: Entry, now: Instant) {
        let (current, waited) = (entry.current(), entry.due.take());
        (entry.urgent, entry.limited) = (false, entry.limited && waited.is_some());
        if !current.differs(&entry.told, self.bounds.load_threshold) {
            if waited.is_some() {
                self.counters.count(Counter::Overtaken);
            } else if current != entry.told {
                self.counters.count(Counter::SuppressedThreshold);
            }
            return self.put(key, entry);
        }
        entry.urgent = current.fails(&entry.told);
        let earliest = entry.told_at.map_or(now, |told| told + self.bounds.min_interval);
        // Whatever waited keeps its place.
        let at =
            if entry.urgent { waited.unwrap_or(now).min(now) } else { waited.unwrap_or(now).max(earliest) };
        match waited {
            Some(_) => self.counters.count(Counter::Overtaken),
            None if at > now => self.counters.count(Counter::SuppressedInterval),
            None => {}
        }
        entry.due = Some(at);
        self.put(key, entry);
    }

    fn queue(&mut self, urgent: bool) -> &mut Queue {
        if urgent { &mut self.urgent } else { &mut self.calm }
    }

    fn take(&mut self, key: &Eid) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        if let Some(due) = entry.due {
            self.queue(entry.urgent).remove(&(due, *key));
        }
        if let Some(at) = entry.expires(self.bounds.min_interval) {
            self.expiries.remove(&(at, *key));
        }
        Some(entry)
    }

    /// Keeps an entry. One that is over stays for its interval, so that to come and go is no way around it.
    fn put(&mut self, key: Eid, entry: Entry) {
        if entry.is_over() && entry.told_at.is_none() {
            return;
        }
        if let Some(due) = entry.due {
            self.queue(entry.urgent).insert((due, key));
        }
        if let Some(at) = entry.expires(self.bounds.min_interval) {
            self.expiries.insert((at, key));
        }
        self.entries.insert(key, entry);
    }
}

#[cfg(test)]
mod test;
