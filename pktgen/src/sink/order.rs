//! Order within flows (RFC 4737): a packet is reordered when an earlier one of its flow had a higher number.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use sterna_wire::addr_bytes;

use super::locate::Located;

/// Flows whose order is followed; 16 bytes each.
const MOST_FLOWS: usize = 1 << 20;

/// A sender's flow: its addresses and source port, mixed to 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FlowKey(u64);

impl FlowKey {
    #[inline]
    pub fn of(stream: u8, found: &Located<'_>) -> Self {
        let (from, to) = (addr_bytes(found.source), addr_bytes(found.destination));
        let ports = u64::from(stream) << 16 | u64::from(found.source_port);
        let halves = |bytes: [u8; 16]| {
            let whole = u128::from_be_bytes(bytes);
            [(whole >> 64) as u64, whole as u64]
        };
        let ([a, b], [c, d]) = (halves(from), halves(to));
        // Multiply and fold, word by word: two flows of a load meet with a chance of 2^-64 per pair.
        let fold = |state: u64, word: u64| {
            let wide = u128::from(state ^ word) * 0x9e37_79b9_7f4a_7c15;
            (wide >> 64) as u64 ^ wide as u64
        };
        Self([a, b, c, d, ports].into_iter().fold(0x5354_4552_4e41_0001, fold))
    }
}

/// Takes a key as its own hash.
#[derive(Default)]
pub(crate) struct Given(u64);

impl Hasher for Given {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// The highest number of each flow so far.
#[derive(Default)]
pub(crate) struct Orders {
    highest: HashMap<FlowKey, u64, BuildHasherDefault<Given>>,
}

impl Orders {
    /// Whether a number is higher than all before it in its flow; `None` when there are too many flows to tell.
    #[inline]
    pub fn follows(&mut self, flow: FlowKey, number: u64) -> Option<bool> {
        if let Some(highest) = self.highest.get_mut(&flow) {
            let follows = number > *highest;
            *highest = number.max(*highest);
            return Some(follows);
        }
        if self.highest.len() >= MOST_FLOWS {
            return None;
        }
        self.highest.insert(flow, number);
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_per_flow() {
        let mut orders = Orders::default();
        let (a, b) = (FlowKey(1), FlowKey(2));
        let told: Vec<_> = [(a, 5), (b, 3), (a, 4), (b, 7), (a, 6), (a, 5)]
            .into_iter()
            .map(|(flow, number)| orders.follows(flow, number))
            .collect();
        assert_eq!(told, [true, true, false, true, true, false].map(Some));
    }

    #[test]
    fn beyond_the_bound_it_says_that_it_does_not_know() {
        let mut orders = Orders::default();
        for flow in 0..MOST_FLOWS as u64 {
            assert_eq!(orders.follows(FlowKey(flow), 1), Some(true));
        }
        assert_eq!(orders.follows(FlowKey(u64::MAX), 1), None);
        assert_eq!(orders.follows(FlowKey(0), 0), Some(false));
    }
}
