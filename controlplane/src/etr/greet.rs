//! Who answers for an EID on our own link. Anybody may send a packet in an agent's name, so what was sent never says
//! where the agent is: that is asked by ARP or neighbour discovery, and whoever answers is the host.

use std::time::Instant;

use super::agents::{Agent, Check, Claim, Eid, Lost, State, Step};
use super::counters::Counter;
use super::presence::CHECKS;
use super::{AgentSeen, Etr, change, entry_of};
use crate::outbox::{AgentPlace, Outbox};

/// Whether two places differ by their Ethernet addresses only. On another port or VLAN nobody can be a rival: a group
/// has one, so the agent is where the configuration put its group.
pub(super) fn is_rival(known: AgentPlace, seen: AgentPlace) -> bool {
    (known.port, known.vlan) == (seen.port, seen.vlan) && known.mac != seen.mac
}

impl Etr {
    /// A host answered the dataplane, or the dataplane found it where it is expected. Of several that answer for an
    /// agent which is attached, the dataplane names the attached one.
    pub fn agent_answered(&mut self, seen: AgentSeen, now: Instant, out: &mut Outbox) {
        let eid = (seen.iid, seen.eid);
        if self.is_skill(&eid) {
            return self.skill_answered(seen, now, out);
        }
        let Some(agent) = self.agents.take(&eid) else { return };
        match agent.state.clone() {
            State::Claiming(mut claim) => {
                (claim.place, claim.answered, claim.seen) = (seen.place, true, now);
                match claim.step.clone() {
                    Step::Greeting { lost, .. } => self.greeted(eid, agent, claim, lost, now, out),
                    _ => self.put(eid, Agent { state: State::Claiming(claim), ..agent }),
                }
            }
            State::Expected | State::Attached | State::Held { ordered: false, .. } => {
                self.seen_where_attached(eid, agent, seen, now, out);
            }
            State::Held { .. } | State::Away(_) => self.put(eid, agent),
        }
    }

    /// Where it is, it is here.
    pub(super) fn seen_where_attached(
        &mut self,
        eid: Eid,
        agent: Agent,
        seen: AgentSeen,
        now: Instant,
        out: &mut Outbox,
    ) {
        let moved = agent.place != Some(seen.place) || !matches!(agent.state, State::Attached);
        let mut agent = self.confirmed_here(eid, agent, now, out);
        if moved {
            agent = agent.enter(State::Attached, now);
            agent.place = Some(seen.place);
            change(eid, self.admitted(eid, seen.place, agent.previous.clone()), out);
        }
        self.put(eid, agent);
    }

    /// Somebody speaks as an agent of ours who is not known to be it. The host is asked: whoever has the EID keeps it
    /// while it answers.
    pub(super) fn dispute(&mut self, eid: Eid, mut agent: Agent, now: Instant, out: &mut Outbox) {
        if agent.check.is_some() {
            return self.put(eid, agent);
        }
        if !self.limits.checks.allow(now) {
            self.counters.count(Counter::ChecksLimited);
            return self.put(eid, agent);
        }
        self.counters.count(Counter::Disputes);
        let due = now + self.settings.timers.check;
        agent.check = Some(Check { due, tries: 1, askers: Vec::new(), disputed: true });
        self.send_check(eid, out);
        self.put(eid, agent);
    }

    /// Nothing speaks against a claim any more but that the host itself must answer here.
    pub(super) fn greet(
        &mut self,
        eid: Eid,
        agent: Agent,
        mut claim: Claim,
        lost: Lost,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.forget_questions(&claim);
        if claim.answered {
            return self.greeted(eid, agent, claim, lost, now, out);
        }
        claim.step = Step::Greeting { due: now, tries: 0, lost };
        let agent = agent.enter(State::Claiming(claim.clone()), now);
        self.greet_again(eid, agent, claim, now, out);
    }

    /// The host did not answer yet, or our dataplane did not report.
    pub(super) fn greet_again(
        &mut self,
        eid: Eid,
        agent: Agent,
        mut claim: Claim,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Step::Greeting { due, tries, .. } = &mut claim.step else { return self.put(eid, agent) };
        if *tries >= CHECKS {
            return self.refuse_claim(eid, agent, claim, Counter::ClaimsSilent, now, out);
        }
        *tries += 1;
        *due = now + self.settings.timers.check;
        self.send_check(eid, out);
        self.put(eid, Agent { state: State::Claiming(claim), ..agent });
    }

    /// The host is here: it is ours at once if the gateway that had it says that it is gone there, else if the
    /// Map-Server says so.
    fn greeted(
        &mut self,
        eid: Eid,
        agent: Agent,
        mut claim: Claim,
        lost: Lost,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.registrar.want(entry_of(eid), true, true, now);
        if lost.said {
            self.claim_confirmed(eid, agent, &claim, lost.by, now, out);
        } else {
            let due = claim.seen + self.settings.timers.agent_silent;
            claim.step = Step::Registering { due, previous: lost.by };
            let agent = agent.enter(State::Claiming(claim), now);
            self.put(eid, agent);
        }
        self.send_registers(now, out);
    }
}

#[cfg(test)]
mod test;
