//! The accounts: every gateway's books, its frames, and the witness beside them.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::gateway::books::{Books, Scope};
use crate::gateway::plan::GatewayPlan;
use crate::gateway::process::Gateway;
use crate::relay::Relay;
use crate::relay::books::Counts;
use crate::report::Table;
use crate::site::{Family, GROUPS, Host, Site};
use crate::traffic::ledger::Tally;
use crate::traffic::probe::{Probe, ProbePlan, Via};
use crate::underlay::CORE;
use crate::wiring::interface_counters;
use crate::witness::capture::Testimony;
use crate::witness::judge::{Verdict, judge};

use super::{Outcome, Run};

/// The instance-ID that the negative control gives to group 200.
const OTHER_IID: u32 = 201;

/// With another instance-ID than the hosts name in their payloads the witness must protest, though both
/// gateways agree and every packet arrives.
pub(super) fn adjust(plan: &mut GatewayPlan, negative: bool) {
    if negative {
        let iids =
            plan.groups.iter_mut().map(|g| &mut g.iid).chain(plan.mappings.iter_mut().map(|m| &mut m.iid));
        for iid in iids.filter(|iid| **iid == GROUPS[1]) {
            *iid = OTHER_IID;
        }
    }
}

/// Mixed traffic: pings of several sizes, both groups, both families.
pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    let mut probes = Vec::new();
    for (number, size) in [(1, 64), (2, 700), (3, 1300), (4, 1400)] {
        let (from, to) = (Host::new(Site::A, number), Host::new(Site::B, number));
        for inner in Family::BOTH {
            for outer in Family::BOTH {
                let plan = ProbePlan {
                    source: from.eid(inner, outer),
                    target: to.eid(inner, outer),
                    via: Via::Icmp,
                    group: from.iid(),
                    answerer: None,
                    rate: 200,
                    count: Some(200),
                    size,
                };
                probes.push(Probe::start(&run.lab.host(from), plan)?);
            }
        }
    }
    let mut sum = Tally::default();
    for probe in probes {
        sum += probe.finish()?;
    }
    run.count(&sum);
    Ok(Outcome::new(sum.is_perfect(), format!("pings of 64 to 1400 bytes, 16 streams: {sum}")))
}

/// The last step of every scenario: counters, balance, frames, witness.
pub(super) fn settle(run: &mut Run<'_>) -> Result<Outcome> {
    if let Some(witness) = run.lab.witness() {
        witness.settle()?;
    }
    // The witness is heard whatever the gateways say, and also when one of them says nothing.
    let books = read_books(run);
    let testimony = run.lab.testify()?;
    let verdict = testimony.as_ref().map(judge).transpose()?.unwrap_or_default();
    match &books {
        Ok(books) => {
            show_ports(run, books);
            show_drops(run)?;
            show_balance(run, books);
        }
        // Not at rest, or not all of them: what there is helps whoever looks for the reason.
        Err(_) => {
            show_ports(run, &unsettled_books(run));
            show_drops(run)?;
        }
    }
    show_roles(run);
    if let Some(testimony) = &testimony {
        show_witness(run, testimony, &verdict)?;
    }
    show_relays(run);
    let whole = run.lab.gateways().iter().all(Gateway::counted_from_the_start);
    let sent: u64 = books?.iter().map(|(_, books)| books.sum("rloc", TX)).sum();
    Ok(verdict_of(run, sent, whole))
}

/// The books of the userspace relays: what they did not relay was meant so, and nothing is unaccounted for.
fn show_relays(run: &mut Run<'_>) {
    let relays = run.lab.relays().map(|relay| (relay.ports()[0].clone(), relay.counts()));
    let cable = run.lab.cable().map(|cable| ("cable".to_owned(), cable.counts()));
    let header = [
        "relay",
        "received",
        "doubled",
        "sent",
        "lost",
        "cut",
        "flapped",
        "choked",
        "overflow",
        "refused",
        "waiting",
        "error",
        "reordered",
        "corrupted",
    ];
    let mut table = Table::new("userspace relays, frames", &header);
    let mut sum = Counts::default();
    for (name, counts) in relays.chain(cable) {
        let c = counts;
        let numbers = [
            c.received,
            c.doubled,
            c.sent,
            c.lost,
            c.cut,
            c.flapped,
            c.choked,
            c.overflow,
            c.refused,
            c.waiting,
            c.error(),
            c.reordered,
            c.corrupted,
        ];
        table.row(std::iter::once(name).chain(numbers.map(|number| number.to_string())).collect());
        sum += counts;
    }
    if !table.rows.is_empty() {
        run.figure("relay_frames", sum.received);
        run.figure("relay_lost_by_intent", sum.lost + sum.cut + sum.flapped + sum.choked);
        run.figure("relay_error", sum.error() + sum.overflow);
        run.table(&table);
    }
}

