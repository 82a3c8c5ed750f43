//! Peers that are played by the lab: ETRs that register ([`etr`]), ITRs that ask ([`itr`]), an ETR that claims too
//! much ([`liar`]), and whoever writes any source address on a frame ([`forge`]). They speak by the wire crate's encoder, which tshark
//! judges, and are counted apart from the gateways by the witness.

pub mod etr;
pub mod forge;
pub mod itr;
pub mod liar;
pub mod plain_server;
pub mod question;
