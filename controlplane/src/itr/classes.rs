//! The context classes as the ITR needs them: each with the hash of its constraints, by which answers name them.

use sterna_wire::lisp::control::acx::{self, Constraint};

use super::question::Hash;
use crate::context::Class;

/// A class and its hash; classes that need the same have the same hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// The class.
    pub class: Class,
    /// C-HASH; none for a class without constraints.
    pub needs: Option<Hash>,
}

/// Class 0 and the configured ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classes(Vec<Hashed>);

impl Classes {
    /// Class 0 and these. One with a number that is none, or that is taken, is left out.
    pub fn new(configured: &[Class]) -> Self {
        let nobodys = Class { id: 0, constraints: Vec::new(), require_context: false };
        let mut classes: Vec<Hashed> = Vec::with_capacity(configured.len() + 1);
        for class in std::iter::once(&nobodys).chain(configured) {
            if class.id <= Class::MAX && !classes.iter().any(|known| known.class.id == class.id) {
                let needs = acx::hash_of(&class.constraints, None);
                classes.push(Hashed { class: class.clone(), needs });
            }
        }
        Self(classes)
    }

    /// All of them, at most 16.
    pub fn iter(&self) -> impl Iterator<Item = &Hashed> {
        self.0.iter()
    }

    /// The class with this number.
    pub fn get(&self, id: u8) -> Option<&Hashed> {
        self.0.iter().find(|known| known.class.id == id)
    }

    /// The constraints that have this hash; none if no class here has them.
    pub fn constraints(&self, needs: Option<Hash>) -> Option<&[Constraint]> {
        let of = self.0.iter().find(|known| known.needs == needs);
        of.map(|known| known.class.constraints.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use sterna_wire::lisp::control::acx::Need;

    use super::*;

    #[test]
    fn classes_are_found_by_number_and_by_what_they_need() {
        let class = |id, load: Option<u16>| Class {
            id,
            constraints: load.map(|load| Constraint::hard(Need::Load(load))).into_iter().collect(),
            require_context: false,
        };
        let classes = Classes::new(&[
            class(1, Some(7)),
            class(2, Some(7)),
            class(3, None),
            class(1, None),
            class(16, None),
        ]);
        assert_eq!(classes.iter().map(|known| known.class.id).collect::<Vec<_>>(), [0, 1, 2, 3]);
        let needs = classes.get(1).unwrap().needs;
        assert!(
            needs.is_some()
                && classes.get(2).unwrap().needs == needs
                && classes.get(3).unwrap().needs.is_none()
        );
        assert_eq!(classes.constraints(needs).map(<[_]>::len), Some(1));
        assert_eq!((classes.constraints(None), classes.constraints(Some([9; 8]))), (Some(&[][..]), None));
        assert!(classes.get(16).is_none());
    }
}
