//! A stream around something that happened to it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::passage::Passage;

/// Some time before and after an event, in bins of a millisecond.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// What happened.
    pub what: String,
    /// Which packets these are.
    pub way: String,
    /// Packets per second.
    pub rate: u32,
    /// When the first bin begins, milliseconds from the event; below 0 when before it.
    pub from_ms: f64,
    /// What happened when, milliseconds from the event.
    pub marks: Vec<Mark>,
    /// The bins.
    pub passage: Passage,
}

/// Something that happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Milliseconds from the event.
    pub at_ms: f64,
    /// What it was.
    pub what: String,
}

impl Mark {
    /// Shorthand.
    pub fn new(at_ms: f64, what: &str) -> Self {
        Self { at_ms, what: what.to_owned() }
    }
}

impl Episode {
    /// Cuts the time around an event out of a whole stream; the event's moment is counted from the stream's start.
    pub fn around(
        whole: &Passage,
        (what, way): (&str, &str),
        rate: u32,
        event: Duration,
        [before, after]: [Duration; 2],
    ) -> Self {
        let from = event.saturating_sub(before);
        // Bins are whole milliseconds of the stream.
        let first = Duration::from_millis(u64::try_from(from.as_millis()).unwrap_or(u64::MAX));
        Self {
            what: what.to_owned(),
            way: way.to_owned(),
            rate,
            from_ms: (first.as_secs_f64() - event.as_secs_f64()) * 1000.0,
            marks: Vec::new(),
            passage: whole.between(first, event + after),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bin_knows_how_far_it_is_from_the_event() {
        let whole = Passage { due: (0..100).collect(), ..Passage::default() };
        let ms = Duration::from_millis;
        let event = Duration::from_micros(30_400);
        let cut = Episode::around(&whole, ("a", "b"), 1000, event, [ms(10), ms(5)]);
        assert_eq!(cut.passage.due, (20..35).collect::<Vec<u32>>());
        assert!((cut.from_ms + 10.4).abs() < 1e-9, "{}", cut.from_ms);
        let early = Episode::around(&whole, ("a", "b"), 1000, ms(3), [ms(10), ms(1)]);
        assert_eq!((early.from_ms, early.passage.due.len()), (-3.0, 4));
    }
}
