//! The books of a direction: what became of every frame that came in.

use std::iter::Sum;
use std::ops::AddAssign;

use super::fate::Cause;

/// Frames. At rest `received` and `doubled` are the sum of what was sent and of all that was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Came in.
    pub received: u64,
    /// Second copies made of some of them.
    pub doubled: u64,
    /// Sent on.
    pub sent: u64,
    /// Lost by intent, as the seed decided.
    pub lost: u64,
    /// Lost because the direction was plugged into nothing.
    pub cut: u64,
    /// Lost because the link was down for a while.
    pub flapped: u64,
    /// Lost because the link was too slow and its queue full.
    pub choked: u64,
    /// Lost because too many waited.
    pub overflow: u64,
    /// Refused by the kernel of the port they should leave by.
    pub refused: u64,
    /// Wait now.
    pub waiting: u64,
    /// Of those that went on: with a bit turned over.
    pub corrupted: u64,
    /// Of those sent: after one that had come later.
    pub reordered: u64,
}

impl Counts {
    /// Frames that came in and are nowhere: must be 0.
    pub fn error(&self) -> u64 {
        (self.received + self.doubled).abs_diff(self.sent + self.not_relayed() + self.waiting)
    }

    /// Frames that will never arrive.
    pub fn not_relayed(&self) -> u64 {
        self.lost + self.cut + self.flapped + self.choked + self.overflow + self.refused
    }

    /// Books one frame.
    pub(super) fn book(&mut self, cause: Cause) {
        *match cause {
            Cause::Lost => &mut self.lost,
            Cause::Cut => &mut self.cut,
            Cause::Flapped => &mut self.flapped,
            Cause::Choked => &mut self.choked,
            Cause::Overflow => &mut self.overflow,
            Cause::Refused => &mut self.refused,
            Cause::Corrupted => &mut self.corrupted,
            Cause::Doubled => &mut self.doubled,
        } += 1;
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.doubled += other.doubled;
        self.sent += other.sent;
        self.lost += other.lost;
        self.cut += other.cut;
        self.flapped += other.flapped;
        self.choked += other.choked;
        self.overflow += other.overflow;
        self.refused += other.refused;
        self.waiting += other.waiting;
        self.corrupted += other.corrupted;
        self.reordered += other.reordered;
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}
