//! What each context class of packets uses, as a record carries it.

use crate::layout::{Field, Invalid, Reader, Writer, layout_choice};
use crate::shape;

/// Classes there are: 0 for the packets of no class, and 1 to 15.
pub const CLASSES: usize = 16;

/// What one class uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ClassRow {
    /// Not known yet: its packets wait, and the control plane is asked.
    #[default]
    Unknown,
    /// A locator of this set, whose locators all meet what the class needs.
    Set {
        /// Session id of the set.
        set: u32,
    },
    /// No locator will do: drop.
    NoMatch,
}

/// A row for each class.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClassRows(pub [ClassRow; CLASSES]);

layout_choice!(ClassRow {
    0 => Unknown {},
    1 => Set { set: u32 },
    2 => NoMatch {},
});

impl Field for ClassRows {
    const SIZE: usize = CLASSES * ClassRow::SIZE;
    const SHAPE: u64 = {
        let hash = shape::field(shape::START, "ClassRows", ClassRow::SHAPE);
        shape::number(hash, CLASSES as u64)
    };

    fn put(&self, out: &mut Writer) {
        for row in &self.0 {
            row.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Invalid> {
        let mut rows = ClassRows::default();
        for row in &mut rows.0 {
            *row = ClassRow::take(from)?;
        }
        Ok(rows)
    }
}
