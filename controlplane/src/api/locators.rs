//! `GET /v1/locators`: how each remote RLOC is reached.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::desired::Path;
use crate::itr::ProbeView;
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
    /// What probing says, of locators that the mapping system named: `up`, `silent` (but used all the same, since
    /// none beside it answers) or `down`.
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<&'static str>,
    /// Smoothed round trip.
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt_us: Option<u32>,
    /// Smoothed share of probes without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    loss_permille: Option<u16>,
    /// Since anything came from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    heard_s: Option<u64>,
}

/// All remote RLOCs that some mapping names.
pub async fn get(State(shared): State<Shared>) -> Json<Vec<Row>> {
    Json(rows(&shared.plane()))
}

fn rows(plane: &ControlPlane) -> Vec<Row> {
    let probed = plane.roles().itr().into_iter().flat_map(|itr| itr.locators());
    let probed: BTreeMap<IpAddr, ProbeView> = probed.map(|view| (view.remote, view)).collect();
    let now = Instant::now();
    let remotes = plane.paths().remotes.iter();
    remotes
        .map(|(address, path)| Row {
            probe: probed.get(address).map(|view| match (view.up, view.silent) {
                (false, _) => "down",
                (true, true) => "silent",
                (true, false) => "up",
            }),
            rtt_us: probed.get(address).and_then(|view| view.rtt_us),
            loss_permille: probed.get(address).map(|view| view.loss_permille),
            heard_s: probed
                .get(address)
                .and_then(|view| view.last_heard)
                .map(|at| now.saturating_duration_since(at).as_secs()),
            ..row(plane, *address, path.as_ref())
        })
        .collect()
}

fn row(plane: &ControlPlane, address: IpAddr, path: Option<&Path>) -> Row {
    let unknown = Row {
        address,
        local: None,
        reachable: false,
        reason: "we have no RLOC of this address family".to_string(),
        next_hop: None,
        mac: None,
        mtu: None,
        port: None,
        probe: None,
        rtt_us: None,
        loss_permille: None,
        heard_s: None,
    };
    let Some(path) = path else {
        return unknown;
    };
    // Without a next hop, port and MTU are placeholders.
    let known = path.next_hop.address.is_some();
    Row {
        local: Some(path.local),
        reachable: path.reach.usable() && !plane.paths().is_silent(address),
        reason: match plane.paths().is_silent(address) && path.reach.usable() {
            true => "it does not answer probes".to_string(),
            false => path.reach.to_string(),
        },
        next_hop: path.next_hop.address,
        mac: path.destination.map(|mac| mac.to_string()),
        mtu: known.then_some(path.mtu),
        port: plane.ports().name(path.next_hop.port).filter(|_| known).map(str::to_string),
        ..unknown
    }
}
