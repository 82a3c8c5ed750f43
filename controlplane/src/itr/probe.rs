//! RLOC probing: one probe per remote RLOC, not per EID (RFC 9301 section 7.1).
//!
//! Data from a locator is as good as an answer, and a locator that stopped answering is taken out of use only if
//! another locator of one of its sets answered a probe meanwhile: a *witness*. Otherwise it may be just the control
//! plane at the far end that died, and taking locators out would turn that into an outage. Data is no witness, since
//! the far dataplane sends it without a control plane. Neither is an answer to a probe that went out later than the
//! one that was missed, since the far control plane may have come back between them. So whenever a suspect is probed,
//! those beside it are probed with it, for as long as it stays suspect.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::{LispAddress, MapReply, MapRequest, RequestRecord};

use super::EidPrefix;
use super::cache::MapCache;
use super::counters::{Counter, Counters};
use super::limits::Bucket;
use super::liveness::{Plan, Remote, State};
use super::schedule::Schedule;
use super::sets::LocatorSets;
use super::settings::ItrSettings;
use crate::context::PathTerm;
use crate::outbox::{LocatorChange, Outbox};
use crate::random::Random;

/// A new locator is probed for the first time within so many milliseconds, to learn its round trip.
const FIRST_PROBE_MS: u64 = 1000;
/// A probe without a token waits that long.
const DELAY: Duration = Duration::from_millis(10);

/// What the prober needs to know of the rest of the ITR.
pub struct Surroundings<'a> {
    pub(super) settings: &'a ItrSettings,
    pub(super) sets: &'a LocatorSets,
    pub(super) cache: &'a MapCache,
}

/// All remote RLOCs that packets may be sent to.
#[derive(Debug)]
pub struct Prober {
    remotes: BTreeMap<IpAddr, Remote>,
    by_nonce: HashMap<u64, IpAddr>,
    deadlines: Schedule<IpAddr>,
    unreachable: BTreeSet<IpAddr>,
    /// Changes that wait for the next tick.
    changes: Vec<LocatorChange>,
    /// RLOCs whose path term moved.
    moved: BTreeSet<IpAddr>,
    pub(super) bucket: Bucket,
}

impl Prober {
    /// Nobody to probe yet.
    pub fn new(settings: &ItrSettings) -> Self {
        Self {
            remotes: BTreeMap::new(),
            by_nonce: HashMap::new(),
            deadlines: Schedule::default(),
            unreachable: BTreeSet::new(),
            changes: Vec::new(),
            moved: BTreeSet::new(),
            bucket: Bucket::new(settings.limits.probe),
        }
    }

    /// A mapping names this RLOC.
    pub fn add(
        &mut self,
        remote: IpAddr,
        settings: &ItrSettings,
        random: &mut Random,
        counters: &mut Counters,
        now: Instant,
    ) {
        if self.remotes.contains_key(&remote) {
            return;
        }
        if self.remotes.len() >= settings.limits.remotes {
            counters.count(Counter::RemotesFull);
            return;
        }
        let mut new = Remote::new(idle_gap(settings, random));
        new.has_path = !self.unreachable.contains(&remote);
        let first = now + Duration::from_millis(random.below(FIRST_PROBE_MS));
        self.deadlines.set(remote, &mut new.due, Some(first));
        self.remotes.insert(remote, new);
    }

    /// What the way to this RLOC costs as far as it was measured; none where nothing is sent to it.
    pub fn term(&self, remote: IpAddr) -> Option<PathTerm> {
        self.remotes.get(&remote).map(|known| known.term)
    }

    /// The RLOCs whose path term moved since the last call.
    pub fn take_moved(&mut self) -> BTreeSet<IpAddr> {
        std::mem::take(&mut self.moved)
    }

    /// No mapping names this RLOC any more. Whoever took it out of use may forget that.
    pub fn remove(&mut self, remote: IpAddr, out: &mut Outbox) {
        let Some(mut gone) = self.remotes.remove(&remote) else { return };
        self.moved.remove(&remote);
        self.deadlines.set(remote, &mut gone.due, None);
        for nonce in gone.nonces() {
            self.by_nonce.remove(&nonce);
        }
        if gone.state == State::Down {
            out.locators.push(LocatorChange { remote, up: true });
        }
    }

    /// Data went there or came from there; what follows from that is told with the next tick.
    pub fn traffic(
        &mut self,
        remote: IpAddr,
        (sent, received): (bool, bool),
        around: &Surroundings<'_>,
        now: Instant,
    ) {
        let Some(known) = self.remotes.get_mut(&remote) else { return };
        let before = known.state;
        if sent {
            known.carried = Some(now);
        }
        if received {
            known.received(now);
        }
        self.changes.extend(change_of(remote, before, known.state));
        self.replan(remote, around, now);
    }

