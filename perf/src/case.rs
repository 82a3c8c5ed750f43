//! One row of the table: what is measured, under a name that says all of it.

use crate::frames::{Direction, Family};
use anyhow::{Context, Result, bail, ensure};

/// The most remote EIDs: they are counted up from 10.0.0.0, and 10.255.0.0 is ours.
pub const MOST_EIDS: u32 = 10_000_000;
/// The most remote EIDs of a row with prefixes, from the room that each length has.
pub const MOST_PREFIXES: u32 = 32_768;
/// The most remote EIDs of a row with classes: as many class rows as the default configuration has, or fewer.
pub const MOST_CLASSED: u32 = 32_768;
/// The smallest and the largest inner packet: IPv6 and UDP headers, and what a port of 1,500 bytes takes.
const SIZES: std::ops::RangeInclusive<usize> = 48..=1500;

/// How the addressed EIDs follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// In turn.
    Sequential,
    /// At random, all alike.
    Uniform,
    /// At random, the n-th with a share proportional to 1/n^1.1.
    Zipf,
}

/// What the packets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Traffic {
    /// All of one size and family, for EIDs that are in the table.
    Hits,
    /// All for EIDs that nobody has: a miss storm that goes on.
    Misses,
    /// IPv4 and IPv6 of 64, 512 and 1,400 bytes (7:4:1), one in a hundred for an EID that nobody has.
    Mixed,
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Direction.
    pub direction: Direction,
    /// Inner family (of a mixture: of its first packets).
    pub inner: Family,
    /// Outer family.
    pub outer: Family,
    /// Inner packet, bytes (of a mixture: of its first packets).
    pub size: usize,
    /// Remote EIDs.
    pub eids: u32,
    /// Which one is next.
    pub order: Order,
    /// What comes.
    pub traffic: Traffic,
    /// The EIDs are prefixes of eight lengths instead of hosts.
    pub prefixes: bool,
    /// The mapping has two equal locators, so that flows are pinned.
    pub two_locators: bool,
    /// Every EID has class rows of its own, for two classes, and every packet is of one of them.
    pub classes: bool,
    /// Beside it, another process changes the tables through the ring.
    pub updates: bool,
}

const PLAIN: Case = Case {
    direction: Direction::Encap,
    inner: Family::V4,
    outer: Family::V4,
    size: 64,
    eids: 4096,
    order: Order::Sequential,
    traffic: Traffic::Hits,
    prefixes: false,
    two_locators: false,
    classes: false,
    updates: false,
};

impl Case {
    /// The row's name; [`Case::parse`] reads it.
    pub fn name(&self) -> String {
        let direction = if self.direction == Direction::Encap { "encap" } else { "decap" };
        let outer = self.outer.name();
        let packet = match self.traffic {
            Traffic::Mixed => format!("mixed-in-{outer}"),
            _ => format!("{}-in-{outer}-{}", self.inner.name(), self.size),
        };
        let order = match self.order {
            Order::Sequential => "sequential",
            Order::Uniform => "uniform",
            Order::Zipf => "zipf",
        };
        let mut name = format!("{direction}-{packet}-{}-{order}", eids_in_words(self.eids));
        let marks = [
            (self.traffic == Traffic::Misses, "-misses"),
            (self.prefixes, "-prefixes"),
            (self.two_locators, "-2locators"),
            (self.classes, "-classes"),
            (self.updates, "-updates"),
        ];
        marks.iter().filter(|(on, _)| *on).for_each(|(_, mark)| name.push_str(mark));
        name
    }

    /// Reads a name such as `encap-v4-in-v6-64-1M-zipf-2locators`, be it listed or not.
    pub fn parse(name: &str) -> Result<Case> {
        read(name).with_context(|| format!("there is no row {name}: {GRAMMAR}; `pipeline --list` lists rows"))
    }
}

const GRAMMAR: &str = "a name is {encap|decap}-{v4|v6}-in-{v4|v6}-SIZE-EIDS-{sequential|uniform|zipf}, or \
                       {encap|decap}-mixed-in-{v4|v6}-EIDS-{sequential|uniform|zipf}, and then any of -misses, \
                       -prefixes, -2locators, -classes, -updates";

