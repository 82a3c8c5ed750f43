//! Where the Map-Server's state outlives the process: changes are written, everything is read once at start.
//!
//! A store blocks. The runtime gives it to a thread of its own and hands over what
//! [`Server::take_saves`](crate::server::Server::take_saves) gave; no answer to a peer waits for it. What was not
//! written when the process died is what the sites' next refreshes bring again: a registration, an xTR's address.
//! Nonces are reserved ahead, and a nonce mark is written together with what its message changed.

mod code;
mod file;

use crate::server::{Save, Saved};

pub use self::file::FileStore;

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened: it is locked by another process, damaged, or of another kind.
    #[error("the store cannot be opened: {0}")]
    Open(redb::Error),
    /// The file cannot be read.
    #[error("the store cannot be read: {0}")]
    Read(redb::Error),
    /// The file cannot be written; nothing of what was to be written is in it.
    #[error("the store cannot be written: {0}")]
    Write(redb::Error),
}

/// What reading found besides the values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Values that were given.
    pub values: usize,
    /// Values that could not be understood, and were left out.
    pub unreadable: usize,
}

/// A place for what outlives the process.
pub trait Store: Send {
    /// Writes these changes in this order, all or none; they are on the disk when it returns.
    /// Errors: [`StoreError::Write`].
    fn write(&mut self, saves: &[Save]) -> Result<(), StoreError>;

    /// Gives everything that was written and not taken back, xTRs first, in parts of some thousand values.
    /// Errors: [`StoreError::Read`].
    fn load(&mut self, each: &mut dyn FnMut(Saved)) -> Result<Loaded, StoreError>;
}
