//! `GET /v1/agents`: the agents of this site. `POST /v1/agents/attach` and `/v1/agents/detach`: an agent comes or goes
//! by order.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use sterna_wire::{Iid, VlanId};

use super::failure;
use crate::etr::{AgentView, AttachError, Phase};
use crate::plane::{AttachRefusal, Attached, ControlPlane};
use crate::shared::Shared;

/// Longest wait for a free EID. The mapping system is asked for some candidates one after the other.
const ASSIGN_WITHIN: Duration = Duration::from_secs(8);

/// Longest wait for the dataplane. Whoever attaches or detaches an agent acts on our answer: it pulls the link.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// An agent.
#[derive(Debug, Serialize)]
pub struct Row {
    iid: u32,
    group: Option<String>,
    eid: IpAddr,
    mac: Option<String>,
    port: Option<String>,
    vlan: Option<u16>,
    /// How long it has been there (or in its state), as far as this process knows.
    age_s: u64,
    /// Of a dynamic agent: where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// Of a dynamic agent: `api` or `detection`.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
    /// Since it was last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_s: Option<u64>,
    /// Where its packets are sent on to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    relayed_to: Vec<IpAddr>,
}

/// All agents that the dataplane has learned, and all that come and go.
pub async fn get(State(shared): State<Shared>) -> Json<Vec<Row>> {
    Json(rows(&shared.plane(), Instant::now()))
}

fn rows(plane: &ControlPlane, now: Instant) -> Vec<Row> {
    let mut rows: BTreeMap<(Iid, IpAddr), Row> = BTreeMap::new();
    for (iid, eid, agent) in plane.agents().iter() {
        let at = agent.attachment;
        let row = Row {
            mac: Some(at.mac.to_string()),
            port: plane.ports().name(at.port).map(str::to_string),
            vlan: at.vlan.map(|vlan| vlan.get()),
            age_s: now.saturating_duration_since(agent.since).as_secs(),
            ..row(plane, iid, eid)
        };
        rows.insert((iid, eid), row);
    }
    for agent in plane.roles().etr().into_iter().flat_map(|etr| etr.agents()) {
        rows.insert((agent.iid, agent.eid), dynamic(plane, &agent, now));
    }
    rows.into_values().collect()
}

fn row(plane: &ControlPlane, iid: Iid, eid: IpAddr) -> Row {
    Row {
        iid: iid.get(),
        group: plane.group_name(iid).map(str::to_string),
        eid,
        mac: None,
        port: None,
        vlan: None,
        age_s: 0,
        state: None,
        by: None,
        seen_s: None,
        relayed_to: Vec::new(),
    }
}

fn dynamic(plane: &ControlPlane, agent: &AgentView, now: Instant) -> Row {
    let place = agent.place.as_ref();
    Row {
        mac: place.map(|place| place.mac.to_string()),
        port: place.and_then(|place| plane.ports().name(place.port)).map(str::to_string),
        vlan: place.and_then(|place| place.vlan).map(VlanId::get),
        age_s: now.saturating_duration_since(agent.since).as_secs(),
        state: Some(match agent.phase {
            Phase::Asking => "asking",
            Phase::Probing => "probing",
            Phase::Greeting => "greeting",
            Phase::Registering => "registering",
            Phase::Expected => "expected",
            Phase::Attached => "attached",
            Phase::Held => "leaving",
            Phase::Away => "away",
        }),
        by: Some(if agent.ordered { "api" } else { "detection" }),
        seen_s: Some(now.saturating_duration_since(agent.evidence).as_secs()),
        relayed_to: agent.away.iter().map(|locator| locator.address).collect(),
        ..row(plane, agent.iid, agent.eid)
    }
}

/// Whom to attach or detach.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// A group's name or IID.
    group: Option<String>,
    /// A group's IID.
    iid: Option<u32>,
    /// The EID; a free one when none is given.
    eid: Option<IpAddr>,
    /// What an instance of a skill is called.
    name: Option<String>,
}

impl Order {
    fn group(&self) -> Result<String, &'static str> {
        match (&self.group, self.iid) {
            (Some(group), None) => Ok(group.clone()),
            (None, Some(iid)) => Ok(iid.to_string()),
            (None, None) => Err("name the group: group=NAME or iid=NUMBER"),
            (Some(_), Some(_)) => Err("name the group either by group or by iid"),
        }
    }
}

#[derive(Debug, Serialize)]
struct Done {
    group: String,
    eid: IpAddr,
    /// The dataplane forwards by it already. False without a dataplane, or when it did not take it in time.
    forwarding: bool,
}

/// 200 with the EID; 404 for an unknown group, 422 for an EID that cannot be attached, 409 without a mapping system or
/// for a skill that has an instance of another name here,
/// 504 when no free EID was found in time.
pub async fn attach(State(shared): State<Shared>, Query(order): Query<Order>) -> Response {
    let group = match order.group() {
        Ok(group) => group,
        Err(sentence) => return failure(StatusCode::BAD_REQUEST, sentence),
    };
    let attached = {
        let outcome = shared.plane().attach(&group, order.eid, order.name, Instant::now());
        outcome.map(|attached| match attached {
            Attached::Now(eid) => Ok(eid),
            // Asked for before the flush, which would tell nobody.
            Attached::Looking(id) => Err(shared.assignment(id)),
        })
    };
    shared.flush();
    let eid = match attached {
        Err(refusal) => return refused(&refusal),
        Ok(Ok(eid)) => eid,
        Ok(Err(looking)) => match tokio::time::timeout(ASSIGN_WITHIN, looking).await {
            Ok(Ok(Ok(eid))) => eid,
            Ok(Ok(Err(error))) => return refused(&error.into()),
            Ok(Err(_)) | Err(_) => return refused(&AttachError::NoAnswer.into()),
        },
    };
    let forwarding = shared.told(TOLD_WITHIN).await;
    Json(Done { group, eid, forwarding }).into_response()
}

/// As [`attach`]; the EID must be given.
pub async fn detach(State(shared): State<Shared>, Query(order): Query<Order>) -> Response {
    let (group, eid) = match (order.group(), order.eid) {
        (Ok(group), Some(eid)) => (group, eid),
        (Err(sentence), _) => return failure(StatusCode::BAD_REQUEST, sentence),
        (_, None) => return failure(StatusCode::BAD_REQUEST, "name the agent: eid=ADDRESS"),
    };
    let outcome = shared.plane().detach(&group, eid, Instant::now());
    shared.flush();
    match outcome {
        Ok(()) => {
            let forwarding = shared.told(TOLD_WITHIN).await;
            Json(Done { group, eid, forwarding }).into_response()
        }
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &AttachRefusal) -> Response {
    let status = match refusal {
        AttachRefusal::UnknownGroup { .. } | AttachRefusal::Refused(AttachError::NotAttached) => {
            StatusCode::NOT_FOUND
        }
        AttachRefusal::NoMappingSystem | AttachRefusal::SkillTaken { .. } => StatusCode::CONFLICT,
        AttachRefusal::Refused(AttachError::NoAnswer) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    failure(status, &refusal.to_string())
}
