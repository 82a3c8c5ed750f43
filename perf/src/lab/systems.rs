//! The systems under test, each started, loaded and looked at in the same way.

use super::Part;
use super::gateway::{Plan, Running};
use super::kernel::{Kernel, Work};
use super::load::{BACK, DECAP, ENCAP, THERE, Trial, Trials, Way, trial};
use super::net::Net;
use super::plain::Plain;
use super::report::{Latency, System};
use super::search::{Search, Tried};
use super::spent::{Cost, Spent};
use super::testpmd::Testpmd;
use anyhow::{Context, Result, anyhow, ensure};
use std::sync::atomic::{AtomicBool, Ordering};
use sterna_lab::gateway::process::Programs;

/// Trials at the utmost load: the median counts.
const OVERLOADS: usize = 3;
/// Two rates of the search that are the same.
pub const WIDTH: f64 = 0.03;
/// Trials per goal.
pub const MOST_TRIALS: usize = 20;
/// The share that may be lost for the partial drop rate.
pub const PARTIAL: f64 = 0.005;
/// Shares of the rate without loss at which the latency is measured.
const SHARES: [f64; 3] = [0.1, 0.5, 0.9];

/// What every measurement needs.
pub struct Lab<'l> {
    /// The network.
    pub net: &'l Net,
    /// The gateway's.
    pub programs: &'l Programs,
    /// How to load.
    pub trials: Trials,
    /// The core of whoever is measured.
    pub core: usize,
    /// Looks for the rates without loss, not at the utmost load alone.
    pub searches: bool,
}

