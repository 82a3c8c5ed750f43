//! Which frames a relay did not pass on as they came, so that each packet that is missing at its end can be looked up.

use crate::witness::sight::{Sight, look_at_frame};

/// What became of a frame that did not go on whole and alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Lost as the seed decided.
    Lost,
    /// The direction was plugged into nothing.
    Cut,
    /// The link was down for a while.
    Flapped,
    /// The link was too slow and its queue full.
    Choked,
    /// Too many waited.
    Overflow,
    /// The kernel of the port refused it.
    Refused,
    /// It went on with a bit turned over.
    Corrupted,
    /// It went on twice.
    Doubled,
}

impl Cause {
    /// May the packet be missing because of this?
    pub fn explains_loss(self) -> bool {
        self != Self::Doubled
    }
}

/// A frame's fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// What became of it.
    pub cause: Cause,
    /// What it was when it came in.
    pub what: Sight,
}

/// Fates that are kept at most.
const MOST: usize = 1 << 18;

/// The fates since a scenario began to ask for them.
#[derive(Clone, Debug, Default)]
pub struct Fates {
    kept: Vec<Fate>,
    /// Those beyond the room there is: what they were nobody knows, so they excuse nothing.
    pub forgotten: u64,
    watched: bool,
}

impl Fates {
    /// Forgets all and keeps those that come.
    pub(super) fn watch(&mut self) {
        *self = Self { watched: true, ..Self::default() };
    }

    /// Writes one down, if somebody asked for it.
    pub(super) fn note(&mut self, cause: Cause, frame: &[u8]) {
        if !self.watched {
        } else if self.kept.len() >= MOST {
            self.forgotten += 1;
        } else {
            self.kept.push(Fate { cause, what: look_at_frame(frame) });
        }
    }

    /// All that were kept.
    pub fn kept(&self) -> &[Fate] {
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_asks_gets_them_and_never_too_many() {
        let mut fates = Fates::default();
        fates.note(Cause::Lost, &[0; 60]);
        assert!(fates.kept().is_empty());
        fates.watch();
        (0..MOST + 2).for_each(|_| fates.note(Cause::Flapped, &[0; 14]));
        assert_eq!((fates.kept().len(), fates.forgotten), (MOST, 2));
        assert_eq!(fates.kept()[0], Fate { cause: Cause::Flapped, what: Sight::Clear });
        fates.watch();
        assert!(fates.kept().is_empty() && fates.forgotten == 0);
    }
}
