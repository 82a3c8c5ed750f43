//! Ten thousand agents that report ten thousand times a second: what reaches the mapping system is bounded, and
//! forwarding does not notice.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::error::{LabError, Result};
use crate::gateway::plan::GatewayPlan;
use crate::gateway::plan::server::ServerPlan;
use crate::interrupt;
use crate::relay::dice::Dice;
use crate::site::{Family, GROUPS, Host, Site};
use crate::traffic::pace::Pace;
use crate::traffic::stream::{Stream, StreamPlan};
use crate::witness::sight::Control;

use super::agents::{STATIC_PREFIXES, greet, wait_registered};
use super::run::no_gateway;
use super::{Outcome, Run};

/// Agents at site B.
const AGENTS: u32 = 10_000;
/// Reports of one batch, and batches per second: 10,000 reports a second.
const BATCH: u32 = 500;
const BATCHES: u32 = 20;
/// How long it goes on, of the whole run and of a short one, seconds.
const SECONDS: [u32; 2] = [20, 8];
/// Records per second that the mapping system may be told.
const BOUND: u32 = 100;
/// What the negative control allows instead.
const UNBOUNDED: u32 = 1_000_000;
/// Packets per second meanwhile.
const RATE: u32 = 2000;
/// What the memory of the control plane may grow a second, when every agent has been heard, bytes.
const FLAT: i64 = 128 * 1024;

/// Every agent has a registration of its own.
pub(super) fn adjust(plan: &mut GatewayPlan, negative: bool) {
    super::skills::one_locator(plan);
    if plan.site == Site::B {
        plan.groups[0].eids.extend((0..AGENTS).map(|number| format!("{}/32", agent(number))));
        let bound = if negative { UNBOUNDED } else { BOUND };
        let interval = if negative { 0 } else { 1000 };
        plan.context.knobs.push(("register_rate", bound.to_string()));
        plan.context.knobs.push(("min_interval_ms", interval.to_string()));
        plan.context.knobs.push(("report_rate", "20_000".to_owned()));
    }
    if let Some(registry) = &mut plan.registry {
        // What is sent meanwhile is about context.
        registry.knobs.push(("register_s", "3600".to_owned()));
    }
}

pub(super) fn server(plan: &mut ServerPlan, _: bool) {
    plan.limits.push(("registration_s", "7200".to_owned()));
    plan.limits.push(("register_rate_per_source", "20000".to_owned()));
}

fn agent(number: u32) -> Ipv4Addr {
    let [.., high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 1, 128 + high, low)
}

/// What came of all batches.
#[derive(Default)]
struct Reported {
    sent: u64,
    taken: u64,
    limited: u64,
    other: u64,
}

pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    wait_registered(&run.lab, STATIC_PREFIXES * 2 + u64::from(AGENTS))?;
    let (a, b) = (Host::new(Site::A, 1), Host::new(Site::B, 1));
    run.count(&greet(&run.lab, &[a, b])?);
    // Everything is registered and confirmed, and everybody has been heard once.
    let (pace, mut first) = (Pace::begin(BATCHES), Reported::default());
    for number in 0..AGENTS / BATCH {
        pace.wait(number.into());
        report(run, number * BATCH, 0, &mut first)?;
    }
    interrupt::sleep(Duration::from_secs(1))?;
    let stream = StreamPlan {
        source: a.eid(Family::V4, Family::V4),
        target: b.eid(Family::V4, Family::V4),
        port: 5501,
        group: GROUPS[0],
        rate: RATE,
        count: None,
        size: 64,
    };
    let stream = Stream::start(&run.lab.host(a), &run.lab.host(b), stream)?;
    let (before, start) = (registers(run)?, Instant::now());
    let storm = storm(run);
    let (took, after) = (start.elapsed(), registers(run)?);
    let (ledger, sent) = stream.stop()?;
    let (told, slope) = storm?;
    let tally = ledger.close(sent);
    run.count(&tally);
    judge(run, &first, &told, (after - before, took), slope, &tally)
}

