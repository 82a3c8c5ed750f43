//! What was said and heard, phase by phase: a letter belongs to the phase in which it was due.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::report::Spread;
use crate::sink::histogram;

/// Kinds of talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request and its answer over TCP.
    Request,
    /// A letter of a stream over TCP.
    Stream,
    /// A UDP message.
    Message,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Request, Kind::Stream, Kind::Message];
}

/// The account of one kind in one phase.
#[derive(Clone, Debug)]
pub struct Line {
    /// Letters that were due.
    pub due: u64,
    /// Letters that were handed to a stack.
    pub sent: u64,
    /// Requests that were answered, letters that arrived; each once.
    pub done: u64,
    /// Letters that arrived once more.
    pub duplicated: u64,
    /// Letters that arrived after one with a higher number from the same sender.
    pub reordered: u64,
    /// From when it was due until it was answered or arrived, in nanoseconds.
    pub latency: Histogram<u64>,
}

impl Default for Line {
    fn default() -> Self {
        Self { due: 0, sent: 0, done: 0, duplicated: 0, reordered: 0, latency: histogram() }
    }
}

/// The same for a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LineReport {
    /// Letters that were due.
    pub due: u64,
    /// Letters that were handed to a stack.
    pub sent: u64,
    /// Requests that were answered, letters that arrived; each once.
    pub done: u64,
    /// Letters that were sent, and neither answered nor arrived.
    pub lost: u64,
    /// Letters that were due and never sent, because a connection was not there.
    pub unsent: u64,
    /// Letters that arrived once more.
    pub duplicated: u64,
    /// Letters that arrived after one with a higher number from the same sender.
    pub reordered: u64,
    /// From when it was due until it was answered or arrived, in nanoseconds.
    pub latency_ns: Spread,
}

impl From<&Line> for LineReport {
    fn from(line: &Line) -> Self {
        Self {
            due: line.due,
            sent: line.sent,
            done: line.done,
            lost: line.sent.saturating_sub(line.done),
            unsent: line.due.saturating_sub(line.sent),
            duplicated: line.duplicated,
            reordered: line.reordered,
            latency_ns: Spread::from(&line.latency),
        }
    }
}

/// One phase.
#[derive(Clone, Debug)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// When it begins, nanoseconds; it ends where the next one begins.
    pub from_ns: u64,
    /// Its accounts, in the order of [`Kind::ALL`].
    pub lines: [Line; 3],
}

/// All phases in order.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The phases.
    pub phases: Vec<Phase>,
    /// What came over a connection or in a datagram and was no letter, or not the one that was to come.
    pub wrong: u64,
}

impl Ledger {
    /// Begins a phase.
    pub fn begin(&mut self, name: &str, from_ns: u64) {
        let lines = std::array::from_fn(|_| Line::default());
        self.phases.push(Phase { name: name.to_owned(), from_ns, lines });
    }

    /// The account of what was due at a moment: that of the last phase that had begun.
    fn line(&mut self, kind: Kind, due_ns: u64) -> Option<&mut Line> {
        let at = self.phases.partition_point(|phase| phase.from_ns <= due_ns).checked_sub(1)?;
        Some(&mut self.phases[at].lines[kind as usize])
    }

    /// A letter was handed to a stack.
    pub fn sent(&mut self, kind: Kind, due_ns: u64) {
        if let Some(line) = self.line(kind, due_ns) {
            line.sent += 1;
        }
    }

    /// A request was answered, or a letter arrived, for the first time.
    pub fn done(&mut self, kind: Kind, due_ns: u64, now_ns: u64) {
        if let Some(line) = self.line(kind, due_ns) {
            line.done += 1;
            // The histogram's bounds are wider than any run.
            line.latency.saturating_record(now_ns.saturating_sub(due_ns).max(1));
        }
    }

    /// A letter arrived once more.
    pub fn duplicated(&mut self, kind: Kind, due_ns: u64) {
        if let Some(line) = self.line(kind, due_ns) {
            line.duplicated += 1;
        }
    }

    /// A letter arrived late.
    pub fn reordered(&mut self, kind: Kind, due_ns: u64) {
        if let Some(line) = self.line(kind, due_ns) {
            line.reordered += 1;
        }
    }

    /// Adds what was due in each phase, of one sender: `before` gives how many letters are due before a moment.
    pub fn add_due(&mut self, kind: Kind, before: impl Fn(u64) -> u64) {
        let mut ends: Vec<u64> = self.phases.iter().skip(1).map(|phase| phase.from_ns).collect();
        ends.push(u64::MAX);
        for (phase, end) in self.phases.iter_mut().zip(ends) {
            phase.lines[kind as usize].due += before(end) - before(phase.from_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_counts_where_it_was_due_not_where_it_arrived() {
        let mut ledger = Ledger::default();
        ledger.begin("quiet", 100);
        ledger.begin("moves", 200);
        for due in [100, 199, 200, 300] {
            ledger.sent(Kind::Request, due);
        }
        ledger.done(Kind::Request, 199, 5000);
        ledger.done(Kind::Request, 300, 400);
        // Before the first phase nothing counts.
        ledger.done(Kind::Request, 99, 400);
        let reports: Vec<_> =
            ledger.phases.iter().map(|p| LineReport::from(&p.lines[Kind::Request as usize])).collect();
        assert_eq!((reports[0].sent, reports[0].done, reports[0].lost), (2, 1, 1));
        assert_eq!(reports[0].latency_ns.max / 100, 48);
        assert_eq!((reports[1].sent, reports[1].done, reports[1].latency_ns.p50), (2, 1, 100));
    }

    #[test]
    fn what_is_due_is_split_between_phases() {
        let mut ledger = Ledger::default();
        ledger.begin("one", 100);
        ledger.begin("two", 150);
        let pace = super::super::pace::Pace { first_ns: 100, interval_ns: 10, end_ns: 200 };
        ledger.add_due(Kind::Message, |moment| pace.before(moment));
        let due: Vec<_> = ledger.phases.iter().map(|p| p.lines[Kind::Message as usize].due).collect();
        assert_eq!(due, [5, 5]);
    }
}
