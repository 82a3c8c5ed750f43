//! Where hosts were a moment ago. The news of a move may overtake what its agent sent before it, and an agent with
//! both links speaks at the old site until it has switched: neither is forged (design section 5: a move must not lose
//! packets because of the source check).

use crate::apply::Applier;
use crate::relays::Permission;
use crate::tables::EidBody;
use std::collections::VecDeque;
use std::net::IpAddr;
use sterna_shm::LocatorSet;
use sterna_table::EidKey;
use sterna_wire::Iid;

/// How long a host may still come from where it was, ns: what a packet may take through the underlay, and an agent to
/// change its link.
pub const GRACE_NS: u64 = 2_000_000_000;

/// Permissions at a time, one per host and locator; the oldest go first. Half of what a thousand moves a second need:
/// beyond that the check is as strict as without them.
const MAX_DEPARTED: usize = 4096;

/// The latest departures, in order.
#[derive(Default)]
pub(crate) struct Departures {
    latest: VecDeque<(Permission, u64)>,
    changed: bool,
}

impl Departures {
    /// A host is not behind these locators any more.
    pub fn note(&mut self, iid: Iid, eid: IpAddr, from: impl Iterator<Item = IpAddr>, now_ns: u64) {
        let until_ns = now_ns.saturating_add(GRACE_NS);
        while self.latest.front().is_some_and(|(_, until_ns)| *until_ns <= now_ns) {
            self.latest.pop_front();
        }
        for from in from {
            if self.latest.len() >= MAX_DEPARTED {
                self.latest.pop_front();
            }
            self.latest.push_back((Permission::new(iid, eid, from), until_ns));
            self.changed = true;
        }
    }

    /// For the workers, if it changed since this was asked last.
    pub fn take(&mut self) -> Option<Departed> {
        std::mem::take(&mut self.changed).then(|| {
            let mut sorted: Vec<_> = self.latest.iter().copied().collect();
            sorted.sort_unstable();
            Departed { sorted }
        })
    }
}

impl Applier {
    /// A host that goes from one locator set to another place may still come from the locators that it leaves.
    pub(crate) fn note_departure(&mut self, iid: Iid, eid: IpAddr, key: &EidKey, next: &EidBody) {
        let before = self.writers.eids.get(key).and_then(|value| value.body.set());
        let Some(before) = before.filter(|set| next.set() != Some(*set)) else { return };
        let remotes = |set| -> Vec<IpAddr> {
            let facts = self.set_facts.get(&set).map(LocatorSet::as_slice).unwrap_or_default();
            facts.iter().filter_map(|l| Some(self.adjacency_facts.get(&l.adjacency)?.remote)).collect()
        };
        let after = next.set().map(remotes).unwrap_or_default();
        let left = remotes(before).into_iter().filter(|remote| !after.contains(remote));
        self.mobility.departures.note(iid, eid, left, self.now_ns);
    }
}

/// The departures of one moment, replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct Departed {
    sorted: Vec<(Permission, u64)>,
}

impl Departed {
    /// Whether a host may still come from this locator.
    pub(crate) fn allow(&self, wanted: &Permission, now_ns: u64) -> bool {
        let after = self.sorted.partition_point(|(permission, _)| permission <= wanted);
        // Of several departures from one place the latest is the last.
        let latest = after.checked_sub(1).and_then(|at| self.sorted.get(at));
        latest.is_some_and(|(permission, until_ns)| permission == wanted && now_ns < *until_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const B: &str = "192.0.2.2";

    fn permission(host: u32, from: &str) -> Permission {
        Permission::new(Iid::new(100).unwrap(), IpAddr::V4(host.into()), from.parse().unwrap())
    }

    fn note(departures: &mut Departures, host: u32, now_ns: u64) {
        let from = [B.parse().unwrap()].into_iter();
        departures.note(Iid::new(100).unwrap(), IpAddr::V4(host.into()), from, now_ns);
    }

    #[test]
    fn for_a_while_and_from_there_only() {
        let mut departures = Departures::default();
        assert!(departures.take().is_none());
        note(&mut departures, 7, 5);
        note(&mut departures, 7, 50);
        let departed = departures.take().unwrap();
        assert!(departures.take().is_none(), "told once");
        assert!(departed.allow(&permission(7, B), 0) && departed.allow(&permission(7, B), GRACE_NS + 49));
        assert!(!departed.allow(&permission(7, B), GRACE_NS + 50));
        assert!(!departed.allow(&permission(8, B), 60) && !departed.allow(&permission(7, "192.0.2.3"), 60));
        assert!(!Departed::default().allow(&permission(7, B), 0));
    }

    #[test]
    fn the_oldest_make_room() {
        let mut departures = Departures::default();
        for host in 0..=MAX_DEPARTED as u32 {
            note(&mut departures, host, 5);
        }
        let departed = departures.take().unwrap();
        assert_eq!(departed.sorted.len(), MAX_DEPARTED);
        assert!(!departed.allow(&permission(0, B), 6) && departed.allow(&permission(1, B), 6));
        note(&mut departures, 9, 5 + GRACE_NS);
        assert_eq!(departures.take().unwrap().sorted.len(), 1, "those whose time is over are forgotten");
    }
}
