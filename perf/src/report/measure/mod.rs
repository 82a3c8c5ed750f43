//! Measures a part: runs what the other commands run, and keeps every run's value.

mod clocks;
mod latency;
mod loss;
mod sizes;
mod timelines;
mod updates;

use super::raw::{DriverMode, FORMAT, Folder, Level, Raw};
use super::section::Section;
use crate::machine::Machine;
use crate::quick::apart;
use crate::samples::Samples;
use crate::steal::Ticks;
use anyhow::Result;
use serde::Serialize;
use serde_json::Value;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Under which conditions.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// The machine.
    pub machine: Machine,
    /// How much.
    pub level: Level,
    /// The core of whoever is measured.
    pub core: usize,
}

impl Conditions {
    /// One of two, by level.
    fn by_level<T>(&self, quick: T, full: T) -> T {
        if self.level == Level::Quick { quick } else { full }
    }

    /// What to type for a part again.
    fn command(&self, section: Section) -> String {
        let quick = self.by_level(" --quick", "");
        let core = if self.core == 1 { String::new() } else { format!(" --core {}", self.core) };
        format!("sterna-perf report --only {}{quick}{core}", section.name())
    }
}

/// What a part came to.
struct Measured {
    data: Value,
    samples: Vec<Samples>,
    driver: Vec<DriverMode>,
}

impl Measured {
    fn new(data: &impl Serialize, samples: Vec<Samples>, driver: Vec<DriverMode>) -> Result<Measured> {
        Ok(Measured { data: serde_json::to_value(data)?, samples, driver })
    }
}

/// Rates that one part found and another one goes by, frames per second.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Without loss; 0: none.
    pub ndr_pps: f64,
    /// With little loss.
    pub pdr_pps: f64,
}

/// Measures a part, and says under which conditions. What an earlier measurement left goes first.
///
/// # Errors
/// What is missing here, what did not work; [`sterna_lab::error::LabError::Interrupted`] on Ctrl-C.
pub fn part(
    section: Section,
    conditions: &Conditions,
    folder: &Folder,
    found: &mut Option<Found>,
) -> Result<Raw> {
    if section.needs_root() {
        sterna_lab::requirements::check()?;
    }
    folder.forget(section)?;
    let (start, ticks) = (Instant::now(), Ticks::now()?);
    // Each pins its thread; the next one must find all cores.
    let measured = apart(|| match section {
        Section::Loss => loss::measure(conditions, found),
        Section::Latency => latency::measure(conditions, folder, found),
        Section::Sizes => sizes::measure(conditions),
        Section::Clocks => clocks::measure(conditions),
        Section::Updates => updates::measure(conditions),
        Section::Restart => timelines::restarts(),
        Section::Move => timelines::moves(),
    })?;
    Ok(Raw {
        format: FORMAT,
        section,
        level: conditions.level,
        recorded_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        took_s: start.elapsed().as_secs_f64(),
        machine: conditions.machine.clone(),
        steal: Ticks::now()?.stolen_since(ticks),
        driver: measured.driver,
        command: conditions.command(section),
        samples: measured.samples,
        data: measured.data,
    })
}
