//! A report as it is written: JSON, judged strictly, everything wrong with it told at once with its path.
//!
//! `context.schema.json` beside this crate says the same to other programs; a test holds the two against each other.

mod fault;
mod words;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;
use sterna_wire::Iid;

pub use fault::Fault;
use fault::Reader;
pub use words::Words;

use super::reported::Reported;

/// The longest and shortest time that a report may hold, in seconds.
const TTL_S: std::ops::RangeInclusive<u64> = 5..=86_400;

/// What a body says.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Body {
    own: Words,
    /// None clears what was said of the locator.
    locators: BTreeMap<IpAddr, Option<Words>>,
    /// All locators are cleared first.
    no_locators: bool,
    /// How long it holds; none leaves that to the gateway.
    pub ttl: Option<Duration>,
}

/// How a body counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It is all that is said.
    Whole,
    /// What it does not name stays; null takes back what was said (RFC 7396).
    Patch,
}

/// What is done about an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A report.
    Report(Manner, Body),
    /// Nothing is said of it any more.
    Delete,
    /// What was said holds for its time again.
    Heartbeat,
}

/// One line of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Group.
    pub iid: Iid,
    /// The agent.
    pub eid: IpAddr,
    /// What is done.
    pub op: Op,
}

impl Body {
    /// What a body says; everything wrong with it.
    pub fn read(value: &Value, manner: Manner) -> Result<Body, Vec<Fault>> {
        let mut reader = Reader::new(manner == Manner::Patch);
        let body = Body::of(&mut reader, value);
        reader.end(body)
    }

    fn of(reader: &mut Reader, value: &Value) -> Body {
        let mut body = Body::default();
        reader.object(value, |reader, key, value| match key {
            "ttl_s" => {
                body.ttl = reader.integer(value, TTL_S).map(Duration::from_secs);
                true
            }
            "locators" => {
                body.no_locators = reader.clears(value);
                if !body.no_locators {
                    body.locators = locators(reader, value);
                }
                true
            }
            _ => body.own.field(reader, key, value),
        });
        body
    }

    /// What is said of an agent after this.
    pub fn applied(&self, manner: Manner, before: &Reported) -> Reported {
        let mut said = match manner {
            Manner::Whole => Reported::default(),
            Manner::Patch => before.clone(),
        };
        self.own.apply(&mut said.own);
        if self.no_locators {
            said.locators.clear();
        }
        for (rloc, words) in &self.locators {
            match words {
                Some(words) => words.apply(said.locators.entry(*rloc).or_default()),
                None => drop(said.locators.remove(rloc)),
            }
        }
        said.locators.retain(|_, said| !said.is_empty());
        said
    }
}

impl Line {
    /// What one line of a batch says; everything wrong with it.
    pub fn read(value: &Value) -> Result<Line, Vec<Fault>> {
        let mut reader = Reader::new(false);
        let line = Line::of(&mut reader, value);
        let line = line.filter(|_| reader.is_clean()).ok_or_else(|| reader.faults())?;
        Ok(line)
    }

    fn of(reader: &mut Reader, value: &Value) -> Option<Line> {
        let (mut iid, mut eid, mut op, mut context) = (None, None, None, None);
        reader.object(value, |reader, key, value| {
            match key {
                "iid" => iid = reader.integer(value, 0..=u64::from(Iid::RESERVED) - 1),
                "eid" => eid = reader.address(value),
                "op" => op = reader.word(value, &["put", "patch", "delete", "heartbeat"]).map(str::to_owned),
                "context" => context = Some(value.clone()),
                _ => return false,
            }
            true
        });
        for (key, there) in [("iid", iid.is_some()), ("eid", eid.is_some()), ("op", op.is_some())] {
            reader.demand(value, key, there);
        }
        let op = match op?.as_str() {
            "delete" => reader.without(context.as_ref()).map(|()| Op::Delete),
            "heartbeat" => reader.without(context.as_ref()).map(|()| Op::Heartbeat),
            word => {
                let manner = if word == "put" { Manner::Whole } else { Manner::Patch };
                reader.demand(value, "context", context.is_some());
                let context = context?;
                reader.nulls(manner == Manner::Patch);
                let body = reader.below("context", |reader| Body::of(reader, &context));
                Some(Op::Report(manner, body))
            }
        };
        let iid = iid.and_then(|iid| Iid::new(u32::try_from(iid).ok()?));
        Some(Line { iid: iid?, eid: eid?, op: op? })
    }
}

fn locators(reader: &mut Reader, value: &Value) -> BTreeMap<IpAddr, Option<Words>> {
    let mut locators = BTreeMap::new();
    reader.below("locators", |reader| {
        let count = value.as_object().map_or(0, serde_json::Map::len);
        if count > Reported::MAX_LOCATORS {
            reader.fault(format!("has {count} locators; {} are the most", Reported::MAX_LOCATORS));
            return;
        }
        reader.object_here(value, |reader, key, value| {
            let Ok(rloc) = key.parse::<IpAddr>() else {
                reader.below(key, |reader| reader.fault("is not an IP address".to_owned()));
                return true;
            };
            let words = reader.below(key, |reader| match reader.clears(value) {
                true => None,
                false => Some(Words::read(reader, value)),
            });
            locators.insert(rloc, words);
            true
        });
    });
    locators
}

#[cfg(test)]
mod test;
