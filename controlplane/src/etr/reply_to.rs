//! Where a reply goes: one address out of those that the request offers (RFC 9301 section 5.2).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sterna_wire::lisp::control::{LispAddress, MapRequest};

use super::Arrival;
use super::settings::EtrSettings;

/// The address for the reply: the packet's own source when the request lists it, else the first ITR-RLOC that we
/// can send to. None when there is none, so that a request cannot make us send to ourselves or to a group.
pub(super) fn reply_to(request: &MapRequest, via: &Arrival, settings: &EtrSettings) -> Option<SocketAddr> {
    let port = via.ecm_inner.map_or(via.from.port(), |inner| inner.port());
    if port == 0 {
        return None;
    }
    let listed = || request.itr_rlocs.iter().filter_map(LispAddress::rloc);
    let usable = |address: &IpAddr| is_usable(*address, settings);
    let source = via.from.ip();
    let chosen = listed().find(|address| *address == source && usable(address));
    Some(SocketAddr::new(chosen.or_else(|| listed().find(usable))?, port))
}

/// Whether a message may be sent to this address because a stranger says so.
pub(super) fn is_usable(address: IpAddr, settings: &EtrSettings) -> bool {
    let local = || settings.local_rlocs.iter().map(|rloc| rloc.address);
    let stray = match address {
        IpAddr::V4(v4) => v4 == Ipv4Addr::BROADCAST || v4.octets()[0] == 0 || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some(),
    };
    !stray
        && !address.is_multicast()
        && !address.is_loopback()
        && !address.is_unspecified()
        && local().any(|local| local.is_ipv4() == address.is_ipv4())
        && local().all(|local| local != address)
}