fn read(name: &str) -> Result<Case> {
    let mut words = name.split('-');
    let mut next = |what: &str| words.next().with_context(|| format!("{what} is missing"));
    let mut case = PLAIN;
    case.direction = match next("the direction")? {
        "encap" => Direction::Encap,
        "decap" => Direction::Decap,
        other => bail!("{other} is no direction"),
    };
    match next("the inner family")? {
        "mixed" => case.traffic = Traffic::Mixed,
        family => case.inner = Family::parse(family)?,
    }
    ensure!(next("the word `in`")? == "in", "the word `in` is missing");
    case.outer = Family::parse(next("the outer family")?)?;
    if case.traffic != Traffic::Mixed {
        let size = next("the size")?;
        case.size = size.parse().ok().filter(|size| SIZES.contains(size)).with_context(|| {
            format!("{size} is no size: {} to {} bytes of inner packet", SIZES.start(), SIZES.end())
        })?;
    }
    case.eids = parse_eids(next("the number of EIDs")?)?;
    case.order = match next("the order")? {
        "sequential" => Order::Sequential,
        "uniform" => Order::Uniform,
        "zipf" => Order::Zipf,
        other => bail!("{other} is no order"),
    };
    for mark in words {
        match mark {
            "misses" if case.traffic == Traffic::Hits => case.traffic = Traffic::Misses,
            "prefixes" if !case.prefixes => case.prefixes = true,
            "2locators" if !case.two_locators => case.two_locators = true,
            "classes" if !case.classes => case.classes = true,
            "updates" if !case.updates => case.updates = true,
            other => bail!("{other} is no mark, or there twice, or not for this row"),
        }
    }
    check(&case)?;
    Ok(case)
}

fn check(case: &Case) -> Result<()> {
    ensure!(!case.prefixes || case.eids <= MOST_PREFIXES, "with prefixes at most {MOST_PREFIXES} EIDs");
    ensure!(!case.prefixes || case.traffic == Traffic::Hits, "prefixes are measured with hits only");
    ensure!(
        !case.classes || (case.traffic == Traffic::Hits && !case.prefixes && case.eids <= MOST_CLASSED),
        "classes are measured with hits of at most {MOST_CLASSED} hosts"
    );
    ensure!(
        !case.updates
            || (case.traffic == Traffic::Hits && !case.prefixes && !case.two_locators && !case.classes),
        "updates are measured beside hits of hosts with one locator each"
    );
    ensure!(!case.updates || case.eids >= 1024, "with updates at least 1,024 EIDs");
    Ok(())
}

fn parse_eids(text: &str) -> Result<u32> {
    let (digits, factor) = match text.strip_suffix('M') {
        Some(millions) => (millions, 1_000_000),
        None => (text, 1),
    };
    let count = digits.parse::<u32>().ok().and_then(|n| n.checked_mul(factor));
    count
        .filter(|count| (1..=MOST_EIDS).contains(count))
        .with_context(|| format!("{text} is no number of EIDs: 1 to 10M"))
}

fn eids_in_words(eids: u32) -> String {
    if eids.is_multiple_of(1_000_000) { format!("{}M", eids / 1_000_000) } else { eids.to_string() }
}

/// The rows that are measured when nothing else is said: those with a budget that need no table of 10 M EIDs and no
/// other process, and the first of those without.
const QUICK: &[&str] = &[
    "encap-v4-in-v4-64-1-sequential",
    "encap-v4-in-v4-64-4096-sequential",
    "encap-v4-in-v4-64-1M-uniform",
    "encap-v4-in-v4-64-1M-zipf",
    "decap-v4-in-v4-64-1-sequential",
    "decap-v4-in-v4-64-4096-sequential",
    "decap-v4-in-v4-64-1M-uniform",
    "encap-v4-in-v4-64-4096-uniform-prefixes",
    "encap-v6-in-v6-64-4096-sequential",
    "encap-v4-in-v4-64-4096-sequential-2locators",
    "encap-v4-in-v4-64-4096-uniform-classes",
    "encap-v4-in-v4-64-4096-uniform-misses",
    "encap-mixed-in-v4-4096-uniform",
];

