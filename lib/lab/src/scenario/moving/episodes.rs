//! Each move as its packets saw it.

use std::time::Duration;

use super::traffic::Leg;
use super::{Mode, Plugged, RATE, SETTLE};
use crate::traffic::episode::{Episode, Mark};
use crate::traffic::passage::Passage;

/// What is shown of the time before a move.
const BEFORE: Duration = Duration::from_millis(50);

/// Of every move both ways.
pub(super) fn all(mode: Mode, moves: &[Plugged], legs: &[Leg; 2]) -> Vec<Episode> {
    let mut episodes = Vec::new();
    for (leg, way) in legs.iter().zip(["to the agent", "from the agent"]) {
        let whole = Passage::of(&leg.ledger, leg.sent, RATE);
        for Plugged { began, at, .. } in moves {
            let plug = at.saturating_sub(*began);
            let event = began.saturating_sub(leg.began);
            // Not into the next move.
            let span = [BEFORE, plug + SETTLE - BEFORE];
            let cut = Episode::around(&whole, (mode.in_words(), way), RATE, event, span);
            let done = Mark::new(plug.as_secs_f64() * 1000.0, "the move is done");
            episodes.push(Episode { marks: vec![Mark::new(0.0, "the move begins"), done], ..cut });
        }
    }
    episodes
}

impl Mode {
    fn in_words(self) -> &'static str {
        match self {
            Mode::Announced => "announced",
            Mode::BothLinks => "both links for a while",
            Mode::Unannounced => "unannounced",
        }
    }
}
