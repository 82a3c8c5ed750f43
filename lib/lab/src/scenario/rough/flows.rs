//! New flows to a skill go where context says, over a rough link.

use std::time::Duration;

use crate::error::Result;
use crate::interrupt;
use crate::site::Site;
use crate::traffic::census::Round;

use super::super::Run;
use super::super::skills::{USER, change, describe, flows, host, offer};
use super::Part;
use super::excuses::Excuses;

/// By this code point packets say that they need a GPU.
pub const NEEDS_GPU: u8 = 10;
/// What is said of the instances here: described twice, and changed twice.
pub const CHANGES: u32 = 4;
/// Flows of each kind, of a whole run and of a short one.
const FLOWS: [usize; 2] = [100, 30];

/// How long a change may take until every new flow goes by it.
const SETTLED: Duration = Duration::from_secs(8);
/// Flows that are asked to see who gets new ones.
const SAMPLE: usize = 12;

/// Site B has the GPU; for everyone else site C is the better one, by far more than a path can cost (at most 200).
const SAID: [(Site, &str); 2] = [
    (Site::B, r#"{"latency":{"class":"high"},"hardware":["gpu"],"state":"active","load":0.9}"#),
    (Site::C, r#"{"latency":{"class":"low"},"hardware":[],"state":"active","load":0.1}"#),
];

/// One question on each of some flows.
struct Asked {
    round: Round,
    ports: Vec<u16>,
    right: Site,
}

/// What came of all.
pub struct Rounds(Vec<Asked>);

/// Asks by class, and again when the better instance has failed.
pub fn ask(run: &Run<'_>) -> Result<Rounds> {
    let _offers = SAID.iter().map(|(site, _)| offer(run, *site)).collect::<Result<Vec<_>>>()?;
    SAID.iter().try_for_each(|(site, said)| describe(run, *site, said))?;
    let mut rounds = vec![kind(run, NEEDS_GPU, Site::B)?, kind(run, 0, Site::C)?];
    change(run, Site::C, r#"{"state":"failed"}"#)?;
    rounds.push(kind(run, 0, Site::B)?);
    change(run, Site::C, r#"{"state":"active"}"#)?;
    Ok(Rounds(rounds))
}

/// Waits until every new flow that is answered is so by the right one: over these links some are not.
fn wait_right(run: &Run<'_>, dscp: u8, right: Site) -> Result<()> {
    let right = host(right).tag();
    interrupt::wait_for("new flows to go where they should", SETTLED, || {
        let round = flows(run, USER, dscp, SAMPLE)?.round()?;
        let answered = round.answerers.iter().flatten().count();
        Ok((answered > SAMPLE / 2 && round.answered_by(right) == answered).then_some(()))
    })
}

/// Flows of one kind, once new ones go where they should.
fn kind(run: &Run<'_>, dscp: u8, right: Site) -> Result<Asked> {
    wait_right(run, dscp, right)?;
    let mut open = flows(run, USER, dscp, FLOWS[usize::from(run.short)])?;
    let ports = open.ports();
    Ok(Asked { round: open.round()?, ports, right })
}

impl Rounds {
    /// Looks who answered, and at what was not answered.
    pub fn judge(self, excuses: &Excuses) -> Part {
        let (mut tally, mut unexplained, mut wrong, mut all) = (Default::default(), 0, 0, 0);
        for Asked { round, ports, right } in self.0 {
            let right = host(right).tag();
            wrong += round.answerers.iter().flatten().filter(|tag| **tag != right).count() as u64;
            let silent = round.answerers.iter().zip(&ports).filter(|(answerer, _)| answerer.is_none());
            unexplained += excuses.unanswered(silent.map(|(_, port)| *port), 0);
            all += ports.len();
            tally += round.tally;
        }
        let words = format!(
            "{all} new flows by class: {wrong} at the wrong site, {unexplained} without an answer or a reason"
        );
        Part { tally, unexplained, wrong, ok: true, words }
    }
}
