//! Clocks of one run, and of several.

use anyhow::{Context, Result};
use serde::Serialize;
use sterna_xsk::BURST;

/// One run, per packet.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// Over all bursts: what counts.
    pub mean: f64,
    /// Of the middle burst: what is left of the mean when another process took the core now and then.
    pub typical: f64,
    /// 99 of 100 bursts took at most this.
    pub p99: f64,
    /// 999 of 1,000 bursts took at most this.
    pub p999: f64,
}

impl Clocks {
    /// From the clocks of each burst of [`BURST`] packets.
    pub fn per_packet(mut bursts: Vec<u64>) -> Result<Clocks> {
        bursts.sort_unstable();
        let last = bursts.len().checked_sub(1).context("no burst was measured")?;
        let packets = |bursts: usize| (bursts * BURST) as f64;
        let at = |place: usize| bursts[place.min(last)] as f64 / packets(1);
        let beyond = |one_in: usize| at(bursts.len() - bursts.len().div_ceil(one_in));
        let mean = bursts.iter().sum::<u64>() as f64 / packets(bursts.len());
        Ok(Clocks { mean, typical: at(bursts.len() / 2), p99: beyond(100), p999: beyond(1000) })
    }
}

/// Several runs of the same.
#[derive(Clone, Debug, Serialize)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub lowest: f64,
    /// The greatest.
    pub highest: f64,
    /// The value of each run, in the order in which they were made.
    pub samples: Vec<f64>,
}

impl Spread {
    /// Of these; of none there is none.
    pub fn of(samples: Vec<f64>) -> Result<Spread> {
        let mut values = samples.clone();
        values.sort_by(f64::total_cmp);
        let (lowest, highest) = values.first().zip(values.last()).context("nothing was measured")?;
        Ok(Spread { median: values[values.len() / 2], lowest: *lowest, highest: *highest, samples })
    }
}

/// Means and typical bursts of several runs.
#[derive(Clone, Debug, Serialize)]
pub struct Runs {
    /// Of the means.
    pub mean: Spread,
    /// Of the typical bursts.
    pub typical: Spread,
}

impl Runs {
    /// Of these; of none there is none.
    pub fn of(runs: &[Clocks]) -> Result<Runs> {
        Ok(Runs {
            mean: Spread::of(runs.iter().map(|run| run.mean).collect())?,
            typical: Spread::of(runs.iter().map(|run| run.typical).collect())?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    #[test]
    fn one_long_burst_moves_the_mean_and_not_the_typical_one() {
        let mut bursts = vec![6400; 99];
        bursts.push(640_000);
        let clocks = Clocks::per_packet(bursts).unwrap();
        assert_eq!(clocks.typical, 100.0);
        assert_eq!((clocks.p99, clocks.p999), (10_000.0, 10_000.0));
        assert!((clocks.mean - 199.0).abs() < 1e-9);
        assert!(Clocks::per_packet(Vec::new()).is_err());
    }

    #[test]
    fn a_spread_has_the_ends_and_the_middle() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0, 9.0, 4.0]).unwrap();
        assert_eq!((spread.median, spread.lowest, spread.highest), (3.0, 1.0, 9.0));
        assert_eq!(spread.samples, [3.0, 1.0, 2.0, 9.0, 4.0], "in the order in which they came");
    }
}
