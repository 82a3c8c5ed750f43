//! Claims by detection: a host spoke here; is its EID free, or did it move here, or does somebody lie?

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::agents::{Agent, Away, Claim, Eid, Holder, Lost, State, Step};
use super::counters::Counter;
use super::database::judge_agent;
use super::greet::is_rival;
use super::question::{Purpose, Said};
use super::{AgentSeen, Etr, change, entry_of};
use crate::outbox::{AgentState, Locator, Outbox};

/// Waits between the tries of a question to the mapping system.
const ASK_AGAIN: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_millis(1000),
    Duration::from_millis(2000),
];
/// Tries before a claim is given up; the agent's next packet begins another.
const ASK_TRIES: usize = 8;
/// Between two tries to reach the gateway that has the EID.
const PROBE_AGAIN: Duration = Duration::from_millis(300);
/// Locators of a site that are asked whether an agent is there.
const HOLDERS: usize = 8;

impl Etr {
    /// The dataplane saw a host in a dynamic range that is not attached here.
    pub fn attach_seen(&mut self, seen: AgentSeen, now: Instant, out: &mut Outbox) {
        if let Err(counter) = judge_agent(&self.settings, seen.iid, seen.eid) {
            self.counters.count(counter);
            return;
        }
        let eid = (seen.iid, seen.eid);
        if self.is_skill(&eid) {
            return self.skill_seen(seen, now, out);
        }
        let Some(mut agent) = self.agents.take(&eid) else {
            if self.may_claim(&eid, now) {
                self.start_claim(eid, seen, None, now, out);
            }
            return;
        };
        match &mut agent.state {
            State::Claiming(claim) => {
                // What is sent in its name does not change where it answered.
                if !claim.answered {
                    claim.place = seen.place;
                }
                claim.seen = now;
                self.put(eid, agent);
            }
            State::Expected | State::Attached | State::Held { ordered: false, .. } => match agent.place {
                Some(known) if is_rival(known, seen.place) => self.dispute(eid, agent, now, out),
                None => self.dispute(eid, agent, now, out),
                Some(_) => self.seen_where_attached(eid, agent, seen, now, out),
            },
            State::Held { .. } => {
                self.counters.count(Counter::EvidenceWhileLeaving);
                self.put(eid, agent);
            }
            State::Away(away) => {
                let away = away.clone();
                if self.may_claim(&eid, now) {
                    self.start_claim(eid, seen, Some(away), now, out);
                } else {
                    self.put(eid, agent);
                }
            }
        }
    }

    /// An agent that the dataplane had attached when this process started: ours until the Map-Server says otherwise.
    pub fn adopt(&mut self, seen: AgentSeen, now: Instant, out: &mut Outbox) {
        if let Err(counter) = judge_agent(&self.settings, seen.iid, seen.eid) {
            self.counters.count(counter);
            return;
        }
        let eid = (seen.iid, seen.eid);
        if self.agents.get(&eid).is_some() {
            return self.attach_seen(seen, now, out);
        }
        if self.agents.len() >= self.settings.limits.agents {
            self.counters.count(Counter::AgentsFull);
            return;
        }
        self.counters.count(Counter::AgentsAdopted);
        let mut agent = Agent::new(State::Attached, now);
        agent.place = Some(seen.place);
        change(eid, self.admitted(eid, seen.place, Vec::new()), out);
        self.registrar.resume(entry_of(eid), now);
        self.put(eid, agent);
        self.send_registers(now, out);
    }

    /// Whether a claim may begin now; counts why not.
    fn may_claim(&mut self, eid: &Eid, now: Instant) -> bool {
        let (timers, limits) = (&self.settings.timers, &self.settings.limits);
        let refusal = if let Err(counter) = self.restraints.judge(eid, timers, limits, now) {
            counter
        } else if self.agents.len() >= limits.agents {
            Counter::AgentsFull
        } else if self.agents.claims() >= limits.claims {
            Counter::ClaimsFull
        } else if !self.limits.claims.allow(now) {
            Counter::ClaimsRate
        } else {
            return true;
        };
        self.counters.count(refusal);
        false
    }

