//! Dynamic agents: seen by the dataplane, attached and detached by the API.

use std::net::IpAddr;
use std::time::Instant;

use sterna_wire::Iid;

use super::ControlPlane;
use crate::agents::Attachment;
use crate::desired::{EidWanted, Ports, Source};
use crate::etr::{AssignId, AttachError};
use crate::outbox::{AgentPlace, Outbox};

pub use crate::etr::Assigned;

/// What became of an attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// This EID is attached here.
    Now(IpAddr),
    /// A free EID is being looked for; [`ControlPlane::take_assigned`] will have it.
    Looking(AssignId),
}

/// Why an agent cannot be attached or detached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachRefusal {
    /// The config has no `[mapping_system]`, so nobody could be told.
    #[error("this gateway has no mapping system: a dynamic agent needs [mapping_system] in the config")]
    NoMappingSystem,
    /// No group of that name.
    #[error("there is no group {name} here{}", known(.groups))]
    UnknownGroup {
        /// What was asked for.
        name: String,
        /// The groups there are.
        groups: Vec<String>,
    },
    /// Agents do not come and go there.
    #[error("{eid} is not in the dynamic_eids of the group {group}{}", known(.ranges))]
    NotDynamic {
        /// The EID.
        eid: IpAddr,
        /// The group.
        group: String,
        /// Its ranges.
        ranges: Vec<String>,
    },
    /// The group has no range to take a free EID from.
    #[error("the group {group} has no dynamic_eids to take a free EID from")]
    NoRange {
        /// The group.
        group: String,
    },
    /// Another instance of the skill is here.
    #[error("the skill {eid} has an instance here already: {name}, {at}; detach it first")]
    SkillTaken {
        /// The skill.
        eid: IpAddr,
        /// What that instance was attached as.
        name: String,
        /// Where it is.
        at: String,
    },
    /// The registrar refused.
    #[error("{0}")]
    Refused(#[from] AttachError),
}

/// The choices there are, for the end of a sentence.
fn known(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" (there are: {})", names.join(", ")) }
}

impl ControlPlane {
    /// Attaches an agent to a group, by name or IID; without an EID a free one is looked for.
    pub fn attach(
        &mut self,
        group: &str,
        eid: Option<IpAddr>,
        name: Option<String>,
        now: Instant,
    ) -> Result<Attached, AttachRefusal> {
        let iid = self.group_for_agents(group, eid)?;
        let mut out = Outbox::default();
        let outcome = match eid {
            Some(eid) => self
                .roles
                .attach((iid, eid), name, now, &mut out)
                .map(|done| done.map(|()| Attached::Now(eid))),
            None => self.roles.assign(iid, now, &mut out).map(|id| id.map(Attached::Looking)),
        };
        self.settle(out, now);
        match (outcome.ok_or(AttachRefusal::NoMappingSystem)?, eid) {
            (Err(AttachError::SkillTaken), Some(eid)) => Err(self.skill_taken(iid, eid)),
            (outcome, _) => Ok(outcome?),
        }
    }

    /// Where the instance of a skill is that is here already.
    fn skill_taken(&self, iid: Iid, eid: IpAddr) -> AttachRefusal {
        let agent = self.roles.etr().and_then(|etr| etr.agent(iid, eid));
        let place = agent.as_ref().and_then(|agent| agent.place);
        let at = place.map_or_else(
            || "not seen yet".to_owned(),
            |place| {
                format!("{} on {}", place.mac, self.ports.name(place.port).unwrap_or("a port that is gone"))
            },
        );
        let name = agent.and_then(|agent| agent.name).unwrap_or_default();
        AttachRefusal::SkillTaken { eid, name, at }
    }

    /// An agent is about to leave: packets for it wait, then follow it.
    pub fn detach(&mut self, group: &str, eid: IpAddr, now: Instant) -> Result<(), AttachRefusal> {
        let iid = self.group_for_agents(group, Some(eid))?;
        let mut out = Outbox::default();
        let outcome = self.roles.detach(iid, eid, now, &mut out);
        self.settle(out, now);
        Ok(outcome.ok_or(AttachRefusal::NoMappingSystem)??)
    }

