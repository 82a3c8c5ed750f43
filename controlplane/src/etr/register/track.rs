//! One registration: how it stands at each Map-Server, and what is said of it.

use std::net::IpAddr;
use std::time::Instant;

use super::Entry;

/// How an entry stands at one Map-Server.
#[derive(Clone, Copy, Debug)]
pub(in crate::etr) struct Progress {
    /// When the next message is due.
    pub(in crate::etr) due: Instant,
    /// Messages since the last answer.
    pub(in crate::etr) tries: u32,
    /// When it was last confirmed.
    pub(in crate::etr) confirmed: Option<Instant>,
    /// The server left it out of its answer.
    pub(in crate::etr) refused: bool,
}

/// E bit and a bit: a message has one of each.
pub(super) type Kind = (bool, bool);

/// One entry.
#[derive(Debug)]
pub(in crate::etr) struct Track {
    /// It was found by detection (E bit); else it is configured or attached by the API.
    pub(in crate::etr) detected: bool,
    /// It stands beside those of other sites (a bit).
    pub(in crate::etr) merge: bool,
    /// It is being withdrawn.
    pub(in crate::etr) withdrawn: bool,
    /// How it stands at each Map-Server.
    pub(in crate::etr) servers: Vec<(IpAddr, Progress)>,
    /// Its messages follow each other at the pace of an event.
    pub(super) hurried: bool,
    /// Grows with each change, so that an old answer is not taken for the present one.
    pub(super) generation: u64,
    /// No server has confirmed it since.
    pub(super) unconfirmed: bool,
    /// Until then a refusal, or a move that we are told of, may be older than this registration.
    pub(super) newer_until: Option<Instant>,
    /// It may be repeated once because of that.
    pub(super) assertive: bool,
}

/// A message whose answer is waited for.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) server: IpAddr,
    pub(super) at: Instant,
    pub(super) entries: Vec<(Entry, u64)>,
}

/// The next message to a Map-Server.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::etr) struct Batch {
    pub(in crate::etr) server: IpAddr,
    pub(in crate::etr) nonce: u64,
    pub(in crate::etr) detected: bool,
    pub(in crate::etr) merge: bool,
    /// The entries, and whether each is withdrawn.
    pub(in crate::etr) entries: Vec<(Entry, bool)>,
    /// How many of them are repeated because no answer came.
    pub(in crate::etr) retries: usize,
}

/// What a Map-Server did with an entry that we sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::etr) enum Verdict {
    /// It stands, as we sent it.
    Confirmed,
    /// The server answered without it.
    Refused,
}

impl Track {
    /// What it may share a message with.
    pub(super) fn kind(&self) -> Kind {
        (self.detected, self.merge)
    }

    /// Whether what a server says of another holder may be older than this registration.
    pub(super) fn is_newer(&self, now: Instant) -> bool {
        self.unconfirmed && !self.withdrawn && self.newer_until.is_some_and(|until| now < until)
    }
}

impl Progress {
    pub(super) fn new(now: Instant) -> Self {
        Self { due: now, tries: 0, confirmed: None, refused: false }
    }
}
