//! Rate limits per address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::pace::{Pace, Rate};

/// Addresses that have a limit of their own at the same time.
const ADDRESSES: usize = 4096;
/// The least time between two searches for addresses that are quiet again.
const SWEEP: Duration = Duration::from_millis(100);

/// A limit per address. When too many addresses are busy, those that come new share one limit.
#[derive(Debug)]
pub(super) struct LimitPerAddress {
    rate: Rate,
    due: BTreeMap<IpAddr, Instant>,
    others: Pace,
    swept: Option<Instant>,
}

impl LimitPerAddress {
    pub(super) fn new(per_second: u32) -> Self {
        Self { rate: Rate::of(per_second), due: BTreeMap::new(), others: Pace::new(per_second), swept: None }
    }

    pub(super) fn allow(&mut self, address: IpAddr, now: Instant) -> bool {
        if let Some(due) = self.due.get_mut(&address) {
            return self.rate.allow(due, now);
        }
        if self.due.len() >= ADDRESSES {
            self.sweep(now);
        }
        if self.due.len() >= ADDRESSES {
            return self.others.allow(now);
        }
        self.rate.allow(self.due.entry(address).or_insert(now), now)
    }

    /// Forgets the addresses that have their full burst again.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.duration_since(swept) < SWEEP) {
            return;
        }
        self.swept = Some(now);
        self.due.retain(|_, due| *due > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(limit: &mut Pace, now: Instant, tries: usize) -> usize {
        (0..tries).filter(|_| limit.allow(now)).count()
    }

    #[test]
    fn a_burst_is_a_tenth_of_a_second_and_the_pace_holds_afterwards() {
        let (mut limit, start) = (Pace::new(100), Instant::now());
        assert_eq!(allowed(&mut limit, start, 50), 10);
        assert_eq!(allowed(&mut limit, start + Duration::from_millis(30), 50), 3);
        assert_eq!(allowed(&mut limit, start + Duration::from_secs(9), 50), 10);
    }

    #[test]
    fn one_address_does_not_use_up_the_share_of_another() {
        let (mut limit, now) = (LimitPerAddress::new(10), Instant::now());
        let (a, b) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        assert!(limit.allow(a, now) && !limit.allow(a, now) && limit.allow(b, now));
    }

    #[test]
    fn a_flood_of_addresses_takes_bounded_memory_and_shares_one_limit() {
        let (mut limit, now) = (LimitPerAddress::new(10), Instant::now());
        let allowed = (0..100_000_u32).filter(|n| limit.allow(IpAddr::from(n.to_be_bytes()), now)).count();
        assert_eq!((allowed, limit.due.len()), (ADDRESSES + 1, ADDRESSES));
        let later = now + Duration::from_secs(1);
        assert!(limit.allow(IpAddr::from([192, 0, 2, 1]), later));
        assert_eq!(limit.due.len(), 1);
    }
}
