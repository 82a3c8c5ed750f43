//! Synthetic agents: thousands of TCP/IP stacks in one process, behind one AF_XDP port per place.
//!
//! A *place* is an interface in a network namespace, where a gateway is at the other end. An agent has an EID, an
//! Ethernet address and a group (an 802.1Q tag on the port), a stack of its own, and peers within its group.
//! It moves by being lifted off one place and put down at another: sockets, sequence numbers and all, as a virtual
//! machine does. It then says where it is (gratuitous ARP, unsolicited neighbour advertisement).
//!
//! # A frame's way
//! ```text
//! port -> link::hear -> dispatch by (tag, Ethernet address) -> wire -> smoltcp -> caller, listener, mail
//!   ^                                                                               |
//!   +------------- place <- wire <- smoltcp <--------------------------------------+
//! ```
//! [`Crowd`] does no I/O and has no clock: it takes frames and moments, and gives frames and the moment when it wants
//! to be called again. [`run`] joins it to ports, commands and a clock.
//!
//! # Where to look
//! What they do: [`profile`]. One of them: [`agent`], with what it says ([`caller`], [`listener`], [`mail`],
//! [`letter`]) and when ([`pace`]). Its link: [`link`], [`wire`]. All of them: [`crowd`]. What came of it: [`ledger`],
//! [`segments`], [`report`].

mod agent;
mod caller;
mod command;
mod crowd;
mod dispatch;
mod ledger;
mod letter;
mod link;
mod listener;
mod mail;
mod pace;
mod places;
pub mod profile;
pub mod report;
pub mod run;
mod segments;
mod wire;

#[cfg(test)]
mod test;

pub use command::{Command, Unclear};
pub use crowd::Crowd;
pub use dispatch::Strays;
pub use report::Report;
