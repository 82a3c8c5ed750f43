//! The highest rate that a system forwards without losing more than a goal, in the manner of RFC 2544 section 26.1
//! and of MLRsearch: halving, with all trials remembered, so that a second goal begins where the first one ended.
//! A rate that lost too much is tried again, and two of three trials decide.

use anyhow::Result;
use serde::Serialize;

/// One trial's outcome.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tried {
    /// Frames per second that were offered.
    pub rate: f64,
    /// Share of them that did not arrive.
    pub loss: f64,
}

/// A loss by so much more than the goal is not by chance: no second trial.
const GROSS: f64 = 0.05;

/// Whether a rate is one that is forwarded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Held,
    Failed,
    /// One trial lost too much, which another process that had the core for a moment does as well.
    Doubtful,
}

/// A search over rates.
pub struct Search<F> {
    trial: F,
    /// Two rates so close to each other are the same.
    width: f64,
    /// Trials per goal at most: what does not come to rest is told as it stands.
    most: usize,
    tried: Vec<Tried>,
}

impl<F: FnMut(f64) -> Result<Tried>> Search<F> {
    /// A search by `trial`, which takes a rate, to a relative `width`.
    pub fn new(trial: F, width: f64, most: usize) -> Self {
        Self { trial, width, most, tried: Vec::new() }
    }

    /// The highest rate with a loss of at most `goal`, at most `top`. 0 when there is none.
    pub fn highest(&mut self, goal: f64, top: f64) -> Result<f64> {
        for _ in 0..self.most {
            let (held, failed, doubtful) = self.bounds(goal);
            let next = match (held, failed) {
                _ if doubtful.is_some() => doubtful.unwrap_or(top),
                (Some(held), Some(failed)) if failed - held <= self.width * failed => return Ok(held),
                (Some(held), None) if held >= top * (1.0 - self.width) => return Ok(held),
                (Some(held), Some(failed)) => (held + failed) / 2.0,
                (Some(_), None) | (None, None) => top,
                (None, Some(failed)) => failed / 2.0,
            };
            let tried = (self.trial)(next)?;
            // A trial that could not offer its rate still says something about the one that was asked for.
            self.tried.push(Tried { rate: next, ..tried });
        }
        Ok(self.bounds(goal).0.unwrap_or(0.0))
    }

    /// The highest rate below all that failed that held, the lowest that failed, and one that needs another trial.
    fn bounds(&self, goal: f64) -> (Option<f64>, Option<f64>, Option<f64>) {
        let all = |verdict| {
            let of = move |tried: &&Tried| self.judge(tried.rate, goal) == verdict;
            self.tried.iter().filter(of).map(|tried| tried.rate)
        };
        let failed = all(Verdict::Failed).min_by(f64::total_cmp);
        let below = |rate: &f64| failed.is_none_or(|failed| *rate < failed);
        let held = all(Verdict::Held).filter(below).max_by(f64::total_cmp);
        (held, failed, all(Verdict::Doubtful).filter(below).max_by(f64::total_cmp))
    }

    /// What a rate's trials say together.
    fn judge(&self, rate: f64, goal: f64) -> Verdict {
        let of_rate = || self.tried.iter().filter(|tried| tried.rate == rate);
        let lossy = of_rate().filter(|tried| tried.loss > goal).count();
        let clean = of_rate().count() - lossy;
        match (clean, lossy) {
            _ if of_rate().any(|tried| tried.loss > goal + GROSS) => Verdict::Failed,
            (0, 1) | (1, 1) => Verdict::Doubtful,
            (clean, lossy) if clean > lossy => Verdict::Held,
            _ => Verdict::Failed,
        }
    }

    /// All trials, in the order in which they were made.
    pub fn tried(self) -> Vec<Tried> {
        self.tried
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    /// Forwards up to `limit`, loses what is beyond.
    fn system(limit: f64) -> impl FnMut(f64) -> Result<Tried> {
        move |rate| Ok(Tried { rate, loss: (1.0 - limit / rate).max(0.0) })
    }

    #[test]
    fn finds_what_a_system_can_do() {
        let mut search = Search::new(system(700_000.0), 0.01, 30);
        let ndr = search.highest(0.0, 2_000_000.0).unwrap();
        assert!((690_000.0..=700_000.0).contains(&ndr), "{ndr}");
        let before = search.tried.len();
        let pdr = search.highest(0.1, 2_000_000.0).unwrap();
        assert!((765_000.0..=778_000.0).contains(&pdr), "{pdr}");
        assert!(search.tried.len() - before < before, "the second goal uses the first one's trials");
    }

    #[test]
    fn one_unlucky_trial_decides_nothing_and_two_do() {
        // Every third trial loses a little.
        let mut count = 0;
        let unlucky = |rate: f64| {
            count += 1;
            let own = (1.0 - 700_000.0 / rate).max(0.0);
            Ok(Tried { rate, loss: if count % 3 == 0 { own.max(0.001) } else { own } })
        };
        let ndr = Search::new(unlucky, 0.01, 30).highest(0.0, 2_000_000.0).unwrap();
        assert!((690_000.0..=700_000.0).contains(&ndr), "{ndr}");
        let mut lossy = Search::new(|rate| Ok(Tried { rate, loss: 0.001 }), 0.01, 20);
        assert_eq!(lossy.highest(0.0, 1e6).unwrap(), 0.0);
    }

    #[test]
    fn what_never_fails_is_the_top_and_what_always_fails_is_nothing() {
        assert_eq!(Search::new(system(1e9), 0.01, 30).highest(0.0, 1e6).unwrap(), 1e6);
        let mut lossy = Search::new(|rate| Ok(Tried { rate, loss: 0.5 }), 0.01, 12);
        assert_eq!(lossy.highest(0.0, 1e6).unwrap(), 0.0);
        assert_eq!(lossy.tried().len(), 12);
    }
}
