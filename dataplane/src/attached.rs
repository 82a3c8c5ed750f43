//! Who is attached here: the prefixes that this site serves, and the agents that were seen inside them.

use crate::apply::Applier;
use crate::state::Upward;
use crate::tables::{EidBody, EidValue, Tag};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use sterna_shm::Event;
use sterna_table::EidKey;
use sterna_wire::{Iid, Mac, Prefix, VlanId};

/// Where an agent was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Eid-side port.
    pub port: u16,
    /// VLAN, 0 for untagged.
    pub vlan: Tag,
    /// Its Ethernet address.
    pub mac: Mac,
}

struct Served {
    body: EidBody,
    epoch: u32,
}

/// Served prefixes and the agents seen in them.
#[derive(Default)]
pub struct Attached {
    served: BTreeMap<Iid, BTreeMap<Prefix, Served>>,
    agents: HashMap<(Iid, IpAddr), Agent>,
}

impl Attached {
    /// Takes note of an EID upsert; gives the agents that lost their prefix by it.
    pub(crate) fn note(&mut self, iid: Iid, prefix: Prefix, body: EidBody, epoch: u32) -> Vec<IpAddr> {
        match body {
            EidBody::Served { .. } => {
                self.served.entry(iid).or_default().insert(prefix, Served { body, epoch });
                self.orphans(iid, prefix)
            }
            // A prefix that is now elsewhere is not served here any more.
            _ => self.forget(iid, prefix),
        }
    }

    /// Takes note of an EID delete; gives the agents that lost their prefix by it.
    pub(crate) fn forget(&mut self, iid: Iid, prefix: Prefix) -> Vec<IpAddr> {
        let known = self.served.get_mut(&iid).is_some_and(|served| served.remove(&prefix).is_some());
        if known { self.orphans(iid, prefix) } else { Vec::new() }
    }

    /// Forgets prefixes that `epoch` did not confirm; gives the agents that lost theirs.
    pub(crate) fn sweep(&mut self, epoch: u32) -> Vec<(Iid, Vec<IpAddr>)> {
        for served in self.served.values_mut() {
            served.retain(|_, s| s.epoch == epoch);
        }
        let mut gone: BTreeMap<Iid, Vec<IpAddr>> = BTreeMap::new();
        for ((iid, eid), agent) in &self.agents {
            if !self.covers(*iid, *eid, agent) {
                gone.entry(*iid).or_default().push(*eid);
            }
        }
        gone.into_iter().collect()
    }

    fn orphans(&self, iid: Iid, prefix: Prefix) -> Vec<IpAddr> {
        let inside = |(i, eid): &(Iid, IpAddr)| *i == iid && prefix.contains(*eid);
        self.agents
            .iter()
            .filter(|(key, agent)| inside(key) && !self.covers(key.0, key.1, agent))
            .map(|(key, _)| key.1)
            .collect()
    }

    /// Whether the longest served prefix of an address is on the agent's attachment.
    fn covers(&self, iid: Iid, eid: IpAddr, agent: &Agent) -> bool {
        let Some(served) = self.served.get(&iid) else { return false };
        let longest = served.iter().filter(|(p, _)| p.contains(eid)).max_by_key(|(p, _)| p.len());
        matches!(longest, Some((_, Served { body: EidBody::Served { port, vlan, .. }, .. }))
            if (*port, *vlan) == (agent.port, agent.vlan))
    }

    /// The entry of a host prefix that is served as such.
    fn host_prefix(&self, iid: Iid, eid: IpAddr) -> Option<EidBody> {
        self.served.get(&iid)?.get(&Prefix::host(eid)).map(|served| served.body)
    }

    /// A host prefix that is served and whose agent is known stays the agent's entry.
    pub(crate) fn keep_agent(&self, iid: Iid, prefix: Prefix, body: EidBody) -> EidBody {
        let known = self.agents.get(&(iid, prefix.addr()));
        match (body, known) {
            (EidBody::Served { via: None, .. }, Some(agent)) if prefix.is_host() => {
                EidBody::Agent { port: agent.port, vlan: agent.vlan, mac: agent.mac }
            }
            _ => body,
        }
    }

    /// Whether an entry is the one of an agent seen here.
    pub(crate) fn is_agent(&self, iid: u32, eid: IpAddr, body: &EidBody) -> bool {
        let EidBody::Agent { .. } = body else { return false };
        Iid::new(iid).is_some_and(|iid| self.agents.contains_key(&(iid, eid)))
    }

    /// All agents seen here.
    pub fn agents(&self) -> impl Iterator<Item = (Iid, IpAddr, &Agent)> {
        self.agents.iter().map(|((iid, eid), agent)| (*iid, *eid, agent))
    }
}

impl Applier {
    /// Takes what a worker saw into the tables; the event, if any, goes to the control plane.
    pub fn learn(&mut self, seen: &Upward) -> Option<Event> {
        match *seen {
            Upward::Learned { iid, eid, mac, port, vlan } => {
                let iid = Iid::new(iid)?;
                let agent = Agent { port, vlan, mac };
                self.put_agent(iid, eid, agent).then(|| agent_event(iid, eid, &agent))
            }
            Upward::Miss { iid, eid, source, port } => Some(Event::Miss { iid: Iid::new(iid)?, eid, source, port }),
        }
    }

    /// Enters an agent, if the address is served on its attachment and nobody else's by a longer prefix.
    fn put_agent(&mut self, iid: Iid, eid: IpAddr, agent: Agent) -> bool {
        let key = EidKey::host(iid, eid);
        let free = match self.writers.eids.get(&key).map(|value| value.body) {
            None | Some(EidBody::Agent { .. } | EidBody::Served { .. }) => true,
            Some(EidBody::Remote { .. } | EidBody::Negative { .. }) => false,
        };
        if !free || !self.attached.covers(iid, eid, &agent) {
            return false;
        }
        let body = EidBody::Agent { port: agent.port, vlan: agent.vlan, mac: agent.mac };
        let value = EidValue { body, session: self.epoch };
        let entered = self.writers.eids.insert(key, value).is_ok();
        if entered {
            self.attached.agents.insert((iid, eid), agent);
        }
        entered
    }

    /// Takes agents out of the tables again; a host prefix that is still served becomes unresolved.
    pub(crate) fn remove_agents(&mut self, iid: Iid, eids: &[IpAddr]) {
        for eid in eids {
            self.attached.agents.remove(&(iid, *eid));
            let key = EidKey::host(iid, *eid);
            let was_agent = matches!(self.writers.eids.get(&key), Some(EidValue { body: EidBody::Agent { .. }, .. }));
            if !was_agent {
                continue;
            }
            match self.attached.host_prefix(iid, *eid) {
                Some(body) => {
                    // Replacing an entry needs no more room than it has, once the old copies are reclaimed.
                    self.writers.eids.reclaim();
                    let _ = self.writers.eids.insert(key, EidValue { body, session: self.epoch });
                }
                None => {
                    self.writers.eids.remove(&key);
                }
            }
        }
    }

    /// The events that tell a new control plane who is attached.
    pub fn agent_events(&self) -> Vec<Event> {
        self.attached.agents().map(|(iid, eid, agent)| agent_event(iid, eid, agent)).collect()
    }
}

fn agent_event(iid: Iid, eid: IpAddr, agent: &Agent) -> Event {
    Event::Agent { iid, eid, mac: agent.mac, port: agent.port, vlan: VlanId::new(agent.vlan) }
}
