//! From a file to a profile: everything that is wrong with it at once, each with its place.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use sterna_wire::Family;
use toml::de::DeTable;

use super::finding::{Finding, Findings};
use super::section::{Placed, Section};
use super::{Eids, Profile};

mod capture;
mod content;
mod framing;
mod load;

/// The largest size in bytes: a jumbo frame with an MTU of 9,000.
pub const MAX_SIZE: u64 = 9_018;

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file cannot be read.
    #[error("cannot read {} ({reason}): check the name and its mode, or see `sterna-pktgen profiles`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        reason: std::io::Error,
    },
    /// The file is wrong.
    #[error("{}", listed(path, findings))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it, in its order.
        findings: Vec<Finding>,
    },
}

fn listed(path: &Path, findings: &[Finding]) -> String {
    let mut out = format!("{} is not a profile, {} found:", path.display(), findings.len());
    for finding in findings {
        // Writing to a string cannot fail.
        let _ = write!(out, "\n  {}:{finding}", path.display());
    }
    out
}

impl Profile {
    /// Reads a profile's file. A replay's file is looked for beside it.
    ///
    /// # Errors
    /// The file cannot be read, or with everything that is wrong in it.
    pub fn load(path: &Path) -> Result<Profile, ProfileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|reason| ProfileError::File { path: path.to_owned(), reason })?;
        let mut profile =
            Self::parse(&text).map_err(|findings| ProfileError::Wrong { path: path.to_owned(), findings })?;
        if let (Some(replay), Some(folder)) = (&mut profile.replay, path.parent()) {
            replay.file = folder.join(&replay.file);
        }
        Ok(profile)
    }

    /// Reads a profile's text.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the text.
    pub fn parse(text: &str) -> Result<Profile, Vec<Finding>> {
        whole(text, "see `profiles/manual.toml` for the form of a profile", read)
    }
}

/// What `read` makes of a text, if nothing is wrong with it; `help` goes to what is no TOML.
pub(crate) fn whole<T>(
    text: &str,
    help: &str,
    read: impl FnOnce(&mut Section<'_, '_>, &mut Findings<'_>) -> Option<T>,
) -> Result<T, Vec<Finding>> {
    let mut findings = Findings::new(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        findings.add(&error.span().unwrap_or(0..0), "", error.message(), help);
    }
    match read(&mut Section::root(&root), &mut findings) {
        Some(read) if findings.is_empty() => Ok(read),
        _ => Err(findings.into_list()),
    }
}

fn read(root: &mut Section<'_, '_>, findings: &mut Findings<'_>) -> Option<Profile> {
    let about = root.text("about", findings).map(|about| about.value).unwrap_or_default();
    let burst = root.number("burst", 1..=65_536, findings).map_or(1, |burst| burst.value);
    let seed = root.number("seed", 0..=u64::MAX >> 1, findings).map_or(1, |seed| seed.value);
    let probe_rate = root.number("probe_rate", 1..=100_000, findings).map_or(1_000, |rate| rate.value);
    let replay = capture::replay(root, findings);
    let rate = load::rate(root, replay.as_ref(), findings);
    // A replay that is wrong is one all the same.
    let has_replay = root.value("replay").is_some();
    let eids = eids(root, has_replay, findings);
    let lisp = framing::tunnel(root, findings);
    let groups = framing::groups(root, lisp.is_some(), findings);
    let family = eids.as_ref().map_or(Family::V4, |eids| Family::of(eids.destination));
    let frame = framing::framing(root, family, findings);
    let flows = load::flows(root, findings);
    let misses = content::misses(root, family, findings);
    let hostile = content::hostile(root, eids.as_ref(), lisp.as_ref(), findings);
    let shares = misses.as_ref().map_or(0.0, |m| m.share) + hostile.as_ref().map_or(0.0, |h| h.share);
    if shares > 1.0 {
        findings.add(&(0..0), "", "misses and hostile packets together are more than all", "lower a share");
    }
    std::mem::replace(root, root.empty()).finish(findings);
    Some(Profile {
        about,
        rate: rate?,
        burst,
        seed,
        frame: frame?,
        eids,
        flows: flows?,
        groups: groups?,
        lisp,
        misses,
        hostile,
        replay,
        probe_rate,
    })
}

fn eids(root: &mut Section<'_, '_>, has_replay: bool, findings: &mut Findings<'_>) -> Option<Eids> {
    let mut section = root.section("eids", findings);
    if !section.is_given() && (has_replay || !section.is_absent()) {
        return None;
    }
    if section.is_absent() {
        section.missing("source", "write `[eids]` with source and destination", findings);
        return None;
    }
    let source = section.parsed::<IpAddr>("source", "10.1.0.10", findings);
    let destination = section.parsed::<IpAddr>("destination", "10.2.0.10", findings);
    for (key, absent) in [("source", section.lacks("source")), ("destination", section.lacks("destination"))]
    {
        if absent {
            section.missing(key, "give the first address", findings);
        }
    }
    let sources = section.number("sources", 1..=1 << 24, findings).map_or(1, |n| n.value as u32);
    let count = section.number("count", 1..=1 << 24, findings).map_or(1, |n| n.value as u32);
    let order = load::order(&mut section, findings);
    let (source, destination) = match (source, destination) {
        (Some(source), Some(destination)) => {
            fits(&source, sources, "eids.source", findings);
            fits(&destination, count, "eids.destination", findings);
            (source, destination)
        }
        _ => {
            section.finish(findings);
            return None;
        }
    };
    if Family::of(source.value) != Family::of(destination.value) {
        let text = "the destination's address family is not the source's";
        findings.add(&destination.span, "eids.destination", text, "give both in one family");
    }
    section.finish(findings);
    Some(Eids { source: source.value, sources, destination: destination.value, count, order: order? })
}

/// Whether `count` addresses from the first on differ in their last 32 bits alone.
fn fits(first: &Placed<IpAddr>, count: u32, key: &str, findings: &mut Findings<'_>) {
    if crate::address::low(first.value).checked_add(count - 1).is_none() {
        let text = format!("{count} addresses from here on run over the end of their 32 bits");
        findings.add(&first.span, key, text, "begin at a lower address, or use fewer");
    }
}
