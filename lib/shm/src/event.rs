//! Dataplane to control plane: what the packets showed.
//!
//! Events are lossy by design: a full ring drops them, and whoever needs an answer asks again.

use std::net::IpAddr;

use sterna_wire::{Iid, Mac, Prefix, VlanId};

use crate::classes::ClassRows;
use crate::layout::{layout_choice, layout_records};

/// One thing the dataplane saw or did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A packet had no answer; repeated while it is held.
    Miss {
        /// Group.
        iid: Iid,
        /// The EID without a mapping; with `source` perhaps one whose mapping does not have the outer source.
        eid: IpAddr,
        /// Asked by the source check of a decapsulated packet, not for its destination. The packet waits until the
        /// EID's entry is written again, be it with the same content.
        source: bool,
        /// Index of the port the packet came in on.
        port: u16,
        /// The context class that has no row yet; 0 for packets of no class, and with `source`.
        class: u8,
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
    /// A host spoke in a range where agents come and go, and is not installed here, or elsewhere than installed.
    /// Repeated while its packets are held.
    Attach {
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
        /// What it spoke.
        proof: AttachProof,
    },
    /// An agent no longer answers here.
    AgentGone {
        /// Group.
        iid: Iid,
        /// The agent.
        eid: IpAddr,
    },
    /// Packets use this entry; at most once in 10 s per entry.
    Used {
        /// Group.
        iid: Iid,
        /// The entry's EID prefix.
        prefix: Prefix,
    },
    /// Packets went to or came from a remote RLOC; at most once in 100 ms per RLOC.
    Traffic {
        /// The remote RLOC.
        remote: IpAddr,
        /// Some were sent there.
        sent: bool,
        /// Some were received from there.
        received: bool,
    },
    /// A site still sends here what is for an agent that moved away; at most once a second per agent and site.
    Stray {
        /// Group.
        iid: Iid,
        /// The agent.
        eid: IpAddr,
        /// The outer source.
        from: IpAddr,
    },
    /// One locator of a set that the EID table uses, dumped when a session starts, before [`Event::KnownEid`]s that
    /// name the set.
    KnownLocator {
        /// The dataplane's own number of the set; it means nothing but "the same set" within this dump.
        set: u32,
        /// The remote RLOC; none for the agent that is attached here.
        remote: Option<IpAddr>,
        /// Lower is better; 255 is never sent to.
        priority: u8,
        /// Share among equals.
        weight: u8,
        /// Flows stay with it although others are better.
        keep: bool,
    },
    /// What each class of packets uses, dumped before [`Event::KnownEid`]s that name it and after the locators of the
    /// sets that it names.
    KnownClasses {
        /// The dataplane's own number of these rows, within this dump.
        classes: u32,
        /// The rows; sets by their numbers in this dump.
        rows: ClassRows,
    },
    /// An entry that an earlier control plane left, dumped when a session starts.
    KnownEid {
        /// Group.
        iid: Iid,
        /// EID prefix.
        prefix: Prefix,
        /// What happens to packets for it.
        action: KnownAction,
    },
    /// The dump is complete; sent also when there was nothing to dump.
    KnownEnd,
    /// A sync is complete and swept; every worker uses it.
    Applied {
        /// As in the sync's end.
        generation: u64,
    },
    /// What came before a barrier is applied; every worker uses it.
    Reached {
        /// The barrier's.
        number: u64,
    },
    /// An update could not be carried out; the channel goes on.
    Refused {
        /// Why.
        kind: RefusedKind,
        /// The session id or the instance-ID of the update, as the kind says.
        detail: u64,
    },
}

