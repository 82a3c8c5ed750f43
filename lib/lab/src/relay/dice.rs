//! Numbers that only a seed decides.

/// Splitmix64: small, and the same everywhere.
#[derive(Clone, Debug, Default)]
pub struct Dice(pub u64);

impl Dice {
    /// The next 64 bits.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `sides`, which is not 0.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.number() % sides.max(1)
    }

    /// True in so many of a million cases. Without a chance nothing is rolled, so that what is switched off leaves the
    /// other decisions of a seed as they are.
    pub fn happens(&mut self, ppm: u32) -> bool {
        ppm > 0 && self.roll(1_000_000) < u64::from(ppm)
    }
}
