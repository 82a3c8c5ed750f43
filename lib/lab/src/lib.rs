//! A network in namespaces, with real Linux hosts at its ends and a witness in its middle.
//!
//! [`Lab::build`](lab::Lab::build) makes the sites of a [`topology`]: hosts, bridges, a routed underlay,
//! and in each gateway's namespace the gateway's two processes ([`gateway`]), or the kernel's own forwarding
//! in their place, by which the lab's own measurement is tested. Hosts send the [`traffic`], [`relay`]s delay and lose it, peers and
//! attackers are played by a [`script`], the [`witness`]
//! in the underlay counts what really passes, and a [`scenario`] puts them together into one [`report`] with
//! figures and a verdict. Every scenario has a negative control: the same run with the feature in question
//! taken out of the config, which must fail. An [`experiment`] measures times in a lab and judges nothing.
//!
//! Nothing is left behind: [`lab::Lab::down`] clears what was made and looks again whether it is gone, also
//! after a panic or Ctrl-C ([`interrupt`]), and [`leftovers`] finds by name what a killed run left.
#![forbid(unsafe_code)]

pub mod command;
pub mod error;
pub mod experiment;
pub mod gateway;
pub mod identity;
pub mod interrupt;
pub mod lab;
pub mod leftovers;
pub mod namespace;
pub mod relay;
pub mod report;
pub mod requirements;
pub mod scenario;
pub mod script;
pub mod site;
pub mod thread;
pub mod topology;
pub mod traffic;
pub mod underlay;
pub mod wiring;
pub mod witness;
