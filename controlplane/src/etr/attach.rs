//! Orders of the API: an agent is attached here, or leaves.

use std::net::IpAddr;
use std::time::Instant;

use sterna_wire::Iid;

use super::agents::{Agent, Eid, State};
use super::counters::Counter;
use super::database::judge_agent;
use super::{Etr, change, entry_of};
use crate::outbox::{AgentState, Outbox};

/// Why an agent is not attached or detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// The group is not served here.
    #[error("the group is not served here")]
    UnknownGroup,
    /// The EID is in none of the group's dynamic ranges.
    #[error("the EID is in none of the group's dynamic ranges")]
    OutOfRange,
    /// The EID is the group's gateway.
    #[error("the EID is the group's gateway address")]
    Gateway,
    /// The EID is a network, broadcast or multicast address.
    #[error("the EID is not the address of a host")]
    NotAHost,
    /// There are as many agents as the configuration allows.
    #[error("there are as many agents as the configuration allows")]
    Full,
    /// No such agent is attached here.
    #[error("no such agent is attached here")]
    NotAttached,
    /// All EIDs of the group's dynamic ranges that were tried are taken.
    #[error("no free EID was found in the group's dynamic ranges")]
    NoFreeEid,
    /// Another instance of the skill is here already: one per site.
    #[error("the skill has an instance here already")]
    SkillTaken,
    /// The mapping system does not say whether an EID is free.
    #[error("the mapping system does not answer")]
    NoAnswer,
}

impl Etr {
    /// Attaches an agent here by order of the API: it is registered at once, wherever it was before, and stays
    /// ours although it has not been seen yet. Again for one that is attached: it is registered again.
    pub fn attach(
        &mut self,
        iid: Iid,
        eid: IpAddr,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), AttachError> {
        self.attach_as((iid, eid), None, now, out)
    }

    /// As [`Etr::attach`]. `name` is what the instance of a skill is called; when one of another name is here, it is
    /// refused (`SkillTaken`).
    pub fn attach_as(
        &mut self,
        (iid, eid): (Iid, IpAddr),
        name: Option<String>,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), AttachError> {
        judge_agent(&self.settings, iid, eid).map_err(AttachError::of)?;
        let eid = (iid, eid);
        if let Some(taken) = self.skill_taken(&eid, name.as_deref()) {
            self.counters.count(Counter::SkillTaken);
            return Err(taken);
        }
        let agent = match self.agents.take(&eid) {
            None if self.agents.len() >= self.settings.limits.agents => return Err(AttachError::Full),
            None => self.expect(eid, Agent::new(State::Expected, now), Vec::new(), now, out),
            Some(agent) => self.attach_known(eid, agent, now, out),
        };
        let name = name.or(agent.name.clone());
        self.put(eid, Agent { ordered: true, evidence: now, name, ..agent });
        self.restraints.lift(&eid);
        self.registrar.want(entry_of(eid), false, true, now);
        self.send_registers(now, out);
        Ok(())
    }

    fn attach_known(&mut self, eid: Eid, agent: Agent, now: Instant, out: &mut Outbox) -> Agent {
        match &agent.state {
            State::Expected | State::Attached => agent,
            State::Held { .. } => match agent.place {
                Some(place) => {
                    let agent = agent.enter(State::Attached, now);
                    let previous = agent.previous.clone();
                    change(eid, self.admitted(eid, place, previous), out);
                    agent
                }
                None => self.expect(eid, agent, Vec::new(), now, out),
            },
            State::Away(away) => {
                let previous = away.locators.iter().map(|to| to.address).collect();
                self.expect(eid, agent, previous, now, out)
            }
            // Where it was seen may be a lie, so the host is asked.
            State::Claiming(claim) => {
                let claim = claim.clone();
                self.forget_questions(&claim);
                self.counters.count(Counter::ClaimsOverruled);
                let previous = claim.away.iter().flat_map(|away| &away.locators).map(|to| to.address);
                let previous = previous.collect();
                self.expect(eid, agent, previous, now, out)
            }
        }
    }

    fn expect(
        &mut self,
        eid: Eid,
        agent: Agent,
        previous: Vec<IpAddr>,
        now: Instant,
        out: &mut Outbox,
    ) -> Agent {
        change(eid, AgentState::Expect { previous: previous.clone() }, out);
        let mut agent = agent.enter(State::Expected, now);
        agent.place = None;
        agent.previous = previous;
        agent
    }

    /// An agent is about to leave, by order of the API: packets for it wait until we are told where it is,
    /// and are then sent on. `NotAttached`.
    pub fn detach(
        &mut self,
        iid: Iid,
        eid: IpAddr,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), AttachError> {
        let eid = (iid, eid);
        let agent = self.agents.take(&eid).ok_or(AttachError::NotAttached)?;
        if self.is_skill(&eid) {
            // Other instances take over: nothing need wait.
            self.withdraw(eid, now, out);
            self.send_registers(now, out);
            return Ok(());
        }
        match agent.state {
            State::Expected | State::Attached => {
                self.answer_askers(eid, &agent, false, out);
                self.hold(eid, agent, true, now, out);
                Ok(())
            }
            State::Held { until, .. } => {
                self.put(eid, Agent { state: State::Held { until, ordered: true }, ..agent });
                Ok(())
            }
            State::Claiming(_) | State::Away(_) => {
                self.put(eid, agent);
                Err(AttachError::NotAttached)
            }
        }
    }
}

impl AttachError {
    fn of(counter: Counter) -> Self {
        match counter {
            Counter::AttachUnknownGroup => AttachError::UnknownGroup,
            Counter::AttachGateway => AttachError::Gateway,
            Counter::AttachNotAHost => AttachError::NotAHost,
            _ => AttachError::OutOfRange,
        }
    }
}

#[cfg(test)]
mod test;
