//! Packets around restarts and moves, with whole gateways.

use super::Measured;
use crate::report::part::timelines::Timelines;
use crate::report::section::Section;
use anyhow::Result;
use sterna_lab::experiment::restarting;
use sterna_lab::gateway::process::Plane;
use sterna_lab::report::{Step, Table, Watch};
use sterna_lab::scenario;
use sterna_lab::traffic::episode::Episode;

/// Each plane of a gateway dies and comes back.
pub fn restarts() -> Result<Measured> {
    let mut timelines = Timelines { faults: Vec::new(), episodes: Vec::new() };
    for plane in [Plane::Control, Plane::Data] {
        let seen = restarting::measure(plane)?;
        let what = seen.episode.what.clone();
        let mut must = |holds: bool, fault: &str| {
            if !holds {
                timelines.faults.push(format!("{what}: {fault}"));
            }
        };
        must(plane == Plane::Data || seen.stream.lost == 0, "packets were lost without a control plane");
        must(seen.accounts.balance_error == 0, "the books do not balance");
        must(seen.accounts.clean, "the lab left something behind");
        timelines.episodes.push(seen.episode);
    }
    Measured::new(&timelines, timelines.samples(Section::Restart), Vec::new())
}

/// The scenario `move`: ten moves in each of three ways.
pub fn moves() -> Result<Measured> {
    let mut seen = Seen::default();
    let told = scenario::run(scenario::find("move")?, scenario::Options::default(), &mut seen)?;
    let failed = told.steps.iter().filter(|step| !step.ok);
    let faults = failed.map(|step| format!("{}: {}", step.name, step.detail)).collect();
    let timelines = Timelines { faults, episodes: seen.episodes };
    anyhow::ensure!(!timelines.episodes.is_empty(), "no move was seen: {}", timelines.faults.join("; "));
    Measured::new(&timelines, timelines.samples(Section::Move), Vec::new())
}

/// Keeps the episodes.
#[derive(Default)]
struct Seen {
    episodes: Vec<Episode>,
}

impl Watch for Seen {
    fn step(&mut self, _: &Step) {}
    fn table(&mut self, _: &Table) {}
    fn note(&mut self, _: &str) {}
    fn episode(&mut self, episode: &Episode) {
        self.episodes.push(episode.clone());
    }
}
