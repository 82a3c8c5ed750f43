//! What a packet is looked up in: the rows, and one burst's view of them.
//!
//! An inner address leads through the EID table to a row of [`EidValue`]; a remote one leads on to a locator set
//! ([`SetRow`], by the packet's class where there are [`ClassesRow`]s), an adjacency ([`AdjacencyRow`], the prebuilt outer header) and a next hop ([`HopRow`]).
//! Rows are immutable; the conductor replaces them and the readers enter once per burst.

use crate::checks::Checking;
use crate::classes::ClassesRow;
use crate::layout::{Attachment, Layout};
use crate::marks::Marks;
use crate::relays::Relays;
use std::net::IpAddr;
use std::sync::Arc;
use sterna_shm::MAX_LOCATORS;
pub use sterna_table::Reader;
use sterna_table::{CellsReader, Domain, EidReader, Guard, PublishedReader};
use sterna_wire::{Family, Mac, addr_bytes};

/// A VLAN in table rows: 0 is untagged.
pub type Tag = u16;

/// What the EID table says of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EidBody {
    /// Reached through the underlay by a locator set.
    Remote {
        /// Set row: all locators, and those of packets of no class where there are no class rows.
        set: u32,
        /// Row of what each class uses, or [`NO_ROW`].
        classes: u32,
    },
    /// Known not to exist, or not to be reached by LISP.
    Negative {
        /// The mapping says "forward natively".
        native: bool,
    },
    /// A prefix served at this site; the agent's neighbour entry is not known (yet).
    Served {
        /// Eid-side port.
        port: u16,
        /// VLAN of the port, 0 for untagged.
        vlan: Tag,
        /// Inner router in front of the prefix; its own neighbour entry is an [`EidBody::Agent`].
        via: Option<IpAddr>,
    },
    /// A host attached here, resolved.
    Agent {
        /// Eid-side port.
        port: u16,
        /// VLAN of the port, 0 for untagged.
        vlan: Tag,
        /// The host's address on that port.
        mac: Mac,
        /// The control plane said so; otherwise the host itself did, by ARP or neighbour discovery.
        given: bool,
    },
    /// A host that left for the locators of a set.
    Away {
        /// Set row.
        set: u32,
    },
    /// A host that is about to leave: its packets wait.
    Hold,
    /// A host attached here that has its EID together with hosts elsewhere.
    Skill {
        /// Eid-side port.
        port: u16,
        /// VLAN of the port, 0 for untagged.
        vlan: Tag,
        /// The host's address on that port, as the control plane gave it.
        mac: Mac,
        /// As in [`EidBody::Remote`], or [`NO_ROW`].
        set: u32,
        /// As in [`EidBody::Remote`].
        classes: u32,
    },
}

/// In the place of a row's number: there is none.
pub const NO_ROW: u32 = u32::MAX;

impl EidBody {
    /// The set that packets are sent by, and that the entry's own packets may come from.
    #[inline]
    pub fn set(&self) -> Option<u32> {
        match *self {
            EidBody::Remote { set, .. } | EidBody::Away { set } => Some(set),
            EidBody::Skill { set, .. } => Some(set).filter(|set| *set != NO_ROW),
            _ => None,
        }
    }

    /// The class rows.
    pub fn classes(&self) -> Option<u32> {
        match *self {
            EidBody::Remote { classes, .. } | EidBody::Skill { classes, .. } => {
                Some(classes).filter(|classes| *classes != NO_ROW)
            }
            _ => None,
        }
    }

    /// Where a host is attached that this is the entry of, and its Ethernet address, if the control plane gave both.
    pub fn given(&self) -> Option<(Attachment, Mac)> {
        match *self {
            EidBody::Agent { port, vlan, mac, given: true } | EidBody::Skill { port, vlan, mac, .. } => {
                Some((Attachment { port, vlan }, mac))
            }
            _ => None,
        }
    }
}

/// A moment, to 66 microseconds, in the few bytes that an entry has left for it: 585 years of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment([u16; 3]);

impl Moment {
    /// The moment of a monotonic time, ns.
    #[inline]
    pub fn at(now_ns: u64) -> Moment {
        Moment([(now_ns >> 48) as u16, (now_ns >> 32) as u16, (now_ns >> 16) as u16])
    }
}

/// One value of the EID table: the row and the channel session that confirmed it last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EidValue {
    /// What the table says.
    pub body: EidBody,
    /// Number of the channel session that wrote the entry, its last digits (sweep after a resync: whatever an earlier
    /// one wrote is gone long before the digits repeat).
    pub session: u16,
    /// When it was written, be it with what it said before (source check).
    pub written: Moment,
}

