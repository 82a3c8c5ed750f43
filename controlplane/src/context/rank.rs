//! The priorities of a list of locators: topology and fitness together (design section 9).

use std::net::IpAddr;

use sterna_wire::lisp::control::acx::{Attributes, Constraint};

use super::need::{is_usable, passes};
use super::score::{PathTerm, score};

/// The priority of a locator that nothing is sent to (RFC 9301 section 5.4).
pub(super) const NEVER: u8 = 255;

/// How topology and fitness are weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranking {
    /// What one step of registered priority counts, in points of score.
    pub topology_weight: u32,
    /// Points within which locators share their flows.
    pub spread: u32,
}

impl Ranking {
    /// As the config has it.
    pub fn of(config: &sterna_config::Config) -> Self {
        Self { topology_weight: config.context.topology_weight, spread: config.context.spread }
    }
}

impl Default for Ranking {
    fn default() -> Self {
        Self { topology_weight: 200, spread: 50 }
    }
}

/// A locator that may be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The RLOC.
    pub address: IpAddr,
    /// As it was registered.
    pub priority: u8,
    /// Share among equals.
    pub weight: u8,
    /// What is said of it.
    pub attributes: &'a Attributes,
    /// The way there.
    pub path: Option<PathTerm>,
}

/// A locator that was not excluded, with what follows for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// Its place in the list of candidates.
    pub index: usize,
    /// The RLOC.
    pub address: IpAddr,
    /// The priority that follows: 1 is best; 255 stays 255.
    pub priority: u8,
    /// As it was registered.
    pub weight: u8,
    /// How fit it is.
    pub score: u16,
    /// `topology_weight` x registered priority + (1000 - score): what the order follows.
    pub effective: u32,
}

/// Orders the candidates for a sender with these constraints: best first, those that are never sent to last.
/// Left out are those that nobody may use and those that a hard constraint excludes.
pub fn rank(candidates: &[Candidate<'_>], constraints: &[Constraint], ranking: Ranking) -> Vec<Ranked> {
    let fit = |candidate: &Candidate<'_>| {
        let passes = |constraint| passes(candidate.attributes, constraint);
        is_usable(candidate.attributes) && constraints.iter().all(passes)
    };
    let fit = candidates.iter().enumerate().filter(|(_, candidate)| fit(candidate));
    let mut ranked: Vec<Ranked> = fit
        .map(|(index, candidate)| {
            let score = score(candidate.attributes, constraints, candidate.path);
            let Candidate { address, priority, weight, .. } = *candidate;
            let effective = effective(priority, score, ranking);
            Ranked { index, address, priority, weight, score, effective }
        })
        .collect();
    // IPv4 before IPv6, then by the bytes.
    ranked.sort_by_key(|one| (one.priority == NEVER, one.effective, one.address));
    give_priorities(&mut ranked, ranking.spread);
    ranked
}

/// What the order follows: lower is better.
pub(super) fn effective(priority: u8, score: u16, ranking: Ranking) -> u32 {
    let topology = ranking.topology_weight.saturating_mul(priority.into());
    topology.saturating_add(1000 - u32::from(score))
}

/// The same priority to all within the spread of the first of their group.
fn give_priorities(ranked: &mut [Ranked], spread: u32) {
    let (mut priority, mut first) = (0_u8, None);
    for one in ranked.iter_mut().filter(|one| one.priority != NEVER) {
        let joins = first.is_some_and(|first: u32| one.effective - first <= spread);
        if !joins {
            first = Some(one.effective);
            priority = (priority + 1).min(NEVER - 1);
        }
        one.priority = priority;
    }
}

#[cfg(test)]
#[path = "rank/test.rs"]
mod test;
