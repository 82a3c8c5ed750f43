//! `GET /v1/agents`: the agents attached here.

use std::net::IpAddr;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::plane::ControlPlane;
use crate::shared::Shared;

/// An agent.
#[derive(Debug, Serialize)]
pub struct Row {
    iid: u32,
    group: Option<String>,
    eid: IpAddr,
    mac: String,
    port: Option<String>,
    vlan: Option<u16>,
    /// How long it has been there, as far as this process knows.
    age_s: u64,
}

/// All agents that the dataplane has learned.
pub async fn get(State(shared): State<Shared>) -> Json<Vec<Row>> {
    Json(rows(&shared.plane(), Instant::now()))
}

fn rows(plane: &ControlPlane, now: Instant) -> Vec<Row> {
    let agents = plane.agents().iter();
    agents
        .map(|(iid, eid, agent)| Row {
            iid: iid.get(),
            group: plane.group_name(iid).map(str::to_string),
            eid,
            mac: agent.attachment.mac.to_string(),
            port: plane.ports().name(agent.attachment.port).map(str::to_string),
            vlan: agent.attachment.vlan.map(|vlan| vlan.get()),
            age_s: now.duration_since(agent.since).as_secs(),
        })
        .collect()
}
