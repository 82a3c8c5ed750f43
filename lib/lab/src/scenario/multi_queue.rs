//! Two queues at every port, a worker for each: flows are spread over both, and each flow keeps its order.

use std::fmt;

use serde_json::{Map, json};

use crate::error::Result;
use crate::gateway::plan::GatewayPlan;
use crate::site::{Family, Host, Site};
use crate::topology::core_port;
use crate::traffic::fan::{Fan, FanPlan};
use crate::underlay::CORE;

use super::agents::greet;
use super::run::no_gateway;
use super::{Outcome, Run};

/// Ports on either side: 256 flows.
const WIDTH: u16 = 16;
/// First of the sender's ports; the sink's follow.
const FIRST: u16 = 21_000;
/// Packets per second each way, all flows together.
const RATE: u32 = 8_000;
/// Packets of every flow.
const ROUNDS: u64 = 120;
/// The least share of a port's packets that either worker must have. A half is due on the agents' side, where the
/// kernel spreads flows by a hash. On the underlay's side it is a quarter: a frame that was sent by queue 1 keeps that
/// number through the veth, and the core's kernel reads it as "came by queue 0" and sends it on by queue 0; only what
/// was sent by queue 0 is spread by the hash. The hash is another after every boot: with 256 flows a quarter has a
/// deviation of 0.027, and a tenth lies more than five of them below.
const LEAST: f64 = 0.1;

/// A second worker on the other core. A gateway with fewer workers than its ports have queues does not start, so the
/// negative control is made elsewhere: see [`narrow`].
pub(super) fn adjust(plan: &mut GatewayPlan, _: bool) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // On a machine with one core both workers share it.
    plan.more_cores = vec![if plan.core == 0 { cores - 1 } else { 0 }];
}

/// What the gateways' ports are connected to sends by one queue only, so that all flows come in at the first.
fn narrow(run: &Run<'_>) -> Result<()> {
    for site in [Site::A, Site::B] {
        for (namespace, port) in [(site.lan(), "gw100".to_owned()), (CORE.to_owned(), core_port(site, 0))] {
            run.lab.namespace(&namespace).output("ethtool", &["-L", &port, "tx", "1"])?;
        }
    }
    Ok(())
}

pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    if run.negative {
        narrow(run)?;
    }
    let (a, b) = (Host::new(Site::A, 1), Host::new(Site::B, 1));
    run.count(&greet(&run.lab, &[a, b])?);
    let mut fans = Vec::new();
    // Each way has ports of its own, so that neither's sinks are the other's sources.
    for (from, to, first) in [(a, b, FIRST), (b, a, FIRST + 4 * WIDTH)] {
        let (source, target) = (from.eid(Family::V4, Family::V4), to.eid(Family::V4, Family::V4));
        let mut plan = FanPlan::over_ports(source, target, WIDTH, first);
        (plan.group, plan.rate, plan.rounds) = (from.iid(), RATE, Some(ROUNDS));
        fans.push(Fan::start(&run.lab.host(from), &run.lab.host(to), plan)?);
    }
    let (mut seen, mut whole) = (Vec::new(), true);
    for fan in fans {
        let fanned = fan.finish()?;
        run.count(&fanned.tally);
        whole &= fanned.tally.is_perfect();
        seen.push(fanned.tally.to_string());
    }
    let received = received(run)?;
    let least = received.iter().map(Received::least_share).fold(1.0, f64::min);
    let told: Vec<String> = received.iter().map(ToString::to_string).collect();
    run.figure("least_share_of_a_worker", (least * 1000.0).round() / 1000.0);
    run.figure(
        "received_by_worker",
        received.iter().map(|port| (port.name.clone(), json!(port.by_worker))).collect::<Map<_, _>>(),
    );
    Ok(Outcome::new(
        whole && least >= LEAST,
        format!(
            "{} flows each way: {}; packets received by the two workers: {}",
            WIDTH * WIDTH,
            seen.join("; and "),
            told.join(", ")
        ),
    ))
}

/// What the two workers of a gateway received at one of its ports.
struct Received {
    name: String,
    by_worker: [u64; 2],
}

impl Received {
    fn least_share(&self) -> f64 {
        let [one, other] = self.by_worker;
        one.min(other) as f64 / (one + other).max(1) as f64
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} and {}", self.name, self.by_worker[0], self.by_worker[1])
    }
}

/// Of the ports that carry the flows, what each worker received, by the gateways' own counters.
fn received(run: &Run<'_>) -> Result<Vec<Received>> {
    let mut received = Vec::new();
    for gateway in run.lab.gateways() {
        let books = gateway.books_at_rest()?;
        for port in ["eid100", "rloc0"] {
            let of = |worker: u16| {
                let scopes = books.scopes.iter().filter(|scope| scope.port == port && scope.worker == worker);
                scopes.map(|scope| scope.get("rx_packets")).sum()
            };
            let name = format!("{}/{port}", gateway.plan.site.gateway());
            received.push(Received { name, by_worker: [of(0), of(1)] });
        }
    }
    if received.is_empty() { Err(no_gateway()) } else { Ok(received) }
}
