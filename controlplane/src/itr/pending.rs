//! Questions without an answer: one per EID prefix and needs, bounded, found again by the nonce of the answer.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use sterna_wire::Iid;

use super::EidPrefix;
use super::gate::Ticket;
use super::question::Question;
use super::schedule::Schedule;
use super::settings::Timers;

/// Nonces of answered requests that are remembered, so that a second answer is not taken for a forgery.
const MAX_SPENT: usize = 4096;
/// Whoever waits says so every 500 ms; after this time without a word nobody waits any more.
const DEMAND: Duration = Duration::from_secs(2);

/// Why a question is asked; several reasons may come together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Why {
    /// Packets wait for the answer, and the dataplane says so again and again.
    pub waits: bool,
    /// An entry is kept up to date; nobody waits.
    pub keeps: bool,
    /// We were solicited.
    pub smr: bool,
    /// The dataplane wants to see the mapping again even if it did not change.
    pub confirm: bool,
}

impl Why {
    /// For packets that wait.
    pub const MISS: Why = Why { waits: true, keeps: false, smr: false, confirm: false };
    /// For packets whose source does not fit the mapping we know.
    pub const SOURCE: Why = Why { waits: true, keeps: false, smr: false, confirm: true };
    /// To keep an entry up to date.
    pub const REFRESH: Why = Why { waits: false, keeps: true, smr: false, confirm: false };
    /// Because of a Solicit-Map-Request.
    pub const SMR: Why = Why { waits: false, keeps: false, smr: true, confirm: false };

    fn add(&mut self, more: Why) {
        self.waits |= more.waits;
        self.keeps |= more.keeps;
        self.smr |= more.smr;
        self.confirm |= more.confirm;
    }
}

/// Where a question stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for a token of the rate limits.
    Queued(Ticket),
    /// Asked; the next request goes out when the deadline comes.
    Asked,
    /// Too many requests went without an answer: nothing is asked until the deadline.
    Paused,
}

/// One question.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Why it is asked.
    pub why: Why,
    /// Where it stands.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// Requests sent.
    pub tries: u8,
    /// When the last request was sent.
    pub sent: Option<Instant>,
    /// When somebody last wanted to know.
    pub demanded: Instant,
    /// Its first answer said what was known, and the next one decides.
    pub looked: bool,
    /// The nonces of its requests, each with the index of the map-resolver that was asked.
    nonces: Vec<(u64, usize)>,
    due: Option<Instant>,
}

impl Pending {
    /// Whether a first request, or one that waited for a token, is still worth sending.
    pub fn is_wanted(&self, now: Instant) -> bool {
        self.why.keeps || self.why.smr || now.saturating_duration_since(self.demanded) <= DEMAND
    }

    /// Whether another request is worth sending: packets that wait make themselves heard after each request;
    /// only the second one is sent on trust, because it comes before they could.
    pub fn is_wanted_again(&self) -> bool {
        self.why.keeps || self.why.smr || self.tries <= 1 || self.sent.is_some_and(|at| self.demanded > at)
    }

    /// How long to wait for an answer to the request just sent.
    pub fn gap(&self, timers: &Timers) -> Duration {
        if self.tries <= 1 && self.why.waits {
            return timers.first_retry;
        }
        let doublings = u32::from(self.tries.saturating_sub(1 + u8::from(self.why.waits))).min(16);
        timers.retry_max.min(timers.retry.saturating_mul(1 << doublings))
    }

    /// The map-resolver that the request with this nonce went to.
    pub fn resolver_of(&self, nonce: u64) -> Option<usize> {
        self.nonces.iter().find(|(known, _)| *known == nonce).map(|(_, resolver)| *resolver)
    }
}

/// All questions.
#[derive(Debug, Default)]
pub struct Pendings {
    questions: BTreeMap<Question, Pending>,
    by_nonce: HashMap<u64, Question>,
    per_group: BTreeMap<Iid, usize>,
    deadlines: Schedule<Question>,
    spent: HashSet<u64>,
    spent_order: VecDeque<u64>,
}

impl Pendings {
    /// Number of questions.
    pub fn len(&self) -> usize {
        self.questions.len()
    }

