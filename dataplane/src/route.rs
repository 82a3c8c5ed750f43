//! From a table entry to a way: what the answers mean for a packet.

use crate::classes::Choice;
use crate::emit::{Tunnel, Way};
use crate::inner::Inner;
use crate::layout::{Side, tag_of};
use crate::locator;
use crate::step::Step;
use crate::tables::{EidBody, LocatorRow, NO_ROW, SetRow, Tag, View};
use crate::verdict::DropReason;
use std::net::IpAddr;
use sterna_shm::{Group, LOCAL};
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

/// A row that is not there, or names nothing usable.
const GONE: Stop = Stop::Drop(DropReason::NoLocator);

/// The way to a destination whose entry is `body`, for a packet of `class`.
pub(crate) fn route<'v>(
    step: &mut Step<'_, '_>,
    view: &'v View<'_>,
    group: &Group,
    body: Option<&EidBody>,
    inner: &Inner,
    class: u8,
) -> Result<Way<'v>, Stop> {
    let iid = group.iid.get();
    match body {
        Some(&EidBody::Remote { set, classes }) => {
            let set = set_of_class(view, set, classes, class)?;
            tunnel(step, view, set, iid, inner.flow).map(Way::Tunnel)
        }
        Some(body @ EidBody::Skill { .. }) => to_skill(step, view, group, *body, inner, class),
        Some(&EidBody::Away { set }) => tunnel(step, view, set, iid, inner.flow).map(Way::Tunnel),
        Some(EidBody::Hold) => Err(Stop::Wait),
        Some(local) => to_host(view, group, local, inner),
        None => Err(Stop::Miss),
    }
}

/// The set that packets of a class use. A class never takes another one's row: without its own it waits.
#[inline(always)]
pub(crate) fn set_of_class(view: &View<'_>, set: u32, classes: u32, class: u8) -> Result<u32, Stop> {
    if classes == NO_ROW {
        return if class == 0 && set != NO_ROW { Ok(set) } else { Err(Stop::Miss) };
    }
    match view.classes(classes).map(|row| row.choice(class)) {
        Some(Choice::Set(set)) => Ok(set),
        Some(Choice::Unknown) => Err(Stop::Miss),
        Some(Choice::NoMatch) => Err(Stop::Drop(DropReason::ClassNoMatch)),
        None => Err(Stop::Drop(DropReason::NoLocator)),
    }
}

/// Whether packets of a class wait because the entry has no row for them.
#[cold]
pub(crate) fn lacks_row(view: &View<'_>, body: EidBody, class: u8) -> bool {
    match body {
        EidBody::Remote { set, classes } | EidBody::Skill { set, classes, .. } => {
            set_of_class(view, set, classes, class) == Err(Stop::Miss)
        }
        _ => false,
    }
}

/// The way to one of the hosts that share an EID: the one that is here, or one elsewhere.
#[cold]
fn to_skill<'v>(
    step: &mut Step<'_, '_>,
    view: &'v View<'_>,
    group: &Group,
    body: EidBody,
    inner: &Inner,
    class: u8,
) -> Result<Way<'v>, Stop> {
    let EidBody::Skill { port, vlan, mac, set, classes } = body else {
        return Err(Stop::Drop(DropReason::DstNotLocal));
    };
    let set = set_of_class(view, set, classes, class)?;
    let row = view.set(set).ok_or(GONE)?;
    let picked = picked(step, row, group.iid.get(), inner.flow)?;
    if picked.adjacency != LOCAL {
        return by_locator(view, row, picked.adjacency).map(Way::Tunnel);
    }
    match host(view, group, port, vlan, mac)? {
        // As much as the others carry: a flow may have to move there.
        Way::Host { port, vlan, gateway, mac, mtu } => {
            Ok(Way::Host { port, vlan, gateway, mac, mtu: mtu.min(row.payload_mtu) })
        }
        way => Ok(way),
    }
}

/// The way by a set, for a packet of `flow`.
#[inline(always)]
pub(crate) fn tunnel<'v>(
    step: &mut Step<'_, '_>,
    view: &'v View<'_>,
    set: u32,
    iid: u32,
    flow: u32,
) -> Result<Tunnel<'v>, Stop> {
    by_flow(step, view, view.set(set), iid, flow)
}

/// The same by the row of a set, if there is one.
#[inline(always)]
pub(crate) fn by_flow<'v>(
    step: &mut Step<'_, '_>,
    view: &'v View<'_>,
    row: Option<&'v SetRow>,
    iid: u32,
    flow: u32,
) -> Result<Tunnel<'v>, Stop> {
    let row = row.ok_or(GONE)?;
    by_locator(view, row, picked(step, row, iid, flow)?.adjacency)
}

/// The locator of a flow in a set.
#[inline(always)]
fn picked<'v>(step: &mut Step<'_, '_>, set: &'v SetRow, iid: u32, flow: u32) -> Result<&'v LocatorRow, Stop> {
    let now_ns = step.state.now_ns;
    let at = locator::pick(set, iid, flow, &mut step.state.flows, now_ns);
    at.and_then(|at| set.locators().get(at)).ok_or(GONE)
}

/// The way by one locator of a set.
#[inline(always)]
fn by_locator<'v>(view: &'v View<'_>, set: &SetRow, adjacency: u32) -> Result<Tunnel<'v>, Stop> {
    let row = view.adjacency(adjacency).ok_or(GONE)?;
    let hop = view.hop(row.next_hop).ok_or(GONE)?;
    match hop.destination {
        Some(_) => {
            view.marks.sent.set(adjacency);
            Ok(Tunnel { row, hop, payload_mtu: set.payload_mtu })
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
    body: &EidBody,
    inner: &Inner,
) -> Result<Way<'v>, Stop> {
    match *body {
        EidBody::Agent { port, vlan, mac, .. } | EidBody::Skill { port, vlan, mac, .. } => {
            host(view, group, port, vlan, mac)
        }
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

/// The way to a host, where it is attached. Fails closed: see [`to_host`].
#[inline(always)]
pub(crate) fn host<'v>(
    view: &View<'_>,
    group: &Group,
    port: u16,
    vlan: Tag,
    mac: Mac,
) -> Result<Way<'v>, Stop> {
    let here = (group.port, tag_of(group)) == (port, vlan);
    match view.layout().port(port) {
        Some(row) if here && row.side != Side::Rloc => {
            Ok(Way::Host { port, vlan, gateway: group.mac, mac, mtu: row.mtu })
        }
        _ => Err(Stop::Drop(DropReason::PortGone)),
    }
}
