//! The packets' way in and out, and a task of HTTP per connection.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use sterna_shm::{Heard, PACKET, PacketLink};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::agent::Agent;
use super::bounds::{HEAD, HEADERS, IDLE, TURN};
use super::counters::Counter;
use super::endpoint::Endpoint;
use super::stream::Stream;
use crate::session::watch;

/// The way to the dataplane while there is one.
pub type Link = Option<Arc<PacketLink>>;

/// Pause before a way is tried again that could not be watched.
const PAUSE: Duration = Duration::from_secs(1);

/// Serves agents for ever, by whatever way there is: `router` gives what an agent may ask for.
pub async fn serve(endpoint: Endpoint, mut links: watch::Receiver<Link>, router: impl Fn(Agent) -> Router) {
    loop {
        let link = links.borrow_and_update().clone();
        let mut tasks = JoinSet::new();
        tokio::select! {
            served = by_way(&endpoint, link.as_deref(), &router, &mut tasks) => {
                warn!(error = %served, "the way to the agents cannot be watched; trying again");
                tokio::time::sleep(PAUSE).await;
            }
            changed = links.changed() => if changed.is_err() {
                return;
            },
        }
        // The agents find out by themselves: their next segment meets nobody who knows of it.
        endpoint.stacks().clear();
        tasks.shutdown().await;
    }
}

/// Serves by one way, until it cannot be watched; one that is over is waited upon for ever.
async fn by_way(
    endpoint: &Endpoint,
    link: Option<&PacketLink>,
    router: &impl Fn(Agent) -> Router,
    tasks: &mut JoinSet<()>,
) -> io::Error {
    let Some(link) = link else { return std::future::pending().await };
    let watched = link.as_fd().try_clone_to_owned().and_then(watch);
    let fd = match watched {
        Ok(fd) => fd,
        Err(error) => return error,
    };
    loop {
        let deadline = endpoint.stacks().next_deadline();
        tokio::select! {
            heard = hear(endpoint, link, &fd) => match heard {
                Ok(true) => {}
                Ok(false) => return std::future::pending().await,
                Err(error) => return error,
            },
            () = endpoint.touched() => {}
            () = until(deadline) => {}
            Some(_) = tasks.join_next() => {}
        }
        let output = endpoint.stacks().run(Instant::now());
        for (iid, packet) in &output.packets {
            if !link.send(*iid, packet) {
                endpoint.stacks().count(Counter::AnswersLost);
            }
        }
        for (agent, id) in output.accepted {
            let stream = Stream::new(endpoint.clone(), agent, id);
            tasks.spawn(converse(stream, router(agent)));
        }
        // Whatever agents send: others have their turn after each of ours.
        tokio::task::yield_now().await;
    }
}

/// Reads some packets; false when there will be none any more.
async fn hear(endpoint: &Endpoint, link: &PacketLink, fd: &AsyncFd<OwnedFd>) -> io::Result<bool> {
    let mut ready = fd.readable().await?;
    let (mut packet, now) = ([0; PACKET], Instant::now());
    for _ in 0..TURN {
        match link.receive(&mut packet) {
            Heard::Packet { iid, len } => endpoint.stacks().receive(iid, &packet[..len], now),
            Heard::Noise => endpoint.stacks().count(Counter::Malformed),
            Heard::Nothing => {
                ready.clear_ready();
                break;
            }
            Heard::Over => return Ok(false),
        }
    }
    Ok(true)
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Speaks HTTP with one agent.
async fn converse(stream: Stream, router: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEAD).max_headers(HEADERS);
    let served = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
    if let Err(error) = served {
        debug!(%error, "a connection of an agent ended early");
    }
}
