//! What the tests of the ETR share: one ETR with a hand-driven clock, and a small world of sites around a Map-Server.

mod server;
mod single;
mod world;

pub(super) use single::{IDENTITY, Single, eid, place, record, request_for, settings};
pub(super) use world::{Installed, World};

use std::net::IpAddr;

use sterna_wire::lisp::control::auth::{Algorithm, Key};
use sterna_wire::{Iid, Prefix};

/// The Map-Server, which is the Map-Resolver too.
pub(super) const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10));

pub(super) fn key() -> Key {
    Key::new(1, Algorithm::HmacSha256_128, b"secret of the sites")
}

pub(super) fn iid() -> Iid {
    Iid::new(100).unwrap()
}

pub(super) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
