//! What a burst asks the EID table: packets of one agent, or of one flow, come in trains, and a train asks once.

use crate::inner::Inner;
use crate::tables::{EidValue, View, question};
use arrayvec::ArrayVec;
use sterna_table::{Found, Question};
use sterna_xsk::BURST;

/// The most questions of a burst: source and destination of each packet.
const MOST: usize = 2 * BURST;
/// No question has this number.
const NONE: u8 = u8::MAX;

const _: () = assert!(MOST <= NONE as usize, "numbers of questions are bytes");

/// The questions of a burst.
pub(crate) struct Asked {
    questions: ArrayVec<Question, MOST>,
    /// The numbers of the packet before.
    last: Numbers,
}

/// The questions of a packet, by number.
#[derive(Clone, Copy)]
pub(crate) struct Numbers {
    source: u8,
    destination: u8,
}

/// The answers to a burst's questions, by number.
pub(crate) struct Answers<'v>([Option<Found<'v, EidValue>>; MOST]);

impl Asked {
    /// Nothing yet.
    #[inline(always)]
    pub fn new() -> Asked {
        Asked { questions: ArrayVec::new(), last: Numbers { source: NONE, destination: NONE } }
    }

    /// Asks for the source and destination of the next packet.
    #[inline(always)]
    pub fn ask(&mut self, iid: u32, inner: &Inner) -> Numbers {
        let source = self.number(self.last.source, question(iid, inner.family, &inner.source));
        let destination = self.number(self.last.destination, question(iid, inner.family, &inner.destination));
        self.last = Numbers { source, destination };
        self.last
    }

    /// The number of a question: the one of the packet before if it asked the same.
    #[inline(always)]
    fn number(&mut self, last: u8, question: Question) -> u8 {
        let same = |before: &Question| {
            let differ = (before.addr[0] ^ question.addr[0]) | (before.addr[1] ^ question.addr[1]);
            differ == 0 && (before.iid, before.family) == (question.iid, question.family)
        };
        if self.questions.get(usize::from(last)).is_some_and(same) {
            return last;
        }
        let number = self.questions.len() as u8;
        self.questions.push(question);
        number
    }

    /// Looks all of them up.
    #[inline(always)]
    pub fn answers<'v>(&self, view: &'v View<'_>) -> Answers<'v> {
        let mut answers = Answers([const { None }; MOST]);
        view.eids().lookup_burst(&view.guard, &self.questions, &mut answers.0[..self.questions.len()]);
        answers
    }
}

impl<'v> Answers<'v> {
    #[inline(always)]
    fn of(&self, number: u8) -> Option<&Found<'v, EidValue>> {
        self.0.get(usize::from(number))?.as_ref()
    }

    /// What the table says of a packet's source and destination.
    #[inline(always)]
    pub fn values(&self, numbers: Numbers) -> (Option<&'v EidValue>, Option<&'v EidValue>) {
        let value = |number| self.of(number).map(|found| found.value);
        (value(numbers.source), value(numbers.destination))
    }

    /// The index of the source's entry.
    pub fn source_entry(&self, numbers: Numbers) -> Option<u32> {
        self.of(numbers.source).map(|found| found.index)
    }

    /// The index of the destination's entry.
    pub fn destination_entry(&self, numbers: Numbers) -> Option<u32> {
        self.of(numbers.destination).map(|found| found.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inner;
    use etherparse::PacketBuilder;

    fn packet(source: u8, destination: u8) -> Inner {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ipv4([10, 0, 0, source], [10, 0, 0, destination], 64).udp(1, 2);
        builder.write(&mut bytes, &[]).unwrap();
        inner::read(&bytes).unwrap()
    }

    #[test]
    fn a_train_asks_once_and_another_group_asks_anew() {
        let mut asked = Asked::new();
        let mut ask = |iid, source, destination| {
            let numbers = asked.ask(iid, &packet(source, destination));
            [numbers.source, numbers.destination]
        };
        assert_eq!(ask(7, 1, 2), [0, 1]);
        assert_eq!(ask(7, 1, 2), [0, 1]);
        assert_eq!(ask(7, 1, 3), [0, 2]);
        assert_eq!(ask(7, 3, 1), [3, 4], "sources are compared with sources");
        assert_eq!(ask(8, 3, 1), [5, 6]);
        assert_eq!(asked.questions.len(), 7);
        assert_eq!(asked.questions[6], question(8, sterna_wire::Family::V4, &packet(3, 1).destination));
    }
}
