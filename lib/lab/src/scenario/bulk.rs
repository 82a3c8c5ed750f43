//! Several TCP transfers at once.

use crate::error::Result;
use crate::site::{Family, Host, Site};
use crate::traffic::transfer::{Transfer, TransferPlan};

use super::{Outcome, Run};

/// Bytes of each.
const BYTES: u64 = 25_000_000;

pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    let flows = [
        (Host::new(Site::A, 1), Host::new(Site::B, 1), Family::V4, Family::V6),
        (Host::new(Site::B, 2), Host::new(Site::A, 2), Family::V6, Family::V4),
        (Host::new(Site::A, 3), Host::new(Site::B, 3), Family::V6, Family::V6),
        (Host::new(Site::B, 4), Host::new(Site::A, 4), Family::V4, Family::V4),
    ];
    let mut transfers = Vec::new();
    for (port, (from, to, inner, outer)) in (5010..).zip(flows) {
        let plan = TransferPlan {
            source: from.eid(inner, outer),
            target: to.eid(inner, outer),
            port,
            bytes: BYTES,
            pace: None,
        };
        transfers.push(Transfer::start(&run.lab.host(from), &run.lab.host(to), plan)?);
    }
    let mut seen = Vec::new();
    let (mut ok, mut bytes) = (true, 0);
    // Every transfer is waited for, so that none runs on into the accounts.
    let ended: Vec<_> = transfers.into_iter().map(Transfer::finish).collect();
    for (done, (from, to, ..)) in ended.into_iter().zip(flows) {
        let done = done?;
        let whole = done.matches() && done.received == BYTES;
        run.figures.add_transfer(whole);
        ok &= whole;
        bytes += done.received;
        seen.push(format!("{} -> {} {} Mbit/s", from.name(), to.name(), done.mbit_per_second()));
    }
    run.figure("tcp_bytes", bytes);
    run.figure("tcp_digests_match", ok);
    Ok(Outcome::new(
        ok,
        format!("{bytes} bytes, digests {}: {}", if ok { "the same" } else { "DIFFERENT" }, seen.join(", ")),
    ))
}
