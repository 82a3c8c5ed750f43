//! What needs whole gateways: a lab of sites in network namespaces.

use super::spread::Spread;
use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;
use sterna_lab::experiment::exchange::{self, ExchangePlan, Exchanged};
use sterna_lab::experiment::following::Following;
use sterna_lab::experiment::notify::{self, NotifyPlan};
use sterna_lab::report::{Scenario, Silent};
use sterna_lab::scenario;
use sterna_lab::traffic::ledger::Tally;

/// What became of the packets, and of the gateways' accounts: all but the first two and the order must be 0.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Packets {
    pub offered: u64,
    pub delivered: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub corrupted: u64,
    pub balance_error: u64,
}

/// From a Map-Notify to the packet that follows it.
#[derive(Clone, Debug, Serialize)]
pub struct Notify {
    /// Packets per second to the EID; the time between two is part of every figure.
    pub rate: u32,
    /// From the Map-Notify in the core, on its way to the gateway, to the first packet there that follows it.
    pub notified: Spread,
    /// From the same to the Map-Notify-Ack, where it came before the packet: the control plane's part.
    pub acknowledged: Spread,
    /// From the Map-Register to the packet: with the Map-Server's part.
    pub registered: Spread,
    /// Changes that no packet had followed when the next one was told; they are in `notified` with the time until then.
    pub overtaken: u64,
    /// Changes that were told and never followed, or never told; must be 0.
    pub missing: u64,
    /// Packets that went back to the old locator; must be 0.
    pub strayed: u64,
    pub packets: Packets,
}

/// From a context report to the flows that follow it, by the lab's scenario `reaction`.
#[derive(Clone, Debug, Serialize)]
pub struct Context {
    /// From the call of the API to when the first new flow was sent that followed it.
    pub first: Spread,
    /// From the call to when the last new flow was sent that did not.
    pub last: Spread,
    /// Did everything hold that the scenario demands?
    pub scenario_ok: bool,
    pub packets: Packets,
}

/// Questions and answers between two agents.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    /// Of agents that nobody had asked for: the mapping system's answer is within.
    pub first: Spread,
    /// Questions beyond the first that first exchanges needed; must be 0.
    pub extra_round_trips: u64,
    /// Of agents that are known.
    pub rounds: Spread,
    /// The same through the same machine's kernels without LISP.
    pub kernel: Spread,
    /// Questions without an answer, and answers to another question; must be 0.
    pub lost: u64,
    pub wrong: u64,
    pub balance_error: u64,
}

impl Packets {
    /// Is everything there, once? A packet may overtake those before it when it is the first on another way.
    pub fn is_whole(&self) -> bool {
        let Packets { offered, delivered, lost, duplicated, corrupted, balance_error, .. } = *self;
        offered > 0 && delivered == offered && lost + duplicated + corrupted + balance_error == 0
    }

    fn of(tally: &Tally, balance_error: u64) -> Packets {
        Packets {
            offered: tally.offered,
            delivered: tally.delivered,
            lost: tally.lost,
            duplicated: tally.duplicated,
            reordered: tally.reordered,
            corrupted: tally.corrupted + tally.strayed + tally.wrong_peer,
            balance_error,
        }
    }
}

/// Changes a mapping so often under so many packets per second.
pub fn notify(changes: u32, rate: u32) -> Result<Notify> {
    let seen = notify::measure(NotifyPlan { changes: changes as usize, rate })?;
    ensure!(seen.accounts.clean, "the lab left something behind");
    let Following { changes: followed, overtaken, strayed, .. } = &seen.following;
    let ns = |time: Duration| time.as_nanos() as u64;
    let notified = followed.iter().map(|change| change.followed.saturating_sub(change.notified));
    let registered =
        followed.iter().filter_map(|change| Some(change.followed.saturating_sub(change.registered?)));
    let acknowledged =
        followed.iter().filter_map(|change| Some(change.acknowledged?.saturating_sub(change.notified)));
    let told = (followed.len() + overtaken.len()) as u64;
    Ok(Notify {
        rate,
        notified: Spread::of_ns(&notified.chain(overtaken.iter().copied()).map(ns).collect::<Vec<u64>>())?,
        acknowledged: Spread::of_ns(&acknowledged.map(ns).collect::<Vec<u64>>())?,
        registered: Spread::of_ns(&registered.map(ns).collect::<Vec<u64>>())?,
        overtaken: overtaken.len() as u64,
        missing: u64::from(changes).saturating_sub(told),
        strayed: *strayed,
        packets: Packets::of(&seen.stream, seen.accounts.balance_error),
    })
}

/// Runs the lab's scenario.
pub fn context(short: bool) -> Result<Context> {
    let options = scenario::Options { short, ..scenario::Options::default() };
    let told = scenario::run(scenario::find("reaction")?, options, &mut Silent)?;
    let failed: Vec<String> =
        told.steps.iter().filter(|step| !step.ok).map(|step| step.detail.clone()).collect();
    let times = |name| times(&told, name).with_context(|| format!("the scenario: {}", failed.join("; ")));
    let figures = &told.figures;
    Ok(Context {
        first: Spread::of_ns(&times("first_followed_us")?)?,
        last: Spread::of_ns(&times("reactions_us")?)?,
        scenario_ok: told.ok,
        packets: Packets {
            offered: figures.offered,
            delivered: figures.delivered,
            lost: figures.lost,
            duplicated: figures.duplicated,
            reordered: figures.reordered,
            corrupted: figures.corrupted + figures.strayed + figures.wrong_peer,
            balance_error: figures.balance_error,
        },
    })
}

/// A figure of the scenario that lists times in microseconds; in nanoseconds.
fn times(told: &Scenario, name: &str) -> Result<Vec<u64>> {
    let listed = told.figures.more.get(name).and_then(Value::as_array);
    let listed = listed.with_context(|| format!("no figure {name}"))?;
    Ok(listed.iter().filter_map(Value::as_u64).map(|us| us * 1000).collect())
}

/// Asks so many unknown agents, and then one so often.
pub fn exchange(strangers: u8, rounds: u32) -> Result<Exchange> {
    let seen = exchange::measure(ExchangePlan { strangers, rounds })?;
    let kernel = exchange::measure_kernel(rounds)?;
    ensure!(seen.accounts.clean && kernel.accounts.clean, "the lab left something behind");
    let Exchanged { first_ns, extra, round_ns, lost, wrong, accounts } = seen;
    Ok(Exchange {
        first: Spread::of_ns(&first_ns)?,
        extra_round_trips: extra,
        rounds: Spread::of_ns(&round_ns)?,
        kernel: Spread::of_ns(&kernel.round_ns)?,
        lost,
        wrong,
        balance_error: accounts.balance_error,
    })
}
