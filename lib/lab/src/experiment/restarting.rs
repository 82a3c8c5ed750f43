//! What becomes of packets while a plane of the gateway that sends them into the tunnel is dead.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Accounts, absent, close};
use crate::error::Result;
use crate::gateway::process::Plane;
use crate::interrupt;
use crate::lab::{Adjust, Lab};
use crate::scenario::agents::{STATIC_PREFIXES, greet, wait_registered};
use crate::site::{Family, GROUPS, Host, Site};
use crate::topology::Topology;
use crate::traffic::episode::{Episode, Mark};
use crate::traffic::ledger::Tally;
use crate::traffic::passage::Passage;
use crate::traffic::stream::{Stream, StreamPlan};

const FROM: Host = Host::new(Site::A, 1);
const TO: Host = Host::new(Site::B, 1);
/// The sink's port.
const PORT: u16 = 5404;
/// Packets per second.
const RATE: u32 = 5000;
/// Payload bytes.
const SIZE: usize = 200;
/// What is shown of the time before the plane dies.
const BEFORE: Duration = Duration::from_millis(200);
/// How long it is dead.
const DEAD: Duration = Duration::from_millis(500);
/// How long packets go on when it is in sync again.
const AFTER: Duration = Duration::from_millis(500);

/// What was seen.
#[derive(Clone, Debug)]
pub struct Restarted {
    /// The packets around it.
    pub episode: Episode,
    /// The whole stream's account.
    pub stream: Tally,
    /// The gateways' balance and the lab's end.
    pub accounts: Accounts,
}

/// Kills a plane of site A's gateway under a stream to site B, and starts it again.
///
/// # Errors
/// When the machine cannot have a lab ([`crate::error::LabError::Missing`]), or the plane does not come back.
pub fn measure(plane: Plane) -> Result<Restarted> {
    let mut lab = Lab::build(Topology::MAPPED, Adjust { gateway: &|_| {}, server: &|_| {} })?;
    wait_registered(&lab, STATIC_PREFIXES * 2)?;
    greet(&lab, &[FROM, TO])?;
    let source = FROM.eid(Family::V4, Family::V4);
    let target = TO.eid(Family::V4, Family::V4);
    let plan =
        StreamPlan { source, target, port: PORT, group: GROUPS[0], rate: RATE, count: None, size: SIZE };
    let stream = Stream::start(&lab.host(FROM), &lab.host(TO), plan)?;
    let began = stream.began();
    let marks = kill_and_start(&mut lab, plane);
    let (ledger, sent) = stream.stop()?;
    let (killed, marks) = marks?;
    let whole = Passage::of(&ledger, sent, RATE);
    let what = match plane {
        Plane::Data => "dataplane",
        Plane::Control => "control plane",
    };
    let last = marks.last().map_or(0.0, |mark| mark.at_ms);
    let span = [BEFORE, Duration::from_secs_f64(last / 1000.0) + AFTER];
    let cut = Episode::around(&whole, (what, "to the other site"), RATE, killed.saturating_sub(began), span);
    Ok(Restarted { episode: Episode { marks, ..cut }, stream: ledger.close(sent), accounts: close(lab)? })
}

/// When the plane was killed, since the epoch, and what happened from then on.
fn kill_and_start(lab: &mut Lab, plane: Plane) -> Result<(Duration, Vec<Mark>)> {
    interrupt::sleep(BEFORE * 2)?;
    let gateway = lab.gateways_mut().iter_mut().find(|gateway| gateway.plan.site == FROM.site);
    let gateway = gateway.ok_or_else(|| absent("gateway at site A"))?;
    let killed = now();
    let since = || (now().saturating_sub(killed)).as_secs_f64() * 1000.0;
    gateway.kill(plane)?;
    let mut marks = vec![Mark::new(0.0, "killed")];
    interrupt::sleep(DEAD)?;
    marks.push(Mark::new(since(), "started"));
    gateway.start(plane)?;
    gateway.wait_ready()?;
    marks.push(Mark::new(since(), "in sync"));
    interrupt::sleep(AFTER)?;
    Ok((killed, marks))
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
