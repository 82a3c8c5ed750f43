//! Both control planes die under traffic, stay dead a while, come back and resync.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::gateway::process::Plane;
use crate::interrupt;
use crate::lab::Lab;
use crate::site::{Family, Host, Site};
use crate::traffic::ledger::Tally;
use crate::traffic::probe::{Probe, ProbePlan, Via};

use super::{Outcome, Run};

/// Pings per second of the stream that counts.
pub(super) const RATE: u32 = 1000;
const BEFORE: Duration = Duration::from_millis(500);
const DEAD: Duration = Duration::from_millis(1500);
const AFTER: Duration = Duration::from_millis(700);

/// Starts the pings of a disruption: 1,000/s over IPv4, and a slower stream over IPv6 the other way.
pub(super) fn start_pings(lab: &Lab) -> Result<Vec<Probe>> {
    let (a, b) = (Host::new(Site::A, 1), Host::new(Site::B, 1));
    [(a, b, Family::V4, RATE), (b, a, Family::V6, RATE / 4)]
        .into_iter()
        .map(|(from, to, family, rate)| {
            let plan = ProbePlan {
                source: from.eid(family, family),
                target: to.eid(family, family),
                via: Via::Icmp,
                group: from.iid(),
                answerer: None,
                rate,
                count: None,
                size: 56,
            };
            Probe::start(&lab.host(from), plan)
        })
        .collect()
}

/// Stops pings and adds them up.
pub(super) fn stop_pings(probes: Vec<Probe>) -> Result<Tally> {
    let mut sum = Tally::default();
    for probe in probes {
        sum += probe.stop()?;
    }
    Ok(sum)
}

fn sent(probes: &[Probe]) -> u64 {
    probes.iter().map(Probe::sent).sum()
}

/// Two hosts forget every MAC while the control planes are dead and begin to talk: the dataplanes answer ARP
/// and ND by themselves. They are not the hosts of the other streams, because a kernel that is told to forget
/// a MAC drops the packets that wait for it.
fn newcomers(run: &Run<'_>) -> Result<Vec<Probe>> {
    let (a, b) = (Host::new(Site::A, 2), Host::new(Site::B, 2));
    for host in [a, b] {
        run.lab.host(host).output("ip", &["neigh", "flush", "dev", "eth0"])?;
    }
    Family::BOTH
        .into_iter()
        .map(|family| {
            let plan = ProbePlan {
                source: a.eid(family, Family::V4),
                target: b.eid(family, Family::V4),
                via: Via::Icmp,
                group: a.iid(),
                answerer: None,
                rate: 200,
                count: Some(200),
                size: 56,
            };
            Probe::start(&run.lab.host(a), plan)
        })
        .collect()
}

pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    let probes = start_pings(&run.lab)?;
    interrupt::sleep(BEFORE)?;
    let at_kill = sent(&probes);
    for gateway in run.lab.gateways_mut() {
        gateway.kill(Plane::Control)?;
        if run.negative {
            gateway.kill(Plane::Data)?;
        }
    }
    let newcomers = newcomers(run)?;
    interrupt::sleep(DEAD)?;
    let at_restart = sent(&probes);
    let mut new = Tally::default();
    for probe in newcomers {
        new += probe.finish()?;
    }
    run.count(&new);
    let restarted = Instant::now();
    for gateway in run.lab.gateways_mut() {
        if run.negative {
            gateway.start(Plane::Data)?;
        }
        gateway.start(Plane::Control)?;
    }
    for gateway in run.lab.gateways_mut() {
        gateway.wait_ready()?;
    }
    let resync = restarted.elapsed();
    interrupt::sleep(AFTER)?;
    let tally = stop_pings(probes)?;
    run.count(&tally);
    run.figure("resync_ms", u64::try_from(resync.as_millis()).unwrap_or(u64::MAX));
    run.figure("longest_gap_ms", tally.longest_gap_ms);
    Ok(Outcome::new(
        tally.is_perfect() && new.is_perfect(),
        format!(
            "{RATE} pings/s: {} sent before, {} while both were dead; two hosts that had forgotten every MAC then: \
             {new}; restarted and in sync after {} ms, {} since; {tally}",
            at_kill,
            at_restart - at_kill,
            resync.as_millis(),
            tally.offered - at_restart
        ),
    ))
}
