//! Rows behind the numbers of a channel session.
//!
//! A control plane numbers its next hops, adjacencies and sets as it likes, and a restarted one starts anew.
//! Here each number gets a row of its own, so that the new numbering never touches what the old entries still
//! point at; a row is cleared only after a grace period, because a burst may have read an entry that leads to it.

use std::collections::{HashMap, VecDeque};
use sterna_table::{Domain, Stamp};

struct Row {
    epoch: u32,
    /// Session number, while the current session has one for it.
    id: Option<u32>,
}

/// Rows of one kind.
pub struct Rows {
    by_id: HashMap<u32, u32>,
    rows: HashMap<u32, Row>,
    free: Vec<u32>,
    retiring: VecDeque<(Stamp, u32)>,
}

impl Rows {
    /// Room for `capacity` rows.
    pub fn new(capacity: usize) -> Rows {
        let capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
        Rows {
            by_id: HashMap::new(),
            rows: HashMap::new(),
            free: (0..capacity).rev().collect(),
            retiring: VecDeque::new(),
        }
    }

    /// The row of a number of this session.
    pub fn row(&self, id: u32) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// The row of a number, new if need be, confirmed in `epoch`; `None` when there is no room.
    pub fn confirm(&mut self, id: u32, epoch: u32) -> Option<u32> {
        if let Some(row) = self.row(id) {
            self.rows.insert(row, Row { epoch, id: Some(id) });
            return Some(row);
        }
        let row = self.free.pop()?;
        self.by_id.insert(id, row);
        self.rows.insert(row, Row { epoch, id: Some(id) });
        Some(row)
    }

    /// Forgets a number; its row is cleared after the grace period. True if the number was known.
    pub fn retire(&mut self, id: u32, domain: &Domain) -> bool {
        let Some(row) = self.by_id.remove(&id) else { return false };
        self.rows.remove(&row);
        self.retiring.push_back((domain.advance(), row));
        true
    }

    /// A new session starts: numbers mean nothing any more, rows stay until [`Rows::sweep`].
    pub fn forget_numbers(&mut self) {
        self.by_id.clear();
        self.rows.values_mut().for_each(|row| row.id = None);
    }

    /// Retires every row that was not confirmed in `epoch`.
    pub fn sweep(&mut self, epoch: u32, domain: &Domain) {
        let stale: Vec<u32> = self.rows.iter().filter(|(_, r)| r.epoch != epoch).map(|(row, _)| *row).collect();
        for row in stale {
            if let Some(id) = self.rows.remove(&row).and_then(|r| r.id) {
                self.by_id.remove(&id);
            }
            self.retiring.push_back((domain.advance(), row));
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
