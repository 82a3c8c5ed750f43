//! Sources that were shown to be forged: an EID whose mapping was confirmed while a packet from elsewhere claimed it.
//! For a second such packets are refused at once, so that a forger has one question per EID and second answered.

use crate::flow;
use crate::hold::HoldKey;

/// How long a confirmation counts, ns.
const TIME_NS: u64 = 1_000_000_000;
/// Places. One that is needed for another EID is taken: then a forged packet more is held and asked about.
const PLACES: usize = 4096;

/// The EIDs that were confirmed of late. Exact: no EID suffers for another.
pub struct Convicts(Box<[(HoldKey, u64)]>);

impl Convicts {
    /// None yet.
    pub fn new() -> Convicts {
        Convicts(vec![(HoldKey::EMPTY, 0); PLACES].into_boxed_slice())
    }

    fn place(key: &HoldKey) -> usize {
        flow::hash(&key.addr, &[0; 16], u64::from(key.iid)) as usize % PLACES
    }

    /// Takes note of a forgery.
    pub fn note(&mut self, key: &HoldKey, now_ns: u64) {
        self.0[Self::place(key)] = (*key, now_ns.saturating_add(TIME_NS));
    }

    /// Whether a forgery was shown within the last second.
    pub fn has(&self, key: &HoldKey, now_ns: u64) -> bool {
        let (convict, until_ns) = &self.0[Self::place(key)];
        now_ns < *until_ns && convict == key
    }
}

impl Default for Convicts {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_a_second_and_for_nobody_else() {
        let mut convicts = Convicts::new();
        let key = |n: u32| HoldKey { iid: n, ..HoldKey::EMPTY };
        assert!(!convicts.has(&HoldKey::EMPTY, 0));
        convicts.note(&key(7), 5);
        assert!(convicts.has(&key(7), 5) && convicts.has(&key(7), TIME_NS + 4));
        assert!(!convicts.has(&key(7), TIME_NS + 5));
        assert!((0..100_000).filter(|n| convicts.has(&key(*n), 5)).eq([7]));
    }
}
