//! From what is known of an entry's locators to what each class uses (design section 9).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::classes::{Classes, Hashed};
use super::contexts::{Answered, Fit, Knowledge, Rows};
use super::locators::MAX_LOCATORS;
use super::sets::SOURCE_ONLY;
use crate::context::{Candidate, PathTerm, Ranked, Ranking, rank};
use crate::outbox::{Choice, Chosen, Locator};
use sterna_wire::lisp::control::acx::{Attributes, Constraint};

/// What ranking depends on beside the answers.
pub struct Circumstances<'a> {
    pub(super) classes: &'a Classes,
    pub(super) ranking: Ranking,
    pub(super) drain: Duration,
    /// What the way to an RLOC costs; none where it was not measured, and to ourselves.
    pub(super) path: &'a dyn Fn(IpAddr) -> Option<PathTerm>,
    pub(super) now: Instant,
    /// The EID is a skill: another locator is another agent.
    pub(super) skill: bool,
}

impl Circumstances<'_> {
    /// The row of each class; those that must be asked for have none. All rows together name at most 16 locators.
    pub fn rows(&self, known: &Knowledge) -> Rows {
        let row = |hashed: &Hashed| {
            let answer = known.answer(hashed.needs)?;
            Some((hashed.class.id, self.row(answer, hashed)))
        };
        let mut rows: Rows = self.classes.iter().filter_map(row).collect();
        limit(&mut rows);
        rows
    }

    fn row(&self, answer: &Answered, hashed: &Hashed) -> Choice {
        if answer.nobody || (answer.blind && hashed.class.require_context) {
            return Choice::NoMatch;
        }
        let mut ranked = self.ranked(&answer.fits, &hashed.class.constraints);
        ranked.retain(|one| self.is_known_enough(&answer.fits, one, hashed));
        // Those that nothing is sent to tell apart "none is reachable" from "none will do".
        let sendable = ranked.iter().any(|one| one.priority != SOURCE_ONLY);
        let used = ranked.iter().filter(|one| one.priority != SOURCE_ONLY || !sendable);
        let used: Vec<&Ranked> = used.take(MAX_LOCATORS).collect();
        let registered = |one: &&Ranked| answer.fits.get(one.index).map(|fit| fit.priority);
        let preferred = used.iter().copied().filter_map(|one| registered(&one)).min();
        let keep = |one: &Ranked| self.skill || registered(&one) == preferred;
        let mut row: Vec<Chosen> = used.iter().map(|one| self.chosen(&answer.fits, one, keep(one))).collect();
        if row.is_empty() {
            return Choice::NoMatch;
        }
        row.sort_by_key(|chosen| chosen.locator.address);
        Choice::Locators(row)
    }

    /// For a class that requires context, what nobody says anything of is no match, whoever answered.
    fn is_known_enough(&self, fits: &[Fit], one: &Ranked, hashed: &Hashed) -> bool {
        !hashed.class.require_context || fits.get(one.index).is_some_and(|fit| fit.says_anything(self.now))
    }

    /// Those that will do for these constraints, best first.
    pub fn ranked(&self, fits: &[Fit], constraints: &[Constraint]) -> Vec<Ranked> {
        let attributes: Vec<Attributes> = fits.iter().map(|fit| fit.at(self.now)).collect();
        let candidates: Vec<Candidate<'_>> = fits
            .iter()
            .zip(&attributes)
            .map(|(fit, attributes)| Candidate {
                address: fit.address,
                priority: fit.priority,
                weight: fit.weight,
                attributes,
                path: (self.path)(fit.address),
            })
            .collect();
        rank(&candidates, constraints, self.ranking)
    }

    /// Fitness binds new flows, a registered priority all of them (RFC 9301 section 5.4), unless another locator is
    /// another agent: `keep` tells whether open flows may stay as far as that goes.
    fn chosen(&self, fits: &[Fit], one: &Ranked, keep: bool) -> Chosen {
        let Ranked { address, priority, weight, .. } = *one;
        let drained = fits.get(one.index).is_some_and(|fit| self.is_drained(fit));
        let keep = keep && priority != SOURCE_ONLY && !drained;
        Chosen { locator: Locator { address, priority, weight }, keep }
    }

    /// Whether it had its time to drain.
    pub fn is_drained(&self, fit: &Fit) -> bool {
        fit.drains.is_some_and(|since| self.now >= since + self.drain)
    }
}

/// At most 16 locators in all rows together: of each row the best ones, in turns.
fn limit(rows: &mut Rows) {
    let by_rank: Vec<Vec<Locator>> = rows.values().map(best_first).collect();
    let mut kept: BTreeSet<IpAddr> = BTreeSet::new();
    let longest = by_rank.iter().map(Vec::len).max().unwrap_or(0);
    for place in 0..longest {
        for locator in by_rank.iter().filter_map(|row| row.get(place)) {
            if kept.len() < MAX_LOCATORS {
                kept.insert(locator.address);
            }
        }
    }
    for row in rows.values_mut() {
        if let Choice::Locators(locators) = row {
            locators.retain(|chosen| kept.contains(&chosen.locator.address));
        }
    }
}

fn best_first(row: &Choice) -> Vec<Locator> {
    let Choice::Locators(chosen) = row else { return Vec::new() };
    let mut locators: Vec<Locator> = chosen.iter().map(|chosen| chosen.locator).collect();
    locators.sort_by_key(|locator| (locator.priority, locator.address));
    locators
}

/// All locators that a row uses or that packets may come from, sorted by address; at most 16. The priority is that of
/// class 0, or the best of any class where it does not use one. Our own RLOCs are left out.
pub fn mapping(known: &Knowledge, rows: &Rows, own: &[IpAddr]) -> Vec<Locator> {
    let mut found: BTreeMap<IpAddr, Locator> = BTreeMap::new();
    for (class, row) in rows {
        let Choice::Locators(row) = row else { continue };
        for Chosen { locator, .. } in row.iter().filter(|chosen| !own.contains(&chosen.locator.address)) {
            let known = found.entry(locator.address).or_insert(*locator);
            if *class != 0 && !uses(rows.get(&0), locator.address) {
                known.priority = known.priority.min(locator.priority);
            }
        }
    }
    for fit in known.fits().filter(|fit| !own.contains(&fit.address)) {
        let source = Locator { address: fit.address, priority: SOURCE_ONLY, weight: fit.weight };
        if found.len() < MAX_LOCATORS {
            found.entry(fit.address).or_insert(source);
        }
    }
    found.into_values().collect()
}

fn uses(row: Option<&Choice>, address: IpAddr) -> bool {
    matches!(row, Some(Choice::Locators(row)) if row.iter().any(|chosen| chosen.locator.address == address))
}
