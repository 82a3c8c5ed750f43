//! What agents say, how much and how often; and how often they move.

use super::{Messages, Requests, Streams};
use crate::agents::letter::HEAD;
use crate::profile::finding::Findings;
use crate::profile::section::Section;

/// Letters per second and agent at most.
const MOST_PER_S: f64 = 10_000.0;
/// The largest letter over TCP: it must fit into a socket's buffer.
pub const LARGEST: u64 = 65_536;
/// IPv6 and UDP headers.
const UDP_HEADERS: u64 = 48;

/// A rate, which must be there.
fn rate(section: &mut Section<'_, '_>, most: f64, findings: &mut Findings<'_>) -> Option<f64> {
    if section.lacks("rate") {
        section.missing("rate", "say how many per second", findings);
    }
    section.fraction("rate", 0.001..=most, findings).map(|rate| rate.value)
}

fn size(
    section: &mut Section<'_, '_>,
    key: &'static str,
    usual: u64,
    most: u64,
    findings: &mut Findings<'_>,
) -> Option<usize> {
    let size = section.number(key, HEAD as u64..=most, findings).map_or(usual, |n| n.value);
    usize::try_from(size).ok()
}

/// How many peers: each is another agent than the sender and than the peers before it.
fn peers(section: &mut Section<'_, '_>, least: u32, findings: &mut Findings<'_>) -> Option<u32> {
    let peers = section.number("peers", 1..=64, findings);
    if let Some(peers) = peers.as_ref().filter(|peers| peers.value >= u64::from(least)) {
        let text = format!("the smallest group has {least} agents");
        findings.add(&peers.span, &section.key("peers"), text, "use fewer peers, or more agents");
    }
    u32::try_from(peers.map_or(1, |peers| peers.value)).ok()
}

/// The table `requests`.
pub(super) fn requests(
    root: &mut Section<'_, '_>,
    least: u32,
    findings: &mut Findings<'_>,
) -> Option<Requests> {
    let mut section = root.section("requests", findings);
    if !section.is_given() {
        return None;
    }
    let rate = rate(&mut section, MOST_PER_S, findings);
    let peers = peers(&mut section, least, findings);
    let size_of = size(&mut section, "size", 64, LARGEST, findings);
    let answer = size(&mut section, "answer", 256, LARGEST, findings);
    section.finish(findings);
    Some(Requests { rate: rate?, peers: peers?, size: size_of?, answer: answer? })
}

/// The table `streams`.
pub(super) fn streams(
    root: &mut Section<'_, '_>,
    least: u32,
    findings: &mut Findings<'_>,
) -> Option<Streams> {
    let mut section = root.section("streams", findings);
    if !section.is_given() {
        return None;
    }
    let rate = rate(&mut section, MOST_PER_S, findings);
    let agents = section.number("agents", 1..=65_536, findings);
    if let Some(agents) = agents.as_ref().filter(|agents| agents.value > u64::from(least)) {
        let text = format!("the smallest group has {least} agents");
        findings.add(&agents.span, "streams.agents", text, "let fewer agents stream");
    }
    let size = size(&mut section, "size", 1_000, LARGEST, findings);
    section.finish(findings);
    let agents = u32::try_from(agents.map_or(1, |agents| agents.value)).ok();
    Some(Streams { agents: agents?, rate: rate?, size: size? })
}

/// The table `messages`.
pub(super) fn messages(
    root: &mut Section<'_, '_>,
    least: u32,
    mtu: u64,
    findings: &mut Findings<'_>,
) -> Option<Messages> {
    let mut section = root.section("messages", findings);
    if !section.is_given() {
        return None;
    }
    let rate = rate(&mut section, MOST_PER_S, findings);
    let peers = peers(&mut section, least, findings);
    // A stack here does not fragment.
    let size = size(&mut section, "size", 64, mtu - UDP_HEADERS, findings);
    section.finish(findings);
    Some(Messages { rate: rate?, peers: peers?, size: size? })
}

/// The table `moves`.
pub(super) fn moves(root: &mut Section<'_, '_>, places: usize, findings: &mut Findings<'_>) -> Option<f64> {
    let mut section = root.section("moves", findings);
    if !section.is_given() {
        return None;
    }
    let rate = rate(&mut section, 1_000.0, findings);
    if places == 1 {
        findings.add(&section.span(), "moves", "there is one place only", "add another `[[place]]`");
    }
    section.finish(findings);
    rate
}
