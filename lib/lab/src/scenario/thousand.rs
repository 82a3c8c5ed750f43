//! A thousand agents in ten groups at three sites, played by one process: they exchange small messages over TCP and
//! UDP, first where they are, then while fifty of them move every second, each move announced.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::error::Result;
use crate::gateway::api::Api;
use crate::gateway::plan::GatewayPlan;
use crate::gateway::plan::server::ServerPlan;
use crate::interrupt;
use crate::report::Table;
use crate::site::{AGENT_GROUPS, Family, GROUPS, Site, agent_tag, anycast_gateway, group_range, roaming_eid};
use crate::topology::lan_port;
use crate::traffic::crowd::Crowd;
use crate::traffic::pace::Pace;
use crate::witness::sight::Control;
use crate::witness::tally::Sightings;

use super::agents::{STATIC_PREFIXES, wait_registered};
use super::run::no_gateway;
use super::{Outcome, Run};

/// Agents of each group, of the whole run and of a short one.
const AGENTS: [u32; 2] = [100, 30];
/// Seconds without moves.
const QUIET_S: [u64; 2] = [20, 3];
/// Seconds with moves.
const MOVING_S: [u64; 2] = [60, 6];
/// Moves per second.
const MOVES_PER_S: u32 = 50;
/// Requests, and UDP messages, per second and agent: fewer agents say more, so that moves still meet something.
const RATE: [u32; 2] = [2, 5];
/// Who commands moves at the same time: one waits for a gateway while another goes on.
const MOVERS: u32 = 4;
/// Every how many agents one moves; it has no divisor in common with the number of agents.
const STRIDE: u32 = 61;
/// Between two phases: what was begun in the first one is over.
const PAUSE: Duration = Duration::from_millis(500);
/// How long connecting may take.
const CONNECTED: Duration = Duration::from_secs(60);
/// Names of the phases.
const QUIET: &str = "quiet";
const MOVING: &str = "moving";

/// Ten groups behind tags, in which agents come and go. The negative control has no room to hold packets.
pub(super) fn adjust(plan: &mut GatewayPlan, negative: bool) {
    AGENT_GROUPS.iter().for_each(|iid| plan.add_agent_group(*iid));
    if negative {
        plan.dataplane.push(("hold_packets", "0".to_owned()));
    }
    if let Some(registry) = &mut plan.registry {
        // What is sent meanwhile is about moves.
        registry.knobs.push(("register_s", "3600".to_owned()));
    }
}

pub(super) fn server(plan: &mut ServerPlan, _: bool) {
    plan.limits.push(("registration_s", "10800".to_owned()));
    for site in &mut plan.sites {
        site.eids.extend(AGENT_GROUPS.iter().map(|iid| (*iid, group_range(Family::V4).to_owned())));
    }
}

/// How much of everything.
#[derive(Clone, Copy, Debug)]
struct Size {
    agents: u32,
    quiet: Duration,
    moving: Duration,
    rate: u32,
}

impl Size {
    fn of(short: bool) -> Self {
        let at = usize::from(short);
        Self {
            agents: AGENTS[at],
            quiet: Duration::from_secs(QUIET_S[at]),
            moving: Duration::from_secs(MOVING_S[at]),
            rate: RATE[at],
        }
    }

    fn total(self) -> u32 {
        self.agents * AGENT_GROUPS.len() as u32
    }

    fn moves(self) -> u32 {
        MOVES_PER_S * self.moving.as_secs() as u32
    }
}

pub(super) fn run(run: &mut Run<'_>) -> Result<Outcome> {
    let size = Size::of(run.short);
    let prefixes = STATIC_PREFIXES * run.lab.topology().sites.len() as u64;
    wait_registered(&run.lab, prefixes)?;
    let crowd = Crowd::start(&profile(run, size), &run.lab.id().folder())?;
    wait_registered(&run.lab, prefixes + u64::from(size.total()))?;
    let connected = crowd.tell_within("connect", CONNECTED)?;
    crowd.tell(&format!("begin {QUIET}"))?;
    interrupt::sleep(size.quiet)?;
    crowd.tell(&format!("begin {MOVING}"))?;
    let before = sightings(run)?;
    let made = travel(run, &crowd, size)?;
    interrupt::sleep(PAUSE)?;
    let after = sightings(run)?;
    show_messages(run, &before, &after, made.len() as u64);
    let told = messages(&after) - messages(&before);
    let report = crowd.finish()?;
    Ok(judge(run, size, &connected, &made, told, &report))
}

