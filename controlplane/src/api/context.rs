//! What agents report: `PUT`, `PATCH` and `DELETE /v1/groups/{iid}/agents/{eid}/context`, a heartbeat beside it, batches,
//! and `GET /v1/context` to see it.

pub mod batch;
mod view;

use std::net::IpAddr;
use std::time::Instant;

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing;
use serde::Serialize;
use sterna_wire::Iid;

use super::failure;
use crate::context::StoreRefusal;
use crate::context::body::{Body, Fault, Manner, Op};
use crate::plane::{ControlPlane, ReportRefusal, Reporter};
use crate::shared::Shared;

pub use view::get;

/// The longest report, in bytes.
const MAX_BODY: usize = 16 << 10;

/// Longer bodies are refused before they are read.
pub fn limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(MAX_BODY)
}

/// What may be said of a single agent, by this reporter.
pub(crate) fn endpoints(reporter: Reporter) -> Router<Shared> {
    Router::new()
        .route(
            "/v1/groups/{iid}/agents/{eid}/context",
            routing::put(put).patch(patch).delete(delete).layer(limit()),
        )
        .route("/v1/groups/{iid}/agents/{eid}/context/heartbeat", routing::post(heartbeat))
        .layer(Extension(reporter))
}

/// An agent as the path names it.
type Agent = Path<(String, String)>;

/// Whose report was taken.
#[derive(Debug, Serialize)]
struct Done {
    iid: u32,
    eid: IpAddr,
}

/// Why a report is refused.
#[derive(Debug, Serialize)]
pub(super) struct Refused {
    error: String,
    /// What is wrong with the body, and where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<Fault>,
    #[serde(skip)]
    status: StatusCode,
}

/// All that is said of the agent from now on is the body. 200 with whose it is; 400 with every fault and its path; 404 for an agent that
/// is not here; 403 for another one's; 409 without a mapping system; 413 for a body of more than 16 KiB; 429 above
/// `report_rate`; 507 above `max_agents`.
pub async fn put(
    State(shared): State<Shared>,
    Extension(reporter): Extension<Reporter>,
    agent: Agent,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    whole(&shared, reporter, &agent, Some((Manner::Whole, body)))
}

/// Of what is said, what the body names changes; null takes back. As [`put`].
pub async fn patch(
    State(shared): State<Shared>,
    Extension(reporter): Extension<Reporter>,
    agent: Agent,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    whole(&shared, reporter, &agent, Some((Manner::Patch, body)))
}

/// Nothing is said of the agent any more. As [`put`].
pub async fn delete(
    State(shared): State<Shared>,
    Extension(reporter): Extension<Reporter>,
    agent: Agent,
) -> Response {
    whole(&shared, reporter, &agent, None)
}

/// What was said holds for its time again. As [`put`]; 404 also when nothing was said.
pub async fn heartbeat(
    State(shared): State<Shared>,
    Extension(reporter): Extension<Reporter>,
    agent: Agent,
) -> Response {
    let done = on_plane(&shared, reporter, &agent, |_| Ok(Op::Heartbeat));
    shared.flush();
    answered(done)
}

fn whole(
    shared: &Shared,
    reporter: Reporter,
    agent: &Agent,
    body: Option<(Manner, Result<Bytes, BytesRejection>)>,
) -> Response {
    let done = on_plane(shared, reporter, agent, |plane| match body {
        None => Ok(Op::Delete),
        Some((_, Err(rejection))) => Err(Refused::plain(rejection.status(), rejection.body_text())),
        Some((manner, Ok(bytes))) => op(plane, manner, &bytes),
    });
    shared.flush();
    answered(done)
}

fn answered(done: Result<Done, Refused>) -> Response {
    match done {
        Ok(done) => Json(done).into_response(),
        Err(refused) => refused.into_response(),
    }
}

fn on_plane(
    shared: &Shared,
    reporter: Reporter,
    Path((iid, eid)): &Agent,
    op: impl FnOnce(&mut ControlPlane) -> Result<Op, Refused>,
) -> Result<Done, Refused> {
    let (now, mut plane) = (Instant::now(), shared.plane());
    let iid = iid.parse().ok().and_then(Iid::new);
    let iid =
        iid.ok_or_else(|| Refused::plain(StatusCode::NOT_FOUND, "the path names no instance-ID".into()))?;
    let eid: Result<IpAddr, _> = eid.parse();
    let eid = eid.map_err(|_| Refused::plain(StatusCode::NOT_FOUND, "the path names no EID".into()))?;
    plane.admit_report(now)?;
    let op = op(&mut plane)?;
    plane.report(reporter, (iid, eid), &op, now)?;
    plane.tell_contexts(now);
    Ok(Done { iid: iid.get(), eid })
}

/// What a body orders.
fn op(plane: &mut ControlPlane, manner: Manner, bytes: &[u8]) -> Result<Op, Refused> {
    let read = serde_json::from_slice(bytes)
        .map_err(|error| vec![Fault { path: String::new(), text: format!("is not JSON: {error}") }])
        .and_then(|value| Body::read(&value, manner));
    read.map(|body| Op::Report(manner, body)).map_err(|faults| {
        plane.report_malformed();
        Refused::faulty(faults)
    })
}

impl Refused {
    pub(super) fn plain(status: StatusCode, error: String) -> Self {
        Self { error, faults: Vec::new(), status }
    }

    pub(super) fn faulty(faults: Vec<Fault>) -> Self {
        let first = faults.first().map(|Fault { path, text }| match path.as_str() {
            "" => format!("the body {text}"),
            path => format!("{path} {text}"),
        });
        let more = faults.len().saturating_sub(1);
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        Self { error: first.unwrap_or_default() + &more, faults, status: StatusCode::BAD_REQUEST }
    }
}

impl From<ReportRefusal> for Refused {
    fn from(refusal: ReportRefusal) -> Self {
        let status = match &refusal {
            ReportRefusal::NoMappingSystem => StatusCode::CONFLICT,
            ReportRefusal::UnknownGroup(_) | ReportRefusal::UnknownAgent(_) => StatusCode::NOT_FOUND,
            ReportRefusal::NotYours { .. } => StatusCode::FORBIDDEN,
            ReportRefusal::TooLong => StatusCode::BAD_REQUEST,
            ReportRefusal::Store(StoreRefusal::Rate) => StatusCode::TOO_MANY_REQUESTS,
            ReportRefusal::Store(StoreRefusal::Full) => StatusCode::INSUFFICIENT_STORAGE,
            ReportRefusal::Store(StoreRefusal::Nothing) => StatusCode::NOT_FOUND,
        };
        Refused::plain(status, refusal.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        if self.faults.is_empty() {
            return failure(self.status, &self.error);
        }
        (self.status, Json(self)).into_response()
    }
}
