//! The dynamic agents, each in a state of its own, and the table they stand in.
//!
//! ```text
//!              seen             nobody has it, or we do
//!   (absent) -------> Asking ---------------------------------------------> Attached
//!      |                |  another site has it                               ^  ^  |
//!      |                +--------------> Probing --- gone, says it --> (*) --+  |  |
//!      |                                    |                                   |  |
//!      |                                    +--- silence --> (*) Registering ---+  |
//!      |                                                          confirmed        |
//!      |  API attach                      seen                                     |
//!      +-------------> Expected ------------------> Attached                       |
//!                                                      |                           |
//!   Attached, Expected -- API detach, or gone while another site claims --> Held --+-- nobody --> withdrawn, absent
//!   Attached, Expected, Held, Registering -- the Map-Server says: moved --> Away ---- relay over --> absent
//!   Away -- seen --> Asking (packets are sent on meanwhile);  Away -- API attach --> Expected
//! ```
//! (*) Greeting: until the host itself has answered here; what was sent in its name does not move it.
//! A claim that is refused leads back to where it began: absent, or Away.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use sterna_wire::Iid;

use crate::outbox::{AgentPlace, Locator};

/// A dynamic agent: its group and address.
pub(super) type Eid = (Iid, IpAddr);

/// Where an agent's state machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Seen here; the mapping system is asked whose the EID is.
    Asking,
    /// The mapping system says that another site has it; the gateway there is asked whether that is true.
    Probing,
    /// The gateway there has it no more, or is silent; the host is asked whether it is here.
    Greeting,
    /// The gateway there did not answer; the Map-Server's confirmation is waited for.
    Registering,
    /// Attached by the API and registered; not seen yet.
    Expected,
    /// Here and registered.
    Attached,
    /// Leaving; packets for it wait until we are told where it went.
    Held,
    /// It went elsewhere; packets for it are sent on.
    Away,
}

/// One agent.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub state: State,
    /// Where it was seen last, when that can be trusted.
    pub place: Option<AgentPlace>,
    /// Attached by the API; else found by detection.
    pub ordered: bool,
    /// What the API calls it, of a skill's instances.
    pub name: Option<String>,
    /// Locators of the site that it came from.
    pub previous: Vec<IpAddr>,
    /// When the state began.
    pub since: Instant,
    /// When it was seen or answered last.
    pub evidence: Instant,
    /// The host is being asked by ARP or neighbour discovery.
    pub check: Option<Check>,
    /// Checks in a row that the dataplane did not report on.
    pub unreported: u8,
}

/// An agent's state.
#[derive(Clone, Debug)]
pub(super) enum State {
    Claiming(Claim),
    Expected,
    Attached,
    /// `ordered`: by the API, so that what is still heard of it does not count.
    Held {
        until: Instant,
        ordered: bool,
    },
    Away(Away),
}

/// A claim by detection.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub step: Step,
    /// Where the agent was seen.
    pub place: AgentPlace,
    /// There it answered ARP or neighbour discovery; else somebody spoke there in its name.
    pub answered: bool,
    /// When it was seen last.
    pub seen: Instant,
    /// Packets are sent on to where it was until the claim is granted.
    pub away: Option<Away>,
}

/// How far a claim is.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The mapping system is asked; `nonces` are those of all tries.
    Asking { nonces: Vec<u64>, due: Instant },
    /// The gateways that have it are asked.
    Probing { holders: Vec<Holder>, tries: u8, due: Instant, until: Instant, previous: Vec<IpAddr> },
    /// The host is asked whether it is here; nothing else speaks against it.
    Greeting { due: Instant, tries: u8, lost: Lost },
    /// The Map-Server's confirmation is waited for, as long as the agent is seen.
    Registering { due: Instant, previous: Vec<IpAddr> },
}

/// The site that had the EID does not speak for it any more.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    /// Its locators.
    pub by: Vec<IpAddr>,
    /// It said so. Else it is silent, and the Map-Server decides.
    pub said: bool,
}

/// A locator of the site that has the EID by the mapping system.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub address: IpAddr,
    pub nonce: u64,
    /// It said that the agent is not there.
    pub gone: bool,
}

/// Where an agent went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Away {
    pub locators: Vec<Locator>,
    pub until: Instant,
}

