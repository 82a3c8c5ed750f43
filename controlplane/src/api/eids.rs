//! `GET /v1/eids`: what happens to packets for which EID.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use sterna_wire::VlanId;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
}

#[derive(Debug, Serialize)]
struct Locator {
    address: IpAddr,
    priority: u8,
    weight: u8,
    usable: bool,
}

/// All EIDs that the dataplane shall know, by group and prefix.
pub async fn get(State(shared): State<Shared>) -> Json<Vec<Row>> {
    Json(rows(&shared.plane(), Instant::now()))
}

fn rows(plane: &ControlPlane, now: Instant) -> Vec<Row> {
    let expiring: BTreeMap<EidKey, u64> =
        plane.negatives().remaining(now).map(|(key, _, left)| (key, left.as_secs())).collect();
    let eids = plane.publisher().wanted_eids();
    eids.map(|(key, wanted)| Row { expires_s: expiring.get(key).copied(), ..entry(plane, key, wanted) })
        .collect()
}

fn entry(plane: &ControlPlane, key: &EidKey, wanted: &EidWanted) -> Row {
    let configured = plane.site().eids.get(key) == Some(wanted);
    let port_name = |port: u16| plane.ports().name(port).map(str::to_string);
    let vlan_number = |vlan: Option<VlanId>| vlan.map(|vlan| vlan.get());
    match wanted {
        EidWanted::Remote(set) => {
            let kind = if configured { "static" } else { "learned" };
            Row { locators: locators(plane, set), ..row(plane, key, kind) }
        }
        EidWanted::Chosen { set, .. } => {
            let kind = if configured { "static" } else { "learned" };
            Row { locators: locators(plane, set), ..row(plane, key, kind) }
        }
        EidWanted::Skill { port, vlan, mac, set, .. } => Row {
            locators: set.as_ref().map(|set| locators(plane, set)).unwrap_or_default(),
            port: port_name(*port),
            vlan: vlan_number(*vlan),
            mac: Some(mac.to_string()),
            ..row(plane, key, "skill")
        },
        EidWanted::Away(set) => Row { locators: locators(plane, set), ..row(plane, key, "away") },
        EidWanted::Hold => row(plane, key, "leaving"),
        EidWanted::Negative(action) => {
            Row { action: Some(negative_word(*action)), ..row(plane, key, "negative") }
        }
        EidWanted::Local { port, vlan, via } => {
            let kind = if configured { "local" } else { "agent" };
            let (port, vlan) = (port_name(*port), vlan_number(*vlan));
            Row { port, vlan, via: *via, ..row(plane, key, kind) }
        }
        EidWanted::LocalHost { port, vlan, mac } => {
            let (port, vlan, mac) = (port_name(*port), vlan_number(*vlan), Some(mac.to_string()));
            Row { port, vlan, mac, ..row(plane, key, "agent") }
        }
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
        mac: None,
    }
}

fn locators(plane: &ControlPlane, set: &SetKey) -> Vec<Locator> {
    let standing = plane.paths().sets.get(set).map(Vec::as_slice).unwrap_or_default();
    let usable = |address| standing.iter().any(|at| at.adjacency.remote == address && at.usable);
    let each = set.locators().iter();
    each.map(|locator| Locator {
        address: locator.remote,
        priority: locator.priority,
        weight: locator.weight,
        usable: usable(locator.remote),
    })
    .collect()
}
