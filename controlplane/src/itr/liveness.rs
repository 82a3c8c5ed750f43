//! Whether one remote RLOC is alive, going by its answers to probes and by the data that comes from it.
//!
//! Data from it since the last probe is as good as an answer. Probes are fast only while packets go there and nothing
//! comes back; otherwise they are rare. Three in a row without an answer make it *silent*. Whether a silent locator
//! goes out of use is decided by who sees the others too, see [`super::probe`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::settings::Timers;

/// A locator carries traffic if something was sent to it within this time.
const CARRIES: Duration = Duration::from_secs(1);
/// After an unanswered probe without traffic, and at first when a locator is silent.
const RETRY: Duration = Duration::from_secs(1);
/// A silent locator is probed more and more seldom, down to this.
const RETRY_MAX: Duration = Duration::from_secs(10);
/// The last probe before the verdict is waited for by the measured round trip, but not shorter than this.
const LAST_WAIT_MIN: Duration = Duration::from_millis(100);
/// Probes whose answers are still recognised.
const MAX_OUTSTANDING: usize = 4;

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
    /// When it last answered a probe.
    pub(super) replied: Option<Instant>,
    /// Smoothed round trip.
    pub(super) rtt: Option<Duration>,
    /// Smoothed share of unanswered probes, in permille.
    pub(super) loss: f32,
    /// When the last probe went out that was not answered, if no word came since.
    pub(super) missed: Option<Instant>,
    pub(super) misses: u8,
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
            replied: None,
            rtt: None,
            loss: 0.0,
            missed: None,
            misses: 0,
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
        self.nudged = false;
        self.idle_gap = idle_gap;
        if self.state != State::Up {
            self.recovery = RETRY_MAX.min(self.recovery * 2);
        }
        self.probes.push_back(Sent { nonce, at: now, judged: false, answered: false });
        let forgotten = self.probes.len() > MAX_OUTSTANDING;
        forgotten.then(|| self.probes.pop_front()).flatten().map(|sent| sent.nonce)
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
    /// False if that probe was answered before.
    pub fn answered(&mut self, nonce: u64, reachable: bool, now: Instant) -> bool {
        let sent = self.probes.iter_mut().find(|sent| sent.nonce == nonce && !sent.answered);
        let Some(sent) = sent else { return false };
        sent.answered = true;
        let rtt = now.saturating_duration_since(sent.at);
        if !std::mem::replace(&mut sent.judged, true) {
            self.loss *= 7.0 / 8.0;
        }
        self.rtt = Some(self.rtt.map_or(rtt, |old| (old * 7 + rtt) / 8));
        self.heard = self.heard.max(Some(now));
        self.replied = Some(now);
        self.alive();
        self.refused = !reachable;
        self.state = if reachable { State::Up } else { State::Down };
        true
    }

    /// Looks whether the last probe is overdue. If so it is a miss, unless data came meanwhile.
    /// Gives whether a probe was found unanswered.
    pub fn judge(&mut self, timers: &Timers, now: Instant) -> bool {
        let wait = self.patience(timers, now);
        let Some(sent) = self.probes.back_mut().filter(|sent| !sent.judged && now >= sent.at + wait) else {
            return false;
        };
        sent.judged = true;
        let at = sent.at;
        self.loss = self.loss * 7.0 / 8.0 + 1000.0 / 8.0;
        if self.heard.is_none_or(|heard| heard <= at) {
            self.misses = self.misses.saturating_add(1);
            self.missed = Some(at);
        }
        true
    }

    /// What to do next.
    pub fn plan(&self, timers: &Timers, now: Instant) -> Plan {
        let last = self.probes.back();
        if let Some(sent) = last.filter(|sent| !sent.judged) {
            return Plan::Wait(sent.at + self.patience(timers, now));
        }
        if !self.has_path {
            return Plan::Wait(now + self.idle_gap);
        }
        let next = match last {
            _ if self.nudged => return Plan::Probe,
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

    /// Whether packets were sent to it a short while ago.
    pub fn carries(&self, now: Instant) -> bool {
        self.carried.is_some_and(|at| now.saturating_duration_since(at) <= CARRIES)
    }

    /// When the last probe went out.
    pub fn last_probe(&self) -> Option<Instant> {
        self.probes.back().map(|sent| sent.at)
    }

    /// How long to wait for the answer to the last probe.
    fn patience(&self, timers: &Timers, now: Instant) -> Duration {
        if !self.carries(now) {
            return RETRY;
        }
        let last_before_verdict = self.misses.saturating_add(1) == timers.probe_misses;
        match self.rtt {
            Some(rtt) if last_before_verdict => timers.fast_probe.min(LAST_WAIT_MIN.max(rtt * 4)),
            _ => timers.fast_probe,
        }
    }

    fn alive(&mut self) {
        self.misses = 0;
        self.missed = None;
        self.recovery = RETRY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    struct Bench {
        remote: Remote,
        start: Instant,
        timers: Timers,
        probes: Vec<u64>,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                remote: Remote::new(IDLE),
                start: Instant::now(),
                timers: Timers::default(),
                probes: vec![],
            }
        }

        /// Lets the time go on in steps of 10 ms; `each` sees each step first.
        fn run(&mut self, from: u64, to: u64, each: impl Fn(&mut Remote, Instant, u64)) {
            for millis in (from..to).step_by(10) {
                let now = self.start + Duration::from_millis(millis);
                each(&mut self.remote, now, millis);
                self.remote.judge(&self.timers, now);
                if self.remote.plan(&self.timers, now) == Plan::Probe {
                    self.remote.probed(millis, IDLE, now);
                    self.probes.push(millis);
                }
            }
        }
    }

    #[test]
    fn without_traffic_probes_are_rare() {
        let mut bench = Bench::new();
        bench.run(0, 130_000, |remote, now, millis| {
            if millis % 60_000 == 20 {
                remote.answered(millis - 20, true, now);
            }
        });
        assert_eq!(bench.probes, vec![0, 60_000, 120_000]);
        assert_eq!((bench.remote.misses, bench.remote.rtt), (0, Some(Duration::from_millis(20))));
    }

    #[test]
    fn traffic_both_ways_needs_no_more_probes_than_none() {
        let mut bench = Bench::new();
        bench.run(0, 130_000, |remote, now, millis| {
            if millis % 100 == 0 {
                remote.carried = Some(now);
                remote.received(now);
            }
        });
        assert_eq!(bench.probes, vec![0, 60_000, 120_000]);
        assert_eq!((bench.remote.misses, bench.remote.state), (0, State::Up), "although none was answered");
    }

    #[test]
    fn traffic_one_way_is_probed_every_300_ms() {
        let mut bench = Bench::new();
        bench.run(0, 1500, |remote, now, millis| {
            remote.carried = Some(now);
            if millis % 300 == 10 {
                remote.answered(millis - 10, true, now);
            }
        });
        assert_eq!(bench.probes, vec![0, 300, 600, 900, 1200]);
    }

    #[test]
    fn three_misses_within_a_second_after_the_last_word() {
        let mut bench = Bench::new();
        bench.run(0, 500, |remote, now, millis| {
            remote.carried = Some(now);
            remote.received(now);
            if millis == 0 {
                remote.nudged = true;
            }
            if millis == 10 {
                remote.answered(0, true, now);
            }
        });
        bench.run(500, 1340, |remote, now, _| remote.carried = Some(now));
        assert_eq!(bench.remote.misses, 2);
        bench.run(1340, 1350, |remote, now, _| remote.carried = Some(now));
        assert_eq!(bench.remote.misses, 3, "probes at {:?}", bench.probes);
        assert_eq!(bench.probes, vec![0, 640, 940, 1240, 1340]);
    }

    #[test]
    fn data_meanwhile_makes_no_miss_but_the_probe_was_lost() {
        let mut bench = Bench::new();
        bench.remote.nudged = true;
        bench.run(0, 2000, |remote, now, millis| {
            remote.carried = Some(now);
            if millis >= 100 {
                remote.received(now);
            }
        });
        assert_eq!((bench.remote.misses, bench.remote.state), (0, State::Up));
        assert!(bench.remote.loss > 100.0);
    }

    #[test]
    fn a_silent_one_is_asked_less_and_less_until_it_answers() {
        let mut bench = Bench::new();
        bench.run(0, 3010, |_, _, _| {});
        assert_eq!((bench.remote.misses, &bench.probes[..]), (3, &[0, 1000, 2000, 3000][..]));
        bench.remote.state = State::Silent;
        bench.run(3010, 60_000, |_, _, _| {});
        assert_eq!(bench.probes[4..], [4000, 6000, 10_000, 18_000, 28_000, 38_000, 48_000, 58_000]);
        let end = bench.start + Duration::from_millis(60_000);
        assert!(bench.remote.answered(58_000, true, end));
        assert!(!bench.remote.answered(58_000, true, end), "the same answer again");
        assert!(!bench.remote.answered(4000, true, end), "an old one");
        assert_eq!((bench.remote.state, bench.remote.misses), (State::Up, 0));
    }

    #[test]
    fn a_refused_locator_needs_a_better_answer() {
        let (mut bench, now) = (Bench::new(), Instant::now());
        bench.remote.probed(1, IDLE, now);
        bench.remote.answered(1, false, now);
        assert_eq!(bench.remote.state, State::Down);
        bench.remote.received(now);
        assert_eq!(bench.remote.state, State::Down);
        bench.remote.probed(2, IDLE, now);
        bench.remote.answered(2, true, now);
        assert_eq!(bench.remote.state, State::Up);
    }
}
