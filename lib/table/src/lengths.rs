//! Which prefix lengths exist in a realm (an instance and an address family): what longest match tries.
//!
//! A small open-addressed array of 32-byte slots, two per realm allowed, found by linear steps. A slot is never
//! given back to "never used", so a realm that is present is always found before the first such slot; a slot whose
//! realm has no entry left may be taken over by another realm. A reader that was looking at it then sees lengths
//! that are not its realm's: harmless, because its realm was empty, and a probe for a length that does not exist
//! finds nothing.

use crate::key::{Secret, spread};
use crate::memory::{Blank, Fixed, Touch};
use crate::sync::{AtomicU32, AtomicU64, Ordering, Reading, Side, Writing};
use sterna_wire::Family;

/// How many slots a realm may lie from its home. With at most half of the slots in use (the writer counts), a run of
/// this length has a chance below one in a billion; it bounds what a packet of an unknown instance can cost.
const STEPS: u32 = 128;

/// Words of a bitmap; an IPv4 realm uses the first only.
const WORDS: usize = 3;

/// A bit per prefix length, counted from the host: bit n stands for n free bits, so the lowest set bit is the
/// longest length, and all 33 lengths of IPv4 are in one word.
#[repr(C, align(32))]
pub(crate) struct Slot {
    free_bits: [AtomicU64; WORDS],
    /// 0: never used.
    realm: AtomicU32,
}

// SAFETY: atomic integers of zero bytes are zero: a slot never used; nothing to drop.
unsafe impl Blank for Slot {
    fn blank() -> Self {
        Slot { free_bits: std::array::from_fn(|_| AtomicU64::new(0)), realm: AtomicU32::new(0) }
    }
}

impl Slot {
    /// Sets the bit of a length; before its first entry is published.
    pub(crate) fn add(&self, free_bits: u8) {
        self.store(free_bits, |bits, bit| bits | bit);
    }

    /// Clears it; after its last entry was unlinked.
    pub(crate) fn remove(&self, free_bits: u8) {
        self.store(free_bits, |bits, bit| bits & !bit);
    }

    fn store(&self, free_bits: u8, change: impl Fn(u64, u64) -> u64) {
        if let Some(word) = self.free_bits.get(usize::from(free_bits / 64)) {
            // One writer, so load and store need not be one step.
            word.store(change(Writing::load_u64(word), 1 << (free_bits % 64)), Ordering::Relaxed);
        }
    }

    /// Whether the realm has no entry; for the writer.
    pub(crate) fn is_empty(&self) -> bool {
        self.free_bits.iter().all(|word| Writing::load_u64(word) == 0)
    }

    fn word(&self, word: usize) -> u64 {
        // Relaxed: a length whose entry was published before the reader came is seen by the same order that made
        // the entry visible; any other may be seen or not.
        self.free_bits.get(word).map_or(0, Reading::load_u64)
    }
}

/// The lengths of a realm that are still to be tried.
#[derive(Clone, Copy)]
pub(crate) struct Remaining {
    /// The lengths of the current word.
    bits: u64,
    slot: u32,
    /// The length that bit 0 of the current word stands for.
    top: u8,
}

impl Remaining {
    /// None at all.
    pub(crate) const NONE: Remaining = Remaining { bits: 0, slot: 0, top: 0 };
}

/// The lengths of all realms.
pub(crate) struct Lengths {
    slots: Fixed<Slot>,
    /// How many steps from home any realm was ever put: what a search for an absent one costs at most.
    reach: AtomicU32,
    secret: Secret,
}

impl Lengths {
    /// Room for `max_realms` at a time.
    pub(crate) fn new(max_realms: usize, secret: Secret) -> Lengths {
        Lengths { slots: Fixed::new(max_realms.max(1) * 2, Touch::Now), reach: AtomicU32::new(0), secret }
    }

    /// The slot of a realm; `None` when it never had an entry.
    #[inline(always)]
    pub(crate) fn find<S: Side>(&self, realm: u32) -> Option<usize> {
        let mut at = spread(self.secret.hash_realm(realm), self.slots.len());
        for _ in 0..S::load_u32(&self.reach) {
            // Relaxed: nothing but this slot's own atomics is reached through it.
            match S::load_u32(&self.slots[at].realm) {
                found if found == realm => return Some(at),
                0 => return None,
                _ => at = self.after(at),
            }
        }
        None
    }

    /// The slot of a realm, taking one over when it has none; `None` when no slot near its home is to be had.
    pub(crate) fn find_or_take(&self, realm: u32) -> Option<usize> {
        if let Some(at) = self.find::<Writing>(realm) {
            return Some(at);
        }
        let mut at = spread(self.secret.hash_realm(realm), self.slots.len());
        for step in 0..STEPS {
            if self.slots[at].is_empty() {
                self.reach.store(Writing::load_u32(&self.reach).max(step + 1), Ordering::Relaxed);
                self.slots[at].realm.store(realm, Ordering::Relaxed);
                return Some(at);
            }
            at = self.after(at);
        }
        None
    }

