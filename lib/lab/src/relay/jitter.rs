//! Delays that vary.

use super::dice::Dice;

/// A wait between 0 and `most` microseconds: `most` times the square of an even chance, so that half of the frames wait
/// less than a quarter of it and few wait nearly all; the mean is a third. Delays in queues are skewed so.
pub fn wait_us(most: u64, dice: &mut Dice) -> u64 {
    if most == 0 {
        return 0;
    }
    let chance = dice.roll(1 << 16);
    u64::try_from((u128::from(most) * u128::from(chance * chance)) >> 32).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_wait_less_than_a_quarter_and_none_more_than_all() {
        let mut dice = Dice(3);
        let mut waits: Vec<u64> = (0..20_000).map(|_| wait_us(10_000, &mut dice)).collect();
        waits.sort_unstable();
        assert!(waits[waits.len() - 1] < 10_000 && waits[waits.len() - 1] > 9_500);
        let (median, mean) = (waits[10_000], waits.iter().sum::<u64>() / 20_000);
        assert!((2300..2700).contains(&median) && (3150..3500).contains(&mean), "{median} {mean}");
        assert_eq!(wait_us(0, &mut dice), 0);
        assert!(wait_us(u64::MAX, &mut dice) < u64::MAX);
    }
}
