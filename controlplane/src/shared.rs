//! The one control plane of this process and its session with the dataplane, as the tasks share them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sterna_shm::{ControlSession, PacketLink};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::eid_api::Endpoint;
use crate::eid_api::serve::Link;
use crate::etr::{AssignId, AttachError};
use crate::lisp::socket::Sockets;
use crate::plane::ControlPlane;
use crate::server::Save;
use crate::session::{self, SessionEnd};
use crate::underlay::Questions;

/// A handle on the control plane. All tasks run on one thread and none holds the lock over an await.
#[derive(Clone)]
pub struct Shared(Arc<Inner>);

struct Inner {
    plane: Mutex<ControlPlane>,
    session: Mutex<Option<ControlSession>>,
    sockets: Mutex<Sockets>,
    waiting: Mutex<BTreeMap<AssignId, oneshot::Sender<Assignment>>>,
    saves: Mutex<Option<mpsc::UnboundedSender<Vec<Save>>>>,
    changed: Notify,
    heard: Notify,
    sooner: Notify,
    armed: Mutex<Option<Instant>>,
    session_fault: Mutex<Option<SessionEnd>>,
    questions: watch::Sender<Questions>,
    link: watch::Sender<Link>,
    agents: Endpoint,
    config_file: PathBuf,
}

/// What became of a search for a free EID.
pub type Assignment = Result<IpAddr, AttachError>;

/// Shortest pause between two ticks: whatever asks for more does not get the thread for itself.
const TICK_PAUSE: Duration = Duration::from_micros(500);

impl Shared {
    /// Shares `plane`, whose config came from `config_file`.
    pub fn new(plane: ControlPlane, config_file: PathBuf) -> Self {
        let (questions, _) = watch::channel(plane.questions());
        Self(Arc::new(Inner {
            plane: Mutex::new(plane),
            session: Mutex::new(None),
            sockets: Mutex::default(),
            waiting: Mutex::default(),
            saves: Mutex::default(),
            changed: Notify::new(),
            heard: Notify::new(),
            sooner: Notify::new(),
            armed: Mutex::new(None),
            session_fault: Mutex::new(None),
            questions,
            link: watch::Sender::new(None),
            agents: Endpoint::default(),
            config_file,
        }))
    }

    /// The control plane. A task that panicked while it held the lock left values, not half a state: every
    /// method of [`ControlPlane`] is complete or has not begun.
    pub fn plane(&self) -> MutexGuard<'_, ControlPlane> {
        self.0.plane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses the session with the dataplane, if there is one. Who needs the plane too locks it inside.
    pub fn with_session<T>(&self, on: impl FnOnce(&mut ControlSession) -> T) -> Option<T> {
        self.session().as_mut().map(on)
    }

    /// Puts a session in place, or none; returns the one before.
    pub fn set_session(&self, session: Option<ControlSession>) -> Option<ControlSession> {
        std::mem::replace(&mut *self.session(), session)
    }

    fn session(&self) -> MutexGuard<'_, Option<ControlSession>> {
        self.0.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sockets of UDP 4342. Nobody holds them and the plane at a time.
    pub fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.0.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out what the control plane decided: the dataplane's tables first, then messages, then the rest.
    /// To be called after whatever changed the plane; it never waits.
    pub fn flush(&self) {
        session::publish_now(self);
        self.carry_out();
        if self.plane().publisher().has_work() {
            self.publish();
        }
    }

    /// What there is to do beside the dataplane's tables; for the session, which publishes itself.
    pub(crate) fn carry_out(&self) {
        let (datagrams, saves, assigned, ask, deadline) = {
            let mut plane = self.plane();
            let (datagrams, saves) = (plane.take_datagrams(), plane.take_saves());
            let ask = plane.take_remotes_changed();
            (datagrams, saves, plane.take_assigned(), ask, plane.next_deadline())
        };
        if !datagrams.is_empty() {
            let rest = self.sockets().send(datagrams, Instant::now());
            if !rest.is_empty() {
                self.plane().give_back_datagrams(rest);
            }
        }
        if !saves.is_empty() {
            self.keep(saves);
        }
        for done in assigned {
            // Whoever asked may have gone.
            let asker = self.waiting().remove(&done.id);
            let _ = asker.map(|asker| asker.send(done.result));
        }
        if ask {
            self.ask_underlay();
        }
        let armed = *self.0.armed.lock().unwrap_or_else(PoisonError::into_inner);
        if deadline.is_some_and(|deadline| armed.is_none_or(|armed| deadline < armed)) {
            self.0.sooner.notify_one();
        }
    }

