//! 100 MB over TCP between two agents.

use crate::error::Result;
use crate::site::{Family, Host, Site};
use crate::traffic::transfer::{Transfer, TransferPlan};

use super::{Outcome, Run};

const BYTES: u64 = 100_000_000;

pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    let (from, to) = (Host::new(Site::A, 1), Host::new(Site::B, 1));
    let plan = TransferPlan {
        source: from.eid(Family::V4, Family::V4),
        target: to.eid(Family::V4, Family::V4),
        port: 5001,
        bytes: BYTES,
        pace: None,
    };
    let done = Transfer::start(&run.lab.host(from), &run.lab.host(to), plan)?.finish()?;
    let whole = done.matches() && done.received == BYTES;
    run.figures.add_transfer(whole);
    run.figure("tcp_bytes", done.received);
    run.figure("tcp_mbit_s", done.mbit_per_second());
    run.figure("tcp_digests_match", done.matches());
    Ok(Outcome::new(
        whole,
        format!(
            "{} -> {}: {} bytes in {:.2} s ({} Mbit/s), SHA-256 {}... at both ends: {}",
            from.name(),
            to.name(),
            done.received,
            done.took.as_secs_f64(),
            done.mbit_per_second(),
            done.short_digest(),
            if done.matches() { "the same" } else { "DIFFERENT" }
        ),
    ))
}
