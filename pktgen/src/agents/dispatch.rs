//! Who a frame is for.

use std::collections::HashMap;
use std::net::IpAddr;

use serde::Serialize;
use sterna_wire::{Mac, VlanId};

use super::link::Link;

/// Frames that came in at a place and were for nobody there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Strays {
    /// For an agent that is at another place, or being moved.
    pub elsewhere: u64,
    /// For an Ethernet address that no agent has with this tag.
    pub unknown: u64,
    /// For many, and no question that an agent here answers.
    pub multicast: u64,
    /// Cut off, or wrong in a header.
    pub malformed: u64,
    /// Neither IP nor ARP.
    pub other: u64,
}

/// Agents by what a frame says.
#[derive(Debug, Default)]
pub struct Directory {
    by_mac: HashMap<(Option<VlanId>, Mac), usize>,
    by_eid: HashMap<(Option<VlanId>, IpAddr), usize>,
    by_name: HashMap<String, usize>,
}

impl Directory {
    /// Adds an agent under its number.
    pub fn add(&mut self, name: &str, link: &Link, agent: usize) {
        self.by_mac.insert((link.vlan, link.mac), agent);
        self.by_eid.insert((link.vlan, link.eid), agent);
        self.by_name.insert(name.to_owned(), agent);
    }

    /// Whose Ethernet address this is.
    pub fn mac(&self, vlan: Option<VlanId>, mac: Mac) -> Option<usize> {
        self.by_mac.get(&(vlan, mac)).copied()
    }

    /// Whose EID this is.
    pub fn eid(&self, vlan: Option<VlanId>, eid: IpAddr) -> Option<usize> {
        self.by_eid.get(&(vlan, eid)).copied()
    }

    /// Whose name this is.
    pub fn name(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}
