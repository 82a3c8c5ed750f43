//! A site with two locators: shares by weight, failover when one link is cut, none when only the far control plane dies.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::error::Result;
use crate::gateway::plan::GatewayPlan;
use crate::gateway::process::Plane;
use crate::interrupt;
use crate::site::{Family, GROUPS, Host, Site};
use crate::traffic::fan::{Fan, FanPlan};
use crate::traffic::stream::{Stream, StreamPlan};
use crate::underlay::rloc;
use crate::witness::capture::Witness;
use crate::witness::tally::{Flow, Followed};

use super::agents::{STATIC_PREFIXES, greet, wait_registered};
use super::run::no_gateway;
use super::{Outcome, Run};

/// Ports on either side: 10,000 flows.
const WIDTH: u16 = 100;
/// First of the sender's ports; the sink's follow.
const FIRST: u16 = 20_000;
/// Packets per second, all flows together.
const RATE: u32 = 10_000;
/// Packets per second the other way: the far site's own traffic shows that it is alive.
const BACK: u32 = 500;
/// Weights of site B's two locators.
const WEIGHTS: [u8; 2] = [75, 25];
/// How far the share of a locator may be off.
const ALLOWED: f64 = 0.02;
/// Ten times what a failover may take.
const TEN_TIMES_FAILOVER: Duration = Duration::from_secs(10);
/// How long the cut lasts: by then a failover is over.
const CUT: Duration = Duration::from_secs(3);
/// A locator that went out of use is asked again every 10 s at the latest: by then the mended link is found again.
const FOUND_AGAIN: Duration = Duration::from_secs(15);
/// How long the far control plane stays dead: several times the misses that take a locator out of use.
const DEAD: Duration = Duration::from_millis(2500);
/// How long the traffic goes on when it is back: one locator may answer before the other.
const ALIVE_AGAIN: Duration = Duration::from_millis(1500);

/// Both of site B's locators are as good, with different weights; the negative control registers one only.
pub(super) fn adjust(plan: &mut GatewayPlan, negative: bool) {
    plan.rlocs.retain(|own| own.address.is_ipv4());
    for own in &mut plan.rlocs {
        let link = usize::from(own.port == "rloc1");
        own.priority = 1;
        own.weight = if plan.site == Site::B { WEIGHTS[link] } else { 50 };
    }
    if negative && plan.site == Site::B {
        plan.rlocs.retain(|own| own.port == "rloc0");
    }
}

/// Per flow the locators that it took, one after the other.
type Paths = HashMap<Flow, Vec<IpAddr>>;

/// The flows that count and the traffic back.
struct Traffic {
    there: Fan,
    back: Stream,
}

impl Traffic {
    fn start(run: &Run<'_>, rounds: Option<u64>) -> Result<Self> {
        let (a, b) = (Host::new(Site::A, 1), Host::new(Site::B, 1));
        let (from, to) = (a.eid(Family::V4, Family::V4), b.eid(Family::V4, Family::V4));
        let mut plan = FanPlan::over_ports(from, to, WIDTH, FIRST);
        (plan.group, plan.rate, plan.rounds) = (GROUPS[0], RATE, rounds);
        let back = StreamPlan {
            source: to,
            target: from,
            port: 5301,
            group: GROUPS[0],
            rate: BACK,
            count: None,
            size: 64,
        };
        Ok(Self {
            back: Stream::start(&run.lab.host(b), &run.lab.host(a), back)?,
            there: Fan::start(&run.lab.host(a), &run.lab.host(b), plan)?,
        })
    }

    /// Ends both; lost and otherwise faulty packets.
    fn end(self, run: &mut Run<'_>, finish: bool) -> Result<(u64, u64)> {
        let there = if finish { self.there.finish() } else { self.there.stop() };
        let (ledger, sent) = self.back.stop()?;
        let (there, back) = (there?.tally, ledger.close(sent));
        run.count(&there);
        run.count(&back);
        let faults =
            |t: &crate::traffic::ledger::Tally| t.duplicated + t.corrupted + t.strayed + t.wrong_peer;
        Ok((there.lost + back.lost, faults(&there) + faults(&back)))
    }
}