fn read_books(run: &Run<'_>) -> Result<Vec<(Site, Books)>> {
    run.lab.gateways().iter().map(|gateway| Ok((gateway.plan.site, gateway.books_at_rest()?))).collect()
}

fn unsettled_books(run: &Run<'_>) -> Vec<(Site, Books)> {
    let gateways = run.lab.gateways().iter();
    gateways.filter_map(|gateway| Some((gateway.plan.site, gateway.books().ok()?))).collect()
}

/// The gateways' counter of frames sent.
const TX: &str = "tx_packets";

fn verdict_of(run: &mut Run<'_>, sent: u64, whole: bool) -> Outcome {
    let figures = &run.figures;
    let relayed: Counts = run.lab.relays().map(Relay::counts).sum();
    // After a restart the gateways' counters begin anew, and only the witness knows the sum. What a relay lost
    // between a gateway and the core was not seen there, and what it doubled was seen twice.
    let seen = figures.lisp_packets;
    let agree = !whole || seen <= sent + relayed.doubled && sent <= seen + relayed.not_relayed();
    // Kernels complain of damaged packets alone.
    let complaints = run.complaints <= relayed.corrupted;
    let seen = if run.lab.gateways().is_empty() { figures.control_packets } else { figures.lisp_packets };
    let ok = figures.balance_error == 0
        && figures.frames_leaked == 0
        && seen > 0
        && relayed.error() + relayed.overflow == 0
        && figures.clear_packets + figures.wrong_iid_packets + figures.malformed == 0
        && agree
        && complaints;
    let detail = format!(
        "balance error {}, frames leaked {}; witness: {} LISP packets ({}), {} control messages, {} in the clear, {} \
         with a wrong instance-ID, {} of the {} that tshark judged malformed",
        figures.balance_error,
        figures.frames_leaked,
        figures.lisp_packets,
        if !whole {
            "a dataplane was restarted".to_owned()
        } else if agree {
            "as many as the gateways sent".to_owned()
        } else {
            format!("but the gateways say they sent {sent}")
        },
        figures.control_packets,
        figures.clear_packets,
        figures.wrong_iid_packets,
        figures.malformed,
        figures.judged_by_tshark
    );
    if whole {
        run.figure("lisp_sent_by_gateways", sent);
    }
    Outcome::new(ok, detail)
}

/// What the LISP roles did and refused.
fn show_roles(run: &mut Run<'_>) {
    let mut table = Table::new("LISP roles: counters that moved", &["who", "counter", "count"]);
    let gateways = run.lab.gateways().iter().map(|gateway| (gateway.plan.site.gateway(), gateway.api()));
    let server = run.lab.map_server().map(|server| ("ms".to_owned(), server.api()));
    for (name, api) in gateways.chain(server) {
        let Ok(told) = api.get("/v1/lisp/counters") else { continue };
        for role in ["socket", "dispatch", "plane", "itr", "etr", "context", "server"] {
            for (counter, count) in told[role].as_object().into_iter().flatten().filter(|(_, n)| **n != 0) {
                table.row(vec![format!("{name} {role}"), counter.clone(), count.to_string()]);
            }
        }
    }
    if !table.rows.is_empty() {
        run.table(&table);
    }
}

