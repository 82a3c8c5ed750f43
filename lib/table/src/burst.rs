//! A burst of questions in staged passes, so that the memory one question waits for arrives during the others.
//!
//! Of the four ways a probe can go, the first two are nearly all:
//! * one tag equal, the key too: found;
//! * no tag equal, nothing passed the bucket: absent at this length, try the next shorter;
//! * no tag equal, but something passed the bucket: search on;
//! * one tag equal, another key (once in 8,000 probes), or a way just being written: search from the start.

use crate::bucket::{Bucket, tag_of};
use crate::domain::Guard;
use crate::eid::Shared;
use crate::eid_reader::Found;
use crate::key::{EidKey, Question, Secret, spread};
use crate::lengths::{Lengths, Remaining};
use crate::sync::Reading;
use std::mem::MaybeUninit;
use sterna_cpu::prefetch_slice_index;

/// The questions that go through the passes together; longer bursts are cut. A frame burst is 64 and a packet asks
/// at most twice (destination, source). The probes of 64 questions take 4 KiB of stack, an eighth of the L1 cache;
/// their buckets and entries as much each.
pub const BURST: usize = 128;

/// A question on its way, for one prefix length; a cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Probe {
    key: EidKey,
    /// The shorter lengths to try after this one.
    remaining: Remaining,
    bucket: u32,
    candidate: u32,
    tag: u16,
}

/// Probes by the number of their question: written by the first pass for all questions, read only after it.
type Probes = [MaybeUninit<Probe>; BURST];

/// Numbers of questions, in the order in which they are to be worked on.
struct Numbers {
    list: [u8; BURST],
    len: usize,
}

impl Numbers {
    const NONE: Numbers = Numbers { list: [0; BURST], len: 0 };
}

/// One burst on its way through the passes.
pub(crate) struct Passes<'q, 'f, 'g, V: Copy> {
    shared: &'g Shared<V>,
    questions: &'q [Question],
    found: &'f mut [Option<Found<'g, V>>],
    /// To be compared by tag.
    asked: Numbers,
    /// To be compared by key.
    likely: Numbers,
}

