//! What the relays say of packets that are missing: each is looked up by what it carried.

use std::collections::HashSet;

use crate::lab::Lab;
use crate::relay::fate::Fate;
use crate::relay::profile::SHIPPED;
use crate::witness::sight::{Data, Sight};

/// One packet of a stream or fan: port of the sink, flow, number.
pub type Packet = (u16, u32, u64);

/// Packets that the relays did not pass on as they came.
#[derive(Debug, Default)]
pub struct Excuses {
    packets: HashSet<Packet>,
    /// Questions and answers of a census: the asker's port and the round.
    questions: HashSet<(u16, u64)>,
}

impl Excuses {
    /// What every relay on an underlay link says.
    pub fn of(lab: &Lab) -> Self {
        let mut excuses = Self::default();
        for relay in lab.relays() {
            for way in 0..2 {
                excuses.take(relay.direction(way).fates().kept());
            }
        }
        excuses
    }

    fn take(&mut self, fates: &[Fate]) {
        for fate in fates.iter().filter(|fate| fate.cause.explains_loss()) {
            if let Sight::Lisp(Data { payload: Some(payload), ports: Some((from, to)), .. }) = fate.what {
                self.packets.insert((to, payload.answerer, payload.sequence));
                self.questions.extend([(from, payload.sequence), (to, payload.sequence)]);
            }
        }
    }

    /// How many of these packets no relay knows of.
    pub fn unexplained(&self, missing: impl IntoIterator<Item = Packet>) -> u64 {
        missing.into_iter().filter(|packet| !self.packets.contains(packet)).count() as u64
    }

    /// How many of these flows' questions no relay knows of, by the askers' ports.
    pub fn unanswered(&self, ports: impl IntoIterator<Item = u16>, round: u64) -> u64 {
        ports.into_iter().filter(|port| !self.questions.contains(&(*port, round))).count() as u64
    }
}

/// Kinds of links that there are, for who gives each its own EIDs.
pub const KINDS: u8 = SHIPPED.len() as u8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::fate::Cause;
    use crate::traffic::payload::Payload;

    #[test]
    fn only_what_a_relay_kept_or_damaged_is_excused() {
        let fate = |cause, sequence| Fate {
            cause,
            what: Sight::Lisp(Data {
                from: [192, 0, 2, 1].into(),
                to: [198, 51, 100, 1].into(),
                iid: Some(100),
                payload: Some(Payload { group: 100, sequence, due_ns: 0, answerer: 3 }),
                ports: Some((50_000, 5100)),
            }),
        };
        let mut excuses = Excuses::default();
        excuses.take(&[fate(Cause::Lost, 1), fate(Cause::Corrupted, 2), fate(Cause::Doubled, 3)]);
        excuses.take(&[Fate { cause: Cause::Lost, what: Sight::Clear }]);
        assert_eq!(excuses.unexplained((0..4).map(|sequence| (5100, 3, sequence))), 2);
        assert_eq!(excuses.unexplained([(5100, 4, 1), (5101, 3, 1)]), 2);
        assert_eq!((excuses.unanswered([50_000, 50_001], 1), excuses.unanswered([50_000], 3)), (1, 1));
    }
}
