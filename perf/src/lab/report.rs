//! What the lab's systems came to, beside each other.

use super::Part;
use super::load::Trial;
use super::search::Tried;
use super::spent::{Cost, Spent};
use crate::clocks::Spread;
use crate::machine::Machine;
use crate::samples::Samples;
use anyhow::{Result, bail};
use serde::Serialize;
use std::fmt;

/// One system under test.
#[derive(Clone, Debug, Serialize)]
pub struct System {
    name: String,
    /// Frames per second that arrived at the utmost load.
    overload_pps: Spread,
    /// Of the trial with the middle rate of the first ones.
    overload: Trial,
    /// Its own CPU time per frame that came out then, ns.
    cpu_ns_per_packet: Option<f64>,
    /// Share of its polls that found nothing then; `null` where polls are not counted.
    empty_polls: Option<f64>,
    /// The highest rate without loss, frames per second.
    ndr_pps: Option<f64>,
    /// The highest rate with a loss of at most 0.5 %.
    pdr_pps: Option<f64>,
    /// The search's trials.
    tried: Vec<Tried>,
    /// Latency at shares of that rate, and at the utmost load.
    pub latency: Vec<Latency>,
    /// What a gateway dropped in all of its trials, by reason.
    drops: Vec<(String, u64)>,
}

/// Latency at a load.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    load: String,
    at: Trial,
}

impl Latency {
    /// From a trial.
    pub fn of(load: &str, at: &Trial) -> Latency {
        Latency { load: load.to_owned(), at: *at }
    }
}

impl System {
    /// From trials at the utmost load, and what each cost with how many frames that arrived.
    pub fn at_overload(name: &str, mut trials: Vec<Trial>, cost: &[Cost]) -> System {
        let rates: Vec<f64> = trials.iter().map(|trial| trial.arrived_pps).collect();
        trials.sort_by(|a, b| a.arrived_pps.total_cmp(&b.arrived_pps));
        let middle = trials.get(trials.len() / 2).copied().unwrap_or_default();
        let frames: u64 = cost.iter().map(|cost| cost.frames).sum();
        let sum = cost.iter().fold(Spent::default(), |sum, Cost { spent: one, .. }| Spent {
            cpu_ns: sum.cpu_ns + one.cpu_ns,
            bursts: sum.bursts + one.bursts,
            empty_polls: sum.empty_polls + one.empty_polls,
        });
        System {
            name: name.to_owned(),
            overload_pps: Spread::of(rates).unwrap_or(Spread {
                median: 0.0,
                lowest: 0.0,
                highest: 0.0,
                samples: Vec::new(),
            }),
            overload: middle,
            cpu_ns_per_packet: (frames > 0).then(|| sum.cpu_ns as f64 / frames as f64),
            empty_polls: sum.empty_share(),
            ndr_pps: None,
            pdr_pps: None,
            tried: Vec::new(),
            latency: vec![Latency::of("overload", &middle)],
            drops: Vec::new(),
        }
    }

    /// Whether this is its name.
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Adds trials at the utmost load that were made later.
    pub fn again(&mut self, trials: &[Trial]) -> Result<()> {
        let mut rates = std::mem::take(&mut self.overload_pps.samples);
        rates.extend(trials.iter().map(|trial| trial.arrived_pps));
        self.overload_pps = Spread::of(rates)?;
        Ok(())
    }

    /// What it carries at the utmost load, frames per second.
    pub fn arrived_pps(&self) -> f64 {
        self.overload_pps.median
    }

    /// Adds what the search found.
    pub fn rates(&mut self, ndr: f64, pdr: f64, tried: Vec<Tried>) {
        (self.ndr_pps, self.pdr_pps, self.tried) = (Some(ndr), Some(pdr), tried);
    }

    /// Adds what was dropped.
    pub fn with_drops(self, drops: Vec<(String, u64)>) -> System {
        System { drops, ..self }
    }
}

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    machine: Machine,
    trial_seconds: f64,
    /// Plain AF_XDP forwarding by the gateway's own ports at the utmost load, millions per second; so the others.
    plain_mpps: Option<f64>,
    testpmd_mpps: Option<f64>,
    kernel_forward_mpps: Option<f64>,
    kernel_vxlan_mpps: Option<f64>,
    encap_mpps: Option<f64>,
    decap_mpps: Option<f64>,
    two_gateways_kpps: Option<f64>,
    encap_over_plain: Option<f64>,
    plain_over_testpmd: Option<f64>,
    encap_over_kernel_vxlan: Option<f64>,
    /// What the ratios are held against.
    budgets: Vec<Budget>,
    /// What could not be measured, and why.
    missing: Vec<Missing>,
    systems: Vec<System>,
}

/// A part that was wanted and has no figures.
#[derive(Clone, Debug, Serialize)]
pub struct Missing {
    /// Its name.
    pub part: &'static str,
    /// What was in its way.
    pub why: String,
}

impl Missing {
    /// A part with its error.
    pub fn new(part: Part, error: &anyhow::Error) -> Missing {
        Missing { part: part.name(), why: format!("{error:#}") }
    }
}

