//! The demo's step about context: who asks for a GPU gets to the GPU, and elsewhere when its agent fails.

use crate::error::Result;
use crate::gateway::plan::GatewayPlan;
use crate::gateway::plan::context::{ClassPlan, PolicyPlan};
use crate::gateway::plan::server::ServerPlan;
use crate::site::Site;

use super::skills::{USER, allow, allow_all, change, describe, flows, host, offer, wait_new_flows};
use super::{Outcome, Run, moving, ping_matrix};

/// Flows of each kind.
const FLOWS: usize = 50;
/// By this code point packets say that they need a GPU.
const NEEDS_GPU: u8 = 10;

/// What the demo needs beside the rest: a skill at every site, and a class at site A.
pub(super) fn adjust(plan: &mut GatewayPlan, negative: bool) {
    ping_matrix::adjust_mapped(plan, negative);
    allow(plan);
    if plan.site == Site::A {
        let needs = "require = { hardware = [\"gpu\"] }".to_owned();
        plan.context.classes = vec![ClassPlan { id: 1, name: "gpu", needs }];
        plan.context.policies = vec![PolicyPlan { matches: format!("dscp = {NEEDS_GPU}"), class: "gpu" }];
    }
}

pub(super) fn server(plan: &mut ServerPlan, negative: bool) {
    moving::server(plan, negative);
    allow_all(plan);
}

/// What is said of the instances: A has one of its own without a GPU, B has a good GPU, C a worse one.
const SAID: [(Site, &str); 3] = [
    (Site::A, r#"{"latency":{"class":"low"},"hardware":[],"state":"active","load":0.1}"#),
    (Site::B, r#"{"latency":{"class":"medium"},"hardware":["gpu"],"state":"active","load":0.2}"#),
    (Site::C, r#"{"latency":{"class":"high"},"hardware":["gpu"],"state":"busy","load":0.6}"#),
];

pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    let _offers = SAID.iter().map(|(site, _)| offer(run, *site)).collect::<Result<Vec<_>>>()?;
    SAID.iter().try_for_each(|(site, said)| describe(run, *site, said))?;
    wait_new_flows(run, USER, NEEDS_GPU, Some(Site::B))?;
    wait_new_flows(run, USER, 0, Some(Site::A))?;
    let need = share(run, NEEDS_GPU, Site::B)?;
    let plain = share(run, 0, Site::A)?;
    change(run, Site::B, r#"{"state":"failed"}"#)?;
    wait_new_flows(run, USER, NEEDS_GPU, Some(Site::C))?;
    let moved = share(run, NEEDS_GPU, Site::C)?;
    run.figure("gpu_flows_at_gpu", need);
    run.figure("gpu_flows_moved", moved);
    Ok(Outcome::new(
        need == FLOWS && plain == FLOWS && moved == FLOWS,
        format!(
            "three sites offer one skill: {need} of {FLOWS} requests that need a GPU went to site B's, {plain} of {FLOWS} others \
             to the instance nearby; {moved} to site C's GPU when the agent at B reported itself failed"
        ),
    ))
}

/// How many new flows a site gets.
fn share(run: &mut Run<'_>, dscp: u8, site: Site) -> Result<usize> {
    let round = flows(run, USER, dscp, FLOWS)?.round()?;
    run.count(&round.tally);
    Ok(round.answered_by(host(site).tag()))
}
