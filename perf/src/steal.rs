//! Time that a hypervisor gave to others, from the kernel's count (proc_stat(5)).

use anyhow::{Context, Result};

/// All processors' time so far, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticks {
    stolen: u64,
    all: u64,
}

/// The places of `steal`, and of the guests' time that the kernel counts twice.
const STEAL: usize = 7;

impl Ticks {
    /// Until now.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn now() -> Result<Ticks> {
        let stat = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
        Ticks::parse(&stat).context("/proc/stat has no line `cpu` with the time stolen")
    }

    fn parse(stat: &str) -> Option<Ticks> {
        let numbers = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> = numbers.split_whitespace().map_while(|number| number.parse().ok()).collect();
        // What follows is guests' time, which is in the first two already.
        let own = ticks.get(..=STEAL)?;
        Some(Ticks { stolen: own[STEAL], all: own.iter().sum() })
    }

    /// Share of the time since then that was stolen, 0 to 1.
    pub fn stolen_since(self, before: Ticks) -> f64 {
        let all = self.all.saturating_sub(before.all);
        if all == 0 { 0.0 } else { self.stolen.saturating_sub(before.stolen) as f64 / all as f64 }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    #[test]
    fn guests_time_is_not_counted_twice() {
        let at = |line: &str| Ticks::parse(line).unwrap();
        let before = at("cpu  100 0 100 700 0 0 0 100 50 0\ncpu0 1 2 3\n");
        let after = at("cpu  200 0 100 1000 0 0 0 200 150 0\n");
        assert_eq!(after.stolen_since(before), 0.2);
        assert_eq!(after.stolen_since(after), 0.0);
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        for text in ["", "cpu 1 2 3", "cpu0 1 2 3 4 5 6 7 8", "cpu  a b"] {
            assert!(Ticks::parse(text).is_none(), "{text}");
        }
        assert!(Ticks::now().unwrap().all > 0);
    }
}
