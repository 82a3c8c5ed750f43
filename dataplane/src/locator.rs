//! Which locator a flow takes: priority first, then weight by a slot table that stays stable under change.

use crate::flow::FlowTable;
use crate::tables::{LocatorRow, SLOTS, SetRow};
use sterna_cpu::fold_multiply;
use sterna_shm::{MAX_LOCATORS, PRIORITY_NEVER};

/// Builds the row of a set; `keys[i]` identifies locator `i` (its remote RLOC), independent of its place.
pub fn build_set(locators: &[LocatorRow], keys: &[u64], payload_mtu: u16, generation: u32) -> SetRow {
    let mut row = SetRow {
        slots: [0; SLOTS],
        locators: [LocatorRow::default(); MAX_LOCATORS],
        count: locators.len().min(MAX_LOCATORS) as u8,
        pickable: 0,
        payload_mtu,
        candidates: 0,
        lasting: 0,
        keeps: false,
        generation,
    };
    for (to, from) in row.locators.iter_mut().zip(locators) {
        *to = *from;
    }
    fill_slots(&mut row, keys);
    let kept = |l: &LocatorRow| l.keep && l.usable && l.priority != PRIORITY_NEVER;
    let kept =
        row.locators().iter().enumerate().filter(|(_, l)| kept(l)).fold(0, |bits, (i, _)| bits | 1 << i);
    (row.lasting, row.keeps) = (row.candidates | kept, kept != 0);
    row
}

/// Weighted rendezvous: each slot goes to the candidate with the best score, so that a locator which leaves
/// gives up its own slots only, and one which comes takes its share evenly from the others.
fn fill_slots(row: &mut SetRow, keys: &[u64]) {
    let eligible = |l: &LocatorRow| l.usable && l.priority != PRIORITY_NEVER;
    let Some(best) = row.locators().iter().filter(|l| eligible(l)).map(|l| l.priority).min() else {
        return;
    };
    let candidate = |l: &LocatorRow| eligible(l) && l.priority == best;
    // RFC 9301 section 5.4: all weights zero means an even split.
    let even = row.locators().iter().filter(|l| candidate(l)).all(|l| l.weight == 0);
    let weight = |l: &LocatorRow| if even { 1.0 } else { f64::from(l.weight) };
    let chosen: Vec<(u8, u64, f64)> = row
        .locators()
        .iter()
        .zip(keys)
        .enumerate()
        .filter(|(_, (l, _))| candidate(l) && weight(l) > 0.0)
        .map(|(i, (l, key))| (i as u8, *key, weight(l)))
        .collect();
    row.pickable = chosen.len() as u8;
    row.candidates = chosen.iter().fold(0, |bits, (i, _, _)| bits | 1 << i);
    for (slot, to) in row.slots.iter_mut().enumerate() {
        let score = |key: u64, weight: f64| {
            let hash = fold_multiply(
                key ^ 0x9e37_79b9_7f4a_7c15,
                (slot as u64 + 1).wrapping_mul(0xd6e8_feb8_6659_fd93),
            );
            // A uniform number in (0, 1): -ln(u)/w is smallest for slot winners (weighted rendezvous hashing).
            let uniform = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
            -uniform.ln() / weight
        };
        let best = chosen.iter().min_by(|a, b| score(a.1, a.2).total_cmp(&score(b.1, b.2)));
        *to = best.map_or(0, |(i, _, _)| *i);
    }
}

/// Whether all flows take the same locator, and none is to be pinned.
#[inline]
pub fn is_only_way(set: &SetRow) -> bool {
    set.pickable == 1 && !set.keeps
}

/// The locator of a flow, by index into the set; `None` when none is usable.
#[inline]
pub fn pick(set: &SetRow, iid: u32, flow: u32, flows: &mut FlowTable, now_ns: u64) -> Option<usize> {
    match set.pickable {
        0 => None,
        // One candidate and nothing to keep: nothing to choose, so nothing to pin.
        _ if is_only_way(set) => Some(usize::from(set.slots[0])),
        _ => Some(flows.locate(set, iid, flow, now_ns)),
    }
}

/// The slot table's choice.
#[inline]
pub fn by_slot(set: &SetRow, flow: u32) -> usize {
    // The low bits index the flow table too; the slot takes the high ones.
    usize::from(set.slots[(flow >> 25) as usize % SLOTS])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locator(priority: u8, weight: u8, usable: bool) -> LocatorRow {
        LocatorRow { adjacency: 0, tag: 0, priority, weight, usable, keep: false }
    }

    fn shares(row: &SetRow) -> [usize; 4] {
        let mut shares = [0; 4];
        row.slots.iter().for_each(|s| shares[usize::from(*s)] += 1);
        shares
    }

    #[test]
    fn only_the_best_priority_gets_slots_by_weight() {
        let set = [locator(1, 75, true), locator(1, 25, true), locator(2, 100, true), locator(0, 9, false)];
        let row = build_set(&set, &[11, 22, 33, 44], 1464, 1);
        let [a, b, c, d] = shares(&row);
        assert_eq!((c, d, row.pickable), (0, 0, 2));
        assert!((84..=108).contains(&a) && a + b == SLOTS, "{a} of {SLOTS} for weight 75");
    }

    #[test]
    fn a_locator_that_leaves_moves_only_its_own_slots() {
        let mut set = [locator(1, 50, true); 4];
        let keys = [101, 202, 303, 404];
        let before = build_set(&set, &keys, 1464, 1);
        set[2].usable = false;
        let after = build_set(&set, &keys, 1464, 2);
        for (a, b) in before.slots.iter().zip(&after.slots) {
            assert!(a == b || *a == 2, "slot of locator {a} moved to {b}");
        }
        assert_eq!(shares(&after)[2], 0);
    }

    #[test]
    fn order_in_the_set_does_not_matter() {
        let set = [locator(1, 10, true), locator(1, 90, true)];
        let forward = build_set(&set, &[7, 8], 1464, 1);
        let backward = build_set(&[set[1], set[0]], &[8, 7], 1464, 1);
        for (a, b) in forward.slots.iter().zip(&backward.slots) {
            assert_eq!(*a, 1 - *b);
        }
    }

    #[test]
    fn zero_weights_split_evenly_and_255_is_never_used() {
        let row = build_set(
            &[locator(1, 0, true), locator(1, 0, true), locator(255, 100, true)],
            &[1, 2, 3],
            1464,
            1,
        );
        let [a, b, c, _] = shares(&row);
        assert!(a > 44 && b > 44 && c == 0, "{a} {b} {c}");
        let none = build_set(&[locator(255, 100, true)], &[1], 1464, 1);
        assert_eq!(none.pickable, 0);
    }
}
