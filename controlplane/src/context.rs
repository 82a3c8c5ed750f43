//! Context decides the locator: what is said of agents against what senders need (design section 9).
//!
//! Whoever answers or chooses computes the same: the Map-Server that orders an answer, the ETR that answers itself, the
//! ITR that makes the rows of its classes. All in integers, and without a clock.
//!
//! - `need`: whether a locator meets a constraint;
//! - `score`: how fit it is;
//! - `rank`: the priorities that follow for a whole list;
//! - `explain`: the same with its reasons, for people;
//! - `answer`: the records and the block that tell them to somebody who asked a `question`.
//!
//! What agents report of themselves comes to their gateway first:
//!
//! - `body`: a report as it is written, judged;
//! - `reported`: what is said of an agent and its locators, and how reports change it;
//! - `store`: what every agent here said, for how long it holds, and what of it the mapping system is told when.

mod answer;
pub mod body;
mod explain;
mod need;
mod question;
mod rank;
mod reported;
mod score;
mod store;

pub use answer::{
    Answered, Known, MAX_FILTERED, MAX_MESSAGE, MAX_UNFILTERED, Manner, answer, answer_within, record_len,
};
pub use explain::{Excluded, Explained, explain};
pub use need::{Met, is_usable, meets, passes};
pub use question::Question;
pub use rank::{Candidate, Ranked, Ranking, rank};
pub use reported::Reported;
pub use score::{PathTerm, Terms, score};
pub use store::{
    Bounds, Counter as StoreCounter, Entry as StoreEntry, Refusal as StoreRefusal, Store, Telling,
};

use sterna_wire::lisp::control::acx::Constraint;

/// A context class as the roles know it: what its packets need.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Class {
    /// 1 to 15; 0 is the packets of no class.
    pub id: u8,
    /// Hard and soft constraints.
    pub constraints: Vec<Constraint>,
    /// An answer without context is no match.
    pub require_context: bool,
}

impl From<&sterna_config::Class> for Class {
    fn from(class: &sterna_config::Class) -> Self {
        let sterna_config::Class { id, constraints, require_context, .. } = class;
        Self { id: *id, constraints: constraints.clone(), require_context: *require_context }
    }
}

impl Class {
    /// The highest number of a class.
    pub const MAX: u8 = 15;

    /// Whether it excludes any locator at all.
    pub fn is_hard(&self) -> bool {
        self.constraints.iter().any(|constraint| constraint.hard)
    }
}

#[cfg(test)]
mod test;
