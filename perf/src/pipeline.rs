//! `sterna-perf pipeline`: the forwarding code alone, as design section 11 wants it measured.

use crate::bench::{Bench, Under};
use crate::budget::Budget;
use crate::case::{self, Case};
use crate::changes::Changes;
use crate::clocks::{Clocks, Runs, Spread};
use crate::floor::Floor;
use crate::machine::Machine;
use crate::packets::CYCLE;
use crate::row::{Report, Row, UnderChange};
use crate::samples::Samples;
use crate::site::{self, Plan, Site};
use anyhow::{Context, Result, ensure};
use std::io::Write;
use sterna_config::Config;
use sterna_lab::interrupt;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Rows by name, several by commas; also such as are not listed.
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with_all = ["quick", "all", "list"])]
    row: Vec<String>,
    /// The rows with a budget that take seconds; what is measured when nothing else is said.
    #[arg(long, conflicts_with_all = ["all", "list"])]
    quick: bool,
    /// Every listed row; takes minutes, and 3 GB of memory for 10 M EIDs.
    #[arg(long, conflicts_with = "list")]
    all: bool,
    /// Lists the rows.
    #[arg(long)]
    list: bool,
    /// Runs the bare loop beside each row and gives the ratio.
    #[arg(long)]
    floor: bool,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Runs per row; the median is reported, with the lowest and the highest.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(5..=101))]
    runs: u16,
    /// Bursts of 64 packets per run.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1024..=1_000_000))]
    bursts: u32,
    /// Pairs of runs, one beside updates and one without, of rows with updates.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(10..=101))]
    pairs: u16,
    /// Updates per second of rows with updates.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    update_rate: u64,
    /// The core to measure on.
    #[arg(long, default_value_t = 1)]
    core: usize,
}

/// How many times longer a run beside updates is: so long that many batches fall into each.
const UPDATES_LONGER: usize = 8;

/// Measures and prints.
pub fn run(options: &Options) -> Result<()> {
    if options.list {
        return list();
    }
    let cases = chosen(options)?;
    let report = measure_all(options, &cases)?;
    let mut out = std::io::stdout().lock();
    if options.json {
        writeln!(out, "{}", serde_json::to_string(&Told { samples: report.samples(), report })?)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(())
}

/// As JSON has it.
#[derive(serde::Serialize)]
struct Told {
    #[serde(flatten)]
    report: Report,
    /// For `sterna-perf diff`.
    samples: Vec<Samples>,
}

/// Measures rows by name, each so often, with the bare loop in turn.
pub fn rows(names: &[String], runs: u16, bursts: u32, core: usize) -> Result<Report> {
    let options = Options { runs, bursts, ..plain(core) };
    let cases = names.iter().map(|name| Case::parse(name)).collect::<Result<Vec<Case>>>()?;
    measure_all(&options, &cases)
}

/// Measures the quick rows on a core, with the bare loop beside them.
pub fn quick(core: usize) -> Result<Report> {
    measure_all(&plain(core), &case::quick()?)
}

fn plain(core: usize) -> Options {
    Options {
        row: Vec::new(),
        quick: true,
        all: false,
        list: false,
        floor: true,
        json: false,
        runs: 5,
        bursts: 4096,
        pairs: 10,
        update_rate: 1_000_000,
        core,
    }
}

fn chosen(options: &Options) -> Result<Vec<Case>> {
    match (options.all, options.row.is_empty()) {
        (true, _) => case::all(),
        (false, true) => case::quick(),
        (false, false) => options.row.iter().map(|name| Case::parse(name)).collect(),
    }
}

fn list() -> Result<()> {
    let quick = case::quick()?;
    let mut out = std::io::stdout().lock();
    for case in case::all()? {
        let mark = if quick.contains(&case) { "quick" } else { "" };
        let budget = Budget::of(&case).map_or_else(String::new, |budget| budget.to_string());
        writeln!(out, "{:46} {mark:6} {budget}", case.name())?;
    }
    Ok(())
}

fn measure_all(options: &Options, cases: &[Case]) -> Result<Report> {
    let machine = Machine::read();
    pin(options.core, &machine)?;
    let config = default_config()?;
    let (mut rows, mut site, mut floor) = (Vec::new(), None, None);
    for case in cases {
        rows.push(
            measure(options, &config, &machine, case, &mut site, &mut floor).with_context(|| case.name())?,
        );
    }
    Ok(Report { machine, runs: options.runs, rows, on: crate::row::ON })
}

fn pin(core: usize, machine: &Machine) -> Result<()> {
    ensure!(core < machine.cores, "there is no core {core}: 0 to {}", machine.cores - 1);
    let pinned = core_affinity::set_for_current(core_affinity::CoreId { id: core });
    ensure!(pinned, "core {core} may not be used here: choose another by --core");
    Ok(())
}

/// The configuration that a file without a `[dataplane]` table has.
pub fn default_config() -> Result<Config> {
    const FILE: &str = r#"
[gateway]
name = "perf"
[[port]]
name = "mem0"
side = "eid"
[[port]]
name = "mem1"
side = "rloc"
[[rloc]]
address = "192.0.2.1"
[[group]]
iid = 100
name = "measured"
port = "mem0"
gateway = ["10.255.0.1/16"]
eids = ["10.255.0.0/24"]
"#;
    let config = sterna_config::parse(FILE, "perf.toml").map_err(|report| {
        anyhow::anyhow!(
            "the built-in configuration is refused:\n{}",
            report.render(sterna_config::Look::PLAIN)
        )
    })?;
    Ok((*config).clone())
}

/// Tables, kept from one row to the next that needs the same.
type Kept = Option<(Plan, Site)>;

fn measure(
    options: &Options,
    config: &Config,
    machine: &Machine,
    case: &Case,
    kept: &mut Kept,
    floor: &mut Option<Floor>,
) -> Result<Row> {
    let plan = Plan::of(case);
    // The old one goes first: two tables of 10 M EIDs need not fit.
    let (plan, site) = match kept.take() {
        Some((old, site)) if old == plan => (old, site),
        other => {
            drop(other);
            (plan, site::build(config, plan)?)
        }
    };
    if options.floor && floor.as_ref().is_none_or(|floor| floor.eids() != case.eids) {
        *floor = None;
        *floor = Some(Floor::new(case.eids, config.dataplane.frames as usize));
    }
    let mut floor = floor.as_mut().filter(|_| options.floor);
    let bytes = plan.bytes_per_eid(&site, config);
    if case.updates {
        return changed(options, config, machine, case, site, floor, bytes);
    }
    let under = Under { tables: &site.tables, view: &site.view, blocks: &site.blocks };
    let mut bench = Bench::new(*case, config, under, CYCLE)?;
    let bursts = options.bursts as usize;
    bench.measure(bursts)?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        interrupt::check()?;
        ours.push(bench.measure(bursts)?);
        if let Some(floor) = &mut floor {
            bare.push(floor.measure(bursts, case.order)?);
        }
    }
    bench.close()?;
    *kept = Some((plan, site));
    Ok(Row::new(case, machine, Runs::of(&ours)?, Runs::of(&bare).ok(), bytes, None))
}

