//! The shadow of the kernel's underlay: links, addresses, routes and neighbours of the rloc-side.
//!
//! The kernel is the only authority on how a remote RLOC is reached.
//! [`facts`] holds what is known, [`shadow`] decides without I/O what a notification means and what to ask next,
//! [`decode`] turns netlink messages into those terms, [`kernel`] asks the questions, and [`follow`] drives the
//! three from the kernel's notifications.
//!
//! AF_XDP traffic never touches the kernel's neighbour timers, so an entry in use looks idle to the kernel.
//! [`resolve`] therefore decides when the kernel must be asked to resolve or to confirm a next hop.

pub mod decode;
pub mod facts;
pub mod follow;
pub mod kernel;
pub mod resolve;
pub mod shadow;

pub use facts::{Facts, Link, Neighbour, NeighbourKey, Questions, Route, RouteQuestion};