    /// The questions about this prefix, whatever is needed.
    pub fn about(&self, key: EidPrefix) -> impl Iterator<Item = Question> + '_ {
        self.questions.range(Question::about(key)).map(|(asked, _)| *asked)
    }

    /// The question.
    pub fn get(&self, key: Question) -> Option<&Pending> {
        self.questions.get(&key)
    }

    /// All questions in order.
    pub fn iter(&self) -> impl Iterator<Item = (Question, &Pending)> + '_ {
        self.questions.iter().map(|(key, pending)| (*key, pending))
    }

    /// A question that exists is wanted for another reason, or again; gives its state.
    pub fn demand(&mut self, key: Question, why: Why, now: Instant) -> Option<State> {
        let pending = self.questions.get_mut(&key)?;
        pending.why.add(why);
        pending.demanded = now;
        Some(pending.state)
    }

    /// A new question, which waits with this ticket.
    pub fn insert(&mut self, key: Question, why: Why, ticket: Ticket, now: Instant) {
        *self.per_group.entry(key.iid()).or_default() += 1;
        let state = State::Queued(ticket);
        let nonces = Vec::new();
        let pending = Pending {
            why,
            state,
            since: now,
            tries: 0,
            sent: None,
            demanded: now,
            looked: false,
            nonces,
            due: None,
        };
        self.questions.insert(key, pending);
    }

    /// Moves a question to another state, which ends at `until`.
    pub fn set_state(&mut self, key: Question, state: State, until: Option<Instant>) {
        if let Some(pending) = self.questions.get_mut(&key) {
            pending.state = state;
            self.deadlines.set(key, &mut pending.due, until);
        }
    }

    /// A request with this nonce was sent to this map-resolver.
    pub fn sent(&mut self, key: Question, nonce: u64, resolver: usize, now: Instant) {
        if let Some(pending) = self.questions.get_mut(&key) {
            pending.tries = pending.tries.saturating_add(1);
            pending.sent = Some(now);
            pending.nonces.push((nonce, resolver));
            self.by_nonce.insert(nonce, key);
        }
    }

    /// The question that a request with this nonce asked.
    pub fn of_nonce(&self, nonce: u64) -> Option<Question> {
        self.by_nonce.get(&nonce).copied()
    }

    /// Whether a request with this nonce was answered a short while ago.
    pub fn was_answered(&self, nonce: u64) -> bool {
        self.spent.contains(&nonce)
    }

    /// The question has an answer that does not decide it: it is asked anew at `at`.
    pub fn look_again(&mut self, key: Question, at: Instant) {
        let Some(pending) = self.questions.get_mut(&key) else { return };
        (pending.looked, pending.tries, pending.sent) = (true, 0, None);
        for (nonce, _) in std::mem::take(&mut pending.nonces) {
            self.by_nonce.remove(&nonce);
            self.spend(nonce);
        }
        self.set_state(key, State::Asked, Some(at));
    }

    /// The question has its answer.
    pub fn finish(&mut self, key: Question) -> Option<Pending> {
        let pending = self.remove(key)?;
        for (nonce, _) in &pending.nonces {
            self.spend(*nonce);
        }
        Some(pending)
    }

    /// The question is given up.
    pub fn remove(&mut self, key: Question) -> Option<Pending> {
        let mut pending = self.questions.remove(&key)?;
        self.deadlines.set(key, &mut pending.due, None);
        for (nonce, _) in &pending.nonces {
            self.by_nonce.remove(nonce);
        }
        if let Some(count) = self.per_group.get_mut(&key.iid()) {
            *count -= 1;
            if *count == 0 {
                self.per_group.remove(&key.iid());
            }
        }
        Some(pending)
    }

    /// A question to give up so that one of this group has room: of the group that has most, unless it is this one.
    pub fn victim_for(&self, iid: Iid) -> Option<Question> {
        let mine = self.per_group.get(&iid).copied().unwrap_or(0);
        let (most, count) = self.per_group.iter().max_by_key(|(_, count)| **count)?;
        if *count <= mine + 1 {
            return None;
        }
        let end = *Question::about((*most, super::last_prefix())).end();
        let last = self.questions.range(..=end).next_back();
        last.map(|(key, _)| *key).filter(|key| key.iid() == *most)
    }

    /// A question whose deadline has come.
    pub fn due(&self, now: Instant) -> Option<Question> {
        self.deadlines.due(now)
    }

    /// When the next deadline comes.
    pub fn next_due(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// An answer with this nonce is no forgery, though nothing is open for it.
    pub fn spend(&mut self, nonce: u64) {
        if self.spent_order.len() >= MAX_SPENT
            && let Some(oldest) = self.spent_order.pop_front()
        {
            self.spent.remove(&oldest);
        }
        self.spent_order.push_back(nonce);
        self.spent.insert(nonce);
    }

    #[cfg(test)]
    pub fn check(&self) {
        assert_eq!(self.per_group.values().sum::<usize>(), self.questions.len());
        let nonces: usize = self.questions.values().map(|pending| pending.nonces.len()).sum();
        assert_eq!(nonces, self.by_nonce.len());
        assert!(self.spent.len() <= MAX_SPENT && self.spent_order.len() <= MAX_SPENT);
        // Whoever waits for a token has no deadline, everybody else has one.
        let timed = |pending: &Pending| matches!(pending.state, State::Queued(_)) == pending.due.is_none();
        assert!(self.questions.values().all(timed));
    }
}

