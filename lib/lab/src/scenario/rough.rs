//! The access links of all sites are rough, of one kind after another: an agent moves, EIDs are resolved and context is
//! followed while frames are lost, late, doubled, out of order and damaged.
//!
//! Nothing may be missing that the relays did not keep or damage ([`excuses`]), packet by packet; no answer may be wrong;
//! and the control messages stay within what the retry timers make of the losses and of the round trip ([`bound`]).
//!
//! Damage is done from the core to the sites only, behind the witness, which would take it for a gateway's doing; and
//! while the agent moves, to site A only: a gateway that relays passes on an inner packet whose damage is its host's to
//! find, and the witness would see that too.

mod bound;
mod excuses;
mod flows;
mod moves;
mod questions;

use std::time::Duration;

use serde_json::Value;

use crate::error::{LabError, Result};
use crate::gateway::plan::GatewayPlan;
use crate::gateway::plan::context::{ClassPlan, PolicyPlan};
use crate::gateway::plan::server::ServerPlan;
use crate::interrupt;
use crate::relay::Relay;
use crate::relay::impairment::Impairment;
use crate::relay::profile::Profile;
use crate::site::{Host, Site};
use crate::topology::Topology;
use crate::traffic::ledger::Tally;

use super::agents::{STATIC_PREFIXES, greet, wait_registered};
use super::skills::{allow, allow_all, one_locator};
use super::{Outcome, Run, moving};

use bound::Work;
use excuses::Excuses;

/// Three sites and an agent that moves, each site behind one relayed link.
pub(super) const TOPOLOGY: Topology =
    Topology { relayed: &[(Site::A, 0), (Site::B, 0), (Site::C, 0)], ..Topology::ROAMING };

/// Sites whose links are rough, in the order of the lab's relays.
const SITES: [Site; 3] = [Site::A, Site::B, Site::C];
/// The profile that the negative control runs on.
const FIRST: &str = "wan";
/// How long packets are held: three Map-Requests in a row may be lost, 0.5 + 1 + 2 s after each other, and the fourth
/// answered over a satellite.
const HOLD_MS: &str = "5000";

/// Without room to hold packets at site A the first ones are lost, and no link's fault it is.
pub(super) fn adjust(plan: &mut GatewayPlan, negative: bool) {
    moving::believe_many_moves(plan);
    allow(plan);
    one_locator(plan);
    plan.context.knobs.push(("min_interval_ms", "50".to_owned()));
    plan.dataplane.push(("hold_ms", HOLD_MS.to_owned()));
    if plan.site == Site::A {
        let needs = "require = { hardware = [\"gpu\"] }".to_owned();
        plan.context.classes = vec![ClassPlan { id: 1, name: "gpu", needs }];
        plan.context.policies =
            vec![PolicyPlan { matches: format!("dscp = {}", flows::NEEDS_GPU), class: "gpu" }];
        if negative {
            plan.dataplane.push(("hold_packets", "0".to_owned()));
        }
    }
}

pub(super) fn server(plan: &mut ServerPlan, negative: bool) {
    moving::server(plan, negative);
    allow_all(plan);
}

/// Everyone is there before the links become rough.
pub(super) fn arrive(run: &mut Run<'_>) -> Result<Outcome> {
    wait_registered(&run.lab, STATIC_PREFIXES * SITES.len() as u64)?;
    run.count(&greet(&run.lab, &SITES.map(|site| Host::new(site, 1)))?);
    let there = questions::arrive(run)?;
    moving::arrive(run)?;
    Ok(Outcome::new(there > 0, format!("{there} EIDs at site B, the agent that moves beside them")))
}

pub(super) fn wan(run: &mut Run<'_>) -> Result<Outcome> {
    on(run, "wan", 0)
}

pub(super) fn satellite(run: &mut Run<'_>) -> Result<Outcome> {
    on(run, "satellite", 1)
}

pub(super) fn wifi(run: &mut Run<'_>) -> Result<Outcome> {
    on(run, "wifi", 2)
}

pub(super) fn five_g(run: &mut Run<'_>) -> Result<Outcome> {
    on(run, "5g", 3)
}

pub(super) fn leo(run: &mut Run<'_>) -> Result<Outcome> {
    if run.short {
        return Ok(Outcome::new(true, "not in a short run"));
    }
    on(run, "leo", 4)
}

/// What came of all parts on one kind of link.
#[derive(Default)]
struct Came {
    tally: Tally,
    /// Packets that are missing and of which no relay knows.
    unexplained: u64,
    wrong: u64,
    moves: u32,
    words: Vec<String>,
    ok: bool,
}

impl Came {
    fn add(&mut self, part: Part) {
        self.tally += part.tally;
        self.unexplained += part.unexplained;
        self.wrong += part.wrong;
        self.words.push(part.words);
        self.ok &= part.ok;
    }
}

