//! What a row came to, and how it is shown.

use crate::budget::Budget;
use crate::case::{Case, Order, Traffic};
use crate::clocks::{Runs, Spread};
use crate::frames::{Direction, Family};
use crate::machine::Machine;
use crate::samples::Samples;
use serde::Serialize;
use std::fmt;

/// What was on in every row.
pub const ON: &[&str] = &[
    "tables through the shared-memory ring",
    "default configuration",
    "counters per port settled per burst",
    "VLAN parsing",
    "inner and outer checksum verification",
    "source check on either side",
    "longest-prefix match",
    "MTU check",
    "MSS clamp",
    "TTL and ECN rules",
    "flow pinning (idle with one locator)",
    "epoch entered per burst",
    "held packets looked at every millisecond",
    "frames on huge pages where the kernel gives them (MADV_HUGEPAGE)",
    "1 % of outputs compared with an independent encoder",
    "counters balanced",
];

/// What updates beside it came to.
#[derive(Clone, Debug, Serialize)]
pub struct UnderChange {
    /// Updates per second that were wanted.
    pub asked_per_s: u64,
    /// Updates per second that were in use when the round ended.
    pub per_s: Spread,
    /// Pairs of runs.
    pub pairs: u16,
    /// Clocks per packet of the runs without updates.
    pub clocks_without: Spread,
    /// Clocks with updates over those without, pair by pair.
    pub slowdown: Spread,
    /// The same of typical bursts.
    pub typical_slowdown: Spread,
    /// Entries that were read back and compared at the end.
    pub entries_verified: u64,
}

/// The most by which updates may slow forwarding.
const SLOWDOWN_BUDGET: f64 = 1.05;
/// What counts as the rate that was asked for.
const RATE_KEPT: f64 = 0.98;

impl UnderChange {
    fn is_met(&self) -> bool {
        self.slowdown.median <= SLOWDOWN_BUDGET && self.per_s.median >= RATE_KEPT * self.asked_per_s as f64
    }
}

/// Bytes that an EID may take: with a shared locator set, and with class rows of its own.
const BYTES_SHARED: f64 = 100.0;
const BYTES_CLASSED: f64 = 256.0;

/// One row of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    name: String,
    direction: Direction,
    inner: Family,
    outer: Family,
    size: usize,
    eids: u32,
    order: Order,
    traffic: Traffic,
    prefix_lengths: u8,
    locators: u8,
    /// Context classes that every EID has rows for.
    classes: u8,
    clocks_per_packet: Spread,
    /// Of each run's middle burst.
    typical_clocks: Spread,
    ns_per_packet: f64,
    mpps: f64,
    bytes_per_eid: f64,
    /// Design section 11: with a shared locator set; with class rows of its own.
    bytes_budget: f64,
    floor_clocks: Option<Spread>,
    over_floor: Option<f64>,
    typical_over_floor: Option<f64>,
    updates: Option<UnderChange>,
    budget: Option<Budget>,
    budget_met: Option<bool>,
}

impl Row {
    /// From what was measured.
    pub fn new(
        case: &Case,
        machine: &Machine,
        ours: Runs,
        floor: Option<Runs>,
        bytes_per_eid: f64,
        updates: Option<UnderChange>,
    ) -> Row {
        let Runs { mean: clocks, typical } = ours;
        let ns = clocks.median / machine.clocks_per_ns;
        let over_floor = floor.as_ref().map(|floor| clocks.median / floor.mean.median);
        let budget = Budget::of(case);
        let met = match &updates {
            Some(updates) => Some(updates.is_met()),
            None => budget.and_then(|budget| budget.is_met(clocks.median, over_floor)),
        };
        Row {
            name: case.name(),
            direction: case.direction,
            inner: case.inner,
            outer: case.outer,
            size: case.size,
            eids: case.eids,
            order: case.order,
            traffic: case.traffic,
            prefix_lengths: if case.prefixes { 8 } else { 1 },
            locators: if case.two_locators { 2 } else { 1 },
            classes: if case.classes { 2 } else { 0 },
            clocks_per_packet: clocks,
            ns_per_packet: ns,
            mpps: 1000.0 / ns,
            typical_over_floor: floor.as_ref().map(|floor| typical.median / floor.typical.median),
            typical_clocks: typical,
            floor_clocks: floor.map(|floor| floor.mean),
            bytes_per_eid,
            bytes_budget: if case.classes { BYTES_CLASSED } else { BYTES_SHARED },
            over_floor,
            updates,
            budget,
            budget_met: met,
        }
    }
}

