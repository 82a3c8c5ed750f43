//! The mixing step of the keyed hashes.

/// Multiplies to 128 bits and folds the high half onto the low half by exclusive or.
///
/// Every bit of either factor reaches the middle of the product, and folding brings both ends there; with one
/// factor secret the result cannot be steered without knowing it, which a CRC with a seed does not give.
/// A factor of zero gives zero: callers mix a secret into both factors.
#[inline]
pub const fn fold_multiply(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same product from four 32-bit multiplications, as a machine without a wide multiplier does it.
    fn by_halves(a: u64, b: u64) -> u64 {
        let (a_low, a_high) = (a & 0xffff_ffff, a >> 32);
        let (b_low, b_high) = (b & 0xffff_ffff, b >> 32);
        let low = a_low * b_low;
        let cross = a_high * b_low + (low >> 32);
        let cross_low = (cross & 0xffff_ffff) + a_low * b_high;
        let high = a_high * b_high + (cross >> 32) + (cross_low >> 32);
        let low = (cross_low << 32) | (low & 0xffff_ffff);
        high ^ low
    }

    #[test]
    fn agrees_with_the_schoolbook() {
        let mut x = 0x9e37_79b9_7f4a_7c15_u64;
        for edge in [0, 1, 2, u64::MAX, 1 << 63, 0xffff_ffff, 1 << 32] {
            for other in [0, 1, 3, u64::MAX, 1 << 63, 0xffff_ffff, 1 << 32] {
                assert_eq!(fold_multiply(edge, other), by_halves(edge, other));
            }
        }
        for _ in 0..if cfg!(miri) { 20 } else { 1_000 } {
            let y = x.rotate_left(23).wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
            assert_eq!(fold_multiply(x, y), by_halves(x, y));
            x = y;
        }
    }

    #[test]
    fn one_bit_of_input_moves_about_half_of_the_output() {
        let secret = 0x8f3a_11c7_5de0_942b_u64;
        for bit in (0..64).step_by(if cfg!(miri) { 21 } else { 1 }) {
            let mut moved = 0;
            for key in 0..64_u64 {
                let a = fold_multiply(key.wrapping_mul(0x0101_0101) ^ secret, !secret);
                let b = fold_multiply(key.wrapping_mul(0x0101_0101) ^ secret ^ (1 << bit), !secret);
                moved += (a ^ b).count_ones();
            }
            let mean = f64::from(moved) / 64.0;
            assert!((20.0..44.0).contains(&mean), "bit {bit}: {mean}");
        }
    }
}
