//! A gateway's counters as its API tells them: per port, drops by reason, the balance, the frames.

use serde::Deserialize;
use std::collections::BTreeMap;

/// One worker on one port.
#[derive(Clone, Debug, Deserialize)]
pub struct Scope {
    /// Worker number.
    pub worker: u16,
    /// Port name.
    pub port: String,
    /// `eid` or `rloc`.
    pub side: String,
    /// Every counter by name.
    pub counters: BTreeMap<String, u64>,
}

impl Scope {
    /// A counter; 0 when the gateway has none of that name.
    pub fn get(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }
}

/// The balance of design section 5, in packets.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Balance {
    /// Received.
    pub rx: u64,
    /// Made here: ARP and ND answers, ICMP.
    pub made: u64,
    /// Sent.
    pub tx: u64,
    /// Given to the control plane.
    pub punted: u64,
    /// Held now.
    pub held: u64,
    /// Dropped, all reasons.
    pub dropped: u64,
    /// rx + made - tx - punted - held - dropped: must be 0 at rest.
    pub error: i64,
}

/// `/v1/counters`.
#[derive(Clone, Debug, Deserialize)]
pub struct Books {
    /// Per worker and port.
    pub scopes: Vec<Scope>,
    /// Summed up.
    pub balance: Balance,
}

/// One line of `/v1/drops`.
#[derive(Clone, Debug, Deserialize)]
pub struct Drop {
    /// The reason's name.
    pub reason: String,
    /// The port it was dropped at.
    pub port: String,
    /// Packets.
    pub count: u64,
}

impl Books {
    /// A counter summed over the scopes of a side.
    pub fn sum(&self, side: &str, name: &str) -> u64 {
        self.scopes.iter().filter(|scope| scope.side == side).map(|scope| scope.get(name)).sum()
    }

    /// Nothing moved between two readings.
    pub fn at_rest_since(&self, before: &Self) -> bool {
        let moving = |balance: &Balance| (balance.rx, balance.made, balance.tx, balance.dropped);
        moving(&self.balance) == moving(&before.balance)
    }

    /// The balance's error by our own addition over every port's counters; what is held is a gauge of the sums.
    pub fn recounted_error(&self) -> i64 {
        let sum = |counts: fn(&str) -> bool| -> i128 {
            let all = self.scopes.iter().flat_map(|scope| &scope.counters);
            all.filter(|(name, _)| counts(name)).map(|(_, count)| i128::from(*count)).sum()
        };
        let come = sum(|name| name == "rx_packets" || name == "made");
        let gone = sum(|name| name == "tx_packets" || name.starts_with("punt_") || name.starts_with("drop_"));
        i64::try_from(come - gone - i128::from(self.balance.held)).unwrap_or(i64::MAX)
    }

    /// All frames of the rings.
    pub fn frames_total(&self) -> u64 {
        self.scopes.iter().map(|scope| scope.get("frames_total")).sum()
    }

    /// Frames of the rings that are in nobody's hands, by the gateways' own ledgers.
    pub fn frames_leaked(&self) -> u64 {
        self.scopes.iter().map(|scope| scope.get("frames_leaked")).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_apis_shape_is_read() {
        let books: Books = serde_json::from_value(json!({
            "scopes": [
                {"worker": 0, "port": "eth1", "side": "eid", "counters": {"rx_packets": 5}},
                {"worker": 0, "port": "eth0", "side": "rloc", "counters": {"rx_packets": 7, "tx_packets": 5}},
            ],
            "balance": {"rx": 12, "made": 0, "tx": 12, "punted": 0, "held": 0, "dropped": 0, "error": 0},
        }))
        .unwrap();
        assert_eq!(books.sum("rloc", "rx_packets"), 7);
        assert_eq!(books.sum("rloc", "tx_packets"), 5);
        assert_eq!(books.sum("eid", "no_such"), 0);
        assert!(books.at_rest_since(&books.clone()));
        // 12 came and 5 went: the sums may claim what they want.
        assert_eq!(books.recounted_error(), 7);
    }
}
