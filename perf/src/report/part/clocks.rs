//! Clocks per packet against table size, beside the bare loop and VPP's published figures.

use super::{ends, median, spread};
use crate::report::plot::axis::Axis;
use crate::report::plot::chart::{Chart, Series, Style};
use crate::report::plot::figure::{Figure, Table};
use crate::samples::Samples;
use serde::{Deserialize, Serialize};

/// One row of the pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// As `sterna-perf pipeline --row` takes it.
    pub name: String,
    /// `encap` or `decap`.
    pub direction: String,
    /// Remote EIDs.
    pub eids: u32,
    /// Clocks per packet of each run.
    pub clocks: Vec<f64>,
    /// The bare loop's, run by run in turn with ours; empty where there was none.
    pub floor: Vec<f64>,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clocks {
    /// What was on in every row.
    pub on: Vec<String>,
    /// By size.
    pub rows: Vec<Row>,
}

/// What VPP's LISP takes, from design section 11: direction, EIDs (for decapsulation: sources), clocks per packet.
/// Measured with VPP 26.10-rc0 on a machine with two processors (AMD EPYC, TSC 2.6 GHz), 64-byte IPv4 packets, one core,
/// the graph nodes' clocks without packet generator. At a million EIDs its memory did not suffice.
const VPP: [(&str, f64, f64); 3] = [("encap", 1.0, 165.0), ("encap", 4096.0, 189.0), ("decap", 1.0, 290.0)];
/// Where the figures are from, for the picture.
const VPP_SOURCE: &str = "VPP 26.10-rc0's figures are published ones from another machine (2 vCPU AMD EPYC, TSC 2.6 GHz; \
                          1 and 4,096 EIDs; out of memory at a million), for orientation alone";

impl Clocks {
    /// Clocks by row, and over the bare loop's.
    pub fn samples(&self) -> Vec<Samples> {
        let both = self.rows.iter().flat_map(|Row { name, clocks, floor, .. }| {
            let ours = Samples::lower(format!("clocks, {name}"), "clocks", clocks.clone());
            let ratio = Samples::ratio(format!("clocks over floor, {name}"), clocks, floor);
            [Some(ours), (!floor.is_empty()).then_some(ratio)]
        });
        both.flatten().collect()
    }

    /// The picture.
    pub fn figures(&self) -> Vec<Figure> {
        let mut series = vec![
            self.series("encapsulation", 0, "encap", |row| &row.clocks),
            self.series("decapsulation", 1, "decap", |row| &row.clocks),
            self.series("bare loop (floor), in turn with encapsulation", 2, "encap", |row| &row.floor),
        ];
        series.retain(|series| !series.points.is_empty());
        for (name, colour, direction) in [
            ("VPP encapsulation, another machine", 5, "encap"),
            ("VPP decapsulation, another machine", 3, "decap"),
        ] {
            let points =
                VPP.iter().filter(|(of, ..)| *of == direction).map(|(_, eids, clocks)| (*eids, *clocks));
            series.push(Series::new(name, colour, Style::Diamonds, points.collect()));
        }
        let points = || series.iter().flat_map(|series| &series.points);
        let most_eids = points().map(|point| point.0).fold(10_000.0, f64::max);
        let ranges = series.iter().flat_map(|series| &series.ranges).map(|range| range.2);
        let most = ranges.fold(points().map(|point| point.1).fold(0.0, f64::max), f64::max);
        vec![Figure {
            id: "clocks".to_owned(),
            chart: Chart {
                title: "Clocks per packet against table size, 64-byte IPv4 in IPv4".to_owned(),
                about: "Clocks per packet against the number of remote EIDs in the table, with the bare loop and the \
                        published figures of VPP."
                    .to_owned(),
                x: Axis::log("remote EIDs in the table", 1.0, most_eids),
                y: Axis::linear("clocks per packet", 0.0, most * 1.05),
                series,
                marks: Vec::new(),
            },
            caption: format!(
                "TSC clocks from the frame in the receive vector to the finished frame in the transmit vector, no kernel \
                 I/O; uniformly random EIDs (one EID: in turn). {VPP_SOURCE}. Clocks of one machine do not carry to \
                 another; times floor do."
            ),
            table: Some(self.table()),
        }]
    }

    fn series(&self, name: &str, colour: usize, direction: &str, of: fn(&Row) -> &Vec<f64>) -> Series {
        let mut rows: Vec<&Row> =
            self.rows.iter().filter(|row| row.direction == direction && !of(row).is_empty()).collect();
        rows.sort_by_key(|row| row.eids);
        let mut series = Series::new(name, colour, Style::Dotted, Vec::new());
        for row in rows {
            let (eids, (low, high)) = (f64::from(row.eids), ends(of(row)));
            series.points.push((eids, median(of(row))));
            series.ranges.push((eids, low, high));
        }
        series
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&["row", "EIDs", "clocks per packet", "floor", "times floor"]);
        for row in &self.rows {
            let (floor, ratio) = match row.floor.is_empty() {
                true => ("not measured".to_owned(), "not measured".to_owned()),
                false => {
                    let ratios = Samples::ratio("", &row.clocks, &row.floor).values;
                    (spread(&row.floor, 1), spread(&ratios, 2))
                }
            };
            table.rows.push(vec![
                row.name.clone(),
                row.eids.to_string(),
                spread(&row.clocks, 1),
                floor,
                ratio,
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    #[test]
    fn runs_in_turn_give_ratios_and_vpp_is_said_to_be_elsewhere() {
        let row = Row {
            name: "encap-v4-in-v4-64-4096-uniform".to_owned(),
            direction: "encap".to_owned(),
            eids: 4096,
            clocks: vec![200.0, 400.0],
            floor: vec![50.0, 100.0],
        };
        let without = Row { floor: Vec::new(), direction: "decap".to_owned(), ..row.clone() };
        let clocks = Clocks { on: Vec::new(), rows: vec![row, without] };
        let samples = clocks.samples();
        assert_eq!((samples.len(), &samples[1].values), (3, &vec![4.0, 4.0]));
        assert!(samples[1].carries && !samples[0].carries);
        let figure = &clocks.figures()[0];
        assert!(figure.caption.contains("another machine"));
        let vpp = figure.chart.series.iter().find(|series| series.name.starts_with("VPP encap")).unwrap();
        assert_eq!(vpp.points, [(1.0, 165.0), (4096.0, 189.0)]);
        assert_eq!(figure.table.as_ref().unwrap().rows[1][3], "not measured");
    }
}
