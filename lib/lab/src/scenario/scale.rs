//! One Map-Server with many EIDs from scripted ETRs, asked at a high rate: every answer right, and how fast.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use sterna_wire::Prefix;

use crate::error::{LabError, Result};
use crate::gateway::plan::KeyFile;
use crate::gateway::plan::server::{ServerPlan, SitePlan};
use crate::script::etr::{Entry, ScriptedEtr, key};
use crate::script::itr::{Asked, Questions, ask, iid};
use crate::site::Family;
use crate::underlay::Node;

use super::agents::registered;
use super::run::no_gateway;
use super::{Outcome, Run};

/// EIDs of the whole run, and of a short one.
const EIDS: [u64; 2] = [1_000_000, 20_000];
/// How long it is asked, seconds.
const SECONDS: [u64; 2] = [30, 3];
/// Questions per second.
const RATE: u32 = 20_000;
/// A question is behind the schedule when the sender could not keep the rate; less than this share shows nothing.
const KEPT: f64 = 0.98;
/// Scripted ETRs that share the EIDs.
const ETRS: u64 = 16;
/// Different locator sets among the EIDs.
const SETS: u64 = 1000;
/// Ten times the memory that an EID may take, bytes.
const TEN_TIMES_BYTES: u64 = 4000;
/// With few EIDs the process's own memory would be counted as theirs.
const ENOUGH_TO_JUDGE: u64 = 100_000;
const SCRIPTED: &str = "scripted";
const IID: u32 = 7;

/// Limits of a server that is meant to be loaded; the negative control takes no more than a thousand EIDs.
pub(super) fn server(plan: &mut ServerPlan, negative: bool) {
    plan.sites.push(SitePlan::scripted(SCRIPTED, &[(IID, "10.0.0.0/8")]));
    for limit in ["register_rate", "register_rate_per_source", "request_rate", "request_rate_per_source"] {
        plan.limits.push((limit, "1000000".to_owned()));
    }
    plan.limits.push(("max_registrations", if negative { "1000" } else { "1100000" }.to_owned()));
    // A run takes longer than three minutes on a slow machine.
    plan.limits.push(("registration_s", "3600".to_owned()));
}

/// The entry of a number: an EID that shares its locators with a thousandth of the others.
fn entry(number: u64) -> Entry {
    // Spread over the whole range, so that neighbours in time are none in the table.
    let [.., b, c, d] = (number.wrapping_mul(0x9e_3779) & 0xff_ffff).to_be_bytes();
    let [.., high, low] = (number % SETS).to_be_bytes();
    Entry {
        iid: iid(IID),
        prefix: Prefix::host(Ipv4Addr::new(10, b, c, d).into()),
        locators: vec![Ipv4Addr::new(172, 16, high, low).into()],
    }
}

pub(super) fn register(run: &mut Run<'_>) -> Result<Outcome> {
    let count = EIDS[usize::from(run.short)];
    let resident = |run: &Run<'_>| -> Result<u64> {
        run.lab.map_server().and_then(|server| server.daemon().resident_bytes()).ok_or_else(no_gateway)
    };
    let before = resident(run)?;
    let start = Instant::now();
    let mut confirmed = 0;
    for number in 0..ETRS {
        let mut etr = open(run, number)?;
        // A server that takes no more confirms what it took: the rest is found missing below.
        match etr.register_all((number..count).step_by(ETRS as usize).map(entry)) {
            Ok(told) => confirmed += told.confirmed,
            Err(LabError::Late { .. }) if run.negative => break,
            Err(error) => return Err(error),
        }
    }
    let took = start.elapsed();
    let known = registered(&run.lab)?;
    let bytes = resident(run)?.saturating_sub(before) / count;
    let rate = confirmed as f64 / took.as_secs_f64();
    run.figure("eids", known);
    run.figure("registered_per_s", rate.round());
    run.figure("bytes_per_eid", bytes);
    Ok(Outcome::new(
        known == count && (count < ENOUGH_TO_JUDGE || bytes <= TEN_TIMES_BYTES),
        format!(
            "{confirmed} records of {ETRS} ETRs confirmed in {:.1} s ({rate:.0}/s); {known} registrations; {bytes} bytes of \
             memory each",
            took.as_secs_f64()
        ),
    ))
}

