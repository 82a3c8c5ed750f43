//! What happens when: everybody settles, connects, talks, and waits for what is under way.

use crate::agents::Crowd;
use crate::agents::profile::Profile;
use crate::clock::SECOND_NS;

use super::Options;

/// How long connections may take after the last one was begun, nanoseconds; talking begins without the rest.
const CONNECT_NS: u64 = 10 * SECOND_NS;
/// Between two looks at something that no timer tells, nanoseconds.
const LOOK_NS: u64 = 10_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Everybody says where he is, until a moment; none when commands decide.
    Settling(Option<u64>),
    /// Connections are opened; at this moment at the latest it goes on.
    Connecting(u64),
    /// Everybody talks, until a moment or a command.
    Talking(Option<u64>),
    /// What is under way may arrive until this moment.
    Lingering(u64),
    Over,
}

/// Where a run is.
#[derive(Debug)]
pub struct Script {
    stage: Stage,
    connect_ns: u64,
    duration_ns: Option<u64>,
    linger_ns: u64,
    commands: bool,
    ended_ns: u64,
    partial: bool,
}

impl Script {
    pub fn new(profile: &Profile, options: &Options, start_ns: u64) -> Self {
        let settled_ns = start_ns + (profile.settle_s * SECOND_NS as f64) as u64;
        let connections = u64::from(profile.groups.iter().map(|group| group.agents).sum::<u32>())
            * u64::from(profile.requests.map_or(0, |requests| requests.peers) + 1);
        Self {
            stage: Stage::Settling((!options.commands).then_some(settled_ns)),
            connect_ns: connections * SECOND_NS / u64::from(profile.connects_per_s) + CONNECT_NS,
            duration_ns: options.duration_ns,
            linger_ns: options.linger_ns,
            commands: options.commands,
            ended_ns: start_ns,
            partial: false,
        }
    }

    /// Goes on where it is time.
    pub fn advance(&mut self, crowd: &mut Crowd, now_ns: u64) {
        match self.stage {
            Stage::Settling(Some(at)) if at <= now_ns => self.connect(crowd, now_ns),
            Stage::Connecting(at) if !self.commands => {
                let (wanted, open) = crowd.connections();
                if open == wanted || at <= now_ns {
                    self.begin("talk", crowd, now_ns);
                }
            }
            Stage::Talking(Some(at)) if at <= now_ns => self.end(crowd, now_ns),
            Stage::Lingering(at) if at <= now_ns || !crowd.is_waiting() => self.stage = Stage::Over,
            _ => {}
        }
    }

    /// When to look again.
    pub fn next_due(&self, now_ns: u64) -> Option<u64> {
        match self.stage {
            Stage::Settling(at) | Stage::Talking(at) => at,
            Stage::Connecting(_) | Stage::Lingering(_) => Some(now_ns + LOOK_NS),
            Stage::Over => Some(now_ns),
        }
    }

    /// Opens the connections.
    pub fn connect(&mut self, crowd: &mut Crowd, now_ns: u64) {
        crowd.connect(now_ns);
        self.stage = Stage::Connecting(now_ns + self.connect_ns);
    }

    /// When connecting is over at the latest, while it goes on.
    pub fn connects_until(&self) -> Option<u64> {
        match self.stage {
            Stage::Connecting(at) => Some(at),
            _ => None,
        }
    }

    /// Begins a phase.
    pub fn begin(&mut self, phase: &str, crowd: &mut Crowd, now_ns: u64) {
        crowd.begin(phase, now_ns);
        if !matches!(self.stage, Stage::Talking(_)) {
            self.stage = Stage::Talking(self.duration_ns.map(|duration| now_ns + duration));
        }
    }

    /// Ends talking in good time.
    pub fn end(&mut self, crowd: &mut Crowd, now_ns: u64) {
        if matches!(self.stage, Stage::Lingering(_) | Stage::Over) {
            return;
        }
        crowd.end(now_ns);
        self.ended_ns = now_ns;
        self.stage = Stage::Lingering(now_ns + self.linger_ns);
    }

    /// Ends before its time, unless nothing is left but waiting; who said no time is not before it.
    pub fn stop(&mut self, crowd: &mut Crowd, now_ns: u64) {
        let open_end = matches!(self.stage, Stage::Talking(None)) && !self.commands;
        if !matches!(self.stage, Stage::Lingering(_) | Stage::Over) {
            self.partial = !open_end;
        }
        self.end(crowd, now_ns);
    }

    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// When talking was over, nanoseconds.
    pub fn ended_ns(&self) -> u64 {
        self.ended_ns
    }
}
