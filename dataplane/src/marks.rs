//! What a worker's packets used, bit by bit: entries for the mapping system to keep fresh, adjacencies for it to know
//! which RLOCs are alive.
//!
//! A worker loads before it stores, and stores only when the bit is clear: after the first packet of a period the
//! cache line stays shared. The conductor takes the bits away ([`crate::usage`]).

use std::sync::atomic::{AtomicU64, Ordering};

/// Bits by number, set by one thread, taken by another.
pub struct Bits(Box<[AtomicU64]>);

impl Bits {
    /// Bits for the numbers `0..count`, all clear.
    pub fn new(count: usize) -> Bits {
        Bits((0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    /// Sets a bit; a number without one is ignored.
    #[inline]
    pub fn set(&self, number: u32) {
        let bit = 1 << (number % 64);
        if let Some(word) = self.0.get(number as usize / 64)
            && word.load(Ordering::Relaxed) & bit == 0
        {
            // Not a plain store: the conductor may be taking the other bits of the word.
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// How many words of 64 bits there are.
    pub fn words(&self) -> usize {
        self.0.len()
    }

    /// Takes the bits of a word, and gives the numbers that were set.
    pub fn take(&self, word: usize) -> impl Iterator<Item = u32> + use<> {
        let taken = match self.0.get(word) {
            Some(bits) if bits.load(Ordering::Relaxed) != 0 => bits.swap(0, Ordering::Relaxed),
            _ => 0,
        };
        let mut left = taken;
        std::iter::from_fn(move || {
            let bit = (left != 0).then(|| left.trailing_zeros())?;
            left &= left - 1;
            Some((word * 64) as u32 + bit)
        })
    }
}

/// One worker's marks.
pub struct Marks {
    /// EID entries, by the index that the table gives: those of one forwarded packet per burst.
    pub used: Bits,
    /// Adjacency rows that packets were sent by.
    pub sent: Bits,
    /// Adjacency rows whose remote RLOC packets came from.
    pub received: Bits,
}

impl Marks {
    /// Marks for tables of these sizes.
    pub fn new(entries: usize, adjacencies: usize) -> Marks {
        Marks { used: Bits::new(entries), sent: Bits::new(adjacencies), received: Bits::new(adjacencies) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_taken_once() {
        let bits = Bits::new(130);
        assert_eq!(bits.words(), 3);
        for number in [0, 63, 64, 129, 129, 5000] {
            bits.set(number);
        }
        let take = || (0..4).flat_map(|word| bits.take(word)).collect::<Vec<_>>();
        assert_eq!(take(), [0, 63, 64, 129]);
        assert!(take().is_empty());
    }
}
