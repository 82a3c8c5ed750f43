//! The locators of a mapping, as a record carries them.

use crate::layout::{Field, Invalid, Reader, Writer, layout_struct};
use crate::shape;

/// Locators a set may have.
pub const MAX_LOCATORS: usize = 16;

/// The priority of a locator that nothing is sent to (RFC 9301 section 5.4); still a valid outer source.
pub const PRIORITY_NEVER: u8 = 255;

/// In the place of an adjacency: not a site of the underlay but the agent that is attached here
/// ([`EidAction::Skill`](crate::EidAction::Skill)).
pub const LOCAL: u32 = u32::MAX;

/// One locator of a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Locator {
    /// Session id of the adjacency, or [`LOCAL`].
    pub adjacency: u32,
    /// Lower is better; 255 is never sent to.
    pub priority: u8,
    /// Share among equals, 0 to 255.
    pub weight: u8,
    /// Reachable now, as far as the control plane knows.
    pub usable: bool,
    /// Flows that use it stay with it although others are better now.
    pub keep: bool,
}

/// The locators of a mapping, at most [`MAX_LOCATORS`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocatorSet {
    count: u8,
    /// Those behind `count` are default, so that equal sets compare equal.
    locators: [Locator; MAX_LOCATORS],
}

impl LocatorSet {
    /// A set of these locators; `None` when there are too many.
    pub fn new(locators: &[Locator]) -> Option<LocatorSet> {
        let mut all = [Locator::default(); MAX_LOCATORS];
        all.get_mut(..locators.len())?.copy_from_slice(locators);
        Some(LocatorSet { count: locators.len() as u8, locators: all })
    }

    /// The locators.
    #[inline]
    pub fn as_slice(&self) -> &[Locator] {
        &self.locators[..usize::from(self.count)]
    }
}

layout_struct!(Locator { adjacency: u32, priority: u8, weight: u8, usable: bool, keep: bool });

impl Field for LocatorSet {
    const SIZE: usize = 1 + MAX_LOCATORS * Locator::SIZE;
    const SHAPE: u64 = {
        let hash = shape::field(shape::START, "LocatorSet", Locator::SHAPE);
        shape::number(hash, MAX_LOCATORS as u64)
    };

    fn put(&self, out: &mut Writer) {
        let end = out.at() + Self::SIZE;
        self.count.put(out);
        for locator in self.as_slice() {
            locator.put(out);
        }
        out.zeros_to(end);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Invalid> {
        let end = from.at() + Self::SIZE;
        let count = u8::take(from)?;
        let mut locators = [Locator::default(); MAX_LOCATORS];
        let used = locators.get_mut(..usize::from(count));
        for locator in used.ok_or(Invalid("a locator set has too many locators"))? {
            *locator = Locator::take(from)?;
        }
        from.zeros_to(end)?;
        Ok(LocatorSet { count, locators })
    }
}
