//! Why a locator is chosen or not: the ranking with everything that led to it.

use std::net::IpAddr;

use sterna_wire::lisp::control::acx::Constraint;

use super::need::{Met, is_usable, meets, passes};
use super::rank::{Candidate, NEVER, Ranking, effective, rank};
use super::score::Terms;

/// Why a candidate is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excluded {
    /// Its agent failed or is suspended: nobody may use it.
    State,
    /// It does not meet a hard constraint, the one at this place.
    Constraint(usize),
    /// Nothing is ever sent there.
    Never,
}

/// A candidate and what follows for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The RLOC.
    pub address: IpAddr,
    /// How it stands to each constraint, and whether that lets it pass.
    pub met: Vec<(Met, bool)>,
    /// What its score is made of.
    pub terms: Terms,
    /// 0 to 1000.
    pub score: u16,
    /// What the order follows; lower is better.
    pub effective: u32,
    /// The priority that follows; none for those that are left out.
    pub priority: Option<u8>,
    /// Why it is left out.
    pub excluded: Option<Excluded>,
}

/// Explains each candidate, in their order.
pub fn explain(candidates: &[Candidate<'_>], constraints: &[Constraint], ranking: Ranking) -> Vec<Explained> {
    let ranked = rank(candidates, constraints, ranking);
    let priority = |index| ranked.iter().find(|one| one.index == index).map(|one| one.priority);
    let one = |(index, candidate): (usize, &Candidate<'_>)| {
        let attributes = candidate.attributes;
        let meets = |one: &Constraint| (meets(attributes, &one.need), passes(attributes, one));
        let met: Vec<(Met, bool)> = constraints.iter().map(meets).collect();
        let terms = Terms::of(attributes, constraints, candidate.path);
        let score = terms.score();
        let failed = met.iter().position(|(_, passes)| !passes).map(Excluded::Constraint);
        let never = (candidate.priority == NEVER).then_some(Excluded::Never);
        let unusable = (!is_usable(attributes)).then_some(Excluded::State);
        Explained {
            address: candidate.address,
            met,
            score,
            terms,
            effective: effective(candidate.priority, score, ranking),
            priority: priority(index).filter(|priority| *priority != NEVER),
            excluded: unusable.or(failed).or(never),
        }
    };
    candidates.iter().enumerate().map(one).collect()
}
