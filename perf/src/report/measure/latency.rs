//! Latency at shares of the rate without loss; each trial writes its HDR log.

use super::loss::{base, search};
use super::{Conditions, Found, Measured};
use crate::lab::load::{Trials, Way, logged_trial};
use crate::lab::systems::Lab;
use crate::report::part::latency::{Latency, Load, Trial};
use crate::report::raw::Folder;
use anyhow::{Context, Result};

/// Of the base rate.
const SHARES: [f64; 4] = [0.1, 0.5, 0.9, 1.0];

pub fn measure(conditions: &Conditions, folder: &Folder, found: &mut Option<Found>) -> Result<Measured> {
    let seconds = conditions.by_level(1.0, 10.0);
    let search_s = conditions.by_level(0.4, 2.0);
    let known = *found;
    let (latency, driver) = crate::lab::ask(conditions.core, search_s, |lab| {
        let gateway = lab.start_gateway()?;
        let way = lab.encap()?;
        let rates = match known {
            Some(rates) => rates,
            None => search(lab, &way, conditions)?.0,
        };
        let (name, base_pps) = base(&rates);
        (base_pps > 0.0).then_some(()).context("not even a rate with little loss was found")?;
        let trials = Trials { seconds, ..lab.trials };
        let loads = loads(lab, &way, &trials, conditions, folder, base_pps)?;
        gateway.balanced()?;
        let latency = Latency {
            system: "encap".to_owned(),
            frame_bytes: trials.frame_bytes,
            trial_s: seconds,
            base: name.to_owned(),
            base_pps,
            loads,
        };
        Ok((latency, gateway.driver()?))
    })?;
    Measured::new(&latency, latency.samples(), driver)
}

/// Loads in turn, again and again.
fn loads(
    lab: &Lab<'_>,
    way: &Way,
    trials: &Trials,
    conditions: &Conditions,
    folder: &Folder,
    base_pps: f64,
) -> Result<Vec<Load>> {
    // Neighbours are found and caches warm.
    logged_trial(lab.net, way, &Trials { seconds: 0.3, ..*trials }, Some(2_000.0), None)?;
    let mut loads = SHARES.map(|share| Load { share, trials: Vec::new() });
    for round in 1..=conditions.by_level(3, 9) {
        for load in &mut loads {
            let log = format!("latency-encap-{:.0}-{round}.hlog", load.share * 100.0);
            let path = folder.raw().join(&log);
            let done = logged_trial(lab.net, way, trials, Some(base_pps * load.share), Some(&path))?;
            let [p50_us, p99_us, p999_us] = done.latency_us;
            load.trials.push(Trial {
                log,
                offered_pps: done.offered_pps,
                loss: done.loss,
                probes: done.probes,
                p50_us,
                p99_us,
                p999_us,
                late_p99_us: done.lateness_us[1],
            });
        }
    }
    Ok(loads.to_vec())
}
