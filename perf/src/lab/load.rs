//! Load and what came of it, by pktgen: the kernel's live frames in bulk, probes for the latency beside them.

use super::account::Account;
use super::net::{Door, Net};
use anyhow::{Result, anyhow};
use serde::Serialize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use sterna_lab::interrupt;
use sterna_pktgen::Profile;
use sterna_pktgen::interface::Counters;
use sterna_pktgen::run::{Engine, Options, run};

/// A way through the network.
#[derive(Clone, Debug)]
pub struct Way {
    /// The port that sends, of the namespace `load`.
    pub tx: &'static str,
    /// The port that receives.
    pub rx: &'static str,
    /// Where frames enter what is under test, and where they leave it.
    pub through: [Door; 2],
    /// The Ethernet address of the box under test.
    pub to_mac: String,
    /// The rest of the profile: EIDs, and the tunnel if there is one.
    pub packets: &'static str,
}

/// Agents to remote EIDs.
pub const ENCAP: &str =
    "[eids]\nsource = \"10.1.0.10\"\ndestination = \"10.2.0.0\"\ncount = 4096\norder = \"uniform\"\n";
/// The same, already in a tunnel, towards the agent.
pub const DECAP: &str = "[eids]\nsource = \"10.2.0.0\"\nsources = 4096\ndestination = \"10.1.0.10\"\n\
                         [groups]\niids = [100]\n[lisp]\nsource = \"192.0.2.2\"\ndestination = \"192.0.2.1\"\n";
/// From the first of two sites to the agent of the second.
pub const THERE: &str = "[eids]\nsource = \"10.3.0.10\"\ndestination = \"10.4.0.10\"\n[flows]\ncount = 256\n";
/// And back.
pub const BACK: &str = "[eids]\nsource = \"10.4.0.10\"\ndestination = \"10.3.0.10\"\n[flows]\ncount = 256\n";

/// How long and on which core to send.
#[derive(Clone, Copy, Debug)]
pub struct Trials {
    /// Seconds of one trial.
    pub seconds: f64,
    /// The core of the sender and the sink.
    pub core: usize,
    /// Probes per second beside the bulk.
    pub probe_rate: u64,
    /// Bytes of a frame before any tunnel, FCS included.
    pub frame_bytes: u16,
}

/// What one trial came to.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Trial {
    /// Frames per second that were asked for; `null`: as many as went.
    pub asked_pps: Option<f64>,
    /// Frames per second that the sender made, bulk and probes; those that the box's receive queue refused among them.
    pub offered_pps: f64,
    /// Frames per second that arrived.
    pub arrived_pps: f64,
    /// Frames that arrived.
    pub arrived: u64,
    /// Share of the offered ones that did not.
    pub loss: f64,
    /// Where every frame stayed.
    pub account: Account,
    /// Latency of the probes: median, 99 % and 99.9 %, us; 0 without.
    pub latency_us: [f64; 3],
    /// How late the sender itself was with its probes: median and 99 %, us.
    pub lateness_us: [f64; 2],
    /// Probes that arrived.
    pub probes: u64,
}

/// Sends for one trial.
pub fn trial(net: &Net, way: &Way, trials: &Trials, rate: Option<f64>) -> Result<Trial> {
    logged_trial(net, way, trials, rate, None)
}

/// Sends for one trial, and writes the probes' latencies as an HDR log where a path is given.
pub fn logged_trial(
    net: &Net,
    way: &Way,
    trials: &Trials,
    rate: Option<f64>,
    log: Option<&Path>,
) -> Result<Trial> {
    let profile = profile(way, trials, rate)?;
    let options = Options {
        name: "lab".to_owned(),
        engine: Engine::Live,
        cores: vec![trials.core, trials.core],
        sleeps: true,
        duration_ns: Some((trials.seconds * 1e9) as u64),
        linger_ns: 150_000_000,
        hdr: log.map(Path::to_owned),
        ..Options::between(Some(net.place(way.tx)), Some(net.place(way.rx)))
    };
    let stop = AtomicBool::new(false);
    let doors =
        || -> Result<[Counters; 2]> { Ok([net.counters(way.through[0])?, net.counters(way.through[1])?]) };
    let before = doors()?;
    let report = run(&profile, &options, &stop, |_| stop.store(interrupt::requested(), Ordering::Relaxed))?;
    interrupt::check()?;
    let after = doors()?;
    let bulk = report.bulk.ok_or_else(|| anyhow!("no live frames were sent"))?;
    let arrived = bulk.arrived + report.probes.arrived;
    // A probe that the kernel dropped on the way out met the same full queue as the bulk.
    let offered = bulk.offered + report.probes.sent + report.sent.lost_busy;
    let account = Account::new(
        offered,
        report.tx_interface.map_or(0, |port| port.tx_dropped),
        [after[0].since(&before[0]), after[1].since(&before[1])],
        arrived,
    );
    account.check()?;
    let seconds = report.duration_s.max(1e-9);
    let us = |ns: u64| ns as f64 / 1000.0;
    let (latency, late) = (&report.latency_ns, &report.lateness_ns);
    Ok(Trial {
        asked_pps: rate,
        offered_pps: offered as f64 / seconds,
        arrived_pps: arrived as f64 / seconds,
        arrived,
        loss: 1.0 - (arrived as f64 / (offered as f64).max(1.0)).min(1.0),
        account,
        latency_us: [latency.p50, latency.p99, latency.p999].map(us),
        lateness_us: [late.p50, late.p99].map(us),
        probes: report.probes.arrived,
    })
}

fn profile(way: &Way, trials: &Trials, rate: Option<f64>) -> Result<Profile> {
    let rate = rate.map_or_else(|| "\"max\"".to_owned(), |rate| (rate.max(1.0) as u64).to_string());
    let text = format!(
        "rate = {rate}\nprobe_rate = {}\n[frame]\ndestination_mac = \"{}\"\nsize = {}\n{}",
        trials.probe_rate, way.to_mac, trials.frame_bytes, way.packets
    );
    Profile::parse(&text).map_err(|findings| anyhow!("a profile of our own is wrong: {findings:?}"))
}
