//! Flows: the hash that stands for one, and the bounded table that pins it to its locator.

use crate::locator::by_slot;
use crate::tables::SetRow;
use sterna_cpu::fold_multiply;

/// Pins kept per worker. 65,536 x 24 bytes stay within the second-level cache's reach; when a flow finds no free
/// place the slot table decides, which is right as long as the set does not change.
pub const PINS: usize = 1 << 16;

/// A pin that no packet used for this long may be replaced.
const IDLE_NS: u64 = 60_000_000_000;

/// How many places a flow may take. With a table half full two are taken for a quarter of the new flows, and those would
/// follow every change of fitness to another agent; eight are for one in 250.
const WAYS: usize = 8;

/// The hash of a flow: addresses, protocol, ports (or, for fragments, the datagram's identification).
#[inline]
pub fn hash(source: &[u8; 16], destination: &[u8; 16], selector: u64) -> u32 {
    let word = |b: &[u8; 16], i: usize| {
        u64::from_le_bytes([b[i], b[i + 1], b[i + 2], b[i + 3], b[i + 4], b[i + 5], b[i + 6], b[i + 7]])
    };
    let a = fold_multiply(word(source, 0) ^ 0xa076_1d64_78bd_642f, word(source, 8) ^ 0xe703_7ed1_a0b4_28db);
    let b = fold_multiply(
        word(destination, 0) ^ 0x8ebc_6af0_9c88_c6e3,
        word(destination, 8) ^ 0x5899_65cc_7537_4cc3,
    );
    let mixed = fold_multiply(a ^ selector, b ^ 0x1d8e_4e27_c47d_124f);
    (mixed ^ (mixed >> 32)) as u32
}

#[derive(Clone, Copy, Default)]
struct Pin {
    flow: u32,
    /// The hash does not have it, and two groups may have the same addresses.
    iid: u32,
    generation: u32,
    /// [`crate::tables::address_tag`] of the remote RLOC: survives renumbering of rows and a change of set or class.
    tag: u32,
    seen_ms: u32,
    locator: u8,
    /// The set had one candidate: it was pinned in case that a better one comes, and makes room for those that have a
    /// choice now.
    alone: bool,
    taken: bool,
}

/// Which locator each flow uses.
///
/// A pin belongs to a flow, whatever set it was made in: it holds as long as its locator is one of the set that is in
/// force now and lasts there ([`SetRow::lasts`]).
pub struct FlowTable {
    pins: Vec<Pin>,
}

impl FlowTable {
    /// A table of [`PINS`] pins.
    pub fn new() -> FlowTable {
        FlowTable { pins: vec![Pin::default(); PINS] }
    }

    /// The locator of a flow in a set with several usable ones, or with one to keep: its pin while that is valid, else
    /// the slot's.
    pub fn locate(&mut self, set: &SetRow, iid: u32, flow: u32, now_ns: u64) -> usize {
        let now_ms = (now_ns / 1_000_000) as u32;
        let alone = set.pickable < 2;
        let home = flow as usize % PINS;
        let (mut free, mut lesser) = (None, None);
        for way in 0..WAYS {
            let at = (home ^ way) % PINS;
            let pin = &mut self.pins[at];
            if pin.taken && pin.flow == flow && pin.iid == iid {
                pin.seen_ms = now_ms;
                return revalidate(pin, set);
            }
            let idle = now_ms.wrapping_sub(pin.seen_ms) > (IDLE_NS / 1_000_000) as u32;
            if free.is_none() && (!pin.taken || idle) {
                free = Some(at);
            } else if pin.alone && !alone {
                lesser = Some(at);
            }
        }
        let locator = by_slot(set, flow);
        if let (Some(at), Some(row)) = (free.or(lesser), set.locators().get(locator)) {
            let (generation, tag, locator) = (set.generation, row.tag, locator as u8);
            self.pins[at] = Pin { flow, iid, generation, tag, seen_ms: now_ms, locator, alone, taken: true };
        }
        locator
    }
}

impl Default for FlowTable {
    fn default() -> Self {
        Self::new()
    }
}

