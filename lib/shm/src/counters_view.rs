//! Reading a dataplane's counters from outside, without trust in what stands there.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use crate::counters::{MAX_TEXT, WORD_TEXT};
use crate::description::{Description, Kind, ScopeName};
use crate::port::Side;
use crate::region::{
    self, HEADER, HEADER_WORDS, Purpose, ReadWords, RegionError, WORD_DATAPLANE, WORD_INCARNATION,
};

/// One counter, copied out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CounterValue {
    /// Its name.
    pub name: Arc<str>,
    /// Its place in the balance.
    pub kind: Kind,
    /// One sentence.
    pub help: Arc<str>,
    /// Its value.
    pub value: u64,
}

/// The counters of one scope, copied out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScopeView {
    /// Index of the worker.
    pub worker: u16,
    /// Index of the port.
    pub port: u16,
    /// The port's interface name.
    pub port_name: String,
    /// The port's side.
    pub side: Side,
    /// All counters, in the order of their declaration.
    pub values: Vec<CounterValue>,
}

impl ScopeView {
    /// The value of the counter with this name.
    pub fn value(&self, name: &str) -> Option<u64> {
        self.values.iter().find(|counter| &*counter.name == name).map(|counter| counter.value)
    }
}

/// The counters of a dataplane: the reading end. Believes nothing it reads.
pub struct CountersView {
    words: ReadWords,
    description: Description,
}

impl CountersView {
    /// Maps a descriptor from [`Counters::file`](crate::Counters::file) read-only and reads its description once.
    pub fn open(fd: OwnedFd) -> Result<CountersView, RegionError> {
        let words = region::open_read_only(fd.as_fd(), Purpose::Counters)?;
        let text = copy_text(&words)?;
        let description = Description::parse(&text, words.bytes())?;
        Ok(CountersView { words, description })
    }

    /// A copy of all counters. They are read one after the other, so a balance over them is exact only at rest.
    pub fn scopes(&self) -> Vec<ScopeView> {
        self.description.scopes.iter().map(|(name, offset)| self.scope(name, offset / 8)).collect()
    }

    fn scope(&self, name: &ScopeName, first: usize) -> ScopeView {
        let counters = self.description.counters.iter().enumerate();
        let values = counters.map(|(index, counter)| CounterValue {
            name: Arc::clone(&counter.name),
            kind: counter.kind,
            help: Arc::clone(&counter.help),
            value: self.words.load(first + index).unwrap_or(0),
        });
        ScopeView {
            worker: name.worker,
            port: name.port,
            port_name: name.port_name.clone(),
            side: name.side,
            values: values.collect(),
        }
    }

    /// When the dataplane last said that it is alive: nanoseconds of CLOCK_MONOTONIC, 0 for never.
    pub fn heartbeat_ns(&self) -> u64 {
        self.words.load(WORD_DATAPLANE).unwrap_or(0)
    }

    /// The random number of that run of the dataplane.
    pub fn incarnation(&self) -> u64 {
        self.words.load(WORD_INCARNATION).unwrap_or(0)
    }
}

/// Copies the description out before anything in it is looked at.
fn copy_text(words: &ReadWords) -> Result<String, RegionError> {
    let len = words.load(WORD_TEXT).and_then(|len| usize::try_from(len).ok());
    let len = len.filter(|&len| len <= MAX_TEXT && len <= words.bytes() - HEADER);
    let len = len.ok_or(RegionError::Description("a length beyond the region"))?;
    let mut text = Vec::with_capacity(len.next_multiple_of(8));
    for index in 0..len.div_ceil(8) {
        text.extend(words.load(HEADER_WORDS + index).unwrap_or(0).to_ne_bytes());
    }
    text.truncate(len);
    String::from_utf8(text).map_err(|_| RegionError::Description("not UTF-8"))
}
