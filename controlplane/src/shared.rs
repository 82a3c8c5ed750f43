//! The one control plane of this process and its session with the dataplane, as the tasks share them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sterna_shm::ControlSession;
use tokio::sync::{Notify, watch};

use crate::plane::ControlPlane;
use crate::underlay::Questions;

/// A handle on the control plane. All tasks run on one thread and none holds the lock over an await.
#[derive(Clone)]
pub struct Shared(Arc<Inner>);

struct Inner {
    plane: Mutex<ControlPlane>,
    session: Mutex<Option<ControlSession>>,
    changed: Notify,
    questions: watch::Sender<Questions>,
    config_file: PathBuf,
}

impl Shared {
    /// Shares `plane`, whose config came from `config_file`.
    pub fn new(plane: ControlPlane, config_file: PathBuf) -> Self {
        let (questions, _) = watch::channel(plane.questions());
        let (plane, session) = (Mutex::new(plane), Mutex::new(None));
        Self(Arc::new(Inner { plane, session, changed: Notify::new(), questions, config_file }))
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

    /// Tells the session that there may be records to publish.
    pub fn publish(&self) {
        self.0.changed.notify_one();
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

    /// The config file.
    pub fn config_file(&self) -> &std::path::Path {
        &self.0.config_file
    }
}
