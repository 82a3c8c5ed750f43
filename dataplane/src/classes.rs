//! Context classes: which locator set the packets of each class use.

use crate::apply::{Applier, Fault, give_back, refused};
use crate::rows::Named;
use sterna_shm::{CLASSES, ClassRow, ClassRows, Event, RefusedKind};

/// A class has no set yet: ask.
const UNKNOWN: u32 = 0x00ff_ffff;
/// No locator will do for a class.
const NO_MATCH: u32 = UNKNOWN - 1;

/// What each class of packets for an EID uses, shared by all EIDs that agree. Three bytes for each, which is eight times
/// the rows that a configuration can ask for: so a row with the table's own word is one cache line and not two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassesRow([[u8; 3]; CLASSES]);

const _: () = assert!(size_of::<ClassesRow>() + size_of::<u32>() <= 64, "a cell is one cache line");

/// What a class uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A set row.
    Set(u32),
    /// Nobody said yet.
    Unknown,
    /// No locator.
    NoMatch,
}

impl ClassesRow {
    /// A row with these choices; `sets` by class.
    pub fn new(choices: [Choice; CLASSES]) -> ClassesRow {
        ClassesRow(choices.map(|choice| {
            let number = match choice {
                Choice::Set(set) if set < NO_MATCH => set,
                Choice::Unknown => UNKNOWN,
                // There is no such row: what cannot be named is not used.
                Choice::Set(_) | Choice::NoMatch => NO_MATCH,
            };
            let [low, middle, high, _] = number.to_le_bytes();
            [low, middle, high]
        }))
    }

    /// What a class uses; one that does not exist uses nothing.
    #[inline]
    pub fn choice(&self, class: u8) -> Choice {
        let Some(&[low, middle, high]) = self.0.get(usize::from(class)) else { return Choice::NoMatch };
        match u32::from_le_bytes([low, middle, high, 0]) {
            NO_MATCH => Choice::NoMatch,
            UNKNOWN => Choice::Unknown,
            set => Choice::Set(set),
        }
    }

    /// The choices by class.
    pub fn choices(&self) -> [Choice; CLASSES] {
        std::array::from_fn(|class| self.choice(class as u8))
    }

    /// The set rows that are named.
    pub fn sets(&self) -> impl Iterator<Item = u32> + use<> {
        self.choices().into_iter().filter_map(|choice| match choice {
            Choice::Set(set) => Some(set),
            Choice::Unknown | Choice::NoMatch => None,
        })
    }
}

impl Applier {
    /// Enters or replaces class rows. Rows with a set that found no room are refused as a whole: a class must never
    /// take another way because its own has no room.
    pub(crate) fn put_classes(&mut self, id: u32, rows: &ClassRows) -> Result<Option<Event>, Fault> {
        let full = refused(RefusedKind::ClassesTableFull, u64::from(id));
        let mut choices = [Choice::Unknown; CLASSES];
        for (choice, row) in choices.iter_mut().zip(&rows.0) {
            *choice = match *row {
                ClassRow::Unknown => Choice::Unknown,
                ClassRow::NoMatch => Choice::NoMatch,
                ClassRow::Set { set } => match self.sets.named(set) {
                    Named::Row(row) => Choice::Set(row),
                    Named::Unknown => return Err(Fault::UnknownId(set)),
                    Named::Refused => {
                        self.classes.refuse(id);
                        return Ok(full);
                    }
                },
            };
        }
        if !self.classes.has_row_for(id) {
            self.reclaim();
        }
        let Some(row) = self.classes.confirm(id, self.epoch) else { return Ok(full) };
        let (before, value) = (self.writers.classes.get(row), ClassesRow::new(choices));
        if before != Some(value) && self.writers.classes.set(row, value).is_err() {
            give_back(&mut self.classes, id, before.is_none(), &self.domain);
            return Ok(full);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_comes_out() {
        let mut choices = [Choice::Unknown; CLASSES];
        (choices[0], choices[3], choices[15]) = (Choice::Set(7), Choice::NoMatch, Choice::Set(0));
        let row = ClassesRow::new(choices);
        assert_eq!(row.choices(), choices);
        assert_eq!(row.sets().collect::<Vec<_>>(), [7, 0]);
        assert_eq!(row.choice(16), Choice::NoMatch, "no class");
        choices[1] = Choice::Set(0x0012_3456);
        choices[2] = Choice::Set(NO_MATCH);
        let row = ClassesRow::new(choices);
        assert_eq!(row.choice(1), choices[1]);
        assert_eq!(row.choice(2), Choice::NoMatch, "a number that does not fit names nothing");
    }
}
