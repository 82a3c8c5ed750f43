//! What a scenario tells: steps as they happen, figures and a verdict at the end.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::traffic::episode::Episode;
use crate::traffic::ledger::Tally;

/// One thing that was to hold.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Did it hold?
    pub ok: bool,
    /// What was seen.
    pub detail: String,
}

/// The figures of a scenario. Packets, unless the name says otherwise.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// Meant to be sent by the lab's own streams; a TCP transfer counts as one.
    pub offered: u64,
    /// Arrived, each counted once.
    pub delivered: u64,
    /// Offered and not delivered.
    pub lost: u64,
    /// Arrived again.
    pub duplicated: u64,
    /// Arrived after a later one.
    pub reordered: u64,
    /// Arrived changed.
    pub corrupted: u64,
    /// Arrived in the other group.
    pub strayed: u64,
    /// Answered by a host that was not asked.
    pub wrong_peer: u64,
    /// Sum of the absolute balance errors of the gateways at rest (design section 5).
    pub balance_error: u64,
    /// Frames of the rings that nobody has.
    pub frames_leaked: u64,
    /// Wall time of the whole scenario, seconds.
    pub duration_s: f64,
    /// LISP data packets that the witness counted in the underlay.
    pub lisp_packets: u64,
    /// LISP control messages that the witness counted there.
    pub control_packets: u64,
    /// Frames in the underlay that are neither LISP nor kernels' neighbour talk.
    pub clear_packets: u64,
    /// LISP packets with no, an unknown or another group's instance-ID.
    pub wrong_iid_packets: u64,
    /// Packets that tshark calls malformed or with a wrong checksum, of the sample it judged.
    pub malformed: u64,
    /// Size of that sample: the first packets of every step.
    pub judged_by_tshark: u64,
    /// What only this scenario has.
    #[serde(flatten)]
    pub more: BTreeMap<&'static str, Value>,
}

impl Figures {
    /// Adds a TCP transfer: one that was offered, and delivered if it is whole.
    pub fn add_transfer(&mut self, whole: bool) {
        self.offered += 1;
        self.delivered += u64::from(whole);
        self.lost += u64::from(!whole);
    }

    /// Adds the account of a stream.
    pub fn add(&mut self, tally: &Tally) {
        self.offered += tally.offered;
        self.delivered += tally.delivered;
        self.lost += tally.lost;
        self.duplicated += tally.duplicated;
        self.reordered += tally.reordered;
        self.corrupted += tally.corrupted;
        self.strayed += tally.strayed;
        self.wrong_peer += tally.wrong_peer;
    }
}

/// A whole scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    /// Its name.
    pub scenario: String,
    /// Was this its negative control, which must fail?
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub negative: bool,
    /// Did every step hold?
    pub ok: bool,
    /// The figures.
    pub figures: Figures,
    /// The steps in order.
    pub steps: Vec<Step>,
}

/// Rows under a header, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// What it is about.
    pub title: String,
    /// Column names.
    pub header: Vec<String>,
    /// Cells.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(title: &str, header: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            header: header.iter().map(|name| (*name).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = || std::iter::once(&self.header).chain(&self.rows);
        let widths: Vec<usize> = (0..self.header.len())
            .map(|column| {
                lines().filter_map(|line| line.get(column)).map(|cell| cell.len()).max().unwrap_or(0)
            })
            .collect();
        writeln!(f, "  {}", self.title)?;
        for line in lines() {
            write!(f, "   ")?;
            for (cell, &width) in line.iter().zip(&widths) {
                // Numbers to the right, words to the left.
                if cell.parse::<i64>().is_ok() {
                    write!(f, " {cell:>width$} ")?
                } else {
                    write!(f, " {cell:<width$} ")?
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Who listens while a scenario runs.
pub trait Watch {
    /// A step has ended.
    fn step(&mut self, step: &Step);
    /// A table is worth showing.
    fn table(&mut self, table: &Table);
    /// A remark for people.
    fn note(&mut self, text: &str);
    /// What became of a stream around an event; for who draws pictures.
    fn episode(&mut self, _: &Episode) {}
}

/// Listens and says nothing, for tests and machines.
#[derive(Debug, Default)]
pub struct Silent;

impl Watch for Silent {
    fn step(&mut self, _: &Step) {}
    fn table(&mut self, _: &Table) {}
    fn note(&mut self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_one_flat_object() {
        let mut figures = Figures { lost: 3, ..Figures::default() };
        figures.more.insert("mbit_s", 940.into());
        let json = serde_json::to_value(&figures).unwrap();
        assert_eq!(json["lost"], 3);
        assert_eq!(json["mbit_s"], 940);
    }

    #[test]
    fn a_table_lines_up() {
        let mut table = Table::new("ports", &["port", "rx"]);
        table.row(vec!["eid100".into(), "7".into()]);
        table.row(vec!["r".into(), "1234".into()]);
        let text = table.to_string();
        assert_eq!(text.lines().nth(2), Some("    eid100     7 "));
        assert_eq!(text.lines().nth(3), Some("    r       1234 "));
    }
}
