//! What is registered at which Map-Server, and when to say so again.
//!
//! An *entry* is an EID-prefix that we register. Each entry goes through its own cycle at each Map-Server: sent,
//! confirmed by a Map-Notify, refreshed. Entries that are due together share a message. The registrar knows times
//! and nonces, but no bytes: it says which entries go into the next message.

mod message;
mod track;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sterna_wire::{Iid, Prefix};

use super::context::Size;
use super::retry;
use crate::random::Random;
pub(super) use message::{MESSAGE, OVERHEAD};
pub(super) use track::{Batch, Progress, Track, Verdict};
use track::{Kind, Sent};

/// A prefix that we register, and its group.
pub(super) type Entry = (Iid, Prefix);

/// Messages to one Map-Server within a [`WINDOW`].
const MESSAGES: u32 = 64;
const WINDOW: Duration = Duration::from_millis(10);
/// Messages whose answer is waited for, and for how long.
const SENT: usize = 16_384;
const SENT_FOR: Duration = Duration::from_secs(120);
/// How long a registration that is not confirmed counts as newer than a move we are told of.
const NEWER_WITHIN: Duration = Duration::from_secs(3);
/// After so many messages a withdrawal counts as done: the registration dies by itself.
const WITHDRAWALS: u32 = 7;

/// One queue per Map-Server and kind, so that a message mixes neither.
type Queue = BTreeSet<(Instant, Entry)>;

/// All registrations.
#[derive(Debug)]
pub(super) struct Registrar {
    servers: Vec<IpAddr>,
    tracks: BTreeMap<Entry, Track>,
    queues: BTreeMap<(IpAddr, Kind), Queue>,
    /// What is registered with the a bit.
    skills: Vec<Entry>,
    sent: BTreeMap<u64, Sent>,
    nonce: u64,
    generation: u64,
    /// When the present [`WINDOW`] began, and the messages in it.
    window: Option<(Instant, u32)>,
}

impl Registrar {
    pub(super) fn new(first_nonce: u64) -> Self {
        Self {
            servers: Vec::new(),
            tracks: BTreeMap::new(),
            queues: BTreeMap::new(),
            skills: Vec::new(),
            sent: BTreeMap::new(),
            nonce: first_nonce,
            generation: 0,
            window: None,
        }
    }

    /// The nonce of the next message.
    pub(super) fn next_nonce(&self) -> u64 {
        self.nonce
    }

    pub(super) fn track(&self, entry: &Entry) -> Option<&Track> {
        self.tracks.get(entry)
    }

    pub(super) fn tracks(&self) -> impl Iterator<Item = (&Entry, &Track)> {
        self.tracks.iter()
    }

    /// Entries in these prefixes stand beside those of other sites from now on.
    pub(super) fn set_skills(&mut self, skills: Vec<Entry>) {
        self.skills = skills;
    }

    /// The nonce of a message without records, which no other one has.
    pub(super) fn take_nonce(&mut self) -> u64 {
        self.nonce += 1;
        self.nonce - 1
    }

    /// Refreshes an entry at one server at once, unless a message about it is due or under way anyway.
    pub(super) fn sooner(&mut self, entry: &Entry, server: IpAddr, now: Instant) {
        let Some(track) = self.tracks.get_mut(entry).filter(|track| !track.withdrawn) else { return };
        let kind = track.kind();
        let Some((_, progress)) = track.servers.iter_mut().find(|(known, _)| *known == server) else {
            return;
        };
        if progress.due <= now {
            return;
        }
        let queue = self.queues.entry((server, kind)).or_default();
        queue.remove(&(progress.due, *entry));
        progress.due = now;
        queue.insert((now, *entry));
    }

    /// Registers at these servers from now on. What is registered at a server that stays is not sent again.
    pub(super) fn set_servers(&mut self, servers: Vec<IpAddr>, now: Instant) {
        self.queues.retain(|(server, _), _| servers.contains(server));
        self.sent.retain(|_, sent| servers.contains(&sent.server));
        for (entry, track) in &mut self.tracks {
            track.servers.retain(|(server, _)| servers.contains(server));
            for server in &servers {
                if track.servers.iter().all(|(known, _)| known != server) {
                    track.servers.push((*server, Progress::new(now)));
                    self.queues.entry((*server, track.kind())).or_default().insert((now, *entry));
                }
            }
        }
        self.servers = servers;
    }

    /// Registers an entry at once, also one that is registered already.
    pub(super) fn want(&mut self, entry: Entry, detected: bool, hurried: bool, now: Instant) {
        self.change(entry, detected, hurried, false, now);
        if let Some(track) = self.tracks.get_mut(&entry) {
            track.assertive = true;
            track.newer_until = Some(now + NEWER_WITHIN);
        }
    }

