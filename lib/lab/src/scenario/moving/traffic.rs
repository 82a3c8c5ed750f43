//! The packets to an agent that moves, and from it.

use std::time::Duration;

use super::{DOWN, RATE, SIZE, UP, eid};
use crate::error::Result;
use crate::scenario::Run;
use crate::site::{Family, GROUPS, Host, ROAMER, Site};
use crate::traffic::ledger::{Ledger, Tally};
use crate::traffic::stream::{Stream, StreamPlan};

/// The traffic between the agent that moves and one that stays.
pub(in crate::scenario) struct Traffic {
    down: Stream,
    up: Stream,
}

/// One way's packets, when all are over.
pub(in crate::scenario) struct Leg {
    /// The open account.
    pub ledger: Ledger,
    /// Packets that were sent.
    pub sent: u64,
    /// When the first one was due, since the epoch.
    pub began: Duration,
}

impl Leg {
    /// The closed account.
    pub fn close(self) -> Tally {
        self.ledger.close(self.sent)
    }
}

impl Traffic {
    /// Begins.
    pub fn start(run: &Run<'_>) -> Result<Self> {
        let stays = Host::new(Site::A, 1);
        let (home, away) = (run.lab.host(stays), run.lab.namespace(ROAMER));
        let plan = |source, target, port| StreamPlan {
            source,
            target,
            port,
            group: GROUPS[0],
            rate: RATE,
            count: None,
            size: SIZE,
        };
        let other = stays.eid(Family::V4, Family::V4);
        Ok(Self {
            down: Stream::start(&home, &away, plan(other, eid(), DOWN))?,
            up: Stream::start(&away, &home, plan(eid(), other, UP))?,
        })
    }

    /// Packets sent so far, to the agent and from it.
    pub fn sent(&self) -> (u64, u64) {
        (self.down.sent(), self.up.sent())
    }

    /// Packets that came so far, to the agent and from it.
    pub fn delivered(&self) -> (u64, u64) {
        (self.down.delivered(), self.up.delivered())
    }

    /// What went to the agent, and what came from it.
    pub fn stop(self) -> Result<[Leg; 2]> {
        let began = [self.down.began(), self.up.began()];
        let up = self.up.stop();
        let legs = [self.down.stop()?, up?];
        let mut began = began.into_iter();
        Ok(legs.map(|(ledger, sent)| Leg { ledger, sent, began: began.next().unwrap_or_default() }))
    }
}
