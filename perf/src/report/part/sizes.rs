//! Rates against packet size, beside what links carry at most.

use super::{ends, median, spread};
use crate::report::plot::axis::{Axis, number};
use crate::report::plot::chart::{Chart, GREY, RED, Series, Style};
use crate::report::plot::figure::{Figure, Table};
use crate::samples::Samples;
use serde::{Deserialize, Serialize};

/// One size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Size {
    /// Bytes of a frame before any tunnel, FCS included.
    pub frame_bytes: u16,
    /// Frames per second that arrived at the utmost load, by trial.
    pub carried_pps: Vec<f64>,
    /// The highest rate without loss; none where it was not looked for.
    pub ndr_pps: Option<f64>,
}

/// A system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// Its name.
    pub name: String,
    /// From the smallest.
    pub sizes: Vec<Size>,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sizes {
    /// Seconds of a trial.
    pub trial_s: f64,
    /// Beside each other.
    pub systems: Vec<System>,
    /// What was wanted and has no figures, with the reason.
    pub missing: Vec<String>,
}

/// Links that are drawn: Gbit/s, and the colour.
const LINKS: [(f64, usize); 4] = [(1.0, 4), (10.0, RED), (25.0, 5), (100.0, GREY)];
/// Bytes on a wire beside a frame: preamble, start delimiter, gap between frames (IEEE 802.3).
const BESIDE_FRAME: f64 = 20.0;
/// Frame sizes of RFC 2544 section 9.1.
pub const FRAME_BYTES: [u16; 7] = [64, 128, 256, 512, 1024, 1280, 1518];

/// Frames per second that a link carries at most.
pub fn line_rate_pps(gbit_s: f64, frame_bytes: f64) -> f64 {
    gbit_s * 1e9 / ((frame_bytes + BESIDE_FRAME) * 8.0)
}

impl Sizes {
    /// Rates by system and size.
    pub fn samples(&self) -> Vec<Samples> {
        let mut all = Vec::new();
        for system in &self.systems {
            for size in &system.sizes {
                let key = format!("carried, {} at {} bytes", system.name, size.frame_bytes);
                all.push(Samples::higher(key, "frames/s", size.carried_pps.clone()));
            }
        }
        all
    }

    /// The pictures: frames, and bits.
    pub fn figures(&self) -> Vec<Figure> {
        let mut caption = format!(
            "Frames that arrived while as many were sent as go, {} s a trial: median [lowest..highest]. Line rates are \
             those of a link with 20 bytes beside every frame (10 Gbit/s: 14.88 Mpps of 64 bytes). Sizes are those of \
             the frame before any tunnel, FCS included.",
            self.trial_s
        );
        for missing in &self.missing {
            caption.push_str(&format!(" Not measured: {missing}."));
        }
        let mpps = |pps: f64, _: f64| pps / 1e6;
        let gbit = |pps: f64, bytes: f64| pps * bytes * 8.0 / 1e9;
        let frames = self.chart("Frames per second", "Mpps", mpps, true);
        let bits = self.chart("Bits per second", "Gbit/s of frames", gbit, false);
        vec![
            Figure { id: "sizes".to_owned(), chart: frames, caption, table: Some(self.table()) },
            Figure {
                id: "sizes-bits".to_owned(),
                chart: bits,
                caption: "The same in bits of the frames themselves.".to_owned(),
                table: None,
            },
        ]
    }

