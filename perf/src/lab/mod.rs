//! `sterna-perf lab`: what the whole thing carries over veth pairs, beside what else could forward there: plain
//! AF_XDP, DPDK's testpmd, the kernel's IP forwarding and its VXLAN. All in one run, on the same ports.

mod account;
pub mod gateway;
pub mod kernel;
pub mod load;
mod net;
pub mod plain;
mod report;
pub mod search;
mod spent;
pub mod systems;
mod testpmd;

use self::load::Trials;
use self::net::Net;
pub use self::report::Report;
use self::report::{Missing, System};
use self::systems::Lab;
use crate::machine::Machine;
use crate::samples::Samples;
use anyhow::{Context, Result, ensure};
use rustix::process::setpriority_process;
use std::io::Write;
use sterna_lab::gateway::process::Programs;
use sterna_lab::interrupt;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Short trials and no search: about a minute.
    #[arg(long)]
    quick: bool,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Measures this part alone; may be given more than once.
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
    /// Seconds of one trial: 2, with `--quick` 0.7.
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds: Option<f64>,
    /// The core of whoever is measured; the load has the other one.
    #[arg(long, default_value_t = 1)]
    core: usize,
}

/// What is measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Plain AF_XDP forwarding by the gateway's own ports.
    Plain,
    /// DPDK's testpmd, io mode on net_af_xdp.
    Testpmd,
    /// One gateway, both ways.
    Gateway,
    /// Two gateways in a row, both ways.
    TwoGateways,
    /// The kernel's IP forwarding.
    Forward,
    /// The kernel's VXLAN.
    Vxlan,
}

impl Part {
    const ALL: [Part; 6] =
        [Part::Plain, Part::Testpmd, Part::Gateway, Part::TwoGateways, Part::Forward, Part::Vxlan];

    /// As the report names it.
    fn name(self) -> &'static str {
        match self {
            Part::Plain => "plain",
            Part::Testpmd => "testpmd",
            Part::Gateway => "gateway",
            Part::TwoGateways => "two gateways",
            Part::Forward => "kernel forwarding",
            Part::Vxlan => "kernel VXLAN",
        }
    }
}

/// Probes per second beside the bulk.
const PROBE_RATE: u64 = 1000;
/// The load and whoever is measured go before what else runs on the machine, all of them alike.
const NICE: i32 = -20;

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.2..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "give 0.2 to 3600 seconds".to_owned())
}

impl Options {
    fn trials(&self, cores: usize) -> Trials {
        let seconds = self.seconds.unwrap_or(if self.quick { 0.7 } else { 2.0 });
        Trials { seconds, core: (self.core + 1) % cores, probe_rate: PROBE_RATE, frame_bytes: 64 }
    }

    fn parts(&self) -> Vec<Part> {
        let wanted = |part: &Part| self.only.is_empty() || self.only.contains(part);
        Part::ALL.into_iter().filter(wanted).collect()
    }
}

/// Measures and prints. Errors: no lab can be had here, or a part of our own did not work.
pub fn run(options: &Options) -> Result<()> {
    let report = measure(options)?;
    let mut out = std::io::stdout().lock();
    if options.json {
        writeln!(out, "{}", serde_json::to_string(&Told { samples: report.samples(), report: &report })?)?;
    } else {
        write!(out, "{report}")?;
    }
    report.check()
}

/// As JSON has it.
#[derive(serde::Serialize)]
struct Told<'r> {
    #[serde(flatten)]
    report: &'r Report,
    /// For `sterna-perf diff`.
    samples: Vec<Samples>,
}

/// A lab for questions of somebody else's, with trials of so many seconds of 64-byte frames; cleared at the end.
///
/// # Errors
/// When there can be none here, or the question ends in one.
pub fn ask<T: Send>(
    core: usize,
    seconds: f64,
    question: impl FnOnce(&Lab<'_>) -> Result<T> + Send,
) -> Result<T> {
    let cores = Machine::read().cores;
    ensure!(cores > 1, "the load needs a core of its own: there is but one");
    let programs = Programs::find()?;
    let net = Net::build()?;
    let trials = Trials { seconds, core: (core + 1) % cores, probe_rate: PROBE_RATE, frame_bytes: 64 };
    let asked = || -> Result<T> {
        setpriority_process(None, NICE).context("the lab's priority")?;
        question(&Lab { net: &net, programs: &programs, trials, core, searches: true })
    };
    // On a thread of its own, which takes its priority with it.
    std::thread::scope(|scope| {
        scope.spawn(asked).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The quick set.
pub fn quick(core: usize) -> Result<Report> {
    measure(&Options { quick: true, json: false, only: Vec::new(), seconds: None, core })
}

fn measure(options: &Options) -> Result<Report> {
    let machine = Machine::read();
    ensure!(options.core < machine.cores, "there is no core {}: 0 to {}", options.core, machine.cores - 1);
    ensure!(machine.cores > 1, "the load needs a core of its own: there is but one");
    let programs = Programs::find()?;
    interrupt::install()?;
    let net = Net::build()?;
    // Of this thread, and of all threads and processes that it starts from here on.
    setpriority_process(None, NICE).context("the lab's priority")?;
    let trials = options.trials(machine.cores);
    let lab = Lab { net: &net, programs: &programs, trials, core: options.core, searches: !options.quick };
    let (mut systems, mut missing) = (Vec::new(), Vec::new());
    for part in options.parts() {
        match lab.measure(part) {
            Ok(measured) => systems.extend(measured),
            // What else there is has its figures all the same.
            Err(error) => missing.push(Missing::new(part, &error)),
        }
        interrupt::check().context("the lab is cleared")?;
        let plain = systems.iter_mut().find(|system: &&mut System| system.is("plain"));
        if let (Part::Gateway, Some(plain)) = (part, plain)
            && let Err(error) = lab.plain_again(plain)
        {
            interrupt::check().context("the lab is cleared")?;
            missing.push(Missing::new(Part::Plain, &error));
        }
    }
    Ok(Report::new(machine, trials.seconds, systems, missing))
}
