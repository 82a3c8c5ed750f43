//! Rows behind the numbers of a channel session.
//!
//! A control plane numbers its next hops, adjacencies and sets as it likes, and a restarted one starts anew.
//! Here each number gets a row of its own, so that the new numbering never touches what the old entries still
//! point at; a row is cleared only after a grace period, because a burst may have read an entry that leads to it.
//!
//! A number that found no room is remembered as refused, so that what refers to it is refused too and does not
//! look like a broken contract.

use std::collections::{HashMap, HashSet, VecDeque};
use sterna_table::{Domain, Stamp};

struct Row {
    epoch: u32,
    /// Session number, while the current session has one for it.
    id: Option<u32>,
}

/// What a number of this session stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A row.
    Row(u32),
    /// It was defined and refused.
    Refused,
    /// It was never defined.
    Unknown,
}

/// Refused numbers that are remembered; whoever goes on beyond has no idea of our size, and a resync tells.
const MAX_REFUSED: usize = 1 << 16;

/// Rows of one kind.
pub struct Rows {
    limit: usize,
    by_id: HashMap<u32, u32>,
    refused: HashSet<u32>,
    rows: HashMap<u32, Row>,
    free: Vec<u32>,
    retiring: VecDeque<(Stamp, u32)>,
}

impl Rows {
    /// Rows to provide for so many numbers: as many again hold the entries of the session before, until a sync
    /// has ended.
    pub fn capacity_for(limit: usize) -> usize {
        limit.saturating_mul(2)
    }

    /// Room for `limit` numbers of a session, in [`Rows::capacity_for`] rows.
    pub fn new(limit: usize) -> Rows {
        let capacity = u32::try_from(Self::capacity_for(limit)).unwrap_or(u32::MAX);
        Rows {
            limit,
            by_id: HashMap::new(),
            refused: HashSet::new(),
            rows: HashMap::new(),
            free: (0..capacity).rev().collect(),
            retiring: VecDeque::new(),
        }
    }

    /// The row of a number of this session.
    pub fn row(&self, id: u32) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// What a number of this session stands for.
    pub fn named(&self, id: u32) -> Named {
        match self.row(id) {
            Some(row) => Named::Row(row),
            None if self.refused.contains(&id) => Named::Refused,
            None => Named::Unknown,
        }
    }

    /// Whether [`Rows::confirm`] would find a row.
    pub fn has_row_for(&self, id: u32) -> bool {
        self.by_id.contains_key(&id) || !self.free.is_empty()
    }

    /// Remembers that a number found no room.
    pub fn refuse(&mut self, id: u32) {
        if self.refused.len() < MAX_REFUSED {
            self.refused.insert(id);
        }
    }

    /// The row of a number, new if need be, confirmed in `epoch`; `None` (and the number is refused) when there is
    /// no room.
    pub fn confirm(&mut self, id: u32, epoch: u32) -> Option<u32> {
        if let Some(row) = self.row(id) {
            self.rows.insert(row, Row { epoch, id: Some(id) });
            return Some(row);
        }
        let free = if self.by_id.len() < self.limit { self.free.pop() } else { None };
        let Some(row) = free else {
            self.refuse(id);
            return None;
        };
        self.refused.remove(&id);
        self.by_id.insert(id, row);
        self.rows.insert(row, Row { epoch, id: Some(id) });
        Some(row)
    }

    /// Forgets a number; its row is cleared after the grace period. True if the number was known.
    pub fn retire(&mut self, id: u32, domain: &Domain) -> bool {
        self.refused.remove(&id);
        let Some(row) = self.by_id.remove(&id) else { return false };
        self.rows.remove(&row);
        self.retiring.push_back((domain.advance(), row));
        true
    }

    /// A new session starts: numbers mean nothing any more, rows stay until [`Rows::sweep`].
    pub fn forget_numbers(&mut self) {
        self.by_id.clear();
        self.refused.clear();
        self.rows.values_mut().for_each(|row| row.id = None);
    }

    /// Retires every row that was not confirmed in `epoch`.
    pub fn sweep(&mut self, epoch: u32, domain: &Domain) {
        let stale: Vec<u32> =
            self.rows.iter().filter(|(_, r)| r.epoch != epoch).map(|(row, _)| *row).collect();
        self.retire_rows(&stale, domain);
    }

    /// Retires every row that is not in `used`.
    pub fn keep(&mut self, used: &HashSet<u32>, domain: &Domain) {
        let stale: Vec<u32> = self.rows.keys().filter(|row| !used.contains(row)).copied().collect();
        self.retire_rows(&stale, domain);
    }

    fn retire_rows(&mut self, stale: &[u32], domain: &Domain) {
        for row in stale {
            if let Some(id) = self.rows.remove(row).and_then(|r| r.id) {
                self.by_id.remove(&id);
            }
            self.retiring.push_back((domain.advance(), *row));
        }
    }

    /// Frees the rows that no burst can see any more; `clear` empties each.
    pub fn reclaim(&mut self, domain: &Domain, mut clear: impl FnMut(u32)) {
        while let Some(&(stamp, row)) = self.retiring.front() {
            if !domain.passed(stamp) {
                return;
            }
            self.retiring.pop_front();
            clear(row);
            self.free.push(row);
        }
    }

    /// Rows in use, those in their grace period included.
    pub fn len(&self) -> usize {
        self.rows.len() + self.retiring.len()
    }

    /// Whether no row is in use.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_session_never_reuses_a_row_that_is_still_seen() {
        let domain = Domain::new(1);
        let mut reader = domain.reader().unwrap();
        let mut rows = Rows::new(4);
        let old = rows.confirm(7, 1).unwrap();
        rows.forget_numbers();
        let new = rows.confirm(7, 2).unwrap();
        assert_ne!(old, new);
        let inside = reader.enter();
        rows.sweep(2, &domain);
        let mut cleared = vec![];
        rows.reclaim(&domain, |row| cleared.push(row));
        assert!(cleared.is_empty(), "a burst may still see it");
        drop(inside);
        rows.reclaim(&domain, |row| cleared.push(row));
        assert_eq!(cleared, [old]);
        assert_eq!((rows.row(7), rows.len()), (Some(new), 1));
    }

    #[test]
    fn full_is_refused_and_room_comes_back() {
        let domain = Domain::new(1);
        let mut rows = Rows::new(1);
        assert!(rows.confirm(1, 1).is_some());
        assert!(rows.confirm(2, 1).is_none());
        assert!(rows.retire(1, &domain) && !rows.retire(1, &domain));
        rows.reclaim(&domain, |_| {});
        assert!(rows.confirm(2, 1).is_some());
    }
}
