//! Whether a locator meets a constraint.

use sterna_wire::lisp::control::acx::{AgentState, Attributes, Constraint, Latency, LatencyClass, Need};

/// How a locator stands to one constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// It meets it.
    Yes,
    /// It does not.
    No,
    /// Nobody said.
    Unknown,
}

impl Met {
    fn of(met: bool) -> Met {
        if met { Met::Yes } else { Met::No }
    }

    /// Both must be met.
    fn and(self, other: Met) -> Met {
        match (self, other) {
            (Met::No, _) | (_, Met::No) => Met::No,
            (Met::Unknown, _) | (_, Met::Unknown) => Met::Unknown,
            _ => Met::Yes,
        }
    }
}

/// Whether anybody may use a locator whose agent is in this state: nobody one that failed or is suspended.
pub fn is_usable(attributes: &Attributes) -> bool {
    !matches!(attributes.state, Some(AgentState::Failed | AgentState::Suspended))
}

/// How these attributes stand to what is needed.
pub fn meets(attributes: &Attributes, need: &Need) -> Met {
    match need {
        Need::Latency { class, max_us } => latency(attributes.latency.unwrap_or_default(), *class, *max_us),
        Need::Hardware(wanted) => {
            attributes.hardware.as_ref().map_or(Met::Unknown, |here| Met::of(here.has(wanted)))
        }
        Need::State(allowed) => match attributes.state.unwrap_or(AgentState::Unknown) {
            state if allowed & state.bit() != 0 => Met::Yes,
            AgentState::Unknown => Met::Unknown,
            _ => Met::No,
        },
        Need::Load(most) => {
            let load = attributes.load.and_then(|load| load.permille);
            load.map_or(Met::Unknown, |load| Met::of(load <= *most))
        }
        Need::Security { level, flags, domain } => attributes.security.map_or(Met::Unknown, |here| {
            let inside = *domain == 0 || here.domain == *domain;
            Met::of(here.level >= *level && here.flags & flags == *flags && inside)
        }),
    }
}

fn latency(here: Latency, worst: Option<LatencyClass>, max_us: u32) -> Met {
    let by_class = match (worst, here.class) {
        (None, _) => Met::Yes,
        (Some(_), None) => Met::Unknown,
        (Some(worst), Some(class)) => Met::of(class <= worst),
    };
    let by_promise = match (max_us, here.sla_us) {
        (0, _) => Met::Yes,
        (_, 0) => Met::Unknown,
        (most, promised) => Met::of(promised <= most),
    };
    by_class.and(by_promise)
}

/// Whether a locator is not excluded by a constraint. What is not known excludes it where that would be dangerous:
/// for security and hardware.
pub fn passes(attributes: &Attributes, constraint: &Constraint) -> bool {
    let closed = matches!(constraint.need, Need::Hardware(_) | Need::Security { .. });
    match meets(attributes, &constraint.need) {
        _ if !constraint.hard => true,
        Met::Yes => true,
        Met::No => false,
        Met::Unknown => !closed,
    }
}

#[cfg(test)]
#[path = "need/test.rs"]
mod test;
