//! The budgets of design section 11, and whether a row keeps its own.

use crate::case::{Case, Order, Traffic};
use crate::frames::{Direction, Family};
use serde::Serialize;

/// What a row may cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Budget {
    /// Clocks per packet, for orientation: those of the build machine.
    pub clocks: f64,
    /// Times the bare loop in the same run, where the design says so: this is what counts.
    pub over_floor: Option<f64>,
}

impl Budget {
    /// The budget of a row, if it has one.
    pub fn of(case: &Case) -> Option<Budget> {
        let both = |clocks, over_floor| Some(Budget { clocks, over_floor: Some(over_floor) });
        let clocks = |clocks| Some(Budget { clocks, over_floor: None });
        if case.traffic != Traffic::Hits || case.size != 64 || case.updates || case.classes {
            return None;
        }
        let v4 = case.inner == Family::V4 && case.outer == Family::V4;
        let v6 = case.inner == Family::V6 && case.outer == Family::V6;
        match (case.direction, case.eids, case.order) {
            (Direction::Encap, 4096, _) if case.prefixes || case.two_locators || v6 => clocks(90.0),
            _ if case.prefixes || case.two_locators || !v4 => None,
            (Direction::Encap, 1, _) => both(40.0, 2.5),
            (Direction::Encap, 4096, Order::Sequential) => both(45.0, 2.8),
            (Direction::Encap, 1_000_000, Order::Uniform) => both(110.0, 2.0),
            (Direction::Encap, 10_000_000, Order::Uniform) => both(140.0, 2.0),
            (Direction::Decap, 1, _) | (Direction::Decap, 4096, Order::Sequential) => clocks(60.0),
            (Direction::Decap, 1_000_000, Order::Uniform) => clocks(140.0),
            _ => None,
        }
    }

    /// Whether it is kept: by the ratio where there is one, else by clocks. `None` when the bare loop was not run.
    pub fn is_met(&self, clocks: f64, over_floor: Option<f64>) -> Option<bool> {
        match self.over_floor {
            Some(most) => over_floor.map(|ratio| ratio <= most),
            None => Some(clocks <= self.clocks),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    fn of(name: &str) -> Option<Budget> {
        Budget::of(&Case::parse(name).unwrap())
    }

    #[test]
    fn rows_of_the_design_have_theirs_and_others_none() {
        let one = of("encap-v4-in-v4-64-1-sequential").unwrap();
        assert_eq!((one.clocks, one.over_floor), (40.0, Some(2.5)));
        assert_eq!(of("encap-v4-in-v4-64-10M-uniform").unwrap().over_floor, Some(2.0));
        assert_eq!(of("decap-v4-in-v4-64-1M-uniform").unwrap().clocks, 140.0);
        for name in ["encap-v4-in-v4-64-4096-uniform-prefixes", "encap-v6-in-v6-64-4096-sequential"] {
            assert_eq!(of(name).unwrap().clocks, 90.0, "{name}");
        }
        for name in ["encap-v4-in-v4-512-1-sequential", "encap-mixed-in-v4-1-sequential"] {
            assert!(of(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_ratio_decides_where_there_is_one() {
        let both = Budget { clocks: 40.0, over_floor: Some(2.5) };
        assert_eq!(both.is_met(10.0, None), None);
        assert_eq!(both.is_met(1000.0, Some(2.5)), Some(true));
        assert_eq!(both.is_met(10.0, Some(2.6)), Some(false));
        let clocks = Budget { clocks: 60.0, over_floor: None };
        assert_eq!(clocks.is_met(60.0, Some(9.0)), Some(true));
        assert_eq!(clocks.is_met(61.0, None), Some(false));
    }
}