/// Parts that others make: without them the run is one all the same.
const FOREIGN: [&str; 3] = ["testpmd", "kernel forwarding", "kernel VXLAN"];

/// A figure of design section 11.
#[derive(Clone, Debug, Serialize)]
struct Budget {
    figure: &'static str,
    at_least: f64,
    value: Option<f64>,
    met: Option<bool>,
}

impl Budget {
    fn new(figure: &'static str, at_least: f64, value: Option<f64>) -> Budget {
        Budget { figure, at_least, value, met: value.map(|value| value >= at_least) }
    }
}

impl Report {
    /// From all systems.
    pub fn new(machine: Machine, trial_seconds: f64, systems: Vec<System>, missing: Vec<Missing>) -> Report {
        let mpps = |name: &str| {
            systems.iter().find(|system| system.is(name)).map(|system| system.arrived_pps() / 1e6)
        };
        let ratio = |a: Option<f64>, b: Option<f64>| a.zip(b).filter(|(_, b)| *b > 0.0).map(|(a, b)| a / b);
        let (plain, testpmd, encap) = (mpps("plain"), mpps("testpmd"), mpps("encap"));
        let vxlan = mpps("kernel VXLAN");
        let two_gateways = mpps("two gateways").map(|mpps| mpps * 1000.0);
        let (encap_over_plain, plain_over_testpmd) = (ratio(encap, plain), ratio(plain, testpmd));
        Report {
            trial_seconds,
            plain_mpps: plain,
            testpmd_mpps: testpmd,
            kernel_forward_mpps: mpps("kernel forwarding"),
            kernel_vxlan_mpps: vxlan,
            encap_mpps: encap,
            decap_mpps: mpps("decap"),
            two_gateways_kpps: two_gateways,
            encap_over_plain,
            plain_over_testpmd,
            encap_over_kernel_vxlan: ratio(encap, vxlan),
            budgets: vec![
                Budget::new("encap_over_plain", 0.92, encap_over_plain),
                Budget::new("plain_over_testpmd", 0.9, plain_over_testpmd),
                Budget::new("two_gateways_kpps", 360.0, two_gateways),
            ],
            missing,
            machine,
            systems,
        }
    }

    /// Each trial's values, for who compares reports.
    pub fn samples(&self) -> Vec<Samples> {
        let of = |system: &System| {
            let key = format!("at the utmost load, {}", system.name);
            Samples::higher(key, "frames/s", system.overload_pps.samples.clone())
        };
        self.systems.iter().map(of).collect()
    }

    /// Errors: a part of our own has no figures.
    pub fn check(&self) -> Result<()> {
        let own = self.missing.iter().find(|missing| !FOREIGN.contains(&missing.part));
        own.map_or(Ok(()), |Missing { part, why }| bail!("{part} was not measured: {why}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        writeln!(
            f,
            "64-byte frames over veth pairs, live frames of the kernel as load, {} s a trial; rates in kpps",
            self.trial_seconds
        )?;
        writeln!(
            f,
            "{:<20} {:>24} {:>8} {:>8} {:>8} {:>8} {:>7}",
            "system", "at the utmost load", "loss", "NDR", "PDR", "CPU ns", "empty"
        )?;
        self.systems.iter().try_for_each(|system| writeln!(f, "{system}"))?;
        for Missing { part, why } in &self.missing {
            writeln!(f, "{part}: not measured: {why}")?;
        }
        let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        for Budget { figure, at_least, value, met } in &self.budgets {
            let met = met.map_or("not measured", |met| if met { "met" } else { "missed" });
            writeln!(f, "{figure} {} (budget: at least {at_least}): {met}", show(*value))?;
        }
        writeln!(f, "encap_over_kernel_vxlan {}", show(self.encap_over_kernel_vxlan))
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let k = |pps: f64| format!("{:.0}", pps / 1000.0);
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let Spread { median, lowest, highest, .. } = self.overload_pps;
        write!(
            f,
            "{:<20} {:>24} {:>8} {:>8} {:>8} {:>8} {:>7}",
            self.name,
            format!("{} [{}..{}]", k(median), k(lowest), k(highest)),
            format!("{:.0} %", self.overload.loss * 100.0),
            or_dash(self.ndr_pps.map(k)),
            or_dash(self.pdr_pps.map(k)),
            or_dash(self.cpu_ns_per_packet.map(|ns| format!("{ns:.0}"))),
            or_dash(self.empty_polls.map(|share| format!("{:.1} %", share * 100.0))),
        )?;
        for Latency { load, at } in self.latency.iter().filter(|latency| latency.at.probes > 0) {
            let [p50, p99, p999] = at.latency_us;
            write!(
                f,
                "\n    at {load} ({} kpps): {p50:.0} us median, {p99:.0} us 99 %, {p999:.0} us 99.9 % of {} probes; \
                 the sender's own part {:.0} us, {:.0} us",
                k(at.offered_pps),
                at.probes,
                at.lateness_us[0],
                at.lateness_us[1],
            )?;
        }
        Ok(())
    }
}
