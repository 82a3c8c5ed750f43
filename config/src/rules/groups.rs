//! Groups: identity, place, gateway addresses, and what they serve.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use sterna_wire::{Family, Prefix, VlanId};

use crate::Side;
use crate::code::Code;
use crate::draft::Draft;
use crate::finding::{At, Findings, Located};
use crate::group::{self, ServedDraft};
use crate::rules::{refuse_twins, unreachable};
use crate::suggest::closest;

pub(super) fn check(draft: &Draft, found: &Findings) {
    let groups = || draft.groups.entries.iter().map(|group| &group.value);
    let help = "each instance-ID is one group: join the two, or give one another number";
    refuse_twins("instance-ID", groups().filter_map(|group| group.iid.as_ref()), help, found);
    refuse_twins("group", groups().filter_map(|group| group.name.as_ref()), "give one another name", found);
    check_tags(draft, found);
    for group in groups() {
        check_port(draft, group, found);
        check_mac(group, found);
        check_gateways(group, found);
        for served in &group.eids.entries {
            check_served(group, &served.value, found);
        }
        check_overlaps(group, found);
    }
}

/// Two groups may not share a port and tag, else a frame could not tell its group.
fn check_tags(draft: &Draft, found: &Findings) {
    let mut seen: HashMap<(&str, Option<VlanId>), &At> = HashMap::new();
    for group in &draft.groups.entries {
        let (Some(port), Some(vlan)) = (&group.value.port, &group.value.vlan) else {
            continue;
        };
        let at = if vlan.value.is_some() { &vlan.at } else { &port.at };
        let first = *seen.entry((&port.value, vlan.value)).or_insert(at);
        if std::ptr::eq(first, at) {
            continue;
        }
        let text = match vlan.value {
            Some(vlan) => format!("another group has VLAN {vlan} of port {} already", port.value),
            None => format!("another group has the untagged frames of port {} already", port.value),
        };
        let help = "a frame's port and VLAN tell its group: choose another port or `vlan`";
        found.push_with(Code::TagTaken, at, text, help, (first, "first here"));
    }
}

fn check_port(draft: &Draft, group: &group::Draft, found: &Findings) {
    let Some(name) = &group.port else { return };
    let Some(port) = draft.port(&name.value) else {
        if draft.port_names_known() {
            unknown_port(draft, &name.value, &name.at, found);
        }
        return;
    };
    let Some(side) = &port.value.side else { return };
    if !side.value.is_eid() {
        let text = format!("port {} faces the underlay, and a group needs agents", name.value);
        let help = "name an eid-side port, or change the port's side";
        found.push_with(Code::WrongSide, &name.at, text, help, (&side.at, "the port's side"));
    }
    if side.value == Side::Both && group.vlan.as_ref().is_some_and(|vlan| vlan.value.is_none()) {
        let text = format!("the untagged frames of port {} belong to the underlay", name.value);
        let help = "on a port of both sides every group has a VLAN: add `vlan = 10`";
        found.push_with(Code::TagNeeded, &name.at, text, help, (&side.at, "the port's side"));
    }
}

/// Reports a port's name that no `[[port]]` has.
pub(super) fn unknown_port(draft: &Draft, name: &str, at: &At, found: &Findings) {
    let names: Vec<&str> = draft
        .ports
        .entries
        .iter()
        .filter_map(|port| port.value.name.as_ref())
        .map(|name| name.value.as_str())
        .collect();
    let help = match closest(name, &names) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if names.is_empty() => "add a [[port]] of that name".to_owned(),
        None => format!("add a [[port]] of that name, or use one that exists: {}", names.join(", ")),
    };
    found.push(Code::UnknownPort, at, format!("there is no port \"{name}\""), help);
}

fn check_mac(group: &group::Draft, found: &Findings) {
    let Some(mac) = &group.mac else { return };
    let Some(value) = mac.value.filter(|value| !value.is_unicast()) else {
        return;
    };
    let reason = if value.is_multicast() { "a multicast address" } else { "all zeros" };
    let help =
        "use a unicast address with the local bit, as in \"02:53:54:00:00:64\", or leave the field out";
    found.push(Code::BadMac, &mac.at, format!("the gateway's MAC {value} is {reason}"), help);
}

fn check_gateways(group: &group::Draft, found: &Findings) {
    let mut first_of: HashMap<Family, &At> = HashMap::new();
    for gateway in &group.gateway.entries {
        let (address, len) = gateway.value;
        if let Some(reason) = unreachable(address).or_else(|| not_a_host(address, len)) {
            let help = "use an address that agents can have as their default gateway";
            found.push(Code::BadGateway, &gateway.at, format!("gateway {address}/{len} {reason}"), help);
        }
        let family = Family::of(address);
        let first = *first_of.entry(family).or_insert(&gateway.at);
        if !std::ptr::eq(first, &gateway.at) {
            let text = format!("the group has an {family} gateway already");
            let help = "one gateway address per family: widen the first one's subnet, or make another group";
            found.push_with(Code::BadGateway, &gateway.at, text, help, (first, "first here"));
        }
    }
}

/// Why an address of a subnet cannot be a host's; nothing when it can.
fn not_a_host(address: IpAddr, len: u8) -> Option<&'static str> {
    let subnet = Prefix::masked(address, len).ok()?;
    if len == 0 {
        return Some("has the whole internet for its subnet");
    }
    match address {
        IpAddr::V4(_) if len >= 31 => None,
        IpAddr::V4(_) if subnet.addr() == address => Some("is its subnet's own address"),
        IpAddr::V4(v4) if v4 == broadcast(v4, len) => Some("is its subnet's broadcast address"),
        IpAddr::V6(_) if len < 127 && subnet.addr() == address => {
            Some("is its subnet's router anycast address")
        }
        _ => None,
    }
}

