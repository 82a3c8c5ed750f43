//! `GET /v1/drops`: why packets were dropped. `?all=true` also names the reasons that did not happen.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use sterna_shm::{Kind, ScopeView};

use super::no_dataplane;
use crate::shared::Shared;

/// What to show.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Show {
    #[serde(default)]
    all: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    reason: String,
    port: String,
    count: u64,
    help: String,
}

/// Drops by reason and port, over all workers.
pub async fn get(State(shared): State<Shared>, Query(show): Query<Show>) -> Response {
    let Some(scopes) = shared.with_session(|session| session.counters.scopes()) else {
        return no_dataplane();
    };
    Json(rows(&scopes, show.all)).into_response()
}

fn rows(scopes: &[ScopeView], all: bool) -> Vec<Row> {
    let mut rows: BTreeMap<(u16, &str), Row> = BTreeMap::new();
    for scope in scopes {
        for counter in scope.values.iter().filter(|counter| counter.kind == Kind::Drop) {
            let row = rows.entry((scope.port, &counter.name)).or_insert_with(|| Row {
                reason: counter.name.to_string(),
                port: scope.port_name.clone(),
                count: 0,
                help: counter.help.to_string(),
            });
            row.count = row.count.wrapping_add(counter.value);
        }
    }
    rows.into_values().filter(|row| all || row.count > 0).collect()
}

#[cfg(test)]
mod tests {
    use sterna_shm::{CounterValue, Side};

    use super::*;

    #[test]
    fn workers_are_summed_and_other_kinds_left_out() {
        let counter =
            |name: &str, kind, value| CounterValue { name: name.into(), kind, help: "Why.".into(), value };
        let scope = |worker, value| ScopeView {
            worker,
            port: 1,
            port_name: "eth0".into(),
            side: Side::Rloc,
            values: vec![
                counter("rx_packets", Kind::Rx, 50),
                counter("rloc_spoof", Kind::Drop, value),
                counter("bad_iid", Kind::Drop, 0),
            ],
        };
        let scopes = [scope(0, 3), scope(1, 4)];
        let row = |reason: &str, count| Row {
            reason: reason.into(),
            port: "eth0".into(),
            count,
            help: "Why.".into(),
        };
        assert_eq!(rows(&scopes, false), vec![row("rloc_spoof", 7)]);
        assert_eq!(rows(&scopes, true), vec![row("bad_iid", 0), row("rloc_spoof", 7)]);
    }
}
