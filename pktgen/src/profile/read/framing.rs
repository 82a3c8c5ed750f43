//! Ethernet addresses, sizes, groups, tunnel.

use std::net::IpAddr;

use sterna_wire::{Family, Iid, Mac, VlanId};

use super::super::finding::Findings;
use super::super::section::{Entry, Placed, Section, integer};
use super::super::{Framing, Groups, Tunnel};
use super::MAX_SIZE;
use crate::packet::{IMIX, MixEntry, smallest_size};

const SIZES: &str =
    "give a size in bytes, a list of sizes, a list of `{ bytes = 64, weight = 7 }`, or \"imix\"";

/// The table `frame`.
pub(super) fn framing(
    root: &mut Section<'_, '_>,
    family: Family,
    findings: &mut Findings<'_>,
) -> Option<Framing> {
    let mut section = root.section("frame", findings);
    let source_mac = mac(&mut section, "source_mac", findings);
    let destination_mac = mac(&mut section, "destination_mac", findings);
    let sizes = sizes(&mut section, family, findings);
    section.finish(findings);
    Some(Framing { source_mac, destination_mac, sizes: sizes? })
}

fn mac(section: &mut Section<'_, '_>, key: &'static str, findings: &mut Findings<'_>) -> Option<Mac> {
    section.parsed::<Mac>(key, "02:53:54:00:00:64", findings).map(|mac| mac.value)
}

fn sizes(
    section: &mut Section<'_, '_>,
    family: Family,
    findings: &mut Findings<'_>,
) -> Option<Vec<MixEntry>> {
    let smallest = smallest_size(family);
    let Some(value) = section.value("size") else {
        return Some(vec![MixEntry { bytes: smallest, weight: 1 }]);
    };
    let entries = match (value.get_ref().as_str(), value.get_ref().as_array()) {
        (Some("imix"), _) => {
            let entries = IMIX.iter().map(|e| MixEntry { bytes: e.bytes.max(smallest), ..*e });
            entries.map(|value_of| Placed { value: value_of, span: value.span() }).collect()
        }
        (None, Some(_)) => section.list("size", SIZES, findings, size)?,
        _ => match size(value) {
            Some(entry) => vec![Placed { value: entry, span: value.span() }],
            None => {
                findings.add(&value.span(), "frame.size", "this is not a size", SIZES);
                return None;
            }
        },
    };
    for entry in &entries {
        if !(u64::from(smallest)..=MAX_SIZE).contains(&u64::from(entry.value.bytes)) {
            let text = format!("{} bytes cannot be sent with headers and a probe", entry.value.bytes);
            findings.add(&entry.span, "frame.size", text, format!("use {smallest} to {MAX_SIZE} bytes"));
        }
    }
    Some(entries.into_iter().map(|entry| entry.value).collect())
}

fn size(value: Entry<'_, '_>) -> Option<MixEntry> {
    let of = |bytes: u64, weight: u64| {
        let entry = MixEntry { bytes: u16::try_from(bytes).ok()?, weight: u32::try_from(weight).ok()? };
        (1..=1_000_000).contains(&weight).then_some(entry)
    };
    if let Some(table) = value.get_ref().as_table() {
        let known = table.iter().all(|(key, _)| ["bytes", "weight"].contains(&key.get_ref().as_ref()));
        return of(integer(table.get("bytes")?).filter(|_| known)?, integer(table.get("weight")?)?);
    }
    of(integer(value)?, 1)
}

/// The table `groups`.
pub(super) fn groups(
    root: &mut Section<'_, '_>,
    tunnelled: bool,
    findings: &mut Findings<'_>,
) -> Option<Groups> {
    let mut section = root.section("groups", findings);
    let vlans = section.list("vlans", "give VLAN IDs from 1 to 4094", findings, |entry| {
        VlanId::new(u16::try_from(integer(entry)?).ok()?)
    });
    let iids = section.list("iids", "give instance-IDs from 0 to 16777214", findings, |entry| {
        Iid::new(u32::try_from(integer(entry)?).ok()?)
    });
    if let Some(entry) = iids.iter().flatten().next().filter(|_| !tunnelled) {
        let help = "add `[lisp]` with two RLOCs, or use vlans";
        findings.add(&entry.span, "groups.iids", "plain packets carry no instance-ID", help);
    }
    if let (Some(_), Some(entry)) = (&vlans, iids.iter().flatten().next()) {
        let text = "groups are told apart by VLAN or by instance-ID";
        findings.add(&entry.span, "groups.iids", text, "remove one of the two");
    }
    section.finish(findings);
    let values = |entries: Vec<Placed<VlanId>>| entries.into_iter().map(|entry| entry.value).collect();
    Some(match (vlans, iids) {
        (Some(vlans), _) => Groups::Vlans(values(vlans)),
        (None, Some(iids)) => Groups::Iids(iids.into_iter().map(|entry| entry.value).collect()),
        (None, None) => Groups::One,
    })
}

/// The table `lisp`.
pub(super) fn tunnel(root: &mut Section<'_, '_>, findings: &mut Findings<'_>) -> Option<Tunnel> {
    let mut section = root.section("lisp", findings);
    if !section.is_given() {
        return None;
    }
    let source = section.parsed::<IpAddr>("source", "192.0.2.1", findings);
    let destination = section.parsed::<IpAddr>("destination", "192.0.2.2", findings);
    for key in ["source", "destination"] {
        if section.lacks(key) {
            section.missing(key, "give an RLOC", findings);
        }
    }
    section.finish(findings);
    let (source, destination) = (source?, destination?);
    if Family::of(source.value) != Family::of(destination.value) {
        let text = "the destination's address family is not the source's";
        findings.add(&destination.span, "lisp.destination", text, "give both RLOCs in one family");
    }
    Some(Tunnel { source: source.value, destination: destination.value })
}
