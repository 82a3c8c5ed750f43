//! `GET /v1/map-servers`: the Map-Servers and Map-Resolvers of this gateway, and whether they answer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::etr::Registration;
use crate::itr::EntryState;
use crate::plane::ControlPlane;
use crate::shared::Shared;

/// A Map-Server or Map-Resolver.
#[derive(Debug, Serialize)]
pub struct Row {
    address: IpAddr,
    /// `map-server` or `map-resolver`.
    role: &'static str,
    /// What is known of it: `answers`, `silent` or `unknown`.
    state: &'static str,
    reason: String,
    registrations: usize,
    confirmed: usize,
    refused: usize,
    /// Since its last confirmation.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_s: Option<u64>,
}

/// All that the config names.
pub async fn get(State(shared): State<Shared>) -> Json<Vec<Row>> {
    Json(rows(&shared.plane(), Instant::now()))
}

#[derive(Default)]
struct Sum {
    registrations: usize,
    confirmed: usize,
    refused: usize,
    stale: usize,
    last: Option<Instant>,
}

fn rows(plane: &ControlPlane, now: Instant) -> Vec<Row> {
    let Some(system) = &plane.config().mapping_system else {
        return Vec::new();
    };
    let mut sums: BTreeMap<IpAddr, Sum> = BTreeMap::new();
    for registration in plane.roles().etr().into_iter().flat_map(|etr| etr.registrations()) {
        let sum = sums.entry(registration.server).or_default();
        sum.registrations += 1;
        sum.confirmed += usize::from(registration.state == Registration::Confirmed);
        sum.refused += usize::from(registration.state == Registration::Refused);
        sum.stale += usize::from(registration.state == Registration::Stale);
        sum.last = sum.last.max(registration.confirmed);
    }
    let servers = system.map_servers.iter();
    let servers =
        servers.map(|peer| server(peer.address, sums.remove(&peer.address).unwrap_or_default(), now));
    let servers: Vec<_> = servers.collect();
    let open = open_questions(plane);
    let resolvers = system.map_resolvers.iter().map(|address| resolver(open, *address));
    servers.into_iter().chain(resolvers).collect()
}

fn server(address: IpAddr, sum: Sum, now: Instant) -> Row {
    let Sum { registrations, confirmed, refused, stale, last } = sum;
    let (state, reason) = match last {
        _ if registrations == 0 => ("unknown", "nothing is registered with it".to_string()),
        None if refused > 0 => {
            ("answers", "it refuses what we register: look at its keys and sites".to_string())
        }
        None => ("silent", "it has not confirmed any registration yet".to_string()),
        Some(_) if stale > 0 => {
            ("silent", format!("{stale} refreshes were not confirmed; others keep them until they expire"))
        }
        Some(_) if refused > 0 => ("answers", format!("it refuses {refused} of our registrations")),
        Some(_) => ("answers", "it confirms what we register".to_string()),
    };
    let answered_s = last.map(|at| now.saturating_duration_since(at).as_secs());
    Row { address, role: "map-server", state, reason, registrations, confirmed, refused, answered_s }
}

/// Questions without an answer, and mappings that are used on without one.
fn open_questions(plane: &ControlPlane) -> (usize, usize) {
    let (mut asking, mut stale) = (0, 0);
    for entry in plane.roles().itr().into_iter().flat_map(|itr| itr.entries()) {
        asking += usize::from(entry.asking);
        stale += usize::from(entry.state == EntryState::Stale);
    }
    (asking, stale)
}

/// Resolvers are not told apart by who answered, so they share what is known.
fn resolver((asking, stale): (usize, usize), address: IpAddr) -> Row {
    let (state, reason) = match (asking, stale) {
        (0, 0) => ("answers", "no question is open".to_string()),
        (_, 0) => ("unknown", format!("{asking} questions are open")),
        _ => ("silent", format!("{stale} mappings are stale and used on; {asking} questions are open")),
    };
    Row {
        address,
        role: "map-resolver",
        state,
        reason,
        registrations: 0,
        confirmed: 0,
        refused: 0,
        answered_s: None,
    }
}
