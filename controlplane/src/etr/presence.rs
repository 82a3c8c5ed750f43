//! Is a host still there? The dataplane asks it by ARP or neighbour discovery, because it was silent for long,
//! or because another gateway claims its EID.

use std::time::Instant;

use sterna_wire::Iid;

use super::agents::{Agent, Asker, Check, Eid, State, Step};
use super::counters::Counter;
use super::{Etr, change};
use crate::outbox::{AgentState, Outbox};

/// How often the dataplane is told to ask before it counts as not reporting.
pub(super) const CHECKS: u8 = 2;
/// Gateways that may wait for the same answer.
const ASKERS: usize = 8;
/// Checks in a row without a report after which claims are granted: our dataplane does not work.
const UNREPORTED: u8 = 3;

impl Etr {
    /// The host did not answer the dataplane.
    pub fn agent_gone(&mut self, iid: Iid, eid: std::net::IpAddr, now: Instant, out: &mut Outbox) {
        let eid = (iid, eid);
        let Some(agent) = self.agents.take(&eid) else { return };
        match (&agent.state, &agent.check) {
            (State::Expected | State::Attached | State::Held { .. }, Some(check))
                if check.disputed && check.askers.is_empty() =>
            {
                self.put(eid, Agent { check: None, ..agent });
            }
            (State::Expected | State::Attached, Some(check)) if check.askers.is_empty() => {
                self.counters.count(Counter::AgentsSilent);
                self.withdraw(eid, now, out);
            }
            (State::Expected | State::Attached, Some(_)) => {
                self.counters.count(Counter::ClaimsYielded);
                self.answer_askers(eid, &agent, false, out);
                self.hold(eid, agent, false, now, out);
            }
            // Nobody asked: perhaps an old report. Ask now.
            (State::Attached, None) => self.start_check(eid, agent, None, now, out),
            (State::Claiming(claim), _) if matches!(claim.step, Step::Greeting { .. }) => {
                let claim = claim.clone();
                self.greet_again(eid, agent, claim, now, out);
            }
            _ => self.put(eid, agent),
        }
    }

    /// The agent is here: whoever claims it is told so.
    pub(super) fn confirmed_here(
        &mut self,
        eid: Eid,
        mut agent: Agent,
        now: Instant,
        out: &mut Outbox,
    ) -> Agent {
        if agent.check.as_ref().is_some_and(|check| !check.askers.is_empty()) {
            self.counters.count(Counter::ClaimsUpheld);
        }
        self.answer_askers(eid, &agent, true, out);
        agent.check = None;
        agent.unreported = 0;
        agent.evidence = now;
        agent
    }

    /// Has the host asked; whoever claims the EID waits for the answer.
    pub(super) fn start_check(
        &mut self,
        eid: Eid,
        mut agent: Agent,
        asker: Option<Asker>,
        now: Instant,
        out: &mut Outbox,
    ) {
        if let Some(check) = &mut agent.check {
            if let Some(asker) = asker.filter(|asker| !check.askers.contains(asker)) {
                // The oldest waits no longer than its own patience.
                if check.askers.len() >= ASKERS {
                    check.askers.remove(0);
                }
                check.askers.push(asker);
            }
        } else {
            let due = now + self.settings.timers.check;
            let askers = asker.into_iter().collect();
            agent.check = Some(Check { due, tries: 1, askers, disputed: false });
            self.send_check(eid, out);
        }
        self.put(eid, agent);
    }

    pub(super) fn send_check(&mut self, eid: Eid, out: &mut Outbox) {
        self.counters.count(Counter::ChecksSent);
        change(eid, AgentState::Check, out);
    }

    /// The dataplane did not report. Reports may be lost, so it is told again; if that does not help either,
    /// the agent stays: silence of our own dataplane proves nothing about the host, until it lasts.
    pub(super) fn check_due(&mut self, eid: Eid, mut agent: Agent, now: Instant, out: &mut Outbox) {
        let Some(check) = &mut agent.check else { return self.put(eid, agent) };
        if check.tries < CHECKS {
            check.tries += 1;
            check.due = now + self.settings.timers.check;
            self.send_check(eid, out);
            return self.put(eid, agent);
        }
        self.counters.count(Counter::ChecksUnreported);
        let claimed = !check.askers.is_empty();
        agent.unreported = agent.unreported.saturating_add(1);
        let stays = agent.unreported < UNREPORTED;
        if claimed {
            self.counters.count(if stays { Counter::ClaimsUpheld } else { Counter::ClaimsYielded });
        }
        self.answer_askers(eid, &agent, stays, out);
        let disputed = agent.check.take().is_some_and(|check| check.disputed);
        if claimed && !stays {
            return self.hold(eid, agent, false, now, out);
        }
        // Others' packets keep nobody alive.
        if !disputed {
            agent.evidence = now;
        }
        self.put(eid, agent);
    }
}

#[cfg(test)]
mod test;
