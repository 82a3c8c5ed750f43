//! What two lists of runs say of each figure, and how sure that is.

use super::rank::{Shift, apart, paired};
use super::runs::Run;
use crate::samples::{Better, Samples};
use serde::Serialize;

/// When a difference is one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Terms {
    /// Of all verdicts together: chance makes even one of them with at most the rest, 0 to 1.
    pub confidence: f64,
    /// Less than this is none that matters, as a share.
    pub least: f64,
}

/// What is said of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The second is better.
    Better,
    /// The second is worse.
    Worse,
    /// As far as can be seen they are alike.
    Same,
    /// Whatever the values are: so few cannot tell.
    TooFew,
    /// A time or rate of another machine.
    OtherMachine,
}

/// One figure of both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Its name.
    pub key: String,
    /// Of the values.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// The middle of the first ones' values.
    pub a: f64,
    /// The middle of the second ones'.
    pub b: f64,
    /// Values of each, or pairs.
    pub runs: [usize; 2],
    /// They were compared pair by pair.
    pub paired: bool,
    /// The second over the first, less 1; none where a value may be 0: then in the unit.
    pub change: Option<f64>,
    /// Its bounds at the confidence, for this figure alone; none: without end.
    pub bounds: Option<(f64, f64)>,
    /// How often chance alone gives as much, for this figure alone.
    pub p: f64,
    /// What it comes to among all that are compared.
    pub verdict: Verdict,
    #[serde(skip)]
    least_p: f64,
}

impl Verdict {
    /// In words. Of times and rates it is speed.
    pub fn in_words(self, unit: &str) -> &'static str {
        let is_speed = !matches!(unit, "share" | "packets");
        match self {
            Verdict::Better if is_speed => "faster",
            Verdict::Worse if is_speed => "slower",
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::Same => "no difference beyond noise",
            Verdict::TooFew => "too few runs to say",
            Verdict::OtherMachine => "not judged: another machine",
        }
    }
}

/// Compares every figure that both have.
pub fn compare(a: &[Run], b: &[Run], terms: Terms) -> Vec<Compared> {
    let (Some(first), Some(second)) = (a.first(), b.first()) else { return Vec::new() };
    let alike = a.iter().chain(b).all(|run| run.machine.is_like(&first.machine));
    let both = first.samples.iter().filter(|samples| second.values(&samples.key).is_some());
    let mut all: Vec<Compared> = both.filter_map(|samples| one(samples, a, b, terms)).collect();
    for compared in &mut all {
        let carries = first.samples.iter().any(|samples| samples.key == compared.key && samples.carries);
        if !alike && !carries {
            compared.verdict = Verdict::OtherMachine;
        }
    }
    judge(&mut all, terms);
    all
}

/// A figure's values: those within a run where there is one each, else the middle of each run.
fn one(samples: &Samples, a: &[Run], b: &[Run], terms: Terms) -> Option<Compared> {
    let of = |runs: &[Run]| -> Vec<f64> {
        match runs {
            [run] => run.values(&samples.key).unwrap_or_default().to_vec(),
            runs => runs.iter().filter_map(|run| Some(middle(run.values(&samples.key)?))).collect(),
        }
    };
    let (mut first, mut second) = (of(a), of(b));
    // One run against several is one value against several.
    for (own, runs, others) in [(&mut first, a, b), (&mut second, b, a)] {
        if runs.len() == 1 && others.len() > 1 && !own.is_empty() {
            *own = vec![middle(own)];
        }
    }
    let in_pairs = a.len() > 1 && a.len() == b.len() && first.len() == a.len() && second.len() == b.len();
    let positive = first.iter().chain(&second).all(|value| *value > 0.0);
    let scaled = |values: &[f64]| -> Vec<f64> {
        values.iter().map(|value| if positive { value.ln() } else { *value }).collect()
    };
    let (from, to) = (scaled(&first), scaled(&second));
    let shift = match in_pairs {
        true => paired(&from.into_iter().zip(to).collect::<Vec<_>>(), terms.confidence),
        false => apart(&from, &to, terms.confidence),
    }?;
    let back = |value: f64| if positive { value.exp() - 1.0 } else { value };
    let Shift { middle: by, bounds, p, least_p } = shift;
    Some(Compared {
        key: samples.key.clone(),
        unit: samples.unit.clone(),
        better: samples.better,
        a: middle(&first),
        b: middle(&second),
        runs: [first.len(), second.len()],
        paired: in_pairs,
        change: positive.then(|| back(by)),
        bounds: bounds.0.is_finite().then(|| (back(bounds.0), back(bounds.1))),
        p,
        verdict: Verdict::Same,
        least_p,
    })
}

/// Many figures find a difference by chance more often than one, so each must be surer (Bonferroni); those that could
/// not be sure enough whatever their values are left out of the count (Tarone 1990).
fn judge(all: &mut [Compared], terms: Terms) {
    let alpha = 1.0 - terms.confidence;
    let judged = |compared: &&mut Compared| compared.verdict != Verdict::OtherMachine;
    let least: Vec<f64> = all.iter_mut().filter(judged).map(|compared| compared.least_p).collect();
    let able = |times: usize| least.iter().filter(|p| **p * (times as f64) <= alpha).count();
    let times = (1..=least.len().max(1)).find(|times| able(*times) <= *times).unwrap_or(1);
    for compared in all.iter_mut().filter(judged) {
        let sure = compared.p * times as f64 <= alpha;
        let matters = compared.change.is_none_or(|change| change.abs() >= terms.least);
        let more = compared.change.map_or(compared.b > compared.a, |change| change > 0.0);
        compared.verdict = match (compared.least_p * times as f64 <= alpha, sure && matters) {
            (false, _) => Verdict::TooFew,
            (true, false) => Verdict::Same,
            (true, true) if more == (compared.better == Better::Higher) => Verdict::Better,
            (true, true) => Verdict::Worse,
        };
    }
}

fn middle(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        count => (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0,
    }
}

#[cfg(test)]
#[path = "verdict/test.rs"]
mod test;
