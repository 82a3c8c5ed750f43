//! Bytes and their meaning.
//!
//! Every header that Sterna reads or writes has one module here, named after the protocol,
//! and every module has two levels.
//!
//! - `Packet<T>` is a *view* over bytes somebody else owns.
//!   It knows where each field lies (a private `mod field` names the ranges) and judges nothing.
//!   Getters need `T: AsRef<[u8]>`, setters `T: AsMut<[u8]>`.
//! - `Repr` holds only what we act upon.
//!   `Repr::parse` judges a packet and gives a reason when it refuses; `Repr::emit` writes one, every byte of it.
//!
//! # Who may panic
//! `new_checked` proves that every field of the view, and every range its lengths speak of, lies inside the buffer.
//! After it no getter panics.
//! `new_unchecked` proves nothing: it is for *writing*, because a recycled frame holds stale lengths
//! that a check would believe.
//! `Repr::parse`, [`ipv6_ext::walk`] and the option walks are total: any bytes give a value or an [`Error`].
//!
//! # Who allocates
//! Only [`lisp::control`]: its messages are rare, nest, and have lists of lists, so they are owned values.
//! One message never costs more than 64 KiB. Everything else is what packets pass through and allocates nothing;
//! the crate is `no_std`, and no other module names `alloc`.
//!
//! # Reserved bits
//! They are zero when we send and ignored when we receive; each format that has any has a test for both.
//!
//! # Where to look
//! [`addr`] has the names of things, [`checksum`] the arithmetic, [`error`] the reasons.
//! Then the layers, from the link upwards: [`ethernet`], [`vlan`], [`arp`]; [`ipv4`], [`ipv6`] with [`ipv6_ext`],
//! [`icmpv4`], [`icmpv6`], [`ndisc`]; [`tcp`], [`udp`]; [`lisp`].
//!
//! # To add a format
//! One file: `mod field`, `Packet`, `Repr`, and the five tests (deconstruct, construct into a buffer of `0xa5`,
//! parse, emit, the odd cases). Then a line in `tests/properties.rs` (noise, `parse` after `emit`)
//! and a foreign judge in `tests/golden_foreign.rs`.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(test)]
extern crate std;

pub mod addr;
mod bytes;
pub mod checksum;
pub mod error;
pub mod protocol;

pub mod arp;
pub mod ethernet;
pub mod vlan;

pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
pub mod ipv6_ext;
pub mod ndisc;

pub mod tcp;
pub mod udp;

pub mod lisp;

pub use addr::{
    Dscp, Ecn, Family, Iid, Mac, Prefix, VlanId, addr_bytes, addr_from_bytes, merge_tos, split_tos,
};
pub use error::{AddrError, Error};
pub use protocol::Protocol;
