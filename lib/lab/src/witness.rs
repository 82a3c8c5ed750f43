//! What the underlay really carried, seen by programs that are not ours.
//!
//! tcpdump captures every frame that enters the core router ([`capture`]); we count each of them by the few
//! fields that matter ([`sight`]), independently of the parsers under test; tshark judges a sample of every
//! step byte by byte ([`judge`]), and all control messages, which are kept whole ([`control`]); [`tally`] adds up. A witness that missed a frame does not testify.
//! A [`timeline`] says when something passed, for an experiment that measures times.

pub mod capture;
pub mod control;
pub mod judge;
pub mod sight;
pub mod tally;
mod tcpdump;
pub mod timeline;
