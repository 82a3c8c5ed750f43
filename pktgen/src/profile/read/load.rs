//! How much, how fast, in which order.

use super::super::finding::Findings;
use super::super::section::{Section, integer};
use super::super::{Flows, Order, Replay};

/// The rate: `Some(None)` is as fast as it goes.
pub(super) fn rate(
    root: &mut Section<'_, '_>,
    replay: Option<&Replay>,
    findings: &mut Findings<'_>,
) -> Option<Option<u64>> {
    const HELP: &str = "give packets per second from 1 to 1_000_000_000, or \"max\"";
    let own_times = replay.is_some_and(|replay| replay.keep_times);
    let Some(value) = root.value("rate") else {
        if !own_times {
            findings.add(&(0..0), "rate", "this key is missing", HELP);
        }
        return Some(None);
    };
    if own_times {
        let help = "remove it, or set replay.keep_times = false";
        findings.add(&value.span(), "rate", "a replay at its own times has no rate", help);
    }
    if value.get_ref().as_str() == Some("max") {
        return Some(None);
    }
    let rate = integer(value).filter(|rate| (1..=1_000_000_000).contains(rate));
    if rate.is_none() {
        findings.add(&value.span(), "rate", "this is not a rate", HELP);
    }
    rate.map(Some)
}

/// The flows.
pub(super) fn flows(root: &mut Section<'_, '_>, findings: &mut Findings<'_>) -> Option<Flows> {
    let mut section = root.section("flows", findings);
    let count = section.number("count", 1..=60_000, findings);
    let first = section.number("first_port", 1..=65_535, findings);
    let (flows, port) = (count.as_ref().map_or(1, |n| n.value), first.as_ref().map_or(4_096, |n| n.value));
    if flows + port > 65_536 {
        let span = count.map_or(0..0, |count| count.span);
        let text = format!("{flows} ports from {port} on run over 65535");
        findings.add(&span, "flows.count", text, "use fewer, or a lower first_port");
    }
    section.finish(findings);
    Some(Flows { count: u16::try_from(flows).ok()?, first_port: u16::try_from(port).ok()? })
}

/// The order of the destinations.
pub(super) fn order(eids: &mut Section<'_, '_>, findings: &mut Findings<'_>) -> Option<Order> {
    let name = eids.text("order", findings);
    let exponent = eids.fraction("exponent", 0.01..=10.0, findings);
    let order = match name.as_ref().map_or("sequence", |name| &name.value) {
        "sequence" => Order::Sequence,
        "uniform" => Order::Uniform,
        "zipf" => Order::Zipf(exponent.as_ref().map_or(1.1, |exponent| exponent.value)),
        other => {
            let span = name.as_ref().map_or(0..0, |name| name.span.clone());
            let text = format!("there is no order `{other}`");
            findings.add(&span, "eids.order", text, "use \"sequence\", \"uniform\" or \"zipf\"");
            return None;
        }
    };
    if let (Some(exponent), Order::Sequence | Order::Uniform) = (&exponent, order) {
        let help = "remove it, or set order = \"zipf\"";
        findings.add(&exponent.span, "eids.exponent", "only the order zipf has an exponent", help);
    }
    Some(order)
}
