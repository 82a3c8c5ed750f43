//! What the ETR shows of itself: agents and registrations.

use std::net::IpAddr;
use std::time::Instant;

use sterna_wire::{Iid, Prefix};

use super::Etr;
use super::agents::{Agent, Phase, State};
use super::register::Progress;
use crate::outbox::{AgentPlace, Locator};

/// A dynamic agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentView {
    /// Group.
    pub iid: Iid,
    /// The agent.
    pub eid: IpAddr,
    /// Where its state machine stands.
    pub phase: Phase,
    /// Where it was seen.
    pub place: Option<AgentPlace>,
    /// Attached by the API; else found by detection.
    pub ordered: bool,
    /// What the API calls it, of a skill's instances.
    pub name: Option<String>,
    /// When the state began.
    pub since: Instant,
    /// When it was seen or answered last.
    pub evidence: Instant,
    /// Locators of the site that it came from.
    pub previous: Vec<IpAddr>,
    /// Where its packets are sent on to; empty unless it is elsewhere.
    pub away: Vec<Locator>,
}

/// How a registration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Confirmed.
    Confirmed,
    /// Sent, or about to be.
    Waiting,
    /// The Map-Server left it out of its answer.
    Refused,
    /// The last refreshes were not answered.
    Stale,
    /// Being withdrawn.
    Withdrawn,
}

/// A prefix and how it is registered at one Map-Server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationView {
    /// The Map-Server.
    pub server: IpAddr,
    /// Group.
    pub iid: Iid,
    /// The prefix.
    pub prefix: Prefix,
    /// Found by detection; else configured or attached by the API.
    pub detected: bool,
    /// How it stands.
    pub state: Registration,
    /// When it was last confirmed.
    pub confirmed: Option<Instant>,
    /// Messages since the last answer.
    pub tries: u32,
    /// When the next message is due.
    pub due: Instant,
}

impl Etr {
    /// The dynamic agents, by group and address.
    pub fn agents(&self) -> impl Iterator<Item = AgentView> + '_ {
        self.agents.iter().map(|((iid, eid), agent)| AgentView::of(*iid, *eid, agent))
    }

    /// One dynamic agent.
    pub fn agent(&self, iid: Iid, eid: IpAddr) -> Option<AgentView> {
        self.agents.get(&(iid, eid)).map(|agent| AgentView::of(iid, eid, agent))
    }

    /// The registrations, by group and prefix, one per Map-Server.
    pub fn registrations(&self) -> impl Iterator<Item = RegistrationView> + '_ {
        self.registrar.tracks().flat_map(|((iid, prefix), track)| {
            track.servers.iter().map(move |(server, progress)| RegistrationView {
                server: *server,
                iid: *iid,
                prefix: *prefix,
                detected: track.detected,
                state: if track.withdrawn { Registration::Withdrawn } else { state(progress) },
                confirmed: progress.confirmed,
                tries: progress.tries,
                due: progress.due,
            })
        })
    }
}

/// One lost answer is nothing to show: a refresh is stale when its repetition was not answered either.
fn state(progress: &Progress) -> Registration {
    match progress {
        Progress { refused: true, .. } => Registration::Refused,
        Progress { confirmed: None, .. } => Registration::Waiting,
        Progress { tries: 0..=2, .. } => Registration::Confirmed,
        _ => Registration::Stale,
    }
}

impl AgentView {
    fn of(iid: Iid, eid: IpAddr, agent: &Agent) -> Self {
        let claimed = match &agent.state {
            State::Claiming(claim) => Some(claim.place),
            _ => None,
        };
        Self {
            iid,
            eid,
            phase: agent.phase(),
            place: claimed.or(agent.place),
            ordered: agent.ordered,
            name: agent.name.clone(),
            since: agent.since,
            evidence: agent.evidence,
            previous: agent.previous.clone(),
            away: agent.away().map(|away| away.locators.clone()).unwrap_or_default(),
        }
    }
}
