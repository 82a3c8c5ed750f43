//! The agents attached here, as the dataplane learned them from ARP and neighbour discovery.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use sterna_wire::{Iid, Mac, VlanId};

/// Where an agent is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The agent's MAC.
    pub mac: Mac,
    /// Index of the eid-side port.
    pub port: u16,
    /// Tag on that port.
    pub vlan: Option<VlanId>,
}

/// An agent's attachment and since when it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Where.
    pub attachment: Attachment,
    /// When it was first seen there.
    pub since: Instant,
}

/// Agents by group and EID.
#[derive(Debug)]
pub struct Agents {
    table: BTreeMap<(Iid, IpAddr), Agent>,
    capacity: usize,
}

impl Agents {
    /// Room for `capacity` agents; the dataplane, whose report this is, holds no more either.
    pub fn new(capacity: usize) -> Self {
        Self { table: BTreeMap::new(), capacity }
    }

    /// An agent was seen. One that is where it was stays as old as it is.
    pub fn seen(&mut self, iid: Iid, eid: IpAddr, attachment: Attachment, now: Instant) {
        let full = self.table.len() >= self.capacity;
        match self.table.get_mut(&(iid, eid)) {
            Some(agent) if agent.attachment == attachment => {}
            Some(agent) => *agent = Agent { attachment, since: now },
            None if full => {}
            None => {
                self.table.insert((iid, eid), Agent { attachment, since: now });
            }
        }
    }

    /// An agent no longer answers.
    pub fn gone(&mut self, iid: Iid, eid: IpAddr) {
        self.table.remove(&(iid, eid));
    }

    /// A new session starts with a dump of all agents.
    pub fn clear(&mut self) {
        self.table.clear();
    }

    /// All agents, by group and EID.
    pub fn iter(&self) -> impl Iterator<Item = (Iid, IpAddr, &Agent)> {
        self.table.iter().map(|((iid, eid), agent)| (*iid, *eid, agent))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_agent_ages_where_it_stays_and_starts_anew_where_it_moves() {
        let mut agents = Agents::new(2);
        let (iid, eid) = (Iid::DEFAULT, IpAddr::from([10, 1, 0, 5]));
        let here = Attachment { mac: Mac([2, 0, 0, 0, 0, 5]), port: 0, vlan: None };
        let there = Attachment { port: 1, ..here };
        let (first, later) = (Instant::now(), Instant::now() + Duration::from_secs(9));
        agents.seen(iid, eid, here, first);
        agents.seen(iid, eid, here, later);
        let seen: Vec<_> = agents.iter().map(|(_, _, agent)| *agent).collect();
        assert_eq!(seen, vec![Agent { attachment: here, since: first }]);
        agents.seen(iid, eid, there, later);
        let seen: Vec<_> = agents.iter().map(|(_, _, agent)| *agent).collect();
        assert_eq!(seen, vec![Agent { attachment: there, since: later }]);
        agents.gone(iid, eid);
        assert_eq!(agents.iter().count(), 0);
    }

    #[test]
    fn the_table_is_bounded_and_emptied_by_a_new_session() {
        let mut agents = Agents::new(2);
        let at = Attachment { mac: Mac([2, 0, 0, 0, 0, 5]), port: 0, vlan: None };
        for last in 1..=3 {
            agents.seen(Iid::DEFAULT, [10, 1, 0, last].into(), at, Instant::now());
        }
        assert_eq!(agents.iter().count(), 2);
        agents.clear();
        assert_eq!(agents.iter().count(), 0);
    }
}