    /// The slot at an index from [`Lengths::find`].
    pub(crate) fn slot(&self, at: usize) -> &Slot {
        &self.slots[at]
    }

    /// The lengths of a realm.
    #[inline(always)]
    pub(crate) fn of(&self, realm: u32) -> Remaining {
        let Some(slot) = self.find::<Reading>(realm) else {
            return Remaining::NONE;
        };
        let top = if realm >> 24 == Family::V4 as u32 { Family::V4.bits() } else { Family::V6.bits() };
        Remaining { bits: self.slots[slot].word(0), slot: slot as u32, top }
    }

    /// Takes the longest length out.
    #[inline(always)]
    pub(crate) fn next(&self, remaining: &mut Remaining) -> Option<u8> {
        if remaining.bits == 0 && !self.next_word(remaining) {
            return None;
        }
        // IPv4 realms set no bit past length 0. One that was emptied and taken over by an IPv6 realm meanwhile may
        // seem to: then this wraps to a length that no entry has, and nothing is found there.
        let len = remaining.top.wrapping_sub(remaining.bits.trailing_zeros() as u8);
        remaining.bits &= remaining.bits - 1;
        Some(len)
    }

    /// Goes on to the next word that has a length; IPv4 has one word, IPv6 has three.
    #[inline(always)]
    fn next_word(&self, remaining: &mut Remaining) -> bool {
        while remaining.top >= 64 {
            remaining.top -= 64;
            let word = usize::from((Family::V6.bits() - remaining.top) / 64);
            remaining.bits = self.slots[remaining.slot as usize].word(word);
            if remaining.bits != 0 {
                return true;
            }
        }
        false
    }

    /// What it occupies, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.bytes()
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn all(lengths: &Lengths, realm: u32) -> Vec<u8> {
        let mut remaining = lengths.of(realm);
        std::iter::from_fn(|| lengths.next(&mut remaining)).collect()
    }

    #[test]
    fn half_a_cache_line() {
        assert_eq!(size_of::<Slot>(), 32);
    }

    #[test]
    fn longest_first_down_to_the_default() {
        let lengths = Lengths::new(2, Secret::new([3, 4]));
        let (v4, v6) = (4 << 24, 6 << 24);
        assert_eq!((all(&lengths, v4), all(&lengths, v6)), (vec![], vec![]));
        let slot = lengths.slot(lengths.find_or_take(v6).unwrap());
        for free_bits in [128, 127, 65, 64, 63, 1, 0] {
            slot.add(free_bits);
        }
        assert_eq!((all(&lengths, v4), all(&lengths, v6)), (vec![], vec![128, 127, 65, 64, 63, 1, 0]));
        (0..128).for_each(|free_bits| slot.remove(free_bits));
        assert_eq!(all(&lengths, v6), [0]);
        let slot = lengths.slot(lengths.find_or_take(v4).unwrap());
        [0, 8, 32].into_iter().for_each(|free_bits| slot.add(free_bits));
        assert_eq!((all(&lengths, v4), all(&lengths, v6)), (vec![32, 24, 0], vec![0]));
        slot.remove(8);
        assert!(!slot.is_empty());
        [0, 32].into_iter().for_each(|free_bits| slot.remove(free_bits));
        assert!(slot.is_empty());
    }

    const REALMS: u32 = if cfg!(miri) { 20 } else { 500 };

    #[test]
    fn realms_fill_to_the_limit_and_beyond_only_by_takeover() {
        let lengths = Lengths::new(REALMS as usize, Secret::new([3, 4]));
        for realm in 1..=REALMS {
            let at = lengths.find_or_take(realm).unwrap();
            lengths.slot(at).add(24);
        }
        assert!((1..=REALMS).all(|realm| lengths.find::<Writing>(realm).is_some()));
        assert!(lengths.find::<Writing>(REALMS + 1).is_none());
        // Twenty generations of realms pass through; each is findable while it has a length.
        for realm in REALMS + 1..REALMS * 21 {
            let old = lengths.find::<Writing>(realm - REALMS).unwrap();
            lengths.slot(old).remove(24);
            let at = lengths.find_or_take(realm).unwrap();
            lengths.slot(at).add(24);
            assert_eq!(lengths.find::<Writing>(realm), Some(at));
        }
        let living = REALMS * 20..REALMS * 21;
        assert!(living.into_iter().all(|realm| lengths.find::<Writing>(realm).is_some()));
    }
}
