//! An open-loop packet generator and sink.
//!
//! A [`Profile`] says what to send; [`run`](run::run) sends it and gives a [`Report`].
//! Packets are due at moments that follow from the rate alone. Each carries the moment at which it was due, so the
//! latency that the sink measures counts from there: a sender that was held up does not hide it (no coordinated
//! omission), and how late it was itself is reported beside.
//!
//! # A packet's way
//! ```text
//! profile -> choice -> compose (template, probe) -> engine::sender -> port -> ... -> port -> sink -> report
//!              pace --------------------------------^                                 |
//!                                                                    numbers, order, latency
//! ```
//! With live frames the kernel sends the bulk by itself and an XDP program at the sink counts it; probes then are a
//! separate stream of a low rate.
//!
//! # Where to look
//! What is sent: [`profile`], [`choice`], [`packet`], [`hostile`], [`replay`], [`compose`].
//! When: [`pace`], [`clock`]. By what: [`engine`]. What came of it: [`probe`], [`sink`], [`report`].
//! What came before: [`pcap`] records and reads captures, [`rewrite`] makes them fit, [`compare`] holds two against each
//! other. Whether it may be: [`guard`]. All together: [`run`].
//! Whoever talks instead of only sending: [`agents`], thousands of TCP/IP stacks behind a port per place.

#![forbid(unsafe_code)]

pub mod address;
pub mod agents;
pub mod choice;
pub mod clock;
pub mod compare;
pub mod compose;
pub mod engine;
pub mod guard;
pub mod hostile;
pub mod interface;
mod layers;
pub mod namespace;
pub mod pace;
pub mod packet;
pub mod pcap;
pub mod probe;
pub mod profile;
pub mod replay;
pub mod report;
pub mod rewrite;
pub mod run;
pub mod sink;

pub use profile::Profile;
pub use report::Report;
