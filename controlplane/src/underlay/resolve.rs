//! When to ask the kernel to resolve, or to confirm, a next hop.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::facts::{Neighbour, NeighbourKey};

/// Pause between two questions for a next hop without a MAC address. The kernel itself sends three
/// solicitations one second apart, so a shorter pause would only repeat what is under way; a longer one delays
/// the recovery of a next hop that failed.
pub const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Pause between two confirmations of a resolved next hop. The kernel confirms an entry only when it is used
/// after its reachable time (about 30 s), and our traffic does not count as use. Ten seconds keep the age of an
/// unconfirmed entry below 45 s at a cost of one message per next hop.
pub const CONFIRM_AGAIN: Duration = Duration::from_secs(10);

/// Pause before an urgent question is repeated: long enough for the kernel to have told us that it took the first.
pub const ASK_NOW: Duration = Duration::from_millis(100);

/// Remembers when each next hop was last asked for.
#[derive(Debug, Default)]
pub struct Resolver {
    asked: BTreeMap<NeighbourKey, Instant>,
}

impl Resolver {
    /// The next hops to ask the kernel for now; they count as asked.
    pub fn due(&mut self, wanted: &BTreeMap<NeighbourKey, Neighbour>, now: Instant) -> Vec<NeighbourKey> {
        self.asked.retain(|key, _| wanted.contains_key(key));
        let mut due = Vec::new();
        for (key, neighbour) in wanted {
            if neighbour.permanent || self.deadline(key, neighbour).is_some_and(|at| at > now) {
                continue;
            }
            self.asked.insert(*key, now);
            due.push(*key);
        }
        due
    }

    /// When [`Resolver::due`] will next have something to say; none while nothing is wanted.
    pub fn next_deadline(&self, wanted: &BTreeMap<NeighbourKey, Neighbour>, now: Instant) -> Option<Instant> {
        let resolvable = wanted.iter().filter(|(_, neighbour)| !neighbour.permanent);
        resolvable.map(|(key, neighbour)| self.deadline(key, neighbour).unwrap_or(now)).min()
    }

    /// None: never asked, so at once.
    fn deadline(&self, key: &NeighbourKey, neighbour: &Neighbour) -> Option<Instant> {
        let pause = match neighbour {
            Neighbour { ask_now: true, .. } => ASK_NOW,
            Neighbour { mac: Some(_), .. } => CONFIRM_AGAIN,
            Neighbour { mac: None, .. } => ASK_AGAIN,
        };
        self.asked.get(key).map(|&at| at + pause)
    }
}

#[cfg(test)]
mod tests {
    use sterna_wire::Mac;

    use super::*;

    fn key(last: u8) -> NeighbourKey {
        NeighbourKey { link: 3, address: [192, 0, 2, last].into() }
    }

    #[test]
    fn a_missing_next_hop_is_asked_at_once_then_every_second() {
        let mut resolver = Resolver::default();
        let wanted = BTreeMap::from([(key(1), Neighbour::default())]);
        let start = Instant::now();
        assert_eq!(resolver.next_deadline(&wanted, start), Some(start));
        assert_eq!(resolver.due(&wanted, start), vec![key(1)]);
        assert_eq!(resolver.due(&wanted, start + ASK_AGAIN / 2), vec![]);
        assert_eq!(resolver.next_deadline(&wanted, start), Some(start + ASK_AGAIN));
        assert_eq!(resolver.due(&wanted, start + ASK_AGAIN), vec![key(1)]);
    }

    #[test]
    fn a_resolved_next_hop_is_confirmed_and_a_permanent_one_left_alone() {
        let mut resolver = Resolver::default();
        let resolved = Neighbour { mac: Some(Mac([2; 6])), ..Neighbour::default() };
        let fixed = Neighbour { permanent: true, ..resolved };
        let wanted = BTreeMap::from([(key(1), resolved), (key(2), fixed)]);
        let start = Instant::now();
        assert_eq!(resolver.due(&wanted, start), vec![key(1)]);
        assert_eq!(resolver.due(&wanted, start + ASK_AGAIN), vec![]);
        assert_eq!(resolver.due(&wanted, start + CONFIRM_AGAIN), vec![key(1)]);
    }

    #[test]
    fn an_urgent_question_does_not_wait_for_the_next_confirmation() {
        let mut resolver = Resolver::default();
        let resolved = Neighbour { mac: Some(Mac([2; 6])), ..Neighbour::default() };
        let dropped = Neighbour { ask_now: true, ..resolved };
        let failed = Neighbour { mac: None, failed: true, ..dropped };
        let start = Instant::now();
        let mut due = |neighbour, now| resolver.due(&BTreeMap::from([(key(1), neighbour)]), now).len();
        assert_eq!(due(resolved, start), 1);
        assert_eq!(due(dropped, start + ASK_NOW / 2), 0);
        assert_eq!(due(dropped, start + ASK_NOW), 1);
        assert_eq!(due(failed, start + ASK_NOW * 2), 1);
    }

    #[test]
    fn a_next_hop_that_is_no_longer_wanted_is_forgotten() {
        let mut resolver = Resolver::default();
        let wanted = BTreeMap::from([(key(1), Neighbour::default())]);
        let start = Instant::now();
        resolver.due(&wanted, start);
        assert_eq!(resolver.due(&BTreeMap::new(), start), vec![]);
        assert_eq!(resolver.next_deadline(&BTreeMap::new(), start), None);
        assert_eq!(resolver.due(&wanted, start), vec![key(1)], "asked afresh after it came back");
    }
}
