//! From a file to a profile: everything that is wrong with it at once, each with its place.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use sterna_wire::{Family, VlanId};

use super::{Group, Place, Profile, talk};
use crate::profile::ProfileError;
use crate::profile::finding::{Finding, Findings};
use crate::profile::read::whole;
use crate::profile::section::{Entry, Placed, Section};

/// Agents of a profile at most: each has a stack with sockets and buffers.
const MOST_AGENTS: u64 = 65_536;

impl Profile {
    /// Reads a profile's file.
    ///
    /// # Errors
    /// The file cannot be read, or with everything that is wrong in it.
    pub fn load(path: &Path) -> Result<Profile, ProfileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|reason| ProfileError::File { path: path.to_owned(), reason })?;
        Self::parse(&text).map_err(|findings| ProfileError::Wrong { path: path.to_owned(), findings })
    }

    /// Reads a profile's text.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the text.
    pub fn parse(text: &str) -> Result<Profile, Vec<Finding>> {
        whole(text, "see `sterna-pktgen show agents` for the form of a profile of agents", read)
    }
}

fn read(root: &mut Section<'_, '_>, findings: &mut Findings<'_>) -> Option<Profile> {
    let about = root.text("about", findings).map(|about| about.value).unwrap_or_default();
    let settle_s = root.fraction("settle_s", 0.0..=600.0, findings).map_or(2.0, |value| value.value);
    let connects = root.number("connects_per_s", 1..=100_000, findings).map_or(200, |n| n.value);
    let mtu = root.number("mtu", 576..=3_400, findings).map_or(1_500, |n| n.value);
    let places = tables(root, "place", place, findings);
    let groups = tables(root, "group", group, findings);
    check_groups(&groups, mtu, findings);
    let least = groups.iter().map(|group| group.value.agents).min().unwrap_or(u32::MAX);
    let requests = talk::requests(root, least, findings);
    let streams = talk::streams(root, least, findings);
    let messages = talk::messages(root, least, mtu, findings);
    if requests.is_none() && streams.is_none() && messages.is_none() && findings.is_empty() {
        let help = "write `[requests]`, `[streams]` or `[messages]` with a rate";
        findings.add(&(0..0), "", "the agents have nothing to say", help);
    }
    let moves_per_s = talk::moves(root, places.len(), findings);
    std::mem::replace(root, root.empty()).finish(findings);
    Some(Profile {
        about,
        settle_s,
        connects_per_s: u32::try_from(connects).ok()?,
        mtu: u16::try_from(mtu).ok()?,
        places: places.into_iter().map(|place| place.value).collect(),
        groups: groups.into_iter().map(|group| group.value).collect(),
        requests,
        streams,
        messages,
        moves_per_s,
    })
}

