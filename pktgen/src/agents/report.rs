//! What came of a run of agents.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use super::agent::Agent;
use super::crowd::{Crowd, Spot};
use super::dispatch::Strays;
use super::ledger::{Kind, LineReport, Phase};
use super::profile::Profile;
use super::segments::Segments;
use crate::clock::SECOND_NS;
use crate::interface::Counters;
use crate::report::{PortReport, us};

/// What became of all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Connections {
    /// Those that there were to be.
    pub wanted: u64,
    /// Those that were established once.
    pub opened: u64,
    /// Of them, those that were never broken.
    pub survived: u64,
    /// How often an established one broke.
    pub broken: u64,
    /// How often one was not established.
    pub refused: u64,
}

/// One phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PhaseReport {
    /// Its name.
    pub name: String,
    /// How long it was, in seconds.
    pub duration_s: f64,
    /// Requests over TCP.
    pub requests: LineReport,
    /// Letters of streams over TCP.
    pub streams: LineReport,
    /// UDP messages.
    pub messages: LineReport,
}

/// One place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlaceReport {
    /// Its name.
    pub name: String,
    /// Frames that came in.
    pub received: u64,
    /// Of them, those that were for nobody here.
    pub strays: Strays,
    /// Frames that found the queue to the port full.
    pub overflow: u64,
    /// Frames of which the kernel says that it dropped them when they were to be sent.
    pub lost_busy: u64,
    /// The port.
    pub port: PortReport,
    /// What the kernel counted at the interface.
    pub interface: Counters,
}

/// One agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgentReport {
    /// `GROUP/NUMBER`.
    pub name: String,
    /// Its EID.
    pub eid: IpAddr,
    /// Where it was at the end; nowhere when it was being moved.
    pub place: Option<String>,
    /// How often it was put somewhere else.
    pub moves: u64,
    /// Requests of its own that were answered.
    pub answered: u64,
    /// From when a request was due to its answer, in microseconds to two digits: median, 99 of 100, longest.
    pub latency_us: [u64; 3],
    /// Its segments.
    pub segments: Segments,
}

/// What came of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The profile's file or name.
    pub profile: String,
    /// It was ended before its time.
    pub partial: bool,
    /// From the first letter that was due to the end of talking, in seconds.
    pub duration_s: f64,
    /// How many agents.
    pub agents: u64,
    /// How often one was put somewhere else.
    pub moves: u64,
    /// What became of the connections.
    pub connections: Connections,
    /// All agents' segments.
    pub tcp: Segments,
    /// The phases.
    pub phases: Vec<PhaseReport>,
    /// What came and was no letter, or not the one that was to come.
    pub wrong: u64,
    /// Packets that an agent did not take in time.
    pub overflow: u64,
    /// The places.
    pub places: Vec<PlaceReport>,
    /// Each agent.
    pub per_agent: Vec<AgentReport>,
}

impl Report {
    /// From a crowd whose talk ended at a moment, nanoseconds. Ports are not known here.
    pub fn new(profile: &Profile, crowd: &mut Crowd, end_ns: u64) -> Self {
        let Crowd { agents, ledger, .. } = crowd;
        agents.iter().for_each(|agent| agent.add_due(ledger));
        let ends = ledger.phases.iter().skip(1).map(|phase| phase.from_ns).chain([end_ns]);
        let phases: Vec<_> =
            ledger.phases.iter().zip(ends).map(|(phase, end)| phase_report(phase, end)).collect();
        let per_agent: Vec<_> = agents.iter().map(|agent| agent_report(profile, agent)).collect();
        let names = profile.places.iter().map(|place| place.name.clone());
        Self {
            profile: String::new(),
            partial: false,
            duration_s: phases.iter().map(|phase| phase.duration_s).sum(),
            agents: agents.len() as u64,
            moves: agents.iter().map(|agent| agent.moves).sum(),
            connections: connections(agents),
            tcp: per_agent.iter().map(|agent| agent.segments).fold(Segments::default(), add),
            phases,
            wrong: ledger.wrong,
            overflow: agents.iter().map(|agent| agent.wire.overflow).sum(),
            places: names.zip(&crowd.spots).map(|(name, spot)| place_report(name, spot)).collect(),
            per_agent,
        }
    }
}

