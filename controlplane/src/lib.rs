//! The control plane of Sterna: it decides, the dataplane forwards.
//!
//! This crate reads the config, shadows the kernel's links, routes and neighbours, computes from both what the
//! dataplane shall know, and publishes it through the updates ring. It answers what the dataplane asks, and it
//! serves the management API. It never touches a data packet, but for what agents say to their gateway itself
//! ([`eid_api`]), and the dataplane forwards on without it.
//!
//! How it flows:
//!
//! ```text
//!   gateway.toml ---> reload --.                          .--> publish --> session ==> updates ring
//!                              |                          |
//!   netlink ---> underlay -----+--> plane --> desired ----'
//!                              |      |
//!   events ring ==> session ---'      '--> api (HTTP on a Unix socket)
//! ```
//!
//! The logic is sans-IO: [`plane`], [`desired`], [`publish`], [`negatives`], [`agents`] and the decisions of
//! [`underlay`] take values and the time, and give values. [`session`], [`api`] and [`runtime`] do the I/O around
//! them, all on one thread; [`shared`] is how they reach the one [`plane::ControlPlane`].
//!
//! What the order of events guarantees:
//! - nothing is published before the underlay is known (or a second has passed), so that a restart of this process
//!   changes nothing in the dataplane;
//! - a session begins with the whole state between `BeginSync` and `EndSync`, as idempotent upserts;
//! - a config is taken as a whole or not at all.

#![forbid(unsafe_code)]

pub mod agents;
pub mod api;
pub mod clock;
pub mod context;
mod counting;
pub mod desired;
pub mod eid_api;
pub mod etr;
pub mod identity;
pub mod itr;
pub mod lisp;
pub mod negatives;
pub mod outbox;
mod pace;
pub mod plane;
pub mod publish;
pub mod random;
pub mod reload;
pub mod runtime;
pub mod server;
pub mod session;
pub mod shared;
pub mod store;
pub mod underlay;
