//! What somebody who asks in ACX wants to know, apart from the EID.

use sterna_wire::lisp::control::acx::{Acx, Constraint, hash_of};

/// What an ACX block of a Map-Request asks for. Two that are equal are the same question.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Question {
    /// What locators must or should have.
    pub constraints: Vec<Constraint>,
    /// The most locators wanted (C-LIMIT).
    pub limit: Option<u8>,
    /// Attributes are wanted (C-RETURN 1).
    pub attributes: bool,
}

impl Question {
    /// The question of a request's block.
    pub fn of(block: &Acx) -> Question {
        Question {
            constraints: block.constraints.clone(),
            limit: block.limit,
            attributes: block.return_attributes,
        }
    }

    /// As a block of a Map-Request, which [`of`](Self::of) reads again.
    pub fn block(&self) -> Acx {
        Acx {
            aware: true,
            constraints: self.constraints.clone(),
            limit: self.limit,
            return_attributes: self.attributes,
            ..Acx::default()
        }
    }

    /// C-HASH; none without constraints and limit.
    pub fn hash(&self) -> Option<[u8; 8]> {
        hash_of(&self.constraints, self.limit)
    }
}