    /// Searches for a free EID that have ended since the last call.
    pub fn take_assigned(&mut self) -> Vec<Assigned> {
        std::mem::take(&mut self.assigned)
    }

    pub(super) fn collect_assigned(&mut self) {
        self.assigned.extend(self.roles.assigned());
    }

    fn group_for_agents(&self, name: &str, eid: Option<IpAddr>) -> Result<Iid, AttachRefusal> {
        let groups = &self.config.groups;
        let named = groups.iter().find(|group| group.name == name);
        let group = named.or_else(|| groups.iter().find(|group| group.iid.to_string() == name));
        let Some(group) = group else {
            let groups = groups.iter().map(|group| group.name.clone()).collect();
            return Err(AttachRefusal::UnknownGroup { name: name.to_string(), groups });
        };
        if self.roles.etr().is_none() {
            return Err(AttachRefusal::NoMappingSystem);
        }
        let (ranges, group_name) = (&group.dynamic_eids, group.name.clone());
        match eid {
            None if ranges.is_empty() => Err(AttachRefusal::NoRange { group: group_name }),
            Some(eid) if group.skills.iter().any(|skill| skill.contains(eid)) => Ok(group.iid),
            Some(eid) if !ranges.iter().any(|range| range.contains(eid)) => {
                let ranges = ranges.iter().map(ToString::to_string).collect();
                Err(AttachRefusal::NotDynamic { eid, group: group_name, ranges })
            }
            _ => Ok(group.iid),
        }
    }

    /// A host spoke in a range where agents come and go.
    pub(super) fn attach_seen(&mut self, iid: Iid, eid: IpAddr, at: Attachment, now: Instant) {
        if !self.tables.site().is_dynamic(iid, eid) {
            return;
        }
        let mut out = Outbox::default();
        let place = AgentPlace { port: at.port, vlan: at.vlan, mac: at.mac };
        self.roles.attach_seen(iid, eid, place, now, &mut out);
        self.settle(out, now);
    }

    /// An agent that an earlier process had admitted is ours still.
    pub(super) fn adopt_agent(&mut self, iid: Iid, eid: IpAddr, place: AgentPlace, now: Instant) {
        let mut out = Outbox::default();
        self.roles.adopt_agent(iid, eid, place, now, &mut out);
        self.settle(out, now);
    }

    /// An agent does not answer any more.
    pub(super) fn agent_gone(&mut self, iid: Iid, eid: IpAddr, now: Instant) {
        let mut out = Outbox::default();
        self.roles.agent_gone(iid, eid, now, &mut out);
        self.settle(out, now);
    }

    /// Agents are at ports by number; a dataplane with another port list has other numbers for them.
    pub(super) fn renumber_agents(&mut self, new: &Ports) {
        let renumbered = |port: u16| new.named(self.ports.name(port)?);
        let agents: Vec<_> =
            self.tables.learned().iter(Source::Agent).map(|(key, at)| (*key, at.clone())).collect();
        let moved: Vec<_> = agents
            .into_iter()
            .filter_map(|(key, wanted)| match wanted {
                EidWanted::LocalHost { port, vlan, mac } => {
                    Some((key, renumbered(port).map(|port| EidWanted::LocalHost { port, vlan, mac })))
                }
                EidWanted::Skill { port, vlan, mac, set, classes } => Some((
                    key,
                    renumbered(port).map(|port| EidWanted::Skill { port, vlan, mac, set, classes }),
                )),
                EidWanted::Local { port, vlan, via } => {
                    Some((key, renumbered(port).map(|port| EidWanted::Local { port, vlan, via })))
                }
                _ => None,
            })
            .collect();
        for (key, wanted) in moved {
            self.want(Source::Agent, key, wanted);
        }
    }
}
