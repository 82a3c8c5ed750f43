//! Guards against Map-Notifies that somebody recorded and sends again.
//!
//! A Map-Server of our kind numbers what it sends unasked; those numbers may come in any order within a window.
//! Others choose them at random (no I bit): then only exact repeats can be told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

/// How far behind the highest a number may be.
const WINDOW: u64 = 4096;
/// Random numbers remembered per server.
const REMEMBERED: usize = 4096;

/// What a nonce says about its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Novelty {
    /// Not seen before.
    New,
    /// Seen and accepted before: our acknowledgement was lost.
    Repeated,
    /// Older than the window.
    Old,
}

/// The nonces seen from one server.
#[derive(Debug, Default)]
struct Seen {
    /// Of numbered messages, within the window.
    numbers: BTreeSet<u64>,
    /// Of all others, in order of arrival.
    random: VecDeque<u64>,
}

/// The nonces seen from all servers; as many as are configured.
#[derive(Debug, Default)]
pub(super) struct Replays(BTreeMap<IpAddr, Seen>);

impl Replays {
    /// What this nonce says. Nothing is noted yet.
    pub(super) fn judge(&self, server: IpAddr, nonce: u64, numbered: bool) -> Novelty {
        let Some(seen) = self.0.get(&server) else { return Novelty::New };
        if seen.numbers.contains(&nonce) || seen.random.contains(&nonce) {
            return Novelty::Repeated;
        }
        let highest = seen.numbers.last().copied().unwrap_or(0);
        if numbered && nonce < highest.saturating_sub(WINDOW) { Novelty::Old } else { Novelty::New }
    }

    /// The message was accepted.
    pub(super) fn accept(&mut self, server: IpAddr, nonce: u64, numbered: bool) {
        let seen = self.0.entry(server).or_default();
        if numbered {
            seen.numbers.insert(nonce);
            let floor = seen.numbers.last().copied().unwrap_or(0).saturating_sub(WINDOW);
            seen.numbers = seen.numbers.split_off(&floor);
            return;
        }
        seen.random.push_back(nonce);
        if seen.random.len() > REMEMBERED {
            seen.random.pop_front();
        }
    }

    /// Forgets servers that are no longer ours.
    pub(super) fn retain(&mut self, servers: &[IpAddr]) {
        self.0.retain(|server, _| servers.contains(server));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10));

    #[test]
    fn numbers_may_come_in_any_order_but_not_from_the_past() {
        let mut replays = Replays::default();
        for nonce in [1_000_000, 1_000_005, 1_000_001] {
            assert_eq!(replays.judge(SERVER, nonce, true), Novelty::New);
            replays.accept(SERVER, nonce, true);
        }
        assert_eq!(replays.judge(SERVER, 1_000_001, true), Novelty::Repeated);
        assert_eq!(replays.judge(SERVER, 900_000, true), Novelty::Old);
        replays.accept(SERVER, 2_000_000, true);
        assert_eq!(replays.judge(SERVER, 1_000_001, true), Novelty::Old);
    }

    #[test]
    fn random_nonces_are_only_told_when_they_repeat() {
        let mut replays = Replays::default();
        replays.accept(SERVER, u64::MAX, false);
        assert_eq!(replays.judge(SERVER, u64::MAX, false), Novelty::Repeated);
        assert_eq!(replays.judge(SERVER, 3, false), Novelty::New);
        for nonce in 0..10_000 {
            replays.accept(SERVER, nonce, false);
        }
        assert_eq!(replays.judge(SERVER, u64::MAX, false), Novelty::New);
        assert_eq!(replays.0[&SERVER].random.len(), REMEMBERED);
    }

    #[test]
    fn servers_do_not_share_their_numbers() {
        let mut replays = Replays::default();
        replays.accept(SERVER, 1_000_000, true);
        let other = IpAddr::from([192, 0, 2, 11]);
        assert_eq!(replays.judge(other, 1, true), Novelty::New);
        replays.retain(&[other]);
        assert_eq!(replays.judge(SERVER, 1, true), Novelty::New);
    }
}
