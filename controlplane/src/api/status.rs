//! `GET /v1/status`: does the dataplane forward by what we know?

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::clock;
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
    eids: usize,
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
    let now_ns = clock::monotonic_ns();
    let dataplane = shared
        .with_session(|session| dataplane_body(session.incarnation, session.counters.heartbeat_ns(), now_ns));
    Json(body(&shared.plane(), dataplane))
}

fn body(plane: &ControlPlane, dataplane: Option<DataplaneBody>) -> Body {
    let misses = plane.misses();
    let publisher = plane.publisher();
    Body {
        gateway: plane.config().gateway.name.clone(),
        synced: publisher.synced(),
        generation: publisher.generation(),
        pending: publisher.dirty(),
        dataplane,
        eids: plane.site().eids.len(),
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
