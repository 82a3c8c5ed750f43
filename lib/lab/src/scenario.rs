//! The named scenarios: what each proves, by which steps, and by what its negative control must fail.

use std::time::Instant;

use crate::error::{LabError, Result};
use crate::gateway::plan::GatewayPlan;
use crate::interrupt;
use crate::lab::Lab;
use crate::report::{Scenario, Step, Watch};
use crate::two_sites::Forwarding;

mod accounting;
mod bulk;
mod control_plane_kill;
mod fail_closed;
mod isolation;
mod locator_change;
mod ping_matrix;
mod run;
mod tcp;
mod udp;
mod vlan;

pub use run::{Outcome, Run};

/// A step's name and its work.
type Work = (&'static str, fn(&mut Run<'_>) -> Result<Outcome>);

/// A scenario.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it proves, in one sentence.
    pub about: &'static str,
    /// What its negative control takes away.
    pub without: &'static str,
    /// Changes a gateway's config before the start; `true` for the negative control.
    adjust: fn(&mut GatewayPlan, bool),
    steps: &'static [Work],
}

const PING: Work = ("ping over v4/v6 in v4/v6", ping_matrix::run);
const TCP: Work = ("tcp 100 MB", tcp::run);
const UDP: Work = ("udp at a stated rate", udp::run);
const ISOLATION: Work = ("two groups, same addresses", isolation::run);
const KILL: Work = ("both control planes killed", control_plane_kill::run);
const LOCATOR: Work = ("mapping changed to the other locator", locator_change::run);

/// Every scenario, in the order of `sterna lab list`.
pub const ALL: [Entry; 11] = [
    Entry {
        name: "demo",
        about: "everything below that `sterna demo` shows, in one lab",
        without: "group 100's mappings at site A",
        adjust: ping_matrix::adjust,
        steps: &[PING, TCP, UDP, ISOLATION, KILL, LOCATOR],
    },
    Entry {
        name: "ping-matrix",
        about: "ping over every combination of inner and outer family, local and remote, and to the gateway",
        without: "group 100's mappings at site A",
        adjust: ping_matrix::adjust,
        steps: &[PING],
    },
    Entry {
        name: "tcp",
        about: "100 MB over TCP between two agents, digests of both ends compared",
        without: "group 100's mappings at site A",
        adjust: ping_matrix::adjust,
        steps: &[TCP],
    },
    Entry {
        name: "udp",
        about: "a UDP stream at a stated rate, nothing lost, reordered or changed",
        without: "group 100's mappings at site A",
        adjust: ping_matrix::adjust,
        steps: &[UDP],
    },
    Entry {
        name: "isolation",
        about: "two groups with the same addresses at once, each reaching its own peer and never the other's",
        without: "the right ports of the two groups at site B: they are crossed",
        adjust: isolation::adjust,
        steps: &[ISOLATION],
    },
    Entry {
        name: "control-plane-kill",
        about: "SIGKILL of both control planes and their restart under 1,000 pings/s, nothing lost",
        without: "the dataplanes, which are killed too",
        adjust: unchanged,
        steps: &[KILL],
    },
    Entry {
        name: "locator-change",
        about: "a mapping changed and applied under 1,000 pings/s: traffic moves to the other locator, nothing lost",
        without: "site B's second locator",
        adjust: locator_change::adjust,
        steps: &[LOCATOR],
    },
    Entry {
        name: "accounting",
        about: "mixed traffic, then the gateways' books must agree with themselves and with the witness",
        without: "the agreement on group 200's instance-ID: the gateways use another than the hosts name",
        adjust: accounting::adjust,
        steps: &[("traffic of both groups", accounting::run)],
    },
    Entry {
        name: "vlan",
        about: "802.1Q-tagged agents of a group behind a tag reach each other, tags on again at the far end",
        without: "the same tag at site B",
        adjust: vlan::adjust,
        steps: &[("tagged agents", vlan::run)],
    },
    Entry {
        name: "bulk",
        about: "four TCP transfers at once, both groups, both directions, both families",
        without: "group 100's mappings at site A",
        adjust: ping_matrix::adjust,
        steps: &[("four transfers at once", bulk::run)],
    },
    Entry {
        name: "fail-closed",
        about: "SIGKILL of a dataplane: nothing leaves in the clear, and after its restart all is well again",
        without: "the restart",
        adjust: unchanged,
        steps: &[("dataplane killed and restarted", fail_closed::run)],
    },
];

fn unchanged(_: &mut GatewayPlan, _: bool) {}

/// How to run a scenario.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Run the negative control, which must fail.
    pub negative: bool,
    /// Leave the lab up.
    pub keep: bool,
}

/// Finds a scenario.
///
/// # Errors
/// [`LabError::UnknownScenario`] with the names there are.
pub fn find(name: &str) -> Result<&'static Entry> {
    ALL.iter().find(|entry| entry.name == name).ok_or_else(|| LabError::UnknownScenario {
        name: name.to_owned(),
        known: ALL.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", "),
    })
}

/// Builds a lab, runs a scenario in it, settles the accounts, takes the lab down.
///
/// # Errors
/// [`LabError::Missing`] when the machine cannot have a lab, [`LabError::Interrupted`] on Ctrl-C (after the
/// teardown). Everything else is a step that did not hold.
pub fn run(entry: &Entry, options: Options, watch: &mut dyn Watch) -> Result<Scenario> {
    let start = Instant::now();
    let adjust = entry.adjust;
    let lab = match Lab::build(Forwarding::Sterna, &move |plan| adjust(plan, options.negative)) {
        Ok(lab) => lab,
        Err(error @ (LabError::Missing { .. } | LabError::Interrupted)) => return Err(error),
        Err(error) => return Ok(not_built(entry, options, &error, watch)),
    };
    watch.note(&format!(
        "lab {} is up after {} ms: two sites, 8 hosts, 2 gateways, a routed underlay",
        lab.id().name(),
        start.elapsed().as_millis()
    ));
    let mut run = Run::new(lab, options.negative, watch);
    for (name, work) in entry.steps.iter().copied().chain([("accounts", accounting::settle as _)]) {
        run.step(name, work);
        if interrupt::requested() {
            // Dropping the run takes the lab down.
            return Err(LabError::Interrupted);
        }
    }
    let mut scenario = run.close(entry.name, options.keep);
    scenario.figures.duration_s = (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    Ok(scenario)
}

fn not_built(entry: &Entry, options: Options, error: &LabError, watch: &mut dyn Watch) -> Scenario {
    let step = Step { name: "lab".to_owned(), ok: false, detail: error.to_string() };
    watch.step(&step);
    Scenario {
        scenario: entry.name.to_owned(),
        negative: options.negative,
        ok: false,
        figures: crate::report::Figures::default(),
        steps: vec![step],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for entry in &ALL {
            assert_eq!(find(entry.name).unwrap().about, entry.about);
            assert!(!entry.without.is_empty());
        }
        let error = find("nothing").err().unwrap().to_string();
        assert!(error.contains("ping-matrix"), "{error}");
    }
}
