//! What is known of a Map-Server's use of context: whether it has ever shown ACX, and whether registers with it get
//! through.

use std::time::{Duration, Instant};

/// Map-Notifies without ACX to registers with it, after which a server counts as one that does not know it.
const LEGACY_AFTER: u8 = 3;
/// Registers with ACX in a row that are not answered, after which one without is tried.
const SILENT_AFTER: u8 = 3;
/// Retries nearer than this are one.
const APART: Duration = Duration::from_millis(40);
/// How long a server whose answers ACX keeps away gets none.
const RETEST: Duration = Duration::from_secs(600);

/// A Map-Server.
#[derive(Debug, Default)]
pub(in crate::etr) struct Peer {
    aware: bool,
    /// Map-Notifies without ACX in a row.
    plain: u8,
    mode: Mode,
    unanswered: u8,
    counted: Option<Instant>,
    /// What is added to a nonce for the Context-Seq.
    offset: u32,
    /// The last Context-Seq.
    last: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    /// Registers carry context.
    #[default]
    With,
    /// They do not: is it the context that keeps the answers away?
    Trial,
    /// It is.
    Without { until: Instant },
}

/// How a change is shown to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::etr) enum Show {
    /// By itself.
    Deltas,
    /// By an early refresh.
    Snapshots,
    /// With the next refresh: the server does not know what it is.
    WithRefreshes,
    /// Not at all.
    Nothing,
}

impl Peer {
    /// How a change is shown now.
    pub(in crate::etr) fn shows(&mut self, now: Instant) -> Show {
        if !self.carries(now) {
            return Show::Nothing;
        }
        match (self.aware, self.plain >= LEGACY_AFTER) {
            (true, _) => Show::Deltas,
            (false, false) => Show::Snapshots,
            (false, true) => Show::WithRefreshes,
        }
    }

    /// Whether registers carry context now.
    pub(in crate::etr) fn carries(&mut self, now: Instant) -> bool {
        if matches!(self.mode, Mode::Without { until } if until <= now) {
            (self.mode, self.unanswered) = (Mode::With, 0);
        }
        self.mode == Mode::With
    }

    /// Context is left out to see whether it is the reason for silence.
    pub(in crate::etr) fn is_tried(&self) -> bool {
        self.mode == Mode::Trial
    }

    /// It has shown that it knows ACX.
    pub(in crate::etr) fn is_aware(&self) -> bool {
        self.aware
    }

    /// A register is repeated: nothing came back to the ones before. True when context is left out from now on to see
    /// whether it is the reason.
    pub(in crate::etr) fn repeated(&mut self, now: Instant) -> bool {
        if self.counted.is_some_and(|at| now.duration_since(at) < APART) {
            return false;
        }
        self.counted = Some(now);
        self.unanswered = self.unanswered.saturating_add(1);
        if self.unanswered < SILENT_AFTER || matches!(self.mode, Mode::Without { .. }) {
            return false;
        }
        self.unanswered = 0;
        // Silent either way: it is not the context.
        self.mode = if self.mode == Mode::With { Mode::Trial } else { Mode::With };
        self.mode == Mode::Trial
    }

    /// A register without context is answered. True when that shows that it was the context that kept answers away.
    pub(in crate::etr) fn answered_plain(&mut self, now: Instant) -> bool {
        // Else it says nothing of those with context.
        let shown = self.mode == Mode::Trial;
        if shown {
            (self.mode, self.unanswered) = (Mode::Without { until: now + RETEST }, 0);
        }
        shown
    }

    /// A register with context is answered, with ACX or without. True when the server counts as legacy from now on.
    pub(in crate::etr) fn answered(&mut self, aware: bool) -> bool {
        (self.unanswered, self.mode) = (0, Mode::With);
        if aware {
            (self.aware, self.plain) = (true, 0);
            return false;
        }
        self.plain = self.plain.saturating_add(1);
        let legacy = self.plain == LEGACY_AFTER;
        self.aware &= self.plain < LEGACY_AFTER;
        legacy
    }

