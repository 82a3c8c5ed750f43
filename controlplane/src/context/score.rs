//! How fit a locator is: a number from 0 to 1000 (design section 9).

use sterna_wire::lisp::control::acx::{AgentState, Attributes, Constraint, LatencyClass};

use super::need::{Met, meets};

const START: i32 = 500;
const BEST: i32 = 1000;

/// What an ITR knows of the way to a locator. The mapping system cannot know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathTerm {
    /// Round trip in microseconds; 0 where it was not measured.
    pub rtt_us: u32,
    /// Probes lost, in thousandths.
    pub loss_permille: u16,
}

impl PathTerm {
    /// The most that a round trip costs.
    const MOST: u32 = 200;
    /// Microseconds that cost one point.
    const STEP_US: u32 = 100;

    /// What it costs, 0 or less.
    pub fn points(self) -> i32 {
        let rtt = (self.rtt_us / Self::STEP_US).min(Self::MOST);
        -(rtt as i32) - i32::from(self.loss_permille)
    }
}

/// A score and what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// For the latency class.
    pub latency: i32,
    /// For the load.
    pub load: i32,
    /// For the state.
    pub state: i32,
    /// For each soft constraint, in their order.
    pub soft: Vec<i32>,
    /// For the way there.
    pub path: i32,
}

impl Terms {
    /// The terms of a locator for a sender with these constraints.
    pub fn of(attributes: &Attributes, constraints: &[Constraint], path: Option<PathTerm>) -> Terms {
        let soft = constraints.iter().filter(|constraint| !constraint.hard);
        Terms {
            latency: latency(attributes),
            load: load(attributes),
            state: state(attributes),
            soft: soft.map(|constraint| preference(attributes, constraint)).collect(),
            path: path.unwrap_or_default().points(),
        }
    }

    /// 0 to 1000.
    pub fn score(&self) -> u16 {
        let all = START + self.latency + self.load + self.state + self.soft.iter().sum::<i32>() + self.path;
        all.clamp(0, BEST) as u16
    }
}

/// The score of a locator for a sender with these constraints. Hard constraints play no part in it.
pub fn score(attributes: &Attributes, constraints: &[Constraint], path: Option<PathTerm>) -> u16 {
    Terms::of(attributes, constraints, path).score()
}

fn latency(attributes: &Attributes) -> i32 {
    match attributes.latency.and_then(|latency| latency.class) {
        Some(LatencyClass::Low) => 150,
        Some(LatencyClass::Medium) => 0,
        Some(LatencyClass::High) => -200,
        None => -50,
    }
}

fn load(attributes: &Attributes) -> i32 {
    match attributes.load.and_then(|load| load.permille) {
        Some(permille) => -i32::from(permille / 4),
        None => -125,
    }
}

/// Those that nobody may use count as the worst that may be used; they are left out before.
fn state(attributes: &Attributes) -> i32 {
    match attributes.state.unwrap_or(AgentState::Unknown) {
        AgentState::Active | AgentState::Idle => 0,
        AgentState::Busy => -100,
        AgentState::Migrating => -200,
        AgentState::Draining | AgentState::Suspended | AgentState::Failed => -400,
        AgentState::Unknown => -50,
    }
}

fn preference(attributes: &Attributes, constraint: &Constraint) -> i32 {
    let points = 10 * i32::from(constraint.weight);
    if meets(attributes, &constraint.need) == Met::Yes { points } else { -points }
}