fn broadcast(address: Ipv4Addr, len: u8) -> Ipv4Addr {
    let host_bits = u32::MAX.checked_shr(len.into()).unwrap_or(0);
    Ipv4Addr::from_bits(address.to_bits() | host_bits)
}

fn check_served(group: &group::Draft, served: &ServedDraft, found: &Findings) {
    let prefix = &served.prefix;
    if let Some(reason) = not_an_eid(prefix.value) {
        let text = format!("{} {reason}", prefix.value);
        return found.push(
            Code::BadEid,
            &prefix.at,
            text,
            "serve the prefixes that this site's agents are in",
        );
    }
    if !group.gateway.whole {
        return;
    }
    match &served.via {
        Some(via) => check_via(group, via, found),
        None => {
            let help = "widen the gateway's subnet; or, for a prefix behind an inner router, write \
                        { prefix = \"...\", via = \"ROUTER\" }";
            check_on_link(group, prefix, help, found);
        }
    }
}

/// A prefix without a router lies in a subnet of the gateway; `help` says what else could be meant.
pub(super) fn check_on_link(group: &group::Draft, prefix: &Located<Prefix>, help: &str, found: &Findings) {
    if subnets(group).any(|subnet| subnet.covers(&prefix.value)) {
        return;
    }
    let family = prefix.value.family();
    let (text, help) = match subnets(group).find(|subnet| subnet.family() == family) {
        Some(subnet) => {
            (format!("{} lies outside the gateway's subnet {subnet}", prefix.value), help.to_owned())
        }
        None => (
            format!("{} has no {family} gateway", prefix.value),
            format!("add an {family} address to the group's `gateway`"),
        ),
    };
    found.push(Code::OutsideGateway, &prefix.at, text, help);
}

fn check_via(group: &group::Draft, via: &Located<IpAddr>, found: &Findings) {
    let address = via.value;
    let on_link = subnets(group).any(|subnet| subnet.contains(address));
    let ours = group.gateway.entries.iter().any(|gateway| gateway.value.0 == address);
    let reason = match unreachable(address) {
        Some(reason) => reason,
        None if !on_link => "lies in no subnet of the group's gateway",
        None if ours => "is the gateway itself",
        None => return,
    };
    let help = "name the inner router's address on the group's own link";
    found.push(Code::BadVia, &via.at, format!("inner router {address} {reason}"), help);
}

/// Two of `eids` may nest only where they lead to different places.
fn check_overlaps(group: &group::Draft, found: &Findings) {
    let mut sorted: Vec<&ServedDraft> = group.eids.entries.iter().map(|served| &served.value).collect();
    sorted.retain(|served| not_an_eid(served.prefix.value).is_none());
    // Sorted by address, then length, so that whatever covers a prefix stands before it.
    sorted.sort_by_key(|served| (served.prefix.value, served.prefix.at.span.start));
    let mut covering: Vec<&ServedDraft> = Vec::new();
    for served in sorted {
        let prefix = &served.prefix;
        covering.retain(|outer| outer.prefix.value.covers(&prefix.value));
        if let Some(outer) = covering.last() {
            let equal = outer.prefix.value == prefix.value;
            let same_place = via(outer) == via(served);
            if equal || same_place {
                let word = if equal { "is served twice" } else { "is part of a prefix served the same way" };
                let text = format!("{} {word}", prefix.value);
                found.push_with(
                    Code::Overlap,
                    &prefix.at,
                    text,
                    "leave it out",
                    (&outer.prefix.at, "covered here"),
                );
            }
        }
        covering.push(served);
    }
}

fn via(served: &ServedDraft) -> Option<IpAddr> {
    served.via.as_ref().map(|via| via.value)
}

fn subnets(group: &group::Draft) -> impl Iterator<Item = Prefix> {
    group.gateway.entries.iter().filter_map(|gateway| Prefix::masked(gateway.value.0, gateway.value.1).ok())
}

/// Why a prefix cannot be served; nothing when it can.
pub(super) fn not_an_eid(prefix: Prefix) -> Option<&'static str> {
    if prefix.len() == 0 {
        return Some("is everything, and nothing would be left to other sites");
    }
    unreachable_prefix(prefix)
}

/// Why no agent can be in a prefix; nothing when some can.
pub(super) fn unreachable_prefix(prefix: Prefix) -> Option<&'static str> {
    // 0.0.0.0/1 is a fine prefix though 0.0.0.0 is no host.
    let wide = prefix.addr().is_unspecified() && prefix.len() < 8;
    unreachable(prefix.addr()).filter(|_| !wide)
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn hosts_of_a_subnet() {
        for (address, len, host) in [
            ("10.1.0.1", 16, true),
            ("10.1.0.0", 16, false),
            ("10.1.255.255", 16, false),
            ("10.1.0.0", 31, true),
            ("10.1.0.1", 32, true),
            ("10.1.0.1", 0, false),
            ("fd00:64::1", 64, true),
            ("fd00:64::", 64, false),
            ("fd00:64::", 127, true),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(not_a_host(address, len).is_none(), host, "{address}/{len}");
        }
    }

    #[test]
    fn prefixes_that_hold_agents() {
        for (prefix, eid) in [
            ("10.0.0.0/8", true),
            ("0.0.0.0/1", true),
            ("0.0.0.0/0", false),
            ("::/0", false),
            ("224.0.0.0/4", false),
            ("fe80::/10", false),
            ("127.0.0.0/8", false),
            ("0.0.0.0/8", false),
        ] {
            assert_eq!(not_an_eid(prefix.parse().unwrap()).is_none(), eid, "{prefix}");
        }
    }
}
