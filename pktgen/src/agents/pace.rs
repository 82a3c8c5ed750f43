//! When letters are due: from the rate alone, whatever comes back.

/// Evenly spaced moments from a first one on, before an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The first moment, nanoseconds.
    pub first_ns: u64,
    /// Between two, nanoseconds; at least 1.
    pub interval_ns: u64,
    /// Nothing is due at or after this moment.
    pub end_ns: u64,
}

impl Pace {
    /// When a number is due; none at or after the end.
    pub fn due(&self, number: u64) -> Option<u64> {
        let due = self.first_ns.checked_add(number.checked_mul(self.interval_ns)?)?;
        (due < self.end_ns).then_some(due)
    }

    /// How many are due before a moment.
    pub fn before(&self, moment_ns: u64) -> u64 {
        let moment_ns = moment_ns.min(self.end_ns);
        match moment_ns.checked_sub(self.first_ns) {
            None | Some(0) => 0,
            Some(time) => (time - 1) / self.interval_ns + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_many_are_due_before_a_moment_as_have_their_moment_before_it(
            first_ns in 0_u64..1000, interval_ns in 1_u64..100, end_ns in 0_u64..2000, moment in 0_u64..3000,
        ) {
            let pace = Pace { first_ns, interval_ns, end_ns };
            let counted = (0..).map_while(|number| pace.due(number)).filter(|due| *due < moment).count() as u64;
            prop_assert_eq!(pace.before(moment), counted);
        }
    }
}
