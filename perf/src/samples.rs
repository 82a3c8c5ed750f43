//! What was measured again and again: the values of each run, in the order in which they were made.

use serde::{Deserialize, Serialize};

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Times and losses.
    Lower,
    /// Rates.
    Higher,
}

/// Values of one figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// What is measured, the same in every run.
    pub key: String,
    /// Of the values; empty for a ratio.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// A ratio within one run: it may be held against one from another machine.
    pub carries: bool,
    /// One a run.
    pub values: Vec<f64>,
}

impl Samples {
    /// Times: less is better, and they belong to one machine.
    pub fn lower(key: impl Into<String>, unit: &str, values: Vec<f64>) -> Samples {
        Samples { key: key.into(), unit: unit.to_owned(), better: Better::Lower, carries: false, values }
    }

    /// Rates: more is better, and they belong to one machine.
    pub fn higher(key: impl Into<String>, unit: &str, values: Vec<f64>) -> Samples {
        Samples { better: Better::Higher, ..Samples::lower(key, unit, values) }
    }

    /// Of runs made in turn: each one's value over that of its neighbour. A machine that becomes slower meanwhile
    /// does so for both.
    pub fn ratio(key: impl Into<String>, ours: &[f64], theirs: &[f64]) -> Samples {
        let values = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        Samples { carries: true, ..Samples::lower(key, "", values) }
    }
}
