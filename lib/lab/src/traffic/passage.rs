//! What became of a stream's packets, millisecond by millisecond.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ledger::Ledger;

/// A bin, nanoseconds.
const BIN_NS: u64 = 1_000_000;
/// No more bins than these: ten minutes.
const MOST_BINS: usize = 600_000;

/// A stream seen in bins of a millisecond; each list has one number a bin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// Packets that were due in the bin.
    pub due: Vec<u32>,
    /// Packets that arrived in the bin.
    pub arrived: Vec<u32>,
    /// Packets that were on their way at the bin's end, for a millisecond or longer, and arrived later.
    pub held: Vec<u32>,
    /// Packets that were due in the bin and never arrived.
    pub lost: Vec<u32>,
}

impl Passage {
    /// Of a stream that sent so many packets at an even rate, from its first packet on.
    pub fn of(ledger: &Ledger, sent: u64, rate: u32) -> Self {
        let mut passage = Self::default();
        let bin = |ns: u64| usize::try_from(ns / BIN_NS).unwrap_or(MOST_BINS).min(MOST_BINS - 1);
        for sequence in 0..sent {
            let due = u64::try_from(u128::from(sequence) * 1_000_000_000 / u128::from(rate.max(1)));
            let due = due.unwrap_or(u64::MAX);
            passage.reach(bin(due));
            passage.due[bin(due)] += 1;
            let Some(delay_us) = ledger.delay_us(sequence) else {
                passage.lost[bin(due)] += 1;
                continue;
            };
            let came = due.saturating_add(u64::from(delay_us) * 1000);
            passage.reach(bin(came));
            passage.arrived[bin(came)] += 1;
            // From the first bin at whose end it has been on its way for a millisecond to the one before its arrival.
            let first = bin(due) + usize::from(due % BIN_NS != 0);
            for held in first..bin(came) {
                passage.held[held] += 1;
            }
        }
        passage
    }

    fn reach(&mut self, bin: usize) {
        let length = self.due.len().max(bin + 1);
        for list in [&mut self.due, &mut self.arrived, &mut self.held, &mut self.lost] {
            list.resize(length, 0);
        }
    }

    /// The bins from one moment after the start to another.
    pub fn between(&self, from: Duration, to: Duration) -> Self {
        let place = |moment: Duration| usize::try_from(moment.as_millis()).unwrap_or(usize::MAX);
        let cut = |list: &Vec<u32>| {
            let to = place(to).min(list.len());
            list.get(place(from)..to).unwrap_or_default().to_vec()
        };
        Self {
            due: cut(&self.due),
            arrived: cut(&self.arrived),
            held: cut(&self.held),
            lost: cut(&self.lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(delays: &[Option<u64>]) -> Ledger {
        let mut ledger = Ledger::default();
        for (sequence, delay) in (0..).zip(delays) {
            if let Some(us) = delay {
                ledger.arrived(sequence, Duration::from_micros(*us));
            }
        }
        ledger
    }

    #[test]
    fn every_packet_is_in_its_bins() {
        // 2,000/s: two packets are due in each bin, at 0 and at 500 us of it.
        let delays = [Some(100), Some(100), Some(3_200), None, Some(100), Some(2_400)];
        let seen = Passage::of(&ledger(&delays), 6, 2000);
        assert_eq!(seen.due, [2, 2, 2, 0, 0]);
        assert_eq!(seen.arrived, [2, 0, 1, 0, 2]);
        // The third is due at 1.0 and comes at 4.2; the sixth is due at 2.5 and comes at 4.9.
        assert_eq!(seen.held, [0, 1, 1, 2, 0]);
        assert_eq!(seen.lost, [0, 1, 0, 0, 0]);
    }

    #[test]
    fn all_that_was_due_arrived_or_is_lost() {
        let delays: Vec<Option<u64>> = (0..500).map(|n| (n % 7 != 0).then_some(n * n % 9000)).collect();
        let seen = Passage::of(&ledger(&delays), 500, 5000);
        let sum = |list: &[u32]| list.iter().sum::<u32>();
        assert_eq!(sum(&seen.due), 500);
        assert_eq!(sum(&seen.arrived) + sum(&seen.lost), 500);
        let part = seen.between(Duration::from_millis(10), Duration::from_millis(20));
        assert_eq!(part.due, seen.due[10..20]);
        assert_eq!(seen.between(Duration::from_secs(9), Duration::from_secs(10)), Passage::default());
    }
}
