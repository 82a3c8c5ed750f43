//! Dataplane to control plane: what the packets showed.
//!
//! Events are lossy by design: a full ring drops them, and whoever needs an answer asks again.

use std::net::IpAddr;

use sterna_wire::{Iid, Mac, VlanId};

use crate::layout::{layout_choice, layout_records};

/// One thing the dataplane saw or did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A packet had no answer; repeated while it is held.
    Miss {
        /// Group.
        iid: Iid,
        /// The EID without a mapping.
        eid: IpAddr,
        /// Asked by the source check of a decapsulated packet, not for its destination.
        source: bool,
        /// Index of the port the packet came in on.
        port: u16,
    },
    /// An agent spoke ARP or neighbour discovery here; also dumped for all known agents when a session starts.
    Agent {
        /// Group.
        iid: Iid,
        /// The agent.
        eid: IpAddr,
        /// Its MAC.
        mac: Mac,
        /// Index of the eid-side port.
        port: u16,
        /// Tag on that port.
        vlan: Option<VlanId>,
    },
    /// An agent no longer answers here.
    AgentGone {
        /// Group.
        iid: Iid,
        /// The agent.
        eid: IpAddr,
    },
    /// A sync is complete and swept; every worker uses it.
    Applied {
        /// As in the sync's end.
        generation: u64,
    },
    /// An update could not be carried out; the channel goes on.
    Refused {
        /// Why.
        kind: RefusedKind,
        /// The session id or the instance-ID of the update, as the kind says.
        detail: u64,
    },
}

/// Why an update was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusedKind {
    /// The EID table is full; detail is the instance-ID.
    EidTableFull,
    /// No room for another next hop; detail is its id.
    NextHopTableFull,
    /// No room for another adjacency; detail is its id.
    AdjacencyTableFull,
    /// No room for another locator set; detail is its id.
    SetTableFull,
    /// No room for another group; detail is the instance-ID.
    GroupTableFull,
    /// No room for another RLOC of our own; detail is zero.
    LocalRlocTableFull,
    /// The port index does not exist; detail is the index.
    UnknownPort,
}

layout_choice!(RefusedKind {
    0 => EidTableFull {},
    1 => NextHopTableFull {},
    2 => AdjacencyTableFull {},
    3 => SetTableFull {},
    4 => GroupTableFull {},
    5 => LocalRlocTableFull {},
    6 => UnknownPort {},
});

layout_records!(Event {
    0x0101 => Miss { iid: Iid, eid: IpAddr, source: bool, port: u16 },
    0x0110 => Agent { iid: Iid, eid: IpAddr, mac: Mac, port: u16, vlan: Option<VlanId> },
    0x0111 => AgentGone { iid: Iid, eid: IpAddr },
    0x0120 => Applied { generation: u64 },
    0x0121 => Refused { kind: RefusedKind, detail: u64 },
});

// The sizes are part of the contract; a change here goes with a new layout version.
const _: () = {
    use crate::layout::Field;
    assert!(RefusedKind::SIZE == 1);
    assert!(<Event as crate::record::Record>::LONGEST == 32);
};
