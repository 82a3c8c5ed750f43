//! What is answered about an EID: records as they are registered and what is said of their locators go in, records as
//! the asker may use them and the block that belongs to them come out. The Map-Server, the Map-Resolver in front of a
//! plain one and the ETR that answers itself all call this (design section 9, reference/lisp-protocol.md section 6.3).
//!
//! - To those who do not ask in ACX the order is told by effective priorities; what nobody may use is left out.
//! - Who wants the attributes gets all of them with the original priorities, and computes.
//! - For a skill, for a long list, and for constraints without a wish for attributes, the first list is filtered here.

use std::net::IpAddr;

use sterna_wire::lisp::control::acx::{Acx, Attributes, Scope, Scoped, Score, Status, StatusCode};
use sterna_wire::lisp::control::{Act, EidRecord, LocatorRecord, XtrId};

use super::question::Question;
use super::rank::{Candidate, Ranked, Ranking, rank};
use super::score::score;

/// The most locators that are answered with all their attributes; of longer lists the fittest are chosen here.
pub const MAX_UNFILTERED: usize = 8;
/// The most locators of a filtered list.
pub const MAX_FILTERED: usize = 24;
/// The most bytes of a message with ACX, so that it is not fragmented on the way.
pub const MAX_MESSAGE: usize = 1400;
/// Minutes for which an answer holds that follows from what may change in seconds, to somebody who is not told of it.
const SHORT_TTL: u32 = 1;
/// The priority of a locator that nothing is sent to.
const NEVER: u8 = 255;
/// Thousandths of load that matter to somebody who is told of changes.
const LOAD_STEP: u16 = 100;
/// No locator is left.
const NO_MATCH: Status = Status { code: StatusCode::NoMatch, offending: 0 };

/// A record as it is registered, and what is said of its locators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The record. Locators whose address is no IP address are never chosen by context.
    pub record: EidRecord,
    /// What is said of each locator, in their order, that of the whole EID included. Where it is shorter than the
    /// record's list, nothing is said of the rest.
    pub attributes: Vec<Attributes>,
    /// The EID is a skill: each locator is an instance of its own.
    pub skill: bool,
}

/// How to answer.
#[derive(Clone, Copy, Debug)]
pub struct Manner<'a> {
    /// What was asked in ACX; none for those who did not.
    pub question: Option<&'a Question>,
    /// How topology and fitness are weighed.
    pub ranking: Ranking,
    /// The asker is told of changes, so the answer may hold for long.
    pub subscribed: bool,
    /// Filter although the asker could compute: nothing is known here that it could compute with.
    pub filter: bool,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The records, in the order in which they were known. A filtered list has the fittest locator first.
    pub records: Vec<EidRecord>,
    /// The block for the message's tail; none for those who did not ask in ACX.
    pub block: Option<Acx>,
}

impl Known {
    /// A record whose locators nothing is said of.
    pub fn plain(record: EidRecord) -> Known {
        Known { record, attributes: Vec::new(), skill: false }
    }

    fn says_anything(&self) -> bool {
        self.attributes.iter().any(|attributes| !attributes.is_empty())
    }

    fn says_what_passes(&self) -> bool {
        let passes = |said: &Attributes| *said != said.without_dynamic();
        self.attributes.iter().any(passes)
    }

    /// The attributes of a locator.
    fn of(&self, index: usize) -> Attributes {
        self.attributes.get(index).cloned().unwrap_or_default()
    }

    /// The locators' order for a sender with this question.
    fn ranked(&self, question: &Question, ranking: Ranking) -> Vec<Ranked> {
        let said: Vec<Attributes> = (0..self.record.locators.len()).map(|index| self.of(index)).collect();
        let locators: Vec<(usize, &LocatorRecord, IpAddr)> = self
            .record
            .locators
            .iter()
            .enumerate()
            .filter_map(|(index, locator)| Some((index, locator, locator.address.rloc()?)))
            .collect();
        let candidates: Vec<Candidate<'_>> = locators
            .iter()
            .map(|(index, locator, address)| Candidate {
                address: *address,
                priority: locator.priority,
                weight: locator.weight,
                attributes: &said[*index],
                path: None,
            })
            .collect();
        let mut ranked = rank(&candidates, &question.constraints, ranking);
        ranked.iter_mut().for_each(|one| one.index = locators[one.index].0);
        ranked
    }

