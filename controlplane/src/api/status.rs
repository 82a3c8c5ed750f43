//! `GET /v1/status`: does the dataplane forward by what we know?

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::clock;
use crate::itr::EntryState;
use crate::plane::ControlPlane;
use crate::shared::Shared;

/// The gateway at a glance.
#[derive(Debug, Serialize)]
pub struct Body {
    gateway: String,
    /// The dataplane has applied this session's full state.
    synced: bool,
    generation: Option<u64>,
    /// Changes the dataplane has not been told yet.
    pending: usize,
    dataplane: Option<DataplaneBody>,
    /// The roles of the mapping system that run here.
    roles: Vec<&'static str>,
    eids: usize,
    /// Registrations that this gateway keeps as a Map-Server.
    registrations: usize,
    /// Entries of the map-cache, and those of them that are used on although nobody answers for them.
    mappings: usize,
    /// None where counting them would take long; `/v1/mappings` names them.
    stale: Option<usize>,
    negatives: Negatives,
    misses: Misses,
    /// Updates that the dataplane refused, by reason.
    refused: BTreeMap<&'static str, u64>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct DataplaneBody {
    incarnation: u64,
    /// None before its first heartbeat.
    heartbeat_age_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Negatives {
    entries: usize,
    evicted: u64,
}

#[derive(Debug, Serialize)]
struct Misses {
    received: u64,
    negative: u64,
    repeated: u64,
    configured: u64,
    foreign: u64,
}

/// The status now.
pub async fn get(State(shared): State<Shared>) -> Json<Body> {
    let not_listening = shared.sockets().failed().clone();
    let now_ns = clock::monotonic_ns();
    let dataplane = shared
        .with_session(|session| dataplane_body(session.incarnation, session.counters.heartbeat_ns(), now_ns));
    let mut body = body(&shared.plane(), dataplane);
    let deaf = not_listening.iter();
    body.warnings.extend(deaf.map(|(at, error)| format!("cannot listen on UDP 4342 of {at}: {error}")));
    Json(body)
}

/// Entries that are counted for a glance.
const COUNTED: usize = 10_000;

fn stale(plane: &ControlPlane) -> Option<usize> {
    let Some(itr) = plane.roles().itr() else { return Some(0) };
    let few = itr.cached().0 <= COUNTED;
    few.then(|| itr.entries().filter(|entry| entry.state == EntryState::Stale).count())
}

fn body(plane: &ControlPlane, dataplane: Option<DataplaneBody>) -> Body {
    let misses = plane.misses();
    let publisher = plane.publisher();
    Body {
        gateway: plane.config().gateway.name.clone(),
        synced: publisher.synced(),
        generation: plane.generation(),
        pending: publisher.dirty(),
        dataplane,
        roles: plane.config().gateway.roles.iter().map(|role| role.as_str()).collect(),
        eids: publisher.eids(),
        registrations: plane.roles().server().map_or(0, |server| server.registration_count()),
        mappings: plane.roles().itr().map_or(0, |itr| itr.cached().0),
        stale: stale(plane),
        negatives: Negatives { entries: plane.negatives().len(), evicted: plane.negatives().evicted() },
        misses: Misses {
            received: misses.received,
            negative: misses.negative,
            repeated: misses.repeated,
            configured: misses.configured,
            foreign: misses.foreign,
        },
        refused: plane.refused().clone(),
        warnings: plane.warnings().iter().cloned().collect(),
    }
}

fn dataplane_body(incarnation: u64, beat_ns: u64, now_ns: u64) -> DataplaneBody {
    let age = (beat_ns > 0).then(|| now_ns.saturating_sub(beat_ns) / 1_000_000);
    DataplaneBody { incarnation, heartbeat_age_ms: age }
}
