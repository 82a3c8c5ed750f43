//! What was measured, beside its budgets.

use super::sites::{Context, Exchange, Notify, Packets};
use super::spread::Spread;
use crate::machine::Machine;
use serde::Serialize;
use std::fmt;

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    /// From the record in the ring to the first packet that follows it.
    pub ring: Spread,
    /// With whole gateways; none where there can be no lab.
    pub lab: Option<Lab>,
    /// Why there is none.
    pub left_out: Option<String>,
}

/// What needs whole gateways.
#[derive(Clone, Debug, Serialize)]
pub struct Lab {
    pub notify: Notify,
    pub context: Context,
    pub exchange: Exchange,
}

/// A budget and what was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    pub what: &'static str,
    /// The most that is allowed, in `unit`.
    pub budget: f64,
    pub measured: f64,
    pub unit: &'static str,
    pub met: bool,
}

/// A report with its budgets, as JSON has it.
#[derive(Serialize)]
pub struct Judged<'a> {
    #[serde(flatten)]
    report: &'a Report,
    budgets: Vec<Judgement>,
}

impl Judgement {
    fn of(what: &'static str, budget: f64, measured: f64, unit: &'static str) -> Judgement {
        Judgement { what, budget, measured, unit, met: measured <= budget }
    }
}

impl Report {
    /// The budgets of design section 11 and of issue 5, as far as they were measured.
    pub fn budgets(&self) -> Vec<Judgement> {
        let mut all = vec![Judgement::of("ring record to packet, 99 %", 1000.0, self.ring.p99_us, "us")];
        if let Some(Lab { notify, context, exchange }) = &self.lab {
            let extra = exchange.extra_round_trips as f64;
            all.extend([
                Judgement::of("Map-Notify to packet, 99 %", 1000.0, notify.notified.p99_us, "us"),
                Judgement::of(
                    "context report to the last flow that does not follow, 99 %",
                    20_000.0,
                    context.last.p99_us,
                    "us",
                ),
                Judgement::of("extra round trips of the first exchange", 0.0, extra, ""),
            ]);
        }
        all
    }

    /// The report with its budgets.
    pub fn judged(&self) -> Judged<'_> {
        Judged { report: self, budgets: self.budgets() }
    }

    /// What must not be, whatever the times.
    pub fn faults(&self) -> Vec<String> {
        let Some(Lab { notify, context, exchange }) = &self.lab else { return Vec::new() };
        let mut faults = Vec::new();
        let mut must = |holds: bool, what: String| {
            if !holds {
                faults.push(what);
            }
        };
        let packets = |packets: &Packets| format!("packets: {packets:?}");
        must(notify.packets.is_whole(), format!("Map-Notify, {}", packets(&notify.packets)));
        must(notify.missing == 0, format!("{} changes were not followed", notify.missing));
        must(notify.strayed == 0, format!("{} packets went back to an old locator", notify.strayed));
        must(context.packets.lost == 0, format!("context, {}", packets(&context.packets)));
        must(context.scenario_ok, "the scenario `reaction` did not hold".to_owned());
        let Exchange { lost, wrong, balance_error, .. } = exchange;
        must(lost + wrong == 0, format!("exchange: {lost} without an answer, {wrong} with a wrong one"));
        must(*balance_error == 0, format!("exchange: balance error {balance_error}"));
        faults
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, spread: &Spread| {
            writeln!(f, "  {name:<50} {}", spread.line())
        };
        writeln!(f, "{}", self.machine)?;
        writeln!(f, "  {:<50} {}", "microseconds", Spread::heads())?;
        row(f, "ring record to the first packet that follows", &self.ring)?;
        if let Some(Lab { notify, context, exchange }) = &self.lab {
            row(f, "Map-Notify to the first packet that follows", &notify.notified)?;
            row(f, "Map-Notify to its acknowledgement", &notify.acknowledged)?;
            row(f, "Map-Register to the packet, with the Map-Server", &notify.registered)?;
            row(f, "context report to the first flow that follows", &context.first)?;
            row(f, "context report to the last flow that does not", &context.last)?;
            row(f, "first question to an unknown agent, and answer", &exchange.first)?;
            row(f, "question and answer, two gateways", &exchange.rounds)?;
            row(f, "question and answer, kernels without LISP", &exchange.kernel)?;
            writeln!(
                f,
                "  Map-Notify: one packet every {:.0} us, {} packets, {} lost; first exchanges: {} extra round trips",
                1e6 / f64::from(notify.rate),
                notify.packets.offered,
                notify.packets.lost,
                exchange.extra_round_trips
            )?;
        }
        if let Some(reason) = &self.left_out {
            writeln!(f, "  not measured: Map-Notify, context report, exchanges: {reason}")?;
        }
        for Judgement { what, budget, measured, unit, met } in self.budgets() {
            let verdict = if met { "within" } else { "BEYOND" };
            writeln!(f, "  {what}: {measured:.0} {unit}, {verdict} the budget of {budget:.0} {unit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "report/test.rs"]
mod test;
