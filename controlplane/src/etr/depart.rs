//! Agents that leave: held, sent on, released, withdrawn.

use std::time::Instant;

use super::agents::{Agent, Away, Eid, State, Step};
use super::counters::Counter;
use super::database::judge_agent;
use super::{Etr, change, entry_of};
use crate::outbox::{AgentState, Locator, Outbox};

impl Etr {
    /// Something is due for an agent that was taken out of the table.
    pub(super) fn agent_due(&mut self, eid: Eid, agent: Agent, now: Instant, out: &mut Outbox) {
        if agent.check.is_some() {
            return self.check_due(eid, agent, now, out);
        }
        match agent.state.clone() {
            State::Claiming(claim) => self.claim_due(eid, agent, claim, now, out),
            State::Expected | State::Attached => self.start_check(eid, agent, None, now, out),
            State::Held { .. } => {
                self.counters.count(Counter::HoldsExpired);
                self.withdraw(eid, now, out);
            }
            State::Away(_) => {
                self.counters.count(Counter::RelaysEnded);
                change(eid, AgentState::Release, out);
            }
        }
    }

    /// Packets for the agent wait; it stays registered until another site has it.
    pub(super) fn hold(&mut self, eid: Eid, agent: Agent, ordered: bool, now: Instant, out: &mut Outbox) {
        change(eid, AgentState::Hold, out);
        let until = now + self.settings.timers.detach_hold;
        self.put(eid, agent.enter(State::Held { until, ordered }, now));
    }

    /// An agent that was taken out of the table is nowhere.
    pub(super) fn withdraw(&mut self, eid: Eid, now: Instant, out: &mut Outbox) {
        self.registrar.withdraw(entry_of(eid), now);
        self.contexts.forget(&entry_of(eid));
        change(eid, AgentState::Release, out);
    }

    /// The Map-Server says that another site has the EID. `told` is true when it says so unasked; then a register
    /// of ours that it did not confirm yet may be the newer one, and is repeated.
    pub(super) fn taken(
        &mut self,
        eid: Eid,
        locators: Vec<Locator>,
        told: bool,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Some(agent) = self.agents.take(&eid) else {
            let gateway = self.settings.group(eid.0).is_some_and(|group| group.gateways.contains(&eid.1));
            if !gateway && self.agents.len() < self.settings.limits.agents {
                self.leave(eid, Agent::new(State::Attached, now), locators, now, out);
            }
            return;
        };
        let leaving = matches!(agent.state, State::Held { .. } | State::Away(_));
        if told && !leaving && self.registrar.reassert(&entry_of(eid), now) {
            self.counters.count(Counter::RegistersReasserted);
            self.put(eid, agent);
            return self.send_registers(now, out);
        }
        match agent.state.clone() {
            State::Claiming(mut claim) => match claim.step {
                Step::Registering { .. } => {
                    self.registrar.forget(&entry_of(eid));
                    let until = now + self.settings.timers.relay;
                    if claim.away.is_some() {
                        change(eid, AgentState::Relay { locators: locators.clone() }, out);
                        claim.away = Some(Away { locators, until });
                    }
                    self.refuse_claim(eid, agent, claim, Counter::ClaimsLost, now, out);
                }
                // What is being asked will be answered by the new state of things.
                Step::Asking { .. } | Step::Probing { .. } | Step::Greeting { .. } => {
                    self.put(eid, agent);
                }
            },
            _ => {
                let claimed = matches!(agent.state, State::Attached) && !agent.ordered;
                let timers = &self.settings.timers;
                if told {
                    self.restraints.relax(&eid, now + timers.claim_again);
                } else if claimed {
                    // It may be frozen.
                    self.counters.count(Counter::ClaimsLost);
                    let (pause, limits) = (timers.claim_again_server, &self.settings.limits);
                    self.restraints.refused(eid, pause, timers, limits, now);
                }
                self.leave(eid, agent, locators, now, out);
            }
        }
    }

    /// Packets that still come are sent on from now on.
    fn leave(&mut self, eid: Eid, agent: Agent, locators: Vec<Locator>, now: Instant, out: &mut Outbox) {
        if !matches!(agent.state, State::Away(_)) {
            self.counters.count(Counter::AgentsMoved);
        }
        self.answer_askers(eid, &agent, false, out);
        self.registrar.forget(&entry_of(eid));
        self.contexts.forget(&entry_of(eid));
        change(eid, AgentState::Relay { locators: locators.clone() }, out);
        let until = now + self.settings.timers.relay;
        let agent = agent.enter(State::Away(Away { locators, until }), now);
        self.put(eid, agent);
    }

    /// Ends what new settings no longer allow.
    pub(super) fn judge_agents_again(&mut self, now: Instant, out: &mut Outbox) {
        let outside: Vec<_> = self
            .agents
            .iter()
            .map(|(eid, _)| *eid)
            .filter(|(iid, eid)| judge_agent(&self.settings, *iid, *eid).is_err())
            .collect();
        for eid in outside {
            let Some(agent) = self.agents.take(&eid) else { continue };
            if let State::Claiming(claim) = &agent.state {
                self.forget_questions(claim);
                if claim.away.is_none() && !matches!(claim.step, Step::Registering { .. }) {
                    continue;
                }
            }
            self.withdraw(eid, now, out);
        }
    }
}