/// What an entry left by an earlier control plane does. Negative and served ones are not told: they are not worth
/// taking over, or follow from the config.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KnownAction {
    /// As [`EidAction::Remote`](crate::EidAction::Remote).
    Remote {
        /// The set's number in this dump; without a [`Event::KnownLocator`] before it, the set is empty.
        set: u32,
        /// The number of its class rows in this dump.
        classes: Option<u32>,
    },
    /// As [`EidAction::Away`](crate::EidAction::Away).
    Away {
        /// The set's number in this dump.
        set: u32,
    },
    /// As [`EidAction::LocalHost`](crate::EidAction::LocalHost).
    LocalHost {
        /// Index of the eid-side port.
        port: u16,
        /// Tag on that port.
        vlan: Option<VlanId>,
        /// The agent's MAC.
        mac: Mac,
    },
    /// As [`EidAction::Hold`](crate::EidAction::Hold).
    Hold,
    /// As [`EidAction::Skill`](crate::EidAction::Skill).
    Skill {
        /// Index of the eid-side port.
        port: u16,
        /// Tag on that port.
        vlan: Option<VlanId>,
        /// The agent's MAC.
        mac: Mac,
        /// The set's number in this dump.
        set: Option<u32>,
        /// The number of its class rows in this dump.
        classes: Option<u32>,
    },
}

/// What shows that a host is attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttachProof {
    /// It spoke ARP.
    Arp,
    /// It spoke neighbour discovery.
    Nd,
    /// It sent a packet.
    Data,
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
    /// No room for another range of dynamic EIDs; detail is the instance-ID.
    DynamicTableFull,
    /// No room for another relay permission; detail is the instance-ID.
    RelayTableFull,
    /// Too many agents are being asked for already; detail is the instance-ID.
    AgentChecksFull,
    /// No room for other class rows; detail is their id.
    ClassesTableFull,
    /// No room for another policy; detail is its index.
    PolicyTableFull,
}

layout_choice!(AttachProof {
    0 => Arp {},
    1 => Nd {},
    2 => Data {},
});
layout_choice!(KnownAction {
    0 => Remote { set: u32, classes: Option<u32> },
    1 => Away { set: u32 },
    2 => LocalHost { port: u16, vlan: Option<VlanId>, mac: Mac },
    3 => Hold {},
    4 => Skill { port: u16, vlan: Option<VlanId>, mac: Mac, set: Option<u32>, classes: Option<u32> },
});
layout_choice!(RefusedKind {
    0 => EidTableFull {},
    1 => NextHopTableFull {},
    2 => AdjacencyTableFull {},
    3 => SetTableFull {},
    4 => GroupTableFull {},
    5 => LocalRlocTableFull {},
    6 => UnknownPort {},
    7 => DynamicTableFull {},
    8 => RelayTableFull {},
    9 => AgentChecksFull {},
    10 => ClassesTableFull {},
    11 => PolicyTableFull {},
});

layout_records!(Event {
    0x0101 => Miss { iid: Iid, eid: IpAddr, source: bool, port: u16, class: u8 },
    0x0110 => Agent { iid: Iid, eid: IpAddr, mac: Mac, port: u16, vlan: Option<VlanId> },
    0x0111 => AgentGone { iid: Iid, eid: IpAddr },
    0x0112 => Attach {
        iid: Iid,
        eid: IpAddr,
        mac: Mac,
        port: u16,
        vlan: Option<VlanId>,
        proof: AttachProof,
    },
    0x0113 => Used { iid: Iid, prefix: Prefix },
    0x0114 => Traffic { remote: IpAddr, sent: bool, received: bool },
    0x0115 => Stray { iid: Iid, eid: IpAddr, from: IpAddr },
    0x0116 => KnownLocator { set: u32, remote: Option<IpAddr>, priority: u8, weight: u8, keep: bool },
    0x0117 => KnownEid { iid: Iid, prefix: Prefix, action: KnownAction },
    0x0118 => KnownEnd {},
    0x0119 => KnownClasses { classes: u32, rows: ClassRows },
    0x0120 => Applied { generation: u64 },
    0x0121 => Refused { kind: RefusedKind, detail: u64 },
    0x0122 => Reached { number: u64 },
});

// The sizes are part of the contract; a change here goes with a new layout version.
const _: () = {
    use crate::layout::Field;
    assert!(RefusedKind::SIZE == 1);
    assert!(<Event as crate::record::Record>::LONGEST == 88);
};
