//! From the workers' marks to events: which entries are in use, and which RLOCs packets went to and came from.

use crate::apply::Applier;
use crate::known::name_of;
use crate::tables::EidBody;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Bound;
use sterna_shm::Event;

/// Between two looks at the marks.
pub const SCAN_NS: u64 = 100_000_000;
/// A round over all entries takes at least this many looks: ten seconds.
const LOOKS_PER_ROUND: usize = 100;
/// Entries told of per look: ten thousand a second. With more in use a round takes longer.
const USED_PER_LOOK: usize = 1024;
/// RLOCs told of per look; more take turns.
const RLOCS_PER_LOOK: usize = 1024;

/// The conductor's side of the marks.
pub struct Usage {
    next_ns: u64,
    /// The word of the entries' marks to look at next.
    word: usize,
    /// The looks that are left of this round; a new round begins when both it and the words are through.
    looks: usize,
    /// RLOCs that are still to be told of.
    traffic: BTreeMap<IpAddr, Traffic>,
    /// The one told of last; the next in order has its turn.
    told: Option<IpAddr>,
}

#[derive(Clone, Copy, Default)]
struct Traffic {
    sent: bool,
    received: bool,
}

impl Default for Usage {
    fn default() -> Self {
        Usage { next_ns: 0, word: 0, looks: LOOKS_PER_ROUND, traffic: BTreeMap::new(), told: None }
    }
}

impl Usage {
    /// When to look next, monotonic ns.
    pub fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Looks, if it is time, and gives the events. An entry that is rewritten in the middle of a round may be told of
    /// once more.
    pub fn look(&mut self, applier: &Applier, now_ns: u64, mut tell: impl FnMut(Event)) {
        if now_ns < self.next_ns {
            return;
        }
        self.next_ns = now_ns + SCAN_NS;
        self.look_at_entries(applier, &mut tell);
        self.look_at_rlocs(applier);
        for _ in 0..RLOCS_PER_LOOK {
            let Some((remote, Traffic { sent, received })) = self.next_rloc() else { return };
            tell(Event::Traffic { remote, sent, received });
        }
    }

    /// In turn, so that more than a look's worth of RLOCs does not silence the last of them.
    fn next_rloc(&mut self) -> Option<(IpAddr, Traffic)> {
        let behind = self.told.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.traffic.range((behind, Bound::Unbounded)).next().or(self.traffic.first_key_value());
        let (remote, traffic) = next.map(|(remote, traffic)| (*remote, *traffic))?;
        self.traffic.remove(&remote);
        self.told = Some(remote);
        Some((remote, traffic))
    }

    /// A hundredth of all entries, so that none is told of more often than every ten seconds.
    fn look_at_entries(&mut self, applier: &Applier, tell: &mut impl FnMut(Event)) {
        let words = applier.marks.iter().map(|marks| marks.used.words()).max().unwrap_or(0);
        self.looks = self.looks.saturating_sub(1);
        let mut told = 0;
        for _ in 0..words.div_ceil(LOOKS_PER_ROUND) {
            if self.word >= words {
                if self.looks > 0 {
                    return;
                }
                (self.word, self.looks) = (0, LOOKS_PER_ROUND);
            }
            if told >= USED_PER_LOOK {
                return;
            }
            told += tell_used(applier, self.word, tell);
            self.word += 1;
        }
    }

    fn look_at_rlocs(&mut self, applier: &Applier) {
        for marks in applier.marks.iter() {
            for word in 0..marks.sent.words() {
                for row in marks.sent.take(word) {
                    self.note(applier, row, |traffic| traffic.sent = true);
                }
                for row in marks.received.take(word) {
                    self.note(applier, row, |traffic| traffic.received = true);
                }
            }
        }
    }

    fn note(&mut self, applier: &Applier, row: u32, set: impl FnOnce(&mut Traffic)) {
        if let Some(remote) = applier.remote_of(row) {
            set(self.traffic.entry(remote).or_default());
        }
    }
}

/// Tells of the marked entries of one word, whichever worker marked them; gives how many.
fn tell_used(applier: &Applier, word: usize, tell: &mut impl FnMut(Event)) -> usize {
    let bits = applier.marks.iter().flat_map(|marks| marks.used.take(word));
    let marked = bits.fold(0u64, |all, index| all | 1 << (index % 64));
    let mut told = 0;
    for bit in (0..64).filter(|bit| marked & (1 << bit) != 0) {
        let entry = applier.writers.eids.at((word * 64 + bit) as u32);
        if let Some((key, value)) = entry
            && let EidBody::Remote { .. } | EidBody::Skill { .. } = value.body
            && let Some((iid, prefix)) = name_of(&key)
        {
            tell(Event::Used { iid, prefix });
            told += 1;
        }
    }
    told
}
