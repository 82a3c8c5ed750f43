//! Skills: EIDs that agents of several sites have at the same time, one instance at each site.
//!
//! An instance that speaks here is ours at once: nobody else loses anything by it, so nobody is asked. It is registered
//! beside the others' (a bit), and never moves, is never claimed and never relayed. A second one on the same link is
//! refused while the first answers.

use std::net::IpAddr;
use std::time::Instant;

use super::agents::{Agent, Eid, State};
use super::attach::AttachError;
use super::counters::Counter;
use super::{AgentSeen, Etr, change, entry_of};
use crate::outbox::{AgentPlace, AgentState, Outbox};

impl Etr {
    /// Whether agents of several sites may have this EID at the same time.
    pub(super) fn is_skill(&self, (iid, eid): &Eid) -> bool {
        self.settings.skills.iter().any(|(of, skill)| of == iid && skill.contains(*eid))
    }

    /// An agent is attached at this place.
    pub(super) fn admitted(&self, eid: Eid, place: AgentPlace, previous: Vec<IpAddr>) -> AgentState {
        match self.is_skill(&eid) {
            true => AgentState::AdmitSkill { place },
            false => AgentState::Admit { place, previous },
        }
    }

    /// Why an instance of this name may not be attached: another one is here.
    pub(super) fn skill_taken(&self, eid: &Eid, name: Option<&str>) -> Option<AttachError> {
        let agent = self.agents.get(eid).filter(|_| self.is_skill(eid))?;
        let other = agent.name.as_deref().is_some_and(|known| name.is_some_and(|name| name != known));
        other.then_some(AttachError::SkillTaken)
    }

    /// Somebody spoke as an instance of a skill.
    pub(super) fn skill_seen(&mut self, seen: AgentSeen, now: Instant, out: &mut Outbox) {
        let eid = (seen.iid, seen.eid);
        let Some(agent) = self.agents.take(&eid) else {
            return self.skill_came(seen, now, out);
        };
        match agent.place {
            Some(place) if place.mac != seen.place.mac => self.skill_rival(eid, agent, now, out),
            _ => self.seen_where_attached(eid, agent, seen, now, out),
        }
    }

    /// A host answered for a skill's EID. Of several the dataplane names the attached one.
    pub(super) fn skill_answered(&mut self, seen: AgentSeen, now: Instant, out: &mut Outbox) {
        if self.agents.get(&(seen.iid, seen.eid)).is_some() {
            self.skill_seen(seen, now, out);
        }
    }

    fn skill_came(&mut self, seen: AgentSeen, now: Instant, out: &mut Outbox) {
        if self.agents.len() >= self.settings.limits.agents {
            return self.counters.count(Counter::AgentsFull);
        }
        if !self.limits.claims.allow(now) {
            return self.counters.count(Counter::ClaimsRate);
        }
        self.counters.count(Counter::SkillSeen);
        let eid = (seen.iid, seen.eid);
        let mut agent = Agent::new(State::Attached, now);
        agent.place = Some(seen.place);
        change(eid, AgentState::AdmitSkill { place: seen.place }, out);
        self.put(eid, agent);
        self.registrar.want(entry_of(eid), false, true, now);
        self.send_registers(now, out);
    }

    /// Another host speaks as the skill. It is refused, and whether the one that is here still answers is asked: if it
    /// does not, it is withdrawn and the next packet of the other brings that one.
    fn skill_rival(&mut self, eid: Eid, agent: Agent, now: Instant, out: &mut Outbox) {
        self.counters.count(Counter::SkillTaken);
        if agent.check.is_some() || !self.limits.checks.allow(now) {
            return self.put(eid, agent);
        }
        self.start_check(eid, agent, None, now, out);
    }
}

#[cfg(test)]
mod test;
