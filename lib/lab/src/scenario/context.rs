//! Three sites offer one skill; four classes of packets go where the formula says, and elsewhere when that changes.

mod cases;
mod formula;
pub(super) mod order;

use std::collections::BTreeMap;

use crate::error::Result;
use crate::gateway::plan::GatewayPlan;
use crate::gateway::plan::context::{ClassPlan, PolicyPlan};
use crate::gateway::plan::server::{ServerPlan, SitePlan};
use crate::site::{Family, Host, Site};
use crate::traffic::census::{Census, Round};
use crate::traffic::responder::Responder;

use super::agents::{STATIC_PREFIXES, greet, wait_registered};
use super::eid_api;
use super::run::no_gateway;
use super::skills::{
    USER, allow, allow_all, change, describe, flows, host, offer, one_locator, wait_new_flows,
};
use super::{Outcome, Run};

/// Flows of each class.
const FLOWS: usize = 200;
/// What the relays add each way, microseconds: site C is the near one.
const DELAYS_US: [(Site, u64); 2] = [(Site::B, 8000), (Site::D, 1000)];

/// A kind of packets at site A, and the site that gets them.
struct Kind {
    name: &'static str,
    /// Host 1 or 2 of site A: a policy goes by the source, too.
    host: u8,
    dscp: u8,
    to: Site,
}

/// Each class by another sort of policy.
const KINDS: [Kind; 4] = [
    Kind { name: "none", host: 1, dscp: 0, to: Site::C },
    Kind { name: "gpu", host: 1, dscp: 10, to: Site::B },
    Kind { name: "secure", host: 1, dscp: 12, to: Site::D },
    Kind { name: "nvme-rather", host: 2, dscp: 0, to: Site::D },
];

/// What is said of the instances: B has the GPU and is far, C is near, D is loaded.
const SAID: [(Site, &str); 3] = [
    (
        Site::B,
        r#"{"latency":{"class":"medium"},"hardware":["gpu","h100"],"state":"active","load":0.2,"security":{"level":1}}"#,
    ),
    (
        Site::C,
        r#"{"latency":{"class":"low"},"hardware":[],"state":"active","load":0.3,"security":{"level":1}}"#,
    ),
    (
        Site::D,
        r#"{"latency":{"class":"low"},"hardware":["nvme"],"state":"active","load":0.9,"security":{"level":3,"flags":["crypto"]}}"#,
    ),
];

/// Classes and policies at site A, which the negative control leaves out.
pub(super) fn adjust(plan: &mut GatewayPlan, negative: bool) {
    allow(plan);
    eid_api::allow(plan);
    one_locator(plan);
    plan.context.knobs.push(("min_interval_ms", "50".to_owned()));
    if negative || plan.site != Site::A {
        return;
    }
    let class = |id, name, needs: &str| ClassPlan { id, name, needs: needs.to_owned() };
    plan.context.classes = vec![
        class(1, "gpu", "require = { hardware = [\"gpu\"] }"),
        class(2, "secure", "require = { min_security = 2, security = [\"crypto\"] }"),
        class(
            3,
            "nvme-rather",
            "prefer = [{ hardware = [\"nvme\"], weight = 15 }, { min_security = 2, weight = 10 }]",
        ),
    ];
    let other = Host::new(Site::A, 2).eid(Family::V4, Family::V4);
    let policy = |matches: &str, class| PolicyPlan { matches: matches.to_owned(), class };
    plan.context.policies = vec![
        policy("dscp = 10", "gpu"),
        policy("to = \"10.1.200.0/24\"\ndscp = 12\nprotocol = \"udp\"\nports = \"4000-4010\"", "secure"),
        policy(&format!("from = \"{other}/32\""), "nvme-rather"),
    ];
}

pub(super) fn server(plan: &mut ServerPlan, _: bool) {
    allow_all(plan);
    plan.sites.push(SitePlan::scripted(order::SCRIPTED, &[(order::IID, "10.7.0.0/16")]));
}

/// Instances at three sites with what is said of them.
fn offers(run: &mut Run<'_>) -> Result<Vec<Responder>> {
    for (site, delay) in DELAYS_US {
        let relay = run.lab.relay(site, 0).ok_or_else(no_gateway)?;
        (0..2).for_each(|way| relay.direction(way).delay_us(delay));
    }
    let offers = SAID.iter().map(|(site, _)| offer(run, *site)).collect::<Result<Vec<_>>>()?;
    SAID.iter().try_for_each(|(site, said)| describe(run, *site, said))?;
    Ok(offers)
}

/// Each class goes where the formula says.
pub(super) fn by_class(run: &mut Run<'_>) -> Result<Outcome> {
    wait_registered(&run.lab, STATIC_PREFIXES * Site::FOUR.len() as u64)?;
    run.count(&greet(&run.lab, &[Host::new(Site::A, 1), Host::new(Site::A, 2)])?);
    let _offers = offers(run)?;
    for kind in &KINDS {
        wait_new_flows(run, Host::new(Site::A, kind.host), kind.dscp, Some(kind.to))?;
    }
    let (mut ok, mut words, mut figure) = (true, Vec::new(), BTreeMap::new());
    for kind in &KINDS {
        let round = flows(run, Host::new(Site::A, kind.host), kind.dscp, FLOWS)?.round()?;
        run.count(&round.tally);
        let right = round.answered_by(host(kind.to).tag());
        ok &= right == FLOWS && round.tally.is_perfect();
        words.push(format!("{} {right} of {FLOWS} at site {}", kind.name, kind.to.letter()));
        figure.insert(kind.name, right as f64 / FLOWS as f64);
    }
    run.figure("flows_to_right_site", serde_json::to_value(&figure).unwrap_or_default());
    Ok(Outcome::new(ok, words.join(", ")))
}