    /// Whether this is answered by a filtered list, whose rows hold for that question alone.
    pub fn is_filtered(&self, question: &Question) -> bool {
        self.skill || !question.attributes || self.record.locators.len() > MAX_UNFILTERED
    }
}

/// The answer. Negative records, and without ACX also those of whose locators nothing is said, stay as they are.
/// In ACX the first record is filtered where it must be; those behind it, parts of its prefix, are told with their
/// attributes if they are short, otherwise by their effective priorities.
pub fn answer(known: &[Known], manner: Manner<'_>) -> Answered {
    let Some(question) = manner.question else {
        let records = known.iter().map(|known| effective(known, manner)).collect();
        return Answered { records, block: None };
    };
    let mut block = Acx { reply: true, aware: true, ..Acx::default() };
    let mut records = Vec::with_capacity(known.len());
    for (place, known) in known.iter().enumerate() {
        let is_filtered = manner.filter || known.is_filtered(question);
        records.push(if known.record.locators.is_empty() {
            known.record.clone()
        } else if !is_filtered {
            unfiltered(known, place, manner, &mut block)
        } else if place == 0 {
            filtered(known, question, manner, &mut block)
        } else {
            effective(known, manner)
        });
    }
    // Where nobody may use any of them, that is so for every question.
    if block.filtered {
        block.hash = question.hash();
    }
    Answered { records, block: Some(block) }
}

/// The answer in at most `room` bytes of records and block, and how many records and locators were left out for that:
/// a list that does not fit with its attributes is filtered, then the records behind the first and the worst
/// locators go. With ACX the whole message should have at most [`MAX_MESSAGE`] bytes.
pub fn answer_within(known: &[Known], manner: Manner<'_>, room: usize) -> (Answered, usize) {
    let mut answered = answer(known, manner);
    if !answered.fits(room) && answered.block.as_ref().is_some_and(|block| !block.filtered) {
        answered = answer(known, Manner { filter: true, ..manner });
    }
    let cut = answered.cut(room);
    (answered, cut)
}

/// For those who do not ask in ACX.
fn effective(known: &Known, manner: Manner<'_>) -> EidRecord {
    if !known.says_anything() {
        return known.record.clone();
    }
    let ranked = known.ranked(&Question::default(), manner.ranking);
    ordered(known, &ranked, !manner.subscribed && known.says_what_passes())
}

/// All locators in their places, with all that is said of them.
fn unfiltered(known: &Known, place: usize, manner: Manner<'_>, block: &mut Acx) -> EidRecord {
    let ranked = known.ranked(&Question::default(), manner.ranking);
    if ranked.is_empty() {
        block.status = block.status.or((place == 0).then_some(NO_MATCH));
        return ordered(known, &ranked, true);
    }
    block.complete = true;
    let mut record = EidRecord { authoritative: false, ..known.record.clone() };
    if !manner.subscribed && known.says_what_passes() {
        record.ttl = record.ttl.min(SHORT_TTL);
    }
    for (index, locator) in record.locators.iter_mut().enumerate() {
        let attributes = known.of(index);
        let fit = ranked.iter().find(|one| one.index == index);
        let score = fit.map_or_else(|| score(&attributes, &[], None), |fit| fit.score);
        let score = Some(Score { score, priority: locator.priority });
        locator.priority = fit.map_or(NEVER, |fit| fit.priority);
        block.entries.push(Scoped { score, ..Scoped::new(scope(place, index), attributes) });
    }
    record
}

/// The locators that meet the constraints, the fittest first.
fn filtered(known: &Known, question: &Question, manner: Manner<'_>, block: &mut Acx) -> EidRecord {
    let most = question.limit.filter(|limit| *limit > 0).map_or(MAX_FILTERED, usize::from).min(MAX_FILTERED);
    let mut ranked = known.ranked(question, manner.ranking);
    ranked.retain(|one| one.priority != NEVER);
    ranked.truncate(most);
    // What is told of them is all there is; without attributes it says nothing of them.
    (block.filtered, block.complete) = (true, question.attributes);
    if ranked.is_empty() {
        block.status = Some(NO_MATCH);
    }
    for (index, one) in ranked.iter().enumerate() {
        let attributes = if question.attributes { known.of(one.index) } else { Attributes::default() };
        let priority = known.record.locators[one.index].priority;
        let score = Some(Score { score: one.score, priority });
        block.entries.push(Scoped { score, ..Scoped::new(scope(0, index), attributes) });
    }
    ordered(known, &ranked, !manner.subscribed)
}