/// A row per counter that moved, a column per port.
fn show_ports(run: &mut Run<'_>, books: &[(Site, Books)]) {
    let scopes: Vec<(String, &Scope)> = books
        .iter()
        .flat_map(|(site, books)| books.scopes.iter().map(|scope| (site.gateway(), scope)))
        .collect();
    let heads: Vec<String> =
        scopes.iter().map(|(gateway, scope)| format!("{gateway}:{}", scope.port)).collect();
    let mut header = vec!["counter"];
    header.extend(heads.iter().map(String::as_str));
    let mut table = Table::new("every port's counters (those that moved)", &header);
    let names: BTreeSet<&String> = scopes
        .iter()
        .flat_map(|(_, scope)| scope.counters.iter().filter(|(_, n)| **n > 0).map(|(n, _)| n))
        .collect();
    for name in names {
        let mut row = vec![name.clone()];
        row.extend(scopes.iter().map(|(_, scope)| scope.get(name).to_string()));
        table.row(row);
    }
    run.table(&table);
}

fn show_drops(run: &mut Run<'_>) -> Result<()> {
    let mut table = Table::new("drops by reason", &["gateway", "port", "reason", "packets"]);
    for gateway in run.lab.gateways() {
        for drop in gateway.drops()? {
            table.row(vec![gateway.plan.site.gateway(), drop.port, drop.reason, drop.count.to_string()]);
        }
    }
    if table.rows.is_empty() {
        table.row(vec!["both".to_owned(), "all".to_owned(), "none".to_owned(), "0".to_owned()]);
    }
    run.table(&table);
    Ok(())
}

fn show_balance(run: &mut Run<'_>, books: &[(Site, Books)]) {
    let header =
        ["gateway", "rx", "made", "tx", "punted", "held", "dropped", "error", "frames", "frames leaked"];
    let mut table = Table::new("balance: rx + made = tx + punted + held + dropped", &header);
    for (site, books) in books {
        let b = books.balance;
        // Not the gateway's word alone: added up here once more, from every port's own counters.
        let error = books.recounted_error();
        let worst = error.unsigned_abs().max(b.error.unsigned_abs());
        run.figures.balance_error += worst;
        run.figures.frames_leaked += books.frames_leaked();
        let mut row = vec![site.gateway()];
        row.extend([b.rx, b.made, b.tx, b.punted, b.held, b.dropped].map(|count| count.to_string()));
        row.extend([error.to_string(), books.frames_total().to_string(), books.frames_leaked().to_string()]);
        table.row(row);
    }
    run.table(&table);
}

fn show_witness(run: &mut Run<'_>, testimony: &Testimony, verdict: &Verdict) -> Result<()> {
    let seen = &testimony.sightings;
    run.figures.lisp_packets = seen.lisp;
    run.figures.control_packets = seen.control;
    run.figures.clear_packets = seen.clear;
    run.complaints = seen.complaints;
    run.figures.wrong_iid_packets = seen.wrong_iid;
    run.figures.malformed = verdict.malformed;
    run.figures.judged_by_tshark = verdict.judged;
    let mut table = Table::new("the witness in the underlay (tcpdump, tshark), frames", &["what", "count"]);
    for (iid, count) in &seen.iids {
        table.row(vec![format!("LISP with instance-ID {iid}"), count.to_string()]);
    }
    for (address, count) in &seen.to {
        table.row(vec![format!("LISP to {address}"), count.to_string()]);
    }
    for (who, book) in [("gateways", &seen.from_gateways), ("the Map-Server", &seen.from_map_server)] {
        for (kind, count) in book {
            table.row(vec![format!("control from {who}: {kind:?}"), count.to_string()]);
        }
    }
    table.row(vec!["LISP from an outsider".to_owned(), seen.outside.to_string()]);
    table.row(vec!["neighbour talk of kernels".to_owned(), seen.neighbour.to_string()]);
    table.row(vec!["kernels' complaints of damage".to_owned(), seen.complaints.to_string()]);
    table.row(vec!["in the clear".to_owned(), seen.clear.to_string()]);
    for (name, counters) in interface_counters(&run.lab.namespace(CORE))? {
        if counters.rx_packets > 0 {
            table.row(vec![format!("kernel: received on {name}"), counters.rx_packets.to_string()]);
            table.row(vec![format!("kernel: dropped on {name}"), counters.rx_dropped.to_string()]);
        }
    }
    run.table(&table);
    Ok(())
}
