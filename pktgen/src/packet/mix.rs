//! Sizes in proportion.

use rand::RngExt;
use rand::rngs::StdRng;

/// A size and its weight among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MixEntry {
    /// Bytes of the untagged frame outside any tunnel, FCS included.
    pub bytes: u16,
    /// How often it comes, relative to the others.
    pub weight: u32,
}

/// The simple Internet mix: 7 parts of 64 bytes, 4 of 570, 1 of 1518.
pub const IMIX: [MixEntry; 3] = [
    MixEntry { bytes: 64, weight: 7 },
    MixEntry { bytes: 570, weight: 4 },
    MixEntry { bytes: 1518, weight: 1 },
];

/// A choice among weights.
#[derive(Clone, Debug)]
pub struct Mix {
    /// Weights added up.
    ends: Vec<u64>,
}

impl Mix {
    /// From sizes with weights.
    pub fn new(entries: &[MixEntry]) -> Self {
        let mut end = 0;
        let ends = entries.iter().map(|entry| {
            end += u64::from(entry.weight);
            end
        });
        Self { ends: ends.collect() }
    }

    /// The index of one of the entries.
    #[inline]
    pub fn choose(&self, random: &mut StdRng) -> usize {
        match self.ends[..] {
            [] | [_] => 0,
            [.., all] => {
                let drawn = random.random_range(0..all.max(1));
                self.ends.partition_point(|&end| end <= drawn)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn sizes_come_in_proportion() {
        let mix = Mix::new(&IMIX);
        let mut random = StdRng::seed_from_u64(1);
        let mut counts = [0_u32; 3];
        (0..120_000).for_each(|_| counts[mix.choose(&mut random)] += 1);
        for (count, expected) in counts.into_iter().zip([70_000, 40_000, 10_000]) {
            // Seeded, so the same every time; the bound is five standard deviations.
            assert!(count.abs_diff(expected) < 900, "{counts:?}");
        }
    }
}
