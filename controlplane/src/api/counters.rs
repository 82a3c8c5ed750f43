//! `GET /v1/counters`: every counter of every worker and port, and whether they balance.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sterna_shm::{ScopeView, balance};

use super::no_dataplane;
use crate::shared::Shared;

#[derive(Debug, Serialize)]
struct Body {
    scopes: Vec<Scope>,
    balance: Balance,
}

#[derive(Debug, Serialize)]
struct Scope {
    worker: u16,
    port: String,
    side: String,
    counters: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct Balance {
    rx: u64,
    made: u64,
    tx: u64,
    punted: u64,
    held: u64,
    dropped: u64,
    error: i64,
}

/// A copy of all counters.
pub async fn get(State(shared): State<Shared>) -> Response {
    let Some(scopes) = shared.with_session(|session| session.counters.scopes()) else {
        return no_dataplane();
    };
    Json(body(&scopes)).into_response()
}

fn body(scopes: &[ScopeView]) -> Body {
    let sum = balance(scopes);
    let balance = Balance {
        rx: sum.rx,
        made: sum.made,
        tx: sum.tx,
        punted: sum.punted,
        held: sum.held,
        dropped: sum.dropped,
        error: sum.error,
    };
    Body { scopes: scopes.iter().map(scope).collect(), balance }
}

fn scope(view: &ScopeView) -> Scope {
    let counters = view.values.iter().map(|counter| (counter.name.to_string(), counter.value));
    Scope {
        worker: view.worker,
        port: view.port_name.clone(),
        side: view.side.to_string(),
        counters: counters.collect(),
    }
}
