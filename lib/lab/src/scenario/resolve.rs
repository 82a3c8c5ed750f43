//! First packets to a hundred unknown EIDs at once: held, resolved once each, delivered in order.

use std::net::IpAddr;

use crate::error::Result;
use crate::gateway::plan::GatewayPlan;
use crate::site::{Family, Host, Site, roaming_eid};
use crate::traffic::fan::{Fan, FanPlan};
use crate::witness::sight::Control;
use crate::witness::tally::Sightings;

use super::agents::{arrive, greet};
use super::run::no_gateway;
use super::{Outcome, Run};

/// EIDs of each family.
const EACH: u8 = 50;
/// Packets to each.
const PACKETS: u64 = 5;
/// Packets per second, all together: the whole lot is sent within the time of one resolution.
const RATE: u32 = 20_000;
/// Map-Requests that are allowed: one for each EID, one for the sender at the far end, and some retries.
const MOST_REQUESTS: u64 = 150;
/// Ten times what a first packet may take, milliseconds.
const TEN_TIMES_BUDGET_MS: f64 = 1000.0;

/// Without room to hold packets the first ones are lost.
pub(super) fn adjust(plan: &mut GatewayPlan, negative: bool) {
    if negative && plan.site == Site::A {
        plan.dataplane.push(("hold_packets", "0".to_owned()));
    }
}

pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    let (from, to) = (Host::new(Site::A, 1), Host::new(Site::B, 1));
    let eids: Vec<IpAddr> = Family::BOTH
        .iter()
        .flat_map(|family| (101..101 + EACH).map(|last| roaming_eid(*family, last)))
        .collect();
    arrive(&run.lab, to, &eids)?;
    run.count(&greet(&run.lab, &[from])?);
    let before = seen(run)?;
    let mut fans = Vec::new();
    for (family, port) in Family::BOTH.iter().zip([5100, 5101]) {
        let source = from.eid(*family, Family::V4);
        let targets: Vec<IpAddr> =
            eids.iter().filter(|eid| eid.is_ipv4() == source.is_ipv4()).copied().collect();
        let mut plan = FanPlan::to_addresses(source, &targets, port);
        (plan.group, plan.rate, plan.rounds) = (from.iid(), RATE / 2, Some(PACKETS));
        fans.push(Fan::start(&run.lab.host(from), &run.lab.host(to), plan)?);
    }
    let (mut ok, mut first_p99_ms, mut sum) = (true, 0.0_f64, crate::traffic::ledger::Tally::default());
    for fan in fans {
        let fanned = fan.finish()?;
        ok &= fanned.tally.is_perfect();
        first_p99_ms = first_p99_ms.max(fanned.first_p99_ms());
        sum += fanned.tally;
    }
    let requests = seen(run)?.sent_by_gateways(Control::Request) - before.sent_by_gateways(Control::Request);
    run.count(&sum);
    run.figure("eids", eids.len());
    run.figure("map_requests", requests);
    run.figure("miss_to_forward_p99_ms", first_p99_ms);
    Ok(Outcome::new(
        ok && (1..=MOST_REQUESTS).contains(&requests) && first_p99_ms < TEN_TIMES_BUDGET_MS,
        format!(
            "{} EIDs nobody had asked for, {PACKETS} packets to each at {RATE} packets/s: {sum}; {requests} \
             Map-Requests in the underlay; 99 % of the first packets took less than {first_p99_ms:.1} ms",
            eids.len()
        ),
    ))
}

fn seen(run: &Run<'_>) -> Result<Sightings> {
    run.lab.witness().ok_or_else(no_gateway)?.settle()
}
