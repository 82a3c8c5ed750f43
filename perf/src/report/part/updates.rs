//! What updates of the tables do to the time that a burst of packets takes.

use super::{ends, median, spread};
use crate::report::plot::axis::Axis;
use crate::report::plot::chart::{Chart, Series, Style};
use crate::report::plot::figure::{Figure, Table};
use crate::samples::Samples;
use serde::{Deserialize, Serialize};

/// Times of bursts in one run, us.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Updates per second that were in use when the run ended; 0 without.
    pub per_s: f64,
    /// The middle burst's.
    pub p50_us: f64,
    /// 99 of 100 bursts took at most this.
    pub p99_us: f64,
    /// 999 of 1,000 bursts took at most this.
    pub p999_us: f64,
    /// Clocks per packet.
    pub clocks: f64,
}

/// Runs at one rate, in pairs: one with updates and one without.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Updates per second that were asked for.
    pub asked_per_s: u64,
    /// Beside updates.
    pub with: Vec<Run>,
    /// The neighbours without.
    pub without: Vec<Run>,
    /// Entries that were read back and compared at the end.
    pub entries_verified: u64,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Updates {
    /// The pipeline's row.
    pub row: String,
    /// Packets of a burst.
    pub burst: u32,
    /// From the lowest.
    pub rates: Vec<Rate>,
}

impl Updates {
    /// Times by rate, and over those without.
    pub fn samples(&self) -> Vec<Samples> {
        let each = self.rates.iter().flat_map(|Rate { asked_per_s, with, without, .. }| {
            let of = |runs: &[Run], value: fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
            let slowed = Samples::ratio(
                format!("clocks beside {asked_per_s} updates/s over those without"),
                &of(with, |run| run.clocks),
                &of(without, |run| run.clocks),
            );
            let p99 = of(with, |run| run.p99_us);
            [slowed, Samples::lower(format!("burst 99 %, beside {asked_per_s} updates/s"), "us", p99)]
        });
        each.collect()
    }

    /// The picture.
    pub fn figures(&self) -> Vec<Figure> {
        let series = [
            self.series("50 % of bursts", 2, |run| run.p50_us),
            self.series("99 %", 0, |run| run.p99_us),
            self.series("99.9 %", 1, |run| run.p999_us),
        ];
        let values = || series.iter().flat_map(|series| &series.points);
        let highs = series.iter().flat_map(|series| &series.ranges).flat_map(|range| [range.1, range.2]);
        let all: Vec<f64> = highs.chain(values().map(|point| point.1)).filter(|value| *value > 0.0).collect();
        let (least, most) = ends(&all);
        let fastest = values().map(|point| point.0).fold(0.0, f64::max);
        vec![Figure {
            id: "updates".to_owned(),
            chart: Chart {
                title: format!("Time of a burst of {} packets beside updates of the tables", self.burst),
                about: "Percentiles of the time that a burst of packets takes, against the updates per second that \
                        another process makes meanwhile."
                    .to_owned(),
                x: Axis::linear("updates per second in use", 0.0, fastest * 1.05),
                y: Axis::log("time of a burst, us", least, most),
                series: series.to_vec(),
                marks: Vec::new(),
            },
            caption: format!(
                "Row {}: encapsulation while another process changes the tables through the ring: half of it locators, a \
                 quarter inserts, a quarter deletes. Runs with and without in turn; at 0 those without. The tables were \
                 read back and compared. What the hypervisor or another process took is in the far percentiles.",
                self.row
            ),
            table: Some(self.table()),
        }]
    }

    /// Medians over runs; those without updates together are one point.
    fn series(&self, name: &str, colour: usize, of: fn(&Run) -> f64) -> Series {
        let mut series = Series::new(name, colour, Style::Dotted, Vec::new());
        let calm: Vec<&Run> = self.rates.iter().flat_map(|rate| &rate.without).collect();
        let groups = std::iter::once(calm).chain(self.rates.iter().map(|rate| rate.with.iter().collect()));
        for runs in groups.filter(|runs| !runs.is_empty()) {
            let per_s = median(&runs.iter().map(|run| run.per_s).collect::<Vec<f64>>());
            let values: Vec<f64> = runs.iter().map(|run| of(run)).collect();
            let (low, high) = ends(&values);
            series.points.push((per_s, median(&values)));
            series.ranges.push((per_s, low, high));
        }
        series.points.sort_by(|a, b| a.0.total_cmp(&b.0));
        series
    }

    fn table(&self) -> Table {
        let heads =
            ["asked/s", "in use/s", "50 %, us", "99 %, us", "99.9 %, us", "slower, %", "entries verified"];
        let mut table = Table::new(&heads);
        for rate in &self.rates {
            let of = |value: fn(&Run) -> f64| rate.with.iter().map(value).collect::<Vec<f64>>();
            let clocks = |runs: &[Run]| runs.iter().map(|run| run.clocks).collect::<Vec<f64>>();
            let ratios = Samples::ratio("", &clocks(&rate.with), &clocks(&rate.without)).values;
            let slower: Vec<f64> = ratios.iter().map(|ratio| (ratio - 1.0) * 100.0).collect();
            table.rows.push(vec![
                rate.asked_per_s.to_string(),
                format!("{:.0}", median(&of(|run| run.per_s))),
                spread(&of(|run| run.p50_us), 2),
                spread(&of(|run| run.p99_us), 2),
                spread(&of(|run| run.p999_us), 2),
                spread(&slower, 1),
                rate.entries_verified.to_string(),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_without_updates_are_one_point_at_nothing() {
        let run = |per_s, clocks| Run { per_s, p50_us: 10.0, p99_us: clocks, p999_us: 40.0, clocks };
        let rate = |asked_per_s, with| Rate {
            asked_per_s,
            with: vec![run(with, 120.0), run(with, 132.0)],
            without: vec![run(0.0, 100.0), run(0.0, 110.0)],
            entries_verified: 5,
        };
        let updates = Updates {
            row: "row".to_owned(),
            burst: 64,
            rates: vec![rate(1000, 990.0), rate(100_000, 90_000.0)],
        };
        let figure = &updates.figures()[0];
        let at: Vec<f64> = figure.chart.series[1].points.iter().map(|point| point.0).collect();
        assert_eq!(at, [0.0, 990.0, 90_000.0]);
        let slowed = &updates.samples()[0];
        assert!(slowed.carries && slowed.values.iter().all(|ratio| (ratio - 1.2).abs() < 1e-9), "{slowed:?}");
    }
}
