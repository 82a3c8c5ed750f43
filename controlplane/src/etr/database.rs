//! What is served here: the configured prefixes, the ranges of dynamic agents, and how a request is matched to them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sterna_wire::{Iid, Prefix};

use super::agents::Agents;
use super::counters::Counter;
use super::register::Entry;
use super::settings::EtrSettings;

/// More-specific entries that one answer may list.
const SIBLINGS: usize = 8;

/// The configured prefixes, and where agents may be.
#[derive(Debug)]
pub(super) struct Database {
    prefixes: BTreeSet<Entry>,
}

/// The answer to "which of your prefixes is this?".
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// The longest prefix of ours that covers the question.
    pub entry: Prefix,
    /// What to answer: our prefix with the more-specific ones in it, or only a part of it
    /// when they are too many or belong to others.
    pub answer: Answer,
}

/// What to answer for a prefix of ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// This prefix, and all entries inside it.
    Whole(Vec<Prefix>),
    /// Nothing differs within this part of it.
    Part(Prefix),
    /// Even what was asked for is not all alike.
    Mixed,
}

impl Database {
    pub(super) fn new(settings: &EtrSettings) -> Self {
        let entries = settings.groups.iter();
        Self {
            prefixes: entries
                .flat_map(|group| group.eids.iter().map(|prefix| (group.iid, *prefix)))
                .collect(),
        }
    }

    /// The configured prefixes.
    pub(super) fn prefixes(&self) -> &BTreeSet<Entry> {
        &self.prefixes
    }

    /// The longest configured prefix that covers this one.
    pub(super) fn covering(&self, iid: Iid, prefix: &Prefix) -> Option<Prefix> {
        (0..=prefix.len())
            .rev()
            .filter_map(|len| Prefix::masked(prefix.addr(), len).ok())
            .find(|candidate| self.prefixes.contains(&(iid, *candidate)))
    }

    /// The longest match of a question, and what to answer so that nothing false is cached (RFC 9301 section 5.5).
    pub(super) fn find(&self, agents: &Agents, iid: Iid, asked: &Prefix) -> Option<Match> {
        if asked.is_host() && agents.get(&(iid, asked.addr())).is_some_and(|agent| agent.is_served()) {
            return Some(Match { entry: *asked, answer: Answer::Whole(Vec::new()) });
        }
        if asked.is_host() && agents.get(&(iid, asked.addr())).is_some_and(|agent| agent.away().is_some()) {
            return None;
        }
        let entry = self.covering(iid, asked)?;
        let answer = match self.siblings(agents, iid, &entry) {
            Some(siblings) => Answer::Whole(siblings),
            None => self.part(agents, iid, &entry, asked),
        };
        Some(Match { entry, answer })
    }

    /// The entries inside a prefix; none when they are too many, or one of them is elsewhere.
    fn siblings(&self, agents: &Agents, iid: Iid, prefix: &Prefix) -> Option<Vec<Prefix>> {
        let (first, last) = (prefix.addr(), last_address(prefix));
        let mut found: Vec<_> = self.inside(iid, prefix).take(SIBLINGS + 1).copied().collect();
        for ((_, eid), agent) in agents.between(iid, first, last).take(SIBLINGS + 1) {
            if !agent.is_served() {
                return None;
            }
            found.push(Prefix::host(*eid));
        }
        (found.len() <= SIBLINGS).then_some(found)
    }

    fn inside(&self, iid: Iid, prefix: &Prefix) -> impl Iterator<Item = &Prefix> {
        let all = self.prefixes.range((iid, *prefix)..);
        let prefix = *prefix;
        all.take_while(move |(group, other)| *group == iid && prefix.contains(other.addr()))
            .map(|(_, other)| other)
            .filter(move |other| **other != prefix && prefix.covers(other))
    }

    /// The largest part of `entry` around the question without more-specific entries.
    pub(super) fn part(&self, agents: &Agents, iid: Iid, entry: &Prefix, asked: &Prefix) -> Answer {
        (entry.len() + 1..=asked.len())
            .filter_map(|len| Prefix::masked(asked.addr(), len).ok())
            .find(|part| self.is_plain(agents, iid, part))
            .map_or(Answer::Mixed, Answer::Part)
    }

    fn is_plain(&self, agents: &Agents, iid: Iid, part: &Prefix) -> bool {
        self.inside(iid, part).next().is_none()
            && agents.between(iid, part.addr(), last_address(part)).next().is_none()
    }
}

/// Whether an agent may have this address in the group: `Ok`, or the counter that says why not.
pub(super) fn judge_agent(settings: &EtrSettings, iid: Iid, eid: IpAddr) -> Result<(), Counter> {
    let group = settings.group(iid).ok_or(Counter::AttachUnknownGroup)?;
    if eid.is_multicast() || eid.is_loopback() || eid.is_unspecified() {
        return Err(Counter::AttachNotAHost);
    }
    // A skill's prefix is a list of EIDs, so each of them may be one.
    if settings.skills.iter().any(|(of, skill)| *of == iid && skill.contains(eid)) {
        return if group.gateways.contains(&eid) { Err(Counter::AttachGateway) } else { Ok(()) };
    }
    let Some(range) = group.dynamic.iter().find(|range| range.contains(eid)) else {
        return Err(Counter::AttachOutOfRange);
    };
    if group.gateways.contains(&eid) {
        return Err(Counter::AttachGateway);
    }
    if is_edge(range, eid) { Err(Counter::AttachNotAHost) } else { Ok(()) }
}

/// Whether an address is its range's network or broadcast address (IPv4), or the routers' anycast address (IPv6).
/// Ranges of one or two addresses have neither.
pub(super) fn is_edge(range: &Prefix, eid: IpAddr) -> bool {
    if range.family().bits() - range.len() <= 1 {
        return false;
    }
    eid == range.addr() || (eid.is_ipv4() && eid == last_address(range))
}

/// The last address of a prefix.
pub(super) fn last_address(prefix: &Prefix) -> IpAddr {
    match prefix.addr() {
        IpAddr::V4(first) => {
            let host_bits = u32::MAX.checked_shr(prefix.len().into()).unwrap_or(0);
            Ipv4Addr::from_bits(first.to_bits() | host_bits).into()
        }
        IpAddr::V6(first) => {
            let host_bits = u128::MAX.checked_shr(prefix.len().into()).unwrap_or(0);
            Ipv6Addr::from_bits(first.to_bits() | host_bits).into()
        }
    }
}

#[cfg(test)]
mod test;