const _: () = assert!(std::mem::size_of::<EidValue>() <= 32, "an EID entry is one cache line");

/// Slots by which a flow hash picks a locator; 128 give weights to within 1 %.
pub const SLOTS: usize = 128;

/// One locator of a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocatorRow {
    /// Adjacency row, or [`LOCAL`](sterna_shm::LOCAL).
    pub adjacency: u32,
    /// [`address_tag`] of the remote RLOC: most source checks end at this comparison. [`LOCAL_TAG`] for the host here.
    pub tag: u32,
    /// Priority, lower is better, 255 never for sending.
    pub priority: u8,
    /// Weight among equal priorities.
    pub weight: u8,
    /// False while the control plane knows the path to be down.
    pub usable: bool,
    /// Flows that use it stay with it although others are better.
    pub keep: bool,
}

/// The [`LocatorRow::tag`] of the host that is attached here.
pub const LOCAL_TAG: u32 = u32::MAX;

/// A locator set as the packets need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct SetRow {
    /// Flow hash modulo [`SLOTS`] to locator; meaningless while `pickable` is 0.
    pub slots: [u8; SLOTS],
    /// All locators, in the order of the control plane.
    pub locators: [LocatorRow; MAX_LOCATORS],
    /// How many locators there are.
    pub count: u8,
    /// How many of them the slots name; 0 means no usable locator.
    pub pickable: u8,
    /// Largest inner packet that every usable locator carries, bytes.
    pub payload_mtu: u16,
    /// Bit `i` is set when the slots may name locator `i`: it is usable, of the best priority, and has weight.
    pub candidates: u16,
    /// Bit `i` is set when flows that use locator `i` may stay with it: the candidates, and those that are usable and
    /// to be kept.
    pub lasting: u16,
    /// Flows are pinned also while there is one candidate: some locator is to be kept.
    pub keeps: bool,
    /// Of this set in this state and of no other, so that a pinned flow notices.
    pub generation: u32,
}

const _: () = assert!(MAX_LOCATORS <= 16, "candidates has a bit for each locator");

impl SetRow {
    /// The locators in use.
    pub fn locators(&self) -> &[LocatorRow] {
        &self.locators[..usize::from(self.count)]
    }

    /// Whether a flow that uses a locator may stay with it: a pin to any other one is void.
    pub fn lasts(&self, index: usize) -> bool {
        index < MAX_LOCATORS && self.lasting & (1 << index) != 0
    }
}

/// Bytes of the longest outer header behind Ethernet: IPv6, UDP, LISP.
pub const OUTER_MAX: usize = 40 + 8 + 8;

/// The prebuilt outer header of one pair of RLOCs.
///
/// A crypto context will stand here (design section 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct AdjacencyRow {
    /// Outer IP, UDP and LISP headers with lengths, TTL and TOS zero.
    pub header: [u8; OUTER_MAX],
    /// Bytes of `header` in use: 36 or 56.
    pub header_len: u8,
    /// Outer family.
    pub family: Family,
    /// IPv6 outer: send a UDP checksum.
    pub udp_checksum: bool,
    /// IPv4: one's-complement sum of the header as it stands in `header`.
    pub partial_sum: u32,
    /// Next-hop row.
    pub next_hop: u32,
    /// Path MTU of the underlay, IP level, bytes.
    pub mtu: u16,
    /// The remote RLOC, as [`addr_bytes`].
    pub remote: [u8; 16],
}

impl AdjacencyRow {
    /// Largest inner packet that fits, bytes.
    pub fn payload_mtu(&self) -> u16 {
        self.mtu.saturating_sub(u16::from(self.header_len))
    }
}

/// The Ethernet step towards an underlay next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HopRow {
    /// Rloc-side port.
    pub port: u16,
    /// Our address there.
    pub source: Mac,
    /// The next hop's address; `None` while the kernel resolves it.
    pub destination: Option<Mac>,
}

/// Short fingerprint of an address.
pub fn address_tag(address: &[u8; 16]) -> u32 {
    let word = |i: usize| u32::from_be_bytes([address[i], address[i + 1], address[i + 2], address[i + 3]]);
    word(0) ^ word(4).rotate_left(7) ^ word(8).rotate_left(14) ^ word(12).rotate_left(21)
}