/// A better place attracts new flows only; one that fails loses all of them at once.
pub(super) fn pinned(run: &mut Run<'_>) -> Result<Outcome> {
    let _offers = offers(run)?;
    let (a, [c, d]) = (USER, [Site::C, Site::D].map(|site| host(site).tag()));
    wait_new_flows(run, a, 0, Some(Site::C))?;
    let mut open = flows(run, a, 0, FLOWS)?;
    let first = count(run, &mut open)?;
    change(run, Site::C, r#"{"state":"busy","load":1.0}"#)?;
    change(run, Site::D, r#"{"load":0.0}"#)?;
    wait_new_flows(run, a, 0, Some(Site::D))?;
    let stayed = count(run, &mut open)?;
    change(run, Site::C, r#"{"state":"failed"}"#)?;
    wait_new_flows(run, a, 0, Some(Site::D))?;
    let left = count(run, &mut open)?;
    change(run, Site::C, r#"{"state":"active","load":0.0}"#)?;
    change(run, Site::D, r#"{"load":0.9}"#)?;
    wait_new_flows(run, a, 0, Some(Site::C))?;
    let kept = count(run, &mut open)?;
    run.figure("pinned_flows_moved_needlessly", stayed.moved_since(&first) + kept.moved_since(&left));
    run.figure("pinned_flows_left_on_failed", left.answered_by(c));
    let ok = first.answered_by(c) == FLOWS
        && stayed == Round { tally: stayed.tally, ..first.clone() }
        && left.answered_by(d) == FLOWS
        && kept.answered_by(d) == FLOWS;
    Ok(Outcome::new(
        ok,
        format!(
            "{FLOWS} flows at site C: {} stay when site D becomes better, {} go there when the agent at C fails, {} stay \
             when it is back; new flows went to D, D and C",
            stayed.answered_by(c),
            left.answered_by(d),
            kept.answered_by(d)
        ),
    ))
}

fn count(run: &mut Run<'_>, open: &mut Census) -> Result<Round> {
    let round = open.round()?;
    run.count(&round.tally);
    Ok(round)
}

/// Without the only GPU the class that needs one gets nothing, and others go on.
pub(super) fn no_match(run: &mut Run<'_>) -> Result<Outcome> {
    let _offers = offers(run)?;
    let a = USER;
    wait_new_flows(run, a, 10, Some(Site::B))?;
    change(run, Site::B, r#"{"state":"failed"}"#)?;
    wait_new_flows(run, a, 10, None)?;
    let others = flows(run, a, 0, FLOWS)?.round()?;
    run.count(&others.tally);
    let gateway = run.lab.gateway(Site::A).ok_or_else(no_gateway)?;
    let drops = gateway.drops()?;
    let dropped: u64 =
        drops.iter().filter(|drop| drop.reason == "drop_class_no_match").map(|drop| drop.count).sum();
    run.figure("class_no_match", dropped);
    change(run, Site::B, r#"{"state":"active"}"#)?;
    let back = wait_new_flows(run, a, 10, Some(Site::B))?;
    let ok = dropped > 0 && others.answered_by(host(Site::C).tag()) == FLOWS && back.tally.is_perfect();
    Ok(Outcome::new(
        ok,
        format!(
            "the GPU's agent failed: {dropped} packets that need one dropped as class_no_match, {} of {FLOWS} others at \
             site C; back again when it is",
            others.answered_by(host(Site::C).tag())
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::formula::{Place, Said, Wanted, Wish, address, expected};
    use super::*;

    /// The last number of the address that stands for a site.
    fn last(site: Site) -> u8 {
        site.digit()
    }

    /// What [`SAID`] says, in the formula's words.
    fn places() -> [Place; 3] {
        let said = |latency, load, hardware, security| Said {
            latency: Some(latency),
            load: Some(load),
            state: Some("active"),
            hardware: Some(hardware),
            security: Some(security),
        };
        let place = |site, said| Place { last: last(site), priority: 1, said };
        [
            place(Site::B, said("medium", 200, &["gpu", "h100"][..], 1)),
            place(Site::C, said("low", 300, &[][..], 1)),
            place(Site::D, said("low", 900, &["nvme"][..], 3)),
        ]
    }

    #[test]
    fn the_sites_are_those_that_the_formula_says() {
        let wanted: [&[Wanted]; 4] = [
            &[],
            &[(Wish::Hardware(&["gpu"]), None)],
            &[(Wish::Security(2), None)],
            &[(Wish::Hardware(&["nvme"]), Some(15)), (Wish::Security(2), Some(10))],
        ];
        for (kind, wanted) in KINDS.iter().zip(wanted) {
            let order = expected(&places(), wanted);
            assert_eq!(order[0].address, address(last(kind.to)), "{}", kind.name);
            assert!(order.iter().skip(1).all(|other| other.priority > 1), "{}: shared", kind.name);
            // What a path may cost more than this machine's own does not turn the order.
            let second = order.get(1).map_or(0, |other| other.score);
            assert!(order[0].score >= second + 120, "{}: {order:?}", kind.name);
        }
    }
}