fn open(run: &Run<'_>, number: u64) -> Result<ScriptedEtr> {
    let namespace = run.lab.namespace(Node::Outsider.name());
    let (own, server) = (Node::Outsider.address(Family::V4), Node::MapServer.address(Family::V4));
    let number = u8::try_from(number + 1).unwrap_or(u8::MAX);
    ScriptedEtr::open(&namespace, own, server, key(&KeyFile::named(SCRIPTED)), number)
}

pub(super) fn answer(run: &mut Run<'_>) -> Result<Outcome> {
    let short = usize::from(run.short);
    let plan = Questions {
        entry: &entry,
        count: EIDS[short],
        rate: RATE,
        questions: u64::from(RATE) * SECONDS[short],
        seed: 11,
    };
    let namespace = run.lab.namespace(Node::Outsider.name());
    let own: IpAddr = Node::Outsider.address(Family::V4);
    let before = Spent::so_far(run)?;
    let asked = ask(&namespace, own, Node::MapServer.address(Family::V4), &plan)?;
    let spent = Spent::so_far(run)?.since(before);
    show(run, &asked, &spent);
    let kept = asked.rate() >= f64::from(RATE) * KEPT;
    let all = asked.unanswered() == 0 && asked.asked == plan.questions;
    Ok(Outcome::new(asked.wrong == 0 && all && kept, in_words(&asked, &spent)))
}

/// What the Map-Server has spent, and what it could not take.
#[derive(Clone, Copy, Default)]
struct Spent {
    cpu: Duration,
    waited: Duration,
    kernel_dropped: u64,
    policed: u64,
}

impl Spent {
    fn so_far(run: &Run<'_>) -> Result<Self> {
        let server = run.lab.map_server().ok_or_else(no_gateway)?;
        Ok(Self {
            cpu: server.daemon().cpu_time().unwrap_or_default(),
            waited: server.daemon().wait_time().unwrap_or_default(),
            kernel_dropped: server.api().count("kernel_dropped")?,
            policed: server.api().count("policed")?,
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            waited: self.waited.saturating_sub(before.waited),
            kernel_dropped: self.kernel_dropped - before.kernel_dropped,
            policed: self.policed - before.policed,
        }
    }

    /// How much of the time while the questions came it had a core, and how much it waited for one: both together
    /// near 1 tell that the machine, not the Map-Server, was too slow.
    fn shares(&self, asked: &Asked) -> [f64; 2] {
        [self.cpu, self.waited].map(|time| time.as_secs_f64() / asked.took.as_secs_f64().max(1e-9))
    }
}

/// Names and quantiles of the latencies that are told.
const LATENCIES: [(&str, f64); 5] = [
    ("latency_p50_us", 0.5),
    ("latency_p90_us", 0.9),
    ("latency_p99_us", 0.99),
    ("latency_p999_us", 0.999),
    ("latency_max_us", 1.0),
];

fn show(run: &mut Run<'_>, asked: &Asked, spent: &Spent) {
    run.figures.offered += asked.asked;
    run.figures.delivered += asked.right;
    run.figures.lost += asked.unanswered();
    run.figure("wrong_answers", asked.wrong);
    run.figure("requests_per_s", asked.rate().round());
    for (name, quantile) in LATENCIES {
        run.figure(name, asked.latency_us.value_at_quantile(quantile));
    }
    for (name, share) in ["map_server_cpu_share", "map_server_cpu_waited"].iter().zip(spent.shares(asked)) {
        run.figure(name, (share * 1000.0).round() / 1000.0);
    }
    run.figure("map_server_kernel_dropped", spent.kernel_dropped);
}

fn in_words(asked: &Asked, spent: &Spent) -> String {
    let at = |quantile| asked.latency_us.value_at_quantile(quantile);
    let [busy, waited] = spent.shares(asked).map(|share| share * 100.0);
    let wrong = asked.first_wrong.as_ref().map(|first| format!(" (the first: {first})")).unwrap_or_default();
    format!(
        "{} questions at {:.0}/s: {} right, {} wrong{wrong}, {} without an answer; latency median {} us, 99 % {} us, \
         99.9 % {} us, longest {} us; the Map-Server was busy {busy:.0} % of a core and waited {waited:.0} % of the \
         time for one, its socket dropped {} and was held back {} times",
        asked.asked,
        asked.rate(),
        asked.right,
        asked.wrong,
        asked.unanswered(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        spent.kernel_dropped,
        spent.policed
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_number_has_an_eid_of_its_own() {
        let seen: HashSet<_> = (0..EIDS[0]).map(|number| entry(number).prefix).collect();
        assert_eq!(seen.len() as u64, EIDS[0]);
    }
}
