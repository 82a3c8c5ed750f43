//! Where every frame of a trial stayed, by the kernel's counters at the doors of what is under test: a figure counts
//! only when nothing came out of nowhere and nothing went there.

use anyhow::{Result, ensure};
use serde::Serialize;
use sterna_pktgen::interface::Counters;

/// One trial's frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Made by the sender.
    pub offered: u64,
    /// Dropped on the way in: the receiving port's queue was full.
    pub refused: u64,
    /// Went in and did not come out: what is under test dropped them, or its ring was full.
    pub inside: i64,
    /// Came out and were not seen at the sink.
    pub behind: i64,
    /// Seen at the sink.
    pub arrived: u64,
    /// Made, not refused, and did not go in.
    pub before: i64,
}

/// Frames of the kernels and gateways themselves that may fall into a trial: ARP, neighbour discovery, probes of
/// locators.
const OTHERS: i64 = 64;

impl Account {
    /// From what was offered and refused, what was counted at the doors meanwhile, and what arrived.
    pub fn new(offered: u64, refused: u64, [entry, exit]: [Counters; 2], arrived: u64) -> Account {
        let less = |from: u64, by: u64| from.cast_signed().wrapping_sub(by.cast_signed());
        Account {
            offered,
            refused,
            before: less(offered.saturating_sub(refused), entry.rx_packets),
            inside: less(entry.rx_packets, exit.tx_packets),
            behind: less(exit.tx_packets, arrived),
            arrived,
        }
    }

    /// Errors: frames out of nowhere, or gone where nobody counts.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.arrived <= self.offered
                && self.before.abs() <= OTHERS
                && self.behind.abs() <= OTHERS
                && self.inside >= -OTHERS,
            "the frames do not add up: {self:?}"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    fn account(entered: u64, left: u64, arrived: u64) -> Account {
        let entry = Counters { rx_packets: entered, ..Counters::default() };
        let exit = Counters { tx_packets: left, ..Counters::default() };
        Account::new(10_000, 2_000, [entry, exit], arrived)
    }

    #[test]
    fn what_adds_up_counts() {
        let kept = account(8_003, 7_000, 6_999);
        kept.check().unwrap();
        assert_eq!((kept.before, kept.inside, kept.behind), (-3, 1_003, 1));
    }

    #[test]
    fn frames_out_of_nowhere_or_gone_nowhere_do_not() {
        for (entered, left, arrived) in [
            (8_100, 8_000, 8_000),
            (7_900, 7_000, 7_000),
            (8_000, 7_000, 6_900),
            (8_000, 7_000, 7_100),
            (8_000, 8_100, 8_100),
        ] {
            assert!(account(entered, left, arrived).check().is_err(), "{entered} {left} {arrived}");
        }
        assert!(Account::new(10, 0, [Counters::default(); 2], 11).check().is_err());
    }
}
