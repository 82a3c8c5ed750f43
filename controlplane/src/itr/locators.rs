//! From the locators of a record to those that we can use.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use sterna_wire::lisp::control::LocatorRecord;

use super::counters::{Counter, Counters};
use super::sets::SOURCE_ONLY;
use crate::outbox::Locator;

/// Locators that one mapping may have.
pub const MAX_LOCATORS: usize = 16;

/// What a record's locators come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Usable {
    /// These, sorted by address; those that cannot be sent to at all have priority 255.
    Some(Vec<Locator>),
    /// It names this gateway and nobody else.
    OnlyOwn,
    /// It names nobody in a way that we understand.
    Nothing,
}

/// Whether the address can belong to one host of the underlay or of a group.
pub fn is_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !(v4.is_multicast() || v4.is_loopback() || v4.is_broadcast() || v4.octets()[0] == 0)
                && v4 != Ipv4Addr::UNSPECIFIED
        }
        IpAddr::V6(v6) => {
            !(v6.is_multicast() || v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local())
        }
    }
}

/// Chooses the locators that we can use, the best ones if there are too many.
/// One that its own site or the Map-Server calls unreachable is never sent to, but packets may still come from it.
pub fn usable(records: &[LocatorRecord], own: &[IpAddr], counters: &mut Counters) -> Usable {
    let mut found: BTreeMap<IpAddr, Locator> = BTreeMap::new();
    let mut own_seen = false;
    for record in records {
        let Some(address) = record.address.rloc() else {
            counters.count(Counter::LocatorUnknownForm);
            continue;
        };
        if own.contains(&address) {
            counters.count(Counter::LocatorOwn);
            own_seen = true;
            continue;
        }
        if !is_unicast(address) {
            counters.count(Counter::LocatorBadAddress);
            continue;
        }
        let priority = if record.reachable { record.priority } else { SOURCE_ONLY };
        let locator = Locator { address, priority, weight: record.weight };
        if let Some(known) = found.get_mut(&address) {
            counters.count(Counter::LocatorDuplicate);
            *known = if locator.priority < known.priority { locator } else { *known };
        } else {
            found.insert(address, locator);
        }
    }
    match (found.is_empty(), own_seen) {
        (false, _) => Usable::Some(best(found.into_values().collect(), counters)),
        (true, true) => Usable::OnlyOwn,
        (true, false) => Usable::Nothing,
    }
}

fn best(mut locators: Vec<Locator>, counters: &mut Counters) -> Vec<Locator> {
    if locators.len() > MAX_LOCATORS {
        counters.add(Counter::LocatorsCut, locators.len() - MAX_LOCATORS);
        locators
            .sort_by_key(|locator| (locator.priority, std::cmp::Reverse(locator.weight), locator.address));
        locators.truncate(MAX_LOCATORS);
    }
    locators.sort_by_key(|locator| locator.address);
    locators
}

#[cfg(test)]
mod tests {
    use sterna_wire::lisp::control::LispAddress;

    use super::*;

    fn rloc(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn record(last: u8, priority: u8) -> LocatorRecord {
        LocatorRecord::unicast(rloc(last), priority, 100)
    }

    fn locator(last: u8, priority: u8) -> Locator {
        Locator { address: rloc(last), priority, weight: 100 }
    }

    fn judge(records: &[LocatorRecord]) -> (Usable, Counters) {
        let mut counters = Counters::default();
        (usable(records, &[rloc(1)], &mut counters), counters)
    }

    #[test]
    fn row_42_own_rlocs_are_skipped() {
        let (found, counters) = judge(&[record(1, 1), record(2, 1)]);
        assert_eq!(found, Usable::Some(vec![locator(2, 1)]));
        assert_eq!(counters.get(Counter::LocatorOwn), 1);
        assert_eq!(judge(&[record(1, 1)]).0, Usable::OnlyOwn);
    }

    #[test]
    fn row_7_unknown_forms_are_skipped_and_nothing_left_is_nothing() {
        let unknown =
            LocatorRecord { address: LispAddress::Opaque(vec![0x40, 3, 0, 0, 255, 0, 0, 0]), ..record(0, 1) };
        let (found, counters) = judge(&[unknown.clone(), record(2, 1)]);
        assert_eq!(
            (found, counters.get(Counter::LocatorUnknownForm)),
            (Usable::Some(vec![locator(2, 1)]), 1)
        );
        assert_eq!(judge(&[unknown]).0, Usable::Nothing);
        assert_eq!(judge(&[]).0, Usable::Nothing);
    }

    #[test]
    fn what_is_unreachable_is_kept_as_a_source() {
        let down = LocatorRecord { reachable: false, ..record(2, 1) };
        let local_down = LocatorRecord { reachable: false, local: true, ..record(3, 1) };
        let (found, _) = judge(&[down, local_down, record(4, SOURCE_ONLY)]);
        assert_eq!(found, Usable::Some(vec![locator(2, 255), locator(3, 255), locator(4, 255)]));
    }

    #[test]
    fn addresses_of_no_host_are_skipped() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "ff02::1",
            "fe80::1",
        ] {
            let bad = LocatorRecord::unicast(text.parse().unwrap(), 1, 1);
            let (found, counters) = judge(&[bad, record(2, 1)]);
            assert_eq!(found, Usable::Some(vec![locator(2, 1)]), "{text}");
            assert_eq!(counters.get(Counter::LocatorBadAddress), 1, "{text}");
        }
    }

    #[test]
    fn of_two_equal_ones_the_better_counts() {
        let (found, counters) = judge(&[record(2, 5), record(2, 3), record(2, 4)]);
        assert_eq!((found, counters.get(Counter::LocatorDuplicate)), (Usable::Some(vec![locator(2, 3)]), 2));
    }

    #[test]
    fn the_best_sixteen_are_kept() {
        let records: Vec<_> = (10..40).map(|last| record(last, 50 - last)).collect();
        let (found, counters) = judge(&records);
        let expected: Vec<_> = (24..40).map(|last| locator(last, 50 - last)).collect();
        assert_eq!(found, Usable::Some(expected));
        assert_eq!(counters.get(Counter::LocatorsCut), 14);
    }
}
