//! The accounts: every gateway's books, its frames, and the witness beside them.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::gateway::books::{Books, Scope};
use crate::gateway::plan::GatewayPlan;
use crate::gateway::process::Gateway;
use crate::report::Table;
use crate::traffic::ledger::Tally;
use crate::traffic::probe::{Probe, ProbePlan, Via};
use crate::two_sites::{CORE, Family, GROUPS, Host, Site};
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
    if let Ok(books) = &books {
        show_ports(run, books);
        show_drops(run)?;
        show_balance(run, books);
    }
    if let Some(testimony) = &testimony {
        show_witness(run, testimony, &verdict)?;
    }
    let whole = run.lab.gateways().iter().all(Gateway::counted_from_the_start);
    let sent: u64 = books?.iter().map(|(_, books)| books.sum("rloc", TX)).sum();
    Ok(verdict_of(run, sent, whole))
}

fn read_books(run: &Run<'_>) -> Result<Vec<(Site, Books)>> {
    run.lab.gateways().iter().map(|gateway| Ok((gateway.plan.site, gateway.books_at_rest()?))).collect()
}

/// The gateways' counter of frames sent.
const TX: &str = "tx_packets";

fn verdict_of(run: &mut Run<'_>, sent: u64, whole: bool) -> Outcome {
    let figures = &run.figures;
    // After a restart the gateways' counters begin anew, and only the witness knows the sum.
    let agree = !whole || sent == figures.lisp_packets;
    let ok = figures.balance_error == 0
        && figures.frames_leaked == 0
        && figures.lisp_packets > 0
        && figures.clear_packets + figures.wrong_iid_packets + figures.malformed == 0
        && agree;
    let detail = format!(
        "balance error {}, frames leaked {}; witness: {} LISP packets ({}), {} in the clear, {} with a wrong \
         instance-ID, {} of the {} that tshark judged malformed",
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
    run.figures.clear_packets = seen.clear;
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
    table.row(vec!["neighbour talk of kernels".to_owned(), seen.neighbour.to_string()]);
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
