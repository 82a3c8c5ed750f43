//! Skills of groups: EIDs that one agent at each site may have at a time.

use sterna_wire::Prefix;

use crate::code::Code;
use crate::draft::Draft;
use crate::finding::{At, Findings, Located};
use crate::group;
use crate::rules::groups::{check_on_link, not_an_eid};

pub(super) fn check(draft: &Draft, found: &Findings) {
    for group in draft.groups.entries.iter().map(|group| &group.value) {
        let skills = group.skills.entries.iter();
        let sound: Vec<_> = skills.filter(|skill| check_skill(draft, group, skill, found)).collect();
        check_twins(&sound, found);
        check_registered(draft, group, found);
    }
}

/// Whether agents can have the EIDs of a skill, and nobody has them alone.
fn check_skill(draft: &Draft, group: &group::Draft, skill: &Located<Prefix>, found: &Findings) -> bool {
    let before = found.count();
    if let Some(reason) = not_an_eid(skill.value) {
        let help = "name a part of the gateway's subnet";
        found.push(Code::BadEid, &skill.at, format!("{} {reason}", skill.value), help);
    } else if group.gateway.whole {
        let help = "widen the gateway's subnet, or narrow the skill: its agents are on the group's own link";
        check_on_link(group, skill, help, found);
        check_gateway(group, skill, found);
        check_alone(draft, group, skill, found);
    }
    found.count() == before
}

fn check_gateway(group: &group::Draft, skill: &Located<Prefix>, found: &Findings) {
    if let Some(gateway) = group.gateway.entries.iter().find(|gateway| skill.value.contains(gateway.value.0))
    {
        let text = format!("{} holds the gateway itself", skill.value);
        let help = "name EIDs that agents have";
        found.push_with(Code::BadSkill, &skill.at, text, help, (&gateway.at, "the gateway"));
    }
}

/// An EID is a skill's or an agent's alone: what holds of the one (moves, claims) does not hold of the other.
fn check_alone(draft: &Draft, group: &group::Draft, skill: &Located<Prefix>, found: &Findings) {
    let served = group.eids.entries.iter().map(|served| (&served.value.prefix, "served here"));
    let ranges = group.dynamic_eids.entries.iter().map(|range| (range, "agents come and go here"));
    let mapped = draft.mappings.entries.iter().map(|mapping| &mapping.value);
    let mapped = mapped.filter(|mapping| {
        let both = mapping.iid.as_ref().zip(group.iid.as_ref());
        both.is_some_and(|(mapping, group)| mapping.value == group.value)
    });
    // A wider mapping is for the rest of it, as with ranges and prefixes.
    let mapped = mapped.filter_map(|mapping| mapping.eid.as_ref());
    let mapped = mapped.filter(|eid| eid.value.covers(&skill.value)).map(|eid| (eid, "mapped here"));
    let meets = |other: &Prefix| other.covers(&skill.value) || skill.value.covers(other);
    let others: Vec<(&Located<Prefix>, &str)> = served.chain(ranges).chain(mapped).collect();
    if let Some((other, said)) = others.into_iter().find(|(other, _)| meets(&other.value)) {
        let text = format!("{} is a skill, and overlaps {}", skill.value, other.value);
        let help = "keep the EIDs of skills apart from those that agents have alone: \
                    narrow one of the two, or take EIDs that lie outside both";
        found.push_with(Code::BadSkill, &skill.at, text, help, (&other.at, said));
    }
}

/// Skills of one group that nest say the same twice.
fn check_twins(skills: &[&Located<Prefix>], found: &Findings) {
    let mut seen: Vec<(Prefix, &At)> = Vec::new();
    for skill in skills {
        let covered = |(outer, _): &&(Prefix, &At)| outer.covers(&skill.value) || skill.value.covers(outer);
        match seen.iter().find(covered) {
            Some((outer, at)) => {
                let text = format!("{} overlaps {outer}, another skill", skill.value);
                found.push_with(Code::Overlap, &skill.at, text, "leave one out", (at, "covered here"));
            }
            None => seen.push((skill.value, &skill.at)),
        }
    }
}

/// An instance that nobody is told of is found by nobody.
fn check_registered(draft: &Draft, group: &group::Draft, found: &Findings) {
    let servers = draft.mapping_system.as_ref().map(|system| &system.value.map_servers);
    let told = servers.is_some_and(|servers| !servers.whole || !servers.entries.is_empty());
    if told || group.skills.entries.is_empty() {
        return;
    }
    let text = "agents have skills here, and no map-server is told of it";
    let help = "add [mapping_system] with `map_servers`";
    found.push(Code::DynamicAlone, &group.skills.at, text, help);
}
