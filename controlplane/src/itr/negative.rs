//! How far a negative answer reaches.
//!
//! A Map-Server answers with the shortest prefix that has no mapping. Outside of all configured ranges that saves
//! questions; inside one it would hide every agent that appears in the next minutes, so there it counts for one EID
//! and a minute.

use std::net::IpAddr;
use std::time::Duration;

use sterna_wire::{Family, Prefix};

use super::settings::{GroupRanges, Timers};

/// What a negative answer for this EID is worth: the longest lifetime and the prefix.
/// `said` is the prefix of the answer and contains the EID.
pub fn reach(eid: IpAddr, said: Prefix, group: &GroupRanges, timers: &Timers) -> (Prefix, Duration) {
    if group.in_range(eid) {
        return (Prefix::host(eid), timers.negative_max);
    }
    let keep_out = group.ranges.iter().chain(&group.served).filter(|range| range.family() == said.family());
    // A prefix around the EID leaves a range out once it is longer than what the two have in common.
    let len = keep_out.map(|range| common_bits(eid, range.addr()).min(range.len()) + 1).max().unwrap_or(1);
    let len = len.max(said.len()).clamp(1, Family::of(eid).bits());
    let prefix = Prefix::masked(eid, len).unwrap_or(Prefix::host(eid));
    (prefix, timers.negative_outside_max)
}

/// How many leading bits two addresses of one family have in common.
fn common_bits(one: IpAddr, other: IpAddr) -> u8 {
    let bits = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        _ => 0,
    };
    u8::try_from(bits).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn group(ranges: &[&str], served: &[&str]) -> GroupRanges {
        let parse = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        GroupRanges { ranges: parse(ranges), served: parse(served) }
    }

    fn of(eid: &str, said: &str, group: &GroupRanges) -> (String, u64) {
        let (prefix, time) = reach(eid.parse().unwrap(), said.parse().unwrap(), group, &Timers::default());
        (prefix.to_string(), time.as_secs())
    }

    #[test]
    fn inside_a_range_it_is_one_eid_for_a_minute() {
        let group = group(&["10.1.0.0/16", "fd00:1::/32"], &[]);
        assert_eq!(of("10.1.2.3", "10.0.0.0/8", &group), ("10.1.2.3/32".into(), 60));
        assert_eq!(of("fd00:1::5", "::/0", &group), ("fd00:1::5/128".into(), 60));
    }

    #[test]
    fn outside_it_is_the_prefix_that_was_said_but_no_range() {
        let group = group(&["10.1.0.0/16"], &["10.64.0.0/24"]);
        assert_eq!(of("192.168.1.1", "192.168.0.0/16", &group), ("192.168.0.0/16".into(), 900));
        assert_eq!(of("10.2.0.1", "10.0.0.0/8", &group), ("10.2.0.0/15".into(), 900));
        assert_eq!(of("10.64.1.1", "10.0.0.0/8", &group), ("10.64.1.0/24".into(), 900));
        assert_eq!(of("fd00::1", "::/0", &group), ("8000::/1".into(), 900), "never shorter than /1");
    }

    proptest! {
        #[test]
        fn it_contains_the_eid_and_no_part_of_a_range(
            eid: u32, said in 0_u8..=32, ranges in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..8)
        ) {
            let prefix = |address: u32, len| Prefix::masked(address.to_be_bytes().into(), len).unwrap();
            let ranges: Vec<_> = ranges.into_iter().map(|(address, len)| prefix(address, len)).collect();
            let group = GroupRanges { ranges: ranges.clone(), served: vec![] };
            let eid = IpAddr::from(eid.to_be_bytes());
            let said = Prefix::masked(eid, said).unwrap();
            let (prefix, time) = reach(eid, said, &group, &Timers::default());
            prop_assert!(prefix.contains(eid) && prefix.len() >= 1 && said.covers(&prefix) || said.len() == 0);
            if group.in_range(eid) {
                prop_assert!(prefix.is_host() && time == Duration::from_secs(60));
            } else {
                prop_assert!(ranges.iter().all(|range| !range.covers(&prefix) && !prefix.covers(range)));
            }
        }
    }
}
