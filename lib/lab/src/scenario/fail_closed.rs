//! A dataplane dies: its agents are cut off, nothing leaves in the clear, and a restart mends it.

use crate::error::Result;
use crate::gateway::process::Plane;
use crate::site::{Family, Host, Site};
use crate::traffic::probe::{Probe, ProbePlan, Via};

use super::run::no_gateway;
use super::{Outcome, Run};

/// Pings before the fault.
const BEFORE: u64 = 100;
/// Pings into the void while the dataplane is dead.
const INTO_THE_VOID: u64 = 300;
/// Pings after the restart.
const AFTER: u64 = 500;

pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    // Hosts and gateways know each other before the fault: what is measured is the gateway's absence, not how
    // long a host's kernel waits before it asks again for a MAC.
    let before = ping(run, BEFORE)?.finish()?;
    run.count(&before);
    run.gateway_mut(Site::A)?.kill(Plane::Data)?;
    let void = ping(run, INTO_THE_VOID)?.finish()?;
    let clear = run.lab.witness().ok_or_else(no_gateway)?.settle()?.clear;
    if !run.negative {
        let gateway = run.gateway_mut(Site::A)?;
        gateway.start(Plane::Data)?;
        gateway.wait_ready()?;
    }
    let after = ping(run, AFTER)?.finish()?;
    // What was sent into the void is the fault's own doing, and no figure of the gateway's.
    run.count(&after);
    run.figure("lost_while_dead", void.lost);
    run.figure("clear_while_dead", clear);
    Ok(Outcome::new(
        before.is_perfect() && void.delivered == 0 && clear == 0 && after.is_perfect(),
        format!(
            "dataplane A dead: {} of {} pings answered, {clear} frames in the clear; after its restart {after}",
            void.delivered, void.offered
        ),
    ))
}

fn ping(run: &Run<'_>, count: u64) -> Result<Probe> {
    let (from, to) = (Host::new(Site::A, 1), Host::new(Site::B, 1));
    let plan = ProbePlan {
        source: from.eid(Family::V4, Family::V4),
        target: to.eid(Family::V4, Family::V4),
        via: Via::Icmp,
        group: from.iid(),
        answerer: None,
        rate: 1000,
        count: Some(count),
        size: 56,
    };
    Probe::start(&run.lab.host(from), plan)
}
