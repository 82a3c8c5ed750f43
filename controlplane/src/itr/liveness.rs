//! Whether one remote RLOC is alive, going by its answers to probes and by the data that comes from it.
//!
//! Data from it since the last probe is as good as an answer. Probes are fast only while packets go there and nothing
//! comes back; otherwise they are rare. One that is overdue by the measured round trip is repeated at once, and three
//! without an answer make the locator *silent*. Whether a silent locator goes out of use is decided by who
//! sees the others too, see [`super::probe`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::settings::Timers;
use crate::context::PathTerm;

/// A locator carries traffic if something was sent to it within this time.
const CARRIES: Duration = Duration::from_secs(1);
/// After an unanswered probe without traffic, and at first when a locator is silent.
const RETRY: Duration = Duration::from_secs(1);
/// A silent locator is probed more and more seldom, down to this.
const RETRY_MAX: Duration = Duration::from_secs(10);
/// Where it matters, an answer is waited for by the measured round trip, but not shorter than this.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// The path term in use follows the measurements once they are so many points away from it, so that rows do not flap.
const TERM_STEP: u32 = 10;
/// What one lost probe adds to the loss at once, permille.
const LOST: f32 = 1000.0 / 8.0;
/// Probes whose answers are still recognised. They go out every [`WAIT_MIN`] at the fastest: a way that was short and
/// now goes over a satellite, there and back on both sides, must not outlast them.
const MAX_OUTSTANDING: usize = 16;

/// What is known of a remote RLOC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Alive, as far as we know.
    Up,
    /// It does not answer, but neither does any other locator beside it: it stays in use.
    Silent,
    /// It does not answer while others do, or its site says that it cannot be reached.
    Down,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    nonce: u64,
    at: Instant,
    judged: bool,
    answered: bool,
    /// Looked at sooner than a round trip lets it be answered: whether it is lost is known at this time.
    open_until: Option<Instant>,
    /// Counted as lost.
    lost: bool,
    /// Somebody waits for the answer: to know whether the far control plane answers at all.
    asked: bool,
    /// A probe to a locator beside this one went out no later than this one, and was answered no sooner.
    witnessed: bool,
}

/// What to do next about a remote RLOC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Probe it.
    Probe,
    /// Nothing before this time.
    Wait(Instant),
}

/// One remote RLOC.
#[derive(Clone, Debug)]
pub struct Remote {
    pub(super) state: State,
    /// When packets were last sent to it.
    pub(super) carried: Option<Instant>,
    /// When data or an answer last came from it.
    pub(super) heard: Option<Instant>,
    /// Smoothed round trip.
    pub(super) rtt: Option<Duration>,
    /// Smoothed share of unanswered probes, in permille.
    pub(super) loss: f32,
    pub(super) misses: u8,
    /// What rows are made with of both.
    pub(super) term: PathTerm,
    /// The underlay has a path there.
    pub(super) has_path: bool,
    /// Somebody wants to know now.
    pub(super) nudged: bool,
    pub(super) due: Option<Instant>,
    /// Its own site says that it cannot be reached (R bit clear in a probe's answer).
    refused: bool,
    probes: VecDeque<Sent>,
    idle_gap: Duration,
    recovery: Duration,
}

impl Remote {
    /// One that nothing is known of; it counts as alive.
    pub fn new(idle_gap: Duration) -> Self {
        Self {
            state: State::Up,
            carried: None,
            heard: None,
            rtt: None,
            loss: 0.0,
            misses: 0,
            term: PathTerm::default(),
            has_path: true,
            nudged: false,
            due: None,
            refused: false,
            probes: VecDeque::new(),
            idle_gap,
            recovery: RETRY,
        }
    }

