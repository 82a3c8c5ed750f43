//! What left against what should have, and what was counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use sterna_shm::{Kind, ScopeView};

use super::case::Case;
use super::gateway::Outcome;

/// Everything that is wrong with a run, a line each.
pub fn judge(case: &Case, outcome: &Outcome) -> Vec<String> {
    let mut problems = Vec::new();
    let mut choices = Choices::default();
    for (scope, sent) in outcome.scopes.iter().zip(&outcome.sent) {
        let expected = &case.expected[&scope.port_name];
        judge_port(&scope.port_name, expected, sent, &mut choices, &mut problems);
        judge_counters(case, scope, &mut problems);
    }
    if outcome.balance.error != 0 {
        problems.push(format!("the counters do not balance: {:?}", outcome.balance));
    }
    if outcome.leaked.iter().any(|leaked| *leaked != 0) {
        problems.push(format!("frames leaked, by port: {:?}", outcome.leaked));
    }
    problems
}

fn judge_port(
    port: &str,
    expected: &[Vec<u8>],
    sent: &[Vec<u8>],
    choices: &mut Choices,
    problems: &mut Vec<String>,
) {
    for (at, (expected, sent)) in expected.iter().zip(sent).enumerate() {
        let mut plain = sent.clone();
        if let Err(problem) = choices.take_out(expected, &mut plain) {
            problems.push(format!("{port} packet {at}: {problem}"));
        }
        if plain != *expected {
            problems.push(format!("{port} packet {at}: {}", difference(expected, &plain)));
        }
    }
    let (more, fewer) = (sent.get(expected.len()), expected.get(sent.len()));
    if more.or(fewer).is_some() {
        problems.push(format!("{port}: {} packets left, {} should have", sent.len(), expected.len()));
    }
    problems.extend(more.map(|frame| format!("{port}: the first of too many is {}", hex(frame))));
    problems.extend(fewer.map(|frame| format!("{port}: the first that is missing is {}", hex(frame))));
}

fn difference(expected: &[u8], sent: &[u8]) -> String {
    let same = expected.iter().zip(sent).take_while(|(a, b)| a == b).count();
    format!("differs from byte {same} on\n      expected {}\n      sent     {}", hex(expected), hex(sent))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().enumerate().fold(String::new(), |mut text, (at, byte)| {
        let gap = if at > 0 && at % 2 == 0 { " " } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{gap}{byte:02x}");
        text
    })
}

//------------ Free choices ----------------------------------------------------------------------------------

const ETHERNET: usize = 14;
const LISP_PORT: [u8; 2] = [0x10, 0xf5];
/// UDP and LISP headers.
const SHIM: usize = 16;

/// Where the outer UDP header of a tunnel packet begins.
fn outer_udp(frame: &[u8]) -> Option<usize> {
    let udp = match (frame.get(12..14)?, frame.get(ETHERNET)?) {
        ([0x08, 0x00], first) => ETHERNET + usize::from(first & 15) * 4,
        ([0x86, 0xdd], _) => ETHERNET + 40,
        _ => return None,
    };
    (frame.get(udp + 2..udp + 4)? == LISP_PORT).then_some(udp)
}

/// What the sender chose in the packets seen so far.
#[derive(Default)]
struct Choices {
    /// By flow: source port and flow label.
    entropies: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Identifications of outer headers that may be fragmented.
    identifications: BTreeSet<[u8; 2]>,
}

impl Choices {
    /// Where the expected tunnel packet leaves a field open, clears it in the sent one too, after a look at it.
    fn take_out(&mut self, expected: &[u8], sent: &mut [u8]) -> Result<(), String> {
        let Some(udp) = outer_udp(expected) else {
            return Ok(());
        };
        if outer_udp(sent) != Some(udp) {
            return Ok(());
        }
        self.identification(expected, sent)?;
        let entropy = [port(udp, expected, sent)?, label(expected, sent)].concat();
        let mut flow = expected[12..14].to_vec();
        flow.extend(flow_of(&expected[udp + SHIM..]));
        let first = self.entropies.entry(flow).or_insert_with(|| entropy.clone());
        if *first == entropy { Ok(()) } else { Err("another packet of this flow took another way".into()) }
    }