    /// RLOCs that the underlay has no path to: probes there would tell nothing.
    pub fn underlay(&mut self, unreachable: &BTreeSet<IpAddr>, now: Instant) {
        self.unreachable.clone_from(unreachable);
        for (remote, known) in &mut self.remotes {
            let has_path = !unreachable.contains(remote);
            if has_path && !known.has_path {
                known.nudged = true;
                self.deadlines.set(*remote, &mut known.due, Some(now));
            }
            known.has_path = has_path;
        }
    }

    /// The RLOC that a probe with this nonce went to.
    pub fn of_nonce(&self, nonce: u64) -> Option<IpAddr> {
        self.by_nonce.get(&nonce).copied()
    }

    /// The answer to a probe of this RLOC.
    pub fn reply(
        &mut self,
        remote: IpAddr,
        reply: &MapReply,
        around: &Surroundings<'_>,
        counters: &mut Counters,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Some(known) = self.remotes.get_mut(&remote) else { return };
        let before = known.state;
        let Some(sent) = known.answered(reply.nonce, says_reachable(remote, reply), now) else {
            return counters.count(Counter::ReplyDuplicate);
        };
        counters.count(Counter::ProbeReplies);
        if known.settle_term() {
            self.moved.insert(remote);
        }
        let after = known.state;
        self.note(change_of(remote, before, after), counters, out);
        self.replan(remote, around, now);
        for sibling in around.sets.siblings(remote) {
            let Some(known) = self.remotes.get_mut(&sibling) else { continue };
            known.witness(sent);
            if known.state == State::Silent {
                self.verdict(sibling, around, counters, out);
            }
        }
    }

    /// Judges and probes those whose time has come, at most `budget` of them.
    pub fn tick(
        &mut self,
        around: &Surroundings<'_>,
        random: &mut Random,
        counters: &mut Counters,
        (now, budget): (Instant, usize),
        out: &mut Outbox,
    ) {
        for change in std::mem::take(&mut self.changes) {
            self.note(Some(change), counters, out);
        }
        for _ in 0..budget {
            let Some(remote) = self.deadlines.due(now) else { return };
            self.step(remote, around, random, counters, now, out);
        }
    }