/// Reports at the rate, with the growth of the control plane's memory in the second half, bytes per second.
fn storm(run: &Run<'_>) -> Result<(Reported, i64)> {
    let seconds = SECONDS[usize::from(run.short)];
    let (pace, mut sum, mut half) = (Pace::begin(BATCHES), Reported::default(), None);
    for number in 0..seconds * BATCHES {
        pace.wait(number.into());
        interrupt::check()?;
        if number == seconds * BATCHES / 2 {
            half = Some((resident(run)?, Instant::now()));
        }
        report(run, number * BATCH % AGENTS, number + 1, &mut sum)?;
    }
    let (bytes, at) = half.ok_or_else(no_gateway)?;
    let growth = i64::try_from(resident(run)?).unwrap_or(i64::MAX) - i64::try_from(bytes).unwrap_or(0);
    Ok((sum, growth / at.elapsed().as_secs().max(1) as i64))
}

fn resident(run: &Run<'_>) -> Result<u64> {
    let gateway = run.lab.gateway(Site::B).ok_or_else(no_gateway)?;
    gateway.control().resident_bytes().ok_or_else(no_gateway)
}

/// One batch: a new load, and sometimes a new state, of so many agents.
fn report(run: &Run<'_>, from: u32, round: u32, sum: &mut Reported) -> Result<()> {
    let mut dice = Dice(u64::from(round) << 32 | u64::from(from));
    let mut lines = String::new();
    for number in from..from + BATCH {
        let (load, state) = (dice.roll(1000), ["active", "busy", "idle"][dice.roll(3) as usize]);
        let load = load as f64 / 1000.0;
        // Writing to a String cannot fail.
        let _ = writeln!(
            lines,
            r#"{{"iid":{},"eid":"{}","op":"put","context":{{"state":"{state}","load":{load}}}}}"#,
            GROUPS[0],
            agent(number)
        );
    }
    let gateway = run.lab.gateway(Site::B).ok_or_else(no_gateway)?;
    let answer = gateway.api().tell("POST", "/v1/context/batch", &lines)?;
    sum.sent += u64::from(BATCH);
    match answer.status {
        200 | 429 => add(&answer.body, sum),
        status => {
            let (gateway, body) = (gateway.plan.name.clone(), answer.body.to_string());
            return Err(LabError::Api {
                gateway,
                request: "POST /v1/context/batch".to_owned(),
                status,
                body,
            });
        }
    }
    Ok(())
}

/// What a batch's answer says of its lines.
fn add(body: &Value, sum: &mut Reported) {
    let count = |name: &str| body[name].as_u64().unwrap_or(0);
    sum.taken += count("taken");
    sum.limited += count("limited");
    sum.other += count("refused");
}

/// Map-Registers that the witness has seen.
fn registers(run: &Run<'_>) -> Result<u64> {
    // Without waiting for quiet: there is none.
    Ok(run.lab.witness().ok_or_else(no_gateway)?.sightings().sent_by_gateways(Control::Register))
}

fn judge(
    run: &mut Run<'_>,
    first: &Reported,
    told: &Reported,
    (registers, took): (u64, Duration),
    slope: i64,
    tally: &crate::traffic::ledger::Tally,
) -> Result<Outcome> {
    let gateway = run.lab.gateway(Site::B).ok_or_else(no_gateway)?;
    let suppressed: u64 = ["suppressed_threshold", "suppressed_interval", "suppressed_rate"]
        .into_iter()
        .map(|name| gateway.api().count(name))
        .sum::<Result<u64>>()?;
    // Each message has one record at least, and as many come at once after quiet as in one second.
    let bound = (took.as_secs_f64() * f64::from(BOUND)) as u64 + u64::from(BOUND);
    let rate = told.sent as f64 / took.as_secs_f64();
    run.figure("reports_ok", told.taken);
    run.figure("reports_429", told.limited);
    run.figure("reports_per_s", rate.round());
    run.figure("suppressed", suppressed);
    run.figure("map_registers", registers);
    run.figure("bound", bound);
    run.figure("rss_slope", slope);
    let all = first.taken == u64::from(AGENTS) && told.taken + told.limited == told.sent && told.other == 0;
    let kept = rate >= f64::from(BATCH * BATCHES) * 0.9;
    Ok(Outcome::new(
        all && kept && told.taken > 0 && registers <= bound && slope < FLAT && tally.is_perfect(),
        format!(
            "{AGENTS} agents, {} reports at {rate:.0}/s: {} taken, {} answered 429, {} otherwise refused; {registers} \
             Map-Registers with a bound of {bound}; {suppressed} suppressed; memory {slope:+} bytes/s; meanwhile {RATE} \
             packets/s: {tally}",
            told.sent, told.taken, told.limited, told.other
        ),
    ))
}
