//! Addresses and identifiers that cannot lie: a value of these types is always in range.

mod family;
mod iid;
mod mac;
mod prefix;
mod tos;
mod vlan_id;

pub use family::{Family, addr_bytes, addr_from_bytes};
pub use iid::Iid;
pub use mac::Mac;
pub use prefix::Prefix;
pub use tos::{Dscp, Ecn, merge_tos, split_tos};
pub use vlan_id::VlanId;