/// One packet of each flow: which locator did it take?
pub(super) fn shares(run: &mut Run<'_>) -> Result<Outcome> {
    let (a, b) = (Host::new(Site::A, 1), Host::new(Site::B, 1));
    wait_registered(&run.lab, STATIC_PREFIXES * 2)?;
    run.count(&greet(&run.lab, &[a, b])?);
    follow(run)?;
    let (lost, faults) = Traffic::start(run, Some(1))?.end(run, true)?;
    let flows = flows(witness(run)?)?;
    let took = |link| flows.values().filter(|path| path.first() == Some(&to_b(link))).count();
    let share = took(0) as f64 / flows.len().max(1) as f64;
    let wanted = f64::from(WEIGHTS[0]) / f64::from(WEIGHTS[0] + WEIGHTS[1]);
    let error = (share - wanted).abs();
    run.figure("flows", flows.len());
    run.figure("weight_error", error);
    Ok(Outcome::new(
        lost + faults == 0 && error <= ALLOWED && flows.len() == usize::from(WIDTH).pow(2),
        format!(
            "{} flows, weights {WEIGHTS:?}: {} took {} and {} took {}, {:.2} % off; {lost} lost",
            flows.len(),
            took(0),
            to_b(0),
            took(1),
            to_b(1),
            error * 100.0
        ),
    ))
}

/// The link under the heavier locator is cut in the middle of the underlay: neither end sees it.
pub(super) fn cut(run: &mut Run<'_>) -> Result<Outcome> {
    follow(run)?;
    let traffic = Traffic::start(run, None)?;
    // Every flow has its place before the cut.
    interrupt::sleep(Duration::from_secs(u64::from(WIDTH).pow(2) / u64::from(RATE)) * 3 / 2)?;
    let before = witness(run)?.followed().flows;
    let relay = run.lab.relay(Site::B, 0).ok_or_else(no_gateway)?;
    let cut_before = relay.counts().cut;
    let at = now();
    relay.cut(true);
    interrupt::sleep(CUT)?;
    let (lost, faults) = traffic.end(run, false)?;
    let seen = witness(run)?.settle()?;
    let after = flows(witness(run)?)?;
    let relay = run.lab.relay(Site::B, 0).ok_or_else(no_gateway)?;
    let at_the_cut = relay.counts().cut - cut_before;
    relay.cut(false);
    let again = found_again(run)?;
    let failover = seen.last_to.get(&to_b(0)).map_or(Duration::ZERO, |last| last.saturating_sub(at));
    let needlessly = moved_needlessly(&before, &after);
    let on_the_other = before.values().filter(|path| path.last() == Some(&to_b(1))).count();
    run.figure("failover_ms", u64::try_from(failover.as_millis()).unwrap_or(u64::MAX));
    run.figure("flows_moved_needlessly", needlessly);
    run.figure("lost_in_failover", lost);
    run.figure("lost_at_the_cut", at_the_cut);
    run.figure("back_in_use_ms", u64::try_from(again.as_millis()).unwrap_or(u64::MAX));
    let moved = after.values().filter(|path| path.last() == Some(&to_b(1))).count();
    Ok(Outcome::new(
        failover < TEN_TIMES_FAILOVER
            && moved == usize::from(WIDTH).pow(2)
            && on_the_other > 0
            && needlessly + usize::try_from(faults).unwrap_or(usize::MAX) == 0
            && lost <= at_the_cut,
        format!(
            "{} cut: the last packet went there {} ms later; {lost} lost, {at_the_cut} frames ended at the cut; {needlessly} \
             of the {on_the_other} flows on the other locator moved; in use again {} ms after the link was mended",
            to_b(0),
            failover.as_millis(),
            again.as_millis()
        ),
    ))
}

