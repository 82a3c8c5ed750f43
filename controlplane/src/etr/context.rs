//! What the Map-Servers are told of the agents' context (reference/lisp-protocol.md section 6.3, semantics 1 and 3).
//!
//! Each register has a snapshot of what is said of the EIDs in it. A change goes by itself: to a Map-Server that has
//! shown ACX as a register without records that names what changed (a delta), to others as an early refresh with its
//! snapshot. Deltas are repeated until they are confirmed; each has all that changed since the last confirmation, so
//! none that is lost is missed.
//!
//! The Context-Seq of a message follows its nonce, which rises over restarts. Where the state directory was lost, the
//! Map-Server answers STATUS 4 with the sequence that it has, and ours goes on above that.

mod block;
mod peer;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

pub(super) use block::Size;
pub(super) use block::{Delta, Placed, delta_between, snapshot};
pub(super) use peer::{Peer, Show};

use super::register::Entry;
use super::retry;
use crate::context::Reported;

/// Messages whose answer is waited for, and for how long.
const SENT: usize = 16_384;
const SENT_FOR: Duration = Duration::from_secs(120);
/// After so many deltas without an answer the next refresh tells it.
const DELTAS: u32 = 7;

/// What is said of one entry, and who knows it.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub reported: Reported,
    /// For how many seconds others may believe what is dynamic in it.
    pub ttl_s: u32,
    generation: u64,
    servers: BTreeMap<IpAddr, Standing>,
}

/// What one Map-Server knows of one entry.
#[derive(Clone, Debug, Default)]
struct Standing {
    /// It has confirmed a snapshot of ours, so a delta says all.
    known: bool,
    /// What changed since the last confirmation, with the values of now.
    pending: Reported,
    /// When the next delta is due.
    due: Option<Instant>,
    tries: u32,
}

/// A message with context whose answer is waited for.
#[derive(Debug)]
pub(super) struct Carried {
    pub server: IpAddr,
    at: Instant,
    entries: Vec<(Entry, u64)>,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Contexts {
    entries: BTreeMap<Entry, Told>,
    peers: BTreeMap<IpAddr, Peer>,
    due: BTreeSet<(Instant, IpAddr, Entry)>,
    sent: BTreeMap<u64, Carried>,
    generation: u64,
}

impl Contexts {
    pub(super) fn get(&self, entry: &Entry) -> Option<&Told> {
        self.entries.get(entry)
    }

    /// How much goes with an entry's record behind the records.
    pub(super) fn size(&self, entry: &Entry, locators: &[IpAddr]) -> Size {
        let Some(told) = self.entries.get(entry) else { return Size::default() };
        Size::of(&snapshot(&told.reported, told.ttl_s, Placed { record: 0, locators }))
    }

    pub(super) fn peer(&mut self, server: IpAddr) -> &mut Peer {
        self.peers.entry(server).or_default()
    }

    /// Only these are told from now on.
    pub(super) fn retain(&mut self, servers: &[IpAddr]) {
        self.peers.retain(|server, _| servers.contains(server));
        self.due.retain(|(_, server, _)| servers.contains(server));
        for told in self.entries.values_mut() {
            told.servers.retain(|server, _| servers.contains(server));
        }
    }

    /// Something new is said of an entry. Gives the servers that shall have it with an early refresh.
    pub(super) fn tell(
        &mut self,
        entry: Entry,
        reported: Reported,
        ttl_s: u32,
        servers: &[IpAddr],
        now: Instant,
    ) -> Vec<IpAddr> {
        let told = self.entries.entry(entry).or_default();
        let change = delta_between(&told.reported, &reported);
        self.generation += 1;
        (told.reported, told.ttl_s, told.generation) = (reported, ttl_s, self.generation);
        let mut refresh = Vec::new();
        for server in servers {
            let standing = told.servers.entry(*server).or_default();
            block::overlay(&mut standing.pending, &change);
            match self.peers.entry(*server).or_default().shows(now) {
                Show::Deltas if standing.known => {
                    standing.due.take().map(|due| self.due.remove(&(due, *server, entry)));
                    (standing.due, standing.tries) = (Some(now), 0);
                    self.due.insert((now, *server, entry));
                }
                Show::Deltas | Show::Snapshots => refresh.push(*server),
                Show::WithRefreshes | Show::Nothing => {}
            }
        }
        self.sweep(&entry);
        refresh
    }

