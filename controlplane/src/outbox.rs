//! What a LISP role wants done: the only way out of the sans-IO state machines.
//!
//! A role never sends, stores or publishes by itself. It is given an [`Outbox`] with each message and each tick,
//! and the runtime carries out what stands in it, in this order: agents and mappings (the tables), then datagrams, and
//! promises when the dataplane forwards by the tables.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use sterna_wire::{Iid, Mac, Prefix, VlanId};

/// UDP port of all LISP control messages (RFC 9301 section 4).
pub const CONTROL_PORT: u16 = 4342;

/// One UDP datagram to send from port 4342.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The local address to send from; none leaves the choice to the kernel's routes.
    pub from: Option<IpAddr>,
    /// Where to.
    pub to: SocketAddr,
    /// The UDP payload.
    pub bytes: Vec<u8>,
}

/// One locator of a learned mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Locator {
    /// The remote RLOC.
    pub address: IpAddr,
    /// Lower is better; 255 is never sent to (RFC 9301 section 5.4).
    pub priority: u8,
    /// Share among equals.
    pub weight: u8,
}

/// What the mapping system says of an EID prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// Reached by these locators, sorted by address; at most 16.
    Locators(Vec<Locator>),
    /// Nobody is there; packets meet the group's `on_negative`.
    Negative,
}

/// A change of the map-cache: publish it to the dataplane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingChange {
    /// Group.
    pub iid: Iid,
    /// EID prefix.
    pub prefix: Prefix,
    /// What it maps to now; none removes the entry, and a packet for it is a miss again.
    pub mapping: Option<Mapping>,
    /// Write the record again although nothing changed: the dataplane waits for a confirmation (source check).
    pub confirm: bool,
    /// What each context class uses, 0 being the packets of no class. Empty where context plays no part: then packets
    /// of no class use `mapping`, and the others miss. A class that is not named misses.
    /// With classes `mapping` has every locator that any of them uses or that may send from there.
    pub classes: BTreeMap<u8, Choice>,
}

/// What a context class uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// These locators, sorted by address; at most 16.
    Locators(Vec<Chosen>),
    /// No locator will do: drop and count.
    NoMatch,
}

/// A locator that a context class uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chosen {
    /// The locator, with the priority that follows from its fitness. At a skill that has an instance here, our own RLOC
    /// stands for that instance.
    pub locator: Locator,
    /// Flows that use it stay with it although others are better now.
    pub keep: bool,
}

/// A remote RLOC became reachable or unreachable by probing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocatorChange {
    /// The remote RLOC.
    pub remote: IpAddr,
    /// Whether packets may be sent there.
    pub up: bool,
}

/// Where an agent was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentPlace {
    /// Index of the eid-side port.
    pub port: u16,
    /// Tag on that port.
    pub vlan: Option<VlanId>,
    /// The agent's MAC.
    pub mac: Mac,
}

/// What shall happen to a dynamic agent's packets here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentState {
    /// Attached at this place: deliver to its MAC. Frames relayed by `previous` locators pass the source check.
    Admit {
        /// Where it is.
        place: AgentPlace,
        /// Locators of the site it came from; empty when it did not move.
        previous: Vec<IpAddr>,
    },
    /// An instance of a skill, attached at this place. It is one candidate among the mapping's locators.
    AdmitSkill {
        /// Where it is.
        place: AgentPlace,
    },
    /// Attached by the API, its MAC not known yet: the dataplane asks for it by ARP or neighbour discovery.
    Expect {
        /// Locators of the site it came from; empty when it did not move.
        previous: Vec<IpAddr>,
    },
    /// It is about to leave: packets for it wait.
    Hold,
    /// It left for these locators: what still arrives is sent on.
    Relay {
        /// Where it is now.
        locators: Vec<Locator>,
    },
    /// No longer our concern: what is known of the EID comes from the mapping system again.
    Release,
    /// Ask the host whether it is still there; the answer comes as an event.
    Check,
}

/// A change of one dynamic agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentChange {
    /// Group.
    pub iid: Iid,
    /// The agent.
    pub eid: IpAddr,
    /// What holds for it now.
    pub state: AgentState,
}

/// What the roles want done.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Changes of dynamic agents.
    pub agents: Vec<AgentChange>,
    /// Changes of the map-cache.
    pub mappings: Vec<MappingChange>,
    /// Changes of remote RLOCs.
    pub locators: Vec<LocatorChange>,
    /// Messages to send.
    pub datagrams: Vec<Datagram>,
    /// Messages that bring packets here: to be sent when the dataplane knows the agents that they name.
    pub promises: Vec<Datagram>,
}

impl Outbox {
    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
            && self.mappings.is_empty()
            && self.locators.is_empty()
            && self.datagrams.is_empty()
            && self.promises.is_empty()
    }

    /// Sends `bytes` to the control port of `to`.
    pub fn send(&mut self, to: IpAddr, bytes: Vec<u8>) {
        self.datagrams.push(Datagram { from: None, to: SocketAddr::new(to, CONTROL_PORT), bytes });
    }

    /// As [`Outbox::send`], but only when the dataplane forwards by what else is wanted here.
    pub fn promise(&mut self, to: IpAddr, bytes: Vec<u8>) {
        self.promises.push(Datagram { from: None, to: SocketAddr::new(to, CONTROL_PORT), bytes });
    }
}