/// All tables of a list, each with its place; names are there once.
fn tables<T>(
    root: &mut Section<'_, '_>,
    name: &'static str,
    read: impl Fn(&mut Section<'_, '_>, &mut Findings<'_>) -> Option<(Placed<String>, T)>,
    findings: &mut Findings<'_>,
) -> Vec<Placed<T>> {
    let help = format!("write `[[{name}]]` with its keys below it, once for each");
    let entries: Vec<Placed<Entry<'_, '_>>> = root
        .list(name, &help, findings, |entry| entry.get_ref().as_table().map(|_| entry))
        .unwrap_or_else(|| {
            if root.lacks(name) {
                findings.add(&(0..0), name, "there is none", &help);
            }
            Vec::new()
        });
    let (mut found, mut names) = (Vec::new(), BTreeSet::new());
    for entry in entries {
        let mut section = Section::entry(name, entry.value);
        let read = read(&mut section, findings);
        section.finish(findings);
        let Some((own, value)) = read else { continue };
        if !names.insert(own.value.clone()) {
            let text = format!("`{}` is there already", own.value);
            findings.add(&own.span, &format!("{name}.name"), text, "give each a name of its own");
        }
        found.push(Placed { value, span: entry.span });
    }
    found
}

/// The name of a table: a word that a command can have in it.
fn name(section: &mut Section<'_, '_>, findings: &mut Findings<'_>) -> Option<Placed<String>> {
    if section.lacks("name") {
        section.missing("name", "give it a name", findings);
    }
    let name = section.text("name", findings)?;
    let word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.value.is_empty() || name.value.len() > 64 || !name.value.chars().all(word) {
        let help = "use up to 64 letters, digits, `-`, `_` and `.`";
        findings.add(&name.span, &section.key("name"), "this is no name", help);
        return None;
    }
    Some(name)
}

fn place(section: &mut Section<'_, '_>, findings: &mut Findings<'_>) -> Option<(Placed<String>, Place)> {
    let name = name(section, findings);
    if section.lacks("interface") {
        section.missing("interface", "name the interface that the gateway is behind", findings);
    }
    let interface = section.text("interface", findings);
    let namespace = section.text("netns", findings).map(|namespace| namespace.value);
    let (name, interface) = (name?, interface?.value);
    let place = Place { name: name.value.clone(), interface, namespace };
    Some((name, place))
}

fn group(section: &mut Section<'_, '_>, findings: &mut Findings<'_>) -> Option<(Placed<String>, Group)> {
    let name = name(section, findings);
    let vlan = section.number("vlan", 1..=4094, findings);
    let gateway = address(section, "gateway", "10.1.0.1", findings);
    let first = address(section, "first", "10.1.100.1", findings);
    if section.lacks("agents") {
        section.missing("agents", "say how many there are", findings);
    }
    let agents = section.number("agents", 2..=MOST_AGENTS, findings);
    let (name, gateway, first, agents) = (name?, gateway?, first?, agents?);
    let count = u32::try_from(agents.value).ok()?;
    if Family::of(gateway.value) != Family::of(first.value) {
        let text = "the gateway's address family is not the agents'";
        findings.add(&gateway.span, "group.gateway", text, "give both in one family");
    }
    if crate::address::low(first.value).checked_add(count - 1).is_none() {
        let text = format!("{count} addresses from here on run over the end of their 32 bits");
        findings.add(&first.span, "group.first", text, "begin at a lower address, or use fewer");
    }
    let vlan = vlan.and_then(|vlan| VlanId::new(u16::try_from(vlan.value).ok()?));
    let group =
        Group { name: name.value.clone(), vlan, gateway: gateway.value, first: first.value, agents: count };
    Some((name, group))
}

fn address(
    section: &mut Section<'_, '_>,
    key: &'static str,
    like: &str,
    findings: &mut Findings<'_>,
) -> Option<Placed<IpAddr>> {
    if section.lacks(key) {
        section.missing(key, &format!("give an address like {like}"), findings);
    }
    section.parsed::<IpAddr>(key, like, findings)
}

/// What one group alone does not show.
fn check_groups(groups: &[Placed<Group>], mtu: u64, findings: &mut Findings<'_>) {
    let total: u64 = groups.iter().map(|group| u64::from(group.value.agents)).sum();
    if let Some(group) = groups.last().filter(|_| total > MOST_AGENTS) {
        let text = format!("{total} agents are more than {MOST_AGENTS}");
        findings.add(&group.span, "group.agents", text, "use fewer");
    }
    if let Some(group) = groups.get(256) {
        findings.add(&group.span, "group", "this is the 257th group", "use at most 256");
    }
    let mut tags = BTreeSet::new();
    for Placed { value: group, span } in groups {
        if !tags.insert(group.vlan) {
            let help = "give each group a `vlan` of its own: nothing else tells them apart on a port";
            findings.add(span, "group.vlan", "another group has this tag too", help);
        }
        // RFC 8200 section 5.
        if group.first.is_ipv6() && mtu < 1280 {
            findings.add(span, "mtu", "IPv6 needs an MTU of 1280 bytes", "raise `mtu`");
        }
        let within = (0..group.agents)
            .contains(&crate::address::low(group.gateway).wrapping_sub(crate::address::low(group.first)));
        if within
            && crate::address::with_low(group.first, crate::address::low(group.gateway)) == group.gateway
        {
            let text = "the gateway's address is one of the agents'";
            findings.add(span, "group.gateway", text, "let `first` begin behind it");
        }
    }
}
