//! Dynamic ranges of groups: where agents may come and go.

use sterna_wire::Prefix;

use crate::Role;
use crate::code::Code;
use crate::draft::Draft;
use crate::finding::{Findings, Located};
use crate::group::{self, ServedDraft};
use crate::rules::groups::{check_on_link, not_an_eid};

pub(super) fn check(draft: &Draft, found: &Findings) {
    for group in &draft.groups.entries {
        check_serves(group, found);
        let ranges = group.value.dynamic_eids.entries.iter();
        let sound: Vec<_> = ranges.filter(|range| check_range(draft, &group.value, range, found)).collect();
        check_overlaps(sound, found);
        check_registered(draft, &group.value, found);
    }
}

/// A group serves something, now or as soon as an agent comes.
fn check_serves(group: &Located<group::Draft>, found: &Findings) {
    let (eids, ranges) = (&group.value.eids, &group.value.dynamic_eids);
    let given = |list: &crate::finding::At| list.span != group.at.span;
    if given(&eids.at) || given(&ranges.at) || given(&group.value.skills.at) {
        return;
    }
    let help =
        "add `eids`: the EID-prefixes served here; or `dynamic_eids`: the ranges in which agents come and go";
    found.push(Code::MissingField, &eids.at, "the group serves nothing", help);
}

/// Whether agents can come and go in a range: on the group's own link, and found by the mapping system elsewhere.
fn check_range(draft: &Draft, group: &group::Draft, range: &Located<Prefix>, found: &Findings) -> bool {
    let before = found.count();
    if let Some(reason) = not_an_eid(range.value) {
        let help = "name the part of the gateway's subnet that agents come and go in";
        found.push(Code::BadEid, &range.at, format!("{} {reason}", range.value), help);
    } else if group.gateway.whole {
        let help = "widen the gateway's subnet, or narrow the range: agents are seen on the group's own link";
        check_on_link(group, range, help, found);
        check_gateway(group, range, found);
        check_routed(group, range, found);
        check_mappings(draft, group, range, found);
    }
    found.count() == before
}

/// A range of one address must leave that address to an agent.
fn check_gateway(group: &group::Draft, range: &Located<Prefix>, found: &Findings) {
    let host = range.value.len() == range.value.family().bits();
    let gateway = group.gateway.entries.iter().find(|gateway| gateway.value.0 == range.value.addr());
    if let Some(gateway) = gateway.filter(|_| host) {
        let text = format!("{} is the gateway itself, so no agent can have it", range.value);
        found.push_with(Code::BadEid, &range.at, text, "leave it out", (&gateway.at, "the gateway"));
    }
}

/// Behind an inner router nobody is seen to come or go.
fn check_routed(group: &group::Draft, range: &Located<Prefix>, found: &Findings) {
    let served = group.eids.entries.iter().map(|served| &served.value);
    let covering = served.filter(|served| served.prefix.value.covers(&range.value));
    let Some((prefix, _)) = covering.max_by_key(|served| served.prefix.value.len()).and_then(routed) else {
        return;
    };
    let text = format!("{} lies behind an inner router, where no agent is seen to come or go", range.value);
    let help = "leave it out: the prefix is served as a whole; agents come and go on the group's own link";
    found.push_with(Code::OutsideGateway, &range.at, text, help, (&prefix.at, "routed here"));
}

fn routed(served: &ServedDraft) -> Option<(&Located<Prefix>, &Located<std::net::IpAddr>)> {
    Some((&served.prefix, served.via.as_ref()?))
}

/// Inside a static mapping the mapping system is never asked, so an agent that left could not be found.
fn check_mappings(draft: &Draft, group: &group::Draft, range: &Located<Prefix>, found: &Findings) {
    let Some(iid) = &group.iid else { return };
    let mappings = draft.mappings.entries.iter().map(|mapping| &mapping.value);
    let of_group = mappings.filter(|mapping| mapping.iid.as_ref().is_some_and(|of| of.value == iid.value));
    let mut eids = of_group.filter_map(|mapping| mapping.eid.as_ref());
    let Some(eid) = eids.find(|eid| eid.value.covers(&range.value)) else { return };
    let text =
        format!("{} is mapped elsewhere by this file, so an agent that leaves is not found", range.value);
    let help = "take out the [[mapping]]: the mapping system knows where agents are; \
                or narrow it, a longer prefix may stand beside the range";
    found.push_with(Code::MappedAndServed, &range.at, text, help, (&eid.at, "mapped here"));
}

/// Ranges of one group that nest say the same twice.
fn check_overlaps(mut sorted: Vec<&Located<Prefix>>, found: &Findings) {
    // Sorted by address, then length, so that whatever covers a prefix stands before it.
    sorted.sort_by_key(|range| (range.value, range.at.span.start));
    let mut outer: Option<&Located<Prefix>> = None;
    for range in sorted {
        match outer.filter(|outer| outer.value.covers(&range.value)) {
            Some(outer) => {
                let word =
                    if outer.value == range.value { "is given twice" } else { "is part of another range" };
                let text = format!("{} {word}", range.value);
                found.push_with(Code::Overlap, &range.at, text, "leave it out", (&outer.at, "covered here"));
            }
            None => outer = Some(range),
        }
    }
}

/// Where agents come and go, others must be told.
fn check_registered(draft: &Draft, group: &group::Draft, found: &Findings) {
    let servers = draft.mapping_system.as_ref().map(|system| &system.value.map_servers);
    let told = servers.is_some_and(|servers| !servers.whole || !servers.entries.is_empty());
    if told || group.dynamic_eids.entries.is_empty() || draft.has(Role::Xtr) != Some(true) {
        return;
    }
    let text = match servers {
        Some(_) => "agents come and go here, and no map-server is told of it",
        None => "agents come and go here, and there is no mapping system to tell others of it",
    };
    let help = "add [mapping_system] with `map_servers`; or write the prefixes in `eids`: \
                whatever is inside them counts as here";
    found.push(Code::DynamicAlone, &group.dynamic_eids.at, text, help);
}