/// The pin's locator in the set as it is now; a locator that does not last releases the pin.
fn revalidate(pin: &mut Pin, set: &SetRow) -> usize {
    if pin.generation == set.generation {
        return usize::from(pin.locator);
    }
    let same = set.locators().iter().position(|l| l.tag == pin.tag);
    let kept = same.filter(|i| set.lasts(*i));
    let locator = kept.unwrap_or_else(|| by_slot(set, pin.flow));
    pin.generation = set.generation;
    pin.locator = locator as u8;
    pin.alone = set.pickable < 2;
    pin.tag = set.locators().get(locator).map_or(0, |l| l.tag);
    locator
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locator::{build_set, pick};
    use crate::tables::LocatorRow;

    fn set(usable: [bool; 3], generation: u32) -> SetRow {
        let rows: Vec<_> = usable
            .iter()
            .enumerate()
            .map(|(i, usable)| LocatorRow {
                adjacency: i as u32,
                tag: 1000 + i as u32,
                priority: 1,
                weight: 50,
                usable: *usable,
                keep: false,
            })
            .collect();
        build_set(&rows, &[1, 2, 3], 1464, generation)
    }

    #[test]
    fn a_flow_keeps_its_locator_when_others_come_and_go() {
        let mut flows = FlowTable::new();
        let two = set([true, true, false], 1);
        let before: Vec<_> =
            (0..1000u32).map(|f| flows.locate(&two, 9, f.wrapping_mul(0x9e37_79b9), 0)).collect();
        let three = set([true, true, true], 2);
        let after: Vec<_> =
            (0..1000u32).map(|f| flows.locate(&three, 9, f.wrapping_mul(0x9e37_79b9), 1)).collect();
        assert_eq!(before, after);
        let fresh: Vec<_> =
            (1000..2000u32).map(|f| flows.locate(&three, 9, f.wrapping_mul(0x9e37_79b9), 1)).collect();
        assert!(fresh.contains(&2), "new flows use the new locator");
    }

    #[test]
    fn a_locator_that_goes_invalid_releases_its_flows_only() {
        let mut flows = FlowTable::new();
        let all = set([true, true, true], 1);
        let before: Vec<_> = (0..1000).map(|i| flows.locate(&all, 9, flow(i), 0)).collect();
        let without = set([true, false, true], 2);
        for (i, was) in before.iter().enumerate() {
            let now = flows.locate(&without, 9, flow(i as u32), 1);
            assert!(now == *was || *was == 1);
            assert_ne!(now, 1);
        }
    }

    #[test]
    fn a_worse_priority_releases_its_flows_too() {
        let mut flows = FlowTable::new();
        let all = set([true, true, true], 1);
        (0..100).for_each(|i| {
            flows.locate(&all, 9, flow(i), 0);
        });
        let mut rows = all.locators().to_vec();
        rows[0].priority = 2;
        let changed = build_set(&rows, &[1, 2, 3], 1464, 2);
        assert!((0..100).all(|i| flows.locate(&changed, 9, flow(i), 1) != 0));
    }

    /// Locator 0 with 1 beside it: priorities, then whether each is to be kept.
    fn ranked(priorities: [u8; 2], keep: [bool; 2], generation: u32) -> SetRow {
        let locator = |i: usize| LocatorRow {
            adjacency: i as u32,
            tag: 1000 + i as u32,
            priority: priorities[i],
            weight: 50,
            usable: true,
            keep: keep[i],
        };
        build_set(&[locator(0), locator(1)], &[1, 2], 1464, generation)
    }

    fn flow(i: u32) -> u32 {
        i.wrapping_mul(0x9e37_79b9)
    }

    /// Where packets of the first hundred flows go.
    fn all_at(flows: &mut FlowTable, set: &SetRow) -> Vec<usize> {
        (0..100).map(|i| pick(set, 7, flow(i), flows, 1).unwrap()).collect()
    }

    #[test]
    fn a_better_locator_gets_new_flows_only_where_the_other_is_kept() {
        let mut flows = FlowTable::new();
        assert_eq!(all_at(&mut flows, &ranked([1, 2], [true, true], 1)), [0; 100]);
        // Another set with another generation: the row of the class changed, or the EID's mapping.
        let better = ranked([2, 1], [true, true], 2);
        assert_eq!(all_at(&mut flows, &better), [0; 100]);
        assert!((100..200).all(|i| pick(&better, 7, flow(i), &mut flows, 1) == Some(1)));
        assert_eq!(all_at(&mut flows, &ranked([2, 1], [false, true], 3)), [1; 100], "released at once");
        assert_eq!(all_at(&mut flows, &ranked([1, 2], [false, true], 4)), [1; 100], "and pinned there");
    }

    #[test]
    fn the_only_locator_pins_in_case_that_another_comes() {
        let mut flows = FlowTable::new();
        let only = build_set(&ranked([1, 1], [true, true], 1).locators()[..1], &[1], 1464, 1);
        assert_eq!((only.pickable, only.keeps), (1, true));
        assert_eq!(all_at(&mut flows, &only), [0; 100]);
        assert_eq!(all_at(&mut flows, &ranked([2, 1], [true, true], 2)), [0; 100]);
    }

    #[test]
    fn a_kept_locator_that_is_not_usable_or_gone_releases_its_flows() {
        let mut down = ranked([1, 2], [true, true], 2).locators().to_vec();
        down[0].usable = false;
        let gone = [down[1]];
        for after in [build_set(&down, &[1, 2], 1464, 2), build_set(&gone, &[2], 1464, 2)] {
            let mut flows = FlowTable::new();
            assert_eq!(all_at(&mut flows, &ranked([1, 2], [true, true], 1)), [0; 100]);
            let to = after.locators().len() - 1;
            assert_eq!(all_at(&mut flows, &after), [to; 100]);
        }
    }

    #[test]
    fn groups_with_the_same_addresses_have_pins_of_their_own() {
        let mut flows = FlowTable::new();
        let before = ranked([1, 2], [true, true], 1);
        let other = ranked([2, 1], [true, true], 2);
        for _ in 0..2 {
            assert_eq!(pick(&before, 7, 42, &mut flows, 1), Some(0));
            assert_eq!(pick(&other, 8, 42, &mut flows, 1), Some(1));
        }
    }

    #[test]
    fn a_table_half_full_pins_nearly_every_flow() {
        let mut flows = FlowTable::new();
        let mixed =
            |i: u64| sterna_cpu::fold_multiply(i ^ 0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93) as u32;
        let both = ranked([1, 1], [true, true], 1);
        let half = PINS as u64 / 2;
        (0..half).for_each(|i| {
            pick(&both, 7, mixed(i), &mut flows, 1);
        });
        let pinned = flows.pins.iter().filter(|pin| pin.taken).count() as u64;
        assert!(pinned >= half - half / 100, "{pinned} of {half}");
    }

    #[test]
    fn pins_without_a_choice_make_room() {
        let mut flows = FlowTable::new();
        let alone = build_set(&ranked([1, 1], [true, true], 1).locators()[..1], &[1], 1464, 1);
        (0..2 * PINS as u32).for_each(|i| {
            pick(&alone, 7, i, &mut flows, 1);
        });
        assert!(flows.pins.iter().all(|pin| pin.taken && pin.alone));
        let both = ranked([1, 1], [true, true], 2);
        let new = 5 * PINS as u32;
        let first = pick(&both, 7, new, &mut flows, 1);
        let mut lopsided = ranked([1, 1], [true, true], 3).locators().to_vec();
        lopsided[1 - first.unwrap()].priority = 0;
        let lopsided = build_set(&lopsided, &[1, 2], 1464, 3);
        assert_eq!(pick(&lopsided, 7, new, &mut flows, 1), first, "it was pinned");
    }

    #[test]
    fn when_full_the_slot_table_decides() {
        let mut flows = FlowTable::new();
        let all = set([true, true, true], 1);
        for i in 0..(4 * PINS as u32) {
            let flow = i.wrapping_mul(0x9e37_79b9);
            assert_eq!(flows.locate(&all, 9, flow, 0), by_slot(&all, flow));
        }
    }

    #[test]
    fn the_hash_depends_on_every_input() {
        let base = hash(&[1; 16], &[2; 16], 3);
        assert_ne!(base, hash(&[2; 16], &[1; 16], 3));
        assert_ne!(base, hash(&[1; 16], &[2; 16], 4));
    }
}
