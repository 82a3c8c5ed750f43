//! What the dataplane shall know, computed from the config, the underlay's facts and the port list.
//!
//! Three parts with different causes. [`Site`] follows from the config alone: groups, own RLOCs, and for each
//! configured EID what happens to it. [`Learned`] is what the mapping system and the agents say. [`Paths`] follows
//! from the underlay: how each remote RLOC is reached now. They meet in [`SetKey`]: an EID names its locators as its
//! mapping does, so a link that goes down changes locator sets and next hops, never a million EIDs. [`Tables`] puts
//! the three together and tells the publisher what changed.
//!
//! Keys say what a thing *is*, values how it *stands*: two mappings with the same locators share one set, two
//! sets that use the same pair of RLOCs share one adjacency, and a next hop that changes its MAC changes one record.

mod classes;
mod learned;
mod path;
mod paths;
mod ports;
mod site;
mod tables;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use sterna_shm::NegativeAction;
use sterna_wire::{Iid, Mac, Prefix, VlanId};

pub use classes::{ClassesKey, RowKey};
pub use learned::{Learned, Source};
pub use path::{Path, Reach};
pub use paths::{Paths, Touched, View};
pub use ports::Ports;
pub use site::Site;
pub use tables::Tables;

/// Which EID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EidKey {
    /// Group.
    pub iid: Iid,
    /// EID prefix.
    pub prefix: Prefix,
}

impl EidKey {
    /// One address in a group.
    pub fn host(iid: Iid, address: IpAddr) -> Self {
        Self { iid, prefix: Prefix::host(address) }
    }

    /// Not above any key of this group: where a range over the group begins.
    pub fn first_of(iid: Iid) -> Self {
        let lowest = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self { iid, prefix: Prefix::masked(lowest, 0).unwrap_or(Prefix::host(lowest)) }
    }
}

/// What shall happen to packets for an EID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EidWanted {
    /// Encapsulate to these locators.
    Remote(SetKey),
    /// Encapsulate to what each class uses.
    Chosen {
        /// All locators: those that may send from there.
        set: SetKey,
        /// What each class uses.
        classes: ClassesKey,
    },
    /// Nobody is there.
    Negative(NegativeAction),
    /// Served here.
    Local {
        /// Index of the eid-side port.
        port: u16,
        /// Tag on that port.
        vlan: Option<VlanId>,
        /// The inner router the prefix is behind, if any.
        via: Option<IpAddr>,
    },
    /// An agent attached here, at this MAC.
    LocalHost {
        /// Index of the eid-side port.
        port: u16,
        /// Tag on that port.
        vlan: Option<VlanId>,
        /// The agent's MAC.
        mac: Mac,
    },
    /// An agent that is about to leave: packets for it wait.
    Hold,
    /// An agent attached here that has its EID together with agents elsewhere. Who attaches it leaves `set` and `classes`
    /// out: they are those of the mapping.
    Skill {
        /// Index of the eid-side port.
        port: u16,
        /// Tag on that port.
        vlan: Option<VlanId>,
        /// The agent's MAC.
        mac: Mac,
        /// As in `Chosen`.
        set: Option<SetKey>,
        /// As in `Chosen`.
        classes: Option<ClassesKey>,
    },
    /// An agent that left for these locators: what still arrives is sent on to them.
    Away(SetKey),
}

impl EidWanted {
    /// The locator set it refers to, if it does.
    pub fn set(&self) -> Option<&SetKey> {
        match self {
            EidWanted::Remote(set) | EidWanted::Away(set) | EidWanted::Chosen { set, .. } => Some(set),
            EidWanted::Skill { set, .. } => set.as_ref(),
            _ => None,
        }
    }

    /// What each class uses, if it says so.
    pub fn classes(&self) -> Option<&ClassesKey> {
        match self {
            EidWanted::Chosen { classes, .. } => Some(classes),
            EidWanted::Skill { classes, .. } => classes.as_ref(),
            _ => None,
        }
    }
}

/// One locator of a mapping, as the mapping says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocatorKey {
    /// The remote RLOC.
    pub remote: IpAddr,
    /// Lower is better; 255 is never sent to.
    pub priority: u8,
    /// Share among equals.
    pub weight: u8,
    /// Send a true UDP checksum (IPv6 outer headers).
    pub udp_checksum: bool,
    /// Flows that use it stay with it although others are better.
    pub keep: bool,
    /// It is one of our own RLOCs, and stands for the agent that is attached here.
    pub here: bool,
}

impl From<&sterna_config::Rloc> for LocatorKey {
    fn from(rloc: &sterna_config::Rloc) -> Self {
        let sterna_config::Rloc { address, priority, weight, udp_checksum } = *rloc;
        Self { remote: address, priority, weight, udp_checksum, keep: false, here: false }
    }
}

/// A locator set is its locators, sorted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SetKey(Arc<[LocatorKey]>);

impl SetKey {
    /// The set of these locators, in any order; a locator named twice counts once.
    pub fn new(mut locators: Vec<LocatorKey>) -> Self {
        locators.sort_unstable();
        locators.dedup();
        Self(locators.into())
    }

    /// The locators, sorted.
    pub fn locators(&self) -> &[LocatorKey] {
        &self.0
    }
}

/// A locator of a set as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocatorWanted {
    /// The pair of RLOCs in use; without a meaning where the locator is here.
    pub adjacency: AdjacencyKey,
    /// As in [`LocatorKey`].
    pub priority: u8,
    /// As in [`LocatorKey`].
    pub weight: u8,
    /// The underlay can carry packets there.
    pub usable: bool,
    /// As in [`LocatorKey`].
    pub keep: bool,
    /// As in [`LocatorKey`].
    pub here: bool,
}

/// A pair of RLOCs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AdjacencyKey {
    /// Ours.
    pub local: IpAddr,
    /// Theirs.
    pub remote: IpAddr,
    /// Two mappings may disagree about it, and then the pair counts twice.
    pub udp_checksum: bool,
}

/// A pair of RLOCs as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdjacencyWanted {
    /// The neighbour to send to.
    pub next_hop: NextHopKey,
    /// Path MTU in bytes at the IP level.
    pub mtu: u16,
}

/// An underlay neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextHopKey {
    /// Index of the port it is behind.
    pub port: u16,
    /// Its IP address; none stands for "no way at present" or "not known yet": packets that are sent there wait.
    pub address: Option<IpAddr>,
}
