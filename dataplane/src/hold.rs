//! The hold pool: packets that wait for an answer.
//!
//! A packet whose EID has no mapping yet is copied here, so that it never occupies a frame the fill ring needs.
//! Packets wait in order per [`HoldKey`]; while one waits, later ones for the same key queue behind it, and the
//! worker releases them in that order once the tables know the answer.
//!
//! Three bounds keep one group, or one EID, from starving the others: the pool, a share of it per group, and a
//! share of that per key. All memory is taken in [`HoldPool::new`]. Nothing depends on how many packets wait:
//! the three orders (age, arrival, last repetition) are intrusive lists, and the two indices are hash chains
//! with a key drawn at start, so that nobody can choose EIDs that collide.
//!
//! A packet that waits for a second answer after the first is moved to the other queue, not held again: it keeps its
//! place in its share, so that a full share never drops what is already inside, and its age: however many answers it
//! waits for, its time is the same.
//!
//! Conservation: `len() = held - popped - expired`.

mod key;
mod links;
#[cfg(test)]
mod test;

use std::hash::{BuildHasher, RandomState};

use sterna_cpu::fold_multiply;

pub use key::{Asked, Front, Held, HoldKey, HoldLimits, Overflow, Role};
use links::{Chains, List, NONE};

#[derive(Clone, Copy)]
struct Slot {
    /// The slots behind and before this one in its queue.
    behind: u32,
    before: u32,
    queue: u32,
    len: u32,
    group: u32,
    port: u16,
    /// When it came.
    held_at_ns: u64,
    /// Since when it waits for what it waits for now.
    waits_since_ns: u64,
}

#[derive(Clone, Copy)]
struct Queue {
    key: HoldKey,
    hash: u64,
    front: u32,
    back: u32,
    count: u32,
    asked_at_ns: u64,
    asked: Asked,
}

#[derive(Clone, Copy)]
struct Share {
    group: u32,
    held: u32,
}

/// Packets that wait, in order per key. See the module's text.
pub struct HoldPool {
    limits: HoldLimits,
    seed: [u64; 2],
    bytes: Box<[u8]>,
    slots: Box<[Slot]>,
    free_slots: Vec<u32>,
    /// Taken slots, oldest first.
    ages: List,
    queues: Box<[Queue]>,
    free_queues: Vec<u32>,
    queue_index: Chains,
    /// Queues as they came; `keys` walks it round and round.
    arrivals: List,
    /// The queue that `keys` gives next, or `NONE` for the first.
    cursor: u32,
    /// Queues, longest unasked first.
    asked: List,
    /// Open queues by role, so that a role without any costs no search.
    of_role: [u32; Role::COUNT],
    shares: Box<[Share]>,
    free_shares: Vec<u32>,
    share_index: Chains,
}

impl HoldPool {
    /// A pool of `slots` packets of at most `slot_bytes` bytes each, with the default shares.
    pub fn new(slots: usize, slot_bytes: usize) -> HoldPool {
        Self::with_limits(HoldLimits::new(slots, slot_bytes))
    }

    /// A pool with these limits. This is the only place that allocates.
    pub fn with_limits(limits: HoldLimits) -> HoldPool {
        // An index must fit in 32 bits beside the mark for "none".
        let slots = limits.slots.min(NONE as usize - 1);
        let random = RandomState::new();
        let slot = Slot {
            behind: NONE,
            before: NONE,
            queue: NONE,
            len: 0,
            group: 0,
            port: 0,
            held_at_ns: 0,
            waits_since_ns: 0,
        };
        let queue = Queue {
            key: HoldKey::EMPTY,
            hash: 0,
            front: NONE,
            back: NONE,
            count: 0,
            asked_at_ns: 0,
            asked: Asked::Nobody,
        };
        // Popped from the end, so that low slots are used, and stay warm, first.
        let free = || (0..slots as u32).rev().collect::<Vec<u32>>();
        HoldPool {
            limits: HoldLimits { slots, ..limits },
            seed: [random.hash_one(1u8), random.hash_one(2u8)],
            // Not zero: zeroed memory would be mapped page by page on the packet path.
            bytes: vec![0xa5; slots * limits.slot_bytes].into_boxed_slice(),
            slots: vec![slot; slots].into_boxed_slice(),
            free_slots: free(),
            ages: List::new(slots),
            queues: vec![queue; slots].into_boxed_slice(),
            free_queues: free(),
            queue_index: Chains::new(slots),
            arrivals: List::new(slots),
            cursor: NONE,
            asked: List::new(slots),
            of_role: [0; Role::COUNT],
            shares: vec![Share { group: 0, held: 0 }; slots].into_boxed_slice(),
            free_shares: free(),
            share_index: Chains::new(slots),
        }
    }

    /// The limits it was built with.
    pub fn limits(&self) -> HoldLimits {
        self.limits
    }

