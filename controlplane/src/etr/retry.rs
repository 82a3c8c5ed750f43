//! When to register again: how long to wait for the Map-Notify, and until the next refresh.

use std::time::Duration;

use crate::random::Random;

/// No wait is longer (RFC 9301 section 5.6).
const LONGEST: Duration = Duration::from_secs(60);
/// The first waits after an event: a host that came or left.
const HURRIED: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(1000)];

/// How long to wait for the answer to the `tries`-th message (counted from 1).
pub(super) fn wait(tries: u32, hurried: bool) -> Duration {
    let slow = if hurried {
        let at = tries.saturating_sub(1) as usize;
        if let Some(wait) = HURRIED.get(at) {
            return *wait;
        }
        // 1000 ms was the last of them.
        at - HURRIED.len() + 1
    } else {
        tries.saturating_sub(1) as usize
    };
    Duration::from_secs(1 << slow.min(6)).min(LONGEST)
}

/// The time until a refresh: the period or up to a tenth less, so that gateways started together drift apart.
pub(super) fn refresh(period: Duration, random: &mut Random) -> Duration {
    let tenth = u64::try_from((period / 10).as_millis()).unwrap_or(u64::MAX);
    period - Duration::from_millis(random.below(tenth))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_one_second_to_sixty() {
        let waits: Vec<_> = (1..=9).map(|tries| wait(tries, false).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(wait(u32::MAX, false), LONGEST);
    }

    #[test]
    fn an_event_is_repeated_soon_and_then_at_the_slow_pace() {
        let waits: Vec<_> = (1..=11).map(|tries| wait(tries, true).as_millis()).collect();
        assert_eq!(waits, [50, 200, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
    }

    #[test]
    fn refreshes_vary_by_a_tenth() {
        let mut random = Random::seeded(1);
        let period = Duration::from_secs(60);
        let all: Vec<_> = (0..100).map(|_| refresh(period, &mut random)).collect();
        assert!(all.iter().all(|next| *next <= period && *next > period * 9 / 10));
        assert!(all.iter().any(|next| *next != all[0]));
    }
}