    /// When the next probe or judgement is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Whether something waits for the next tick, whatever its deadline.
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// All remote RLOCs in order.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, &Remote)> + '_ {
        self.remotes.iter().map(|(remote, known)| (*remote, known))
    }

    fn step(
        &mut self,
        remote: IpAddr,
        around: &Surroundings<'_>,
        random: &mut Random,
        counters: &mut Counters,
        now: Instant,
        out: &mut Outbox,
    ) {
        let timers = &around.settings.timers;
        let Some(known) = self.remotes.get_mut(&remote) else { return };
        if known.judge(timers, now) {
            counters.count(Counter::ProbesUnanswered);
            if known.settle_term() {
                self.moved.insert(remote);
            }
        }
        if known.is_suspect() && known.misses >= timers.probe_misses {
            self.verdict(remote, around, counters, out);
        }
        let Some(known) = self.remotes.get(&remote) else { return };
        let next = match known.plan(timers, now) {
            Plan::Wait(until) => until,
            Plan::Probe => self.send(remote, around, random, counters, now, out),
        };
        if let Some(known) = self.remotes.get_mut(&remote) {
            self.deadlines.set(remote, &mut known.due, Some(next));
        }
    }

    /// Probes it, and gives the time to look again.
    fn send(
        &mut self,
        remote: IpAddr,
        around: &Surroundings<'_>,
        random: &mut Random,
        counters: &mut Counters,
        now: Instant,
        out: &mut Outbox,
    ) -> Instant {
        let settings = around.settings;
        let rlocs = own_rlocs(settings, remote);
        if rlocs.is_empty() {
            counters.count(Counter::ProbeNoRloc);
            return now + settings.timers.probe;
        }
        if !self.bucket.take(now) {
            counters.count(Counter::ProbesDelayed);
            return now + DELAY;
        }
        let Some(known) = self.remotes.get_mut(&remote) else { return now + settings.timers.probe };
        let Some((iid, prefix)) = sample(remote, known.misses, around) else {
            return now + settings.timers.probe;
        };
        let nonce = random.number();
        let request = MapRequest {
            probe: true,
            nonce,
            source_eid: LispAddress::None,
            itr_rlocs: rlocs,
            records: vec![RequestRecord::of(iid, prefix)],
            ..MapRequest::default()
        };
        // Who is asked for another's sake asks nobody in turn.
        let seeks_witness = known.is_suspect() && !known.nudged;
        if let Some(forgotten) = known.probed(nonce, idle_gap(settings, random), now) {
            self.by_nonce.remove(&forgotten);
        }
        let next = match known.plan(&settings.timers, now) {
            Plan::Wait(until) => until,
            Plan::Probe => now + DELAY,
        };
        self.by_nonce.insert(nonce, remote);
        counters.count(Counter::ProbesSent);
        out.send(remote, request.emit());
        if seeks_witness {
            self.ask_siblings(remote, around, now);
        }
        next
    }

    /// It does not answer: out of use if there is a witness that it is not just the far control plane.
    fn verdict(
        &mut self,
        remote: IpAddr,
        around: &Surroundings<'_>,
        counters: &mut Counters,
        out: &mut Outbox,
    ) {
        let Some(known) = self.remotes.get_mut(&remote) else { return };
        let before = known.state;
        known.state = if known.is_cut_off(&around.settings.timers) { State::Down } else { State::Silent };
        if known.state == State::Silent && before != State::Silent {
            counters.count(Counter::AllLocatorsSilent);
        }
        let change = change_of(remote, before, known.state);
        self.note(change, counters, out);
    }

    /// Asks those beside a suspect together with it, so that there is a witness by the time of the verdict.
    fn ask_siblings(&mut self, remote: IpAddr, around: &Surroundings<'_>, now: Instant) {
        for sibling in around.sets.siblings(remote) {
            let Some(known) = self.remotes.get_mut(&sibling) else { continue };
            if known.ask() {
                self.deadlines.set(sibling, &mut known.due, Some(now));
            }
        }
    }

    /// What is known changed: the next step may be earlier or later than planned.
    fn replan(&mut self, remote: IpAddr, around: &Surroundings<'_>, now: Instant) {
        let Some(known) = self.remotes.get_mut(&remote) else { return };
        let next = match known.plan(&around.settings.timers, now) {
            Plan::Wait(until) => until,
            Plan::Probe => now,
        };
        // A probe put off for want of a token stays put off, and the first one is not hurried without traffic.
        let keep = known.due.filter(|due| next <= now && *due > now && !known.carries(now));
        self.deadlines.set(remote, &mut known.due, Some(keep.unwrap_or(next)));
    }

    fn note(&mut self, change: Option<LocatorChange>, counters: &mut Counters, out: &mut Outbox) {
        if let Some(change) = change {
            counters.count(if change.up { Counter::LocatorsUp } else { Counter::LocatorsDown });
            out.locators.push(change);
        }
    }

    #[cfg(test)]
    pub fn check(&self) {
        let nonces: usize = self.remotes.values().map(|known| known.nonces().count()).sum();
        assert_eq!(nonces, self.by_nonce.len());
        assert!(self.remotes.values().all(|known| known.due.is_some()));
    }
}

fn change_of(remote: IpAddr, before: State, after: State) -> Option<LocatorChange> {
    let up = after != State::Down;
    (up != (before != State::Down)).then_some(LocatorChange { remote, up })
}

/// What the answer says of the locator that was probed: by the p bit, or by its address where the peer sets none.
fn says_reachable(remote: IpAddr, reply: &MapReply) -> bool {
    let locators = || reply.records.iter().flat_map(|record| &record.locators);
    let named = locators().filter(|locator| locator.address.rloc() == Some(remote));
    let mut about = locators().filter(|locator| locator.probed).chain(named);
    about.next().is_none_or(|locator| locator.reachable)
}

/// An EID prefix that the probe may ask for: one that is mapped to this RLOC, another one after each miss.
fn sample(remote: IpAddr, misses: u8, around: &Surroundings<'_>) -> Option<EidPrefix> {
    let samples: Vec<EidPrefix> = around.sets.samples(remote).collect();
    let cached: Vec<EidPrefix> =
        samples.iter().copied().filter(|key| around.cache.get(*key).is_some()).collect();
    let choice = if cached.is_empty() { samples } else { cached };
    choice.get(usize::from(misses) % choice.len().max(1)).copied()
}

/// Our RLOCs of the family in which the answer comes.
fn own_rlocs(settings: &ItrSettings, remote: IpAddr) -> Vec<LispAddress> {
    let same = settings.local_rlocs.iter().filter(|own| own.is_ipv4() == remote.is_ipv4());
    same.map(|own| LispAddress::Ip(*own)).collect()
}

/// The period of idle probes, 10 % more or less so that they do not fall into step.
fn idle_gap(settings: &ItrSettings, random: &mut Random) -> Duration {
    let millis = u64::try_from(settings.timers.probe.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis - millis / 10 + random.below(millis / 5 + 1))
}