    /// Registers an agent at once that was ours before; a move meanwhile is newer.
    pub(super) fn resume(&mut self, entry: Entry, now: Instant) {
        self.change(entry, true, true, false, now);
    }

    /// Withdraws an entry at once, if it is registered.
    pub(super) fn withdraw(&mut self, entry: Entry, now: Instant) {
        if let Some(track) = self.tracks.get(&entry) {
            self.change(entry, track.detected, true, true, now);
        }
    }

    /// Says no more about an entry: it belongs to another site.
    pub(super) fn forget(&mut self, entry: &Entry) {
        let Some(track) = self.tracks.remove(entry) else { return };
        let kind = track.kind();
        for (server, progress) in track.servers {
            self.dequeue(server, kind, *entry, progress.due);
        }
    }

    /// Registers all entries again: something changed that is common to them.
    pub(super) fn want_all(&mut self, now: Instant) {
        let all: Vec<_> = self.tracks.iter().filter(|(_, track)| !track.withdrawn).collect();
        let all: Vec<_> = all.into_iter().map(|(entry, track)| (*entry, track.detected)).collect();
        for (entry, detected) in all {
            self.change(entry, detected, true, false, now);
        }
    }

    /// Repeats a registration that is newer than what a server says. Only once for each change.
    pub(super) fn reassert(&mut self, entry: &Entry, now: Instant) -> bool {
        let newer = |track: &&Track| track.assertive && track.is_newer(now);
        let Some(track) = self.tracks.get(entry).filter(newer) else { return false };
        let (detected, newer_until) = (track.detected, track.newer_until);
        self.change(*entry, detected, true, false, now);
        if let Some(track) = self.tracks.get_mut(entry) {
            track.newer_until = newer_until;
        }
        true
    }

    fn change(&mut self, entry: Entry, detected: bool, hurried: bool, withdrawn: bool, now: Instant) {
        let old = self.tracks.remove(&entry);
        let merge = self.skills.iter().any(|(iid, skill)| *iid == entry.0 && skill.covers(&entry.1));
        let mut servers = Vec::with_capacity(self.servers.len());
        for (server, progress) in old.iter().flat_map(|track| &track.servers) {
            self.dequeue(*server, old.as_ref().map(Track::kind).unwrap_or_default(), entry, progress.due);
        }
        for server in self.servers.clone() {
            let known = old.iter().flat_map(|track| &track.servers).find(|(known, _)| *known == server);
            let confirmed = known.and_then(|(_, progress)| progress.confirmed);
            servers.push((server, Progress { confirmed, ..Progress::new(now) }));
            self.queues.entry((server, (detected, merge))).or_default().insert((now, entry));
        }
        self.generation += 1;
        let track = Track {
            detected,
            merge,
            withdrawn,
            servers,
            hurried,
            generation: self.generation,
            unconfirmed: true,
            newer_until: None,
            assertive: false,
        };
        if !(track.withdrawn && track.servers.is_empty()) {
            self.tracks.insert(entry, track);
        }
    }

    fn dequeue(&mut self, server: IpAddr, kind: Kind, entry: Entry, due: Instant) {
        if let Some(queue) = self.queues.get_mut(&(server, kind)) {
            queue.remove(&(due, entry));
        }
    }

    /// The next message that is due, if any; each record has locators of `locators` bytes, and `context` tells the
    /// bytes and values that go with it behind the records.
    /// Confirmed entries whose refresh is due within `ride` go along.
    pub(super) fn due(
        &mut self,
        locators: usize,
        context: impl Fn(&Entry) -> Size,
        ride: Duration,
        now: Instant,
    ) -> Option<Batch> {
        if self.window_full(now) {
            return None;
        }
        let (&(server, kind), _) =
            self.queues.iter().find(|(_, queue)| queue.first().is_some_and(|(due, _)| *due <= now))?;
        let (detected, merge) = kind;
        let picked = self.pick((server, kind), locators, context, (now, now + ride));
        let nonce = self.nonce;
        self.nonce += 1;
        let mut batch = Batch { server, nonce, detected, merge, entries: Vec::new(), retries: 0 };
        let mut sent = Sent { server, at: now, entries: Vec::new() };
        for entry in picked {
            let Some((withdrawn, generation, retry)) = self.sending(server, entry, now) else { continue };
            batch.entries.push((entry, withdrawn));
            batch.retries += usize::from(retry);
            sent.entries.push((entry, generation));
        }
        self.remember(nonce, sent, now);
        self.window = match self.window {
            Some((start, count)) if now.duration_since(start) < WINDOW => Some((start, count + 1)),
            _ => Some((now, 1)),
        };
        Some(batch)
    }