    /// A probe went out. Gives a nonce whose answer is no longer recognised.
    pub fn probed(&mut self, nonce: u64, idle_gap: Duration, now: Instant) -> Option<u64> {
        let asked = std::mem::take(&mut self.nudged);
        self.idle_gap = idle_gap;
        if self.state != State::Up && !asked {
            self.recovery = RETRY_MAX.min(self.recovery * 2);
        }
        self.probes.push_back(Sent {
            nonce,
            at: now,
            judged: false,
            answered: false,
            open_until: None,
            lost: false,
            asked,
            witnessed: false,
        });
        let forgotten = self.probes.len() > MAX_OUTSTANDING;
        let forgotten = forgotten.then(|| self.probes.pop_front()).flatten()?;
        if forgotten.open_until.is_some() {
            self.lost();
        }
        Some(forgotten.nonce)
    }

    /// The nonces whose answers are recognised.
    pub fn nonces(&self) -> impl Iterator<Item = u64> + '_ {
        self.probes.iter().map(|sent| sent.nonce)
    }

    /// Data came from it.
    pub fn received(&mut self, now: Instant) {
        self.heard = self.heard.max(Some(now));
        self.alive();
        if !self.refused {
            self.state = State::Up;
        }
    }

    /// The probe with this nonce was answered; `reachable` is what the answer says of the locator.
    /// Gives when that probe went out; none if it was answered before.
    pub fn answered(&mut self, nonce: u64, reachable: bool, now: Instant) -> Option<Instant> {
        let sent = self.probes.iter_mut().find(|sent| sent.nonce == nonce && !sent.answered)?;
        sent.answered = true;
        let at = sent.at;
        let rtt = now.saturating_duration_since(at);
        let in_time = !std::mem::replace(&mut sent.judged, true);
        if sent.open_until.take().is_some() || in_time {
            self.loss *= 7.0 / 8.0;
        }
        // One that was taken for lost was not: the way is longer than it was, or than anybody knew.
        let found = sent.lost;
        self.rtt = Some(self.rtt.filter(|_| !found).map_or(rtt, |old| (old * 7 + rtt) / 8));
        if found {
            self.take_back(at);
        }
        self.heard = self.heard.max(Some(now));
        self.alive();
        self.refused = !reachable;
        self.state = if reachable { State::Up } else { State::Down };
        Some(at)
    }

    /// A locator beside it has just answered a probe that went out at `since`: whoever answers there had the chance
    /// to answer those that went out here meanwhile.
    pub fn witness(&mut self, since: Instant) {
        self.probes.iter_mut().filter(|sent| sent.at >= since).for_each(|sent| sent.witnessed = true);
    }

    /// Whether it missed enough probes, the last of them while whoever answers beside it was there.
    pub fn is_cut_off(&self, timers: &Timers) -> bool {
        let missed = self.probes.iter().rev().find(|sent| sent.lost);
        self.misses >= timers.probe_misses && missed.is_some_and(|sent| sent.witnessed)
    }

    /// Whether it is in use although it did not answer.
    pub fn is_suspect(&self) -> bool {
        self.state == State::Silent || (self.state == State::Up && self.misses > 0)
    }

    /// Somebody wants its answer now. False if one is waited for already.
    pub fn ask(&mut self) -> bool {
        let waits = self.nudged || self.probes.back().is_some_and(|sent| !sent.judged);
        self.nudged |= !waits;
        !waits
    }

    /// Looks which probes are overdue. Each is a miss, unless data came meanwhile.
    /// Gives whether a probe was found unanswered.
    pub fn judge(&mut self, timers: &Timers, now: Instant) -> bool {
        let wait = self.patience(timers, now);
        // Over a satellite every answer comes after the next fast probe, and none of them is lost.
        let longest = wait.max(self.round_trip());
        if let Some(sent) = self.probes.back_mut().filter(|sent| !sent.judged && now >= sent.at + wait) {
            sent.judged = true;
            sent.open_until = Some(sent.at + longest);
        }
        let mut found = false;
        while let Some(sent) = self.probes.iter_mut().find(|sent| sent.open_until.is_some_and(|at| at <= now))
        {
            (sent.open_until, sent.lost) = (None, true);
            let at = sent.at;
            self.missed(at, timers, now);
            found = true;
        }
        found
    }

    /// How long an answer may take, going by the measurements; nothing before the first.
    fn round_trip(&self) -> Duration {
        self.rtt.unwrap_or_default() * 2
    }

    /// The probe that went out at `at` was not answered in time.
    fn missed(&mut self, at: Instant, timers: &Timers, now: Instant) {
        self.lost();
        // Data is told of every 100 ms: that none was yet since the probe does not mean that none came.
        let quiet = timers.fast_probe / 2;
        if self.heard.is_none_or(|heard| heard <= at && heard + quiet <= now) {
            self.misses = self.misses.saturating_add(1);
        }
    }

    /// What to do next.
    pub fn plan(&self, timers: &Timers, now: Instant) -> Plan {
        let overdue = self.probes.iter().filter_map(|sent| sent.open_until).min();
        match (self.next_probe(timers, now), overdue) {
            (Plan::Wait(until), Some(overdue)) => Plan::Wait(until.min(overdue)),
            (plan, _) => plan,
        }
    }

    fn next_probe(&self, timers: &Timers, now: Instant) -> Plan {
        let last = self.probes.back();
        if let Some(sent) = last.filter(|sent| !sent.judged) {
            return Plan::Wait(sent.at + self.patience(timers, now));
        }
        if !self.has_path {
            return Plan::Wait(now + self.idle_gap);
        }
        let next = match last {
            _ if self.nudged => return Plan::Probe,
            // It may be cut off while packets go there: a witness can come at any time.
            Some(sent) if self.state == State::Silent && self.carries(now) => sent.at + timers.fast_probe,
            Some(sent) if self.state != State::Up => sent.at + self.recovery,
            _ if self.misses > 0 => return Plan::Probe,
            None => return Plan::Probe,
            Some(sent) if self.carries(now) => {
                let quiet = self.heard.map_or(now, |heard| heard + timers.fast_probe / 2);
                // However lively it is, its round trip is measured now and then.
                quiet.max(sent.at + timers.fast_probe).min(sent.at + self.idle_gap)
            }
            Some(sent) => sent.at + self.idle_gap,
        };
        if next <= now { Plan::Probe } else { Plan::Wait(next) }
    }

    /// Takes the round trip and the loss over into the path term if that moves it far enough; whether it did.
    pub fn settle_term(&mut self) -> bool {
        let rtt_us = self.rtt.map_or(0, |rtt| u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX));
        let now = PathTerm { rtt_us, loss_permille: self.loss.clamp(0.0, 1000.0) as u16 };
        let moved = now.points().abs_diff(self.term.points()) >= TERM_STEP;
        if moved {
            self.term = now;
        }
        moved
    }

    /// Whether packets were sent to it a short while ago.
    pub fn carries(&self, now: Instant) -> bool {
        self.carried.is_some_and(|at| now.saturating_duration_since(at) <= CARRIES)
    }

    /// How long to wait for the answer to the last probe.
    fn patience(&self, timers: &Timers, now: Instant) -> Duration {
        let asked = self.probes.back().is_some_and(|sent| sent.asked);
        if !asked && !self.carries(now) {
            return RETRY;
        }
        self.rtt.map_or(timers.fast_probe, |rtt| timers.fast_probe.min(WAIT_MIN.max(rtt * 4)))
    }

    fn lost(&mut self) {
        self.loss = self.loss * 7.0 / 8.0 + LOST;
    }

    /// Takes back what was counted for a probe that was answered after all, and for those after it: they may be just as
    /// late.
    fn take_back(&mut self, since: Instant) {
        let round_trip = self.round_trip();
        for sent in self.probes.iter_mut().filter(|sent| sent.lost && sent.at >= since) {
            sent.lost = false;
            sent.open_until = (!sent.answered).then(|| sent.at + round_trip);
            self.loss = (self.loss - LOST).max(0.0);
        }
    }

    fn alive(&mut self) {
        self.misses = 0;
        self.recovery = RETRY;
    }
}

#[cfg(test)]
mod test;
