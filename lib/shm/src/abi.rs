//! The version of the contract: a number for people, a hash for the machine.

use crate::event::Event;
use crate::record::{Record, SLOT, SLOT_HEADER};
use crate::ring::RING_HEAD_WORDS;
use crate::shape;
use crate::update::Update;

/// Version of everything the planes share. Raise it with every change of [`ABI_HASH`].
pub const LAYOUT_VERSION: u32 = 5;

/// Bytes a whole packet may have that goes from one plane to the other: what an Ethernet link carries.
pub const PACKET: usize = 1500;

/// Fingerprint of all records, field by field, and of the memory around them.
///
/// It follows from the declarations that encode and decode, so it cannot be forgotten when a layout changes.
pub const ABI_HASH: u64 = {
    let hash = shape::text(shape::START, "sterna-shm");
    let hash = shape::number(hash, SLOT as u64);
    let hash = shape::number(hash, SLOT_HEADER as u64);
    let hash = shape::number(hash, RING_HEAD_WORDS as u64);
    // What the compiler cannot see, in words; see `region`, `ring` and `counters`.
    let hash = shape::text(
        hash,
        "header 4096: magic version+purpose abi size incarnation own 16:dataplane 32:control",
    );
    let hash =
        shape::text(hash, "ring: own=words 0:producer 16:consumer 32:gate slots: number+1 kind+len body");
    let hash = shape::text(hash, "counters: own=text-bytes text blocks");
    let hash = shape::text(hash, "packets: iid packet");
    let hash = shape::number(hash, PACKET as u64);
    let hash = shape::field(hash, "update", Update::SHAPE);
    shape::field(hash, "event", Event::SHAPE)
};
