//! Who is attached here: the prefixes that this site serves, and the agents that were seen inside them.

use crate::apply::Applier;
use crate::layout::{Attachment, last_address};
use crate::state::Upward;
use crate::tables::{EidBody, EidValue};
use std::collections::BTreeMap;
use std::net::IpAddr;
use sterna_shm::Event;
use sterna_table::EidKey;
use sterna_wire::{Iid, Mac, Prefix, VlanId};

/// Where an agent was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Port and VLAN.
    pub at: Attachment,
    /// Its Ethernet address.
    pub mac: Mac,
}

struct Served {
    body: EidBody,
    epoch: u32,
}

/// The served prefixes of one group.
#[derive(Default)]
struct ServedOf {
    prefixes: BTreeMap<Prefix, Served>,
    /// How many prefixes there are of each length.
    lengths: BTreeMap<u8, usize>,
}

impl ServedOf {
    fn insert(&mut self, prefix: Prefix, served: Served) {
        if self.prefixes.insert(prefix, served).is_none() {
            *self.lengths.entry(prefix.len()).or_default() += 1;
        }
    }

    fn remove(&mut self, prefix: &Prefix) -> bool {
        let known = self.prefixes.remove(prefix).is_some();
        if known && let Some(count) = self.lengths.get_mut(&prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&prefix.len());
            }
        }
        known
    }

    /// The longest served prefix of an address, and its length.
    fn longest(&self, eid: IpAddr) -> Option<(u8, &Served)> {
        let find = |len: &u8| Some((*len, self.prefixes.get(&Prefix::masked(eid, *len).ok()?)?));
        self.lengths.keys().rev().find_map(find)
    }
}

/// Served prefixes, the agents seen in them, and those that the control plane installed.
#[derive(Default)]
pub struct Attached {
    served: BTreeMap<Iid, ServedOf>,
    agents: BTreeMap<(Iid, IpAddr), Agent>,
    given: BTreeMap<(Iid, IpAddr), Agent>,
}

impl Attached {
    /// Takes note of an EID upsert whose entry stands in the table; gives the agents that lost their place by it.
    pub(crate) fn note(&mut self, iid: Iid, prefix: Prefix, body: EidBody, epoch: u32) -> Vec<IpAddr> {
        if prefix.is_host() {
            match body.given() {
                Some((at, mac)) => self.given.insert((iid, prefix.addr()), Agent { at, mac }),
                None => self.given.remove(&(iid, prefix.addr())),
            };
        }
        match body {
            EidBody::Served { .. } => {
                self.served.entry(iid).or_default().insert(prefix, Served { body, epoch });
                self.orphans(iid, prefix)
            }
            // A prefix that is now elsewhere is not served here any more, and nobody in it is attached here unless
            // by a longer prefix.
            _ => {
                if let Some(served) = self.served.get_mut(&iid) {
                    served.remove(&prefix);
                }
                if prefix.is_host() {
                    self.agents.remove(&(iid, prefix.addr()));
                    return Vec::new();
                }
                let Some(served) = self.served.get(&iid) else { return Vec::new() };
                let stays = |eid| served.longest(eid).is_some_and(|(len, _)| len > prefix.len());
                self.agents_in(iid, prefix).map(|(eid, _)| eid).filter(|eid| !stays(*eid)).collect()
            }
        }
    }

    /// Takes note of an EID delete; gives the agents that lost their prefix by it.
    pub(crate) fn forget(&mut self, iid: Iid, prefix: Prefix) -> Vec<IpAddr> {
        if prefix.is_host() {
            self.given.remove(&(iid, prefix.addr()));
        }
        let known = self.served.get_mut(&iid).is_some_and(|served| served.remove(&prefix));
        if known { self.orphans(iid, prefix) } else { Vec::new() }
    }

    /// Takes note of an entry that a sync swept away.
    pub(crate) fn swept(&mut self, key: &EidKey) {
        if let (Some(iid), true) = (Iid::new(key.iid()), key.is_host()) {
            self.given.remove(&(iid, key.addr()));
        }
    }

