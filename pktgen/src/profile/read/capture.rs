//! The table `replay`: a capture in the place of packets, and what is changed of its frames.

use std::fmt::Display;
use std::str::FromStr;

use sterna_wire::{Family, Mac, Prefix};

use super::super::Replay;
use super::super::finding::Findings;
use super::super::section::{Entry, Section};
use super::MAX_SIZE;
use crate::rewrite::Rewriting;

/// The smallest frame that Ethernet carries, bytes with FCS.
const MIN_SIZE: u64 = 64;
const EIDS: &str =
    "give pairs of one family and length, such as [{ from = \"10.1.0.0/16\", to = \"10.2.0.0/16\" }]";
const MACS: &str = "give pairs, such as [{ from = \"02:00:00:00:00:01\", to = \"02:00:00:00:00:02\" }]";

/// Reads it.
pub(super) fn replay(root: &mut Section<'_, '_>, findings: &mut Findings<'_>) -> Option<Replay> {
    let others = ["misses", "hostile"].map(|name| (name, root.value(name)));
    let mut section = root.section("replay", findings);
    if !section.is_given() {
        return None;
    }
    for (name, other) in others {
        if let Some(other) = other {
            findings.add(&other.span(), name, "a replay sends nothing but its capture", "remove this table");
        }
    }
    let file = section.text("file", findings);
    if section.lacks("file") {
        section.missing("file", "name a pcap file, relative to the profile", findings);
    }
    let mut flag = |key| match section.value(key) {
        None => false,
        Some(value) => value.get_ref().as_bool().unwrap_or_else(|| {
            let text = "this is neither true nor false";
            findings.add(&value.span(), &format!("replay.{key}"), text, "give one");
            false
        }),
    };
    let (keep_times, keep_macs) = (flag("keep_times"), flag("keep_macs"));
    let rewriting = Rewriting {
        eids: pairs("eids", EIDS, is_one_to_one, &mut section, findings),
        macs: pairs::<Mac>("macs", MACS, |_, _| true, &mut section, findings),
        size: section.number("size", MIN_SIZE..=MAX_SIZE, findings).map(|size| size.value as usize),
    };
    if !rewriting.macs.is_empty() && !keep_macs {
        let text = "the interfaces' addresses take the place of all others";
        findings.add(&section.span(), "replay.macs", text, "add keep_macs = true, or remove macs");
    }
    section.finish(findings);
    Some(Replay { file: file?.value.into(), keep_times, keep_macs, rewriting })
}

/// Two EIDs that differ must not become one.
fn is_one_to_one(from: &Prefix, to: &Prefix) -> bool {
    Family::of(from.addr()) == Family::of(to.addr()) && from.len() == to.len()
}

fn pairs<T: FromStr + Display>(
    key: &'static str,
    help: &'static str,
    fit: impl Fn(&T, &T) -> bool,
    section: &mut Section<'_, '_>,
    findings: &mut Findings<'_>,
) -> Vec<(T, T)> {
    let read = |entry: Entry<'_, '_>| {
        let table = entry.get_ref().as_table().filter(|table| table.len() == 2)?;
        let end = |name: &str| table.get(name)?.get_ref().as_str()?.parse::<T>().ok();
        let pair = (end("from")?, end("to")?);
        fit(&pair.0, &pair.1).then_some(pair)
    };
    let found = section.list(key, help, findings, read);
    found.unwrap_or_default().into_iter().map(|placed| placed.value).collect()
}
