//! An axis: where a value lies on it, and which values are written beside it.

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use std::ops::Range;

/// How values are laid out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm; values above 0.
    Log,
    /// Nothing at the foot, and a decade above it what is `least`, then by the logarithm: for shares that may be 0.
    ZeroThenLog {
        /// What is below is drawn at the foot.
        least: f64,
    },
    /// A quantile q, 0 to below 1, by the logarithm of 1/(1-q): every further nine takes as much room as the first.
    Nines,
}

impl Scale {
    /// Where a value lies, in units of the scale.
    pub fn place(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Log => value.max(f64::MIN_POSITIVE).log10(),
            Scale::ZeroThenLog { least } if value < least => least.log10() - 1.0,
            Scale::ZeroThenLog { .. } => value.log10(),
            Scale::Nines => -(1.0 - value).max(1e-12).log10(),
        }
    }
}

/// An axis with its name, unit and ticks.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it shows, with its unit.
    pub name: String,
    scale: Scale,
    from: f64,
    to: f64,
    ticks: Vec<f64>,
    words: fn(f64) -> String,
}

/// Ticks of a linear axis, about.
const TICKS: f64 = 8.0;
/// Up to so many decades there are ticks within each.
const FEW_DECADES: f64 = 2.5;

impl Axis {
    /// From one value to another, with ticks at round numbers.
    pub fn linear(name: &str, from: f64, to: f64) -> Axis {
        let to = if to > from { to } else { from + 1.0 };
        let step = round_step((to - from) / TICKS);
        let first = (from / step).ceil() as i64;
        let ticks =
            (first..).map(|n| n as f64 * step).take_while(|tick| *tick <= to * (1.0 + 1e-9)).collect();
        Axis { name: name.to_owned(), scale: Scale::Linear, from, to, ticks, words: number }
    }

    /// Whole decades around the values, or 1, 2 and 5 of them where they are few.
    pub fn log(name: &str, least: f64, most: f64) -> Axis {
        let least = if least > 0.0 { least } else { 1e-3 };
        let most = if most > least { most } else { least * 10.0 };
        let candidates = log_ticks(least / 10.0, most * 10.0, (most / least).log10() < FEW_DECADES);
        let below = |tick: &f64| *tick <= least * (1.0 + 1e-9);
        let from = candidates.iter().copied().filter(below).fold(least / 10.0, f64::max);
        let to = candidates.iter().copied().find(|tick| *tick >= most * (1.0 - 1e-9)).unwrap_or(most);
        let ticks = candidates.into_iter().filter(|tick| (from..=to).contains(tick)).collect();
        Axis { name: name.to_owned(), scale: Scale::Log, from, to, ticks, words: number }
    }

    /// 0, and decades from `least` to 100: a share in percent.
    pub fn percent(name: &str, least: f64) -> Axis {
        let mut ticks = vec![0.0];
        ticks.extend(log_ticks(least, 100.0, false));
        let scale = Scale::ZeroThenLog { least };
        Axis { name: name.to_owned(), scale, from: 0.0, to: 100.0, ticks, words: number }
    }

    /// Percentiles up to one that lies behind `most`, a quantile below 1.
    pub fn percentiles(name: &str, most: f64) -> Axis {
        let nines = Scale::Nines.place(most).clamp(2.0, 9.0).ceil() as i32;
        let mut ticks = vec![0.0, 0.5];
        ticks.extend((1..=nines).map(|nines| 1.0 - 10f64.powi(-nines)));
        let to = 1.0 - 10f64.powi(-nines);
        Axis { name: name.to_owned(), scale: Scale::Nines, from: 0.0, to, ticks, words: percentile }
    }

    /// Writes the ticks otherwise.
    pub fn worded(self, words: fn(f64) -> String) -> Axis {
        Axis { words, ..self }
    }

    /// Other ticks: those of the list within the axis.
    pub fn with_ticks(self, ticks: &[f64]) -> Axis {
        let within = |tick: &f64| (self.from..=self.to).contains(tick);
        Axis { ticks: ticks.iter().copied().filter(within).collect(), ..self }
    }

    /// Without ticks whose words would run into those before them, on so many pixels by so many for a letter.
    pub fn thinned(&self, pixels: f64, letter: f64) -> Axis {
        let mut ticks: Vec<f64> = Vec::new();
        let half = |tick: f64| (self.words)(tick).len() as f64 / 2.0 * letter;
        for tick in &self.ticks {
            let is_free = ticks.last().is_none_or(|last| {
                (self.share(*tick) - self.share(*last)) * pixels >= half(*tick) + half(*last)
            });
            if is_free {
                ticks.push(*tick);
            }
        }
        Axis { ticks, ..self.clone() }
    }

    /// The lower and the upper end.
    pub fn ends(&self) -> (f64, f64) {
        (self.from, self.to)
    }

    /// Where a value lies: 0 at the lower end, 1 at the upper; what is outside lies at the end.
    pub fn share(&self, value: f64) -> f64 {
        let (from, to) = (self.scale.place(self.from), self.scale.place(self.to));
        ((self.scale.place(value) - from) / (to - from)).clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, at least this.
fn round_step(least: f64) -> f64 {
    let decade = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].iter().map(|times| times * decade).find(|step| *step >= least).unwrap_or(10.0 * decade)
}

/// Decades from one value to another, or 1, 2 and 5 of each.
fn log_ticks(from: f64, to: f64, within: bool) -> Vec<f64> {
    let times: &[f64] = if within { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let decades = (from.log10() - 1e-9).floor() as i32..=(to.log10() + 1e-9).ceil() as i32;
    let all = decades.flat_map(|decade| times.iter().map(move |times| times * 10f64.powi(decade)));
    all.filter(|tick| (from * (1.0 - 1e-9)..=to * (1.0 + 1e-9)).contains(tick)).collect()
}

/// A number in few letters.
pub fn number(value: f64) -> String {
    let cut = |value: f64| {
        let text = format!("{value:.6}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match value.abs() {
        size if size >= 1e6 => format!("{}M", cut(value / 1e6)),
        size if size >= 1e4 => format!("{}k", cut(value / 1e3)),
        _ => cut(value),
    }
}

/// A quantile in percent: 99.9, without the noise of binary fractions.
pub fn percentile(quantile: f64) -> String {
    let text = format!("{:.7}", quantile * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        limit.0 + (self.share(*value) * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        (self.words)(*value)
    }
}

#[cfg(test)]
#[path = "axis/test.rs"]
mod test;
