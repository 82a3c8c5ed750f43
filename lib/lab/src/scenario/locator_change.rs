//! A locator's priority changes in a config and is applied: traffic goes to the other locator.

use std::time::Duration;

use serde_json::Value;

use crate::error::Result;
use crate::gateway::plan::GatewayPlan;
use crate::interrupt;
use crate::site::{Family, GROUPS, Site};
use crate::underlay::rloc;
use crate::witness::tally::Sightings;

use super::control_plane_kill::{RATE, start_pings, stop_pings};
use super::run::no_gateway;
use super::{Outcome, Run};

const BEFORE: Duration = Duration::from_millis(500);
/// From the API's answer until no packet may take the old way; the budget is a thousandth of this.
const SETTLE: Duration = Duration::from_millis(150);
const AFTER: Duration = Duration::from_millis(700);

/// Without its second locator configured, site B does not take packets there.
pub(super) fn adjust(plan: &mut GatewayPlan, negative: bool) {
    if negative && plan.site == Site::B {
        plan.rlocs.retain(|own| own.port == "rloc0");
    }
}

pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    let probes = start_pings(&run.lab)?;
    interrupt::sleep(BEFORE)?;
    let before = sightings(run)?;
    let changes = swap(run)?;
    interrupt::sleep(SETTLE)?;
    let changed = sightings(run)?;
    interrupt::sleep(AFTER)?;
    let tally = stop_pings(probes)?;
    let after = match run.lab.witness() {
        Some(witness) => witness.settle()?,
        None => return Err(no_gateway()),
    };
    run.count(&tally);
    let old_before = to_link(&before, 0);
    let (old_late, new) =
        (to_link(&after, 0) - to_link(&changed, 0), to_link(&after, 1) - to_link(&before, 1));
    run.figure("late_on_old_locator", old_late);
    run.figure("on_new_locator", new);
    run.figure("longest_gap_ms", tally.longest_gap_ms);
    let count = changes["changes"].as_array().map_or(0, Vec::len);
    Ok(Outcome::new(
        tally.is_whole() && old_before > 0 && old_late == 0 && new > 0,
        format!(
            "{RATE} pings/s, {count} changes applied: {} and {} got {old_before} packets before and {old_late} \
             after, {} and {} got {new}; {tally}",
            rloc(Site::B, 0, Family::V4),
            rloc(Site::B, 0, Family::V6),
            rloc(Site::B, 1, Family::V4),
            rloc(Site::B, 1, Family::V6)
        ),
    ))
}

/// The other locator becomes the better one: in site A's file where mappings are static, else in site B's, which tells
/// the Map-Server, which tells site A.
fn swap(run: &mut Run<'_>) -> Result<Value> {
    let mapped = run.lab.topology().is_mapped();
    let gateway = run.gateway_mut(if mapped { Site::B } else { Site::A })?;
    let mappings = gateway.plan.mappings.iter_mut().filter(|mapping| mapping.iid == GROUPS[0]);
    let statics = mappings.flat_map(|mapping| &mut mapping.locators).map(|locator| &mut locator.priority);
    let own = gateway.plan.rlocs.iter_mut().map(|own| &mut own.priority).filter(|_| mapped);
    for priority in statics.chain(own) {
        // 1 and 2 change places.
        *priority = 3 - *priority;
    }
    gateway.apply()
}

fn sightings(run: &Run<'_>) -> Result<Sightings> {
    run.lab.witness().map(|witness| witness.sightings()).ok_or_else(no_gateway)
}

/// LISP packets to site B on one of its links.
fn to_link(seen: &Sightings, link: u8) -> u64 {
    Family::BOTH.iter().map(|family| seen.lisp_to(rloc(Site::B, link, *family))).sum()
}