    /// Forgets prefixes that `epoch` did not confirm; gives the agents that lost theirs.
    pub(crate) fn sweep(&mut self, epoch: u32) -> Vec<(Iid, Vec<IpAddr>)> {
        for served in self.served.values_mut() {
            let stale = |(prefix, s): (&Prefix, &Served)| (s.epoch != epoch).then_some(*prefix);
            for prefix in served.prefixes.iter().filter_map(stale).collect::<Vec<_>>() {
                served.remove(&prefix);
            }
        }
        let mut gone: BTreeMap<Iid, Vec<IpAddr>> = BTreeMap::new();
        for ((iid, eid), agent) in &self.agents {
            if !self.covers(*iid, *eid, agent) {
                gone.entry(*iid).or_default().push(*eid);
            }
        }
        gone.into_iter().collect()
    }

    fn agents_in(&self, iid: Iid, prefix: Prefix) -> impl Iterator<Item = (IpAddr, &Agent)> {
        let all = (iid, prefix.addr())..=(iid, last_address(prefix));
        self.agents.range(all).map(|((_, eid), agent)| (*eid, agent))
    }

    fn orphans(&self, iid: Iid, prefix: Prefix) -> Vec<IpAddr> {
        let lost = |(eid, agent): &(IpAddr, &Agent)| !self.covers(iid, *eid, agent);
        self.agents_in(iid, prefix).filter(lost).map(|(eid, _)| eid).collect()
    }

    /// Whether the longest served prefix of an address is on the agent's attachment and allows a host there: behind
    /// an inner router only that router itself is one.
    fn covers(&self, iid: Iid, eid: IpAddr, agent: &Agent) -> bool {
        let longest = self.served.get(&iid).and_then(|served| served.longest(eid));
        matches!(longest, Some((_, Served { body: EidBody::Served { port, vlan, via }, .. }))
            if (Attachment { port: *port, vlan: *vlan }) == agent.at && via.is_none_or(|router| router == eid))
    }

    /// The entry of a host prefix that is served as such.
    fn host_prefix(&self, iid: Iid, eid: IpAddr) -> Option<EidBody> {
        self.served.get(&iid)?.prefixes.get(&Prefix::host(eid)).map(|served| served.body)
    }

    /// A host prefix that is served on the attachment of its known agent stays the agent's entry.
    pub(crate) fn keep_agent(&self, iid: Iid, prefix: Prefix, body: EidBody) -> EidBody {
        let EidBody::Served { port, vlan, via } = body else { return body };
        let known = self.agents.get(&(iid, prefix.addr())).filter(|_| prefix.is_host());
        match known {
            Some(a)
                if a.at == (Attachment { port, vlan })
                    && via.is_none_or(|router| router == prefix.addr()) =>
            {
                EidBody::Agent { port, vlan, mac: a.mac, given: false }
            }
            _ => body,
        }
    }

    /// Whether an agent was seen that this host prefix is the address of.
    pub(crate) fn has_agent(&self, iid: Iid, prefix: Prefix) -> bool {
        prefix.is_host() && self.agents.contains_key(&(iid, prefix.addr()))
    }

    /// Whether an entry is the one of an agent seen here.
    pub(crate) fn is_agent(&self, iid: u32, eid: IpAddr, body: &EidBody) -> bool {
        let EidBody::Agent { given: false, .. } = body else { return false };
        Iid::new(iid).is_some_and(|iid| self.agents.contains_key(&(iid, eid)))
    }

    /// All agents here, those that were seen and those that the control plane installed.
    pub fn agents(&self) -> impl Iterator<Item = (Iid, IpAddr, &Agent)> {
        self.agents.iter().chain(&self.given).map(|((iid, eid), agent)| (*iid, *eid, agent))
    }

    fn agent(&self, iid: Iid, eid: IpAddr) -> Option<&Agent> {
        self.agents.get(&(iid, eid)).or_else(|| self.given.get(&(iid, eid)))
    }
}

