//! Asking a running gateway: HTTP over its control plane's Unix socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// A control plane answers from memory; whatever takes longer has hung.
const PATIENCE: Duration = Duration::from_secs(10);
/// More than a million EIDs' worth of rows.
const MAX_BODY: usize = 1 << 30;

/// Why nothing can be told about a gateway.
#[derive(Debug)]
pub enum Unreachable {
    /// There is no gateway at all.
    None {
        /// Where its directory would be.
        root: PathBuf,
    },
    /// There are several and none was named.
    Several {
        /// Their names.
        names: Vec<String>,
    },
    /// It has no control plane that listens.
    NotRunning {
        /// Its socket.
        socket: PathBuf,
    },
    /// This user may not ask it.
    NotAllowed {
        /// Its socket.
        socket: PathBuf,
    },
    /// It did not answer in time.
    Silent {
        /// Its socket.
        socket: PathBuf,
    },
    /// It has no dataplane, which alone knows.
    NoAnswer {
        /// What it said.
        sentence: String,
    },
}

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unreachable::None { root } => write!(
                f,
                "no gateway runs here (nothing is in {}): start one with `sterna run FILE`, or name its directory with \
                 --run-dir",
                root.display()
            ),
            Unreachable::Several { names } => {
                write!(f, "several gateways are here: choose one with --name ({})", names.join(", "))
            }
            Unreachable::NotRunning { socket } => write!(
                f,
                "no control plane listens at {}: start the gateway with `sterna run FILE`, or clear what it left with \
                 `sterna down`",
                socket.display()
            ),
            Unreachable::NotAllowed { socket } => {
                write!(f, "this user may not ask the gateway at {}: try again with sudo", socket.display())
            }
            Unreachable::Silent { socket } => write!(
                f,
                "the control plane at {} does not answer: look at its log, or restart it (forwarding goes on)",
                socket.display()
            ),
            Unreachable::NoAnswer { sentence } => {
                write!(f, "the control plane cannot tell: {sentence}; see `sterna show status`")
            }
        }
    }
}

impl std::error::Error for Unreachable {}

/// What the control plane said.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body: JSON.
    pub body: String,
}

/// Asks for a path.
pub fn get(socket: &Path, path: &str) -> Result<Answer> {
    ask(socket, Method::GET, path, String::new())
}

/// Asks for something to be done.
pub fn post(socket: &Path, path: &str) -> Result<Answer> {
    ask(socket, Method::POST, path, String::new())
}

/// Sends a body, JSON or nothing.
pub fn send(socket: &Path, method: Method, path: &str, body: String) -> Result<Answer> {
    ask(socket, method, path, body)
}

fn ask(socket: &Path, method: Method, path: &str, body: String) -> Result<Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer =
        runtime.block_on(async { tokio::time::timeout(PATIENCE, talk(socket, method, path, body)).await });
    let answer = answer.map_err(|_| Unreachable::Silent { socket: socket.to_owned() })??;
    if answer.status == StatusCode::SERVICE_UNAVAILABLE {
        return Err(Unreachable::NoAnswer { sentence: sentence(&answer.body) }.into());
    }
    Ok(answer)
}

async fn talk(socket: &Path, method: Method, path: &str, body: String) -> Result<Answer> {
    let stream = UnixStream::connect(socket).await.map_err(|error| refused(error, socket))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "sterna")
        .body(Full::new(Bytes::from(body)))?;
    // Moves the bytes until the exchange is over; what goes wrong there, the exchange tells.
    tokio::spawn(connection);
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_BODY)
            .collect()
            .await
            .map_err(anyhow::Error::from_boxed)?;
        let body = String::from_utf8(body.to_bytes().to_vec())?;
        anyhow::Ok(Answer { status, body })
    };
    exchange.await.with_context(|| format!("the control plane at {} broke off", socket.display()))
}

fn refused(error: io::Error, socket: &Path) -> anyhow::Error {
    let socket = socket.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            Unreachable::NotRunning { socket }.into()
        }
        io::ErrorKind::PermissionDenied => Unreachable::NotAllowed { socket }.into(),
        _ => anyhow::Error::new(error).context(format!("cannot connect to {}", socket.display())),
    }
}

/// A value in a query: everything but letters, digits and `-._` as %XX.
pub fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let each = text.bytes();
    each.map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The sentence in `{"error": "..."}`, or the body as it is.
pub fn sentence(body: &str) -> String {
    let json: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let text = json.as_ref().and_then(|json| json["error"].as_str());
    text.unwrap_or(body.trim()).to_owned()
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn every_reason_is_one_sentence_that_says_what_to_do() {
        let socket = PathBuf::from("/run/sterna/gw-a/control.sock");
        let reasons = [
            Unreachable::None { root: "/run/sterna".into() },
            Unreachable::Several { names: vec!["a".into(), "b".into()] },
            Unreachable::NotRunning { socket: socket.clone() },
            Unreachable::NotAllowed { socket: socket.clone() },
            Unreachable::Silent { socket },
            Unreachable::NoAnswer { sentence: "no dataplane is connected".into() },
        ];
        let texts: std::collections::BTreeSet<String> = reasons.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), reasons.len());
        for text in texts {
            assert!(!text.contains('\n') && !text.ends_with('.'), "{text}");
        }
    }

    #[test]
    fn an_error_body_gives_its_sentence() {
        assert_eq!(sentence(r#"{"error":"no such endpoint"}"#), "no such endpoint");
        assert_eq!(sentence(" plain \n"), "plain");
    }
}
