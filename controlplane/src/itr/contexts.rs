//! What is known of the locators of map-cache entries beside their addresses, for the entries where context plays a
//! part; the others take no room here.
//!
//! A [`Knowledge`] holds the answers, and the rows that follow from them; what it says when is in `rows`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::acx::{AgentState, Attributes};

use super::EidPrefix;
use super::question::Hash;
use super::said::{Chosen, Said};
use super::schedule::Schedule;
use super::sets::SOURCE_ONLY;
use crate::outbox::Choice;

/// What each class uses.
pub type Rows = BTreeMap<u8, Choice>;

/// A locator with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// The RLOC.
    pub address: IpAddr,
    /// As it was registered; 255 is never sent to.
    pub priority: u8,
    /// Share among equals.
    pub weight: u8,
    /// What is said of the agent there.
    attributes: Attributes,
    /// When the dynamic ones are unknown.
    until: Option<Instant>,
    /// Since when it drains, as far as we know.
    pub drains: Option<Instant>,
}

impl Fit {
    fn of(said: Said, before: Option<&Fit>, now: Instant) -> Self {
        let Said { address, priority, weight, attributes, delta, ttl_s } = said;
        let known = before.filter(|_| delta);
        let attributes =
            known.map_or_else(|| attributes.clone(), |known| known.at(now).overlaid(&attributes));
        let until = ttl_s.map(|seconds| now + Duration::from_secs(seconds.into()));
        let drains = before.and_then(|before| before.drains).or(Some(now));
        let drains = drains.filter(|_| attributes.state == Some(AgentState::Draining));
        let until = until.or(known.and_then(|known| known.until));
        Self { address, priority, weight, attributes, until, drains }
    }

    /// Whether anything is known of the agent there now.
    pub fn says_anything(&self, now: Instant) -> bool {
        let Attributes { hardware, security, .. } = &self.attributes;
        let stays = hardware.is_some() || security.is_some();
        stays || (self.until.is_none_or(|until| now < until) && !self.attributes.is_empty())
    }

    /// What is known of the agent there now.
    pub fn at(&self, now: Instant) -> Attributes {
        match self.until {
            Some(until) if until <= now => self.attributes.without_dynamic(),
            _ => self.attributes.clone(),
        }
    }

    fn bytes(&self) -> usize {
        let tags = self.attributes.hardware.as_ref().map_or(&[][..], |hardware| hardware.tags());
        let tags: usize = tags.iter().map(|tag| tag.as_str().len() + size_of_val(tag)).sum();
        size_of::<Self>() + tags
    }
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The locators, sorted by address; at most 16.
    pub fits: Vec<Fit>,
    /// Whoever answered knows nothing of context.
    pub blind: bool,
    /// No locator will do.
    pub nobody: bool,
    /// When its time is over.
    expires: Instant,
    /// When a Map-Server published it.
    pub published: Option<Instant>,
}

/// What one entry knows.
#[derive(Debug, Default)]
pub struct Knowledge {
    /// An answer with all locators there are.
    all: Option<Answered>,
    /// Answers with those that will do for certain needs.
    chosen: BTreeMap<Option<Hash>, Answered>,
    /// What was published.
    pub rows: Rows,
    due: Option<Instant>,
}

impl Knowledge {
    /// Takes an answer in.
    pub fn learn(
        &mut self,
        how: Chosen,
        said: Vec<Said>,
        (now, lifetime): (Instant, Duration),
        published: bool,
    ) {
        let before = self.fits().cloned().collect::<Vec<_>>();
        let known = |address| before.iter().find(|fit| fit.address == address);
        let fits = said.into_iter().map(|one| Fit::of(one.clone(), known(one.address), now)).collect();
        let answered = Answered {
            fits,
            blind: how == Chosen::Blindly,
            nobody: matches!(how, Chosen::Nobody(_)),
            expires: now + lifetime,
            published: published.then_some(now),
        };
        match how {
            Chosen::Blindly | Chosen::All => {
                self.chosen.clear();
                self.all = Some(answered);
            }
            Chosen::For(needs) => {
                self.all = None;
                self.chosen.insert(needs, answered);
            }
            Chosen::Nobody(needs @ Some(_)) => drop(self.chosen.insert(needs, answered)),
            Chosen::Nobody(None) => {
                // Packets may still come from there.
                let fits = before.into_iter().map(|fit| Fit { priority: SOURCE_ONLY, ..fit }).collect();
                self.chosen.clear();
                self.all = Some(Answered { fits, ..answered });
            }
        }
    }

    /// The answer for these needs.
    pub fn answer(&self, needs: Option<Hash>) -> Option<&Answered> {
        self.chosen.get(&needs).or(self.all.as_ref())
    }

    /// Whether no answer holds any more.
    pub fn is_empty(&self) -> bool {
        self.all.is_none() && self.chosen.is_empty()
    }

    /// Whether answers are filtered for whoever asks.
    pub fn is_filtered(&self) -> bool {
        self.all.is_none() && !self.chosen.is_empty()
    }

    /// What to ask for so that all that is known stays known.
    pub fn needs(&self) -> Vec<Option<Hash>> {
        match &self.all {
            Some(_) => vec![None],
            None => self.chosen.keys().copied().collect(),
        }
    }

