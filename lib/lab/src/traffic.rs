//! Traffic of real hosts, sent open loop and judged packet by packet.
//!
//! Every packet carries a sequence number, the time it was meant to be sent, its group and a CRC over a
//! patterned payload ([`payload`]); [`pace`] sends on schedule whatever comes back; [`ledger`] tells lost from
//! late, twice, out of order and changed. [`probe`] asks and is answered (ICMP echo, or UDP to a
//! [`responder`] that says who it is), [`stream`] goes one way, [`fan`] is many flows at once, [`transfer`] is TCP,
//! [`tagged`] is 802.1Q. [`crowd`] is thousands of agents in one process, `sterna-pktgen agents`.

pub mod census;
pub mod crowd;
pub mod episode;
pub mod fan;
pub mod ledger;
pub mod newcomers;
pub mod pace;
pub mod passage;
pub mod payload;
pub mod probe;
pub mod responder;
pub mod stream;
pub mod tagged;
pub mod transfer;
