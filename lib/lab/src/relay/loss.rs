//! Losses in bursts: a link that is good or bad, and loses everything while it is bad (E. N. Gilbert, "Capacity of a
//! Burst-Noise Channel", Bell System Technical Journal 39, 1960, without losses in the good state).

use super::dice::Dice;
use super::impairment::Loss;

const MILLION: u64 = 1_000_000;

/// Whether the link is bad now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Losing(bool);

impl Losing {
    /// Whether the next frame is lost.
    pub fn takes(&mut self, loss: Loss, dice: &mut Dice) -> bool {
        let burst = u64::from(loss.burst.max(1));
        let share = u64::from(loss.ppm).min(MILLION);
        self.0 = match (share, self.0) {
            (0, _) => false,
            (MILLION, _) => true,
            // Bad for `burst` frames on average.
            (_, true) => dice.roll(burst) > 0 || dice.roll(MILLION) < entering(share, burst),
            (_, false) => dice.roll(MILLION) < entering(share, burst),
        };
        self.0
    }
}

/// How often a good link goes bad, so that in the long run this share of frames is lost: with r = 1/burst the chance to
/// leave the bad state for good, p / (p + r (1 - p)) = share.
fn entering(share: u64, burst: u64) -> u64 {
    // r = 1/burst: p = share / (burst (1 - share) + share).
    share * MILLION / (burst * (MILLION - share) + share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(ppm: u32, burst: u32) -> (f64, f64) {
        let (mut losing, mut dice) = (Losing::default(), Dice(9));
        let lost: Vec<bool> = (0..200_000).map(|_| losing.takes(Loss { ppm, burst }, &mut dice)).collect();
        let count = lost.iter().filter(|lost| **lost).count() as f64;
        let runs = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count() as f64;
        (count / lost.len() as f64, count / runs.max(1.0))
    }

    #[test]
    fn the_share_is_as_said_and_bursts_are_as_long() {
        for (ppm, burst) in [(10_000, 1), (10_000, 4), (50_000, 8), (300_000, 2)] {
            let (share, mean) = sample(ppm, burst);
            let wanted = f64::from(ppm) / 1e6;
            assert!((share / wanted - 1.0).abs() < 0.12, "{ppm} {burst}: {share}");
            // A burst that ends where the next one begins is one longer burst.
            assert!(mean >= f64::from(burst) * 0.85, "{ppm} {burst}: {mean}");
            assert!(mean <= f64::from(burst) / (1.0 - wanted) * 1.2, "{ppm} {burst}: {mean}");
        }
    }

    #[test]
    fn none_and_all_are_exact() {
        assert_eq!(sample(0, 5).0, 0.0);
        assert_eq!(sample(1_000_000, 1).0, 1.0);
    }
}
