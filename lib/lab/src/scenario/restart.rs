//! The Map-Server dies with ten thousand registrations and comes back; then the control planes, one after the other.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use sterna_wire::Prefix;

use crate::error::Result;
use crate::gateway::plan::KeyFile;
use crate::gateway::plan::server::{ServerPlan, SitePlan};
use crate::gateway::process::Plane;
use crate::interrupt;
use crate::script::etr::{Entry, ScriptedEtr, key};
use crate::script::itr::iid;
use crate::site::{Family, Site};
use crate::traffic::ledger::Tally;
use crate::underlay::Node;
use crate::witness::sight::Control;

use super::agents::{STATIC_PREFIXES, registered, wait_registered};
use super::control_plane_kill::{start_pings, stop_pings};
use super::run::no_gateway;
use super::{Outcome, Run};

/// Registrations of the scripted site.
const ENTRIES: u64 = 10_000;
/// The scripted site's name.
const SCRIPTED: &str = "scripted";
/// Its instance-ID.
const IID: u32 = 7;
const BEFORE: Duration = Duration::from_millis(500);
const DEAD: Duration = Duration::from_millis(1500);
const AFTER: Duration = Duration::from_millis(700);

/// The scripted site may register.
pub(super) fn server(plan: &mut ServerPlan, _: bool) {
    plan.sites.push(SitePlan::scripted(SCRIPTED, &[(IID, "10.0.0.0/8")]));
    plan.limits.push(("register_rate_per_source", "20000".to_owned()));
}

/// The entry of a number.
fn entry(number: u64) -> Entry {
    let [.., b, c, d] = number.to_be_bytes();
    Entry {
        iid: iid(IID),
        prefix: Prefix::host(Ipv4Addr::new(10, b, c, d).into()),
        locators: vec![Node::Outsider.address(Family::V4)],
    }
}

pub(super) fn map_server(run: &mut Run<'_>) -> Result<Outcome> {
    wait_registered(&run.lab, STATIC_PREFIXES * 2)?;
    let own: IpAddr = Node::Outsider.address(Family::V4);
    let namespace = run.lab.namespace(Node::Outsider.name());
    let signed = key(&KeyFile::named(SCRIPTED));
    let mut etr = ScriptedEtr::open(&namespace, own, Node::MapServer.address(Family::V4), signed, 1)?;
    let told = etr.register_all((0..ENTRIES).map(entry))?;
    let before = registered(&run.lab)?;
    let probes = start_pings(&run.lab)?;
    interrupt::sleep(BEFORE)?;
    let misses = |run: &Run<'_>| -> Result<u64> {
        run.lab.gateways().iter().map(|gateway| gateway.api().count("misses")).sum()
    };
    let (asked_before, misses_before) = (requests(run)?, misses(run)?);
    let negative = run.negative;
    let server = run.lab.map_server_mut().ok_or_else(no_gateway)?;
    server.kill()?;
    interrupt::sleep(DEAD)?;
    if negative {
        server.forget()?;
    }
    let restarted = Instant::now();
    server.start()?;
    let took = restarted.elapsed();
    // Before any refresh could have come: these were read back.
    let after = registered(&run.lab)?;
    interrupt::sleep(AFTER)?;
    let tally = stop_pings(probes)?;
    let (asked, misses) = (requests(run)? - asked_before, misses(run)? - misses_before);
    run.count(&tally);
    run.figure("entries_before", before);
    run.figure("entries_after", after);
    run.figure("misses_during", misses);
    run.figure("map_requests_during", asked);
    run.figure("map_server_restart_ms", u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    Ok(Outcome::new(
        tally.is_perfect() && before >= ENTRIES && after == before && misses == 0,
        format!(
            "{} records registered in {} ms; {before} registrations before, {after} after {} ms of absence and a restart \
             of {} ms; {misses} misses and {asked} Map-Requests meanwhile; {tally}",
            told.confirmed,
            told.took.as_millis(),
            DEAD.as_millis(),
            took.as_millis()
        ),
    ))
}

fn requests(run: &Run<'_>) -> Result<u64> {
    Ok(run.lab.witness().ok_or_else(no_gateway)?.sightings().sent_by_gateways(Control::Request))
}

/// Each control plane dies in its turn, with learned mappings in the tables.
pub(super) fn in_turn(run: &mut Run<'_>) -> Result<Outcome> {
    let mut sum = Tally::default();
    let mut seen = Vec::new();
    for site in Site::BOTH {
        let probes = start_pings(&run.lab)?;
        interrupt::sleep(BEFORE)?;
        run.gateway_mut(site)?.kill(Plane::Control)?;
        interrupt::sleep(DEAD)?;
        let restarted = Instant::now();
        let gateway = run.gateway_mut(site)?;
        gateway.start(Plane::Control)?;
        gateway.wait_ready()?;
        let took = restarted.elapsed();
        interrupt::sleep(AFTER)?;
        let tally = stop_pings(probes)?;
        run.count(&tally);
        seen.push(format!("{} in sync again after {} ms: {tally}", site.gateway(), took.as_millis()));
        sum += tally;
    }
    Ok(Outcome::new(sum.is_perfect(), seen.join("; ")))
}