    fn chart(&self, title: &str, unit: &str, of: fn(f64, f64) -> f64, with_lines: bool) -> Chart {
        let mut series = Vec::new();
        for (number, system) in self.systems.iter().enumerate() {
            let colour = if number >= GREY { number + 2 } else { number };
            let mut carried =
                Series::new(format!("{}, utmost load", system.name), colour, Style::Dotted, Vec::new());
            let mut without =
                Series::new(format!("{}, NDR", system.name), colour, Style::Diamonds, Vec::new());
            for size in &system.sizes {
                let bytes = f64::from(size.frame_bytes);
                let (low, high) = ends(&size.carried_pps);
                carried.points.push((bytes, of(median(&size.carried_pps), bytes)));
                carried.ranges.push((bytes, of(low, bytes), of(high, bytes)));
                without
                    .points
                    .extend(size.ndr_pps.filter(|pps| *pps > 0.0).map(|pps| (bytes, of(pps, bytes))));
            }
            series.push(carried);
            series.extend(Some(without).filter(|without| !without.points.is_empty()));
        }
        let ys: Vec<f64> = series.iter().flat_map(|series| &series.points).map(|point| point.1).collect();
        let (least, most) = ends(&ys);
        let mut y = Axis::linear(&format!("rate, {unit}"), 0.0, most * 1.1);
        if with_lines {
            let lines = LINKS.map(|(gbit_s, colour)| {
                let at = |bytes: u16| (f64::from(bytes), line_rate_pps(gbit_s, f64::from(bytes)) / 1e6);
                let name = format!("line rate {} Gbit/s", number(gbit_s));
                Series::new(name, colour, Style::Dashed, FRAME_BYTES.map(at).to_vec())
            });
            series.extend(lines);
            y = Axis::log(&format!("rate, {unit}"), least.min(0.08), line_rate_pps(100.0, 64.0) / 1e6);
        }
        let ticks = FRAME_BYTES.map(f64::from);
        Chart {
            title: format!("{title} against packet size"),
            about: format!("{title} that each system carries, against the bytes of a frame."),
            x: Axis::log("bytes of a frame, FCS included", 60.0, 1600.0)
                .with_ticks(&ticks)
                .worded(|b| format!("{b:.0}")),
            y,
            series,
            marks: Vec::new(),
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&["system", "bytes", "carried, kpps", "NDR, kpps", "of 10 Gbit/s, %"]);
        for system in &self.systems {
            for size in &system.sizes {
                let kpps: Vec<f64> = size.carried_pps.iter().map(|pps| pps / 1000.0).collect();
                let line = line_rate_pps(10.0, f64::from(size.frame_bytes));
                table.rows.push(vec![
                    system.name.clone(),
                    size.frame_bytes.to_string(),
                    spread(&kpps, 0),
                    size.ndr_pps.map_or("not measured".to_owned(), |pps| format!("{:.0}", pps / 1000.0)),
                    format!("{:.1}", median(&size.carried_pps) / line * 100.0),
                ]);
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_rates_are_those_of_the_wire() {
        for (gbit_s, bytes, mpps) in
            [(10.0, 64.0, 14.88), (25.0, 64.0, 37.2), (100.0, 64.0, 148.8), (1.0, 1518.0, 0.0813)]
        {
            let found = line_rate_pps(gbit_s, bytes) / 1e6;
            assert!((found - mpps).abs() < mpps * 0.001, "{gbit_s} {bytes}: {found}");
        }
    }

    #[test]
    fn what_was_not_measured_is_said() {
        let size =
            Size { frame_bytes: 64, carried_pps: vec![400_000.0, 500_000.0, 450_000.0], ndr_pps: None };
        let system = System { name: "encap".to_owned(), sizes: vec![size] };
        let sizes = Sizes { trial_s: 1.0, systems: vec![system], missing: vec!["plain: no root".to_owned()] };
        let figures = sizes.figures();
        assert!(figures[0].caption.contains("Not measured: plain: no root."));
        let row = &figures[0].table.as_ref().map(|table| table.rows[0].clone()).unwrap_or_default();
        assert_eq!(row[2..4], ["450 [400..500]", "not measured"]);
        assert!(figures[0].chart.series.iter().any(|series| series.name == "line rate 25 Gbit/s"));
        assert!(figures[0].chart.series.iter().all(|series| !series.name.contains("NDR")));
    }
}