    /// Whether as many messages were sent in this short time as the socket should be asked to take.
    fn window_full(&self, now: Instant) -> bool {
        self.window.is_some_and(|(start, count)| count >= MESSAGES && now.duration_since(start) < WINDOW)
    }

    /// Notes that the entry is sent now: whether it is withdrawn, its generation, whether it is a repetition.
    fn sending(&mut self, server: IpAddr, entry: Entry, now: Instant) -> Option<(bool, u64, bool)> {
        let track = self.tracks.get_mut(&entry)?;
        let kind = track.kind();
        let (_, progress) = track.servers.iter_mut().find(|(known, _)| *known == server)?;
        let queue = self.queues.entry((server, kind)).or_default();
        queue.remove(&(progress.due, entry));
        let retry = progress.tries > 0;
        progress.tries = progress.tries.saturating_add(1);
        progress.due = now + retry::wait(progress.tries, track.hurried);
        let told = (track.withdrawn, track.generation, retry);
        if track.withdrawn && progress.tries >= WITHDRAWALS {
            track.servers.retain(|(known, _)| *known != server);
            if track.servers.is_empty() {
                self.tracks.remove(&entry);
            }
        } else {
            queue.insert((progress.due, entry));
        }
        Some(told)
    }

    fn remember(&mut self, nonce: u64, sent: Sent, now: Instant) {
        while let Some(oldest) = self.sent.first_entry() {
            let stale = now.duration_since(oldest.get().at) > SENT_FOR;
            if !stale && self.sent.len() < SENT {
                break;
            }
            self.sent.pop_first();
        }
        self.sent.insert(nonce, sent);
    }

    /// The server that the message with this nonce went to, while its answer is waited for.
    pub(super) fn sent_to(&self, nonce: u64) -> Option<IpAddr> {
        self.sent.get(&nonce).map(|sent| sent.server)
    }

    /// The answer to a message: what became of each entry in it. `listed` says whether the server confirms
    /// the entry. Entries that changed since the message was sent are left out.
    pub(super) fn answered(
        &mut self,
        nonce: u64,
        listed: impl Fn(&Entry) -> bool,
        period: Duration,
        random: &mut Random,
        now: Instant,
    ) -> Vec<(Entry, Verdict)> {
        let Some(sent) = self.sent.remove(&nonce) else { return Vec::new() };
        let next = now + retry::refresh(period, random);
        let mut told = Vec::new();
        for (entry, generation) in sent.entries {
            let verdict = if listed(&entry) { Verdict::Confirmed } else { Verdict::Refused };
            if self.settle(sent.server, entry, generation, verdict, next, now) {
                told.push((entry, verdict));
            }
        }
        told
    }

    /// Notes one entry's answer; false when it is about something that no longer holds.
    fn settle(
        &mut self,
        server: IpAddr,
        entry: Entry,
        generation: u64,
        verdict: Verdict,
        next: Instant,
        now: Instant,
    ) -> bool {
        let Some(track) = self.tracks.get_mut(&entry).filter(|track| track.generation == generation) else {
            return false;
        };
        if track.withdrawn {
            self.drop_server(server, entry);
            return false;
        }
        let kind = track.kind();
        // The server may not know yet that we know of an older move. The next try asks it again.
        if verdict == Verdict::Refused && track.is_newer(now) {
            return false;
        }
        let Some((_, progress)) = track.servers.iter_mut().find(|(known, _)| *known == server) else {
            return false;
        };
        let queue = self.queues.entry((server, kind)).or_default();
        queue.remove(&(progress.due, entry));
        progress.tries = 0;
        progress.due = next;
        progress.refused = verdict == Verdict::Refused;
        if verdict == Verdict::Confirmed {
            progress.confirmed = Some(now);
            track.unconfirmed = false;
        }
        // Refreshes are not events.
        track.hurried = false;
        queue.insert((next, entry));
        true
    }

    fn drop_server(&mut self, server: IpAddr, entry: Entry) {
        let Some(track) = self.tracks.get_mut(&entry) else { return };
        let Some(at) = track.servers.iter().position(|(known, _)| *known == server) else { return };
        let (kind, (_, progress)) = (track.kind(), track.servers.remove(at));
        if track.servers.is_empty() {
            self.tracks.remove(&entry);
        }
        self.dequeue(server, kind, entry, progress.due);
    }

    /// When the next message is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let due = self.queues.values().filter_map(|queue| queue.first()).map(|(due, _)| *due).min()?;
        match self.window {
            Some((start, count)) if count >= MESSAGES => Some(due.max(start + WINDOW)),
            _ => Some(due),
        }
    }
}

#[cfg(test)]
mod test;
