//! `sterna-perf pipeline`: the forwarding code alone, as design section 11 wants it measured.

use crate::bench::{Bench, Case};
use crate::floor::Floor;
use crate::frames::{Direction, Family};
use crate::machine::Machine;
use crate::site;
use anyhow::{Context, Result};
use serde::Serialize;
use sterna_config::Config;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Runs the bare loop beside each case and gives the ratio.
    #[arg(long)]
    floor: bool,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Inner family.
    #[arg(long, value_enum, default_value = "v4")]
    inner: Family,
    /// Outer family.
    #[arg(long, value_enum, default_value = "v4")]
    outer: Family,
    /// Inner packet in bytes, its IP header included.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(48..=1500))]
    size: u16,
    /// Remote EIDs, each a case (several by commas).
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4096, 1_000_000],
        value_parser = clap::value_parser!(u32).range(1..=8_000_000))]
    eids: Vec<u32>,
    /// Runs per case; the median is reported, with the lowest and the highest.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(5..=101))]
    runs: u16,
    /// Bursts of 64 packets per run.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1024..=1_000_000))]
    bursts: u32,
    /// The core to measure on.
    #[arg(long, default_value_t = 1)]
    core: usize,
}

/// What was on while measuring.
const FEATURES: &[&str] = &[
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
    "flow pinning (idle: one locator)",
    "epoch entered per burst",
    "1 % of outputs compared with an independent encoder",
    "counters balanced",
];

#[derive(Serialize)]
struct Row {
    direction: Direction,
    inner: Family,
    outer: Family,
    size: usize,
    eids: u32,
    order: &'static str,
    clocks_per_packet: f64,
    clocks_lowest: f64,
    clocks_highest: f64,
    ns_per_packet: f64,
    mpps: f64,
    bytes_per_eid: f64,
    floor_clocks: Option<f64>,
    over_floor: Option<f64>,
}

#[derive(Serialize)]
struct Report {
    machine: Machine,
    runs: u16,
    rows: Vec<Row>,
    features: &'static [&'static str],
}

/// Measures and prints.
pub fn run(options: &Options) -> Result<()> {
    if !core_affinity::set_for_current(core_affinity::CoreId { id: options.core }) {
        eprintln!(
            "sterna-perf: core {} is not to be had; measuring wherever the kernel puts us",
            options.core
        );
    }
    let config = default_config()?;
    let machine = Machine::read();
    let mut rows = Vec::new();
    for direction in [Direction::Encap, Direction::Decap] {
        for &eids in &options.eids {
            for random in [false, true] {
                // One EID has one order.
                if eids > 1 || !random {
                    let case = Case {
                        direction,
                        inner: options.inner,
                        outer: options.outer,
                        size: usize::from(options.size),
                        eids,
                        random,
                    };
                    rows.push(measure(options, &config, &machine, case)?);
                }
            }
        }
    }
    let report = Report { machine, runs: options.runs, rows, features: FEATURES };
    print(options, &report)
}

/// The configuration that a file without a `[dataplane]` table has.
fn default_config() -> Result<Config> {
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

fn measure(options: &Options, config: &Config, machine: &Machine, case: Case) -> Result<Row> {
    let site = site::build(config, case.eids, case.inner, case.outer)?;
    let blocks =
        (0..2).map(|at| site.counters.block(at)).collect::<Option<Vec<_>>>().context("no counters")?;
    let bursts = options.bursts as usize;
    let mut bench = Bench::new(case, config, &site, blocks)?;
    let mut floor = options.floor.then(|| Floor::new(case.eids, config.dataplane.frames as usize));
    bench.measure(bursts)?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        ours.push(bench.measure(bursts)?);
        if let Some(floor) = &mut floor {
            let (clocks, found) = floor.measure(bursts, case.random);
            anyhow::ensure!(found > 0, "the floor found nothing");
            bare.push(clocks);
        }
    }
    bench.close()?;
    let clocks = median(&mut ours);
    let floor_clocks = (!bare.is_empty()).then(|| median(&mut bare));
    let ns = clocks / machine.clocks_per_ns;
    let (bytes, _) = site.applier.eid_footprint();
    // What an EID costs is the table's memory by what it is sized for, however few are in it now.
    let room = site::room(config, case.eids);
    Ok(Row {
        direction: case.direction,
        inner: case.inner,
        outer: case.outer,
        size: case.size,
        eids: case.eids,
        order: if case.random { "uniform" } else { "sequential" },
        clocks_per_packet: clocks,
        clocks_lowest: ours.first().copied().unwrap_or(clocks),
        clocks_highest: ours.last().copied().unwrap_or(clocks),
        ns_per_packet: ns,
        mpps: 1000.0 / ns,
        bytes_per_eid: bytes as f64 / room as f64,
        floor_clocks,
        over_floor: floor_clocks.map(|floor| clocks / floor),
    })
}

/// Sorts, and gives the middle.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[allow(clippy::print_stdout, reason = "this is the command's output")]
fn print(options: &Options, report: &Report) -> Result<()> {
    if options.json {
        println!("{}", serde_json::to_string(report)?);
        return Ok(());
    }
    let machine = &report.machine;
    println!(
        "{}, {} cores, Linux {}, TSC {:.3} GHz",
        machine.cpu, machine.cores, machine.kernel, machine.clocks_per_ns
    );
    println!("median of {} runs [lowest..highest]; no kernel I/O in these numbers", report.runs);
    println!(
        "{:<6} {:<9} {:>5} {:>9} {:<10} {:>23} {:>7} {:>7} {:>7} {:>8} {:>6}",
        "way",
        "in/out",
        "bytes",
        "EIDs",
        "order",
        "clocks per packet",
        "ns",
        "Mpps",
        "floor",
        "x floor",
        "B/EID"
    );
    for row in &report.rows {
        let family = |f: Family| if f == Family::V4 { "v4" } else { "v6" };
        let dash =
            |v: Option<f64>, digits: usize| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.digits$}"));
        println!(
            "{:<6} {:<9} {:>5} {:>9} {:<10} {:>23} {:>7.1} {:>7.2} {:>7} {:>8} {:>6.0}",
            if row.direction == Direction::Encap { "encap" } else { "decap" },
            format!("{} in {}", family(row.inner), family(row.outer)),
            row.size,
            row.eids,
            row.order,
            format!("{:.1} [{:.1}..{:.1}]", row.clocks_per_packet, row.clocks_lowest, row.clocks_highest),
            row.ns_per_packet,
            row.mpps,
            dash(row.floor_clocks, 1),
            dash(row.over_floor, 2),
            row.bytes_per_eid,
        );
    }
    println!("on: {}", report.features.join("; "));
    Ok(())
}
