//! Deadlines: one per key, the earliest first.

use std::collections::BTreeSet;
use std::time::Instant;

/// Deadlines of keys. Each key's own deadline is kept by whoever owns the key, and given back to move it.
#[derive(Debug)]
pub struct Schedule<K> {
    order: BTreeSet<(Instant, K)>,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self { order: BTreeSet::new() }
    }
}

impl<K: Ord + Copy> Schedule<K> {
    /// Moves the key's deadline from what `slot` says to `to`, and writes that into the slot.
    pub fn set(&mut self, key: K, slot: &mut Option<Instant>, to: Option<Instant>) {
        if let Some(old) = slot.take() {
            self.order.remove(&(old, key));
        }
        if let Some(new) = to {
            self.order.insert((new, key));
        }
        *slot = to;
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// The key with the earliest deadline, if that has come. It stays until its deadline is moved.
    pub fn due(&self, now: Instant) -> Option<K> {
        self.order.first().filter(|(at, _)| *at <= now).map(|(_, key)| *key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_earliest_comes_first_and_a_moved_one_leaves_no_trace() {
        let start = Instant::now();
        let at = |millis| Some(start + Duration::from_millis(millis));
        let mut schedule = Schedule::default();
        let (mut one, mut two) = (None, None);
        schedule.set(1, &mut one, at(10));
        schedule.set(2, &mut two, at(20));
        assert_eq!((schedule.next(), schedule.due(start)), (at(10), None));
        schedule.set(1, &mut one, at(30));
        assert_eq!((schedule.next(), schedule.due(at(25).unwrap())), (at(20), Some(2)));
        schedule.set(2, &mut two, None);
        schedule.set(1, &mut one, None);
        assert_eq!((schedule.next(), one, two), (None, None, None));
    }
}
