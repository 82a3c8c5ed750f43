//! `GET /v1/eids`: what happens to packets for which EID.

use std::net::IpAddr;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::desired::{EidKey, EidWanted, SetKey};
use crate::plane::{ControlPlane, negative_word};
use crate::shared::Shared;

/// An EID.
#[derive(Debug, Serialize)]
pub struct Row {
    iid: u32,
    group: Option<String>,
    eid: String,
    kind: &'static str,
    locators: Vec<Locator>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vlan: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<IpAddr>,
}

#[derive(Debug, Serialize)]
struct Locator {
    address: IpAddr,
    priority: u8,
    weight: u8,
    usable: bool,
}

/// All EIDs, configured ones first.
pub async fn get(State(shared): State<Shared>) -> Json<Vec<Row>> {
    Json(rows(&shared.plane(), Instant::now()))
}

fn rows(plane: &ControlPlane, now: Instant) -> Vec<Row> {
    let configured = plane.site().eids.iter().map(|(key, wanted)| configured(plane, key, wanted));
    let negative = plane.negatives().remaining(now).map(|(key, action, left)| Row {
        action: Some(negative_word(action)),
        expires_s: Some(left.as_secs()),
        ..row(plane, &key, "negative")
    });
    configured.chain(negative).collect()
}

fn configured(plane: &ControlPlane, key: &EidKey, wanted: &EidWanted) -> Row {
    match wanted {
        EidWanted::Remote(set) => Row { locators: locators(plane, set), ..row(plane, key, "static") },
        EidWanted::Negative(action) => {
            Row { action: Some(negative_word(*action)), ..row(plane, key, "negative") }
        }
        EidWanted::Local { port, vlan, via } => Row {
            port: plane.ports().name(*port).map(str::to_string),
            vlan: vlan.map(|vlan| vlan.get()),
            via: *via,
            ..row(plane, key, "local")
        },
    }
}

fn row(plane: &ControlPlane, key: &EidKey, kind: &'static str) -> Row {
    Row {
        iid: key.iid.get(),
        group: plane.group_name(key.iid).map(str::to_string),
        eid: key.prefix.to_string(),
        kind,
        locators: Vec::new(),
        action: None,
        expires_s: None,
        port: None,
        vlan: None,
        via: None,
    }
}

fn locators(plane: &ControlPlane, set: &SetKey) -> Vec<Locator> {
    let usable = |address| match plane.paths().remotes.get(&address) {
        Some(Some(path)) => path.reach.usable(),
        _ => false,
    };
    let each = set.locators().iter();
    each.map(|locator| Locator {
        address: locator.remote,
        priority: locator.priority,
        weight: locator.weight,
        usable: usable(locator.remote),
    })
    .collect()
}
