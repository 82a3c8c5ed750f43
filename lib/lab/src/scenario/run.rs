//! A scenario on its way: the lab, the figures so far, the steps that ended.

use serde_json::Value;

use crate::error::{LabError, Result};
use crate::gateway::process::{Gateway, Plane};
use crate::lab::Lab;
use crate::report::{Figures, Scenario, Step, Table, Watch};
use crate::site::Site;
use crate::traffic::episode::Episode;
use crate::traffic::ledger::Tally;

use super::Options;

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Did it hold?
    pub ok: bool,
    /// What was seen.
    pub detail: String,
}

impl Outcome {
    /// Shorthand.
    pub fn new(ok: bool, detail: impl Into<String>) -> Self {
        Self { ok, detail: detail.into() }
    }
}

/// A scenario that is running. Dropping it takes the lab down.
pub struct Run<'w> {
    /// The lab it runs in.
    pub lab: Lab,
    /// The figures so far.
    pub figures: Figures,
    /// Is this the negative control?
    pub negative: bool,
    /// Errors of kernels about damaged packets that the witness saw.
    pub(super) complaints: u64,
    /// Shall it be short, for tests?
    pub short: bool,
    steps: Vec<Step>,
    watch: &'w mut dyn Watch,
}

impl<'w> Run<'w> {
    pub(super) fn new(lab: Lab, options: Options, watch: &'w mut dyn Watch) -> Self {
        let Options { negative, short, .. } = options;
        Self { lab, figures: Figures::default(), negative, complaints: 0, short, steps: Vec::new(), watch }
    }

    /// Runs one step; an error in it is a step that did not hold.
    pub(super) fn step(&mut self, name: &str, work: fn(&mut Self) -> Result<Outcome>) {
        if let Some(witness) = self.lab.witness() {
            witness.begin_step();
        }
        let outcome = match work(self) {
            Ok(outcome) => outcome,
            // Not a verdict on the gateway: the caller sees the flag and ends the run.
            Err(LabError::Interrupted) => return,
            Err(error) => Outcome::new(false, error.to_string()),
        };
        self.ended(name, outcome);
    }

    fn ended(&mut self, name: &str, outcome: Outcome) {
        let step = Step { name: name.to_owned(), ok: outcome.ok, detail: outcome.detail };
        self.watch.step(&step);
        self.steps.push(step);
    }

    /// Shows a table.
    pub fn table(&mut self, table: &Table) {
        self.watch.table(table);
    }

    /// Shows a stream around an event.
    pub fn episode(&mut self, episode: &Episode) {
        self.watch.episode(episode);
    }

    /// Adds a stream's account to the figures.
    pub fn count(&mut self, tally: &Tally) {
        self.figures.add(tally);
    }

    /// Keeps a figure that only this scenario has.
    pub fn figure(&mut self, name: &'static str, value: impl Into<Value>) {
        self.figures.more.insert(name, value.into());
    }

    /// Adds to a count that several steps have a part in.
    pub fn add_to_figure(&mut self, name: &'static str, count: u64) {
        let before = self.figures.more.get(name).and_then(Value::as_u64).unwrap_or(0);
        self.figure(name, before + count);
    }

    /// The gateway of a site.
    ///
    /// # Errors
    /// When this lab has none.
    pub fn gateway_mut(&mut self, site: Site) -> Result<&mut Gateway> {
        self.lab.gateways_mut().iter_mut().find(|gateway| gateway.plan.site == site).ok_or_else(no_gateway)
    }

    /// Takes the lab down (or leaves it) as the last step, and says what it all came to.
    pub(super) fn close(mut self, name: &str, keep: bool) -> Scenario {
        if !keep {
            self.note_logs_of_a_failure();
        }
        let Self { lab, figures, negative, mut steps, watch, .. } = self;
        let step = if keep { kept(lab) } else { cleared(lab) };
        watch.step(&step);
        steps.push(step);
        Scenario { scenario: name.to_owned(), negative, ok: steps.iter().all(|step| step.ok), figures, steps }
    }

    /// The logs go with the lab's folder: what they say about a failure is shown before.
    fn note_logs_of_a_failure(&mut self) {
        if self.negative || self.steps.iter().all(|step| step.ok) {
            return;
        }
        for gateway in self.lab.gateways() {
            for plane in [Plane::Data, Plane::Control] {
                let words = gateway.last_words(plane);
                self.watch.note(&format!("{} {plane:?} plane's log ends:\n{words}", gateway.plan.name));
            }
        }
        if let Some(server) = self.lab.map_server() {
            let words = server.daemon().last_words();
            self.watch.note(&format!("{}'s log ends:\n{words}", server.plan.name));
        }
    }
}

/// The error of a step that needs gateways in a lab without.
pub(super) fn no_gateway() -> LabError {
    LabError::Missing {
        what: "this lab has no gateways".to_owned(),
        cure: "build it with Forwarding::Sterna".to_owned(),
    }
}

fn cleared(lab: Lab) -> Step {
    let (ok, detail) = match lab.down() {
        Ok(teardown) if teardown.is_clean() => {
            (true, "no namespace, XDP program, pinned object or process is left".to_owned())
        }
        Ok(teardown) => (
            false,
            format!(
                "left: {}; XDP on {:?}; pins {:?}; gateways ended when asked: {}",
                teardown.leftovers, teardown.xdp_left, teardown.pins_left, teardown.politely
            ),
        ),
        Err(error) => (false, error.to_string()),
    };
    Step { name: "nothing is left behind".to_owned(), ok, detail }
}

fn kept(lab: Lab) -> Step {
    let (ok, detail) = match lab.keep() {
        Ok(id) => (
            true,
            format!(
                "lab {} stays up: `sterna lab enter a1` opens a shell in a host (a1..a4, b1..b4, gwa, gwb, core, and ms if there is one); \
                 `sterna show agents --run-dir {}` asks a gateway; logs and configs are beside it; `sterna lab down` \
                 clears everything",
                id.name(),
                id.folder().join("gwa/run").display()
            ),
        ),
        Err(error) => (false, error.to_string()),
    };
    Step { name: "left up".to_owned(), ok, detail }
}
