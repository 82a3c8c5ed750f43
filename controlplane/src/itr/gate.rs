//! Who may ask next: rate limits in total and per group, and the groups take turns.
//!
//! Questions that find no token wait here. A group whose agents scan addresses fills its own queue and uses its own
//! rate, while a single question of another group goes out with the next free token.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Instant;

use sterna_wire::Iid;

use super::limits::Bucket;
use super::question::Question;
use super::settings::{Limits, Rate};

/// The place of a waiting question in its group's queue.
pub type Ticket = u64;

#[derive(Debug)]
struct Queue {
    bucket: Bucket,
    waiting: BTreeMap<Ticket, Question>,
}

/// Questions that wait for a token.
#[derive(Debug)]
pub struct Gate {
    total: Bucket,
    group_rate: Rate,
    groups: BTreeMap<Iid, Queue>,
    /// Whose question went out last.
    turn: Option<Iid>,
    ticket: Ticket,
    waiting: usize,
}

impl Gate {
    /// A gate where nobody waits.
    pub fn new(limits: &Limits) -> Self {
        Self {
            total: Bucket::new(limits.request),
            group_rate: limits.group,
            groups: BTreeMap::new(),
            turn: None,
            ticket: 0,
            waiting: 0,
        }
    }

    /// Sets other rates.
    pub fn set_limits(&mut self, limits: &Limits) {
        self.total.set_rate(limits.request);
        self.group_rate = limits.group;
        for queue in self.groups.values_mut() {
            queue.bucket.set_rate(limits.group);
        }
    }

    /// Forgets the groups that are not in this list; nobody of theirs waits any more.
    pub fn keep_groups(&mut self, keep: impl Fn(Iid) -> bool) {
        self.groups.retain(|iid, queue| keep(*iid) || !queue.waiting.is_empty());
    }

    /// A question waits for its turn.
    pub fn enter(&mut self, asked: Question) -> Ticket {
        let rate = self.group_rate;
        self.ticket += 1;
        self.waiting += 1;
        let queue = self.groups.entry(asked.iid());
        let queue = queue.or_insert_with(|| Queue { bucket: Bucket::new(rate), waiting: BTreeMap::new() });
        queue.waiting.insert(self.ticket, asked);
        self.ticket
    }

    /// It no longer waits.
    pub fn leave(&mut self, iid: Iid, ticket: Ticket) {
        if let Some(queue) = self.groups.get_mut(&iid)
            && queue.waiting.remove(&ticket).is_some()
        {
            self.waiting -= 1;
        }
    }

    /// The question that may go out now, if any; it stays until it leaves.
    pub fn next(&mut self, now: Instant) -> Option<(Ticket, Question)> {
        if self.waiting == 0 || !self.total.has_token(now) {
            return None;
        }
        let after = self.turn.map_or(Bound::Unbounded, Bound::Excluded);
        let ready = |(_, queue): (&Iid, &mut Queue)| {
            let first = queue.waiting.first_key_value().map(|(ticket, asked)| (*ticket, *asked));
            first.filter(|_| queue.bucket.has_token(now))
        };
        let later = self.groups.range_mut((after, Bound::Unbounded)).find_map(ready);
        later.or_else(|| self.groups.iter_mut().find_map(ready))
    }

    /// A question of this group went out.
    pub fn spend(&mut self, iid: Iid, now: Instant) {
        self.turn = Some(iid);
        self.total.take(now);
        if let Some(queue) = self.groups.get_mut(&iid) {
            queue.bucket.take(now);
        }
    }

    /// When the next question may go out.
    pub fn ready_at(&self, now: Instant) -> Option<Instant> {
        if self.waiting == 0 {
            return None;
        }
        let waiting = self.groups.values().filter(|queue| !queue.waiting.is_empty());
        let group = waiting.filter_map(|queue| queue.bucket.ready_at(now)).min()?;
        Some(group.max(self.total.ready_at(now)?))
    }

    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        assert_eq!(self.waiting, self.groups.values().map(|queue| queue.waiting.len()).sum::<usize>());
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sterna_wire::Prefix;

    use super::*;

    fn key(iid: u32, number: u32) -> Question {
        Question::plain((Iid::new(iid).unwrap(), Prefix::host(number.to_be_bytes().into())))
    }

    fn gate(total: Rate, group: Rate) -> Gate {
        Gate::new(&Limits { request: total, group, ..Limits::default() })
    }

    fn fill(gate: &mut Gate, iid: u32, numbers: std::ops::Range<u32>) {
        for number in numbers {
            gate.enter(key(iid, number));
        }
    }

    /// Lets out all that may go now.
    fn drain(gate: &mut Gate, now: Instant) -> Vec<u32> {
        let mut out = vec![];
        while let Some((ticket, key)) = gate.next(now) {
            gate.leave(key.iid(), ticket);
            gate.spend(key.iid(), now);
            out.push(key.iid().get());
        }
        out
    }

    #[test]
    fn groups_take_turns() {
        let rate = Rate { per_second: 10, burst: 6 };
        let (mut gate, now) = (gate(rate, rate), Instant::now());
        fill(&mut gate, 1, 0..100);
        fill(&mut gate, 2, 0..2);
        fill(&mut gate, 3, 0..2);
        assert_eq!(drain(&mut gate, now), vec![1, 2, 3, 1, 2, 3]);
        assert_eq!(gate.ready_at(now), Some(now + Duration::from_millis(100)));
        assert_eq!(gate.waiting(), 98);
    }

    #[test]
    fn a_group_has_a_rate_of_its_own() {
        let total = Rate { per_second: 100, burst: 10 };
        let (mut gate, now) = (gate(total, Rate { per_second: 10, burst: 3 }), Instant::now());
        fill(&mut gate, 1, 0..100);
        assert_eq!(drain(&mut gate, now), vec![1, 1, 1]);
        gate.enter(key(2, 1));
        assert_eq!(drain(&mut gate, now), vec![2]);
        assert_eq!(drain(&mut gate, now + Duration::from_secs(1)), vec![1, 1, 1]);
    }

    #[test]
    fn whoever_left_does_not_come_up() {
        let (mut gate, now) = (Gate::new(&Limits::default()), Instant::now());
        let ticket = gate.enter(key(1, 1));
        gate.leave(Iid::new(1).unwrap(), ticket);
        gate.leave(Iid::new(1).unwrap(), ticket);
        assert_eq!((gate.next(now), gate.ready_at(now), gate.waiting()), (None, None, 0));
        gate.keep_groups(|_| false);
        assert!(gate.groups.is_empty());
    }
}
