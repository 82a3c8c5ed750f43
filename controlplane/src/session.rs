//! The channel to the dataplane: connect, sync, publish, listen; and again when it breaks.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use sterna_shm::{ChannelFault, ControlSession, End, Farewell, HandshakeError, PlaneState};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch::Receiver;
use tracing::{debug, info, warn};

use crate::clock;
use crate::shared::Shared;
use crate::underlay::Facts;

/// Pauses between attempts to connect: doubled from the first to the last, and short enough that a dataplane
/// that starts is served within a second.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// Pause after another control plane took our dataplane, lest we take it back at once and so on for ever.
const REPLACED_PAUSE: Duration = Duration::from_secs(10);

/// How long the first sync waits for next hops, once the kernel's routes are known. The kernel sends the first
/// solicitation at once and the answer takes a round trip; who has not answered after a second is not there.
const SETTLE_WITHIN: Duration = Duration::from_secs(1);

/// Pause between two looks that no doorbell asks for, and between two heartbeats.
const TICK: Duration = Duration::from_millis(100);

/// Pause before a full ring is tried again; the dataplane empties it in less.
const RING_FULL_PAUSE: Duration = Duration::from_millis(1);

/// Records per turn in either direction, so that a flood on one side never starves the other tasks.
const TURN: usize = 1024;

/// Turns of records that are published ahead of a message. Far more than a message causes; while a whole table is
/// being told, messages do not wait for it.
const SPEAK_AT_ONCE: usize = 4;

