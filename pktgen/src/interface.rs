//! The kernel's own counters of an interface: the witness beside our own.

use std::fs;

/// Frames that the kernel counted at an interface since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Received.
    pub rx_packets: u64,
    /// Dropped on receipt.
    pub rx_dropped: u64,
    /// Sent.
    pub tx_packets: u64,
    /// Dropped on sending.
    pub tx_dropped: u64,
}

impl Counters {
    /// An interface's, in this thread's network namespace; all zero when it is not there.
    pub fn of(interface: &str) -> Self {
        let text = fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
        Self::find(&text, interface).unwrap_or_default()
    }

    fn find(text: &str, interface: &str) -> Option<Self> {
        let numbers =
            text.lines().find_map(|line| line.trim_start().strip_prefix(interface)?.strip_prefix(':'))?;
        let fields: Vec<u64> = numbers.split_whitespace().filter_map(|field| field.parse().ok()).collect();
        Some(Self {
            rx_packets: *fields.get(1)?,
            rx_dropped: *fields.get(3)?,
            tx_packets: *fields.get(9)?,
            tx_dropped: *fields.get(11)?,
        })
    }

    /// What was counted since an earlier look.
    pub fn since(&self, before: &Counters) -> Counters {
        Counters {
            rx_packets: self.rx_packets.wrapping_sub(before.rx_packets),
            rx_dropped: self.rx_dropped.wrapping_sub(before.rx_dropped),
            tx_packets: self.tx_packets.wrapping_sub(before.tx_packets),
            tx_dropped: self.tx_dropped.wrapping_sub(before.tx_dropped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_named_interface() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
            face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n  \
            eth10:    1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n   \
            eth1: 100 200 300 400 500 600 700 800 900 1000 1100 1200 1300 1400 1500 1600\n";
        let expected = Counters { rx_packets: 200, rx_dropped: 400, tx_packets: 1000, tx_dropped: 1200 };
        assert_eq!(Counters::find(text, "eth1"), Some(expected));
        assert_eq!(Counters::find(text, "eth"), None);
    }
}
