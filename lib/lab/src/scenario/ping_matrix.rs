//! Ping over every combination of inner and outer family: remote, local, and to the gateway itself.

use crate::error::Result;
use crate::gateway::plan::GatewayPlan;
use crate::site::{Family, GROUPS, Host, Site, anycast_gateway};
use crate::traffic::ledger::Tally;
use crate::traffic::probe::{Probe, ProbePlan, Via};
use crate::underlay::core_address;

use super::agents::{STATIC_PREFIXES, wait_registered};
use super::{Outcome, Run};

/// Pings per stream.
const COUNT: u64 = 200;
/// Pings per second and stream: half a second in all.
const RATE: u32 = 400;
/// Payload bytes; with IPv6 in IPv6 the frame still fits what the witness keeps.
const SIZE: usize = 56;

/// Without group 100's mappings at site A, nothing from there can find site B.
pub(super) fn adjust(plan: &mut GatewayPlan, negative: bool) {
    if negative && plan.site == Site::A {
        plan.mappings.retain(|mapping| mapping.iid != GROUPS[0]);
    }
}

/// The same where mappings are not static: site A asks where nobody answers.
pub(super) fn adjust_mapped(plan: &mut GatewayPlan, negative: bool) {
    if let Some(registry) = plan.registry.as_mut().filter(|_| negative && plan.site == Site::A) {
        registry.map_server = core_address(Site::A, 0, Family::V4);
    }
}

/// As [`run`], once the mapping system knows every site.
pub(super) fn run_mapped(run: &mut Run<'_>) -> Result<Outcome> {
    let sites = run.lab.topology().sites.len() as u64;
    if !run.negative {
        wait_registered(&run.lab, STATIC_PREFIXES * sites)?;
    }
    self::run(run)
}

pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    let mut combinations = Vec::new();
    for inner in Family::BOTH {
        for outer in Family::BOTH {
            let mut streams = Vec::new();
            // Odd hosts know the gateway only, even ones ask for their peer by ARP and ND; both directions.
            for (from, to) in [(1, 1), (2, 2)] {
                let (a, b) = (Host::new(Site::A, from), Host::new(Site::B, to));
                streams.push(ping(run, a, a.eid(inner, outer), b.eid(inner, outer))?);
                streams.push(ping(run, b, b.eid(inner, outer), a.eid(inner, outer))?);
            }
            combinations.push((format!("{inner} in {outer}"), streams));
        }
    }
    let (one, two) = (Host::new(Site::A, 1), Host::new(Site::A, 2));
    let (mut local, mut gateway) = (Vec::new(), Vec::new());
    for family in Family::BOTH {
        let source = one.eid(family, Family::V4);
        local.push(ping(run, one, source, two.eid(family, Family::V4))?);
        gateway.push(ping(run, one, source, anycast_gateway(family).0)?);
    }
    combinations.push(("within the site".to_owned(), local));
    combinations.push(("to the gateway".to_owned(), gateway));
    let mut ok = true;
    let mut seen = Vec::new();
    for (name, streams) in combinations {
        let mut sum = Tally::default();
        for stream in streams {
            sum += stream.finish()?;
        }
        run.count(&sum);
        ok &= sum.is_perfect();
        seen.push(format!("{name}: {sum}, median {:.2} ms", f64::from(sum.delay_p50_us) / 1000.0));
    }
    Ok(Outcome::new(ok, seen.join("; ")))
}

fn ping(run: &Run<'_>, host: Host, source: std::net::IpAddr, target: std::net::IpAddr) -> Result<Probe> {
    let plan = ProbePlan {
        source,
        target,
        via: Via::Icmp,
        group: host.iid(),
        answerer: None,
        rate: RATE,
        count: Some(COUNT),
        size: SIZE,
    };
    Probe::start(&run.lab.host(host), plan)
}