/// The record with these locators in this order; without any it denies.
fn ordered(known: &Known, ranked: &[Ranked], short: bool) -> EidRecord {
    let mut record = EidRecord { authoritative: false, locators: Vec::new(), ..known.record.clone() };
    record.locators.extend(ranked.iter().map(|one| {
        let locator = known.record.locators[one.index].clone();
        LocatorRecord { priority: one.priority, ..locator }
    }));
    if record.locators.is_empty() {
        record.act = Act::DropPolicyDenied;
    }
    if short || record.locators.is_empty() {
        record.ttl = record.ttl.min(SHORT_TTL);
    }
    record
}

/// A locator of a message; of more than an octet can tell nobody is told.
fn scope(record: usize, locator: usize) -> Scope {
    let number = |index: usize| u8::try_from(index).unwrap_or(u8::MAX - 1);
    Scope::Locator { record: number(record), locator: number(locator) }
}

/// Bytes of a record in a message.
pub fn record_len(record: &EidRecord) -> usize {
    let locators = record.locators.iter().map(|locator| 6 + locator.address.encoded_len());
    10 + record.eid.encoded_len() + locators.sum::<usize>()
}

impl Answered {
    /// The tail of the message.
    pub fn tail(&self) -> Vec<u8> {
        self.block.as_ref().map_or_else(Vec::new, Acx::bytes)
    }

    /// The tail of a message that carries this identity of its receiver: the block repeats it at the end, for those
    /// who look for it there.
    pub fn tail_for(&self, xtr: Option<XtrId>) -> Vec<u8> {
        let echoed = |block: &Acx| Acx { echo: xtr, ..block.clone() }.bytes();
        self.block.as_ref().map_or_else(Vec::new, echoed)
    }

    /// What the answer says that its receiver would want to know again when it changes: the order and, where they are
    /// told, the attributes; not the scores, the length of queues, and a load closer than a tenth.
    pub fn essence(mut self) -> Answered {
        for entry in self.block.iter_mut().flat_map(|block| &mut block.entries) {
            entry.score = None;
            if let Some(load) = &mut entry.attributes.load {
                (load.permille, load.queue) = (load.permille.map(|permille| permille / LOAD_STEP), None);
            }
        }
        self
    }

    /// Whether records and block take at most so many bytes, and the block can be read.
    pub fn fits(&self, room: usize) -> bool {
        let records: usize = self.records.iter().map(record_len).sum();
        let block = self.block.as_ref();
        records + self.tail().len() <= room && block.is_none_or(Acx::fits)
    }

    /// Leaves out records, then locators, until the answer fits; how many.
    pub fn cut(&mut self, room: usize) -> usize {
        let mut cut = 0;
        while !self.fits(room) && self.cut_one() {
            cut += 1;
        }
        if let Some(block) = self.block.as_mut().filter(|block| !block.fits()) {
            // One locator with more attributes than a block holds.
            block.complete = false;
            block.entries.iter_mut().for_each(|entry| entry.attributes = Attributes::default());
            cut += 1;
        }
        cut
    }

    /// Leaves out the last record, or the worst locator of the only one; false when there is nothing to leave out.
    fn cut_one(&mut self) -> bool {
        let last = self.records.len().saturating_sub(1);
        let Some(record) = self.records.get_mut(last) else { return false };
        let (gone, rest) = if last > 0 {
            self.records.pop();
            (None, last)
        } else if record.locators.len() > 1 {
            let worst = record.locators.iter().enumerate().max_by_key(|(index, one)| (one.priority, *index));
            let worst = worst.map_or(0, |(index, _)| index);
            record.locators.remove(worst);
            (Some(worst), 0)
        } else {
            return false;
        };
        let Some(block) = &mut self.block else { return true };
        block.entries.retain_mut(|entry| match &mut entry.scope {
            Scope::Locator { record, locator } if usize::from(*record) == rest => match gone {
                None => false,
                Some(worst) if usize::from(*locator) == worst => false,
                Some(worst) => {
                    *locator -= u8::from(usize::from(*locator) > worst);
                    true
                }
            },
            _ => true,
        });
        true
    }
}

#[cfg(test)]
mod test;
