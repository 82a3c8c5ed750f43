//! What is wrong with a body, and where.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde::Serialize;
use serde_json::Value;

/// Faults that are told of one body; whoever has more sees the rest after mending these.
const MOST: usize = 32;
/// The longest part of a body that is told back.
const SHOWN: usize = 64;

/// One thing wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where, such as `locators.192.0.2.1.load`; empty for the body itself.
    pub path: String,
    /// What, in one sentence without a full stop.
    pub text: String,
}

/// Walks a body and notes what is wrong with it.
#[derive(Debug)]
pub(super) struct Reader {
    path: Vec<String>,
    faults: Vec<Fault>,
    nulls: bool,
}

impl Reader {
    /// `nulls`: whether null takes back what was said.
    pub(super) fn new(nulls: bool) -> Self {
        Self { path: Vec::new(), faults: Vec::new(), nulls }
    }

    pub(super) fn nulls(&mut self, nulls: bool) {
        self.nulls = nulls;
    }

    pub(super) fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn faults(self) -> Vec<Fault> {
        self.faults
    }

    /// The value, or what is wrong.
    pub(super) fn end<T>(self, value: T) -> Result<T, Vec<Fault>> {
        if self.faults.is_empty() { Ok(value) } else { Err(self.faults) }
    }

    pub(super) fn fault(&mut self, text: String) {
        if self.faults.len() < MOST {
            self.faults.push(Fault { path: self.path.join("."), text });
        }
    }

    /// Looks one step further down.
    pub(super) fn below<T>(&mut self, key: &str, look: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(shown(key));
        let found = look(self);
        self.path.pop();
        found
    }

    /// Whether this is null where that takes something back.
    pub(super) fn clears(&self, value: &Value) -> bool {
        self.nulls && value.is_null()
    }

    /// Each field of an object; `field` tells whether it knows it, and looks at its value below its key.
    pub(super) fn object(&mut self, value: &Value, mut field: impl FnMut(&mut Self, &str, &Value) -> bool) {
        self.object_here(value, |reader, key, value| {
            if matches!(key, "context" | "locators") {
                return field(reader, key, value);
            }
            reader.below(key, |reader| field(reader, key, value))
        });
    }

    /// As [`Reader::object`], and the path stays at the object.
    pub(super) fn object_here(
        &mut self,
        value: &Value,
        mut field: impl FnMut(&mut Self, &str, &Value) -> bool,
    ) {
        let Some(object) = value.as_object() else {
            return self.fault(format!("must be an object, not {}", kind(value)));
        };
        for (key, value) in object {
            if !field(self, key, value) {
                self.below(key, |reader| reader.fault("is not a field that is known here".to_owned()));
            }
        }
    }

    /// Notes that a field is missing.
    pub(super) fn demand(&mut self, object: &Value, key: &str, there: bool) {
        if !there && object.is_object() && object.get(key).is_none() {
            self.below(key, |reader| reader.fault("is missing".to_owned()));
        }
    }

    /// Notes that something stands where nothing belongs.
    pub(super) fn without(&mut self, context: Option<&Value>) -> Option<()> {
        if context.is_some() {
            self.below("context", |reader| reader.fault("belongs to put and patch only".to_owned()));
        }
        context.is_none().then_some(())
    }

    pub(super) fn integer(&mut self, value: &Value, range: RangeInclusive<u64>) -> Option<u64> {
        let number = value.as_u64().filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            self.fault(format!("must be an integer from {least} to {most}, not {}", kind(value)));
        }
        number
    }

    /// Thousandths of a number from 0 to 1, rounded.
    pub(super) fn permille(&mut self, value: &Value) -> Option<u16> {
        let share = value.as_f64().filter(|share| (0.0..=1.0).contains(share));
        if share.is_none() {
            self.fault(format!("must be a number from 0 to 1, not {}", kind(value)));
        }
        share.map(|share| (share * 1000.0).round() as u16)
    }

    pub(super) fn word<'a>(&mut self, value: &'a Value, words: &[&str]) -> Option<&'a str> {
        let word = value.as_str().filter(|word| words.contains(word));
        if word.is_none() {
            self.fault(format!("must be one of {}, not {}", words.join(", "), kind(value)));
        }
        word
    }

    pub(super) fn address(&mut self, value: &Value) -> Option<IpAddr> {
        let address = value.as_str().and_then(|text| text.parse().ok());
        if address.is_none() {
            self.fault(format!("must be an IP address, not {}", kind(value)));
        }
        address
    }

    /// The entries of a list of at most `most`, each read at its place.
    pub(super) fn list<T>(
        &mut self,
        value: &Value,
        most: usize,
        mut entry: impl FnMut(&mut Self, &Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(list) = value.as_array() else {
            self.fault(format!("must be a list, not {}", kind(value)));
            return None;
        };
        if list.len() > most {
            self.fault(format!("has {} entries; {most} are the most", list.len()));
            return None;
        }
        let entries = list.iter().enumerate();
        let read: Vec<Option<T>> = entries
            .map(|(index, value)| self.below(&index.to_string(), |reader| entry(reader, value)))
            .collect();
        read.into_iter().collect()
    }
}

/// A value in few words.
pub(super) fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) => format!("\"{}\"", shown(text)),
        Value::Bool(_) | Value::Number(_) => shown(&value.to_string()),
    }
}

/// What is told back of somebody's text.
fn shown(text: &str) -> String {
    let clean: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() { format!("{clean}...") } else { clean }
}
