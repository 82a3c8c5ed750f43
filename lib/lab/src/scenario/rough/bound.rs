//! How many control messages there may be: what the work takes, times what the retry timers make of the round trip, and
//! what each loss makes them send again.

use std::time::Duration;

use crate::error::Result;
use crate::relay::profile::Profile;
use crate::witness::sight::{Control, Sight};

use super::super::Run;
use super::super::moving::now;
use super::super::run::no_gateway;

/// What was done on one kind of link.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Moves of the agent.
    pub moves: u32,
    /// EIDs that somebody had to ask for.
    pub eids: u64,
    /// Changes of what is said of an agent.
    pub changes: u32,
}

/// Messages of a move when none is lost or late: the old site's withdrawal or the new one's register and its
/// confirmation (2 each, 4), the notice to the old site (2), the publication to each of the two other sites (4), an SMR to
/// each, and what it makes them ask (2 and 4), and the new site's own question for whom the agent talks to (4).
const PER_MOVE: u64 = 20;
/// Messages of a question: the request and its answer, and a subscription's confirmation and acknowledgement.
const PER_EID: u64 = 4;
/// Messages of a change: the register and its confirmation, and a publication for each class row and site that follows
/// it, with its acknowledgement.
const PER_CHANGE: u64 = 14;
/// Each lost message is sent again with its answer, and over a long path once more before that is seen.
const PER_LOSS: u64 = 4;
/// When a message is sent again that was not answered: registers, notices and publications.
const AGAIN_MS: [u64; 3] = [50, 250, 1250];
/// Refreshes of all sites and their confirmations while nothing happens, per second: a register each minute and what
/// agents' instances are said of. Rounded up.
const REFRESHES_S: u64 = 2;
/// A locator that carries traffic is probed each 300 ms: each of three gateways probes two, and is answered.
const PROBES_S: u64 = 3 * 2 * 2 * 1000 / 300;

/// What there was.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Messages but for probes.
    pub messages: u64,
    /// At most so many.
    pub bound: u64,
    /// Messages that the relays lost or damaged.
    pub lost: u64,
    /// Probes and their answers.
    pub probes: u64,
    /// At most so many.
    pub probes_bound: u64,
}

impl Seen {
    /// Whether there was no storm.
    pub fn holds(&self) -> bool {
        self.messages <= self.bound && self.probes <= self.probes_bound
    }

    /// For people.
    pub fn in_words(&self) -> String {
        format!(
            "{} control messages of at most {} with {} lost on the way, {} of at most {} for probes",
            self.messages, self.bound, self.lost, self.probes, self.probes_bound
        )
    }
}

/// How often a message is sent until the first answer to it can be there.
fn sendings(round_trip: Duration) -> u64 {
    1 + AGAIN_MS.iter().filter(|again| Duration::from_millis(**again) < round_trip).count() as u64
}

/// The most that this work may take in so long, with so many messages lost and doubled.
fn most(work: Work, round_trip: Duration, took: Duration, lost: u64, doubled: u64) -> u64 {
    let base = u64::from(work.moves) * PER_MOVE + work.eids * PER_EID + u64::from(work.changes) * PER_CHANGE;
    // A doubled message may be answered twice.
    base * sendings(round_trip) + lost * PER_LOSS + doubled * 2 + (took.as_secs() + 1) * REFRESHES_S
}

/// Counts what the witness saw since a moment.
pub fn judge(run: &Run<'_>, profile: &Profile, work: Work, began: Duration) -> Result<Seen> {
    let took = now().saturating_sub(began);
    let witness = run.lab.witness().ok_or_else(no_gateway)?;
    let all = witness.control().ok_or_else(no_gateway)?.messages()?;
    let (mut messages, mut probes) = (0, 0);
    for message in all.iter().filter(|message| message.at >= began) {
        match message.kind() {
            Control::Probe | Control::ProbeReply => probes += 1,
            _ => messages += 1,
        }
    }
    let (lost, doubled) = fates(run);
    let round_trip = Duration::from_micros(profile.longest_to_core_us());
    Ok(Seen {
        messages,
        bound: most(work, round_trip, took, lost, doubled),
        lost,
        probes,
        probes_bound: (took.as_secs() + 1) * PROBES_S + doubled,
    })
}

/// Control messages that the relays lost or damaged, and those that they doubled.
fn fates(run: &Run<'_>) -> (u64, u64) {
    let (mut lost, mut doubled) = (0, 0);
    for relay in run.lab.relays() {
        for way in 0..2 {
            for fate in relay.direction(way).fates().kept() {
                if let Sight::Control { .. } = fate.what {
                    *if fate.cause.explains_loss() { &mut lost } else { &mut doubled } += 1;
                }
            }
        }
    }
    (lost, doubled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_round_trip_sends_again_before_the_first_answer_can_be_there() {
        let ms = Duration::from_millis;
        assert_eq!([10, 90, 560, 2000].map(|rtt| sendings(ms(rtt))), [1, 2, 3, 4]);
        let work = Work { moves: 2, eids: 21, changes: 4 };
        let wire = most(work, ms(1), ms(0), 0, 0);
        assert_eq!(wire, 2 * PER_MOVE + 21 * PER_EID + 4 * PER_CHANGE + REFRESHES_S);
        assert_eq!(most(work, ms(1), ms(0), 3, 2), wire + 3 * PER_LOSS + 4);
        assert!(most(work, ms(560), ms(0), 0, 0) < 3 * wire);
    }
}
