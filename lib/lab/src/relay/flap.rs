//! Links that come and go.

use std::time::Duration;

use super::impairment::Flap;

/// Whether the link is down so long after it began: in the middle of every period.
pub fn is_down(flap: Flap, since: Duration) -> bool {
    let (every, down) = (flap.every.as_nanos().max(1), flap.down.as_nanos());
    let begins = every.saturating_sub(down) / 2;
    (begins..begins + down).contains(&(since.as_nanos() % every))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_down_in_the_middle_of_each_period() {
        let flap = Flap { every: Duration::from_millis(100), down: Duration::from_millis(30) };
        let down: Vec<u64> = (0..300).filter(|ms| is_down(flap, Duration::from_millis(*ms))).collect();
        assert_eq!(down.len(), 90);
        assert_eq!((down[0], down[29], down[30]), (35, 64, 135));
        let never = Flap { down: Duration::ZERO, ..flap };
        assert!((0..300).all(|ms| !is_down(never, Duration::from_millis(ms))));
    }
}
