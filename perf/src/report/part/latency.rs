//! Latency's percentiles at shares of the rate without loss.

use super::median;
use crate::report::hlog;
use crate::report::plot::axis::Axis;
use crate::report::plot::chart::{Chart, Series, Style};
use crate::report::plot::figure::{Figure, Table};
use crate::samples::Samples;
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One trial at a load. Latencies are from when a probe was due to its arrival, lateness from there to when it was
/// written: the sender's own part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The HDR log, beside the raw file.
    pub log: String,
    /// Frames per second that were offered.
    pub offered_pps: f64,
    /// Share of them that did not arrive, 0 to 1.
    pub loss: f64,
    /// Probes that arrived.
    pub probes: u64,
    /// Median latency, us.
    pub p50_us: f64,
    /// 99 of 100 probes took at most this, us.
    pub p99_us: f64,
    /// 999 of 1,000 probes took at most this, us.
    pub p999_us: f64,
    /// 99 of 100 probes were written at most so late, us.
    pub late_p99_us: f64,
}

/// Trials at one share of the rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Of the base rate.
    pub share: f64,
    /// In the order in which they were made.
    pub trials: Vec<Trial>,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// What was under test.
    pub system: String,
    /// Bytes of a frame, FCS included.
    pub frame_bytes: u16,
    /// Seconds of a trial.
    pub trial_s: f64,
    /// `NDR`, or `PDR` where every rate lost something.
    pub base: String,
    /// The base rate, frames per second.
    pub base_pps: f64,
    /// From the lowest.
    pub loads: Vec<Load>,
}

/// Points of a curve.
const POINTS: usize = 300;

impl Load {
    fn name(&self, base: &str) -> String {
        if self.share == 1.0 { base.to_owned() } else { format!("{:.0} % of {base}", self.share * 100.0) }
    }
}

impl Latency {
    /// Percentiles by load.
    pub fn samples(&self) -> Vec<Samples> {
        let mut all = Vec::new();
        for load in &self.loads {
            let of = |value: fn(&Trial) -> f64| load.trials.iter().map(value).collect();
            let key = |point: &str| format!("latency {point}, {} at {}", self.system, load.name(&self.base));
            all.push(Samples::lower(key("50 %"), "us", of(|trial| trial.p50_us)));
            all.push(Samples::lower(key("99 %"), "us", of(|trial| trial.p99_us)));
        }
        all
    }

    /// The picture; the curves are those of the logs.
    ///
    /// # Errors
    /// A log that is missing or damaged.
    pub fn figures(&self, raw: &Path) -> Result<Vec<Figure>> {
        let mut table = Table::new(&[
            "load",
            "kpps",
            "probes",
            "50 %, us",
            "99 %, us",
            "99.9 %, us",
            "sender 99 %, us",
            "loss, %",
        ]);
        let mut series = Vec::new();
        for (number, load) in self.loads.iter().enumerate() {
            let sum = self.probes(load, raw)?;
            let mut curve = hlog::curve(&sum, POINTS);
            // The fastest one is where the axis begins.
            if let Some(first) = curve.first().copied() {
                curve.insert(0, (0.0, first.1));
            }
            series.push(Series::new(load.name(&self.base), number, Style::Line, curve));
            table.rows.push(self.row(load, sum.len()));
        }
        let points = || series.iter().flat_map(|series| &series.points);
        let last = points().map(|point| point.0).fold(0.9, f64::max);
        let (least, most) = super::ends(&points().map(|point| point.1).collect::<Vec<f64>>());
        let base = format!("{} is {:.0} kpps.", self.base, self.base_pps / 1000.0);
        let why = if self.base == "NDR" {
            ""
        } else {
            " No rate was carried without loss, so the shares are of the PDR."
        };
        Ok(vec![Figure {
            id: "latency".to_owned(),
            chart: Chart {
                title: format!("{}: latency by percentile, {}-byte frames", self.system, self.frame_bytes),
                about: "Latency in microseconds against the percentile of packets, on a logarithmic percentile axis, \
                        one curve for each load."
                    .to_owned(),
                x: Axis::percentiles("percentile of packets", last),
                y: Axis::log("latency, us", least, most),
                series,
                marks: Vec::new(),
            },
            caption: format!(
                "From when a probe was due to its arrival, so a sender that was held up hides nothing; the sender's own \
                 part is among the numbers. {base}{why} All trials of a load together, {} s each.",
                self.trial_s
            ),
            table: Some(table),
        }])
    }

    /// All probes of a load, from its logs.
    fn probes(&self, load: &Load, raw: &Path) -> Result<hdrhistogram::Histogram<u64>> {
        let mut sum = hdrhistogram::Histogram::<u64>::new(3)?;
        for trial in &load.trials {
            ensure!(is_plain(&trial.log), "{:?} is no name of a log beside it", trial.log);
            sum.add(hlog::read(&raw.join(&trial.log))?)?;
        }
        ensure!(!sum.is_empty(), "the load {} has no trial", load.name(&self.base));
        Ok(sum)
    }

    fn row(&self, load: &Load, probes: u64) -> Vec<String> {
        let of = |value: fn(&Trial) -> f64| median(&load.trials.iter().map(value).collect::<Vec<f64>>());
        vec![
            load.name(&self.base),
            format!("{:.1}", of(|trial| trial.offered_pps) / 1000.0),
            probes.to_string(),
            format!("{:.1}", of(|trial| trial.p50_us)),
            format!("{:.1}", of(|trial| trial.p99_us)),
            format!("{:.1}", of(|trial| trial.p999_us)),
            format!("{:.1}", of(|trial| trial.late_p99_us)),
            format!("{:.4}", of(|trial| trial.loss) * 100.0),
        ]
    }
}

/// A file's name without a way to elsewhere.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    #[test]
    fn a_log_is_only_looked_for_beside_the_file() {
        for (name, is) in
            [("latency-50-1.hlog", true), ("../x.hlog", false), ("/x", false), ("", false), (".x", false)]
        {
            assert_eq!(is_plain(name), is, "{name}");
        }
    }

    #[test]
    fn a_load_without_a_log_is_an_error_with_the_path() {
        let trial = Trial {
            log: "none.hlog".to_owned(),
            offered_pps: 1.0,
            loss: 0.0,
            probes: 1,
            p50_us: 1.0,
            p99_us: 1.0,
            p999_us: 1.0,
            late_p99_us: 1.0,
        };
        let latency = Latency {
            system: "encap".to_owned(),
            frame_bytes: 64,
            trial_s: 1.0,
            base: "NDR".to_owned(),
            base_pps: 1000.0,
            loads: vec![Load { share: 0.5, trials: vec![trial] }],
        };
        let error = format!("{:#}", latency.figures(Path::new("/nowhere")).unwrap_err());
        assert!(error.contains("/nowhere/none.hlog"), "{error}");
        assert_eq!(latency.samples()[1].key, "latency 99 %, encap at 50 % of NDR");
    }
}
