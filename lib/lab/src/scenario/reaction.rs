//! An agent's state goes to failed under many new flows a second: how soon none of them goes there any more.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::error::{LabError, Result};
use crate::gateway::plan::GatewayPlan;
use crate::gateway::plan::context::ClassPlan;
use crate::gateway::plan::server::ServerPlan;
use crate::interrupt;
use crate::site::{Family, GROUPS, Host, Site};
use crate::traffic::ledger::Tally;
use crate::traffic::newcomers::{Newcomers, NewcomersPlan};
use crate::traffic::responder::Responder;
use crate::traffic::stream::{Stream, StreamPlan};
use crate::witness::sight::Control;

use super::agents::{STATIC_PREFIXES, greet, wait_registered};
use super::run::no_gateway;
use super::skills::{
    USER, allow, allow_all, change, describe, eid, flows, host, offer, one_locator, wait_new_flows,
};
use super::{Outcome, Run};

/// New flows per second.
const RATE: u32 = 2000;
/// Changes to failed, of the whole run and of a short one.
const TRIALS: [usize; 2] = [200, 40];
/// Ten times the budget, microseconds.
const TEN_TIMES_BUDGET_US: u64 = 200_000;
/// For so long no new flow must go to a site until it counts as left.
const QUIET: Duration = Duration::from_millis(30);
/// How long a change may take at all.
const PATIENCE: Duration = Duration::from_secs(3);
/// Flows that are open all the time.
const PINNED: usize = 100;
/// Packets per second of the flows that have nothing to do with the skill.
const OTHERS: u32 = 1000;
/// Reports of a load that swings below the threshold, and the time between two.
const SWINGS: u32 = 200;
const BETWEEN: Duration = Duration::from_millis(10);

/// Site B is the better one as long as its agent works.
const BETTER: &str = r#"{"latency":{"class":"low"},"hardware":["gpu"],"state":"active","load":0.2}"#;
const OTHER: &str = r#"{"latency":{"class":"medium"},"hardware":["gpu"],"state":"active","load":0.3}"#;
const FAILED: &str = r#"{"state":"failed"}"#;
const ACTIVE: &str = r#"{"state":"active"}"#;

/// Site A has a class, so that it asks for context; without it, and without the others' word, nothing follows a state.
pub(super) fn adjust(plan: &mut GatewayPlan, negative: bool) {
    allow(plan);
    one_locator(plan);
    plan.context.knobs.push(("min_interval_ms", "20".to_owned()));
    if let Some(registry) = &mut plan.registry {
        // No refresh falls into the time in which nothing may be said.
        registry.knobs.push(("register_s", "600".to_owned()));
        if negative && plan.site == Site::A {
            registry.knobs.push(("subscribe", "false".to_owned()));
        }
    }
    if plan.site == Site::A {
        let needs = "prefer = [{ hardware = [\"gpu\"], weight = 1 }]".to_owned();
        plan.context.classes = vec![ClassPlan { id: 1, name: "gpu-rather", needs }];
    }
}

pub(super) fn server(plan: &mut ServerPlan, _: bool) {
    allow_all(plan);
    plan.limits.push(("registration_s", "1800".to_owned()));
}

fn offers(run: &mut Run<'_>) -> Result<[Responder; 2]> {
    let offers = [offer(run, Site::B)?, offer(run, Site::C)?];
    describe(run, Site::B, BETTER)?;
    describe(run, Site::C, OTHER)?;
    Ok(offers)
}

/// Flows that have nothing to do with the skill, to both sites that offer it.
struct Others([Stream; 2]);

impl Others {
    fn start(run: &Run<'_>) -> Result<Self> {
        let from = Host::new(Site::A, 2);
        let stream = |site, port| {
            let to = Host::new(site, 2);
            let plan = StreamPlan {
                source: from.eid(Family::V4, Family::V4),
                target: to.eid(Family::V4, Family::V4),
                port,
                group: GROUPS[0],
                rate: OTHERS,
                count: None,
                size: 64,
            };
            Stream::start(&run.lab.host(from), &run.lab.host(to), plan)
        };
        Ok(Self([stream(Site::B, 5401)?, stream(Site::C, 5402)?]))
    }

