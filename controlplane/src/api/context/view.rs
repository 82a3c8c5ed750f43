//! `GET /v1/context`: what was reported, what holds of it, and what the mapping system was told.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::api::said::Said;
use crate::context::Reported;
use crate::plane::ControlPlane;
use crate::shared::Shared;

/// An agent that something is said of.
#[derive(Debug, Serialize)]
pub struct Row {
    iid: u32,
    group: Option<String>,
    eid: IpAddr,
    /// What holds now, as reports write it.
    context: Said,
    /// What holds of single locators.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    locators: BTreeMap<IpAddr, Said>,
    /// For how long a report holds.
    ttl_s: u64,
    /// Since it was reported or renewed.
    heard_s: u64,
    /// Its time is over: latency, state and load are unknown.
    expired: bool,
    /// Since the mapping system was told something of it.
    told_s: Option<u64>,
    /// It is to be told something else.
    waiting: bool,
}

/// All agents that something is said of, by group and EID.
pub async fn get(State(shared): State<Shared>) -> Json<Vec<Row>> {
    Json(rows(&shared.plane(), Instant::now()))
}

fn rows(plane: &ControlPlane, now: Instant) -> Vec<Row> {
    let since = |at: Instant| now.saturating_duration_since(at).as_secs();
    let row = |(iid, eid, entry): (sterna_wire::Iid, IpAddr, &crate::context::StoreEntry)| {
        let Reported { own, locators } = entry.current();
        Row {
            iid: iid.get(),
            group: plane.group_name(iid).map(str::to_string),
            eid,
            context: Said::of(&own),
            locators: locators.iter().map(|(rloc, said)| (*rloc, Said::of(said))).collect(),
            ttl_s: entry.ttl.as_secs(),
            heard_s: since(entry.heard),
            expired: entry.expired,
            told_s: entry.told_at.map(since),
            waiting: entry.due.is_some(),
        }
    };
    plane.contexts().iter().map(row).collect()
}
