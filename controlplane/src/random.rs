//! Nonces and jitter: a generator that tests can seed.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Random numbers for nonces, which an attacker off the path must not guess, and for jitter.
#[derive(Debug)]
pub struct Random(StdRng);

impl Random {
    /// Unpredictable numbers, seeded by the operating system.
    pub fn from_system() -> Self {
        Self(rand::make_rng())
    }

    /// The same numbers every time; for tests.
    pub fn seeded(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from 0 up to, but not including, `bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product; a bias of bound / 2^64 does not matter for jitter.
        u64::try_from((u128::from(self.number()) * u128::from(bound)) >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeded_numbers_repeat_and_others_do_not() {
        let (mut a, mut b) = (Random::seeded(7), Random::seeded(7));
        assert_eq!((a.number(), a.number()), (b.number(), b.number()));
        assert_ne!(Random::from_system().number(), Random::from_system().number());
    }

    #[test]
    fn numbers_stay_below_their_bound() {
        let mut random = Random::seeded(1);
        for bound in [0, 1, 2, 10, 1 << 40] {
            for _ in 0..100 {
                assert!(random.below(bound) < bound.max(1));
            }
        }
    }
}
