//! Times of bursts beside updates at several rates.

use super::{Conditions, Measured};
use crate::clocks::Clocks;
use crate::report::part::updates::{Rate, Run, Updates};
use anyhow::Result;
use sterna_xsk::BURST;

const QUICK: &[u64] = &[10_000, 100_000, 300_000];
const FULL: &[u64] = &[1_000, 10_000, 100_000, 300_000, 1_000_000];

pub fn measure(conditions: &Conditions) -> Result<Measured> {
    let row = conditions
        .by_level("encap-v4-in-v4-64-65536-uniform-updates", "encap-v4-in-v4-64-1M-uniform-updates")
        .to_owned();
    let (pairs, bursts) = conditions.by_level((7, 512), (11, 2048));
    let clocks_per_us = conditions.machine.clocks_per_ns * 1000.0;
    let burst_us = |clocks: f64| clocks * BURST as f64 / clocks_per_us;
    let run = |per_s: f64, run: &Clocks| Run {
        per_s,
        p50_us: burst_us(run.typical),
        p99_us: burst_us(run.p99),
        p999_us: burst_us(run.p999),
        clocks: run.mean,
    };
    let rate = |asked_per_s: &u64| -> Result<Rate> {
        let done = crate::pipeline::beside_updates(&row, *asked_per_s, pairs, bursts, conditions.core)?;
        Ok(Rate {
            asked_per_s: *asked_per_s,
            with: done.rates.iter().zip(&done.with).map(|(per_s, with)| run(*per_s, with)).collect(),
            without: done.without.iter().map(|without| run(0.0, without)).collect(),
            entries_verified: done.entries_verified,
        })
    };
    let rates = conditions.by_level(QUICK, FULL).iter().map(rate).collect::<Result<Vec<Rate>>>()?;
    let updates = Updates { row: row.clone(), burst: BURST as u32, rates };
    Measured::new(&updates, updates.samples(), Vec::new())
}
