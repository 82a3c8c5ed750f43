//! The text in a counters region that says what its words mean.

use std::collections::HashSet;
use std::fmt::{self, Write};
use std::str::FromStr;
use std::sync::Arc;

use crate::port::{Side, UnknownWord};
use crate::region::{HEADER, RegionError};

/// First line of a description.
const TITLE: &str = "sterna counters 1";
/// Counters or scopes a description may name.
const MAX_LINES: usize = 4096;

/// What a counter counts, for the balance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// Packets received.
    Rx,
    /// Packets we originated.
    Made,
    /// Packets handed to a tx ring.
    Tx,
    /// Packets handed to the kernel or the control plane.
    Punt,
    /// Packets dropped, for one reason.
    Drop,
    /// Packets held now; goes up and down.
    Held,
    /// Anything else that only grows (bytes, events): outside the balance.
    Info,
    /// Anything else that goes up and down: outside the balance.
    Gauge,
}

/// A counter, as the dataplane declares it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CounterDesc {
    /// Its name: no blanks.
    pub name: &'static str,
    /// Its place in the balance.
    pub kind: Kind,
    /// One sentence.
    pub help: &'static str,
}

/// Who counts what: one worker on one port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScopeName {
    /// Index of the worker.
    pub worker: u16,
    /// Index of the port.
    pub port: u16,
    /// The port's interface name.
    pub port_name: String,
    /// The port's side.
    pub side: Side,
}

impl Kind {
    const ALL: [Kind; 8] =
        [Kind::Rx, Kind::Made, Kind::Tx, Kind::Punt, Kind::Drop, Kind::Held, Kind::Info, Kind::Gauge];

    /// The word for it, as in the description: `rx`, `made`, `tx`, `punt`, `drop`, `held`, `info`, `gauge`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Rx => "rx",
            Kind::Made => "made",
            Kind::Tx => "tx",
            Kind::Punt => "punt",
            Kind::Drop => "drop",
            Kind::Held => "held",
            Kind::Info => "info",
            Kind::Gauge => "gauge",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Kind, UnknownWord> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownWord)
    }
}

/// Writes the description; also gives the offset of the first block in bytes.
///
/// `block` is a block's size and `align` its boundary, both in bytes.
pub(crate) fn write(
    counters: &[CounterDesc],
    scopes: &[ScopeName],
    block: usize,
    align: usize,
) -> Result<(String, usize), RegionError> {
    if counters.is_empty() || counters.len() > MAX_LINES || scopes.len() > MAX_LINES {
        return Err(RegionError::Description("too few or too many counters or scopes"));
    }
    // The offsets are part of the text whose length they depend on, so their width is fixed.
    let sized = write_at(counters, scopes, block, 0)?;
    let first = (HEADER + sized.len()).next_multiple_of(align);
    Ok((write_at(counters, scopes, block, first)?, first))
}

fn write_at(
    counters: &[CounterDesc],
    scopes: &[ScopeName],
    block: usize,
    first: usize,
) -> Result<String, RegionError> {
    let mut text = format!("{TITLE}\n");
    let mut names = HashSet::new();
    for CounterDesc { name, kind, help } in counters {
        if !names.insert(name) {
            return Err(RegionError::Description("two counters with one name"));
        }
        // Writing into a String cannot fail.
        let _ = writeln!(text, "counter\t{}\t{kind}\t{}", clean(name)?, clean(help)?);
    }
    for (index, scope) in scopes.iter().enumerate() {
        let ScopeName { worker, port, port_name, side } = scope;
        let offset = first + index * block;
        let _ = writeln!(text, "scope\t{worker}\t{port}\t{}\t{side}\t{offset:010}", clean(port_name)?);
    }
    Ok(text)
}

fn clean(text: &str) -> Result<&str, RegionError> {
    if text.is_empty() || text.contains(char::is_control) {
        return Err(RegionError::Description("an empty text, or one with control characters"));
    }
    Ok(text)
}

/// A description, understood.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Description {
    pub(crate) counters: Vec<DescribedCounter>,
    /// Each with the offset of its block in bytes.
    pub(crate) scopes: Vec<(ScopeName, usize)>,
}

/// A counter, as a reader knows it.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct DescribedCounter {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) help: Arc<str>,
}

