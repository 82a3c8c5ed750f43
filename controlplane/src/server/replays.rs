//! Exact repeats: which nonces came with a key in the last ten minutes. For xTRs whose nonces come in no order.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

/// How long a nonce is remembered.
const MEMORY: Duration = Duration::from_secs(600);
/// How many are remembered of one site; when there are more, the oldest is forgotten.
const MAX_NONCES: usize = 65_536;

/// The nonces of one site's keys.
#[derive(Debug, Default)]
pub(super) struct Replays {
    seen: HashSet<(u8, u64)>,
    order: VecDeque<(Instant, u8, u64)>,
}

impl Replays {
    /// Whether this nonce is new with this key; from now on it is not.
    pub(super) fn is_new(&mut self, key_id: u8, nonce: u64, now: Instant) -> bool {
        while let Some((when, key, old)) = self.order.front().copied() {
            if now.saturating_duration_since(when) < MEMORY && self.order.len() < MAX_NONCES {
                break;
            }
            self.order.pop_front();
            self.seen.remove(&(key, old));
        }
        let new = self.seen.insert((key_id, nonce));
        if new {
            self.order.push_back((now, key_id, nonce));
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_new_once_in_ten_minutes_per_key() {
        let (start, mut replays) = (Instant::now(), Replays::default());
        assert!(replays.is_new(1, 7, start) && replays.is_new(2, 7, start) && replays.is_new(1, 6, start));
        assert!(!replays.is_new(1, 7, start + Duration::from_secs(599)));
        assert!(replays.is_new(1, 7, start + Duration::from_secs(600)));
    }

    #[test]
    fn no_flood_makes_it_remember_more_than_its_bound() {
        let (start, mut replays) = (Instant::now(), Replays::default());
        assert!((0..200_000).all(|nonce| replays.is_new(1, nonce, start)));
        assert!(replays.order.len() <= MAX_NONCES && replays.seen.len() == replays.order.len());
        assert!(!replays.is_new(1, 199_999, start));
    }
}
