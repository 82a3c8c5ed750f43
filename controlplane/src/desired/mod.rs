//! What the dataplane shall know, computed from the config, the underlay's facts and the port list.
//!
//! Two halves with different causes. [`Site`] follows from the config alone: groups, own RLOCs, and for each EID
//! what happens to it. [`Paths`] follows from the underlay: how each remote RLOC is reached now. They meet in
//! [`SetKey`]: an EID names its locators as the config does, so a link that goes down changes locator sets and
//! next hops, never a million EIDs.
//!
//! Keys say what a thing *is*, values how it *stands*: two mappings with the same locators share one set, two
//! sets that use the same pair of RLOCs share one adjacency, and a next hop that changes its MAC changes one record.

mod path;
mod paths;
mod ports;
mod site;

use std::net::IpAddr;
use std::sync::Arc;

use sterna_shm::NegativeAction;
use sterna_wire::{Iid, Prefix, VlanId};

pub use path::{Path, Reach};
pub use paths::Paths;
pub use ports::Ports;
pub use site::Site;

/// Which EID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EidKey {
    /// Group.
    pub iid: Iid,
    /// EID prefix.
    pub prefix: Prefix,
}

/// What shall happen to packets for an EID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EidWanted {
    /// Encapsulate to these locators.
    Remote(SetKey),
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
    /// The pair of RLOCs in use.
    pub adjacency: AdjacencyKey,
    /// As in [`LocatorKey`].
    pub priority: u8,
    /// As in [`LocatorKey`].
    pub weight: u8,
    /// The underlay can carry packets there.
    pub usable: bool,
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
    /// Its IP address; none stands for "no way at present", which only unusable locators refer to.
    pub address: Option<IpAddr>,
}
