//! One question to a gateway's control API: HTTP over its Unix socket, nothing more than that needs.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::error::{LabError, Result};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// An answer longer than this is no answer of ours.
const MOST: u64 = 16 << 20;

/// A status and a JSON body.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body; `Null` when it is empty.
    pub body: Value,
}

/// Asks `method path` at the socket.
///
/// # Errors
/// When nobody listens, or what comes back is not HTTP with JSON.
pub fn ask(socket: &Path, method: &str, path: &str) -> Result<Answer> {
    let what = || LabError::io(format!("asking {} for {path}", socket.display()));
    let mut stream = UnixStream::connect(socket).map_err(what())?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(what())?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(what())?;
    // Version 1.0, so that the server neither keeps the connection nor sends the body in chunks.
    let request = format!("{method} {path} HTTP/1.0\r\nHost: sterna\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(what())?;
    let mut bytes = Vec::new();
    stream.take(MOST).read_to_end(&mut bytes).map_err(what())?;
    parse(&bytes).ok_or_else(|| LabError::Api {
        gateway: socket.display().to_string(),
        request: format!("{method} {path}"),
        status: 0,
        body: String::from_utf8_lossy(&bytes).chars().take(200).collect(),
    })
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let split = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(&bytes[..split]).ok()?, &bytes[split + 4..]);
    let mut words = head.lines().next()?.split_whitespace();
    words.next()?.starts_with("HTTP/1.").then_some(())?;
    let status = words.next()?.parse().ok()?;
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(body).ok()? };
    Some(Answer { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_split_into_status_and_json() {
        let answer = parse(b"HTTP/1.0 200 OK\r\ncontent-length: 13\r\n\r\n{\"synced\":true}").unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body["synced"], true);
    }

    #[test]
    fn what_is_not_http_or_not_json_is_refused() {
        assert_eq!(parse(b"SSH-2.0\r\n\r\n"), None);
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\r\n<html>"), None);
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().body, Value::Null);
    }
}
