//! A histogram's points.

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest time that is told apart, ns: a minute.
const MOST_NS: u64 = 60_000_000_000;

/// Points of a histogram with three digits, us.
#[derive(Clone, Debug, Serialize)]
pub struct Spread {
    pub count: u64,
    pub min_us: f64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
    /// Upper ends of the histogram's steps, us, with how many took no longer.
    pub histogram: Vec<(f64, u64)>,
}

impl Spread {
    /// Of times in nanoseconds.
    pub fn of_ns(times: &[u64]) -> Result<Spread> {
        let mut seen = Histogram::new_with_bounds(1, MOST_NS, 3)?;
        times.iter().for_each(|time| seen.saturating_record((*time).max(1)));
        Ok(Spread::of(&seen))
    }

    /// Of a histogram of nanoseconds.
    pub fn of(seen: &Histogram<u64>) -> Spread {
        let us = |ns: u64| ns as f64 / 1000.0;
        let at = |quantile| us(seen.value_at_quantile(quantile));
        let mut so_far = 0;
        let steps = seen.iter_log(1000, 2.0).map(|step| {
            so_far += step.count_since_last_iteration();
            (us(step.value_iterated_to()), so_far)
        });
        Spread {
            histogram: steps.collect(),
            count: seen.len(),
            min_us: us(seen.min()),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: us(seen.max()),
        }
    }

    /// The points in one line.
    pub fn line(&self) -> String {
        let Spread { count, min_us, p50_us, p90_us, p99_us, p999_us, max_us, .. } = self;
        format!(
            "{count:>6}  {min_us:>8.0} {p50_us:>8.0} {p90_us:>8.0} {p99_us:>8.0} {p999_us:>8.0} {max_us:>8.0}"
        )
    }

    /// The heads of [`Spread::line`].
    pub fn heads() -> String {
        format!(
            "{:>6}  {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "times", "least", "50 %", "90 %", "99 %", "99.9 %", "most"
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    #[test]
    fn the_points_are_those_of_the_times() {
        let times: Vec<u64> = (1..=1000).map(|us| us * 1000).collect();
        let spread = Spread::of_ns(&times).unwrap();
        assert_eq!(spread.count, 1000);
        for (point, value) in
            [(spread.p50_us, 500.0), (spread.p99_us, 990.0), (spread.min_us, 1.0), (spread.max_us, 1000.0)]
        {
            assert!((point - value).abs() <= value * 0.002, "{point} is not {value}");
        }
        assert_eq!(spread.histogram.last().unwrap().1, 1000);
        assert!(spread.histogram.windows(2).all(|pair| pair[0].1 <= pair[1].1));
    }

    #[test]
    fn of_nothing_there_is_nothing() {
        assert_eq!(Spread::of_ns(&[]).unwrap().count, 0);
    }
}
