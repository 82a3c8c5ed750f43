//! A skill that several sites offer: its instances, what is said of them, and who gets the flows.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use crate::command;
use crate::error::{LabError, Result};
use crate::gateway::plan::GatewayPlan;
use crate::gateway::plan::server::ServerPlan;
use crate::interrupt;
use crate::site::{Family, GROUPS, Host, SKILLS, Site, skill_eid};
use crate::traffic::census::{Census, CensusPlan, Round};
use crate::traffic::responder::{Impairment, Responder};

use super::Run;
use super::agents::speak;
use super::run::no_gateway;

/// How long a change may take until every new flow goes by it.
const SETTLED: Duration = Duration::from_secs(8);
/// Flows that are asked to see who gets new ones.
const SAMPLE: usize = 12;
/// Questions per second of a census.
const RATE: u32 = 2000;

/// Who uses the skill.
pub(super) const USER: Host = Host::new(Site::A, 1);

/// Who offers it at a site: not its user.
pub(super) const fn host(site: Site) -> Host {
    match site {
        Site::A => Host::new(site, 2),
        Site::B | Site::C | Site::D => Host::new(site, 1),
    }
}

/// The skill.
pub(super) fn eid() -> IpAddr {
    skill_eid(1)
}

/// Agents of the first group may offer skills here.
pub(super) fn allow(plan: &mut GatewayPlan) {
    plan.groups[0].skills = vec![SKILLS.to_owned()];
}

/// At the Map-Server, all sites may register them beside each other.
pub(super) fn allow_all(plan: &mut ServerPlan) {
    for site in &mut plan.sites {
        site.skills = vec![(GROUPS[0], SKILLS.to_owned())];
    }
}

/// One IPv4 locator per site, so that a locator is a site.
pub(super) fn one_locator(plan: &mut GatewayPlan) {
    plan.rlocs.retain(|own| own.address.is_ipv4() && own.port == "rloc0");
}

/// The skill appears at the first host of a site, which answers for it until this is dropped.
pub(super) fn offer(run: &Run<'_>, site: Site) -> Result<Responder> {
    let (host, eid) = (host(site), eid());
    let namespace = run.lab.host(host);
    let there = format!("addr replace {eid}/32 dev eth0");
    command::feed("ip", &["-n", namespace.name(), "-batch", "-"], &there)?;
    let responder = Responder::start(&namespace, &[eid], host.tag(), host.iid(), Impairment::default())?;
    speak(&namespace, &[eid])?;
    Ok(responder)
}

/// Where what is said of the instance here is told.
pub(super) fn context_path(eid: IpAddr) -> String {
    format!("/v1/groups/{}/agents/{eid}/context", GROUPS[0])
}

/// Says of the instance at a site all there is to say; waits until its gateway knows it.
pub(super) fn describe(run: &Run<'_>, site: Site, context: &str) -> Result<()> {
    let gateway = run.lab.gateway(site).ok_or_else(no_gateway)?;
    let path = context_path(eid());
    interrupt::wait_for(&format!("the skill at site {}", site.letter()), SETTLED, || {
        let answer = gateway.api().tell("PUT", &path, context)?;
        match answer.status {
            200 | 204 => Ok(Some(())),
            404 => Ok(None),
            status => {
                let (gateway, body) = (gateway.plan.name.clone(), answer.body.to_string());
                Err(LabError::Api { gateway, request: format!("PUT {path}"), status, body })
            }
        }
    })
}

/// Changes what is said of the instance at a site.
pub(super) fn change(run: &Run<'_>, site: Site, context: &str) -> Result<Value> {
    let gateway = run.lab.gateway(site).ok_or_else(no_gateway)?;
    let path = context_path(eid());
    let answer = gateway.api().tell("PATCH", &path, context)?;
    if matches!(answer.status, 200 | 204) {
        return Ok(answer.body);
    }
    let (gateway, body) = (gateway.plan.name.clone(), answer.body.to_string());
    Err(LabError::Api { gateway, request: format!("PATCH {path}"), status: answer.status, body })
}

/// Opens flows from a host of site A to the skill.
pub(super) fn flows(run: &Run<'_>, from: Host, dscp: u8, flows: usize) -> Result<Census> {
    let source = from.eid(Family::V4, Family::V4);
    let plan = CensusPlan { source, target: eid(), group: from.iid(), flows, dscp, rate: RATE };
    Census::open(&run.lab.host(from), plan)
}

/// Waits until new flows of this kind all go to a site; none waits until nobody gets them.
pub(super) fn wait_new_flows(run: &Run<'_>, from: Host, dscp: u8, to: Option<Site>) -> Result<Round> {
    let tag = to.map(|site| host(site).tag());
    let mut seen = Round::default();
    let waited = interrupt::wait_for("new flows to go where they should", SETTLED, || {
        seen = flows(run, from, dscp, SAMPLE)?.round()?;
        Ok(seen.answerers.iter().all(|answerer| *answerer == tag).then_some(()))
    });
    match waited {
        Ok(()) => Ok(seen),
        Err(LabError::Late { what, seconds, .. }) => {
            let detail = format!(" ({tag:?} was to answer; of {SAMPLE} flows {:?})", seen.shares());
            Err(LabError::Late { what, seconds, detail })
        }
        Err(error) => Err(error),
    }
}