/// The agents' profile: a place per site, a group per instance-ID.
fn profile(run: &Run<'_>, size: Size) -> String {
    let place = |site: Site| {
        let namespace = run.lab.namespace(&site.lan());
        let (name, interface) = (site.letter(), lan_port(GROUPS[1]));
        format!(
            "[[place]]\nname = \"{name}\"\ninterface = \"{interface}\"\nnetns = \"{}\"\n",
            namespace.name()
        )
    };
    let (gateway, _) = anycast_gateway(Family::V4);
    let group = |iid: &u32| {
        let (vlan, first, agents) = (agent_tag(*iid), roaming_eid(Family::V4, 1), size.agents);
        format!(
            "[[group]]\nname = \"g{iid}\"\nvlan = {vlan}\ngateway = \"{gateway}\"\nfirst = \"{first}\"\nagents = {agents}\n"
        )
    };
    let places: String = run.lab.topology().sites.iter().copied().map(place).collect();
    let groups: String = AGENT_GROUPS.iter().map(group).collect();
    let rate = size.rate;
    format!("{places}{groups}[requests]\nrate = {rate}\n[messages]\nrate = {rate}\n")
}

/// One agent in a move.
struct Mover<'c> {
    crowd: &'c Crowd,
    apis: Vec<(Site, Api)>,
    agents: u32,
}

impl Mover<'_> {
    /// The move of a number: whoever's turn it is goes from where his last one left him to the next site.
    fn make(&self, number: u32) -> Result<Duration> {
        let sites = self.apis.len() as u32;
        let total = self.agents * AGENT_GROUPS.len() as u32;
        let agent = (number % total * STRIDE) % total;
        let (iid, place) = (AGENT_GROUPS[(agent / self.agents) as usize], agent % self.agents);
        let from = (place + number / total) % sites;
        let eid = roaming_eid(Family::V4, place as u8 + 1);
        let name = format!("g{iid}/{place}");
        let order = |at: u32, what: &str| {
            let (site, api) = &self.apis[at as usize];
            api.post(&format!("/v1/agents/{what}?iid={iid}&eid={eid}")).map(|_| site.letter())
        };
        let began = Instant::now();
        order(from, "detach")?;
        self.crowd.tell(&format!("lift {name}"))?;
        let to = order((from + 1) % sites, "attach")?;
        self.crowd.tell(&format!("put {name} {to}"))?;
        Ok(began.elapsed())
    }
}

/// The moves at their rate, by some threads in turn; how long each took, milliseconds in order.
fn travel(run: &Run<'_>, crowd: &Crowd, size: Size) -> Result<Vec<f64>> {
    let apis = run.lab.gateways().iter().map(|gateway| (gateway.plan.site, gateway.api().clone()));
    let mover = Mover { crowd, apis: apis.collect(), agents: size.agents };
    let (pace, took, moves) = (Pace::begin(MOVES_PER_S), Mutex::new(Vec::new()), size.moves());
    let work = |first: u32| -> Result<()> {
        for number in (first..moves).step_by(MOVERS as usize) {
            pace.wait(number.into());
            interrupt::check()?;
            let time = mover.make(number)?;
            took.lock().unwrap_or_else(PoisonError::into_inner).push(time.as_secs_f64() * 1000.0);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..MOVERS).map(|first| scope.spawn(move || work(first))).collect();
        threads.into_iter().try_for_each(crate::thread::join_scoped)
    })?;
    let mut took = took.into_inner().unwrap_or_else(PoisonError::into_inner);
    took.sort_by(f64::total_cmp);
    Ok(took)
}

fn sightings(run: &Run<'_>) -> Result<Sightings> {
    // Without waiting for quiet: there is none.
    Ok(run.lab.witness().ok_or_else(no_gateway)?.sightings())
}

/// Control messages but for probes, which go on whether somebody moves or not.
fn messages(seen: &Sightings) -> u64 {
    let books = seen.from_gateways.iter().chain(&seen.from_map_server);
    books
        .filter(|(kind, _)| !matches!(kind, Control::Probe | Control::ProbeReply))
        .map(|(_, count)| count)
        .sum()
}

/// Which messages went while agents moved, and how many per move.
fn show_messages(run: &mut Run<'_>, before: &Sightings, after: &Sightings, moves: u64) {
    let mut table =
        Table::new("the mapping system while agents moved", &["who", "message", "count", "per move"]);
    for (who, before, after) in [
        ("gateways", &before.from_gateways, &after.from_gateways),
        ("Map-Server", &before.from_map_server, &after.from_map_server),
    ] {
        for (kind, count) in after {
            let count = count - before.get(kind).unwrap_or(&0);
            let per_move = format!("{:.2}", count as f64 / moves.max(1) as f64);
            table.row(vec![who.to_owned(), format!("{kind:?}"), count.to_string(), per_move]);
        }
    }
    run.table(&table);
}

/// What one phase's requests or messages came to.
struct Line<'r> {
    line: &'r Value,
}

impl Line<'_> {
    fn count(&self, name: &str) -> u64 {
        self.line[name].as_u64().unwrap_or(0)
    }

    /// A point of the latency, microseconds to one digit after the point.
    fn us(&self, name: &str) -> f64 {
        let ns = self.line["latency_ns"][name].as_u64().unwrap_or(0);
        (ns as f64 / 100.0).round() / 10.0
    }

    fn missing(&self) -> u64 {
        self.count("lost") + self.count("unsent")
    }
}

