//! Loss against offered load: the trials of the search, and rates around what it found.

use super::{ends, median};
use crate::report::plot::axis::{Axis, number};
use crate::report::plot::chart::{Chart, GREY, Mark, RED, Series, Style};
use crate::report::plot::figure::{Figure, Table};
use crate::samples::Samples;
use serde::{Deserialize, Serialize};

/// One trial.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Frames per second that were offered.
    pub offered_pps: f64,
    /// Share of them that did not arrive, 0 to 1.
    pub loss: f64,
}

/// Trials at one rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// The rate that was asked for over the one that the search found.
    pub share: f64,
    /// In the order in which they were made.
    pub trials: Vec<Trial>,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// What was under test.
    pub system: String,
    /// Bytes of a frame, FCS included.
    pub frame_bytes: u16,
    /// Seconds of a trial.
    pub trial_s: f64,
    /// The highest rate without loss, frames per second; 0: there was none.
    pub ndr_pps: f64,
    /// The highest rate with a loss of at most 0.5 %.
    pub pdr_pps: f64,
    /// The search's trials.
    pub search: Vec<Trial>,
    /// Rates around it.
    pub sweep: Vec<Rate>,
}

/// The least loss that is told from none, percent: of a trial of 100,000 frames one.
const LEAST: f64 = 0.001;
/// What the partial drop rate may lose, percent.
const PARTIAL: f64 = 0.5;

impl Loss {
    /// Losses by rate.
    pub fn samples(&self) -> Vec<Samples> {
        let at = |rate: &Rate| {
            let key = format!("loss, {} at {:.0} %", self.system, rate.share * 100.0);
            Samples::lower(key, "share", rate.trials.iter().map(|trial| trial.loss).collect())
        };
        let rates = [("NDR", self.ndr_pps), ("PDR", self.pdr_pps)]
            .map(|(name, pps)| Samples::higher(format!("{name}, {}", self.system), "frames/s", vec![pps]));
        rates.into_iter().chain(self.sweep.iter().map(at)).collect()
    }

    /// The rates around what was found: as points, and as rows.
    fn medians(&self) -> (Series, Table) {
        let kpps = |trial: &Trial| trial.offered_pps / 1000.0;
        let percent = |trial: &Trial| trial.loss * 100.0;
        let mut medians = Series::new("median at a rate [lowest..highest]", 0, Style::Dotted, Vec::new());
        let mut table = Table::new(&["offered, kpps", "trials", "loss, %: median", "lowest", "highest"]);
        let mut sweep: Vec<&Rate> = self.sweep.iter().filter(|rate| !rate.trials.is_empty()).collect();
        sweep.sort_by(|a, b| a.share.total_cmp(&b.share));
        for rate in sweep {
            let losses: Vec<f64> = rate.trials.iter().map(percent).collect();
            let offered = median(&rate.trials.iter().map(kpps).collect::<Vec<f64>>());
            let (low, high) = ends(&losses);
            medians.points.push((offered, median(&losses)));
            medians.ranges.push((offered, low, high));
            let cells = [median(&losses), low, high].map(|loss| format!("{loss:.4}"));
            let mut row = vec![format!("{offered:.1}"), losses.len().to_string()];
            row.extend(cells);
            table.rows.push(row);
        }
        (medians, table)
    }

    /// The picture.
    pub fn figures(&self) -> Vec<Figure> {
        let kpps = |trial: &Trial| trial.offered_pps / 1000.0;
        let point = |trial: &Trial| (kpps(trial), trial.loss * 100.0);
        let (medians, table) = self.medians();
        let search =
            Series::new("trials of the search", GREY, Style::Points, self.search.iter().map(point).collect());
        let all = self.search.iter().chain(self.sweep.iter().flat_map(|rate| &rate.trials));
        let most = all.map(kpps).fold(self.pdr_pps / 1000.0, f64::max);
        let marks = [(self.ndr_pps, "NDR", 2), (self.pdr_pps, "PDR", 1)];
        let found = marks.iter().filter(|(pps, ..)| *pps > 0.0).map(|(pps, name, colour)| {
            Mark::upright(pps / 1000.0, format!("{name} {} kpps", number((pps / 1000.0).round())), *colour)
        });
        let marks = found.chain([Mark::level(PARTIAL, "0.5 %", RED)]).collect();
        let none =
            if self.ndr_pps > 0.0 { "" } else { " No rate was carried without loss here: there is no NDR." };
        vec![Figure {
            id: "loss".to_owned(),
            chart: Chart {
                title: format!("{}: loss against offered load, {}-byte frames", self.system, self.frame_bytes),
                about: "Loss in percent against the offered rate, with the rate without loss and the one with at \
                        most half a percent marked."
                    .to_owned(),
                x: Axis::linear("offered, kpps", 0.0, most * 1.03),
                y: Axis::percent("loss, % (0 at the foot, then logarithmic)", LEAST),
                series: vec![search, medians],
                marks,
            },
            caption: format!(
                "Trials of {} s each. NDR: the highest rate without loss; PDR: with at most 0.5 %; by halving (RFC 2544 \
                 section 26.1), two of three trials decide. What the port's queue refuses is lost.{none}",
                self.trial_s
            ),
            table: Some(table),
        }]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    fn loss(ndr_pps: f64) -> Loss {
        let trial = |offered_pps, loss| Trial { offered_pps, loss };
        Loss {
            system: "encap".to_owned(),
            frame_bytes: 64,
            trial_s: 2.0,
            ndr_pps,
            pdr_pps: 400_000.0,
            search: vec![trial(500_000.0, 0.2)],
            sweep: vec![Rate { share: 1.3, trials: vec![trial(450_000.0, 0.1), trial(455_000.0, 0.0)] }],
        }
    }

    #[test]
    fn ndr_and_pdr_are_marked_where_they_are() {
        let figure = &loss(340_000.0).figures()[0];
        let says: Vec<&str> = figure.chart.marks.iter().map(|mark| mark.says.as_str()).collect();
        assert_eq!(says, ["NDR 340 kpps", "PDR 400 kpps", "0.5 %"]);
        assert_eq!((figure.chart.marks[0].at, figure.chart.x.ends().1), (340.0, 515.0));
        assert_eq!(figure.chart.series[1].ranges, [(455.0, 0.0, 10.0)]);
    }

    #[test]
    fn a_rate_that_is_not_there_is_said_and_not_drawn() {
        let figure = &loss(0.0).figures()[0];
        assert!(figure.chart.marks.iter().all(|mark| !mark.says.contains("NDR")));
        assert!(figure.caption.contains("there is no NDR"));
    }
}
