//! `GET /v1/ports`: the interfaces and how they stand.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::plane::ControlPlane;
use crate::shared::Shared;

/// A port.
#[derive(Debug, Serialize)]
pub struct Row {
    name: String,
    side: &'static str,
    /// The index in records; none when the dataplane does not have this port.
    index: Option<u16>,
    /// None while the kernel has no such interface.
    up: Option<bool>,
    mac: Option<String>,
    mtu: Option<u32>,
    /// Our RLOCs on it.
    rlocs: Vec<IpAddr>,
    /// IIDs of the groups behind it.
    groups: Vec<u32>,
}

/// All configured ports.
pub async fn get(State(shared): State<Shared>) -> Json<Vec<Row>> {
    Json(rows(&shared.plane()))
}

fn rows(plane: &ControlPlane) -> Vec<Row> {
    let config = plane.config();
    let ports = config.ports.iter().enumerate();
    ports
        .map(|(at, port)| {
            let link = plane.facts().link_named(&port.name);
            let rlocs = config.rlocs.iter().filter(|rloc| rloc.port == Some(at));
            let groups = config.groups.iter().filter(|group| group.port == at);
            Row {
                name: port.name.clone(),
                side: port.side.as_str(),
                index: plane.ports().index(at),
                up: link.map(|link| link.up),
                mac: link.map(|link| link.mac.to_string()),
                mtu: link.map(|link| link.mtu),
                rlocs: rlocs.map(|rloc| rloc.address).collect(),
                groups: groups.map(|group| group.iid.get()).collect(),
            }
        })
        .collect()
}
