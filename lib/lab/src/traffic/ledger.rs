//! What became of every packet of a stream.

use std::ops::AddAssign;
use std::time::{Duration, Instant};

/// The delay of a packet that has not come.
const NOT_YET: u32 = u32::MAX;

/// The account of one stream while it runs.
#[derive(Debug, Default)]
pub struct Ledger {
    next: u64,
    delivered: u64,
    duplicated: u64,
    reordered: u64,
    corrupted: u64,
    strayed: u64,
    wrong_peer: u64,
    /// By sequence number; [`NOT_YET`] for a packet that has not come.
    delays_us: Vec<u32>,
    last: Option<Instant>,
    longest_gap: Duration,
}

impl Ledger {
    /// An intact packet of ours arrived, `delay` after it was due.
    pub fn arrived(&mut self, sequence: u64, delay: Duration) {
        let now = Instant::now();
        if let Some(last) = self.last {
            self.longest_gap = self.longest_gap.max(now - last);
        }
        self.last = Some(now);
        let Ok(index) = usize::try_from(sequence) else {
            return self.changed();
        };
        if index >= self.delays_us.len() {
            self.delays_us.resize(index + 1, NOT_YET);
        }
        if self.delays_us[index] != NOT_YET {
            self.duplicated += 1;
            return;
        }
        self.delays_us[index] = u32::try_from(delay.as_micros()).unwrap_or(NOT_YET).min(NOT_YET - 1);
        self.delivered += 1;
        // A packet is out of order when one with a higher number came before it.
        if sequence < self.next {
            self.reordered += 1;
        }
        self.next = self.next.max(sequence + 1);
    }

    /// A packet of ours arrived with other bytes than were sent.
    pub fn changed(&mut self) {
        self.corrupted += 1;
    }

    /// A packet of another group arrived here.
    pub fn stray(&mut self) {
        self.strayed += 1;
    }

    /// An answer came from a host that was not asked.
    pub fn answered_by_another(&mut self) {
        self.wrong_peer += 1;
    }

    /// Packets that arrived, the same one twice counted once.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// How long after it was due a packet came, microseconds; none while it has not.
    pub fn delay_us(&self, sequence: u64) -> Option<u32> {
        let delay = self.delays_us.get(usize::try_from(sequence).ok()?)?;
        (*delay != NOT_YET).then_some(*delay)
    }

    /// Numbers below `offered` of packets that have not come.
    pub fn missing(&self, offered: u64) -> Vec<u64> {
        (0..offered).filter(|sequence| self.delay_us(*sequence).is_none()).collect()
    }

    /// Closes the account of a stream of `offered` packets.
    pub fn close(mut self, offered: u64) -> Tally {
        self.delays_us.retain(|delay| *delay != NOT_YET);
        self.delays_us.sort_unstable();
        Tally {
            offered,
            delivered: self.delivered,
            lost: offered.saturating_sub(self.delivered),
            duplicated: self.duplicated,
            reordered: self.reordered,
            corrupted: self.corrupted,
            strayed: self.strayed,
            wrong_peer: self.wrong_peer,
            delay_p50_us: quantile(&self.delays_us, 50),
            delay_p99_us: quantile(&self.delays_us, 99),
            delay_max_us: quantile(&self.delays_us, 100),
            longest_gap_ms: u64::try_from(self.longest_gap.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The value below which `percent` of the sorted values are; 0 of none.
pub fn quantile(sorted: &[u32], percent: usize) -> u32 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).copied().unwrap_or(0)
}

/// The closed account: of one stream, or of several added up (quantiles: the worst of them).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets the schedule wanted sent; one the kernel refused to send counts here too, and is lost.
    pub offered: u64,
    /// Packets that arrived, each counted once.
    pub delivered: u64,
    /// Offered and not delivered.
    pub lost: u64,
    /// Second and further arrivals of the same packet.
    pub duplicated: u64,
    /// Arrivals after a packet with a higher number.
    pub reordered: u64,
    /// Arrivals with other bytes than were sent.
    pub corrupted: u64,
    /// Arrivals that belong to another group.
    pub strayed: u64,
    /// Answers from a host that was not asked.
    pub wrong_peer: u64,
    /// Median delay from the due time, microseconds; both ways for a probe.
    pub delay_p50_us: u32,
    /// 99th percentile of the same.
    pub delay_p99_us: u32,
    /// Maximum of the same.
    pub delay_max_us: u32,
    /// Longest time between two arrivals, milliseconds.
    pub longest_gap_ms: u64,
}

impl Tally {
    /// Everything offered arrived once, in order, unchanged, from the right host.
    pub fn is_perfect(&self) -> bool {
        self.is_whole() && self.reordered == 0
    }

    /// As [`Tally::is_perfect`], but the order may have changed.
    pub fn is_whole(&self) -> bool {
        self.offered > 0
            && self.delivered == self.offered
            && self.duplicated + self.corrupted + self.strayed + self.wrong_peer == 0
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.offered += other.offered;
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.corrupted += other.corrupted;
        self.strayed += other.strayed;
        self.wrong_peer += other.wrong_peer;
        self.delay_p50_us = self.delay_p50_us.max(other.delay_p50_us);
        self.delay_p99_us = self.delay_p99_us.max(other.delay_p99_us);
        self.delay_max_us = self.delay_max_us.max(other.delay_max_us);
        self.longest_gap_ms = self.longest_gap_ms.max(other.longest_gap_ms);
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} came, {} lost", self.delivered, self.offered, self.lost)?;
        let faults = [
            (self.duplicated, "twice"),
            (self.reordered, "out of order"),
            (self.corrupted, "changed"),
            (self.strayed, "from the other group"),
            (self.wrong_peer, "answered by another host"),
        ];
        for (count, what) in faults.iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(sequence: &[u64], offered: u64) -> Tally {
        let mut ledger = Ledger::default();
        for &number in sequence {
            ledger.arrived(number, Duration::from_micros(number));
        }
        ledger.close(offered)
    }

    #[test]
    fn in_order_is_perfect() {
        let tally = account(&[0, 1, 2, 3], 4);
        assert!(tally.is_perfect());
        assert_eq!((tally.delay_p50_us, tally.delay_max_us), (1, 3));
    }

    #[test]
    fn loss_twice_and_order_are_told_apart() {
        let tally = account(&[0, 2, 1, 2, 5], 6);
        assert_eq!((tally.delivered, tally.lost, tally.duplicated, tally.reordered), (4, 2, 1, 1), "{tally}");
        assert!(!tally.is_whole());
        assert_eq!(tally.to_string(), "4 of 6 came, 2 lost, 1 twice, 1 out of order");
    }

    #[test]
    fn delays_are_found_by_number() {
        let mut ledger = Ledger::default();
        ledger.arrived(2, Duration::from_micros(9));
        assert_eq!((ledger.delay_us(2), ledger.delay_us(1), ledger.delay_us(7)), (Some(9), None, None));
        assert_eq!(ledger.missing(4), [0, 1, 3]);
    }

    #[test]
    fn nothing_offered_is_no_success() {
        assert!(!account(&[], 0).is_perfect());
    }
}
