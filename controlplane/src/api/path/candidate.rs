//! A locator that packets may go to, with all that counts for and against it.

use std::net::IpAddr;

use serde::Serialize;
use sterna_wire::lisp::control::acx::{AgentState, Attributes, Constraint, Need, Security};

use crate::context::{Class, Excluded, Explained, Met, Terms};
use crate::itr::{Basis, Considered, ProbeView};
use crate::plane::ControlPlane;

/// A candidate.
#[derive(Debug, Serialize)]
pub struct Row {
    pub(super) address: IpAddr,
    /// It is our own: the agent is attached here.
    here: bool,
    /// As it was registered.
    registered_priority: u8,
    weight: u8,
    attributes: Known,
    constraints: Vec<Judged>,
    terms: Points,
    score: u16,
    effective: u32,
    /// What follows; none for those that are left out.
    pub(super) priority: Option<u8>,
    path: Way,
    #[serde(skip_serializing_if = "Option::is_none")]
    excluded: Option<String>,
    pub(super) winner: bool,
}

/// What is known of the agent there; what is absent is unknown.
#[derive(Debug, Serialize)]
struct Known {
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sla_us: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hardware: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_permille: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    security_level: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    security: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    security_domain: Option<u16>,
}

/// How it stands to one need of the class.
#[derive(Debug, Serialize)]
struct Judged {
    need: String,
    hard: bool,
    weight: u8,
    /// `met`, `unmet` or `unknown`.
    met: &'static str,
    /// It does not exclude the candidate.
    passes: bool,
}

/// What its score is made of, beside 500 at the start.
#[derive(Debug, Serialize)]
struct Points {
    latency: i32,
    load: i32,
    state: i32,
    soft: Vec<i32>,
    path: i32,
}

/// The way there.
#[derive(Debug, Serialize)]
struct Way {
    /// `here`, `up`, `silent`, `down`, `no route` or `not probed`.
    state: &'static str,
    usable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt_us: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loss_permille: Option<u16>,
}

impl Row {
    pub(super) fn of(
        plane: &ControlPlane,
        class: &Class,
        basis: Basis,
        one: &Considered,
        why: Explained,
    ) -> Row {
        let Explained { address, met, terms, score, effective, priority, excluded } = why;
        let Terms { latency, load, state, soft, path } = terms;
        // Where context plays no part the record's own priority holds.
        let plain = (basis == Basis::Record && one.locator.priority != 255).then_some(one.locator.priority);
        Row {
            address,
            here: plane.config().rlocs.iter().any(|own| own.address == address),
            registered_priority: one.locator.priority,
            weight: one.locator.weight,
            attributes: Known::of(&one.attributes),
            constraints: class.constraints.iter().zip(met).map(|(need, met)| Judged::of(need, met)).collect(),
            terms: Points { latency, load, state, soft, path },
            score,
            effective,
            priority: if basis == Basis::Record { plain } else { priority },
            path: Way::to(plane, address),
            excluded: excluded.map(|why| reason(why, &one.attributes, &class.constraints)),
            winner: false,
        }
    }

    pub(super) fn is_usable(&self) -> bool {
        self.priority.is_some() && self.path.usable
    }

    /// The best come first, those that are left out last.
    pub(super) fn rank(&self) -> (u8, u32, IpAddr) {
        (self.priority.unwrap_or(u8::MAX), self.effective, self.address)
    }
}

fn reason(why: Excluded, attributes: &Attributes, constraints: &[Constraint]) -> String {
    match why {
        Excluded::State => {
            format!("nobody may use it: it is {}", attributes.state.unwrap_or(AgentState::Unknown).name())
        }
        Excluded::Constraint(index) => {
            let need = constraints.get(index).map(|one| need(&one.need)).unwrap_or_default();
            format!("the class requires {need}")
        }
        Excluded::Never => {
            "nothing is sent there: its priority is 255, or its site cannot reach it".to_owned()
        }
    }
}

impl Known {
    fn of(attributes: &Attributes) -> Known {
        let Attributes { latency, hardware, state, load, security } = attributes;
        Known {
            latency: latency.and_then(|latency| latency.class).map(|class| class.name()),
            sla_us: latency.map(|latency| latency.sla_us).filter(|sla_us| *sla_us != 0),
            hardware: hardware.as_ref().map(|hardware| hardware.names().map(str::to_owned).collect()),
            state: state.map(AgentState::name),
            load_permille: load.and_then(|load| load.permille),
            queue: load.and_then(|load| load.queue),
            security_level: security.map(|security| security.level),
            security: security.map(|security| Security::names(security.flags).collect()),
            security_domain: security.map(|security| security.domain).filter(|domain| *domain != 0),
        }
    }
}

impl Judged {
    fn of(constraint: &Constraint, (met, passes): (Met, bool)) -> Judged {
        let met = match met {
            Met::Yes => "met",
            Met::No => "unmet",
            Met::Unknown => "unknown",
        };
        let Constraint { need: what, hard, weight } = constraint;
        Judged { need: need(what), hard: *hard, weight: *weight, met, passes }
    }
}

/// A need in words.
fn need(need: &Need) -> String {
    match need {
        Need::Latency { class, max_us } => {
            let class = class.map(|class| format!("latency {} or better", class.name()));
            let promise = (*max_us != 0).then(|| format!("a promise of {max_us} us or less"));
            class.into_iter().chain(promise).collect::<Vec<_>>().join(" and ")
        }
        Need::Hardware(hardware) => format!("hardware {}", hardware.names().collect::<Vec<_>>().join(" ")),
        Need::State(allowed) => {
            let allowed = AgentState::ALL.into_iter().filter(|state| allowed & state.bit() != 0);
            format!("state {}", allowed.map(AgentState::name).collect::<Vec<_>>().join(" or "))
        }
        Need::Load(permille) => format!("load {permille} permille or less"),
        Need::Security { level, flags: required, domain } => {
            let mut text = format!("security {level} or more");
            Security::names(*required).for_each(|flag| text.push_str(&format!(" {flag}")));
            if *domain != 0 {
                text.push_str(&format!(" in domain {domain}"));
            }
            text
        }
    }
}

impl Way {
    fn to(plane: &ControlPlane, address: IpAddr) -> Way {
        if plane.config().rlocs.iter().any(|own| own.address == address) {
            return Way { state: "here", usable: true, rtt_us: None, loss_permille: None };
        }
        let mut probed = plane.roles().itr().into_iter().flat_map(|itr| itr.locators());
        let probed = probed.find(|view| view.remote == address);
        let path = plane.paths().remotes.get(&address).and_then(Option::as_ref);
        let routed = path.is_some_and(|path| path.reach.usable());
        let state = match &probed {
            _ if !routed => "no route",
            None => "not probed",
            Some(ProbeView { up: false, .. }) => "down",
            Some(ProbeView { silent: true, .. }) => "silent",
            Some(_) => "up",
        };
        let usable = plane.is_usable(address);
        let rtt_us = probed.as_ref().and_then(|view| view.rtt_us);
        Way { state, usable, rtt_us, loss_permille: probed.map(|view| view.loss_permille) }
    }
}