    fn identification(&mut self, expected: &[u8], sent: &mut [u8]) -> Result<(), String> {
        let (expected, sent) = (&expected[ETHERNET..], &mut sent[ETHERNET..]);
        if expected[0] >> 4 != 4 || expected[4..8] != [0; 4] {
            return Ok(());
        }
        let words = sent[..20].chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
        if words.sum::<u32>() % 0xffff != 0 {
            return Err("the outer header checksum is wrong".into());
        }
        let own = self.identifications.insert([sent[4], sent[5]]);
        // Checked above; the expected checksum is the one for zero.
        sent[4..6].fill(0);
        sent[10..12].copy_from_slice(&expected[10..12]);
        if own { Ok(()) } else { Err("the outer identification was used before".into()) }
    }
}

/// The source port, where it is the sender's choice.
fn port(udp: usize, expected: &[u8], sent: &mut [u8]) -> Result<Vec<u8>, String> {
    if expected[udp..udp + 2] != [0, 0] {
        return Ok(vec![]);
    }
    let port = [sent[udp], sent[udp + 1]];
    sent[udp..udp + 2].fill(0);
    match u16::from_be_bytes(port) {
        49152.. => Ok(port.to_vec()),
        port => Err(format!("the outer source port {port} is not an ephemeral one")),
    }
}

/// The flow label, where it is the sender's choice.
fn label(expected: &[u8], sent: &mut [u8]) -> Vec<u8> {
    let (expected, sent) = (&expected[ETHERNET..], &mut sent[ETHERNET..]);
    if expected[0] >> 4 != 6 || expected[1] & 15 != 0 || expected[2..4] != [0, 0] {
        return vec![];
    }
    let label = vec![sent[1] & 15, sent[2], sent[3]];
    sent[1] &= 0xf0;
    sent[2..4].fill(0);
    label
}

/// What packets of one flow have in common: addresses with protocol and ports, or with the datagram's number.
fn flow_of(inner: &[u8]) -> Vec<u8> {
    let part = |from: usize, to: usize| inner.get(from..to).unwrap_or_default().to_vec();
    let ports = |protocol: u8, at: usize| {
        if matches!(protocol, 6 | 17) { part(at, at + 4) } else { vec![] }
    };
    match inner.first().map(|first| first >> 4) {
        Some(4) => {
            let fragment = u16::from_be_bytes([inner[6], inner[7]]) & 0x3fff != 0;
            let header = usize::from(inner[0] & 15) * 4;
            let rest = if fragment { part(4, 6) } else { [part(9, 10), ports(inner[9], header)].concat() };
            [part(12, 20), rest].concat()
        }
        Some(6) => {
            let rest = if inner[6] == 44 { part(44, 48) } else { ports(inner[6], 40) };
            [part(1, 4), part(6, 7), part(8, 40), rest].concat()
        }
        _ => inner.to_vec(),
    }
}

//------------ Counters --------------------------------------------------------------------------------------

/// Listed counters have their value; of the others those that tell a packet's end are zero.
fn judge_counters(case: &Case, scope: &ScopeView, problems: &mut Vec<String>) {
    let port = &scope.port_name;
    let listed = case.counters.get(port).cloned().unwrap_or_default();
    for name in listed.keys().filter(|name| scope.value(name).is_none()) {
        problems.push(format!("{port}: there is no counter {name}"));
    }
    let arrived = case.arrivals.iter().filter(|arrival| arrival.port == usize::from(scope.port)).count();
    for counter in &scope.values {
        let implied = match counter.kind {
            Kind::Rx => Some(arrived as u64),
            Kind::Tx => Some(case.expected[port].len() as u64),
            Kind::Made | Kind::Punt | Kind::Drop | Kind::Held => Some(0),
            Kind::Info | Kind::Gauge => None,
        };
        let expected = listed.get(&*counter.name).copied().or(implied);
        if expected.is_some_and(|expected| expected != counter.value) {
            let expected = expected.unwrap_or_default();
            problems.push(format!("{port}: {} is {}, should be {expected}", counter.name, counter.value));
        }
    }
}
