//! Two captures held against each other, packet by packet: what is missing, what is more, what differs and where first.
//!
//! Packets belong together by what they are to their ends: the innermost addresses, protocol and ports. Within such a
//! flow those that are the same are paired first, whatever their order; what is left is paired in order and differs, and
//! what then is still left is missing from the one or the other.

mod ignore;
mod told;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;

pub use ignore::Ignore;
pub use told::{Difference, Verdict};

use crate::layers;
use crate::pcap::{self, PcapError, Record};

/// What is compared, and how much is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What may differ.
    pub ignore: Vec<Ignore>,
    /// Only frames whose innermost packet is UDP.
    pub only_udp: bool,
    /// Another order is a difference too.
    pub order: bool,
    /// Differences that are told one by one.
    pub most: usize,
}

/// What a packet is to its ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flow {
    kind: u16,
    ends: Vec<u8>,
}

/// A frame of a capture, by the part that counts.
struct Frame {
    /// Its number in the file, from 1.
    number: usize,
    bytes: Vec<u8>,
}

/// Reads both captures and compares them.
///
/// # Errors
/// A capture that cannot be read, with the offset of the bad record.
pub fn files(a: &Path, b: &Path, rules: &Rules) -> Result<Verdict, PcapError> {
    Ok(records(&pcap::read(a)?, &pcap::read(b)?, rules))
}

/// Compares two captures.
pub fn records(a: &[Record], b: &[Record], rules: &Rules) -> Verdict {
    let (mut flows_a, compared_a) = by_flow(a, rules);
    let (mut flows_b, compared_b) = by_flow(b, rules);
    let mut verdict = Verdict { a: compared_a, b: compared_b, ..Verdict::default() };
    let mut order = Vec::new();
    for (flow, left) in &mut flows_a {
        let right = flows_b.remove(flow).unwrap_or_default();
        pair(std::mem::take(left), right, &mut verdict, &mut order);
    }
    for frame in flows_b.into_values().flatten() {
        verdict.extra(frame.number, &frame.bytes);
    }
    verdict.reordered = overtaken(order);
    verdict.finish(rules)
}

fn by_flow(records: &[Record], rules: &Rules) -> (BTreeMap<Flow, Vec<Frame>>, u64) {
    let (mut flows, mut compared) = (BTreeMap::<Flow, Vec<Frame>>::new(), 0);
    for (number, record) in (1..).zip(records) {
        let layers = layers::of(&record.bytes);
        if rules.only_udp && layers.last().is_none_or(|inner| inner.protocol != layers::UDP) {
            continue;
        }
        compared += 1;
        let mut bytes = record.bytes.clone();
        // Padding behind a short packet is the sender's whim.
        if let Some(outer) = layers.first() {
            bytes.truncate(outer.end);
        }
        ignore::clear(&rules.ignore, &layers, &mut bytes);
        flows.entry(flow(&record.bytes, &layers)).or_default().push(Frame { number, bytes });
    }
    (flows, compared)
}

/// Addresses, protocol and ports of the innermost packet.
fn flow(frame: &[u8], layers: &[layers::Layer]) -> Flow {
    let kind = layers::payload(frame).map_or(0, |(_, kind)| kind);
    let Some(inner) = layers.last() else { return Flow { kind, ends: Vec::new() } };
    let [(from, _), (_, to)] = inner.places();
    let mut ends = frame[from..to].to_vec();
    ends.push(inner.protocol);
    let whole = inner.fragment.is_none() && matches!(inner.protocol, layers::UDP | layers::TCP);
    if let Some(ports) = frame.get(inner.upper..inner.upper + 4).filter(|_| whole) {
        ends.extend(ports);
    }
    Flow { kind, ends }
}

fn pair(left: Vec<Frame>, right: Vec<Frame>, verdict: &mut Verdict, order: &mut Vec<(usize, usize)>) {
    let mut same: HashMap<&[u8], VecDeque<usize>> = HashMap::new();
    for (at, frame) in right.iter().enumerate() {
        same.entry(&frame.bytes).or_default().push_back(at);
    }
    let mut taken = vec![false; right.len()];
    let mut alone = Vec::new();
    for frame in &left {
        match same.get_mut(&frame.bytes[..]).and_then(VecDeque::pop_front) {
            Some(at) => {
                taken[at] = true;
                verdict.equal += 1;
                order.push((frame.number, right[at].number));
            }
            None => alone.push(frame),
        }
    }
    let mut others = right.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(frame, _)| frame);
    for frame in alone {
        match others.next() {
            Some(other) => verdict.different((frame.number, &frame.bytes), (other.number, &other.bytes)),
            None => verdict.missing(frame.number, &frame.bytes),
        }
    }
    others.for_each(|other| verdict.extra(other.number, &other.bytes));
}

/// Pairs of which the second capture has one earlier that the first one has later (RFC 4737 section 3).
fn overtaken(mut order: Vec<(usize, usize)>) -> u64 {
    order.sort_unstable();
    let mut highest = 0;
    order
        .into_iter()
        .filter(|(_, at)| {
            let late = *at < highest;
            highest = highest.max(*at);
            late
        })
        .count() as u64
}

#[cfg(test)]
mod test;
