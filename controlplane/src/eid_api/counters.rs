//! What became of what agents sent to the context API, before HTTP saw it.

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// A segment came from the dataplane.
    Segments,
    /// A message of the dataplane was no segment of TCP.
    Malformed,
    /// A connection stands.
    Accepted,
    /// An agent has as many connections as it may have.
    RefusedAgent,
    /// A group's agents have.
    RefusedGroup,
    /// All together have.
    RefusedAll,
    /// A connection was reset because nothing came in time.
    Idle,
    /// A connection was reset because it lasted too long.
    Expired,
    /// A segment of ours found no room on its way to the dataplane.
    AnswersLost,
}

impl Counter {
    /// All of them.
    pub const ALL: [Counter; 9] = [
        Counter::Segments,
        Counter::Malformed,
        Counter::Accepted,
        Counter::RefusedAgent,
        Counter::RefusedGroup,
        Counter::RefusedAll,
        Counter::Idle,
        Counter::Expired,
        Counter::AnswersLost,
    ];

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Counter::Segments => "segments",
            Counter::Malformed => "malformed",
            Counter::Accepted => "accepted",
            Counter::RefusedAgent => "refused_agent",
            Counter::RefusedGroup => "refused_group",
            Counter::RefusedAll => "refused_all",
            Counter::Idle => "idle",
            Counter::Expired => "expired",
            Counter::AnswersLost => "answers_lost",
        }
    }

    /// One sentence for operators.
    pub fn help(self) -> &'static str {
        match self {
            Counter::Segments => "Segments from agents to the context API that the dataplane handed over.",
            Counter::Malformed => "What it handed over that is no whole TCP segment.",
            Counter::Accepted => "Connections that agents opened.",
            Counter::RefusedAgent => "Connections refused because the agent has as many as it may.",
            Counter::RefusedGroup => {
                "Connections refused because the group's agents have as many as they may."
            }
            Counter::RefusedAll => {
                "Connections refused because all agents together have as many as they may."
            }
            Counter::Idle => "Connections reset because the agent was silent, or never completed them.",
            Counter::Expired => "Connections reset because they lasted too long.",
            Counter::AnswersLost => "Our segments that the dataplane had no room for; TCP repeats them.",
        }
    }
}

/// How often each happened.
#[derive(Clone, Debug, Default)]
pub struct Counters([u64; Counter::ALL.len()]);

impl Counters {
    /// One more.
    pub fn count(&mut self, counter: Counter) {
        self.0[counter as usize] += 1;
    }

    /// How often it happened.
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL.into_iter().map(|counter| (counter, self.get(counter)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_for_itself() {
        let mut counters = Counters::default();
        for (times, counter) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(counter as usize, times);
            (0..times).for_each(|_| counters.count(counter));
        }
        assert!(counters.iter().enumerate().all(|(times, (_, count))| count == times as u64));
    }
}
