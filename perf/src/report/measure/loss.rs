//! Loss against offered load: the search, then rates around what it found.

use super::{Conditions, Found, Measured};
use crate::lab::load::{Way, trial};
use crate::lab::search::{Search, Tried};
use crate::lab::systems::{Lab, MOST_TRIALS, PARTIAL, WIDTH};
use crate::report::part::loss::{Loss, Rate, Trial};
use anyhow::{Context, Result};

/// Seconds of a trial.
const SECONDS: [f64; 2] = [0.4, 2.0];
/// Rates over the one that was found.
const QUICK: &[f64] = &[0.5, 0.9, 1.0, 1.3];
const FULL: &[f64] = &[0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.35, 1.5];

pub fn measure(conditions: &Conditions, found: &mut Option<Found>) -> Result<Measured> {
    let seconds = conditions.by_level(SECONDS[0], SECONDS[1]);
    let (loss, driver) = crate::lab::ask(conditions.core, seconds, |lab| {
        let gateway = lab.start_gateway()?;
        let way = lab.encap()?;
        let (rates, search) = search(lab, &way, conditions)?;
        let sweep = sweep(lab, &way, conditions, base(&rates).1)?;
        gateway.balanced()?;
        let loss = Loss {
            system: "encap".to_owned(),
            frame_bytes: lab.trials.frame_bytes,
            trial_s: seconds,
            ndr_pps: rates.ndr_pps,
            pdr_pps: rates.pdr_pps,
            search: search.iter().map(|tried| Trial { offered_pps: tried.rate, loss: tried.loss }).collect(),
            sweep,
        };
        Ok((loss, gateway.driver()?))
    })?;
    *found = Some(Found { ndr_pps: loss.ndr_pps, pdr_pps: loss.pdr_pps });
    Measured::new(&loss, loss.samples(), driver)
}

/// What shares are of: the rate without loss, or where there is none that with little.
pub fn base(found: &Found) -> (&'static str, f64) {
    if found.ndr_pps > 0.0 { ("NDR", found.ndr_pps) } else { ("PDR", found.pdr_pps) }
}

/// Looks for both rates.
pub fn search(lab: &Lab<'_>, way: &Way, conditions: &Conditions) -> Result<(Found, Vec<Tried>)> {
    // Neighbours are found and caches warm.
    trial(lab.net, way, &lab.trials, Some(2_000.0))?;
    let top = trial(lab.net, way, &lab.trials, None)?.arrived_pps * 1.25;
    let tried = |rate| -> Result<Tried> {
        let done = trial(lab.net, way, &lab.trials, Some(rate))?;
        Ok(Tried { rate: done.offered_pps, loss: done.loss })
    };
    let width = conditions.by_level(0.1, WIDTH);
    let mut search = Search::new(tried, width, conditions.by_level(8, MOST_TRIALS));
    let pdr_pps = search.highest(PARTIAL, top)?;
    let ndr_pps = search.highest(0.0, top)?;
    Ok((Found { ndr_pps, pdr_pps }, search.tried()))
}

/// Rates in turn, again and again: a machine that becomes slower does so for all of them.
fn sweep(lab: &Lab<'_>, way: &Way, conditions: &Conditions, base_pps: f64) -> Result<Vec<Rate>> {
    (base_pps > 0.0).then_some(()).context("not even a rate with little loss was found")?;
    let shares = conditions.by_level(QUICK, FULL);
    let mut rates: Vec<Rate> =
        shares.iter().map(|share| Rate { share: *share, trials: Vec::new() }).collect();
    for _ in 0..conditions.by_level(3, 9) {
        for rate in &mut rates {
            let done = trial(lab.net, way, &lab.trials, Some(base_pps * rate.share))?;
            rate.trials.push(Trial { offered_pps: done.offered_pps, loss: done.loss });
        }
    }
    Ok(rates)
}
