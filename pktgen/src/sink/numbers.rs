//! Which numbers came, exactly, however many and in whatever order.

use std::collections::BTreeMap;

/// Numbers per chunk.
const CHUNK: u64 = 1 << 16;
const WORDS: usize = (CHUNK / 64) as usize;

/// A set of numbers that costs a bit each while gaps are open, and next to nothing where all came.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    chunks: BTreeMap<u64, Chunk>,
    count: u64,
    repeated: u64,
}

#[derive(Clone, Debug)]
enum Chunk {
    Full,
    Partial { words: Box<[u64; WORDS]>, count: u32 },
}

impl Chunk {
    fn empty() -> Self {
        Chunk::Partial { words: Box::new([0; WORDS]), count: 0 }
    }

    /// True when it was not there.
    fn insert(&mut self, at: usize) -> bool {
        let Chunk::Partial { words, count } = self else { return false };
        let (word, bit) = (&mut words[at / 64], 1 << (at % 64));
        if *word & bit != 0 {
            return false;
        }
        *word |= bit;
        *count += 1;
        if u64::from(*count) == CHUNK {
            *self = Chunk::Full;
        }
        true
    }

    fn count(&self) -> u64 {
        match self {
            Chunk::Full => CHUNK,
            Chunk::Partial { count, .. } => u64::from(*count),
        }
    }

    /// All that is in either.
    fn union(&self, other: &Chunk) -> Chunk {
        let (Chunk::Partial { words: a, .. }, Chunk::Partial { words: b, .. }) = (self, other) else {
            return Chunk::Full;
        };
        let words: Box<[u64; WORDS]> = Box::new(std::array::from_fn(|at| a[at] | b[at]));
        match words.iter().map(|word| word.count_ones()).sum() {
            count if u64::from(count) == CHUNK => Chunk::Full,
            count => Chunk::Partial { words, count },
        }
    }
}

impl Numbers {
    /// Adds a number; false when it was there already, which is counted.
    #[inline]
    pub fn insert(&mut self, number: u64) -> bool {
        let chunk = self.chunks.entry(number / CHUNK).or_insert_with(Chunk::empty);
        let new = chunk.insert((number % CHUNK) as usize);
        if new {
            self.count += 1;
        } else {
            self.repeated += 1;
        }
        new
    }

    /// How many different numbers came.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How often a number came that had come before.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// The highest number and one; 0 when none came.
    pub fn end(&self) -> u64 {
        let Some((at, chunk)) = self.chunks.last_key_value() else { return 0 };
        let within = match chunk {
            Chunk::Full => CHUNK,
            Chunk::Partial { words, .. } => {
                let word = words.iter().rposition(|word| *word != 0).unwrap_or(0);
                word as u64 * 64 + u64::from(64 - words[word].leading_zeros())
            }
        };
        at * CHUNK + within
    }

    /// Adds what another sink got of the same sender. What both have is then repeated.
    pub fn merge(&mut self, other: &Numbers) {
        self.repeated += other.repeated;
        for (at, theirs) in &other.chunks {
            let ours = self.chunks.entry(*at).or_insert_with(Chunk::empty);
            let both = ours.union(theirs);
            let before = ours.count();
            self.count += both.count() - before;
            self.repeated += before + theirs.count() - both.count();
            *ours = both;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn what_came_whole_takes_no_room() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.end(), 0);
        (0..3 * CHUNK).rev().for_each(|number| assert!(numbers.insert(number)));
        assert!(numbers.chunks.values().all(|chunk| matches!(chunk, Chunk::Full)));
        assert!(!numbers.insert(CHUNK + 5));
        assert_eq!((numbers.count(), numbers.repeated(), numbers.end()), (3 * CHUNK, 1, 3 * CHUNK));
    }

    #[test]
    fn one_far_number_costs_one_chunk() {
        let mut numbers = Numbers::default();
        assert!(numbers.insert((1 << 48) - 1));
        assert_eq!((numbers.chunks.len(), numbers.end()), (1, 1 << 48));
    }

    /// Numbers near chunk ends, so that repeats and several chunks both happen.
    fn stream() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(
            (0_u64..3, 0_u64..60).prop_map(|(chunk, at)| (chunk + 1) * CHUNK - 30 + at),
            0..200,
        )
    }

    proptest! {
        #[test]
        fn counts_as_a_set_does(first in stream(), second in stream()) {
            let model: BTreeSet<u64> = first.iter().chain(&second).copied().collect();
            let (mut a, mut b) = (Numbers::default(), Numbers::default());
            for number in &first { a.insert(*number); }
            for number in &second { b.insert(*number); }
            a.merge(&b);
            prop_assert_eq!(a.count(), model.len() as u64);
            prop_assert_eq!(a.repeated(), (first.len() + second.len() - model.len()) as u64);
            prop_assert_eq!(a.end(), model.last().map_or(0, |last| last + 1));
        }
    }
}