    fn start_claim(&mut self, eid: Eid, seen: AgentSeen, away: Option<Away>, now: Instant, out: &mut Outbox) {
        self.counters.count(Counter::ClaimsStarted);
        let step = Step::Asking { nonces: Vec::new(), due: now };
        let claim = Claim { step, place: seen.place, answered: false, seen: now, away };
        self.ask_for_claim(eid, Agent::new(State::Claiming(claim.clone()), now), claim, now, out);
    }

    /// Asks the mapping system, or asks again.
    fn ask_for_claim(&mut self, eid: Eid, agent: Agent, mut claim: Claim, now: Instant, out: &mut Outbox) {
        let Step::Asking { nonces, due } = &mut claim.step else { return self.put(eid, agent) };
        if nonces.len() >= ASK_TRIES {
            self.counters.count(Counter::ClaimsUnanswered);
            return self.end_claim(eid, agent, claim, now, out);
        }
        let tries = nonces.len();
        let Some(nonce) = self.ask(eid, Purpose::Claim(eid), tries, out) else {
            // Without a mapping system nobody else can have it.
            return self.win_free(eid, agent, &claim, now, out);
        };
        nonces.push(nonce);
        *due = now + ASK_AGAIN[tries.min(ASK_AGAIN.len() - 1)];
        self.put(eid, Agent { state: State::Claiming(claim), ..agent });
    }

    /// The mapping system's answer to a claim.
    pub(super) fn claim_answered(&mut self, eid: Eid, said: Said, now: Instant, out: &mut Outbox) {
        let Some(agent) = self.agents.take(&eid) else { return };
        let State::Claiming(claim) = agent.state.clone() else { return self.put(eid, agent) };
        if !matches!(claim.step, Step::Asking { .. }) {
            return self.put(eid, agent);
        }
        self.forget_questions(&claim);
        match said {
            Said::Free => self.win_free(eid, agent, &claim, now, out),
            Said::Elsewhere(locators) => self.probe_holders(eid, agent, claim, &locators, now, out),
            Said::Unusable => self.refuse_claim(eid, agent, claim, Counter::ClaimsUnverifiable, now, out),
            Said::Denied => self.refuse_claim(eid, agent, claim, Counter::ClaimsDenied, now, out),
        }
    }

    fn probe_holders(
        &mut self,
        eid: Eid,
        agent: Agent,
        mut claim: Claim,
        locators: &[Locator],
        now: Instant,
        out: &mut Outbox,
    ) {
        let addresses = locators.iter().map(|locator| locator.address).take(HOLDERS);
        let holders = addresses
            .map(|address| Holder { address, nonce: self.probe_nonce(eid, address), gone: false })
            .collect();
        let until = now + self.settings.timers.claim_probe;
        let previous = locators.iter().map(|locator| locator.address).collect();
        claim.step = Step::Probing { holders, tries: 0, due: now, until, previous };
        // Both at once: the other gateway needs as long to find that it is gone as we to find that it is here.
        self.send_check(eid, out);
        self.probe_again(eid, agent, claim, now, out);
    }

    /// Asks the gateways that did not answer yet.
    fn probe_again(&mut self, eid: Eid, agent: Agent, mut claim: Claim, now: Instant, out: &mut Outbox) {
        if let Step::Probing { holders, tries, due, .. } = &mut claim.step {
            for holder in holders.iter().filter(|holder| !holder.gone) {
                self.send_probe(eid, holder.address, holder.nonce, out);
            }
            *tries = tries.saturating_add(1);
            *due = now + PROBE_AGAIN;
        }
        let agent = agent.enter(State::Claiming(claim), now);
        self.put(eid, agent);
    }

    /// A gateway says whether the agent is there.
    pub(super) fn probe_answered(
        &mut self,
        eid: Eid,
        from: IpAddr,
        said: &Said,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Some(mut agent) = self.agents.take(&eid) else { return };
        let State::Claiming(mut claim) = agent.state.clone() else { return self.put(eid, agent) };
        let Step::Probing { holders, previous, .. } = &mut claim.step else { return self.put(eid, agent) };
        if *said != Said::Free {
            return self.refuse_claim(eid, agent, claim, Counter::ClaimsRefused, now, out);
        }
        for holder in holders.iter_mut().filter(|holder| holder.address == from) {
            holder.gone = true;
        }
        if holders.iter().all(|holder| holder.gone) {
            let lost = Lost { by: std::mem::take(previous), said: true };
            return self.greet(eid, agent, claim, lost, now, out);
        }
        agent.state = State::Claiming(claim);
        self.put(eid, agent);
    }

