//! One question to a gateway's control API: HTTP over its Unix socket, nothing more than that needs.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::error::{LabError, Result};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// An answer longer than this is no answer of ours.
const MOST: u64 = 16 << 20;

/// Where the counters of the LISP roles are.
const ROLES: &str = "/v1/lisp/counters";

/// A status and a JSON body.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body; `Null` when it is empty.
    pub body: Value,
}

/// The API of one control plane.
#[derive(Clone, Debug)]
pub struct Api {
    name: String,
    socket: PathBuf,
}

impl Api {
    /// The API that is served at a socket.
    pub fn new(name: &str, socket: PathBuf) -> Self {
        Self { name: name.to_owned(), socket }
    }

    /// Asks.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn ask(&self, method: &str, path: &str) -> Result<Answer> {
        ask(&self.socket, method, path, "")
    }

    /// Sends a body. Whatever the status, it is an answer.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn tell(&self, method: &str, path: &str, body: &str) -> Result<Answer> {
        ask(&self.socket, method, path, body)
    }

    /// As [`Api::tell`], for what must be granted.
    ///
    /// # Errors
    /// Also when the status is not 200.
    pub fn told(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let answer = self.tell(method, path, body)?;
        self.only_granted(method, path, answer)
    }

    /// What GET answers.
    ///
    /// # Errors
    /// Also when the answer is not 200.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.granted("GET", path)
    }

    /// What POST answers.
    ///
    /// # Errors
    /// Also when the answer is not 200.
    pub fn post(&self, path: &str) -> Result<Value> {
        self.granted("POST", path)
    }

    /// What GET answers, in a shape.
    ///
    /// # Errors
    /// Also when the shape is another.
    pub fn get_as<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let body = self.get(path)?;
        serde_json::from_value(body).map_err(|error| self.error("GET", path, 200, error.to_string()))
    }

    /// A counter of the LISP roles, added up over the roles that have one of this name; 0 when none has.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn count(&self, name: &str) -> Result<u64> {
        Ok(sum_of(&self.get(ROLES)?, name))
    }

    fn granted(&self, method: &str, path: &str) -> Result<Value> {
        let answer = self.ask(method, path)?;
        self.only_granted(method, path, answer)
    }

    fn only_granted(&self, method: &str, path: &str, answer: Answer) -> Result<Value> {
        if answer.status == 200 {
            return Ok(answer.body);
        }
        let body = answer.body.to_string().chars().take(400).collect();
        Err(self.error(method, path, answer.status, body))
    }

    fn error(&self, method: &str, path: &str, status: u16, body: String) -> LabError {
        LabError::Api { gateway: self.name.clone(), request: format!("{method} {path}"), status, body }
    }
}

/// Adds up every number under this key, wherever it stands.
fn sum_of(value: &Value, name: &str) -> u64 {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| if key == name { value.as_u64().unwrap_or(0) } else { sum_of(value, name) })
            .sum(),
        Value::Array(values) => values.iter().map(|value| sum_of(value, name)).sum(),
        _ => 0,
    }
}

/// Asks `method path` at the socket, with a body that may be empty.
///
/// # Errors
/// When nobody listens, or what comes back is not HTTP with JSON.
fn ask(socket: &Path, method: &str, path: &str, content: &str) -> Result<Answer> {
    let what = || LabError::io(format!("asking {} for {path}", socket.display()));
    let stream = UnixStream::connect(socket).map_err(what())?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(what())?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(what())?;
    converse(stream, &socket.display().to_string(), method, path, content)
}

/// Asks an agent's gateway from inside the agent's host, at a TCP port, from one of the host's addresses.
///
/// # Errors
/// When nobody listens there, or what comes back is not HTTP with JSON.
pub fn ask_as_agent(
    from: IpAddr,
    gateway: SocketAddr,
    method: &str,
    path: &str,
    content: &str,
) -> Result<Answer> {
    let what = || LabError::io(format!("asking {gateway} for {path} from {from}"));
    let socket = Socket::new(Domain::for_address(gateway), Type::STREAM, None).map_err(what())?;
    socket.bind(&SocketAddr::new(from, 0).into()).map_err(what())?;
    socket.connect_timeout(&gateway.into(), PATIENCE).map_err(what())?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).map_err(what())?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(what())?;
    converse(stream, &gateway.to_string(), method, path, content)
}

/// One question and its answer. `with` names who is asked.
fn converse(
    mut stream: impl Read + Write,
    with: &str,
    method: &str,
    path: &str,
    content: &str,
) -> Result<Answer> {
    let what = || LabError::io(format!("asking {with} for {path}"));
    // Version 1.0, so that the server neither keeps the connection nor sends the body in chunks.
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: sterna\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n\
         {content}",
        content.len()
    );
    stream.write_all(request.as_bytes()).map_err(what())?;
    let mut bytes = Vec::new();
    stream.take(MOST).read_to_end(&mut bytes).map_err(what())?;
    parse(&bytes).ok_or_else(|| LabError::Api {
        gateway: with.to_owned(),
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
    fn a_counter_is_found_wherever_it_stands() {
        let told = serde_json::json!({"itr": {"misses": 3}, "etr": [{"misses": 2, "other": {"x": 1}}]});
        assert_eq!((sum_of(&told, "misses"), sum_of(&told, "x"), sum_of(&told, "y")), (5, 1, 0));
    }

    #[test]
    fn what_is_not_http_or_not_json_is_refused() {
        assert_eq!(parse(b"SSH-2.0\r\n\r\n"), None);
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\r\n<html>"), None);
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().body, Value::Null);
    }
}
