//! Two groups use the same addresses at once; every answer says who gave it.

use std::time::Duration;

use crate::error::Result;
use crate::gateway::plan::GatewayPlan;
use crate::site::{Family, Host, Site};
use crate::traffic::ledger::Tally;
use crate::traffic::probe::{Probe, ProbePlan, Via};
use crate::traffic::responder::{Impairment, PORT, Responder, who_is_at};

use super::{Outcome, Run};

const RATE: u32 = 500;
const COUNT: u64 = 500;
const ANSWER: Duration = Duration::from_secs(3);

/// With the ports of the groups crossed at site B, each asker meets the other group's host.
pub(super) fn adjust(plan: &mut GatewayPlan, negative: bool) {
    if let Some(registry) = plan.registry.as_mut().filter(|_| plan.site == Site::A) {
        // A subscriber is answered by the Map-Server alone; site A shall also hear ETRs, which may lie.
        registry.knobs.push(("subscribe", "false".to_owned()));
    }
    if negative && plan.site == Site::B {
        for group in &mut plan.groups {
            group.port = if group.port == "eid100" { "eid200" } else { "eid100" }.to_owned();
        }
    }
}

pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    let mut responders = Vec::new();
    for host in Host::of(&Site::BOTH) {
        let namespace = run.lab.host(host);
        let addresses = host.eids();
        responders.push(Responder::start(
            &namespace,
            &addresses,
            host.tag(),
            host.iid(),
            Impairment::default(),
        )?);
    }
    // a1 of group 100 and a3 of group 200 have one address and ask for one address; likewise b2 and b4.
    let pairs = [
        (Host::new(Site::A, 1), Host::new(Site::B, 1)),
        (Host::new(Site::A, 3), Host::new(Site::B, 3)),
        (Host::new(Site::B, 2), Host::new(Site::A, 2)),
        (Host::new(Site::B, 4), Host::new(Site::A, 4)),
    ];
    let mut probes = Vec::new();
    for (from, to) in pairs {
        for family in Family::BOTH {
            probes.push((from, to, ask(run, from, to, family)?));
        }
    }
    let mut greetings = 0;
    for (from, to) in pairs {
        let (source, target) = (from.eid(Family::V4, Family::V6), to.eid(Family::V4, Family::V6));
        let (tag, group) = who_is_at(&run.lab.host(from), source, target, ANSWER)?;
        greetings += u32::from(tag == to.tag() && group == to.iid());
    }
    let mut sum = Tally::default();
    for (_, _, probe) in probes {
        sum += probe.finish()?;
    }
    sum.strayed += responders.iter().map(Responder::strayed).sum::<u64>();
    run.count(&sum);
    run.figure("tcp_greetings_by_the_right_host", greetings);
    let address = Host::new(Site::B, 1).eid(Family::V4, Family::V4);
    Ok(Outcome::new(
        sum.is_perfect() && greetings == 4,
        format!(
            "{address} is b1 for group 100 and b3 for group 200, at the same time: {sum}; \
             {} by another host, {} seen in the other group; over TCP {greetings} of 4 met the right host",
            sum.wrong_peer, sum.strayed
        ),
    ))
}

fn ask(run: &Run<'_>, from: Host, to: Host, family: Family) -> Result<Probe> {
    let plan = ProbePlan {
        source: from.eid(family, family),
        target: to.eid(family, family),
        via: Via::Udp(PORT),
        group: from.iid(),
        answerer: Some(to.tag()),
        rate: RATE,
        count: Some(COUNT),
        size: 64,
    };
    Probe::start(&run.lab.host(from), plan)
}
