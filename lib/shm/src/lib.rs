//! The contract between the planes: what the control plane and the dataplane share, and nothing else.
//!
//! The dataplane listens on a socket ([`Listener`]); the control plane [`connect`]s. After a short handshake both
//! hold the same sealed memory: a ring of [`Update`]s down, a ring of [`Event`]s up, and the dataplane's counters.
//! An update is encoded into a slot of the ring ([`Producer`]); the other side copies the slot out word by word, and
//! only then looks at it ([`Consumer`]): each index, length, kind and value is checked, and what is wrong is a
//! [`ChannelFault`] that ends the session, never a panic and never a wait. Each side can ring the other's
//! [`Doorbell`]. [`Counters`] describe themselves, so anyone may map them read-only and look ([`CountersView`]);
//! [`balance()`] says whether all packets are accounted for.
//!
//! The modules, from bytes to sessions:
//! - `shape`, `layout`, `record`: how a value lies in a slot, and the fingerprint that follows from it
//! - `locators`, `classes`, `policy`, `update`, `event`: the records
//! - `abi`: version and fingerprint of the whole contract
//! - `sync`, `words`, `ring`, `doorbell`: one producer, one consumer, no locks
//! - `region`: sealed shared memory; the only unsafe code (but for a marker on the cells that loom watches)
//! - `counters`, `description`, `counters_view`, `balance`: counting and reading
//! - `packets`: whole packets for the gateway itself, and its answers
//! - `port`, `message`, `link`, `incarnation`, `handshake`, `listener`, `session`: coming together
//! - `fuzz`: what the fuzz targets call
//!
//! Under `--cfg loom` only records, rings and the doorbell's gate are built, over loom's atomics.

mod abi;
mod classes;
mod doorbell;
mod event;
mod fuzz;
mod layout;
mod locators;
#[cfg(all(test, loom))]
mod loom_models;
mod policy;
mod record;
mod ring;
mod shape;
mod sync;
mod update;
mod words;

pub use abi::{ABI_HASH, LAYOUT_VERSION, PACKET};
pub use classes::{CLASSES, ClassRow, ClassRows};
pub use event::{AttachProof, Event, KnownAction, RefusedKind};
pub use fuzz::{fuzz_records, fuzz_ring};
pub use locators::{LOCAL, Locator, LocatorSet, MAX_LOCATORS, PRIORITY_NEVER};
pub use policy::{MAX_POLICIES, Policy};
pub use record::{BODY, Encoded, Record, RecordFault, SLOT};
pub use ring::{ChannelFault, Consumer, Full, MAX_SLOTS, Producer, ring_bytes, ring_pair};
pub use update::{Adjacency, EidAction, Group, NegativeAction, NextHop, Settings, Update};
pub use words::{PlainWords, Words};

#[cfg(not(loom))]
mod balance;
#[cfg(not(loom))]
mod counters;
#[cfg(not(loom))]
mod counters_view;
#[cfg(not(loom))]
mod description;
#[cfg(not(loom))]
mod handshake;
#[cfg(all(test, not(loom)))]
mod hostile;
#[cfg(not(loom))]
mod incarnation;
#[cfg(not(loom))]
mod link;
#[cfg(not(loom))]
mod listener;
#[cfg(not(loom))]
mod message;
#[cfg(not(loom))]
mod packets;
#[cfg(not(loom))]
mod port;
#[cfg(not(loom))]
mod region;
#[cfg(not(loom))]
mod session;

#[cfg(not(loom))]
pub use {
    balance::{Balance, balance},
    counters::{CounterBlock, Counters},
    counters_view::{CounterValue, CountersView, ScopeView},
    description::{CounterDesc, Kind, ScopeName},
    doorbell::Doorbell,
    handshake::{HandshakeError, Offer, PATIENCE, connect, session_pair},
    link::End,
    listener::Listener,
    message::{Farewell, MessageFault},
    packets::{Heard, PacketLink},
    port::{PortDesc, Side, UnknownWord},
    region::{RegionError, SharedWords},
    session::{ControlSession, DataplaneSession, PeerStatus, PlaneState},
};