/// The adjacency of the set's locator that `outer_source` is (design section 5, source check).
#[inline]
pub fn locator_of(view: &View<'_>, set: &SetRow, family: Family, outer_source: &[u8; 16]) -> Option<u32> {
    let tag = address_tag(outer_source);
    let is_it = |locator: &&LocatorRow| {
        locator.tag == tag
            && view
                .adjacency(locator.adjacency)
                .is_some_and(|row| row.family == family && row.remote == *outer_source)
    };
    set.locators().iter().find(is_it).map(|locator| locator.adjacency)
}

/// The readers' ends of all tables; cheap to clone, one per worker.
#[derive(Clone)]
pub struct Tables {
    /// EIDs of all groups.
    pub eids: EidReader<EidValue>,
    /// Locator sets.
    pub sets: CellsReader<SetRow>,
    /// What each class uses.
    pub classes: CellsReader<ClassesRow>,
    /// Prebuilt outer headers.
    pub adjacencies: CellsReader<AdjacencyRow>,
    /// Underlay next hops.
    pub hops: CellsReader<HopRow>,
    /// Ports, groups, own RLOCs and settings.
    pub layout: PublishedReader<Layout>,
    /// Who may relay for whom.
    pub relays: PublishedReader<Relays>,
    /// By reader: what its packets used.
    pub marks: Arc<[Marks]>,
    /// Hosts that are being asked for.
    pub checking: Arc<Checking>,
    /// Where readers register.
    pub domain: Arc<Domain>,
}

impl Tables {
    /// One burst's view; dropping it is the burst boundary.
    pub fn view<'t>(&'t self, reader: &'t mut Reader) -> View<'t> {
        let marks = &self.marks[reader.slot()];
        let guard = reader.enter();
        View { tables: self, marks, guard }
    }
}

/// The tables as one burst sees them.
pub struct View<'t> {
    tables: &'t Tables,
    /// Where this reader marks what it uses.
    pub marks: &'t Marks,
    /// Proof that what was seen is not freed yet.
    pub guard: Guard<'t>,
}

impl View<'_> {
    /// Ports, groups and settings.
    pub fn layout(&self) -> &Layout {
        self.tables.layout.load(&self.guard)
    }

    /// Who may relay for whom.
    pub fn relays(&self) -> &Relays {
        self.tables.relays.load(&self.guard)
    }

    /// Hosts that are being asked for.
    pub fn checking(&self) -> &Checking {
        &self.tables.checking
    }

    /// The EID table.
    pub fn eids(&self) -> &EidReader<EidValue> {
        &self.tables.eids
    }

    /// A locator set.
    pub fn set(&self, id: u32) -> Option<&SetRow> {
        self.tables.sets.get(&self.guard, id)
    }

    /// What each class uses.
    pub fn classes(&self, id: u32) -> Option<&ClassesRow> {
        self.tables.classes.get(&self.guard, id)
    }

    /// An adjacency.
    pub fn adjacency(&self, id: u32) -> Option<&AdjacencyRow> {
        self.tables.adjacencies.get(&self.guard, id)
    }

    /// A next hop.
    pub fn hop(&self, id: u32) -> Option<&HopRow> {
        self.tables.hops.get(&self.guard, id)
    }

    /// The longest match for one address.
    pub fn longest(&self, iid: u32, address: IpAddr) -> Option<EidBody> {
        self.entry(iid, Family::of(address), &addr_bytes(address)).map(|value| value.body)
    }

    /// The same for an address in [`addr_bytes`] form, with all that the table says.
    pub fn entry(&self, iid: u32, family: Family, address: &[u8; 16]) -> Option<&EidValue> {
        self.tables.eids.lookup(&self.guard, question(iid, family, address)).map(|found| found.value)
    }
}

/// A lookup question from an address in [`addr_bytes`] form.
pub fn question(iid: u32, family: Family, address: &[u8; 16]) -> sterna_table::Question {
    let word = |i: usize| {
        u64::from_be_bytes([
            address[i],
            address[i + 1],
            address[i + 2],
            address[i + 3],
            address[i + 4],
            address[i + 5],
            address[i + 6],
            address[i + 7],
        ])
    };
    sterna_table::Question { iid, family, addr: [word(0), word(8)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_in_order() {
        let times = [0, 65_535, 65_536, 1 << 32, (1 << 32) + (1 << 16), 1 << 48, u64::MAX];
        assert_eq!(Moment::at(0), Moment::at(65_535));
        assert!(times.windows(2).all(|pair| Moment::at(pair[0]) <= Moment::at(pair[1])));
        assert!(times[1..].windows(2).all(|pair| Moment::at(pair[0]) < Moment::at(pair[1])));
    }
}