/// Waits until the gateway of site A uses the mended link again: the flows that return then move with good reason.
fn found_again(run: &Run<'_>) -> Result<Duration> {
    let (mended, api) = (Instant::now(), run.lab.gateway(Site::A).ok_or_else(no_gateway)?.api());
    interrupt::wait_for("the mended link in use", FOUND_AGAIN, || {
        let rows = api.get("/v1/locators")?;
        let mut rows = rows.as_array().into_iter().flatten();
        let row = rows.find(|row| row["address"] == to_b(0).to_string());
        Ok(row.filter(|row| row["reachable"] == true).map(|_| mended.elapsed()))
    })
}

/// Only the far control plane dies and comes back: probes stay unanswered, packets keep coming, and nothing moves.
pub(super) fn far_control_plane(run: &mut Run<'_>) -> Result<Outcome> {
    follow(run)?;
    let traffic = Traffic::start(run, None)?;
    interrupt::sleep(Duration::from_secs(u64::from(WIDTH).pow(2) / u64::from(RATE)) * 3 / 2)?;
    let before = witness(run)?.followed().flows;
    run.gateway_mut(Site::B)?.kill(Plane::Control)?;
    interrupt::sleep(DEAD)?;
    let gateway = run.gateway_mut(Site::B)?;
    gateway.start(Plane::Control)?;
    gateway.wait_ready()?;
    interrupt::sleep(ALIVE_AGAIN)?;
    let (lost, faults) = traffic.end(run, false)?;
    let after = flows(witness(run)?)?;
    let needlessly = before.iter().filter(|(flow, path)| after.get(flow) != Some(path)).count();
    run.figure("lost_without_far_control_plane", lost);
    run.figure("flows_moved_without_far_control_plane", needlessly);
    Ok(Outcome::new(
        lost + faults == 0 && needlessly == 0 && !before.is_empty(),
        format!(
            "dead for {} ms and back: {lost} lost, {needlessly} of {} flows moved",
            DEAD.as_millis(),
            before.len()
        ),
    ))
}

fn to_b(link: u8) -> IpAddr {
    rloc(Site::B, link, Family::V4)
}

fn witness<'r>(run: &'r Run<'_>) -> Result<&'r Witness> {
    run.lab.witness().ok_or_else(no_gateway)
}

fn follow(run: &Run<'_>) -> Result<()> {
    let ports = FIRST + WIDTH..FIRST + 2 * WIDTH;
    witness(run)?.follow(Followed { ports: Some(ports), ..Followed::default() });
    Ok(())
}

fn flows(witness: &Witness) -> Result<Paths> {
    witness.settle()?;
    Ok(witness.followed().flows)
}

/// Flows that left a locator which is not the one that was cut.
fn moved_needlessly(before: &Paths, after: &Paths) -> usize {
    let moved = |flow: &Flow, path: &[IpAddr]| {
        let old = before.get(flow).map_or(0, Vec::len);
        // What it was on last, and what it has been on since.
        let since = path.get(old.saturating_sub(1)..).unwrap_or_default();
        since.windows(2).any(|pair| pair[0] != to_b(0))
    };
    after.iter().filter(|(flow, path)| moved(flow, path)).count()
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_the_cut_locator_is_not_needless() {
        let paths = |path: &[u8]| HashMap::from([((1, 2), path.iter().map(|link| to_b(*link)).collect())]);
        assert_eq!(moved_needlessly(&paths(&[0]), &paths(&[0, 1])), 0);
        assert_eq!(moved_needlessly(&paths(&[1]), &paths(&[1])), 0);
        assert_eq!(moved_needlessly(&paths(&[1]), &paths(&[1, 0])), 1);
        assert_eq!(moved_needlessly(&paths(&[0]), &paths(&[0, 1, 0])), 1);
        // What happened before does not count.
        assert_eq!(moved_needlessly(&paths(&[1, 0]), &paths(&[1, 0, 1])), 0);
    }
}
