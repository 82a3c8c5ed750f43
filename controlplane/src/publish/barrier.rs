//! How far the dataplane has come.

/// Numbers of barriers: the first is 1.
#[derive(Debug, Default)]
pub(super) struct Barriers {
    wanted: u64,
    told: u64,
    reached: u64,
}

impl Barriers {
    /// One behind everything that is to be told now.
    pub fn want(&mut self) -> u64 {
        // One that was not told yet will stand behind all that is to be told now, too.
        if self.wanted == self.told {
            self.wanted += 1;
        }
        self.wanted
    }

    /// Whether one is to be told.
    pub fn is_due(&self) -> bool {
        self.told < self.wanted
    }

    /// Its number, which counts as told.
    pub fn tell(&mut self) -> Option<u64> {
        let due = self.is_due();
        self.told = self.wanted;
        due.then_some(self.told)
    }

    /// The dataplane says so; one that was never told is no news.
    pub fn reach(&mut self, number: u64) {
        if number <= self.told {
            self.reached = self.reached.max(number);
        }
    }

    /// Whether it was reached.
    pub fn is_reached(&self, number: u64) -> bool {
        number <= self.reached
    }

    /// Another dataplane has reached nothing of what is still waited for.
    pub fn begin_session(&mut self) {
        self.told = self.reached;
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_barrier_is_told_once_and_reached_when_it_is_said() {
        let mut barriers = Barriers::default();
        assert!(!barriers.is_due() && barriers.is_reached(0));
        let first = barriers.want();
        assert_eq!(barriers.want(), first, "it was not told yet: it stands behind both");
        assert_eq!(barriers.tell(), Some(first));
        assert_eq!(barriers.tell(), None);
        let second = barriers.want();
        assert!(second > first && barriers.is_due());
        // The dataplane cannot have reached what it was not told.
        barriers.reach(second);
        assert!(!barriers.is_reached(first) && !barriers.is_reached(second));
        barriers.reach(first);
        assert!(barriers.is_reached(first) && !barriers.is_reached(second));
        barriers.tell();
        barriers.reach(second);
        barriers.reach(first);
        assert!(barriers.is_reached(second));
    }

    #[test]
    fn a_new_session_is_told_what_is_still_waited_for() {
        let mut barriers = Barriers::default();
        let number = barriers.want();
        barriers.tell();
        barriers.begin_session();
        assert!(barriers.is_due() && !barriers.is_reached(number));
        assert_eq!(barriers.tell(), Some(number));
        barriers.reach(number);
        barriers.begin_session();
        assert!(!barriers.is_due() && barriers.is_reached(number));
    }
}