    /// Something is due for a claim.
    pub(super) fn claim_due(
        &mut self,
        eid: Eid,
        agent: Agent,
        mut claim: Claim,
        now: Instant,
        out: &mut Outbox,
    ) {
        match &mut claim.step {
            Step::Asking { .. } => self.ask_for_claim(eid, agent, claim, now, out),
            Step::Probing { until, .. } if now < *until => self.probe_again(eid, agent, claim, now, out),
            Step::Probing { previous, .. } => {
                let lost = Lost { by: std::mem::take(previous), said: false };
                self.greet(eid, agent, claim, lost, now, out);
            }
            Step::Greeting { .. } => self.greet_again(eid, agent, claim, now, out),
            Step::Registering { due, .. } => {
                let silent = claim.seen + self.settings.timers.agent_silent;
                if now < silent {
                    *due = silent;
                    return self.put(eid, Agent { state: State::Claiming(claim), ..agent });
                }
                self.registrar.withdraw(entry_of(eid), now);
                self.counters.count(Counter::ClaimsUnanswered);
                self.end_claim(eid, agent, claim, now, out);
            }
        }
    }

    /// Nobody has the EID, or we do.
    fn win_free(&mut self, eid: Eid, agent: Agent, claim: &Claim, now: Instant, out: &mut Outbox) {
        self.counters.count(Counter::ClaimsFree);
        let previous = claim.away.iter().flat_map(|away| &away.locators).map(|to| to.address).collect();
        self.registrar.want(entry_of(eid), true, true, now);
        self.admit(eid, agent, claim, previous, now, out);
        self.send_registers(now, out);
    }

    /// The agent moved here.
    pub(super) fn claim_confirmed(
        &mut self,
        eid: Eid,
        agent: Agent,
        claim: &Claim,
        previous: Vec<IpAddr>,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.counters.count(Counter::ClaimsMoved);
        self.restraints.moved(eid, &self.settings.timers, &self.settings.limits, now);
        self.admit(eid, agent, claim, previous, now, out);
    }

    fn admit(
        &mut self,
        eid: Eid,
        agent: Agent,
        claim: &Claim,
        previous: Vec<IpAddr>,
        now: Instant,
        out: &mut Outbox,
    ) {
        let mut agent = agent.enter(State::Attached, now);
        agent.place = Some(claim.place);
        agent.evidence = claim.seen;
        agent.ordered = false;
        agent.previous.clone_from(&previous);
        change(eid, AgentState::Admit { place: claim.place, previous }, out);
        self.put(eid, agent);
    }

    /// A claim is refused: counted, and not repeated for a while.
    pub(super) fn refuse_claim(
        &mut self,
        eid: Eid,
        agent: Agent,
        claim: Claim,
        counter: Counter,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.counters.count(counter);
        let timers = &self.settings.timers;
        let lost = counter == Counter::ClaimsLost;
        let pause = if lost { timers.claim_again_server } else { timers.claim_again };
        self.restraints.refused(eid, pause, timers, &self.settings.limits, now);
        self.end_claim(eid, agent, claim, now, out);
    }

    /// A claim ends without success: as before, packets are sent on, or the agent is unknown.
    fn end_claim(&mut self, eid: Eid, agent: Agent, claim: Claim, now: Instant, out: &mut Outbox) {
        self.forget_questions(&claim);
        match claim.away {
            Some(away) if now < away.until => {
                let agent = agent.enter(State::Away(away), now);
                self.put(eid, agent);
            }
            Some(_) => {
                self.counters.count(Counter::RelaysEnded);
                change(eid, AgentState::Release, out);
            }
            None => {}
        }
    }

    /// No answer to a claim's questions counts any more.
    pub(super) fn forget_questions(&mut self, claim: &Claim) {
        match &claim.step {
            Step::Asking { nonces, .. } => self.questions.forget(nonces),
            Step::Probing { holders, .. } => {
                let nonces: Vec<_> = holders.iter().map(|holder| holder.nonce).collect();
                self.questions.forget(&nonces);
            }
            Step::Greeting { .. } | Step::Registering { .. } => {}
        }
    }
}

#[cfg(test)]
mod test;