/// A host is asked whether it is there.
#[derive(Clone, Debug)]
pub(super) struct Check {
    /// When the dataplane should have reported.
    pub due: Instant,
    pub tries: u8,
    /// The gateways that want to know.
    pub askers: Vec<Asker>,
    /// Asked because somebody else speaks as this agent: if nobody answers, nothing changes.
    pub disputed: bool,
}

/// A gateway that claims the EID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    pub to: SocketAddr,
    /// Our address that was probed.
    pub from: IpAddr,
    pub nonce: u64,
}

impl Agent {
    pub(super) fn new(state: State, now: Instant) -> Self {
        Self {
            state,
            place: None,
            ordered: false,
            name: None,
            previous: Vec::new(),
            since: now,
            evidence: now,
            check: None,
            unreported: 0,
        }
    }

    /// The agent in a new state. A check belongs to the state it began in.
    pub(super) fn enter(mut self, state: State, now: Instant) -> Self {
        self.state = state;
        self.since = now;
        self.check = None;
        self.unreported = 0;
        self
    }

    pub(super) fn phase(&self) -> Phase {
        match &self.state {
            State::Claiming(claim) => match claim.step {
                Step::Asking { .. } => Phase::Asking,
                Step::Probing { .. } => Phase::Probing,
                Step::Greeting { .. } => Phase::Greeting,
                Step::Registering { .. } => Phase::Registering,
            },
            State::Expected => Phase::Expected,
            State::Attached => Phase::Attached,
            State::Held { .. } => Phase::Held,
            State::Away(_) => Phase::Away,
        }
    }

    /// Whether we answer Map-Requests for it.
    pub(super) fn is_served(&self) -> bool {
        matches!(self.state, State::Expected | State::Attached | State::Held { .. })
    }

    /// Where its packets are sent on to, if it is elsewhere.
    pub(super) fn away(&self) -> Option<&Away> {
        match &self.state {
            State::Away(away) => Some(away),
            State::Claiming(claim) => claim.away.as_ref(),
            _ => None,
        }
    }

    /// When something is due for it.
    fn deadline(&self, silent: std::time::Duration) -> Instant {
        if let Some(check) = &self.check {
            return check.due;
        }
        match &self.state {
            State::Claiming(claim) => match &claim.step {
                Step::Asking { due, .. } | Step::Greeting { due, .. } | Step::Registering { due, .. } => *due,
                Step::Probing { due, until, .. } => *due.min(until),
            },
            State::Expected | State::Attached => self.evidence + silent,
            State::Held { until, .. } => *until,
            State::Away(away) => away.until,
        }
    }
}

/// The table of agents, with the time at which each is due.
///
/// An agent is taken out, changed and put back; a change that is not put back has removed it.
#[derive(Debug)]
pub(super) struct Agents {
    table: BTreeMap<Eid, (Agent, Instant)>,
    due: BTreeSet<(Instant, Eid)>,
    claims: usize,
}

impl Agents {
    pub(super) fn new() -> Self {
        Self { table: BTreeMap::new(), due: BTreeSet::new(), claims: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Claims under way.
    pub(super) fn claims(&self) -> usize {
        self.claims
    }

    pub(super) fn get(&self, eid: &Eid) -> Option<&Agent> {
        self.table.get(eid).map(|(agent, _)| agent)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Eid, &Agent)> {
        self.table.iter().map(|(eid, (agent, _))| (eid, agent))
    }

    /// The agents between two addresses of a group, both included.
    pub(super) fn between(
        &self,
        iid: Iid,
        first: IpAddr,
        last: IpAddr,
    ) -> impl Iterator<Item = (&Eid, &Agent)> {
        self.table.range((iid, first)..=(iid, last)).map(|(eid, (agent, _))| (eid, agent))
    }

    pub(super) fn take(&mut self, eid: &Eid) -> Option<Agent> {
        let (agent, due) = self.table.remove(eid)?;
        self.due.remove(&(due, *eid));
        self.claims -= usize::from(matches!(agent.state, State::Claiming(_)));
        Some(agent)
    }

    pub(super) fn put(&mut self, eid: Eid, agent: Agent, silent: std::time::Duration) {
        self.take(&eid);
        let due = agent.deadline(silent);
        self.claims += usize::from(matches!(agent.state, State::Claiming(_)));
        self.due.insert((due, eid));
        self.table.insert(eid, (agent, due));
    }

    /// An agent for which something is due.
    pub(super) fn first_due(&self, now: Instant) -> Option<Eid> {
        self.due.first().filter(|(due, _)| *due <= now).map(|(_, eid)| *eid)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod test;
