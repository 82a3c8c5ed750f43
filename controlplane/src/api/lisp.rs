//! `GET /v1/lisp/counters`: what the control protocol did and refused, role by role.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::lisp::socket::kernel_drops;
use crate::plane::ControlPlane;
use crate::shared::Shared;

/// The counters; a role that is not there has none.
#[derive(Debug, Serialize)]
pub struct Body {
    /// Addresses at which we listen on UDP 4342.
    listening: Vec<IpAddr>,
    /// Addresses at which we do not, and why.
    not_listening: BTreeMap<IpAddr, String>,
    socket: BTreeMap<&'static str, u64>,
    dispatch: BTreeMap<&'static str, u64>,
    plane: BTreeMap<&'static str, u64>,
    itr: BTreeMap<&'static str, u64>,
    etr: BTreeMap<&'static str, u64>,
    server: BTreeMap<&'static str, u64>,
    context: BTreeMap<&'static str, u64>,
    eid_api: BTreeMap<&'static str, u64>,
}

/// All counters now.
pub async fn get(State(shared): State<Shared>) -> Json<Body> {
    let (listening, not_listening, counts) = {
        let sockets = shared.sockets();
        (sockets.listening().collect(), sockets.failed().clone(), sockets.counts())
    };
    let agents = shared.agents().stacks();
    let eid_api = agents.counters().iter().map(|(of, n)| (of.name(), n)).collect();
    drop(agents);
    let plane = shared.plane();
    let socket = BTreeMap::from([
        ("sent", counts.sent),
        ("no_socket", counts.no_socket),
        ("send_failed", counts.send_failed),
        ("receive_failed", counts.receive_failed),
        ("policed", counts.policed),
        ("kernel_dropped", kernel_drops()),
        ("unsent", plane.unsent()),
    ]);
    let roles = plane.roles();
    Json(Body {
        listening,
        not_listening,
        socket,
        dispatch: roles.counters().iter().map(|(name, count, _)| (name, count)).collect(),
        plane: of_plane(&plane),
        itr: roles
            .itr()
            .into_iter()
            .flat_map(|itr| itr.counters().iter())
            .map(|(of, n)| (of.name(), n))
            .collect(),
        etr: roles
            .etr()
            .into_iter()
            .flat_map(|etr| etr.counters().iter())
            .map(|(of, n)| (of.name(), n))
            .collect(),
        context: plane.contexts().counters().iter().map(|(of, n)| (of.name(), n)).collect(),
        eid_api,
        server: roles.server().into_iter().flat_map(|server| server.counters().all()).collect(),
    })
}

fn of_plane(plane: &ControlPlane) -> BTreeMap<&'static str, u64> {
    let (misses, paths) = (plane.misses(), plane.paths());
    BTreeMap::from([
        ("misses_received", misses.received),
        ("misses_source_checks", misses.source_checks),
        ("misses_asked", misses.asked),
        ("misses_configured", misses.configured),
        ("misses_confirmed", misses.confirmed),
        ("misses_foreign", misses.foreign),
        ("sets_all_locators_silent", paths.all_locators_silent()),
        ("sets_on_last_resort", paths.last_resort() as u64),
    ])
}