/// Keeps a session with the dataplane at `socket`, for ever.
pub async fn keep(shared: &Shared, socket: &Path, known: Receiver<Facts>) {
    underlay_known(shared, known).await;
    let mut generation = 0;
    let mut pause = FIRST_PAUSE;
    let mut told = None;
    loop {
        match connect(socket).await {
            Ok(session) => {
                generation = clock::generation(generation);
                let (end, synced) = serve(shared, session, generation).await;
                warn!(%end, "the session with the dataplane is over");
                told = None;
                // A dataplane that fails every session before it is in sync is not asked faster and faster.
                pause = if synced { FIRST_PAUSE } else { pause };
                if matches!(end, SessionEnd::Peer(End::Farewell(Farewell::Replaced))) {
                    tokio::time::sleep(REPLACED_PAUSE).await;
                }
            }
            Err(error) => {
                let error = error.to_string();
                if told.as_ref() != Some(&error) {
                    warn!(error, socket = %socket.display(), "no session with the dataplane; trying again");
                    told = Some(error);
                }
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Waits until the first sync would tell the truth. A sync before the kernel's routes are known would take the
/// locators away from a dataplane that forwards.
async fn underlay_known(shared: &Shared, mut known: Receiver<Facts>) {
    if known.wait_for(|facts| facts.read).await.is_err() {
        return std::future::pending().await;
    }
    let settled = known.wait_for(|facts| facts.settled);
    if tokio::time::timeout(SETTLE_WITHIN, settled).await.is_err() {
        info!("some next hops have not answered yet; their packets are held");
    }
    // Whoever else hands the facts on may not have had its turn yet.
    shared.plane().underlay(known.borrow().clone(), Instant::now());
    shared.flush();
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionEnd {
    #[error(transparent)]
    Peer(#[from] End),
    #[error(transparent)]
    Fault(#[from] ChannelFault),
    #[error("the updates ring took {taken} of {offered} records that it had room for")]
    Ring { offered: usize, taken: usize },
    #[error("a descriptor of the session cannot be watched: {0}")]
    Watch(#[from] io::Error),
}

async fn connect(socket: &Path) -> Result<ControlSession, HandshakeError> {
    let path = socket.to_owned();
    // The handshake blocks while the dataplane thinks.
    match tokio::task::spawn_blocking(move || sterna_shm::connect(&path)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(HandshakeError::Gone),
    }
}

/// One session from its sync to its end, and whether it was ever in sync.
async fn serve(shared: &Shared, mut session: ControlSession, generation: u64) -> (SessionEnd, bool) {
    info!(incarnation = session.incarnation, pid = session.peer_pid(), generation, "a dataplane answers");
    let ports = session.ports.iter().map(|port| port.name.clone()).collect();
    drop(shared.take_session_fault());
    shared.plane().session_began(generation, ports, Instant::now());
    let fds = Watched::of(&session);
    shared.set_link(session.packets.take());
    shared.set_session(Some(session));
    let end = match fds {
        Ok(fds) => converse(shared, &fds).await,
        Err(error) => error.into(),
    };
    let synced = shared.plane().publisher().synced();
    shared.plane().session_ended();
    shared.set_link(None);
    if let Some(session) = shared.set_session(None)
        && !matches!(end, SessionEnd::Peer(_))
    {
        session.dismiss(Farewell::ChannelFault);
    }
    shared.dataplane_spoke();
    (end, synced)
}

/// What wakes a session: its doorbell, and its socket when the dataplane hangs up.
struct Watched {
    doorbell: AsyncFd<OwnedFd>,
    socket: AsyncFd<OwnedFd>,
}

impl Watched {
    fn of(session: &ControlSession) -> io::Result<Self> {
        let (doorbell, socket) = (session.doorbell().as_fd(), session.as_fd());
        Ok(Self {
            doorbell: watch(doorbell.try_clone_to_owned()?)?,
            socket: watch(socket.try_clone_to_owned()?)?,
        })
    }
}

#[expect(
    deprecated,
    reason = "the successor is unsafe for types that might lend their fd; this one is owned"
)]
pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

/// What a turn left undone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Nothing,
    /// More events wait, or more records fit.
    More,
    /// Records wait for room in the ring.
    RingFull,
}

async fn converse(shared: &Shared, fds: &Watched) -> SessionEnd {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let rest = match shared.with_session(|session| turn(shared, session)) {
            Some(Ok(rest)) => rest,
            Some(Err(end)) => return end,
            None => return End::Gone.into(),
        };
        shared.dataplane_spoke();
        shared.carry_out();
        let pause = match rest {
            Rest::Nothing => None,
            Rest::More => Some(Duration::ZERO),
            Rest::RingFull => Some(RING_FULL_PAUSE),
        };
        tokio::select! {
            bell = fds.doorbell.readable() => match bell {
                Ok(mut guard) => guard.clear_ready(),
                Err(error) => return error.into(),
            },
            hangup = fds.socket.readable() => match hangup {
                // `turn` asks the session itself; readiness only says that it is worth asking.
                Ok(mut guard) => guard.clear_ready(),
                Err(error) => return error.into(),
            },
            () = shared.publishable() => {}
            _ = ticks.tick() => {}
            () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
        }
    }
}

/// One turn: hear what there is, say what there is room for.
fn turn(shared: &Shared, session: &mut ControlSession) -> Result<Rest, SessionEnd> {
    if let Some(fault) = shared.take_session_fault() {
        return Err(fault);
    }
    session.doorbell().drain();
    let heard = hear(shared, session)?;
    let said = say(shared, session)?;
    session.beat(clock::monotonic_ns());
    session.set_state(match shared.plane().publisher().synced() {
        true => PlaneState::Running,
        false => PlaneState::Syncing,
    });
    if let Some(end) = session.end() {
        return Err(end.into());
    }
    Ok(if heard == Rest::More { heard } else { said })
}

/// Publishes what there is room for, without waiting for the session's turn, which will end on a fault.
pub(crate) fn publish_now(shared: &Shared) {
    let outcome = shared.with_session(|session| {
        for _ in 0..SPEAK_AT_ONCE {
            match say(shared, session) {
                Ok(Rest::More) => {}
                other => return other.map(|_| ()),
            }
        }
        Ok(())
    });
    if let Some(Err(fault)) = outcome {
        shared.fail_session(fault);
    }
}

fn hear(shared: &Shared, session: &mut ControlSession) -> Result<Rest, SessionEnd> {
    let now = Instant::now();
    let mut plane = shared.plane();
    for _ in 0..TURN {
        match session.events.pop()? {
            Some(event) => plane.event(event, now),
            None => return Ok(Rest::Nothing),
        }
    }
    Ok(Rest::More)
}

fn say(shared: &Shared, session: &mut ControlSession) -> Result<Rest, SessionEnd> {
    let room = session.updates.free().min(TURN);
    if let Some(fault) = session.updates.fault() {
        return Err(fault.into());
    }
    let mut plane = shared.plane();
    let records = plane.pump(room);
    if !records.is_empty() {
        let taken = session.updates.push_batch(&records);
        session.ring_updates();
        debug!(records = taken, "published");
        if taken < records.len() {
            return Err(SessionEnd::Ring { offered: records.len(), taken });
        }
    }
    Ok(match plane.publisher().has_work() {
        false => Rest::Nothing,
        true if room == TURN => Rest::More,
        true => Rest::RingFull,
    })
}