#[cfg(test)]
mod tests {
    use sterna_wire::Prefix;

    use super::*;

    fn key(iid: u32, number: u32) -> Question {
        Question::plain((Iid::new(iid).unwrap(), Prefix::host(number.to_be_bytes().into())))
    }

    #[test]
    fn the_gap_doubles_up_to_its_limit() {
        let timers = Timers::default();
        let gaps = |why: Why| {
            let mut pendings = Pendings::default();
            let now = Instant::now();
            pendings.insert(key(1, 1), why, 1, now);
            let mut gaps = vec![];
            for nonce in 0..7 {
                pendings.sent(key(1, 1), nonce, 0, now);
                gaps.push(pendings.get(key(1, 1)).unwrap().gap(&timers).as_millis());
            }
            gaps
        };
        assert_eq!(gaps(Why::MISS), vec![500, 1000, 2000, 4000, 4000, 4000, 4000]);
        assert_eq!(gaps(Why::REFRESH), vec![1000, 2000, 4000, 4000, 4000, 4000, 4000]);
    }

    #[test]
    fn every_nonce_of_a_question_finds_it_until_it_is_answered() {
        let (mut pendings, now) = (Pendings::default(), Instant::now());
        pendings.insert(key(1, 1), Why::MISS, 1, now);
        pendings.sent(key(1, 1), 77, 0, now);
        pendings.sent(key(1, 1), 78, 1, now);
        assert_eq!((pendings.of_nonce(77), pendings.of_nonce(78)), (Some(key(1, 1)), Some(key(1, 1))));
        assert_eq!(pendings.get(key(1, 1)).unwrap().resolver_of(78), Some(1));
        pendings.finish(key(1, 1));
        assert_eq!((pendings.of_nonce(77), pendings.of_nonce(78)), (None, None));
        assert!(pendings.was_answered(77) && pendings.was_answered(78) && !pendings.was_answered(79));
        assert!(pendings.per_group.is_empty() && pendings.next_due().is_none());
    }

    #[test]
    fn answered_nonces_are_remembered_within_bounds() {
        let (mut pendings, now) = (Pendings::default(), Instant::now());
        for nonce in 0..10_000 {
            pendings.insert(key(1, 1), Why::MISS, 1, now);
            pendings.sent(key(1, 1), nonce, 0, now);
            pendings.finish(key(1, 1));
        }
        assert_eq!((pendings.spent.len(), pendings.spent_order.len()), (MAX_SPENT, MAX_SPENT));
        assert!(pendings.was_answered(9999) && !pendings.was_answered(0));
    }

    #[test]
    fn room_is_made_by_the_group_that_has_most() {
        let (mut pendings, now) = (Pendings::default(), Instant::now());
        (0..5).for_each(|number| pendings.insert(key(1, number), Why::MISS, 1, now));
        (0..2).for_each(|number| pendings.insert(key(2, number), Why::MISS, 1, now));
        assert_eq!(pendings.victim_for(Iid::new(1).unwrap()), None);
        assert_eq!(pendings.victim_for(Iid::new(2).unwrap()), Some(key(1, 4)));
        assert_eq!(pendings.victim_for(Iid::new(3).unwrap()), Some(key(1, 4)));
        (0..3).for_each(|number| drop(pendings.remove(key(1, number))));
        assert_eq!(pendings.victim_for(Iid::new(2).unwrap()), None, "two each");
    }

    #[test]
    fn packets_that_wait_must_say_so_again() {
        let (mut pendings, now) = (Pendings::default(), Instant::now());
        let later = |millis| now + Duration::from_millis(millis);
        pendings.insert(key(1, 1), Why::MISS, 1, now);
        pendings.sent(key(1, 1), 1, 0, later(1));
        assert!(pendings.get(key(1, 1)).unwrap().is_wanted_again(), "the second is sent on trust");
        pendings.sent(key(1, 1), 2, 0, later(501));
        assert!(!pendings.get(key(1, 1)).unwrap().is_wanted_again());
        pendings.demand(key(1, 1), Why::MISS, later(600));
        assert!(pendings.get(key(1, 1)).unwrap().is_wanted_again());
        assert!(pendings.get(key(1, 1)).unwrap().is_wanted(later(2600)));
        assert!(!pendings.get(key(1, 1)).unwrap().is_wanted(later(2601)));
        pendings.demand(key(1, 1), Why::REFRESH, later(600));
        assert!(pendings.get(key(1, 1)).unwrap().is_wanted(later(9000)));
    }
}
