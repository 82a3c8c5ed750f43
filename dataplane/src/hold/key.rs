//! What packets wait for, and how many may.

use std::fmt;

use sterna_wire::Family;

/// Which answer a packet waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Role {
    /// Where the destination is.
    Destination,
    /// Whether the source may come from where it came: nothing is known of it (the source check).
    Source,
    /// The same, but what is known speaks against it: it may have moved.
    Moved,
    /// Whether the RLOC it came from relays for the destination.
    Relay,
    /// Where the destination is, other than where the packet came from.
    Back,
    /// Whether the source may attach here.
    Attach,
}

impl Role {
    /// How many there are.
    pub const COUNT: usize = 6;

    /// The order in which a packet meets the questions. One that waits for a later answer has the earlier ones behind
    /// it: it is older than what waits there now, and must never queue behind that.
    pub(crate) fn stage(self) -> u8 {
        match self {
            Role::Source | Role::Attach => 0,
            Role::Moved | Role::Relay => 1,
            Role::Back => 2,
            Role::Destination => 3,
        }
    }

    /// Whether the packet's source was already proved right. Others are suspects, with a share of their own.
    pub fn is_proven(self) -> bool {
        matches!(self, Role::Destination | Role::Back)
    }
}

/// What was last asked for a key, so that another question is not taken for a repetition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// Nobody: the answer comes by itself.
    Nobody,
    /// The mapping system.
    Mapping,
    /// A host, by ARP or neighbour discovery.
    Host,
    /// The control plane, to admit a host.
    Admission,
}

/// The EID that must be resolved before the packet goes on, and why.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct HoldKey {
    /// The group's instance-ID.
    pub iid: u32,
    /// The EID's family.
    pub family: Family,
    /// The EID, as [`sterna_wire::addr_bytes`] lays it out.
    pub addr: [u8; 16],
    /// What is asked about it.
    pub role: Role,
    /// The packets' context class, where their destination is asked for: each class has an answer of its own. Else 0.
    pub class: u8,
}

impl HoldKey {
    /// A key of nothing, to fill the array that [`HoldPool::keys`] writes into.
    pub const EMPTY: HoldKey =
        HoldKey { iid: 0, family: Family::V4, addr: [0; 16], role: Role::Destination, class: 0 };
}

/// A packet that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Front<'p> {
    /// Where it came in.
    pub port: u16,
    /// Its bytes.
    pub frame: &'p [u8],
    /// Since when it waits for this key, monotonic ns.
    pub waits_since_ns: u64,
}

/// What became of a packet that is now held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Held {
    /// The first for its key: now is the time to ask.
    First,
    /// Behind others that wait for the same answer.
    Queued,
}

/// Why a packet could not be held; the caller still owns it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Overflow {
    /// Every slot is taken.
    PoolFull,
    /// The group has used up its share of the pool.
    ShareFull,
    /// Too many packets wait for this one answer.
    QueueFull,
    /// The frame is longer than a slot.
    TooLong,
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Overflow::PoolFull => "the hold pool is full",
            Overflow::ShareFull => "the group's share of the hold pool is used up",
            Overflow::QueueFull => "too many packets wait for the same EID",
            Overflow::TooLong => "the frame is longer than a hold slot",
        })
    }
}

impl std::error::Error for Overflow {}

/// How much may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HoldLimits {
    /// Packets in the whole pool.
    pub slots: usize,
    /// Bytes of the longest frame.
    pub slot_bytes: usize,
    /// Packets of one group.
    pub per_group: usize,
    /// Packets of one key.
    pub per_key: usize,
}

impl HoldLimits {
    /// The default shares: a group may take a quarter of the pool, so that it takes four groups with a storm of
    /// misses each to starve a fifth; a key may take half of that, so that one silent EID leaves its group room
    /// for others. Never less than one packet each.
    pub fn new(slots: usize, slot_bytes: usize) -> HoldLimits {
        HoldLimits { slots, slot_bytes, per_group: (slots / 4).max(1), per_key: (slots / 8).max(1) }
    }
}
