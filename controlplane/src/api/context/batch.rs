//! `POST /v1/context/batch`: many reports at once, one a line (NDJSON), each judged alone.
//!
//! All tasks share one thread, and LISP messages must not wait for reports. So a batch is done in slices: [`SLICE`] lines
//! or [`TURN`], whichever ends first, then the mapping system is told, and everybody else has a turn. One line is at most
//! [`MAX_LINE`] bytes, so a slice cannot be longer than its time by more than one line takes.

use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Refused;
use crate::context::body::{Fault, Line};
use crate::plane::{ControlPlane, Reporter};
use crate::shared::Shared;

/// The longest batch, in bytes.
const MAX_BATCH: usize = 4 << 20;
/// The most lines of a batch.
const MAX_LINES: usize = 65_536;
/// The longest line, in bytes.
const MAX_LINE: usize = 16 << 10;
/// Lines that are done without a pause.
pub const SLICE: usize = 64;
/// How long lines are done without a pause.
pub const TURN: Duration = Duration::from_millis(1);
/// Lines whose refusal is told; the others are only counted.
const MOST_TOLD: usize = 100;

/// What became of a batch.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// Lines that were taken.
    taken: usize,
    /// Lines above `report_rate`.
    limited: usize,
    /// Other lines that were refused.
    refused: usize,
    /// The refused lines, the first hundred of them; not those above the rate.
    errors: Vec<Wrong>,
}

/// A line that was refused.
#[derive(Debug, Serialize)]
struct Wrong {
    /// From 1.
    line: usize,
    status: u16,
    error: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<Fault>,
}

/// Longer batches are refused before they are read.
pub fn limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(MAX_BATCH)
}

/// 200 with what became of the lines, also when some were refused; 429 when all that were refused were above the rate
/// and none was taken; 413 for more than 4 MiB or 65,536 lines.
pub async fn post(State(shared): State<Shared>, body: Result<Bytes, BytesRejection>) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => {
            return Refused::plain(rejection.status(), rejection.body_text()).into_response();
        }
    };
    // Empty ones count too: to pass over them takes time as well. What follows the last line's end is none.
    if body.split(|byte| *byte == b'\n').take(MAX_LINES + 2).count() > MAX_LINES + 1 {
        let error = format!("the batch has more than {MAX_LINES} lines: split it");
        return Refused::plain(StatusCode::PAYLOAD_TOO_LARGE, error).into_response();
    }
    let mut outcome = Outcome::default();
    let mut rest = body.split(|byte| *byte == b'\n').enumerate().peekable();
    while rest.peek().is_some() {
        slice(&shared, &mut rest, &mut outcome);
        shared.flush();
        // The others' turn: messages that came meanwhile are handled before the next slice.
        tokio::task::yield_now().await;
    }
    let none = outcome.taken == 0 && outcome.refused == 0 && outcome.limited > 0;
    let status = if none { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK };
    (status, Json(outcome)).into_response()
}

/// Some lines, without a pause.
fn slice<'a>(
    shared: &Shared,
    lines: &mut impl Iterator<Item = (usize, &'a [u8])>,
    outcome: &mut Outcome,
) -> usize {
    let (begin, mut plane) = (Instant::now(), shared.plane());
    let mut done = 0;
    for (index, line) in lines.take(SLICE) {
        done += 1;
        if !line.trim_ascii().is_empty() {
            outcome.add(index + 1, take(&mut plane, line, begin));
        }
        if begin.elapsed() >= TURN {
            break;
        }
    }
    plane.tell_contexts(begin);
    done
}

fn take(plane: &mut ControlPlane, line: &[u8], now: Instant) -> Result<(), Refused> {
    plane.admit_report(now)?;
    let wrong = |text: String| vec![Fault { path: String::new(), text }];
    let read = if line.len() > MAX_LINE {
        Err(wrong(format!("has {} bytes; {MAX_LINE} are the most", line.len())))
    } else {
        let value = serde_json::from_slice(line).map_err(|error| wrong(format!("is not JSON: {error}")));
        value.and_then(|value| Line::read(&value))
    };
    let Line { iid, eid, op } = read.map_err(|faults| {
        plane.report_malformed();
        Refused::faulty(faults)
    })?;
    Ok(plane.report(Reporter::Local, (iid, eid), &op, now)?)
}

impl Outcome {
    fn add(&mut self, line: usize, done: Result<(), Refused>) {
        let Err(refused) = done else {
            self.taken += 1;
            return;
        };
        if refused.status == StatusCode::TOO_MANY_REQUESTS {
            self.limited += 1;
            return;
        }
        self.refused += 1;
        if self.errors.len() < MOST_TOLD {
            let Refused { error, faults, status } = refused;
            self.errors.push(Wrong { line, status: status.as_u16(), error, faults });
        }
    }
}