    /// The Context-Seq of the message with this nonce; never 0, which is none.
    pub(in crate::etr) fn sequence(&mut self, nonce: u64) -> u32 {
        if (nonce as u32).wrapping_add(self.offset) == 0 {
            self.offset = self.offset.wrapping_add(1);
        }
        self.last = (nonce as u32).wrapping_add(self.offset);
        self.last
    }

    /// The server has a newer sequence: ours goes on above it, from this nonce on. False when it is not newer.
    pub(in crate::etr) fn overtaken(&mut self, stored: u32, next_nonce: u64) -> bool {
        let ahead = stored.wrapping_sub(self.last) as i32;
        if ahead < 0 {
            return false;
        }
        self.offset = stored.wrapping_add(1).wrapping_sub(next_nonce as u32);
        true
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_server_is_legacy_after_three_plain_answers_and_aware_after_one_that_shows_it() {
        let (mut peer, now) = (Peer::default(), Instant::now());
        assert_eq!(peer.shows(now), Show::Snapshots);
        assert_eq!([1, 2, 3, 4].map(|_| peer.answered(false)), [false, false, true, false]);
        assert_eq!(peer.shows(now), Show::WithRefreshes);
        assert!(!peer.answered(true));
        assert_eq!(
            (peer.shows(now), peer.answered(false), peer.shows(now)),
            (Show::Deltas, false, Show::Deltas)
        );
    }

    #[test]
    fn silence_with_context_and_an_answer_without_means_no_context_for_ten_minutes() {
        let (mut peer, now) = (Peer::default(), Instant::now());
        let at = |ms: u64| now + Duration::from_millis(ms);
        assert_eq!([50, 60, 250, 1250].map(|ms| peer.repeated(at(ms))), [false, false, false, true]);
        // What was answered without it before says nothing of those with it.
        let mut other = Peer::default();
        for ms in [50, 250, 1250] {
            assert!(!other.answered_plain(at(ms)));
            other.repeated(at(ms));
        }
        assert!(!other.carries(at(1250)));
        assert!(!peer.carries(at(1250)) && peer.answered_plain(at(1300)));
        let over = at(1300) + RETEST;
        assert!(!peer.carries(over - Duration::from_millis(1)) && peer.carries(over));
        assert!(!peer.answered_plain(over));
    }

    #[test]
    fn silence_without_context_too_is_no_reason_to_leave_it_out() {
        let (mut peer, now) = (Peer::default(), Instant::now());
        let turns: Vec<bool> = (1..=12_u64)
            .map(|second| {
                peer.repeated(now + Duration::from_secs(second));
                peer.carries(now + Duration::from_secs(second))
            })
            .collect();
        assert_eq!(turns, [true, true, false, false, false, true, true, true, false, false, false, true]);
    }

    #[test]
    fn sequences_rise_with_nonces_skip_zero_and_go_on_above_what_is_stored() {
        let mut peer = Peer::default();
        assert_eq!(peer.sequence(0x1_0000_0005), 5);
        assert_eq!((peer.sequence(u64::from(u32::MAX)), peer.sequence(1 << 32)), (u32::MAX, 1));
        assert!(!peer.overtaken(0, (1 << 32) + 1), "that is older");
        assert!(peer.overtaken(2000, (1 << 32) + 1));
        assert_eq!(peer.sequence((1 << 32) + 1), 2001);
        assert_eq!(peer.sequence((1 << 32) + 2), 2002);
        // Also across the end of the numbers.
        assert!(peer.overtaken(0x7000_0000, 7) && peer.sequence(7) == 0x7000_0001);
        assert!(peer.overtaken(0xe000_0000, 8) && peer.sequence(8) == 0xe000_0001);
        assert!(peer.overtaken(3, 9) && peer.sequence(9) == 4);
    }
}
