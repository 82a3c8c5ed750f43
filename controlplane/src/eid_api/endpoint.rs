//! The stacks as the tasks share them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::stacks::Stacks;
use crate::random::Random;

/// A handle on all agents' stacks. All tasks run on one thread, and none holds the lock over an await.
#[derive(Clone)]
pub struct Endpoint(Arc<Inner>);

struct Inner {
    stacks: Mutex<Stacks>,
    touched: Notify,
}

impl Default for Endpoint {
    fn default() -> Self {
        let stacks = Mutex::new(Stacks::new(Random::from_system(), Instant::now()));
        Self(Arc::new(Inner { stacks, touched: Notify::new() }))
    }
}

impl Endpoint {
    /// The stacks. A task that panicked while it held the lock left at worst a connection in the middle.
    pub fn stacks(&self) -> MutexGuard<'_, Stacks> {
        self.0.stacks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a connection was used.
    pub(super) fn touch(&self) {
        self.0.touched.notify_one();
    }

    /// Waits until a connection is used, or was since the last wait.
    pub async fn touched(&self) {
        self.0.touched.notified().await;
    }
}
