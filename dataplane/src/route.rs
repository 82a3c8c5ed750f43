//! From a table entry to a way: what the answers mean for a packet.

use crate::emit::Way;
use crate::inner::Inner;
use crate::layout::{Side, tag_of};
use crate::locator;
use crate::step::Step;
use crate::tables::{EidBody, Tag, View};
use crate::verdict::DropReason;
use std::net::IpAddr;
use sterna_shm::Group;
use sterna_wire::{Mac, addr_from_bytes};

/// Why a packet cannot go on now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The EID has no entry: ask the control plane.
    Miss,
    /// The host (or inner router) has not answered ARP or ND yet.
    Neighbor {
        /// Eid-side port.
        port: u16,
        /// VLAN, 0 for untagged.
        vlan: Tag,
        /// Whom to ask for.
        target: IpAddr,
    },
    /// The kernel resolves the underlay's next hop.
    NextHop,
    /// The entry says so, or others wait already.
    Wait,
    /// The source is to be admitted here: tell the control plane.
    Attach {
        /// Its Ethernet address.
        mac: Mac,
    },
    /// The source's entry speaks against it, but it may have moved: ask the control plane.
    Moved,
    /// Never.
    Drop(DropReason),
}

/// The way to a destination whose entry is `body`, for a packet of `flow`.
#[inline]
pub(crate) fn route<'v>(
    step: &mut Step<'_, '_>,
    view: &'v View<'_>,
    group: &Group,
    body: Option<EidBody>,
    inner: &Inner,
) -> Result<Way<'v>, Stop> {
    match body {
        Some(EidBody::Remote { set } | EidBody::Away { set }) => tunnel(step, view, set, inner.flow),
        Some(EidBody::Hold) => Err(Stop::Wait),
        Some(local) => to_host(view, group, local, inner),
        None => Err(Stop::Miss),
    }
}

/// The way by a set, for a packet of `flow`.
#[inline]
pub(crate) fn tunnel<'v>(
    step: &mut Step<'_, '_>,
    view: &'v View<'_>,
    set_id: u32,
    flow: u32,
) -> Result<Way<'v>, Stop> {
    let gone = Stop::Drop(DropReason::NoLocator);
    let set = view.set(set_id).ok_or(gone)?;
    let now_ns = step.state.now_ns;
    let picked = locator::pick(set, set_id, flow, &mut step.state.flows, now_ns).ok_or(gone)?;
    let adjacency = set.locators().get(picked).ok_or(gone)?.adjacency;
    let row = view.adjacency(adjacency).ok_or(gone)?;
    let hop = view.hop(row.next_hop).ok_or(gone)?;
    match hop.destination {
        Some(_) => {
            view.marks.sent.set(adjacency);
            Ok(Way::Tunnel { row, hop, payload_mtu: set.payload_mtu })
        }
        None => Err(Stop::NextHop),
    }
}

/// The way to a host of this site. Fails closed: an entry on another group's attachment is no way.
// Always: as a call it costs every packet out of the tunnel fifty instructions for an answer that fits registers.
#[inline(always)]
pub(crate) fn to_host<'v>(
    view: &View<'_>,
    group: &Group,
    body: EidBody,
    inner: &Inner,
) -> Result<Way<'v>, Stop> {
    match body {
        EidBody::Agent { port, vlan, mac, .. } => host(view, group, port, vlan, mac),
        EidBody::Served { port, vlan, via: None } => {
            Err(Stop::Neighbor { port, vlan, target: addr_from_bytes(inner.family, &inner.destination) })
        }
        EidBody::Served { port, vlan, via: Some(router) } => match view.longest(group.iid.get(), router) {
            Some(EidBody::Agent { port, vlan, mac, .. }) => host(view, group, port, vlan, mac),
            _ => Err(Stop::Neighbor { port, vlan, target: router }),
        },
        EidBody::Negative { native: false } => Err(Stop::Drop(DropReason::Negative)),
        EidBody::Negative { native: true } => Err(Stop::Drop(DropReason::NativeUnsupported)),
        EidBody::Hold => Err(Stop::Wait),
        EidBody::Remote { .. } | EidBody::Away { .. } => Err(Stop::Drop(DropReason::DstNotLocal)),
    }
}

#[inline]
fn host<'v>(view: &View<'_>, group: &Group, port: u16, vlan: Tag, mac: Mac) -> Result<Way<'v>, Stop> {
    let here = (group.port, tag_of(group)) == (port, vlan);
    match view.layout().port(port) {
        Some(row) if here && row.side != Side::Rloc => {
            Ok(Way::Host { port, vlan, gateway: group.mac, mac, mtu: row.mtu })
        }
        _ => Err(Stop::Drop(DropReason::PortGone)),
    }
}
