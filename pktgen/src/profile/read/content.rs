//! What is not an ordinary packet: misses and hostile packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::str::FromStr;

use sterna_wire::Family;

use super::super::finding::Findings;
use super::super::section::Section;
use super::super::{Eids, Hostile, Misses, Tunnel};
use super::fits;
use crate::hostile::{Class, Ground};

/// The table `misses`.
pub(super) fn misses(
    root: &mut Section<'_, '_>,
    family: Family,
    findings: &mut Findings<'_>,
) -> Option<Misses> {
    let mut section = root.section("misses", findings);
    if !section.is_given() {
        return None;
    }
    let share = section.fraction("share", 0.0..=1.0, findings);
    let destination = section.parsed::<IpAddr>("destination", "10.99.0.0", findings);
    let count = section.number("count", 1..=1 << 32, findings).map_or(65_536, |n| n.value);
    for (key, help) in [("share", "give a share from 0 to 1"), ("destination", "give the first address")] {
        if section.lacks(key) {
            section.missing(key, help, findings);
        }
    }
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    if let Some(destination) = &destination {
        fits(destination, count, "misses.destination", findings);
        if Family::of(destination.value) != family {
            let text = "the missing EIDs' address family is not that of [eids]";
            findings.add(&destination.span, "misses.destination", text, "give an address of that family");
        }
    }
    section.finish(findings);
    Some(Misses { share: share?.value, destination: destination?.value, count })
}

/// The table `hostile`.
pub(super) fn hostile(
    root: &mut Section<'_, '_>,
    eids: Option<&Eids>,
    lisp: Option<&Tunnel>,
    findings: &mut Findings<'_>,
) -> Option<Hostile> {
    let mut section = root.section("hostile", findings);
    if !section.is_given() {
        return None;
    }
    let share = section.fraction("share", 0.0..=1.0, findings);
    if section.lacks("share") {
        section.missing("share", "give a share from 0 to 1", findings);
    }
    let ground = ground(&mut section, eids, lisp, findings);
    let classes = classes(&mut section, findings);
    for (class, span) in classes.iter().flatten() {
        if let Some(lack) = ground.lacks(*class) {
            let text = format!("the class {} needs addresses that the profile does not have", class.name());
            findings.add(span, "hostile.classes", text, format!("add hostile.{lack} = [\"from\", \"to\"]"));
        }
    }
    section.finish(findings);
    let classes = classes?.into_iter().map(|(class, _)| class).collect();
    Some(Hostile { share: share?.value, classes, ground })
}

type PlacedClass = (Class, Range<usize>);

fn classes(section: &mut Section<'_, '_>, findings: &mut Findings<'_>) -> Option<Vec<PlacedClass>> {
    const HELP: &str = "give a list of classes, or [\"all\"]; `sterna-pktgen classes` lists them";
    if section.lacks("classes") {
        section.missing("classes", HELP, findings);
    }
    let entries = section.list("classes", HELP, findings, |entry| match entry.get_ref().as_str()? {
        "all" => Some(Class::ALL.to_vec()),
        name => Class::by_name(name).map(|class| vec![class]),
    })?;
    let flat = entries.into_iter().flat_map(|entry| {
        let span = entry.span;
        entry.value.into_iter().map(move |class| (class, span.clone()))
    });
    Some(flat.collect())
}

fn ground(
    section: &mut Section<'_, '_>,
    eids: Option<&Eids>,
    lisp: Option<&Tunnel>,
    findings: &mut Findings<'_>,
) -> Ground {
    let mut ground = Ground {
        eids_v4: pair::<Ipv4Addr>(section, "eids_v4", findings),
        eids_v6: pair::<Ipv6Addr>(section, "eids_v6", findings),
        rlocs_v4: pair::<Ipv4Addr>(section, "rlocs_v4", findings),
        rlocs_v6: pair::<Ipv6Addr>(section, "rlocs_v6", findings),
    };
    if let Some(eids) = eids {
        fill(&mut ground.eids_v4, &mut ground.eids_v6, eids.source, eids.destination);
    }
    if let Some(lisp) = lisp {
        fill(&mut ground.rlocs_v4, &mut ground.rlocs_v6, lisp.source, lisp.destination);
    }
    ground
}

fn fill(v4: &mut Option<[Ipv4Addr; 2]>, v6: &mut Option<[Ipv6Addr; 2]>, from: IpAddr, to: IpAddr) {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => _ = v4.get_or_insert([from, to]),
        (IpAddr::V6(from), IpAddr::V6(to)) => _ = v6.get_or_insert([from, to]),
        _ => (),
    }
}

fn pair<T: FromStr + Copy>(
    section: &mut Section<'_, '_>,
    key: &'static str,
    findings: &mut Findings<'_>,
) -> Option<[T; 2]> {
    const HELP: &str = "give two addresses of this family: [\"from\", \"to\"]";
    let entries = section.list(key, HELP, findings, |entry| entry.get_ref().as_str()?.parse::<T>().ok())?;
    let addresses: Vec<T> = entries.iter().map(|entry| entry.value).collect();
    if let ([entry, ..], [_] | [_, _, _, ..]) = (&entries[..], &addresses[..]) {
        findings.add(&entry.span, &section.key(key), "these are not two addresses", HELP);
    }
    <[T; 2]>::try_from(addresses).ok()
}