/// What else has a budget, or a question of its own.
const MORE: &[&str] = &[
    "encap-v4-in-v4-64-10M-uniform",
    "encap-v4-in-v4-64-1M-uniform-updates",
    "decap-v6-in-v6-64-4096-sequential",
    "decap-v4-in-v4-64-4096-uniform-prefixes",
    "decap-v4-in-v4-64-4096-uniform-misses",
    "decap-mixed-in-v4-4096-uniform",
    "encap-v6-in-v6-64-4096-uniform-prefixes",
    "encap-v4-in-v4-64-1M-uniform-2locators",
    "encap-v4-in-v4-64-32768-uniform-classes",
    "encap-mixed-in-v4-1M-zipf",
];

/// The rows of the quick set.
pub fn quick() -> Result<Vec<Case>> {
    QUICK.iter().map(|name| Case::parse(name)).collect()
}

/// Every row that is listed, each once, those that share a table beside each other.
pub fn all() -> Result<Vec<Case>> {
    let mut cases = quick()?;
    cases.extend(MORE.iter().map(|name| Case::parse(name)).collect::<Result<Vec<_>>>()?);
    for direction in [Direction::Encap, Direction::Decap] {
        for (inner, outer) in FAMILIES {
            let sizes = [64, 512, 1400];
            cases.extend(sizes.map(|size| Case { direction, inner, outer, size, ..PLAIN }));
        }
        for eids in [1, 4096, 1_000_000, MOST_EIDS] {
            let orders = [Order::Sequential, Order::Uniform, Order::Zipf];
            let orders = if eids == 1 { &orders[..1] } else { &orders };
            cases.extend(orders.iter().map(|order| Case { direction, eids, order: *order, ..PLAIN }));
        }
    }
    let mut once: Vec<Case> = Vec::new();
    cases.retain(|case| {
        !once.contains(case) && {
            once.push(*case);
            true
        }
    });
    cases.sort_by_key(|case| (case.updates, case.eids, case.prefixes, case.two_locators, case.classes));
    Ok(cases)
}

const FAMILIES: [(Family, Family); 4] =
    [(Family::V4, Family::V4), (Family::V6, Family::V4), (Family::V4, Family::V6), (Family::V6, Family::V6)];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    #[test]
    fn every_name_says_its_row() {
        let all = all().unwrap();
        assert!(all.len() > 40, "{}", all.len());
        for case in &all {
            assert_eq!(Case::parse(&case.name()).unwrap(), *case, "{}", case.name());
        }
        for name in QUICK.iter().chain(MORE) {
            assert_eq!(Case::parse(name).unwrap().name(), *name);
        }
    }

    #[test]
    fn wrong_names_are_refused_with_their_place() {
        for (name, says) in [
            ("", "is no direction"),
            ("encap", "the inner family is missing"),
            ("encap-v5-in-v4-64-1-uniform", "v5"),
            ("encap-v4-in-v4-20-1-uniform", "20 is no size"),
            ("encap-v4-in-v4-1501-1-uniform", "1501 is no size"),
            ("encap-v4-in-v4-64-0-uniform", "0 is no number"),
            ("encap-v4-in-v4-64-11M-uniform", "11M is no number"),
            ("encap-v4-in-v4-64-5000M-uniform", "5000M is no number"),
            ("encap-v4-in-v4-64-1-random", "random is no order"),
            ("encap-v4-in-v4-64-1-uniform-fast", "fast is no mark"),
            ("encap-v4-in-v4-64-1-uniform-misses-misses", "there twice"),
            ("encap-mixed-in-v4-1-uniform-misses", "not for this row"),
            ("encap-v4-in-v4-64-1M-uniform-prefixes", "at most 32768"),
            ("encap-v4-in-v4-64-1M-uniform-misses-updates", "beside hits"),
            ("encap-v4-in-v4-64-1M-uniform-classes", "at most 32768"),
            ("encap-v4-in-v4-64-4096-uniform-classes-updates", "beside hits"),
        ] {
            let error = format!("{:#}", Case::parse(name).unwrap_err());
            assert!(error.contains(says) && error.contains("--list"), "{name}: {error}");
        }
    }
}