impl Description {
    /// Understands a copied-out text about a region of so many bytes; every block lies inside the region.
    pub(crate) fn parse(text: &str, region_bytes: usize) -> Result<Description, RegionError> {
        let mut lines = text.lines();
        if lines.next() != Some(TITLE) {
            return Err(RegionError::Description("a foreign first line"));
        }
        let mut description = Description { counters: Vec::new(), scopes: Vec::new() };
        for line in lines {
            let fields: Vec<&str> = line.splitn(7, '\t').collect();
            match fields.as_slice() {
                ["counter", name, kind, help] => description.counters.push(counter(name, kind, help)?),
                ["scope", worker, port, name, side, offset] => {
                    let scope =
                        scope(worker, port, name, side).ok_or(RegionError::Description("a bad scope"))?;
                    description.scopes.push((scope, block_offset(offset)?));
                }
                _ => return Err(RegionError::Description("an unknown line")),
            }
        }
        description.check(region_bytes)?;
        Ok(description)
    }

    fn check(&self, region_bytes: usize) -> Result<(), RegionError> {
        if self.counters.len() > MAX_LINES || self.scopes.len() > MAX_LINES {
            return Err(RegionError::Description("too many counters or scopes"));
        }
        let block = self.counters.len() * 8;
        let inside = |offset: usize| offset >= HEADER && offset.saturating_add(block) <= region_bytes;
        if self.scopes.iter().any(|(_, offset)| !inside(*offset)) {
            return Err(RegionError::Description("a block beyond the region"));
        }
        Ok(())
    }
}

fn counter(name: &str, kind: &str, help: &str) -> Result<DescribedCounter, RegionError> {
    let kind = kind.parse().map_err(|_| RegionError::Description("an unknown kind of counter"))?;
    Ok(DescribedCounter { name: clean(name)?.into(), kind, help: clean(help)?.into() })
}

fn scope(worker: &str, port: &str, port_name: &str, side: &str) -> Option<ScopeName> {
    Some(ScopeName {
        worker: worker.parse().ok()?,
        port: port.parse().ok()?,
        port_name: clean(port_name).ok()?.to_owned(),
        side: side.parse().ok()?,
    })
}

fn block_offset(text: &str) -> Result<usize, RegionError> {
    let offset: Option<usize> = text.parse().ok();
    offset.filter(|offset| offset % 8 == 0).ok_or(RegionError::Description("a bad block offset"))
}

#[cfg(test)]
mod test {
    use super::*;

    const REGION: usize = 8192;

    #[test]
    fn what_is_written_is_understood() {
        let counters = [CounterDesc { name: "rx", kind: Kind::Rx, help: "Received, wörtlich." }];
        let scopes = [ScopeName { worker: 1, port: 2, port_name: "eth1".to_owned(), side: Side::Rloc }];
        let (text, first) = write(&counters, &scopes, 128, 128).unwrap();
        let found = Description::parse(&text, REGION).unwrap();
        assert_eq!(found.scopes, [(scopes[0].clone(), first)]);
        let counter = &found.counters[0];
        assert_eq!((&*counter.name, counter.kind, &*counter.help), ("rx", Kind::Rx, "Received, wörtlich."));
        assert!(first >= HEADER + text.len() && first % 128 == 0);
    }

    #[test]
    fn foreign_texts_are_refused() {
        let texts = [
            "",
            "sterna counters 2\n",
            "sterna counters 1\nnonsense",
            "sterna counters 1\ncounter\tname\trx",
            "sterna counters 1\ncounter\tname\tunknown\thelp",
            "sterna counters 1\ncounter\t\trx\thelp",
            "sterna counters 1\nscope\t0\t0\tp\teid",
            "sterna counters 1\nscope\t0\t70000\tp\teid\t4096",
            "sterna counters 1\nscope\t0\t0\tp\tnowhere\t4096",
            "sterna counters 1\nscope\t0\t0\tp\teid\t4097",
            "sterna counters 1\nscope\t0\t0\tp\teid\t-8",
            "sterna counters 1\nscope\t0\t0\tp\teid\t4096\tmore\tand\tmore",
        ];
        for text in texts {
            assert!(Description::parse(text, REGION).is_err(), "{text:?}");
        }
    }

    #[test]
    fn blocks_stay_inside() {
        let at = |offset: usize| {
            let text = format!("sterna counters 1\ncounter\ta\trx\th\nscope\t0\t0\tp\teid\t{offset}");
            Description::parse(&text, REGION)
        };
        assert!(at(HEADER).is_ok() && at(REGION - 8).is_ok());
        for offset in [0, HEADER - 8, REGION, usize::MAX - 7] {
            assert!(at(offset).is_err(), "{offset}");
        }
    }

    #[test]
    fn a_flood_of_lines_is_refused() {
        let text = format!("{TITLE}\n{}", "scope\t0\t0\tp\teid\t4096\n".repeat(MAX_LINES + 1));
        assert!(Description::parse(&text, REGION).is_err());
    }
}
