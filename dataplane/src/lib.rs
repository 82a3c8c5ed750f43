//! The packet's way through a Sterna gateway.
//!
//! Read the modules in a packet's order. [`worker`] takes a burst from a port and calls [`step::step_burst`], the
//! one function that decides packets: `eid_side` for what agents send, `rloc_side` for what comes out of the
//! tunnel. Both read the packet ([`inner`], [`decap`]), look its addresses up in [`tables`], find the way
//! (`route`, [`locator`], [`flow`]) and write it into a fresh transmit frame (`emit`, [`encap`]). What cannot go
//! on is told to its source (`refuse`), waits ([`hold`], [`release`]) or is counted under one of [`verdict`]'s
//! reasons. `neighbor` answers ARP and ND on the eid side,
//! `gateway_port` carries what agents say to the control plane.
//!
//! The tables are written by one thread, the [`conductor`], which drains the updates ring into [`apply`] and
//! [`attached`]; workers enter them once per burst and never wait.
//!
//! Nothing here allocates after start, blocks on the control plane, or ends because of a packet.

#![forbid(unsafe_code)]

pub mod counters;
pub mod verdict;

pub mod departed;
pub mod layout;
pub mod marks;
pub mod relays;
pub mod tables;

pub mod decap;
pub mod encap;
pub mod flow;
pub mod inner;
pub mod locator;
pub(crate) mod route;
pub mod step;

mod eid_side;
pub mod emit;
mod recent;
mod refuse;
mod relay;
mod rloc_side;
mod source_check;

pub mod convicts;
pub mod fragment;
mod gateway_port;
pub mod hold;
pub mod icmp;
pub mod limiter;
pub mod mss;
mod neighbor;
pub mod neighbor_frames;
pub mod parcels;
pub mod release;
pub mod state;

pub mod apply;
mod asked;
pub mod attached;
pub mod checks;
pub mod classes;
pub mod known;
mod mobility;
pub mod policies;
pub mod rows;
pub mod usage;

pub mod conductor;
mod courier;
mod fuzz_body;
pub mod rig;
pub mod start;
pub mod worker;
