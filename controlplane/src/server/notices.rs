//! Unsolicited Map-Notifies: previous holders are told until they acknowledge (RFC 9301 section 5.7).

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use sterna_wire::{Iid, Prefix};

use super::pace;

/// The most that are waited for.
const MAX_NOTICES: usize = 65_536;
/// Nonces reserved in the store at a time.
const BLOCK: u64 = 65_536;

/// What one xTR is being told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Notice {
    pub(super) xtr: u32,
    pub(super) iid: Iid,
    pub(super) prefix: Prefix,
    sendings: u8,
    due: Instant,
}

/// All that are waited for.
#[derive(Debug, Default)]
pub(super) struct Notices {
    by_nonce: HashMap<u64, Notice>,
    due: BTreeSet<(Instant, u64)>,
    /// Nonces rise with each notice, also over restarts: a receiver takes an older one for a replay.
    next: u64,
    reserved: u64,
}

impl Notices {
    /// Nonces begin here, unless they have begun higher.
    pub(super) fn begin(&mut self, nonce: u64) {
        self.next = self.next.max(nonce);
        self.reserved = self.reserved.max(nonce);
    }

    /// Waits for an acknowledgement of what is sent now. Gives its nonce, and with it the number below which
    /// nonces are to be reserved, when that changes; none when there are too many.
    pub(super) fn add(
        &mut self,
        xtr: u32,
        iid: Iid,
        prefix: Prefix,
        now: Instant,
    ) -> Option<(u64, Option<u64>)> {
        if self.by_nonce.len() >= MAX_NOTICES {
            return None;
        }
        let nonce = self.next;
        self.next += 1;
        let reserve = self.next > self.reserved;
        if reserve {
            self.reserved = self.next + BLOCK;
        }
        let due = now + pace::wait(1)?;
        self.by_nonce.insert(nonce, Notice { xtr, iid, prefix, sendings: 1, due });
        self.due.insert((due, nonce));
        Some((nonce, reserve.then_some(self.reserved)))
    }

    pub(super) fn get(&self, nonce: u64) -> Option<&Notice> {
        self.by_nonce.get(&nonce)
    }

    pub(super) fn remove(&mut self, nonce: u64) -> Option<Notice> {
        let notice = self.by_nonce.remove(&nonce)?;
        self.due.remove(&(notice.due, nonce));
        Some(notice)
    }

    /// The next one to send again, or to give up (`Err`).
    pub(super) fn due(&mut self, now: Instant) -> Option<Result<(u64, Notice), Notice>> {
        let (when, nonce) = *self.due.first().filter(|(when, _)| *when <= now)?;
        self.due.remove(&(when, nonce));
        let notice = self.by_nonce.get_mut(&nonce)?;
        notice.sendings += 1;
        match pace::wait(notice.sendings) {
            Some(wait) => {
                notice.due = now + wait;
                self.due.insert((notice.due, nonce));
                Some(Ok((nonce, *notice)))
            }
            None => self.by_nonce.remove(&nonce).map(Err),
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.due.first().map(|(when, _)| *when)
    }
}