    fn stop(self) -> Result<Tally> {
        let mut sum = Tally::default();
        for stream in self.0 {
            let (ledger, sent) = stream.stop()?;
            sum += ledger.close(sent);
        }
        Ok(sum)
    }
}

/// Flows that are open leave an agent that fails, at once and all of them, and do not come back by themselves.
pub(super) fn pinned(run: &mut Run<'_>) -> Result<Outcome> {
    wait_registered(&run.lab, STATIC_PREFIXES * Site::ALL.len() as u64)?;
    let hosts = [Host::new(Site::A, 1), Host::new(Site::A, 2), Host::new(Site::B, 2), Host::new(Site::C, 2)];
    run.count(&greet(&run.lab, &hosts)?);
    let _offers = offers(run)?;
    let (a, [b, c]) = (USER, [Site::B, Site::C].map(|site| host(site).tag()));
    wait_new_flows(run, a, 0, Some(Site::B))?;
    let mut open = flows(run, a, 0, PINNED)?;
    let before = open.round()?;
    change(run, Site::B, FAILED)?;
    wait_new_flows(run, a, 0, Some(Site::C))?;
    let failed = open.round()?;
    change(run, Site::B, ACTIVE)?;
    wait_new_flows(run, a, 0, Some(Site::B))?;
    let back = open.round()?;
    [&before, &failed, &back].iter().for_each(|round| run.count(&round.tally));
    run.figure("pinned_flows_moved", failed.answered_by(c));
    Ok(Outcome::new(
        before.answered_by(b) == PINNED && failed.answered_by(c) == PINNED && back.answered_by(c) == PINNED,
        format!(
            "of {PINNED} open flows {} at site B, {} at C when B's agent fails, {} still there when it is back",
            before.answered_by(b),
            failed.answered_by(c),
            back.answered_by(c)
        ),
    ))
}

/// From the call of the API to the last new flow that went to the failed agent.
pub(super) fn failed(run: &mut Run<'_>) -> Result<Outcome> {
    let trials = TRIALS[usize::from(run.short)];
    let offers = offers(run)?;
    wait_new_flows(run, USER, 0, Some(Site::B))?;
    let others = Others::start(run)?;
    let plan = NewcomersPlan {
        source: USER.eid(Family::V4, Family::V4),
        target: eid(),
        group: GROUPS[0],
        rate: RATE,
        sources: 1000,
        ports: 200,
        first: 21_000,
    };
    let sites = [run.lab.host(host(Site::B)), run.lab.host(host(Site::C))];
    let newcomers = Newcomers::start(&run.lab.host(USER), &sites, plan)?;
    let outcome = (0..trials).map(|_| trial(run, &newcomers)).collect::<Result<Vec<Trial>>>();
    // Whatever became of the trials: nothing may go on sending.
    let (new, others) = (newcomers.stop()?, others.stop()?);
    drop(offers);
    let trials = outcome?;
    let reactions: Vec<u64> = trials.iter().map(|trial| trial.last_us).collect();
    run.count(&new);
    run.count(&others);
    run.figure("trials", reactions.len());
    run.figure("new_flows", new.offered);
    run.figure("others_lost", others.lost);
    run.figure("reactions_us", reactions.clone());
    run.figure("first_followed_us", trials.iter().map(|trial| trial.first_us).collect::<Vec<u64>>());
    let quantiles = quantiles(&reactions)?;
    for (name, value) in &quantiles {
        run.figure(name, *value);
    }
    let at =
        |wanted| quantiles.iter().find(|(name, _)| *name == wanted).map_or(u64::MAX, |(_, value)| *value);
    let p99 = at("reaction_p99_us");
    Ok(Outcome::new(
        p99 <= TEN_TIMES_BUDGET_US && new.lost == 0 && others.is_whole() && others.lost == 0,
        format!(
            "{} times failed under {RATE} new flows/s: the last one that went there was sent {:.1} ms after the call in the \
             median, {:.1} ms at 99 %, {:.1} ms at most; {} new flows, {} lost; other flows: {others}",
            reactions.len(),
            at("reaction_p50_us") as f64 / 1000.0,
            p99 as f64 / 1000.0,
            at("reaction_max_us") as f64 / 1000.0,
            new.offered,
            new.lost
        ),
    ))
}