    /// Packets that wait now.
    #[inline]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free_slots.len()
    }

    /// Whether nothing waits: one comparison, for the hot path.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.free_slots.len() == self.slots.len()
    }

    /// Packets of this group that wait now.
    pub fn len_of_group(&self, group: u32) -> usize {
        self.find_share(group).map_or(0, |share| self.shares[share as usize].held as usize)
    }

    /// Keys that packets wait for now.
    pub fn keys_len(&self) -> usize {
        self.queues.len() - self.free_queues.len()
    }

    /// Whether packets wait for this key, so that a later one must queue behind them.
    #[inline]
    pub fn is_waiting(&self, key: &HoldKey) -> bool {
        self.of_role[key.role as usize] != 0 && self.find_queue(key).is_some()
    }

    /// Copies a frame behind those that wait for the same key.
    /// `port` is where it came in; `group` names whose share of the pool it takes.
    pub fn hold(
        &mut self,
        key: HoldKey,
        group: u32,
        port: u16,
        frame: &[u8],
        now_ns: u64,
    ) -> Result<Held, Overflow> {
        if frame.len() > self.limits.slot_bytes {
            return Err(Overflow::TooLong);
        }
        if self.len_of_group(group) >= self.limits.per_group {
            return Err(Overflow::ShareFull);
        }
        let queue = self.find_queue(&key);
        if queue.is_some_and(|queue| self.queues[queue as usize].count as usize >= self.limits.per_key) {
            return Err(Overflow::QueueFull);
        }
        // Queues and shares never run out before slots do: each that is open has at least one slot.
        let slot = self.free_slots.pop().ok_or(Overflow::PoolFull)?;
        let start = slot as usize * self.limits.slot_bytes;
        self.bytes[start..start + frame.len()].copy_from_slice(frame);
        self.ages.push_back(slot);
        self.take_share(group);
        let (queue, held) = match queue {
            Some(queue) => (queue, Held::Queued),
            None => (self.open_queue(key, now_ns), Held::First),
        };
        self.slots[slot as usize] = Slot {
            behind: NONE,
            before: NONE,
            queue,
            len: frame.len() as u32,
            group,
            port,
            held_at_ns: now_ns,
            waits_since_ns: now_ns,
        };
        self.append(queue, slot);
        Ok(held)
    }

    /// Moves the first packet that waits for one key behind those that wait for another. Its share and its age stay
    /// what they are.
    pub fn transfer(&mut self, from: &HoldKey, to: HoldKey, now_ns: u64) -> Result<Held, Overflow> {
        let Some(source) = self.find_queue(from) else {
            return Err(Overflow::PoolFull);
        };
        let target = self.find_queue(&to);
        if target == Some(source) {
            return Ok(Held::Queued);
        }
        if target.is_some_and(|queue| self.queues[queue as usize].count as usize >= self.limits.per_key) {
            return Err(Overflow::QueueFull);
        }
        let slot = self.queues[source as usize].front;
        self.unlink(slot);
        let (queue, held) = match target {
            Some(queue) => (queue, Held::Queued),
            None => (self.open_queue(to, now_ns), Held::First),
        };
        let entry = &mut self.slots[slot as usize];
        (entry.queue, entry.waits_since_ns) = (queue, now_ns);
        self.append(queue, slot);
        Ok(held)
    }

    /// Takes note of a question for this key; true if it is another one than the last, which is to be asked now.
    pub fn asks_anew(&mut self, key: &HoldKey, question: Asked, now_ns: u64) -> bool {
        let Some(at) = self.find_queue(key) else { return false };
        let queue = &mut self.queues[at as usize];
        if queue.asked == question {
            return false;
        }
        (queue.asked, queue.asked_at_ns) = (question, now_ns);
        self.asked.remove(at);
        self.asked.push_back(at);
        true
    }

    /// The first packet that waits for this key.
    pub fn front(&self, key: &HoldKey) -> Option<Front<'_>> {
        let queue = self.find_queue(key)?;
        let front = self.queues[queue as usize].front as usize;
        let Slot { port, len, waits_since_ns, .. } = self.slots[front];
        let start = front * self.limits.slot_bytes;
        Some(Front { port, frame: &self.bytes[start..start + len as usize], waits_since_ns })
    }

    /// Frees the first packet that waits for this key; false when none does.
    pub fn pop_front(&mut self, key: &HoldKey) -> bool {
        let queue = self.find_queue(key);
        if let Some(queue) = queue {
            self.free(self.queues[queue as usize].front);
        }
        queue.is_some()
    }

    /// Writes keys that packets wait for, and returns how many.
    /// The next call goes on where this one ended: calls that add up to [`HoldPool::keys_len`] have given every
    /// key that was waiting when the first began, and still is.
    pub fn keys(&mut self, into: &mut [HoldKey]) -> usize {
        let wanted = into.len().min(self.keys_len());
        let mut at = self.cursor;
        for key in &mut into[..wanted] {
            if at == NONE {
                at = self.arrivals.first();
            }
            *key = self.queues[at as usize].key;
            at = self.arrivals.after(at);
        }
        self.cursor = at;
        wanted
    }

    /// Drops every packet that waits since `max_age_ns` or longer, oldest first, and tells what each one waited for
    /// and where it came in. Returns how many.
    pub fn expire(&mut self, now_ns: u64, max_age_ns: u64, mut dropped: impl FnMut(&HoldKey, u16)) -> usize {
        let before = self.len();
        loop {
            let oldest = self.ages.first();
            let Some(&slot) = self.slots.get(oldest as usize) else {
                break;
            };
            if now_ns.saturating_sub(slot.held_at_ns) < max_age_ns {
                break;
            }
            let key = self.queues[slot.queue as usize].key;
            self.free(oldest);
            dropped(&key, slot.port);
        }
        before - self.len()
    }

    /// Visits every key that was last asked about `interval_ns` ago or earlier, with the port of its oldest
    /// packet, and counts that as asking. Returns how many.
    pub fn due_repeats(
        &mut self,
        now_ns: u64,
        interval_ns: u64,
        mut visit: impl FnMut(&HoldKey, u16),
    ) -> usize {
        // At most once round, whatever the interval.
        for done in 0..self.keys_len() {
            let first = self.asked.first();
            let queue = &mut self.queues[first as usize];
            if now_ns.saturating_sub(queue.asked_at_ns) < interval_ns {
                return done;
            }
            queue.asked_at_ns = now_ns;
            visit(&queue.key, self.slots[queue.front as usize].port);
            self.asked.remove(first);
            self.asked.push_back(first);
        }
        self.keys_len()
    }

    fn hash(&self, key: &HoldKey) -> u64 {
        let [a, b] = [0, 8]
            .map(|at| key.addr[at..at + 8].iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte)));
        let rest = u64::from(key.iid) | (key.family as u64) << 32 | (key.role as u64) << 40;
        let rest = rest | u64::from(key.class) << 48;
        let address = fold_multiply(a ^ self.seed[0], b ^ self.seed[1]);
        fold_multiply(address ^ rest, self.seed[0].rotate_left(32) | 1)
    }

    fn hash_of_group(&self, group: u32) -> u64 {
        fold_multiply(u64::from(group) ^ self.seed[1], self.seed[0] | 1)
    }

    fn find_queue(&self, key: &HoldKey) -> Option<u32> {
        self.queue_index.walk(self.hash(key)).find(|queue| self.queues[*queue as usize].key == *key)
    }

    fn find_share(&self, group: u32) -> Option<u32> {
        self.share_index
            .walk(self.hash_of_group(group))
            .find(|share| self.shares[*share as usize].group == group)
    }

    fn take_share(&mut self, group: u32) {
        if let Some(share) = self.find_share(group) {
            self.shares[share as usize].held += 1;
        } else if let Some(share) = self.free_shares.pop() {
            self.shares[share as usize] = Share { group, held: 1 };
            self.share_index.insert(self.hash_of_group(group), share);
        }
    }

    fn give_share_back(&mut self, group: u32) {
        let Some(share) = self.find_share(group) else {
            return;
        };
        let entry = &mut self.shares[share as usize];
        entry.held -= 1;
        if entry.held == 0 {
            self.share_index.remove(self.hash_of_group(group), share);
            self.free_shares.push(share);
        }
    }

    fn open_queue(&mut self, key: HoldKey, now_ns: u64) -> u32 {
        let Some(queue) = self.free_queues.pop() else {
            return NONE;
        };
        let hash = self.hash(&key);
        self.queues[queue as usize] =
            Queue { key, hash, front: NONE, back: NONE, count: 0, asked_at_ns: now_ns, asked: Asked::Nobody };
        self.of_role[key.role as usize] += 1;
        self.queue_index.insert(hash, queue);
        self.arrivals.push_back(queue);
        self.asked.push_back(queue);
        queue
    }

    fn close_queue(&mut self, queue: u32) {
        if self.cursor == queue {
            self.cursor = self.arrivals.after(queue);
        }
        self.arrivals.remove(queue);
        self.asked.remove(queue);
        let Queue { hash, key, .. } = self.queues[queue as usize];
        self.of_role[key.role as usize] -= 1;
        self.queue_index.remove(hash, queue);
        self.free_queues.push(queue);
    }

    fn append(&mut self, queue: u32, slot: u32) {
        let entry = &mut self.queues[queue as usize];
        (self.slots[slot as usize].before, self.slots[slot as usize].behind) = (entry.back, NONE);
        match entry.back {
            NONE => entry.front = slot,
            back => self.slots[back as usize].behind = slot,
        }
        entry.back = slot;
        entry.count += 1;
    }

    /// Frees a taken slot, and its queue with its last packet.
    fn free(&mut self, slot: u32) {
        self.unlink(slot);
        self.ages.remove(slot);
        self.free_slots.push(slot);
        self.give_share_back(self.slots[slot as usize].group);
    }

    /// Takes a slot out of its queue, which closes with its last packet.
    fn unlink(&mut self, slot: u32) {
        let Slot { before, behind, queue, .. } = self.slots[slot as usize];
        let entry = &mut self.queues[queue as usize];
        match before {
            NONE => entry.front = behind,
            before => self.slots[before as usize].behind = behind,
        }
        match behind {
            NONE => entry.back = before,
            behind => self.slots[behind as usize].before = before,
        }
        entry.count -= 1;
        if entry.count == 0 {
            self.close_queue(queue);
        }
    }
}