fn line<'r>(report: &'r Value, phase: usize, kind: &str) -> Line<'r> {
    Line { line: &report["phases"][phase][kind] }
}

/// Names of the points of the latency of requests, of each phase.
const LATENCIES: [[(&str, &str); 3]; 2] = [
    [("p50_us_quiet", "p50"), ("p99_us_quiet", "p99"), ("p999_us_quiet", "p999")],
    [("p50_us", "p50"), ("p99_us", "p99"), ("p999_us", "p999")],
];

/// A count of the report by its path; 0 when it is not there.
fn count(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

fn judge(run: &mut Run<'_>, size: Size, connected: &str, took: &[f64], told: u64, report: &Value) -> Outcome {
    show(run, report);
    show_moves(run, took, told);
    let count = |path: &str| count(report, path);
    let (resets, again) = (count("/tcp/resets"), count("/tcp/retransmitted"));
    let (wanted, survived) = (count("/connections/wanted"), count("/connections/survived"));
    for (name, value) in [
        ("agents", u64::from(size.total())),
        ("tcp_resets", resets),
        ("tcp_retransmitted", again),
        ("connections", wanted),
        ("connections_survived", survived),
    ] {
        run.figure(name, value);
    }
    let lines = (0..2).flat_map(|phase| ["requests", "messages"].map(|kind| line(report, phase, kind)));
    let missing: u64 = lines.map(|line| line.missing()).sum();
    // What TCP sent again was lost on the way, though its letters arrived in the end.
    let whole = missing + again + count("/wrong") + count("/overflow") == 0;
    let kept = resets == 0 && survived == wanted && survived > 0;
    let moves = took.len() as u64;
    let all = moves == u64::from(size.moves()) && count("/moves") == moves && report["partial"] == false;
    let elsewhere: u64 = (0..3).map(|at| count(&format!("/places/{at}/strays/elsewhere"))).sum();
    Outcome::new(
        whole && kept && all,
        format!(
            "{connected}; {moves} moves; {missing} letters missing, {elsewhere} frames came where their agent was no \
             more; {survived} of {wanted} connections kept, {resets} resets, {again} segments sent again; {told} \
             messages of the mapping system meanwhile"
        ),
    )
}

/// How many moves, how long each took, and what the mapping system said meanwhile.
fn show_moves(run: &mut Run<'_>, took: &[f64], told: u64) {
    let moves = took.len() as u64;
    run.figure("moves", moves);
    run.figure("map_messages", told);
    run.figure("map_messages_per_move", (told as f64 / moves.max(1) as f64 * 100.0).round() / 100.0);
    for (name, of) in [("move_ms_p50", 0.5), ("move_ms_p99", 0.99)] {
        let at = ((took.len() as f64 * of) as usize).min(took.len().saturating_sub(1));
        run.figure(name, took.get(at).map_or(0.0, |ms| (ms * 10.0).round() / 10.0));
    }
}

/// The accounts of both phases, and their latencies beside each other.
fn show(run: &mut Run<'_>, report: &Value) {
    let header = ["phase", "kind", "due", "done", "lost", "unsent", "p50 us", "p99 us", "p99.9 us", "max us"];
    let mut table = Table::new("what the agents said to each other", &header);
    for (phase, name) in [QUIET, MOVING].into_iter().enumerate() {
        for kind in ["requests", "messages"] {
            let line = line(report, phase, kind);
            let counts = ["due", "done", "lost", "unsent"].map(|name| line.count(name).to_string());
            let points = ["p50", "p99", "p999", "max"].map(|name| line.us(name).to_string());
            table.row([name.to_owned(), kind.to_owned()].into_iter().chain(counts).chain(points).collect());
            run.figures.offered += line.count("due");
            run.figures.delivered += line.count("done");
            run.figures.lost += line.missing();
            run.figures.duplicated += line.count("duplicated");
            run.figures.reordered += line.count("reordered");
        }
        for (figure, point) in LATENCIES[phase] {
            run.figure(figure, line(report, phase, "requests").us(point));
        }
    }
    run.figures.corrupted += report["wrong"].as_u64().unwrap_or(0);
    run.table(&table);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn everybody_has_his_turn_before_anybody_has_a_second() {
        for short in [false, true] {
            let total = Size::of(short).total();
            let turns: HashSet<u32> = (0..total).map(|number| number * STRIDE % total).collect();
            assert_eq!(turns.len() as u32, total);
        }
    }

    #[test]
    fn probes_are_no_messages_of_moves() {
        let mut seen = Sightings::default();
        seen.from_gateways.extend([
            (Control::Probe, 100),
            (Control::Register, 3),
            (Control::ProbeReply, 100),
        ]);
        seen.from_map_server.insert(Control::Notify, 4);
        assert_eq!(messages(&seen), 7);
    }
}