/// What came of one part.
struct Part {
    tally: Tally,
    unexplained: u64,
    wrong: u64,
    ok: bool,
    words: String,
}

fn on(run: &mut Run<'_>, name: &'static str, number: u8) -> Result<Outcome> {
    if run.negative && name != FIRST {
        return Ok(Outcome::new(true, format!("the negative control runs on {FIRST} alone")));
    }
    let profile = Profile::shipped(name).map_err(|error| LabError::Panicked(error.to_string()))?;
    let before = run.lab.relays().map(Relay::counts).sum();
    let began = moving::now();
    make_rough(run, &profile, &[Site::A]);
    run.lab.relays().for_each(Relay::watch);
    let came = parts(run, &profile, number);
    // Whatever came of it: the next one begins on a wire.
    run.lab.relays().for_each(|relay| relay.impair(None));
    let came = came?;
    // What is still under way over the rough link, and what is repeated for it, belongs to it.
    interrupt::sleep(path(&profile))?;
    let work = Work { moves: came.moves, eids: questions::count(run), changes: flows::CHANGES };
    let control = bound::judge(run, &profile, work, began)?;
    tell(run, name, came, &control, before)
}

fn parts(run: &mut Run<'_>, profile: &Profile, number: u8) -> Result<Came> {
    let mut came = Came { ok: true, ..Came::default() };
    let asking = questions::start(run, profile, number)?;
    let journey = moves::travel(run, profile)?;
    came.moves = journey.moves;
    let asked = asking.finish(run)?;
    let excuses = Excuses::of(&run.lab);
    came.add(asked.judge(run, &excuses)?);
    came.add(journey.judge(run, &excuses));
    make_rough(run, profile, &SITES);
    let round = flows::ask(run)?;
    came.add(round.judge(&Excuses::of(&run.lab)));
    Ok(came)
}

/// Every link becomes one of the kind; damage is done towards these sites only.
fn make_rough(run: &Run<'_>, profile: &Profile, damaged: &[Site]) {
    for (site, relay) in SITES.iter().zip(run.lab.relays()) {
        let up = Impairment { corrupt_ppm: 0, ..profile.up.clone() };
        let mut down = profile.down.clone();
        if !damaged.contains(site) {
            down.corrupt_ppm = 0;
        }
        relay.impair(Some(&Profile { up, down, ..Profile::default() }));
    }
}

/// How long a frame may take from site to site, or to the core and back, but for what waits in a full queue.
fn path(profile: &Profile) -> Duration {
    let way = |knobs: &Impairment| knobs.delay_us + knobs.jitter_us + knobs.reorder_us;
    Duration::from_micros(way(&profile.up) + way(&profile.down))
}

fn tell(
    run: &mut Run<'_>,
    name: &'static str,
    came: Came,
    control: &bound::Seen,
    before: crate::relay::books::Counts,
) -> Result<Outcome> {
    run.count(&came.tally);
    let after: crate::relay::books::Counts = run.lab.relays().map(Relay::counts).sum();
    let doubled = after.doubled - before.doubled;
    let twice = came.tally.duplicated.saturating_sub(doubled);
    run.add_to_figure("lost_unexplained", came.unexplained);
    run.add_to_figure("wrong_answers", came.wrong);
    run.add_to_figure("duplicated_unexplained", twice);
    run.add_to_figure("control_messages", control.messages);
    run.add_to_figure("control_messages_bound", control.bound);
    let mut kinds =
        run.figures.more.get("links").cloned().unwrap_or_else(|| Value::Object(Default::default()));
    kinds[name] = serde_json::json!({
        "offered": came.tally.offered,
        "lost": came.tally.lost,
        "lost_unexplained": came.unexplained,
        "wrong_answers": came.wrong,
        "delay_p50_ms": f64::from(came.tally.delay_p50_us) / 1000.0,
        "delay_p99_ms": f64::from(came.tally.delay_p99_us) / 1000.0,
        "control_messages": control.messages,
        "control_messages_bound": control.bound,
        "control_lost": control.lost,
        "probe_messages": control.probes,
        "probe_messages_bound": control.probes_bound,
        "frames_lost": after.not_relayed() - before.not_relayed(),
        "frames_doubled": doubled,
        "frames_reordered": after.reordered - before.reordered,
        "frames_corrupted": after.corrupted - before.corrupted,
    });
    run.figure("links", kinds);
    let faults = came.tally.corrupted + came.tally.strayed + came.tally.wrong_peer + twice;
    let ok = came.ok && came.unexplained + came.wrong + faults == 0 && control.holds();
    Ok(Outcome::new(ok, format!("{}; {}; {}", came.tally, came.words.join("; "), control.in_words())))
}
