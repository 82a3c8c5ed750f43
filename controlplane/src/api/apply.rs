//! `POST /v1/apply`: read the config file again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sterna_config::Change;

use crate::reload::{Finding, reload};
use crate::shared::Shared;

#[derive(Debug, Serialize)]
struct Applied {
    applied: bool,
    changes: Vec<Change>,
}

#[derive(Debug, Serialize)]
struct Refused {
    findings: Vec<Finding>,
}

/// 200 with the changes, or 422 with the findings and nothing changed.
pub async fn post(State(shared): State<Shared>) -> Response {
    match reload(&shared) {
        Ok(changes) => Json(Applied { applied: true, changes }).into_response(),
        Err(refusal) => {
            let body = Refused { findings: refusal.findings() };
            (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
        }
    }
}