impl Row {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Remote EIDs in the table.
    pub fn eids(&self) -> u32 {
        self.eids
    }

    /// Which way.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Clocks per packet of each run.
    pub fn clocks(&self) -> &[f64] {
        &self.clocks_per_packet.samples
    }

    /// The bare loop's clocks of each run, in turn with ours; none where it was not run.
    pub fn floor(&self) -> &[f64] {
        self.floor_clocks.as_ref().map_or(&[], |floor| &floor.samples)
    }
}

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// On which machine.
    pub machine: Machine,
    /// Runs per row.
    pub runs: u16,
    /// The rows.
    pub rows: Vec<Row>,
    /// What was on.
    pub on: &'static [&'static str],
}

impl Report {
    /// Each run's values, for who compares reports.
    pub fn samples(&self) -> Vec<Samples> {
        let each = self.rows.iter().flat_map(|row| {
            let ours = Samples::lower(format!("clocks, {}", row.name), "clocks", row.clocks().to_vec());
            let ratio = Samples::ratio(format!("clocks over floor, {}", row.name), row.clocks(), row.floor());
            let slowed = row.updates.as_ref().map(|updates| Samples {
                values: updates.slowdown.samples.clone(),
                ..Samples::ratio(format!("clocks beside updates over those without, {}", row.name), &[], &[])
            });
            [Some(ours), Some(ratio).filter(|ratio| !ratio.values.is_empty()), slowed]
        });
        each.flatten().collect()
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.over_floor {
            Some(ratio) => write!(f, "<= {ratio} x floor ({} clocks)", self.clocks),
            None => write!(f, "<= {} clocks", self.clocks),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        writeln!(
            f,
            "median of {} runs [lowest..highest]; typical: the middle burst of each; no kernel I/O; B/EID: bytes \
             of the tables per EID (budget {BYTES_SHARED:.0}, with class rows {BYTES_CLASSED:.0}; ! beyond it)",
            self.runs
        )?;
        writeln!(
            f,
            "{:<44} {:>23} {:>7} {:>7} {:>7} {:>8} {:>7} {:>7} {:>5}  budget",
            "row", "clocks per packet", "ns", "Mpps", "floor", "x floor", "typical", "x floor", "B/EID"
        )?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        writeln!(f, "on: {}", self.on.join("; "))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clocks = &self.clocks_per_packet;
        let or_dash =
            |v: Option<f64>, digits: usize| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.digits$}"));
        write!(
            f,
            "{:<44} {:>23} {:>7.1} {:>7.2} {:>7} {:>8} {:>7.1} {:>7} {:>4.0}{}  ",
            self.name,
            format!("{:.1} [{:.1}..{:.1}]", clocks.median, clocks.lowest, clocks.highest),
            self.ns_per_packet,
            self.mpps,
            or_dash(self.floor_clocks.as_ref().map(|floor| floor.median), 1),
            or_dash(self.over_floor, 2),
            self.typical_clocks.median,
            or_dash(self.typical_over_floor, 2),
            self.bytes_per_eid,
            if self.bytes_per_eid <= self.bytes_budget { ' ' } else { '!' },
        )?;
        let verdict = match self.budget_met {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "not judged",
        };
        match (&self.updates, &self.budget) {
            (Some(updates), _) => write!(f, "<= 5 % slower: {verdict}\n    {updates}"),
            (None, Some(budget)) => write!(f, "{budget}: {verdict}"),
            (None, None) => write!(f, "-"),
        }
    }
}

impl fmt::Display for UnderChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |ratio: f64| (ratio - 1.0) * 100.0;
        let Spread { median, lowest, highest, .. } = &self.slowdown;
        write!(
            f,
            "beside {:.0} updates/s (asked {}): {:+.1} % [{:+.1}..{:+.1}] over {} pairs (typical burst \
             {:+.1} %), {:.1} clocks without; {} entries verified",
            self.per_s.median,
            self.asked_per_s,
            percent(*median),
            percent(*lowest),
            percent(*highest),
            self.pairs,
            percent(self.typical_slowdown.median),
            self.clocks_without.median,
            self.entries_verified,
        )
    }
}