fn add(sum: Segments, one: Segments) -> Segments {
    Segments {
        resets: sum.resets + one.resets,
        retransmitted: sum.retransmitted + one.retransmitted,
        sent: sum.sent + one.sent,
    }
}

fn connections(agents: &[Agent]) -> Connections {
    let all = || agents.iter().flat_map(|agent| &agent.callers).map(|caller| caller.connection);
    Connections {
        wanted: all().count() as u64,
        opened: all().filter(|connection| connection.opened).count() as u64,
        survived: all().filter(|connection| connection.opened && connection.broken == 0).count() as u64,
        broken: all().map(|connection| connection.broken).sum(),
        refused: all().map(|connection| connection.refused).sum(),
    }
}

fn phase_report(phase: &Phase, end_ns: u64) -> PhaseReport {
    let line = |kind: Kind| LineReport::from(&phase.lines[kind as usize]);
    PhaseReport {
        name: phase.name.clone(),
        duration_s: end_ns.saturating_sub(phase.from_ns) as f64 / SECOND_NS as f64,
        requests: line(Kind::Request),
        streams: line(Kind::Stream),
        messages: line(Kind::Message),
    }
}

fn place_report(name: String, spot: &Spot) -> PlaceReport {
    let Spot { received, strays, overflow, .. } = *spot;
    PlaceReport { name, received, strays, overflow, ..PlaceReport::default() }
}

fn agent_report(profile: &Profile, agent: &Agent) -> AgentReport {
    let at = |quantile| agent.latency.value_at_quantile(quantile);
    AgentReport {
        name: agent.name.clone(),
        eid: agent.link.eid,
        place: agent.place.map(|place| profile.places[place].name.clone()),
        moves: agent.moves,
        answered: agent.latency.len(),
        latency_us: if agent.latency.is_empty() { [0; 3] } else { [at(0.5), at(0.99), agent.latency.max()] },
        segments: agent.wire.watch.counts,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partial = if self.partial { " (partial: ended before its time)" } else { "" };
        writeln!(
            f,
            "{}: {} agents for {:.3} s, {} moves{partial}",
            self.profile, self.agents, self.duration_s, self.moves
        )?;
        let Connections { wanted, opened, survived, broken, refused } = self.connections;
        writeln!(
            f,
            "connections  {opened} of {wanted} opened, {survived} survived, {broken} broken, {refused} refused"
        )?;
        let Segments { resets, retransmitted, sent } = self.tcp;
        writeln!(f, "segments     {sent} with data, {retransmitted} of them again; {resets} resets")?;
        if self.wrong + self.overflow > 0 {
            writeln!(f, "             {} letters wrong, {} packets not taken", self.wrong, self.overflow)?;
        }
        for phase in &self.phases {
            writeln!(f, "phase {} of {:.3} s", phase.name, phase.duration_s)?;
            for (name, line) in
                [("requests", &phase.requests), ("streams", &phase.streams), ("messages", &phase.messages)]
            {
                fmt_line(f, name, line)?;
            }
        }
        for place in &self.places {
            let Strays { elsewhere, unknown, malformed, .. } = place.strays;
            writeln!(
                f,
                "place {}: {} frames, {elsewhere} for agents elsewhere, {unknown} for nobody, {malformed} malformed",
                place.name, place.received
            )?;
        }
        Ok(())
    }
}

fn fmt_line(f: &mut fmt::Formatter<'_>, name: &str, line: &LineReport) -> fmt::Result {
    if line.due == 0 {
        return Ok(());
    }
    let LineReport { due, done, lost, unsent, duplicated, reordered, latency_ns, .. } = *line;
    writeln!(
        f,
        "  {name:10} {due} due, {done} done, {lost} lost, {unsent} unsent, {duplicated} duplicated, {reordered} reordered"
    )?;
    let [p50, p99, p999, max] = [latency_ns.p50, latency_ns.p99, latency_ns.p999, latency_ns.max].map(us);
    writeln!(f, "             p50 {p50:.1} us, p99 {p99:.1} us, p99.9 {p999:.1} us, max {max:.1} us")
}
