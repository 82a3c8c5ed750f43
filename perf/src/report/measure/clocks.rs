//! Clocks against table size, with the bare loop in turn.

use super::{Conditions, Measured};
use crate::frames::Direction;
use crate::report::part::clocks::{Clocks, Row};
use anyhow::Result;

const QUICK: &[&str] = &["1", "4096", "65536"];
const FULL: &[&str] = &["1", "256", "4096", "65536", "1M", "10M"];

pub fn measure(conditions: &Conditions) -> Result<Measured> {
    let sizes = conditions.by_level(QUICK, FULL);
    let name = |direction: &str, eids: &str| {
        let order = if eids == "1" { "sequential" } else { "uniform" };
        format!("{direction}-v4-in-v4-64-{eids}-{order}")
    };
    // Those that share a table beside each other.
    let names: Vec<String> =
        sizes.iter().flat_map(|eids| ["encap", "decap"].map(|direction| name(direction, eids))).collect();
    let (runs, bursts) = conditions.by_level((7, 1024), (11, 4096));
    let report = crate::pipeline::rows(&names, runs, bursts, conditions.core)?;
    let rows = report.rows.iter().map(|row| Row {
        name: row.name().to_owned(),
        direction: if row.direction() == Direction::Encap { "encap" } else { "decap" }.to_owned(),
        eids: row.eids(),
        clocks: row.clocks().to_vec(),
        floor: row.floor().to_vec(),
    });
    let on = report.on.iter().map(|&on| on.to_owned()).collect();
    let clocks = Clocks { on, rows: rows.collect() };
    Measured::new(&clocks, clocks.samples(), Vec::new())
}