impl Lab<'_> {
    /// Measures a part.
    pub fn measure(&self, part: Part) -> Result<Vec<System>> {
        match part {
            Part::Plain => self.plain(),
            Part::Testpmd => self.testpmd(),
            Part::Gateway => self.gateway(),
            Part::TwoGateways => self.two_gateways(),
            Part::Forward => self.kernel(Work::Forward),
            Part::Vxlan => self.kernel(Work::Vxlan),
        }
    }

    /// From the agents into the tunnel.
    pub fn encap(&self) -> Result<Way> {
        Ok(Way {
            tx: "t0",
            rx: "t1",
            through: [("box", "eid0"), ("box", "rloc0")],
            to_mac: self.net.mac("box", "eid0")?,
            packets: ENCAP,
        })
    }

    fn plain(&self) -> Result<Vec<System>> {
        let way = self.encap()?;
        let plain = Plain::start(self.net, self.core)?;
        Ok(vec![self.system("plain", &way, || Ok(plain.spent()))?])
    }

    /// The same at the utmost load once more, behind what it is compared with: a machine that became slower or faster
    /// meanwhile shows in the spread and not in the ratio.
    pub fn plain_again(&self, plain: &mut System) -> Result<()> {
        eprintln!("sterna-perf: plain again ...");
        let running = Plain::start(self.net, self.core)?;
        let (trials, _) = self.at_the_utmost(&self.encap()?, &|| Ok(running.spent()))?;
        plain.again(&trials)
    }

    fn testpmd(&self) -> Result<Vec<System>> {
        ensure!(Testpmd::is_installed(), "not installed (Debian: dpdk, librte-net-af-xdp23)");
        let way = self.encap()?;
        let testpmd = Testpmd::start(self.net, self.trials.core, self.core)?;
        Ok(vec![self.system("testpmd", &way, || testpmd.spent())?])
    }

    /// Out of the tunnel to the agent.
    pub fn decap(&self) -> Result<Way> {
        Ok(Way {
            tx: "t1",
            rx: "t0",
            through: [("box", "rloc0"), ("box", "eid0")],
            to_mac: self.net.mac("box", "rloc0")?,
            packets: DECAP,
        })
    }

    /// One gateway in the box.
    pub fn start_gateway(&self) -> Result<Running> {
        let plan = Plan {
            namespace: "box",
            core: self.core,
            rloc: "192.0.2.1",
            gateway: "10.1.0.1/24",
            eids: "10.1.0.0/24",
            mapping: ("10.2.0.0/16", "192.0.2.2"),
        };
        Running::start(self.net, self.programs, &plan)
    }

    fn gateway(&self) -> Result<Vec<System>> {
        let running = self.start_gateway()?;
        let encap = self.system("encap", &self.encap()?, || running.spent())?;
        let decap = self.system("decap", &self.decap()?, || running.spent())?;
        let drops = running.balanced()?;
        Ok(vec![encap.with_drops(drops), decap])
    }

    fn two_gateways(&self) -> Result<Vec<System>> {
        let near = Plan {
            namespace: "gwa",
            core: self.core,
            rloc: "198.51.100.1",
            gateway: "10.3.0.1/24",
            eids: "10.3.0.0/24",
            mapping: ("10.4.0.0/24", "198.51.100.2"),
        };
        let far = Plan {
            namespace: "gwb",
            core: self.trials.core,
            rloc: "198.51.100.2",
            gateway: "10.4.0.1/24",
            eids: "10.4.0.0/24",
            mapping: ("10.3.0.0/24", "198.51.100.1"),
        };
        let (near, far) =
            (Running::start(self.net, self.programs, &near)?, Running::start(self.net, self.programs, &far)?);
        let spent = || {
            let (near, far) = (near.spent()?, far.spent()?);
            Ok(Spent {
                cpu_ns: near.cpu_ns + far.cpu_ns,
                bursts: near.bursts + far.bursts,
                empty_polls: near.empty_polls + far.empty_polls,
            })
        };
        let there = Way {
            tx: "u0",
            rx: "u1",
            through: [("gwa", "eid0"), ("gwb", "eid0")],
            to_mac: self.net.mac("gwa", "eid0")?,
            packets: THERE,
        };
        let back = Way {
            tx: "u1",
            rx: "u0",
            through: [("gwb", "eid0"), ("gwa", "eid0")],
            to_mac: self.net.mac("gwb", "eid0")?,
            packets: BACK,
        };
        let there = self.system("two gateways", &there, spent)?;
        let back = self.system("two gateways, back", &back, spent)?;
        for gateway in [&near, &far] {
            gateway.balanced()?;
        }
        Ok(vec![there, back])
    }

    fn kernel(&self, work: Work) -> Result<Vec<System>> {
        let kernel = Kernel::start(self.net, work, self.core)?;
        let name = if work == Work::Forward { "kernel forwarding" } else { "kernel VXLAN" };
        Ok(vec![self.system(name, &self.encap()?, || kernel.spent())?])
    }

    /// Everything about one system: at the utmost load, the rates by a search, the latency below them.
    fn system(&self, name: &str, way: &Way, spent: impl Fn() -> Result<Spent> + Sync) -> Result<System> {
        eprintln!("sterna-perf: {name} ...");
        let all = || -> Result<System> {
            let (overload, cost) = self.at_the_utmost(way, &spent)?;
            let mut system = System::at_overload(name, overload, &cost);
            if !self.searches {
                let below = trial(self.net, way, &self.trials, Some(system.arrived_pps() * 0.5))?;
                system.latency.push(Latency::of("50 % of the utmost", &below));
            } else {
                self.search(way, &mut system)?;
            }
            Ok(system)
        };
        all().with_context(|| name.to_owned())
    }

    /// Trials at the utmost load, and what the system spent on them.
    fn at_the_utmost(
        &self,
        way: &Way,
        spent: &(impl Fn() -> Result<Spent> + Sync),
    ) -> Result<(Vec<Trial>, Vec<Cost>)> {
        // Neighbours are found, caches warm, sockets bound.
        trial(self.net, way, &Trials { seconds: 0.3, ..self.trials }, Some(2_000.0))?;
        let (mut trials, mut costs) = (Vec::new(), Vec::new());
        for _ in 0..OVERLOADS {
            let (done, cost) = self.metered(way, spent)?;
            costs.extend(cost);
            trials.push(done);
        }
        Ok((trials, costs))
    }

    /// A trial at the utmost load, and what the system spent on it.
    fn metered(
        &self,
        way: &Way,
        spent: &(impl Fn() -> Result<Spent> + Sync),
    ) -> Result<(Trial, Option<Cost>)> {
        let over = AtomicBool::new(false);
        let frames = || Ok(self.net.counters(way.through[1])?.tx_packets);
        std::thread::scope(|scope| {
            let meter = scope.spawn(|| Cost::during(self.trials.seconds, frames, spent, &over));
            let done = trial(self.net, way, &self.trials, None);
            over.store(true, Ordering::Relaxed);
            let cost = meter.join().map_err(|_| anyhow!("the meter panicked"))?;
            Ok((done?, cost?))
        })
    }

    fn search(&self, way: &Way, system: &mut System) -> Result<()> {
        // What it carries when overloaded is near what it carries at all.
        let top = system.arrived_pps() * 1.25;
        let tried = |rate| -> Result<Tried> {
            let done = trial(self.net, way, &self.trials, Some(rate))?;
            Ok(Tried { rate: done.offered_pps, loss: done.loss })
        };
        let mut search = Search::new(tried, WIDTH, MOST_TRIALS);
        let pdr = search.highest(PARTIAL, top)?;
        let ndr = search.highest(0.0, top)?;
        system.rates(ndr, pdr, search.tried());
        let base = if ndr > 0.0 { ndr } else { pdr };
        for share in SHARES.iter().filter(|_| base > 0.0) {
            let done = trial(self.net, way, &self.trials, Some(base * share))?;
            system.latency.push(Latency::of(&format!("{:.0} %", share * 100.0), &done));
        }
        Ok(())
    }
}