    /// The entry is registered no more: nothing is said of it.
    pub(super) fn forget(&mut self, entry: &Entry) {
        let Some(told) = self.entries.remove(entry) else { return };
        for (server, standing) in told.servers {
            standing.due.map(|due| self.due.remove(&(due, server, *entry)));
        }
    }

    /// An entry of which nothing is said, and everybody who could know knows that.
    fn sweep(&mut self, entry: &Entry) {
        let waits = |(server, standing): (&IpAddr, &Standing)| {
            let peer = self.peers.get(server);
            standing.known && !standing.pending.is_empty() && peer.is_some_and(Peer::is_aware)
        };
        let over = |told: &Told| told.reported.is_empty() && !told.servers.iter().any(waits);
        if self.entries.get(entry).is_some_and(over) {
            self.forget(entry);
        }
    }

    /// What the next message without records to a server says; none when nothing is due.
    pub(super) fn next_delta(&mut self, now: Instant) -> Option<(IpAddr, Delta, bool)> {
        let (_, server, _) = *self.due.first().filter(|(due, ..)| *due <= now)?;
        let due = self.due.iter().take_while(|(due, ..)| *due <= now);
        let entries: Vec<Entry> = due
            .filter(|(_, to, _)| *to == server)
            .map(|(.., entry)| *entry)
            .take(block::DELTA_EIDS)
            .collect();
        let (mut delta, mut retried) = (Delta::default(), false);
        for entry in entries {
            let Some(told) = self.entries.get_mut(&entry) else { continue };
            let Some(standing) = told.servers.get_mut(&server) else { continue };
            if !delta.add(entry, &standing.pending, told.ttl_s) {
                break;
            }
            standing.due.take().map(|due| self.due.remove(&(due, server, entry)));
            retried |= standing.tries > 0;
            standing.tries += 1;
            if standing.tries > DELTAS {
                standing.known = false;
                continue;
            }
            let due = now + retry::wait(standing.tries, true);
            standing.due = Some(due);
            self.due.insert((due, server, entry));
        }
        Some((server, delta, retried))
    }

    /// These entries went to a server with this nonce.
    pub(super) fn sent(&mut self, nonce: u64, server: IpAddr, entries: &[Entry], now: Instant) {
        while let Some(oldest) = self.sent.first_entry() {
            let stale = now.duration_since(oldest.get().at) > SENT_FOR;
            if !stale && self.sent.len() < SENT {
                break;
            }
            self.sent.pop_first();
        }
        let generation = |entry: &Entry| self.entries.get(entry).map(|told| (*entry, told.generation));
        let entries = entries.iter().filter_map(generation).collect();
        self.sent.insert(nonce, Carried { server, at: now, entries });
    }

    /// The server that a message with context and this nonce went to.
    pub(super) fn sent_to(&self, nonce: u64) -> Option<IpAddr> {
        self.sent.get(&nonce).map(|carried| carried.server)
    }

    /// The answer to a message with context has come.
    pub(super) fn take_sent(&mut self, nonce: u64) -> Option<Carried> {
        self.sent.remove(&nonce)
    }

    /// The server has what the message said.
    pub(super) fn confirmed(&mut self, carried: &Carried) {
        for (entry, generation) in &carried.entries {
            let Some(told) = self.entries.get_mut(entry).filter(|told| told.generation == *generation) else {
                continue;
            };
            let standing = told.servers.entry(carried.server).or_default();
            standing.due.take().map(|due| self.due.remove(&(due, carried.server, *entry)));
            *standing = Standing { known: true, ..Standing::default() };
            self.sweep(entry);
        }
    }

    /// The server does not have what the message said: a snapshot tells it all. Gives the entries for that.
    pub(super) fn unknown(&mut self, carried: &Carried) -> Vec<Entry> {
        let mut again = Vec::new();
        for (entry, _) in &carried.entries {
            let Some(told) = self.entries.get_mut(entry) else { continue };
            let standing = told.servers.entry(carried.server).or_default();
            standing.due.take().map(|due| self.due.remove(&(due, carried.server, *entry)));
            (standing.known, standing.tries) = (false, 0);
            again.push(*entry);
        }
        again
    }

    /// No delta goes to this server for now.
    pub(super) fn pause(&mut self, server: IpAddr) {
        self.due.retain(|(_, to, _)| *to != server);
        for told in self.entries.values_mut() {
            if let Some(standing) = told.servers.get_mut(&server) {
                (standing.due, standing.known) = (None, false);
            }
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.due.first().map(|(due, ..)| *due)
    }
}

#[cfg(test)]
mod test;