impl<'q, 'f, 'g, V: Copy> Passes<'q, 'f, 'g, V> {
    /// A burst of at most [`BURST`] questions, under a guard of the table's domain.
    #[inline(always)]
    pub(crate) fn new(
        shared: &'g Shared<V>,
        guard: &'g Guard<'_>,
        questions: &'q [Question],
        found: &'f mut [Option<Found<'g, V>>],
    ) -> Passes<'q, 'f, 'g, V> {
        guard.check(&shared.domain);
        Passes { shared, questions, found, asked: Numbers::NONE, likely: Numbers::NONE }
    }

    /// Answers by longest prefix.
    #[inline(always)]
    pub(crate) fn longest(mut self) {
        let mut probes = [const { MaybeUninit::uninit() }; BURST];
        let probes = self.begin_longest(&mut probes);
        while self.asked.len > 0 {
            self.compare_tags(probes);
            self.compare_keys(probes);
        }
    }

    /// Answers by host entries only.
    #[inline(always)]
    pub(crate) fn hosts(mut self) {
        let mut probes = [const { MaybeUninit::uninit() }; BURST];
        let probes = self.begin_hosts(&mut probes);
        self.compare_tags(probes);
        self.compare_keys(probes);
    }

    /// First pass at the longest length of each question's realm. Neighbours mostly share the realm.
    #[inline(never)]
    fn begin_longest<'p>(&mut self, probes: &'p mut Probes) -> &'p mut [Probe] {
        let (lengths, buckets, secret) = (&self.shared.lengths, &*self.shared.buckets, self.shared.secret);
        let (mut count, mut asked) = (0, 0);
        // No question has realm 0.
        let (mut realm, mut longest, mut rest) = (0, None, Remaining::NONE);
        for ((question, found), probe) in
            self.questions.iter().zip(self.found.iter_mut()).zip(probes.iter_mut())
        {
            *found = None;
            if question.realm() != realm {
                realm = question.realm();
                rest = lengths.of(realm);
                longest = lengths.next(&mut rest);
            }
            let len = longest.unwrap_or(0);
            probe.write(first_pass(buckets, &secret, question.key(len), rest));
            self.asked.list[asked & (BURST - 1)] = count as u8;
            asked += usize::from(longest.is_some());
            count += 1;
        }
        self.asked.len = asked;
        // SAFETY: the loop wrote the first `count`.
        unsafe { probes[..count].assume_init_mut() }
    }

    /// First pass at full length, whatever lengths there are.
    #[inline(never)]
    fn begin_hosts<'p>(&mut self, probes: &'p mut Probes) -> &'p mut [Probe] {
        let (buckets, secret) = (&*self.shared.buckets, self.shared.secret);
        let mut count = 0;
        for ((question, found), probe) in
            self.questions.iter().zip(self.found.iter_mut()).zip(probes.iter_mut())
        {
            *found = None;
            let key = question.key(question.family.bits());
            probe.write(first_pass(buckets, &secret, key, Remaining::NONE));
            self.asked.list[count & (BURST - 1)] = count as u8;
            count += 1;
        }
        self.asked.len = count;
        // SAFETY: the loop wrote the first `count`.
        unsafe { probes[..count].assume_init_mut() }
    }

    /// Second pass: what no tag equals goes to the next shorter length at once, the rest has its entry asked for.
    #[inline(never)]
    fn compare_tags(&mut self, probes: &mut [Probe]) {
        // Copies, because an Acquire load makes the compiler forget what it knows of memory.
        let (lengths, buckets, secret) = (&self.shared.lengths, &*self.shared.buckets, self.shared.secret);
        let entries = &**self.shared.entries;
        let (mut again, mut likely) = (0, 0);
        for place in 0..self.asked.len {
            let number = self.asked.list[place & (BURST - 1)];
            let probe = &mut probes[usize::from(number)];
            let bucket = &buckets[probe.bucket as usize];
            let ways = bucket.matching::<Reading>(probe.tag);
            if ways == 0 && !bucket.overflows::<Reading>() {
                if shorten(lengths, buckets, &secret, probe) {
                    self.asked.list[again & (BURST - 1)] = number;
                    again += 1;
                }
                continue;
            }
            // Without an equal tag this is some way's entry: its key differs, and the third pass searches on.
            probe.candidate = bucket.entry::<Reading>(ways.trailing_zeros() as usize);
            prefetch_slice_index(entries, probe.candidate as usize);
            self.likely.list[likely & (BURST - 1)] = number;
            likely += 1;
        }
        self.asked.len = again;
        self.likely.len = likely;
    }

    /// Third pass: what is not the key after all, and not further on either, goes to the next shorter length.
    #[inline(never)]
    fn compare_keys(&mut self, probes: &mut [Probe]) {
        let (lengths, buckets, secret) = (&self.shared.lengths, &*self.shared.buckets, self.shared.secret);
        let entries = &**self.shared.entries;
        for place in 0..self.likely.len {
            let number = self.likely.list[place & (BURST - 1)];
            let probe = &mut probes[usize::from(number)];
            if probe.candidate != 0 {
                // SAFETY: not 0, and loaded from a bucket in the second pass, under the guard that `new` checked.
                let entry = unsafe { entries[probe.candidate as usize].get() };
                if entry.key.equals(&probe.key) {
                    let (index, len) = (probe.candidate, probe.key.prefix_len());
                    self.found[usize::from(number)] = Some(Found { index, len, value: &entry.value });
                    continue;
                }
            }
            let found = search(self.shared, &probe.key);
            self.found[usize::from(number)] = found;
            if found.is_none() && shorten(lengths, buckets, &secret, probe) {
                self.asked.list[self.asked.len & (BURST - 1)] = number;
                self.asked.len += 1;
            }
        }
    }
}

/// First pass: hash, ask for the bucket.
#[inline(always)]
fn first_pass(buckets: &[Bucket], secret: &Secret, key: EidKey, remaining: Remaining) -> Probe {
    let hash = secret.hash(&key);
    let bucket = spread(hash, buckets.len());
    prefetch_slice_index(buckets, bucket);
    Probe { key, remaining, bucket: bucket as u32, candidate: 0, tag: tag_of(hash) }
}

/// First pass again, at the next shorter length; false when there is none.
#[inline(always)]
fn shorten(lengths: &Lengths, buckets: &[Bucket], secret: &Secret, probe: &mut Probe) -> bool {
    let mut remaining = probe.remaining;
    let Some(len) = lengths.next(&mut remaining) else {
        return false;
    };
    *probe = first_pass(buckets, secret, probe.key.shortened(len), remaining);
    true
}

/// The whole search for one key, where a tag did not decide. The caller holds the guard for 'g.
#[cold]
#[inline(never)]
fn search<'g, V: Copy>(shared: &'g Shared<V>, key: &EidKey) -> Option<Found<'g, V>> {
    let place = shared.find::<Reading>(key, shared.secret.hash(key))?;
    // SAFETY: `find` loaded the index from a bucket just now, under the guard the caller holds for 'g.
    let entry = unsafe { shared.entry_of(place.entry) };
    Some(Found { index: place.entry, len: key.prefix_len(), value: &entry.value })
}