    /// Waits until the dataplane forwards by all that was decided so far, `within` at the longest; at once when there is
    /// no dataplane. Gives whether it does.
    pub async fn told(&self, within: Duration) -> bool {
        let number = self.plane().want_barrier();
        self.flush();
        let deadline = tokio::time::Instant::now() + within;
        loop {
            let heard = self.0.heard.notified();
            if self.with_session(|_| ()).is_none() {
                return false;
            }
            if self.plane().publisher().is_in_use(number) {
                return true;
            }
            if tokio::time::timeout_at(deadline, heard).await.is_err() {
                return false;
            }
        }
    }

    /// Tells whoever waits for the dataplane that there may be news, or that it is gone.
    pub(crate) fn dataplane_spoke(&self) {
        self.0.heard.notify_waiters();
    }

    /// Lets time pass for ever: a tick whenever something is due.
    pub async fn conduct(&self) {
        loop {
            let deadline = self.arm();
            tokio::select! {
                () = until(deadline) => {
                    self.plane().tick(Instant::now());
                    self.flush();
                    tokio::time::sleep(TICK_PAUSE).await;
                }
                () = self.0.sooner.notified() => {}
            }
        }
    }

    /// The next deadline, which is waited for from now on. Messages that the sockets did not take are due soon too.
    fn arm(&self) -> Option<Instant> {
        let (deadline, unsent) = {
            let plane = self.plane();
            (plane.next_deadline(), plane.has_datagrams())
        };
        let again = unsent.then(|| Instant::now() + Duration::from_millis(1));
        let armed = [deadline, again].into_iter().flatten().min();
        *self.0.armed.lock().unwrap_or_else(PoisonError::into_inner) = armed;
        armed
    }

    /// Where what the Map-Server wants to have kept is handed over.
    pub fn keep_by(&self, saves: mpsc::UnboundedSender<Vec<Save>>) {
        *self.0.saves.lock().unwrap_or_else(PoisonError::into_inner) = Some(saves);
    }

    /// No more is handed over: what was is written, and then the writer ends.
    pub fn stop_keeping(&self) {
        *self.0.saves.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn keep(&self, saves: Vec<Save>) {
        if let Some(store) = self.0.saves.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            // The task that stores has ended only when the process ends.
            let _ = store.send(saves);
        }
    }

    /// Waits for the end of a search for a free EID. To be called before the next [`Shared::flush`].
    pub fn assignment(&self, id: AssignId) -> oneshot::Receiver<Assignment> {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.waiting();
        waiting.retain(|_, asker| !asker.is_closed());
        waiting.insert(id, tell);
        told
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<AssignId, oneshot::Sender<Assignment>>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the session that there may be records to publish.
    pub fn publish(&self) {
        self.0.changed.notify_one();
    }

    /// Publishing failed outside of the session's own turn: the session ends in the next one.
    pub(crate) fn fail_session(&self, fault: SessionEnd) {
        *self.0.session_fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        self.publish();
    }

    /// A failure that was found outside of the session's own turn.
    pub(crate) fn take_session_fault(&self) -> Option<SessionEnd> {
        self.0.session_fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until [`Shared::publish`] is called, or was since the last wait.
    pub async fn publishable(&self) {
        self.0.changed.notified().await;
    }

    /// What must be known of the underlay, as it changes.
    pub fn questions(&self) -> watch::Receiver<Questions> {
        self.0.questions.subscribe()
    }

    /// Asks the underlay what the control plane needs now.
    pub fn ask_underlay(&self) {
        let questions = self.plane().questions();
        self.0.questions.send_if_modified(|asked| {
            let changed = *asked != questions;
            *asked = questions;
            changed
        });
    }

    /// The way of the agents' packets, as it comes and goes with the session.
    pub fn links(&self) -> watch::Receiver<Link> {
        self.0.link.subscribe()
    }

    /// There is another way of the agents' packets now, or none.
    pub fn set_link(&self, link: Option<PacketLink>) {
        self.0.link.send_replace(link.map(Arc::new));
    }

    /// The agents that speak with us at their gateway's address.
    pub fn agents(&self) -> &Endpoint {
        &self.0.agents
    }

    /// The config file.
    pub fn config_file(&self) -> &std::path::Path {
        &self.0.config_file
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