/// A row beside updates.
fn changed(
    options: &Options,
    config: &Config,
    machine: &Machine,
    case: &Case,
    site: Site,
    floor: Option<&mut Floor>,
    bytes: f64,
) -> Result<Row> {
    let pairs = in_pairs(options, config, machine, case, site, floor)?;
    let slowdown = |of: fn(&Clocks) -> f64| {
        let both = pairs.with.iter().zip(&pairs.without);
        Spread::of(both.map(|(with, without)| of(with) / of(without)).collect())
    };
    let under = UnderChange {
        asked_per_s: options.update_rate,
        per_s: Spread::of(pairs.rates.clone())?,
        pairs: options.pairs,
        clocks_without: Runs::of(&pairs.without)?.mean,
        slowdown: slowdown(|run| run.mean)?,
        typical_slowdown: slowdown(|run| run.typical)?,
        entries_verified: pairs.entries_verified,
    };
    Ok(Row::new(case, machine, Runs::of(&pairs.with)?, Runs::of(&pairs.bare).ok(), bytes, Some(under)))
}

/// Runs beside updates, each with its neighbour without.
#[derive(Debug, Default)]
pub struct Pairs {
    /// Beside updates.
    pub with: Vec<Clocks>,
    /// Without.
    pub without: Vec<Clocks>,
    /// The bare loop.
    pub bare: Vec<Clocks>,
    /// Updates per second that were in use when each round ended.
    pub rates: Vec<f64>,
    /// Entries that were read back and compared.
    pub entries_verified: u64,
}

/// Runs of a row in pairs, at a rate of updates.
pub fn beside_updates(name: &str, rate: u64, pairs: u16, bursts: u32, core: usize) -> Result<Pairs> {
    let options = Options { update_rate: rate, pairs, bursts, ..plain(core) };
    let (machine, config, case) = (Machine::read(), default_config()?, Case::parse(name)?);
    ensure!(case.updates, "{name} is no row with updates");
    pin(core, &machine)?;
    let site = site::build(&config, Plan::of(&case))?;
    in_pairs(&options, &config, &machine, &case, site, None)
}

/// Pairs of runs, one with updates and one without, which one first in turn.
fn in_pairs(
    options: &Options,
    config: &Config,
    machine: &Machine,
    case: &Case,
    site: Site,
    mut floor: Option<&mut Floor>,
) -> Result<Pairs> {
    let Site { applier, tables, counters, view, blocks } = site;
    let beside = (options.core + 1) % machine.cores;
    ensure!(beside != options.core, "updates from another process need a second core");
    let mut changes = Changes::start(case, applier, &tables, counters, beside, options.update_rate)?;
    let mut bench =
        Bench::new(*case, config, Under { tables: &tables, view: &view, blocks: &blocks }, CYCLE)?;
    let bursts = options.bursts as usize * UPDATES_LONGER;
    bench.measure(bursts)?;
    let mut pairs = Pairs::default();
    for pair in 0..options.pairs {
        interrupt::check()?;
        let mut calm = if pair % 2 == 0 { Some(bench.measure(bursts)?) } else { None };
        changes.go()?;
        let busy = bench.measure(bursts)?;
        let round = changes.pause()?;
        let calm = match calm.take() {
            Some(calm) => calm,
            None => bench.measure(bursts)?,
        };
        if let Some(floor) = &mut floor {
            pairs.bare.push(floor.measure(bursts, case.order)?);
        }
        pairs.rates.push(round.changes as f64 / round.seconds);
        pairs.with.push(busy);
        pairs.without.push(calm);
    }
    bench.close()?;
    pairs.entries_verified = changes.verify()?;
    Ok(pairs)
}
