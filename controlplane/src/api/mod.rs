//! The management API: HTTP/1 with JSON on a Unix socket that only its owner may open.
//!
//! One file per noun. Each makes its rows from the control plane under the lock and answers; nothing waits.

mod agents;
mod apply;
pub(crate) mod context;
mod counters;
mod drops;
mod eids;
mod lisp;
mod locators;
mod map_servers;
mod mappings;
mod path;
mod ports;
mod registrations;
mod said;
mod sites;
mod status;
mod subscriptions;

use std::io;
use std::path::Path;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use rustix::fs::Mode;
use serde::Serialize;
use tokio::net::UnixListener;

use crate::plane::Reporter;
use crate::shared::Shared;

pub use context::batch::SLICE as BATCH_SLICE;

/// All endpoints.
pub fn router(shared: Shared) -> Router {
    Router::new()
        .route("/v1/eids", get(eids::get))
        .route("/v1/locators", get(locators::get))
        .route("/v1/ports", get(ports::get))
        .route("/v1/counters", get(counters::get))
        .route("/v1/drops", get(drops::get))
        .route("/v1/agents", get(agents::get))
        .route("/v1/agents/attach", post(agents::attach))
        .route("/v1/agents/detach", post(agents::detach))
        .route("/v1/context", get(context::get))
        .route("/v1/context/batch", post(context::batch::post).layer(context::batch::limit()))
        .merge(context::endpoints(Reporter::Local))
        .route("/v1/mappings", get(mappings::get))
        .route("/v1/path", get(path::get))
        .route("/v1/registrations", get(registrations::get))
        .route("/v1/subscriptions", get(subscriptions::get))
        .route("/v1/map-servers", get(map_servers::get))
        .route("/v1/sites", get(sites::get))
        .route("/v1/lisp/counters", get(lisp::get))
        .route("/v1/status", get(status::get))
        .route("/v1/apply", post(apply::post))
        .fallback(unknown)
        .with_state(shared)
}

/// Binds the socket with mode 0600. A socket left behind by a killed process is replaced in one step, so that a
/// client finds the old one or the new one, never none.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let fresh = path.with_extension(format!("sock.{}", std::process::id()));
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let before = rustix::process::umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
    let bound = UnixListener::bind(&fresh);
    rustix::process::umask(before);
    let listener = bound?;
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}

/// Serves for ever.
pub async fn serve(listener: UnixListener, shared: Shared) -> io::Result<()> {
    axum::serve(listener, router(shared)).await
}

/// An error as the client sees it.
#[derive(Serialize)]
struct Failure {
    error: String,
}

fn failure(status: StatusCode, error: &str) -> Response {
    (status, Json(Failure { error: error.to_string() })).into_response()
}

pub(crate) async fn unknown() -> Response {
    failure(StatusCode::NOT_FOUND, "no such endpoint")
}

/// Counters need a dataplane to count.
fn no_dataplane() -> Response {
    failure(StatusCode::SERVICE_UNAVAILABLE, "no dataplane is connected")
}
