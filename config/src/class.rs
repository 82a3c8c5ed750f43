//! `[[class]]`: what the packets of a context class need of a locator.

mod fields;
mod needs;

use sterna_wire::lisp::control::acx::{Constraint, Need};

use crate::finding::Located;
use crate::tree::{Listed, Node};

pub(crate) use self::fields::{LIST, SECTION};
pub(crate) use self::needs::Draft as Needs;

/// One `[[class]]`. The class 0 has no entry: it is the packets that no policy gives a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// 1 to 15; unique in the file.
    pub id: u8,
    /// The class's name; unique in the file.
    pub name: String,
    /// What a locator must have (hard), then what it should have (soft); at most [`Class::MAX_CONSTRAINTS`].
    pub constraints: Vec<Constraint>,
    /// Whether an answer without context is no match.
    pub require_context: bool,
}

impl Class {
    /// The highest number of a class.
    pub const MAX: u8 = 15;
    /// The most constraints of a class, which is what a Map-Request carries.
    pub const MAX_CONSTRAINTS: usize = 16;

    /// Whether an answer without context could not be believed to meet it: it needs hardware or security.
    fn needs_context(constraints: &[Constraint]) -> bool {
        let closed = |need: &Need| matches!(need, Need::Hardware(_) | Need::Security { .. });
        constraints.iter().any(|constraint| constraint.hard && closed(&constraint.need))
    }
}

/// A `[[class]]` as far as it could be read.
pub(crate) struct Draft {
    pub id: Option<Located<u8>>,
    pub name: Option<Located<String>>,
    pub require: Needs,
    pub prefer: Listed<Preference>,
    require_context: Option<Located<Option<bool>>>,
}

/// One of `prefer` as far as it could be read.
pub(crate) struct Preference {
    pub needs: Needs,
    pub weight: Option<Located<u8>>,
}

impl Draft {
    pub fn read(node: &Node<'_, '_>) -> Draft {
        Draft {
            id: node.get("id").required(),
            name: node.get("name").required(),
            require: node.table("require", &fields::REQUIRE, Needs::read),
            prefer: node.tables("prefer", &fields::PREFER, Preference::read),
            require_context: node.get("require_context").optional(),
        }
    }

    /// Its constraints as they go into a Map-Request; nothing when one was bad.
    pub fn constraints(&self) -> Option<Vec<Constraint>> {
        let hard = self.require.needs()?.into_iter().map(Constraint::hard);
        let soft = self.prefer.entries.iter().map(|entry| entry.value.constraint());
        let soft: Vec<Constraint> = soft.collect::<Option<_>>()?;
        self.prefer.whole.then(|| hard.chain(soft).collect())
    }

    pub fn finish(self) -> Option<Class> {
        let constraints = self.constraints()?;
        let asked = self.require_context?.value;
        Some(Class {
            id: self.id?.value,
            name: self.name?.value,
            require_context: asked.unwrap_or_else(|| Class::needs_context(&constraints)),
            constraints,
        })
    }
}

impl Preference {
    /// The weight when the file does not say, as on the wire.
    const DEFAULT_WEIGHT: u8 = 4;

    fn read(node: &Node<'_, '_>) -> Preference {
        Preference { needs: Needs::read(node), weight: node.get("weight").or(Self::DEFAULT_WEIGHT) }
    }

    fn constraint(&self) -> Option<Constraint> {
        match <[Need; 1]>::try_from(self.needs.needs()?) {
            Ok([need]) => Some(Constraint::soft(need, self.weight.as_ref()?.value)),
            Err(_) => None,
        }
    }
}