impl Applier {
    /// Takes what a worker saw into the tables; the event, if any, goes to the control plane.
    pub fn learn(&mut self, seen: &Upward) -> Option<Event> {
        match *seen {
            Upward::Learned { iid, eid, mac, port, vlan } => {
                let (iid, at) = (Iid::new(iid)?, Attachment { port, vlan });
                self.put_agent(iid, eid, Agent { at, mac }).then(|| agent_event(iid, eid, at, mac))
            }
            Upward::Seen { iid, eid, mac, at } => self.seen(Iid::new(iid)?, eid, at, mac),
            Upward::Miss { iid, eid, source, port, class } => {
                Some(Event::Miss { iid: Iid::new(iid)?, eid, source, port, class })
            }
            Upward::Attach { iid, eid, mac, at, proof } => {
                let (iid, Attachment { port, vlan }) = (Iid::new(iid)?, at);
                Some(Event::Attach { iid, eid, mac, port, vlan: VlanId::new(vlan), proof })
            }
            Upward::Stray { iid, eid, from } => Some(Event::Stray { iid: Iid::new(iid)?, eid, from }),
        }
    }

    /// Enters an agent, if the address is served on its attachment and no longer prefix says otherwise. A MAC that
    /// the control plane gave stays.
    fn put_agent(&mut self, iid: Iid, eid: IpAddr, agent: Agent) -> bool {
        if !self.attached.covers(iid, eid, &agent) || self.is_answered_otherwise(iid, eid) {
            return false;
        }
        let Agent { at: Attachment { port, vlan }, mac } = agent;
        let value = self.value(EidBody::Agent { port, vlan, mac, given: false });
        let entered = self.writers.eids.insert(EidKey::host(iid, eid), value).is_ok();
        if entered {
            self.attached.agents.insert((iid, eid), agent);
        }
        entered
    }

    /// Whether the longest match of an address is neither served nor an agent seen here.
    fn is_answered_otherwise(&self, iid: Iid, eid: IpAddr) -> bool {
        match self.longest(iid, eid) {
            Some(EidBody::Served { .. }) => false,
            Some(EidBody::Agent { given, .. }) => given,
            _ => true,
        }
    }

    /// Takes agents out of the tables again; a host prefix that is still served becomes unresolved.
    pub(crate) fn remove_agents(&mut self, iid: Iid, eids: &[IpAddr]) {
        for eid in eids {
            self.attached.agents.remove(&(iid, *eid));
            let key = EidKey::host(iid, *eid);
            let was_agent =
                matches!(self.writers.eids.get(&key), Some(EidValue { body: EidBody::Agent { .. }, .. }));
            if !was_agent {
                continue;
            }
            match self.attached.host_prefix(iid, *eid) {
                Some(body) => {
                    // Replacing an entry needs no more room than it has, once the old copies are reclaimed.
                    self.writers.eids.reclaim();
                    let _ = self.writers.eids.insert(key, self.value(body));
                }
                None => {
                    self.writers.eids.remove(&key);
                }
            }
        }
    }

    /// A host that was asked for and stayed silent: what it told of itself before is not true any more.
    pub(crate) fn forget_silent(&mut self, iid: Iid, eid: IpAddr) {
        if self.attached.has_agent(iid, Prefix::host(eid)) {
            self.remove_agents(iid, &[eid]);
        }
    }

    /// The addresses of all agents here.
    pub fn agents(&self) -> impl Iterator<Item = (Iid, IpAddr)> {
        self.attached.agents().map(|(iid, eid, _)| (iid, eid))
    }

    /// The event that tells a control plane where an agent is; nothing when it is not attached any more.
    pub fn agent_event(&self, iid: Iid, eid: IpAddr) -> Option<Event> {
        self.attached.agent(iid, eid).map(|agent| agent_event(iid, eid, agent.at, agent.mac))
    }
}

pub(crate) fn agent_event(iid: Iid, eid: IpAddr, at: Attachment, mac: Mac) -> Event {
    Event::Agent { iid, eid, mac, port: at.port, vlan: VlanId::new(at.vlan) }
}
