//! What the control plane says of agents that come and go: the ranges they may appear in, and who relays for whom.

use crate::departed::{Departed, Departures};
use crate::relays::{MAX_RELAYS, Relays};
use std::collections::BTreeMap;
use std::net::IpAddr;
use sterna_shm::RefusedKind;
use sterna_wire::{Iid, Prefix};

/// Ranges of dynamic EIDs, of all groups together.
const MAX_RANGES: usize = 1 << 14;

/// Ranges and permissions, each with the sync that confirmed it last.
#[derive(Default)]
pub(crate) struct Mobility {
    ranges: BTreeMap<(Iid, Prefix), u32>,
    relays: BTreeMap<(Iid, IpAddr, IpAddr), u32>,
    /// The ranges are not those of the published layout any more.
    pub ranges_changed: bool,
    relays_changed: bool,
    /// Who left where.
    pub departures: Departures,
    departed: Departed,
}

impl Mobility {
    pub fn put_range(&mut self, iid: Iid, prefix: Prefix, epoch: u32) -> Result<(), RefusedKind> {
        if self.ranges.len() >= MAX_RANGES && !self.ranges.contains_key(&(iid, prefix)) {
            return Err(RefusedKind::DynamicTableFull);
        }
        self.ranges_changed |= self.ranges.insert((iid, prefix), epoch).is_none();
        Ok(())
    }

    pub fn remove_range(&mut self, iid: Iid, prefix: Prefix) {
        self.ranges_changed |= self.ranges.remove(&(iid, prefix)).is_some();
    }

    pub fn allow(&mut self, iid: Iid, eid: IpAddr, from: IpAddr, epoch: u32) -> Result<(), RefusedKind> {
        let key = (iid, eid, from);
        if self.relays.len() >= MAX_RELAYS && !self.relays.contains_key(&key) {
            return Err(RefusedKind::RelayTableFull);
        }
        self.relays_changed |= self.relays.insert(key, epoch).is_none();
        Ok(())
    }

    pub fn forbid(&mut self, iid: Iid, eid: IpAddr, from: IpAddr) {
        self.relays_changed |= self.relays.remove(&(iid, eid, from)).is_some();
    }

    /// Forgets what `epoch` did not confirm.
    pub fn sweep(&mut self, epoch: u32) {
        let before = (self.ranges.len(), self.relays.len());
        self.ranges.retain(|_, confirmed| *confirmed == epoch);
        self.relays.retain(|_, confirmed| *confirmed == epoch);
        self.ranges_changed |= self.ranges.len() != before.0;
        self.relays_changed |= self.relays.len() != before.1;
    }

    /// Whether agents may come and go at this address.
    pub fn is_dynamic(&self, iid: Iid, eid: IpAddr) -> bool {
        let lengths = (0..=Prefix::host(eid).len()).rev();
        lengths
            .filter_map(|len| Prefix::masked(eid, len).ok())
            .any(|range| self.ranges.contains_key(&(iid, range)))
    }

    /// The ranges.
    pub fn ranges(&self) -> impl Iterator<Item = (Iid, Prefix)> {
        self.ranges.keys().copied()
    }

    /// The permissions and departures, if they changed since this was asked last.
    pub fn take_relays(&mut self) -> Option<Relays> {
        let departed = self.departures.take();
        let changed = std::mem::take(&mut self.relays_changed) || departed.is_some();
        self.departed = departed.unwrap_or_else(|| std::mem::take(&mut self.departed));
        changed.then(|| Relays::new(self.relays.keys().copied(), self.departed.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iid() -> Iid {
        Iid::new(100).unwrap()
    }

    #[test]
    fn permissions_are_bounded_told_once_and_swept() {
        let mut mobility = Mobility::default();
        let from: IpAddr = "192.0.2.2".parse().unwrap();
        let eid = |n: usize| IpAddr::V4((0x0a00_0000 + n as u32).into());
        assert!(mobility.take_relays().is_none());
        for n in 0..MAX_RELAYS {
            assert_eq!(mobility.allow(iid(), eid(n), from, 1), Ok(()));
        }
        assert_eq!(mobility.allow(iid(), eid(MAX_RELAYS), from, 1), Err(RefusedKind::RelayTableFull));
        assert!(mobility.take_relays().is_some() && mobility.take_relays().is_none());
        assert_eq!(mobility.allow(iid(), eid(0), from, 2), Ok(()), "one that is there");
        assert!(mobility.take_relays().is_none(), "and nothing new");
        mobility.forbid(iid(), eid(MAX_RELAYS), from);
        assert!(mobility.take_relays().is_none(), "it never was there");
        mobility.sweep(2);
        assert_eq!(mobility.relays.len(), 1);
        assert!(mobility.take_relays().is_some());
    }

    #[test]
    fn ranges_are_bounded_and_swept() {
        let mut mobility = Mobility::default();
        let range = |n: usize| Prefix::masked(IpAddr::V4(((n as u32) << 16).into()), 16).unwrap();
        for n in 0..MAX_RANGES {
            assert_eq!(mobility.put_range(iid(), range(n), 1), Ok(()));
        }
        assert_eq!(mobility.put_range(iid(), range(MAX_RANGES), 1), Err(RefusedKind::DynamicTableFull));
        assert!(std::mem::take(&mut mobility.ranges_changed));
        assert_eq!(mobility.put_range(iid(), range(3), 2), Ok(()));
        assert!(!mobility.ranges_changed);
        mobility.sweep(2);
        assert!(mobility.ranges_changed && mobility.ranges().count() == 1);
        mobility.remove_range(iid(), range(3));
        assert_eq!(mobility.ranges().count(), 0);
    }
}
