//! `GET /v1/locators`: how each remote RLOC is reached.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::desired::Path;
use crate::plane::ControlPlane;
use crate::shared::Shared;

/// A remote RLOC.
#[derive(Debug, Serialize)]
pub struct Row {
    address: IpAddr,
    /// Our RLOC that packets to it leave from.
    local: Option<IpAddr>,
    reachable: bool,
    /// Why it is or is not.
    reason: String,
    next_hop: Option<IpAddr>,
    mac: Option<String>,
    mtu: Option<u16>,
    port: Option<String>,
}

/// All remote RLOCs that some mapping names.
pub async fn get(State(shared): State<Shared>) -> Json<Vec<Row>> {
    Json(rows(&shared.plane()))
}

fn rows(plane: &ControlPlane) -> Vec<Row> {
    let remotes = plane.paths().remotes.iter();
    remotes.map(|(address, path)| row(plane, *address, path.as_ref())).collect()
}

fn row(plane: &ControlPlane, address: IpAddr, path: Option<&Path>) -> Row {
    let Some(path) = path else {
        let reason = "we have no RLOC of this address family".to_string();
        return Row {
            address,
            local: None,
            reachable: false,
            reason,
            next_hop: None,
            mac: None,
            mtu: None,
            port: None,
        };
    };
    // Without a next hop, port and MTU are placeholders.
    let known = path.next_hop.address.is_some();
    Row {
        address,
        local: Some(path.local),
        reachable: path.reach.usable(),
        reason: path.reach.to_string(),
        next_hop: path.next_hop.address,
        mac: path.destination.map(|mac| mac.to_string()),
        mtu: known.then_some(path.mtu),
        port: plane.ports().name(path.next_hop.port).filter(|_| known).map(str::to_string),
    }
}
