//! UDP at a stated rate, one way, with a sink that keeps account.

use crate::error::Result;
use crate::site::{Family, Host, Site, anycast_gateway};
use crate::traffic::probe::{Probe, ProbePlan, Via};
use crate::traffic::stream::{Stream, StreamPlan};

use super::{Outcome, Run};

/// Packets per second.
const RATE: u32 = 10_000;
/// Two seconds of them.
const COUNT: u64 = 20_000;
/// Payload bytes.
const SIZE: usize = 1000;

pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    let (from, to) = (Host::new(Site::B, 1), Host::new(Site::A, 2));
    // The sender's kernel knows its gateway before the stream begins; the sink, run alone, has never spoken, so
    // that the far gateway holds what comes first until it has found it, and may neither lose nor reorder it.
    let first = ProbePlan {
        source: from.eid(Family::V6, Family::V6),
        target: anycast_gateway(Family::V6).0,
        via: Via::Icmp,
        group: from.iid(),
        answerer: None,
        rate: 100,
        count: Some(1),
        size: 56,
    };
    run.count(&Probe::start(&run.lab.host(from), first)?.finish()?);
    let plan = StreamPlan {
        source: from.eid(Family::V6, Family::V6),
        target: to.eid(Family::V6, Family::V6),
        port: 5002,
        group: from.iid(),
        rate: RATE,
        count: Some(COUNT),
        size: SIZE,
    };
    let (tally, took) = Stream::start(&run.lab.host(from), &run.lab.host(to), plan)?.finish()?;
    run.count(&tally);
    let seconds = took.as_secs_f64();
    let rate = tally.offered as f64 / seconds;
    run.figure("udp_rate_pps", rate.round());
    // A sender that could not keep its rate has not shown what it stated.
    let on_time = rate > f64::from(RATE) * 0.98;
    Ok(Outcome::new(
        tally.is_perfect() && on_time,
        format!(
            "{} -> {}: {RATE} packets/s of {SIZE} bytes stated, {rate:.0} sent for {seconds:.1} s; {tally}; \
             delay median {:.2} ms, 99 % {:.2} ms",
            from.name(),
            to.name(),
            f64::from(tally.delay_p50_us) / 1000.0,
            f64::from(tally.delay_p99_us) / 1000.0
        ),
    ))
}
