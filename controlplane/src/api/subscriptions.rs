//! `GET /v1/subscriptions`: who is told of changes of which mapping.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::registrations::hex;
use crate::plane::ControlPlane;
use crate::shared::Shared;

/// A subscription.
#[derive(Debug, Serialize)]
pub struct Row {
    /// `ours`: a Map-Server tells us. `held`: we tell the xTR.
    role: &'static str,
    iid: u32,
    eid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xtr_id: Option<String>,
    rlocs: Vec<IpAddr>,
    /// Whether the subscriber has acknowledged everything.
    current: bool,
    /// Changes that it has not acknowledged.
    outstanding: usize,
}

/// All subscriptions, by role, group and prefix.
pub async fn get(State(shared): State<Shared>) -> Json<Vec<Row>> {
    Json(rows(&shared.plane()))
}

fn rows(plane: &ControlPlane) -> Vec<Row> {
    let entries = plane.roles().itr().into_iter().flat_map(|itr| itr.entries());
    let ours = entries.filter(|entry| entry.subscribed).map(|entry| Row {
        role: "ours",
        iid: entry.iid.get(),
        eid: entry.prefix.to_string(),
        site: None,
        xtr_id: None,
        rlocs: Vec::new(),
        current: true,
        outstanding: 0,
    });
    let mut held: Vec<_> =
        plane.roles().server().into_iter().flat_map(|server| server.subscriptions()).collect();
    held.sort_by_key(|subscription| (subscription.iid, subscription.prefix, subscription.xtr_id));
    let held = held.into_iter().map(|subscription| Row {
        role: "held",
        iid: subscription.iid.get(),
        eid: subscription.prefix.to_string(),
        site: Some(subscription.site.to_string()),
        xtr_id: Some(hex(&subscription.xtr_id)),
        rlocs: subscription.rlocs.to_vec(),
        current: subscription.is_current,
        outstanding: subscription.outstanding,
    });
    ours.chain(held).collect()
}