/// One change to failed: both are from the call of the API, microseconds.
struct Trial {
    /// To when the first new flow was sent that followed the change.
    first_us: u64,
    /// To when the last one was sent that did not; 0 when none was.
    last_us: u64,
}

/// One change to failed and back.
fn trial(run: &Run<'_>, newcomers: &Newcomers) -> Result<Trial> {
    until_only(newcomers, 0)?;
    let called = newcomers.now_ns();
    change(run, Site::B, FAILED)?;
    until_only(newcomers, 1)?;
    let first = newcomers.first_since(1, called).unwrap_or(called);
    let last = newcomers.last_since(0, called).unwrap_or(called);
    change(run, Site::B, ACTIVE)?;
    Ok(Trial { first_us: (first - called) / 1000, last_us: (last - called) / 1000 })
}

/// Waits until all new flows have gone to one of the two sites for a while.
fn until_only(newcomers: &Newcomers, site: usize) -> Result<()> {
    let quiet = u64::try_from(QUIET.as_nanos()).unwrap_or(u64::MAX);
    let waited = interrupt::wait_for("new flows to go to one site", PATIENCE, || {
        let since = newcomers.now_ns().saturating_sub(quiet);
        let only = newcomers.came_since(1 - site, since) == 0 && newcomers.came_since(site, since) > 0;
        Ok(only.then_some(()))
    });
    match waited {
        Err(LabError::Late { what, seconds, .. }) => {
            let came =
                [0, 1].map(|site| newcomers.came_since(site, newcomers.now_ns().saturating_sub(quiet)));
            Err(LabError::Late {
                what,
                seconds,
                detail: format!(" (site {site} was to get them; they got {came:?})"),
            })
        }
        other => other,
    }
}

fn quantiles(reactions: &[u64]) -> Result<Vec<(&'static str, u64)>> {
    let fault = |error: hdrhistogram::CreationError| LabError::Panicked(error.to_string());
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).map_err(fault)?;
    reactions.iter().for_each(|reaction| histogram.saturating_record((*reaction).max(1)));
    let at = |quantile| histogram.value_at_quantile(quantile);
    Ok(vec![
        ("reaction_p50_us", at(0.5)),
        ("reaction_p90_us", at(0.9)),
        ("reaction_p99_us", at(0.99)),
        ("reaction_max_us", at(1.0)),
    ])
}

/// A load that swings below the threshold is nobody else's matter.
pub(super) fn swings(run: &mut Run<'_>) -> Result<Outcome> {
    let _offers = offers(run)?;
    change(run, Site::B, r#"{"load":0.40}"#)?;
    wait_new_flows(run, USER, 0, Some(Site::B))?;
    // What is on its way about the last change has arrived then.
    interrupt::sleep(Duration::from_secs(1))?;
    let before = messages(run)?;
    for number in 0..SWINGS {
        let load = 0.40 + f64::from(number % 10) * 0.01 - 0.045;
        change(run, Site::B, &format!("{{\"load\":{load:.3}}}"))?;
        interrupt::sleep(BETWEEN)?;
    }
    interrupt::sleep(Duration::from_millis(500))?;
    let told = messages(run)? - before;
    run.figure("swings", SWINGS);
    run.figure("messages", told);
    change(run, Site::B, r#"{"load":0.95}"#)?;
    interrupt::sleep(Duration::from_millis(500))?;
    let after = messages(run)? - before - told;
    Ok(Outcome::new(
        told == 0 && after > 0,
        format!("{SWINGS} reports between 0.355 and 0.445: {told} messages; one of 0.95: {after}"),
    ))
}

/// Map-Registers and Map-Notifies that the witness has seen.
fn messages(run: &Run<'_>) -> Result<u64> {
    let seen = run.lab.witness().ok_or_else(no_gateway)?.settle()?;
    let of = |kind| {
        let from_server = seen.from_map_server.get(&kind).copied().unwrap_or(0);
        seen.sent_by_gateways(kind) + from_server
    };
    Ok(of(Control::Register) + of(Control::Notify))
}