    /// All locators of all answers, each as the widest answer has it.
    pub fn fits(&self) -> impl Iterator<Item = &Fit> + '_ {
        let answers = || self.all.iter().chain(self.chosen.values());
        let each =
            answers().enumerate().flat_map(|(at, answer)| answer.fits.iter().map(move |fit| (at, fit)));
        each.filter(move |(at, fit)| {
            !answers().take(*at).flat_map(|answer| &answer.fits).any(|known| known.address == fit.address)
        })
        .map(|(_, fit)| fit)
    }

    /// Forgets answers whose time is over: that nobody will do for certain needs at once, others long after.
    pub fn prune(&mut self, keep: impl Fn(Option<Hash>) -> bool, stale_max: Duration, now: Instant) {
        let holds = |answer: &Answered| end(answer, stale_max) > now;
        self.chosen.retain(|needs, answer| keep(*needs) && holds(answer));
        self.all = self.all.take().filter(holds);
    }

    /// When time alone changes something.
    fn next(&self, stale_max: Duration, drain: Duration, now: Instant) -> Option<Instant> {
        let answers = || self.all.iter().chain(self.chosen.values());
        let ends = answers().map(|answer| end(answer, stale_max));
        let fits = || answers().flat_map(|answer| &answer.fits);
        let unknown = fits().filter_map(|fit| fit.until);
        let drained = fits().filter_map(|fit| fit.drains).map(|since| since + drain);
        ends.chain(unknown).chain(drained).filter(|at| *at > now).min()
    }

    fn addresses(&self) -> BTreeSet<IpAddr> {
        let answers = self.all.iter().chain(self.chosen.values());
        answers.flat_map(|answer| &answer.fits).map(|fit| fit.address).collect()
    }

    fn bytes(&self) -> usize {
        let answers = self.all.iter().chain(self.chosen.values());
        let fits: usize = answers.flat_map(|answer| &answer.fits).map(Fit::bytes).sum();
        let chosen = |choice: &Choice| match choice {
            Choice::Locators(locators) => size_of_val(locators.as_slice()),
            Choice::NoMatch => 0,
        };
        let rows: usize = self.rows.values().map(|choice| size_of::<(u8, Choice)>() + chosen(choice)).sum();
        size_of::<Self>() + fits + rows + self.chosen.len() * size_of::<(Option<Hash>, Answered)>()
    }
}

/// That nobody will do holds as long as it was said; other answers as long as their entry may be used.
fn end(answer: &Answered, stale_max: Duration) -> Instant {
    if answer.nobody { answer.expires } else { answer.expires + stale_max }
}

/// What time does to knowledge.
#[derive(Clone, Copy, Debug)]
pub struct Clockwork {
    /// How long an answer is used when nobody answers any more.
    pub stale_max: Duration,
    /// How long flows stay with an agent that drains.
    pub drain: Duration,
}

/// What is known of all entries.
#[derive(Debug, Default)]
pub struct Contexts {
    entries: BTreeMap<EidPrefix, Box<Knowledge>>,
    by_remote: BTreeSet<(IpAddr, EidPrefix)>,
    deadlines: Schedule<EidPrefix>,
    /// Entries whose rows may have changed.
    dirty: BTreeSet<EidPrefix>,
    bytes: usize,
}

impl Contexts {
    /// What is known of this entry.
    pub fn get(&self, key: EidPrefix) -> Option<&Knowledge> {
        self.entries.get(&key).map(Box::as_ref)
    }

    /// All entries of which something is known.
    pub fn keys(&self) -> impl Iterator<Item = EidPrefix> + '_ {
        self.entries.keys().copied()
    }

    /// What was published for this entry; nothing where context plays no part.
    pub fn rows(&self, key: EidPrefix) -> Rows {
        self.get(key).map(|known| known.rows.clone()).unwrap_or_default()
    }

    /// Takes out what is known of an entry, to change it or to forget it.
    pub fn take(&mut self, key: EidPrefix) -> Option<Box<Knowledge>> {
        let mut known = self.entries.remove(&key)?;
        self.deadlines.set(key, &mut known.due, None);
        self.dirty.remove(&key);
        for address in known.addresses() {
            self.by_remote.remove(&(address, key));
        }
        self.bytes -= known.bytes();
        Some(known)
    }

    /// Puts it in its place, if there is room for it.
    pub fn put(
        &mut self,
        key: EidPrefix,
        mut known: Box<Knowledge>,
        times: Clockwork,
        now: Instant,
        limit: usize,
    ) -> bool {
        self.take(key);
        let bytes = known.bytes();
        if self.bytes + bytes > limit {
            return false;
        }
        self.bytes += bytes;
        self.by_remote.extend(known.addresses().into_iter().map(|address| (address, key)));
        let next = known.next(times.stale_max, times.drain, now);
        self.deadlines.set(key, &mut known.due, next);
        self.entries.insert(key, known);
        true
    }

    /// The path to this RLOC changed: what it is part of is to be ranked anew.
    pub fn touch_remote(&mut self, remote: IpAddr) {
        let (first, last) = ((remote, super::first_key()), (remote, super::last_key()));
        self.dirty.extend(self.by_remote.range(first..=last).map(|(_, key)| *key));
    }

    /// All is to be ranked anew.
    pub fn touch_all(&mut self) {
        self.dirty.extend(self.entries.keys());
    }

    /// An entry to rank anew; it stays until it is put in its place again.
    pub fn due(&self, now: Instant) -> Option<EidPrefix> {
        self.dirty.first().copied().or_else(|| self.deadlines.due(now))
    }

    /// When time alone changes something for the next one.
    pub fn next_due(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    #[cfg(test)]
    pub fn check(&self) {
        assert_eq!(self.bytes, self.entries.values().map(|known| known.bytes()).sum::<usize>());
        let addresses: usize = self.entries.values().map(|known| known.addresses().len()).sum();
        assert_eq!(addresses, self.by_remote.len());
        assert!(self.dirty.iter().all(|key| self.entries.contains_key(key)));
        for known in self.entries.values() {
            let answers = known.all.iter().chain(known.chosen.values());
            assert!(
                known.chosen.len() <= 16 && answers.map(|answer| answer.fits.len()).all(|count| count <= 16)
            );
        }
    }
}
